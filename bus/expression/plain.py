"""Expressions on plain values without CEL: a checked tree compiled to Python, for the part of the language that most rules use.

CEL converts its whole scope at every evaluation, and never gives back what passes between it and a function of ours (180 bytes a call).
So paths, texts, whole numbers, truth values, our functions and the operators between them are evaluated here. Whatever is not plainly
right (another type, a missing key, an error, a number beyond 64 bits) is left to CEL by raising `NotPlain`, so that rules and sentences are
the same. Comprehensions, optionals, timestamps, decimals and the extension libraries are CEL's always.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from bus.functions import Function
from bus.message import JsonValue

Scope: TypeAlias = Mapping[str, Any]
Value: TypeAlias = Callable[[Scope], Any]
Functions: TypeAlias = Mapping[str, Sequence[Function]]

_SCALARS: frozenset[Any] = frozenset({str, int, bool})
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


class NotPlain(Exception):
    """CEL must say what comes of this."""


class Plain:
    """An expression on plain values; ``otherwise`` evaluates it where they are not plain."""

    __slots__ = ("_otherwise", "_value")

    def __init__(self, value: Value, otherwise: Callable[[Scope], JsonValue]) -> None:
        self._value, self._otherwise = value, otherwise

    def __call__(self, scope: Scope) -> JsonValue:
        try:
            found: JsonValue = self._value(scope)
        except Exception:  # noqa: BLE001 - CEL says it in its own words
            return self._otherwise(scope)
        return found


def compiled(node: Any, functions: Functions) -> Value | None:
    """A node of a checked tree (`bus.expression.tree`) as a function of the scope; None where the tree holds what is CEL's."""
    try:
        return _value(node, functions)
    except NotPlain:
        return None


def _value(node: Any, functions: Functions) -> Value:
    if node.HasField("const"):
        return _constant(node.const)
    if node.HasField("ident"):
        return operator.itemgetter(node.ident.name.lstrip("."))
    if node.HasField("select"):
        return _select(_value(node.select.operand, functions), node.select.field, tested=node.select.test_only)
    if node.HasField("call"):
        return _call(node.call, functions)
    if node.HasField("list") and not node.list.optional_indices:
        items = [_value(one, functions) for one in node.list.elements]
        return lambda scope: [item(scope) for item in items]
    raise NotPlain


def _constant(const: Any) -> Value:
    for field in ("string_value", "int64_value", "bool_value"):
        if const.HasField(field):
            value = getattr(const, field)
            return lambda scope: value
    raise NotPlain


def _select(of: Value, field: str, *, tested: bool) -> Value:
    def select(scope: Scope) -> Any:
        holder = of(scope)
        if holder.__class__ is not dict:
            raise NotPlain
        return field in holder if tested else holder[field]

    return select


def _call(call: Any, functions: Functions) -> Value:
    arguments = [_value(one, functions) for one in ([call.target] if call.HasField("target") else [])]
    arguments += [_value(one, functions) for one in call.args]
    name = str(call.function)
    if name in _CHOOSING and not call.HasField("target"):
        return _CHOOSING[name](*arguments)
    if (kinds_and_work := _OPERATORS.get((name, len(arguments), call.HasField("target")))) is not None:
        return _operation(*kinds_and_work, arguments)
    function = next((one for one in functions.get(name, ()) if len(one.parameters) == len(arguments)), None)
    if function is None or call.HasField("target"):
        raise NotPlain
    return _of_ours(function, arguments)


def _of_ours(function: Function, arguments: Sequence[Value]) -> Value:
    kinds = [_SCALARS if kind is Any else _SCALARS & {kind} for _, kind in function.parameters]

    def ask(scope: Scope) -> Any:
        values = [argument(scope) for argument in arguments]
        for value, allowed in zip(values, kinds, strict=True):
            if value.__class__ not in allowed:
                raise NotPlain
        return _scalar(function.call(*values))

    return ask


def _scalar(value: Any) -> Any:
    """The value, if CEL would take it for one of the same kind."""
    if value.__class__ not in _SCALARS or (value.__class__ is int and not _LOWEST <= value <= _HIGHEST):
        raise NotPlain
    return value


def _operation(kinds: Sequence[type], work: Callable[..., Any], arguments: Sequence[Value]) -> Value:
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


def _truth(value: Any) -> bool:
    if value.__class__ is not bool:
        raise NotPlain
    return bool(value)


def _and(left: Value, right: Value) -> Value:
    return lambda scope: _truth(left(scope)) and _truth(right(scope))


def _or(left: Value, right: Value) -> Value:
    return lambda scope: _truth(left(scope)) or _truth(right(scope))


def _if(condition: Value, then: Value, other: Value) -> Value:
    return lambda scope: then(scope) if _truth(condition(scope)) else other(scope)


def _in(item: Value, items: Value) -> Value:
    """Among texts."""

    def among(scope: Scope) -> bool:
        wanted, found = item(scope), items(scope)
        if wanted.__class__ is not str or found.__class__ is not list or any(one.__class__ is not str for one in found):
            raise NotPlain
        return wanted in found

    return among


_CHOOSING: Mapping[str, Callable[..., Value]] = {"_&&_": _and, "_||_": _or, "_?_:_": _if, "@in": _in}
_ANY, _ORDERED = (str, int, bool), (str, int)
_OPERATORS: Mapping[tuple[str, int, bool], tuple[Sequence[type], Callable[..., Any]]] = {
    ("_+_", 2, False): (_ORDERED, operator.add),
    ("_-_", 2, False): ((int,), operator.sub),
    ("_*_", 2, False): ((int,), operator.mul),
    ("-_", 1, False): ((int,), operator.neg),
    ("!_", 1, False): ((bool,), operator.not_),
    ("_==_", 2, False): (_ANY, operator.eq),
    ("_!=_", 2, False): (_ANY, operator.ne),
    ("_<_", 2, False): (_ORDERED, operator.lt),
    ("_<=_", 2, False): (_ORDERED, operator.le),
    ("_>_", 2, False): (_ORDERED, operator.gt),
    ("_>=_", 2, False): (_ORDERED, operator.ge),
    ("size", 1, False): ((str,), len),
    ("size", 1, True): ((str,), len),
    ("startsWith", 2, True): ((str,), str.startswith),
    ("endsWith", 2, True): ((str,), str.endswith),
    ("contains", 2, True): ((str,), str.__contains__),
}
"""By name, number of operands (the target counted) and whether it is a method: the kinds it takes here, and what it does."""
