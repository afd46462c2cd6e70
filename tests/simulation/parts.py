"""The parts of a simulated bus: a store without a thread, one that fails, calls that end when told to, a process that can be killed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from bus.catalog import Catalog
from bus.clock import Clock
from bus.engine.engine import Engine
from bus.engine.outside import Asking, Outside, Result
from bus.errors import StoreError
from bus.message import Message
from bus.store import Keys, Tx
from bus.store.sqlite import Open, SqliteConnection, open_file
from tests.keyrings import in_memory
from tests.simulation.system import Conduct, Sistema

T = TypeVar("T")
START = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
"""When every simulation begins."""

Fate = Literal["works", "fails", "dies", "dies after", "stands still"]
"""What happens at one use of the store by an engine."""


class Killed(BaseException):
    """The process of an engine is no more."""


@dataclass
class Pending:
    """A call on its way: made by an engine, not yet answered."""

    asking: Asking
    message: Message
    now: dt.datetime
    done: Callable[[Result], None]
    ours: Callable[[], bool]


class SlowOutside(Outside):
    """Calls are kept until the simulation says how they end."""

    def __init__(self, system: Sistema, threads: int) -> None:
        super().__init__({"sistema": system}, threads=threads, ticks=lambda: 0.0)
        self.system = system
        self.pending: list[Pending] = []

    def perform(
        self, asking: Asking, message: Message, now: dt.datetime, done: Callable[[Result], None],
        ours: Callable[[], bool] = lambda: True, delay: float = 0.0,
    ) -> None:  # fmt: skip
        self.pending.append(Pending(asking, message, now, done, ours))

    def end(self, call: Pending, conduct: Conduct) -> None:
        """Let one call end in its way."""
        self.pending.remove(call)
        self.system.next = conduct
        self._perform(call.asking, call.message, call.now, call.done, call.ours)


class SimulatedStore:
    """SQLite without the writer's thread: a piece of work is one transaction, done at once by whoever asks."""

    def __init__(self, path: Path, opened: Open = open_file, keys: Keys | None = None) -> None:
        self.keys: Keys = keys or in_memory()
        self._writer = SqliteConnection(path, opened=opened, keys=lambda: self.keys)
        self._writer.prepare()
        self._reader = SqliteConnection(path, read_only=True, opened=opened, keys=lambda: self.keys)

    def write(self, work: Callable[[Tx], T], *, here: bool = False) -> Future[T]:
        done: Future[T] = Future()
        self._writer.begin()
        try:
            result = work(self._writer)
            self._writer.commit()
        except Exception as error:
            self._writer.rollback()
            done.set_exception(error)
        else:
            done.set_result(result)
        return done

    def lull(self, most: float) -> None:
        """Nobody else writes."""

    @contextmanager
    def read(self) -> Iterator[Tx]:
        with self._reader.view():
            yield self._reader

    def now(self) -> dt.datetime:
        return START

    def refuse_old(self) -> None:
        """There is no server."""

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "simulated"}

    def failing(self) -> StoreError | None:
        return None

    def close(self) -> None:
        self._writer.close()
        self._reader.close()


class ShakyStore:
    """The store as an engine sees it: it may fail, or the engine's process may die before or after what is written."""

    def __init__(self, store: SimulatedStore, fate: Callable[[], Fate], stand_still: Callable[[], None]) -> None:
        self._store, self._fate, self._stand_still = store, fate, stand_still
        self.keys = store.keys

    def write(self, work: Callable[[Tx], T], *, here: bool = False) -> Future[T]:
        fate = self._fate()
        if fate == "dies":
            raise Killed
        done: Future[T] = Future()
        if fate == "fails":
            done.set_exception(StoreError("the disk is full"))
            return done
        done = self._store.write(work)
        if fate == "dies after":
            raise Killed
        if fate == "stands still":
            self._stand_still()
        return done

    def lull(self, most: float) -> None:
        """Nobody else writes."""

    def read(self) -> AbstractContextManager[Tx]:
        fate = self._fate()
        if fate == "fails":
            raise StoreError("the disk cannot be read")
        if fate in ("dies", "dies after"):
            raise Killed
        return self._store.read()

    def now(self) -> dt.datetime:
        return START

    def refuse_old(self) -> None:
        """There is no server."""

    def describe(self) -> Mapping[str, Any]:
        return self._store.describe()

    def failing(self) -> StoreError | None:
        return self._store.failing()

    def close(self) -> None:
        self._store.close()


class TurnedEngine(Engine):
    """It has no thread of its own: the simulation turns it."""

    def alive(self) -> bool:
        return True


@dataclass
class Process:
    """One engine with its calls and the rules it knows; killed by being forgotten. ``paused``: stopped, as by SIGSTOP."""

    name: str
    outside: SlowOutside
    catalog: Catalog
    paused: bool = False
    engine: Engine = field(init=False)


class SkewedClock:
    """A machine's own clock, some seconds apart from the world's."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._apart = clock, dt.timedelta(seconds=seconds)

    def now(self) -> dt.datetime:
        return self._clock.now() + self._apart
