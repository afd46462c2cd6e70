"""`bus new`: what it writes is right at once, in a fresh project and in this one; nothing is ever written over."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bus.cli import main
from bus.cli.layout import laid_out

PROJECT = Path(__file__).parents[3]


@pytest.fixture(params=["fresh", "ours"])
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings: without rules, or with those of this project."""
    if request.param == "ours":
        for name in ("routes", "mappings"):
            shutil.copytree(PROJECT / name, tmp_path / name)
        shutil.copy(PROJECT / "config.yaml", tmp_path)
    else:
        settings = {"organization": {"name": "Comune di Prova", "fiscal_code": "00000000000"}}
        (tmp_path / "config.yaml").write_text(json.dumps(settings), "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def good(capsys: pytest.CaptureFixture[str], *test: str) -> None:
    capsys.readouterr()
    assert 0 == main(["validate"]), capsys.readouterr().out
    assert "0 errors" in capsys.readouterr().out
    assert 0 == main(["test", *test]), capsys.readouterr().out


def test_a_route_is_good_at_once_and_never_written_over(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["new", "route", "ambiente.ritiro"])
    good(capsys, "routes/ambiente/ritiro.yaml")
    assert 0 == main(["test", "routes/ambiente/ritiro.yaml", "--mutate"]), capsys.readouterr().out
    for written in ("routes/ambiente/ritiro.yaml", "mappings/types/ambiente.ritiro.richiesta.yaml"):
        text = (project / written).read_text("utf-8")
        assert "#" in text
        assert text == laid_out(text)
    before = contents(project)
    assert 0 != main(["new", "route", "ambiente.ritiro"])
    assert 0 != main(["new", "route", "Ambiente"])
    assert before == contents(project)


def test_no_mistakes_are_made_while_a_test_fails_and_that_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["new", "route", "ambiente.ritiro"])
    route = project / "routes/ambiente/ritiro.yaml"
    route.write_text(route.read_text("utf-8").replace("state: done", "state: dead"), "utf-8")
    assert 1 == main(["test", "routes/ambiente/ritiro.yaml", "--mutate"])
    said = capsys.readouterr().out
    assert "0 passed, 1 failed" in said
    assert "no mistakes were made" in said


def test_a_mapping_and_a_service_are_good_at_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["new", "route", "ambiente.ritiro"])
    assert 0 == main(["new", "route", "ambiente.avviso"])
    assert "did you mean" not in capsys.readouterr().out, "its type has its own name, and nobody mistyped that"
    assert 0 == main(["new", "mapping", "ambiente.a-avviso", "--from", "ambiente.ritiro.richiesta", "--to", "ambiente.avviso.richiesta"])
    assert "richiesta: body.richiesta" in (project / "mappings/ambiente/a-avviso.yaml").read_text("utf-8")
    good(capsys, "ambiente.a-avviso")
    assert 0 == main(["test", "mappings/ambiente/a-avviso.yaml"])
    assert "1 passed" in capsys.readouterr().out
    office = "ambiente" if (project / "routes/servizi").is_dir() else "ufficio"
    assert 0 == main(["new", "service", "ritiro-sfalci", "--titolo", "Ritiro di sfalci e potature", "--ufficio", office])
    good(capsys, "ambiente.ritiro")
    before = contents(project)
    assert 0 != main(["new", "service", "ritiro-sfalci", "--titolo", "x", "--ufficio", office])
    assert 0 != main(["new", "mapping", "ambiente.a-avviso", "--from", "ambiente.ritiro.richiesta", "--to", "ambiente.avviso.richiesta"])
    assert 0 != main(["new", "mapping", "ambiente.altra", "--from", "ambiente.ritiro.richiest", "--to", "ambiente.avviso.richiesta"])
    assert "ambiente.ritiro.richiesta" in capsys.readouterr().err
    assert before == contents(project)


