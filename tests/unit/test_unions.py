"""Alternatives laid together say no more than their schema."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.expression.unions import ALTERNATIVES, SOMETIMES, laid, referred

NAMES = ["a", "b", "c"]
PLAIN = st.sampled_from([
    {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": ["string", "null"]}, {"const": "A"}, {"enum": ["A", "B"]},
    {"type": "integer", "minimum": 1}, {"type": "null"}, {"$ref": "#/$defs/d"}, {"type": "array", "items": {"type": "integer"}}, {},
    True, False,
])  # fmt: skip


def closed(fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda given, needed: {"type": "object", "additionalProperties": False, "properties": given, "required": sorted(needed & {*given})},
        st.dictionaries(st.sampled_from(NAMES), fields, min_size=1), st.sets(st.sampled_from(NAMES)),
    )  # fmt: skip


def united(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    needed = st.lists(st.sampled_from([{"required": [name]} for name in NAMES]), min_size=1, max_size=2)
    return st.one_of(
        closed(inner), st.builds(lambda word, forms: {word: forms}, st.sampled_from(["allOf", "oneOf", "anyOf"]), several),
        st.builds(lambda one, forms: {**one, "anyOf": forms}, closed(inner), needed),
        st.builds(lambda one, form: {"allOf": [one, form]}, closed(inner), inner), st.builds(lambda one: {"anyOf": [one, {"type": "null"}]}, inner),
        st.builds(lambda one, *said: {**one, **dict(zip(("if", "then", "else"), said, strict=True))}, closed(inner), inner, inner, inner),
    )  # fmt: skip


SCHEMAS = st.recursive(PLAIN, united, max_leaves=8).filter(lambda one: isinstance(one, dict))
SCHEMA_WITH_PARTS: dict[str, Any] = {"allOf": [{}, {"type": "object"}], "$defs": {"a/b": {"type": "string"}}}
LEAVES = st.sampled_from(["A", "B", "x", 0, 1, 1.5, None, [1], ["x"]])
VALUES = st.one_of(LEAVES, st.dictionaries(st.sampled_from(NAMES), st.one_of(LEAVES, st.dictionaries(st.sampled_from(NAMES), LEAVES))))


@settings(max_examples=200)
@given(SCHEMAS, st.lists(VALUES, min_size=8, max_size=8))
def test_what_a_schema_takes_its_shape_takes_too(schema: dict[str, Any], values: list[Any]) -> None:
    whole = {"$defs": {"d": {"type": "object", "additionalProperties": False, "properties": {"a": {"type": "string"}}}}, **schema}
    shape = laid(whole)
    for value in values:
        if jsonschema_rs.is_valid(whole, value):
            assert jsonschema_rs.is_valid(shape, value), shape


def test_a_schema_without_alternatives_stays_the_object_that_it_is() -> None:
    for schema in ({"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}, {}, {"type": "string"}):
        assert laid(schema) is schema


PERSON = {
    "additionalProperties": False,
    "required": ["tipo", "cognome"],
    "properties": {"tipo": {"const": "F"}, "cognome": {"type": "string"}},
}
FIRM = {"additionalProperties": False, "required": ["tipo"], "properties": {"tipo": {"const": "G"}, "sede": {"type": "string"}}}


def test_alternatives_share_what_all_have_and_keep_what_some_have() -> None:
    shape = laid({"oneOf": [{"type": "object", **PERSON}, {"type": "object", **FIRM}]})
    assert ["tipo"] == shape["required"]
    assert {"F", "G"} == {*shape["properties"]["tipo"]["enum"]}
    assert {"tipo", "cognome", "sede"} == shape["properties"].keys()
    assert ["cognome"] == shape[SOMETIMES]
    assert 2 == len(shape[ALTERNATIVES])
    assert shape["additionalProperties"] is False


@pytest.mark.parametrize("form", [{"$ref": "#"}, {"$ref": "#/$defs/x"}])
def test_what_leads_back_to_itself_is_left_open(form: dict[str, Any]) -> None:
    shape = laid({"$defs": {"x": {"oneOf": [{"$ref": "#/$defs/x"}, {"type": "string"}]}}, "anyOf": [{"type": "string"}, form]})
    assert "type" not in shape


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("#", SCHEMA_WITH_PARTS), ("#/allOf/1", {"type": "object"}), ("#/$defs/a~1b", {"type": "string"}), ("#/allOf/2", None),
        ("#/allOf/x", None), ("#/$defs/c", None), ("#name", None),
    ],
)  # fmt: skip
def test_a_reference_leads_by_names_and_by_places_in_lists(reference: str, found: object) -> None:
    assert referred(reference, SCHEMA_WITH_PARTS) == found
