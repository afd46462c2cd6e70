"""Time, injected. Inside the bus a moment is an aware UTC ``datetime``; in the log it is RFC 3339 text."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

ROME = ZoneInfo("Europe/Rome")


class Clock(Protocol):
    """What the bus asks of time. MUST be thread-safe; MUST return aware UTC."""

    def now(self) -> dt.datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)


class FixedClock:
    """A clock that moves only when told; for tests and for virtual time."""

    def __init__(self, moment: dt.datetime) -> None:
        self.moment = moment.astimezone(dt.UTC)

    def now(self) -> dt.datetime:
        return self.moment

    def move(self, by: dt.timedelta) -> None:
        self.moment += by


def text_of(moment: dt.datetime) -> str:
    """RFC 3339 in UTC with microseconds and ``Z``; sorts like time."""
    return _text_of_utc(moment if moment.tzinfo is dt.UTC else moment.astimezone(dt.UTC))


@lru_cache(maxsize=2048)
def _text_of_utc(moment: dt.datetime) -> str:
    """Kept for a while: all that happens at one moment says it many times. Only UTC: of the hour that autumn repeats, moments are equal."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment_of(text: str) -> dt.datetime:
    """The inverse of `text_of`; takes any RFC 3339 text with an offset."""
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(dt.UTC)
