"""``gather``: wait for several messages and make one list."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bus.route.steps.common import Duration, Expression, Name, Role, StepModel, Steps


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
