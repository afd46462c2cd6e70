"""Message types: JSON Schema without surprises."""

from __future__ import annotations

import json
import time

import pytest

from bus.expression import Tables
from bus.mapping.types import Fault, compile_type, in_kind
from bus.message import JsonValue
from bus.source import Notes

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["cf"],
    "properties": {"cf": {"type": "string"}, "righe": {"type": "array", "items": {"$ref": "#/$defs/riga"}}, "altro": {"type": "object"}},
    "$defs": {"riga": {"type": "object", "additionalProperties": False, "properties": {"cap": {"type": "string"}}}},
}


def compiled(**changes: object):
    notes = Notes("x")
    return compile_type({"type": "prova.tipo", "schema": SCHEMA, **changes}, notes), [f.code for f in notes.findings]


def test_faults_come_all_at_once_with_pointers_and_without_values() -> None:
    kind, _ = compiled()
    assert kind is not None
    assert [] == kind.validate({"cf": "RSSMRA80A01H501U"})
    faults = kind.validate({"cf": 12345, "righe": [{"cap": 50100, "a/b": 1}], "zz": 1})
    assert {"/cf", "/righe/0/cap", "/righe/0/a~1b", "/zz"} == {f.pointer for f in faults}
    assert not any("12345" in f.sentence or "50100" in f.sentence for f in faults)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"chi": {"tipo": "PF", "cff": "X"}}, ("/chi/cff", "there is no field `cff` here")),
        ({"chi": {"tipo": "PF", "cf": "RSSMRA80"}}, ("/chi/cf", "the value is longer than 3 characters")),
        ({"chi": {"tipo": "PG"}}, ("/chi", "the field `nome` is missing")),
        ({"chi": {"tipo": "PF", "cf": "RSS", "sesso": "X"}}, ("/chi/sesso", 'the value is not one of "F" or "M"')),
        ({"anno": "2026"}, ("/anno", 'the value is not of type "integer"')),
    ],
)
def test_a_value_of_no_alternative_is_told_what_keeps_it_from_the_one_that_is_meant(body: JsonValue, told: tuple[str, str]) -> None:
    person = {"tipo": {"const": "PF"}, "cf": {"type": "string", "maxLength": 3}}
    firm = {"tipo": {"const": "PG"}, "nome": {"type": "string"}}
    forms = [{"type": "object", "additionalProperties": False, "required": [*one], "properties": one} for one in (person, firm)]
    person["sesso"] = {"enum": ["F", "M"]}
    year = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    kind, _ = compiled(schema={"type": "object", "properties": {"chi": {"oneOf": forms}, "anno": year}})
    assert kind is not None
    [fault] = kind.validate(body)
    assert told[0] == fault.pointer
    assert fault.sentence.startswith(told[1])


@pytest.mark.parametrize("body", [{}, {"a": "X"}, {"tipo": "ALTRO"}])
def test_what_nobody_can_say_of_alternatives_is_not_guessed(body: JsonValue) -> None:
    """A code that is wrong in one alternative does not mean the other, which has no codes."""
    forms = [
        {"type": "object", "required": ["a"], "properties": {"a": {"enum": ["F", "M"]}, "tipo": {"const": "PF"}}},
        {"type": "object", "required": ["b"], "properties": {"b": {"type": "string"}, "tipo": {"const": "PG"}}},
    ]
    kind, _ = compiled(schema={"type": "object", "properties": {"chi": {"oneOf": forms}}})
    assert kind is not None
    assert [Fault("/chi", "the value is not of exactly one of the alternatives")] == kind.validate({"chi": body})


@pytest.mark.parametrize(
    ("schema", "value", "sentence"),
    [
        ({"not": {"const": 1}}, 1, "the value is one that may not be here"),
        (False, 1, "there may be nothing here"),
        ({"contains": {"const": 1}}, [2], "none of the items is one that must be among them"),
        ({"uniqueItems": True}, [1, 1], "an item is there twice"),
        ({"anyOf": [{"minimum": 3}, {"maximum": 1}]}, 2, "the value is of none of the alternatives"),
    ],
)
def test_a_fault_is_told_in_words_of_those_who_write_bodies(schema: JsonValue, value: JsonValue, sentence: str) -> None:
    kind, _ = compiled(schema={"type": "object", "properties": {"a": schema}})
    assert kind is not None
    assert [Fault("/a", sentence)] == kind.validate({"a": value})


