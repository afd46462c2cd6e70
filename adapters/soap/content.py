"""What zeep makes of the sequences and choices within a type, mended (`mend`).

========================== ================================================================================================================
one within another         as it stands there: zeep reads its elements as if they stood in the outer one, so that none may be left out, nor
                           come again, and gives the values of all groups that come several times to the first
a sequence left out        is left out where nothing of it is said
branches of a choice       ``false``, ``0`` and an empty text are said: zeep reads none of them, and writes nothing for them. Of two that
                           are said it writes the first and forgets the other: here that is refused
========================== ================================================================================================================
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, cast

from zeep.exceptions import UnexpectedElementError
from zeep.xsd.const import NotSet
from zeep.xsd.elements.indicators import All, Choice, Group, Indicator, OrderIndicator, Sequence

from adapters.soap.xml import Element

_SAID = 2
"""The weight of what is neither missing (0) nor empty (1)."""


class Ambiguous(ValueError):
    """A part of a type would be read as another."""


def _read(group: Any, xmlelements: deque[Element], schema: Any, name: str | None = None, context: Any = None) -> Any:
    """The values of a sequence or group; takes its elements from the first of those that are there."""
    there, found = xmlelements, list[dict[str, Any]]()
    values: dict[str, Any] = {}
    while there and (group.max_occurs == "unbounded" or len(found) < group.max_occurs):
        first, before = there[0], len(there)
        try:
            values = _read_once(group, there, schema, context)
        except UnexpectedElementError:
            if len(found) < group.min_occurs:
                raise
            _put_back(there, first, before - len(there))
        if len(there) == before:
            break
        found.append(values)
    return {name: found} if group.accepts_multiple else found[0] if found else None


def _put_back(there: deque[Element], first: Element, number: int) -> None:
    """As many siblings as were taken from those that are there, from the first on."""
    taken = list(itertools.islice(itertools.chain([first], first.itersiblings()), number))
    there.extendleft(reversed(taken))


def _read_once(group: Any, there: deque[Element], schema: Any, context: Any) -> dict[str, Any]:
    if isinstance(group, Group):
        return group.child.parse_xmlelements(there, schema, None, context=context) or {}
    values: dict[str, Any] = {}
    for name, one in group.elements_nested:
        if there:
            said = one.parse_xmlelements(there, schema, name, context=context)
            read = (said or {}) if _is_several(one) else {name: said}
            if values.keys() & read.keys():
                raise Ambiguous("its contract has two parts of one type that cannot be told apart")
            values |= read
    return values


def _is_several(part: Any) -> bool:
    """Whether it is no element."""
    return isinstance(part, Indicator)


def _given(indicator: Any, given: Mapping[str, Any], name: str | None, left: set[str]) -> dict[str, Any]:
    """What is given of the elements of a sequence or choice, by its name where it may come several times; takes that from ``left``."""
    if not indicator.accepts_multiple:
        return _given_once(indicator, given, left)
    if name not in left:
        return {}
    left.remove(name)
    items = given[name] if isinstance(given[name], list) else [] if given[name] is None else [given[name]]
    return {name: [_given_item(indicator, one) for one in items]}


def _given_item(indicator: Any, item: Any) -> dict[str, Any]:
    if not hasattr(item, "keys"):
        raise TypeError("what comes several times is a list of objects")
    left = set(item.keys())
    found = _given_once(indicator, item, left)
    if left:
        raise TypeError(f"an object of a list got an unexpected keyword argument {min(left)!r}")
    return found


def _given_once(indicator: Any, given: Mapping[str, Any], left: set[str]) -> dict[str, Any]:
    if isinstance(indicator, Choice):
        return _chosen(indicator, given, left)
    found: dict[str, Any] = {}
    for name, one in indicator.elements_nested:
        part = one.parse_kwargs(given, name, left) or {}
        found |= {own: value for own, value in part.items() if value is not None or own not in found}
    return found


def _chosen(choice: Any, given: Mapping[str, Any], left: set[str]) -> dict[str, Any]:
    """The values of the one branch of which most is said, or the first of such, and None for the others.

    What another one says stays in ``left``, which zeep refuses; but for what is empty, since that says nothing beside what is not.
    """
    branches = [one.parse_kwargs(given, name, set(left)) or {} for name, one in choice.elements_nested]
    best = max(branches, key=_weight_of_all, default={})
    others = {name: value for branch in branches for name, value in branch.items() if name not in best}
    left -= best.keys() | {name for name, value in others.items() if _weight(value) < _SAID}
    return dict.fromkeys(name for name, _ in choice.elements) | best


def _weight(value: Any) -> int:
    if value is None or value == []:
        return 0
    return 1 if isinstance(value, (str, bytes, dict)) and not value else _SAID


def _weight_of_all(values: Mapping[str, Any]) -> tuple[int, int]:
    weights = [_weight(value) for value in values.values()]
    return weights.count(_SAID), weights.count(1)


def _accepted(indicator: Any, given: Any) -> int:
    """How much of it is given."""
    several = given if indicator.accepts_multiple and isinstance(given, list) else [given]
    told = max if isinstance(indicator, Choice) else sum
    return max((told([*_told(indicator, one)] or [0]) for one in several if one is not None), default=0)


def _told(indicator: Any, given: Any) -> Iterator[int]:
    for name, one in indicator.elements_nested:
        there = name is None or name in given  # zeep's values have no `get`
        value = (given if name is None else given[name]) if there else None
        yield one.accept(value) if _is_several(one) else int(value is not None)


def _write(sequence: Any, parent: Element, value: Any, path: Any, usual: Any = OrderIndicator.render) -> None:
    given = [one for one in (value if isinstance(value, list) else [value]) if one is not None and one is not NotSet]
    said = any(_weight(one[name]) for one in given for name, _ in sequence.elements if name in one)
    if said or (given and not sequence.is_optional):
        usual(sequence, parent, given, path)


def _write_choice(choice: Any, parent: Element, value: Any, path: Any, usual: Any = Choice.render) -> None:
    if value is not None and value is not NotSet:
        usual(choice, parent, value, path)


def _default(indicator: Any) -> Any:
    """What is said of it where nothing is given."""
    if indicator.accepts_multiple:
        return []
    return {} if isinstance(indicator, Choice) else {name: one.default_value for name, one in indicator.elements}


def mend() -> None:
    """Change zeep."""
    for kind in cast(Any, (All, Choice, Sequence)):
        kind.parse_kwargs, kind.accept = _given, _accepted
    cast(Any, Sequence).render, cast(Any, Choice).render = _write, _write_choice
    for kind in cast(Any, (Group, Sequence)):
        kind.parse_xmlelements = _read
    for kind in cast(Any, (All, Choice, Group, Sequence)):
        kind.default_value = property(_default)
