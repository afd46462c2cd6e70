"""``send``: hand a new message to the bus, caused by this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus.engine.asks import Noted, Send, StepCode
from bus.route.plan import SendStep

if TYPE_CHECKING:
    from bus.engine.interpreter import Strand


def send(step: SendStep, strand: Strand) -> StepCode:
    event = yield Send(strand.path(step), step.place, step.type, strand.evaluate(step.body, step, "body"))
    assert isinstance(event, Noted)
    if step.as_ is not None:
        strand.define(step.as_, event.value)
