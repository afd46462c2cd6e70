"""Broken files, each with the findings it must give: code, line and column, on its first line (``# expect: code line column; ...``).

Each file joins a small world of good rules (``world/``) and is read with it; nothing else may be found in the whole.
"""

from __future__ import annotations

import json
import re
import shutil
from functools import cache
from pathlib import Path

import pytest

from bus.cli.common import Format
from bus.cli.formats import written
from bus.earlier import Earlier
from bus.examine import examine, review
from bus.rulefiles import files_of
from tests.corpus.files import BROKEN, HERE, PLACES, WORLD, expected, world_in
from tests.corpus.world.operations import OPERATIONS

PYDANTIC = re.compile(
    r"[Ii]nput should|Field required|Extra inputs|valid (dictionary|list|string|integer|boolean)|at least 1 item|validation"
)
"""What findings never say: the words of the library that noticed."""

SHARED = 8
"""Of so many files one is checked by two processes, too: to begin a process takes longer than to check the file."""


@cache
def _with_the_world() -> Earlier:
    """What `bus validate` found before the broken file was there."""
    found = Earlier()
    review(files_of(WORLD), OPERATIONS, found)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of rules with the world in it."""
    return world_in(tmp_path / "rules")


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_broken_file_gives_its_findings_and_no_other(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(path, folder / PLACES[path.parent.name])
    catalog, findings = examine(folder, OPERATIONS)
    assert expected(path) == [(f.code, f.line, f.column) for f in findings], [str(f) for f in findings]
    assert {PLACES[path.parent.name]} == {f.file for f in findings}
    assert (catalog is None) == any(f.severity == "error" for f in findings)
    assert findings == review(files_of(folder), OPERATIONS, _with_the_world())
    if BROKEN.index(path) % SHARED == 0:
        monkeypatch.setattr("bus.examine.processes", lambda pieces, least: 2)
        assert findings == review(files_of(folder), OPERATIONS)
    assert [] == [str(f) for f in findings if PYDANTIC.search(f.sentence)]
    for form in Format:
        assert [(f.code, f.line, f.column) for f in findings] == places_in(form, written(findings, form)), form


def places_in(form: Format, text: str) -> list[tuple[str, int, int]]:
    """What another program reads of findings: code, line and column of each."""
    if form is Format.text:
        return [
            (code, int(line), int(column)) for line, column, code in re.findall(r"^[^ ]+:(\d+):(\d+): \w+ ([\w.-]+): ", text, re.MULTILINE)
        ]
    if form is Format.github:
        found = re.findall(r"^::\w+ file=[^,]+,line=(\d+),col=(\d+),title=([\w.-]+)::.+$", text, re.MULTILINE)
        return [(code, int(line), int(column)) for line, column, code in found]
    said = json.loads(text)
    if form is Format.json:
        return [(one["code"], one["line"], one["column"]) for one in said]
    regions = [(one["ruleId"], one["locations"][0]["physicalLocation"]["region"]) for one in said["runs"][0]["results"]]
    return [(code, region["startLine"], region["startColumn"]) for code, region in regions]


APPLYING = """route: prova.NAME
version: 1
on: prova.istanza
case: {istanza: body.istanza}
steps:
  - {id: a, call: sistema.cerca, with: {codice_fiscale: body.richiedente.codice_fiscale}, as: persona}
  - {id: b, call: sistema.registra, mapping: prova.altra, as: numero}
"""
APPLIED = """mapping: prova.altra
from: prova.istanza
to: sistema.registra
uses: [persona]
fields:
  riferimento: body.istanza
  oggetto: persona.cognome + " " + persona.nomme
  importo: persona.nome
  indirizzo: {via: persona.residenza.via, cap: persona.residenza.cap}
