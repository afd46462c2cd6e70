"""``parallel``: branches side by side; the step ends when all have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus.engine.asks import Fork, StepCode
from bus.route.plan import ParallelStep

if TYPE_CHECKING:
    from bus.engine.interpreter import Strand


def parallel(step: ParallelStep, strand: Strand) -> StepCode:
    branches = []
    for name, steps in sorted(step.branches.items()):  # as rules that were stored have them, whatever the order in the file
        inner = strand.beside(f"{strand.path(step)}/{name}/")
        branches.append((inner, inner.follow(steps)))
    yield Fork(branches)
