"""Two JSON values compared field by field."""

from __future__ import annotations

from collections.abc import Iterator

from bus.message import JsonValue

MISSING: JsonValue = {"": "nothing"}
"""Stands for a field that is not there; compare by identity."""


def changes(before: JsonValue, after: JsonValue, field: str = "") -> Iterator[tuple[str, JsonValue, JsonValue]]:
    """Each field that differs, with what it was and what it is (`MISSING` for what is not there); what one side lacks is one."""
    if isinstance(before, dict) and isinstance(after, dict) and before is not MISSING and after is not MISSING:
        for name in [*before, *(name for name in after if name not in before)]:
            inner = f"{field}.{name}" if field else name
            yield from changes(before.get(name, MISSING), after.get(name, MISSING), inner)
    elif isinstance(before, list) and isinstance(after, list):
        for position in range(max(len(before), len(after))):
            yield from changes(_item(before, position), _item(after, position), f"{field}[{position}]")
    elif before is not after and (type(before) is not type(after) or before != after):
        yield field, before, after


def _item(values: list[JsonValue], position: int) -> JsonValue:
    return values[position] if position < len(values) else MISSING
