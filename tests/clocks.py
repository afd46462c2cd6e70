"""Clocks that stand still."""

from __future__ import annotations

import datetime as dt


class FixedClock:
    """A `bus.clock.Clock` that moves only when told."""

    def __init__(self, moment: dt.datetime) -> None:
        self.moment = moment.astimezone(dt.UTC)

    def now(self) -> dt.datetime:
        return self.moment

    def move(self, by: dt.timedelta) -> None:
        self.moment += by
