"""``python -m bus.cli`` is ``bus``."""

from __future__ import annotations

import sys

from bus.cli import main

sys.exit(main())
