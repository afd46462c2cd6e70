"""Time, injected. Inside the bus a moment is an aware UTC ``datetime``; in the log it is RFC 3339 text."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

ROME = ZoneInfo("Europe/Rome")
"""Where days begin and end, and what a time without an offset is in."""

APART = dt.timedelta(seconds=10)
"""By so much the clocks of two processes are apart at most, and a commit is later than what it says: what is of a time further ahead
than this was written by a clock that was ahead, and has been set back since."""


class Clock(Protocol):
    """What the bus asks of time. MUST be thread-safe; MUST return aware UTC."""

    def now(self) -> dt.datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)


def running_time() -> float:
    """Seconds that go on evenly whatever is done to the machine's clock; they count while the machine sleeps, where it can tell."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class SharedClock:
    """One time for many machines: that of ``source`` (the database), carried on by the machine's own running time.

    A machine's clock that is wrong, or jumps, does not move it. `follow` asks again; between two times it drifts as a quartz does
    (about 0.1 ms in 10 s). The time that a question takes is halved: the error is at most half of it. So what took long, because the
    process was paused in its midst, is not believed where something better is known.
    """

    PROMPT = 2.0
    """Seconds that a question may take to be believed."""

    def __init__(self, source: Callable[[], dt.datetime], ticks: Callable[[], float] = running_time) -> None:
        self._source, self._ticks = source, ticks
        took, self._known = self._asked()
        if took > self.PROMPT:
            self.follow()

    def now(self) -> dt.datetime:
        told, at = self._known
        return told + dt.timedelta(seconds=self._ticks() - at)

    def ahead(self) -> dt.timedelta:
        """Of the machine's clock; where that is much, one of the two is wrong."""
        return self.now() - SystemClock().now()

    def follow(self) -> None:
        """Ask for the time again; raises what the source raises, and then goes on with what it knew."""
        took, known = self._asked()
        if took <= self.PROMPT:
            self._known = known

    def _asked(self) -> tuple[float, tuple[dt.datetime, float]]:
        before = self._ticks()
        told = self._source()
        after = self._ticks()
        return after - before, (told, (before + after) / 2)


def text_of(moment: dt.datetime) -> str:
    """RFC 3339 in UTC with microseconds and ``Z``; sorts like time."""
    return _text_of_utc(moment if moment.tzinfo is dt.UTC else moment.astimezone(dt.UTC))


@lru_cache(maxsize=2048)
def _text_of_utc(moment: dt.datetime) -> str:
    """Kept for a while: all that happens at one moment says it many times. Only UTC: of the hour that autumn repeats, moments are equal."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def text_of_posix(seconds: int) -> str:
    """RFC 3339 in UTC of a time that somebody else told, to the second; in words where it is beyond all years that are written so."""
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:,} seconds after 1970"


def moment_of(text: str) -> dt.datetime:
    """The inverse of `text_of`; takes any RFC 3339 text with an offset."""
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(dt.UTC)
