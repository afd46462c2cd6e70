"""What Python evaluates instead of CEL gives what CEL gives, or leaves it to CEL."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import ExpressionError
from bus.expression import Environment, Expression
from bus.expression.plain import Plain
from bus.expression.reading import Reading

ENVIRONMENT = Environment({"a", "b"}, {"uffici": {"x": {"nome": "Ufficio"}, "7": {"nome": "Sette"}}})
PLAIN = (
    'a.x + " " + b.x', "a.x + b.x", "a.x - b.x * 3", "-a.x", "a.x == b.x", "a.x != b.x", "a.x < b.x", "a.x >= b.x", 'a.x == "x"', "a.x == 7",
    "a.x == true", "!a.x", "a.x && b.x", "a.x || b.x", 'a.x ? "si" : "no"', "a.x ? b : a", "has(a.x)", "has(a.x.y) && a.x.y == b.x", "[a.x, b.x]",
    'a.x in ["x", "y"]', "a.x in b.x", "size(a.x)", 'a.x.startsWith("x")', "a.x.contains(b.x)", 'upper(a.x) + "/" + upper(b.x)',
    'text(a.x) + ": " + euro(b.x)', 'lookup("uffici", a.x, "nome") + "!"', "a.x + 9223372036854775807", '"x" + upper(upper(a.x))',
    "a.x.map(i, i)", "a.x.map(i, upper(i))", "a.x.filter(i, i == b.x)", "a.x.map(i, i != 7, upper(i))", "a.x.exists(i, i == b.x)",
    'a.x.all(i, i < "y")', "a.x.exists_one(i, i == b.x)", "a.x.map(i, b.x.filter(j, j == i))", "a.x.map(i, size(b.x.map(i, i)) + i)",
    "a.map(i, a[i])", "a.x[0]", 'a["x"]', "a.x[b.x]", "size(a.x) + a.x.size()", '{"k": a.x, "j": [b.x]}', 'a.x.map(i, {"k": i})', "first(a.x)",
    "sum(a.x.filter(i, i != b.x)) + 1", "text(sum(a.x.map(i, i * 2)))",
    "text(a.x)", "euro(cents(a.x))", "first(a.x.map(i, text(i)))", 'default(a.x, b.x)', "pad(a.x, 3)", "[number(text(a.x)), sum([a.x, b.x])]",
    "a.x == null", "null != b.x || a.x == null", "a.x == null ? null : b.x", "a.x.filter(i, i != null)", "a.?x.orValue(1)", 'a.?x.orValue("")',
    "a.?x.y.orValue(null)", "a.?x.?y.orValue(b)", 'upper(b.?x.orValue("z"))', "a.?x.orValue([]).map(i, i)", "a.x.?y.orValue(b.x) == null",
    'a.x.replace("x", b.x)', "a.x.join()", "a.x.join(b.x)", 'a.x.map(i, text(i)).join(", ")', "a.x.split(b.x)", "a.x.substring(1)", "a.x.substring(0, size(a.x) - 1)", "a.x.substring(b.x, 2)", '"y" in a.x',
    "a.x / b.x", "a.x / 2", "a.x % b.x", "a.x % -3", "1.5 + a.x", "a.x * 1.5 - b.x / 0.3", "a.x < 7.5", "a.x == 7.5", "-a.x / 3.0", "a.x.map(i, i * 1.5)",
    "a.x.filter(i, i > 7.0).map(i, i / 2.0)", "double(a.x)", "int(a.x)", "math.round(a.x)", "int(math.round(double(a.x) * 0.22))",
    "dyn(a.x) == dyn(b.x)", "digest(a.x)", "merge(a, b)", "compact(a)", "default(a.x, b)", 'lookup("uffici", a.x).nome', "compact(a.x)",
)  # fmt: skip
"""Expressions that have a plain form."""
OTHERS = (
    "{a.x: 1}",
    "{?'k': a.?x}",
    "a.?x.hasValue()",
    "[?a.?x]",
    "a.?x.or(b.?x).orValue(1)",
    "a[?'x'].orValue(1)",
    "has(a.?x.y)",
    "cel.bind(i, a.x, i + i)",
    'a.x.matches("x+")',
    'timestamp("2026-03-01T00:00:00Z") < a.x',
)
"""Expressions that are CEL's."""

values = st.one_of(
    st.sampled_from(
        [
            "x",
            "7",
            "xy",
            "",
            "è😀",
            0,
            7,
            -1,
            2**63 - 1,
            -(2**63),
            True,
            False,
            None,
            1.0,
            -0.0,
            7.5,
            -0.5,
            0.49999999999999994,
            1e300,
            2.5e18,
            12.345,
        ]
    ),
    st.lists(st.sampled_from(["x", "y", 7, 7.25, None]), max_size=3),
    st.lists(st.integers(-3, 9), max_size=4),
    st.fixed_dictionaries({}, optional={"y": st.sampled_from(["x", 7, True])}),
)
holders = st.one_of(st.fixed_dictionaries({}, optional={"x": values}), values)


