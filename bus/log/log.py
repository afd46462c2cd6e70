"""The log: append records with their payloads, read them back. Appending is all that can be done to it."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, TypeAlias

from bus import clock
from bus.errors import UNOPENED, UNREADABLE, Damaged, Erased, KeyMissing, StoreError
from bus.log import payload as sealing
from bus.log.payload import Sealed
from bus.log.record import Record, content, record_of
from bus.message import parsed
from bus.store import Key, Row, Tx, listed

PAGE = 1000
LIGHT = 8_000_000
"""Bytes of messages that are read at once; what is made of them takes several times as much."""
SELDOM = frozenset({
    "access", "read", "exported", "replayed", "redelivered", "decided", "discarded", "rules", "erasure", "erased", "disposed", "served",
})  # fmt: skip
"""Kinds of records that tell what persons did, or what systems asked; messages make none of them. They have an index, `records_seldom`."""
Owner: TypeAlias = Literal["run", "message", "case"]
"""Whose records are asked for."""


def append(tx: Tx, record: Record, payloads: Sequence[Sealed] = (), line: bytes = b"") -> None:
    """Write one record and what it commits to, in the transaction of the state change it tells of. ``line``: its `content`, if at hand."""
    for sealed in payloads:
        tx.do(
            "add_payload",
            id=sealed.commitment.id, message=record.message, media_type=sealed.commitment.media_type,
            nonce=sealed.nonce, content=sealed.content,
        )  # fmt: skip
    tx.do(
        "add_record",
        id=record.id, kind=record.kind, time=clock.text_of(record.time), message=record.message, run=record.run,
        content=line or content(record),
    )  # fmt: skip


def of_run(tx: Tx, run: str) -> list[Record]:
    """A run's journal: its slice of the log, in order."""
    return [_record(row) for row in tx.all("records_of_run", run=run)]


def of_runs(tx: Tx, runs: Sequence[str]) -> dict[str, list[Record]]:
    """The journals of several runs, in order."""
    found: dict[str, list[Record]] = {run: [] for run in runs}
    for row in tx.all("records_among_runs", runs=listed(runs)) if runs else ():
        found[row["run"]].append(_record(row))
    return found


def journals(tx: Tx, runs: Sequence[str]) -> Callable[[str], Sequence[Record]]:
    """As `of_runs`, of others none. Where a record of one was changed each is read when it is asked for; raises `Damaged` for that one."""
    try:
        found = of_runs(tx, runs)
    except Damaged:
        return lambda run: of_run(tx, run) if run in runs else ()
    return lambda run: found.get(run, ())


def of_messages(tx: Tx, messages: Sequence[str], after: int = 0) -> Iterator[Record]:
    """All that concerns some messages, their runs included, in order, behind a number; a page of them is asked for at once."""
    return map(_record, rows_of_messages(tx, messages, after))


def rows_of_messages(tx: Tx, messages: Sequence[str], after: int = 0) -> Iterator[Row]:
    """Number and content of the same, of records that nobody can read, too."""
    for at in range(0, len(messages), PAGE):
        yield from tx.all("records_of_messages", messages=listed(messages[at : at + PAGE]), after=after)


def facts_of(tx: Tx, messages: Sequence[str]) -> list[str]:
    """The payloads that hold what systems told of some messages to be remembered. A record of none is not read: most are."""
    rows = rows_of_messages(tx, messages)
    told = (row for row in rows if isinstance(row["content"], str) or b'"facts"' in row["content"])  # as a text: somebody changed it
    return [held for row in told if (held := _record(row).payload("facts")) is not None]


def page_of(tx: Tx, what: Owner, identity: str, after: int, most: int) -> tuple[list[tuple[int, Record]], int | None]:
    """At most ``most`` records of a run, a message or a case behind the number ``after``, in order, with their numbers; and the number to
    go on after, if there are more.
    """
    found = [(row["seq"], _record(row)) for row in tx.all(f"page_of_{what}", id=identity, after=after, most=most + 1)]
    return found[:most], found[most - 1][0] if len(found) > most else None