"""


def test_a_mapping_is_checked_with_what_each_route_gives_it_and_told_at_its_own_place_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mappings/altra.yaml").write_text(APPLIED, encoding="utf-8")
    for name in ("una", "due"):
        (folder / f"routes/{name}.yaml").write_text(APPLYING.replace("NAME", name), encoding="utf-8")
    catalog, findings = examine(folder, OPERATIONS)
    assert catalog is None
    assert {f.file for f in findings} == {"mappings/altra.yaml"}
    wrong = [("path.unknown-field", 7, 44), ("target.wrong-type", 8, 12), ("path.maybe-missing", 9, 28), ("path.maybe-missing", 9, 56)]
    assert wrong == [(f.code, f.line, f.column) for f in findings]
    assert findings[0].hint == "did you mean nome?"
    earlier = Earlier()
    assert findings == review(files_of(folder), OPERATIONS, earlier)
    assert findings == review(files_of(folder), OPERATIONS, earlier)
    monkeypatch.setattr("bus.examine.processes", lambda pieces, least: 2)
    assert findings == review(files_of(folder), OPERATIONS)


def test_a_mapping_that_reads_a_key_which_the_case_of_a_route_has_not_is_told_at_its_step(folder: Path) -> None:
    fields = "fields: {riferimento: case.istanza, oggetto: 'case.?istanza.orValue(\"\")'}"
    (folder / "mappings/altra.yaml").write_text(
        f"mapping: prova.altra\nfrom: prova.istanza\nto: sistema.registra\n{fields}\n", encoding="utf-8"
    )
    (folder / "routes/una.yaml").write_text(APPLYING.replace("NAME", "una"), encoding="utf-8")
    (folder / "routes/due.yaml").write_text(
        APPLYING.replace("NAME", "due").replace("case: {istanza: body.istanza}\n", ""), encoding="utf-8"
    )
    _, findings = examine(folder, OPERATIONS)
    assert [("routes/due.yaml", "case.unknown-key", 6, 46)] == [(f.file, f.code, f.line, f.column) for f in findings]


@pytest.mark.parametrize(
    ("applied", "code"),
    [
        ("mapping: prova.altro\nfrom: prova.istanza\nto: sistema.registra", "mapping.unknown"),
        ("mapping: prova.altra\nfrom: prova.ricevuta\nto: sistema.registra", "mapping.wrong-source"),
        ("mapping: prova.altra\nfrom: prova.istanza\nto: sistema.registra\nuses: [persone]", "mapping.not-given"),
    ],
)
def test_a_mistake_in_a_mapping_is_one_finding_in_however_many_routes_it_shows(
    folder: Path, monkeypatch: pytest.MonkeyPatch, applied: str, code: str
) -> None:
    (folder / "mappings/altra.yaml").write_text(f"{applied}\nfields: {{riferimento: '\"r\"', oggetto: '\"o\"'}}\n", encoding="utf-8")
    for name in ("una", "due", "tre"):
        (folder / f"routes/{name}.yaml").write_text(APPLYING.replace("NAME", name), encoding="utf-8")
    _, findings = examine(folder, OPERATIONS)
    assert [("routes/due.yaml", code)] == [(f.file, f.code) for f in findings]
    assert "also at routes/tre.yaml:7:46, routes/una.yaml:7:46" in findings[0].hint
    earlier = Earlier()
    assert findings == review(files_of(folder), OPERATIONS, earlier)
    assert findings == review(files_of(folder), OPERATIONS, earlier)
    monkeypatch.setattr("bus.examine.processes", lambda pieces, least: 2)
    assert findings == review(files_of(folder), OPERATIONS)


def test_what_is_doubtful_of_a_mapping_for_a_route_is_remembered_with_the_route(folder: Path) -> None:
    text = APPLIED.replace("nomme", "nome").replace("persona.nome\n  ind", "12\n  ind")
    (folder / "mappings/altra.yaml").write_text(text, encoding="utf-8")
    (folder / "routes/una.yaml").write_text(APPLYING.replace("NAME", "una"), encoding="utf-8")
    catalog, findings = examine(folder, OPERATIONS)
    assert catalog is not None
    assert [("mappings/altra.yaml", 9), ("mappings/altra.yaml", 9)] == [(f.file, f.line) for f in findings]
    earlier = Earlier()
    assert findings == review(files_of(folder), OPERATIONS, earlier)
    assert findings == review(files_of(folder), OPERATIONS, earlier)
    (folder / "routes/una.yaml").write_text(
        APPLYING.replace("NAME", "una").replace("{id: b", "{id: b, when: persona.residenza != null"), "utf-8"
    )
    assert [] == review(files_of(folder), OPERATIONS, earlier)


@pytest.mark.parametrize("path", sorted((HERE / "good").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_correct_route_against_a_contract_that_only_its_file_describes_gives_no_finding(path: Path, folder: Path) -> None:
    shutil.copy(path, folder / PLACES["route"])
    catalog, findings = examine(folder, OPERATIONS)
    assert [] == [str(one) for one in findings]
    assert catalog is not None


def test_the_world_of_the_corpus_has_no_finding() -> None:
    catalog, findings = examine(WORLD, OPERATIONS)
    assert [] == findings
    assert catalog is not None


def test_the_corpus_is_large() -> None:
    assert len(BROKEN) >= 350


@pytest.mark.parametrize("name", ["mappings/registrazione.yaml", "mappings/types/istanza.yaml", "routes/buona.yaml"])
def test_a_file_that_is_no_yaml_is_found_wrong_once(name: str, folder: Path) -> None:
    """Routes speak of the mapping, services of the route: the one who cut the file short is told so, once."""
    text = (folder / name).read_text(encoding="utf-8")
    (folder / name).write_text(text + "  - {oops: [\n", encoding="utf-8")
    _, findings = examine(folder, OPERATIONS)
    assert [(name, "yaml.syntax")] == [(f.file, f.code) for f in findings]


@pytest.mark.parametrize(
    "name",
    [
        "mappings/registrazione.yaml",
        "routes/servizi.yaml",
        "routes/buona.yaml",
        "mappings/types/istanza.yaml",
        "mappings/tables/uffici.csv",
    ],
)
def test_a_broken_file_hides_nothing_of_the_others(name: str, folder: Path) -> None:
    """Whatever cannot be read, who mends another file in the same run is told of the key that no case has, and of tests of no route."""
    shutil.copy(HERE / "route/case-key-in-expression.yaml", folder / PLACES["route"])
    (folder / "routes/altra.test.yaml").write_text("tests: []\n", encoding="utf-8")
    text = (folder / name).read_text(encoding="utf-8")
    (folder / name).write_text(text + ("SUE,twice\n" if name.endswith("csv") else "  - {oops: [\n"), encoding="utf-8")
    findings = review(files_of(folder), OPERATIONS, _with_the_world())
    found = sorted((f.file, f.code) for f in findings if f.file != name)
    assert [("routes/altra.test.yaml", "test.no-route"), ("routes/rotta.yaml", "path.unknown-field")] == found
    assert name in {f.file for f in findings}
    assert findings == examine(folder, OPERATIONS)[1]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("titolo: Orari", "titollo: Orari"),
        ("tipo: informativo", "tipo: pagina"),
        ("ufficio: ANA, tipo: informativo", "ufficio: UFF, tipo: informativo"),
        ("pagina: /orari", "modulo: prova.istanza"),
    ],
)
def test_a_broken_service_is_no_unknown_key_elsewhere(right: str, wrong: str, folder: Path) -> None:
    """A route looks up the service whose entry is wrong: there is one cause, and it stands in the catalogue."""
    route = (HERE / "route/unknown-table.yaml").read_text(encoding="utf-8")
    (folder / PLACES["route"]).write_text(route.replace('"ufici", "SUE"', '"servizi", "orari", "titolo"'), encoding="utf-8")
    assert [] == review(files_of(folder), OPERATIONS, _with_the_world())
    services = (folder / PLACES["services"]).read_text(encoding="utf-8")
    (folder / PLACES["services"]).write_text(services.replace(right, wrong, 1), encoding="utf-8")
    findings = review(files_of(folder), OPERATIONS, _with_the_world())
    assert {PLACES["services"]} == {one.file for one in findings}, [str(one) for one in findings]


@pytest.mark.parametrize(
    ("senders", "sent", "found"),
    [
        ("", "prova.istanza", ["service.unsuitable-route"]),
        ("senders: [portal, bus]\n", "prova.istanza", []),
        ("senders: [bus, sysadmin]\n", "prova.istanza", []),
        ("senders: [bus]\n", "prova.istanza", ["service.unsuitable-route"]),
        ("senders: [sistema]\n", "prova.ricevuta", ["service.unsuitable-route"]),
        ("", "prova.ricevuta", []),
    ],
)
def test_a_service_is_served_by_what_portals_present_whoever_else_sends_it(senders: str, sent: str, found: list[str], folder: Path) -> None:
    """An application that another one is split into comes from portals, too, where the type says so."""
    declared = folder / "mappings/types/istanza.yaml"
    declared.write_text(declared.read_text(encoding="utf-8").replace("title:", f"{senders}title:", 1), encoding="utf-8")
    body = "{istanza: body.istanza, richiedente: {codice_fiscale: '\"X\"'}}" if sent == "prova.istanza" else "{istanza: body.istanza}"
    steps = f"steps:\n  - {{id: a, send: {sent}, with: {body}}}\n"
    (folder / PLACES["route"]).write_text(f"route: prova.rotta\nversion: 1\non: prova.esterna\n{steps}", encoding="utf-8")
    findings = examine(folder, OPERATIONS)[1]
    assert found == [one.code for one in findings], [str(one) for one in findings]


@pytest.mark.parametrize(("key", "found"), [("domanda", ["wait.no-key"]), ("istanza", []), ("protocollo", [])])
def test_a_wait_finds_no_messages_whose_key_nothing_else_gives_to_a_case(key: str, found: list[str], folder: Path) -> None:
    """A key that is called otherwise in the type than in the route joins nothing: every answer would be taken in and heard by nobody."""
    answer = "type: prova.decisione\ncase: {%s: body.x}\nschema: {type: object, properties: {x: {type: string}}, required: [x]}\n"
    (folder / PLACES["type"]).write_text(answer % key, encoding="utf-8")
    head = "route: prova.rotta\nversion: 1\non: prova.istanza\ncase: {istanza: body.istanza}\n"
    (folder / PLACES["route"]).write_text(f"{head}steps:\n  - {{id: a, wait: prova.decisione, deadline: 2d}}\n", encoding="utf-8")
    findings = examine(folder, OPERATIONS)[1]
    assert found == [one.code for one in findings if one.file == PLACES["route"]], [str(one) for one in findings]


def test_a_wait_finds_a_further_message_of_the_type_with_which_its_route_begins(folder: Path) -> None:
    """The first message gave the case its key, though nothing else carries one of that name."""
    note = "type: prova.nota\ncase: {nota: body.x}\nschema: {type: object, properties: {x: {type: string}}, required: [x]}\n"
    (folder / PLACES["type"]).write_text(note, encoding="utf-8")
    steps = "steps:\n  - {id: a, wait: prova.nota, deadline: 2d}\n"
    (folder / PLACES["route"]).write_text(f"route: prova.rotta\nversion: 1\non: prova.nota\n{steps}", encoding="utf-8")
    assert [] == [str(one) for one in examine(folder, OPERATIONS)[1] if one.file == PLACES["route"]]


@pytest.mark.parametrize("asking", ["routes/aperta.yaml", "routes/zelante.yaml"])
def test_what_one_route_asks_about_is_not_asked_for_another(asking: str) -> None:
    """Both look the same code up with the same expression; only one has a condition for the codes that the table lacks."""
    route = """route: prova.%s
version: 1
on: prova.istanza
case: {istanza: body.istanza}
steps:
  - {id: a, %sset: {x: 'lookup("uffici", body.canale, "nome")'}}
"""
    files = {
        **files_of(WORLD),
        "routes/media.yaml": (route % ("media", "")).encode(),
        asking: (route % ("chiede", 'when: body.canale == "WEB", ')).encode(),
    }
    _, findings = examine(files, OPERATIONS)
    assert [f.file for f in findings if f.code == "table.unknown-key"] == ["routes/media.yaml"], [str(f) for f in findings]


@pytest.mark.parametrize("line", ["note: '%s'", "%s: 1", "# %s\nx: ["])
@pytest.mark.parametrize("long", ["a" * 400_000, "-" * 400_000])
def test_a_file_with_a_word_of_any_length_is_gone_over_once(line: str, long: str, folder: Path) -> None:
    """Such as a file in base64 among the tests of a route: for each of its letters the rest of it was looked through."""
    text = f"route: prova.rotta\nversion: 1\non: prova.istanza\n{line % long}\n"
    (folder / PLACES["route"]).write_text(text, encoding="utf-8")
    assert {PLACES["route"]} == {one.file for one in examine(folder, OPERATIONS)[1]}
