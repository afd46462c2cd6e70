"""The store: transactions over named queries. What the rest of the bus knows of a database is in this file.

Writing goes through one group-commit writer (`bus.store.writer`): `Store.write` takes a piece of work, runs it together
with what others asked meanwhile, and its future resolves when all of it is on the disk. Reading has its own connections
and sees only committed rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

from bus.errors import Damaged, StoreError
from bus.mac import Mac
from bus.message import canonical

T = TypeVar("T")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Key:
    """A key that protects payloads: its number in the key store, and its 32 bytes."""

    id: int
    secret: bytes = field(repr=False)

    @cached_property
    def mac(self) -> Mac:
        """What makes each payload's own key; it goes when the key goes."""
        return Mac(self.secret)


class Keys(Protocol):
    """What protects payloads and makes tokens of business keys; see `bus.log.keyring`. Thread-safe."""

    def fresh(self) -> Key:
        """A key that nobody had before, durable already."""
        ...

    def stock(self) -> None:
        """Have at hand what `fresh` gives next; raises `StoreError` where it would."""
        ...

    def key(self, number: int) -> Key:
        """Raises `Erased` for one that was destroyed."""
        ...

    def token(self, text: str) -> str:
        """What stands in the database for a text that a person could be known by: HMAC-SHA256, 22 characters."""
        ...

    def forget(self, numbers: Iterable[int]) -> None:
        """Destroy keys, on the disk and in memory, for good."""
        ...

    def saw(self, system: str, timeline: int) -> int:
        """Remember a timeline of the database's servers; returns the newest that anybody saw before, or 0 (see `bus.store.hosts`)."""
        ...

    def close(self) -> None:
        """Let go of the key store."""
        ...


class Locked:
    """No key store was opened: the log can be read and verified, payloads neither written nor opened."""

    def fresh(self) -> Key:
        raise StoreError("the key store is not open", code="keys.locked", hint="name it under `keystore` in the settings")

    def stock(self) -> None:
        self.fresh()

    def key(self, number: int) -> Key:
        return self.fresh()

    def token(self, text: str) -> str:
        return str(self.fresh())

    def forget(self, numbers: Iterable[int]) -> None:
        self.fresh()

    def saw(self, system: str, timeline: int) -> int:
        return 0

    def close(self) -> None:
        pass


def listed(values: Iterable[Any]) -> str:
    """What ``IN :list(name)`` takes, and whatever else in a query is a list: one parameter, a JSON array.

    Raises `Damaged` for bytes: SQLite lets anybody put them where a table had a text.
    """
    try:
        return canonical(list(values)).decode()
    except TypeError as error:
        if "bytes" not in str(error):
            raise
        hint = "bus log verify --names says in which table; restore it from a backup"
        raise Damaged("bytes stand in a table where the bus keeps a text", code="evidence.broken", hint=hint) from error


class Tx(Protocol):
    """One transaction. Queries are named in ``bus/store/*.sql``; parameters are named too."""

    @property
    def keys(self) -> Keys:
        """Those of the store."""
        ...

    def do(self, query: str, **parameters: Any) -> None:
        """Run a statement. It MAY wait until something is read or the transaction ends, and fail only then."""
        ...

    def many(self, query: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run a statement once for each mapping of parameters."""
        ...

    def one(self, query: str, **parameters: Any) -> Row | None: ...

    def all(self, query: str, **parameters: Any) -> Sequence[Row]: ...

    def take_alone(self) -> bool:
        """Have the database for this transaction alone, however long it takes; false when a process of the bus has it."""
        ...


class Store(Protocol):
    """A database. All methods are safe to call from any thread. ``keys`` are set once, by whoever opened it."""

    keys: Keys

    def write(self, work: Callable[[Tx], T], *, here: bool = False) -> Future[T]:
        """Run ``work`` in a transaction soon; the future resolves after the commit is durable.

        ``work`` MUST be quick and MUST NOT touch anything but the transaction: it may run twice when a neighbour in the batch
        fails, or the database goes away before the commit. An exception in it rolls back its own changes only and is raised by
        the future. `StoreError` means that surely nothing of it was written, unless its code is ``store.unknown``.
        ``here``: the caller waits for the end anyway; while nobody else writes it is done at once and by the calling thread.
        """
        ...

    def lull(self, most: float) -> None:
        """Return when nobody of this process writes, and nobody has for a moment; at the latest after ``most`` seconds."""
        ...

    def read(self) -> AbstractContextManager[Tx]:
        """A consistent view of what is committed; for the ``with`` block only."""
        ...

    def now(self) -> dt.datetime:
        """The time as the database has it (UTC): one for all processes that share it."""
        ...

    def refuse_old(self) -> None:
        """Raise `StoreError` where another server goes on with the log than the one that answers, by all that the key store remembers."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """What ``/status`` says of this store; reads only."""
        ...

    def failing(self) -> StoreError | None:
        """Why nothing can be taken in now. After a failure it is tried here, at most once a second, with a write that leaves nothing:
        once ``/status`` has told of it, whoever asks there may be the only one who comes.
        """
        ...

    def close(self) -> None:
        """Finish what was accepted, then give back everything."""
        ...
