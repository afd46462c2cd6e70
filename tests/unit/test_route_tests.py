"""The tests inside route files: every way a system can end, virtual time, and arrivals."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field

from bus.adapter import Operation
from bus.examine import examine
from bus.testing.routes import run_folder
from tests.unit.route_under_test import BESIDE, GIVEN, OPERATIONS, READ, faults, folder

ANSWER = "{answers: {codice: A1}}"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{answers: {codice: B2}}", "{state: done, reply: null, calls: [{sys.leggi: {codice: A1}}], tries: {sys.leggi: 1}}"),
        ("{refuses: IGNOTO}", "{reply: {esito: IGNOTO}, tries: {sys.leggi: 1}}"),
        ("{unreachable: 2, answers: {codice: B2}}", "{reply: null, calls: [sys.leggi], tries: {sys.leggi: 3}}"),
        ("{unreachable: true}", "{reply: {esito: unreachable}, tries: {sys.leggi: 5}}"),
        ("{silent: true}", "{reply: {esito: unreachable}, tries: {sys.leggi: 5}}"),
        ("{in_doubt: not, answers: {codice: B2}}", "{reply: null, tries: {sys.leggi: 2}}"),
        ("{faults: 2, answers: {codice: B2}}", "{reply: null, tries: {sys.leggi: 3}}"),
        ("{faults: true}", "{reply: {esito: unreachable}, tries: {sys.leggi: 5}}"),
        ("{delays: 4s, answers: {codice: B2}}", "{reply: null, tries: {sys.leggi: 1}}"),
        ("{delays: 6s, answers: {codice: B2}}", "{reply: null, tries: {sys.leggi: 2}}"),
        ("{dies: 2, answers: {codice: B2}}", "{reply: null, tries: {sys.leggi: 4}}"),
        ("[{unreachable: 1}, {refuses: IGNOTO}]", "{reply: {esito: IGNOTO}, tries: {sys.leggi: 2}}"),
    ],
)
def test_a_read_ends_as_the_test_says(judged, given, expected):
    assert faults(judged(READ, f"  - {{name: prova, given: {{sys.leggi: {given}}}, expect: {expected}}}")) == []


@pytest.mark.parametrize(("delay", "tries"), [("2s", 1), ("4s", 2)])
def test_a_step_that_waits_less_than_the_operation_tries_again_sooner(judged, delay, tries):
    steps = READ.replace("    call: sys.leggi", "    call: sys.leggi\n    timeout: 3s")
    test = f"{{name: prova, given: {{sys.leggi: {{delays: {delay}, answers: {{codice: B2}}}}}}, expect: {{tries: {{sys.leggi: {tries}}}}}}}"
    assert faults(judged(steps, f"  - {test}")) == []


@pytest.mark.parametrize(
    ("operation", "given", "expected"),
    [
        ("sys.scrivi", "{in_doubt: happened, answers: {codice: B2}}", "{state: done, tries: {sys.scrivi: 2}}"),
        ("sys.scrivi", "{silent: true}", "{state: dead, dead: {code: call.in-doubt, step: scrivi}, tries: {sys.scrivi: 5}}"),
        ("sys.registra", "{in_doubt: happened, answers: {codice: B2}}", "{state: done, reply: {codice: B2}, tries: {sys.registra: 1}}"),
        ("sys.registra", "{in_doubt: not, answers: {codice: B2}}", "{state: done, tries: {sys.registra: 2}}"),
        ("sys.registra", "{silent: true}", "{state: dead, dead: {code: call.in-doubt}, tries: {sys.registra: 1}}"),
        ("sys.scrivi", "{faults: 2, answers: {codice: B2}}", "{state: done, tries: {sys.scrivi: 3}}"),
        ("sys.scrivi", "{dies: 3, answers: {codice: B2}}", "{state: done, tries: {sys.scrivi: 5}}"),
        ("sys.scrivi", "{dies: 9, answers: {codice: B2}}", "{state: dead, dead: {code: call.in-doubt}, tries: {sys.scrivi: 5}}"),
        ("sys.scrivi", "{delays: 10s, answers: {codice: B2}}", "{state: done, tries: {sys.scrivi: 2}}"),
        ("sys.registra", "{faults: 1, answers: {codice: B2}}", "{state: done, tries: {sys.registra: 2}}"),
        ("sys.registra", "{dies: 3, answers: {codice: B2}}", "{state: done, reply: {codice: B2}, tries: {sys.registra: 1}}"),
        ("sys.registra", "{dies: 9, answers: {codice: B2}}", "{state: dead, dead: {code: call.in-doubt}, tries: {sys.registra: 1}}"),
        ("sys.registra", "{delays: 30s, answers: {codice: B2}}", "{state: done, reply: {codice: B2}, tries: {sys.registra: 1}}"),
        ("sys.registra", "{delays: 40s, answers: {codice: B2}}", "{state: done, tries: {sys.registra: 2}}"),
        ("sys.avvisa", "{dies: 1}", "{state: dead, dead: {code: call.in-doubt}, tries: {sys.avvisa: 1}}"),
        ("sys.avvisa", "{faults: 1, answers: {codice: B2}}", "{state: dead, dead: {code: call.in-doubt}, tries: {sys.avvisa: 1}}"),
        ("sys.avvisa", "{delays: 4s, answers: {codice: B2}}", "{state: done, tries: {sys.avvisa: 1}}"),
        ("sys.avvisa", "{in_doubt: happened}", "{state: dead, dead: {code: call.in-doubt}, tries: {sys.avvisa: 1}}"),
        ("sys.avvisa", "{unreachable: 1, answers: {codice: B2}}", "{state: done, tries: {sys.avvisa: 2}}"),
    ],
)
def test_an_effect_ends_as_its_class_promises(judged, operation, given, expected):
    steps = f"""
  - id: scrivi
    call: {operation}
    with: {{codice: body.codice}}
    as: scritto
  - id: rispondi
    reply: {{codice: scritto.codice}}
