"""``reply``: answer whoever sent the message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus.engine.asks import Reply, StepCode
from bus.route.plan import ReplyStep

if TYPE_CHECKING:
    from bus.engine.interpreter import Strand


def reply(step: ReplyStep, strand: Strand) -> StepCode:
    yield Reply(strand.path(step), step.place, strand.evaluate(step.body, step, "reply"))
