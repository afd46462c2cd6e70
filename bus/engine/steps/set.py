"""``set``: names for values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus.engine.asks import StepCode
from bus.route.plan import SetStep

if TYPE_CHECKING:
    from bus.engine.interpreter import Strand


def set_(step: SetStep, strand: Strand) -> StepCode:
    made = {name: strand.evaluate(value, step, name) for name, value in step.values.items()}
    for name, value in made.items():  # only now: no value sees another of the same step
        strand.define(name, value)
    yield from ()
