"""The plan: a route as the engine runs it. Checked, compiled, fingerprinted, immutable.

Everything an interpreter needs is here and nothing else: expressions and mappings are compiled, durations are values,
places (``route@version/step-id``) are spelled out. `Plan.rules` is the plan's JSON form: what it was compiled from
(route, mappings, tables), enough to compile it again years later; `Plan.digest` is its fingerprint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bus.calendar import Moment
from bus.message import JsonObject, JsonValue

Scope: TypeAlias = Mapping[str, Any]
"""What an expression sees: names to JSON values."""

Expression: TypeAlias = Callable[[Scope], JsonValue]
"""A compiled expression (`bus.expression.Expression`); raises `ExpressionError` when it fails on these values."""

Template: TypeAlias = Callable[[Scope], JsonValue]
"""A compiled mapping or ``with``/``set``/``reply`` value; raises `ExpressionError` naming the target field."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a call is tried and how long between: exponential, ``wait * factor**n`` up to ``most`` seconds."""

    attempts: int = 5
    wait: float = 1.0
    factor: float = 2.0
    most: float = 300.0


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most ``count`` calls of the operation in any ``per`` seconds, over all runs; see `bus.engine.throttles`."""

    count: int
    per: float


@dataclass(frozen=True, slots=True)
class Step:
    """What all steps have. ``place`` is ``route@version/step-id``; a false ``when`` passes over the step."""

    id: str
    place: str
    when: Expression | None = None


@dataclass(frozen=True, slots=True)
class Clause:
    """Steps under a condition (None: always). First clause that holds is taken."""

    when: Expression | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class CallStep(Step):
    operation: str = ""
    request: Template = field(default=lambda scope: {})
    as_: str | None = None
    case: Mapping[str, Expression] = field(default_factory=dict)
    timeout: float | None = None
    retry: Retry = Retry()
    on_error: tuple[Clause, ...] = ()
    undo: str | None = None
    limit: Throttle | None = None


@dataclass(frozen=True, slots=True)
class MapStep(Step):
    value: Template = field(default=lambda scope: {})
    as_: str = ""


@dataclass(frozen=True, slots=True)
class SetStep(Step):
    values: Mapping[str, Template] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SendStep(Step):
    """``as_`` gets ``{"id": message id}``."""

    type: str = ""
    body: Template = field(default=lambda scope: {})
    as_: str | None = None


@dataclass(frozen=True, slots=True)
class ReplyStep(Step):
    body: Template = field(default=lambda scope: {})


@dataclass(frozen=True, slots=True)
class WaitStep(Step):
    """Wait for a message of ``type`` that carries this case's key named ``case`` (None: any key of the case).

    ``match`` sees the arrival as ``arrival`` (its body) beside the scope; a false one lets the arrival pass.
    Without a ``type`` the step only waits for its deadline (a delay). ``by`` gives a date or moment at which the wait ends at the latest.
    After ``on_deadline`` the wait is renewed ``again`` times; then the run goes on with ``as_`` set to null.
    """

    type: str | None = None
    case: str | None = None
    match: Expression | None = None
    deadline: Moment | None = None
    by: Expression | None = None
    as_: str | None = None
    again: int = 0
    on_deadline: tuple[Step, ...] = ()
    on_late: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class GatherStep(Step):
    """Wait for several messages and make a list: complete at ``count`` messages, when ``until`` holds (it sees ``items``), or in time."""

    type: str = ""
    case: str | None = None
    count: Expression | None = None
    until: Expression | None = None
    deadline: Moment | None = None
    by: Expression | None = None
    as_: str = ""
    on_deadline: tuple[Step, ...] = ()
    on_late: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class ChooseStep(Step):
    clauses: tuple[Clause, ...] = ()
    otherwise: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class EachStep(Step):
    """Steps once for each item, in order; ``item`` and ``index`` are visible inside; ``as_`` gets the list of ``collect`` values."""

    items: Expression = field(default=lambda scope: [])
    item: str = "item"
    steps: tuple[Step, ...] = ()
    collect: Template | None = None
    as_: str | None = None


@dataclass(frozen=True, slots=True)
class ParallelStep(Step):
    """Branches side by side; the step ends when all have ended. They write into the same scope; the checker keeps their names apart."""

    branches: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FailStep(Step):
    """End the run with ``code`` and ``reason`` (an expression), as ``dead`` or as done.

    ``undo`` takes back the calls that declare an undo, last first.
    """

    code: str = "route.failed"
    reason: Expression = field(default=lambda scope: "")
    undo: bool = True
    dead: bool = True


@dataclass(frozen=True)
class Plan:
    """One route, ready to run. ``rules`` is JSON; ``digest`` is SHA-256 over it; ``operations`` are all it can call.

    ``ordered``: its runs keep the order of their case (``order: case``); false (``order: none``): they may overtake and hold nobody.
    """

    route: str
    version: int
    digest: str
    on: str
    steps: tuple[Step, ...]
    rules: JsonObject
    owner: str = ""
    purpose: str = ""
    key: Expression | None = None
    case: Mapping[str, Expression] = field(default_factory=dict)
    operations: frozenset[str] = frozenset()
    ordered: bool = True

    @property
    def name(self) -> str:
        return f"{self.route}@{self.version}"

    @property
    def first_call(self) -> CallStep | None:
        """The call that every run of this plan begins with; None where there is none, or where it depends on the message."""
        first = next((step for step in self.steps if not isinstance(step, (MapStep, SetStep))), None)
        return first if isinstance(first, CallStep) and first.when is None else None

    def walk(self) -> Iterator[Step]:
        """All steps, in file order, nested ones after their parent."""
        return _walk(self.steps)


def _walk(steps: tuple[Step, ...]) -> Iterator[Step]:
    for step in steps:
        yield step
        for _, _, inner in parts(step):
            yield from _walk(inner)


def parts(step: Step) -> Iterator[tuple[str, int, tuple[Step, ...]]]:
    """The lists of steps inside a step: the part that holds each, and which of several."""
    match step:
        case CallStep():
            yield from (("on_error", number, clause.steps) for number, clause in enumerate(step.on_error))
        case WaitStep() | GatherStep():
            yield from (("on_deadline", 0, step.on_deadline), ("on_late", 0, step.on_late))
        case ChooseStep():
            yield from (("choose", number, clause.steps) for number, clause in enumerate(step.clauses))
            yield "otherwise", 0, step.otherwise
        case EachStep():
            yield "each", 0, step.steps
        case ParallelStep():
            yield from (("parallel", number, branch) for number, branch in enumerate(step.branches.values()))
