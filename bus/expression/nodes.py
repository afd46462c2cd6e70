"""What the nodes of a checked expression (`bus.expression.tree`) are: their kinds, the paths they read, the lists they give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Bound: TypeAlias = "Mapping[str, tuple[str, ...] | None]"
"""For each variable of a comprehension, the path that it is an item of, or stands for; None where that is computed."""

_KINDS = ("const", "ident", "select", "call", "list", "struct", "comprehension")


def written_in(node: Any) -> str | None:
    """What is written out, as text: a table is asked for a number as it is for its digits."""
    if kind_of(node) != "const":
        return None
    return str(node.const.int64_value if node.const.HasField("int64_value") else node.const.string_value)


def kind_of(node: Any) -> str:
    for kind in _KINDS:
        if node.HasField(kind):
            return kind
    return ""


def calls(node: Any, *functions: str) -> bool:
    """Whether a node is the call of one of these functions or operators."""
    return kind_of(node) == "call" and node.call.function in functions


def binds(node: Any, child: Any) -> bool:
    """``cel.bind`` may give a name to an optional; what is done with the name is seen at the name."""
    return is_binding(node) and child.id in {node.accu_init.id, node.loop_step.id}


def is_binding(node: Any) -> bool:
    return node.iter_var == "#unused" or (kind_of(node.iter_range) == "list" and not node.iter_range.list.elements)


def children_of(node: Any) -> Iterator[Any]:
    kind = kind_of(node)
    if kind == "select":
        yield node.select.operand
    elif kind == "call":
        if node.call.HasField("target"):
            yield node.call.target
        yield from node.call.args
    elif kind == "list":
        yield from node.list.elements
    elif kind == "struct":
        for entry in node.struct.entries:
            if entry.HasField("map_key"):
                yield entry.map_key
            yield entry.value


def plain_children_of(node: Any, kind: str) -> Iterator[Any]:
    """The children that are used as plain values: not the ones marked with ``?`` in a list or map."""
    if kind == "list":
        marked = set(node.list.optional_indices)
        yield from (child for position, child in enumerate(node.list.elements) if position not in marked)
    elif kind == "struct":
        yield from (entry.value for entry in node.struct.entries if not entry.optional_entry)
    elif kind == "comprehension":
        part = node.comprehension
        yield from (part.iter_range, part.accu_init, part.loop_condition, part.loop_step, part.result)
    else:
        yield from children_of(node)


def path_of(node: Any, bound: Bound) -> tuple[str, ...] | None:
    """The path a node reads; () when it starts at a computed variable, None when it is no path."""
    kind = kind_of(node)
    if kind == "ident":
        name = node.ident.name.lstrip(".")
        if name in bound:
            return bound[name] or ()
        return (name,)
    if kind == "select":
        return longer(path_of(node.select.operand, bound), node.select.field)
    if kind == "call" and node.call.function in {"_?._", "_[_]", "_[?_]"}:
        base, index = node.call.args
        constant = index.const.string_value if kind_of(index) == "const" else ""
        return longer(path_of(base, bound), constant or "[]")
    return None


def bound_within(node: Any, bound: Bound) -> dict[str, tuple[str, ...] | None]:
    """``bound`` within a comprehension, whose variable is an item of what it runs over."""
    over = path_of(listed_in(node.iter_range), bound)
    inner = {**bound, node.iter_var: (*over, "[]") if over else None, node.accu_var: None}
    if is_binding(node):  # cel.bind(name, value, expression): the name stands for the value
        inner[node.accu_var] = path_of(node.accu_init, bound) or None
    return inner


def fields_of(node: Any, functions: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """The call of one of some functions of which a node reads fields, and which; None where it reads something else."""
    fields: tuple[str, ...] = ()
    while kind_of(node) == "select" and not node.select.test_only:
        node, fields = node.select.operand, (node.select.field, *fields)
    return (node if calls(node, *functions) else None), fields


def or_none(node: Any) -> Any:
    """The list in ``list.orValue([])``, or in ``default(list, [])`` that takes null for none, too; any other node as it is."""
    if not calls(node, "orValue", "default") or kind_of(other := node.call.args[-1]) != "list" or other.list.elements:
        return node
    return or_other(node)


def or_other(node: Any) -> Any:
    """What `orValue`, or `default` that takes null for none, too, has another value for."""
    inner = node.call.args[0] if node.call.function == "default" else node.call.target
    return inner.call.target if calls(inner, "orValue") and is_null(inner.call.args[0]) else inner


def is_null(node: Any) -> bool:
    """Whether null is written out."""
    return kind_of(node) == "const" and bool(node.const.HasField("null_value"))


def word_of(node: Any) -> str:
    """The kind of a value that is written out, as its node calls it; empty of null, and of anything else."""
    words = ("int64_value", "double_value", "string_value", "bool_value") if kind_of(node) == "const" else ()
    return next((word for word in words if node.const.HasField(word)), "")


def table_of(node: Any) -> str | None:
    """The table all of whose rows a node gives, where it is written out."""
    return written_in(node.call.args[0]) if calls(node, "rows") else None


def listed_in(node: Any) -> Any:
    """The list in ``list.filter(...)``, ``distinct(list)``, ``list.orValue([])`` and ``default(list, [])``, whose items it has; any other
    node as it is.
    """
    while True:
        inner = _as_it_is(node)
        if kind_of(node) == "comprehension" and _sifts(node.comprehension):
            inner = node.comprehension.iter_range
        if inner is node:
            return node
        node = inner


def _as_it_is(node: Any) -> Any:
    """The list in ``distinct(list)``, ``list.orValue([])`` and ``default(list, [])``; any other node as it is."""
    return node.call.args[0] if calls(node, "distinct") else or_none(node)


def is_or_none(node: Any) -> bool:
    """Whether another list, without items, stands for one that may not be there, behind some filters or none."""
    while calls(node, "distinct") or (kind_of(node) == "comprehension" and _sifts(node.comprehension)):
        node = node.call.args[0] if kind_of(node) == "call" else node.comprehension.iter_range
    return or_none(node) is not node


def asked_of_items(node: Any) -> Iterator[tuple[str, ...]]:
    """What the filters through which a list goes, or one of two that are joined, ask of each item: paths below it."""
    if calls(node, "_+_"):
        for side in node.call.args:
            yield from asked_of_items(side)
    elif kind_of(node) == "comprehension" and _sifts(node.comprehension):
        part = node.comprehension
        yield from _paths_from(part.iter_var, part.loop_step.call.args[0])
        yield from asked_of_items(part.iter_range)
    elif (inner := _as_it_is(node)) is not node:
        yield from asked_of_items(inner)


def _paths_from(name: str, node: Any) -> Iterator[tuple[str, ...]]:
    """The paths below a variable that a node reads."""
    path = path_of(node, {})
    if path is not None and path[:1] == (name,):
        yield path[1:]
    for child in plain_children_of(node, kind_of(node)) if not path else ():
        yield from _paths_from(name, child)


def items_of(node: Any) -> list[tuple[str, ...]]:
    """The paths of which each item of a list is one, where all are: of some items of a list, of those written out, of two lists joined."""
    if calls(node, "_+_"):
        sides = [items_of(side) for side in node.call.args]
        return sides[0] + sides[1] if all(sides) else []
    written = [path_of(one, {}) for one in node.list.elements] if kind_of(node) == "list" else [longer(path_of(listed_in(node), {}), "[]")]
    return [path for path in written if path] if all(written) else []


def _sifts(node: Any) -> bool:
    """Whether a comprehension is a ``filter``: it keeps each item as it is, or not."""
    step = node.loop_step
    if is_binding(node) or not calls(step, "_?_:_"):
        return False
    kept = step.call.args[1]
    if not calls(kept, "_+_") or len(kept.call.args[1].list.elements) != 1:
        return False
    item = kept.call.args[1].list.elements[0]
    return kind_of(item) == "ident" and bool(item.ident.name == node.iter_var)


def longer(base: tuple[str, ...] | None, piece: str) -> tuple[str, ...] | None:
    if not base:
        return base
    return (*base, piece)


def indexes_of(node: Any) -> Iterator[tuple[Any, Any]]:
    """The holders in a path of which an item is asked, each with the place, or the key, of that item."""
    while True:
        kind = kind_of(node)
        if kind == "select":
            node = node.select.operand
        elif kind == "call":
            node, index = node.call.args
            yield node, index
        else:
            return
