"""What is known of the value that a template makes, for the checker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bus.expression.made import NO_ITEMS
from bus.expression.typing import ANYTHING
from bus.expression.unions import kind_of
from bus.mapping.shapes import resolve
from bus.route.known import SCALARS, Known, Schema
from bus.route.values import Values
from bus.source import Pointer


def made(value: Any, pointer: Pointer, values: Values) -> Known:
    """What is known of the value that a template makes."""
    if isinstance(value, str):
        used = values.by_pointer.get(pointer)
        return replace(values.value(used), texts=used.reads.texts) if used else Known()
    if isinstance(value, dict):
        if "$each" in value and "$value" in value:
            return _list_of([made(value["$value"], (*pointer, "$value"), values).schema])
        if any(key.startswith("$") for key in value):
            return Known()
        fields = {name: made(inner, (*pointer, name), values).schema for name, inner in value.items()}
        there = [name for name, inner in value.items() if not _left_out(inner)]
        return Known(schema={"type": "object", "additionalProperties": False, "properties": fields, "required": there})
    if isinstance(value, list):
        return _list_of([made(inner, (*pointer, position), values).schema for position, inner in enumerate(value)])
    kind = kind_of(value)
    return Known(schema={"type": kind}, typed=values.types.declare(SCALARS[kind]) if kind in SCALARS else ANYTHING)


def _list_of(items: list[Schema]) -> Known:
    """What is known of a list that is written out: what all items have in common is said where they are alike."""
    alike = bool(items) and bool(items[0]) and all(one == items[0] for one in items)
    return Known(schema={"type": "array", "items": items[0]} if alike else {"type": "array"} if items else NO_ITEMS)


def written(value: Any, schema: Schema, root: Schema) -> Schema:
    """The schema of what a template makes, where that is a value of ``schema``: the fields that it writes are there."""
    inner = resolve(schema, root)
    fields = inner.get("properties", {})
    if not isinstance(value, dict) or not fields or any(key.startswith("$") for key in value):
        return schema
    there = {name: written(one, fields[name], root) for name, one in value.items() if name in fields and not _left_out(one)}
    return {**inner, "properties": {**fields, **there}, "required": [*inner.get("required", ()), *there]}


def _left_out(value: Any) -> bool:
    """Whether a template may leave a field out."""
    return isinstance(value, dict) and "$when" in value and "$each" not in value
