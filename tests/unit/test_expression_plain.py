"""What Python evaluates instead of CEL gives what CEL gives, or leaves it to CEL."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import ExpressionError
from bus.expression import Environment, Expression
from bus.expression.plain import Plain
from bus.expression.tree import Reading

ENVIRONMENT = Environment({"a", "b"}, {"uffici": {"x": {"nome": "Ufficio"}, "7": {"nome": "Sette"}}})
PLAIN = (
    'a.x + " " + b.x', "a.x + b.x", "a.x - b.x * 3", "-a.x", "a.x == b.x", "a.x != b.x", "a.x < b.x", "a.x >= b.x", 'a.x == "x"', "a.x == 7",
    "a.x == true", "!a.x", "a.x && b.x", "a.x || b.x", 'a.x ? "si" : "no"', "a.x ? b : a", "has(a.x)", "has(a.x.y) && a.x.y == b.x", "[a.x, b.x]",
    'a.x in ["x", "y"]', "a.x in b.x", "size(a.x)", 'a.x.startsWith("x")', "a.x.contains(b.x)", 'upper(a.x) + "/" + upper(b.x)',
    'text(a.x) + ": " + euro(b.x)', 'lookup("uffici", a.x, "nome") + "!"', "a.x + 9223372036854775807", '"x" + upper(upper(a.x))',
)  # fmt: skip
"""Expressions that have a plain form."""
OTHERS = (
    "a.x.map(i, i)",
    "a.?x.orValue(1)",
    "a.x / 2",
    "1.5 + a.x",
    "a.x == null",
    'timestamp("2026-03-01T00:00:00Z") < a.x',
    "{'k': a.x}",
)
"""Expressions that are CEL's."""

values = st.one_of(
    st.sampled_from(["x", "7", "xy", "", "è😀", 0, 7, -1, 2**63 - 1, -(2**63), True, False, None, 1.0, 7.5]),
    st.lists(st.sampled_from(["x", "y", 7, None]), max_size=2),
    st.fixed_dictionaries({}, optional={"y": st.sampled_from(["x", 7, True])}),
)
holders = st.one_of(st.fixed_dictionaries({}, optional={"x": values}), values)


def outcome(expression: Any, scope: dict[str, Any]) -> Any:
    try:
        found = expression(scope)
    except ExpressionError as error:
        return str(error), error.detail
    return [found.__class__, found]


def parts(text: str) -> tuple[Expression, Any]:
    """An expression, and how CEL evaluates it."""
    expression = ENVIRONMENT.compile(text)
    assert isinstance(expression._evaluate, Plain)
    return expression, expression._evaluate._otherwise


@pytest.mark.parametrize("text", PLAIN)
@settings(max_examples=40)
@given(a=holders, b=holders)
def test_a_plain_form_gives_what_cel_gives(text: str, a: Any, b: Any) -> None:
    expression, cel = parts(text)
    scope = {"a": a, "b": b}
    assert outcome(expression, scope) == outcome(cel, scope)


@pytest.mark.parametrize("text", OTHERS)
def test_what_is_not_plain_is_left_to_cel(text: str) -> None:
    assert not isinstance(ENVIRONMENT.compile(text)._evaluate, Plain)


@pytest.mark.parametrize("text", ['"x" + upper(a.x)', 'upper(a.x + " " + b.x)', 'lookup("uffici", a.x, "nome") + upper(b.x)'])
def test_no_call_of_ours_on_plain_values_goes_through_cel_which_would_keep_it_for_ever(text: str) -> None:
    expression, _ = parts(text)

    def never(scope: Any) -> Any:
        raise AssertionError(text)

    counted = Expression(text, Plain(expression._evaluate._value, never), Reading(list(expression.references)))  # type: ignore[attr-defined]
    assert isinstance(counted({"a": {"x": "x"}, "b": {"x": "y"}}), str)
