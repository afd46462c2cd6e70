"""``choose``: the first clause whose condition holds; else ``otherwise``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus.engine.asks import StepCode
from bus.route.plan import ChooseStep

if TYPE_CHECKING:
    from bus.engine.interpreter import Strand


def choose(step: ChooseStep, strand: Strand) -> StepCode:
    inner = strand.below(f"{strand.path(step)}/")
    for number, clause in enumerate(step.clauses):
        if strand.holds(clause.when, step, f"choose[{number}].when"):
            yield from inner.follow(clause.steps)
            return
    yield from inner.follow(step.otherwise)
