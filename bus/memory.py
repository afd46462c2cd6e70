"""The memory of a process: what the collector looks through, and what goes back to the system."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

OBJECTS = 10_000
"""More objects than before after which Python looks for cycles among the young ones; messages leave next to none behind."""
_ARENA_MAX = -8
"""What mallopt(3) calls M_ARENA_MAX."""
_SETTLED = threading.Event()
"""Set once `settle` was called: Python itself would have to count all that is kept to say so (50 ms for some millions)."""


def share() -> None:
    """Let all threads of this process share two heaps of glibc, not eight for each core: a thread of Python allocates while it holds the
    interpreter's lock, and what each heap keeps is lost to the others (4 MB of a worker). For a process that has no threads yet.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def settle() -> None:
    """What a process was started with stays until it ends: rules, contracts and modules are looked through for garbage no more.

    It was 4 % of the CPU time of a message. Only for a process that is all ours: what is garbage now is kept.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS)
    _SETTLED.set()


@contextmanager
def without_collector() -> Iterator[None]:
    """Reading makes many small objects that all live: the cycle collector would walk them again and again, for 40 % of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled and not _SETTLED.is_set():  # to thaw what was read would thaw what stays, too
            gc.freeze()  # what was read is old at once: without this the first collection walks all of it as if it were new
            gc.unfreeze()
        if enabled:
            gc.enable()


def give_back() -> None:
    """Return to the system what a burst of work has needed; glibc keeps it (10 MB after 900 runs at once), other C libraries do not."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