def outcome(expression: Any, scope: dict[str, Any]) -> Any:
    try:
        found = expression(scope)
    except ExpressionError as error:
        return str(error), error.detail
    return json.dumps(found, sort_keys=True)


def parts(text: str) -> tuple[Expression, Any]:
    """An expression, and how CEL evaluates it."""
    expression = ENVIRONMENT.compile(text)
    assert isinstance(expression.evaluate, Plain)
    return expression, expression.evaluate._otherwise


@pytest.mark.parametrize("text", PLAIN)
@settings(max_examples=40)
@given(a=holders, b=holders)
def test_a_plain_form_gives_what_cel_gives(text: str, a: Any, b: Any) -> None:
    expression, cel = parts(text)
    scope = {"a": a, "b": b}
    assert outcome(expression, scope) == outcome(cel, scope)


@pytest.mark.parametrize("text", OTHERS)
def test_what_is_not_plain_is_left_to_cel(text: str) -> None:
    assert not isinstance(ENVIRONMENT.compile(text).evaluate, Plain)


@pytest.mark.parametrize(
    "text",
    [
        '"x" + upper(a.x)',
        'upper(a.x + " " + b.x)',
        'lookup("uffici", a.x, "nome") + upper(b.x)',
        "text(sum(a.righe.map(r, r.n * 2)))",
        'a.righe.map(r, {"nome": upper(r.nome)})[0].nome',
        'merge(a, {"x": upper(a.?x.orValue("z"))}).x',
        "text(a.d) + text(default(a.?niente.orValue(null), b.x))",
        "text(int(math.round(a.d * 0.22))) + text(a.righe.map(r, double(r.n) / 1.5)[0])",
    ],
)
def test_no_call_of_ours_on_plain_values_goes_through_cel_which_would_keep_it_for_ever(text: str) -> None:
    expression, _ = parts(text)

    def never(scope: Any) -> Any:
        raise AssertionError(text)

    counted = Expression(text, Plain(expression.evaluate._value, never), Reading(list(expression.reads.references)))  # type: ignore[attr-defined]
    assert isinstance(counted({"a": {"x": "x", "d": 12.5, "righe": [{"n": 1, "nome": "vite"}]}, "b": {"x": "y"}}), str)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        *(("size(a.map(i, a.map(j, i + j)))", items) for items in (10, 90, 94, 95, 99, 100, 400)),
        *(("a.exists(i, i == 10000) || a.filter(i, i > 5000)[0] > 0", items) for items in (10, 100, 8_999, 9_001, 9_999, 10_000)),
        *(
            (f"a.{macro}", items)
            for macro in ("all(i, i >= 0)", "exists(i, i < 0)", "exists_one(i, i == 3)")
            for items in (9_998, 9_999, 10_000)
        ),
        *(("a.all(i, b.all(j, i + j >= 0))", items) for items in (98, 99, 100)),
        *(("a.map(i, i)[9998]", items) for items in (9_999, 10_000)),
    ],
)
def test_who_goes_over_many_items_is_told_so_as_by_cel(text: str, items: int) -> None:
    expression, cel = parts(text)
    scope = {"a": list(range(items)), "b": list(range(100))}
    assert outcome(expression, scope) == outcome(cel, scope)


@pytest.mark.parametrize("text", ["a.map(i, i + 1)", "a.filter(i, i > 0)", "a.map(i, a.map(j, i + j))", 'b.t.split("").map(i, i)'])
def test_cel_is_not_asked_for_more_items_than_it_takes(text: str) -> None:
    """It copied the list for each item, and filled a gigabyte and a half before it said so: for a message of 20 KB."""
    expression, _ = parts(text)

    def never(scope: Any) -> Any:
        raise AssertionError(text)

    counted = Expression(text, Plain(expression.evaluate._value, never), Reading(list(expression.reads.references)))  # type: ignore[attr-defined]
    with pytest.raises(ExpressionError) as told:
        counted({"a": [1] * 10_000, "b": {"t": "a" * 10_000}})
    assert told.value.code == "expression.budget"
    assert "`each`" in told.value.hint


@pytest.mark.parametrize("text", ["", "a", "àé😀", "a\u0301", " a "])
def test_a_text_is_split_into_its_characters_as_by_cel(text: str) -> None:
    expression, cel = parts('a.split("")')
    assert cel({"a": text}) == expression({"a": text})


def test_characters_are_joined_only_as_long_as_memory_is_for() -> None:
    """CEL would make ninety thousand million characters of them, and end the process."""
    expression, _ = parts('a.split("").join(a)')
    with pytest.raises(ExpressionError, match="characters"):
        expression({"a": "a" * 300_000})
