"""Protected fields: paths that lead nowhere are found, and nothing protected gets through a mask."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.mapping.protected import EVERYTHING, masked, masked_but, masked_whole
from bus.mapping.types import MessageType, compile_type
from bus.source import Notes

_SECRET = "SEGRETO"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "chi": {"$ref": "#/$defs/persona"},
        "figli": {"type": "array", "items": {"$ref": "#/$defs/persona"}},
        "forse": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/persona"}]},
        "insieme": {"allOf": [{"properties": {"a": {"type": "string"}}}, {"$ref": "#/$defs/persona"}]},
        "griglia": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
        "dati": {"type": "object"},
        "modulo": {"type": "string"},
    },
    "$defs": {
        "persona": {
            "type": "object",
            "properties": {"nome": {"type": "string"}, "comune": {"type": "string"}, "padre": {"$ref": "#/$defs/persona"}},
        }
    },
}


def compiled(personal: list[str], sensitive: list[str] | None = None, **more: Any) -> tuple[MessageType | None, list[tuple[str, str, str]]]:
    notes = Notes("tipo")
    made = compile_type({"type": "prova.tipo", "personal": personal, "sensitive": sensitive or [], "schema": SCHEMA, **more}, notes)
    return made, [(one.code, one.sentence, one.hint) for one in notes.findings]


@pytest.mark.parametrize(
    ("path", "sentence", "hint"),
    [
        ("chii", "the schema has no field `chii`", "chi"),
        ("chi.cognome", "there is no field `cognome` in `chi`", "did you mean nome?"),
        ("figli.nome", "`figli` is a list", "figli[].nome"),
        ("figli[].nom", "there is no field `nom` in `figli[]`", "nome"),
        ("chi[].nome", "`chi` is no list", "chi"),
        ("griglia[][][]", "is no list", "griglia[][]"),
        ("chi.nome.altro", "there is no field `altro` in `chi.nome`", ""),
        ("", "it names no field", "a path such as"),
    ],
)
def test_a_path_that_is_not_in_the_type_is_a_finding(path: str, sentence: str, hint: str) -> None:
    for kind in ("personal", "sensitive"):
        made, findings = compiled(**{"personal": [], kind: [path]})
        assert made is None
        [(code, said, told)] = findings
        assert code == "type.unknown-field"
        assert sentence in said
        assert (hint in told) if hint else told == ""


def test_what_another_type_says_is_declared_there() -> None:
    made, [(code, said, _)] = compiled(["dati.nome"], forms={"dati": "body.modulo"})
    assert (made, code, "another type says what is in `dati`" in said) == (None, "type.unknown-field", True)
    assert compiled(["dati"], forms={"dati": "body.modulo"})[0] is not None


@pytest.mark.parametrize(
    "path", ["chi", "chi.padre.padre.nome", "figli[]", "figli[].padre.nome", "forse.nome", "insieme.a", "insieme.nome", "griglia[][]"]
)
def test_a_path_through_references_lists_and_combinations_is_good(path: str) -> None:
    assert compiled([path])[1] == []


def test_a_form_is_masked_as_its_own_type_says_and_one_that_nobody_knows_is_masked_whole() -> None:
    outer, _ = compiled([], forms={"dati": "body.modulo"})
    inner, _ = compiled(["chi.nome"])
    assert outer is not None
    assert inner is not None
    body = {"modulo": "prova.tipo", "dati": {"chi": {"nome": "Ada", "comune": "Enna"}}}
    assert masked(body, outer, {"prova.tipo": inner}, frozenset()) == {**body, "dati": {"chi": {"nome": "‹personal›", "comune": "Enna"}}}
    assert masked(body, outer, {}, frozenset()) == {**body, "dati": {"chi": {"nome": "‹undeclared›", "comune": "‹undeclared›"}}}


def test_a_field_that_a_message_of_last_year_has_and_its_type_has_no_more_is_not_shown_to_who_does_not_see_everything() -> None:
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "note": {"type": "object", "additionalProperties": {"type": "string"}}}}
    made, _ = compiled(["chi.nome", "figli[].nome"], schema=schema)
    assert made is not None
    body = {
        "telefono": "0934 1", "chi": {"nome": "Ada", "comune": "Enna", "nato": ["1970"]}, "figli": [{"nome": "Ugo", "comune": "Enna", "cf": "X"}],
        "dati": {"a": 1}, "note": {"b": "2"}, "griglia": [["c"]], "insieme": {"a": "d", "comune": "Enna", "z": 1},
    }  # fmt: skip
    assert masked(body, made, {}, frozenset({"sensitive"})) == {
        "telefono": "‹undeclared›", "chi": {"nome": "‹personal›", "comune": "Enna", "nato": ["‹undeclared›"]},
        "figli": [{"nome": "‹personal›", "comune": "Enna", "cf": "‹undeclared›"}], "dati": {"a": 1}, "note": {"b": "2"}, "griglia": [["c"]],
        "insieme": {"a": "d", "comune": "Enna", "z": "‹undeclared›"},
    }  # fmt: skip


@pytest.mark.parametrize("before", ["SEGRETO", ["SEGRETO"], {"nome": "SEGRETO"}, [{"nome": "SEGRETO"}]])
def test_what_had_another_shape_before_it_was_divided_is_protected_as_it_is_today(before: Any) -> None:
    made, _ = compiled(["chi.nome", "figli[].nome"])
    assert made is not None
    assert _SECRET not in str(masked({"chi": before, "figli": before}, made, {}, frozenset()))


def test_what_is_sensitive_in_something_personal_takes_both() -> None:
    made, _ = compiled(["chi"], ["chi.nome"])
    assert made is not None
    shown = [
        masked({"chi": {"nome": "Ada", "comune": "Enna"}}, made, {}, frozenset(sees)) for sees in ({"personal"}, {"sensitive"}, EVERYTHING)
    ]
    assert shown == [{"chi": {"nome": "‹sensitive›", "comune": "Enna"}}, {"chi": "‹personal›"}, {"chi": {"nome": "Ada", "comune": "Enna"}}]


_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.just(_SECRET)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["nome", "padre", "chi", "figli"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(_VALUES)
def test_nothing_below_a_protected_path_gets_through_whatever_its_shape(value: Any) -> None:
    """Also where a value has not the shape that the schema says, which no accepted message has."""
    made, _ = compiled(["chi", "figli[].nome", "figli[].padre"])
    assert made is not None
    assert _SECRET not in str(
        masked({"chi": value, "figli": [{"nome": value, "padre": [value]}, [{"nome": value}]]}, made, {}, frozenset())
    )
    assert _SECRET not in str(masked_whole({"chi": value}))


def replied(value: Any, sees: set[str], **fields: list[str]) -> Any:
    made, _ = compiled([], reply=fields)
    assert made is not None
    return masked_but(value, made.reply, frozenset(sees))


def test_of_a_reply_is_seen_what_the_type_names_and_a_field_that_it_forgot_is_not() -> None:
    reply = {"esito": "ok", "chi": {"nome": "Ada", "comune": "Enna"}, "righe": [{"n": 1, "di": "Ugo"}], "nuovo": {"x": 1}}
    fields = {"shown": ["esito", "chi.comune", "righe[].n"], "personal": ["chi.nome"], "sensitive": ["righe[].di"]}
    assert replied(reply, set(), **fields) == {
        "esito": "ok", "chi": {"nome": "‹personal›", "comune": "Enna"}, "righe": [{"n": 1, "di": "‹sensitive›"}], "nuovo": {"x": "‹undeclared›"},
    }  # fmt: skip
    assert replied(reply, {"personal"}, **fields)["chi"] == {"nome": "Ada", "comune": "Enna"}
    assert replied(reply, {"sensitive"}, **fields)["righe"] == [{"n": 1, "di": "Ugo"}]
    assert replied(reply, set()) == masked_whole(reply)
    assert replied({"chi": {"nome": "Ada", "eta": 3}}, set(), shown=["chi"], personal=["chi.nome"]) == {
        "chi": {"nome": "‹personal›", "eta": 3}
    }
    assert replied("testo", set(), shown=["esito"]) == "‹undeclared›"


@given(_VALUES)
def test_nothing_that_a_reply_does_not_declare_gets_through_whatever_its_shape(value: Any) -> None:
    shown = replied({"chi": value, "altro": value, "figli": [value, {"padre": value}]}, set(), shown=["chi.x"], personal=["figli[].padre"])
    assert _SECRET not in str(shown)
