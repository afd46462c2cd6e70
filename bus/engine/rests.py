"""Rests: how long calls in doubt have rested, by running time, which nobody sets.

A ``queryable`` call in doubt is probed when it can have no effect any more. When that is stands in the log, by the clock. A clock that is
set forward would bring the moment early: the probe would find nothing, the call would go out again, and the first one come after it. So
the engine that probes must have seen the time pass as well; one that takes such a call over does not know how long it has rested, and
counts anew.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import NamedTuple

REMEMBERED = 10_000
"""Doubts whose beginning is remembered; of others it is counted anew."""
TURN = 0.05
"""Seconds that are not waited for: so long may pass between the moment of a turn and what is done in it."""


class Doubt(NamedTuple):
    """A call in doubt, and when it may be probed by the clock: another doubt of the same call has another moment."""

    run: str
    path: str
    due: dt.datetime


class Rests:
    """Used by the engine's thread. ``ticks`` gives running time in seconds."""

    def __init__(self, ticks: Callable[[], float]) -> None:
        self._ticks = ticks
        self._began: dict[Doubt, float] = {}

    def begin(self, doubt: Doubt, ago: float = 0.0) -> None:
        """A doubt begins to rest; it began ``ago`` seconds before."""
        self._began[doubt] = self._ticks() - ago
        if len(self._began) > REMEMBERED:
            del self._began[next(iter(self._began))]

    def left(self, doubt: Doubt, seconds: float) -> float:
        """Seconds until it has rested for so long; one that is not known here begins to."""
        if doubt not in self._began:
            self.begin(doubt)
        left = self._began[doubt] + seconds - self._ticks()
        return left if left > TURN else 0.0
