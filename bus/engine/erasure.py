"""Erasure: what the log holds about one person becomes unreadable for good. One person asks, another one confirms; both are records.

The keys of the messages about the person are destroyed, and those of the files that only these messages have with them. The record
comes first, the keys after it: `bus.engine.destruction` destroys what a crash between the two, or a restored key store, has left.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bus.clock import APART as SKEW
from bus.clock import ROME, Clock, moment_of, text_of
from bus.engine import reasons
from bus.engine.names import holder
from bus.engine.projection import Entry, entry, write, write_apart
from bus.errors import UNOPENED, Conflict, Forbidden, Invalid, NotFound, counted
from bus.log import log, requests
from bus.log.record import Record, record_of
from bus.message import JsonObject, JsonValue, new_id, parsed
from bus.store import Row, Tx, listed

LONGEST = 200
"""Characters of what names a subject."""
OVER = frozenset({"done", "cancelled"})
"""States of runs that need no payload any more."""
GIVEN_UP = frozenset({"waiting", "dead"})
"""States of runs that a person may end."""
APART = frozenset({"read", "exported", "replayed", "attached"})
"""Records that say why somebody looked at a message, and stay, or of a file, and go with it: they have keys of their own."""
ABANDONED = dt.timedelta(hours=1)
"""How long a file that came again may wait for the message that names it."""
AT_ONCE = 500
"""Messages, files and keys that one record names."""
NAMELESS = "allegato"
"""How a file is called that stays with another person's message."""


class Reach(NamedTuple):
    """What an erasure touches: ids of messages, tokens of files, runs that are not over; ``shared``: files that stay with others."""

    messages: tuple[str, ...]
    files: tuple[str, ...]
    open: tuple[Row, ...]
    shared: tuple[str, ...] = ()

    def as_json(self) -> JsonObject:
        runs: list[Any] = [{name: row[name] for name in ("id", "route", "state")} for row in self.open]
        return {"messages": len(self.messages), "files": len(self.files), "open": runs}


class Read(NamedTuple):
    """The payloads of messages, of all records until a number and perhaps of later ones."""

    until: int
    said: Mapping[str, Sequence[str]]


class Doomed(NamedTuple):
    """What was written, and which keys and files are to be destroyed now that it is."""

    shown: JsonObject
    keys: tuple[int, ...]
    files: tuple[str, ...]


def ask(tx: Tx, subject: str, reason: str, actor: str, clock: Clock) -> JsonObject:
    """Ask for the erasure of a person; returns the id of the request and what it would touch. Raises `Invalid`, `NotFound`."""
    subject = subject.strip()
    if not 3 <= len(subject) <= LONGEST:
        raise Invalid(
            "say whom: a codice fiscale, or what else names the person", code="subject.missing", hint=f"3 to {LONGEST} characters"
        )
    told = reasons.given(reason, "subject.reason-missing")
    found = holdings(tx, subject)
    if not found.messages:
        raise NotFound(
            "no message that can still be read is about that subject", code="subject.unknown",
            hint="is it written right? where nothing names them so, the id of a message about them does",
        )  # fmt: skip
    key, now = tx.keys.fresh(), clock.now()
    record = Record(new_id(), "erasure", now, actor=actor, data={"messages": len(found.messages)})
    write(tx, entry(record, key, {"request": {"subject": subject, "reason": told}}))
    return {"id": record.id, "until": text_of(now + requests.PATIENCE), **found.as_json()}


def waiting(tx: Tx, now: dt.datetime) -> list[JsonObject]:
    """The requests that nobody has confirmed yet, without whom they are about: ``id``, ``asked``, ``until``, ``by``, ``messages``."""
    found: list[JsonObject] = []
    for identity, mark in _waiting(tx):
        row = tx.one("record", id=identity)
        if row is not None and moment_of(mark["until"]) >= now:
            record = record_of(row["content"])
            told = {"by": record.actor, "messages": record.data["messages"]}
            found.append({"id": record.id, "asked": text_of(record.time), "until": mark["until"], **told})
    return found


