"""Which messages: those of a time, the newest so many, those of a case, or one; in the order in which they came, page by page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TypeAlias, TypeVar

from bus.clock import ROME, moment_of
from bus.engine import inquiry, search
from bus.errors import Invalid, NotFound
from bus.log import log
from bus.store import Tx
from bus.store.opening import Reader

T = TypeVar("T")
PAGE = 250
"""Messages, or other ids, in one question to the database."""
_RECEIVED = frozenset({"received"})

Named: TypeAlias = "tuple[str, str]"
"""Id and type of a message."""


def between(reader: Reader, since: dt.datetime | None, until: dt.datetime | None) -> Iterator[list[Named]]:
    """Messages accepted from ``since`` on and before ``until``, by their own time: the clock that made an id may have been another's."""
    first, last = since or search.EVER, until or search.NEVER
    with reader.read() as tx:
        top = next((row["seq"] for row in tx.all("newest_record")), 0)
        after: int | None = search.before_any(tx, _RECEIVED, first, last)
    while after is not None and after < top:
        with reader.read() as tx:
            found = log.of_kinds(tx, _RECEIVED, after, PAGE)
            after = search.page_end(tx, _RECEIVED, first, last, found, PAGE)
        here = [record for number, record in found if number <= top and first <= record.time < last]
        if here:
            yield [(str(record.message), record.data["type"]) for record in here]


def newest(reader: Reader, count: int) -> Iterator[list[Named]]:
    """The newest so many, oldest of them first, by the log's order: a clock that was set back makes smaller ids than earlier ones."""
    with reader.read() as tx:
        found = [(str(record.message), record.data["type"]) for record in log.newest_received(tx, count)]
    yield from pages_of(found)


def pages_of(messages: Sequence[T]) -> Iterator[list[T]]:
    """As many at a time as one question to the database takes."""
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


def times(since: str | None, until: str | None) -> tuple[dt.datetime | None, dt.datetime | None]:
    """The moments that two texts name, where there are any; raises `Invalid`, also where the second is not after the first."""
    begin, end = (None if text is None else moment(text) for text in (since, until))
    if begin and end and end <= begin:
        hint = "`to` is the first moment that is left out"
        raise Invalid("the end of the time is not after its beginning", code="input.time", hint=hint)
    return begin, end


def moment(text: str) -> dt.datetime:
    """A day (its beginning in Rome) or an RFC 3339 moment with its offset; raises `Invalid`."""
    try:
        return dt.datetime.fromisoformat(text).replace(tzinfo=ROME).astimezone(dt.UTC) if len(text) == 10 else moment_of(text)
    except (ValueError, OverflowError):  # the first and the last day that there is have no such moment everywhere
        hint = "write a day, 2026-11-20, or a moment with its offset, 2026-11-20T08:00:00+01:00"
        raise Invalid(f"{text!r} is no day, and no moment with its offset", code="input.time", hint=hint) from None
