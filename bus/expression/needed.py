"""Which parts of its scope an expression reads. CEL converts whatever it is given at every evaluation: a list of ten thousand items, too,
of which nothing is asked, and again for each item of another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from bus.expression.nodes import calls, children_of, kind_of, plain_children_of

Needed: TypeAlias = "dict[str, Needed] | None"
"""The names within a value that are read, each with what is read of it; None: the whole value."""


def needed(node: Any) -> dict[str, Needed]:
    """What a checked expression reads of each name. Of the variables of comprehensions, too, as if they were names of the scope."""
    found: dict[str, Needed] = {}
    _note(node, found)
    return found


def part(value: Any, wanted: Needed) -> Any:
    """That part of a value. What is no map is left as it is: an expression that asks it for a name fails in CEL's own words."""
    if wanted is None or value.__class__ is not dict:
        return value
    return {name: part(value[name], inner) for name, inner in wanted.items() if name in value}


def _note(node: Any, found: dict[str, Needed]) -> None:
    path = _path(node)
    if path is None:
        for child in _children(node):
            _note(child, found)
        return
    *way, last = path
    level = found
    for piece in way:
        inner = level.setdefault(piece, {})
        if inner is None:
            return
        level = inner
    level[last] = None


def _path(node: Any) -> tuple[str, ...] | None:
    """The names by which a node reads a value, all of them written out; None where it is something else."""
    kind = kind_of(node)
    if kind == "ident":
        return (str(node.ident.name).lstrip("."),)
    if kind == "select":
        holder, piece = node.select.operand, str(node.select.field)
    elif calls(node, "_?._", "_[_]", "_[?_]") and node.call.args[1].const.HasField("string_value"):
        holder, piece = node.call.args[0], str(node.call.args[1].const.string_value)
    else:
        return None
    before = _path(holder)
    return None if before is None else (*before, piece)


def _children(node: Any) -> Iterator[Any]:
    kind = kind_of(node)
    yield from plain_children_of(node, kind) if kind == "comprehension" else children_of(node)
