"""``wait``: park the run until a message of its case, or a deadline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from bus import calendar
from bus.engine.asks import Arrived, Await, Close, StepCode
from bus.engine.names import key_text
from bus.route.plan import GatherStep, WaitStep

if TYPE_CHECKING:
    from bus.engine.interpreter import Strand


def wait(step: WaitStep, strand: Strand) -> StepCode:
    """Wait ``1 + again`` times; arrivals that do not ``match`` pass by. After the date of ``by`` only what came until then is taken."""
    arrived, last = None, last_moment(step, strand)
    for turn in range(step.again + 1):
        deadline = deadline_of(step, strand, last)
        over = turn > 0 and last is not None and last <= strand.instant.moment
        arrived = yield from _one_wait(step, strand, turn, deadline)
        if arrived is not None or step.type is None or over:
            break
        yield from strand.below(f"{strand.path(step)}!deadline[{turn}]/").follow(step.on_deadline)
        if deadline == last:
            break
    if step.as_ is not None:
        strand.define(step.as_, None if arrived is None else arrived.body)
    if step.on_late and step.type is not None:
        yield Close(f"{strand.path(step)}!closed", step.place, step.type, key_of(step, strand), step.id)


def _one_wait(step: WaitStep, strand: Strand, turn: int, deadline: dt.datetime | None) -> Generator[Await, Any, Arrived | None]:
    """Returns the `Arrived` event, or None at the deadline."""
    number = 0
    while True:
        path = f"{strand.path(step)}[{turn}.{number}]"
        event = yield Await(path, step.place, step.type, key_of(step, strand), deadline)
        if not isinstance(event, Arrived):
            return None
        if strand.holds(step.match, step, "match", arrival=event.body):
            return event
        number += 1


def last_moment(step: WaitStep | GatherStep, strand: Strand) -> dt.datetime | None:
    """What ``by`` says. A message may still come on the day that it names; a mere delay ends as that day begins."""
    if step.by is None:
        return None
    said = strand.evaluate(step.by, step, "by")
    try:
        return calendar.moment_at(said if isinstance(said, str) else "", whole_day=step.type is not None)
    except ValueError as error:
        return strand.fail(step, "wait.no-date", f"by: {error}")


def deadline_of(step: WaitStep | GatherStep, strand: Strand, last: dt.datetime | None) -> dt.datetime | None:
    """The end of a wait that begins now, by ``deadline`` or at its last moment, whichever comes first."""
    if step.deadline is None:
        return last
    deadline = step.deadline(strand.instant.moment)
    return deadline if last is None else min(deadline, last)


def key_of(step: WaitStep | GatherStep, strand: Strand) -> tuple[str, str] | None:
    """The business key the arrival must carry; a case that does not have it yet cannot be waited on by it."""
    if step.case is None:
        return None
    value = strand.scope["case"].get(step.case)
    if value is None:
        strand.fail(step, "case.key-unknown", f"the case has no key {step.case!r} yet, so nothing can be awaited by it")
    return (step.case, key_text(value))
