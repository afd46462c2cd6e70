"""The catalog: all rules or none."""

from __future__ import annotations

import cProfile
import errno
import gc
import os
from pathlib import Path
from typing import Any

import pytest

from bus.catalog import Catalog
from bus.errors import RulesError
from bus.examine import examine, load
from bus.expression import Tables
from bus.mapping.types import MessageType
from tests.corpus.files import world_in
from tests.corpus.world.operations import OPERATIONS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return world_in(tmp_path / "rules")


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


SMALL = "route: prova.{0}\nversion: 1\non: prova.istanza\nsteps:\n  - {{id: a, reply: {{x: body.istanza}}}}\n"


CALLING = """
route: prova.altra
version: 1
on: prova.istanza
steps:
  - id: chiede
    call: sistema.cerca
    with: {codice_fiscale: body.istanza}
    on_error:
      - {when: 'error.kind in ["unreachable"]', steps: [{id: niente, set: {x: "1"}}]}
"""


def test_a_good_folder_is_a_catalog(folder: Path) -> None:
    catalog = load(folder, OPERATIONS)
    assert ["prova.buona"] == [plan.route for plan in catalog.plans_for("prova.istanza")]
    assert () == catalog.plans_for("prova.ricevuta")
    assert {"prova.ricevuta", "prova.fascicolo"} == catalog.awaited
    assert isinstance(catalog.types["prova.istanza"], MessageType)
    assert "routes/buona.yaml" == catalog.routes["prova.buona"].file
    assert ["an application is registered"] == [test.name for test in catalog.routes["prova.buona"].tests]
    assert "did you mean prova.istanza?" == catalog.nearest_type("prova.istanze")
    assert "Occupazione di suolo" == catalog.services["occupazione-suolo"].titolo
    assert "prova.buona" == catalog.tables["servizi"]["occupazione-suolo"]["percorso"]


def test_of_rules_that_were_replaced_nothing_stays(folder: Path) -> None:
    """Also not what was found out of a call's ways to end; whoever edits rules all day fills no memory."""
    write(folder, "routes/altra.yaml", CALLING)

    def held() -> int:
        gc.collect()
        return sum(isinstance(one, Tables) for one in gc.get_objects())

    before = held()
    assert [load(folder, OPERATIONS)]
    assert before >= held()


