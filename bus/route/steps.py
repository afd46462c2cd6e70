"""The eleven step kinds, one model each, and what they share. Field descriptions feed the checker's hints, the JSON Schema and the docs.

The kind of a step is the one key of `KINDS` that it has. How each kind runs is in `bus.engine.steps`.

A field's *role* says what its value is: an ``expression`` (CEL), a ``template`` (`bus.mapping.template`), nested ``steps``,
the name of an operation, type or mapping, or nothing special.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bus import calendar


@dataclass(frozen=True, slots=True)
class Role:
    """Marks what a field holds; see the module's docstring."""

    name: str


def _duration(text: str) -> str:
    try:
        calendar.parse_duration(text)
    except ValueError as error:
        if re.fullmatch(r"[0-9]*\s*\w*", text):
            raise
        raise ValueError(f"{error}; a date, or what gives one, stands under `by`") from None
    return text


def _exact(text: str) -> str:
    calendar.seconds_of(text)
    return text


def _any_or_codes(said: str | list[str] | None) -> str | list[str] | None:
    if isinstance(said, str) and said != "any":
        raise ValueError("must be `any`, or a list of codes")
    return said


Expression = Annotated[str, Role("expression")]
Template = Annotated[Any, Role("template")]
Steps = Annotated[list[dict[str, Any]], Role("steps")]
Duration = Annotated[str, AfterValidator(_duration)]
ExactDuration = Annotated[str, AfterValidator(_exact)]
Name = Annotated[str, Field(min_length=1, max_length=60)]

ID_PATTERN = r"^[a-z][a-z0-9-]*$"
_FAIL_CODE = r"^[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)*$"


