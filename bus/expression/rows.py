"""What tables hold, as a schema: so that what an expression reads of a row is checked like what it reads of a message."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from bus.message import JsonValue

CODES = 200
"""So many texts in a column are all that it can hold, for who checks rules; of more it is only said that they are texts."""

_NUMBERS = {frozenset({bool}): "boolean", frozenset({int}): "integer", frozenset({float}): "number", frozenset({int, float}): "number"}


def shape_of_rows(rows: Collection[JsonValue]) -> dict[str, Any]:
    """The schema of what a table has as it is now: its columns, what lies in them, and the codes of a short list."""
    there = [one for one in rows if one is not None]
    shape = _shape(there)
    if len(there) == len(rows) or not there or not shape:
        return shape
    return {"anyOf": [shape, {"type": "null"}]}


def _shape(values: Sequence[JsonValue]) -> dict[str, Any]:
    """What is sure of each of some values, none of which is null."""
    kinds = frozenset(map(type, values))
    if not kinds:
        return {"type": "null"}
    if kinds == {dict}:
        maps: list[dict[str, JsonValue]] = values  # type: ignore[assignment]
        names = dict.fromkeys(name for one in maps for name in one)
        fields = {name: shape_of_rows([one[name] for one in maps if name in one]) for name in names}
        there = [name for name in names if all(name in one for one in maps)]
        return {"type": "object", "additionalProperties": False, "properties": fields, "required": there}
    if kinds == {list}:
        items = [item for one in values for item in one]  # type: ignore[union-attr]
        return {"type": "array", "items": shape_of_rows(items)} if items else {"type": "array"}
    if kinds == {str}:
        texts = sorted({str(one) for one in values})
        return {"type": "string", "enum": texts} if len(texts) <= CODES else {"type": "string"}
    return {"type": _NUMBERS[kinds]} if kinds in _NUMBERS else {}
