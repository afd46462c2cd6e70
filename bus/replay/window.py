"""Which messages: those of a time, the newest so many, those of a case, or one; in the order in which they came, page by page."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias, TypeVar

from bus.clock import ROME, moment_of, text_of
from bus.engine import inquiry, search
from bus.errors import Damaged, Invalid, NotFound
from bus.log import log
from bus.log.record import record_of
from bus.message import as_id
from bus.store import Row, Tx
from bus.store.opening import Reader

T = TypeVar("T")
PAGE = 250
"""Messages, or other ids, in one question to the database."""
_SAID = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}.*)?")
"""How a day or a moment begins: Python reads also 2026-W48-1, a day of a week."""
CHANGED = ""
"""In the place of the type of a message whose record was changed: no message is of this one."""

Named: TypeAlias = "tuple[str, str]"
"""Id and type of a message."""


def between(reader: Reader, since: dt.datetime | None, until: dt.datetime | None) -> Iterator[list[Named]]:
    """Messages accepted from ``since`` on and before ``until``, by their own time: the clock that made an id may have been another's."""
    time = {"since": text_of(since or search.EVER), "until": text_of(until or search.NEVER)}
    with reader.read() as tx:
        top, after = next((row["seq"] for row in tx.all("newest_record")), 0), 0
    while True:
        with reader.read() as tx:
            rows = tx.all("received_between", after=after, top=top, most=PAGE, **time)
        if not rows:
            return
        yield [_accepted(row) for row in rows]
        after = rows[-1]["seq"]


def none_between(reader: Reader) -> str:
    """What is said of a time in which no run began: a wrong year would else pass for a log in which all is well."""
    with reader.read() as tx:
        ends = [_moment(row) for query, most in (("first_received", {}), ("newest_received", {"most": 1})) for row in tx.all(query, **most)]
    if not ends:
        return "nothing was looked at: no message was ever accepted"
    return f"nothing was looked at: no message of that time began a run; the log has messages from {ends[0]} to {ends[-1]}"


def _moment(row: Row) -> str:
    try:
        return text_of(record_of(row["content"]).time)
    except Damaged:
        return "what nobody can read any more"


def newest(reader: Reader, count: int) -> Iterator[list[Named]]:
    """The newest so many, oldest of them first, by the log's order: a clock that was set back makes smaller ids than earlier ones."""
    with reader.read() as tx:
        found = [_accepted(row) for row in reversed(tx.all("newest_received", most=count))]
    yield from pages_of(found)


def _accepted(row: Row) -> Named:
    """What its record says, or its row: whoever reads the rest of a message is told that its record was changed."""
    try:
        record = record_of(row["content"])
        return str(record.message), str(record.data["type"])
    except (Damaged, KeyError):
        if not isinstance(row["message"], str):
            raise
        return row["message"], CHANGED


def pages_of(items: Sequence[T], most: int = PAGE) -> Iterator[list[T]]:
    """The items (messages, as a rule) in pages, each as long as one question to the database takes."""
    yield from (list(items[start : start + most]) for start in range(0, len(items), most))


def named(reader: Reader, name: str) -> tuple[list[str], str | None]:
    """The messages that a name means, and the run if it is one's: id of a run or message, or a key of a case. Raises `NotFound`."""
    with reader.read() as tx:
        identity = as_id(name)
        run = tx.one("run", id=identity)
        if run is not None:
            return [run["message"]], identity
        if tx.one("message", id=identity) is not None:
            return [identity], None
        return _of_case(tx, name), None


def _of_case(tx: Tx, key: str) -> list[str]:
    try:
        case = inquiry.case_of(tx, key)
    except NotFound:
        hint = "ids: bus runs, bus log search; a case goes by a key, value or name:value, and not by what names a person"
        raise NotFound(f"there is no run, no message and no case {key!r}", code="replay.unknown", hint=hint) from None
    messages = [row["id"] for row in tx.all("messages_of_case", case_id=case)]
    if not messages:
        raise log.amiss(f"a case is known by the key {key!r}, and none of its messages stands in the table `messages` any more")
    return messages


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
        if not _SAID.fullmatch(text):
            raise ValueError("another form")
        return dt.datetime.fromisoformat(text).replace(tzinfo=ROME).astimezone(dt.UTC) if len(text) == 10 else moment_of(text)
    except (ValueError, OverflowError):  # the first and the last day that there is have no such moment everywhere
        hint = "write a day, 2026-11-20, or a moment with its offset, 2026-11-20T08:00:00+01:00"
        raise Invalid(f"{text!r} is no day, and no moment with its offset", code="input.time", hint=hint) from None
