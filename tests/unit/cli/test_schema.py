"""`bus schema`: editors are told the same shapes that the bus reads."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest

from bus.cli import main
from bus.cli.rules import declared
from bus.cli.schema import vocabulary_of
from bus.cli.schemas import FILES, Vocabulary, schemas
from bus.mapping.types import compile_type
from bus.source import Notes, read, read_file
from tests.corpus.files import BROKEN, WORLD, expected
from tests.corpus.world.operations import OPERATIONS

PROJECT = Path(__file__).parents[3]
OF_SHAPE = {
    "field.unknown",
    "field.missing",
    "field.invalid",
    "step.unknown-kind",
    "step.two-kinds",
    "operation.unknown",
    "target.unknown-field",
    "mapping.unknown-target",
}
NOT_OF_SHAPE = {
    "undo-does-not-take-the-answer", "whole-body-as-a-request", "object-in-expression-unknown-field", "object-of-constants-unknown-field",
    "wait-until-nothing", "objects-that-are-joined-or-chosen", "items-joined-to-a-list-that-may-not-be-there",
}  # fmt: skip
"""An answer that an undo does not take, what an expression gives, a field that is left empty: no schema of a route says these."""


@pytest.fixture(scope="module")
def ours() -> dict[str, jsonschema_rs.Draft7Validator]:
    made = schemas(vocabulary_of(declared(PROJECT / "config.yaml")))
    return {name: jsonschema_rs.Draft7Validator(schema) for name, schema in made.items()}


@pytest.fixture(scope="module")
def of_the_corpus() -> dict[str, jsonschema_rs.Draft7Validator]:
    world = {"prova.istanza": "", "prova.ricevuta": ""}
    read = {path.stem: compile_type(read_file(path).plain(), Notes("types")) for path in sorted(WORLD.glob("mappings/types/*.yaml"))}
    vocabulary = Vocabulary(
        operations=OPERATIONS,
        types=world,
        shapes={one.name: one.shape for one in read.values() if one},
        mappings={"prova.registrazione": ""},
        routes={"prova.buona": ""},
        offices={"SUE": "", "ANA": ""},
    )
    return {name: jsonschema_rs.Draft7Validator(schema) for name, schema in schemas(vocabulary).items()}


def test_every_shipped_file_is_valid(ours: dict[str, jsonschema_rs.Draft7Validator]) -> None:
    seen = {name: [path for pattern in patterns if pattern[0] != "!" for path in PROJECT.glob(pattern)] for name, patterns in FILES.items()}
    seen["route"] = [path for path in seen["route"] if path not in {*seen["services"], *seen["tests"]}]
    seen["mapping"] = [path for path in seen["mapping"] if path not in seen["type"]]
    assert all(seen.values())
    wrong = {str(path): str(e) for name, paths in seen.items() for path in paths for e in ours[name].iter_errors(read_file(path).plain())}
    assert {} == wrong


def assert_wrong(wrong: list[str], schemas: dict[str, jsonschema_rs.Draft7Validator], kind: str, target: str, fields: str) -> None:
    """Fields for an operation or a type are wrong at these places, in a step as in a mapping."""
    text = f"route: a.b\nversion: 1\non: prova.istanza\nsteps:\n  - {{id: a, {kind}: {target}, with: {{{fields}}}}}\n"
    document = read(text.encode(), "a").plain()
    assert bool(wrong) != schemas["route"].is_valid(document)
    made = {"mapping": "a.b", "from": "prova.istanza", "to": target, "fields": document["steps"][0]["with"]}
    of_fields = ["/" + "/".join(map(str, one.instance_path)) for one in schemas["mapping"].iter_errors(made)]
    assert [place.replace("/steps/0/with", "/fields") for place in wrong] == of_fields


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ("oggetto: '\"abc\"', titolare: {cognome: body.x, nome: {$value: body.y, $default: '\"\"'}}", []),
        ("ogetto: '\"abc\"'", ["/steps/0/with"]),
        ("titolare: {cognomme: body.x}", ["/steps/0/with/titolare"]),
        ("allegati: [{nome: body.x}, {nomme: body.x}]", ["/steps/0/with/allegati/1"]),
        ("allegati: {$each: body.righe, $as: r, $value: {nome: r.via}}", []),
        ("allegati: {$each: body.righe, $as: r, $value: {nomme: r.via}}", ["/steps/0/with/allegati/$value"]),
    ],
)
def test_a_request_has_the_fields_of_its_contract(
    fields: str, wrong: list[str], of_the_corpus: dict[str, jsonschema_rs.Draft7Validator]
) -> None:
    assert_wrong(wrong, of_the_corpus, "call", "archivio.apri", fields)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ("istanza: body.istanza, richiedente: {codice_fiscale: {$value: body.x, $default: '\"\"'}}", []),
        ("istansa: body.istanza", ["/steps/0/with"]),
        ("righe: {$each: body.righe, $as: r, $value: {vai: r.via}}", ["/steps/0/with/righe/$value"]),
        ("richiedente: {codice_fiscal: body.x}", ["/steps/0/with/richiedente"]),
    ],
)
def test_a_message_that_is_sent_has_the_fields_of_its_type(
    fields: str, wrong: list[str], of_the_corpus: dict[str, jsonschema_rs.Draft7Validator]
) -> None:
    assert_wrong(wrong, of_the_corpus, "send", "prova.istanza", fields)


def test_the_fields_of_a_message_say_what_they_are(ours: dict[str, jsonschema_rs.Draft7Validator]) -> None:
    made = schemas(vocabulary_of(declared(PROJECT / "config.yaml")))["route"]["$defs"]["Send"]["allOf"]
    sent = {one["if"]["properties"]["send"]["const"]: one["then"]["properties"]["with"]["properties"] for one in made}
    assert {path.stem for path in PROJECT.glob("mappings/types/*.yaml")} == set(sent)
    assert "string" == sent["edilizia.pratica.presentata"]["oggetto"]["description"].rpartition(". ")[2]
    assert "one of " in sent["edilizia.pratica.presentata"]["procedimento"]["description"]


def test_an_editor_behind_a_firewall_has_all_it_needs(ours: dict[str, jsonschema_rs.Draft7Validator]) -> None:
    made = schemas(vocabulary_of(declared(PROJECT / "config.yaml")))
    outside = re.findall(r'"\$ref": "(?!#)[^"]*"', json.dumps(made))
    assert [] == outside


@pytest.mark.parametrize(
    ("schema", "good"),
    [
        ("{type: object, properties: {a: {type: [string, 'null']}, b: true}, $defs: {c: {items: false}}}", True),
        ("{type: object, properties: {a: {type: strin}}}", False),
        ("{type: object, definitions: {}}", False),
        ("{type: object, properties: {a: {format: datte}}}", False),
        ("{allOf: {type: object}}", False),
        ("{type: object, required: true}", False),
        ("true", False),
    ],
)
def test_the_schema_of_a_type_has_the_words_that_are_taken(schema: str, good: bool, ours: dict[str, jsonschema_rs.Draft7Validator]) -> None:
    notes = Notes("a")
    document = read(f"type: a.b\nschema: {schema}\n".encode(), "a").plain()
    assert good == ours["type"].is_valid(document)
    assert good == (compile_type(document, notes) is not None and not notes.findings)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ("sistema.verifica: [{unreachable: 2, answers: {nome: Ada, cognome: Neri, eta: 36}}, {refuses: X}]", []),
        ("sistema.verifica: [{refuses: X}, {answers: {cognomme: Neri}}]", ["/given/sistema.verifica"]),
        ("sistema.verifica: {answers: {cognomme: Neri}}", ["/given/sistema.verifica"]),
        ("messages: {prova.istanza: {istansa: a}}", ["/given/messages/prova.istanza"]),
    ],
)
def test_what_a_test_gives_has_the_fields_of_its_contract(
    given: str, wrong: list[str], of_the_corpus: dict[str, jsonschema_rs.Draft7Validator]
) -> None:
    document = read(f"given: {{{given}}}\ntests: [{{name: x, expect: {{}}}}]\n".encode(), "a").plain()
    assert wrong == ["/" + "/".join(map(str, one.instance_path)) for one in of_the_corpus["tests"].iter_errors(document)]


def test_tries_are_counted_of_operations_that_there_are(of_the_corpus: dict[str, jsonschema_rs.Draft7Validator]) -> None:
    for name, good in (("sistema.verifica", True), ("sistema.verfica", False)):
        assert good == of_the_corpus["tests"].is_valid({"tests": [{"name": "x", "expect": {"tries": {name: 2}}}]})


def test_each_field_of_a_request_says_what_it_is() -> None:
    made = schemas(Vocabulary(operations=OPERATIONS))["route"]["$defs"]["Call"]["allOf"]
    [asked] = [one["then"]["properties"]["with"] for one in made if one["if"]["properties"]["call"]["const"] == "archivio.apri"]
    assert "What it is about. string" == asked["properties"]["oggetto"]["description"]
    assert "one of EDILIZIA, ANAGRAFE" == asked["properties"]["classe"]["description"]
    assert "Family name. string" == asked["properties"]["titolare"]["properties"]["cognome"]["description"]


def test_what_every_system_and_secret_takes_says_what_it_is() -> None:
    made = schemas(vocabulary_of(declared(PROJECT / "config.yaml")))["config"]["$defs"]
    taken = [made["anagrafe-Settings_anagrafe"]["properties"][name] for name in ("use", "concurrency")]
    assert all(one.get("description") for one in [*taken, *made["Secret"]["properties"].values()])


def test_a_number_of_the_settings_may_be_told_by_the_environment(ours: dict[str, jsonschema_rs.Draft7Validator]) -> None:
    whole = read_file(PROJECT / "config.yaml").plain()
    told = {"env": "SNODO_NUMBER"}
    for number in (8080, told, "8080"):
        whole |= {
            "http": {"port": number},
            "engine": {"backlog": number},
            "adapters": {"esterni": {"url": "http://x", "concurrency": number}},
        }
        assert ours["config"].is_valid(whole) == (number != "8080")


def test_the_good_rules_of_the_corpus_are_valid(of_the_corpus: dict[str, jsonschema_rs.Draft7Validator]) -> None:
    for name, file in {
        "route": "routes/buona.yaml",
        "mapping": "mappings/registrazione.yaml",
        "type": "mappings/types/istanza.yaml",
    }.items():
        of_the_corpus[name].validate(read_file(WORLD / file).plain())


@pytest.mark.parametrize(
    "path",
    [path for path in BROKEN if {code for code, _, _ in expected(path)} & OF_SHAPE and path.stem not in NOT_OF_SHAPE],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_an_editor_sees_an_error_of_shape(path: Path, of_the_corpus: dict[str, jsonschema_rs.Draft7Validator]) -> None:
    assert not of_the_corpus[path.parent.name].is_valid(read_file(path).plain())


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ("route", {"key": None}),
        *(("route", {"steps": [{"id": "a", "fail": "a.b", name: None}]}) for name in ("when", "reason")),
        ("route", {"steps": [{"id": "a", "choose": [{"when": None, "steps": [{"id": "b", "reply": {}}]}]}]}),
        ("type", {"key": None}),
        ("services", {"servizi": [{"codice": "a", "titolo": "A", "ufficio": "SUE", "tipo": "istanza", "tariffa": None}]}),
    ],
)
def test_an_editor_sees_a_field_that_says_nothing(
    schema: str, written: dict[str, object], of_the_corpus: dict[str, jsonschema_rs.Draft7Validator]
) -> None:
    whole = {
        "route": {"route": "a.b", "version": 1, "on": "prova.istanza", "steps": [{"id": "a", "reply": {}}]},
        "type": {"type": "a.b", "schema": {"type": "object"}},
        "services": {},
    }[schema]
    assert not of_the_corpus[schema].is_valid({**whole, **written})


def test_names_of_the_house_come_with_what_they_are(ours: dict[str, jsonschema_rs.Draft7Validator]) -> None:
    made = schemas(vocabulary_of(declared(PROJECT / "config.yaml")))
    call = made["route"]["$defs"]["Call"]["properties"]["call"]
    said = dict(zip(call["enum"], call["enumDescriptions"], strict=True))
    assert "Who has this codice fiscale? (read)" == said["anagrafe.cerca-soggetto"]
    on = made["route"]["properties"]["on"]
    assert (
        "A building application was presented" == dict(zip(on["enum"], on["enumDescriptions"], strict=True))["edilizia.pratica.presentata"]
    )


def test_the_command_writes_them_and_prints_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "città mia"
    assert 0 == main(["schema", "--config", str(PROJECT / "config.yaml"), "--folder", str(folder)])
    assert sorted(f"{name}.json" for name in FILES) == sorted(path.name for path in folder.iterdir())
    assert f"# yaml-language-server: $schema=file://{tmp_path}/citt%C3%A0%20mia/route.json\n" in capsys.readouterr().out
    assert 0 == main(["schema", "route", "--config", str(PROJECT / "config.yaml")])
    assert json.loads(capsys.readouterr().out) == json.loads((folder / "route.json").read_text("utf-8"))
    assert 0 != main(["schema", "rout", "--config", str(PROJECT / "config.yaml")])


def test_git_asks_about_none_of_them_unless_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ignored = tmp_path / ".snodo/.gitignore"
    assert 0 == main(["schema", "--config", str(PROJECT / "config.yaml")])
    assert "*\n" == ignored.read_text("utf-8")
    ignored.unlink()
    assert 0 == main(["schema", "--config", str(PROJECT / "config.yaml")])
    assert not ignored.exists()
