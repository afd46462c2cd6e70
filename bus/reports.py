"""Reports that the law asks for: lines made of the log, a page at a time. Two are ours, the others are declared by adapters.

Every page that somebody is given is recorded before it is given (``exported``: who, which report, which time; the purpose as a payload).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from bus import clock
from bus.adapter import Adapter, Exchange, Report
from bus.engine import search
from bus.engine.accesses import Looker, needs_all, purpose_of
from bus.engine.projection import write_apart
from bus.errors import NotFound
from bus.log import log
from bus.log.record import Record, record_of
from bus.message import JsonObject, new_id, parsed
from bus.store import Tx

PAGE = 1000
"""Records looked at for one page of a report."""
ENDS = frozenset({"answered", "refused", "unanswered", "decided"})
ACTS = frozenset({"redelivered", "decided", "discarded", "rules", "read", "exported", "replayed", "erasure", "erased", "disposed"})
"""What persons do with the bus."""
OPENED = frozenset({"read", "exported", "replayed", "erased"})
Line = dict[str, Any]

GARANTE = "Garante, provv. 27/11/2008 (doc. web 1577499) 4.5: who, when, what; complete, unalterable, verifiable; at least six months"
GDPR = "Regolamento (UE) 2016/679, art. 5(1)(b), 5(2), 15(1), 32: purpose limitation, accountability, right of access"


@dataclass(frozen=True, slots=True)
class Access:
    """Somebody ``entered`` or ``left``, or was ``refused`` so many ``times``, by a key's name and role, from an address."""

    event: str
    name: str
    role: str
    address: str
    times: int = 1


def keep(tx: Tx, now: dt.datetime, events: Iterable[Access]) -> None:
    """Record who came in, went, or was refused; the address is sealed."""
    for one in events:
        record = Record(new_id(), "access", now, actor=one.name, data={"event": one.event, "role": one.role, "times": one.times})
        write_apart(tx, record, {"origin": {"address": one.address}})


class Page(NamedTuple):
    """Lines, where the next page goes on, or None; and which texts cannot be opened, though nobody erased them: their fields are empty."""

    lines: list[Line]
    next: int | None
    unopened: list[Line]


class Source:
    """What a page of records is made of: the texts that they commit to, and the journals of their runs, read together when the first of
    them is asked for. ``unopened``: each text that cannot be opened, though nobody erased it.
    """

    def __init__(self, tx: Tx, records: Sequence[Record]) -> None:
        self._tx, self._runs = tx, {record.run for record in records if record.run is not None}
        self.unopened: dict[str, Line] = {}
        self.entered: dict[str, Record | None] = {}
        """By the name of a key: the last access that began with it."""

    @cached_property
    def _known(self) -> Mapping[str, Sequence[Record]]:
        return log.of_runs(self._tx, sorted(self._runs))

    def access_of(self, act: Record) -> Record | None:
        """The access in which somebody did something: the last one of that key which began before it, if it is among the last `PAGE`."""
        if act.actor not in self.entered:
            rows = self._tx.all("accesses_before", seq=log.number_of(self._tx, act), most=PAGE)
            began = (one for one in (record_of(row["content"]) for row in rows) if one.data["event"] == "entered")
            self.entered[act.actor] = next((one for one in began if one.actor == act.actor), None)
        return self.entered[act.actor]

    def journal(self, run: str | None) -> Sequence[Record]:
        return self._known.get(run or "", ())

    def value(self, record: Record, role: str) -> JsonObject:
        """A payload that is an object; empty when there is none, or nobody can open it."""
        identity = record.payload(role)
        if identity is None:
            return {}
        found, lost = log.payloads(self._tx, [identity], may_be_gone=record.kind == "served")
        for why in lost.values():
            self.unopened[identity] = {"record": record.id, "message": record.message, "role": role, "why": why.sentence}
        value = parsed(found[identity]) if found else {}
        return value if isinstance(value, dict) else {"value": value}


