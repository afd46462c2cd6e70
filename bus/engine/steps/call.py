"""``call``: ask an outside system; keep its answer; learn new keys of the case; go another way when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus.engine.asks import Answered, Call, Failed, Failure, Join, StepCode, StepFailed
from bus.engine.names import key_texts
from bus.errors import ExpressionError
from bus.route.plan import CallStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bus.engine.interpreter import Completed, Strand


CODES = {"refused": "call.refused", "unreachable": "call.unreachable", "in_doubt": "call.in-doubt", "invalid": "call.invalid-request"}
"""What a run dies of when no clause takes the error, by its kind."""


def call(step: CallStep, strand: Strand) -> StepCode:
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


def _learn_keys(step: CallStep, strand: Strand) -> StepCode:
    """The case is known by more keys from here on."""
    values = {name: strand.evaluate(expression, step, f"case.{name}") for name, expression in step.case.items()}
    try:
        keys = key_texts(values)
    except ExpressionError as error:
        strand.fail(step, error.code, f"case: {error.sentence}")
    if keys:
        strand.learn(keys)
        yield Join(f"{strand.path(step)}!case", step.place, keys)


def _handle(step: CallStep, strand: Strand, failed: Failed) -> StepCode:
    """The first ``on_error`` clause that holds; none: the run ends with the error of the call."""
    for number, clause in enumerate(step.on_error):
        if strand.holds(clause.when, step, f"on_error[{number}].when", error=failed.error):
            inner = strand.below(f"{strand.path(step)}!error[{number}]/")
            yield from inner.seeing(error=failed.error).follow(clause.steps)
            return
    raise StepFailed(failure_of(failed, step.place, strand.path(step)))


def failure_of(failed: Failed, place: str, path: str) -> Failure:
    """What a run dies of when a call of its own fails and nothing takes the error."""
    return Failure(CODES[str(failed.error["kind"])], str(failed.error["sentence"]), place, path, detail=failed.error)


def take_back(done: Completed, strand: Strand, others: Sequence[Completed]) -> StepCode:
    """Ask the undo operation of an answered call with its answer. Where that fails the ``others`` to come are not tried, and stand too."""
    path, operation = f"{done.call.path}!undo", done.call.undo or ""
    event = yield Call(path, done.call.place, operation, request=done.answer, key=strand.walk.key_of(path), retry=done.call.retry)
    if isinstance(event, Failed):
        sentence = f"{operation} could not take back {done.call.operation}: {event.error['sentence']}"
        if others:
            sentence += f"; what {', '.join(f'{one.call.operation} ({one.call.place})' for one in others)} did stands too"
        raise StepFailed(Failure("undo.failed", sentence, done.call.place, path, detail=event.error))
