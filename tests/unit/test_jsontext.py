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
