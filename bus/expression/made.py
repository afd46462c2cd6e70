"""The shape of what an expression writes out: objects, lists, and what ``map`` makes, as far as its text tells; and the values in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from bus.expression.nodes import (
    Bound,
    asked_of_items,
    bound_within,
    calls,
    fields_of,
    is_binding,
    is_null,
    kind_of,
    listed_in,
    path_of,
    word_of,
    written_in,
)
from bus.expression.reading import Side, Told

OF_PATH = "x-of-path"
"""Stands for the schema of what is found at a path: who knows the names of the place fills it in."""

OF_ROW = "x-of-row"
"""Stands for the schema of a row of a table, or of what a path in it leads to: the name of the table, and that path."""

ASKED = "x-asked"
"""Beside `OF_PATH`, of an item that a filter kept: what that has asked of it, as paths below it."""

NO_ITEMS: dict[str, Any] = {"type": "array", "maxItems": 0}
"""A list that is written out and holds nothing: what its items would be is said by what it may be elsewhere."""
_PRIMITIVES = {1: "boolean", 2: "integer", 4: "number", 5: "string"}
"""CEL's numbers of types that JSON has, too."""


_OURS = {"type", "properties", "required", "additionalProperties", "items", "maxItems", OF_PATH, OF_ROW}


@dataclass(frozen=True, slots=True)
class Made:
    """Reads shapes off the nodes of one checked expression; ``types`` has what CEL says of each, by its id."""

    types: Mapping[int, Any]

    def shape(self, node: Any) -> dict[str, Any]:
        """The schema of what the whole expression writes out, joins, chooses, or makes with ``map``; {} of anything else."""
        if self._puts_together(node) or calls(node, "distinct"):
            found = self._shape(node, {})
            return found if "type" in found and found.get("items") != {} else {}
        return self._shape(node, {}) if kind_of(node) in {"struct", "comprehension", "list", "const"} else {}

    def values(self, node: Any, positions: Mapping[int, int], path: tuple[str, ...] = ()) -> Iterator[Told]:
        """The values, written out, between which ``? :`` chooses, that ``default`` or `orValue` gives for none, or that objects and lists
        hold which are written out.
        """
        for side, way in self._parts(node):
            below = (*path, *way)
            word = word_of(side)
            if word or is_null(side):
                yield Told(getattr(side.const, word) if word else None, positions[side.id], below)
            yield from self.values(side, positions, below)

    def sides(self, node: Any, *, spared: bool = False) -> Iterator[Side]:
        """What it knows of each of the values between which an expression chooses, and of each of the lists that it joins."""
        if calls(node, "_?_:_"):
            values = [(side, spared) for side in node.call.args[1:]]
        elif calls(node, "orValue"):
            values = [(node.call.target, spared), (node.call.args[0], spared)]
        elif calls(node, "default"):
            values = [(node.call.args[0], True), (node.call.args[1], spared)]
        elif self._puts_together(node):
            values = [(side, spared) for side in node.call.args]
        else:
            kind = "number" if calls(node, "number") else "null" if is_null(node) else ""
            yield Side({"type": kind} if kind else self._shape(node, {}), spared)
            return
        for side, of_none in values:
            yield from self.sides(side, spared=of_none)

    def _parts(self, node: Any) -> Iterator[tuple[Any, tuple[str, ...]]]:
        """What a node gives as it is, or as a part of what it gives, and the way to it."""
        kind = kind_of(node)
        if calls(node, "_?_:_", "default", "orValue"):
            yield from ((side, ()) for side in (node.call.args if node.call.function == "orValue" else node.call.args[1:]))
        elif kind == "list":
            yield from ((one, ("[]",)) for one in node.list.elements)
        elif kind == "struct":
            named = ((written_in(entry.map_key), entry.value) for entry in node.struct.entries)
            yield from ((value, (name,)) for name, value in named if name is not None)
        elif kind == "comprehension":
            yield from ((one, ("[]",)) for one in _added(node.comprehension))
        elif self._puts_together(node):
            yield from ((side, ()) for side in node.call.args)

    def _puts_together(self, node: Any) -> bool:
        """Whether it joins two lists, or chooses between objects or lists."""
        said = self.types.get(node.id) if calls(node, "_+_", "_?_:_") else None
        return said is not None and (said.HasField("list") or (said.HasField("map") and calls(node, "_?_:_")))

    def _shape(self, node: Any, bound: Bound) -> dict[str, Any]:
        kind = kind_of(node)
        if kind == "struct":
            return self._object(node.struct.entries, bound)
        if kind == "list":
            return list_of([self._shape(one, bound) for one in node.list.elements])
        if (listed := listed_in(node)) is not node:
            return self._kept(node, listed, bound)
        if kind == "comprehension":
            return self._mapped(node.comprehension, bound)
        if self._puts_together(node):
            return _joined(*(self._shape(side, bound) for side in node.call.args[-2:]))
        if path := path_of(node, bound):
            return {OF_PATH: path}
        if row := _row(node):
            return {OF_ROW: row}
        said = self.types.get(node.id)
        word = _PRIMITIVES.get(said.primitive, "") if said is not None else ""
        return {"type": word} if word else {}

    def _object(self, entries: Any, bound: Bound) -> dict[str, Any]:
        named = [(written_in(entry.map_key), entry) for entry in entries]
        if any(name is None for name, _ in named):
            return {}
        sure = [name for name, entry in named if not entry.optional_entry]
        fields = {name: self._shape(entry.value, bound) for name, entry in named}
        return {"type": "object", "properties": fields, "required": sure, "additionalProperties": False}

    def _kept(self, node: Any, listed: Any, bound: Bound) -> dict[str, Any]:
        """Some items of a list, as they are."""
        if path := path_of(listed, bound):
            asked = sorted(map(list, set(asked_of_items(node))))
            return {"type": "array", "items": {OF_PATH: (*path, "[]"), **({ASKED: asked} if asked else {})}}
        return self._shape(listed, bound)

    def _mapped(self, node: Any, bound: Bound) -> dict[str, Any]:
        """What ``map`` makes of each item; {} of the other macros."""
        added = _added(node)
        return list_of([self._shape(added[0], bound_within(node, bound))]) if len(added) == 1 else {}


