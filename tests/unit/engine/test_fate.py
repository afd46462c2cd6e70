"""What becomes of a call, by the effect class of its operation."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bus.adapter import Contract, InDoubt, Operation, Refused, Unreachable
from bus.engine import fate
from bus.engine.asks import Call, Failed
from bus.engine.fate import Done, Retry, Tries
from bus.message import canonical, parsed
from bus.route import plan

T = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
DOWN, NO, DOUBT = Unreachable("down"), Refused("no", outside_code="X"), InDoubt("who knows")


def operation(effect: Any, **more: Any) -> Operation:
    return Operation(
        name="op",
        effect=effect,
        request=Contract,
        answer=Contract,
        timeout=5,
        method="op",
        probe="p" if effect == "queryable" else None,
        **more,
    )


def ask(attempts: int = 3) -> Call:
    return Call("path", "r@1/step", "sys.op", {}, "key", retry=plan.Retry(attempts, wait=2, factor=3, most=10))


def tried(times: int) -> Tries:
    return Tries(count=times, asked=T)


def failed(outcome: Done | Retry) -> dict[str, Any]:
    assert isinstance(outcome, Done) and isinstance(outcome.event, Failed)
    return dict(outcome.event.error)


@pytest.mark.parametrize("effect", ["read", "keyed", "queryable", "once"])
def test_a_refusal_is_final_whatever_the_effect(effect: str) -> None:
    told = failed(fate.after_error(ask(), operation(effect), tried(1), NO, T))
    assert (told["kind"], told["code"]) == ("refused", "X")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"a": [1, None]}, {"a": [1, None]}),
        ({"codice": "x\ud83d"}, "{'codice': 'x\\ud83d'}"),
        ({"n": 10**30}, "{'n': 1" + "0" * 30 + "}"),
        (float("nan"), None),
        (Decimal("1.50"), "1.50"),
    ],
)
def test_evidence_is_told_as_the_journal_gives_it_back(given: Any, kept: Any) -> None:
    told = failed(fate.after_error(ask(), operation("once"), tried(1), Refused("no", evidence=given), T))
    assert told["evidence"] == kept
    assert parsed(canonical(told)) == told


@pytest.mark.parametrize("effect", ["read", "keyed", "queryable", "once"])
def test_an_unreachable_system_is_asked_again_with_growing_pauses(effect: str) -> None:
    pauses = [fate.after_error(ask(9), operation(effect), tried(n), DOWN, T) for n in (1, 2, 3, 4)]
    assert [(p.due - T).total_seconds() for p in pauses if isinstance(p, Retry)] == [2, 6, 10, 10]
    assert not any(p.doubt for p in pauses if isinstance(p, Retry))


def test_a_system_that_says_when_is_asked_then() -> None:
    outcome = fate.after_error(ask(), operation("keyed"), tried(1), Unreachable("busy", retry_after=77), T)
    assert isinstance(outcome, Retry) and outcome.due == T + dt.timedelta(seconds=77)


def test_a_system_that_names_a_moment_that_is_over_is_not_asked_more_often_than_a_silent_one() -> None:
    pauses = [fate.after_error(ask(9), operation("keyed"), tried(n), Unreachable("busy", retry_after=0.0), T) for n in (1, 2, 3)]
    assert [(p.due - T).total_seconds() for p in pauses if isinstance(p, Retry)] == [2, 6, 10]


def test_after_the_last_try_the_route_is_told() -> None:
    assert failed(fate.after_error(ask(3), operation("keyed"), tried(3), DOWN, T))["kind"] == "unreachable"


def test_doubt_about_a_read_is_no_doubt() -> None:
    outcome = fate.after_error(ask(), operation("read"), tried(1), DOUBT, T)
    assert isinstance(outcome, Retry) and not outcome.doubt
    assert failed(fate.after_error(ask(1), operation("read"), tried(1), DOUBT, T))["kind"] == "unreachable"


def test_a_keyed_call_in_doubt_is_sent_again_and_stays_in_doubt() -> None:
    outcome = fate.after_error(ask(), operation("keyed"), tried(1), DOUBT, T)
    assert isinstance(outcome, Retry) and outcome.doubt and not outcome.probe
    assert failed(fate.after_error(ask(3), operation("keyed"), tried(3), DOUBT, T))["kind"] == "in_doubt"


def test_a_keyed_call_stays_in_doubt_though_nobody_opens_afterwards() -> None:
    doubtful = Tries(count=2, asked=T, doubt=True)
    outcome = fate.after_error(ask(), operation("keyed"), doubtful, Unreachable("down", retry_after=77), T)
    assert isinstance(outcome, Retry) and outcome.doubt and not outcome.probe and outcome.due == T + dt.timedelta(seconds=77)
    told = failed(fate.after_error(ask(2), operation("keyed"), doubtful, DOWN, T))
    assert told["kind"] == "in_doubt" and told["sentence"] == "down; an earlier try may have had its effect"


def test_a_status_of_the_protocol_says_nothing_of_a_try_before() -> None:
    doubtful, denied = Tries(count=2, asked=T, doubt=True), Refused("", outside_code="HTTP_401")
    told = failed(fate.after_error(ask(), operation("keyed", refusals={"HTTP_401": "not valid"}), doubtful, denied, T))
    assert told["kind"] == "in_doubt" and told["sentence"] == "not valid; an earlier try may have had its effect"
    assert failed(fate.after_error(ask(), operation("keyed"), tried(2), denied, T))["kind"] == "refused"
    of_the_matter = operation("keyed", expected=frozenset({"HTTP_401"}))
    assert failed(fate.after_error(ask(), of_the_matter, doubtful, denied, T))["kind"] == "refused"
    assert failed(fate.after_error(ask(), operation("keyed"), doubtful, NO, T))["kind"] == "refused"


def test_a_refusal_of_what_an_earlier_try_may_have_done_leaves_the_doubt_about_it() -> None:
    doubtful, taken = Tries(count=2, asked=T, doubt=True), operation("keyed", echoes=frozenset({"X"}))
    assert failed(fate.after_error(ask(), taken, doubtful, NO, T))["kind"] == "in_doubt"
    assert failed(fate.after_error(ask(), taken, tried(2), NO, T))["kind"] == "refused"
    of_the_protocol = operation("keyed", expected=frozenset({"HTTP_409"}), echoes=frozenset({"HTTP_409"}))
    gone = Refused("", outside_code="HTTP_409")
    assert failed(fate.after_error(ask(), of_the_protocol, doubtful, gone, T))["kind"] == "in_doubt"


def test_a_request_in_doubt_is_prepared_again_for_the_time_it_first_went_out() -> None:
    tries, later, next_day = Tries(), T + dt.timedelta(seconds=5), T + dt.timedelta(days=1)
    tries.asks(T)
    assert tries.prepares(later) == later, "surely not applied: a new request may be made"
    tries.doubt = True
    tries.asks(later)
    assert (tries.asked, tries.prepares(next_day)) == (later, T)
    tries.doubt = False
    assert tries.prepares(next_day) == next_day


def test_a_queryable_call_in_doubt_is_probed_after_timeout_and_settle_counted_from_the_asking() -> None:
    late = T + dt.timedelta(seconds=4)
    outcome = fate.after_error(ask(), operation("queryable", settle=30), tried(1), DOUBT, late)
    assert isinstance(outcome, Retry) and outcome.probe and outcome.due == T + dt.timedelta(seconds=35)
    longer = fate.after_error(replace(ask(), timeout=9), operation("queryable", settle=30), tried(1), DOUBT, late)
    assert isinstance(longer, Retry) and longer.due == T + dt.timedelta(seconds=39), "the step may have a timeout of its own"


def test_a_once_call_in_doubt_is_for_a_person() -> None:
    assert failed(fate.after_error(ask(), operation("once"), tried(1), DOUBT, T))["kind"] == "in_doubt"


@pytest.mark.parametrize(("effect", "kind"), [("keyed", "again"), ("queryable", "probe"), ("once", "person")])
def test_a_call_whose_end_nobody_saw_is_in_doubt(effect: str, kind: str) -> None:
    outcome = fate.after_crash(ask(), operation(effect, settle=1), tried(1), T)
    found = "person" if isinstance(outcome, Done) else "probe" if outcome.probe else "again"
    assert found == kind


def test_a_keyed_call_that_was_interrupted_is_made_again_at_once_while_tries_are_left() -> None:
    outcome = fate.after_crash(ask(3), operation("keyed"), tried(2), T)
    assert isinstance(outcome, Retry) and outcome.due == T and outcome.doubt
    assert isinstance(fate.after_crash(ask(3), operation("keyed"), tried(3), T), Done)


def test_a_call_whose_end_nobody_saw_may_have_begun_long_after_its_intent() -> None:
    found = T + dt.timedelta(seconds=600)
    outcome = fate.after_crash(ask(), operation("queryable", settle=30), tried(1), found)
    assert isinstance(outcome, Retry) and outcome.probe and outcome.due == found + dt.timedelta(seconds=35)


def test_a_probe_that_finds_nothing_allows_another_try_at_once() -> None:
    outcome = fate.after_empty_probe(ask(), tried(1), T)
    assert isinstance(outcome, Retry) and outcome.due == T and not outcome.doubt and not outcome.probe


def test_a_probe_waits_as_long_as_the_system_says():
    outcome = fate.after_failed_probe(
        ask(3), operation("queryable"), Tries(count=1, probes=1, asked=T), Unreachable("busy", retry_after=77), T
    )
    assert (outcome.due - T).total_seconds() == 77


def test_a_probe_that_gets_no_answer_leaves_the_doubt_and_ends_with_a_person() -> None:
    outcomes = [fate.after_failed_probe(ask(3), operation("queryable"), Tries(count=1, probes=n, asked=T), DOWN, T) for n in (1, 2, 3)]
    again = [outcome for outcome in outcomes if isinstance(outcome, Retry)]
    assert [(outcome.due - T).total_seconds() for outcome in again] == [2, 6]
    assert all(outcome.doubt and outcome.probe for outcome in again)
    assert failed(outcomes[-1])["kind"] == "in_doubt"
