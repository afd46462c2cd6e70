"""One run recomputed from its records and compared with them, step by step.

A run has one *life* more for each time that a person redelivered or decided it: each is recomputed under the rules it had, from all
that was known until its end, and compared with what was recorded in it. What is compared: each call with its request and our key, each
wait with its key and deadline, each message sent, each reply, each key learnt, and the end. What outside systems did is evidence, not
recomputed: retries, times and failures are taken as they were recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from pydantic import ValidationError

from bus.adapter import Operation
from bus.clock import text_of
from bus.engine import journal
from bus.engine.asks import Answered, Arrived, Ask, Await, Call, Close, Event, Failed, Failure, Join, Reply, Send
from bus.engine.interpreter import Walk, Watch
from bus.engine.recorded import LAST, Told, follow
from bus.errors import Damaged, EvidenceError, ExpressionError, NotFound, RulesError
from bus.log.record import Record
from bus.message import JsonValue, canonical, parsed, without_nulls
from bus.replay.evidence import Evidence, Opening
from bus.replay.fields import changes

Result: TypeAlias = Literal[
    "equal", "different", "unknown call", "unavailable: damaged", "unavailable: erased", "unavailable: absent", "unavailable: undeclared"
]
RESULTS: tuple[Result, ...] = get_args(Result)
"""What a recount says, the worst behind ``equal`` first."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One step that is not as recorded, or cannot be told. ``field``: what of it, down to the fields that differ; ``rules``: a digest."""

    result: Result
    sentence: str
    place: str
    path: str
    rules: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one run's recount. ``state``: done, dead, cancelled, waiting or ready, or unknown; ``steps``: asks compared."""

    opening: Opening
    result: Result
    state: str
    steps: int
    differences: tuple[Difference, ...] = ()


class _Unread(NamedTuple):
    """Stands in an event for the value of a payload that nobody can open."""

    payload: str


_KINDS: Mapping[type, frozenset[str]] = {
    Call: frozenset({"asked", "answered", "refused", "unanswered"}),
    Await: frozenset({"waiting", "matched", "expired"}),
    Send: frozenset({"sent"}),
    Reply: frozenset({"replied"}),
    Join: frozenset({"joined"}),
    Close: frozenset({"closed"}),
}
_ONCE = frozenset({"sent", "replied", "joined", "closed", "matched", "expired"})
"""Kinds of which there is one for each ask in a life; calls are tried again, and a wait begins again in another life."""
_STEPS = frozenset().union(*_KINDS.values())
_NEW_LIFE = frozenset({"redelivered", "decided"})
_ENDS = frozenset({"done", "dead"})


def recount(opening: Opening, evidence: Evidence, operations: Mapping[str, Operation]) -> Verdict:
    """Recompute one run from its records and compare. ``operations`` by full name say what a request looks like."""
    try:
        records = evidence.journal(opening.run)
    except Damaged as error:
        said = Difference("unavailable: damaged", error.sentence, opening.name, "", opening.digest)
        return Verdict(opening, said.result, "unknown", 0, (said,))
    starts = [0, *(place for place, record in enumerate(records) if record.kind in _NEW_LIFE), len(records)]
    steps, found = 0, list[Difference]()
    for start, end in pairwise(dict.fromkeys(starts) if records else (0, 0)):
        life = _Life(opening, records[:end], start, evidence, operations)
        steps += life.compare()
        lacking = {(one.path, one.sentence) for one in found}  # a later life lacks what an earlier one did
        found += (one for one in life.found if not (_is_lack(one) and (one.path, one.sentence) in lacking))
    results = {one.result for one in found}
    result: Result = next((worst for worst in RESULTS[1:] if worst in results), "equal")
    return Verdict(opening, result, _state(records), steps, tuple(found))


class Retrace(NamedTuple):
    """The last life of a run, walked again: how far it came, what it asked, under which rules, with which ends that are recorded.

    ``died``: the code that its last record `dead` says; a process that ended over the run is one that no walk comes to.
    ``failed``: by path, what the last try of each call that got no answer ended with.
    """

    walk: Walk
    asked: Sequence[Ask]
    rules: str
    state: str
    died: str
    failed: Mapping[str, Record]


