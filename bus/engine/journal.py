"""The journal: a run's slice of the log, folded into what the interpreter must be told and what is known of unfinished calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from bus import clock
from bus.engine.asks import Answered, Arrived, Event, Expired, Failed, Noted
from bus.engine.fate import GIVEN_UP, Tries
from bus.log.record import Record

Load = Callable[[str], Any]
"""The JSON value of a payload id; raises `Erased` when it is not there any more."""
_ROLES = {"answered": "answer", "decided": "answer", "refused": "error", "unanswered": "error"}
"""The payload by which a record of a kind tells what came of a call."""


@dataclass(slots=True)
class Journal:
    """``events`` in the order they happened, and ``tries``, by the path of the ask. ``load``, ``body_of``: see `fold`."""

    load: Load
    body_of: Load
    events: list[tuple[str, Event]] = field(default_factory=list)
    tries: defaultdict[str, Tries] = field(default_factory=lambda: defaultdict(Tries))

    def payload(self, record: Record, role: str) -> Any:
        """The value of a record's payload; raises KeyError where there is none."""
        identity = record.payload(role)
        if identity is None:
            raise KeyError(f"record {record.id} has no payload {role!r}")
        return self.load(identity)

    def ask_anew(self, path: str) -> Tries:
        """A redelivered or decided call: its tries and its failure no longer count, nor do the failures of the calls given up for it."""
        self.events = [(p, e) for p, e in self.events if not isinstance(e, Failed) or (p != path and e.error["code"] != GIVEN_UP)]
        tries = self.tries[path]
        tries.count, tries.probes, tries.due = 0, 0, None
        return tries


def unended(records: Iterable[Record]) -> Record | None:
    """The intent of a call whose end nobody knows: one that holds an ordered lane before others, else the first."""
    found: dict[str, Record] = {}
    for record in records:
        if record.kind == "asked" and record.path is not None:
            found[record.path] = record
        elif record.kind in ("answered", "refused", "unanswered", "decided") and record.path in found and not record.data.get("doubt"):
            del found[record.path]
    return max(found.values(), key=lambda record: bool(record.data.get("lane")), default=None)


def in_the_air(records: Iterable[Record]) -> bool:
    """Whether one of these calls may still be on its way: the last record of it is its intent."""
    last = {r.path: r.kind for r in records if r.kind in ("asked", "answered", "refused", "unanswered", "decided")}
    return "asked" in last.values()


def loaded(records: Iterable[Record]) -> tuple[list[str], list[str]]:
    """The payloads that `fold` loads, and the messages whose body it asks for; in its order."""
    payloads, messages = list[str](), list[str]()
    for record in records:
        role = _ROLES.get(record.kind)
        if record.kind == "matched":
            messages.append(record.data["arrival"])
        elif role is not None and "again" not in record.data and (identity := record.payload(role)) is not None:
            payloads.append(identity)
    return payloads, messages


def fold(records: Iterable[Record], load: Load, body_of: Load) -> Journal:
    """Fold records in log order. ``body_of`` gives the body of a message id."""
    journal = Journal(load, body_of)
    for record in records:
        if record.path is not None and (event := _told(journal, record, record.path)) is not None:
            journal.events.append((record.path, event))
    return journal


def _told(journal: Journal, record: Record, path: str) -> Event | None:
    """The event that a record is, if it is one; what it says of the tries of a call is noted."""
    match record.kind:
        case "asked":
            _asked(journal.tries[path], record)
        case "answered":
            journal.tries[path].in_air = False
            return Answered(record.time, journal.payload(record, "answer"))
        case "refused" | "unanswered":
            return _failed(journal, record, path)
        case "matched":
            arrival = record.data["arrival"]
            return Arrived(record.time, arrival, journal.body_of(arrival))
        case "expired":
            return Expired(record.time)
        case "joined" | "closed" | "replied":
            return Noted(record.time)
        case "sent":
            return Noted(record.time, {"id": record.data["sent"]})
        case "decided":
            return _decided(journal, record, path)
        case "redelivered":
            journal.ask_anew(path)
    return None


def _asked(tries: Tries, record: Record) -> None:
    tries.count, tries.probes = tries.count + 1, 0
    tries.asks(record.time)
    tries.in_air = True
    tries.key, tries.number = record.data["key"], record.data.get("number")


def _failed(journal: Journal, record: Record, path: str) -> Failed | None:
    tries, data = journal.tries[path], record.data
    tries.in_air = False
    tries.probes += bool(data.get("by") == "probe" and data.get("doubt"))
    tries.doubt, tries.probe = data.get("doubt", False), data.get("probe", False)
    if "again" in data:
        tries.due, tries.put_off = clock.moment_of(data["again"]), record.time
        tries.count = max(tries.count, record.attempt or 0)
        return None
    if not tries.doubt:
        tries.number = None
    return Failed(record.time, journal.payload(record, "error"))


def _decided(journal: Journal, record: Record, path: str) -> Answered | None:
    tries = journal.ask_anew(path)
    tries.doubt = tries.probe = tries.in_air = False
    return Answered(record.time, journal.payload(record, "answer")) if record.data["decision"] == "happened" else None
