"""Runs recomputed from their records: those of a world in trouble are all equal, and whatever is changed is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import create_model

from bus.errors import Damaged, NotFound
from bus.log.record import Record
from bus.message import canonical, parsed
from bus.replay.evidence import Evidence
from bus.replay.fields import changes
from bus.replay.recount import Verdict, recount, retraced
from tests.unit.replay.simulated import OPERATIONS, Log, simulated

SEEDS = range(25)


@pytest.fixture
def log() -> Log:
    return simulated(7)


def test_every_run_of_a_world_in_trouble_is_recomputed_as_it_was() -> None:
    results, states = Counter[str](), Counter[str]()
    for seed in SEEDS:
        for verdict in simulated(seed).verdicts().values():
            assert verdict.result == "equal", (seed, verdict)
            results[verdict.result] += 1
            states[verdict.state] += 1
    assert results["equal"] > 200
    assert min(states[state] for state in ("done", "dead", "waiting")) > 8


def first(log: Log, kind: str, holds: Callable[[Record], bool] = lambda _: True) -> Record:
    """The first record of a kind, of a run that was done."""
    verdicts = log.verdicts()
    return next(
        record for record in log.records if record.kind == kind and holds(record) and record.run and verdicts[record.run].state == "done"
    )


def changed(log: Log, record: Record, role: str, change: Callable[[Any], Any]) -> Verdict:
    """The verdict on the run of a record, one of whose payloads was changed."""
    identity = record.payload(role)
    log.payloads[identity] = canonical(change(parsed(log.payloads[identity])))
    return log.verdicts()[record.run]


def test_a_request_that_is_not_what_the_rules_say_is_told_field_by_field(log: Log) -> None:
    record = first(log, "asked")
    verdict = changed(log, record, "request", lambda request: {**request, "chi": "un altro"})
    assert [(one.result, one.place, one.fields) for one in verdict.differences] == [("different", record.place, ("request.chi",))]


@pytest.mark.parametrize(
    ("canale", "chi", "told"),
    [
        ({"canale": (str, "WEB"), "priorita": (str, "bassa")}, {}, []),
        ({"canale": (str, "WEB"), "priorita": (str, ...)}, {}, [("unavailable: undeclared", ())]),
        ({}, {}, [("unavailable: undeclared", ())]),
        ({"canale": (str, "WEB"), "priorita": (str, "bassa")}, {"chi": "un altro"}, [("different", ("request.chi",))]),
    ],
)
def test_an_adapter_that_takes_other_requests_than_then_accuses_no_step(
    log: Log, canale: dict[str, Any], chi: dict[str, str], told: list[tuple[str, tuple[str, ...]]]
) -> None:
    """The adapter of then added a `canale`; the one of today adds more, wants more, or knows no such field."""
    record = first(log, "asked")
    identity = record.payload("request")
    log.payloads[identity] = canonical({**parsed(log.payloads[identity]), "canale": "WEB", **chi})
    later = {
        name: replace(operation, request=create_model("Dopo", __base__=operation.request, **canale))
        for name, operation in OPERATIONS.items()
    }
    evidence = log.evidence()
    opening = next(one for one in evidence.openings if one.run == record.run)
    found = recount(opening, evidence, later).differences
    assert [(one.result, one.fields) for one in found] == told


def test_an_answer_that_was_exchanged_shows_in_what_was_made_of_it() -> None:
    """Only an answer that the rules use can show; what an answer was is proved by the tree, not by replay."""
    log = simulated(7)
    asked = first(log, "replied")
    verdict = changed(log, asked, "reply", lambda reply: {"chi": "un altro"})
    assert verdict.result == "different"
    assert verdict.differences[0].fields[0].startswith("reply")


def test_a_message_that_was_exchanged_shows_in_all_that_came_of_it(log: Log) -> None:
    replied = first(log, "replied")
    received = next(record for record in log.records if record.kind == "received" and record.message == replied.message)
    identity = received.payload("message")
    stored = parsed(log.payloads[identity])
    log.payloads[identity] = canonical({**stored, "body": {**stored["body"], "chi": "un altro"}})
    verdict = log.verdicts()[replied.run]
    assert verdict.result == "different"
    assert len(verdict.differences) > 2


@pytest.mark.parametrize("part", ["type", "key"])
def test_a_message_that_was_given_to_a_run_that_waited_for_another_is_told(part: str) -> None:
    """Whoever changed the tables by which they find each other, and changed them back, is found by it."""
    for seed in SEEDS:
        log = simulated(seed)
        keyed = {(one.run, one.path) for one in log.records if one.kind == "waiting" and one.payload("key")}
        for matched in (one for one in log.records if one.kind == "matched" and (one.run, one.path) in keyed):
            arrival = next(one for one in log.records if one.kind == "received" and one.message == matched.data["arrival"])
            identity = arrival.payload("message")
            stored = parsed(log.payloads[identity])
            if part == "type":
                stored["envelope"]["type"] = "altro.tipo"
            else:
                stored["keys"]["case"] = dict.fromkeys(stored["keys"]["case"], "altro")
            log.payloads[identity] = canonical(stored)
            found = [one for one in log.verdicts()[matched.run].differences if one.fields == (part,)]
            assert [(one.result, one.place) for one in found] == [("different", matched.place)]
            return
    pytest.fail("no run was given what it waited for")


def test_a_call_without_an_answer_in_the_log_is_unknown(log: Log) -> None:
    record = first(log, "answered")
    log.records = [one for one in log.records if not (one.run == record.run and one.path == record.path)]
    verdict = log.verdicts()[record.run]
    assert verdict.result in ("unknown call", "different")
    assert any(one.result == "unknown call" and one.place == record.place for one in verdict.differences)
    follows = ["the rules do not ask it" in one.sentence for one in verdict.differences]
    assert any(follows)
    assert follows == sorted(follows), "the cause is told first"


def shows(log: Log, record: Record, *instead: Record) -> list[tuple[str, str, str]]:
    """What is told at the path of a record once others stand in its place."""
    log.records = [other for one in log.records for other in (instead if one.id == record.id else (one,))]
    return [(one.result, one.place, one.sentence) for one in log.verdicts()[str(record.run)].differences if one.path == record.path]


def test_a_call_of_which_nothing_says_what_was_asked_is_not_equal(log: Log) -> None:
    """A bundle may lack the intent: then nobody compares the request, though the answer is there."""
    asked = first(log, "asked", lambda one: sum((one.run, one.path) == (other.run, other.path) for other in log.records) == 2)
    assert shows(log, asked) == [("different", asked.place, "the request: none was recorded")]


def test_a_call_that_went_out_under_another_key_is_not_equal(log: Log) -> None:
    """Its system may have taken it for another one, and done it twice."""
    asked = first(log, "asked")
    other = asked._replace(data={**asked.data, "key": "altra"})
    assert shows(log, asked, other) == [("different", asked.place, "our key of the call")]


def test_a_wait_that_came_to_its_end_and_of_which_nothing_says_that_it_began_is_not_equal(log: Log) -> None:
    ended = first(log, "matched")
    began = next(one for one in log.records if one.kind == "waiting" and (one.run, one.path) == (ended.run, ended.path))
    assert shows(log, began) == [("different", began.place, "the wait: none was recorded")]


@pytest.mark.parametrize("kind", ["sent", "replied"])
def test_what_was_done_twice_is_not_equal(log: Log, kind: str) -> None:
    record = first(log, kind)
    assert shows(log, record, record, record._replace(id="altra")) == [("different", record.place, f"recorded 2 times ({kind})")]


def test_a_run_that_is_said_to_have_ended_early_and_came_to_its_last_step_is_not_equal(log: Log) -> None:
    record = first(log, "done")
    log.records[log.records.index(record)] = record._replace(data={**record.data, "code": "prova.ritirata"})
    [found] = log.verdicts()[str(record.run)].differences
    assert "the run ended early with prova.ritirata, recomputed it ends at its last step" == found.sentence


def test_a_step_that_is_recorded_as_another_or_under_other_rules_is_not_equal(log: Log) -> None:
    record = first(log, "replied")
    other = record._replace(place="altro@1/passo", rules="0" * 64)
    told = [("different", record.place, "recorded of altro@1/passo"), ("different", record.place, "recorded under the rules 000000000000…")]
    assert shows(log, record, other) == told


def test_what_was_erased_is_unavailable_and_not_different(log: Log) -> None:
    record = first(log, "answered", lambda record: record.data["operation"] == "sistema.scrivi")
    del log.payloads[record.payload("answer")]
    verdict = log.verdicts()[record.run]
    assert verdict.result == "unavailable: erased"
    assert [(one.place, one.sentence) for one in verdict.differences] == [(record.place, "the answer")]


def test_why_of_an_erased_message_names_the_run_whose_journal_is_still_there(log: Log) -> None:
    opening = log.evidence().openings[0]
    del log.payloads[next(r for r in log.records if r.kind == "received" and r.message == opening.message).payload("message")]
    with pytest.raises(NotFound) as caught:
        retraced(opening, log.evidence(), lambda _: None)
    assert caught.value.hint == f"its journal is still there: bus runs show {opening.run}"


def test_a_run_whose_message_was_erased_is_unavailable(log: Log) -> None:
    record = first(log, "answered")
    received = next(one for one in log.records if one.kind == "received" and one.message == record.message)
    del log.payloads[received.payload("message")]
    assert [one.sentence for one in log.verdicts()[record.run].differences] == ["the message"]


def test_what_was_erased_is_told_once_of_a_run_that_was_redelivered() -> None:
    """Each of its lives lacks it."""
    log = simulated(4)
    dead = next(one for one in log.records if one.kind == "dead")
    redelivered = dead._replace(id="redelivered", kind="redelivered", payloads=(), data={"state": "ready"})
    received = next(one for one in log.records if one.kind == "received" and one.message == dead.message)
    del log.payloads[received.payload("message")]
    log.records += [redelivered, dead._replace(id="again")]
    assert [one.sentence for one in log.verdicts()[str(dead.run)].differences] == ["the message"]


def test_rules_that_are_not_those_of_the_fingerprint_are_told(log: Log) -> None:
    record = first(log, "answered")
    one, other = log.rules[record.rules], next(rules for digest, rules in log.rules.items() if digest != record.rules)
    assert one != other
    log.rules[record.rules] = other
    verdict = log.verdicts()[record.run]
    assert verdict.result == "different"
    assert "has the fingerprint" in verdict.differences[0].sentence


@pytest.mark.parametrize("kind", ["answered", "asked", "waiting", "matched", "expired", "sent", "replied", "joined", "closed", "dead"])
def test_a_record_that_is_not_there_is_missed(kind: str) -> None:
    """Taken out of runs that have ended well: what came beside a step that failed decides nothing any more.

    An intent alone may be missed only by the tree: a read has none.
    """
    missed = Counter[str]()
    for seed in SEEDS[:12]:
        log = simulated(seed)
        ended = {run for run, verdict in log.verdicts().items() if verdict.state == ("dead" if kind == "dead" else "done")}
        for record in log.records:
            if record.kind == kind and record.run in ended:
                kept = [one for one in log.records if one is not record]
                missed[Log(kept, log.payloads, log.rules).verdicts()[record.run].result] += 1
                break
    assert missed
    if kind not in ("asked", "waiting", "dead"):
        assert not missed["equal"], missed


def test_replaying_again_gives_the_same(log: Log) -> None:
    assert len({repr(list(log.verdicts().values())) for _ in range(5)}) == 1


def test_fields_that_differ_are_named_with_their_place() -> None:
    before = {"a": [1, {"b": 2, "c": None}], "d": "x"}
    after = {"a": [1, {"b": 2.0, "c": None}, 3], "e": None}
    assert [field for field, _, _ in changes(before, after, "request")] == ["request.a[1].b", "request.a[2]", "request.d", "request.e"]
    assert [field for field, _, _ in changes([{"b": 1}], [{"b": 1}, {"b": 2, "c": 3}], "request")] == ["request[1]"]
    assert [field for field, _, _ in changes({"a": {"b": 1}}, {}, "request")] == ["request.a"]


class Journal(list[Record]):
    """Records that count how often they, or a part of them, are gone through; `reversed` comes to its end soon."""

    times = 0

    def __iter__(self) -> Iterator[Record]:
        Journal.times += 1
        return super().__iter__()

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return Journal(found) if isinstance(at, slice) else found


def gone_through(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, int], int]:
    """How often the journals of runs with one life are, by the number of their steps and of what is said of them."""
    times: dict[tuple[int, int], int] = {}
    for one in evidence.openings:
        whole = evidence.journal(one.run)
        if any(record.kind in ("redelivered", "decided") for record in whole):
            continue  # each life is recomputed
        monkeypatch.setattr(Evidence, "journal", lambda self, run, whole=whole: Journal(whole))
        Journal.times = 0
        verdict = recount(one, evidence, OPERATIONS)
        times[verdict.steps, len(verdict.differences)] = Journal.times
        monkeypatch.undo()
    return times


def test_a_journal_is_gone_through_as_often_whatever_its_run_asked(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gather of 6,000 messages went through its 12,000 records for each."""
    times = gone_through(log.evidence(), monkeypatch)
    assert len(times) > 4
    assert len(set(times.values())) == 1, times


def test_a_journal_is_gone_through_as_often_whatever_of_it_cannot_be_opened(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the key store lacks the keys of thousands of messages, the record of each was looked for among all."""
    evidence = log.evidence()
    texts = {payload: log.payloads[payload] for payload in evidence.messages.values()}
    lost = {payload: Damaged("gone", code="payload.swapped") for payload in log.payloads.keys() - texts.keys()}
    times = gone_through(replace(evidence, content=texts.get, unopened=lost), monkeypatch)
    several = {said: often for (_, said), often in times.items() if said > 1}
    assert max(several) > 2
    assert len(set(several.values())) == 1, times
