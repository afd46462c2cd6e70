"""The rows of tables that the macros of an expression surely go over: all of them add up to what one expression may go over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from bus.expression.nodes import calls, is_binding, kind_of, plain_children_of, table_of

Walk: TypeAlias = tuple[tuple[str, ...], ...]
"""Tables whose rows are gone through in one evaluation. Several in one place, one within the other: their rows are multiplied."""


def walks_of(node: Any) -> Iterator[Walk]:
    """What an expression goes over whenever it is evaluated, and each of its parts that only some values reach, whenever that is."""
    later: list[Any] = []
    if found := tuple(_walked(node, later)):
        yield found
    for part in later:
        yield from walks_of(part)


def _walked(node: Any, later: list[Any]) -> Iterator[tuple[str, ...]]:
    kind = kind_of(node)
    if kind == "comprehension" and not is_binding(fold := node.comprehension):
        yield from _walked(fold.iter_range, later)
        rows = _rows_of(fold.iter_range)
        if rows and fold.loop_condition.const.bool_value:  # `exists` and `all` may know the answer before the last
            yield rows
            yield from ((*rows, *inner) for inner in _walked(fold.loop_step, later))
        else:
            later.append(fold.loop_step)
    elif calls(node, "_&&_", "_||_", "_?_:_", "orValue"):
        first, *others = [node.call.target, *node.call.args] if node.call.function == "orValue" else node.call.args
        later += others
        yield from _walked(first, later)
    else:
        for child in plain_children_of(node, kind):
            yield from _walked(child, later)


def _rows_of(node: Any) -> tuple[str, ...]:
    """The table of which a list has an item for each row; empty where it may have fewer, or others."""
    while kind_of(node) == "comprehension" and not is_binding(node.comprehension) and calls(node.comprehension.loop_step, "_+_"):
        node = node.comprehension.iter_range  # `map`, which asks nothing
    table = table_of(node)
    return (table,) if table else ()