def retraced(opening: Opening, evidence: Evidence, watch: Watch) -> Retrace:
    """Walk the last life of a run again; ``watch`` is told every condition.

    Raises `RulesError`, `EvidenceError` for a beginning that its rules do not have, `NotFound` when its message is erased, `Damaged` when
    it cannot be opened though nobody erased it.
    """
    records = evidence.journal(opening.run)
    start = max((place for place, record in enumerate(records) if record.kind in _NEW_LIFE), default=0)
    life = _Life(opening, records, start, evidence, {}, watch=watch)
    walked = life.walk_again()
    if walked is None:
        if (why := evidence.unopened.get(evidence.messages.get(opening.message, ""))) is not None:
            sentence = f"the message {opening.message} of this run cannot be opened: {why.sentence}"
            raise Damaged(sentence, code=why.code, hint=why.hint)
        hint = f"its journal is still there: bus runs show {opening.run}"
        raise NotFound("the message of this run has been erased", code="why.erased", hint=hint)
    died = next((str(record.data["code"]) for record in reversed(records) if record.kind == "dead"), "")
    failed = {record.path: record for record in records[start:] if record.kind == "unanswered" and record.path is not None}
    return Retrace(*walked, life.rules, _state(records), died, failed)


def _state(records: Sequence[Record]) -> str:
    """The state in which the records leave a run; who works at it just now is not in the log."""
    state = "ready"
    for record in records:
        woken = state == "waiting" and record.kind in ("matched", "expired")
        state = str(record.data.get("state", "ready" if woken else state))
    return state


