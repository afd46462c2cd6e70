"""Which ways a test goes through a route: a plan that notes them, and the list of all there are.

Names of ways: ``step`` (it ran), ``step!passed-over`` (its ``when`` did not hold), ``step.on_error[0]``, ``step.choose[1]``,
``step.otherwise``, ``step.message`` (what a ``wait`` is for came), ``step.count`` and ``step.until`` (by which a ``gather`` is complete),
``step.on_deadline``, ``step.on_late``. The interpreter knows nothing
of this: the plan is rebuilt with conditions that note that they were asked. The digest stays, and with it every key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bus.adapter import Operation
from bus.route.plan import CallStep, ChooseStep, Clause, EachStep, Expression, GatherStep, ParallelStep, Plan, SetStep, Step, WaitStep

Note = Callable[[str], None]


def watched(plan: Plan, note: Note) -> Plan:
    """The same plan, telling ``note`` each way that is taken."""
    return replace(plan, steps=_steps(plan.steps, note))


def branches_of(plan: Plan) -> tuple[str, ...]:
    """All ways of a plan, in file order."""
    return tuple(name for step in plan.walk() for name in _names(step))


def faults_of(plan: Plan, operations: Mapping[str, Operation]) -> tuple[str, ...]:
    """All ways in which the calls of a plan can fail, as ``step: code`` for a refusal, ``step: unreachable`` and ``step: in_doubt``."""
    calls = [step for step in plan.walk() if isinstance(step, CallStep)]
    return tuple(f"{step.id}: {way}" for step in calls for way in _failures(operations[step.operation]))


def _failures(operation: Operation) -> tuple[str, ...]:
    return (*operation.refusals, "unreachable", *(() if operation.effect == "read" else ("in_doubt",)))


def _names(step: Step) -> Iterator[str]:
    yield step.id
    if step.when is not None:
        yield f"{step.id}!passed-over"
    match step:
        case CallStep():
            yield from (f"{step.id}.on_error[{number}]" for number in range(len(step.on_error)))
        case ChooseStep():
            yield from (f"{step.id}.choose[{number}]" for number in range(len(step.clauses)))
            if all(clause.when is not None for clause in step.clauses):
                yield f"{step.id}.otherwise"
        case WaitStep() | GatherStep():
            if isinstance(step, GatherStep):
                yield from (f"{step.id}.{end}" for end in ("count", "until") if getattr(step, end) is not None)
            if (step.deadline or step.by) and step.type:  # without a type there is only one way out of a wait
                yield from [f"{step.id}.message"] if isinstance(step, WaitStep) else []
                yield f"{step.id}.on_deadline"
            if step.on_late:
                yield f"{step.id}.on_late"


def _steps(steps: tuple[Step, ...], note: Note) -> tuple[Step, ...]:
    return tuple(_step(step, note) for step in steps)


def _step(step: Step, note: Note) -> Step:
    inner: dict[str, Any] = {}
    match step:
        case CallStep():
            inner["on_error"] = _clauses(step.on_error, f"{step.id}.on_error", note)
        case ChooseStep():
            inner["clauses"] = _clauses(step.clauses, f"{step.id}.choose", note)
            inner["otherwise"] = _branch(f"{step.id}.otherwise", step.otherwise, note)
        case WaitStep() | GatherStep():
            if isinstance(step, WaitStep):
                inner["match"] = _noting(step.match, note, f"{step.id}.message")
            else:
                inner["count"] = _reaching(step.count, note, f"{step.id}.count")
                inner["until"] = _noting(step.until, note, f"{step.id}.until") if step.until is not None else None
            inner["on_deadline"] = _branch(f"{step.id}.on_deadline", step.on_deadline, note)
            inner["on_late"] = _branch(f"{step.id}.on_late", step.on_late, note) if step.on_late else ()
        case EachStep():
            inner["steps"] = _steps(step.steps, note)
        case ParallelStep():
            inner["branches"] = {name: _steps(branch, note) for name, branch in step.branches.items()}
    return replace(step, when=_noting(step.when, note, step.id, f"{step.id}!passed-over"), **inner)


def _clauses(clauses: tuple[Clause, ...], name: str, note: Note) -> tuple[Clause, ...]:
    return tuple(Clause(clause.when, _branch(f"{name}[{number}]", clause.steps, note)) for number, clause in enumerate(clauses))


def _branch(name: str, steps: tuple[Step, ...], note: Note) -> tuple[Step, ...]:
    """The steps of a branch behind a step that never runs, whose condition notes that the branch was entered."""

    def entered(scope: Any) -> bool:
        note(name)
        return False

    return (SetStep("", "", when=entered), *_steps(steps, note))


def _reaching(count: Expression | None, note: Note, reached: str) -> Expression | None:
    """How many messages are wanted, noting when so many are there."""

    def asked(scope: Any) -> Any:
        wanted = count(scope) if count is not None else None
        if isinstance(wanted, int) and len(scope["items"]) >= wanted:
            note(reached)
        return wanted

    return asked if count is not None else None


def _noting(condition: Expression | None, note: Note, held: str, passed_over: str = "") -> Expression:
    """A condition, or none, that notes whether it held; what did not hold has no name where nothing follows from it."""

    def asked(scope: Any) -> Any:
        said = True if condition is None else condition(scope)
        if way := held if said is True else passed_over:
            note(way)
        return said

    return asked