def test_the_folder_that_one_stands_in_is_read_as_any(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert load(Path(), OPERATIONS).digest == load(folder, OPERATIONS).digest


def test_several_routes_may_start_from_one_type(folder: Path) -> None:
    write(folder, "routes/altra/due.yaml", SMALL.format("due"))
    assert ["prova.buona", "prova.due"] == [plan.route for plan in load(folder, OPERATIONS).plans_for("prova.istanza")]


def test_a_plan_is_found_by_its_digest_also_when_its_rules_are_old(folder: Path) -> None:
    old = load(folder, OPERATIONS)
    [plan] = old.plans_for("prova.istanza")
    assert plan is old.plan(plan.digest)
    (folder / "routes/buona.yaml").write_text((folder / "routes/buona.yaml").read_text().replace("10wd", "11wd"))
    new = load(folder, OPERATIONS)
    assert None is new.plan(plan.digest)
    assert plan.digest == new.remember(plan.rules).digest
    assert new.plan(plan.digest) is not None
    assert old.digest != new.digest


def test_one_error_keeps_the_whole_folder_out_and_all_findings_come(folder: Path) -> None:
    write(folder, "routes/rotta.yaml", SMALL.format("rotta").replace("body.istanza", "body.istansa"))
    write(folder, "mappings/rotta.yaml", "mapping: prova.x\nfrom: prova.istanza\nto: sistema.cercare\nfields: {a: 1}\n")
    with pytest.raises(RulesError) as caught:
        load(folder, OPERATIONS)
    assert ["mapping.unknown-target", "path.unknown-field"] == [f.code for f in caught.value.findings]
    assert ["mappings/rotta.yaml", "routes/rotta.yaml"] == [f.file for f in caught.value.findings]


def test_warnings_do_not_keep_rules_out(folder: Path) -> None:
    write(folder, "routes/due.yaml", SMALL.format("due") + "  - {id: b, wait: prova.ricevuta}\n")
    assert ["wait.no-deadline"] == [f.code for f in load(folder, OPERATIONS).findings]


def test_a_broken_part_is_one_finding_not_many(folder: Path) -> None:
    write(folder, "mappings/types/istanza.yaml", "type: prova.istanza\nschema: {type: strng}\n")
    catalog, findings = examine(folder, OPERATIONS)
    assert catalog is None
    assert ["schema.invalid"] == [f.code for f in findings]


def told(folder: Path) -> list[str]:
    return [f"{one.file} {one.code} {one.hint}" for one in examine(folder, OPERATIONS)[1]]


PLACES = {"route": "routes/{}.yaml", "mapping": "mappings/{}.yaml", "type": "mappings/types/{}.yaml"}
TEXTS = {
    "route": SMALL.format("nuova"),
    "mapping": "mapping: prova.nuova\nfrom: prova.istanza\nto: prova.istanza\nfields: {istanza: body.istanza}\n",
    "type": "type: prova.nuova\nschema: {type: object}\n",
}


READS = {
    "route": "on: prova.istanza\nsteps: [{id: a, reply: {}}]\n",
    "mapping": "on: prova.istanza\nsteps: [{id: a, map: prova.altra, as: b}, {id: c, reply: {b: b}}]\n",
    "type": "on: prova.altra\nsteps: [{id: a, reply: {x: body.nome}}]\n",
}


@pytest.mark.parametrize("word", PLACES)
def test_of_two_with_one_name_the_copy_is_told_and_nothing_that_follows(folder: Path, word: str) -> None:
    own, copy = (PLACES[word].format(name if word == "type" else name.replace(".", "/")) for name in ("prova.nuova", "prova.altra"))
    write(folder, own, TEXTS[word])
    found = told(folder)
    write(folder, copy, TEXTS[word])
    write(folder, "routes/prova/legge.yaml", "route: prova.legge\nversion: 1\n" + READS[word])
    assert [one for one in told(folder) if one not in found] == [f"{copy} {word}.duplicate in {own}: give this one its own name"]


def test_a_mapping_that_is_applied_to_another_message_than_it_says_is_one_finding(folder: Path) -> None:
    text = "mapping: prova.nuova\nfrom: prova.ricevuta\nto: prova.ricevuta\nfields: {istanza: body.canale}\n"
    write(folder, "mappings/nuova.yaml", text)
    write(folder, "routes/nuova.yaml", "route: prova.nuova\nversion: 1\non: prova.istanza\nsteps: [{id: a, map: prova.nuova, as: b}]\n")
    hint = "correct its `from` if it is made for `prova.istanza`, or apply another one"
    assert told(folder) == [f"routes/nuova.yaml mapping.wrong-source {hint}"]


def test_a_mapping_that_makes_another_thing_than_its_step_needs_is_one_finding(folder: Path) -> None:
    text = "mapping: prova.nuova\nfrom: prova.istanza\nto: sistema.registra\nfields: {istanza: body.istanza, altro: body.istanza}\n"
    write(folder, "mappings/nuova.yaml", text)
    sends = "version: 1\non: prova.istanza\nsteps: [{id: a, send: prova.ricevuta, mapping: prova.nuova}]\n"
    for name in ("nuova", "altra"):
        write(folder, f"routes/{name}.yaml", f"route: prova.{name}\n{sends}")
    hint = "correct its `to` if it is made for `prova.ricevuta`, or apply another one (also at routes/nuova.yaml:4:48)"
    assert [one for one in told(folder) if "wrong-t" in one or "target" in one] == [f"routes/altra.yaml mapping.wrong-target {hint}"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("mappings/parere.yaml", "type: prova.altro\nschema: {type: object}\n"),
        ("routes/parere.yaml", "type: prova.altro\nschema: {type: object}\n"),
        ("mappings/types/parere.yaml", SMALL.format("altra")),
        ("routes/altra.yaml", "mapping: prova.altra\nfrom: prova.istanza\nto: prova.copia\nfields: {}\n"),
        ("routes/presenta_test.yaml", "tests:\n  - {name: it answers, expect: {state: done}}\n"),
        ("routes/servizi/altri.yaml", "servizi: []\n"),
    ],
)
def test_a_file_in_the_folder_of_another_kind_is_one_finding(folder: Path, file: str, text: str) -> None:
    write(folder, file, text)
    assert [one.split(" ")[:2] for one in told(folder)] == [[file, "catalog.misplaced"]]


