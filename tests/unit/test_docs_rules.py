"""Every piece of YAML in the documents is read as the bus reads it: files join the shipped rules and their tests run, steps are steps.

A block whose first line is ``# routes/...`` or ``# mappings/...`` is that file; blocks of a page build on the ones before. A block that
starts with ``- id:`` is a list of steps. ``# at the end of routes/servizi.yaml`` are entries of the catalogue.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from bus.catalog import Catalog, Route
from bus.cli import main
from bus.cli.rules import Declared
from bus.examine import examine
from bus.route.model import TestDocument
from bus.route.parse import parse_route
from bus.source import read, render
from bus.testing.routes import run_folder, run_route, summary

PROJECT = Path(__file__).parents[2]
PAGES = sorted({*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *(PROJECT / "adapters").rglob("*.md")})
AT_THE_END = "# at the end of routes/servizi.yaml\n"
FILE = re.compile(r"# ((?:routes|mappings)/\S+\.yaml)\n")


def blocks(page: Path, language: str = "yaml") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def files(page: Path) -> list[tuple[str, str]]:
    return [(match[1], block) for block in blocks(page) if (match := FILE.match(block))]


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("routes", "mappings"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def loaded(folder: Path, known: Declared) -> Catalog:
    catalog, findings = examine(folder, known.operations)
    assert findings == [], render(findings)
    assert catalog is not None
    return catalog


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: str(page.relative_to(PROJECT)))
def test_yaml_in_the_documents_is_what_the_bus_reads(page):
    for block in blocks(page):
        source = read(block.encode(), page.name)
        assert source.findings == [], render(source.findings)
        if block.startswith("- id:"):
            document = {"route": "prova.documento", "version": 1, "on": "prova.tipo", "steps": source.plain()}
            parsed = parse_route(document, source)
            assert parsed is not None and parsed.complete, render(source.findings)


@pytest.mark.parametrize("page", [page for page in PAGES if files(page)], ids=lambda page: str(page.relative_to(PROJECT)))
def test_files_in_the_documents_join_the_rules_and_their_tests_pass(page, folder, known):
    """Written one after the other; a page is checked where one of its files is written again, and at its end."""
    written: set[str] = set()
    for name, text in files(page):
        if name in written:
            loaded(folder, known)
        written.add(name)
        write(folder, name, text)
    catalog = loaded(folder, known)
    shown = [name for name, route in catalog.routes.items() if route.file in written]
    verdicts = run_folder(catalog, known.operations, shown)
    assert [(one.place, one.faults) for one in verdicts if not one.passed] == []
    assert len(verdicts) >= 3 * len(shown)


def test_places_in_what_commands_are_shown_to_print_are_there():
    """Behind a place of a shipped file stands its step, and the condition that the line below repeats; else the place is that of the step."""
    shown = "\n".join(blocks(PROJECT / "docs/sysadmin/explaining.md", "text"))
    found = re.findall(r"^  (routes/\S+):(\d+):(\d+)  (\S+): .*\n(?:      (.+)\n)?", shown, re.MULTILINE)
    for file, line, column, step, condition in found:
        lines = (PROJECT / file).read_text(encoding="utf-8").splitlines()
        assert lines[int(line) - 1][int(column) - 1 :].startswith(condition or step)
        begun = [one.split()[-1] for one in lines[: int(line)] if re.match(r"  - id: ", one)]
        assert begun[-1] == step
    assert len(found) == 3


def test_the_page_on_tests_shows_what_coverage_says_of_the_first_route(folder, known, monkeypatch, capsys):
    for name, text in files(PROJECT / "docs/sysadmin/first-route.md"):
        write(folder, name, text.partition("  - name: a danger is said first")[0])
    (folder / "config.yaml").write_text((PROJECT / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(folder)
    assert main(["test", "segnalazioni.lampione", "--coverage", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    [shown] = [json.loads(block) for block in blocks(PROJECT / "docs/sysadmin/tests.md", "json")]
    [(route, untried)] = shown.pop("untried").items()
    assert shown == {name: told[name] for name in shown}
    assert [one for one in untried if one not in told["untried"][route]] == []


def test_the_first_route_says_what_a_typo_gives(folder, known):
    [_, (name, text), *_] = files(PROJECT / "docs/sysadmin/first-route.md")
    write(folder, "mappings/types/segnalazioni.lampione.yaml", files(PROJECT / "docs/sysadmin/first-route.md")[0][1])
    write(folder, name, text.replace("scrivania.assegna", "scrivania.asegna"))
    _, findings = examine(folder, known.operations)
    [shown] = blocks(PROJECT / "docs/sysadmin/findings.md", "text")
    assert render(findings).strip() == shown.strip()


def test_a_test_that_fails_says_what_the_page_shows(folder, known):
    page = PROJECT / "docs/sysadmin/tests.md"
    for name, text in files(page):
        write(folder, name, text.replace("reply: {pagata: true}", "reply: {pagata: false}", 1))
    [shown] = blocks(page, "text")
    assert summary(run_folder(loaded(folder, known), known.operations, ["prova.lampione"])).startswith(shown)


def test_a_new_service_is_one_entry_and_works(folder, known):
    page = PROJECT / "docs/sysadmin/services.md"
    [entry] = [block.removeprefix(AT_THE_END) for block in blocks(page) if block.startswith(AT_THE_END)]
    with (folder / "routes/servizi.yaml").open("a", encoding="utf-8") as catalogue:
        catalogue.write(entry)
    catalog = loaded(folder, known)
    [body] = [json.loads(block) for block in blocks(page, "json")]
    assert catalog.validate("servizi.istanza.presentata", body) == []
    [fault] = catalog.validate("servizi.istanza.presentata", {**body, "dati": {"colore": "blu"}})
    assert fault.pointer == "/dati/colore"

    route = catalog.routes["servizi.istanza-generica"]
    given = route.tests[0].given
    test = {
        "name": "the new service is served",
        "given": given,
        "send": body,
        "then": [{"arrive": "pagopa.ricevuta"}],
        "expect": {
            "state": "done",
            "reply": {"esito": "registrata", "ufficio": "Ambiente e rifiuti"},
            "calls": [
                {"protocollo.registra": {"oggetto": "Tessera della casetta dell'acqua", "uo": "AMB01"}},
                {"pagopa.crea-posizione": {"importo": 500}},
                {"scrivania.assegna": {"ufficio": "ambiente", "servizio": "casetta-dell-acqua"}},
            ],
        },
    }
    [verdict] = run_route(Route(route.plan, "", (TestDocument.model_validate(test),)), catalog, known.operations)
    assert verdict.faults == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("ufficio: ambiente", "ufficio: ambienti"), "service.unknown-office"),
        (("modulo: servizi.modulo-semplice", "modulo: servizi.modulo-semplce"), "service.unknown-form"),
        (("tipo: istanza", "tipo: istanza\n    percorso: servizi.istanza-generca"), "service.unknown-route"),
        (("tipo: istanza", "tipo: istanza\n    percorso: notifiche.avviso"), "service.unsuitable-route"),
        (("tipo: istanza", "tipo: istanza\n    percorso: pagamenti.ricevuta"), "service.unsuitable-route"),
    ],
)
def test_a_new_service_that_cannot_work_is_a_finding_at_its_entry(folder, known, change, code):
    [entry] = [block.removeprefix(AT_THE_END) for block in blocks(PROJECT / "docs/sysadmin/services.md") if block.startswith(AT_THE_END)]
    path = folder / "routes/servizi.yaml"
    before = path.read_text(encoding="utf-8")
    path.write_text(before + entry.replace(*change), encoding="utf-8")
    _, findings = examine(folder, known.operations)
    assert [code] == [finding.code for finding in findings]
    assert findings[0].line > len(before.splitlines())


def test_the_examples_of_expressions_are_expressions():
    from bus.expression import Environment, Tables

    page = (PROJECT / "docs/sysadmin/expressions.md").read_text(encoding="utf-8")
    rows = [line.split("|")[2] for line in page.splitlines() if line.startswith("| ") and "---" not in line][1:]
    tables = Tables({"uffici": {"edilizia": {"uo": "SUE01"}}, "servizi": {}})
    environment = Environment({"body", "now", "fascicolo", "protocollo", "posizione", "importo"}, tables)
    texts = [text for row in rows for text in re.findall(r"`([^`]+)`", row)]
    assert len(texts) >= 20
    for text in texts:
        environment.compile(text[1:-1] if text[:2] in ("'\"", "\"'") else text)


def test_the_examples_of_the_functions_that_read_tables_are_true_with_the_shipped_tables(known):
    from bus.expression import Environment
    from bus.expression.library import table_functions

    tables = loaded(PROJECT, known).tables
    examples = [example for function in table_functions(tables) for example in function.examples]
    assert len(examples) == 3
    assert [Environment((), tables).compile(example)({}) for example in examples] == [True, True, True]
