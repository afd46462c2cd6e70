"""What a schema says of a value, and of what a path in it leads to: for whoever checks rules before any value is there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jsonschema_rs

from bus.expression.typing import resolved
from bus.expression.unions import CONDITIONS, SOMETIMES, shapes_within
from bus.message import JsonValue

CODES = "x-codes"
"""In a shape: the codes in use of a field, which are the keys of a table. Rules are compared with them, not bound to take all."""
SIFTED = "x-sifted"
"""In a shape: a filter kept this value. What it has asked of it, as paths below it."""

TOLD_BY = "x-told-by"
"""In a shape: the field beside this one whose code tells which of several types it is of."""

_FORMS = {
    "date": "a date YYYY-MM-DD", "date-time": "a moment such as 2026-03-01T10:00:00Z", "time": "a time such as 10:00:00Z",
    "email": "an e-mail address", "uuid": "a UUID", "uri": "an address such as https://comune.example/",
}  # fmt: skip

_BOUNDS = {
    "minimum": "must be at least {}", "maximum": "must be at most {}", "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}", "multipleOf": "must be a multiple of {}",
}  # fmt: skip


def resolve(schema: Any, root: Any) -> dict[str, Any]:
    """A schema with its ``$ref`` followed (inside the same document) and a lone non-null choice taken."""
    return resolved(schema, root)[0]


def unknown_field(schema: Any, path: Sequence[str], *, closed: bool = True) -> tuple[int, list[str]] | None:
    """Where a path leaves a schema that allows no other fields: (position in the path, fields known there); None when it does not.

    Not ``closed``: where it leaves one that names some fields and does not say whether there are others.
    """
    here = root = schema
    for position, piece in enumerate(path):
        root = _root(here, root)
        here = resolve(here, root)
        if piece == "[]":
            here = here.get("items", {})
            continue
        fields, others = here.get("properties", {}), here.get("additionalProperties")
        if piece in fields:
            here = fields[piece]
        elif by_pattern(here, piece):
            return None
        elif isinstance(others, dict):
            here = others
        else:
            return (position, sorted(fields)) if others is (False if closed else None) else None
    return None


def by_pattern(schema: Mapping[str, Any], name: str) -> list[Any]:
    """What a schema says of a field by patterns of its name."""
    told = schema.get("patternProperties")
    return [one for pattern, one in told.items() if jsonschema_rs.is_valid({"pattern": pattern}, name)] if told else []


def without_fields(schema: Any, path: Sequence[str]) -> tuple[int, str] | None:
    """Where a path asks a field of what surely has none: (position in the path, its JSON type); None where it does not."""
    for position in range(len(path)):
        kinds = schema_at(schema, path[:position]).get("type", ())
        left = [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null"]
        if len(left) == 1 and left[0] != "object" and path[position] != "[]":
            return position, left[0]
    return None


def schema_at(schema: Any, path: Sequence[str]) -> dict[str, Any]:
    """The schema of what a path leads to; {} where nothing is said of it. ``$defs`` of the root are kept."""
    here, root = resolve(schema, schema), schema
    for piece in path:
        inner = here.get("items", {}) if piece == "[]" else _field_of(here, piece)
        root = _root(inner, root)
        here = resolve(inner, root)
    return {**here, **({"$defs": root["$defs"]} if here and "$defs" in root else {})}


def _root(schema: Any, root: Any) -> Any:
    """Where references of a schema lead that stands in another: it may have been one by itself before rules put both together."""
    return schema if isinstance(schema, dict) and "$defs" in schema else root


def _field_of(schema: Mapping[str, Any], name: str) -> Any:
    """The schema of a field, by its name or as the value of a map; {} where nothing is said of it."""
    fields = schema.get("properties", {})
    if name in fields or "patternProperties" in schema:
        return fields.get(name, {})
    others = schema.get("additionalProperties")
    return others if isinstance(others, dict) else {}


def lacks(schema: Any, path: Sequence[str], asked: Collection[Sequence[str]]) -> str:
    """Why a value of a schema may have nothing at a path: ``missing`` or ``null``; empty where it is surely there, or nothing is said.

    One that only some alternatives have is there where somebody asks about its neighbours (``asked``: their paths): so is found out
    which alternative it is.
    """
    here, root = resolve(schema, schema), schema
    for position, piece in enumerate(path):
        sifted = [(*path[:position], *one) for one in here.get(SIFTED, ())]
        if any(tuple(path[: len(one)]) == one for one in sifted):
            return ""
        asked = [*asked, *sifted]
        if piece in here.get(SOMETIMES, ()) and any(len(one) > position and one[:position] == path[:position] for one in asked):
            return ""
        inner = here.get("items", {}) if piece == "[]" else here.get("properties", {}).get(piece)
        if inner is None:
            return ""
        root = _root(inner, root)
        if piece != "[]" and piece not in here.get("required", ()):
            return "missing"
        if piece != "[]" and takes_null(inner, root):
            return "null"
        here = resolve(inner, root)
    return ""


def leads_to_null(schema: Any, path: Sequence[str]) -> bool:
    """Whether what stands at the end of a path may be null, where it is there."""
    holder = schema_at(schema, path[:-1]) if path else {}
    inner = holder.get("items") if path[-1:] == ("[]",) else holder.get("properties", {}).get(path[-1]) if path else None
    return inner is not None and takes_null(inner, _root(inner, holder))


def conditions_of(schema: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What a schema asks by ``if``, each with its ``then`` and ``else``."""
    told: Sequence[Mapping[str, Any]] = schema.get(CONDITIONS) or ([schema] if "if" in schema else [])
    return told


