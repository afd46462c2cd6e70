"""``set``: give names to values."""

from __future__ import annotations

from pydantic import Field

from bus.route.steps.common import StepModel, Template


class Set(StepModel):
    """Give names to values, all at once: the steps after it see them; a name that exists gets the new value."""

    set: dict[str, Template] = Field(min_length=1, description="Names and their values, as templates")
