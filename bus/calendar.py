"""Dates and durations as Italian offices count them.

A duration is text with a unit: ``30s``, ``15m``, ``2h`` (exact), ``2d``, ``1w``, ``10wd`` (working days), ``3M`` (months), ``1y``.
Exact units count seconds; the others keep the wall clock of Europe/Rome, also over the change of the hour.
Working days are Monday to Friday without the national holidays (Easter Monday and, from 2026, 4 October among them;
law 151 of 2025); local patron saints are not national and are not left out.
"""

from __future__ import annotations

import datetime as dt
import re
from calendar import monthrange
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from bus.clock import ROME

_DURATION = re.compile(r"([1-9][0-9]*)(s|m|h|d|wd|w|M|y)")
_NONE = re.compile(r"0(d|wd|w|M|y)")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(_DAY.pattern + r"T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:[0-9]{2})?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MOST = {"wd": 10_000, "w": 52_000, "M": 12_000, "y": 1_000} | dict.fromkeys(("s", "m", "h", "d"), 999_999)
"""Longer ones lead to dates that there are not, or to numbers that nobody means."""
_LAST = dt.datetime.max.replace(tzinfo=ROME).astimezone(dt.UTC)
"""The last moment that can be said as one of Rome."""

Moment: TypeAlias = Callable[[dt.datetime], dt.datetime]
"""A duration applied to a start (aware UTC): ``30s``, ``2d``, ``10wd`` (Italian working days, in Europe/Rome)."""


@lru_cache(maxsize=1024)
def parse_duration(text: str, such_as: str = "30s, 15m, 2h, 2d, 10wd, 1w, 3M, 1y") -> tuple[int, str]:
    """``"10wd"`` -> ``(10, "wd")``. Raises ValueError with a sentence that shows what it may be ``such_as``."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a duration: write a whole number and a unit, such as {such_as}")
    count, unit = int(found[1][:7]), found[2]  # more digits are too many whatever they are
    if count > MOST[unit]:
        raise ValueError(f"{text!r} is too long: no more than {MOST[unit]}{unit}")
    return count, unit


def seconds_of(text: str) -> float:
    """The length of an exact duration, in seconds; a day counts 86,400. Raises ValueError for units without a fixed length."""
    count, unit = parse_duration(text, "30s, 15m, 2h, 2d")
    if unit not in _SECONDS:
        raise ValueError(f"{text!r} has no fixed length: here only s, m, h and d are understood")
    return float(count * _SECONDS[unit])


def moment_after(text: str) -> Moment:
    """A duration as a function from a start (aware) to its end (aware UTC)."""
    count, unit = parse_duration(text)
    if unit in {"s", "m", "h"}:
        exact = dt.timedelta(seconds=count * _SECONDS[unit])
        return lambda start: start.astimezone(dt.UTC) + exact
    return lambda start: _by_wall_clock(start, count, unit)


def _by_wall_clock(start: dt.datetime, count: int, unit: str) -> dt.datetime:
    """Of the hour that autumn repeats it goes from the one to the same one; one that spring leaves out is the hour after it."""
    local = start.astimezone(ROME)
    end = dt.datetime.combine(shift(local.date(), count, unit), local.time(), ROME)
    return max(end.astimezone(dt.UTC), end.replace(fold=0).astimezone(dt.UTC))


def day_of(text: str) -> dt.date:
    """``"2026-10-05"`` as a date. Raises ValueError with a sentence."""
    try:
        if _DAY.fullmatch(text):  # Python reads also 2026-W01-1, which has ten characters too
            return dt.date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError("this is not a date YYYY-MM-DD")


def moment_at(text: str, *, whole_day: bool) -> dt.datetime:
    """The moment (aware UTC) that a date or a moment says; one without a zone is of Europe/Rome.

    A date stands for its beginning; with ``whole_day`` for its end. Raises ValueError with a sentence. 9999-12-31 and 0001-01-01, with
    which other systems say that there is no date, are as late, or as early, as can be.
    """
    try:
        if _DAY.fullmatch(text):
            day = dt.date.fromisoformat(text) + dt.timedelta(days=int(whole_day))
            return dt.datetime.combine(day, dt.time(), ROME).astimezone(dt.UTC)
        if _MOMENT.fullmatch(text):
            moment = dt.datetime.fromisoformat(text)
            return min(_LAST, (moment if moment.tzinfo else moment.replace(tzinfo=ROME)).astimezone(dt.UTC))
    except OverflowError:
        return _LAST if text > "5" else dt.datetime.min.replace(tzinfo=dt.UTC)
    except ValueError:
        pass
    raise ValueError("this is neither a date YYYY-MM-DD nor a moment YYYY-MM-DDTHH:MM")


def add(day: dt.date, duration: str) -> dt.date:
    """The day a duration later; the duration is in days or longer units, and may start with ``-``. ``0d`` is that day."""
    if _NONE.fullmatch(duration):
        return day
    sign, plain = (-1, duration[1:]) if duration.startswith("-") else (1, duration)
    count, unit = parse_duration(plain, "2d, 10wd, 1w, 3M, 1y")
    if unit in {"s", "m", "h"}:
        raise ValueError(f"{duration!r} is shorter than a day: dates move by d, wd, w, M or y")
    return shift(day, sign * count, unit)


def shift(day: dt.date, count: int, unit: str) -> dt.date:
    """``count`` (may be negative) days, working days, weeks, months or years from ``day``; the 31st becomes the month's last day."""
    try:
        if unit == "wd":
            return _shift_working_days(day, count)
        if unit in {"M", "y"}:
            return _shift_months(day, count * (12 if unit == "y" else 1))
        return day + dt.timedelta(days=count * (7 if unit == "w" else 1))
    except (OverflowError, ValueError):
        raise ValueError(f"a date {count}{unit} away is out of range") from None


def _shift_months(day: dt.date, months: int) -> dt.date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    first = dt.date(year, month + 1, 1)  # out of range as a date is, and only then
    return first.replace(day=min(day.day, monthrange(year, month + 1)[1]))


def _shift_working_days(day: dt.date, count: int) -> dt.date:
    if abs(count) > MOST["wd"]:
        raise ValueError("too many working days")
    step = dt.timedelta(days=1 if count > 0 else -1)
    for _ in range(abs(count)):
        day += step
        while not is_working_day(day):
            day += step
    return day


def is_working_day(day: dt.date) -> bool:
    """Monday to Friday and no national holiday."""
    return day.weekday() < 5 and day not in national_holidays(day.year)


@lru_cache(maxsize=256)
def national_holidays(year: int) -> frozenset[dt.date]:
    """Italy's national holidays of a year."""
    import holidays  # 150 ms to import: only who counts working days pays

    return frozenset(holidays.country_holidays("IT", years=year))