def test_a_broken_table_is_one_finding_not_many(folder: Path) -> None:
    write(folder, "mappings/tables/uffici.csv", "codice,nome\nSUE,a\nSUE,b\n")
    _, findings = examine(folder, OPERATIONS)
    assert ["table.duplicate-key"] == [f.code for f in findings if f.file.endswith(".csv")]


def test_a_column_with_a_very_long_name_spoils_nothing_else(folder: Path) -> None:
    """Protobuf takes names of 65,535 letters: one that it refuses took the types of all expressions along."""
    table = folder / "mappings/tables/uffici.csv"
    head, *rows = table.read_text("utf-8").splitlines()
    table.write_text("\n".join([f"{head},{'x' * 70_000}", *(f"{row},1" for row in rows)]) + "\n", "utf-8")
    assert [] == examine(folder, OPERATIONS)[1]


def test_a_letter_that_only_looks_like_the_one_that_is_meant_is_named(folder: Path) -> None:
    text = (folder / "routes/servizi.yaml").read_text("utf-8").replace("ufficio: SUE", "ufficio: SU\u0415", 1)
    write(folder, "routes/servizi.yaml", text)
    assert ["did you mean SUE? It has CYRILLIC CAPITAL LETTER IE (U+0415)."] == [f.hint for f in examine(folder, OPERATIONS)[1]]


def test_a_table_that_is_cut_short_has_no_unknown_keys(folder: Path) -> None:
    write(folder, "routes/chi.yaml", SMALL.format("chi").replace("x: body.istanza", 'x: \'lookup("uffici", "ANA", "nome")\''))
    assert [] == examine(folder, OPERATIONS)[1]
    table = folder / "mappings/tables/uffici.csv"
    table.write_text(table.read_text("utf-8").replace("Anagrafe", '"Anagrafe'), "utf-8")
    assert ["table.syntax"] == [one.code for one in examine(folder, OPERATIONS)[1]]


@pytest.mark.parametrize("file", ["routes/servizi.yaml", "routes/buona.yaml", "mappings/registrazione.yaml", "mappings/types/istanza.yaml"])
@pytest.mark.parametrize(
    "text", ["servizi: 3\n", "servizi: [3, {codice: 4}]\n", "[]\n", "3\n", "", "{}\n", "route: [a]\n", "type: {a: 1}\n", "mapping:\n"]
)
def test_a_file_of_nonsense_is_findings_never_an_exception(folder: Path, file: str, text: str) -> None:
    write(folder, file, text)
    catalog, findings = examine(folder, OPERATIONS)
    assert catalog is None
    assert file in {f.file for f in findings}


def test_the_digest_is_of_the_rules_not_of_the_files(folder: Path) -> None:
    before = load(folder, OPERATIONS).digest
    (folder / "routes/buona.yaml").rename(folder / "routes/altro-nome.yaml")
    write(folder, "routes/altro-nome.yaml", "# a comment\n" + (folder / "routes/altro-nome.yaml").read_text())
    assert before == load(folder, OPERATIONS).digest


@pytest.mark.parametrize("closed", ["routes", "mappings/tables"])
def test_a_folder_that_is_not_ours_to_read_is_not_taken_for_empty(folder: Path, closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rules would be taken for deleted ones, and an activation would take them out of force."""
    scandir = os.scandir

    def scan(path: Path | str) -> Any:
        if Path(path) == folder / closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(PermissionError, match=closed):
        examine(folder, OPERATIONS)


def test_a_folder_without_routes_says_so(tmp_path: Path) -> None:
    catalog, findings = examine(tmp_path, OPERATIONS)
    assert catalog is None
    assert ["catalog.no-routes"] == [f.code for f in findings]


def test_ten_times_as_many_routes_are_ten_times_the_work(folder: Path) -> None:
    """In calls of functions: how long 300 routes take is for `python -m benchmarks --validate` to say (aim: 0.5 s)."""
    few, many = _calls_for(folder, 30), _calls_for(folder, 300)
    assert many < 12 * few


def _calls_for(folder: Path, routes: int) -> int:
    """How many functions are called to load so many routes more."""
    text = (folder / "routes/buona.yaml").read_text().split("tests:")[0]
    for number in range(routes):
        write(folder, f"routes/tante/r{number}.yaml", text.replace("prova.buona", f"prova.r{number}"))
    profile = cProfile.Profile()
    catalog = profile.runcall(load, folder, OPERATIONS)
    assert isinstance(catalog, Catalog)
    assert routes + 2 == len(catalog.routes)
    return sum(entry.callcount for entry in profile.getstats())
