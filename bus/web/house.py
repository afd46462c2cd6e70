"""What all handlers of the HTTP door share: the app, the keys, the threads for reading, the bridge to the store's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from bus.app import App
from bus.errors import Busy, Interrupted
from bus.web.accesses import Accesses
from bus.web.auth import Keys
from bus.web.bridge import Bridge, awaitable
from bus.web.turns import Turns

T = TypeVar("T")
READING = 8
"""Threads for what blocks shortly: reading the database, writing a piece of a file."""
WATCHING = 2
"""Threads for those who watch the bus, whom a database that hangs keeps: they take none from the readers."""
GLANCE = 5.0
"""Seconds after which a database that does not answer who watches is said to be away."""
INBOUND = 16
"""Threads for the adapters' endpoints: they answer within their budget whatever portals do."""
RENEWED = 16_000_000
"""Bytes for endpoints after which others take their place: libxml2 keeps each name that it reads, for as long as its thread lives."""


class House:
    """One for each running door."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.keys = Keys(app.config.keys, app.config.rights)
        self.bridge = Bridge()
        self.accesses = Accesses(app.accessed)
        self.turns = Turns()
        self._inbound, self._heard = ThreadPoolExecutor(INBOUND, "snodo-inbound"), 0
        self._reading = ThreadPoolExecutor(READING, "snodo-http")
        self._watching = ThreadPoolExecutor(WATCHING, "snodo-watch")
        self._entering = ThreadPoolExecutor(1, "snodo-enter")

    async def answer(self, size: int, work: Callable[[], T]) -> T:
        """Run what an endpoint says to a request of ``size`` bytes, in one of the threads for that."""
        self._heard += size
        if self._heard > RENEWED:
            self._inbound.shutdown(wait=False)  # what it has begun, or is to begin, it still does
            self._inbound, self._heard = ThreadPoolExecutor(INBOUND, "snodo-inbound"), size
        return await _done(self._inbound, work)

    async def run(self, work: Callable[[], T]) -> T:
        """Run something that blocks, away from the event loop."""
        return await _done(self._reading, work)

    async def glance(self, work: Callable[[], T]) -> T:
        """As `run`, for those who watch the bus; raises `Interrupted` when there is no answer within `GLANCE` seconds."""
        return await self._soon(self._watching, work)

    async def enter(self, work: Callable[[], T]) -> T:
        """As `glance`, to write that a person comes in: while a database is away that keeps neither readers nor those who watch."""
        return await self._soon(self._entering, work)

    async def _soon(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(GLANCE):
                return await _done(threads, work)
        except TimeoutError:
            hint = "is a table locked, or the server overloaded? pg_stat_activity says what waits for what"
            raise Interrupted(f"the database did not answer within {GLANCE:g} seconds", hint=hint) from None

    async def leave(self) -> None:
        """Close away from the event loop: threads that wait for a database must not keep the last answers from being sent."""
        with ThreadPoolExecutor(1, "snodo-leaving") as leaving:
            try:
                await _done(leaving, self.close)
            except Busy:
                self.close()

    def close(self) -> None:
        self.accesses.close()
        self._entering.shutdown(wait=True, cancel_futures=True)
        self._watching.shutdown(wait=True, cancel_futures=True)
        self._reading.shutdown(wait=True, cancel_futures=True)
        self._inbound.shutdown(wait=False, cancel_futures=True)


async def _done(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Do it in one of these threads; raises `Busy`, and does nothing, where none is to be had: the pool keeps what it could not begin, and
    would do it some time, when whoever asked was told that it failed.
    """
    done: Future[T] = Future()
    try:
        threads.submit(_keep, done, work)
    except RuntimeError as error:
        if done.cancel():  # else a thread that was there has it in hand
            raise Busy("this process has no thread for it now", code="bus.no-thread", hint="try again in a moment") from error
    return await asyncio.wrap_future(done)


def _keep(done: Future[T], work: Callable[[], T]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001 - told to whoever waits
        done.set_exception(awaitable(error))