def test_a_misspelt_field_is_one_fault_that_says_which_was_meant() -> None:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["righe"],
        "properties": {"righe": {"type": "array", "items": {"$ref": "#/$defs/riga"}}, "note": {"type": "string"}},
        "$defs": {
            "riga": {"type": "object", "unevaluatedProperties": False, "required": ["via", "cap"], "properties": {"via": {}, "cap": {}}}
        },
    }
    notes = Notes("prova")
    declared = compile_type({"type": "prova.righe", "schema": schema}, notes)
    assert declared is not None
    told = [(one.pointer, one.sentence) for one in declared.validate({"righe": [{"vai": "Via Roma"}], "note": "", "nota": "", "x": 1})]
    assert sorted(told) == [
        ("/nota", "there is no field `nota` here"),
        ("/righe/0", "the field `cap` is missing"),
        ("/righe/0/vai", "there is no field `vai` here: did you mean via?"),
        ("/x", "there is no field `x` here"),
    ]
    assert [("/righ", "there is no field `righ` here: did you mean righe?")] == [
        (one.pointer, one.sentence) for one in declared.validate({"righ": []})
    ]


@pytest.mark.parametrize(("code", "near"), [("CIL", "did you mean CILA?"), ("zzzzz", "such as CILA, SCIA")])
def test_of_a_code_that_is_none_the_nearest_are_told(code: str, near: str) -> None:
    tables = {"titoli": {"SCIA": {"codice": "SCIA"}, "CILA": {"codice": "CILA"}}}
    kind = compile_type({"type": "prova.tipo", "schema": SCHEMA, "codes": {"cf": "titoli"}}, Notes("x"), Tables(tables))
    assert kind is not None
    assert [f"the value is not one of the codes in use: {near}"] == [fault.sentence for fault in kind.validate({"cf": code})]


def test_who_sends_is_told_the_codes_in_use() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string", "enum": ["CILA", "X"]}, "n": {"type": "integer"}},
    }
    tables = {"titoli": {"SCIA": {"codice": "SCIA"}, "CILA": {"codice": "CILA"}}, "anni": {"2026": {"codice": "2026"}}}
    codes = {"a": "titoli", "b": "titoli", "n": "anni"}
    kind = compile_type({"type": "prova.tipo", "schema": schema, "codes": codes}, Notes("x"), Tables(tables))
    assert kind is not None
    told = kind.told["properties"]
    assert ({"type": "string", "enum": ["CILA", "SCIA"]}, {"type": "string", "enum": ["CILA"]}, {"type": "integer"}) == tuple(told.values())
    assert schema == kind.schema


def test_a_pointer_escapes_what_json_pointer_escapes() -> None:
    kind, _ = compiled(schema={"type": "object", "additionalProperties": {"type": "string"}})
    assert kind is not None
    assert ["/a~1b~0c"] == [f.pointer for f in kind.validate({"a/b~c": 1})]


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ({"type": "strng"}, "schema.invalid"),
        ({"propertes": {}}, "schema.unknown-keyword"),
        ({"properties": {"a": {"maxLenght": 3}}}, "schema.unknown-keyword"),
        ({"items": {"anyOf": [{"typ": "string"}]}}, "schema.unknown-keyword"),
        ({"$ref": "https://example.org/x.json"}, "schema.outside-reference"),
        ({"properties": {"a": {"$ref": "altro.json"}}}, "schema.outside-reference"),
        ({"type": []}, "schema.invalid"),
        ({"$ref": "#nessuno"}, "schema.invalid"),
    ],
)
def test_a_schema_that_validators_would_misread_is_refused(schema: dict[str, object], code: str) -> None:
    kind, codes = compiled(schema=schema)
    assert kind is None
    assert [code] == codes


def test_a_property_may_have_the_name_of_no_keyword() -> None:
    kind, codes = compiled(schema={"properties": {"propertes": {"type": "string"}}})
    assert kind is not None
    assert [] == codes


def test_a_part_of_a_schema_may_ask_for_fields_that_are_described_beside_it() -> None:
    """In a condition or an alternative, fields are named that the schema around it describes, and some like those that it describes itself."""
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"canale": {"enum": ["WEB", "PEC"]}, "canali": {"type": "string"}, "protocollo": {"type": "string"}},
        "if": {"properties": {"canale": {"const": "PEC"}}, "required": ["canali"]},
        "then": {"required": ["protocollo"], "properties": {"canale": {"const": "PEC"}}},
        "allOf": [{"required": ["canale"], "properties": {"canali": {"minLength": 3}}}],
    }
    kind, codes = compiled(schema=schema)
    assert kind is not None
    assert [] == codes


