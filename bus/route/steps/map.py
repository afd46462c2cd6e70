"""``map``: translate with a mapping."""

from __future__ import annotations

from pydantic import Field

from bus.route.steps.common import Name, StepModel


class Map(StepModel):
    """Apply a mapping and keep what it makes."""

    map: str = Field(description="Mapping to apply")
    as_: Name = Field(alias="as", description="Name under which later steps see the result")
