"""``each``: the same steps for every item of a list."""

from __future__ import annotations

from pydantic import Field

from bus.route.steps.common import Expression, Name, StepModel, Steps, Template


class Each(StepModel):
    """Steps once for every item of a list, in order; names defined inside are seen neither outside nor by the next item."""

    each: Expression = Field(description="The list")
    item: Name = Field(default="item", description="Name of the item inside; `index` counts from 0")
    steps: Steps = Field(min_length=1, description="Steps for each item")
    collect: Template = Field(default=None, description="What to keep of each item, as a template")
    as_: Name | None = Field(default=None, alias="as", description="Name for the list of what `collect` kept")