"""
    assert faults(judged(steps, f"  - {{name: prova, given: {{{operation}: {given}}}, expect: {expected}}}")) == []


@pytest.mark.parametrize("first", ["unreachable: true", "silent: true", "faults: true"])
def test_one_that_never_answers_does_so_for_all_tries_of_its_call_and_no_longer(judged, first):
    again = (
        READ
        + "  - {id: ancora, call: sys.leggi, with: {codice: body.codice}, dead_on: any, as: poi}\n  - {id: poi, reply: {poi: poi.codice}}\n"
    )
    given, expect = f"[{{{first}}}, {{answers: {{codice: B2}}}}]", "replies: [{esito: unreachable}, {poi: B2}], tries: {sys.leggi: 6}"
    assert faults(judged(again, f"  - {{name: x, given: {{sys.leggi: {given}}}, expect: {{state: done, {expect}}}}}")) == []


class Corto(BaseModel):
    codice: str = Field(max_length=2)


def test_a_request_that_does_not_fit_is_the_routes_affair_only_where_it_speaks_of_that(judged, monkeypatch):
    monkeypatch.setitem(OPERATIONS, "sys.corta", Operation("corta", "keyed", Corto, Corto, timeout=5, method="corta"))
    steps = """
  - id: corta
    call: sys.corta
    with: {codice: body.codice}
    on_error: [{when: 'error.kind == "invalid"', steps: [{id: lungo, reply: {esito: error.code}}]}]
  - {id: altra, when: has(body.importo), call: sys.corta, with: {codice: body.codice}}
