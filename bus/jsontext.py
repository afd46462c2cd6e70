"""Strict JSON for text that comes from outside: the only way outside JSON enters the bus.

Refused, with the place: duplicate keys, NaN and infinities (also ``1e400``), integers beyond 64 bits, lone surrogates,
bytes that are not UTF-8, a byte order mark, the NUL character (no XML, database or expression carries it), text after
the value, and anything beyond the size or depth limit.
What passes can be canonicalised (`bus.message.canonical`) and read by an expression without surprise.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import jiter
import orjson

from bus.errors import Malformed, TooLarge
from bus.message import JsonObject, JsonValue

LIMIT = 1_000_000
"""Default size limit, in bytes."""
DEPTH = 40
"""Default depth limit: lists and objects within one another."""

_PLACE = re.compile(r" at line (\d+) column (\d+)$")
_AS_TEXT = "write long codes and large numbers as text, in double quotes"
_NO_NAME = "key must be a string"
_HINTS = {
    "hex escape": "\\u is followed by four digits, and one of D800 to DFFF by its other half: send the character itself, in UTF-8",
    "unicode": "send UTF-8",
    "duplicate key": "keep one of the two: which one counts is for nobody to guess",
    "out of range": _AS_TEXT,
    "trailing characters": "send one value, and nothing behind it: no second one, no comment",
    "trailing comma": "delete the comma behind the last one",
    "control character": "within a text write \\n for the end of a line and \\t for a tab; the NUL character is not taken at all",
    "invalid escape": "write \\\\ for a backslash",
    _NO_NAME: "names stand in double quotes",
    "number": "a number is written like -12.5 or 1e6; NaN and Infinity are none, and codes with a zero before them are text",
    "expected value": "a value is a text in double quotes, a number, true, false, null, a list or an object",
}
"""What to do, by what the parser says; the first that fits."""
_HINT = "send JSON text: names and texts in double quotes, no name twice, no comma behind the last"
_PARSER_TOO_DEEP = "recursion limit exceeded"
"""What jiter says beyond 200 levels, its own limit, before `_check_depth` sees a value."""
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NUMBERS_ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
Place: TypeAlias = Sequence[str | int]
"""Where something is in a value: names of fields, numbers of items."""
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


def parse(data: bytes, limit: int = LIMIT) -> JsonValue:
    """The value that ``data`` says. Raises `TooLarge` beyond ``limit`` bytes, else `Malformed` with ``line`` and ``column`` in its detail.

    About 3 µs for a message of 1 KB.
    """
    if len(data) > limit:
        raise TooLarge(f"the JSON text has {len(data)} bytes, at most {limit} are taken", limit=limit, size=len(data))
    try:
        value: JsonValue = jiter.from_json(data, catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as error:
        raise _malformed(str(error), data) from None
    if data.count(b"[") + data.count(b"{") > DEPTH:
        _check_depth(value, DEPTH)
    if _may_hold_large_numbers(data):
        _check_numbers(value)
    if b"\\u0000" in data and (path := _nul_in(value)) is not None:
        hint = "delete it: no XML, database or expression carries it"
        raise Malformed(
            f"the JSON text holds the NUL character, at {pointer(path) or '/'}", code="input.nul", hint=hint, pointer=pointer(path)
        )
    return value


def parse_object(data: bytes, limit: int = LIMIT) -> JsonObject:
    """As `parse`, for text that must be a JSON object."""
    value = parse(data, limit)
    if not isinstance(value, dict):
        raise Malformed("the JSON text is not an object", hint="send an object: {...}", line=1, column=1)
    return value


def pointer(place: Place) -> str:
    """A place in a value as a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(piece).replace('~', '~0').replace('/', '~1')}" for piece in place)


def dumps(value: Any, *, indent: bool = False) -> bytes:
    """The JSON text of a value, keys in their own order; ``indent`` is for people."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else None)


def _malformed(raw: str, data: bytes) -> Malformed:
    place = _PLACE.search(raw)
    line, column = (int(place[1]), int(place[2])) if place else (1, 1)
    if raw.startswith(_PARSER_TOO_DEEP):
        return _too_deep(line=line, column=column)
    if data.startswith(_MARKS):
        return Malformed("not JSON: it begins with a byte order mark", hint="send UTF-8 without the mark", line=1, column=1)
    if b"\0" in data[:2]:
        return Malformed("not JSON: it is not in UTF-8", hint="send UTF-8, and not UTF-16 or UTF-32", line=1, column=1)
    if not data.strip():
        return Malformed("not JSON: the text is empty", hint="send JSON text", line=1, column=1)
    reason = (raw[: place.start()] if place else raw).replace("EOF while parsing", "the text ends within")
    hint = next((hint for said, hint in _HINTS.items() if said in reason), _HINT)
    if _NO_NAME in reason and re.search(rb"[0-9],[0-9]$", data.split(b"\n")[line - 1][:column]):
        hint = "decimals are written with a point"
    code = "input.number" if hint == _AS_TEXT else Malformed.default_code
    said = f"not JSON: {reason[:1].lower() + reason[1:]}, line {line} column {column}"
    return Malformed(said, code=code, hint=hint, line=line, column=column)


def _too_deep(**place: Any) -> Malformed:
    hint = f"flatten it: at most {DEPTH} lists and objects within one another are taken"
    return Malformed("the JSON text is nested too deep", code="input.too-deep", hint=hint, **place)


def _may_hold_large_numbers(data: bytes) -> bool:
    """Whether 19 digits stand in a row, or an exponent has three. Two searches for plain bytes take a tenth of a pattern's time."""
    alike = data.translate(_NUMBERS_ALIKE, b"+")
    return b"e000" in alike or b"0" * 19 in alike


def _check_depth(value: Any, allowed: int, path: Place = ()) -> None:
    if not isinstance(value, (dict, list)):
        return
    if allowed == 0:
        raise _too_deep(pointer=pointer(path))
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        _check_depth(inner, allowed - 1, (*path, name))


def _check_numbers(value: Any, path: Place = ()) -> None:
    fault = ""
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _check_numbers(inner, (*path, name))
    elif isinstance(value, float) and not math.isfinite(value):
        fault = f"the number at {pointer(path) or '/'} is too large"
    elif isinstance(value, int) and not _LOWEST <= value <= _HIGHEST:
        fault = f"the integer at {pointer(path) or '/'} does not fit in 64 bits"
    if fault:
        raise Malformed(fault, code="input.number", hint=_AS_TEXT, pointer=pointer(path))


def _nul_in(value: Any, path: Place = ()) -> Place | None:
    """Where a text holds the character, or the object of which a name does."""
    if isinstance(value, str):
        return path if "\0" in value else None
    if isinstance(value, dict) and any("\0" in name for name in value):
        return path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return next((found for name, inner in inside if (found := _nul_in(inner, (*path, name))) is not None), None)