def _waiting(tx: Tx) -> Iterator[tuple[str, Any]]:
    """The requests that have a mark: their ids, and what it says: ``until``, and the ``key`` of what they say."""
    for row in tx.all("all_erasures"):
        yield row["name"].partition(" ")[2], parsed(row["value"])


def asked(tx: Tx, identity: str, now: dt.datetime) -> tuple[Record, Any]:
    """A request that still waits: its record, and its ``subject`` and ``reason``. Raises `NotFound`."""
    mark = tx.one("mark", name=f"erasure {identity}")
    if mark is None or moment_of(parsed(mark["value"])["until"]) < now:
        raise NotFound("no erasure waits under that id", code="subject.request-unknown", hint="it was done, or it expired: ask again")
    return _request(tx, identity)


def _request(tx: Tx, identity: str) -> tuple[Record, Any]:
    row = tx.one("record", id=identity)
    if row is None:
        raise log.taken_out(f"the erasure {identity} was asked for", "records")
    record = record_of(row["content"])
    return record, log.json_payload(tx, str(record.payload("request")))


def _with_it(tx: Tx, identity: str, found: Reach) -> set[int]:
    """The keys of what other requests say, of those that ask for nothing more than this one: when these are destroyed, they are over.

    Nobody else writes meanwhile, so it is kept short: all that would go with another subject is looked for only where every message that
    names them is ours, and for each subject once.
    """
    settled, gone, no_more = set[int](), set(found.messages), dict[str, bool]()
    for other, mark in _waiting(tx):
        with contextlib.suppress(*UNOPENED):
            if other == identity:
                continue
            subject = _request(tx, other)[1]["subject"]
            if subject not in no_more:
                named = {row["message"] for row in _named(tx, subject)}
                no_more[subject] = named <= gone and set(holdings(tx, subject).messages) <= gone
            if no_more[subject]:
                settled.add(mark["key"])
    return settled


def confirm(
    tx: Tx, identity: str, actor: str, clock: Clock, file_keys: Mapping[str, int | None], read: Read | None = None
) -> Doomed:  # fmt: skip
    """Write that a person is erased; other requests for the same are over with it.

    ``file_keys``: the keys of files by token; None: it is not known, the file is ``lost``, and copies of it can be opened as before.
    ``read``: what was read of their messages before.
    Raises `NotFound`, `Forbidden` for whoever asked, `Conflict` while runs are open.
    """
    request, told = asked(tx, identity, clock.now())
    if request.actor == actor:
        raise Forbidden(
            "an erasure takes two persons", code="subject.same-person", hint="let somebody else confirm it, with a key of their own"
        )
    found = holdings(tx, told["subject"])
    if found.open:
        raise _open(found, _came_since(tx, found, request.time))
    if not {*found.files, *found.shared} <= set(file_keys):
        raise Conflict("another file came this very moment", code="subject.changed", hint="confirm again")
    _nobody_waits_for(tx, found.files, clock.now())
    texts = _texts_of(tx, found, read or Read(0, {}))
    keys = {*_keys_of(tx, found, texts, request, file_keys, actor, clock), *_with_it(tx, identity, found)}
    records = [
        Record(new_id(), "erased", clock.now(), actor=actor, data={"asked": identity, "by": request.actor, **part})
        for part in _parts(found, sorted(keys))
    ]
    for record in records:
        write_apart(tx, record, {"reason": {"text": told["reason"]}})
    shown: JsonObject = {"id": identity, "record": records[0].id, "messages": len(found.messages), "files": len(found.files)}
    shown["lost"] = list[JsonValue](file for file in found.files if file_keys[file] is None)
    return Doomed(shown, tuple(keys), found.files)


def _keys_of(
    tx: Tx, found: Reach, texts: Collection[str], request: Record, file_keys: Mapping[str, int | None], actor: str, clock: Clock
) -> set[int]:  # fmt: skip
    """The keys of what is erased: texts, files, and what was told of files that stay."""
    keys = _destructible(tx, [*texts, str(request.payload("request"))])
    keys.update(key for file in found.files if (key := file_keys[file]) is not None)
    for file in found.shared:
        keys.update(key for key in _unnamed(tx, file, file_keys[file], actor, clock) if key != file_keys[file])
    return keys


