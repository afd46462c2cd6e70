"""The interpreter: a plan and a message become asks; events become progress. Pure: no I/O, no clock, no randomness.

A `Walk` is one run's way through its plan. It is driven by four drivers (live, test, replay, plan) that differ only in
where events come from. Fed with the same events in the same order it asks the same, always: that is what recovery,
replay and plan rest on.

A *strand* is a sequence of steps with what its expressions can see; ``parallel`` makes several. Each step kind is a generator in
`bus.engine.steps`: it yields an ask and gets the event.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeAlias
from weakref import proxy

from bus.clock import text_of
from bus.engine import steps
from bus.engine.asks import Answered, Ask, Call, Event, Failure, Fork, StepCode, StepFailed
from bus.engine.names import key_texts
from bus.errors import ExpressionError
from bus.message import JsonValue, Message, envelope_of
from bus.route.plan import Expression, Plan, Step, Template

if TYPE_CHECKING:
    from bus.mapping.types import MessageType


class Condition(NamedTuple):
    """A condition that was asked: of the step at ``place``, ``what`` of it (``when``, ``choose[0].when``), on these names.

    Steps without a ``when`` are told too, with no expression: they were reached.
    """

    path: str
    place: str
    what: str
    expression: Expression | None
    scope: Mapping[str, Any]
    holds: bool


Watch: TypeAlias = Callable[[Condition], None]


@dataclass(slots=True)
class Instant:
    """The time of the last event a sequence of steps has seen; shared by the strands of that sequence."""

    moment: dt.datetime


@dataclass(slots=True)
class Strand:
    """A sequence of steps: the names its expressions see, its time, its place in the run.

    ``walk`` is a proxy: a walk holds its strands, and one that rests would stay, its message with it, until cycles are looked for.
    Branches share one ``scope``; ``own`` names (the ``error`` of a clause, the ``items`` of a deadline) go over it and are seen here alone.
    """

    walk: Walk
    scope: dict[str, Any]
    instant: Instant
    prefix: str = ""
    own: dict[str, Any] = field(default_factory=dict)

    def path(self, step: Step) -> str:
        return f"{self.prefix}{step.id}"

    def inside(self, prefix: str, **names: Any) -> Strand:
        """A strand below this one that sees these names too, and does not leak its own."""
        return Strand(self.walk, {**self.scope, **self.own, **names}, self.instant, prefix)

    def beside(self, prefix: str) -> Strand:
        """A strand that writes into the same scope and has a time of its own."""
        return Strand(self.walk, self.scope, Instant(self.instant.moment), prefix, self.own)

    def below(self, prefix: str) -> Strand:
        """The same strand, further down the path."""
        return Strand(self.walk, self.scope, self.instant, prefix, self.own)

    def seeing(self, **names: Any) -> Strand:
        """The same strand with names that only it sees; what else it defines stays."""
        return Strand(self.walk, self.scope, self.instant, self.prefix, {**self.own, **names})

    def follow(self, several: Sequence[Step]) -> StepCode:
        """Steps one after the other; see `bus.engine.steps.sequence`."""
        return steps.sequence(several, self)

    def define(self, name: str, value: Any) -> None:
        """Give a name to a value, for the steps that come after."""
        (self.own if name in self.own else self.scope)[name] = value

    def learn(self, keys: Mapping[str, str]) -> None:
        """The case is known by these keys too, beside those that branches at its side have learnt."""
        self.scope["case"] = {**self.scope["case"], **keys}

    def evaluate(self, expression: Expression | Template, step: Step, what: str, **names: Any) -> JsonValue:
        """The value of an expression here and now; a failing one ends the run with place and sentence."""
        try:
            return expression({**self.scope, **self.own, **names, "now": text_of(self.instant.moment)})
        except ExpressionError as error:
            return self.fail(step, error.code, f"{what}: {error.sentence}")

    def holds(self, expression: Expression | None, step: Step, what: str, **names: Any) -> bool:
        """Whether a condition holds; one that is neither true nor false ends the run."""
        value = True if expression is None else self.evaluate(expression, step, what, **names)
        if not isinstance(value, bool):
            self.fail(step, "expression.not-a-condition", f"{what}: the condition gave {type(value).__name__}, not true or false")
        if self.walk.watch is not None:
            self.walk.watch(Condition(self.path(step), step.place, what, expression, {**self.scope, **self.own, **names}, value))
        return value

    def fail(self, step: Step, code: str, sentence: str, *, undo: bool = False, dead: bool = True, **detail: Any) -> NoReturn:
        """End the run here."""
        raise StepFailed(Failure(code, sentence, step.place, self.path(step), undo, detail, dead))


@dataclass(slots=True)
class _Parked:
    """A strand that has asked and waits for its event; ``joint`` is where it ends when it is a branch."""

    strand: Strand
    code: StepCode
    joint: _Joint | None = None


@dataclass(slots=True)
class _Joint:
    """Where the branches of a `Fork` come together and their parent goes on."""

    parent: _Parked
    left: int


@dataclass(frozen=True, slots=True)
class Completed:
    """A call that was answered and can be taken back."""

    call: Call
    answer: JsonValue


@dataclass
class Walk:
    """One run's way through its plan. `start` once, then `answer` for each event; both return the new asks.

    ``entry`` names the step whose ``on_late`` is walked instead of the whole route, and after a blank the run that it came too late
    for: one message may come too late for several. ``watch`` is told every condition. The run has ended when ``finished``; it
    has failed when ``failure`` is set (where that is not ``dead``, it goes no further), and then only calls in flight and undo calls are
    still pending.
    """

    plan: Plan
    message: Message
    entry: str = ""
    watch: Watch | None = None
    pending: dict[str, Ask] = field(default_factory=dict)
    failure: Failure | None = None
    finished: bool = False
    _parked: dict[str, _Parked] = field(default_factory=dict)
    _fresh: list[Ask] = field(default_factory=list)
    _completed: list[Completed] = field(default_factory=list)
    _undoing: bool = False

    @property
    def winding_up(self) -> bool:
        """Whether the run has failed and only calls on their way keep it from undoing, or from ending."""
        return self.failure is not None and not self._undoing and not self.finished

    def start(self) -> list[Ask]:
        """The first asks."""
        strand = self._first_strand()
        self._advance(_Parked(strand, steps.of_entry(self.plan, self.entry.partition(" ")[0], strand)), None)
        return self._take_fresh()

    def answer(self, path: str, event: Event) -> list[Ask]:
        """Feed the event of one pending ask; raises KeyError when nothing at that path is waiting."""
        ask, parked = self.pending.pop(path), self._parked.pop(path)
        parked.strand.instant.moment = max(parked.strand.instant.moment, event.time)
        if isinstance(ask, Call) and isinstance(event, Answered) and ask.undo:
            self._completed.append(Completed(ask, event.answer))
        if self.failure is None or self._undoing:
            self._advance(parked, event)
        else:
            if not self.failure.dead:
                self.failure = steps.doubt_of(ask, event) or self.failure
            self._wind_up()
        return self._take_fresh()

    def give_up(self, failure: Failure) -> None:
        """The run fails: it asks nothing more. Calls in flight come home first; then what was done is undone, if the failure says so."""
        if self._undoing:
            failure = replace(failure, code="undo.failed", undo=False)
            self._completed.clear()
        self.failure = failure
        in_flight = {path for path, ask in self.pending.items() if isinstance(ask, Call) and ask not in self._fresh}
        self._fresh.clear()
        for path in set(self.pending) - in_flight:
            del self.pending[path], self._parked[path]
        self._wind_up()

    def moment_of(self, path: str) -> dt.datetime:
        """When the ask at a path was made: the time of what was told last on the way to it."""
        return self._parked[path].strand.instant.moment

    def key_of(self, path: str) -> str:
        """The outgoing key: message, rules, place in the run. The same over retries, redeliveries and restarts."""
        late_for = self.entry.partition(" ")[2]
        parts = (self.message.id, self.plan.digest, path, *((late_for,) if late_for else ()))
        return hashlib.sha256("|".join(parts).encode()).hexdigest()

    def _first_strand(self) -> Strand:
        envelope = envelope_of(self.message)
        keys = {} if self.entry else case_keys(at_the_door(self.message, envelope), self.plan)
        scope = {"body": self.message.body, "message": envelope, "case": keys}
        return Strand(proxy(self), scope, Instant(self.message.time))

    def _take_fresh(self) -> list[Ask]:
        fresh, self._fresh = self._fresh, []
        return fresh

    def _advance(self, at: _Parked, event: Event | None) -> None:
        """Push one strand until it asks, forks or ends; when the last branch ends, go on with the parent."""
        current: _Parked | None = at
        while current is not None:
            try:
                asked = current.code.send(event)
            except StopIteration:
                current = self._ended(current)
            except StepFailed as stop:
                self.give_up(stop.failure)
                return
            else:
                if not isinstance(asked, Fork):
                    self._park(current, asked)
                    return
                current = self._fork(current, asked)
            event = None

    def _park(self, current: _Parked, ask: Ask) -> None:
        if ask.path in self.pending:
            raise RuntimeError(f"two asks at {ask.path}: step ids must be unique in a route")
        self.pending[ask.path] = ask
        self._parked[ask.path] = current
        self._fresh.append(ask)

    def _fork(self, current: _Parked, fork: Fork) -> _Parked | None:
        joint = _Joint(current, len(fork.children))
        for strand, code in fork.children:
            self._advance(_Parked(strand, code, joint), None)
            if self.failure is not None:
                return None
        return None if fork.children else current

    def _ended(self, current: _Parked) -> _Parked | None:
        joint = current.joint
        if joint is None:
            self.finished = True
            return None
        joint.left -= 1
        parent = joint.parent
        parent.strand.instant.moment = max(parent.strand.instant.moment, current.strand.instant.moment)
        return parent if joint.left == 0 else None

    def _wind_up(self) -> None:
        if self.failure is None or self.pending or self.finished:
            return
        if self.failure.undo and self._completed and not self._undoing:
            self._undoing = True
            strand = self._first_strand()
            self._advance(_Parked(strand, steps.undo(self._completed[::-1], strand)), None)
        else:
            self.finished = True


def case_keys(scope: Mapping[str, Any], *told: Plan | MessageType) -> dict[str, str]:
    """The business keys that its type and routes read in a message, seen as `at_the_door`; raises ExpressionError."""
    keys: dict[str, str] = {}
    for one in told:
        keys |= key_texts({name: expression(scope) for name, expression in one.case.items()})
    return keys


def at_the_door(message: Message, envelope: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What expressions see of a message that has begun no run yet: it has no case. ``envelope`` is the message's, if at hand."""
    return {"body": message.body, "message": envelope or envelope_of(message), "now": text_of(message.time), "case": {}}