def decided(condition: Mapping[str, Any], there: Collection[str], literals: Mapping[str, JsonValue]) -> Mapping[str, Any]:
    """The side of a condition that counts for an object with these fields; {} where this cannot be said of its ``literals`` alone."""
    asked = condition["if"]
    if not isinstance(asked, dict) or not asked.keys() <= {"properties", "required", "type"}:
        return {}
    if any("$ref" in one for one in shapes_within(asked)):  # it leads out of the condition
        return {}
    if any(name in there and name not in literals for name in asked.get("properties", ())):
        return {}
    value = {**dict.fromkeys(set(there).intersection(asked.get("required", ()))), **literals}
    side = condition.get("then" if jsonschema_rs.is_valid(asked, value) else "else", {})
    return side if isinstance(side, dict) else {}


def takes_null(schema: Any, root: Any) -> bool:
    """Whether null is a value of a schema."""
    inner, nullable = resolved(schema, root)
    kinds = inner.get("type")
    return nullable or kinds == "null" or (isinstance(kinds, list) and "null" in kinds) or None in inner.get("enum", ())


def outside(value: JsonValue, schema: Mapping[str, Any]) -> str:
    """Which limit of its schema a literal does not keep (``must have at most 3 characters``); empty when it keeps all.

    Its type, and whether it is one of an enumeration, are other questions.
    """
    if isinstance(value, str):
        size, what, word = len(value), "characters", "Length"
        if "pattern" in schema and not jsonschema_rs.is_valid({"pattern": schema["pattern"]}, value):
            return f"must match the pattern {schema['pattern']}"
        form = str(schema.get("format", ""))
        if form and not jsonschema_rs.is_valid({"format": form}, value, validate_formats=True):
            return f"must be {_FORMS.get(form, form)}"
    elif isinstance(value, list):
        size, what, word = len(value), "items", "Items"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        crossed = (one for one in _BOUNDS if one in schema and not jsonschema_rs.is_valid({one: schema[one]}, value))
        return next((_BOUNDS[one].format(schema[one]) for one in crossed), "")
    else:
        return ""
    least, most = schema.get(f"min{word}", 0), schema.get(f"max{word}", size)
    if size < least:
        return "must not be empty" if size == 0 else f"must have at least {least} {what}"
    return f"must have at most {most} {what}" if size > most else ""
