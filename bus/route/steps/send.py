"""``send``: say something to whoever listens."""

from __future__ import annotations

from pydantic import Field

from bus.route.steps.common import Name, StepModel, Template


class Send(StepModel):
    """Send a message into the bus; the routes of its type take it. It belongs to the same case."""

    send: str = Field(description="Type of the message")
    with_: Template = Field(default=None, alias="with", description="The body, as a template")
    mapping: str | None = Field(default=None, description="Mapping that makes the body, instead of `with`")
    as_: Name | None = Field(default=None, alias="as", description="Name for {id: the message's id}")
