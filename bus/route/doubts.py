"""What may be missing where a value is read: gathered while a route is checked, told when it is known what follows from another mistake."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, islice, takewhile

from bus.mapping.template import Used
from bus.source import Pointer

_NULL = re.compile(r"\bnull\b")


def conditions_above(place: Pointer) -> Iterator[Pointer]:
    """The places of each `when`, and `$when`, that a place may stand under."""
    return ((*place[:end], word) for end in range(len(place)) for word in ("when", "$when"))


def conditions_before(place: Pointer, by_pointer: Mapping[Pointer, Used]) -> Iterator[Used]:
    """The conditions that a place stands under, and those of the clauses that were tried before its own."""
    for pointer in (*conditions_above(place), *clauses_before(place, by_pointer)):
        if (found := by_pointer.get(pointer)) is not None:
            yield found


def clauses_before(place: Pointer, by_pointer: Container[Pointer]) -> Iterator[Pointer]:
    """The places of the conditions of the clauses before the one that a place stands in; before `otherwise` are all of them."""
    for end, part in enumerate(place[:-1]):
        if part in {"choose", "otherwise"}:
            number = place[end + 1] if part == "choose" else None
            whens = ((*place[:end], "choose", earlier, "when") for earlier in count())
            yield from takewhile(by_pointer.__contains__, islice(whens, number if isinstance(number, int) else None))


def kept_nulls(used: Used, others: Collection[Used]) -> Iterator[tuple[str, ...]]:
    """The paths whose null ``orValue`` would give on, where neither the expression nor a condition of ``others`` asks in another way."""
    for path in dict.fromkeys(one.path for one in used.reads.references if one.kept):
        asking = (used, *(one for one in others if one.is_condition))
        if all(one.path != path or one.kept or one.same or one.tested for asked in asking for one in asked.reads.references):
            yield path


def asked_by_has(path: tuple[str, ...], asking: Iterable[Used]) -> bool:
    """Whether some expression asks whether there is a path, and none asks more of it: it may be null all the same."""
    found = [one for used in asking for one in used.reads.references if one.path == path and not one.bare]
    return bool(found) and all(one.tested for one in found)


def asked_for_null(used: Used) -> Iterator[tuple[str, ...]]:
    """The paths that an expression may compare with null: nothing takes them that refuses it, and no value is written out beside them."""
    beside = {(one.path, one.offset) for one in used.reads.compared}
    for one in used.reads.references if _NULL.search(used.expression.text) else ():
        if not (one.bare or one.kept or one.same or (one.path, one.offset) in beside):
            yield one.path


@dataclass(slots=True)
class Doubts:
    """Where values may be missing: what tells it, by place, with the name that it is about.

    ``misread`` are names of which some question reads a field that is none: what is not asked about for that reason is no second finding.
    Nor is what stands under a condition with which something is wrong, at one of the places ``wrong``.
    """

    misread: set[str] = field(default_factory=set)
    wrong: Container[Pointer] = ()
    _by_place: dict[Pointer, tuple[str, Callable[[], None]]] = field(default_factory=dict)

    def add(self, place: Pointer, name: str, tell: Callable[[], None]) -> None:
        """Note a doubt; of several at one place the first counts."""
        self._by_place.setdefault(place, (name, tell))

    def drop(self, place: Pointer) -> None:
        """Forget the doubt at a place."""
        self._by_place.pop(place, None)

    def tell(self, names: Container[str] | None = None) -> None:
        """Report all doubts, or those about some names."""
        for place, (name, tell) in self._by_place.items():
            spoilt = any(one in self.wrong for one in conditions_above(place))
            if not spoilt and name not in self.misread and (names is None or name in names):
                tell()
