"""``python -m tests.simulation``: see `tests.simulation.simulation`."""

import sys

from tests.simulation.simulation import main

sys.exit(main())