"""
    given = f"given: {{sys.corta: {ANSWER}}}, but: {{codice: ABC"
    expect = "reply: {esito: call.invalid-request}, calls: [], records: [received, {unanswered: {attempt: 0}}, replied, done]"
    good, wrong = f"{given}}}, expect: {{{expect}}}", f"{given}, importo: 1}}, expect: {{calls: [sys.corta]}}"
    verdicts = judged(steps, f"  - {{name: one, {good}}}\n  - {{name: two, {wrong}}}\n")
    assert faults(verdicts) == ["prova.percorso@1/altra: sys.corta cannot be asked this: codice may have at most 2 characters"]
    assert "corta.on_error[0]" in verdicts[0].branches


def test_the_records_of_a_run_are_told_in_order(judged):
    steps = """
  - {id: scrivi, call: sys.scrivi, with: {codice: body.codice}, as: scritto, case: {altro: scritto.codice}}
  - {id: aspetta, wait: prova.ricevuta, case: codice, deadline: 3d, as: ricevuta}
  - {id: avvisa, send: prova.avviso, with: {testo: "'avviso'"}}
  - {id: rispondi, reply: {codice: scritto.codice}}
"""
    tests = """
  - name: paid
    given: {sys.scrivi: {unreachable: 1, answers: {codice: B2}}}
    then: [{arrive: prova.ricevuta}]
    expect:
      records:
        - received: {type: prova.inizio}
        - asked: {step: scrivi, operation: sys.scrivi, attempt: 1}
        - unanswered: {code: outside.unreachable}
        - asked: {attempt: 2}
        - answered
        - joined
        - waiting: {step: aspetta, type: prova.ricevuta}
        - matched
        - sent: {type: prova.avviso}
        - replied: {step: rispondi}
        - done
  - name: not paid
    given: {sys.scrivi: {answers: {codice: B2}}}
    then: [{pass: 4d}]
    expect: {records: [received, asked, answered, joined, waiting, expired, sent, replied, done]}
"""
    assert faults(judged(steps, tests)) == []


def test_tests_may_stand_beside_the_route_and_share_what_its_file_gives(tmp_path):
    rules = folder(tmp_path, READ, "  - {name: inside, given: {sys.leggi: {refuses: IGNOTO}}, expect: {state: done}}")
    without, _ = examine(rules, OPERATIONS)
    (rules / "routes/percorso.test.yaml").write_text(BESIDE)
    catalog, findings = examine(rules, OPERATIONS)
    assert catalog is not None and without is not None and findings == []
    assert catalog.digest == without.digest
    verdicts = run_folder(catalog, OPERATIONS)
    assert [("inside", True), ("beside", True), ("bad", False)] == [(one.name, one.passed) for one in verdicts]
    assert ["routes/percorso.yaml", *["routes/percorso.test.yaml"] * 2] == [one.file for one in verdicts]
    assert "routes/percorso.test.yaml:6" == verdicts[2].place


def test_a_probe_waits_for_the_whole_settle_time(judged):
    steps = """
  - {id: registra, call: sys.registra, with: {codice: body.codice}, as: scritto}
  - {id: rispondi, reply: {quando: now}}
"""
    test = """
  - name: timeout 5 s and settle 30 s
    given: {clock: "2026-03-02T10:00:00Z", sys.registra: {in_doubt: happened, answers: {codice: B2}}}
    expect: {reply: {quando: "2026-03-02T10:00:35.000000Z"}}
"""
    assert faults(judged(steps, test)) == []


WAIT = """
  - id: pagamento
    wait: prova.ricevuta
    case: codice
    match: arrival.esito == "OK"
    deadline: 30d
    again: 1
    as: ricevuta
    on_deadline: [{id: sollecita, send: prova.avviso, with: {testo: "'pagare, prego'"}}]
    on_late: [{id: tardi, when: body.esito == "OK", call: sys.leggi, with: {codice: body.codice}}]
  - id: rispondi
    reply: {pagata: ricevuta != null}
