"""Whether one expression asks what another one asks, by their texts."""

from __future__ import annotations

import pytest

from bus.route.given import asks


@pytest.mark.parametrize(
    ("said", "condition"),
    [
        ("u", "u"),
        ("u && v", "u"),
        ("v && u", "u"),
        ("(u) && v", "u"),
        ("u ? a : b", "u"),
        ("f(x, g(y)) > 1 && u ", "u"),
        ("u || v", "u || v"),
        ("(u || v) && x", "u || v"),
        ("body.?a.orValue(false) && x", "body.?a.orValue(false)"),
    ],
)
def test_what_asks_a_condition_first_asks_it(said: str, condition: str) -> None:
    assert asks(said, condition)


@pytest.mark.parametrize(
    ("said", "condition"),
    [
        ("!u", "u"),
        ("u2", "u"),
        ("u || v", "u"),
        ("v && !u", "u"),
        ("v ? u : b", "u"),
        ("u && x || y", "u"),
        ("u == false", "u"),
        ("f(u) && x", "u"),
        ("!(a && u && b)", "u"),
        ("u || v && x", "u || v"),
        ("has(body.a.b)", "has(body.a)"),
    ],
)
def test_what_holds_also_without_a_condition_does_not_ask_it(said: str, condition: str) -> None:
    assert not asks(said, condition)
