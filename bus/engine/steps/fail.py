"""``fail``: end the run for a stated reason; a person will look at it, unless the step says that nobody has to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus.engine.asks import StepCode
from bus.functions import text
from bus.route.plan import FailStep

if TYPE_CHECKING:
    from bus.engine.interpreter import Strand


def fail(step: FailStep, strand: Strand) -> StepCode:
    reason = strand.evaluate(step.reason, step, "reason")
    yield from ()
    strand.fail(step, step.code, text(reason), undo=step.undo, dead=step.dead)
