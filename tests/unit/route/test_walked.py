"""Tables with more rows than one expression goes over: told where it surely goes over all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.errors import ExpressionError
from bus.examine import examine
from bus.expression import Environment
from tests.corpus.files import world_in
from tests.corpus.world.operations import OPERATIONS

ROWS = {"vie": 10_000, "frazioni": 9_999, "zone": 100}
TOLD = [
    'size(rows("vie").filter(v, v.nome == body.istanza)) == 1',
    '"N1" in rows("vie").map(v, v.nome)',
    'rows("vie").exists_one(v, v.nome == body.istanza)',
    'has(body.importo) && first(rows("vie").filter(v, v.nome == body.istanza)) != null',
    'rows("zone").exists_one(z, size(rows("zone").filter(v, v.nome == z.nome)) == 2)',
    'size(rows("frazioni").map(f, f.nome).filter(f, f != body.istanza)) > 0',
    '[1, 2].exists(x, size(rows("vie").filter(v, v.nome == "N" + text(x))) == 1)',
]
SILENT = [
    'rows("vie").exists(v, v.nome == "N1")',
    'size(rows("frazioni").filter(v, v.nome == body.istanza)) == 1',
    'size(rows("frazioni").filter(v, v.nome == "X").map(v, v.nome)) == 1',
    'size(rows("vie")) > 3 && rows("vie")[0].nome == body.istanza',
    'lookup("vie", body.istanza, "nome") == "N1"',
    'size(rows("zone").filter(z, z.nome == "N1").filter(z, size(rows("zone").filter(v, v.nome == z.nome)) == 1)) == 1',
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = world_in(tmp_path_factory.mktemp("walked") / "rules")
    for name, count in ROWS.items():
        lines = ["codice,nome", *(f"C{number},N{number}" for number in range(count))]
        (made / "mappings" / "tables" / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return made


def found_in(folder: Path, conditions: list[str]) -> list[tuple[str, int]]:
    """The codes and lines of what is told of a route with these conditions, from line 6 on."""
    lines = ["route: prova.rotta", "version: 1", "on: prova.istanza", "case: {istanza: body.istanza}", "steps:"]
    lines += [f"  - {{id: s{number}, when: '{text}', reply: {{x: body.istanza}}}}" for number, text in enumerate(conditions)]
    (folder / "routes" / "rotta.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [(one.code, one.line) for one in examine(folder, OPERATIONS)[1]]


def value(text: str) -> object:
    tables = {name: {f"C{number}": {"nome": f"N{number}"} for number in range(count)} for name, count in ROWS.items()}
    return Environment(["body"], tables).compile(text)({"body": {"istanza": "C1", "importo": 1}})


def test_a_condition_that_goes_over_more_rows_than_it_may_is_told(folder: Path) -> None:
    assert [("table.too-many-rows", number) for number in range(6, 6 + len(TOLD))] == found_in(folder, TOLD)


@pytest.mark.parametrize("text", [one for one in TOLD if "zone" not in one])
def test_what_is_told_fails_when_it_runs(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert "expression.budget" == caught.value.code


def test_what_may_end_before_is_not_told(folder: Path) -> None:
    assert [] == found_in(folder, SILENT)


@pytest.mark.parametrize("text", SILENT)
def test_what_is_not_told_has_a_value(text: str) -> None:
    assert value(text) in (True, False)
