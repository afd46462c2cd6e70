"""What tests inside route files tell: verdicts, the ways that they took, and what is wrong with the tests themselves."""

from __future__ import annotations

from typing import Any

import pytest

from bus.catalog import Catalog, Route
from bus.examine import examine
from bus.route.branches import branches_of
from bus.route.model import TestDocument
from bus.source import Finding
from bus.testing.routes import as_json, run_route, summary, untested, untried
from tests.unit.route_under_test import BESIDE, GIVEN, OPERATIONS, READ, faults, folder


@pytest.fixture
def found(tmp_path):
    """The findings of a route's file."""

    def find(steps: str, tests: str) -> list[Finding]:
        return examine(folder(tmp_path, steps, tests), OPERATIONS)[1]

    return find


@pytest.mark.parametrize(
    ("name", "text", "place", "code"),
    [
        ("percorso", "tests: []", "routes/percorso.test.yaml:1:8", "field.invalid"),
        ("percorso", "tests:\n  - {name: x, expect: {}}", "routes/percorso.test.yaml:2:23", "test.expects-nothing"),
        (
            "percorso",
            "given: {sys.scrivi: {answers: {codice: A}}}\n" + BESIDE[1:].partition("tests")[2].join(("tests", "")),
            "routes/percorso.test.yaml:1:9",
            "test.not-asked",
        ),
        ("percorso", "tests:\n  - {name: inside, expect: {state: done}}", "routes/percorso.test.yaml:2:12", "test.duplicate-name"),
        ("altro", BESIDE, "routes/altro.test.yaml:1:1", "test.no-route"),
    ],
)
def test_what_is_wrong_with_tests_beside_a_route_is_found_there(tmp_path, name, text, place, code):
    rules = folder(tmp_path, READ, "  - {name: inside, given: {sys.leggi: {refuses: IGNOTO}}, expect: {state: done}}")
    (rules / f"routes/{name}.test.yaml").write_text(text)
    found = [(f"{one.file}:{one.line}:{one.column}", one.code) for one in examine(rules, OPERATIONS)[1]]
    assert (place, code) in found


def test_coverage_tells_also_the_faults_that_no_test_tried(judged):
    verdicts = judged(READ, "  - {name: prova, given: {sys.leggi: {refuses: IGNOTO}}, expect: {state: done}}")
    assert {"prova.percorso": ["leggi: unreachable"]} == untried(judged.catalog, OPERATIONS, verdicts)


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ("{state: waiting}", "state: expected waiting, is done"),
        ("{state: dead}", "state: expected dead, is done"),
        ("{reply: {esito: NO}}", 'reply.esito: expected "NO", is "IGNOTO"'),
        ("{reply: null}", 'reply: expected none, is {"esito": "IGNOTO"}'),
        ("{reply: {esito: {codice: true}}}", 'reply.esito: expected an object, is "IGNOTO"'),
        ("{reply: {presa: true}}", "reply.presa: expected true, is null"),
        ("{replies: []}", 'replies: expected 0 items, is [{"esito": "IGNOTO"}]'),
        ("{calls: []}", "calls: expected none; were sys.leggi"),
        ("{calls: [{sys.leggi: {codice: B2}}]}", 'calls: sys.leggi.codice: expected "B2", is "A1"'),
        ("{tries: {sys.leggi: 2}}", "tries: sys.leggi: expected 2, were 1"),
        ("{case: {codice: B2}}", 'case.codice: expected "B2", is "A1"'),
        ("{dead: {code: prova.basta}}", 'dead: expected {"code": "prova.basta"}, the run is done'),
        ("{late: [done]}", "late: expected 1 item, is []"),
        ("{records: [received, answered, done]}", "records: expected received, answered, done; were received, refused, replied, done"),
        (
            "{records: [received, {refused: {code: ALTRO}}, replied, done]}",
            'records: refused.code: expected "ALTRO", is "IGNOTO"',
        ),
    ],
)
def test_every_expectation_can_fail_and_says_why(judged, expected, said):
    verdicts = judged(READ, f"  - {{name: prova, given: {{sys.leggi: {{refuses: IGNOTO}}}}, expect: {expected}}}")
    assert [said] == faults(verdicts)


