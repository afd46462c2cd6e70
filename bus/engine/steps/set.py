"""``set``: names for values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus.route.plan import SetStep

if TYPE_CHECKING:
    from bus.engine.interpreter import StepCode, Strand


def set_(step: SetStep, strand: Strand) -> StepCode:
    for name, value in step.values.items():
        strand.define(name, strand.evaluate(value, step, name))
    yield from ()