@dataclass(frozen=True, slots=True)
class Kept:
    """A report: which kinds of records, and the lines that each of them makes; ``ours``: it tells nothing that systems said."""

    name: str
    title: str
    source: str
    fields: Mapping[str, str]
    kinds: frozenset[str]
    lines: Callable[[Record, Source], Iterable[Line]]
    ours: bool = False


def of_adapters(adapters: Mapping[str, Adapter]) -> dict[str, Kept]:
    """All reports by name: ours and those of the adapters."""
    declared = [_declared(name, report) for name, adapter in adapters.items() for report in adapter.reports()]
    return {report.name: report for report in (ACCESSES, PURPOSES, *declared)}


def named(known: Mapping[str, Kept], name: str) -> Kept:
    """Raises `NotFound`."""
    if name not in known:
        raise NotFound(f"there is no report {name!r}", code="report.unknown", hint=f"one of {', '.join(sorted(known))}")
    return known[name]


def export(tx: Tx, now: dt.datetime, report: Kept, since: dt.datetime, until: dt.datetime, looker: Looker) -> None:
    """Record that somebody is given a page of a report; raises `Invalid` for a purpose that says nothing, `Forbidden`."""
    purpose = purpose_of(looker.purpose)
    if not report.ours:
        needs_all(looker, "a report of what systems said")
    data = {"report": report.name, "from": clock.text_of(since), "to": clock.text_of(until)}
    record = Record(new_id(), "exported", now, actor=looker.name, data=data)
    write_apart(tx, record, {"purpose": {"text": purpose}})


def page(tx: Tx, report: Kept, since: dt.datetime, until: dt.datetime, after: int = 0) -> Page:
    """The lines of records from ``since`` on and before ``until``."""
    found = log.of_kinds(tx, report.kinds, after or search.before_any(tx, report.kinds, since, until), PAGE)
    wanted = [record for _, record in found if since <= record.time < until]
    source = Source(tx, wanted)
    lines = [line for record in wanted for line in report.lines(record, source)]
    return Page(lines, search.page_end(tx, report.kinds, since, until, found, PAGE), list(source.unopened.values()))


# -- ours ------------------------------------------------------------------------------------------------------------------


def _access(record: Record, source: Source) -> Iterator[Line]:
    """Accesses, and what persons did."""
    data = record.data
    if record.kind != "access" and record.actor == "bus":
        return
    what = data.get("what") or _what(record) if record.kind != "access" else ""
    if data.get("event") == "entered":
        source.entered[record.actor] = record
    access = record if record.kind == "access" else source.access_of(record)
    yield {
        "time": clock.text_of(record.time), "event": data.get("event", record.kind), "who": record.actor,
        "role": access.data.get("role", "") if access else "", "person": data.get("as", ""),
        "from": source.value(access, "origin").get("address", "") if access else "", "times": data.get("times", 1), "what": what or "",
        "message": record.message or "", "run": record.run or "", "record": record.id,
    }  # fmt: skip


def _opening(record: Record, source: Source) -> Iterator[Line]:
    """Who opened whose data, and for what."""
    told = next((value for role in ("purpose", "export", "reason") if (value := source.value(record, role))), {})
    about: Any = {**told, **record.data, **(scope if isinstance(scope := told.get("scope"), dict) else {})}
    case = about.get("case") or (about.get("what") if record.data.get("scope") == "case" else "")
    yield {
        "time": clock.text_of(record.time), "act": record.kind, "who": record.actor,
        "purpose": told.get("text") or told.get("purpose") or "",
        "what": _what(record), "case": case or "",
        "message": record.message or about.get("message", ""), "run": record.run or "",
        "from": about.get("from", ""), "to": about.get("to", ""), "record": record.id,
    }  # fmt: skip


def _what(record: Record) -> str:
    """What was opened, exported or replayed, in a word; of an ``erased`` without a second person the request that expired."""
    data = record.data
    if record.kind == "erased" and "by" not in data:
        return "expired request"
    return next((str(data[name]) for name in ("report", "role", "scope") if name in data), "bundle" if "manifest" in data else "")


