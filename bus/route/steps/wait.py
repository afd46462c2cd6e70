"""``wait``: park the run until a message of the case, or a deadline."""

from __future__ import annotations

from pydantic import Field

from bus.route.steps.common import Duration, Expression, Name, StepModel, Steps


class Wait(StepModel):
    """Wait for a message of the case, or only for a time (`wait:` without a type)."""

    wait: str | None = Field(
        description="One type of message; what may end the run meanwhile is awaited in a branch beside. Empty: only the deadline"
    )
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
