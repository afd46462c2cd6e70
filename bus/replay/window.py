"""Which messages: those of a time, the newest so many, those of a case, or one; in the order in which they came, page by page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TypeAlias, TypeVar

from bus.clock import text_of
from bus.engine import inquiry
from bus.errors import Invalid, NotFound
from bus.store import Tx
from bus.store.opening import Reader

T = TypeVar("T")
PAGE = 250
"""Messages read at a time."""
_APART = 3600.0
"""Seconds. How far the clock that made a message's id may be from the one that gave its time."""


Named: TypeAlias = "tuple[str, str]"
"""Id and type of a message."""


def between(reader: Reader, since: dt.datetime | None, until: dt.datetime | None) -> Iterator[list[Named]]:
    """Messages accepted from ``since`` on and before ``until``. Ids are UUIDv7: their order is nearly that of time."""
    if since and until and until <= since:
        raise Invalid(
            "the end of the time is not after its beginning", code="replay.time", hint="--to is the first moment that is left out"
        )
    after = "" if since is None else _id_at(since, -_APART)
    with reader.read() as tx:
        newest = next((row["id"] for row in tx.all("newest_messages", most=1)), "")
    limit = f"{newest}~" if until is None else min(f"{newest}~", _id_at(until, _APART))
    first, last = text_of(since) if since else "", text_of(until) if until else "~"
    while True:
        with reader.read() as tx:
            rows = tx.all("messages_between", after=after, until=limit, most=PAGE)
        if not rows:
            return
        after = rows[-1]["id"]
        if chosen := [(row["id"], row["type"]) for row in rows if first <= row["time"] < last]:
            yield chosen


def newest(reader: Reader, count: int) -> Iterator[list[Named]]:
    """The newest so many, oldest of them first."""
    with reader.read() as tx:
        found = [(row["id"], row["type"]) for row in tx.all("newest_messages", most=count)][::-1]
    yield from pages_of(found)


def pages_of(messages: Sequence[T]) -> Iterator[list[T]]:
    yield from (list(messages[start : start + PAGE]) for start in range(0, len(messages), PAGE))


def named(reader: Reader, name: str) -> tuple[list[str], str | None]:
    """The messages that a name means, and the run if it is one's: id of a run or message, or a key of a case. Raises `NotFound`."""
    with reader.read() as tx:
        run = tx.one("run", id=name)
        if run is not None:
            return [run["message"]], name
        if tx.one("message", id=name) is not None:
            return [name], None
        return _of_case(tx, name), None


def _of_case(tx: Tx, key: str) -> list[str]:
    try:
        case = inquiry.case_of(tx, key)
    except NotFound:
        hint = "ids: bus runs, bus log search; a case goes by a key, value or name:value, and not by what names a person"
        raise NotFound(f"there is no run, no message and no case {key!r}", code="replay.unknown", hint=hint) from None
    return [row["id"] for row in tx.all("messages_of_case", case_id=case)]


def moment(text: str) -> dt.datetime:
    """A day (its beginning in Rome) or an RFC 3339 moment with its offset; raises `Invalid`."""
    from bus.clock import ROME, moment_of

    try:
        return dt.datetime.fromisoformat(text).replace(tzinfo=ROME).astimezone(dt.UTC) if len(text) == 10 else moment_of(text)
    except (ValueError, OverflowError):  # the first and the last day that there is have no such moment everywhere
        hint = "write a day, 2026-11-20, or a moment with its offset, 2026-11-20T08:00:00+01:00"
        raise Invalid(f"{text!r} is no day, and no moment with its offset", code="replay.time", hint=hint) from None


def _id_at(moment: dt.datetime, apart: float) -> str:
    """What an id made so many seconds after that moment begins with."""
    text = f"{max(0, int((moment.timestamp() + apart) * 1000)):012x}"
    return f"{text[:8]}-{text[8:]}"
