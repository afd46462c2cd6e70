"""Mappings and templates: what they make, how they fail, where their fields come from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import ExpressionError
from bus.expression import Environment
from bus.mapping.compile import CompiledMapping, compile_mapping
from bus.mapping.template import Workshop
from bus.source import Notes

BODY = {"nome": "Ada", "eta": 70, "righe": [{"cap": "00118", "n": 1}, {"cap": "50100", "n": 2}], "vuoto": None}


def mapping(fields: object, **more: object) -> CompiledMapping:
    notes = Notes("x")
    made = compile_mapping({"mapping": "prova.una", "from": "a.b", "to": "c.d", "fields": fields, **more}, {"t": {"k": {"c": "v"}}}, notes)
    assert made is not None, notes.findings
    return made


def made(value: object) -> object:
    return mapping({"x": value})({"body": BODY})["x"]  # type: ignore[index,call-overload]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("body.nome", "Ada"),
        ("'fisso'", "fisso"),
        (12, 12),
        (1.5, 1.5),
        (True, True),
        (None, None),
        ({"a": {"b": "body.eta + 1"}}, {"a": {"b": 71}}),
        (["body.nome", 1, {"c": "body.eta"}], ["Ada", 1, {"c": 70}]),
        ({"$value": "body.nome", "$when": "body.eta > 65"}, "Ada"),
        ({"a": {"$value": "body.nome", "$when": "body.eta < 65"}, "b": 1}, {"b": 1}),
        ([{"$value": 1, "$when": "false"}, 2], [2]),
        ({"$value": "body.cognome", "$default": "'-'"}, "-"),
        ({"$value": "body.vuoto", "$default": "'-'"}, "-"),
        ({"$value": "body.vuoto.via", "$default": "'-'"}, "-"),
        ({"$value": "body.cognome + '!'", "$default": "'-'"}, "-"),
        ({"$each": "body.righe", "$as": "r", "$value": {"cap": "r.cap", "posto": "index", "chi": "body.nome"}},
         [{"cap": "00118", "posto": 0, "chi": "Ada"}, {"cap": "50100", "posto": 1, "chi": "Ada"}]),
        ({"$each": "body.righe", "$when": "item.n > 1", "$value": "item.cap"}, ["50100"]),
        ({"$each": "body.righe", "$as": "r", "$value": {"$each": "[1, 2]", "$as": "k", "$value": "r.n * k"}}, [[1, 2], [2, 4]]),
        ("lookup('t', 'k', 'c')", "v"),
    ],
)  # fmt: skip
def test_a_template_makes_its_value(template: object, expected: object) -> None:
    assert expected == made(template)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"a": {"b": ["body.zz"]}}, "a.b[0]"),
        ({"a": "body.eta + 1", "b": "body.zz + 1", "c": "body.eta + 2"}, "b"),
        ({"a": {"$each": "body.righe", "$value": {"x": "item.zz"}}}, "a[].x"),
    ],
)
def test_a_failure_names_the_mapping_and_the_target_field(fields: object, field: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        mapping(fields)({"body": BODY})
    assert f"mapping prova.una, field {field}: " in caught.value.sentence
    assert "expression.failed" == caught.value.code
    assert field == caught.value.detail["field"]


def test_a_default_does_not_hide_other_failures() -> None:
    with pytest.raises(ExpressionError, match="divide by zero"):
        made({"$value": "body.eta / 0", "$default": "1"})


def test_a_condition_must_be_true_or_false() -> None:
    with pytest.raises(ExpressionError, match="neither true nor false"):
        made({"$value": "1", "$when": "body.eta"})


def test_what_each_goes_over_must_be_a_list() -> None:
    with pytest.raises(ExpressionError, match="did not give a list"):
        made({"$each": "body.nome", "$value": "item"})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53),
        lambda i: st.lists(i, max_size=3) | st.dictionaries(st.text(st.characters(exclude_characters="$"), max_size=4), i, max_size=3),
    )
)
def test_literals_pass_through_a_template_unchanged(value: object) -> None:
    shop = Workshop(Environment([]), Notes("x"))
    assert value == shop.template(value, ())({})