def _row(node: Any) -> tuple[str, ...]:
    """The table in whose row a node looks for something, and the path to it there; empty where it does not, or computes which."""
    found, fields = fields_of(node, ("lookup",))
    texts = [written_in(one) for one in found.call.args] if found is not None else []
    if not texts or None in (texts[0], *texts[2:]):
        return ()
    return (str(texts[0]), *map(str, texts[2:]), *fields)


def _added(node: Any) -> list[Any]:
    """What ``map`` adds for each item; nothing of the other macros."""
    step = node.loop_step
    while calls(step, "_?_:_"):  # map(x, condition, value)
        step = step.call.args[1]
    return [] if not calls(step, "_+_") or is_binding(node) else list(step.call.args[1].list.elements)


def list_of(items: list[dict[str, Any]]) -> dict[str, Any]:
    """The schema of a list that is written out: of its items what all have in common, where they are alike, or objects and lists that are
    written out, too.
    """
    if not items:
        return NO_ITEMS
    alike = all(one == items[0] for one in items)
    return {"type": "array", "items": items[0] if alike else reduce(_joined, items) if all(map(_is_written, items)) else {}}


def _is_written(schema: dict[str, Any]) -> bool:
    """Whether a schema is one of this module, and none of a contract, whose parts may be named within it."""
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    closed = schema.get("type") != "object" or schema.get("additionalProperties") is False
    return closed and schema.keys() <= _OURS and all(map(_is_written, inner))


def _joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What two shapes have in common; {} where nothing is known of one of them."""
    if other in (one, NO_ITEMS):
        return one
    if one == NO_ITEMS:
        return other
    if one.get("type") != other.get("type") or "type" not in one:
        return {}
    if one["type"] == "array":
        return {"type": "array", "items": _joined(one.get("items", {}), other.get("items", {}))}
    fields, others = one.get("properties", {}), other.get("properties", {})
    both = {name: _joined(fields.get(name, others.get(name)), others.get(name, fields.get(name))) for name in {**fields, **others}}
    return {**one, "properties": both, "required": [name for name in one.get("required", ()) if name in other.get("required", ())]}
