"""What libyaml stumbles over, in the words of whoever wrote the file: its own are those of a parser."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import yaml

from bus.source.findings import line_and_column
from bus.source.tree import Source

Slip: TypeAlias = tuple[int, int, str, str, str]
"""Line, column, code, sentence, hint."""
BLANKS = "\u00a0\u1680\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200C)))
_BLANK_BEHIND_COLON = re.compile(f"^[ -]*+[\\w.][\\w.-]*+:[{BLANKS}]")
IN_QUOTES = "within {…} or […] put an expression with commas, quotes or `: ` in quotes as a whole"
NOT_CLOSED = "a quote is not closed"
COLON_MISSING = "a colon is missing before the bracket"
BANG, BANG_HINT = "an expression that starts with `!` needs quotes", "put it in quotes as a whole: '!…'"
_OPERATOR = re.compile(r"[-+*/%<>=!&|?.]|in\b")
_LACKS_COLON = re.compile(r"(\s*(?:- )?)(?:[\w.-]+ [^:#]+|[a-z_]\w*:[^\s:#/][^:#]*)")
"""A field without its colon, or without the blank behind it."""
_NEGATED_VALUE = re.compile(r"[:,\[-]\s+(!(?:\w+[.(]|\(|[a-z_]\w*(?:\Z|[ \t]*[&|=?])))")
"""The start of an expression such as ``!body.urgente``, ``!has(body.x)`` or ``!urgente && …``, behind a colon, a dash or a bracket."""
_FLOW_PARTS = re.compile(r"[()]|[\[{,]\s*(?:[\w.$-]+:\s+)?")
"""Brackets of expressions, and what begins a value."""
_QUOTED = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_INTO_THE_NEXT = re.compile(r",\s*[\w.-]+:\s*[\"']?\Z")
"""The end of a text between quotes that holds the name of the next field."""
_COLON_IN_TEXT = "put text that holds «: » in quotes"
_BEGAN_BEFORE = ("unexpected end of stream", "expected ',' or", "could not find expected ':'")


class Slips:
    """The slips in a file of which libyaml reads no more; ``last`` is the event before."""

    def __init__(self, source: Source, last: Any) -> None:
        self.source, self.last = source, last

    def of(self, error: yaml.YAMLError) -> Slip | None:
        """What is wrong, and where; None where it is told already, or the error is one of ours."""
        noticed, problem = getattr(error, "problem_mark", None), str(getattr(error, "problem", ""))
        if noticed is None:
            if not hasattr(error, "position"):
                return None
            place, hint = line_and_column(self.source.text, _first_control(self.source.text)), "delete it, or write it as \\u escape"
            return *place, "yaml.control-character", "a control character is not taken", hint
        if any(one.line == noticed.line + 1 and one.sentence == COLON_MISSING for one in self.source.findings):
            return None  # what follows there was meant as something else
        mark = noticed
        if any(words in problem for words in _BEGAN_BEFORE):
            mark = getattr(error, "context_mark", None) or mark  # where it began: libyaml noticed further down
        told = self._slip(problem, noticed)
        if told is None and self._swallowed(error):
            told = self._in_words("a quote ran on", error.context_mark)  # type: ignore[attr-defined]
        if told is None and (self._ran_on(mark.line) or self._ran_on(noticed.line)):
            told = self._in_words("a quote ran on", self.last.start_mark)
        if told is None and "expected ',' or" in problem:
            told = self._unquoted(noticed, error)
        return self._first_open(told or self._in_words(problem, mark))

    def _first_open(self, told: Slip) -> Slip:
        """What is told of a quote, of the one on its line that was forgotten first: each after it opens where another was to close."""
        line, column, code, sentence, _ = told
        if sentence != NOT_CLOSED:
            return told
        text = self.source.lines[line - 1]
        found = next((one for one in _QUOTED.finditer(text, 0, column - 1) if _INTO_THE_NEXT.search(one[0][:-1])), None)
        return told if found is None else (line, found.start() + 1, code, sentence, f"write {found[0][0]} where the text ends")

    def _slip(self, problem: str, noticed: Any) -> Slip | None:
        """A slip on the line, or the one above, that libyaml has no words for."""
        if bang := _NEGATED_VALUE.search(self._line(noticed), 0, noticed.column):
            return noticed.line + 1, bang.start(1) + 1, "yaml.tag", BANG, BANG_HINT
        for number in range(max(noticed.line - 1, 0), noticed.line + 1):
            if odd := _BLANK_BEHIND_COLON.match("".join(self.source.lines[number : number + 1])):
                sentence = f"this is no plain blank (U+{ord(odd[0][-1]):04X}), and stands behind a colon"
                return number + 1, odd.end(), "yaml.control-character", sentence, "write a plain blank in its place"
        if "mapping values are not allowed" in problem and (above := self._without_colon(noticed.line)):
            return *above, "yaml.syntax", "this line is no `key: value`", "a colon and a blank stand after the key"
        return None

    def _unquoted(self, noticed: Any, error: Any) -> Slip | None:
        """A text or an expression between brackets that lacks its quotes, or ends before they do."""
        if self._ended_by_the_next(noticed.index):
            return self._in_words("a quote ran on", self.last.start_mark)
        if behind := self._behind_quotes(noticed.index):
            return *behind, "yaml.syntax", "this expression needs quotes", IN_QUOTES
        if self._apostrophe(noticed.index):
            hint = "an apostrophe within '…' is written twice, or the text stands in \"…\""
            return noticed.line + 1, noticed.column, "yaml.syntax", "this apostrophe ends the text", hint
        if self._cut_short(noticed.index):
            return self._in_words("a bracket in a text", noticed)
        if (opened := self._open_before(noticed.index, error)) is not None:
            return *opened, "yaml.syntax", "this expression needs quotes", IN_QUOTES
        if getattr(error.context_mark, "line", None) == noticed.line and self._second_colon(noticed.index):
            hint = f"{_COLON_IN_TEXT}; a comma stands before the next field"
            return noticed.line + 1, noticed.column + 1, "yaml.syntax", "a colon starts a second value here", hint
        return None

    def _in_words(self, problem: str, mark: Any) -> Slip:
        return mark.line + 1, mark.column + 1, "yaml.syntax", *_syntax_words(problem, self._line(mark), mark.column)

    def _line(self, mark: Any) -> str:
        return self.source.lines[mark.line] if mark.line < len(self.source.lines) else ""

    def _without_colon(self, line: int) -> tuple[int, int] | None:
        """Where the line above begins, if it looks like a field that lacks its colon: what is below was read as its going on."""
        above, below = self.source.lines[max(line - 1, 0) : line + 1] if line else ("", "")
        found = _LACKS_COLON.fullmatch(above)
        if found is None or not _FIELD.match(below) or len(found[1]) < len(below) - len(below.lstrip()):
            return None
        return line, found.end(1) + 1

    def _swallowed(self, error: yaml.YAMLError) -> bool:
        """Whether the trouble is in a quoted text that goes over fields below it: the quote that ends it was forgotten."""
        began, noticed = getattr(error, "context_mark", None), getattr(error, "problem_mark", None)
        if began is None or noticed is None or "quoted scalar" not in str(getattr(error, "context", "")):
            return False
        return any(_FIELD.match(line) for line in self.source.lines[began.line + 1 : noticed.line + 1])

    def _ran_on(self, line: int) -> bool:
        """Whether the value before is a quoted text that ends, lines after it began, where the trouble is: a quote was forgotten."""
        last = self.last
        return getattr(last, "style", None) in {"'", '"'} and last.start_mark.line < last.end_mark.line == line

    def _behind_quotes(self, index: int) -> tuple[int, int] | None:
        """Where the value before begins, if that is a text in quotes which an operator follows, as in ``{a: "x" + b}``."""
        last = self.last
        if last.__class__ is not yaml.ScalarEvent or not last.style or not _OPERATOR.match(self.source.text, index):
            return None
        start: Any = last.start_mark
        between = self.source.text[getattr(last.end_mark, "index", index) : index]
        item = "\n" in between and self.source.text.startswith("- ", index)  # of the list around: what is open began above
        return (start.line + 1, start.column + 1) if between.strip() == "" and not item else None

    def _ended_by_the_next(self, index: int) -> bool:
        """Whether the value before is a text in quotes that goes up to the quote of the next field, as in ``{a: "'x', b: "'y'"}``."""
        last = self.last
        if getattr(last, "style", None) not in {"'", '"'} or last.end_mark.index != index:
            return False
        return _INTO_THE_NEXT.search(self.source.text, last.start_mark.index, index - 1) is not None

    def _apostrophe(self, index: int) -> bool:
        """Whether the value before is a text in single quotes that goes on behind the second, as in ``{a: 'l'ufficio'}``."""
        last = self.last
        return getattr(last, "style", None) == "'" and last.end_mark.index == index and self.source.text[index].isalnum()

    def _cut_short(self, index: int) -> bool:
        """Whether the value before is a plain text that a bracket cuts short, as in ``{a: righe[0].via}``."""
        last = self.last
        return (
            last.__class__ is yaml.ScalarEvent
            and not last.style
            and self.source.text[getattr(last.end_mark, "index", index) : index].strip() == ""
            and self.source.text[index : index + 1] in {"[", "{"}
        )

    def _second_colon(self, index: int) -> bool:
        """Whether the value before is a plain text that a colon cuts short, as in ``{a: chiuso: ferie}``."""
        last = self.last
        between = self.source.text[getattr(last.end_mark, "index", index) : index]
        return last.__class__ is yaml.ScalarEvent and not last.style and not between.strip() and self.source.text.startswith(": ", index)

    def _open_before(self, index: int, error: Any) -> tuple[int, int] | None:
        """Where the value in a flow map or list begins that has a `(` or a `?` left open where the trouble is."""
        first = getattr(error.context_mark, "index", index)
        text = _QUOTED.sub(lambda quoted: " " * len(quoted[0]), self.source.text[first:index])
        depth = began = 0
        for found in _FLOW_PARTS.finditer(text):
            if found[0] in "()":
                depth = max(depth + (1 if found[0] == "(" else -1), 0)
            elif not depth:
                began = found.end()
        open_there = depth or "?" in text[began:]
        return line_and_column(self.source.text, first + began) if open_there else None


def _syntax_words(problem: str, line: str, column: int) -> tuple[str, str]:
    """What is wrong, and what to write: libyaml's own words are those of a parser."""
    here = line[column : column + 1]
    if "mapping values are not allowed" in problem:
        return "a colon starts a second value here", f"{_COLON_IN_TEXT}; check the indentation"
    if "cannot start any token" in problem:
        return f"`{here}` cannot start a value", "put the text in quotes"
    if "unexpected end of stream" in problem or "a quote ran on" in problem:
        return NOT_CLOSED, f"write {here} where the text ends"
    if "a bracket in a text" in problem:
        return f"`{here}` ends the text before it", "within {…} or […] put a text that holds brackets in quotes"
    if "expected ',' or" in problem:
        hint = "a ` #` begins a comment: put the text before it in quotes" if re.search(r"\s#", line[column:]) else ""
        hint = hint or f"write `{_CLOSING.get(here, here)}` where it ends; commas stand between items"
        return f"`{here}` is not closed, or a comma is missing", hint
    if "could not find expected ':'" in problem:
        return "this line is no `key: value`", "a colon and a blank stand after the key"
    if re.match(r"-[^\s-]", line[column:]):
        return "a blank is missing after the dash", "write `- ` before each item of a list"
    if "node content" in problem and not here:
        return "the file ends where a value should stand", "close what was opened: `]` for each `[`, `}` for each `{`"
    for words, sentence, hint in _WORDED:
        if words in problem:
            return sentence.format(here=here, two=line[column : column + 2], before=line[column - 1 : column]), hint
    if here in {"}", "]"}:
        return f"`{here}` closes nothing", "delete it, or open what it is to close"
    if line[:column].strip():
        return (
            f"`{here}` stands behind a value that has ended",
            "put the whole text in one pair of quotes; a quote inside it is written twice",
        )
    if "expected key" in problem or "expected '-'" in problem or "expected <document start>" in problem:
        return "this line does not fit what is above", "check the indentation: what belongs together starts in the same column"
    return f"this is no YAML: {problem}", "bus explain yaml.syntax says what most often is wrong"


_WORDED = (
    ("unknown escape", "`{two}` is no escape", "write \\\\ for a backslash, or put the text in single quotes"),
    ("hexdecimal", "an escape is cut short", "\\x takes two digits, \\u four, \\U eight"),
    ("invalid Unicode", "an escape names no sign", "write the sign itself, not as two halves (\\ud83c\\udf89)"),
    ("alphabetic or numeric", "`{before}` cannot start a value", "put the text in quotes"),
    ("node content", "`{here}` cannot start a value", "put the text in quotes"),
    ("comment or line break", "something stands behind the `|` or `>`", "begin the text on the next line"),
    ("entries are not allowed", "a list cannot begin behind its key", "begin it on the next line"),
    ("document indicator", "a line of --- or ... stands within a quoted text", "close the quote before it"),
    ("directive", "a line that starts with % is not taken", "delete it"),
    ("tag handle", "a tag (!) is not taken", "write the value without it"),
)
"""What libyaml says, and what we say of it and to do."""
_FIELD = re.compile(r"\s*(?:- )?[\w.-]+:(?:\s|$)")
"""A line that looks like a field."""
_CLOSING = {"{": "}", "[": "]"}
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _first_control(text: str) -> int:
    found = _CONTROL.search(text)
    return found.start() if found else 0
