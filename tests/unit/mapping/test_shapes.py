"""What a schema says of what a path leads to."""

from __future__ import annotations

from bus.mapping.shapes import schema_at, unknown_field
from tests.unit.mapping.test_types import SCHEMA


def test_a_schema_knows_where_a_path_leaves_it() -> None:
    assert None is unknown_field(SCHEMA, ["righe", "[]", "cap"])
    assert (2, ["cap"]) == unknown_field(SCHEMA, ["righe", "[]", "citta"])
    assert None is unknown_field(SCHEMA, ["altro", "qualsiasi"])
    assert "string" == schema_at(SCHEMA, ["righe", "[]", "cap"])["type"]
