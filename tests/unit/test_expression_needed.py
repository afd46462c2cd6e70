"""CEL converts whatever it is given, at every evaluation: it is given what the expression reads, and says the same of it as of the whole."""

from __future__ import annotations

from typing import Any

import pytest

from bus.errors import ExpressionError
from bus.expression import Environment, _Program
from bus.expression.needed import part

LIST = [{"q": 1.5, "nota": "a"}, {"q": 2.5, "nota": "b"}]
BODY = {"tariffa": 2.5, "righe": LIST, "chi": {"nome": "Ada", "figli": LIST, "via": None}}
SCOPE = {"body": BODY, "m": {"q": 1.5, "nota": "a"}}
READS: dict[str, dict[str, Any]] = {
    "body.tariffa + m.q": {"body": {"tariffa": 2.5}, "m": {"q": 1.5}},
    "body.chi.nome + string(m.q / 2.0)": {"body": {"chi": {"nome": "Ada"}}, "m": {"q": 1.5}},
    'body["chi"].nome + string(m["q"] / 2.0)': {"body": {"chi": {"nome": "Ada"}}, "m": {"q": 1.5}},
    'body.?chi.?nome.orValue("") + string(m.q / 2.0)': {"body": {"chi": {"nome": "Ada"}}, "m": {"q": 1.5}},
    'body.?altro.orValue("") + string(m.q / 2.0)': {"body": {}, "m": {"q": 1.5}},
    "has(body.chi.via) && m.q / 2.0 > 0.0": {"body": {"chi": {"via": None}}, "m": {"q": 1.5}},
    "has(body.altro) || m.q / 2.0 > 0.0": {"body": {}, "m": {"q": 1.5}},
    "body.righe[0].q + m.q": {"body": {"righe": LIST}, "m": {"q": 1.5}},
    "body.righe.map(r, r.q * body.tariffa)": {"body": {"righe": LIST, "tariffa": 2.5}},
    "body.righe.map(m, m.q * 2.0)": {"body": {"righe": LIST}},
    "[body].map(b, b.tariffa * 2.0)": {"body": BODY},
    "cel.bind(b, body, b.tariffa * 2.0)": {"body": BODY},
    "size(body) + int(body.tariffa * 2.0)": {"body": BODY},
    'body[m.nota == "a" ? "tariffa" : "righe"] == 2.5 / 1.0': {"body": BODY, "m": {"nota": "a"}},
    "body.chi == body.chi && body.chi.nome.size() > int(m.q / 1.0)": {"body": {"chi": BODY["chi"]}, "m": {"q": 1.5}},
    "body.righe.q + m.q": {"body": {"righe": LIST}, "m": {"q": 1.5}},
    "body.manca.q + m.q": {"body": {}, "m": {"q": 1.5}},
    "body.tariffa.q + m.q": {"body": {"tariffa": 2.5}, "m": {"q": 1.5}},
}


def said(program: _Program, scope: dict[str, Any]) -> object:
    try:
        return program(scope)
    except ExpressionError as error:
        return error.code, error.sentence


@pytest.mark.parametrize("text", READS)
def test_cel_is_given_what_is_read_and_says_the_same_as_of_the_whole(text: str) -> None:
    environment = Environment(SCOPE)
    program = environment._in_cel(text, frozenset(SCOPE)).evaluate
    program = getattr(program, "_otherwise", program)
    assert isinstance(program, _Program)
    given = {name: part(SCOPE[name], inner) for name, inner in program._needed}
    assert {name: value for name, value in given.items() if name in READS[text]} == READS[text]
    found = said(program, SCOPE)
    program._needed = [(name, None) for name, _ in program._needed]
    assert said(program, SCOPE) == found


def test_what_an_expression_costs_does_not_grow_with_lists_of_which_it_asks_nothing() -> None:
    """For each item of a list all of them were converted: ten thousand took more than a minute."""
    environment = Environment(SCOPE)
    program = environment.compile("body.tariffa + m.q").evaluate._otherwise  # type: ignore[attr-defined]
    given: list[Any] = []

    class Compiled:
        def eval(self, data: Any) -> Any:
            given.append(data)
            raise RuntimeError("asked")

    program._compiled = Compiled()
    for number in range(3):
        with pytest.raises(ExpressionError):
            program({"body": {**BODY, "righe": LIST * 1000}, "m": {"q": float(number)}})
    assert [one["body"] for one in given] == [{"tariffa": 2.5}] * 3