def everything(tx: Tx) -> Iterator[tuple[int, Record]]:
    """All records with their numbers, in order, page by page."""
    after = 0
    while rows := tx.all("records_after", after=after, most=PAGE):
        for row in rows:
            after = row["seq"]
            yield after, _record(row)


def number_of(tx: Tx, record: Record) -> int:
    """The number of a record. The order of the log is that of its numbers; times are those of clocks, which are set."""
    [row] = tx.all("record", id=record.id)
    return int(row["seq"])


def payload(tx: Tx, identity: str) -> bytes | None:
    """The text of a payload, or None when it is not there any more. Raises `Erased` when nobody can open it any more."""
    row = tx.one("payload", id=identity)
    return None if row is None else sealing.opened(*sealing.committed(identity, row), tx.keys)


def payloads(tx: Tx, identities: Iterable[str], *, may_be_gone: bool = False) -> tuple[dict[str, bytes], dict[str, StoreError]]:
    """The contents of many payloads by id; and why others cannot be opened, of which no record says that they were destroyed.

    ``may_be_gone``: rows of these go for their age, so that one which is not there is none of the others.
    """
    wanted = dict.fromkeys(identities)
    return open_all(tx, tx.all("payloads_among", payloads=listed(wanted)), () if may_be_gone else wanted, _text_of)


def open_all(
    tx: Tx, rows: Iterable[Row], wanted: Iterable[str], opening: Callable[[Tx, Row], bytes]
) -> tuple[dict[str, bytes], dict[str, StoreError]]:
    """What ``opening`` makes of each payload that can be opened, by id; and why others cannot, of which no record says that they were
    destroyed: of those ``wanted`` also the ones that are not there.
    """
    found: dict[str, bytes] = {}
    closed: dict[str, StoreError | None] = dict.fromkeys(wanted)
    for row in rows:
        try:
            found[row["id"]] = opening(tx, row)
        except (KeyMissing, Damaged) as error:
            closed[row["id"]] = error
        except Erased:
            closed[row["id"]] = None
    return found, untold(tx, {one: why for one, why in closed.items() if one not in found})


def _text_of(tx: Tx, row: Row) -> bytes:
    return sealing.opened(*sealing.committed(row["id"], row), tx.keys)


def untold(tx: Tx, closed: Mapping[str, StoreError | None]) -> dict[str, StoreError]:
    """Which of these payloads were ``closed`` without a record that says they were destroyed: each with why it cannot be opened.

    ``closed`` says None for a payload that is gone, or whose key is. One that is gone and was stored before payloads were sealed is left
    out: it had no key of which a record could tell.
    """
    numbers = {one: sealing.number_in(one) for one in closed if sealing.is_numbered(one)}
    gone = destroyed(tx, numbers.values())
    left = {one: why for one, why in closed.items() if numbers.get(one) not in gone}
    return {one: why or _taken_out() for one, why in left.items() if why is not None or one in numbers}


def _taken_out() -> Damaged:
    sentence = "it, or its key, is not there any more, and no record says that it was erased"
    return Damaged(sentence, code="payload.swapped", hint="bus log verify says which; restore it from a backup")


def taken_out(what: str, table: str) -> Damaged:
    """Of a row that something else tells of: ``what`` is a sentence that does."""
    return amiss(f"{what}, and does not stand in the table `{table}` any more")


def amiss(sentence: str) -> Damaged:
    """Of a database that is not as the bus left it."""
    return Damaged(sentence, code="evidence.broken", hint="bus log verify says what else is amiss; restore it from a backup")


def keys_of(tx: Tx, identities: Iterable[str]) -> dict[str, int | None]:
    """The number of the key of each payload that is there, by id; None for one from before payloads were sealed."""
    rows = tx.all("payloads_there", payloads=listed(identities))
    return {row["id"]: sealing.key_number(sealing.nonce_of(row)) for row in rows}


