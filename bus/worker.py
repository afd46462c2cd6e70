"""A worker: one process that does the work and has no door. It runs until it is told to stop, then ends in good order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from bus.app import App


def run(app: App, announce: Callable[[], None] = lambda: None) -> None:
    """Work until SIGTERM or SIGINT: then claim nothing more, let calls in flight come home, give the leases back. Main thread only."""
    told = threading.Event()
    before = [(number, signal.signal(number, lambda *_: told.set())) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        app.start()
        announce()
        told.wait()
    finally:
        app.stop()
        for number, handler in before:
            signal.signal(number, handler)
