"""``choose``: one of several ways."""

from __future__ import annotations

from pydantic import Field

from bus.route.steps.common import ClauseModel, StepModel, Steps


class Choose(StepModel):
    """Take the first clause whose condition holds."""

    choose: list[ClauseModel] = Field(min_length=1, description="Clauses, tried in order")
    otherwise: Steps = Field(default_factory=list, description="Steps when no clause holds")
