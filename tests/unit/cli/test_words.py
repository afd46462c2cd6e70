from __future__ import annotations

import string

import pytest

from bus.cli import services
from bus.cli.words import SOMETHING, WORDS, clock_of, sentence, when
from bus.log.record import KINDS

TIME = "2026-07-01T10:00:00.000000Z"


def test_every_kind_of_record_has_its_words_and_no_other():
    assert set(WORDS) == KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_record_that_says_little_can_still_be_said(kind):
    said = sentence({"kind": kind, "actor": "bus"})
    assert said
    assert "{" not in said


def test_words_ask_only_for_what_records_have():
    wanted = {name for _, words in WORDS.values() for _, name, _, _ in string.Formatter().parse(words) if name}
    assert wanted <= {"act", "type", "actor", "names", "operation", "decision", "size", "adapter", "outcome", "event", "what", "before"}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"kind": "read", "actor": "dpo", "data": {"role": "search", "found": 0}}, "opened by dpo (search)"),
        ({"kind": "exported", "actor": "dpo", "data": {"manifest": "ab", "records": 3}}, "exported by dpo (bundle)"),
        ({"kind": "exported", "actor": "dpo", "data": {"report": "accesses", "from": TIME}}, "exported by dpo (accesses)"),
        (
            {"kind": "disposed", "actor": "dpo", "data": {"what": "wire", "before": TIME}},
            "wire from before 01/07/2026 12:00:00 CEST destroyed, as they were too old, by dpo",
        ),
        ({"kind": "replayed", "actor": "dpo", "data": {"scope": "case"}}, "replayed by dpo (case)"),
        (
            {"kind": "asked", "data": {"operation": "protocollo.registra", "effect": "queryable"}, "attempt": 1},
            "protocollo.registra asked (effect queryable)",
        ),
        (
            {
                "kind": "unanswered",
                "time": TIME,
                "data": {"operation": "protocollo.registra", "kind": "in_doubt", "code": "outside.in-doubt", "doubt": True, "again": TIME},
                "attempt": 2,
            },
            "protocollo.registra gave no usable answer (attempt 2; outside.in-doubt; in doubt; again at 12:00:00 CEST)",
        ),
        (
            {
                "kind": "unanswered",
                "data": {"operation": "o.o", "code": "outside.unreachable", "cause": "no connection in time"},
                "attempt": 1,
            },
            "o.o gave no usable answer (outside.unreachable; no connection in time)",
        ),
        (
            {"kind": "unanswered", "time": TIME, "data": {"operation": "o.o", "code": "call.not-applied", "again": TIME}, "attempt": 2},
            "o.o had not happened: the system has no trace of it (attempt 2; call.not-applied; again at 12:00:00 CEST)",
        ),
        (
            {"kind": "unanswered", "time": "2026-06-30T21:00:00Z", "data": {"operation": "o.o", "again": TIME}, "attempt": 2},
            "o.o gave no usable answer (attempt 2; again at 01/07/2026 12:00:00 CEST)",
        ),
        (
            {"kind": "unanswered", "data": {"operation": "o.o", "code": "call.interrupted", "doubt": True}, "attempt": 1},
            "the bus stopped while it asked o.o (call.interrupted; in doubt)",
        ),
        (
            {"kind": "unanswered", "data": {"operation": "o.o", "code": "call.circuit-open"}, "attempt": 1},
            "o.o was not asked: the system had not answered for a while (call.circuit-open)",
        ),
        (
            {"kind": "unanswered", "data": {"operation": "o.o", "code": "call.given-up"}, "attempt": 1},
            "o.o is not asked again: the run has failed elsewhere (call.given-up)",
        ),
        ({"kind": "joined", "data": {"names": ["iuv", "avviso"]}}, "the case is now known by iuv, avviso"),
        (
            {"kind": "waiting", "data": {"type": "pagopa.ricevuta", "deadline": TIME}},
            "waiting for pagopa.ricevuta (until 01/07/2026 12:00:00 CEST)",
        ),
        ({"kind": "waiting", "data": {}}, "waiting for time"),
        ({"kind": "matched", "data": {"arrival": "m2"}}, "pagopa.ricevuta arrived for this wait"),
        ({"kind": "decided", "actor": "sistemista", "data": {"decision": "happened"}}, "sistemista decided: it had happened"),
        ({"kind": "access", "actor": "", "data": {"event": "refused"}}, "somebody was refused"),
        ({"kind": "dead", "data": {"code": "outside.refused"}}, "stopped: a person is needed (outside.refused)"),
    ],
)
def test_sentences(record, said):
    assert sentence(record, {"m2": "pagopa.ricevuta"}) == said


def test_times_are_those_of_rome_and_say_their_zone():
    assert clock_of("2026-01-01T10:00:00.000000Z") == "11:00:00 CET"
    assert when("2026-10-25T00:30:00.000000Z") == "25/10/2026 02:30:00 CEST"
    assert when("2026-10-25T01:30:00.000000Z") == "25/10/2026 02:30:00 CET"


def test_something_is_said_where_a_record_is_silent():
    assert SOMETHING in sentence({"kind": "asked"})


def test_a_fee_is_told_in_euro(capsys):
    services._one({"codice": "certificato", "tariffa": {"importo": 1652, "causale": "Bollo"}})
    assert capsys.readouterr().out == "codice       certificato\ntariffa      importo 16.52 €, causale Bollo\n"