def json_payload(tx: Tx, identity: str) -> Any:
    """The JSON value of a payload. Raises `Erased` when it is not there any more, or its key."""
    return _value(tx, tx.one("payload", id=identity), identity)


def _value(tx: Tx, row: Row | None, identity: str) -> Any:
    if row is None:
        raise _gone()
    return parsed(sealing.opened(*sealing.committed(identity, row), tx.keys))


def json_payloads(tx: Tx, wanted: Sequence[str]) -> Callable[[str], Any]:
    """As `json_payload`, for payloads that are asked for in this order."""
    row = _ahead(wanted, lambda some: {row["id"]: row for row in tx.all("payloads_among", payloads=listed(some))})
    return lambda identity: _value(tx, row(identity), identity)


def bodies(tx: Tx, wanted: Sequence[str]) -> Callable[[str], Any]:
    """The body of each message, for messages that are asked for in this order. Raises as `message`."""
    row = _ahead(wanted, lambda some: messages(tx, some))
    return lambda identity: opened(tx, row(identity))[0]["body"]


def _ahead(wanted: Sequence[str], ask: Callable[[Sequence[str]], Mapping[str, Row]]) -> Callable[[str], Row | None]:
    """The row of each of those ``wanted``: a page of them is asked for at once, and is kept until the next one. Others by themselves."""
    left, rows = iter(wanted), dict[str, Row | None]()

    def row(identity: str) -> Row | None:
        while identity not in rows and (page := list(islice(left, PAGE))):
            rows.clear()
            rows.update({**dict.fromkeys(page), **ask(page)})
        return rows[identity] if identity in rows else ask([identity]).get(identity)

    return row


def _gone() -> Erased:
    return Erased("the text is not there any more", hint="it was erased, or somebody took it out: bus log verify says which")


def messages(tx: Tx, identities: Iterable[str]) -> dict[str, Row]:
    """Messages as they are stored, sealed, by id: `opened` opens one."""
    wanted = list(identities)
    return {row["id"]: row for row in tx.all("messages_among", messages=listed(wanted))} if wanted else {}


def opened(tx: Tx, row: Row | None) -> tuple[Any, Key]:
    """What was received as a message (``envelope``, ``body``, ``keys``), and the key of all that is sealed for it. Raises `Erased`.

    None: the text is not there any more.
    """
    if row is None:
        raise _gone()
    nonce, content = sealing.committed(row["payload"], row)
    return parsed(sealing.opened(nonce, content, tx.keys)), _key(tx, nonce)


def _key(tx: Tx, nonce: bytes) -> Key:
    """The key that sealed what has this nonce; a fresh one for what was stored before payloads were sealed."""
    number = sealing.key_number(nonce)
    return tx.keys.fresh() if number is None else tx.keys.key(number)


def light(sizes: Iterable[int]) -> Iterator[int]:
    """How many of the messages of these sizes to read at once, page after page: as many as have `LIGHT` bytes, or one that has more."""
    count = weight = 0
    for size in sizes:
        if count and weight + size > LIGHT:
            yield count
            count = weight = 0
        count, weight = count + 1, weight + size
    if count:
        yield count


def message(tx: Tx, identity: str) -> tuple[Any, Key]:
    """One of `messages`, `opened`."""
    return opened(tx, messages(tx, [identity]).get(identity))


def is_erased(tx: Tx, identity: str) -> bool:
    """Whether a message cannot be read any more, for good."""
    row = messages(tx, [identity]).get(identity)
    return row is None or is_gone(tx, row)


def is_gone(tx: Tx, row: Row) -> bool:
    """Whether the key that sealed a payload (``nonce``) was destroyed. One that is only missing, or damaged, may come back from a copy."""
    number = sealing.key_number(sealing.nonce_of(row))
    with contextlib.suppress(KeyMissing, Damaged):
        try:
            if number is not None:
                tx.keys.key(number)
        except Erased:
            return True
    return False


