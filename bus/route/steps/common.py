"""What the models of all step kinds share. Field descriptions feed the checker's hints, the JSON Schema and the docs.

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


Expression = Annotated[str, Role("expression")]
Template = Annotated[Any, Role("template")]
Steps = Annotated[list[dict[str, Any]], Role("steps")]
Duration = Annotated[str, AfterValidator(_duration)]
ExactDuration = Annotated[str, AfterValidator(_exact)]
Name = Annotated[str, Field(min_length=1, max_length=60)]

ID_PATTERN = r"^[a-z][a-z0-9-]*$"


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
