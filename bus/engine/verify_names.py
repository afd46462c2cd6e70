"""Whether messages stand in the tables under the names that their texts tell: whom they are about, their files, their keys.

These names are tokens, made of what is sealed: `bus.log.verify` opens nothing and cannot compare them. Whoever has the key store can, and
must before an erasure is relied upon: a row that somebody took out hides a message from it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

from bus.engine import projection
from bus.engine.names import Names, names_of
from bus.errors import UNOPENED
from bus.log import log
from bus.log.diagnosis import MISLED, Broken, Fault
from bus.log.record import Record, record_of
from bus.log.stored import StoredTree
from bus.log.stretches import Read
from bus.log.tables import GONE
from bus.store import Row, Tx, listed

MOST = 500
"""Messages opened in one view of the database."""
RESTORED = (
    "was an older database restored? erase again whom was erased since; an older or damaged key store? a good copy opens what it has; "
    "else what was said is lost"
)
Stands = tuple[str, str, str, str]
"""A table, a token; where keys have names, that of the key, and the type of the message: a wait looks for both."""


def compare(read: Read) -> int:
    """Open each message that can still be opened; how many were compared, erased ones too.

    Raises `Broken` for the first that stands under other names, or that nobody can open and no record says why.
    """
    after, count, closed = "", 0, list[str]()
    while True:
        with read() as tx:
            sizes = (row["size"] for row in tx.all("message_sizes_after", after=after, most=MOST))
            rows = tx.all("sealed_messages_after", after=after, most=next(log.light(sizes), 0))
            if not rows:
                _files(tx)
                _told_gone(tx, closed)
                return count
            closed += _compare(tx, rows)
        after, count = rows[-1]["id"], count + len(rows)


def _compare(tx: Tx, rows: Sequence[Row]) -> list[str]:
    """The messages among these that nobody can open."""
    messages = listed(row["id"] for row in rows)
    stands: defaultdict[str, set[Stands]] = defaultdict(set)
    for one in tx.all("names_of_messages", messages=messages):
        stands[one["message"]].add((one["stands"], one["value"], one["name"], one["type"]))
    told = {row["message"]: record_of(row["content"]) for row in tx.all("records_of_kind_among", messages=messages, kind="received")}
    given: defaultdict[str, set[Stands]] = defaultdict(set)
    for one in tx.all("records_of_kind_among", messages=messages, kind="attached"):
        given[one["message"]].add(("enclosures", projection.attached(tx.keys, record_of(one["content"]))[0], "", ""))
    closed, gone = [], cache(lambda: _erased(tx))  # read once, where it is asked for: after a copy of the keys came back, for each
    for row in rows:
        record, here, text = told[row["id"]], stands[row["id"]], _opened(tx, row)
        closed += [row["id"]] if text is None else []
        if text is None and "intake" not in record.data:
            continue  # from before records told keys: nothing says any more which it had
        wrong = here ^ (_names(record, names_of(tx.keys, record, text)) | (given[row["id"]] if text is not None else set()))
        if not wrong or (row["id"] in gone() and here == _names(record, names_of(tx.keys, record, None))):
            continue
        if text is not None or row["id"] in gone():
            raise _broken(tx, record, min(wrong, key=str)[0])
    return closed


def _told_gone(tx: Tx, closed: Sequence[str]) -> None:
    """Raises `Broken` where a key was destroyed behind the log's back. The view is a later one than that in which it was missed."""
    if untold := sorted(set(closed) - _erased(tx)) if closed else []:
        sentence = (
            f"the message {untold[0]} cannot be opened: its key is not in the key store, or not as it was made, and no record `erased` or "
            "`disposed` says why"
        )
        raise Broken(Fault("payload", sentence, hint=RESTORED))


def _opened(tx: Tx, row: Row) -> Any:
    """What the message said; None where nobody can open it any more."""
    try:
        return None if row["content"] is None else log.opened(tx, row)[0]
    except UNOPENED:
        return None


def _names(record: Record, names: Names) -> set[Stands]:
    return {
        *(("message_keys", token, name, str(record.data["type"])) for name, token in names.case.items()),
        *(("holders", token, "", "") for token in names.holders),
        *(("enclosures", token, "", "") for token in names.files),
    }


def _files(tx: Tx) -> None:
    """Raises `Broken` where what is told of files stands otherwise than records say: an erasure would spare the name that a file has."""
    told = defaultdict[str, dict[str, tuple[str | None, str]]](dict)
    for record in log.every_of_kinds(tx, {*GONE, "attached"}):
        if record.kind == "attached":
            file, sender, time = projection.attached(tx.keys, record)
            told[file][sender] = record.payload("attachment"), time
        else:
            for file in record.data.get("files", ()):
                told.pop(file, None)
    stands = {(row["file"], row["sender"], row["payload"], row["time"]) for row in tx.all("all_attachments")}
    said = {(file, sender, *one) for file, senders in told.items() for sender, one in senders.items()}
    if wrong := sorted(stands ^ said, key=str):
        raise Broken(Fault("table", f"the file {wrong[0][0]} stands in the table `attachments` otherwise than records say", hint=MISLED))


def _erased(tx: Tx) -> set[str]:
    """The messages of which the log says that they were erased; the key of one may still be there: it goes after that was written."""
    return {message for record in log.every_of_kinds(tx, GONE) for message in record.data.get("messages", ())}


def _broken(tx: Tx, record: Record, table: str) -> Broken:
    number = log.number_of(tx, record)
    leaf = StoredTree(tx).index_of(number)
    where = "" if leaf is None else f"leaf {leaf:,}: "
    sentence = f"{where}the message {record.message} stands in the table `{table}` under other names than those that its text tells"
    return Broken(Fault("table", sentence, leaf, leaf, f"{record.id} (received of message {record.message})", number, MISLED))