def _came_since(tx: Tx, found: Reach, time: dt.datetime) -> list[str]:
    """The senders, other than the bus itself, whose messages came after that time and have runs that are not over."""
    messages = tx.all("messages_by_id", messages=listed({row["message"] for row in found.open}))
    return sorted({row["sender"] for row in messages if moment_of(row["time"]) > time} - {"bus"})


def _open(found: Reach, senders: Sequence[str]) -> Conflict:
    """Why a person with runs that are not over is not erased, and what can be done about those."""
    still = [f"bus dead discard {row['id']} --reason …" for row in found.open if row["state"] in GIVEN_UP]
    hint = "they are at work, or ask a system again: confirm when they have ended"
    if still:
        more = "; …" if len(still) > 10 else ""
        others = "; the others are at work, or ask a system again: let them end" if len(still) < len(found.open) else ""
        hint = f"those that wait or are dead you may give up: {'; '.join(still[:10])}{more}{others}"
    if senders:
        hint += f"; some are of messages that came since the erasure was asked for: first have these stop sending: {', '.join(senders)}"
    sentence = f"still open: {counted(len(found.open), 'run')} of these cases"
    return Conflict(sentence, code="subject.open", hint=hint, runs=found.as_json()["open"])


def _parts(found: Reach, keys: Sequence[int]) -> Iterator[dict[str, Any]]:
    """What is erased, in as many records as it needs: a record has a bound (`bus.log.record.LONGEST`)."""
    for at in range(0, max(len(found.messages), len(found.files), len(keys)), AT_ONCE):
        part = slice(at, at + AT_ONCE)
        yield {"messages": found.messages[part], "files": found.files[part], "keys": keys[part]}


def expire(tx: Tx, clock: Clock) -> tuple[int, ...]:
    """Give up requests that nobody confirmed; returns the keys of what they say."""
    keys = []
    for identity, mark in _waiting(tx):
        if moment_of(mark["until"]) < clock.now():
            data = {"asked": identity, "messages": [], "files": [], "keys": [mark["key"]]}
            write(tx, Entry(Record(new_id(), "erased", clock.now(), data=data)))
            keys.append(mark["key"])
    return tuple(keys)


def keys_told(tx: Tx, files: Collection[str]) -> dict[str, int]:
    """The keys of files as the log tells them, by token: for those that are damaged or missing. Older records tell none."""
    told = (record.data for record in log.every_of_kinds(tx, {"attached"}))
    return {data["file"]: data["key"] for data in told if "key" in data and data["file"] in files}


def holdings(tx: Tx, subject: str) -> Reach:
    """The messages about a subject, or the one that is told by its id. One of their cases that names nobody goes with them when no other
    person is left in the case.
    """
    named = _named(tx, subject)
    found, cases = dict.fromkeys(row["message"] for row in named), listed(sorted({row["case_id"] for row in named}))
    found.update(dict.fromkeys(_nameless(tx, cases, found)))
    files = [row["file"] for row in tx.all("files_of_messages", messages=listed(found))]
    shared = {row["file"] for row in tx.all("enclosures_of_files", files=listed(files)) if row["message"] not in found}
    runs = tuple(row for row in tx.all("runs_of_cases", cases=cases) if row["state"] not in OVER)
    return Reach(tuple(found), tuple(one for one in files if one not in shared), runs, tuple(one for one in files if one in shared))


def _nameless(tx: Tx, cases: str, found: Collection[str]) -> list[str]:
    """The messages of cases beside ``found`` that are not erased yet, where none of a case's other messages names a person."""
    others = [row for row in tx.all("members_of_cases", cases=cases) if row["id"] not in found]
    held = {row["message"] for row in tx.all("holding_among", messages=listed(row["id"] for row in others))}
    theirs = {row["case_id"] for row in others if row["id"] in held}
    return [row["id"] for row in others if row["case_id"] not in theirs and row["nonce"] is not None and not log.is_gone(tx, row)]


def _named(tx: Tx, subject: str) -> Sequence[Mapping[str, Any]]:
    return tx.all("messages_of_holder", holder=tx.keys.token(holder(subject))) or _itself(tx, subject)


