"""CEL's complaint that no overload of a function takes what it is applied to, in the words of the author of a route.

Where the types are those that values may have, some of it is right when it runs: `sure` and `of_mixed_numbers` say what never is.
"""

from __future__ import annotations

import re

from bus.expression.reading import COMPARISONS, RECKONING
from bus.functions import FUNCTIONS

_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '(.*)'")
_OPERATOR = re.compile(r"^_?([^_a-z@]+)_?$")
_SURE_OPERATORS = RECKONING | {"-_", "!_", "_&&_", "_||_", "_<_", "_<=_", "_>_", "_>=_"}
_NUMBERS = frozenset({"int", "double", "uint", "wrapper(int)", "wrapper(double)"})
_TEXTS = frozenset({"string", "wrapper(string)"})
_WHOLE = frozenset({"int", "wrapper(int)"})
_FRACTIONS = frozenset({"double", "wrapper(double)"})
_OF_WHOLE_ONES = "% takes whole numbers: int(...) makes one"


def refused(message: str) -> tuple[str, str] | None:
    """(sentence, hint) for a complaint about an overload; None for another one."""
    match = _OVERLOAD.match(message)
    if match is None:
        return None
    function, operands = match[1], _operands(_types(match))
    if function == "_?_:_" and not _may_be_condition(operands[0]):
        return no_condition(_shown(operands[0]))
    return _inapplicable(function, _types(match))


def sure(message: str) -> tuple[str, str, str] | None:
    """(sentence, hint, word to point at); None for what may be right when it runs: nulls, open objects, mixed numbers."""
    if "*error*" in message:
        return None  # what it is applied to is told by itself, or is right when it runs
    if match := _OVERLOAD.match(message):
        function, types = match[1], _types(match)
        parts = _operands(types)
        if function == "_?_:_":
            return None if _may_be_condition(parts[0]) else (*no_condition(_shown(parts[0])), "")
        unsure = "null_type" in types or "optional" in types or "%" in types or "map(" in types
        if unsure or (function in COMPARISONS and set(parts) <= _NUMBERS):
            return None
        if _FRACTIONS & set(parts) and (set(parts) <= _NUMBERS | {"dyn"} or function not in _SURE_OPERATORS | COMPARISONS):
            return None  # the number may be a whole one when it runs; see `of_mixed_numbers`
        if _mixed(function, types) or (function == "_+_" and all(one.startswith("list(") for one in parts)):
            return None  # what lists hold does not matter where they are joined
        if function == "_[_]" and (item := _item(*parts)) is not None:
            return (*item, "")
        if function == "sum":
            return *_no_sum(types), function
        if "snodo." in types and function not in _SURE_OPERATORS and not _unlike(function, parts) and not _of_scalars(function, parts):
            return None
        return *_inapplicable(function, types), "" if function.startswith(("_", "@", "!", "-")) else function
    if match := re.match(r"expression of type '([^']*)' cannot be the operand of a select", message):
        return (*field_of(_shown(match[1]), of_list=match[1].startswith("list")), "")
    if match := re.match(r"expression of type '([^']*)' cannot be the range of a comprehension", message):
        return None if "snodo." in match[1] else (f"{_shown(match[1])} has no items to go through", "", "")
    return None


def of_mixed_numbers(message: str) -> tuple[str, str, str] | None:
    """`sure` for a whole number that is reckoned with one with decimals: never right, if both are of the kind that their types say."""
    match = _OVERLOAD.match(message)
    if match is None or match[1] not in RECKONING:
        return None
    kinds = set(_operands(_types(match)))
    if kinds <= _NUMBERS and _WHOLE & kinds and _FRACTIONS & kinds:
        return (*of_two_kinds(match[1]), "")
    return None


def of_two_kinds(function: str, whole: str = "") -> tuple[str, str]:
    """(sentence, hint) for a whole number, at the path ``whole`` where it has one, that is reckoned with one with decimals."""
    made = f"write double({whole})" if whole else "double(...) around the whole one, 2.0 for 2"
    hint = _OF_WHOLE_ONES if function == "_%_" else f"{made}; and int(...) around it all where cents are wanted"
    return f"`{function.strip('_')}` cannot be applied to a whole number and a number with decimals", hint


def field_of(kind: str, *, of_list: bool) -> tuple[str, str]:
    """(sentence, hint) for a field that is asked of what has none; ``kind`` says in words what it is."""
    return f"a field is asked of {kind}", "take one item, such as [0], or .map(x, x.…); size(…) counts them" if of_list else ""


def no_condition(kind: str) -> tuple[str, str]:
    """(sentence, hint) for what stands before ``?``, or decides in ``filter``, and is no condition."""
    return f"the condition is {kind}, not true or false", "compare it with something"


def no_overload(function: str, types: str) -> tuple[str, str]:
    """(sentence, hint) for a function or operator that does not take operands of these types, as CEL writes them."""
    if function == "_?_:_":
        hint = "make them the same type, or wrap one in dyn(...)"
        if "null" in types:
            hint = "a field is left out by {$when: ..., $value: ...}; where null is meant, write dyn(null)"
        return f"the two results of ? : have different types: {types}", hint
    if function in RECKONING and set(_operands(types.strip("()"))) == {"int", "double"}:
        return of_two_kinds(function)
    applied = FUNCTIONS[function].signature if function in FUNCTIONS else f"`{_operator(function)}`"
    return f"{applied} cannot be applied to {types}", _remedy(function, types)


_FOR_NONE = {"string": '""', "int": "0", "double": "0.0", "bool": "false"}
"""What could stand for a value that is missing, by the type of what it is taken with."""


