"""What a schema says of what a path leads to."""

from __future__ import annotations

from bus.expression.unions import SOMETIMES
from bus.mapping.shapes import SIFTED, decided, lacks, schema_at, unknown_field
from tests.unit.mapping.test_types import SCHEMA


def test_a_schema_knows_where_a_path_leaves_it() -> None:
    assert None is unknown_field(SCHEMA, ["righe", "[]", "cap"])
    assert (2, ["cap"]) == unknown_field(SCHEMA, ["righe", "[]", "citta"])
    assert None is unknown_field(SCHEMA, ["altro", "qualsiasi"])
    assert "string" == schema_at(SCHEMA, ["righe", "[]", "cap"])["type"]


def test_a_condition_that_names_the_type_too_is_decided_by_what_is_written_out() -> None:
    asked = {"type": "object", "properties": {"canale": {"const": "PEC"}}, "required": ["canale"]}
    condition = {"if": asked, "then": {"required": ["indirizzo"]}, "else": {"required": ["nota"]}}
    assert condition["then"] == decided(condition, ["canale"], {"canale": "PEC"})
    assert condition["else"] == decided(condition, ["canale"], {"canale": "SMS"})
    assert {} == decided(condition, ["canale"], {})


def test_a_filter_spares_what_it_asked_and_what_an_alternative_has_that_it_told() -> None:
    text = {"type": "string"}
    item = {"type": "object", "properties": {"tipo": text, "importo": text, "nota": text}, "required": ["tipo"], SOMETIMES: ["importo"]}

    def of_items(*asked: list[str]) -> list[str]:
        schema = {"type": "array", "items": {**item, SIFTED: list(asked)}}
        return [lacks(schema, ("[]", name), ()) for name in ("tipo", "importo", "nota")]

    assert of_items() == ["", "missing", "missing"]
    assert of_items(["nota"]) == ["", "", ""], "it is a neighbour of `importo`, too"
    assert of_items(["tipo"]) == ["", "", "missing"]
    assert of_items([]) == ["", "", ""], "the whole item was asked about"
