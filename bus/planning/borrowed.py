"""Borrowed answers: what the journal of a message tells rules that may ask in other places, in other words, or for other things.

An ask is told what was recorded at its own path. Where nothing was, a call takes the answer that the same operation gave to the same
request elsewhere, a wait the message that came for the same key: steps may have been renamed or moved. A wait that was not there takes
what the log has for it, and is over where its deadline has passed before the log's end. What nobody ever asked has no answer; a plan
invents none.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import heapq
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pydantic import ValidationError

from bus.adapter import Operation
from bus.clock import text_of
from bus.engine import journal
from bus.engine.asks import Answered, Arrived, Ask, Await, Call, Event, Expired, Failed, Failure, Noted, Send
from bus.engine.fate import error_of
from bus.engine.recorded import LAST, Told
from bus.faults import first_of
from bus.log.record import Record
from bus.message import JsonValue, Message, canonical, parsed
from bus.replay.evidence import Evidence, Opening

NOW = -1.0
"""The turn of what happens at once, whatever else does."""


class ErasedError(Exception):
    """A payload that is needed was erased."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the journal holds for one path: when, what, and to what question (an operation and its request, a wait's type and key)."""

    turn: float
    event: Event
    subject: str
    question: bytes | None
    deadline: str | None


@dataclass(frozen=True, slots=True)
class Memory:
    """All that the journals of one message tell, by path; the run that the rules would replace comes first."""

    by_path: Mapping[str, Said]
    others: Mapping[str, Sequence[tuple[str, Said]]]
    """By subject, in the order of the log, with their paths."""
    told: frozenset[str] = frozenset()
    """Messages that would come besides, or not any more, as is told of whoever sends them."""
    asked: Mapping[str, tuple[str, bytes | None]] = field(default_factory=dict)
    """What the run that the rules would replace asked or waited for, by path: a type and a key, for a wait."""


def remember(runs: Iterable[Opening], evidence: Evidence) -> Memory:
    """Fold the journals of runs; raises `ErasedError`."""
    by_path: dict[str, Said] = {}
    others: dict[str, list[tuple[str, Said]]] = {}
    asked: dict[str, tuple[str, bytes | None]] = {}
    for number, run in enumerate(runs):
        records = evidence.journal(run.run)
        questions = _questions(records, evidence)
        asked = asked if number else {path: (subject, question) for path, (subject, question, _) in questions.items()}
        known = journal.fold(records, partial(_value, evidence), partial(_body, evidence))
        for turn, (path, event) in enumerate(known.events):
            subject, question, deadline = questions.get(path, ("", None, None))
            said = Said(turn, event, subject, question, deadline)
            others.setdefault(subject, []).append((path, said))
            if number == 0 and path not in by_path:
                by_path[path] = said
    return Memory(by_path, others, asked=asked)


_NUMBERED = re.compile(r"(.*[\[.])(\d+)\]")


def without(memory: Memory, path: str) -> Memory:
    """The memory as if nothing had arrived at a path: what came at the same step afterwards came one sooner."""
    stem, number = _numbered(path)
    event = memory.by_path[path].event
    told = memory.told | ({event.message} if isinstance(event, Arrived) else set())
    left = {subject: [(one, said) for one, said in several if one != path] for subject, several in memory.others.items()}
    rest = {one: said for one, said in memory.by_path.items() if one != path}
    return _moved(replace(memory, by_path=rest, others=left, told=told), stem, number + 1, -1)


def arriving(memory: Memory, path: str, message: Message) -> Memory:
    """The memory as if a message had come at a path: what came at the same step afterwards came one later."""
    said = Said(_turn_at(memory, message.time), Arrived(message.time, message.id, message.body), message.type, None, None)
    moved = _moved(memory, *_numbered(path), 1)
    others = {**moved.others, message.type: [*moved.others.get(message.type, ()), (path, said)]}
    return replace(moved, by_path={**moved.by_path, path: said}, others=others, told=moved.told | {message.id})