def _remedy(function: str, types: str) -> str:
    """What to write instead, where that can be told; the first that fits."""
    if function == "orValue" and "optional" not in types:
        return "it stands behind what .? asks for: x.?y.orValue(…); where something may be null: default(x, …)"
    if function == "date_add" and "int" in types:
        return 'a duration is a text with its unit: "30d"; of a number of days text(...) + "d"'
    if "double" in types and function == "_%_":
        return _OF_WHOLE_ONES
    if "double" in types and "int" in types:
        return "int(...) or double(...) makes them the same type"
    if "bool" in types and "string" in types and function in COMPARISONS:
        return "true and false are written without quotes"
    if function == "@in" and types.rstrip(")").endswith("string"):
        return 'for a part of a text write x.contains("…")'
    if function == "contains" and types.removeprefix("(").startswith("list"):
        return "whether a list has an item: x in list"
    if function == "_+_" and "list" in types:
        return "a list is joined to a list, as in list + [x]; size(…) counts its items"
    if "list" in types and "int" in types and function in COMPARISONS | _SURE_OPERATORS:
        return "size(…) counts the items of a list"
    if "optional" in types:
        instead = next((none for kind, none in _FOR_NONE.items() if kind in _operands(types.strip("()"))), "…")
        return f"say what stands for it where it is missing: x.?y.orValue({instead})"
    if function == "_-_" and "string" in types and set(_operands(types.strip("()"))) <= _TEXTS | {"dyn"}:
        return "days_between(start, end) counts the days between dates; number(...) makes a number of text"
    if "string" in types and function in COMPARISONS | _SURE_OPERATORS - {"_+_"} and ("int" in types or "double" in types):
        return "a number is written without quotes; number(...) makes one of a text"
    if "string" in types and ("int" in types or "double" in types):
        return "text(...) makes text of a number, number(...) a number of text"
    if function in {"_==_", "_!=_"} and "null" in types:
        return "where this is one side of a choice, put the choice in brackets: (x == null ? … : …)"
    if function in {"_==_", "_!=_"} and "snodo." in types:
        return "name the field of it that is compared"
    if function in {"_&&_", "_||_", "!_"}:
        return "it takes true or false; default(x, other) gives the other for what is null"
    return ""


def _types(match: re.Match[str]) -> str:
    """The types of the operands, with commas between."""
    return match[2].removeprefix("(").removesuffix(")")


def _operands(types: str) -> list[str]:
    return re.split(r",\s*(?![^(]*\))", types)


def _inapplicable(function: str, types: str) -> tuple[str, str]:
    """(sentence, hint) for what is applied to types of CEL that it does not take: they are shown in words, the hint depends on them."""
    shown = f"({', '.join(map(_shown, _operands(types)[function == '_?_:_' :]))})"  # of a choice its two sides
    return no_overload(function, shown)[0], no_overload(function, types)[1]


def _unlike(function: str, parts: list[str]) -> bool:
    """Whether an object is compared with a text, a number or a truth, which it never is."""
    return function in {"_==_", "_!=_"} and any(one in _TEXTS | _NUMBERS | {"bool", "wrapper(bool)"} for one in parts)


def _of_scalars(function: str, parts: list[str]) -> bool:
    """Whether a function of ours gets an object where it takes a text or a whole number."""
    takes = FUNCTIONS[function].parameters if function in FUNCTIONS else ()
    return any("snodo." in one and kind in (str, int) for one, (_, kind) in zip(parts, takes, strict=False))


def _no_sum(kind: str) -> tuple[str, str]:
    """(sentence, hint) for what `sum` gets and cannot add up; of lists CEL has looked at what they hold."""
    item = kind.removeprefix("list(").removesuffix(")")
    if item == kind:
        return f"sum takes a list of numbers, this is {_shown(kind)}", ""
    hint = "sum(list.map(x, number(x)))" if item in _TEXTS else "name what is added up: sum(list.map(x, x.…))"
    return f"sum takes a list of numbers, each item of this one is {_shown(item)}", hint


def _may_be_condition(kind: str) -> bool:
    return kind in {"bool", "dyn"}


def _mixed(function: str, types: str) -> bool:
    """Whether what does not go together are whole numbers and others, one of them in lists: a run has one kind of number."""
    one, _, other = re.sub(r"wrapper\((?:int|double)\)|\b(?:int|double|uint)\b", "number", types).partition(", ")
    if function == "@in":
        return other == f"list({one})"
    return function in {"_+_", "_==_", "_!=_"} and one == other and one.startswith("list")


def _item(holder: str, asked: str) -> tuple[str, str] | None:
    """``[...]`` of a list by a text, or by a number of what is no list. An object is asked by a text: right when it runs."""
    of_list = holder.startswith("list")
    if asked in _TEXTS and not holder.startswith("snodo."):
        return field_of(_shown(holder), of_list=of_list)
    return (f"an item is asked of {_shown(holder)}", "") if asked in _WHOLE and not of_list else None


def _shown(kind: str) -> str:
    """A CEL type in words."""
    if kind.startswith("list"):
        return "a list"
    if kind.startswith(("snodo.", "map")):
        return "an object"
    if kind.startswith("optional"):
        return "what may be missing"
    words = {
        "int": "a whole number", "string": "a text", "bool": "true or false", "double": "a number", "dyn": "anything",
        "google.protobuf.Timestamp": "a moment", "google.protobuf.Duration": "a duration", "null_type": "null"}  # fmt: skip
    inner = re.fullmatch(r"wrapper\((\w+)\)", kind)
    return words.get(inner[1] if inner else kind, kind)


def _operator(function: str) -> str:
    found = _OPERATOR.match(function)
    return found[1] if found else function.strip("_@")
