"""The REST adapters' own contract files: what crosses the wire obeys them, and App IO's says what the official one says."""

from contextlib import closing
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from adapters.esterni.adapter import Esterni
from adapters.notifiche.adapter import Notifiche
from adapters.scrivania.adapter import Scrivania
from adapters.sito.adapter import Sito
from bus.testing.adapter_contract import attempt, fresh
from bus.testing.simulators import start

ROOT = Path(__file__).parents[2]
OFFICIAL = ROOT.parent / "shared/contracts/app-io/io_services_api_index.yaml"
TEXT = "Un testo lungo quanto basta perché App IO lo accetti: ottanta caratteri almeno, e questi sono di più. "
MAIL = {"smtp_host": "127.0.0.1", "smtp_port": 1, "smtp_cifratura": "nessuna", "mittente": "sue@comune.example"}
NOTICE = {"numero_avviso": "302000100000019421", "importo": 5000, "scadenza": "2026-07-31"}
CASES = [
    (Scrivania, "scrivania", "assegna", {"chiave": "x", "riserva": "urp-smistamento"}, "/elementi", "post",
     {"ufficio": "edilizia", "servizio": "SCIA", "oggetto": "SCIA", "riferimento": "r-{unico}", "pratica": "12"}),
    (Esterni, "esterni", "verifica-regolarita", {}, "/regolarita/verifica", "post", {"codice_fiscale": "01234567890"}),
    (Esterni, "esterni", "trasmetti-comunicazione", {}, "/comunicazioni", "post",
     {"ente": "asl_demo", "oggetto": "Inizio lavori", "contenuto": {"a": [1, None]}}),
    (Sito, "sito", "pubblica-catalogo", {"chiave": "x"}, "/catalogo", "put", {"catalogo": {"servizi": [{"codice": "a.b"}]}}),
    (Notifiche, "notifiche", "profilo-io", {"chiave": "x", **MAIL}, "/profiles", "post", {"codice_fiscale": "RSSMRA80A01B429X"}),
    (Notifiche, "notifiche", "messaggio-io", {"chiave": "x", "ente": "01234567890", **MAIL}, "/messages", "post",
     {"codice_fiscale": "RSSMRA80A01B429X", "oggetto": "Pratica {unico}", "testo": TEXT, "avviso": NOTICE}),
]  # fmt: skip


def document_of(name):
    [path] = (ROOT / "adapters" / name / "contract").glob("*.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def check(document, schema, content):
    jsonschema_rs.validator_for({**schema, "components": document["components"]}, validate_formats=True).validate(content)


@pytest.mark.parametrize(
    ("cls", "name", "operation", "settings", "path", "method", "request_"), CASES, ids=[f"{c[1]}.{c[2]}" for c in CASES]
)
def test_requests_and_answers_on_the_wire_obey_the_contract(tmp_path, cls, name, operation, settings, path, method, request_):
    described = document_of(name)["paths"][path][method]
    with (
        start(f"adapters.{name}.simulator", tmp_path) as simulator,
        closing(cls(name, cls.Settings(url=simulator.url, **settings))) as adapter,
    ):
        done = attempt(adapter, operation, fresh(request_))
    assert done.error is None
    out, back = done.ctx.exchanges
    assert out.note == f"{method.upper()} {path}"
    check(document_of(name), described["requestBody"]["content"]["application/json"]["schema"], yaml.safe_load(out.content))
    reply = described["responses"][back.note.split()[0]]
    check(document_of(name), reply["content"]["application/json"]["schema"], yaml.safe_load(back.content))


@pytest.mark.parametrize("name", ["scrivania", "esterni", "sito", "notifiche"])
def test_a_contract_says_who_to_ask_and_answers_errors_with_problem_json(name):
    document = document_of(name)
    assert document["info"]["x-summary"]
    assert document["info"]["contact"]
    assert list(document["components"]["responses"]["Problem"]["content"]) == ["application/problem+json"]


def flat(schema, definitions):
    """One object schema with its references and ``allOf`` resolved, one level deep."""
    if "$ref" in schema:
        return flat(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    merged = dict(schema)
    for part in merged.pop("allOf", ()):
        resolved = flat(part, definitions)
        merged["properties"] = {**merged.get("properties", {}), **resolved.get("properties", {})}
        merged["required"] = [*merged.get("required", []), *resolved.get("required", [])]
        merged.setdefault("type", resolved.get("type"))
    return merged


def differences(ours, official, our_definitions, their_definitions, place):
    """Where our schema says something else than the official one about what both name."""
    ours, official = flat(ours, our_definitions), flat(official, their_definitions)
    found = [
        f"{place}: {word} is {ours.get(word)!r}, officially {official.get(word)!r}"
        for word in ("type", "minLength", "maxLength", "minimum", "maximum", "pattern", "default")
        if ours.get(word) != official.get(word) and (word != "default" or word in ours)
    ]
    if sorted(ours.get("required", [])) != sorted(official.get("required", [])):
        found.append(f"{place}: required {ours.get('required')}, officially {official.get('required')}")
    for name, inner in ours.get("properties", {}).items():
        theirs = official.get("properties", {}).get(name)
        if theirs is None:
            found.append(f"{place}.{name}: not in the official contract")
        else:
            found += differences(inner, theirs, our_definitions, their_definitions, f"{place}.{name}")
    return found


@pytest.mark.official
@pytest.mark.skipif(not OFFICIAL.exists(), reason="the official App IO contract is not beside the project (../shared)")
class TestAgainstTheOfficialAppIo:
    ours = document_of("notifiche")

    @pytest.fixture(scope="class")
    @classmethod
    def official(cls):
        return yaml.safe_load(OFFICIAL.read_text(encoding="utf-8"))

    @pytest.mark.parametrize("name", ["FiscalCodePayload", "LimitedProfile", "NewMessage", "CreatedMessage", "PaymentData", "ProblemJson"])
    def test_types_have_the_same_names_limits_and_required_fields(self, official, name):
        schemas = self.ours["components"]["schemas"]
        assert differences(schemas[name], official["definitions"][name], schemas, official["definitions"], name) == []

    @pytest.mark.parametrize("path", ["/profiles", "/messages"])
    def test_operations_have_the_same_id_statuses_and_types(self, official, path):
        ours, theirs = self.ours["paths"][path]["post"], official["paths"][path]["post"]
        assert ours["operationId"] == theirs["operationId"]
        assert set(ours["responses"]) == set(theirs["responses"])
        our_type = ours["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        [body] = [one for one in theirs["parameters"] if one["in"] == "body"]
        assert our_type.rpartition("/")[2] == body["schema"]["$ref"].rpartition("/")[2]

    def test_the_comparison_notices_a_difference(self, official):
        schemas = self.ours["components"]["schemas"]
        wrong = {"type": "object", "properties": {"subject": {"type": "string", "maxLength": 121}, "colore": {"type": "string"}}}
        said = differences(wrong, official["definitions"]["MessageContent"], schemas, official["definitions"], "MessageContent")
        assert len(said) == 4