def test_of_several_calls_of_one_name_it_is_told_which_is_not_as_expected(judged):
    steps = """
  - {id: prima, call: sys.leggi, with: {codice: body.codice}, dead_on: any}
  - {id: seconda, call: sys.leggi, with: {codice: body.codice}, dead_on: any}
"""
    expected = "calls: [{sys.leggi: {codice: A1}}, {sys.leggi: {codice: B2}}]"
    verdicts = judged(steps, f"  - {{name: prova, given: {{sys.leggi: {{answers: {{codice: x}}}}}}, expect: {{{expected}}}}}")
    assert ['calls[1]: sys.leggi.codice: expected "B2", is "A1"'] == faults(verdicts)


def test_a_dead_run_tells_its_reason_to_a_test_that_expected_another_end(judged):
    verdicts = judged("  - {id: basta, fail: prova.basta, reason: \"'no'\"}", "  - {name: prova, expect: {state: done}}")
    assert faults(verdicts) == ["state: expected done, is dead: prova.percorso@1/basta: prova.basta: no"]


def test_a_verdict_says_file_and_line_and_the_summary_counts(judged):
    tests = """
  - {name: good, given: {sys.leggi: {refuses: IGNOTO}}, expect: {state: done}}
  - {name: bad, given: {sys.leggi: {refuses: IGNOTO}}, expect: {state: dead}}
"""
    verdicts = judged(READ, tests)
    good, bad = verdicts
    assert good.passed and not bad.passed and bad.line == good.line + 1
    told = summary(verdicts)
    assert (
        f"FAILED routes/percorso.yaml:{bad.line}: bad (prova.percorso)\n  routes/percorso.yaml:{bad.line}: state: expected dead, is done"
        in told
    )
    assert told.endswith("1 passed, 1 failed")
    shown: Any = as_json(verdicts)
    assert (shown["passed"], shown["failed"]) == (1, 1)
    assert shown["tests"][1]["line"] == bad.line
    assert shown["tests"][1]["faults"] == [{"line": bad.line, "sentence": "state: expected dead, is done"}]


def test_each_fault_says_the_line_at_which_the_test_expects_otherwise(judged):
    """A test may be a page long, and beside its route; what is not there at all is told where it was to be."""
    tests = """
  - name: bad
    given: {sys.leggi: {refuses: IGNOTO}}
    expect:
      state: done
      reply:
        esito: NO
        presa: true
      calls:
        - sys.leggi:
            codice:
              B2
      tries: {
        sys.leggi: 2}
      case:
        codice: >
          B2
      late: [done]
"""
    [verdict] = judged(READ, tests)
    told = [(one.line - verdict.line, one.sentence.partition(": expected")[0]) for one in verdict.faults]
    assert told == [
        (5, "reply.esito"), (6, "reply.presa"), (10, "calls: sys.leggi.codice"), (12, "tries: sys.leggi"), (15, "case.codice"), (16, "late"),
    ]  # fmt: skip


def test_what_ends_a_test_is_told_at_its_beginning(judged):
    [verdict] = judged(READ, "  - name: prova\n    given: {sys.leggi: {delays: 2s}}\n    expect: {state: done}")
    assert [(one.line, "sys.leggi answers in time" in one.sentence) for one in verdict.faults] == [(verdict.line, True)]


def test_the_ways_taken_are_told_and_so_are_those_that_no_test_took(judged):
    verdicts = judged(READ, "  - {name: prova, given: {sys.leggi: {refuses: IGNOTO}}, expect: {state: done}}")
    assert verdicts[0].branches == {"leggi", "leggi.on_error[0]", "rifiutato", "fine!passed-over"}
    assert untested(judged.catalog, verdicts) == {"prova.percorso": ["leggi.on_error[1]", "fermo", "fine"]}


