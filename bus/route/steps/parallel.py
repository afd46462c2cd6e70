"""``parallel``: branches side by side."""

from __future__ import annotations

from pydantic import Field

from bus.route.steps.common import StepModel, Steps


class Parallel(StepModel):
    """Run branches side by side; the step ends when all have ended."""

    parallel: dict[str, Steps] = Field(min_length=2, description="Branches: a name and its steps; no two may define the same name")
