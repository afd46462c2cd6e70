"""What a comune finds on the first day: the services, the forms, the types and the tables are consistent with each other."""

from __future__ import annotations

import contextlib
import csv
import re
from pathlib import Path

import jsonschema_rs
import pytest
import yaml
from pydantic import ValidationError

from adapters.notifiche.adapter import Posta

PROJECT = Path(__file__).parents[2]
SERVICES = yaml.safe_load((PROJECT / "routes/servizi.yaml").read_text(encoding="utf-8"))["servizi"]
TYPES = {d["type"]: d for p in (PROJECT / "mappings/types").rglob("*.yaml") if (d := yaml.safe_load(p.read_text(encoding="utf-8")))}
APPLICATION = {
    "istanza": "2026-0001",
    "procedimento": "SCIA",
    "oggetto": "Diversa distribuzione interna",
    "richiedente": {"codice_fiscale": "BNCNNA80A41B429E", "cognome": "Bianchi", "nome": "Anna"},
    "mappali": [{"foglio": "012", "particella": "345"}],
}


def table(name):
    with (PROJECT / "mappings/tables" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def accepts(type_name, body):
    return jsonschema_rs.Draft202012Validator(TYPES[type_name]["schema"], validate_formats=True).is_valid(body)


def test_there_are_at_least_a_hundred_services_of_three_kinds():
    assert len(SERVICES) >= 110
    assert {service["tipo"] for service in SERVICES} == {"istanza", "informativo", "esterno"}


def test_no_two_services_have_the_same_code_or_title():
    for field in ("codice", "titolo"):
        values = [service[field] for service in SERVICES]
        assert len(values) == len(set(values))


def test_every_service_has_what_its_kind_needs_and_nothing_else():
    common = {"codice", "titolo", "ufficio", "tipo", "descrizione"}
    for service in SERVICES:
        own = {"istanza": {"percorso" if "percorso" in service else "modulo"}, "informativo": {"pagina"}, "esterno": {"indirizzo"}}[
            service["tipo"]
        ]
        optional = {"tariffa", "percorso"} if service["tipo"] == "istanza" else set()
        assert common | own <= set(service) <= common | own | optional, service["codice"]
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", service["codice"])


def test_every_office_is_in_the_table_and_every_form_is_a_type():
    assert {service["ufficio"] for service in SERVICES} <= {row["codice"] for row in table("uffici")}
    assert {service["modulo"] for service in SERVICES if "modulo" in service} <= set(TYPES)


def test_fees_are_cents_with_a_reason_and_a_taxonomy_code():
    for fee in (service["tariffa"] for service in SERVICES if "tariffa" in service):
        assert type(fee["importo"]) is int
        assert 0 < fee["importo"] < 10_000_00
        assert 1 <= len(fee["causale"]) <= 100
        assert re.fullmatch(r"9/[0-9]{7}(IM|TS|SP|SA|AP)/", fee["tassonomia"])


def test_addresses_of_others_are_invented():
    assert all(re.match(r"https://[a-z.-]+\.example(/|$)", service["indirizzo"]) for service in SERVICES if "indirizzo" in service)


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_type_is_a_schema_that_takes_no_unknown_field(name):
    declared = TYPES[name]
    assert set(declared) <= {"type", "title", "case", "key", "senders", "codes", "forms", "personal", "sensitive", "reply", "schema"}
    jsonschema_rs.meta.validate(declared["schema"])
    assert declared["schema"]["additionalProperties"] is False
    assert not accepts(name, {"sconosciuto": 1})


def test_a_complete_application_is_accepted_and_an_incomplete_one_is_not():
    assert accepts("edilizia.pratica.presentata", APPLICATION)
    for field in APPLICATION:
        assert not accepts("edilizia.pratica.presentata", {name: value for name, value in APPLICATION.items() if name != field})


@pytest.mark.parametrize(
    ("codice_fiscale", "expected"),
    [
        ("BNCNNA80A41B429E", True),
        ("BNCNNAULAQMBQNVG", True),
        ("BNCNNAWLAQMBQNVG", False),
        ("BNCNNAU0A4MB42VG", True),
        ("12345678901", True),
        ("bncnna80a41b429e", False),
        ("BNCNNA80A41B429", False),
        ("", False),
    ],
)
def test_codici_fiscali_with_omocodia_are_taken(codice_fiscale, expected):
    body = {**APPLICATION, "richiedente": {**APPLICATION["richiedente"], "codice_fiscale": codice_fiscale}}
    assert expected == accepts("edilizia.pratica.presentata", body)


ADDRESSES = [
    ("anna@posta.example", True), ("o'hara+sue@posta.citta.example", True), ("anna@xn--citt-3na.example", True), ("niccolò@posta.example", False),
    ("anna@città.example", False), ("anna bianchi@posta.example", False), ("a" * 65 + "@posta.example", False), ("anna@posta", False),
]  # fmt: skip


@pytest.mark.parametrize(("address", "expected"), ADDRESSES)
@pytest.mark.parametrize("name", ["edilizia.pratica.presentata", "anagrafe.certificato.richiesto", "servizi.istanza.presentata"])
def test_an_address_is_taken_when_mail_can_be_sent_there(name, address, expected):
    pattern = TYPES[name]["schema"]["properties"]["richiedente"]["properties"]["email"]
    assert jsonschema_rs.is_valid(pattern, address) == expected
    with contextlib.nullcontext() if expected else pytest.raises(ValidationError):
        Posta(destinatario=address, oggetto="Pratica presa in carico", testo="Buongiorno.")


def test_a_parcel_written_as_a_number_is_refused_since_its_leading_zero_is_lost():
    assert not accepts("edilizia.pratica.presentata", {**APPLICATION, "mappali": [{"foglio": 12, "particella": "345"}]})


@pytest.mark.parametrize("name", ["uffici", "procedimenti-edilizi", "tipo-certificato", "esenzione-bollo"])
def test_tables_have_one_row_per_code_and_no_empty_cell(name):
    rows = table(name)
    assert len({row["codice"] for row in rows}) == len(rows) > 10
    assert all(value for row in rows for value in row.values())


OFFICIAL = PROJECT.parent / "shared/contracts/anpr-soap/tabelle/esenzione_bollo.csv"


def test_nobody_is_exempt_from_the_stamp_duty_but_for_a_reason_that_is_listed():
    codes = {row["codice"] for row in table(TYPES["anagrafe.certificato.richiesto"]["codes"]["esenzione"])}
    assert not {"0", "13", "boh", ""} & codes
    if OFFICIAL.exists():
        with OFFICIAL.open(encoding="utf-8", newline="") as file:
            assert codes == {row["ID"] for row in csv.DictReader(file)}
