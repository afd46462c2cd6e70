"""Whole tables looked through a stretch at a time, each in a view of its own.

One question about millions of rows would take longer than a database lets any take, and a view that stands open for minutes keeps what is
dead from being cleared away. Stretches follow each other without a gap, so that each row is asked about that was there all the while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from bus.store import Row, Tx

Read = Callable[[], AbstractContextManager[Tx]]
"""A new view of the database."""
MOST = 20_000
"""Rows of a stretch."""


def found(read: Read, query: str, table: str, *, start: str | int = "", **asked: Any) -> Iterator[Row]:
    """What a question finds in each stretch of a table, in its order; ``start`` is before all that the order goes by."""
    place: dict[str, Any] | None = {"first": start, "second": start, "third": start}
    while place is not None:
        with read() as tx:
            rows = tx.all(query, **place, **asked, most=MOST)
            end = tx.one(f"end_of_{table}", **place, most=MOST)
        yield from rows
        place = dict(end) if end is not None else None