def _itself(tx: Tx, identity: str) -> list[dict[str, Any]]:
    """A message that is not erased: of a person whom nothing names as we find persons (a codice fiscale with a wrong letter)."""
    row = tx.one("message", id=identity)
    return [] if row is None or log.is_erased(tx, identity) else [{"message": identity, "case_id": row["case_id"]}]


def _nobody_waits_for(tx: Tx, files: Collection[str], now: dt.datetime) -> None:
    """Raises `Conflict` for a file that came again just now: the message that will name it may be about somebody else."""
    enclosed, sent = (tx.all(query, files=listed(files)) for query in ("enclosures_of_files", "attachments_of_files"))
    times = {row["id"]: row["time"] for row in tx.all("messages_by_id", messages=listed({row["message"] for row in enclosed}))}
    named = _latest((row["file"], times.get(row["message"], "")) for row in enclosed)
    told = tx.all("payloads_among", payloads=listed(row["payload"] for row in sent))
    uploads = {row["id"] for row in told if row["message"] is None}  # else a system gave it for that message
    again = _latest((row["file"], row["time"]) for row in sent if row["payload"] in uploads)
    last = max((time for file, time in again.items() if time > named.get(file, "")), default="")
    if last and now - ABANDONED < moment_of(last) <= now + SKEW:  # what is of a later time came by a clock that was ahead
        free = (moment_of(last) + ABANDONED + dt.timedelta(seconds=1)).astimezone(ROME)
        hint = f"confirm again after {free:%d/%m/%Y %H:%M:%S %Z}"
        raise Conflict("a file of theirs was sent again, and no message names it yet", code="subject.file-again", hint=hint)


def _latest(times: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The last time of each."""
    found = dict[str, str]()
    for one, time in times:
        found[one] = max(found.get(one, ""), time)
    return found


def _unnamed(tx: Tx, file: str, own: int | None, actor: str, clock: Clock) -> list[int]:
    """A file that stays is told anew, without the name that the erased upload may have given it; returns the keys of the old word.

    A word that nobody can open now is not told anew. Its key is among them: a backup may bring the name back.
    """
    rows = tx.all("attachments_of_file", file=file)
    numbers = log.keys_of(tx, (row["payload"] for row in rows))
    for row in rows:
        try:
            told = {**log.json_payload(tx, row["payload"]), "name": NAMELESS}
        except UNOPENED:
            continue
        data = {"file": file, "size": told["size"], "sender": row["sender"], "came": row["time"]}
        if own is not None:
            data["key"] = own
        write_apart(tx, Record(new_id(), "attached", clock.now(), actor=actor, data=data), {"attachment": told})
    return [number for number in numbers.values() if number is not None]


def read_before(tx: Tx, found: Reach) -> Read:
    """What a person's messages said until now. Whoever confirms reads it while others write, and in the transaction what came since."""
    return Read(log.traced_until(tx), _said(tx, found.messages))


def _said(tx: Tx, messages: Sequence[str], after: int = 0) -> dict[str, list[str]]:
    """The payloads of records of messages behind a number."""
    said: dict[str, list[str]] = {message: [] for message in messages}
    for one in log.of_messages(tx, messages, after):
        if one.kind not in APART:
            said[str(one.message)] += [held.id for held in one.payloads]
    return said


def _texts_of(tx: Tx, found: Reach, read: Read) -> set[str]:
    """The payloads that hold what is erased."""
    known, others = ([one for one in found.messages if (one in read.said) is there] for there in (True, False))
    files = {row["payload"] for row in tx.all("attachments_of_files", files=listed(found.files))}
    said = [*(read.said[one] for one in known), *_said(tx, known, read.until).values(), *_said(tx, others).values()]
    return files.union(*said)


def _destructible(tx: Tx, payloads: Iterable[str]) -> set[int]:
    """The keys of payloads. One from before there were keys has none: its row is deleted."""
    numbers = log.keys_of(tx, payloads)
    tx.do("drop_payloads", payloads=listed(identity for identity, number in numbers.items() if number is None))
    return {number for number in numbers.values() if number is not None}