def test_a_mapping_that_a_route_already_names_is_begun_as_the_finding_says(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever writes the route first must not be told to mend what only the missing mapping is."""
    assert 0 == main(["new", "route", "ambiente.ritiro"])
    assert 0 == main(["new", "route", "ambiente.zolfo"])
    route = project / "routes/ambiente/ritiro.yaml"
    sends = "steps:\n  - {id: avvisa, send: ambiente.zolfo.richiesta, mapping: ambiente.per-lo-zolfo}\n"
    route.write_text(route.read_text("utf-8").replace("steps:\n", sends, 1), "utf-8")
    assert 1 == main(["validate", "--json"])
    said = capsys.readouterr().out
    [finding] = [one for one in json.loads(said[said.index("[") :]) if one["severity"] == "error"]
    assert "mapping.unknown" == finding["code"]
    command = finding["hint"].split("`")[1]
    assert "bus new mapping ambiente.per-lo-zolfo --from ambiente.ritiro.richiesta --to ambiente.zolfo.richiesta" == command
    assert 0 == main(command.split()[1:])
    good(capsys, "ambiente.per-lo-zolfo")


@pytest.mark.parametrize("project", ["ours"], indirect=True)
def test_a_route_on_a_type_that_is_there_sends_a_body_of_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, type in enumerate(("edilizia.pratica.presentata", "servizi.istanza.presentata", "pagopa.ricevuta", "notifiche.avviso")):
        assert 0 == main(["new", "route", f"prova.copia{number}", "--on", type])
    good(capsys, "routes/prova")


@pytest.mark.parametrize("project", ["fresh"], indirect=True)
@pytest.mark.parametrize(
    ("case", "schema", "what", "where", "said_of", "says"),
    [
        (
            "body.targa",
            'required: [targa], properties: {targa: {type: string, pattern: "^[A-Z]{2}[0-9]{3}[A-Z]{2}$"}}',
            "no body of 'prova.esempio' could be made up for a test: `/targa`: the value does not match",
            "that field",
            "type: string,",
            'type: string, examples: ["AB123CD"],',
        ),
        (
            'body.?tel.orValue(body.?mail.orValue(""))',
            "minProperties: 1, properties: {tel: {type: string}, mail: {type: string}}",
            "could be made up for a test: the value has less than 1 property",
            "the whole in the schema",
            "{type: object,",
            '{type: object, examples: [{tel: "1"}],',
        ),
    ],
)
def test_what_keeps_an_example_of_a_body_from_being_made_up_is_told(
    project: Path, capsys: pytest.CaptureFixture[str], case: str, schema: str, what: str, where: str, said_of: str, says: str
) -> None:
    (project / "routes").mkdir()
    (project / "mappings/types").mkdir(parents=True)
    written = project / "mappings/types/esempio.yaml"
    written.write_text(f"type: prova.esempio\ncase: {{chiave: {case}}}\nschema: {{type: object, {schema}}}\n", "utf-8")
    assert 2 == main(["new", "route", "prova.nuova", "--on", "prova.esempio"])
    said = capsys.readouterr().err
    assert what in said
    assert f"say `examples: [...]` of {where}" in said
    written.write_text(written.read_text("utf-8").replace(said_of, says), "utf-8")
    assert 0 == main(["new", "route", "prova.nuova", "--on", "prova.esempio"]), capsys.readouterr().err


@pytest.mark.parametrize("project", ["ours"], indirect=True)
def test_a_new_type_that_is_nearly_one_that_is_there_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["new", "route", "prova.nuova", "--on", "edilizia.pratica.presentat"])
    assert "is a new message type; did you mean edilizia.pratica.presentata?" in capsys.readouterr().out


@pytest.mark.parametrize("project", ["fresh"], indirect=True)
def test_a_type_with_alternatives_is_written_as_the_first_of_them(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "routes").mkdir()
    (project / "mappings/types").mkdir(parents=True)
    shutil.copy(PROJECT / "tests/corpus/world/mappings/types/soggetto.yaml", project / "mappings/types")
    assert 0 == main(["new", "route", "prova.sente", "--on", "prova.soggetto"]), capsys.readouterr().err
    assert 0 == main(["new", "mapping", "prova.copia", "--from", "prova.soggetto", "--to", "prova.soggetto"]), capsys.readouterr().err
    good(capsys, "routes/prova")
    assert "cognome" in (project / "mappings/prova/copia.yaml").read_text("utf-8")


OPERATIONS = (
    "anagrafe.cerca-soggetto", "protocollo.registra", "edilizia.apri-pratica", "pagopa.crea-posizione", "scrivania.assegna",
    "notifiche.email",
)  # fmt: skip


@pytest.mark.parametrize("project", ["ours"], indirect=True)
def test_a_mapping_to_any_operation_is_good_at_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for operation in OPERATIONS:
        words = ["prova." + operation.replace(".", "-"), "--from", "edilizia.pratica.presentata", "--to", operation]
        assert 0 == main(["new", "mapping", *words]), capsys.readouterr().err
    assert 0 == main(["validate"]), capsys.readouterr().out


@pytest.mark.parametrize("project", ["ours"], indirect=True)
def test_what_would_be_wrong_is_not_written(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(project)
    assert 0 != main(["new", "service", "ritiro-sfalci", "--titolo", "x", "--ufficio", "ambente"])
    said = capsys.readouterr().err
    assert "there is no office 'ambente'" in said
    assert "did you mean ambiente?" in said
    assert "routes/servizi.yaml" not in said, "no place in a file that was not written"
    assert 0 != main(["new", "service", "ritiro-sfalci", "--titolo", "x", "--ufficio", "zzz"])
    assert "its offices are ambiente, anagrafe" in capsys.readouterr().err
    assert 0 != main(["new", "service", "ritiro-sfalci", "--titolo", "", "--ufficio", "ambiente"])
    assert "'--titolo': it is empty" in capsys.readouterr().err
    assert before == contents(project)


@pytest.mark.parametrize("project", ["ours"], indirect=True)
def test_new_services_have_tests_that_pass_and_would_notice_another_office_or_fee(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == main(["new", "service", "ritiro-sfalci", "--titolo", "Ritiro: sfalci e potature", "--ufficio", "ambiente"])
    assert 0 == main(["new", "service", "posto-barca", "--titolo", "Posto barca", "--ufficio", "suap", "--tariffa", "4500"])
    tests = (project / "routes/servizi/istanza-generica.test.yaml").read_text("utf-8")
    assert tests == laid_out(tests)
    good(capsys, "servizi.istanza-generica")
    services = project / "routes/servizi.yaml"
    entry, fee = services.read_text("utf-8").rsplit("ufficio: ambiente", 1), "importo: 4500"
    for change in ("ufficio: suap".join(entry), services.read_text("utf-8").replace(fee, "importo: 4600")):
        services.write_text(change, "utf-8")
        assert 1 == main(["test", "servizi.istanza-generica"])
        assert "the application reaches its office" in capsys.readouterr().out


@pytest.mark.parametrize("project", ["ours"], indirect=True)
def test_a_code_that_yaml_takes_for_a_number_is_written_as_a_text(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = ["1", "007", "1e5", "null", "on", "2026-01-01"]
    for code in codes:
        assert 0 == main(["new", "service", code, "--titolo", f"Ritiro {code}", "--ufficio", "ambiente"])
    good(capsys, "servizi.istanza-generica")


@pytest.mark.slow
@pytest.mark.parametrize("project", ["fresh"], indirect=True)
def test_an_adapter_passes_the_suite_of_all_adapters(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["new", "adapter", "tributi"])
    told = capsys.readouterr().out
    assert ("use: tributi.adapter:Tributi" in told, f"PYTHONPATH={project.resolve()}" in told) == (True, True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/test_tributi.py",
        "-k",
        "success or number or refusal or declarations",
    ]
    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    )
    assert 0 == ran.returncode, ran.stdout + ran.stderr
    assert "passed" in ran.stdout
    before = contents(project)
    assert 0 != main(["new", "adapter", "tributi"])
    assert 0 != main(["new", "adapter", "Tributi"])
    assert before.keys() == contents(project).keys()


@pytest.mark.parametrize("name", ["class", "none", "bus", "email", "tests"])
def test_an_adapter_is_not_called_as_python_calls_something_else(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 != main(["new", "adapter", name, "--folder", str(tmp_path)])
    assert f"'{name}'" in capsys.readouterr().err
    assert [] == [*tmp_path.iterdir()]


@pytest.mark.parametrize("project", ["fresh"], indirect=True)
@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["route", "ambiente"], "two words or more, joined by dots"),
        (["route", "Ambiente.Ritiro"], "small letters"),
        (["route", "ambiente." + "x" * 80], "89 characters, and may have 80"),
        (["adapter", "anagrafe-nazionale"], "one word of small letters and digits"),
        (["service", "casetta_acqua", "--titolo", "x", "--ufficio", "x"], "in words joined by hyphens"),
    ],
)
def test_a_name_that_cannot_be_one_is_told_with_its_rule(
    project: Path, words: list[str], rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(project)
    assert main(["new", *words]) == 2
    assert rule in capsys.readouterr().err
    assert contents(project) == before
