"""What operators, methods and functions of ours do in expressions on plain values (`bus.expression.plain`).

Each takes `Value`s, the compiled operands, and gives a `Value`; whatever is not plainly right raises `NotPlain`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from bus.expression import failing
from bus.functions import Function

Scope: TypeAlias = Mapping[str, Any]
Value: TypeAlias = Callable[[Scope], Any]

_SCALARS: frozenset[Any] = frozenset({str, int, float, bool})
_JSON: frozenset[Any] = frozenset({str, int, bool, float, type(None), list, dict})
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
WALKED = "@walked"
"""The name in a scope, which no rule can write, of a list: how many items comprehensions have gone over, and how long what they made is."""
_LONG = 4_096
"""Characters from which on a text is counted."""


class NotPlain(Exception):
    """CEL must say what comes of this."""


def of_ours(function: Function, arguments: Sequence[Value]) -> Value:
    """The call of one of `bus.functions`, or of a look into a table."""
    kinds = [_TAKEN.get(kind, ()) for _, kind in function.parameters]

    def ask(scope: Scope) -> Any:
        values = [argument(scope) for argument in arguments]
        for value, allowed in zip(values, kinds, strict=True):
            if value.__class__ not in allowed or not _is_json(value):
                raise NotPlain
        made = function.call(*values)
        if not _is_json(made):
            raise NotPlain
        return made

    return ask


def _is_json(value: Any) -> bool:
    """Whether CEL would take it, and give it back, as it stands."""
    kind = value.__class__
    if kind is list:
        return all(_is_json(one) for one in value)
    if kind is dict:
        return all(key.__class__ is str and _is_json(one) for key, one in value.items())
    if kind is int or kind is float:
        return bool(_LOWEST <= value <= _HIGHEST if kind is int else math.isfinite(value))
    return kind in _JSON


def method(kinds: Sequence[type], work: Callable[..., Any], arguments: Sequence[Value]) -> Value:
    """A method, its target the first of ``arguments``, each of its own kind."""

    def ask(scope: Scope) -> Any:
        values = [argument(scope) for argument in arguments]
        if any(value.__class__ is not kind for value, kind in zip(values, kinds, strict=True)):
            raise NotPlain
        return work(*values)

    return ask


def _scalar(value: Any) -> Any:
    """The value, if CEL would take it for one of the same kind."""
    kind = value.__class__
    if kind not in _SCALARS or (kind is int and not _LOWEST <= value <= _HIGHEST) or (kind is float and not math.isfinite(value)):
        raise NotPlain
    return value


def operation(kinds: Sequence[type], work: Callable[..., Any], arguments: Sequence[Value]) -> Value:
    """An operator of one or two operands, all of one of ``kinds``."""

    def of_one(scope: Scope) -> Any:
        value = first(scope)
        if value.__class__ not in kinds:
            raise NotPlain
        return _scalar(work(value))

    def of_two(scope: Scope) -> Any:
        left, right = first(scope), second(scope)
        if left.__class__ not in kinds or right.__class__ is not left.__class__:
            raise NotPlain
        return _scalar(work(left, right))

    if len(arguments) == 1:
        (first,) = arguments
        return of_one
    first, second = arguments
    return of_two


def _plus(left: Value, right: Value) -> Value:
    add = operation(_ORDERED, operator.add, (left, right))

    def added(scope: Scope) -> Any:
        made = add(scope)
        if made.__class__ is str and len(made) > _LONG:
            walked = scope.get(WALKED, [0, 0])
            walked[1] += len(made)
            failing.bounded(walked[1])
        return made

    return added


def _equal(left: Value, right: Value) -> Value:
    def same(scope: Scope) -> bool:
        one, other = left(scope), right(scope)
        if one is None or other is None:
            return one is other
        if one.__class__ not in _SCALARS or other.__class__ is not one.__class__:
            raise NotPlain
        return bool(one == other)

    return same


def _unequal(left: Value, right: Value) -> Value:
    same = _equal(left, right)
    return lambda scope: not same(scope)


def _truth(value: Any) -> bool:
    if value.__class__ is not bool:
        raise NotPlain
    return bool(value)


def _and(left: Value, right: Value) -> Value:
    return lambda scope: _truth(left(scope)) and _truth(right(scope))


def _or(left: Value, right: Value) -> Value:
    return lambda scope: _truth(left(scope)) or _truth(right(scope))


def _item(of: Value, key: Value) -> Value:
    """The item of a list at a place, or of a map under a key."""

    def item(scope: Scope) -> Any:
        holder, place = of(scope), key(scope)
        if (holder.__class__, place.__class__) not in ((dict, str), (list, int)) or (place.__class__ is int and place < 0):
            raise NotPlain
        return holder[place]

    return item


def _if(condition: Value, then: Value, other: Value) -> Value:
    return lambda scope: then(scope) if _truth(condition(scope)) else other(scope)


def _in(item: Value, items: Value) -> Value:
    """Among texts, or the keys of a map."""

    def among(scope: Scope) -> bool:
        wanted, found = item(scope), items(scope)
        if wanted.__class__ is not str or found.__class__ not in (list, dict) or any(one.__class__ is not str for one in found):
            raise NotPlain
        return wanted in found

    return among


def _divided(left: float, right: float) -> float:
    """Whole numbers towards zero."""
    if left.__class__ is float:
        return left / right
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _rounded(number: float) -> float:
    """Halves away from zero."""
    whole = math.trunc(number)
    return math.copysign(abs(whole) + (abs(number - whole) >= 0.5), number)


def _left_over(left: int, right: int) -> int:
    return abs(left) % abs(right) * (-1 if left < 0 else 1)


def _replace(text: str, old: str, new: str) -> str:
    if len(text) * len(new) > _LONG:
        failing.bounded(len(text) + text.count(old) * (len(new) - len(old)))
    if not old:
        raise NotPlain
    return text.replace(old, new)


def _split(text: str, between: str) -> list[str]:
    return text.split(between) if between else list(text) or [""]


def _join(texts: Sequence[Any], between: str = "") -> str:
    if any(one.__class__ is not str for one in texts):
        raise NotPlain
    failing.bounded(sum(map(len, texts)) + len(texts) * len(between))
    return between.join(texts)


def _substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    if not 0 <= start <= end <= len(text):
        raise NotPlain
    return text[start:end]


_TAKEN: Mapping[Any, frozenset[Any]] = {
    Any: _JSON,
    list[Any]: frozenset({list}),
    dict[str, Any]: frozenset({dict}),
    **{kind: frozenset({kind}) for kind in (str, int, bool)},
}
"""What our functions take here, by the kind of a parameter."""
CHOOSING: Mapping[str, Callable[..., Value]] = {
    "_&&_": _and, "_||_": _or, "_?_:_": _if, "@in": _in, "_[_]": _item, "_==_": _equal, "_!=_": _unequal, "_+_": _plus,
    "dyn": lambda of: of,
}  # fmt: skip
"""Operators by name that ask their operands themselves, or take them of several kinds."""
METHODS: Mapping[tuple[str, int], tuple[Sequence[type], Callable[..., Any]]] = {
    ("replace", 3): ((str, str, str), _replace),
    ("join", 1): ((list,), _join),
    ("join", 2): ((list, str), _join),
    ("split", 2): ((str, str), _split),
    ("substring", 2): ((str, int), _substring),
    ("substring", 3): ((str, int, int), _substring),
}
"""Methods of the extension libraries by name and number of operands: the kind of each, and what it does."""
_NUMBERS, _ORDERED, _SIZED = (int, float), (str, int, float), (str, list, dict)
OPERATORS: Mapping[tuple[str, int, bool], tuple[Sequence[type], Callable[..., Any]]] = {
    ("_-_", 2, False): (_NUMBERS, operator.sub),
    ("_*_", 2, False): (_NUMBERS, operator.mul),
    ("_/_", 2, False): (_NUMBERS, _divided),
    ("_%_", 2, False): ((int,), _left_over),
    ("-_", 1, False): (_NUMBERS, operator.neg),
    ("double", 1, False): (_NUMBERS, float),
    ("int", 1, False): (_NUMBERS, int),
    ("math.round", 1, False): ((float,), _rounded),
    ("!_", 1, False): ((bool,), operator.not_),
    ("_<_", 2, False): (_ORDERED, operator.lt),
    ("_<=_", 2, False): (_ORDERED, operator.le),
    ("_>_", 2, False): (_ORDERED, operator.gt),
    ("_>=_", 2, False): (_ORDERED, operator.ge),
    ("@not_strictly_false", 1, False): ((bool,), bool),
    ("size", 1, False): (_SIZED, len),
    ("size", 1, True): (_SIZED, len),
    ("startsWith", 2, True): ((str,), str.startswith),
    ("endsWith", 2, True): ((str,), str.endswith),
    ("contains", 2, True): ((str,), str.__contains__),
}
"""The kinds that each operator takes here and what it does, by its name, the number of operands (the target counted) and whether it is a
method.
"""
