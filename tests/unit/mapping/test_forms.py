"""Codes, forms and keys of a message type: what is checked beside the schema, at the door."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from bus.catalog import Catalog
from bus.engine.arrival import Arrival, Submission, arrival_of
from bus.errors import Invalid
from bus.expression import Tables
from bus.mapping.types import MessageType, check_forms, compile_type, validate_whole
from bus.source import Notes
from tests.clocks import FixedClock
from tests.keyrings import in_memory

KEYS = in_memory()
TABLES = Tables({
    "uffici": {"SUE": {"codice": "SUE", "modulo": "prova.immobile"}, "URP": {"codice": "URP", "modulo": ""}},
    "certificati": {"1": {"codice": "1", "nome": "Nascita"}, "15": {"codice": "15", "nome": "Residenza"}},
    "servizi": {"orto": {"codice": "orto", "modulo": "prova.immobile"}, "pagina": {"codice": "pagina", "modulo": None}},
})  # fmt: skip
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["istanza"],
    "properties": {
        "istanza": {"type": "string"},
        "ufficio": {"type": "string"},
        "servizio": {"type": "string"},
        "dati": {"type": "object"},
    },
}
DOCUMENT: dict[str, Any] = {
    "type": "prova.istanza",
    "key": "body.istanza",
    "codes": {"ufficio": "uffici"},
    "forms": {"dati": 'lookup("servizi", body.servizio, "modulo")'},
    "schema": SCHEMA,
}
FORM: dict[str, Any] = {
    "type": "prova.immobile",
    "schema": {
        "type": "object",
        "additionalProperties": False,
        "required": ["foglio", "particella"],
        "properties": {"foglio": {"type": "string"}, "particella": {"type": "string"}},
    },
}


def made(document: dict[str, Any] = DOCUMENT) -> MessageType:
    notes = Notes("x")
    compiled = compile_type(document, notes, TABLES)
    assert compiled is not None, notes.findings
    return compiled


TYPES = {"prova.istanza": made(), "prova.immobile": made(FORM)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"istanza": "A1"}, []),
        ({"istanza": "A1", "ufficio": "SUE"}, []),
        ({"istanza": "A1", "ufficio": "SUA"}, ["/ufficio"]),
        ({"istanza": "A1", "servizio": "orto", "dati": {"foglio": "1", "particella": "2"}}, []),
        ({"istanza": "A1", "servizio": "orto", "dati": {}}, ["/dati", "/dati"]),
        ({"istanza": "A1", "servizio": "orto", "dati": {"foglio": 1, "particella": 2}}, ["/dati/foglio", "/dati/particella"]),
        ({"istanza": "A1", "servizio": "altro", "dati": {}}, ["/servizio"]),
        ({"istanza": "A1", "servizio": "pagina", "dati": {}}, ["/servizio"]),
        ({"istanza": "A1", "dati": {}}, ["/servizio"]),
        ({"istanza": 5, "servizio": "altro", "dati": {}}, ["/istanza"]),
    ],
)
def test_faults_of_codes_and_forms_come_with_pointers_from_the_whole_body(body, expected):
    assert sorted(fault.pointer for fault in validate_whole(TYPES["prova.istanza"], body, TYPES)) == expected


def test_a_pointer_is_one_of_rfc_6901_whatever_a_field_is_called():
    fields = {"uf/ficio": {"type": "string"}, "da~ti": {"type": "object"}, "mo/do": {"type": "string"}}
    schema = {"type": "object", "additionalProperties": False, "properties": fields}
    declared = made({"type": "prova.altra", "codes": {"uf/ficio": "uffici"}, "forms": {"da~ti": 'body["mo/do"]'}, "schema": schema})
    told = [
        fault.pointer
        for body in ({"uf/ficio": "SUA"}, {"da~ti": {}, "mo/do": "ignoto"}, {"da~ti": {}, "mo/do": "prova.immobile"})
        for fault in validate_whole(declared, body, TYPES)
    ]
    assert told == ["/uf~1ficio", "/mo~1do", "/da~0ti", "/da~0ti"]


def test_a_fault_does_not_repeat_what_was_sent():
    faults = validate_whole(TYPES["prova.istanza"], {"istanza": "A1", "servizio": "SEGRETO", "dati": {}}, TYPES)
    assert faults and not any("SEGRETO" in fault.sentence for fault in faults)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"codes": {"uficio": "uffici"}}, "type.unknown-field"),
        ({"codes": {"ufficio": "ufici"}}, "table.unknown"),
        ({"forms": {"dato": '"prova.immobile"'}}, "type.unknown-field"),
        ({"forms": {"dati": "lookup("}}, "expression.invalid"),
    ],
)
def test_codes_and_forms_that_cannot_work_are_findings(change, code):
    notes = Notes("x")
    assert compile_type({**DOCUMENT, **change}, notes, TABLES) is None
    assert [code] == [finding.code for finding in notes.findings]


@pytest.mark.parametrize(
    ("form", "codes"),
    [
        ('"prova.immobile"', []),
        ('"prova.imobile"', ["type.unknown-form"]),
        ('lookup("uffici", body.ufficio, "modulo")', []),
        ('lookup("uffici", body.ufficio, "codice")', ["type.unknown-form", "type.unknown-form"]),
        ('lookup("ufici", body.ufficio, "modulo")', ["table.unknown"]),
        ('lookup("servizi", body.servizio, "modulo")', []),
    ],
)
def test_a_form_that_is_no_type_is_a_finding(form, codes):
    notes = Notes("x")
    check_forms(made({**DOCUMENT, "forms": {"dati": form}}), TYPES, (), TABLES, notes)
    assert [finding.code for finding in notes.findings] == codes


# --- at the intake ---------------------------------------------------------------------------------------------------


def arrived(**more: Any) -> Arrival:
    catalog = Catalog({}, TYPES, {}, TABLES, {}, (), "", frozenset({"prova.istanza"}))
    submission = Submission("prova.istanza", **{"body": {"istanza": "A1"}, "sender": "portale", **more})
    return arrival_of(catalog, submission, "m1", FixedClock(dt.datetime(2026, 3, 2, tzinfo=dt.UTC)), KEYS)


def test_the_key_of_the_type_is_used_when_the_sender_gives_none():
    assert arrived().names.intake == [("type prova.istanza portale", KEYS.token("A1"))]
    assert arrived(key="mia").names.intake == [("key portale", KEYS.token("mia"))]


def test_the_intake_refuses_with_all_the_faults_of_the_form():
    with pytest.raises(Invalid) as caught:
        arrived(body={"istanza": "A1", "servizio": "orto", "dati": {"foglio": 1}})
    assert [fault["pointer"] for fault in caught.value.detail["faults"]] == ["/dati", "/dati/foglio"]
    assert caught.value.code == "body.invalid"


@pytest.mark.parametrize(
    ("required", "form", "codes"),
    [
        (["dati"], 'lookup("servizi", body.servizio, "modulo")', ["orto"]),
        (["istanza"], 'lookup("servizi", body.servizio, "modulo")', ["orto", "pagina"]),
        (["dati"], 'body.?ufficio.hasValue() ? lookup("servizi", "orto", "modulo") : null', ["orto", "pagina"]),
    ],
)
def test_a_code_that_no_form_goes_with_is_not_told_to_who_sends(required: list[str], form: str, codes: list[str]) -> None:
    """A list of services to choose from is made of what is told: whoever chose such a one would be refused."""
    told = made({**DOCUMENT, "codes": {"servizio": "servizi"}, "forms": {"dati": form}, "schema": {**SCHEMA, "required": required}}).told
    assert told["properties"]["servizio"]["enum"] == codes


@pytest.mark.parametrize("alternatives", [{}, {"oneOf": [{"minLength": 1}]}])
def test_a_portal_is_told_what_people_call_a_code(alternatives: dict[str, Any]) -> None:
    """Where the table says it, and the schema has no alternatives of its own."""
    codes = {"istanza": "certificati", "ufficio": "uffici"}
    fields = {**SCHEMA["properties"], "istanza": {"type": "string", **alternatives}}
    told = made({**DOCUMENT, "codes": codes, "schema": {**SCHEMA, "properties": fields}}).told["properties"]
    assert told["istanza"]["enum"] == ["1", "15"]
    called = [{"const": "1", "title": "Nascita"}, {"const": "15", "title": "Residenza"}]
    assert told["istanza"]["oneOf"] == alternatives.get("oneOf", called)
    assert "oneOf" not in told["ufficio"]
