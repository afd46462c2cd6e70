"""From the store's thread to the event loop: futures of the writer become awaitable, many with one wake-up.

A group commit resolves up to 200 futures at once; `asyncio.wrap_future` would wake the loop for each of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Bridge:
    """Awaits futures of other threads. One per event loop."""

    def __init__(self) -> None:
        self._ended: deque[tuple[asyncio.Future[Any], Future[Any]]] = deque()
        self._called = False

    def wait(self, future: Future[T]) -> asyncio.Future[T]:
        """An awaitable for ``future``; must be called in the loop."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        future.add_done_callback(lambda ended: self._put(loop, waiter, ended))
        return waiter

    def _put(self, loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[Any], ended: Future[Any]) -> None:
        self._ended.append((waiter, ended))
        if not self._called:
            self._called = True
            loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        # First the flag, then the queue: whoever appends after this look sees the flag down and calls again.
        self._called = False
        while self._ended:
            waiter, ended = self._ended.popleft()
            if waiter.cancelled():
                continue
            error = ended.exception()
            if error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(ended.result())
