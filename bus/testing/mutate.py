"""Mutation of rules: a route or one of its mappings with one small mistake in it must make one of the route's tests fail.

A mistake that no test notices (a *survivor*) says which test is missing. Mistakes are those people make: a step or a field left out,
a condition turned round, another text or number, a clause lost, a deadline that is too long. One that the compiler refuses is not counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bus.adapter import Operation
from bus.catalog import Catalog, Route, TestedMapping
from bus.errors import SnodoError
from bus.mapping.compile import compile_mapping
from bus.mapping.template import TEMPLATES
from bus.message import JsonObject
from bus.replay.places import Places
from bus.route.compile import built_of, tables_of
from bus.source import Notes, Pointer
from bus.testing.mappings import differences_of
from bus.testing.routes import passes

Change = Callable[[Any], Any]

_SWAPS = {
    "==": "!=", "!=": "==", ">=": ">", "<=": "<", ">": ">=", "<": "<=", "&&": "||", "||": "&&", " + ": " - ", " - ": " + ",
    "true": "false", "false": "true", ".exists(": ".all(", ".all(": ".exists(",
}  # fmt: skip
_SWAPPED = re.compile(r"==|!=|>=|<=|&&|\|\||[<>]| [+-] |\.exists\(|\.all\(|(?<![\w.])(?:true|false)\b")
_TURNING = re.compile(r"==|!=|&&|\|\|")
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
_NUMBER = re.compile(r"(?<![\w.])[0-9]+(?![\w.])")
_CONDITIONS = frozenset({"when", "match", "until", "$when"})
_ORDERED = (frozenset({"call", "wait", "gather"}), frozenset({"send", "wait", "gather"}))
"""Kinds of steps whose order a test can see: calls are expected in order, so is what is sent, and what is behind a wait comes later."""
_DROPPED = frozenset({"when", "match", "until", "by", "undo", "again", "otherwise", "on_deadline", "on_late", "$when", "$default"})
_UNSEEN = frozenset(
    {"id", "purpose", "owner", "version", "key", "dead_on", "limit", "timeout", "given", "tests", "route", "mapping", "from", "uses"}
)
"""What no test of a route can see: names, texts for people, and what only the door, time and other runs show."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake: where (the route's or a mapping's name, and the way in it), what, and the rules with it.

    ``mapping`` is the name of the mapping that it is in; empty: it is in the route itself. ``pointer`` is where it is in that document.
    """

    where: str
    what: str
    rules: JsonObject
    mapping: str
    pointer: Pointer


@dataclass(frozen=True, slots=True)
class Score:
    """How many mistakes in a route its tests notice; ``survivors`` are those they do not."""

    route: str
    noticed: int
    survivors: tuple[str, ...]

    @property
    def percent(self) -> int:
        """100 when there is nothing to mistake."""
        every = self.noticed + len(self.survivors)
        return self.noticed * 100 // every if every else 100


def score(route: Route, catalog: Catalog, operations: Mapping[str, Operation]) -> Score:
    """Make every mistake in a route, one at a time, and run its tests until one notices: first the one that noticed the mistake before.

    Mistakes come in the order of the file, so the test of a step is mostly that of the next.
    """
    noticed, survivors, tests = 0, list[str](), list(route.tests)
    places, tables = Places(route.texts), tables_of(route.plan.rules)
    twice = {("case", name) for name in catalog.types[route.plan.on].case}  # the type gives the case this key without the route
    for mutant in mutants(route.plan.rules):
        if not mutant.mapping and mutant.pointer in twice:
            continue
        try:
            plan = built_of(mutant.rules, tables)
        except SnodoError:
            continue
        alone = catalog.tested.get(mutant.mapping)
        at = next((n for n, test in enumerate(tests) if not passes(plan, test, catalog, operations)), None)
        if at is not None:
            tests.insert(0, tests.pop(at))
        if at is not None or (alone and _noticed(alone, mutant, catalog, operations)):
            noticed += 1
        else:
            survivors.append(f"{places.at(mutant.pointer, mutant.mapping)}: {mutant.where}: {mutant.what}")
    return Score(route.plan.route, noticed, tuple(survivors))


def score_mapping(tested: TestedMapping, catalog: Catalog, operations: Mapping[str, Operation]) -> Score:
    """Make every mistake in a mapping, one at a time, and run its own tests until one notices."""
    noticed, survivors = 0, list[str]()
    name, places = tested.mapping.name, Places({tested.file: tested.text})
    for mutant in _mutants({("mappings", name): tested.mapping.rules}, {"mappings": {name: tested.mapping.rules}}):
        found = _noticed(tested, mutant, catalog, operations)
        if found is False:
            survivors.append(f"{places.at(mutant.pointer, mutant.mapping)}: {mutant.where}: {mutant.what}")
        noticed += found is True
    return Score(name, noticed, tuple(survivors))


def _noticed(tested: TestedMapping, mutant: Mutant, catalog: Catalog, operations: Mapping[str, Operation]) -> bool | None:
    """Whether a mapping's own tests notice a mistake in it; None when it cannot say that."""
    said: Any = mutant.rules["mappings"]
    mapping = compile_mapping(said[mutant.mapping], catalog.tables, Notes("rules"))
    return None if mapping is None else any(differences_of(mapping, test, catalog, operations) for test in tested.tests)


def mutants(rules: JsonObject) -> Iterator[Mutant]:
    """Every mistake in a plan's rules, in the order of the file."""
    applied: Any = rules["mappings"]
    return _mutants({("route",): rules["route"], **{("mappings", name): one for name, one in applied.items()}}, rules)


