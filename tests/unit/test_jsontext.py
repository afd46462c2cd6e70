"""Outside JSON is taken strictly or refused with its place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import Malformed, TooLarge
from bus.jsontext import parse, parse_object

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12)


@given(VALUES)
def test_every_json_value_comes_back_as_it_was(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 2}', b"NaN", b"[Infinity]", b"-Infinity", b"1e400", b'{"a": [-1e999]}', b"1" + b"0" * 400 + b".0", b"99999999999999999999",
        b'"\\ud800"', b'"\xff"', b"\xef\xbb\xbf{}", b"{} {}", b"", b"[1,]", b"{'a': 1}", b"// x\n1", b"1" * 5000, b"[" * 10_000, b"01", b'{"a\\u0000": 1}', b'["\\u0000"]',
    ],
)  # fmt: skip
def test_what_is_not_strict_json_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse(text)


def test_a_malformed_text_says_where() -> None:
    with pytest.raises(Malformed) as caught:
        parse(b'{"a": 1,\n  "b":}')
    assert (2, 7) == (caught.value.detail["line"], caught.value.detail["column"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [(b"", "not JSON: the text is empty"), (b'{"a":', "not JSON: the text ends within a value, line 1 column 5")],
)
def test_a_text_that_ends_too_early_is_said_to_do_so(text: bytes, sentence: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(text)
    assert (sentence, True) == (caught.value.sentence, bool(caught.value.hint))


@pytest.mark.parametrize(
    ("text", "code", "place", "hint"),
    [
        (b'{"a": "\\ud800"}', "malformed", {"line": 1, "column": 14}, "its other half"),
        (b'{"a": "\\udc00"}', "malformed", {"line": 1, "column": 13}, "its other half"),
        (b'{"a": "\xff"}', "malformed", {"line": 1, "column": 8}, "UTF-8"),
        (b'{"a": [1, 1e400]}', "number", {"pointer": "/a/1"}, "as text"),
        (b'{"a": 18446744073709551616}', "number", {"pointer": "/a"}, "as text"),
        (b'{"a": ' + b"9" * 5000 + b"}", "number", {"line": 1, "column": 4308}, "as text"),
        (b'{"a": ["x\\u0000"]}', "nul", {"pointer": "/a/0"}, "delete it"),
        (b'{"a/b": [{"c~": 1e400}]}', "number", {"pointer": "/a~1b/0/c~0"}, "as text"),
        (b'{"a/b": {"c~": 18446744073709551616}}', "number", {"pointer": "/a~1b/c~0"}, "as text"),
        (b'{"a/b": ["x\\u0000"]}', "nul", {"pointer": "/a~1b/0"}, "delete it"),
        (b'{"a/b":' * 41 + b"1" + b"}" * 41, "too-deep", {"pointer": "/a~1b" * 40}, "at most 40"),
        (b'{"a": {"b\\u0000": 1}}', "nul", {"pointer": "/a"}, "delete it"),
        (b'{"a": "x\0"}', "malformed", {"line": 1, "column": 9}, "NUL character is not taken"),
        (b'{"a": 1,\n "a": 2}', "malformed", {"line": 2, "column": 6}, "keep one of the two"),
        (b'{"a":' * 41 + b"1" + b"}" * 41, "too-deep", {"pointer": "/a" * 40}, "at most 40"),
        (b"[" * 300 + b"]" * 300, "too-deep", {"line": 1, "column": 202}, "at most 40"),
        (b"\xef\xbb\xbf{}", "malformed", {"line": 1, "column": 1}, "without the mark"),
        ('{"a": 1}'.encode("utf-16-le"), "malformed", {"line": 1, "column": 1}, "not UTF-16"),
        ('{"a": 1}'.encode("utf-16-be"), "malformed", {"line": 1, "column": 1}, "not UTF-16"),
        (b'{"a": 1}\n{"b": 2}', "malformed", {"line": 2, "column": 1}, "nothing behind it"),
        (b'{"a": 1,}', "malformed", {"line": 1, "column": 9}, "delete the comma"),
        (b'{"a": -Infinity}', "malformed", {"line": 1, "column": 8}, "NaN and Infinity are none"),
        (b'{"a": 01}', "malformed", {"line": 1, "column": 8}, "zero before them are text"),
        (rb'{"a": "C:\dir"}', "malformed", {"line": 1, "column": 11}, "for a backslash"),
        (b"{'a': 1}", "malformed", {"line": 1, "column": 2}, "double quotes"),
    ],
)
def test_what_is_refused_says_what_where_and_what_to_do(text: bytes, code: str, place: dict[str, object], hint: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(text)
    assert (caught.value.code, caught.value.detail) == (f"input.{code}", place)
    assert hint in caught.value.hint


def test_depth_forty_is_taken_and_forty_one_refused() -> None:
    parse(b"[" * 40 + b"]" * 40)
    with pytest.raises(Malformed, match="too deep"):
        parse(b"[" * 41 + b"]" * 41)


@pytest.mark.parametrize("levels", [150, 201, 250, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_any_depth_beyond_the_limit_has_the_same_code(levels: int, opening: bytes, closing: bytes) -> None:
    with pytest.raises(Malformed, match="too deep") as caught:
        parse(opening * levels + b"1" + closing * levels)
    assert caught.value.code == "input.too-deep"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_called_by_its_name(encoding: str) -> None:
    with pytest.raises(Malformed, match="byte order mark") as caught:
        parse('{"a": 1}'.encode(encoding))
    assert (1, 1) == (caught.value.detail["line"], caught.value.detail["column"])


@pytest.mark.parametrize(
    ("text", "hint"), [(b'{"a":\n 1,50}', "decimals are written with a point"), (b'{"a": 1, b: 2}', "in double quotes")]
)
def test_a_decimal_comma_is_told_as_that(text: bytes, hint: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(text)
    assert hint in caught.value.hint


def test_brackets_inside_text_are_not_depth() -> None:
    assert "[" * 500 == parse(json.dumps("[" * 500).encode())


def test_a_text_beyond_the_limit_is_too_large() -> None:
    with pytest.raises(TooLarge):
        parse(b'"' + b"a" * 100 + b'"', limit=50)


def test_an_object_is_asked_for_and_a_list_refused() -> None:
    assert {"a": 1} == parse_object(b'{"a": 1}')
    with pytest.raises(Malformed):
        parse_object(b"[]")


def test_an_escaped_backslash_is_no_nul() -> None:
    assert "\\u0000" == parse(rb'"\\u0000"')
