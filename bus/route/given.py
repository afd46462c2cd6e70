"""Names that are there wherever a condition holds: where it is asked again, word for word, nobody need say what else they are."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from itertools import dropwhile

from bus.mapping.template import Used
from bus.route.doubts import clauses_before, conditions_above
from bus.route.known import Known, Scope
from bus.route.parse import Parsed
from bus.source import Pointer

_ASIDE = frozenset({"otherwise", "on_error", "on_deadline", "on_late"})
"""Steps that no condition leads to which others could ask again."""


_IS_NULL = re.compile(r"(\w+) == null")


class Given:
    """What the steps and clauses of one route give under their conditions; ``by_pointer`` are its expressions, ``wrong`` the
    places of those with which something is wrong: what they were to ask is not known.
    """

    def __init__(self, by_pointer: Mapping[Pointer, Used], wrong: Container[Pointer]) -> None:
        self._by_pointer, self._wrong = by_pointer, wrong
        self._given: list[tuple[Pointer, list[str], set[str]]] = []

    def note(self, pointer: Pointer, before: Scope, after: Scope | None) -> None:
        """Take in what a step or a clause with a condition gives on each of its ways; ``after`` is None where the run ends there."""
        already = {name for name, known in before.names.items() if known.sure}
        names = {name for name, known in after.names.items() if known.sure} - already if after else set()
        if names:
            told = [] if self._spoilt((*pointer, "when")) else self._conditions((*pointer, "when"))
            self._given.append((_aside(pointer), told, names))

    def note_beside(self, step: Parsed, ways: Sequence[Scope | None], every: Sequence[Parsed]) -> None:
        """Take in which names are there on each of some ways that meet after a step, unless another name is null: who asks whether that
        one is null, knows. ``every`` are all steps of the route, in order: one behind this step may give that name another value.
        """
        going = [way.names for way in ways if way is not None]
        nulls = {name for names in going for name, known in names.items() if known.schema.get("type") == "null"}
        some = {name for names in going for name in names} if nulls else set[str]()
        unsure = some.difference(set[str].intersection(*map(_sure, going))) if some else some
        later = dropwhile(lambda one: one is not step, every) if unsure else ()
        behind = {name for one in later if not _within(one, step) for name, _ in one.gives}
        for null in nulls - behind:
            there = [_sure(names) for names in going if null not in names or names[null].schema.get("type") != "null"]
            if there and (beside := set.intersection(*there).intersection(unsure) - {null}):
                self._given.append((_aside(step.pointer), [f"{null} != null"], beside))

    def holds(self, name: str, place: Pointer, text: str = "") -> bool:
        """Whether an expression, by its ``text`` or its place, is evaluated only where conditions hold under which the name is there."""
        if self._spoilt(place):
            return True
        before = map(self._by_pointer.get, clauses_before(place, self._by_pointer))
        denied = (_IS_NULL.fullmatch(one.expression.text.strip()) for one in before if one is not None)
        asked = [text, *self._conditions(place), *(f"{one[1]} != null" for one in denied if one)]
        reached = (conditions for aside, conditions, names in self._given if name in names and place[: len(aside)] == aside)
        return any(all(any(asks(said, one) for said in asked) for one in conditions) for conditions in reached)

    def _spoilt(self, place: Pointer) -> bool:
        """Whether something is wrong with a condition that a place stands under."""
        return any(one in self._wrong for one in conditions_above(place))

    def _conditions(self, place: Pointer) -> list[str]:
        """The text of each `when`, and `$when`, that a place stands under."""
        around = map(self._by_pointer.get, conditions_above(place))
        return [one.expression.text.strip() for one in around if one is not None]


def _sure(names: Mapping[str, Known]) -> set[str]:
    return {name for name, known in names.items() if known.sure}


def _within(one: Parsed, step: Parsed) -> bool:
    return one.pointer[: len(step.pointer)] == step.pointer


def _aside(place: Pointer) -> Pointer:
    ends = [end for end, part in enumerate(place, 1) if part in _ASIDE]
    return place[: ends[-1]] if ends else ()


def asks(said: str, condition: str) -> bool:
    """Whether an expression is a condition, word for word, or asks it first: ``condition && ...``, ``condition ? ...``."""
    if said == condition:
        return True
    closed = re.search(r"\|\||\?\s", condition) is None
    rest = said.replace(condition if closed else f"({condition})", "@").replace("(@)", "@").replace(".?", ".").replace("[?", "[")
    while (less := re.sub(r"\([^()]*\)", "", rest)) != rest:
        rest = less
    return re.fullmatch(r"([^|?]*&&)?\s*@\s*(&&[^|?]*)?(\?.*)?", rest, re.DOTALL) is not None
