"""``python -m tests.differential 0-299 [--kill] [--order]``."""

import sys

from tests.differential.compare import main

sys.exit(main())
