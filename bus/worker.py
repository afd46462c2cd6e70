"""A worker: one process that does the work and has no door. It runs until it is told to stop, then ends in good order."""

from __future__ import annotations

import ctypes
import gc
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from bus.app import App

OBJECTS = 10_000
"""More objects than before after which Python looks for cycles among the young ones; messages leave next to none behind."""


GIVE_BACK = 10.0
"""Seconds after which a worker gives back the memory that it does not use."""


def settle_memory() -> None:
    """What a process was started with stays until it ends: rules, contracts and modules are looked through for garbage no more.

    It was 4 % of the CPU time of a message. Only for a process that is all ours: what is garbage now is kept.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS)


def give_back_memory() -> None:
    """Return to the system what a burst of work has needed; glibc keeps it (10 MB after 900 runs at once), other C libraries do not."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def run(app: App, announce: Callable[[], None] = lambda: None) -> None:
    """Work until SIGTERM or SIGINT: then claim nothing more, let calls in flight come home, give the leases back. Main thread only."""
    told = threading.Event()
    before = [(number, signal.signal(number, lambda *_: told.set())) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        app.start()
        settle_memory()
        announce()
        while not told.wait(GIVE_BACK):
            give_back_memory()
    finally:
        app.stop()
        for number, handler in before:
            signal.signal(number, handler)