def test_every_way_of_every_kind_has_a_name(judged):
    steps = """
  - id: scegli
    choose:
      - {when: body.codice == "A1", steps: [{id: a, set: {x: 1}}]}
  - {id: ognuno, each: "[1, 2]", steps: [{id: dentro, set: {y: item}}]}
  - {id: insieme, parallel: {uno: [{id: u, set: {p: 1}}], due: [{id: d, set: {q: 1}}]}}
  - {id: attendi, wait: prova.ricevuta, deadline: 1d, on_late: [{id: tardi, set: {z: 1}}]}
  - {id: raccogli, gather: prova.ricevuta, count: 2, deadline: 1d, as: tutte}
  - {id: traduci, reply: {quante: size(tutte)}}
"""
    tests = """
  - {name: in time, then: [{arrive: prova.ricevuta}, {arrive: prova.ricevuta}, {arrive: prova.ricevuta}], expect: {reply: {quante: 2}}}
  - {name: late, but: {codice: B2}, then: [{pass: 3d}, {arrive: prova.ricevuta, but: {codice: B2}}], expect: {late: [done]}}
"""
    verdicts = judged(steps, tests)
    assert faults(verdicts) == []
    ways = branches_of(judged.catalog.routes["prova.percorso"].plan)
    assert {"scegli.choose[0]", "scegli.otherwise", "attendi.on_deadline", "attendi.on_late", "raccogli.on_deadline", "u", "d"} <= set(ways)
    assert untested(judged.catalog, verdicts) == {}


@pytest.mark.parametrize(
    ("thens", "left"),
    [
        (["{arrive: prova.ricevuta}"], "attendi.on_deadline"),
        (["{pass: 3d}", "{arrive: prova.ricevuta, but: {codice: B2}}, {pass: 3d}"], "attendi.message"),
        (["{pass: 3d}", "{arrive: prova.ricevuta}"], ""),
    ],
)
def test_both_ends_of_a_wait_want_a_test(judged, thens, left):
    steps = """
  - {id: attendi, wait: prova.ricevuta, match: arrival.codice == "A1", deadline: 1d}
  - {id: fine, reply: {}}
"""
    tests = "".join(f"  - {{name: prova {number}, then: [{then}], expect: {{state: done}}}}\n" for number, then in enumerate(thens))
    verdicts = judged(steps, tests)
    assert untested(judged.catalog, verdicts) == ({"prova.percorso": [left]} if left else {})


@pytest.mark.parametrize(
    ("ways", "left"),
    [
        (["then: [{pass: 3d}]", "then: [{arrive: prova.ricevuta}, {arrive: prova.ricevuta}]"], ["raccogli.until"]),
        (["then: [{pass: 3d}]", "but: {codice: B2}, then: [{arrive: prova.ricevuta, but: {codice: B2}}]"], ["raccogli.count"]),
        (["then: [{arrive: prova.ricevuta}, {pass: 3d}]"], ["raccogli.count", "raccogli.until"]),
    ],
)
def test_each_end_of_a_gather_wants_a_test(judged, ways, left):
    steps = """
  - {id: raccogli, gather: prova.ricevuta, count: 2, until: 'items.exists(i, i.codice == "B2")', deadline: 1d, as: tutte}
  - {id: fine, reply: {}}
"""
    tests = "".join(f"  - {{name: prova {number}, {way}, expect: {{state: done}}}}\n" for number, way in enumerate(ways))
    verdicts = judged(steps, tests)
    assert faults(verdicts) == []
    assert untested(judged.catalog, verdicts) == {"prova.percorso": left}


