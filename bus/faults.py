"""What pydantic found wrong with a value, in the words of whoever wrote it: the only place that reads pydantic's errors.

Sentences say what the value must be and what kind it is, never the value itself: it may be personal data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a map",
    type(None): "nothing",
}

_MUST_BE = {
    "string": "a text", "int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list", "dict": "a map of fields",
    "model": "a map of fields", "model_attributes": "a map of fields", "mapping": "a map of fields", "tuple": "a list", "set": "a list",
    "none_required": "null", "date": "a date, such as 2026-03-31", "datetime": "a moment, such as 2026-03-31T09:00:00+01:00",
    "date_from_datetime": "a date, such as 2026-03-31", "decimal": "a number", "bytes": "a text", "url": "an address", "uuid": "a UUID",
    "path": "a path",
}  # fmt: skip
"""What a type of fault asks for; the name of the type without its ending."""

_ENDINGS = re.compile(r"_(type|parsing|parsing_size|from_float|attributes_type|exact)$")

_PATTERNS = {
    r"^[a-z][a-z0-9-]*$": "small letters, digits and hyphens, starting with a letter",
    r"^[a-z0-9]+(?:-[a-z0-9]+)*$": "small letters and digits, joined by hyphens",
    r"^[0-9]{11}$": "eleven digits",
    r"^[0-9a-f]{64}$": "64 digits of 0-9 and a-f",
    r"^https://\S+$": "an address that starts with https://",
    r"^https?://": "an address that begins with http:// or https://",
    r"^([01][0-9]|2[0-3]):[0-5][0-9]$": "a time of day, such as 00:30",
    r"^(/[A-Za-z0-9._~-]+)*$": "a path without its host, such as /snodo",
    r"^([1-9][0-9]{0,3}[dwM]|[1-9][0-9]{0,2}y)$": "a whole number and d, w, M or y, such as 24M or 10y",
}

_LIMITS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']}",
    "greater_than": lambda ctx: f"must be more than {ctx['gt']}",
    "less_than_equal": lambda ctx: f"may be at most {ctx['le']}",
    "less_than": lambda ctx: f"must be less than {ctx['lt']}",
    "multiple_of": lambda ctx: f"must be a multiple of {ctx['multiple_of']}",
    "string_too_long": lambda ctx: f"may have at most {ctx['max_length']} characters",
    "string_too_short": lambda ctx: "may not be empty" if ctx["min_length"] == 1 else f"needs at least {ctx['min_length']} characters",
    "too_short": lambda ctx: (
        "may not be empty" if ctx["min_length"] == 1 else f"needs at least {ctx['min_length']}, not {ctx['actual_length']}"
    ),
    "too_long": lambda ctx: f"may have at most {ctx['max_length']}, not {ctx['actual_length']}",
    "string_pattern_mismatch": lambda ctx: f"must be written as {_pattern(ctx['pattern'])}",
    "literal_error": lambda ctx: f"must be {_choices(ctx['expected'])}",
    "enum": lambda ctx: f"must be {_choices(ctx['expected'])}",
    "finite_number": lambda ctx: "must be a number that is not infinite",
    "value_error": lambda ctx: _first_small(str(ctx["error"])),
    "assertion_error": lambda ctx: _first_small(str(ctx["error"])),
    "union_tag_not_found": lambda ctx: f"needs its {ctx['discriminator']}",
    "union_tag_invalid": lambda ctx: f"must be one of {ctx['expected_tags']}",
}


def sentence_of(fault: Mapping[str, Any]) -> str:
    """One of ``ValidationError.errors()`` (with its context and input) as a sentence without a subject: ``must be a text, not a list``."""
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is not one of the fields"
    if kind in _LIMITS:
        return _LIMITS[kind](context)
    wanted = _MUST_BE.get(kind) or _MUST_BE.get(_ENDINGS.sub("", kind))
    given = _KINDS.get(type(fault.get("input")), "this")
    if wanted is None:
        return "cannot have this value"
    if given == wanted or (given == "a number" and wanted == "a whole number"):
        return f"must be {wanted}"
    return f"must be {wanted}, not {given}" if given != "nothing" else f"must be {wanted}, and nothing is written"


def first_of(error: Any) -> str:
    """The first fault of a ``ValidationError`` with its place, for a sentence that has no other room: ``a.b must be a text``."""
    return all_of(error)[0]


def all_of(error: Any) -> list[str]:
    """All faults, as `first_of` says one."""
    return [placed(fault) for fault in error.errors(include_url=False)]


def placed(fault: Mapping[str, Any]) -> str:
    """One of ``ValidationError.errors()`` with its place: ``a.b must be a text``. A check of several fields names them itself."""
    place = ".".join(map(str, fault["loc"]))
    return f"{place or 'the whole'} {sentence_of(fault)}" if place or fault["type"] != "value_error" else sentence_of(fault)


def _pattern(pattern: str) -> str:
    if pattern in _PATTERNS:
        return _PATTERNS[pattern]
    words = re.fullmatch(r"\^\(([a-z_]+(?:\|[a-z_]+)*)\)\$", pattern)
    if words:
        return " or ".join(words[1].split("|"))
    if digits := re.fullmatch(r"\^\[0-9\]\{(\d+)(?:,(\d+))?\}\$", pattern):
        return f"{digits[1]}{' to ' * bool(digits[2])}{digits[2] or ''} digits"
    if schemes := re.fullmatch(r"\^\(([a-z+|\\]+)\)://", pattern):
        return "an address that begins with " + " or ".join(f"{one}://" for one in schemes[1].replace("\\", "").split("|"))
    if re.match(r"\^\[a-z\]\[a-z0-9-\]\*\(\\\.", pattern):
        return "words joined by dots, such as edilizia.pratica; small letters, digits and hyphens"
    return f"the pattern {pattern} says"


def _choices(expected: str) -> str:
    return expected.replace("'", "")


def _first_small(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
