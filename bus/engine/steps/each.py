"""``each``: the same steps for every item of a list, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus.engine.asks import StepCode
from bus.message import JsonValue
from bus.route.plan import EachStep

if TYPE_CHECKING:
    from bus.engine.interpreter import Strand


def each(step: EachStep, strand: Strand) -> StepCode:
    items = strand.evaluate(step.items, step, "items")
    if not isinstance(items, list):
        strand.fail(step, "expression.not-a-list", f"items gave {type(items).__name__}, not a list")
    collected: list[JsonValue] = []
    for index, item in enumerate(items):
        known = strand.scope["case"]
        inner = strand.inside(f"{strand.path(step)}[{index}]/", **{step.item: item, "index": index})
        yield from inner.follow(step.steps)
        strand.learn({name: value for name, value in inner.scope["case"].items() if known.get(name) != value})
        if step.collect is not None:
            collected.append(inner.evaluate(step.collect, step, "collect"))
    if step.as_ is not None:
        strand.define(step.as_, collected)
