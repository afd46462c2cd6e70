"""Templates: how ``fields``, ``with``, ``set``, ``reply`` and ``collect`` say a value.

A string is an expression, any other scalar a literal; maps and lists nest. A map whose keys start with ``$`` is a directive
(no target field can start with ``$``, so the two never collide)::

    indirizzo: {$value: body.indirizzo, $default: '"sconosciuto"'}    # when it is missing or null
    sconto:    {$when: body.eta > 65, $value: 10}                     # left out unless the condition holds
    mappali:   {$each: body.mappali, $as: m, $value: {foglio: m.foglio}}      # a list; `index` counts from 0

``$each`` with ``$when`` keeps the items for which the condition holds. A template compiles into as few evaluations as
possible: one for all its unconditional expressions, one more for each directive.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from bus.errors import ExpressionError
from bus.expression import Environment, Expression, name_problem
from bus.expression.reading import Reading
from bus.mapping.types import BUILT_IN
from bus.message import JsonValue
from bus.source import Pointer, Reporter, nearest, suggestion

Maker: TypeAlias = "Callable[[Sequence[JsonValue], Mapping[str, Any]], Any]"
Locals: TypeAlias = "Mapping[str, Pointer | None]"
DIRECTIVES = ("$value", "$when", "$default", "$each", "$as")
_ASKED = {"$when": (str, bool, dict), "$each": (str, list, dict)}
"""What a condition, and what is gone through, can be written as: other constants would fail in each run."""
_LEFT_OUT: Any = object()
_NONE: Locals = {}


_CONDITIONS = frozenset({"when", "$when"})


@dataclass(frozen=True, slots=True)
class Used:
    """An expression at its place. ``local`` are names that only this place has, each with the pointer of the list it is an item of
    (None: it is the ``index``); ``guarded``: a missing value is provided for.
    """

    pointer: Pointer
    expression: Expression
    local: Mapping[str, Pointer | None] = field(default_factory=dict)
    guarded: bool = False

    @property
    def reads(self) -> Reading:
        """What the expression refers to."""
        return self.expression.reads

    @property
    def is_condition(self) -> bool:
        """Whether it decides if its place counts at all: it is a ``when``, or a ``$when``."""
        return part_of(self.pointer) in _CONDITIONS


def asked_in(used: Iterable[Used]) -> frozenset[tuple[str, ...]]:
    """The paths that conditions ask about: whoever asks knows that a value may not be there."""
    asked = {reference.path for one in used if one.is_condition for reference in one.reads.references}
    return tested_in(used) | asked


TEMPLATES = frozenset({"with", "set", "reply", "fields", "collect"})
"""Parts of a step, and of a mapping, that are templates: values, with expressions in them."""


@lru_cache(maxsize=4096)
def part_of(pointer: Pointer) -> str:
    """What an expression is for: the part of a step, or the directive, that holds it (``case`` and ``forms`` for each of theirs).

    Empty for a value of a template, whatever the field is called that it makes.
    """
    before: str | int | None = None
    for piece in pointer[:-1] if not str(pointer[-1]).startswith("$") else ():
        if before == "parallel":  # the name of a branch
            before = None
        elif piece in TEMPLATES:
            return ""
        else:
            before = piece
    return str(before) if before in {"case", "forms"} else str(pointer[-1])


def tested_in(used: Iterable[Used]) -> frozenset[tuple[str, ...]]:
    """The paths of which some expression asks only whether they are there."""
    return frozenset(reference.path for one in used for reference in one.reads.references if reference.tested)


@dataclass(slots=True)
class Workshop:
    """What compiling needs: the environment, where findings go; ``used`` collects every expression.

    ``unasked`` are the words of conditions that do not compile, at the places ``spoilt``: what they were to ask is not known; ``misnamed``
    are names that are none, told where they are given: whoever reads them need not be told again; ``offered`` are the names that are known
    where it is at work.
    """

    environment: Environment
    report: Reporter
    used: list[Used] = field(default_factory=list)
    failed: bool = False
    unasked: set[str] = field(default_factory=set)
    spoilt: set[Pointer] = field(default_factory=set)
    misnamed: frozenset[str] = frozenset()
    offered: frozenset[str] = BUILT_IN

    def expression(self, text: str, pointer: Pointer, local: Locals = _NONE, guarded: bool = False) -> Expression | None:
        """Compile one expression; None, with a finding, when it cannot be."""
        try:
            expression = self.environment.compile(text, offered=self.offered | local.keys())
        except ExpressionError as error:
            self.failed = True
            told = any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) for name in self.misnamed)
            for one in () if told else (error, *error.others):
                self.refuse(pointer, one.code, one.sentence, one.hint, within=(one.line, one.column))
            self._spoil(pointer, text)
            return None
        self.used.append(Used(pointer, expression, local, guarded))
        return expression

    def _spoil(self, pointer: Pointer, text: str) -> None:
        if part_of(pointer) in _CONDITIONS:
            self.spoilt.add(pointer)
            self.unasked.update(re.findall(r"\w+", text))

    def refuse(self, pointer: Pointer, code: str, sentence: str, hint: str = "", **kwargs: Any) -> None:
        self.failed = True
        self.report.report(pointer, code, sentence, hint, **kwargs)

    def template(self, value: Any, pointer: Pointer, owner: str = "") -> Template:
        """Compile a template; ``owner`` names it in failures. When there were findings the result must not be used."""
        return _Builder(self, owner, _NONE, False).finish(value, pointer, ())


class Template:
    """A compiled template: call it with a scope. An expression's failure names the template and the target field."""

    def __init__(self, owner: str, make: Maker, expressions: Sequence[Expression], targets: Sequence[tuple[str | int, ...]]) -> None:
        self.owner = owner
        self._make = make
        self._parts = [(one.evaluate, target) for one, target in zip(expressions, targets, strict=True)]

    def __call__(self, scope: Mapping[str, Any]) -> JsonValue:
        made = self.make(scope)
        value: JsonValue = None if made is _LEFT_OUT else made
        return value

    def make(self, scope: Mapping[str, Any]) -> Any:
        """The same value as a call makes, but what a false ``$when`` leaves out stays recognisable."""
        values: list[JsonValue] = []
        for evaluate, target in self._parts:
            try:
                values.append(evaluate(scope))
            except ExpressionError as error:
                raise self._named(error, dotted(target)) from None
        return self._make(values, scope)

    def _named(self, error: ExpressionError, target: str) -> ExpressionError:
        where = ", ".join(part for part in (self.owner, f"field {target}" if target else "") if part)
        sentence = f"{where}: {error.sentence}" if where else error.sentence
        missing = bool(error.detail.get("missing"))
        return ExpressionError(sentence, code=error.code, hint=error.hint, field=target, owner=self.owner, missing=missing)


