"""YAML is read with places and never guesses."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.source import DEPTH, Finding, doubtful_number, in_order, read, render


def codes(text: str | bytes) -> list[tuple[str, int, int]]:
    data = text if isinstance(text, bytes) else text.encode()
    return [(f.code, f.line, f.column) for f in read(data, "x.yaml").findings]


def plain(text: str) -> object:
    source = read(text.encode(), "x.yaml")
    assert [] == source.findings
    return source.plain()


@pytest.mark.parametrize(
    "word", ["no", "NO", "yes", "on", "off", "y", "12:30", "2026-03-02", "1_000", "1.2.3", "-", "nullo", "Vero", "a-1", ".x"]
)
def test_words_that_old_yaml_changes_stay_text(word: str) -> None:
    assert {"a": word} == plain(f"a: {word}\n".replace(": -\n", ': "-"\n'))


def test_the_core_schema_knows_true_false_null_and_numbers() -> None:
    assert {"a": True, "b": False, "c": None, "d": None, "e": -12, "f": 1.5, "g": 0} == plain(
        "a: true\nb: FALSE\nc: null\nd:\ne: -12\nf: 1.5\ng: 0\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 00118", [("yaml.leading-zero", 1, 4)]),
        ("a: [1, 085004]", [("yaml.leading-zero", 1, 8)]),
        ("a: {b: 0x1F}", [("yaml.leading-zero", 1, 8)]),
        ("a: 302001234567890123", [("yaml.long-number", 1, 4)]),
        ("a: +39055", [("yaml.odd-number", 1, 4)]),
        ("a: 12e5", [("yaml.odd-number", 1, 4)]),
        ("a: 1.", [("yaml.odd-number", 1, 4)]),
        ("a: .inf", [("yaml.not-finite", 1, 4)]),
        ("a: 1\nb: 2\na: 3", [("yaml.duplicate-key", 3, 1)]),
        ("{x: {a: 1, a: 2}}", [("yaml.duplicate-key", 1, 12)]),
        ("a: &x 1\nb: *x", [("yaml.anchor", 1, 4), ("yaml.alias", 2, 4)]),
        ("a: !!int 1", [("yaml.tag", 1, 4)]),
        ("a: {b: 1}\nc: {<<: {d: 1}}", [("yaml.merge", 2, 5)]),
        ("a: 1\n---\nb: 2", [("yaml.documents", 2, 1)]),
        ("1: a", [("yaml.key", 1, 1)]),
        ("? [a]\n: b", [("yaml.key", 1, 3)]),
        ("a:\n\tb: 1", [("yaml.tab", 2, 1)]),
        ("a: b: c", [("yaml.syntax", 1, 5)]),
        ("a: [1", [("yaml.syntax", 1, 4)]),
        ('a: "x', [("yaml.syntax", 1, 4)]),
        ("a: @x", [("yaml.syntax", 1, 4)]),
        ("a: x\x07", [("yaml.control-character", 1, 5)]),
        ("a: 1\rb: 2\rc: 3", [("yaml.control-character", 1, 5)]),
        ("a: 1\rb: 2\nc: 3\rd: 4\n", [("yaml.control-character", 1, 5), ("yaml.control-character", 2, 5)]),
        ("", [("yaml.empty", 1, 1)]),
        ("# nothing", [("yaml.empty", 1, 1)]),
        (b"a: caff\xe8", [("yaml.encoding", 1, 8)]),
        (b"\xef\xbb\xbfa: 1", [("yaml.byte-order-mark", 1, 1)]),
        (b"a: " + b"x" * 1_000_000, [("yaml.too-large", 1, 1)]),
        ("[" * 41 + "]" * 41, [("yaml.too-deep", 1, 41)]),
    ],
)
def test_what_is_not_taken_is_a_finding_at_its_place(text: str | bytes, expected: list[tuple[str, int, int]]) -> None:
    assert expected == codes(text)


def test_a_hundred_thousand_brackets_do_not_crash_the_reader() -> None:
    assert "yaml.too-deep" == codes("[" * 100_000)[0][0]
    assert "yaml.too-deep" == codes("- " * 100_000 + "a")[0][0]
    assert [] == codes("[" * DEPTH + "]" * DEPTH)


def test_all_findings_come_at_once_in_order() -> None:
    assert ["yaml.leading-zero", "yaml.duplicate-key", "yaml.anchor"] == [c for c, _, _ in codes("a: 01\nb: 1\nb: 2\nc: &x 1")]


@pytest.mark.parametrize(
    ("text", "within", "expected"),
    [
        ("a: body.x", (1, 6), (1, 9)),
        ('a: "body.x"', (1, 6), (1, 10)),
        ('a: "b\\u00e8.x"', (1, 4), (1, 13)),
        ('a: "say \\"x\\" y"', (1, 9), (1, 15)),
        ("a: 'it''s x'", (1, 6), (1, 11)),
        ("a: {b: [1, body.x]}", (1, 6), (1, 17)),
        ("a: |\n  body\n  .x", (2, 2), (3, 4)),
        ("a: |\n\n  body\n    .x", (3, 3), (4, 5)),
        ("a: >-\n  body\n  .x", (1, 7), (3, 4)),
        ("a: body\n  + x", (1, 8), (2, 5)),
        ('a: "body\n  + x"', (1, 8), (2, 5)),
    ],
)
def test_a_place_inside_a_scalar_is_found_in_the_file(text: str, within: tuple[int, int], expected: tuple[int, int]) -> None:
    source = read(text.encode(), "x.yaml")
    pointer = ("a", "b", 1) if "{" in text else ("a",)
    assert expected == source.place(pointer, within=within)


_BLANKS = st.sampled_from([" ", "  ", "\n  ", " \n  ", "\n\n  ", "\n \n\n   ", "\t\n  "])


@given(st.lists(_BLANKS, min_size=1, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6), st.sampled_from(["", "'", '"']))
def test_each_letter_of_a_text_over_several_lines_is_found_where_it_stands(blanks, escaped, quote):
    """Whatever stands between them: blanks, ends of lines, empty lines, and in double quotes escapes."""
    between = [f" \\\n{blank}" if quote == '"' and one else blank for blank, one in zip(blanks, escaped, strict=False)]
    letters = string.ascii_lowercase[: len(between) + 1]
    doubled = {"'": "''", '"': '\\u00e8\\"'}.get(quote, "-")
    written = "".join(f"{letter}{doubled}{blank}" for letter, blank in zip(letters, [*between, ""], strict=True))
    source = read(f"x: {quote}{written}{quote}\n".encode(), "file.yaml")
    text = str(source.plain()["x"])
    lines = source.text.split("\n")
    for letter in letters:
        before = text[: text.index(letter)]
        line, column = source.place(("x",), within=(before.count("\n") + 1, len(before) - before.rfind("\n")))
        assert letter == lines[line - 1][column - 1]


def test_a_key_that_is_not_there_points_to_its_parent() -> None:
    source = read(b"a:\n  b: {c: 1}\n", "x.yaml")
    assert (2, 6) == source.place(("a", "b", "z"))
    assert (2, 7) == source.place(("a", "b", "c"), key=True)


def test_findings_are_shown_with_their_line_and_a_caret() -> None:
    text = render(read(b"x:\n  cap: 00118\n", "r.yaml").findings)
    assert "r.yaml:2:8: error yaml.leading-zero: `00118` looks like a number with a leading zero" in text
    assert "     2 |   cap: 00118\n       |        ^\n" in text
    assert '  hint: quote it: "00118"' in text
    assert 2 == json.loads(render(read(b"x:\n  cap: 00118\n", "r.yaml").findings, "json"))[0]["line"]


@pytest.mark.parametrize("before", [0, 60, 150, 250, 4000, 9000])
def test_of_a_long_line_what_stands_at_the_place_is_shown(before: int) -> None:
    line = f"x: {{a: '{'-' * before}', cap: 00118, b: '{'+' * 300}'}}"
    lines = render(read(line.encode(), "r.yaml").findings).splitlines()
    assert all(len(one) < 230 for one in lines)
    if before < 9000:
        assert lines[1][lines[2].index("^") :].startswith("00118, b")
    else:
        assert "^" not in "".join(lines)


@given(st.integers(1, 5), st.integers(0, 10**9))
def test_a_leading_zero_is_never_lost(zeros: int, rest: int) -> None:
    text = "0" * zeros + str(rest)
    assert text == read(f"a: {text}".encode(), "x").plain()["a"]
    assert doubtful_number(text)


def test_a_number_of_thousands_of_digits_is_not_repeated_whole() -> None:
    assert all(len(told) < 150 for told in doubtful_number("9" * 6000) or ("x" * 150,))


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=200))
def test_no_text_makes_the_reader_raise(text: str) -> None:
    for finding in read(text.encode(), "x.yaml").findings:
        assert finding.line >= 1
        assert finding.column >= 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=8) | st.integers(-(10**14), 10**14),
        lambda i: st.lists(i, max_size=3) | st.dictionaries(st.text(max_size=5), i, max_size=3),
    )
)
def test_json_is_yaml(value: object) -> None:
    source = read(json.dumps({"a": value}).encode(), "x.yaml")
    assert {"a": value} == source.plain() or source.findings


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=6))
def test_duplicate_keys_are_always_seen(keys: list[str]) -> None:
    found = codes("".join(f"{key}: 1\n" for key in keys))
    assert len(keys) - len(set(keys)) == len(found)


PROJECT = Path(__file__).parents[2]


def test_values_are_the_same_with_places_and_without() -> None:
    """Values are read without places where nothing is wrong; the tree with places, made when one is asked for, says the same."""
    files = [*PROJECT.glob("routes/**/*.yaml"), *PROJECT.glob("mappings/**/*.yaml"), *PROJECT.glob("docs/**/*.yaml")]
    files += PROJECT.glob("tests/corpus/**/*.yaml")
    for file in files:
        source = read(file.read_bytes(), file.name)
        before, value = list(source.findings), source.plain()
        assert (value, before) == (source.root.plain() if source.root else None, source.findings), file


@given(st.text(st.sampled_from("ab01.:-[]{},'\"\n #&*!<|> +"), max_size=40))
def test_any_text_is_read_the_same_with_places_and_without(text: str) -> None:
    source = read(text.encode(), "x.yaml")
    before, value = list(source.findings), source.plain()
    assert (value, before) == (source.root.plain() if source.root else None, source.findings)


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        ('a: "x\\d"\n', (1, 6), "`\\d` is no escape"),
        ('a: "x\\u12"\n', (1, 8), "an escape is cut short"),
        ('a: "x\\ud83c\\udf89"\n', (1, 8), "an escape names no sign"),
        ("a: & b\n", (1, 5), "`&` cannot start a value"),
        ("a: ]\n", (1, 4), "`]` cannot start a value"),
        ("a: [\n", (2, 1), "the file ends where a value should stand"),
        ("a: {b:", (2, 1), "the file ends where a value should stand"),
        ("a: |x\n  b\n", (1, 5), "something stands behind the `|` or `>`"),
        ("a: - b\n", (1, 4), "a list cannot begin behind its key"),
        ('a: "b\n---\nc"\n', (2, 1), "a line of --- or ... stands within a quoted text"),
        ("%FOO bar\n---\na: 1\n", (1, 5), "a line that starts with % is not taken"),
        ("a: !e!x b\n", (1, 4), "a tag (!) is not taken"),
        ("a: 'it's'\n", (1, 8), "`s` stands behind a value that has ended"),
        ("a: {b: c}}\n", (1, 10), "`}` closes nothing"),
        ("a: b\n- c\n", (2, 1), "this line does not fit what is above"),
        ('a: {b: f("x", "y")}\n', (1, 8), "this expression needs quotes"),
        ('a: {b: c == "x" ? "y" : "z"}\n', (1, 8), "this expression needs quotes"),
        ("a: {b: c in [d, e]}\n", (1, 13), "`[` ends the text before it"),
        ("a: {b: f(c, d, e)}\n", (1, 13), "`d` has no value"),
    ],
)
def test_what_is_no_yaml_is_said_in_our_words_with_what_to_write(text, place, sentence):
    source = read(text.encode(), "x.yaml")
    assert source.plain() is None
    [found] = source.findings
    assert ((found.line, found.column), found.code, found.sentence) == (place, "yaml.syntax", sentence)
    assert found.hint


def test_what_a_terminal_would_obey_is_not_shown() -> None:
    """A finding shows the line of its file, and somebody else may have written the file."""
    for text in ("a: \x1b[2Jx\n", "a: b\u2028c\n", "a: \u202ex: 1: 2\n"):
        source = read(text.encode(), "a.yaml")
        assert source.findings
        assert not any(letter in str(one) + one.excerpt for one in source.findings for letter in "\x1b\u2028\u202e")


def test_a_file_in_utf_16_is_called_that() -> None:
    [found] = read("route: a\n".encode("utf-16"), "a.yaml").findings
    assert ("yaml.encoding", "the file is UTF-16", "") == (found.code, found.sentence, found.excerpt)


def test_a_name_that_several_places_miss_is_one_finding_which_says_where_and_two_mistakes_at_one_place_stay_two() -> None:
    def missed(line: int, column: int, name: str, hint: str = "") -> Finding:
        return Finding("a.yaml", line, column, "name.undefined", "error", f"there is no `{name}` here", hint)

    other = Finding("a.yaml", 9, 2, "name.unused", "warning", "nothing reads `y`")
    again = replace(other, sentence="nothing reads `z`")
    found = in_order([again, missed(9, 3, "x"), other, missed(7, 1, "x", "did you mean ax?"), missed(8, 4, "x"), missed(7, 5, "z")])
    assert found == [missed(7, 1, "x", "did you mean ax? (also at 8:4, 9:3)"), missed(7, 5, "z"), again, other]
    assert in_order(found) == found
    for places, told in ((7, " and 1 more place"), (8, " and 2 more places"), (6, "")):
        assert (
            in_order([missed(line, 1, "x") for line in range(1, places + 1)])[0].hint.removeprefix("also at 2:1, 3:1, 4:1, 5:1, 6:1")
            == told
        )


def test_what_several_files_miss_because_one_other_is_wrong_is_one_finding_which_says_where() -> None:
    def missed(file: str, name: str, hint: str = "", line: int = 7) -> Finding:
        return Finding(file, line, 5, "mapping.unknown", "error", f"there is no mapping `{name}`", hint)

    apart = [replace(missed(file, "x"), code="name.undefined") for file in ("a.yaml", "b.yaml")]
    several = [missed(file, "x", "did you mean y?", line) for file in ("a.yaml", "b.yaml") for line in (7, 9)]
    found = in_order([*several, missed("a.yaml", "z", line=8), *apart])
    hint = "did you mean y? (also at 9:5, b.yaml:7:5, b.yaml:9:5)"
    assert found == [missed("a.yaml", "x", hint), apart[0], missed("a.yaml", "z", line=8), apart[1]]
