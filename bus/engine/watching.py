"""Watching: the log as it grows (`tail`), and how busy routes and systems have been of late (`top`). Nobody's data is in either.

Both read records only, so that one answer tells of all processes. What `top` costs is bounded: it looks at the newest records only.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bus.clock import moment_of
from bus.engine import inquiry
from bus.errors import Invalid, NotFound
from bus.log.record import KINDS, Record, as_line, record_of
from bus.message import JsonObject, JsonValue
from bus.store import Row, Tx, listed

FAILED = frozenset({"refused", "unanswered", "dead"})
WINDOW = dt.timedelta(minutes=1)
LOOKED_AT = 5000
"""Records that `top` looks at, at most; under more load its window is shorter."""
SCANNED = 5000
"""Records that one look of `tail` passes by, at most."""


class Filter(NamedTuple):
    """Which records to tell; what is empty lets all pass. ``kinds`` are kinds of records, ``case`` a key of a case."""

    route: str = ""
    adapter: str = ""
    kinds: frozenset[str] = frozenset()
    case: str = ""

    def takes(self, record: Record, members: frozenset[str] | None) -> bool:
        return (
            (not self.kinds or record.kind in self.kinds)
            and (not self.route or self.route in routes_of(record))
            and (not self.adapter or self.adapter == adapter_of(record))
            and (members is None or record.message in members)
        )


def kinds_of(outcomes: str, code: str) -> frozenset[str]:
    """The kinds that a list of outcomes means; ``failed`` is all that went wrong. Raises `Invalid` with ``code`` for what is no outcome."""
    found: set[str] = set()
    for one in filter(None, outcomes.split(",")):
        if one != "failed" and one not in KINDS:
            hint = f"kinds of records, separated by commas; failed is {', '.join(sorted(FAILED))}"
            raise Invalid(f"there is no outcome {one!r}", code=code, hint=hint)
        found |= FAILED if one == "failed" else {one}
    return frozenset(found)


def tail(tx: Tx, after: int | None, most: int, wanted: Filter, at: str = "") -> JsonObject:
    """Records behind ``after`` that are wanted, in order; ``next``: where to look from, and ``at``: which record has that number.

    Without ``after`` the newest ``most``; so too, and ``put_back`` says it, where the log does not go on from there.
    """
    scanned = SCANNED if any(wanted) else most  # what lets all pass passes nothing by
    rows = list(reversed(tx.all("newest_records", most=scanned))) if after is None else _behind(tx, after, at, scanned)
    if rows is None:
        return {**tail(tx, None, most, wanted), "put_back": True}
    members = _members(tx, wanted.case)
    found: list[JsonObject] = []
    behind = after or 0
    for row in rows:
        record = record_of(row["content"])
        if wanted.takes(record, members):
            if after is not None and len(found) == most:
                break
            found.append({"seq": row["seq"], **as_line(record)})
        behind, at = row["seq"], record.id
    return {"records": list[JsonValue](found[-most:] if after is None else found), "next": behind, "at": at}


def _behind(tx: Tx, after: int, at: str, most: int) -> list[Row] | None:
    """At most so many records behind a number; None where the log ends before it, or has another record there than ``at``.

    Then an older copy of the database was put in its place, and numbers came again: those behind would be told, those up to it never.
    """
    rows = list(tx.all("records_after", after=after - 1, most=most + 1))
    there = bool(rows) and rows[0]["seq"] == after
    if after and (not rows or (at and not (there and record_of(rows[0]["content"]).id == at))):
        return None
    return rows[1:] if there else rows


def _members(tx: Tx, case: str) -> frozenset[str] | None:
    """The messages of a case as it is now; None without a case, nobody while it does not exist."""
    if not case:
        return None
    try:
        identity = inquiry.case_of(tx, case)
    except NotFound:
        return frozenset()
    return frozenset(row["id"] for row in tx.all("messages_of_case", case_id=identity))


def routes_of(record: Record) -> frozenset[str]:
    """The routes that a record tells of."""
    told = record.data.get("runs")
    opened = {str(run["route"]) for run in told if isinstance(run, dict)} if isinstance(told, list) else set()
    return frozenset(opened | ({record.place.partition("@")[0]} if record.place else set()))


def adapter_of(record: Record) -> str:
    """The adapter that a record tells of, or nothing."""
    return str(record.data.get("adapter") or str(record.data.get("operation", "")).partition(".")[0])


def top(tx: Tx, now: dt.datetime) -> JsonObject:
    """How busy routes and systems are: ``seconds`` looked at, rates per second, latencies in seconds, what is due and dead."""
    records = [record_of(row["content"]) for row in tx.all("newest_records", most=LOOKED_AT)]
    cut = len(records) == LOOKED_AT
    recent = [record for record in reversed(records) if record.time > now - WINDOW]
    whole = not cut or len(recent) < len(records)
    seconds = WINDOW.total_seconds() if whole or not recent else max((now - recent[0].time).total_seconds(), 0.001)
    received = round(_count(recent, "received") / seconds, 2)
    routes, adapters = _routes(tx, recent, seconds), _adapters(recent, seconds)
    return {"seconds": round(seconds, 1), "received": received, "routes": routes, "adapters": adapters}


def _routes(tx: Tx, recent: list[Record], seconds: float) -> JsonObject:
    ended = [record for record in recent if record.kind in ("done", "dead") and record.run]
    opened = {row["id"]: row["opened"] for row in tx.all("runs_opened", runs=listed(record.run for record in ended))}
    found: dict[str, dict[str, JsonValue]] = defaultdict(lambda: {"ready": 0, "dead": 0})
    for row in tx.all("ready_and_dead"):
        found[row["route"]][row["state"]] = row["runs"]
    by_route: dict[str, list[Record]] = defaultdict(list)
    for record in ended:
        by_route[str(record.place).partition("@")[0]].append(record)
    for name, those in by_route.items():
        took = [
            (record.time - moment_of(opened[record.run])).total_seconds()
            for record in those
            if record.kind == "done" and record.run in opened
        ]
        found[name] |= {"ended": round(len(those) / seconds, 2), "failed": _count(those, "dead"), **_latency(took)}
    return {name: {"ended": 0.0, "failed": 0, "half": None, "most": None, **one} for name, one in sorted(found.items())}


def _adapters(recent: list[Record], seconds: float) -> JsonObject:
    asked: dict[tuple[Any, ...], Record] = {}
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    took: dict[str, list[float]] = defaultdict(list)
    for record in recent:
        adapter, call = adapter_of(record), (record.run, record.path)
        if record.kind == "asked":
            asked[call] = record
        elif record.kind in ("answered", "refused", "unanswered") and adapter:
            ends[adapter][record.kind] += 1
            if begun := asked.pop(call, None):
                took[adapter].append((record.time - begun.time).total_seconds())
    out = Counter(adapter_of(record) for record in asked.values())
    return {
        name: {
            "calls": round(ends[name].total() / seconds, 2), "answered": ends[name]["answered"], "refused": ends[name]["refused"],
            "unanswered": ends[name]["unanswered"], "out": out[name], **_latency(took[name]),
        }
        for name in sorted({*ends, *out})
    }  # fmt: skip


def _latency(took: list[float]) -> JsonObject:
    """``half`` took no longer than that, and 95 of a hundred no longer than ``most``; None when nothing is known."""
    if not took:
        return {"half": None, "most": None}
    ordered = sorted(took)
    return {"half": round(ordered[len(ordered) // 2], 3), "most": round(ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)], 3)}


def _count(records: Iterable[Record], kind: str) -> int:
    return sum(record.kind == kind for record in records)


def with_gates(shown: JsonObject, several: Iterable[Mapping[str, Any]]) -> JsonObject:
    """What `top` says, with what processes say of their gates: calls that are out and in line, and in how many the circuit is open."""
    adapters: dict[str, Any] = dict(shown["adapters"])  # type: ignore[arg-type]
    by_name: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for gates in several:
        for name, gate in gates.items():
            if "." not in name:
                by_name[name].append(gate)
    for name, those in by_name.items():
        known = {"calls": 0.0, "answered": 0, "refused": 0, "unanswered": 0, "half": None, "most": None, **adapters.get(name, {})}
        adapters[name] = {**known, "out": sum(one["out"] for one in those), "in_line": sum(one["in_line"] for one in those)}
        adapters[name]["circuit"] = _circuit([one["circuit"] for one in those])
    return {**shown, "adapters": dict(sorted(adapters.items()))}


def _circuit(said: list[str]) -> str:
    """``closed``, ``open``, or in how many of the processes that ask the system it is open."""
    opened = said.count("open")
    return said[0] if opened in (0, len(said)) else f"open in {opened} of {len(said)}"
