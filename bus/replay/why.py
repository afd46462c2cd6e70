"""Why a run went the way it went, and why not another way: its conditions, where they are written, and what they read.

The run is walked again from its journal under the rules it had (`bus.replay.recount.retraced`); the interpreter tells every condition it
asks. Nothing is computed a second way, so what is told is what happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any, TypeAlias

from bus.engine.asks import Ask, Await, Call
from bus.engine.interpreter import Condition
from bus.errors import PERSON, one_line
from bus.expression import Expression
from bus.log.record import Record, items_of
from bus.mapping.protected import EVERYTHING, masked_whole
from bus.mapping.protected import masked as by_type
from bus.mapping.types import MessageType
from bus.message import JsonValue, canonical
from bus.replay.evidence import Evidence, Opening
from bus.replay.people import HIDDEN
from bus.replay.places import Places
from bus.replay.recount import Retrace, retraced
from bus.route import plan as p

Where: TypeAlias = tuple[p.Step, str, int]
"""An enclosing step, the part of it that holds the inner steps, and which of several."""

_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Reason:
    """One sentence about the step at ``place``, with the place in its file and, for a condition, its text and what it read.

    ``path``: where in this run, as in `bus.engine.asks`: it says which item of an ``each``. Empty where it is told of the step alone.
    """

    at: str
    place: str
    sentence: str
    text: str = ""
    values: tuple[tuple[str, str], ...] = ()
    path: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "at": self.at, "place": self.place, "path": self.path, "sentence": self.sentence, "condition": self.text,
            "values": dict(self.values),
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        step = self.place.partition("/")[2] or self.place
        yield f"  {self.at}  {step}{items_of(self.path)}: {self.sentence}"
        if self.text:
            yield f"      {one_line(self.text)}"
        yield from (f"      {name} = {value}" for name, value in self.values)


@dataclass(frozen=True, slots=True)
class Values:
    """What may be shown of what was said, by the kinds of fields that somebody ``sees``: None: nothing. ``types`` say what is protected."""

    sees: frozenset[str] | None = None
    types: Mapping[str, MessageType] = field(default_factory=dict)

    def sentence(self, text: str) -> str:
        """The text of a failure."""
        return masked(one_line(text)) if self.sees is not None and self.sees >= EVERYTHING else HIDDEN

    def read(self, one: Condition) -> Iterator[tuple[str, str]]:
        """What a condition read: each path with its value, as far as it may be shown."""
        scope = self._scope(one.scope)
        seen = set[str]()
        for reference in one.expression.reads.references if isinstance(one.expression, Expression) else ():
            if reference.text not in seen:
                seen.add(reference.text)
                yield reference.text, HIDDEN if self.sees is None else _shown(_value(scope, reference.path))

    def _scope(self, scope: Any) -> Any:
        """The names of a condition: the message masked by its type, all else whole or not at all."""
        if self.sees is None or self.sees >= EVERYTHING or not isinstance(scope, dict):
            return scope
        message, body = scope.get("message"), scope.get("body")
        declared = self.types.get(str(message.get("type"))) if isinstance(message, dict) else None
        hidden = {name: masked_whole(value) for name, value in scope.items()}
        return hidden if declared is None else {**hidden, "body": by_type(body, declared, self.types, self.sees)}


@dataclass
class Account:
    """The last life of one run, with every condition that it asked."""

    opening: Opening
    past: Retrace
    places: Places
    conditions: Sequence[Condition]
    values: Values
    _reached: dict[str, list[Condition]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.conditions:
            self._reached.setdefault(one.place, []).append(one)

    @property
    def plan(self) -> p.Plan:
        return self.past.walk.plan

    def head(self) -> str:
        return f"{self.opening.run}  {self.opening.name}  {self.past.state}  rules {self.past.rules[:12]}"

    # --- why -----------------------------------------------------------------------------------------------------------

    def why(self) -> list[Reason]:
        """Every condition in the order in which it was asked, and how the run ended or what it waits for."""
        asked = [self._of(one, _outcome(one)) for one in self.conditions if one.expression is not None]
        return [*asked, *self._ends()]

    def _ends(self) -> list[Reason]:
        """How it ended, or all that it is waiting for, of which branches may have one each."""
        failure, pending = self.past.walk.failure, self.past.walk.pending.values()
        if failure is not None and not failure.dead:
            sentence = f"the run ended here, with {failure.code}: {self.values.sentence(failure.sentence)}"
            return [Reason(self.places.of(failure.place), failure.place, sentence, path=failure.path)]
        if failure is not None:
            since = "; it was given up since" if self.past.state == "cancelled" else ""
            sentence = f"the run died here of {failure.code}: {self.values.sentence(failure.sentence)}{since}"
            return [Reason(self.places.of(failure.place), failure.place, sentence, path=failure.path)]
        if pending:
            return [self._pending(one) for one in pending]
        return [Reason(self.places.of(self.plan.name), self.plan.name, "the route came to its end")]

    def _pending(self, ask: Ask) -> Reason:
        tried = _tried(self.past.failed.get(ask.path))
        return Reason(self.places.of(ask.place), ask.place, _waits(ask, _gone(self.past)) + tried, path=ask.path)

    # --- why not -------------------------------------------------------------------------------------------------------

    def why_not(self, step: str) -> Reason:
        """Why the run did not take a step of its route (or that it did). Raises KeyError when the route has no such step."""
        *outer, (last, _, _) = _way_to(self.plan.steps, step)
        if self.opening.entry:
            late = self.opening.entry.partition(" ")[0]
            begun = [number for number, (inside, part, _) in enumerate(outer) if (inside.id, part) == (late, "on_late")]
            if not begun:
                place = next(one.place for one in self.plan.walk() if one.id == late)
                sentence = f"the run began with a message that came late for `{late}`, and takes the steps of its `on_late` alone"
                return Reason(self.places.of(place), place, sentence)
            outer = outer[begun[0] + 1 :]
        for inside, part, number in outer:
            if reason := self._passed(inside):
                return reason
            if not self._entered(inside, part, number) and (reason := self._elsewhere(inside, part, number)):
                return reason
        if reason := self._passed(last):
            return reason
        if here := next((end for end in self._ends() if end.place == last.place), None):
            return replace(here, sentence=f"the step was taken, and {here.sentence}")
        when = next((one for one in self._reached[last.place] if one.what == "when" and one.holds), None)
        if when is not None and when.expression is not None:
            return self._of(when, "the step was taken: its condition held")
        return Reason(self.places.of(last.place), last.place, "the step was taken")

    def _passed(self, step: p.Step) -> Reason | None:
        """Why a step was not taken, as far as itself and what came before it tell; None when it was."""
        seen = [one for one in self._reached.get(step.place, ()) if one.what == "when"]
        if not seen:
            before = list(takewhile(lambda place: place != step.place, (one.place for one in self.plan.walk())))
            end = max(self._ends(), key=lambda end: before.index(end.place) if end.place in before else -1)  # the nearest
            return replace(end, sentence=f"the run did not come to step `{step.id}`: {end.sentence}")
        if any(one.holds for one in seen):
            return None
        return self._of(seen[-1], f"step `{step.id}` was passed over: its condition did not hold")

    def _entered(self, step: p.Step, part: str, number: int) -> bool:
        """Whether a step that was taken led into one of its parts, for whichever item or deadline."""
        return any(inner[0].place in self._reached for *here, inner in p.parts(step) if here == [part, number] and inner)

    def _elsewhere(self, step: p.Step, part: str, number: int) -> Reason | None:
        """Why a step that was taken never led into one of its parts; None where the run died at the step itself, before that showed."""
        asked = [one for one in self._reached[step.place] if one.what.startswith(f"{part}[") or (part == "otherwise" and "[" in one.what)]
        taken = next((one for one in reversed(asked) if one.holds), None)
        own = next((one for one in reversed(asked) if one.what == f"{part}[{number}].when"), None)
        pending = any(ask.place == step.place for ask in self.past.walk.pending.values())
        match part:
            case "choose" | "on_error" if own is not None and not own.holds:
                return self._of(own, "the condition of this clause did not hold")
            case "choose" | "on_error" | "otherwise" if taken is not None and taken is not own:
                return self._of(taken, "an earlier clause was taken: its condition held")
            case "on_late" if not self.opening.entry:
                return self._told(step, "a message that comes late opens a run of its own, and only that one takes these steps")
            case _ if self.past.walk.failure is not None and self.past.walk.failure.place == step.place:
                return None
            case "on_error" if own is None:
                told = f"the call {self._not_yet('been answered')}" if pending else "the call was answered: nothing failed"
                return self._told(step, told)
            case "on_deadline":
                return self._told(step, f"the deadline {self._not_yet('come')}" if pending else "what was awaited came before the deadline")
            case "each":
                return self._told(step, "the list was empty", "each")
        return None

    def _not_yet(self, happened: str) -> str:
        return f"had not {happened} when the run {gone}" if (gone := _gone(self.past)) else f"has not {happened} yet"

    def _told(self, step: p.Step, sentence: str, part: str = "") -> Reason:
        return Reason(self.places.part(step.place, part) if part else self.places.of(step.place), step.place, sentence)

    def _of(self, one: Condition, sentence: str) -> Reason:
        at = self.places.part(one.place, one.what)
        text = one.expression.text if isinstance(one.expression, Expression) else ""
        return Reason(at, one.place, sentence, text, tuple(self.values.read(one)), one.path)


def account(opening: Opening, evidence: Evidence, values: Values) -> Account:
    """Walk a run again; ``values``: what may be shown.

    Raises `RulesError` when its rules cannot be had, `EvidenceError` when they have no such beginning, `NotFound` when it is erased.
    """
    conditions: list[Condition] = []
    past = retraced(opening, evidence, conditions.append)
    return Account(opening, past, evidence.book.places(past.rules), conditions, values)


def _outcome(one: Condition) -> str:
    part, _, _ = one.what.partition("[")
    said = {
        "when": ("the condition held: the step was taken", "the condition did not hold: the step was passed over"),
        "match": ("the message that came was taken", "the message that came was let pass"),
        "until": ("enough was gathered", "not enough was gathered yet"),
    }.get(part, ("the clause was taken", "the clause was not taken"))
    return said[0] if one.holds else said[1]


def _gone(past: Retrace) -> str:
    """How a run ended that still has something to wait for: a person gave it up, or it is a dead letter of no step's making; else empty."""
    return {"cancelled": "was given up", "dead": f"died of {past.died}"}.get(past.state, "")