"""


@pytest.mark.parametrize(
    ("happens", "expected"),
    [
        ("then: []", "{state: waiting, reply: null, sent: []}"),
        ("then: [{arrive: prova.ricevuta}]", "{state: done, reply: {pagata: true}, sent: [], late: []}"),
        ("earlier: [{arrive: prova.ricevuta}]", "{state: done, reply: {pagata: true}}"),
        ("then: [{arrive: prova.ricevuta, but: {esito: KO}}]", "{state: waiting}"),
        ("then: [{arrive: prova.ricevuta, but: {esito: KO}}, {arrive: prova.ricevuta}]", "{state: done}"),
        ("then: [{arrive: prova.ricevuta, but: {codice: B2}}]", "{state: waiting}"),
        ("then: [{arrive: prova.ricevuta, body: {codice: A1, esito: OK}}]", "{state: done}"),
        ("then: [{pass: 29d}]", "{state: waiting, sent: []}"),
        ("then: [{pass: 31d}]", "{state: waiting, sent: [{prova.avviso: {testo: 'pagare, prego'}}]}"),
        ("then: [{pass: 31d}, {arrive: prova.ricevuta}]", "{state: done, reply: {pagata: true}}"),
        ("then: [{pass: 61d}]", "{state: done, reply: {pagata: false}, sent: [prova.avviso, prova.avviso]}"),
        ("then: [{pass: 61d}, {arrive: prova.ricevuta}]", "{calls: [sys.leggi], late: [done]}"),
        ("then: [{arrive: prova.ricevuta}, {arrive: prova.ricevuta, but: {esito: KO}}]", "{calls: [], late: [done]}"),
    ],
)
def test_messages_arrive_before_within_and_after_a_wait(judged, happens, expected):
    test = f"  - {{name: prova, {happens}, given: {{sys.leggi: {ANSWER}}}, expect: {expected}}}"
    assert faults(judged(WAIT, test)) == []


ANY = """
  - {id: ricevuta, wait: prova.ricevuta, as: ricevuta, deadline: 30d, on_late: [{id: tardi, reply: {}}]}
"""
TWO_KEYS = """
  - id: rate
    each: "[1, 2]"
    steps: [{id: rata, call: sys.scrivi, with: {codice: body.codice}, as: scritto, case: {codice: scritto.codice}}]
  - {id: ricevute, gather: prova.ricevuta, count: 2, as: ricevute, deadline: 30d}
"""
SENT_KEY = """
  - {id: avvisa, send: prova.avviso, with: {codice: "'B1'", testo: "'eccolo'"}}
"""
MEANWHILE = """
  - id: insieme
    parallel:
      attende: [{id: ricevuta, wait: prova.ricevuta, as: ricevuta, deadline: 30d}]
      chiede: [{id: scrivi, call: sys.scrivi, with: {codice: body.codice}, as: scritto, case: {codice: scritto.codice}}]
