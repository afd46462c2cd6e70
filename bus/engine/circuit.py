"""The circuit of an adapter: after so many calls in a row that a system did not answer, nobody calls it for a while.

::

    closed ── so many silent calls in a row ──▶ open ── the pause is over ──▶ one call is let through
      ▲                                          ▲                             │
      └────────────── any answer ────────────────┼─────────────────────────────┤
                                                 └── silent: a longer pause ───┘

It is kept in memory, by each process for itself: a fresh process asks and learns. A call that is not made is no attempt: its run
stays ready and nothing is written. The engine's thread moves it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from bus.errors import InDoubt, OutsideError, Unreachable

Place: TypeAlias = tuple[str, int, str]
"""One call that wants to go out: run, fence, path."""
Say = Callable[..., None]
"""Hears an event by its name, and more of it as keywords."""
AWAY = frozenset({"HTTP_429", "HTTP_502", "HTTP_503", "HTTP_504"})
"""Answers of somebody who stands before the system and says that it cannot be had."""


@dataclass(frozen=True, slots=True)
class Habits:
    """``after`` silent calls in a row it opens; for ``pause`` seconds, twice as long after each silent trial, at most ``longest``."""

    after: int = 5
    pause: float = 1.0
    longest: float = 60.0


def silent(error: OutsideError | None) -> bool:
    """Whether nobody answered: it was not reached, or no answer came in time. A no, a fault or a broken answer are answers."""
    if not isinstance(error, Unreachable | InDoubt) or error.answered:
        return False
    return not error.outside_code or error.outside_code in AWAY


@dataclass
class Circuit:
    """See the module. ``say`` hears every change: ``circuit.opened`` with the seconds of the pause, ``circuit.closed``."""

    habits: Habits
    say: Say = lambda event, seconds: None
    failures: int = 0
    _open_until: dt.datetime | None = None
    _pause: dt.timedelta = field(default=dt.timedelta())
    _trial: Place | None = None

    @property
    def is_open(self) -> bool:
        return self._open_until is not None

    def lets(self, place: Place, now: dt.datetime) -> bool:
        """Whether this call may go out now; when the pause is over, the first that asks is the trial."""
        if not self.is_open or self._trial == place:
            return True
        if not self.wants_trial(now):
            return False
        self._trial = place
        return True

    def wants_trial(self, now: dt.datetime) -> bool:
        """Whether the pause is over and nobody has gone to see."""
        return self.is_open and self._trial is None and now >= self.trial_at(now)

    def trial_at(self, now: dt.datetime) -> dt.datetime:
        """When the next trial may go out; a clock that was set back does not make the pause longer. Any thread may ask."""
        until = self._open_until
        if until is None:
            return now
        if until > (latest := now + self._pause):
            self._open_until = until = latest
        return until

    def left(self, place: Place) -> None:
        """This call will not be made after all."""
        if self._trial == place:
            self._trial = None

    def ended(self, place: Place, error: OutsideError | None, now: dt.datetime) -> None:
        """A call came home."""
        was_trial = self._trial == place
        self.left(place)
        if error is not None and error.code == "adapter.crashed":
            return  # our own fault says nothing of the system
        if not silent(error):
            self._close()
            return
        self.failures += 1
        if was_trial or (not self.is_open and self.failures >= self.habits.after):
            self._open(now)

    def _open(self, now: dt.datetime) -> None:
        seconds = min(max(self.habits.pause, 2 * self._pause.total_seconds()), self.habits.longest)
        self._pause = dt.timedelta(seconds=seconds)
        self._open_until = now + self._pause
        self.say("circuit.opened", seconds=seconds)

    def _close(self) -> None:
        was_open = self.is_open
        self.failures, self._open_until, self._pause = 0, None, dt.timedelta()
        if was_open:
            self.say("circuit.closed", seconds=0.0)
