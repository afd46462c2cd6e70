"""How each step kind runs: a generator ``(step, strand)`` that yields asks and receives their events.

`KINDS` is the language: the eleven kinds, each with its model in `bus.route.steps` and its code here: first what is made of what is known,
then what is asked of others, what is waited for, and the steps that hold steps.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from bus import calendar
from bus.engine.asks import Answered, Arrived, Await, Call, Close, Failed, Failure, Fork, Join, Noted, Reply, Send, StepCode, StepFailed
from bus.engine.names import key_text, key_texts
from bus.errors import EvidenceError, ExpressionError
from bus.message import JsonValue
from bus.route import plan as p

if TYPE_CHECKING:
    from bus.engine.interpreter import Completed, Strand

CODES = {"refused": "call.refused", "unreachable": "call.unreachable", "in_doubt": "call.in-doubt", "invalid": "call.invalid-request"}
"""What a run dies of when no clause takes the error of a call, by its kind."""


def sequence(steps: Sequence[p.Step], strand: Strand) -> StepCode:
    """Steps one after the other; a step whose ``when`` does not hold is passed over."""
    for step in steps:
        if strand.holds(step.when, step, "when"):
            yield from KINDS[type(step)](step, strand)


def of_entry(plan: p.Plan, entry: str, strand: Strand) -> StepCode:
    """The whole route, or what it does with a late arrival at the step named ``entry``.

    Raises `EvidenceError` where no such step waits: a run has its rules for life, so somebody changed the row that says where it begins.
    """
    if not entry:
        return sequence(plan.steps, strand)
    late = next((step for step in plan.walk() if step.id == entry), None)
    if not isinstance(late, p.WaitStep | p.GatherStep):
        sentence = f"the table `runs` says that the run began at {entry!r}, and {plan.name} waits for nothing there"
        raise EvidenceError(sentence, code="evidence.broken", hint="bus log verify names the row")
    return sequence(late.on_late, strand.below(f"{entry}!late/"))


def undo(completed: Sequence[Completed], strand: Strand) -> StepCode:
    """Take back answered calls, last first."""
    for number, done in enumerate(completed, 1):
        yield from _take_back(done, strand, completed[number:])


# -- what is made of what is known -----------------------------------------------------------------------------------------


def _map(step: p.MapStep, strand: Strand) -> StepCode:
    """A named mapping makes one value."""
    strand.define(step.as_, strand.evaluate(step.value, step, "mapping"))
    yield from ()


def _set(step: p.SetStep, strand: Strand) -> StepCode:
    """Names for values; no value sees another of the same step."""
    made = {name: strand.evaluate(value, step, name) for name, value in step.values.items()}
    for name, value in made.items():
        strand.define(name, value)
    yield from ()


def _reply(step: p.ReplyStep, strand: Strand) -> StepCode:
    """Answer whoever sent the message."""
    yield Reply(strand.path(step), step.place, strand.evaluate(step.body, step, "reply"))


def _send(step: p.SendStep, strand: Strand) -> StepCode:
    """Hand a new message to the bus, caused by this one."""
    event = yield Send(strand.path(step), step.place, step.type, strand.evaluate(step.body, step, "body"))
    assert isinstance(event, Noted)
    if step.as_ is not None:
        strand.define(step.as_, event.value)


def _fail(step: p.FailStep, strand: Strand) -> StepCode:
    """End the run for a stated reason; a person will look at it."""
    reason = strand.evaluate(step.reason, step, "reason")
    yield from ()
    strand.fail(step, step.code, str(reason), undo=step.undo)


# -- a call ----------------------------------------------------------------------------------------------------------------


def _call(step: p.CallStep, strand: Strand) -> StepCode:
    """Ask an outside system; keep its answer; learn new keys of the case; go another way when it fails."""
    path = strand.path(step)
    event = yield Call(
        path, step.place, step.operation,
        request=strand.evaluate(step.request, step, "request"), key=strand.walk.key_of(path),
        timeout=step.timeout, retry=step.retry, limit=step.limit, undo=step.undo, planned=bool(step.on_error),
    )  # fmt: skip
    if isinstance(event, Failed):
        yield from _handle(step, strand, event)
        return
    assert isinstance(event, Answered)
    if step.as_ is not None:
        strand.define(step.as_, event.answer)
    if step.case:
        yield from _learn_keys(step, strand)


def _learn_keys(step: p.CallStep, strand: Strand) -> StepCode:
    """The case is known by more keys from here on."""
    values = {name: strand.evaluate(expression, step, f"case.{name}") for name, expression in step.case.items()}
    try:
        keys = key_texts(values)
    except ExpressionError as error:
        strand.fail(step, error.code, f"case: {error.sentence}")
    if keys:
        strand.learn(keys)
        yield Join(f"{strand.path(step)}!case", step.place, keys)


def _handle(step: p.CallStep, strand: Strand, failed: Failed) -> StepCode:
    """The first ``on_error`` clause that holds; none: the run ends with the error of the call."""
    for number, clause in enumerate(step.on_error):
        if strand.holds(clause.when, step, f"on_error[{number}].when", error=failed.error):
            inner = strand.below(f"{strand.path(step)}!error[{number}]/")
            yield from inner.seeing(error=failed.error).follow(clause.steps)
            return
    code, sentence = CODES[str(failed.error["kind"])], str(failed.error["sentence"])
    raise StepFailed(Failure(code, sentence, step.place, strand.path(step), detail=failed.error))


def _take_back(done: Completed, strand: Strand, others: Sequence[Completed]) -> StepCode:
    """Ask the undo operation of an answered call with its answer. Where that fails the ``others`` to come are not tried, and stand too."""
    path, operation = f"{done.call.path}!undo", done.call.undo or ""
    event = yield Call(path, done.call.place, operation, request=done.answer, key=strand.walk.key_of(path), retry=done.call.retry)
    if isinstance(event, Failed):
        sentence = f"{operation} could not take back {done.call.operation}: {event.error['sentence']}"
        if others:
            sentence += f"; what {', '.join(f'{one.call.operation} ({one.call.place})' for one in others)} did stands too"
        raise StepFailed(Failure("undo.failed", sentence, done.call.place, path, detail=event.error))


# -- what is waited for ----------------------------------------------------------------------------------------------------


def _wait(step: p.WaitStep, strand: Strand) -> StepCode:
    """Park the run until a message of its case, or a deadline: ``1 + again`` times. Arrivals that do not ``match`` pass by.

    After the date of ``by`` only what came until then is taken.
    """
    arrived, last = None, _last_moment(step, strand)
    for turn in range(step.again + 1):
        deadline = _deadline_of(step, strand, last)
        over = turn > 0 and last is not None and last <= strand.instant.moment
        arrived = yield from _one_wait(step, strand, turn, deadline)
        if arrived is not None or step.type is None or over:
            break
        yield from strand.below(f"{strand.path(step)}!deadline[{turn}]/").follow(step.on_deadline)
        if deadline == last:
            break
    if step.as_ is not None:
        strand.define(step.as_, None if arrived is None else arrived.body)
    if step.on_late and step.type is not None:
        yield Close(f"{strand.path(step)}!closed", step.place, step.type, _key_of(step, strand), step.id)


def _one_wait(step: p.WaitStep, strand: Strand, turn: int, deadline: dt.datetime | None) -> Generator[Await, Any, Arrived | None]:
    """Returns the `Arrived` event, or None at the deadline."""
    number = 0
    while True:
        path = f"{strand.path(step)}[{turn}.{number}]"
        event = yield Await(path, step.place, step.type, _key_of(step, strand), deadline)
        if not isinstance(event, Arrived):
            return None
        if strand.holds(step.match, step, "match", arrival=event.body):
            return event
        number += 1


def _gather(step: p.GatherStep, strand: Strand) -> StepCode:
    """Wait for several messages and make one list: complete by count, by condition or by deadline, whichever comes first.

    The deadline counts from the first wait.
    """
    deadline = _deadline_of(step, strand, _last_moment(step, strand))
    items: list[JsonValue] = []
    while not _complete(step, strand, items):
        path = f"{strand.path(step)}[{len(items)}]"
        event = yield Await(path, step.place, step.type, _key_of(step, strand), deadline)
        if not isinstance(event, Arrived):
            yield from strand.below(f"{strand.path(step)}!deadline/").seeing(items=items).follow(step.on_deadline)
            break
        items.append(event.body)
    strand.define(step.as_, items)
    if step.on_late:
        yield Close(f"{strand.path(step)}!closed", step.place, step.type, _key_of(step, strand), step.id)


def _complete(step: p.GatherStep, strand: Strand, items: list[JsonValue]) -> bool:
    if step.count is not None:
        wanted = strand.evaluate(step.count, step, "count", items=items)
        if not isinstance(wanted, int) or isinstance(wanted, bool):
            strand.fail(step, "expression.not-a-number", f"count gave {type(wanted).__name__}, not a whole number")
        if len(items) >= wanted:
            return True
    return step.until is not None and bool(items) and strand.holds(step.until, step, "until", items=items)


def _last_moment(step: p.WaitStep | p.GatherStep, strand: Strand) -> dt.datetime | None:
    """What ``by`` says. A message may still come on the day that it names; a mere delay ends as that day begins."""
    if step.by is None:
        return None
    said = strand.evaluate(step.by, step, "by")
    try:
        return calendar.moment_at(said if isinstance(said, str) else "", whole_day=step.type is not None)
    except ValueError as error:
        return strand.fail(step, "wait.no-date", f"by: {error}")


def _deadline_of(step: p.WaitStep | p.GatherStep, strand: Strand, last: dt.datetime | None) -> dt.datetime | None:
    """The end of a wait that begins now, by ``deadline`` or at its last moment, whichever comes first."""
    if step.deadline is None:
        return last
    deadline = step.deadline(strand.instant.moment)
    return deadline if last is None else min(deadline, last)


def _key_of(step: p.WaitStep | p.GatherStep, strand: Strand) -> tuple[str, str] | None:
    """The business key the arrival must carry; a case that does not have it yet cannot be waited on by it."""
    if step.case is None:
        return None
    value = strand.scope["case"].get(step.case)
    if value is None:
        strand.fail(step, "case.key-unknown", f"the case has no key {step.case!r} yet, so nothing can be awaited by it")
    return (step.case, key_text(value))


# -- steps that hold steps -------------------------------------------------------------------------------------------------


def _choose(step: p.ChooseStep, strand: Strand) -> StepCode:
    """The first clause whose condition holds; else ``otherwise``."""
    inner = strand.below(f"{strand.path(step)}/")
    for number, clause in enumerate(step.clauses):
        if strand.holds(clause.when, step, f"choose[{number}].when"):
            yield from inner.follow(clause.steps)
            return
    yield from inner.follow(step.otherwise)


def _each(step: p.EachStep, strand: Strand) -> StepCode:
    """The same steps for every item of a list, in order."""
    items = strand.evaluate(step.items, step, "items")
    if not isinstance(items, list):
        strand.fail(step, "expression.not-a-list", f"items gave {type(items).__name__}, not a list")
    collected: list[JsonValue] = []
    for index, item in enumerate(items):
        known = strand.scope["case"]
        inner = strand.inside(f"{strand.path(step)}[{index}]/", **{step.item: item, "index": index})
        yield from inner.follow(step.steps)
        strand.learn({name: value for name, value in inner.scope["case"].items() if known.get(name) != value})
        if step.collect is not None:
            collected.append(inner.evaluate(step.collect, step, "collect"))
    if step.as_ is not None:
        strand.define(step.as_, collected)


def _parallel(step: p.ParallelStep, strand: Strand) -> StepCode:
    """Branches side by side; the step ends when all have ended."""
    branches = []
    for name, steps in step.branches.items():
        inner = strand.beside(f"{strand.path(step)}/{name}/")
        branches.append((inner, inner.follow(steps)))
    yield Fork(branches)


KINDS: dict[type[p.Step], Callable[[Any, Strand], StepCode]] = {
    p.CallStep: _call,
    p.MapStep: _map,
    p.SetStep: _set,
    p.SendStep: _send,
    p.ReplyStep: _reply,
    p.WaitStep: _wait,
    p.GatherStep: _gather,
    p.ChooseStep: _choose,
    p.EachStep: _each,
    p.ParallelStep: _parallel,
    p.FailStep: _fail,
}
