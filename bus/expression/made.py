"""The shape of what an expression writes out: objects, lists, and what ``map`` makes, as far as its text tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bus.expression.nodes import Bound, bound_within, calls, is_binding, kind_of, path_of, written_in

OF_PATH = "x-of-path"
"""Stands for the schema of what is found at a path: who knows the names of the place fills it in."""

_PRIMITIVES = {1: "boolean", 2: "integer", 4: "number", 5: "string"}
"""CEL's numbers of types that JSON has, too."""


@dataclass(frozen=True, slots=True)
class Made:
    """Reads shapes off the nodes of one checked expression; ``types`` has what CEL says of each, by its id."""

    types: Mapping[int, Any]

    def shape(self, node: Any) -> dict[str, Any]:
        """The schema of what the whole expression writes out, or makes with ``map``; {} of anything else."""
        return self._shape(node, {}) if kind_of(node) in {"struct", "comprehension", "list", "const"} else {}

    def _shape(self, node: Any, bound: Bound) -> dict[str, Any]:
        kind = kind_of(node)
        if kind == "struct":
            return self._object(node.struct.entries, bound)
        if kind == "list":
            return _list_of([self._shape(one, bound) for one in node.list.elements])
        if kind == "comprehension":
            return self._mapped(node.comprehension, bound)
        if path := path_of(node, bound):
            return {OF_PATH: path}
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

    def _mapped(self, node: Any, bound: Bound) -> dict[str, Any]:
        """What ``map`` makes of each item; {} of the other macros."""
        step = node.loop_step
        while calls(step, "_?_:_"):  # map(x, condition, value)
            step = step.call.args[1]
        if not calls(step, "_+_") or is_binding(node):
            return {}
        added = step.call.args[1].list.elements
        return _list_of([self._shape(added[0], bound_within(node, bound))]) if len(added) == 1 else {}


def _list_of(items: list[dict[str, Any]]) -> dict[str, Any]:
    """The schema of a list: what all items have in common is said where they are alike."""
    alike = bool(items) and all(one == items[0] for one in items)
    return {"type": "array", "items": items[0] if alike else {}}
