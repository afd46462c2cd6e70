"""``gather``: wait for several messages and make one list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus.engine.asks import Arrived, Await, Close, StepCode
from bus.engine.steps.wait import deadline_of, key_of, last_moment
from bus.message import JsonValue
from bus.route.plan import GatherStep

if TYPE_CHECKING:
    from bus.engine.interpreter import Strand


def gather(step: GatherStep, strand: Strand) -> StepCode:
    """Complete by count, by condition or by deadline, whichever comes first; the deadline counts from the first wait."""
    deadline = deadline_of(step, strand, last_moment(step, strand))
    items: list[JsonValue] = []
    while not _complete(step, strand, items):
        path = f"{strand.path(step)}[{len(items)}]"
        event = yield Await(path, step.place, step.type, key_of(step, strand), deadline)
        if not isinstance(event, Arrived):
            yield from strand.below(f"{strand.path(step)}!deadline/").seeing(items=items).follow(step.on_deadline)
            break
        items.append(event.body)
    strand.define(step.as_, items)
    if step.on_late:
        yield Close(f"{strand.path(step)}!closed", step.place, step.type, key_of(step, strand), step.id)


def _complete(step: GatherStep, strand: Strand, items: list[JsonValue]) -> bool:
    if step.count is not None:
        wanted = strand.evaluate(step.count, step, "count", items=items)
        if not isinstance(wanted, int) or isinstance(wanted, bool):
            strand.fail(step, "expression.not-a-number", f"count gave {type(wanted).__name__}, not a whole number")
        if len(items) >= wanted:
            return True
    return step.until is not None and bool(items) and strand.holds(step.until, step, "until", items=items)
