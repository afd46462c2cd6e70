"""Retention: what is older than its kind may be is destroyed, page by page; proofs hold, since records and commitments stay.

Cases are the unit: what was said goes when nothing of the case is at work and nothing happened in it for as long as the settings say.
Every page writes one record (`disposed`) in the transaction that drops rows; keys are destroyed after it, and again at each start
(`bus.engine.destruction`), so that whatever is interrupted is simply begun again.
"""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, Literal, NamedTuple, get_args

from bus import calendar
from bus.clock import ROME, Clock, moment_of, text_of
from bus.config import Retention
from bus.engine import reasons, search
from bus.engine.erasure import APART, OVER, Doomed
from bus.engine.projection import write_apart
from bus.engine.watching import adapter_of
from bus.errors import Invalid
from bus.log import log
from bus.log.payload import key_number, nonce_of
from bus.log.record import Record
from bus.message import JsonObject, JsonValue, new_id
from bus.store import Row, Tx, listed

Kind = Literal["payloads", "wire", "attachments", "accesses", "journals"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PAGE = 100
"""Messages, files or records looked at in one transaction."""
_APART = dt.timedelta(hours=1)
"""How far the clock that made a message's id may be from the one that gave its time."""
_MESSAGE, _NUMBER = re.compile(r"(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?"), re.compile(r"[0-9]{0,18}")
_AFTER = {"payloads": _MESSAGE, "wire": _MESSAGE, "attachments": re.compile(r"(?:[A-Za-z0-9_-]{22})?")}
"""Where a page goes on, by kind: behind a message, the token of a file, or the number of a record."""
_LOOKS = frozenset({"access", "read", "exported", "replayed"})


class Questions:
    """When systems asked last about what a key seals, which may be that of a message: what the law wants kept must stay readable.

    Two years of questions are read once, by the first page of an act, and then what came since. Thread-safe. 200 bytes a question.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._behind: int | None = None
        self._last = defaultdict[str, dict[int, str]](dict)

    def kept(self, held: Terms, key: int | None) -> bool:
        """Whether one that must be kept still is sealed under the key."""
        return key is not None and any(self._last[adapter].get(key, "") >= since for adapter, since in held.kept.items())

    def read(self, tx: Tx, held: Terms) -> Questions:
        """Up to what a view has."""
        if not held.kept:
            return self
        with self._lock:
            if self._behind is None:
                oldest = dt.datetime.fromisoformat(min(held.kept.values()))
                self._behind = search.before_any(tx, {"served"}, oldest, search.NEVER)
            after = self._behind
            while records := log.of_kinds(tx, {"served"}, after, log.PAGE):
                self._remember(tx, [record for _, record in records if record.payloads])
                after = records[-1][0]
            # Another transaction may yet commit a number before these; what has its traces was committed before.
            self._behind = max(self._behind, min(after, log.traced_until(tx)))
        return self

    def _remember(self, tx: Tx, records: Sequence[Record]) -> None:
        """All payloads of one are sealed under the same key."""
        numbers = log.keys_of(tx, (record.payloads[0].id for record in records))
        for record in records:
            if (key := numbers.get(record.payloads[0].id)) is not None:
                times, time = self._last[adapter_of(record)], text_of(record.time)
                times[key] = max(times.get(key, ""), time)


class Terms(NamedTuple):
    """``cuts``: by kind, the moment before which it may go; ``kept``: by adapter, the moment since which exchanges stay, whatever else;
    ``journals``: the adapters whose exchanges go at all; ``questions``: what is known of those that systems asked.
    """

    cuts: Mapping[str, str]
    kept: Mapping[str, str]
    journals: frozenset[str]
    questions: Questions


class Found(NamedTuple):
    """One thing that is old enough: how many payloads, and why it is ``held`` back, if it is."""

    time: str
    held: str = ""
    payloads: int = 1
    message: str = ""
    file: str = ""
    record: str = ""
    keys: tuple[int, ...] = ()
    rows: tuple[str, ...] = ()


def terms(settings: Retention, minima: Mapping[str, str], now: dt.datetime, questions: Questions | None = None) -> Terms:
    """The settings as moments: days and months are those of Rome, as deadlines count them."""
    here = now.astimezone(ROME)

    def before(term: str) -> str:
        return text_of(dt.datetime.combine(calendar.add(here.date(), f"-{term}"), here.time(), ROME))

    cuts: dict[str, str] = {kind: before(term) for kind in KINDS if isinstance(term := getattr(settings, kind), str)}
    kept = {adapter: before(settings.journals.get(adapter, least)) for adapter, least in minima.items()}
    if settings.journals:
        cuts["journals"] = max(kept[adapter] for adapter in settings.journals)
    return Terms(cuts, kept, frozenset(settings.journals), questions or Questions())


# -- looking ----------------------------------------------------------------------------------------------------------------


def page(tx: Tx, held: Terms, kind: Kind, after: str, files: Mapping[str, int | None]) -> tuple[list[Found], str | None]:
    """What is old enough behind ``after``, and where to go on. ``files``: keys of files by token, as far as the disk was asked.

    Raises `Invalid` for an ``after`` that no page of the kind gives.
    """
    if not _AFTER.get(kind, _NUMBER).fullmatch(after):
        raise Invalid(f"after is {after[:100]!r}", code="input.query", hint="send `after` of the page before, or nothing for the first")
    if kind not in held.cuts:
        return [], None
    if kind in ("payloads", "wire"):
        return _messages(tx, held, kind, after)
    if kind == "attachments":
        return _files(tx, held, after, files)
    kinds = _LOOKS if kind == "accesses" else frozenset({"served"})
    cut = dt.datetime.fromisoformat(held.cuts[kind])
    records = log.of_kinds(tx, kinds, int(after or 0), PAGE)
    old = [record for _, record in records if record.time < cut]
    on = search.page_end(tx, kinds, search.EVER, cut, records, PAGE)
    return _records(tx, held, kind, old), None if on is None else str(on)


class _Case(NamedTuple):
    """Of a case: whether something of it is at work or needs a person, and when something happened in it last."""

    open: bool = False
    last: str = ""

    def why(self, cut: str) -> str:
        """Why nothing of it may go yet; empty where it may."""
        return "open" if self.open else "recent" if self.last >= cut else ""


def _cases(tx: Tx, cases: Iterable[str]) -> dict[str, _Case]:
    found = dict.fromkeys(cases, _Case())
    for row in tx.all("last_of_cases", cases=listed(sorted(found))) if found else ():
        before = found[row["case_id"]]
        found[row["case_id"]] = _Case(before.open or row["state"] not in {"", *OVER}, max(before.last, row["last"]))
    return found


class _Told(NamedTuple):
    """Of a message: the key that sealed it, whether the law wants an exchange of it kept, and its payloads that are there, with their keys;
    ``wire``: those of them that crossed a line.
    """

    key: int | None
    lawful: bool
    there: Mapping[str, int | None]
    wire: tuple[str, ...]


def _messages(tx: Tx, held: Terms, kind: Kind, after: str) -> tuple[list[Found], str | None]:
    cut = held.cuts[kind]
    until = f"{int((dt.datetime.fromisoformat(cut) + _APART).timestamp() * 1000):012x}"
    rows = tx.all("messages_to_dispose", after=after, before=cut, until=f"{until[:8]}-{until[8:]}", most=PAGE)
    told, asked = _told(tx, held, rows), cache(partial(held.questions.read, tx, held))
    left = [row for row in rows if row["id"] in told]
    cases = _cases(tx, (row["case_id"] for row in left))
    found = [_message(held, kind, row, told[row["id"]], cases[row["case_id"]], asked) for row in left]
    return [one for one in found if one is not None], rows[-1]["id"] if len(rows) == PAGE else None


def _told(tx: Tx, held: Terms, rows: Sequence[Row]) -> dict[str, _Told]:
    """Of those messages of a page that are not gone already. What is asked does not grow with their number: whoever writes waits for it."""
    own = {row["id"]: key_number(nonce_of(row)) for row in rows if row["nonce"] is not None}
    gone = log.destroyed(tx, own.values())
    left = [message for message, key in own.items() if key not in gone]
    records: dict[str, list[Record]] = {message: [] for message in left}
    for record in log.of_messages(tx, left):
        if record.kind not in APART:
            records[str(record.message)].append(record)
    payloads = {message: [one for record in some for one in record.payloads] for message, some in records.items()}
    there = log.keys_of(tx, (one.id for some in payloads.values() for one in some)) if left else {}
    return {
        message: _Told(
            own[message], any(_kept(held, record) for record in records[message]),
            {one.id: there[one.id] for one in some if one.id in there},
            tuple(dict.fromkeys(one.id for one in some if one.id in there and one.role.startswith("wire"))),
        )
        for message, some in payloads.items()
    }  # fmt: skip


def _message(held: Terms, kind: Kind, row: Row, told: _Told, case: _Case, asked: Callable[[], Questions]) -> Found | None:
    """A message that is old enough; of wire bytes None when it goes itself, and they with it."""
    standing = case.why(held.cuts[kind])
    if kind == "wire":
        cut = held.cuts.get("payloads", "")
        if not told.lawful and row["time"] < cut and not case.why(cut) and not asked().kept(held, told.key):
            return None
        why = standing or ("minimum" if told.lawful else "")
        return Found(row["time"], why, len(told.wire), row["id"], rows=told.wire) if told.wire else None
    why = standing or ("minimum" if told.lawful or asked().kept(held, told.key) else "")
    keys = tuple(sorted({number for number in told.there.values() if number is not None}))
    unsealed = tuple(identity for identity, number in told.there.items() if number is None)
    return Found(row["time"], why, len(told.there), row["id"], keys=keys, rows=unsealed)


def _kept(held: Terms, record: Record) -> bool:
    """Whether a record tells of an exchange that the law wants kept still."""
    adapter = adapter_of(record)
    return adapter in held.kept and text_of(record.time) >= held.kept[adapter]


def _files(tx: Tx, held: Terms, after: str, files: Mapping[str, int | None]) -> tuple[list[Found], str | None]:
    cut = held.cuts["attachments"]
    rows = tx.all("files_to_dispose", before=cut, after=after, most=PAGE)
    return [_file(tx, cut, row, files) for row in rows], rows[-1]["file"] if len(rows) == PAGE else None


def _file(tx: Tx, cut: str, row: Row, files: Mapping[str, int | None]) -> Found:
    """A file that nobody sent since; it goes with what the bus was told of it."""
    token = row["file"]
    messages = listed(one["message"] for one in tx.all("enclosures_of_file", file=token))
    cases = _cases(tx, (row["case_id"] for row in tx.all("messages_by_id", messages=messages)))
    standing = next((why for _, case in sorted(cases.items()) if (why := case.why(cut))), "")
    told = log.keys_of(tx, (one["payload"] for one in tx.all("attachments_of_file", file=token)))
    keys = {number for number in (*told.values(), files.get(token)) if number is not None}
    return Found(row["time"], standing, file=token, keys=tuple(sorted(keys)))


def _records(tx: Tx, held: Terms, kind: Kind, records: Sequence[Record]) -> list[Found]:
    """Those whose payloads are not gone already, but for journals that are kept for ever."""
    if kind == "journals":
        records = [one for one in records if one.data["adapter"] in held.journals and not _kept(held, one)]
    there = log.keys_of(tx, (one.id for record in records for one in record.payloads)) if records else {}
    gone = log.destroyed(tx, there.values()) if kind == "accesses" else set[int]()
    found = []
    for record in records:
        mine = {one.id: there[one.id] for one in record.payloads if one.id in there}
        time, left = text_of(record.time), tuple(key for key in mine.values() if key is not None and key not in gone)
        if kind == "journals" and mine:
            found.append(Found(time, payloads=len(mine), record=record.id, rows=tuple(mine)))
        elif kind == "accesses" and left:
            found.append(Found(time, payloads=len(left), record=record.id, keys=left))
    return found


# -- destroying ----------------------------------------------------------------------------------------------------------------


def dispose(
    tx: Tx, held: Terms, kind: Kind, after: str, files: Mapping[str, int | None], actor: str, reason: str, clock: Clock
) -> Doomed:  # fmt: skip
    """Write what of a page is destroyed, and drop the rows that no key of their own seals. Raises `Invalid` without a good reason."""
    told = reasons.given(reason, "retention.reason-missing")
    found, on = page(tx, held, kind, after, files)
    going = [one for one in found if not one.held and (not one.file or one.file in files)]
    shown: JsonObject = {"kind": kind, "months": list[JsonValue](months(found)), "after": on, "record": None}
    if not going:
        return Doomed(shown, (), ())
    tx.do("drop_payloads", payloads=listed(row for one in going for row in one.rows))
    named = [one.message for one in going if one.message]
    keys = sorted({key for one in going for key in one.keys})
    data: dict[str, Any] = {
        "what": kind, "before": held.cuts[kind], "messages": named if kind == "payloads" else [], "wires": named if kind == "wire" else [],
        "files": [one.file for one in going if one.file], "records": [one.record for one in going if one.record and one.rows], "keys": keys,
    }  # fmt: skip
    record = Record(new_id(), "disposed", clock.now(), actor=actor, data=data)
    write_apart(tx, record, {"reason": {"text": told}})
    return Doomed({**shown, "record": record.id}, tuple(keys), tuple(data["files"]))


def months(found: Sequence[Found]) -> Iterator[JsonObject]:
    """Counts by month, of Rome: what goes, and what is held back for which reason."""
    counts: dict[tuple[str, str], list[int]] = {}
    for one in found:
        both = counts.setdefault((f"{moment_of(one.time).astimezone(ROME):%Y-%m}", one.held), [0, 0])
        both[0] += 1
        both[1] += one.payloads
    for (month, why), (things, payloads) in sorted(counts.items()):
        yield {"month": month, "held": why, "things": things, "payloads": payloads}