def _mutants(parts: Mapping[tuple[str, ...], Any], rules: JsonObject) -> Iterator[Mutant]:
    for root, document in parts.items():
        for pointer, what, change in _mistakes(document, ()):
            made: Any = _changed(rules, (*root, *pointer), change)
            yield Mutant(f"{root[-1]} {_said(document, pointer)}".strip(), what, made, "".join(root[1:]), pointer)


_GONE: Any = object()


def _changed(document: Any, pointer: Pointer, change: Change) -> Any:
    """The document with one change in it; whatever is not on the way there is shared with the original."""
    made, piece = document.copy(), pointer[0]
    value = change(made[piece]) if len(pointer) == 1 else _changed(made[piece], pointer[1:], change)
    if value is _GONE:
        del made[piece]
    else:
        made[piece] = value
    return made


def _gone(_: Any) -> Any:
    return _GONE


def _mistakes(value: Any, pointer: Pointer) -> Iterator[tuple[Pointer, str, Change]]:
    """(where, what, how) for a value and all within it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in _UNSEEN or pointer[-1:] == ("set",):
                yield from _of_field(name, inner, (*pointer, name))
                yield from _mistakes(inner, (*pointer, name))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            if isinstance(inner, dict) and ("id" in inner or "steps" in inner):
                yield (*pointer, position), "step left out" if "id" in inner else "clause left out", _gone
            if position and _is_ordered(value[position - 1], inner):
                yield pointer, f"step `{inner['id']}` before `{value[position - 1]['id']}`", _exchanged(position)
            yield from _mistakes(inner, (*pointer, position))


def _is_ordered(first: Any, second: Any) -> bool:
    both = isinstance(first, dict) and isinstance(second, dict) and "id" in first and "id" in second
    return both and any(kinds & first.keys() and kinds & second.keys() for kinds in _ORDERED)


def _exchanged(position: int) -> Change:
    return lambda steps: [*steps[: position - 1], steps[position], steps[position - 1], *steps[position + 1 :]]


def _of_field(name: str, value: Any, pointer: Pointer) -> Iterator[tuple[Pointer, str, Change]]:
    within = [part for part in pointer[:-1] if part in TEMPLATES]
    if name in _DROPPED or (within and not name.startswith("$")) or pointer[-2:-1] == ("case",):
        yield pointer, f"`{name}` left out", _gone
    if name == "deadline" and isinstance(value, str):
        yield pointer, "twice as long", lambda text: _NUMBER_AT_START.sub(lambda found: str(int(found[0]) * 2), text)
        yield pointer, "half as long", lambda text: _NUMBER_AT_START.sub(lambda found: str(int(found[0]) // 2), text)
    elif name == "fail" and isinstance(value, str):
        yield pointer, f"another code for {value}", lambda code: f"{code}-altro"
    elif isinstance(value, str) and (
        within or name in _CONDITIONS or name in {"count", "each", "reason", "by"} or pointer[-2:-1] == ("case",)
    ):
        yield from _of_expression(name, value, pointer)
    elif isinstance(value, bool) and within:
        yield pointer, f"{str(not value).lower()} for {str(value).lower()}", lambda old: not old
    elif name == "attempts" and value != 1:
        yield pointer, "never tried again", lambda old: 1
    elif isinstance(value, int) and (within or name in {"count", "again"}):
        yield pointer, f"{value + 1} for {value}", lambda old: old + 1


_NUMBER_AT_START = re.compile(r"^[0-9]+")


def _of_expression(name: str, text: str, pointer: Pointer) -> Iterator[tuple[Pointer, str, Change]]:
    if name in _CONDITIONS:
        yield pointer, f"`{name}` turned round", lambda old: f"!({old})"
    for found in _TEXT.finditer(text):
        yield pointer, f"another text for {found[0]}", _replaced(found.span(), found[0][:-1] + "~" + found[0][-1])
    bare = _TEXT.sub(lambda quoted: "_" * len(quoted[0]), text)
    for found in _SWAPPED.finditer(bare):
        other = _SWAPS[found[0]]
        yield pointer, f"`{other.strip(' .(')}` for `{found[0].strip(' .(')}`", _replaced(found.span(), other)
    for found in _NUMBER.finditer(bare):
        yield pointer, f"{int(found[0]) + 1} for {found[0]}", _replaced(found.span(), str(int(found[0]) + 1))
    for found in re.finditer(r" \? ", bare):
        asked = _asked_at(bare, found.start()), found.start()
        if not _TURNING.search(bare[slice(*asked)]):  # else there is a mistake that turns it round
            yield pointer, f"`{text[slice(*asked)]}` turned round", _replaced(asked, f"!({text[slice(*asked)]})")


def _asked_at(text: str, end: int) -> int:
    """Where the condition of a choice ``condition ? one : other`` begins, by the place of its question mark."""
    depth = 0
    for place in range(end - 1, -1, -1):
        depth += (text[place] in ")]}") - (text[place] in "([{")
        if depth < 0 or (depth == 0 and text[place] in ",:"):
            return place + 1 + (text[place + 1] == " ")
    return 0


def _replaced(span: tuple[int, int], text: str) -> Change:
    return lambda old: old[: span[0]] + text + old[span[1] :]


def _said(document: Any, pointer: Pointer) -> str:
    """A pointer in words: the id of the step, and the way from there."""
    step, rest, here = "", list[str](), document
    for piece in pointer:
        here = here[piece]
        rest.append(str(piece))
        if isinstance(here, dict) and "id" in here:
            step, rest = str(here["id"]), []
    return ".".join([part for part in (step, *rest) if part])