"""


@pytest.mark.parametrize(
    ("steps", "happens", "expected"),
    [
        (TWO_KEYS, "then: [{arrive: prova.ricevuta, but: {codice: B1}}]", "{state: waiting}"),
        (TWO_KEYS, "then: [{arrive: prova.ricevuta, but: {codice: B1}}, {arrive: prova.ricevuta, but: {codice: B2}}]", "{state: done}"),
        (SENT_KEY + ANY, "then: [{arrive: prova.ricevuta, but: {codice: B1}}]", "{state: done}"),
        (MEANWHILE, "earlier: [{arrive: prova.ricevuta, but: {codice: B1}}]", "{state: done}"),
        (MEANWHILE, "earlier: [{arrive: prova.ricevuta, but: {codice: C1}}]", "{state: waiting}"),
        (ANY, "earlier: [{arrive: prova.ricevuta}, {arrive: prova.ricevuta}]", "{state: done, late: [done]}"),
    ],
)
def test_a_case_has_all_keys_that_it_ever_learnt_as_in_a_bus_that_runs(judged, steps, happens, expected):
    given = "sys.scrivi: [{answers: {codice: B1}}, {answers: {codice: B2}}]" if "sys.scrivi" in steps else ""
    test = f"  - {{name: prova, {happens}, given: {{{given}}}, expect: {expected}}}"
    assert faults(judged(steps, test)) == []


@pytest.mark.parametrize(("by", "late"), [("now", "[]"), ("'date_add(date_of(now), \"-1d\")'", "[done]")])
def test_what_came_after_the_date_of_a_wait_is_late_also_where_the_wait_begins_after_it(judged, by, late):
    steps = f"  - {{id: arrivo, wait: prova.ricevuta, as: x, by: {by}, on_late: [{{id: tardi, reply: {{}}}}]}}\n"
    test = f"  - {{name: prova, earlier: [{{arrive: prova.ricevuta}}], expect: {{state: done, late: {late}}}}}"
    assert faults(judged(steps, test)) == []


@pytest.mark.parametrize(
    ("at", "late"), [("2026-03-01T12:00:00+01:00", "[]"), ("2026-03-02T00:30:00+01:00", "[done]"), ("2026-03-01T23:30:00Z", "[done]")]
)
def test_what_came_before_is_late_by_the_moment_when_it_came(judged, at, late):
    steps = "  - {id: arrivo, wait: prova.ricevuta, as: x, by: \"'2026-03-01'\", on_late: [{id: tardi, reply: {}}]}\n"
    test = f'  - {{name: prova, earlier: [{{arrive: prova.ricevuta, at: "{at}"}}], expect: {{state: done, late: {late}}}}}'
    assert faults(judged(steps, test)) == []


def test_what_came_before_came_before_the_clock(judged):
    test = '  - {name: prova, earlier: [{arrive: prova.ricevuta, at: "2026-03-02T09:01:00+01:00"}], expect: {state: done}}'
    assert faults(judged(ANY, test)) == ["earlier: the message came after `clock` (what comes later stands under `then`)"]


SENDS = "{id: avvisa, send: prova.avviso, with: {testo: \"'eccolo'\"}}"
SENDS_KEYED = "{id: avvisa, send: prova.avviso, with: {codice: body.codice, testo: \"'eccolo'\"}}"
AWAITS = "{id: arrivo, wait: prova.avviso, as: arrivo, deadline: 1d, on_late: [{id: tardi, reply: {}}]}"
FIRST = "{id: prima, wait: prova.ricevuta, deadline: 1d}"
AWAITS_KEYED = "{id: arrivo, wait: prova.avviso, case: codice, as: arrivo, deadline: 1d}"


@pytest.mark.parametrize(
    ("steps", "happens", "expected"),
    [
        (f"  - {SENDS}\n  - {AWAITS}\n", "", "{state: done, records: [received, sent, waiting, matched, closed, done], late: []}"),
        (f"  - {SENDS_KEYED}\n  - {AWAITS_KEYED}\n", "", "{state: done}"),
        (f"  - {SENDS}\n  - {AWAITS_KEYED}\n", "", "{state: waiting}"),
        (f"  - {{id: insieme, parallel: {{uno: [{AWAITS}], altro: [{SENDS}]}}}}\n", "", "{state: done}"),
        (
            f"  - {{id: insieme, parallel: {{uno: [{AWAITS}], altro: [{FIRST}, {SENDS}]}}}}\n",
            "then: [{arrive: prova.ricevuta}]",
            "{state: done}",
        ),
        (f"  - {AWAITS}\n  - {SENDS}\n", "then: [{pass: 2d}]", "{state: done, late: [done]}"),
    ],
)
def test_what_a_run_sends_reaches_its_own_waits_as_in_a_bus_that_runs(judged, steps, happens, expected):
    test = f"  - {{name: prova, {happens + ', ' if happens else ''}expect: {expected}}}"
    assert faults(judged(steps, test)) == []


def test_a_key_that_names_a_person_makes_no_message_one_of_the_case(tmp_path):
    path = folder(tmp_path, ANY, "  - {name: prova, then: [{arrive: prova.ricevuta}], expect: {state: waiting, late: []}}")
    for file in [*path.glob("routes/*"), *path.glob("mappings/types/*")]:
        file.write_text(file.read_text().replace("case: {codice:", "case: {email:"))
    catalog, findings = examine(path, OPERATIONS)
    assert catalog is not None, "\n".join(map(str, findings))
    assert faults(run_folder(catalog, OPERATIONS)) == []


def test_each_sender_has_a_reply_of_its_own(judged):
    steps = """
  - {id: rispondi, reply: {a: 1}}
  - {id: attendi, wait: prova.ricevuta, deadline: 1d, on_late: [{id: tardi, reply: {a: 9}}]}
