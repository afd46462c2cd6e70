"""What tables hold, as a schema: so that what an expression reads of a row is checked like what it reads of a message."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bus.message import JsonValue

CODES = 200
"""How many texts in a column are told one by one to whoever checks rules; of more it is only said that they are texts."""

_NUMBERS = {frozenset({bool}): "boolean", frozenset({int}): "integer", frozenset({float}): "number", frozenset({int, float}): "number"}


def shape_of_rows(rows: Collection[Mapping[str, JsonValue]]) -> dict[str, Any]:
    """The schema of a row: its columns, what lies in them, and the codes of a code list.

    A table with other values than texts is no code list but the services: what no entry says yet another one may say.
    """
    codes = all(isinstance(cell, str) for row in rows for cell in row.values())
    return _shape([dict(row) for row in rows], codes)


def _shape(values: Sequence[JsonValue], codes: bool) -> dict[str, Any]:
    """What is sure of each of some values; {} where nothing is."""
    there = [one for one in values if one is not None]
    shape = _shape_of(there, codes)
    return {"anyOf": [shape, {"type": "null"}]} if shape and len(there) < len(values) else shape


def _shape_of(values: Sequence[JsonValue], codes: bool) -> dict[str, Any]:
    kinds = frozenset(map(type, values))
    if kinds == {dict}:
        maps: list[dict[str, JsonValue]] = values  # type: ignore[assignment]
        names = dict.fromkeys(name for one in maps for name in one)
        fields = {name: _shape([one[name] for one in maps if name in one], codes) for name in names}
        there = [name for name in names if all(name in one for one in maps)]
        return {"type": "object", "additionalProperties": False, "properties": fields, "required": there}
    if kinds == {list}:
        return {"type": "array", "items": _shape([item for one in values for item in one], codes)}  # type: ignore[union-attr]
    if kinds == {str}:
        texts = sorted({str(one) for one in values})
        return {"type": "string", "enum": texts} if codes and len(texts) <= CODES else {"type": "string"}
    return {"type": _NUMBERS[kinds]} if kinds in _NUMBERS else {}
