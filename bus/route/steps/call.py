"""``call``: ask an outside system."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from bus.route.steps.common import ClauseModel, ExactDuration, Expression, LimitModel, Name, RetryModel, StepModel, Template


def _accepted(said: str | list[str] | None) -> str | list[str] | None:
    if isinstance(said, str) and said != "any":
        raise ValueError("must be `any`, or a list of codes")
    return said


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
    dead_on: Annotated[str | list[str] | None, AfterValidator(_accepted)] = Field(
        default=None, description="Refusals that need a person (a dead letter), besides those of `on_error`: a list of codes, or `any`"
    )
    undo: str | None = Field(default=None, description="Operation that takes this call back when the route fails later")
    limit: LimitModel | None = Field(default=None, description="At most so many calls in a time")
