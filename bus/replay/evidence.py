"""Evidence: what a recount needs of the log, from wherever it lies.

`Gathered` holds records, payloads and rules that somebody has at hand (a bundle, a test); `pages` reads them from a store, some hundred
messages at a time, and only looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bus.errors import RulesError
from bus.log import log
from bus.log.record import Record, record_of
from bus.message import JsonObject, parsed
from bus.replay.places import Places
from bus.replay.recount import Opening, Result
from bus.route.compile import plan_of
from bus.route.plan import Plan
from bus.store import Tx, listed
from bus.store.opening import Reader

Rules: TypeAlias = Callable[[str], "JsonObject | None"]
"""The stored form of the rules with a fingerprint (`bus.route.plan.Plan.rules`); None: nobody has them."""


@dataclass
class Gathered:
    """Evidence out of records (in log order), payloads by id (None: erased) and rules by fingerprint; see `bus.replay.recount.Evidence`.

    ``openings`` are the runs that these records tell of, in the order in which they began; ``journals`` their records.
    """

    records: Iterable[Record]
    payload: Callable[[str], bytes | None]
    rules: Rules
    openings: list[Opening] = field(default_factory=list)
    journals: dict[str, list[Record]] = field(default_factory=dict)
    missing: Result = "unavailable: erased"
    _messages: dict[str, str] = field(default_factory=dict)
    _plans: dict[str, Plan] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for record in self.records:
            if record.kind == "received" and record.message is not None:
                self._messages[record.message] = str(record.payload("message"))
                self.openings += [_opened(run, record.message) for run in record.data["runs"]]
            elif record.kind == "late":
                self.openings.append(_opened(record.data["opens"], record.data["arrival"]))
            if record.run is not None:
                self.journals.setdefault(record.run, []).append(record)

    def content(self, payload: str) -> bytes | None:
        return self.payload(payload)

    def message(self, identity: str) -> JsonObject | None:
        content = self.payload(self._messages[identity]) if identity in self._messages else None
        found: JsonObject | None = None if content is None else parsed(content)
        return found

    def plan(self, digest: str) -> Plan:
        if digest not in self._plans:
            self._plans[digest] = compiled(digest, self.rules)
        return self._plans[digest]


def compiled(digest: str, rules: Rules) -> Plan:
    """The plan of stored rules; raises `RulesError` when they are nowhere, or are not what their fingerprint says."""
    stored = rules(digest)
    if stored is None:
        raise RulesError(f"the rules {digest[:12]}… are nowhere", code="rules.missing")
    plan = plan_of(stored)
    if plan.digest != digest:
        raise RulesError(f"what is kept as the rules {digest[:12]}… has the fingerprint {plan.digest[:12]}…", code="rules.forged")
    return plan


def _opened(run: Mapping[str, object], message: str) -> Opening:
    name = f"{run['route']}@{run['version']}"
    return Opening(str(run["id"]), message, name, str(run["digest"]), str(run.get("entry", "")))


_UNREAD = frozenset({"wire-out", "wire-in", "facts", "reason"})
"""Payloads that no recount looks at."""


@dataclass(frozen=True, slots=True)
class Page:
    """Evidence of the runs of some messages, at hand."""

    book: Rulebook
    openings: Sequence[Opening]
    journals: Mapping[str, Sequence[Record]]
    states: Mapping[str, str]
    _payload_of: Mapping[str, str]
    _contents: Mapping[str, bytes]
    missing: Result = "unavailable: erased"

    def content(self, payload: str) -> bytes | None:
        return self._contents.get(payload)

    def message(self, identity: str) -> JsonObject | None:
        content = self._contents.get(self._payload_of.get(identity, ""))
        found: JsonObject | None = None if content is None else parsed(content)
        return found

    def plan(self, digest: str) -> Plan:
        return self.book.plan(digest)


class Rulebook:
    """Rules by fingerprint, each read and compiled once, and the files they were first read from."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._plans: dict[str, Plan] = {}
        self._places: dict[str, Places] = {}

    def plan(self, digest: str) -> Plan:
        """Raises `RulesError`."""
        if digest not in self._plans:
            self._plans[digest] = compiled(digest, self._stored)
        return self._plans[digest]

    def places(self, digest: str) -> Places:
        """Where the steps of these rules are written; their files may not have been kept."""
        if digest not in self._places:
            self._places[digest] = Places(self._stored(f"text {digest}") or {})
        return self._places[digest]

    def _stored(self, digest: str) -> Any:
        with self._reader.read() as tx:
            row = tx.one("rules", digest=digest)
        return None if row is None else parsed(row["content"])


def pages(reader: Reader, messages: Iterable[Sequence[str]], book: Rulebook) -> Iterator[Page]:
    """The evidence of the runs of these messages, given some hundred at a time."""
    for some in messages:
        with reader.read() as tx:
            page = _page(tx, some, book)
        yield page


def _page(tx: Tx, messages: Sequence[str], book: Rulebook) -> Page:
    rows = tx.all("runs_among_messages", messages=listed(messages))
    openings = [Opening(r["id"], r["message"], f"{r['route']}@{r['version']}", r["digest"], r["entry"]) for r in rows]
    journals: dict[str, list[Record]] = {}
    for row in tx.all("records_among_runs", runs=listed(r["id"] for r in rows)):
        journals.setdefault(row["run"], []).append(record_of(row["content"]))
    records = [record for journal in journals.values() for record in journal]
    named = [record.data[name] for record in records for name in ("sent", "stands", "arrival") if name in record.data]
    payload_of = {row["id"]: row["payload"] for row in tx.all("message_payloads_among", messages=listed({*messages, *named}))}
    wanted = [held.id for record in records for held in record.payloads if held.role not in _UNREAD]
    contents = log.payloads(tx, [*payload_of.values(), *wanted])
    return Page(book, openings, journals, {row["id"]: row["state"] for row in rows}, payload_of, contents)
