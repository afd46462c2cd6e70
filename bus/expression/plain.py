"""Expressions on plain values without CEL: a checked tree compiled to Python, for the part of the language that most rules use.

CEL converts its whole scope at every evaluation, and never gives back what passes between it and a function of ours (180 bytes a call).
So paths, texts, numbers, truth values, null, lists and maps of them, our functions, the operators between them, comprehensions
(``map``, ``filter``, ``exists``, …) and optional fields are evaluated here. Whatever is not plainly right (another type, a missing key,
an error, a number beyond 64 bits) is left to CEL by raising `NotPlain`, so that rules and sentences are the same. Patterns,
timestamps and most of the extension libraries are CEL's always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

from bus.expression import failing
from bus.expression.failing import TOO_MANY
from bus.expression.operations import CHOOSING, METHODS, OPERATORS, WALKED, NotPlain, Scope, Value, method, of_ours, operation
from bus.functions import Function
from bus.message import JsonValue

Functions: TypeAlias = Mapping[str, Sequence[Function]]

_RESULT = "@result"
"""CEL's name of what a comprehension has made so far."""
_ABSENT = object()
"""An optional without a value."""


class Plain:
    """An expression on plain values; ``otherwise`` evaluates it where they are not plain."""

    __slots__ = ("_otherwise", "_value")

    def __init__(self, value: Value, otherwise: Callable[[Scope], JsonValue]) -> None:
        self._value, self._otherwise = value, otherwise

    def __call__(self, scope: Scope) -> JsonValue:
        try:
            found: JsonValue = self._value(scope)
        except failing.TooMuch:  # CEL does not ask how long a text becomes, and asks too late how many items there are
            raise
        except Exception:  # noqa: BLE001 - CEL says it in its own words
            return self._otherwise(scope)
        return found


def compiled(node: Any, functions: Functions) -> Value | None:
    """A node of a checked tree (`bus.expression.tree`) as a function of the scope; None where the tree holds what is CEL's."""
    context = _Context(functions)
    try:
        value = _value(node, context)
    except NotPlain:
        return None
    return (lambda scope: value({**scope, WALKED: [0, 0]})) if context.folds else value


class _Context:
    """What our functions are; whether a comprehension was met."""

    __slots__ = ("folds", "functions")

    def __init__(self, functions: Functions) -> None:
        self.functions, self.folds = functions, False


def _value(node: Any, context: _Context) -> Value:
    if node.HasField("const"):
        return _constant(node.const)
    if node.HasField("ident"):
        return itemgetter(node.ident.name.lstrip("."))
    if node.HasField("select"):
        if _is_optional(node.select.operand):
            raise NotPlain
        return _select(_value(node.select.operand, context), node.select.field, tested=node.select.test_only)
    if node.HasField("call"):
        return _call(node.call, context)
    if node.HasField("list") and not node.list.optional_indices:
        items = [_value(one, context) for one in node.list.elements]
        return lambda scope: [item(scope) for item in items]
    if node.HasField("struct"):
        return _struct(node.struct, context)
    if node.HasField("comprehension"):
        return _comprehension(node.comprehension, context)
    raise NotPlain


def _constant(const: Any) -> Value:
    for field in ("string_value", "int64_value", "double_value", "bool_value"):
        if const.HasField(field):
            value = getattr(const, field)
            return lambda scope: value
    if const.HasField("null_value"):
        return lambda scope: None
    raise NotPlain


def _select(of: Value, field: str, *, tested: bool) -> Value:
    def select(scope: Scope) -> Any:
        holder = of(scope)
        if holder.__class__ is not dict:
            raise NotPlain
        return field in holder if tested else holder[field]

    return select


def _struct(struct: Any, context: _Context) -> Value:
    keys = [entry.map_key.const.string_value for entry in struct.entries if entry.map_key.const.HasField("string_value")]
    if len(set(keys)) < len(struct.entries) or any(entry.optional_entry for entry in struct.entries):
        raise NotPlain
    values = [_value(entry.value, context) for entry in struct.entries]
    return lambda scope: {key: value(scope) for key, value in zip(keys, values, strict=True)}


def _comprehension(fold: Any, context: _Context) -> Value:
    """What CEL has made of ``map``, ``filter``, ``exists``, ``exists_one`` or ``all``, over a list."""
    if fold.iter_var2 or fold.accu_var != _RESULT:
        raise NotPlain
    context.folds = True
    variable, items, start = str(fold.iter_var), _value(fold.iter_range, context), _value(fold.accu_init, context)
    goes_on, step, result = (_value(part, context) for part in (fold.loop_condition, fold.loop_step, fold.result))

    def folded(scope: Scope) -> Any:
        found = items(scope)
        if found.__class__ is not list:
            raise NotPlain
        inner = {**scope, _RESULT: start(scope)}
        for inner[variable] in found:
            if not goes_on(inner):
                break
            inner[WALKED][0] += 1
            if inner[WALKED][0] >= TOO_MANY:
                raise failing.too_many()
            inner[_RESULT] = step(inner)
        return result(inner)

    return folded


def _longer(added: Value) -> Value:
    """The step of ``map`` and ``filter``: the list that only this comprehension knows, grown in its place."""

    def grown(scope: Scope) -> Any:
        made = scope[_RESULT]
        made += added(scope)
        return made

    return grown


def _is_optional(node: Any) -> bool:
    """Whether CEL wraps its value: ``a.?b``, and the fields of that."""
    if node.HasField("select"):
        return _is_optional(node.select.operand)
    return bool(node.call.function == "_?._")


def _optional(node: Any, context: _Context) -> Value:
    """An optional's value, or `_ABSENT`."""
    if node.call.function == "_?._":
        operand, field = node.call.args[0], node.call.args[1].const.string_value
    elif node.HasField("select") and not node.select.test_only:
        operand, field = node.select.operand, node.select.field
    else:
        raise NotPlain
    of = _optional(operand, context) if _is_optional(operand) else _value(operand, context)

    def select(scope: Scope) -> Any:
        holder = of(scope)
        if holder is _ABSENT:
            return holder
        if holder.__class__ is not dict:
            raise NotPlain
        return holder.get(field, _ABSENT)

    return select


def _or_value(optional: Value, other: Value) -> Value:
    def chosen(scope: Scope) -> Any:
        value = optional(scope)
        return other(scope) if value is _ABSENT else value

    return chosen


def _call(call: Any, context: _Context) -> Value:
    if call.function == "_+_" and call.args[0].ident.name == _RESULT and call.args[1].HasField("list"):
        return _longer(_value(call.args[1], context))
    if call.function == "orValue" and _is_optional(call.target):
        return _or_value(_optional(call.target, context), _value(call.args[0], context))
    if call.function == "_?._":
        raise NotPlain
    on_target = call.HasField("target")
    operands = [_value(one, context) for one in ([call.target, *call.args] if on_target else call.args)]
    return _applied(str(call.function), operands, context, on_target=on_target)


def _applied(name: str, operands: Sequence[Value], context: _Context, *, on_target: bool) -> Value:
    """An operator, a method ``on_target`` or a function of ours on its operands."""
    if name in CHOOSING and not on_target:
        return CHOOSING[name](*operands)
    if (operator := OPERATORS.get((name, len(operands), on_target))) is not None:
        return operation(*operator, operands)
    if on_target and (known := METHODS.get((name, len(operands)))) is not None:
        return method(*known, operands)
    function = next((one for one in context.functions.get(name, ()) if len(one.parameters) == len(operands)), None)
    if function is None or on_target:
        raise NotPlain
    return of_ours(function, operands)
