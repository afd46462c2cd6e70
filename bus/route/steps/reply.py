"""``reply``: answer the sender."""

from __future__ import annotations

from pydantic import Field

from bus.route.steps.common import StepModel, Template


class Reply(StepModel):
    """Answer the sender of the message; the run goes on. Who asks for the reply is told the last one."""

    reply: Template = Field(description="The answer, as a template")
