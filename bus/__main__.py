"""``python -m bus`` is ``bus``."""

from bus.cli.__main__ import start

start()
