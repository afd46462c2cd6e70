"""When a system that does not answer is left alone, and when it is tried again."""

from __future__ import annotations

import datetime as dt

import pytest

from bus.engine.circuit import Circuit, Habits, Place
from bus.errors import InDoubt, OutsideError, Refused, Unreachable

T = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
AWAY, LATE = Unreachable("nobody there"), InDoubt("no answer in time")


def after(seconds: float) -> dt.datetime:
    return T + dt.timedelta(seconds=seconds)


def place(number: int) -> Place:
    return (f"r{number}", 1, "p")


def made(*errors: OutsideError | None) -> tuple[Circuit, list[tuple[str, float]]]:
    said: list[tuple[str, float]] = []
    circuit = Circuit(Habits(after=3, pause=2, longest=5), lambda event, seconds: said.append((event, seconds)))
    for number, error in enumerate(errors):
        circuit.ended(place(number), error, T)
    return circuit, said


def test_it_opens_after_so_many_silent_calls_in_a_row() -> None:
    circuit, said = made(AWAY, LATE)
    assert circuit.lets(place(9), T)
    circuit.ended(place(2), AWAY, T)
    assert not circuit.lets(place(9), after(1.9))
    assert said == [("circuit.opened", 2.0)]


def test_any_answer_between_them_counts_from_the_beginning() -> None:
    for answer in (
        None,
        Refused("no"),
        InDoubt("a fault", outside_code="soap:Server"),
        Unreachable("HTTP 500", outside_code="HTTP_500"),
        Unreachable("another shape", answered=True),
    ):
        circuit, _ = made(AWAY, AWAY, answer, AWAY, AWAY)
        assert not circuit.is_open


@pytest.mark.parametrize("code", ["HTTP_429", "HTTP_502", "HTTP_503", "HTTP_504"])
def test_an_overloaded_system_is_as_good_as_a_silent_one(code: str) -> None:
    circuit, _ = made(*[Unreachable("later", outside_code=code)] * 3)
    assert circuit.is_open


def test_an_adapter_of_ours_that_breaks_says_nothing_of_the_system() -> None:
    circuit, _ = made(*[InDoubt("the adapter failed", code="adapter.crashed")] * 9)
    assert not circuit.is_open


def test_when_the_pause_is_over_one_call_is_let_through_and_its_answer_closes_it() -> None:
    circuit, said = made(AWAY, AWAY, AWAY)
    assert [circuit.lets(place(n), after(2)) for n in (7, 8, 7)] == [True, False, True]
    circuit.ended(place(7), None, after(3))
    assert circuit.lets(place(8), after(3))
    assert [event for event, _ in said] == ["circuit.opened", "circuit.closed"]


def test_a_trial_in_vain_makes_the_pause_longer_up_to_a_bound() -> None:
    circuit, said = made(AWAY, AWAY, AWAY)
    for seconds in (2, 6, 11):
        assert circuit.lets(place(7), after(seconds))
        circuit.ended(place(7), LATE, after(seconds))
    assert [seconds for _, seconds in said] == [2.0, 4.0, 5.0, 5.0]


def test_calls_that_were_out_when_it_opened_do_not_make_the_pause_longer() -> None:
    circuit, said = made(*[AWAY] * 9)
    assert said == [("circuit.opened", 2.0)]
    assert circuit.lets(place(9), after(2))


def test_a_trial_that_is_not_made_after_all_leaves_room_for_another() -> None:
    circuit, _ = made(AWAY, AWAY, AWAY)
    assert circuit.lets(place(7), after(2))
    circuit.left(place(7))
    assert circuit.lets(place(8), after(2))


def test_who_looks_from_another_thread_does_not_open_it_again() -> None:
    circuit, said = made(AWAY, AWAY, AWAY)

    class Meanwhile(dt.datetime):
        def __add__(self, pause: dt.timedelta) -> dt.datetime:
            circuit.ended(place(8), None, self)
            return super().__add__(pause)

    circuit.trial_at(Meanwhile(*T.timetuple()[:6], tzinfo=dt.UTC))
    assert not circuit.is_open
    assert [event for event, _ in said] == ["circuit.opened", "circuit.closed"]


def test_a_clock_that_is_set_back_does_not_keep_it_open() -> None:
    circuit, _ = made(AWAY, AWAY, AWAY)
    back = T - dt.timedelta(hours=5)
    assert not circuit.lets(place(7), back)
    assert circuit.lets(place(7), back + dt.timedelta(seconds=2))
