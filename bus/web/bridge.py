"""From the store's thread to the event loop: what another thread tells becomes awaitable, many with one wake-up.

A group commit ends up to 200 requests at once; `asyncio.wrap_future` would wake the loop for each of them. Whoever waits for longer than
`PATIENCE` is told that nobody knows: a commit that waits for a standby which is dead has no end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from bus.errors import Unknown

PATIENCE = 40.0
"""Seconds; longer than a writer asks a database that is away (`bus.store.writer.PATIENCE`)."""
_EVERY = 1.0


class Bridge:
    """Awaits what other threads tell. One per event loop."""

    def __init__(self) -> None:
        self._ended: deque[tuple[asyncio.Future[Any], Any]] = deque()
        self._called = False
        self._open: dict[asyncio.Future[Any], float] = {}
        self._looking = False

    def waiter(self) -> tuple[asyncio.Future[Any], Callable[[Any], None]]:
        """An awaitable, and how any thread ends it: by a value, or by an exception that it raises. Must be called in the loop."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Any] = loop.create_future()
        self._open[waiter] = loop.time()
        if not self._looking:
            self._looking = True
            loop.call_later(_EVERY, self._look, loop)
        return waiter, lambda outcome: self._put(loop, waiter, outcome)

    def _put(self, loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[Any], outcome: Any) -> None:
        self._ended.append((waiter, outcome))
        if not self._called:
            self._called = True
            loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        # First the flag, then the queue: whoever appends after this look sees the flag down and calls again.
        self._called = False
        while self._ended:
            waiter, outcome = self._ended.popleft()
            self._open.pop(waiter, None)
            if waiter.done():
                continue
            if isinstance(outcome, BaseException):
                waiter.set_exception(awaitable(outcome))
            else:
                waiter.set_result(outcome)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell those who have waited for too long; the first ones came first."""
        for waiter, since in list(self._open.items()):
            if loop.time() - since < PATIENCE:
                break
            del self._open[waiter]
            if not waiter.done():
                waiter.set_exception(unanswered())
        self._looking = bool(self._open)
        if self._looking:
            loop.call_later(_EVERY, self._look, loop)


def awaitable(error: BaseException) -> BaseException:
    """What may be the end of an awaitable: `StopIteration` may not, and whoever waited would never be answered."""
    return RuntimeError("something that must be there is not") if isinstance(error, StopIteration) else error


def unanswered() -> Unknown:
    return Unknown(
        "the database has not said whether the message is kept",
        hint="send it again with the same key: it is taken once, whatever became of this time",
    )  # fmt: skip
