"""The journal driver of the interpreter: asks are answered by what was recorded. No store, no adapters, no clock, no effects.

Replaying and planning are this driver with two ways of finding the answer of an ask: replay takes what stands at the ask's own path;
plan also looks whether the same call was made elsewhere, because edited rules may have moved it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from bus.engine.asks import Ask, Event, Failure
from bus.engine.interpreter import Walk

LAST = math.inf
"""The turn of what has no place in the journal and happens when nothing else does."""


class Told(NamedTuple):
    """What an ask is told, and its turn: the place in the journal. Of several that could be told, the earliest is told first.

    A `Failure` ends the run there: what was asked could not be done at all.
    """

    turn: float
    event: Event | Failure


Answers: TypeAlias = Callable[[Ask], Told | None]
"""Finds what an ask is told; None: nothing is known, the ask stays open."""


def follow(walk: Walk, answers: Answers) -> list[Ask]:
    """Drive a walk as far as the answers go; every ask in the order in which it was made. What is left is in ``walk.pending``."""
    asked = list(walk.start())
    known: dict[str, Told | None] = {}
    while not walk.finished:
        for path, ask in walk.pending.items():
            if path not in known:
                known[path] = answers(ask)
        path, told = min(((path, known[path]) for path in walk.pending), key=_turn, default=("", None))
        if told is None:
            break
        if isinstance(told.event, Failure):
            walk.give_up(told.event)
            known[path] = None
        else:
            asked += walk.answer(path, told.event)
            del known[path]
    return asked


def _turn(found: tuple[str, Told | None]) -> tuple[bool, float]:
    told = found[1]
    return told is None, 0.0 if told is None else told.turn
