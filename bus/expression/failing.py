"""What CEL says while it evaluates, in the words of the author of a route. Nothing here shows a value: values may be personal data."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bus.errors import ExpressionError
from bus.expression.overloads import no_condition, no_overload

_ABSENT = ("Key not found", "No value with name", "Applying SELECT")
_STATUS = re.compile(r"^[A-Z_]+: ")
_TYPES = {
    "int64": "int", "null_type": "null", "dyn": "any", "list": "list", "uint64": "uint", "bool": "bool", "timestamp": "timestamp",
}  # fmt: skip
_NO_LIST = "write default(x, []) where a list may be null"
_NO_OBJECT = 'write default(x, {}).?name.orValue("") where an object may be null'
_UNFIT = {
    "No matching overloads found : _?._(": ("a field is asked of something that is no object", _NO_OBJECT),
    "No matching overloads found : _[?_]": ("a field or an item is asked of something that has none", _NO_OBJECT),
    "No matching overloads found : <jump_condition>": no_condition("something else"),
    "No matching overloads found : <iter_range>": ("something that is no list is gone through", _NO_LIST),
    "No matching overloads found : @in": ("something is looked for in what is no list and no object", _NO_LIST),
    "Invalid container type": ("an item is asked of something that is no list and no object", _NO_LIST),
}
"""What CEL says by words of its inner parts."""


MOST = 32_000_000
"""Characters that one expression may make of texts: a message has a million at most, unless the operator says otherwise."""

TOO_MANY = 10_000
"""The item, of all that comprehensions of one expression go over, at which CEL stops. It would need a gigabyte to get there: the list that
`map` and `filter` make is copied for each item."""


class TooMuch(ExpressionError):
    """An expression would make more than memory is for: texts that double from step to step, a long one for each of many items; or it goes
    over too many.
    """

    default_code = "expression.budget"


def bounded(length: int) -> None:
    """Refuse to make so many characters. Raises `TooMuch`."""
    if length > MOST:
        raise TooMuch(f"the expression makes texts of more than {MOST:,} characters", hint="take fewer items, or shorter texts")


def too_many() -> TooMuch:
    """Comprehensions go over more items than CEL does."""
    return TooMuch("the expression goes over too many items", hint="take fewer items, or use an `each` step")


def run_error(raw: str, paths: Iterable[str]) -> ExpressionError:
    """What CEL said while evaluating, as ours; ``paths`` are what the expression reads."""
    if "teration budget" in raw:
        return too_many()
    message = _STATUS.sub("", raw.removesuffix(" [INVALID_ARGUMENT]").removesuffix(" [INTERNAL]"))
    sentence, hint = _run_worded(message, tuple(paths))
    return ExpressionError(sentence, code="expression.failed", hint=hint, missing=message.startswith(_ABSENT))


def _run_worded(message: str, paths: tuple[str, ...]) -> tuple[str, str]:
    if match := re.match(r'Key not found in map : "?(.*?)"?$', message):
        return missing(match[1], paths)
    if match := re.match(r'No value with name "(.*)" found', message):
        return f"{match[1]} has no value at this point", ""
    if unfit := next((worded for begins, worded in _UNFIT.items() if message.startswith(begins)), None):
        return unfit
    if match := re.match(r"No matching overloads found : \((\w+)\)\.(\w+)\(", message):
        of = _TYPES.get(match[1], match[1])
        return f"`.{match[2]}(…)` cannot be applied to {of}", 'write default(x, "") where a text may be null' if of == "null" else ""
    if match := re.match(r"No matching overloads found : ([^(]*)\(?(.*?)\)?$", message):
        types = ", ".join(_TYPES.get(part.strip(), part.strip()) for part in match[2].split(",")) or "this type"
        return no_overload(match[1], f"({types})")
    if "Applying SELECT to non-message" in message:
        return f"a field is asked of something that is no object{_among(paths)}", _NO_OBJECT
    if match := re.match(r"Index error: index=(-?\d+) size=(\d+)", message):
        return f"item {match[1]} is asked of a list of {match[2]}", "first(list) is null when there is none"
    if "out of range for" in message or "Non-CEL value" in message:
        return "a value is not one that expressions can hold (a whole number beyond 64 bits?)", ""
    return message, ""


def missing(key: str, paths: Iterable[str]) -> tuple[str, str]:
    """A missing key is named only when the author wrote it: a computed key may be personal data."""
    owners = [path for path in paths if key in path.split(".")]
    if not owners:
        return "a computed key is not in its map", "ask with `in` first"
    pieces = owners[0].split(".")
    path = ".".join(pieces[: pieces.index(key) + 1])
    parent = path.rpartition(".")
    return f"{path} is missing", f'if it may be missing write {parent[0]}.?{parent[2]}.orValue("")' if parent[0] else ""


def _among(paths: tuple[str, ...]) -> str:
    deep = [path for path in paths if "." in path]
    return f" (in {deep[0]})" if len(deep) == 1 else ""