@dataclass(slots=True)
class _Life:
    """One life of a run: ``records`` are all until its end, its own begin at ``start``."""

    opening: Opening
    records: Sequence[Record]
    start: int
    evidence: Evidence
    operations: Mapping[str, Operation]
    found: list[Difference] = field(default_factory=list)
    watch: Watch | None = None
    own: Sequence[Record] = field(init=False)
    rules: str = field(init=False)
    end: Record | None = field(init=False)
    """The record that ended this life, if it has ended."""
    _at: dict[str, list[Record]] = field(init=False, default_factory=dict)
    """All records by their path: a run may ask ten thousand things."""
    _keys: dict[str, set[str]] = field(init=False, default_factory=dict)
    """By path, the keys with which a call went out in earlier lives: it keeps its first one, also under new rules."""

    _owners: dict[str, str] = field(init=False, default_factory=dict)
    """By payload whose it is; made when one cannot be opened."""

    def __post_init__(self) -> None:
        self.own = self.records[self.start :]
        self.rules = next((record.rules for record in self.own if record.rules), self.opening.digest)
        last = next((record for record in reversed(self.own) if "state" in record.data and record.kind != "discarded"), None)
        self.end = last if last is not None and last.kind in _ENDS else None
        for number, record in enumerate(self.records):
            if record.path is not None:
                self._at.setdefault(record.path, []).append(record)
                if record.kind == "asked" and number < self.start:
                    self._keys.setdefault(record.path, set()).add(record.data["key"])

    def compare(self) -> int:
        """Recompute and compare; returns how many asks were compared."""
        try:
            walked = self.walk_again()
        except (RulesError, ExpressionError, EvidenceError) as error:
            absent = error.code == "rules.missing" and self.evidence.missing == "unavailable: absent"  # a database must have them
            self._say(self.evidence.missing if absent else "different", f"cannot be recomputed: {error.sentence}", self.opening.name)
            return 0
        if walked is None:
            self._say_closed("the message", self.evidence.messages.get(self.opening.message, ""), self.opening.name)
            return 0
        walk, asked = walked
        self._judge(walk, asked)
        return len(asked)

    def walk_again(self) -> tuple[Walk, list[Ask]] | None:
        """The walk of this life as far as what is recorded leads, and all it asked; None when its message is erased."""
        message = self.evidence.message(self.opening.message)
        if message is None:
            return None
        plan = self.evidence.book.plan(self.rules)
        told = self._told()

        def walked() -> tuple[Walk, list[Ask]]:
            walk = Walk(plan, message, self.opening.entry, self.watch)
            return walk, follow(walk, lambda ask: told.get(ask.path))

        walk, asked = walked()
        if self.end is not None and not walk.finished and self._kept_waits_are_last(told):
            return walked()
        return walk, asked

    # -- what the journal tells -----------------------------------------------------------------------------------------

    def _told(self) -> dict[str, Told]:
        """What is told at each path, in the order of the journal."""
        known = journal.fold(self.records, self._value, self._body)
        told: dict[str, Told] = {}
        for turn, (path, event) in enumerate(known.events):
            if path not in told and not self._is_unread(event, path):
                told[path] = Told(turn, event)
        end = self.end
        if end is not None and end.path is not None and end.data.get("code") == "send.invalid" and end.path not in told:
            told[end.path] = Told(LAST, self._failure(end))
        return told

    def _kept_waits_are_last(self, told: dict[str, Told]) -> bool:
        """A message may have been matched while the run was failing elsewhere, and not have been heard of any more."""
        waits = {path: one for path, one in told.items() if not isinstance(one.event, (Answered, Failed, Failure))}
        told.update({path: Told(len(self.records) + one.turn, one.event) for path, one in waits.items()})
        return bool(waits)

    def _value(self, payload: str) -> Any:
        content = self.evidence.content(payload)
        return _Unread(payload) if content is None else parsed(content)

    def _body(self, message: str) -> Any:
        found = self.evidence.message(message)
        return _Unread(self.evidence.messages.get(message, "")) if found is None else found.body

    def _is_unread(self, event: Event, path: str) -> bool:
        match event:
            case Answered(answer=said) | Failed(error=said) | Arrived(body=said):
                value: Any = said
                if isinstance(value, _Unread):
                    what = "the message that came" if isinstance(event, Arrived) else "the answer"
                    self._say_closed(what, value.payload, self._place_at(path), path)
                    return True
        return False

    def _failure(self, end: Record) -> Failure:
        content = self.evidence.content(str(end.payload("failure")))
        told = {} if content is None else parsed(content)
        return Failure(str(end.data["code"]), told.get("sentence", ""), end.place or "", end.path or "", detail=told.get("detail", {}))

    def _place_at(self, path: str) -> str:
        return next((record.place for record in self._at.get(path, ()) if record.place), self.opening.name)

    # -- comparing --------------------------------------------------------------------------------------------------------

    def _judge(self, walk: Walk, asked: Sequence[Ask]) -> None:
        own: dict[str, list[Record]] = {}
        for record in self.own:
            if record.path is not None and record.kind in _STEPS:
                own.setdefault(record.path, []).append(record)
        for ask in asked:
            records = own.pop(ask.path, ())
            for record in records:
                self._compare(ask, record)
            self._compare_all(ask, records)
        if self.end is not None:  # before what is left over, which follows from it
            self._judge_end(walk, self.end)
        for path, records in own.items():
            if not self._cut_off(walk):
                self._say("different", f"recorded ({records[0].kind}), but the rules do not ask it", records[0].place or "", path)

    def _cut_off(self, walk: Walk) -> bool:
        """Whether nothing can be said of what follows, because what came before it is erased."""
        return any(map(_is_lack, self.found)) and not walk.finished

    def _judge_end(self, walk: Walk, end: Record) -> None:
        if self._cut_off(walk):
            return
        if end.kind == "dead" and (end.path is None or end.data.get("stopped")):
            return  # the bus stopped it (its rules or its message could not be had, our own code failed): not of the rules' making
        failure, code = walk.failure, end.data.get("code")
        if not walk.finished:
            self._judge_pending(walk)
        elif end.kind == "done":
            if failure is not None and failure.dead:
                self._say("different", f"the run was done, recomputed it dies of {failure.code}", failure.place, failure.path)
            elif code != (ended := failure.code if failure else None):
                sentence = f"the run ended {_early(code)}, recomputed it ends {_early(ended)}"
                self._say("different", sentence, end.place or "", end.path or "")
        elif failure is None or not failure.dead:
            self._say("different", f"the run died of {code}, recomputed it is done", end.place or "", end.path or "")
        else:
            self._compare_failure(end, failure)

    def _judge_pending(self, walk: Walk) -> None:
        """The run has ended, and recomputed it still asks."""
        for ask in walk.pending.values():
            if isinstance(ask, Call):
                self._say("unknown call", f"{ask.operation}: the log has no answer", ask.place, ask.path)
            else:
                sentence = f"recomputed as {type(ask).__name__.lower()}, but nothing of it is recorded"
                self._say("different", sentence, ask.place, ask.path)

    def _compare_failure(self, end: Record, failure: Failure) -> None:
        recorded, failed = self._failure(end), str(end.payload("failure"))
        if failed in self.evidence.unopened:
            self._say_closed("the failure", failed, end.place or "", end.path or "")
        parts = ("code", "place", "path", *(["sentence"] if self.evidence.content(failed) is not None else []))
        if unlike := [name for name in parts if getattr(recorded, name) != getattr(failure, name)]:
            sentence = f"the run died of {recorded.code} at {recorded.place}, recomputed of {failure.code}"
            self._say("different", sentence, failure.place, failure.path, *unlike)

    def _compare_all(self, ask: Ask, records: Sequence[Record]) -> None:
        """Whether all that must be was recorded of an ask, and once: a bundle may lack a record, and what is not there is not compared."""
        kinds = Counter[str](record.kind for record in records)
        for kind in sorted(kind for kind in _ONCE & set(kinds) if kinds[kind] > 1):
            self._say("different", f"recorded {kinds[kind]} times ({kind})", ask.place, ask.path)
        begun = self._at.get(ask.path, ())
        if isinstance(ask, Call) and any(map(_left, records)) and not any(record.payload("request") for record in begun):
            self._say("different", "the request: none was recorded", ask.place, ask.path, "request")
        if isinstance(ask, Await) and records and not any(record.kind == "waiting" for record in begun):
            self._say("different", "the wait: none was recorded", ask.place, ask.path)

    def _compare(self, ask: Ask, record: Record) -> None:
        if record.place not in (None, ask.place):
            self._say("different", f"recorded of {record.place}", ask.place, ask.path, "place")
        if record.rules not in (None, self.rules):
            self._say("different", f"recorded under the rules {str(record.rules)[:12]}…", ask.place, ask.path, "rules")
        if record.kind not in _KINDS[type(ask)]:
            self._say("different", f"recorded ({record.kind}), recomputed as {type(ask).__name__.lower()}", ask.place, ask.path)
            return
        match ask:
            case Call():
                self._compare_call(ask, record)
            case Await():
                self._compare_wait(ask, record)
            case Send():
                sent = str(record.data.get("stands", record.data["sent"]))
                said = self.evidence.message(sent)
                self._compare_data(ask, record, type=ask.type)
                payload = self.evidence.messages.get(sent, "")
                self._compare_value(ask, "message", payload, None if said is None else canonical(said.body), ask.body)
            case Reply():
                self._compare_payload(ask, record, "reply", ask.body)
            case Join():
                self._compare_payload(ask, record, "keys", dict(ask.keys))
            case Close():
                self._compare_data(ask, record, type=ask.type, entry=ask.entry)
                self._compare_payload(ask, record, "key", list(ask.key) if ask.key else None)

    def _compare_call(self, ask: Call, record: Record) -> None:
        if "operation" in record.data:
            self._compare_data(ask, record, operation=ask.operation)
        if record.kind == "asked" and record.data["key"] not in {ask.key, *self._keys.get(ask.path, ())}:
            self._say("different", "our key of the call", ask.place, ask.path)
        identity = record.payload("request")
        if identity is not None:
            self._compare_request(ask, identity, self.evidence.content(identity))

    def _compare_request(self, ask: Call, payload: str, recorded: bytes | None) -> None:
        if recorded is None or recorded == canonical(ask.request):
            self._compare_value(ask, "request", payload, recorded, ask.request)
        elif recorded != canonical(without_nulls(ask.request)):
            self._compare_taken(ask, payload, parsed(recorded))

    def _compare_taken(self, ask: Call, payload: str, recorded: JsonValue) -> None:
        """Compare two requests by what the adapter of today makes of each.

        It adds what the rules leave to it, and need not be the adapter that made the recorded one.
        """
        operation = self.operations.get(ask.operation)
        if operation is None:
            sentence = f"no adapter declares {ask.operation}: its request cannot be compared"
            self._say("unavailable: undeclared", sentence, ask.place, ask.path)
            return
        then, strange = _taken(operation, recorded)
        if strange:
            sentence = f"{ask.operation} takes other requests now than then: this one cannot be compared"
            self._say("unavailable: undeclared", sentence, ask.place, ask.path)
            return
        made, refused = _taken(operation, ask.request)
        if refused:
            self._say("different", f"{ask.operation} cannot be asked what is recomputed", ask.place, ask.path, *refused)
            return
        # where the adapter prepares a request, it adds what only it knows: numbers, days; what the rules said must be there
        lay = _laid_over if operation.prepare is not None else _alone
        if not any(canonical(lay(known, made)) == canonical(known) for known in (recorded, then)):
            self._compare_value(ask, "request", payload, canonical(then), lay(then, made))

    def _compare_wait(self, ask: Await, record: Record) -> None:
        if "type" in record.data:
            self._compare_data(ask, record, type=ask.type)
        if record.kind == "waiting":
            self._compare_data(ask, record, deadline=None if ask.deadline is None else text_of(ask.deadline))
            self._compare_payload(ask, record, "key", list(ask.key) if ask.key else None)
        if record.kind == "matched":
            self._compare_arrival(ask, record.data["arrival"])

    def _compare_arrival(self, ask: Await, arrival: str) -> None:
        """Whether the message that was given is one that is waited for: by its type, and by its key where there is one."""
        message, keys = self.evidence.message(arrival), self.evidence.keys(arrival)
        if message is not None and message.type != ask.type:
            self._say("different", "the message that came is of another type", ask.place, ask.path, "type")
        if keys is not None and ask.key is not None and keys.get(ask.key[0]) != ask.key[1]:
            self._say("different", "the message that came has another key", ask.place, ask.path, "key")

    def _compare_data(self, ask: Ask, record: Record, **recomputed: Any) -> None:
        for name, value in recomputed.items():
            if record.data.get(name) != value:
                self._say("different", f"{name} was {record.data.get(name)}, recomputed {value}", ask.place, ask.path, name)

    def _compare_payload(self, ask: Ask, record: Record, role: str, made: JsonValue) -> None:
        identity = record.payload(role)
        if identity is None:
            if made is not None:
                self._say("different", f"{role}: none was recorded", ask.place, ask.path, role)
            return
        self._compare_value(ask, role, identity, self.evidence.content(identity), made)

    def _compare_value(self, ask: Ask, role: str, payload: str, recorded: bytes | None, made: JsonValue) -> None:
        if recorded is None:
            self._say_closed(f"the {role}", payload, ask.place, ask.path)
        elif canonical(made) != recorded:
            fields = (field for field, _, _ in changes(parsed(recorded), made, role))
            self._say("different", f"the {role}", ask.place, ask.path, *fields)

    def _say_closed(self, what: str, payload: str, place: str, path: str = "") -> None:
        """Say why nobody can open a payload that is needed, and whose it is."""
        why = self.evidence.unopened.get(payload)
        if why is None:
            self._say(self.evidence.missing, what, place, path)
            return
        if not self._owners:
            self._owners = {held: message for message, held in self.evidence.messages.items()}
            self._owners |= {held.id: f"of record {one.id}" for one in reversed(self.records) for held in one.payloads}
        self._say("unavailable: damaged", f"{what} {self._owners.get(payload, '')}: {why.sentence}", place, path)

    def _say(self, result: Result, sentence: str, place: str, path: str = "", *fields: str) -> None:
        self.found.append(Difference(result, sentence, place, path, self.rules, tuple(fields)))


def _early(code: str | None) -> str:
    return f"early with {code}" if code else "at its last step"


def _is_lack(difference: Difference) -> bool:
    """Whether it says that something is not there to be compared."""
    return difference.result.startswith("unavailable")


def _left(record: Record) -> bool:
    """Whether a record of a call says that the request went out, or may have."""
    return record.kind in ("asked", "answered") or record.data.get("kind") == "in_doubt"


def _taken(operation: Operation, request: JsonValue) -> tuple[JsonValue, list[str]]:
    """What an operation would keep of a request, or the fields for which it refuses it."""
    try:
        return operation.request.model_validate(request).model_dump(mode="json", exclude_none=True), []
    except ValidationError as error:
        return None, [".".join(map(str, fault["loc"])) for fault in error.errors()]


def _alone(_: Any, made: Any) -> Any:
    return made


def _laid_over(recorded: Any, made: Any) -> Any:
    """What was recorded, with everything in its place that the rules said."""
    if isinstance(recorded, dict) and isinstance(made, dict):
        return {**recorded, **{name: _laid_over(recorded.get(name), value) for name, value in made.items()}}
    return made
