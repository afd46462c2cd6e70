"""Dates and durations as Italian offices count them."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import calendar
from bus.cli.words import when
from bus.clock import text_of

DAYS = st.dates(dt.date(1990, 1, 1), dt.date(2090, 1, 1))


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


@pytest.mark.parametrize("day", ["2026-01-01", "2026-01-06", "2026-04-06", "2027-03-29", "2025-04-25", "2026-05-01", "2026-06-02", "2028-08-15",
                                 "2027-10-04", "2027-11-01", "2026-12-08", "2026-12-25", "2025-12-26", "2026-03-01"])  # fmt: skip
def test_national_holidays_and_sundays_are_not_working_days(day: str) -> None:
    assert not calendar.is_working_day(dt.date.fromisoformat(day))


def test_the_fourth_of_october_is_a_holiday_only_from_2026() -> None:
    assert dt.date(2024, 10, 4) not in calendar.national_holidays(2024)
    assert dt.date(2026, 10, 4) in calendar.national_holidays(2026)


@pytest.mark.parametrize(
    ("start", "duration", "end"),
    [
        ("2026-03-02T09:00:00+01:00", "30s", "2026-03-02T09:00:30+01:00"),
        ("2026-03-28T09:00:00+01:00", "1d", "2026-03-29T09:00:00+02:00"),
        ("2026-03-28T09:00:00+01:00", "24h", "2026-03-29T10:00:00+02:00"),
        ("2026-03-28T02:30:00+01:00", "1d", "2026-03-29T03:30:00+02:00"),
        ("2025-10-26T02:30:00+01:00", "22w", "2026-03-29T03:30:00+02:00"),
        ("2025-10-26T02:30:00+01:00", "52w", "2026-10-25T02:30:00+01:00"),
        ("2025-10-26T02:30:00+02:00", "52w", "2026-10-25T02:30:00+02:00"),
        ("2026-10-24T09:00:00+02:00", "2d", "2026-10-26T09:00:00+01:00"),
        ("2026-04-03T12:00:00+02:00", "1wd", "2026-04-07T12:00:00+02:00"),
        ("2026-12-23T23:30:00Z", "1wd", "2026-12-27T23:30:00Z"),
        ("2026-01-31T08:00:00+01:00", "1M", "2026-02-28T08:00:00+01:00"),
        ("2028-02-29T08:00:00+01:00", "1y", "2029-02-28T08:00:00+01:00"),
        ("2026-03-02T09:00:00+01:00", "10wd", "2026-03-16T09:00:00+01:00"),
    ],
)
def test_a_duration_ends_where_an_office_would_say(start: str, duration: str, end: str) -> None:
    assert moment(end).astimezone(dt.UTC) == calendar.moment_after(duration)(moment(start))


@pytest.mark.parametrize("text", ["999999s", "999999h", "999999d", "10000wd", "52000w", "12000M", "1000y"])
def test_every_duration_ends_on_a_date_that_there_is(text):
    assert calendar.moment_after(text)(moment("2200-02-28T12:00:00Z")) > moment("2200-03-01T00:00:00Z")


@pytest.mark.parametrize("text", ["", "30", "0s", "-1d", "1.5d", "1 d", "10 wd", "1D", "d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        calendar.parse_duration(text)


@pytest.mark.parametrize("text", ["1001y", "12001M", "52001w", "10001wd", "9999999d", "99999999999999999999s"])
def test_a_duration_that_leads_to_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="too long: no more than"):
        calendar.parse_duration(text)


def test_only_exact_units_have_seconds() -> None:
    assert 172_800 == calendar.seconds_of("2d")
    with pytest.raises(ValueError, match="fixed length"):
        calendar.seconds_of("2wd")


@given(DAYS, st.integers(1, 60))
def test_working_days_forth_and_back_meet(day: dt.date, count: int) -> None:
    end = calendar.shift(day, count, "wd")
    assert calendar.is_working_day(end)
    assert calendar.is_working_day(day) <= (calendar.shift(end, -count, "wd") == day)


@given(DAYS, st.integers(-600, 600))
def test_months_keep_the_day_or_take_the_last(day: dt.date, months: int) -> None:
    moved = calendar.shift(day, months, "M")
    assert (moved.year * 12 + moved.month) - (day.year * 12 + day.month) == months
    assert moved.day == day.day or (moved + dt.timedelta(days=1)).day == 1


def test_months_lead_to_the_last_one_that_there_is() -> None:
    assert calendar.shift(dt.date(9999, 11, 30), 1, "M") == dt.date(9999, 12, 30)
    assert calendar.shift(dt.date(9998, 12, 31), 1, "y") == dt.date(9999, 12, 31)
    with pytest.raises(ValueError, match="out of range"):
        calendar.shift(dt.date(9999, 12, 1), 1, "M")


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("2026-10-25", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),  # the day of 25 hours
        ("2028-02-29", "2028-02-28T23:00Z", "2028-02-29T23:00Z"),
        ("2026-07-01T09:30", "2026-07-01T07:30Z", "2026-07-01T07:30Z"),
        ("2026-12-01T09:30:15.5", "2026-12-01T08:30:15.5Z", "2026-12-01T08:30:15.5Z"),
        ("2026-12-01T09:30:00Z", "2026-12-01T09:30Z", "2026-12-01T09:30Z"),
        ("2026-12-01T09:30:00-05:00", "2026-12-01T14:30Z", "2026-12-01T14:30Z"),
        ("2026-12-01T09:30:00.1234567+01:00", "2026-12-01T08:30:00.123456Z", "2026-12-01T08:30:00.123456Z"),  # as .NET writes it
        ("9999-12-31", "9999-12-30T23:00Z", "9999-12-31T22:59:59.999999Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T22:59:59.999999Z", "9999-12-31T22:59:59.999999Z"),
        ("9999-12-31T23:59:59-05:00", "9999-12-31T22:59:59.999999Z", "9999-12-31T22:59:59.999999Z"),
        ("0001-01-01T00:00:00", "0001-01-01T00:00Z", "0001-01-01T00:00Z"),
    ],
)
def test_a_date_is_its_beginning_or_its_end_in_rome_and_a_moment_is_itself(text: str, begins: str, ends: str) -> None:
    assert (calendar.moment_at(text, whole_day=False), calendar.moment_at(text, whole_day=True)) == (moment(begins), moment(ends))
    assert when(text_of(calendar.moment_at(text, whole_day=False)))  # who looks at a run is told it


@pytest.mark.parametrize(
    "text", ["", "domani", "20261201", "2026-W01-1", "2026-13-01", "2026-02-30", "2026-12-01 09:30", "2026-12-01T25:00", "2026-12-01T9:30",
             "2026-12-01T09:30+99:00"],
)  # fmt: skip
def test_what_is_neither_a_date_nor_a_moment_is_said_so(text: str) -> None:
    with pytest.raises(ValueError, match="neither a date YYYY-MM-DD nor a moment"):
        calendar.moment_at(text, whole_day=True)