@pytest.mark.parametrize(
    ("test", "code"),
    [
        ("{name: prova, given: {sys.legi: {silent: true}}, expect: {state: done}}", "operation.unknown"),
        ("{name: prova, given: {sys.altra: {silent: true}}, expect: {state: done}}", "test.not-asked"),
        ("{name: prova, given: {sys.leggi: {silent: true, refuses: IGNOTO}}, expect: {state: done}}", "test.conduct"),
        ("{name: prova, given: {sys.leggi: {}}, expect: {state: done}}", "test.conduct"),
        ("{name: prova, given: {sys.leggi: {answers: {codice: A, codise: A}}}, expect: {state: done}}", "field.unknown"),
        ("{name: prova, given: {sys.leggi: {refuses: BOH}}, expect: {state: done}}", "test.unknown-refusal"),
        ("{name: prova, given: {clock: ieri}, expect: {state: done}}", "test.clock"),
        ("{name: prova, given: {messages: [1]}, expect: {state: done}}", "test.messages"),
        ("{name: prova, given: {messages: {prova.inizio: {codice: 5}}}, expect: {state: done}}", "test.body"),
        ("{name: prova, send: {codice: 5}, expect: {state: done}}", "test.body"),
        ("{name: prova, but: {codice: null}, expect: {state: done}}", "test.body"),
        ("{name: prova, then: [{pass: 1d, arrive: prova.ricevuta}], expect: {state: done}}", "test.event"),
        ("{name: prova, then: [{pass: presto}], expect: {state: done}}", "field.invalid"),
        ("{name: prova, then: [{arrive: prova.avviso, body: {testo: eccolo}}], expect: {state: done}}", "test.not-awaited"),
        ("{name: prova, then: [{arrive: prova.nulla, body: {}}], expect: {state: done}}", "type.unknown"),
        ("{name: prova, expect: {}}", "test.expects-nothing"),
        ("{name: prova, expect: {calls: [sys.legi]}}", "operation.unknown"),
        ("{name: prova, expect: {calls: [sys.altra]}}", "test.not-asked"),
        ("{name: prova, expect: {tries: {sys.altra: 1}}}", "test.not-asked"),
        ("{name: prova, expect: {sent: [prova.avviso]}}", "test.not-sent"),
        ("{name: prova, expect: {sent: [prova.aviso]}}", "type.unknown"),
        ("{name: prova, expect: {case: {codise: A}}}", "test.unknown-key"),
        ("{name: prova, expect: {dead: {step: nessuno}}}", "test.unknown-step"),
        ("{name: prova, expect: {stato: done}}", "field.unknown"),
        ("{name: prova, expect: {state: fatto}}", "field.invalid"),
    ],
)
def test_a_test_that_speaks_of_what_is_not_there_is_a_finding_at_its_place(found, test, code):
    findings = found(READ, f"  - {test}")
    assert [code] == [finding.code for finding in findings if finding.severity == "error" or code == "test.unknown-refusal"]
    assert all(finding.line > 15 for finding in findings)


@pytest.mark.parametrize(
    ("kind", "written", "hint"),
    [
        ("type: boolean", "yes", "write true or false, without quotes"),
        ("type: integer", '"12"', "write its digits, without quotes"),
        ("type: string", "118", 'a text that looks like something else has quotes: "118"'),
        ("type: string, format: date", "01/05/2026", "a date is written 2026-03-01"),
        ("type: string, enum: [a]", "b", ""),
    ],
)
def test_of_a_value_of_another_kind_it_is_said_how_it_is_written(tmp_path, kind, written, hint):
    rules = folder(tmp_path, READ, f"  - {{name: prova, but: {{altro: {written}}}, expect: {{state: done}}}}")
    (declared,) = [one for one in rules.rglob("*.yaml") if one.read_text().startswith("type: prova.inizio\n")]
    declared.write_text(declared.read_text().replace("properties: {", f"properties: {{altro: {{{kind}}}, "))
    assert [("test.body", hint)] == [(one.code, one.hint) for one in examine(rules, OPERATIONS)[1] if one.severity == "error"]


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("send: {}", "`send` is the whole body; `but` changes the one under `given.messages`"),
        ("but: {codice: null, importo: null}", ""),
    ],
)
def test_who_sends_a_part_of_a_body_is_told_that_it_is_the_whole(tmp_path, said, hint):
    given = GIVEN.replace("{codice: A1}", "{codice: A1, importo: 5}", 1)
    rules = folder(tmp_path, READ, f"  - {{name: prova, {said}, expect: {{state: done}}}}", given)
    (declared,) = [one for one in rules.rglob("*.yaml") if one.read_text().startswith("type: prova.inizio\n")]
    declared.write_text(declared.read_text().replace("required: [codice]", "required: [codice, importo]"))
    assert [("test.body", hint)] == [(one.code, one.hint) for one in examine(rules, OPERATIONS)[1] if one.severity == "error"]