"""
    test = """
  - name: the late one gets another
    then: [{arrive: prova.ricevuta}, {arrive: prova.ricevuta}]
    expect: {state: done, late: [done], reply: {a: 1}, replies: [{a: 1}, {a: 9}]}
"""
    assert faults(judged(steps, test)) == []


def test_a_deadline_inside_a_time_of_retries_is_kept_at_its_moment(judged):
    steps = """
  - id: insieme
    parallel:
      chiama:
        - {id: leggi, call: sys.leggi, with: {codice: body.codice}, retry: {attempts: 3, wait: 1h, most: 1h}, as: letto}
        - {id: dopo, set: {letto_alle: now}}
      attendi:
        - {id: attendi, wait: , deadline: 90m}
        - {id: svegliata, set: {sveglia: now}}
  - {id: rispondi, reply: {sveglia: sveglia, letto: letto_alle}}
"""
    test = """
  - name: retries after one and two hours, a deadline after one and a half
    given: {clock: "2026-03-02T10:00:00Z", sys.leggi: {unreachable: 2, answers: {codice: B2}}}
    expect: {reply: {sveglia: "2026-03-02T11:30:00.000000Z", letto: "2026-03-02T12:00:00.000000Z"}}
"""
    assert faults(judged(steps, test)) == []


def test_deadlines_that_follow_a_try_are_kept_at_their_moments_within_one_pass(judged):
    """After the first deadline a call is tried again; the two deadlines behind it lie within the same forty days."""
    steps = """
  - {id: prima, wait: prova.ricevuta, deadline: 2d, as: prima}
  - {id: leggi, call: sys.leggi, with: {codice: body.codice}, dead_on: any}
  - {id: seconda, wait: prova.ricevuta, deadline: 5d, as: seconda}
  - {id: terza, wait: prova.ricevuta, deadline: 5d, as: terza}
  - {id: rispondi, reply: {quando: now}}
"""
    happens = "then: [{pass: 40d}, {arrive: prova.ricevuta}]"
    expect = '{state: done, reply: {quando: "2026-03-14T08:00:01.000000Z"}}'
    given = "given: {sys.leggi: {unreachable: 1, answers: {codice: B2}}}"
    assert faults(judged(steps, f"  - {{name: prova, {given}, {happens}, expect: {expect}}}")) == []


def test_what_a_branch_does_of_its_own_is_done_before_the_call_beside_it_comes_home(judged):
    """As in a bus that runs: both calls are on their way, and the reply is given, when the refusal ends the run."""
    steps = """
  - id: insieme
    parallel:
      uno: [{id: leggi, call: sys.leggi, with: {codice: body.codice}, dead_on: any}]
      due: [{id: scrivi, call: sys.scrivi, with: {codice: body.codice}, undo: sys.cancella, as: scritto}]
      tre: [{id: rispondi, reply: {esito: "'preso'"}}, {id: avvisa, send: prova.avviso, with: {testo: "'avviato'"}}]
"""
    given = "given: {sys.leggi: {refuses: IGNOTO}, sys.scrivi: {answers: {codice: B2}}, sys.cancella: {answers: {codice: B2}}}"
    expect = "{state: dead, dead: {code: call.refused}, reply: {esito: preso}, sent: [prova.avviso], calls: [sys.scrivi, sys.leggi]}"
    assert faults(judged(steps, f"  - {{name: prova, {given}, expect: {expect}}}")) == []


LATE_TWICE = """
  - id: insieme
    parallel:
      a: [{id: breve, wait: prova.ricevuta, deadline: 2d, as: x, on_late: [{id: primo, reply: {tardi: "'breve'"}}]}]
      b: [{id: corta, wait: prova.ricevuta, deadline: 1d, as: y, on_late: [{id: secondo, reply: {tardi: "'corta'"}}]}]