class Model(BaseModel):
    """Base of all parts of a route: strict, unknown fields refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StepModel(Model):
    """What every step has."""

    id: str = Field(pattern=ID_PATTERN, max_length=60, description="Stable name of the step, unique in the route")
    when: Expression | None = Field(default=None, description="The step is passed over unless this expression is true")


class ClauseModel(Model):
    """Steps under a condition; without `when` the clause always holds."""

    when: Expression | None = Field(default=None, description="Condition; the first clause that holds is taken")
    steps: Steps = Field(description="Steps of this clause")


class RetryModel(Model):
    """How often a call is tried and how long between."""

    attempts: int = Field(default=5, ge=1, le=1000, description="How often it is tried in all")
    wait: ExactDuration = Field(default="1s", description="Time before the second attempt, such as 5s")
    factor: float | int = Field(default=2, ge=1, le=100, description="Each wait is this many times the one before")
    most: ExactDuration = Field(default="5m", description="No wait is longer than this")


class LimitModel(Model):
    """At most `count` calls of this step in any `per`, over all runs and workers; those beyond wait.
    Each step counts its own, also where two ask the same operation. Past calls are kept in memory: a process that starts may let one
    `count` more through.
    """

    count: int = Field(ge=1, le=1_000_000, description="How many calls")
    per: ExactDuration = Field(description="In which time, such as 1m")


class Call(StepModel):
    """Ask an operation of an adapter and keep its answer."""

    call: str = Field(description="Operation to ask, such as anagrafe.cerca-soggetto")
    with_: Template = Field(default=None, alias="with", description="The request, as a template")
    mapping: str | None = Field(default=None, description="Mapping that makes the request, instead of `with`")
    as_: Name | None = Field(default=None, alias="as", description="Name under which later steps see the answer")
    case: dict[str, Expression] = Field(default_factory=dict, description="Business keys of the case learnt from the answer")
    timeout: ExactDuration | None = Field(default=None, description="Longest wait for the answer, instead of the operation's own")
    retry: RetryModel | None = Field(default=None, description="How often to try, 5 times in all when not said; not for a `once` operation")
    on_error: list[ClauseModel] = Field(default_factory=list, description="What to do when it fails; `error` has kind, code and sentence")
    dead_on: Annotated[str | list[str] | None, AfterValidator(_any_or_codes)] = Field(
        default=None, description="Refusals that need a person (a dead letter), besides those of `on_error`: a list of codes, or `any`"
    )
    undo: str | None = Field(default=None, description="Operation that takes this call back when the route fails later")
    limit: LimitModel | None = Field(default=None, description="At most so many calls in a time")


class Map(StepModel):
    """Apply a mapping and keep what it makes."""

    map: str = Field(description="Mapping to apply")
    as_: Name = Field(alias="as", description="Name under which later steps see the result")


class Set(StepModel):
    """Give names to values, all at once: the steps after it see them; a name that exists gets the new value."""

    set: dict[str, Template] = Field(min_length=1, description="Names and their values, as templates")


class Send(StepModel):
    """Send a message into the bus; the routes of its type take it. It belongs to the same case."""

    send: str = Field(description="Type of the message")
    with_: Template = Field(default=None, alias="with", description="The body, as a template")
    mapping: str | None = Field(default=None, description="Mapping that makes the body, instead of `with`")
    as_: Name | None = Field(default=None, alias="as", description="Name for {id: the message's id}")


class Reply(StepModel):
    """Answer the sender of the message; the run goes on. Who asks for the reply is told the last one."""

    reply: Template = Field(description="The answer, as a template")


class Wait(StepModel):
    """Wait for a message of the case, or only for a time (`wait:` without a type)."""

    wait: str | None = Field(description="Type of the message; empty to wait only for the deadline")
    case: Name | None = Field(default=None, description="Key of the case that the message must carry; any when not said")
    match: Expression | None = Field(default=None, description="The message, as `arrival`, is taken only if this is true")
    deadline: Duration | None = Field(
        default=None, description="How long to wait, such as 30d, 10wd or 3M: M is months, m minutes; `by` is computed"
    )
    by: Expression | None = Field(default=None, description="Date or moment until which to wait; with `deadline`, whichever comes first")
    as_: Name | None = Field(default=None, alias="as", description="Name for the message's body; null after the deadline")
    again: int = Field(default=0, ge=0, le=100, description="How often the wait is renewed after `on_deadline`")
    on_deadline: Steps = Field(default_factory=list, description="Steps at the deadline")
    on_late: Steps = Field(
        default_factory=list,
        description="Steps for a message that comes after the wait has ended; none where `on_deadline` ended by `fail`",
    )


class Gather(StepModel):
    """Wait for several messages of the case; complete by count, by condition or at the deadline."""

    gather: str = Field(description="Type of the messages")
    case: Name | None = Field(default=None, description="Key of the case that the messages must carry; any when not said")
    count: Annotated[str | int, Role("expression")] | None = Field(default=None, description="Complete at this many messages")
    until: Expression | None = Field(default=None, description="Complete when this is true; `items` are those gathered so far")
    deadline: Duration | None = Field(default=None, description="Longest wait, such as 2d or 3M: M is months, m minutes; `by` is computed")
    by: Expression | None = Field(default=None, description="Date or moment until which to wait; with `deadline`, whichever comes first")
    as_: Name = Field(alias="as", description="Name for the list of bodies")
    on_deadline: Steps = Field(default_factory=list, description="Steps at the deadline; `items` are those gathered so far")
    on_late: Steps = Field(
        default_factory=list, description="Steps for a message that comes after the end; none does where `on_deadline` ended by `fail`"
    )


class Choose(StepModel):
    """Take the first clause whose condition holds."""

    choose: list[ClauseModel] = Field(min_length=1, description="Clauses, tried in order")
    otherwise: Steps = Field(default_factory=list, description="Steps when no clause holds")


class Each(StepModel):
    """Steps once for every item of a list, in order; names defined inside are seen neither outside nor by the next item."""

    each: Expression = Field(description="The list")
    item: Name = Field(default="item", description="Name of the item inside; `index` counts from 0")
    steps: Steps = Field(min_length=1, description="Steps for each item")
    collect: Template = Field(default=None, description="What to keep of each item, as a template")
    as_: Name | None = Field(default=None, alias="as", description="Name for the list of what `collect` kept")


class Parallel(StepModel):
    """Run branches side by side; the step ends when all have ended."""

    parallel: dict[str, Steps] = Field(min_length=2, description="Branches: a name and its steps; no two may define the same name")


class Fail(StepModel):
    """End the run as dead, for a person to look at."""

    fail: str = Field(pattern=_FAIL_CODE, max_length=80, description="Code that says why, such as pagamento.scaduto")
    reason: Expression | None = Field(default=None, description="Sentence for the person, as an expression; no personal data")
    undo: bool = Field(default=True, description="Take back the calls that declare an `undo`, last first")


KINDS: dict[str, type[StepModel]] = {
    "call": Call, "map": Map, "set": Set, "send": Send, "reply": Reply, "wait": Wait, "gather": Gather, "choose": Choose, "each": Each,
    "parallel": Parallel, "fail": Fail,
}  # fmt: skip