def dotted(target: Sequence[str | int]) -> str:
    """``("a", 0, "b")`` as ``a[0].b``."""
    text = ""
    for piece in target:
        text += f"[{piece}]" if isinstance(piece, int) or piece == "" else f".{piece}" if text else str(piece)
    return text


class _Builder:
    """Builds one template: gathers its unconditional expressions, and the maker that puts their values in place."""

    def __init__(self, shop: Workshop, owner: str, local: Locals, guarded: bool) -> None:
        self.shop, self.owner, self.local, self.guarded = shop, owner, local, guarded
        self.expressions: list[Expression] = []
        self.targets: list[tuple[str | int, ...]] = []

    def finish(self, value: Any, pointer: Pointer, target: tuple[str | int, ...]) -> Template:
        make = self.build(value, pointer, target)
        return Template(self.owner, make, self.expressions, self.targets)

    def build(self, value: Any, pointer: Pointer, target: tuple[str | int, ...]) -> Maker:
        if isinstance(value, str):
            return self._slot(value, pointer, target)
        if isinstance(value, list):
            return _list_maker(list(self._items(value, pointer, target)))
        if isinstance(value, dict):
            if any(key.startswith("$") for key in value):
                return self._directive(value, pointer, target)
            # by key, as rules that were stored have them: which of two expressions fails first is told
            return _map_maker({key: self.build(inner, (*pointer, key), (*target, key)) for key, inner in sorted(value.items())})
        return lambda values, scope: value

    def _items(self, value: list[Any], pointer: Pointer, target: tuple[str | int, ...]) -> Iterator[Maker]:
        """The items of a list. What a comma in ``[…]`` cut off an expression is not looked at: where it began it is told."""
        unclosed = 0
        for position, inner in enumerate(value):
            before, cut = len(self.shop.report.findings), unclosed > 0
            if not cut:
                yield self.build(inner, (*pointer, position), (*target, position))
            if isinstance(inner, str) and (cut or len(self.shop.report.findings) > before):
                unclosed += inner.count("(") - inner.count(")")

    def _slot(self, text: str, pointer: Pointer, target: tuple[str | int, ...]) -> Maker:
        expression = self.shop.expression(text, pointer, self.local, self.guarded)
        if expression is None:
            return lambda values, scope: None
        position = len(self.expressions)
        self.expressions.append(expression)
        self.targets.append(target)
        return lambda values, scope: values[position]

    def _directive(self, value: dict[str, Any], pointer: Pointer, target: tuple[str | int, ...]) -> Maker:
        if not self._well_formed(value, pointer):
            return lambda values, scope: None
        if "$each" in value:
            return self._each(value, pointer, target)
        guarded = "$default" in value
        made = self._inner(value["$value"], (*pointer, "$value"), target, self.local, guarded or self.guarded)
        other = self._inner(value["$default"], (*pointer, "$default"), target, self.local) if guarded else None
        when = self._inner(value["$when"], (*pointer, "$when"), target, self.local) if "$when" in value else None
        return lambda values, scope: _choose(when, made, other, scope)

    def _each(self, value: dict[str, Any], pointer: Pointer, target: tuple[str | int, ...]) -> Maker:
        name = value.get("$as", "item")
        local = {**self.local, name: (*pointer, "$each"), "index": None}
        items = self._inner(value["$each"], (*pointer, "$each"), target, self.local, self.guarded)
        inner = {key: item for key, item in value.items() if key not in {"$each", "$as"}}
        made = self._inner(inner, pointer, (*target, ""), local)
        return lambda values, scope: _for_each(items, name, made, scope, dotted(target))

    def _inner(self, value: Any, pointer: Pointer, target: tuple[str | int, ...], local: Locals, guarded: bool = False) -> Template:
        return _Builder(self.shop, self.owner, local, guarded).finish(value, pointer, target)

    def _well_formed(self, value: dict[str, Any], pointer: Pointer) -> bool:
        refuse = self.shop.refuse
        before = self.shop.failed
        self.shop.failed = False
        fields = [key for key in value if not key.startswith("$")]
        for key in [*(key for key in value if key.startswith("$") and key not in DIRECTIVES), *fields[:1]]:  # the fields have one cause
            hint = suggestion(key, DIRECTIVES) or "there are " + ", ".join(DIRECTIVES)
            hint = hint if key.startswith("$") else "put the fields under $value"
            refuse((*pointer, key), "template.unknown-directive", f"`{key}` does not stand beside $ directives", hint, key=True)
        if "$value" not in value and not fields and "$value" not in {nearest(key, DIRECTIVES) for key in value if key not in DIRECTIVES}:
            refuse(pointer, "template.no-value", "the directive has no $value", "say it: {$value: …, $default: …}")
        if "$as" in value and "$each" not in value:
            refuse((*pointer, "$as"), "template.as-without-each", "$as names the item of an $each", key=True)
        for key, kinds in _ASKED.items():
            if key in value and type(value[key]) not in kinds:
                refuse((*pointer, key), "expression.not-text", "an expression is written as text", "put it in quotes")
        name = str(value.get("$as", "item"))
        if problem := name_problem(name):
            refuse((*pointer, "$as"), "name.reserved", problem)
        elif name in BUILT_IN:
            refuse((*pointer, "$as"), "name.built-in", f"`{name}` is always there and cannot be defined")
        good = not self.shop.failed
        self.shop.failed = self.shop.failed or before
        return good


