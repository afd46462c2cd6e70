"""What the journal of a run tells of its calls: how often they were tried, under which key and number, and what is still in doubt."""

from __future__ import annotations

import datetime as dt
from typing import Any

from bus.engine import journal
from bus.engine.asks import Answered, Failed
from bus.engine.fate import GIVEN_UP, Tries
from bus.engine.projection import entry
from bus.log.record import Record
from bus.message import new_id
from tests.keyrings import in_memory

T = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
AGAIN = "2026-03-02T08:01:00.000000Z"
KEY = in_memory().fresh()
TOLD: dict[str, Any] = {}
"""What payloads say, by id."""


def record(kind: Any, path: str = "p", seconds: int = 0, attempt: int | None = None, **data: Any) -> Record:
    return Record(
        new_id(), kind, T + dt.timedelta(seconds=seconds), message="m", run="r", path=path, attempt=attempt, place=f"r@1/{path}", data=data
    )


def asked(path: str = "p", seconds: int = 0, **data: Any) -> Record:
    return record("asked", path, seconds, **{"key": "chiave", **data})


def failed(path: str = "p", code: str = "X", **data: Any) -> Record:
    made = entry(record("unanswered", path, **data), KEY, {"error": {"code": code}}).record
    TOLD[str(made.payload("error"))] = {"code": code}
    return made


def fold(*records: Record) -> journal.Journal:
    return journal.fold(records, TOLD.__getitem__, TOLD.__getitem__)


def tries(*records: Record) -> Tries:
    return fold(*records).tries["p"]


def test_a_call_of_which_only_the_intent_is_known_is_in_the_air_under_its_key_and_number() -> None:
    found = tries(asked(number=7), record("unanswered", again=AGAIN), asked(seconds=9, number=7))
    assert (found.in_air, found.count, found.key, found.number) == (True, 2, "chiave", 7)
    assert (found.asked, found.prepared) == (T + dt.timedelta(seconds=9), T + dt.timedelta(seconds=9))


def test_a_call_that_was_answered_is_not_in_the_air_and_its_answer_is_told() -> None:
    answered = entry(record("answered"), KEY, {"answer": {"chi": "a"}}).record
    TOLD[str(answered.payload("answer"))] = {"chi": "a"}
    found = fold(asked(), answered)
    assert (found.tries["p"].in_air, found.events) == (False, [("p", Answered(T, {"chi": "a"}))])


def test_a_try_that_failed_is_due_again_and_in_doubt_as_it_says_itself() -> None:
    found = tries(asked(), record("unanswered", again=AGAIN, doubt=True, probe=True))
    assert (found.in_air, found.doubt, found.probe, found.due) == (False, True, True, T + dt.timedelta(seconds=60))
    found = tries(asked(), record("unanswered", again=AGAIN, doubt=True), asked(), record("unanswered", again=AGAIN, doubt=False))
    assert (found.doubt, found.probe) == (False, False), "a probe found nothing"


def test_probes_in_vain_are_counted_from_the_last_try() -> None:
    probe = record("unanswered", again=AGAIN, doubt=True, probe=True, by="probe")
    assert tries(asked(), probe, probe).probes == 2
    assert tries(asked(), probe, probe, asked(), probe).probes == 1


def test_tries_that_leave_no_intent_are_counted_by_what_came_of_them() -> None:
    assert tries(record("unanswered", attempt=1, again=AGAIN), record("unanswered", attempt=2, again=AGAIN)).count == 2


def test_a_number_is_used_again_only_for_a_call_that_may_have_had_its_effect() -> None:
    assert tries(asked(number=7), failed(doubt=True)).number == 7
    assert tries(asked(number=7), failed()).number is None


def test_what_a_person_decided_ends_the_doubt_and_the_counting() -> None:
    again = record("decided", decision="again")
    for before in ([asked()], [asked(), failed(doubt=True)], [asked(), record("unanswered", again=AGAIN, doubt=True, probe=True)]):
        found = fold(*before, again)
        tried = found.tries["p"]
        assert (tried.count, tried.probes, tried.due, tried.doubt, tried.probe, tried.in_air) == (0, 0, None, False, False, False)
        assert found.events == []


def test_a_run_that_is_redelivered_tries_anew_what_failed_and_what_was_given_up_for_it() -> None:
    found = fold(asked(), failed("q", GIVEN_UP), failed("s"), failed(), record("redelivered"))
    assert [(path, event.error["code"]) for path, event in found.events if isinstance(event, Failed)] == [("s", "X")]
    assert found.tries["p"].count == 0


def test_a_call_is_perhaps_on_its_way_while_its_intent_is_the_last_that_is_told_of_it() -> None:
    assert journal.in_the_air([asked("p"), record("answered", "q")])
    for kind in ("answered", "refused", "unanswered", "decided"):
        assert not journal.in_the_air([asked(), record(kind)])
    assert journal.in_the_air([asked(), record("unanswered"), asked()])


def test_of_calls_whose_end_nobody_knows_the_one_that_holds_a_lane_comes_first() -> None:
    first, lane = asked("p"), asked("q", lane=True)
    assert journal.unended([first, lane]) == lane
    assert journal.unended([first, lane, record("answered", "q")]) == first
    assert journal.unended([first, record("unanswered", doubt=True)]) == first
    assert journal.unended([first, record("unanswered")]) is None
