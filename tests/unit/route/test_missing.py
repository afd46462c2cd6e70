"""Which of the paths that an expression needs may lead to nothing."""

from __future__ import annotations

from typing import Any

import pytest

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