def test_two_tests_with_one_name_and_answers_without_tests_are_findings(found, tmp_path):
    test = "  - {name: prova, given: {sys.leggi: {silent: true}}, expect: {state: done}}"
    assert ["test.duplicate-name"] == [one.code for one in found(READ, f"{test}\n{test}")]
    path = tmp_path / "routes" / "percorso.yaml"
    path.write_text(path.read_text().partition("tests:")[0])
    assert ["test.unused"] == [one.code for one in examine(tmp_path, OPERATIONS)[1]]


@pytest.fixture
def plain(tmp_path) -> Catalog:
    catalog, _ = examine(folder(tmp_path, READ + "  - {id: manda, send: prova.avviso, with: {testo: body.codice}}", "  []"), OPERATIONS)
    assert catalog is not None
    return catalog


ANSWERED = {"send": {"codice": "ABCDE"}, "given": {"sys.leggi": {"answers": {"codice": "A"}}}}


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"send": {"codice": "A1"}}, "asks sys.leggi, and the test does not say what that does"),
        ({"send": {"codice": "A1"}, "given": {"sys.leggi": {"unreachable": 1}}}, "once more than the test says"),
        (
            {"send": {"codice": "A1"}, "given": {"sys.leggi": {"answers": {"codise": "A"}}}},
            "sys.leggi never answers this: codice is missing",
        ),
        ({"send": {"codice": "A1"}, "given": {"sys.leggi": {"answers": {"codice": "A"}}}}, "what it sends is not a prova.avviso: /testo"),
        ({"send": {"codice": "A1"}, "given": {"sys.leggi": {"delays": "2s"}}}, "sys.leggi answers in time: the test must say what"),
        ({"send": {"codice": 1}}, "send: the body is not a prova.inizio: /codice"),
        ({}, "the test does not say what prova.inizio holds"),
        ({**ANSWERED, "then": [{"arrive": "prova.nulla", "body": {}}]}, "arrive: there is no message type prova.nulla"),
        ({**ANSWERED, "then": [{}]}, "an event is either `arrive` or `pass`"),
        (
            {**ANSWERED, "expect": {"calls": [{"sys.leggi": {}, "sys.scrivi": {}}]}},
            "calls: an entry is a name, or one name with the fields",
        ),
    ],
)
def test_the_driver_says_what_is_wrong_with_a_test_that_no_file_holds(plain, test, said):
    document = TestDocument.model_validate({"name": "prova", "expect": {"state": "done"}, **test})
    [verdict] = run_route(Route(plain.routes["prova.percorso"].plan, "", (document,)), plain, OPERATIONS)
    assert said in verdict.faults[0].sentence


def test_a_route_that_asks_for_ever_is_told_to_run_in_circles(judged):
    steps = "  - {id: leggi, call: sys.leggi, with: {codice: body.codice}, retry: {attempts: 1000, wait: 1s, most: 1s}, as: x}\n"
    steps += "  - id: tutte\n    each: '[1,2,3,4,5,6,7,8,9,10,11,12]'\n    steps:\n"
    steps += "      - {id: ancora, call: sys.leggi, with: {codice: body.codice}, retry: {attempts: 1000, wait: 1s, most: 1s},\n"
    steps += "         on_error: [{steps: [{id: pazienza, set: {y: 1}}]}]}"
    given = "{sys.leggi: [{answers: {codice: A}}, {unreachable: true}]}"
    [verdict] = judged(steps, f"  - {{name: prova, given: {given}, expect: {{state: done}}}}")
    assert "runs in circles" in verdict.faults[0].sentence
