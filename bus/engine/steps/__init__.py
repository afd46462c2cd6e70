"""How each step kind runs: one file a kind, each a generator ``(step, strand)`` that yields asks and receives their events.

`KINDS` is the language: the eleven kinds, each with its model in `bus.route.steps` and its code here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bus.engine.asks import Ask, Event, Failed, Failure, StepCode
from bus.engine.steps.call import call, failure_of, take_back
from bus.engine.steps.choose import choose
from bus.engine.steps.each import each
from bus.engine.steps.fail import fail
from bus.engine.steps.gather import gather
from bus.engine.steps.map import map_
from bus.engine.steps.parallel import parallel
from bus.engine.steps.reply import reply
from bus.engine.steps.send import send
from bus.engine.steps.set import set_
from bus.engine.steps.wait import wait
from bus.errors import EvidenceError
from bus.route import plan as p

if TYPE_CHECKING:
    from bus.engine.interpreter import Completed, Strand

KINDS: dict[type[p.Step], Callable[[Any, Strand], StepCode]] = {
    p.CallStep: call,
    p.MapStep: map_,
    p.SetStep: set_,
    p.SendStep: send,
    p.ReplyStep: reply,
    p.WaitStep: wait,
    p.GatherStep: gather,
    p.ChooseStep: choose,
    p.EachStep: each,
    p.ParallelStep: parallel,
    p.FailStep: fail,
}


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


def doubt_of(ask: Ask, event: Event) -> Failure | None:
    """What needs a person though the run has ended: a call that was on its way, and of whose effect nobody knows."""
    return failure_of(event, ask.place, ask.path) if isinstance(event, Failed) and event.error["kind"] == "in_doubt" else None


def undo(completed: Sequence[Completed], strand: Strand) -> StepCode:
    """Take back answered calls, last first."""
    for number, done in enumerate(completed, 1):
        yield from take_back(done, strand, completed[number:])