def key_of(tx: Tx, identity: str | None) -> Key:
    """The key for what is still to be sealed about a message; one of its own where the message's cannot be had any more."""
    try:
        return tx.keys.fresh() if identity is None else message(tx, identity)[1]
    except UNOPENED:
        return tx.keys.fresh()


def key_of_payload(tx: Tx, identity: str) -> Key:
    """The key that sealed a payload, for what concerns the same person; one of its own where that cannot be had any more."""
    row = tx.one("payload", id=identity)
    try:
        return tx.keys.fresh() if row is None else _key(tx, sealing.nonce_of(row))
    except UNREADABLE:
        return tx.keys.fresh()


def of_kinds(tx: Tx, kinds: Iterable[str], after: int, most: int) -> list[tuple[int, Record]]:
    """Records of some kinds with their numbers, in order. Of `SELDOM` kinds nothing that lies between two of them is read."""
    kinds = frozenset(kinds)
    query = "records_of_seldom_kinds" if kinds <= SELDOM else "records_of_kinds"
    return [(row["seq"], _record(row)) for row in tx.all(query, kinds=listed(sorted(kinds)), after=after, most=most)]


def first_of_seldom_kinds(tx: Tx, kinds: Iterable[str], since: dt.datetime, until: dt.datetime, after: int) -> int | None:
    """The number of the first record of `SELDOM` kinds and of a time, behind another; None where there is none."""
    time = {"since": clock.text_of(since), "until": clock.text_of(until)}
    row = tx.one("first_of_seldom_kinds", kinds=listed(sorted(kinds)), after=after, **time)
    return None if row is None or row["seq"] is None else int(row["seq"])


def before(tx: Tx, moment: dt.datetime) -> int:
    """The number of the last record before a moment, where times follow numbers: found by halving the log."""
    low, high = 0, max((row["seq"] for row in tx.all("newest_record")), default=0)
    while low < high:
        middle = (low + high) // 2
        row = tx.one("record_from", seq=middle + 1)
        if row is None or row["seq"] > high or row["time"] >= clock.text_of(moment):
            high = middle
        else:
            low = int(row["seq"])
    return low


def traced_until(tx: Tx) -> int:
    """The number of the last record that has its traces (`bus.engine.search`)."""
    row = tx.one("traced_until")
    if row and not str(row["value"]).isdecimal():
        raise amiss("the mark `traced_until`, up to which searches look by traces, is no number any more")
    return int(row["value"]) if row else 0


def every_of_kinds(tx: Tx, kinds: Iterable[str]) -> Iterator[Record]:
    """All records of some kinds, in order; a page of them is in memory."""
    return (record for _, record in of_kinds_between(tx, kinds, 0, None))


def of_kinds_between(tx: Tx, kinds: Iterable[str], after: int, until: int | None) -> Iterator[tuple[int, Record]]:
    """Records of some kinds behind a number, up to another or the end, with their numbers; a page of them is in memory."""
    kinds = frozenset(kinds)
    while page := of_kinds(tx, kinds, after, PAGE):
        yield from (one for one in page if until is None or one[0] <= until)
        after = page[-1][0]
        if until is not None and after >= until:
            return


def destroyed(tx: Tx, keys: Iterable[int | None]) -> set[int]:
    """Those of some keys that the log says are destroyed; asked at once."""
    some = sorted({key for key in keys if key is not None})
    return {row["key"] for row in tx.all("erased_among", keys=listed(some))} if some else set()


def erased_keys(tx: Tx) -> Iterator[list[int]]:
    """The numbers of all keys that the log says are destroyed, in order; a page of them is in memory: they may be as many as messages."""
    after = -(2**63)
    while page := [int(row["key"]) for row in tx.all("erased_keys_after", after=after, most=PAGE)]:
        yield page
        after = page[-1]


def _record(row: Row) -> Record:
    return record_of(row["content"])