"""
SENT_LATE = """
  - {id: breve, wait: prova.ricevuta, deadline: 1d, as: x, on_late: [{id: tardi, reply: {tardi: "'breve'"}}]}
  - {id: manda, send: prova.ricevuta, with: {codice: body.codice}}
  - {id: altra, wait: prova.ricevuta, deadline: 1m, as: y}
  - {id: fine, reply: {altra: y != null}}
"""
LATE_AND_NEXT = """
  - {id: breve, wait: prova.ricevuta, deadline: 1d, as: x, on_late: [{id: tardi, reply: {tardi: "'breve'"}}]}
  - {id: altra, wait: prova.ricevuta, deadline: 1d, as: y}
  - {id: fine, reply: {altra: y != null}}
"""


@pytest.mark.parametrize(
    ("steps", "happens", "expected"),
    [
        (SENT_LATE, "then: [{pass: 2d}]", "{late: [done], replies: [{tardi: breve}, {altra: false}]}"),
        (LATE_TWICE, "then: [{pass: 3d}, {arrive: prova.ricevuta}]", "{late: [done], replies: [{tardi: breve}]}"),
        (
            LATE_AND_NEXT,
            "earlier: [{arrive: prova.ricevuta}, {arrive: prova.ricevuta}], then: [{pass: 2d}]",
            "{late: [done], replies: [{tardi: breve}, {altra: false}]}",
        ),
    ],
)
def test_which_of_several_waits_sees_a_late_message_is_as_in_a_bus_that_runs(judged, steps, happens, expected):
    assert faults(judged(steps, f"  - {{name: prova, {happens}, expect: {expected}}}")) == []


@pytest.mark.parametrize(
    ("order", "code", "expected"),
    [
        ("case", "IGNOTO", "{state: dead, late: [ready, ready], replies: []}"),
        ("none", "IGNOTO", "{state: dead, late: [done, done], replies: [{tardi: A1}, {tardi: A1}]}"),
        ("case", None, "{state: done, late: [done, done], replies: [{tardi: A1}, {tardi: A1}]}"),
    ],
)
def test_runs_of_late_messages_keep_the_order_of_their_case(judged, order, code, expected):
    """As in a bus that runs: a dead letter holds its case."""
    steps = """
  - {id: breve, wait: prova.ricevuta, deadline: 1d, as: x, on_late: [{id: tardi, reply: {tardi: body.codice}}]}
  - {id: leggi, call: sys.leggi, with: {codice: body.codice}, dead_on: any}
"""
    given = f"given: {{sys.leggi: {{{f'refuses: {code}' if code else 'unreachable: 2, answers: {codice: B2}'}}}}}"
    happens = "then: [{pass: 2d}, {arrive: prova.ricevuta}, {arrive: prova.ricevuta}]"
    verdicts = judged(steps, f"  - {{name: prova, {given}, {happens}, expect: {expected}}}", f"order: {order}\n{GIVEN}")
    assert faults(verdicts) == []


def test_what_no_route_takes_cannot_be_sent(judged):
    steps = "  - {id: manda, send: prova.ricevuta, with: {codice: body.codice}}"
    said = "prova.percorso@1/manda: no route takes messages of type prova.ricevuta, so the bus would refuse what it sends"
    assert faults(judged(steps, "  - {name: prova, expect: {state: done}}")) == [said]


def test_what_was_done_is_undone_and_an_undo_is_retried(judged):
    steps = """
  - {id: scrivi, call: sys.scrivi, with: {codice: body.codice}, as: scritto, undo: sys.cancella}
  - {id: basta, fail: prova.basta, reason: "'così non va'"}
"""
    test = """
  - name: taken back
    given: {sys.scrivi: {answers: {codice: B2}}, sys.cancella: {unreachable: 1, answers: {codice: B2}}}
    expect:
      state: dead
      dead: {code: prova.basta, step: basta, sentence: così non va}
      calls: [sys.scrivi, {sys.cancella: {codice: B2}}]
      tries: {sys.cancella: 2}