def _map_maker(fields: dict[str, Maker]) -> Maker:
    def make(values: Sequence[JsonValue], scope: Mapping[str, Any]) -> Any:
        made = {}
        for key, maker in fields.items():
            if (value := maker(values, scope)) is not _LEFT_OUT:
                made[key] = value
        return made

    return make


def _list_maker(items: list[Maker]) -> Maker:
    return lambda values, scope: [value for maker in items if (value := maker(values, scope)) is not _LEFT_OUT]


def _choose(when: Template | None, made: Template, other: Template | None, scope: Mapping[str, Any]) -> Any:
    if when is not None and not _condition(when, scope):
        return _LEFT_OUT
    if other is None:
        return made.make(scope)
    try:
        value = made.make(scope)
    except ExpressionError as error:
        if not error.detail.get("missing"):
            raise
        value = None
    return other.make(scope) if value is None else value


def _condition(when: Template, scope: Mapping[str, Any]) -> bool:
    holds = when(scope)
    if not isinstance(holds, bool):
        raise ExpressionError(f"{when.owner}: $when gave neither true nor false", code="expression.not-a-condition")
    return holds


def _for_each(items: Template, name: str, made: Template, scope: Mapping[str, Any], target: str) -> Any:
    over = items(scope)
    if not isinstance(over, list):
        raise ExpressionError(f"{items.owner}, field {target}: $each did not give a list", code="expression.not-a-list")
    found = (made.make({**scope, name: item, "index": index}) for index, item in enumerate(over))
    return [value for value in found if value is not _LEFT_OUT]


def local_names(value: Any) -> Iterator[str]:
    """The names that the directives of a template bring in; an `Environment` must know them."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if "$each" in one:
                yield "index"
                yield one["$as"] if isinstance(one.get("$as"), str) else "item"
            left += one.values()
        elif isinstance(one, list):
            left += one
