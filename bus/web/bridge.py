"""From the store's thread to the event loop: what another thread tells becomes awaitable, many with one wake-up.

A group commit ends up to 200 requests at once; `asyncio.wrap_future` would wake the loop for each of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any


class Bridge:
    """Awaits what other threads tell. One per event loop."""

    def __init__(self) -> None:
        self._ended: deque[tuple[asyncio.Future[Any], Any]] = deque()
        self._called = False

    def waiter(self) -> tuple[asyncio.Future[Any], Callable[[Any], None]]:
        """An awaitable, and how any thread ends it: by a value, or by an exception that it raises. Must be called in the loop."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Any] = loop.create_future()
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
            if waiter.cancelled():
                continue
            if isinstance(outcome, BaseException):
                waiter.set_exception(outcome)
            else:
                waiter.set_result(outcome)
