"""Tests of mappings: what `bus test` says of them; they are no part of the rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bus.catalog import Catalog
from bus.cli.layout import laid_out
from bus.examine import load
from bus.testing.mappings import run_mappings
from bus.testing.mutate import score, score_mapping
from bus.testing.routes import as_json, summary
from tests.corpus.files import world_in
from tests.corpus.world.operations import OPERATIONS

MAPPING = """\
mapping: prova.traduzione
from: prova.istanza
to: sistema.registra
uses: [persona]
fields:
  riferimento: body.istanza
  oggetto: 'persona.cognome + " " + persona.nome'
  righe: {$each: body.righe, $as: r, $value: {via: r.via, cap: r.cap}}
"""
TESTS = """\
given:
  persona: {cognome: Bianchi, nome: Anna}
  body: {istanza: A-1, richiedente: {codice_fiscale: X}, righe: [{via: Via Roma 1, cap: "00118"}]}
tests:
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return world_in(tmp_path / "rules")


def read(folder: Path, tests: str = "") -> Catalog:
    (folder / "mappings/traduzione.yaml").write_text(MAPPING + (TESTS + tests if tests else ""), "utf-8")
    return load(folder, OPERATIONS)


GOOD = """\
  - name: a person is named in full
    expect: {riferimento: A-1, oggetto: Bianchi Anna, righe: [{via: Via Roma 1, cap: "00118"}]}
  - name: another body, and another person
    given: {persona: {cognome: Neri, nome: Ida}}
    but: {istanza: A-2, righe: []}
    expect: {riferimento: A-2, oggetto: Neri Ida, righe: []}
  - name: nobody is registered without a name
    given: {persona: {cognome: Neri}}
    fails: oggetto
  - name: nor is a list that is not there
    but: {righe: null}
    fails: righe
"""


def test_a_mapping_is_tried_without_any_route(folder: Path) -> None:
    verdicts = run_mappings(read(folder, GOOD), OPERATIONS)
    assert [(13, ()), (15, ()), (19, ()), (22, ())] == [(one.line, one.faults) for one in verdicts]
    assert "4 passed, 0 failed" == summary(verdicts)
    assert {"prova.traduzione"} == {one["mapping"] for one in as_json(verdicts)["tests"]}  # type: ignore[union-attr,call-overload,index]


def test_each_difference_is_a_sentence(folder: Path) -> None:
    wrong = """\
  - name: another text and too many rows
    expect: {oggetto: Neri Ida, righe: []}
  - name: it can be made
    fails: oggetto
  - name: it fails elsewhere
    but: {righe: null}
    fails: oggetto
  - name: it fails
    given: {persona: {}}
    expect: {riferimento: A-1}
"""
    verdicts = run_mappings(read(folder, wrong), OPERATIONS)
    [two, made, elsewhere, fails] = [[fault.sentence for fault in one.faults] for one in verdicts]
    assert two[0] == 'expect.oggetto: expected "Neri Ida", is "Bianchi Anna"' and 2 == len(two)
    assert made[0].startswith('fails: expected no value for oggetto, made was {"')
    assert [[fault.line - verdicts[0].line for fault in one.faults] for one in verdicts] == [[1, 1], [3], [6], [7]]
    assert elsewhere[0].startswith("fails: expected oggetto, was righe: ")
    assert fails[0].startswith("oggetto: ")


def test_what_the_target_does_not_take_is_a_failure_with_its_field(folder: Path) -> None:
    tests = """\
  - name: a name that is a number
    given: {persona: {cognome: "", nome: ""}}
    expect: {riferimento: A-1}
"""
    text = MAPPING.replace("""'persona.cognome + " " + persona.nome'""", "persona.numero")
    (folder / "mappings/traduzione.yaml").write_text(text + TESTS + tests.replace('cognome: "", nome: ""', "numero: 7"), "utf-8")
    [verdict] = run_mappings(load(folder, OPERATIONS), OPERATIONS)
    assert verdict.faults and verdict.faults[0].sentence.startswith("oggetto: sistema.registra does not take it: ")


def test_tests_of_a_mapping_are_no_part_of_the_rules(folder: Path) -> None:
    without, with_them = read(folder), read(folder, GOOD)
    assert without.digest == with_them.digest
    assert without.parts == with_them.parts


def test_mistakes_in_a_mapping_are_noticed_by_its_own_tests(folder: Path) -> None:
    catalog = read(folder, GOOD)
    assert 100 == score_mapping(catalog.tested["prova.traduzione"], catalog, OPERATIONS).percent
    few = read(folder, "  - {name: x, expect: {riferimento: A-1}}\n")
    found = score_mapping(few.tested["prova.traduzione"], few, OPERATIONS)
    assert any(re.match(r"mappings/\S+\.yaml:\d+:\d+: prova.traduzione fields.oggetto", one) for one in found.survivors), found.survivors


def test_a_route_that_applies_it_counts_what_its_own_tests_notice(folder: Path) -> None:
    (folder / "routes/prova.yaml").write_text(
        "route: prova.applica\nversion: 1\non: prova.istanza\nsteps:\n"
        "  - {id: p, set: {persona: {cognome: '\"a\"', nome: '\"b\"'}}}\n"
        "  - {id: t, map: prova.traduzione, as: fatto}\n"
        "  - {id: r, reply: {x: '\"y\"'}}\n"
        "tests:\n  - name: x\n    send: {istanza: A-1, richiedente: {codice_fiscale: X}, righe: []}\n    expect: {reply: {x: y}}\n",
        "utf-8",
    )
    bare, tested = read(folder), read(folder, GOOD)
    assert any("prova.traduzione" in one for one in score(bare.routes["prova.applica"], bare, OPERATIONS).survivors)
    assert not any("prova.traduzione" in one for one in score(tested.routes["prova.applica"], tested, OPERATIONS).survivors)


def test_fields_of_a_test_are_laid_out_in_one_order(folder: Path) -> None:
    read(folder, "  - expect: {riferimento: A-1}   # the number\n    name: x\n")
    made = laid_out((folder / "mappings/traduzione.yaml").read_text("utf-8"))
    assert "  - name: x\n    expect: {riferimento: A-1}   # the number\n" in made