def _turn_at(memory: Memory, time: dt.datetime) -> float:
    """The turn of what happens at a time: before all that happened later."""
    return min((said.turn for said in memory.by_path.values() if said.event.time > time), default=len(memory.by_path)) - 0.5


def _moved(memory: Memory, stem: str, first: int, by: int) -> Memory:
    """The memory with all that came at a numbered step, from a number on, at other numbers."""

    def moved(path: str) -> str:
        same, number = _numbered(path)
        return f"{stem}{number + by}]" if stem and same == stem and number >= first else path

    return replace(
        memory,
        by_path={moved(path): said for path, said in memory.by_path.items()},
        others={subject: [(moved(path), said) for path, said in several] for subject, several in memory.others.items()},
    )


def vacant(memory: Memory, waits: Iterable[tuple[str, str]], time: dt.datetime) -> str:
    """Where a run would take a message that comes at some time: the first of its waits (path, state) that was not over; empty if all were.

    A run that gathers may wait for one more than the log has seen: whether it does is seen when it is walked.
    """
    path = ""
    for path, state in sorted(waits, key=lambda wait: (_numbered(wait[0]), wait[0])):
        if _is_free(memory, path, time, state == "open"):
            return path
    stem, number = _numbered(path)
    if not (stem and path in memory.by_path and isinstance(memory.by_path[path].event, Arrived)):
        return ""
    while not _is_free(memory, f"{stem}{number}]", time, is_open=True):
        number += 1
    return f"{stem}{number}]"


def _is_free(memory: Memory, path: str, time: dt.datetime, is_open: bool) -> bool:
    said = memory.by_path.get(path)
    return is_open if said is None else said.event.time > time


def _numbered(path: str) -> tuple[str, int]:
    """``pagamento[0.`` and 2 of ``pagamento[0.2]``; nothing of a path without a number."""
    found = _NUMBERED.fullmatch(path)
    return (found[1], int(found[2])) if found else ("", 0)


def instead(memory: Memory, path: str, body: JsonValue) -> Memory:
    """The memory as if what arrived at a path had said something else."""
    was = memory.by_path[path]
    assert isinstance(was.event, Arrived)
    said = replace(was, event=replace(was.event, body=body))
    others = {subject: [(one, said if here is was else here) for one, here in several] for subject, several in memory.others.items()}
    return replace(memory, by_path={**memory.by_path, path: said}, others=others)


def _questions(records: Sequence[Record], evidence: Evidence) -> dict[str, tuple[str, bytes | None, str | None]]:
    found: dict[str, tuple[str, bytes | None, str | None]] = {}
    for record in records:
        if record.path is None:
            continue
        if "operation" in record.data:
            request = record.payload("request")
            before = found.get(record.path, ("", None, None))[1]
            found[record.path] = str(record.data["operation"]), evidence.content(request) if request else before, None
        elif record.kind == "waiting":
            key = record.payload("key")
            found[record.path] = str(record.data["type"]), evidence.content(key) if key else None, record.data.get("deadline")
    return found


def _value(evidence: Evidence, payload: str) -> Any:
    content = evidence.content(payload)
    if content is None:
        raise ErasedError
    return parsed(content)


def _body(evidence: Evidence, message: str) -> JsonValue:
    found = evidence.message(message)
    if found is None:
        raise ErasedError
    return found.body


Valid = Callable[[str, JsonValue], str]
"""What is wrong with the body of a message of a type; empty when nothing is."""


@dataclass(frozen=True, slots=True)
class Logged:
    """What the log has for waits that were not there: ``came`` gives the messages that a wait of the case of a message, for a type and
    a key, would find, in the order in which they came; ``end`` is the time of the last record.
    """

    came: Callable[[str, str, tuple[str, str] | None], Sequence[Message]]
    end: dt.datetime


