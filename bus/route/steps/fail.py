"""``fail``: end the run as a dead letter."""

from __future__ import annotations

from pydantic import Field

from bus.route.steps.common import Expression, StepModel

_CODE = r"^[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)*$"


class Fail(StepModel):
    """End the run as dead, for a person to look at."""

    fail: str = Field(pattern=_CODE, max_length=80, description="Code that says why, such as pagamento.scaduto")
    reason: Expression | None = Field(default=None, description="Sentence for the person, as an expression; no personal data")
    undo: bool = Field(default=True, description="Take back the calls that declare an `undo`, last first")
