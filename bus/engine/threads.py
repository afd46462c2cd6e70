"""Threads for outside calls: made when first needed, so many at most, kept for the next call.

They are daemons: a call that hangs for ever keeps its thread, not the process (the standard library's pool waits for it at exit).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

Work = Callable[[], None]


class Threads:
    """At most ``most`` threads. ``run`` and ``close`` are thread-safe; work MUST NOT raise."""

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def run(self, work: Work) -> None:
        """Do it in a thread; raises RuntimeError when closed, or when the system gives no more threads."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the bus is stopping")
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
                thread = threading.Thread(target=self._live, name=f"{self._name}-{len(self._threads)}", daemon=True)
                thread.start()
                self._threads.append(thread)
            self._queue.put(work)

    def count(self) -> int:
        """How many were made so far."""
        return len(self._threads)

    def close(self, until: float) -> bool:
        """Take nothing more and let what is in progress end; false when something has not by ``until`` (`time.monotonic`)."""
        with self._lock:
            self._closed = True
            for _ in self._threads:
                self._queue.put(None)
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.0))
        return not any(thread.is_alive() for thread in self._threads)

    def _live(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
            self._idle.release()
