"""Time: one for many machines, whatever is done to the clock of one of them."""

from __future__ import annotations

import datetime as dt

import pytest

from bus.clock import SharedClock, moment_of, text_of

NOON = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)


class Database:
    """Tells a time; a question to it takes ``delay`` seconds."""

    def __init__(self) -> None:
        self.ran, self.time, self.delay, self.down = 100.0, NOON, 0.0, False

    def now(self) -> dt.datetime:
        if self.down:
            raise ConnectionError
        self.ran += self.delay
        return self.time + dt.timedelta(seconds=self.delay / 2)

    def ticks(self) -> float:
        return self.ran


def test_a_shared_clock_goes_on_by_running_time() -> None:
    database = Database()
    clock = SharedClock(database.now, database.ticks)
    database.ran += 7.5
    assert clock.now() == NOON + dt.timedelta(seconds=7.5)


def test_half_the_time_that_a_question_took_is_taken_off() -> None:
    database = Database()
    database.delay = 2.0
    clock = SharedClock(database.now, database.ticks)
    assert clock.now() == NOON + dt.timedelta(seconds=2)


def test_a_clock_that_follows_corrects_its_drift() -> None:
    database = Database()
    clock = SharedClock(database.now, database.ticks)
    database.ran += 10
    database.time = NOON + dt.timedelta(seconds=11)
    clock.follow()
    assert clock.now() == NOON + dt.timedelta(seconds=11)


def test_a_clock_whose_source_is_down_goes_on_with_what_it_knew() -> None:
    database = Database()
    clock = SharedClock(database.now, database.ticks)
    database.down = True
    with pytest.raises(ConnectionError):
        clock.follow()
    database.ran += 3
    assert clock.now() == NOON + dt.timedelta(seconds=3)


@pytest.mark.parametrize("question", [1, 2])
def test_a_process_that_was_paused_when_the_answer_had_come_does_not_take_it_for_the_time(question: int) -> None:
    """Else its clock would be wrong by half the pause until it asks again, and a probe would go out before its time."""
    ran, asked = 100.0, 0

    def now() -> dt.datetime:
        nonlocal ran, asked
        told, asked = NOON + dt.timedelta(seconds=ran - 100), asked + 1
        ran += 60 if asked == question else 0
        return told

    clock = SharedClock(now, lambda: ran)
    for _ in range(question - 1):
        clock.follow()
    assert clock.now() == NOON + dt.timedelta(seconds=60)


def test_the_text_of_a_moment_is_read_back_as_the_same_moment() -> None:
    assert moment_of(text_of(NOON)) == NOON
    with pytest.raises(ValueError, match="time zone"):
        moment_of("2026-03-02T12:00:00")
