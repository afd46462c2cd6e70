"""How a timeline says each kind of record: one table. ``{operation}``, ``{code}``, ``{type}`` and so on come from the record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bus.clock import ROME, moment_of

WORDS: Mapping[str, tuple[str, str]] = {
    "received": ("●", "{type} received from {actor}"),
    "joined": ("∞", "the case is now known by {names}"),
    "asked": ("→", "{operation} asked"),
    "answered": ("✓", "{operation} answered"),
    "refused": ("✗", "{operation} refused"),
    "unanswered": ("…", "{operation} gave no usable answer"),
    "waiting": ("◷", "waiting for {type}"),
    "matched": ("⇐", "{type} arrived for this wait"),
    "expired": ("◷", "the deadline passed"),
    "closed": ("▪", "waits no longer for {type}"),
    "late": ("⇐", "{type} arrived late"),
    "sent": ("⇒", "{type} sent"),
    "replied": ("⇐", "the sender was answered"),
    "parked": ("‖", "parked"),
    "done": ("■", "finished"),
    "dead": ("†", "stopped: a person is needed"),
    "redelivered": ("↻", "redelivered by {actor}"),
    "decided": ("✎", "{actor} decided: {decision}"),
    "discarded": ("✎", "given up by {actor}"),
    "served": ("⇐", "{adapter} asked {operation}: {outcome}"),
    "access": ("◉", "{actor} {event}"),
    "polled": ("◌", "asked for news"),
    "rules": ("§", "rules {act} by {actor}"),
    "attached": ("▤", "a file of {size} bytes attached by {actor}"),
    "read": ("◉", "opened by {actor}"),
    "exported": ("◉", "exported by {actor}"),
    "replayed": ("◉", "replayed by {actor}"),
    "erasure": ("○", "a person's data asked to be erased by {actor}"),
    "erased": ("○", "a person's data erased by {actor}"),
    "disposed": ("○", "{what} from before {before} destroyed, as they were too old, by {actor}"),
    "keys": ("§", "these keys sign from now on"),
}
"""Sign and sentence for each kind of `bus.log.record.KINDS`."""
OF_OURS: Mapping[str, str] = {
    "call.not-applied": "{operation} had not happened: the system has no trace of it",
    "call.interrupted": "the bus stopped while it asked {operation}",
    "call.circuit-open": "{operation} was not asked: the system had not answered for a while",
    "call.given-up": "{operation} is not asked again: the run has failed elsewhere",
}
"""Sentence for a try of which the bus itself says how it ended, by its code."""
LOOKS = frozenset({"read", "exported", "replayed"})
BAD = frozenset({"refused", "unanswered", "dead", "late", "expired"})
GOOD = frozenset({"answered", "replied", "done", "matched"})
DECISIONS = {"happened": "it had happened", "again": "send it again"}
SOMETHING = "something"


class _Known(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return SOMETHING


def sentence(record: Mapping[str, Any], types: Mapping[str, str] | None = None) -> str:
    """What a record says, in words. ``types`` names messages by id, for records that speak of another message."""
    data = dict(record.get("data", {}))
    if isinstance(data.get("names"), list):
        data["names"] = ", ".join(data["names"])
    if data.get("decision") in DECISIONS:
        data["decision"] = DECISIONS[data["decision"]]
    if record["kind"] == "disposed" and "before" in data:  # of rules it is a digest
        data["before"] = when(data["before"])
    if data.get("event") == "refused":
        data["event"] = "was refused"
    if not data.get("type"):
        data["type"] = (types or {}).get(
            str(data.get("arrival") or data.get("sent")), "time" if record["kind"] in ("waiting", "closed") else "a message"
        )
    _, words = WORDS[record["kind"]]
    if record["kind"] == "unanswered":
        words = OF_OURS.get(data.get("code", ""), words)
    said = words.format_map(_Known(data, actor=record.get("actor", "bus") or "somebody", message=record.get("message", "")))
    details = list(_details(record, data))
    return said + (f" ({'; '.join(details)})" if details else "")


def _details(record: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
    if record["kind"] in LOOKS:
        yield from (str(data[name]) for name in ("role", "scope", "report") if name in data)
        if "manifest" in data:
            yield "bundle"
    if record.get("attempt") and (record["attempt"] > 1 or data.get("again")):
        yield f"attempt {record['attempt']}"
    if data.get("outside_code"):
        yield f"it said {data['outside_code']}"
    if data.get("code"):
        yield str(data["code"])
    if data.get("cause"):
        yield str(data["cause"])
    if data.get("doubt"):
        yield "in doubt"
    if data.get("again"):
        same_day = day_of(data["again"]) == day_of(record["time"])
        yield f"again at {(clock_of if same_day else when)(data['again'])}"
    if data.get("deadline"):
        yield f"until {when(data['deadline'])}"
    if data.get("effect") in ("once", "queryable") and record["kind"] == "asked":
        yield f"effect {data['effect']}"


def sign(kind: str) -> str:
    return WORDS[kind][0]


def clock_of(text: str) -> str:
    """The time of day in Rome, with its zone: an hour comes twice in autumn."""
    return _rome(text).strftime("%H:%M:%S %Z")


def day_of(text: str) -> str:
    return _rome(text).strftime("%d/%m/%Y")


def when(text: str) -> str:
    """The day and the time of day in Rome."""
    return f"{day_of(text)} {clock_of(text)}"


def _rome(text: str) -> datetime:
    return moment_of(text).astimezone(ROME)
