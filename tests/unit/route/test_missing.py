"""Which of the paths that an expression needs may lead to nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bus.examine import examine
from bus.expression import Environment, Tables
from bus.expression.typing import Types
from bus.mapping.template import Used
from bus.route.known import Known
from bus.route.paths import Paths
from bus.route.values import Values
from bus.source import Notes

TEXT = {"type": "string"}
BODY: dict[str, Any] = {
    "type": "object", "additionalProperties": False, "required": ["nome", "nota"],
    "properties": {"nome": TEXT, "nota": {"anyOf": [TEXT, {"type": "null"}]}, "via": TEXT},
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("body.nome", []),
        ("body.via", [("body", "via")]),
        ("body.nota", []),  # null is a value
        ("upper(body.nota)", [("body", "nota")]),
        ("body.nome + body.via", [("body", "via")]),
        ('body.?via.orValue("")', []),
    ],
)
def test_of_what_an_expression_needs_only_what_may_lack_is_looked_at_again(text: str, found: list[tuple[str, ...]]) -> None:
    """That is kept for every other place where the same expression stands."""
    paths = Paths(Values({"body": Known(schema=BODY)}, Types(Tables())), Notes("prova"))
    assert found == paths.missing.needed(Used(("steps", 0, "set", "x"), Environment({"body"}).compile(text)))


@pytest.mark.parametrize(("when", "told"), [("has(body.piani)", []), ("has(body.nome)", ["path.maybe-missing"])])
def test_a_condition_of_a_mapping_may_read_what_the_route_asks_about(when: str, told: list[str]) -> None:
    fields = {"nome": {"type": "string"}, "piani": {"type": "integer"}}
    declared = {"type": "prova.d", "case": {"nome": "body.nome"}, "schema": {"type": "object", "required": ["nome"], "properties": fields}}
    mapping = {
        "mapping": "prova.m",
        "from": "prova.d",
        "to": "prova.d",
        "fields": {"nome": {"$when": "body.piani > 1", "$value": "body.nome"}},
    }
    steps = [{"id": "a", "when": when, "map": "prova.m", "as": "m"}]
    route = {"route": "prova.r", "version": 1, "on": "prova.d", "steps": steps}
    documents = {"mappings/types/d.yaml": declared, "mappings/m.yaml": mapping, "routes/r.yaml": route}
    _, findings = examine({name: json.dumps(one).encode() for name, one in documents.items()}, {})
    assert told == [one.code for one in findings if one.file == "mappings/m.yaml"]


@pytest.mark.parametrize(
    ("read", "told"),
    [
        ("body.chi.nmoe", "body.chi declares no field `nmoe`"),
        ("body.chi.?nmoe.orValue('')", "body.chi declares no field `nmoe`"),
        ("body.chi.pce", "body.chi declares no field `pce`"),
        ("body.chi.Nome", "body.chi declares no field `Nome`"),
        ("body.?chi.orValue({}).size()", None),
        ("body.chi.cognome", None),
        ("body.altri.nmoe", None),
    ],
)
def test_a_field_that_is_nearly_declared_is_told_where_there_may_be_others(read: str, told: str | None) -> None:
    """A name misspelt in an object without `additionalProperties: false` stopped the run, and nothing was said before."""
    named = {"type": "object", "required": ["nome"], "properties": {"nome": {"type": "string"}, "pec": {"type": "string"}}}
    fields = {"chi": named, "altri": {**named, "additionalProperties": True}}
    schema = {"type": "object", "additionalProperties": False, "required": [*fields], "properties": fields}
    declared = {"type": "prova.d", "case": {"nome": "body.chi.nome"}, "schema": schema}
    route = {"route": "prova.r", "version": 1, "on": "prova.d", "steps": [{"id": "a", "reply": {"x": read}}]}
    documents = {"mappings/types/d.yaml": declared, "routes/r.yaml": route}
    _, findings = examine({name: json.dumps(one).encode() for name, one in documents.items()}, {})
    warned = [one.sentence for one in findings if one.code == "path.unknown-field" and one.severity == "warning"]
    assert warned == ([told] if told else []), [str(one) for one in findings]


@pytest.mark.parametrize(("cell", "told"), [("45", []), (" 45", []), ("0,45", ["table.no-number"]), ("45.0", ["table.no-number"])])
@pytest.mark.parametrize(
    "read", ["2 * body.giorni * number(v.cent)", "number(v.cent) * body.giorni", 'body.giorni - number(lookup("t", body.tipo, "cent"))']
)
def test_a_cell_with_decimals_is_told_where_whole_numbers_are_reckoned_with_it(read: str, cell: str, told: list[str]) -> None:
    """The run of each message that led to such a row stopped."""
    fields = {"giorni": {"type": "integer"}, "tipo": {"type": "string"}, "mq": {"type": "number"}}
    schema = {"type": "object", "additionalProperties": False, "required": [*fields], "properties": fields}
    declared = {"type": "prova.d", "case": {"tipo": "body.tipo"}, "schema": schema}
    steps = [{"id": "a", "set": {"v": 'lookup("t", body.tipo)'}}, {"id": "b", "reply": {"x": read, "y": "v.cent", "z": "v.cent"}}]
    route = {"route": "prova.r", "version": 1, "on": "prova.d", "steps": steps}
    files = {name: json.dumps(one).encode() for name, one in (("mappings/types/d.yaml", declared), ("routes/r.yaml", route))}
    _, findings = examine({**files, "mappings/tables/t.csv": f'tipo,cent\nA,10\nB,"{cell}"\n'.encode()}, {})
    assert told == [one.code for one in findings], [str(one) for one in findings]