@dataclass
class Borrowed:
    """The answers for one walk. ``known``: requests and bodies that need not be checked, because they were asked before, as they are.

    ``ids`` are those of the steps of these rules; ``unread`` the places of calls whose answers nothing reads; ``unanswered`` the calls
    that nobody ever answered. ``logged`` is for waits that the run had not, or that are none of ``waits``, those of the rules in force;
    ``taken``: which of them took which message; ``keys_of`` the business keys of one that only these rules send, which may wake the run
    that sends it.
    """

    memory: Memory
    message: Message
    operations: Mapping[str, Operation]
    valid: Valid
    ids: frozenset[str]
    unread: frozenset[str]
    logged: Logged
    moment_of: Callable[[str], dt.datetime]
    keys_of: Callable[[Message], Mapping[str, str]]
    known: Mapping[str, bytes]
    waits: Sequence[Await] | None
    unanswered: list[Call] = field(default_factory=list)
    taken: dict[str, Await] = field(default_factory=dict)
    besides: dict[str, Message] = field(default_factory=dict)
    _lent: set[tuple[str, float]] = field(default_factory=set)

    def __call__(self, ask: Ask) -> Told | None:
        match ask:
            case Call():
                return self._call(ask)
            case Await():
                return self._wait(ask)
            case Send():
                return self._send(ask)
        said = self.memory.by_path.get(ask.path)
        if said is not None and isinstance(said.event, Noted):
            return Told(said.turn, said.event)
        return Told(NOW, Noted(self.message.time))

    def _free(self, subject: str) -> list[tuple[str, Said]]:
        """What the journals hold of a subject and was not told yet."""
        return [(path, one) for path, one in self.memory.others.get(subject, ()) if (subject, one.turn) not in self._lent]

    # -- calls ----------------------------------------------------------------------------------------------------------

    def _call(self, ask: Call) -> Told | None:
        if any(ask.path == f"{call.path}!undo" for call in self.unanswered):
            self.unanswered.append(ask)  # its request is an answer that nobody knows
            return None
        if fault := self._fault(ask):
            return Told(NOW, Failed(self.message.time, error_of(ask, 0, "invalid", "call.invalid-request", fault)))
        said = self._said(ask)
        if said is None or not isinstance(said.event, (Answered, Failed)):
            self.unanswered.append(ask)
            return Told(NOW, Answered(self.message.time, {})) if ask.place in self.unread and not ask.path.endswith("!undo") else None
        self._lent.add((ask.operation, said.turn))
        return Told(said.turn, said.event)

    def _fault(self, ask: Call) -> str:
        if self.known.get(ask.path) == canonical(ask.request):
            return ""
        operation = self.operations.get(ask.operation)
        if operation is None:
            return f"no adapter declares {ask.operation}"
        try:
            operation.request.model_validate(ask.request)
        except ValidationError as error:
            return f"{ask.operation} cannot be asked this: {first_of(error)}"
        return ""

    def _said(self, ask: Call) -> Said | None:
        own = self.memory.by_path.get(ask.path)
        if own is not None and own.subject == ask.operation:
            return own
        free, wanted = self._free(ask.operation), self._as_asked(ask)
        same = next((one for _, one in free if one.question == wanted), None)
        if same is not None:
            return same
        orphans = [one for path, one in free if path.rpartition("/")[2].partition("!")[0] not in self.ids]
        return orphans[0] if len(orphans) == 1 else None  # the step has another name and asks something else

    def _as_asked(self, ask: Call) -> bytes:
        """The request in the form in which the log keeps it."""
        operation = self.operations[ask.operation]
        return canonical(operation.request.model_validate(ask.request).model_dump(mode="json", exclude_none=True))

    # -- waits ----------------------------------------------------------------------------------------------------------

    def _wait(self, ask: Await) -> Told | None:
        said = self.memory.by_path.get(ask.path)
        if ask.type is None:
            return self._delay(ask, said)
        if said is None or said.subject not in ("", ask.type) or self._is_taken(said):
            said = self._arrival(ask)
        event = said.event if said else None
        if said is not None and isinstance(event, Arrived):
            self._lent.add((str(ask.type), said.turn))
            if ask.deadline is not None and event.time > ask.deadline and said.deadline != text_of(ask.deadline):
                return Told(said.turn, Expired(ask.deadline))
            self.taken[event.message] = ask
            return Told(said.turn, event)
        if said is not None and isinstance(event, Expired) and _is_until(said, ask.deadline):
            return Told(said.turn, event)
        if (came := self._came(ask)) is not None:
            return came
        if ask.deadline is None or not (isinstance(event, Expired) or (ask.deadline <= self.logged.end and self._is_new(ask))):
            return None
        return Told(said.turn if said else _turn_at(self.memory, ask.deadline), Expired(ask.deadline))

    def _is_taken(self, said: Said) -> bool:
        return isinstance(said.event, Arrived) and said.event.message in self.taken

    def _is_new(self, ask: Await) -> bool:
        """Whether the run, which may have gone under earlier rules, had no such wait, or the rules in force have none."""
        if self.memory.asked.get(ask.path) != (ask.type, _question(ask)):
            return True
        return self.waits is not None and not any(
            (one.path, one.type, one.key, one.deadline) == (ask.path, ask.type, ask.key, ask.deadline) for one in self.waits
        )

    def _came(self, ask: Await) -> Told | None:
        """The first message of the log that a wait would find, if it comes in time; none for a wait that is there now, which found none."""
        displaced = ask.path in self.memory.by_path and self._is_taken(self.memory.by_path[ask.path])
        if not (displaced or self._is_new(ask)):
            return None
        came = self.logged.came(self.message.id, str(ask.type), ask.key)
        sent = (one for one in self.besides.values() if one.type == ask.type)
        besides = [one for one in sent if ask.key is None or ask.key in self.keys_of(one).items()]
        for message in heapq.merge(came, besides, key=lambda one: one.time):
            time = max(message.time, self.moment_of(ask.path))
            if ask.deadline is not None and time > ask.deadline:
                return None
            if message.id not in self.taken and message.id not in self.memory.told:
                self.taken[message.id] = ask
                return Told(_turn_at(self.memory, time), Arrived(time, message.id, message.body))
        return None

    @staticmethod
    def _delay(ask: Await, said: Said | None) -> Told | None:
        if said is not None and isinstance(said.event, Expired) and _is_until(said, ask.deadline):
            return Told(said.turn, said.event)
        return None if ask.deadline is None else Told(LAST if said is None else said.turn, Expired(ask.deadline))

    def _arrival(self, ask: Await) -> Said | None:
        """What was told a wait for the same elsewhere: the message that came, or that none did until the same deadline."""
        wanted = _question(ask)
        fits = (one for _, one in self._free(str(ask.type)) if one.question == wanted and not self._is_taken(one))
        return next((one for one in fits if isinstance(one.event, Arrived) or _is_until(one, ask.deadline)), None)

    # -- messages sent ----------------------------------------------------------------------------------------------------

    def _send(self, ask: Send) -> Told:
        if self.known.get(ask.path) != canonical(ask.body) and (fault := self.valid(ask.type, ask.body)):
            return Told(NOW, Failure("send.invalid", f"{ask.type} cannot be sent: {fault}", ask.place, ask.path))
        said = self.memory.by_path.get(ask.path)
        if said is not None and isinstance(said.event, Noted) and said.event.value:
            return Told(said.turn, said.event)
        planned = "planned-" + hashlib.sha256(f"{self.message.id}|{ask.path}".encode()).hexdigest()[:32]
        if canonical(ask.body) not in self.known.values():
            time = self.moment_of(ask.path)
            self.besides[planned] = self.message._replace(id=planned, type=ask.type, time=time, body=ask.body, sender="bus")
        return Told(NOW, Noted(self.message.time, {"id": planned}))


def _is_until(said: Said, deadline: dt.datetime | None) -> bool:
    return deadline is not None and said.deadline == text_of(deadline)


def _question(ask: Await) -> bytes | None:
    """The key of a wait in the form in which the log keeps it."""
    return canonical(list(ask.key)) if ask.key else None
