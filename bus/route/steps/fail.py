"""``fail``: end the run before its last step, as a dead letter or as done."""

from __future__ import annotations

from pydantic import Field

from bus.route.steps.common import Expression, StepModel

_CODE = r"^[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)*$"


class Fail(StepModel):
    """End the run here, whatever its branches wait for: as dead, for a person to look at, or as done with `dead: false`."""

    fail: str = Field(pattern=_CODE, max_length=80, description="Code that says why, such as pagamento.scaduto")
    reason: Expression | None = Field(default=None, description="Sentence for the person, as an expression; no personal data")
    dead: bool = Field(default=True, description="false: nobody has to look at it, the run is done")
    undo: bool = Field(default=True, description="Take back the calls that declare an `undo`, last first")
