"""Names that are null on some way: after a deadline, where a call fails, of a list that has none. Who reads a field of one stops there,
unless a condition that leads to the place can tell that way from the others, or the run has ended on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from bus.mapping.shapes import takes_null
from bus.mapping.template import Used, tested_in
from bus.mapping.types import BUILT_IN
from bus.route.compile import CompiledRoute
from bus.route.doubts import clauses_before, conditions_before
from bus.route.known import ON_SOME_WAYS, Known, Scope
from bus.source import Pointer, nearest

_PATH = r"([A-Za-z_]\w*(?:\.\w+)*)"
_ABSENT = re.compile(rf"!has\(\s*{_PATH}\s*\)|{_PATH}\s*==\s*null|null\s*==\s*{_PATH}")
_THERE = re.compile(rf"has\(\s*{_PATH}\s*\)|{_PATH}\s*!=\s*null|null\s*!=\s*{_PATH}")
"""Questions that hold only where there is no value at a path, and those that hold wherever there is one."""
_ELSE = re.compile(r"\|\||\?\s")


class Nulls:
    """What the conditions of one route tell of names that may be null."""

    def __init__(self, compiled: CompiledRoute) -> None:
        self._compiled = compiled
        self._roots = {path[0] for path in compiled.asked} - {"error", "arrival"}
        self._made: dict[str, frozenset[str]] = {}

    def why(self, name: str, known: Known, place: Pointer) -> str:
        """When a name is null at a place, in words; empty where it surely is not, or where a condition before it may tell."""
        if not known.null:
            return "may be null here" if not self._roots and takes_null(known.schema, known.schema) else ""
        unsure = not self._compiled.unasked.isdisjoint(self._made_of(name))
        asked = unsure or self._tell(self._before(place), name) or nearest(name, self._unknown, 0.74)
        return "" if asked or (known.null == ON_SOME_WAYS and self._alike(name, place)) else f"is null {known.null}"

    def denied(self, used: Used) -> tuple[str, str] | None:
        """A path that an expression needs a value of, though it stands where a condition holds only without one; and that condition."""
        if not (self._absent or self._taken) or used.guarded or "on_late" in used.pointer:
            return None
        for path, owner, text in self._absences(used.pointer):
            for one in used.reads.references:
                reads = one.needed and one.path[: len(path)] == path and (len(one.path) > len(path) or one.bare)
                if reads and path[0] not in used.local and not self._given_within(path[0], owner):
                    return ".".join(path), text
        return None

    def always(self) -> Iterator[tuple[str, Used]]:
        """The names to which all steps that give them give null, each with an expression that asks about it or reads a field of it."""
        every = self._compiled.parsed.every
        others = {step.model.item for step in every if step.kind == "each"}
        others.update(name for step in every for name, _ in step.gives if step.kind != "set" or step.model.set[name] not in (None, "null"))
        names = {name for step in every for name, _ in step.gives} - others
        for used in self._compiled.every if names and self._compiled.parsed.complete else ():
            fields = {one.path[0] for one in used.reads.references if len(one.path) > 1}
            for name in sorted(names & (used.expression.names if used.expression.in_cel else fields) - used.local.keys()):
                names.discard(name)
                yield name, used

    def _absences(self, place: Pointer) -> Iterator[tuple[tuple[str, ...], Pointer, str]]:
        """What conditions around a place say not to be there: its path, the part of the route of which it is said, and the condition."""
        for pointer, paths in self._absent.items():  # few: fewer than the places above
            if place[: len(pointer) - 1] == pointer[:-1] and pointer != place:
                yield from ((path, pointer[:-1], f"`{self._text(pointer)}` holds") for path in paths)
        for pointer in clauses_before(place, self._compiled.by_pointer) if self._taken else ():
            if pointer in self._taken:
                end = len(pointer) - 3
                owner = place[: end + 2] if place[end] == "choose" else place[: end + 1]
                yield self._taken[pointer], owner, f"the clause above (`{self._text(pointer)}`) is not taken"

    def _text(self, pointer: Pointer) -> str:
        return " ".join(self._compiled.by_pointer[pointer].expression.text.split())

    def _given_within(self, name: str, owner: Pointer) -> bool:
        """Whether a step within a part of the route gives a name: then it is another value."""
        steps = (step for step in self._compiled.parsed.every if step.pointer[: len(owner)] == owner and step.pointer != owner)
        return any(name == given for step in steps for given, _ in step.gives)

    @cached_property
    def _absent(self) -> Mapping[Pointer, list[tuple[str, ...]]]:
        """For each condition the paths at which there is nothing wherever it holds."""
        found = {}
        for one in self._compiled.every:
            if one.is_condition and not _ELSE.search(text := one.expression.text):
                asked = (_ABSENT.fullmatch(part.strip()) for part in text.split("&&"))
                found[one.pointer] = [_asked(match) for match in asked if match]
        return {pointer: paths for pointer, paths in found.items() if paths}

    @cached_property
    def _taken(self) -> Mapping[Pointer, tuple[str, ...]]:
        """For each condition of a clause that holds wherever there is a value at a path: that path."""
        clauses = (one for one in self._compiled.every if one.pointer[-3:-2] == ("choose",))
        found = ((one.pointer, _THERE.fullmatch(one.expression.text.strip())) for one in clauses)
        return {pointer: _asked(match) for pointer, match in found if match}

    def settled(self, before: Scope, after: Scope | None, ways: Sequence[Scope | None], conditions: Iterable[Pointer]) -> Scope | None:
        """What is known where ``ways`` that ``conditions`` chose meet: a name of which these tell is null no more, if a way has ended or
        gives it another value.
        """
        asked = [one for one in map(self._compiled.by_pointer.get, conditions) if one is not None]
        nulls = {name: known for name, known in before.names.items() if known.null} if after is not None and asked else {}
        told = [name for name, known in nulls.items() if any(_over(name, known, way) for way in ways) and self._tell(asked, name)]
        return after.having({name: replace(after.names[name], null="") for name in told}) if after is not None and told else after

    def _tell(self, conditions: Iterable[Used], name: str) -> bool:
        """Whether one of some conditions may tell whether a name is null: who asks for a field of it, also with has, has read it."""
        made = {"case", *self._made_of(name)}
        read = (reference for one in conditions for reference in one.reads.references)
        return any(one.path[0] in made and (one.path[0] != name or len(one.path) == 1) for one in read)

    def _alike(self, name: str, place: Pointer) -> bool:
        """Whether conditions that lead to a place ask about what those asked about that lead to a step which gives the name."""
        given = [step.pointer for step in self._compiled.parsed.every if any(name == one for one, _ in step.gives)]
        leading = (one for pointer in given for one in self._before((*pointer, "")))
        asked = {reference.path for one in leading for reference in one.reads.references}
        return any(reference.path in asked for one in self._before(place) for reference in one.reads.references)

    def _before(self, place: Pointer) -> Iterator[Used]:
        return conditions_before(place, self._compiled.by_pointer)

    @cached_property
    def _unknown(self) -> set[str]:
        """Names that conditions ask about and that nobody gives: they may be meant for others."""
        asked = self._roots.union((path[0] for path in tested_in(self._compiled.every)), self._compiled.unasked)
        return asked - self._compiled.parsed.names - BUILT_IN

    def _made_of(self, name: str) -> frozenset[str]:
        """A name, and those that steps make of it, or give where a condition asks about it."""
        if name not in self._made:
            made, before = {name}, 0
            while len(made) > before:
                before = len(made)
                for read, given in self._makers:
                    if not made.isdisjoint(read):
                        made |= given
            self._made[name] = frozenset(made)
        return self._made[name]

    @cached_property
    def _makers(self) -> Sequence[tuple[frozenset[str], frozenset[str]]]:
        """For each step that gives names: the names that it, or a condition above it, reads, and those that it gives."""
        found = []
        for step in self._compiled.parsed.every:
            if given := frozenset(name for name, _ in step.gives):
                read = (*self._compiled.used.get(step.pointer, ()), *self._before(step.pointer))
                found.append((frozenset[str]().union(*(one.expression.names for one in read)), given))
        return found


def _asked(match: re.Match[str]) -> tuple[str, ...]:
    """The path of which a question is asked."""
    return tuple((match[1] or match[2] or match[3]).split("."))


def _over(name: str, known: Known, way: Scope | None) -> bool:
    """Whether a way has ended, or gives a name a value that is not null."""
    return way is None or (name in way.names and way.names[name] is not known and not way.names[name].null)
