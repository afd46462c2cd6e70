"""The codes that conditions on the way to a place leave of those of a contract: they are tried on each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bus.expression import Expression
from bus.mapping.template import Used
from bus.route.doubts import clauses_before, conditions_above
from bus.route.known import Known
from bus.route.values import Values
from bus.route.ways import Taken, nested, situations_of, tried
from bus.source import Pointer


def codes_left(used: Used, path: tuple[str, ...], codes: Sequence[Any], values: Values) -> list[Any]:
    """Those that a path may still lead to where an expression stands. What no condition asks about stays."""
    asked = [(found.expression, holds) for place, holds in _conditions(used.pointer, values) if (found := values.by_pointer.get(place))]
    told = [(when, holds) for when, holds in asked if path in {one.path for one in when.reads.compared}]
    names = {name: values.named(name, used) for name in {name for when, _ in told for name in when.names}}
    return [code for code in codes if all(_may(when, _situations(when, names, path, code), holds) for when, holds in told)]


def _conditions(place: Pointer, values: Values) -> Iterator[tuple[Pointer, bool]]:
    """The conditions that hold at a place, and those that do not: of clauses before its own, and of steps that would have ended the run."""
    yield from ((one, True) for one in conditions_above(place))
    yield from ((one, False) for one in clauses_before(place, values.by_pointer))
    for one in values.ended:
        step = one[: one.index("choose", len(one) - 3)] if one[-3] == "choose" else one[:-1]
        *block, position = step
        here = place[len(block)] if place[: len(block)] == tuple(block) and len(place) > len(block) else None
        if isinstance(here, int) and isinstance(position, int) and here > position:
            yield one, False


def _situations(when: Expression, names: Mapping[str, Known], path: tuple[str, ...], code: Any) -> list[dict[str, Any]]:
    """Situations in which a path has a code, or one in which nothing else has a value: where no question would be answered by that."""
    others = [one for one in when.reads.references if one.path != path[: len(one.path)]]
    if others and (any(one.tested for one in others) or ".?" in when.text or "[?" in when.text):
        return [one for one in situations_of(when, names) if _at(one, path) == code]
    return [nested({path: code})]


def _may(when: Expression, situations: Sequence[dict[str, Any]], holds: bool) -> bool:
    """Whether a condition holds, or does not, in one of some situations. Where none can be told, a condition above is taken to know."""
    if not situations:
        return not holds
    return any(tried([when], one) != Taken(None if holds else 0, False) for one in situations)


def _at(situation: Any, path: tuple[str, ...]) -> Any:
    for piece in path:
        situation = situation.get(piece) if isinstance(situation, dict) else None
    return situation
