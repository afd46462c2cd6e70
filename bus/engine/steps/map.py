"""``map``: a named mapping makes one value out of what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus.engine.asks import StepCode
from bus.route.plan import MapStep

if TYPE_CHECKING:
    from bus.engine.interpreter import Strand


def map_(step: MapStep, strand: Strand) -> StepCode:
    strand.define(step.as_, strand.evaluate(step.value, step, "mapping"))
    yield from ()