ACCESSES = Kept(
    "accesses",
    "Accesses of administrators and auditors, and what they did",
    GARANTE,
    {
        "time": "UTC", "event": "entered, left, refused; or the act: redelivered, decided, discarded, rules, read, exported, …",
        "who": "name of the API key", "role": "of the key",
        "person": "who put rules in force, as the holder of the key said",
        "from": "address; of an act, that of the access in which it was done: the last one that began with this key before it",
        "times": "how many attempts a line stands for", "what": "which payload or report, a bundle, or what was replayed", "message": "id",
        "run": "id", "record": "id in the log: bus log verify proves it",
    },
    ACTS | {"access"},
    _access,
    ours=True,
)  # fmt: skip
PURPOSES = Kept(
    "purposes",
    "Who opened personal data, and for what purpose",
    GDPR,
    {
        "time": "UTC", "act": "read, exported, replayed, erased", "who": "name of the API key", "purpose": "as it was given",
        "what": "which payload or report, a bundle, what was replayed, or a request that expired",
        "case": "the key by which a bundle or a replay named a case", "message": "id", "run": "id",
        "from": "the time it was about", "to": "the time it was about",
        "record": "id in the log",
    },
    OPENED,
    _opening,
    ours=True,
)  # fmt: skip


# -- of adapters -----------------------------------------------------------------------------------------------------------


def _declared(adapter: str, report: Report) -> Kept:
    """A report of an adapter: its lines for each exchange that it began or was asked for."""

    def lines(record: Record, source: Source) -> Iterator[Line]:
        exchange = exchange_of(adapter, record, source)
        if exchange is not None:
            yield from ({**dict.fromkeys(report.fields, ""), **made} for made in report.lines(exchange))

    kinds = frozenset({"asked", "answered", "refused", "unanswered", "served"})
    return Kept(report.name, report.title, report.source, report.fields, kinds, lines)


def exchange_of(adapter: str, record: Record, source: Source) -> Exchange | None:
    """The exchange that begins with a record: our intent, a reading that ended, or a question that we answered."""
    data = record.data
    if record.kind == "served":
        if data["adapter"] != adapter:
            return None
        request, answer = source.value(record, "request"), source.value(record, "answer")
        return Exchange(
            data["operation"], True, record.time, record.time, data["outcome"], data.get("code", ""), request, answer, record.id
        )
    name = str(data.get("operation", ""))
    if name.partition(".")[0] != adapter:
        return None
    end: Record | None = record
    if record.kind == "asked":
        end = _end(source.journal(record.run), record)
    elif data.get("by") == "probe" or _follows_intent(source, record):
        return None
    return _ours(source, name.partition(".")[2], record, end)


def _ours(source: Source, operation: str, began: Record, end: Record | None) -> Exchange:
    outcome, code = ("open", "") if end is None else (str(end.data.get("kind", end.kind)), str(end.data.get("code", "")))
    if end is not None and end.kind == "decided":  # "again": a person knows that nothing was done
        outcome = "answered" if end.data["decision"] == "happened" else "unreachable"
    elif end is not None and end.data.get("doubt"):  # of an earlier try, whatever this one met
        outcome = "in_doubt"
    answer = {} if end is None else source.value(end, "answer") or source.value(end, "error")
    ended = None if end is None else end.time
    return Exchange(operation, False, began.time, ended, outcome, code, source.value(began, "request"), answer, began.id)


def _end(journal: Iterable[Record], asked: Record) -> Record | None:
    """How a try that was asked ended: the next record of its path; a doubt that was settled later ended then."""
    end, begun = None, False
    for record in journal:
        if record.id == asked.id:
            begun = True
        elif begun and record.path == asked.path:
            if record.kind == "asked":
                break
            if record.kind in ENDS:
                end = record
    return end


def _follows_intent(source: Source, record: Record) -> bool:
    """Whether a call had an intent before it: then the intent made the line."""
    return any(one.kind == "asked" and one.path == record.path for one in source.journal(record.run))