"""
    assert faults(judged(steps, test)) == []


def test_files_come_with_the_message(judged):
    steps = '  - {id: rispondi, reply: {nomi: "message.attachments.map(a, a.name)", impronta: "message.attachments[0].sha256"}}'
    test = f"""
  - name: a file
    attachments: [{{name: pianta.pdf, sha256: "{"a" * 64}"}}]
    expect: {{reply: {{nomi: [pianta.pdf], impronta: "{"a" * 64}"}}}}
"""
    assert faults(judged(steps, test)) == []


def test_shared_answers_serve_every_test_and_each_may_say_otherwise(judged):
    given = f"given: {{messages: {{prova.inizio: {{codice: A1}}}}, sys.leggi: {ANSWER}}}\n"
    tests = """
  - {name: as shared, expect: {reply: null, calls: [{sys.leggi: {codice: A1}}]}}
  - {name: another end, given: {sys.leggi: {refuses: IGNOTO}}, expect: {reply: {esito: IGNOTO}}}
  - {name: later as shared, given: {sys.leggi: {unreachable: 1}}, expect: {reply: null, tries: {sys.leggi: 2}}}
  - {name: another body, send: {codice: B2}, expect: {calls: [{sys.leggi: {codice: B2}}]}}
  - {name: another message, given: {messages: {prova.inizio: {codice: C3}}}, expect: {calls: [{sys.leggi: {codice: C3}}]}}
  - {name: changed, but: {importo: 5}, expect: {case: {codice: A1}}}
"""
    assert faults(judged(READ, tests, given)) == []


def test_editing_tests_does_not_change_the_fingerprint_of_the_rules(tmp_path, judged):
    judged(READ, "  - {name: prova, given: {sys.leggi: {refuses: IGNOTO}}, expect: {state: done}}")
    before = judged.catalog.routes["prova.percorso"].plan.digest
    path = tmp_path / "routes" / "percorso.yaml"
    path.write_text(path.read_text().partition("given:")[0])
    catalog, _ = examine(tmp_path, OPERATIONS)
    assert catalog is not None and catalog.routes["prova.percorso"].plan.digest == before


def test_what_ended_a_run_early_is_expected_by_its_code(judged):
    steps = "  - {id: via, fail: prova.ritirata, dead: false}\n"
    tests = """
  - {name: as it is, expect: {state: done, ended: prova.ritirata, records: [received, {done: {step: via, code: prova.ritirata}}]}}
  - {name: another code, expect: {ended: prova.altra}}
  - {name: no dead letter, expect: {dead: {code: prova.ritirata}}}
"""
    assert faults(judged(steps, tests)) == [
        'ended: expected "prova.altra", is "prova.ritirata"',
        'dead: expected {"code": "prova.ritirata"}, the run is done',
    ]


def test_a_run_that_came_to_its_last_step_was_not_ended_early(judged):
    steps, test = "  - {id: via, reply: {}}\n", "  - {name: at the end, expect: {ended: prova.ritirata}}"
    assert faults(judged(steps, test)) == ['ended: expected "prova.ritirata", is null']


def test_a_wait_that_the_end_of_its_run_cut_short_opens_no_run_and_what_was_done_is_taken_back(judged):
    steps = """
  - id: scrivi
    call: sys.scrivi
    with: {codice: body.codice}
    undo: sys.cancella
    dead_on: any
  - id: insieme
    parallel:
      corso: [{id: arrivo, wait: prova.avviso, deadline: 9d, on_late: [{id: tardi, reply: {}}]}]
      fine: [{id: ritiro, wait: prova.ricevuta, deadline: 9d}, {id: via, fail: prova.ritirata, dead: false}]
"""
    test = """
  - name: withdrawn
    given:
      messages: {prova.avviso: {codice: A1, testo: eccolo}}
      sys.scrivi: {answers: {codice: A1}}
      sys.cancella: {answers: {codice: A1}}
    then: [{arrive: prova.ricevuta}, {arrive: prova.avviso}]
    expect: {state: done, ended: prova.ritirata, calls: [sys.scrivi, sys.cancella], late: []}
"""
    assert faults(judged(steps, test)) == []