def test_the_case_and_the_key_are_expressions() -> None:
    kind, _ = compiled(case={"cf": "body.cf"}, key="body.cf")
    assert kind is not None
    assert kind.key is not None
    assert "X" == kind.key({"body": {"cf": "X"}}) == kind.case["cf"]({"body": {"cf": "X"}})
    assert (None, ["name.undefined"]) == compiled(case={"cf": "bdy.cf"})


def test_a_default_is_in_no_message_wherever_it_stands_and_is_told_to_senders_as_it_is_written() -> None:
    said = {"type": "string", "default": "x"}
    fields = {"via": said, "righe": {"type": "array", "items": said}, "altro": {"anyOf": [said, {"type": "null"}]}}
    kind, findings = compiled(schema={"type": "object", "default": {}, "properties": fields})
    assert findings == []
    assert kind is not None
    assert "default" not in json.dumps(kind.shape)
    assert {"type": "array", "items": {"type": "string"}} == kind.shape["properties"]["righe"]
    assert fields == kind.told["properties"]


def test_a_number_is_of_the_kind_that_its_type_says_however_it_is_written() -> None:
    numbers = {
        "type": "object",
        "properties": {
            "importo": {"type": "integer"},
            "forse": {"type": ["integer", "null"]},
            "rate": {"type": "array", "items": {"$ref": "#/$defs/rata"}},
            "misura": {"type": "number"},
            "misure": {"type": "array", "items": {"type": ["number", "null"]}},
            "testo": {"type": "string"},
            "libero": {"type": "object"},
            "dati": {"type": "object"},
        },
        "$defs": {"rata": {"type": "object", "properties": {"cents": {"type": "integer"}}}},
    }
    form = compile_type({"type": "prova.modulo", "schema": numbers}, Notes("x"))
    kind = compile_type({"type": "prova.tipo", "schema": numbers, "forms": {"dati": "body.testo"}}, Notes("x"))
    assert kind is not None
    assert form is not None
    body = {
        "importo": 12.0, "forse": 1.0, "rate": [{"cents": 5.0}, {"cents": 6}], "misura": 7, "misure": [1, None, 2**60], "testo": "prova.modulo",
        "libero": {"n": 8.0, "m": 8}, "dati": {"importo": 9.0, "misura": 3},
    }  # fmt: skip
    told = in_kind(kind, body, {"prova.modulo": form})
    assert repr(told) == repr({
        "importo": 12, "forse": 1, "rate": [{"cents": 5}, {"cents": 6}], "misura": 7.0, "misure": [1.0, None, 2**60], "testo": "prova.modulo",
        "libero": {"n": 8.0, "m": 8}, "dati": {"importo": 9, "misura": 3.0},
    })  # fmt: skip
    large: JsonValue = {"importo": 1e20}
    assert repr(in_kind(kind, large, {})) == repr(large), "beyond what JSON of ours can say as a whole one"
    whole: JsonValue = {"cf": "X", "righe": [{"cap": "12.0"}]}
    without, _ = compiled()
    assert without is not None
    assert in_kind(without, whole, {}) is whole


@pytest.mark.parametrize(
    ("kind", "said", "told"), [("number", "12", "12.0"), ("number", "12.5", "12.5"), ("integer", "12.0", "12"), ("integer", "12", "12")]
)
def test_one_number_is_of_its_kind_though_there_is_no_other(kind: str, said: str, told: str) -> None:
    """The type has decimals and the body none, or the other way round."""
    schema = {"type": "object", "properties": {"n": {"type": kind}}}
    declared = compile_type({"type": "prova.d", "schema": schema}, Notes("x"))
    assert declared is not None
    assert repr(in_kind(declared, {"n": json.loads(said)}, {})) == f"{{'n': {told}}}"


@pytest.mark.parametrize("body", [{"cf": "x", "righe": [1] * 200_000}, {"cf": "x", "righe": [{"cap": 1}] * 100_000}])
def test_of_a_body_of_thousands_of_values_the_first_fault_is_told(body: dict[str, object]) -> None:
    """A megabyte of wrong items kept everybody at the door waiting for half a minute, and made an answer of thirty megabytes."""
    kind, _ = compiled()
    assert kind is not None
    began = time.thread_time()
    (fault,) = kind.validate(body)  # type: ignore[arg-type]
    assert fault.pointer.startswith("/righe/0")
    assert "the value" in fault.sentence
    assert time.thread_time() - began < 5


def test_fields_without_end_that_are_none_are_not_all_told() -> None:
    kind, _ = compiled()
    assert kind is not None
    began = time.thread_time()
    assert 0 < len(kind.validate({"cf": "x", **{f"campo-{n}": n for n in range(60_000)}})) <= 100
    assert time.thread_time() - began < 5