def _waits(ask: Ask, gone: str) -> str:
    if isinstance(ask, Await):
        awaited = f"`{ask.type}`" if ask.type else "its deadline"
    elif isinstance(ask, Call):
        awaited = f"the answer of `{ask.operation}`"
    else:
        return f"the run {gone} here" if gone else "the run is on its way here"
    return f"the run {gone} while it waited here for {awaited}" if gone else f"the run waits here for {awaited}"


def _tried(record: Record | None) -> str:
    """How the last try of a call ended, of which nothing but its record is known; empty where none was made."""
    if record is None:
        return ""
    said = record.data.get("cause") or record.data.get("outside_code") or record.data["code"]
    return f"; try {record.attempt} got none: {said}"


_ABSENT: Any = object()


def _value(scope: Any, path: Sequence[str]) -> Any:
    here = scope
    for position, piece in enumerate(path):
        if piece == "[]":
            return [_value(item, path[position + 1 :]) for item in here] if isinstance(here, list) else _ABSENT
        if not isinstance(here, dict) or piece not in here:
            return _ABSENT
        here = here[piece]
    return here


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "(missing)"
    if isinstance(value, list) and any(one is _ABSENT for one in value):
        value = [None if one is _ABSENT else one for one in value]
    plain: JsonValue = value
    text = "".join(one if one.isprintable() else "\ufffd" for one in masked(canonical(plain).decode()))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def masked(text: str) -> str:
    """The text with every codice fiscale made unreadable: whoever may read them does so with `bus message`, and that is in the log."""
    return PERSON.sub(lambda found: f"{found[0][:3]}{'*' * 12}{found[0][-1]}", text)


def _way_to(steps: Sequence[p.Step], wanted: str) -> list[Where]:
    """The steps from the outermost that holds the wanted one to that itself. Raises KeyError."""
    for step in steps:
        if step.id == wanted:
            return [(step, "", 0)]
        for part, number, inner in p.parts(step):
            try:
                return [(step, part, number), *_way_to(inner, wanted)]
            except KeyError:
                continue
    raise KeyError(wanted)
