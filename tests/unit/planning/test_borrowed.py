"""What a wait of edited rules is told out of a journal and out of the log."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from bus.clock import text_of
from bus.engine.asks import Arrived, Await, Event, Expired, Send
from bus.message import Message, canonical
from bus.planning.borrowed import Borrowed, Logged, Memory, Said, without

NINE = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
KEY = ("pratica", "x1")


def hours(number: int) -> dt.datetime:
    return NINE + dt.timedelta(hours=number)


def arrival(number: int) -> Message:
    return Message(f"m{number}", "ufficio.parte", "/prova", hours(number), {"numero": number})


def memory(*events: Event) -> Memory:
    """Of a gather that was told these, one after the other."""
    said = {f"parti[{n}]": Said(n, event, "ufficio.parte", b'["pratica","x1"]', None) for n, event in enumerate(events)}
    return Memory(said, {"ufficio.parte": list(said.items())})


def asking(number: int, deadline: dt.datetime | None = None) -> Await:
    return Await(f"parti[{number}]", "ufficio.somma@1/parti", "ufficio.parte", KEY, deadline)


def borrowed(known: Memory, *waits: Await, came: int = 3) -> Borrowed:
    logged = Logged(lambda *asked: [arrival(number) for number in range(1, came + 1)], hours(100))
    root = Message("m0", "ufficio.somma", "/prova", NINE, {})
    known = replace(known, asked={one.path: ("ufficio.parte", canonical(list(KEY))) for one in waits})
    return Borrowed(known, root, {}, lambda *_: "", frozenset(), frozenset(), logged, lambda path: hours(2), lambda message: {}, {}, waits)


def arrived(number: int) -> Arrived:
    return Arrived(hours(number), f"m{number}", {"numero": number})


def told(answers: Borrowed, ask: Await) -> Event | None:
    said = answers(ask)
    return None if said is None else said.event  # type: ignore[return-value]


def test_who_gathers_one_more_takes_what_came_after_the_others() -> None:
    answers = borrowed(memory(arrived(1), arrived(2)), asking(0), asking(1))
    assert [arrived(1), arrived(2), arrived(3), None] == [told(answers, asking(number)) for number in range(4)]


def test_what_came_before_the_wait_is_taken_when_it_begins() -> None:
    assert Arrived(hours(2), "m1", {"numero": 1}) == told(borrowed(memory()), asking(0))


def test_what_came_after_the_deadline_is_not_taken() -> None:
    answers = borrowed(memory(arrived(1), arrived(2)), asking(0), asking(1))
    told(answers, asking(0)), told(answers, asking(1))
    assert Expired(dt.datetime(2026, 3, 2, 10, 30, tzinfo=dt.UTC)) == told(answers, asking(2, hours(2) + dt.timedelta(minutes=30)))


def test_what_came_in_time_and_was_given_to_its_wait_later_was_in_time() -> None:
    """No worker was there until the deadline had passed."""
    said = Said(0, arrived(3), "ufficio.parte", canonical(list(KEY)), text_of(hours(2)))
    known = Memory({"parti[0]": said}, {})
    assert arrived(3) == told(borrowed(known, asking(0, hours(2))), asking(0, hours(2)))
    assert Expired(hours(1)) == told(borrowed(known, asking(0, hours(2))), asking(0, hours(1)))


def test_a_wait_that_was_there_found_what_it_found() -> None:
    assert told(borrowed(memory(), asking(0)), asking(0)) is None


def test_a_wait_that_the_run_had_not_looks_in_the_log_also_under_the_rules_in_force() -> None:
    """It went under earlier ones."""
    answers = borrowed(memory(), asking(0))
    answers.memory = memory()
    assert Arrived(hours(2), "m1", {"numero": 1}) == told(answers, asking(0))


def test_a_deadline_beyond_the_end_of_the_log_has_not_passed() -> None:
    assert told(borrowed(memory(), came=0), asking(0, hours(101))) is None
    assert Expired(hours(99)) == told(borrowed(memory(), came=0), asking(0, hours(99)))


def test_what_would_not_be_sent_any_more_is_not_found_in_the_log() -> None:
    answers = borrowed(without(memory(arrived(1)), "parti[0]"), came=1)
    assert told(answers, asking(0)) is None


def pratica_of(message: Message) -> dict[str, str]:
    assert isinstance(message.body, dict)
    return {"pratica": str(message.body["pratica"])}


@pytest.mark.parametrize(("said", "came", "taken"), [("x1", 0, "planned-"), ("altro", 0, ""), ("x1", 1, "m1")])
def test_what_only_the_edited_rules_send_wakes_the_run_that_sends_it(said: str, came: int, taken: str) -> None:
    """By the key that it carries, and after what came before it was sent."""
    answers = borrowed(memory(), came=came)
    answers.keys_of = pratica_of
    answers(Send("manda", "ufficio.somma@1/manda", "ufficio.parte", {"pratica": said}))
    event = told(answers, asking(0))
    assert (event.message[: len(taken)] if isinstance(event, Arrived) else "") == taken


def test_what_was_sent_under_another_step_is_in_the_log_already() -> None:
    answers = borrowed(memory(), came=0)
    answers.known, answers.keys_of = {"avvisa": b'{"pratica":"x1"}'}, pratica_of
    answers(Send("manda", "ufficio.somma@1/manda", "ufficio.parte", {"pratica": "x1"}))
    assert told(answers, asking(0)) is None
