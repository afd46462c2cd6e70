"""What CEL says of an expression that it does not take, in the words of the author of a route, each at its place."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass

from bus.errors import ExpressionError
from bus.expression import overloads
from bus.expression.foreign import FUNCTIONS_ELSEWHERE, OF_NUMBERS, OF_TEXTS, SIGNS, VALUES
from bus.functions import FUNCTIONS
from bus.source import line_and_column, nearest, suggestion

_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_SPOKEN = re.compile(r"\b(not|non)[ \t]+$|(<>|->|\?\?)$", re.IGNORECASE)
"""What stands before the place where CEL notices."""
_DURATION = re.compile(r"(?<![\w.\"'])[1-9][0-9]*(s|m|h|d|wd|w|M|y)\b")
"""A duration without quotes."""

_STANDARD = (
    "size", "has", "string", "int", "double", "bool", "timestamp", "duration", "matches", "startsWith", "endsWith", "contains", "map",
    "filter", "exists", "exists_one", "all", "join", "split", "replace", "substring", "trim", "format", "indexOf", "orValue", "hasValue",
    "lowerAscii", "upperAscii", "getFullYear", "getMonth", "charAt", "lastIndexOf", "reverse", "optMap", "type", "dyn",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """What an expression may have meant: ``names``, ``fields`` of the body, ``tables``; ``offered`` names are known at its place."""

    names: frozenset[str]
    fields: Collection[str] = ()
    tables: Collection[str] = ()
    offered: frozenset[str] = frozenset()


def compile_error(raw: str, text: str, known: Known) -> ExpressionError:
    """CEL's compile errors as ours: the first, with what is wrong besides for reasons of its own. Behind a syntax error nothing is sure."""
    found = [match.groups() for match in _ERROR.finditer(raw)]
    if not found or "recursion" in raw:
        return ExpressionError("the expression is too long or nested too deep", hint="split it over several steps or fields")
    placed = [one for one in found if int(one[0]) > 0] or found
    placed = [one for one in placed if "*error*" not in one[2]] or placed  # those follow from another
    placed = [one for one in placed if not _is_item(one[2], text)] or placed
    placed = [one for one in placed if not _LIBRARY.match(one[2])] or placed  # what is wrong with its function is told
    first, *others = _by_cause(_compile_error(one, text, known) for one in placed)
    if not any("Syntax error" in message for _, _, message in placed):
        first.others = tuple(others)
    return first


_LIBRARY = re.compile(r"undeclared reference to '(?:math|cel)'")


def _is_item(message: str, text: str) -> bool:
    """Whether a name is missed that was to name the items for a function that goes through them, as `filter` does: that one is told."""
    missed = re.match(r"undeclared reference to '(\w+)", message)
    called = re.finditer(rf"\b(\w+)\s*\(\s*!?{re.escape(missed[1])}\s*[,.)&|=!]", text) if missed else ()
    return any(one[1] in _OF_ITEMS or (one[1] not in (*FUNCTIONS, *_STANDARD) and nearest(one[1], _OF_ITEMS)) for one in called)


def _compile_error(found: tuple[str, ...], text: str, known: Known) -> ExpressionError:
    message = found[2]
    at_line, at_column = max(int(found[0]), 1), max(int(found[1]), 1)
    if message.startswith("Syntax error"):
        return _syntax_error(message, text, at_line, at_column)
    sentence, hint, word = _worded(message, text, known)
    hint = hint if word else _dated(text) or hint
    if word:
        at_column = _start_of(word, text, at_line, at_column)
    return ExpressionError(sentence, code=_code_of(message, word, text), line=at_line, column=at_column, hint=hint)


_DATE = re.compile(r"""\"[^\"]*\"|'[^']*'|(?<![\w.-])(\d{4}-\d\d-\d\d)(?![\w-])""")
"""A date without quotes; texts are passed over."""


def _dated(text: str) -> str:
    """A hint for an expression that holds a date without quotes, which subtracts numbers."""
    found = next((one[1] for one in _DATE.finditer(text) if one[1]), "")
    return found and f'a date is a text, and has quotes of its own: "{found}"'


def _by_cause(errors: Iterable[ExpressionError]) -> list[ExpressionError]:
    """One for each cause: a name that is not there is told where it stands first."""
    found: dict[Hashable, ExpressionError] = {}
    for one in errors:
        named = one.code in {"name.undefined", "function.unknown"}
        found.setdefault(one.sentence if named else (one.line, one.column), one)
    return list(found.values())


def type_errors(raw: str, text: str) -> tuple[ExpressionError, ...]:
    """CEL's complaints about types that are surely right; the text stands on the second line of what was compiled."""
    return _wrong_types(raw, text, overloads.sure)


def mixed_numbers(raw: str, text: str) -> tuple[ExpressionError, ...]:
    """`type_errors` where a whole number is reckoned with one with decimals, if both are of the kind that their types say."""
    return _wrong_types(raw, text, overloads.of_mixed_numbers)


def _wrong_types(raw: str, text: str, worded: Callable[[str], tuple[str, str, str] | None]) -> tuple[ExpressionError, ...]:
    found = []
    for at_line, at_column, message in _ERROR.findall(raw):
        line, column = max(int(at_line) - 1, 1), int(at_column)
        if (told := worded(message)) is not None:
            sentence, hint, word = told
            if word:
                column = _start_of(word, text, line, column)
            hint = _dated(text) or hint
            found.append(ExpressionError(sentence, code="expression.wrong-type", line=line, column=column, hint=hint))
    return tuple(_by_cause(found))


def _code_of(message: str, word: str, text: str) -> str:
    if not message.startswith("undeclared reference"):
        return "expression.invalid"
    return "function.unknown" if _is_called(word, text) else "name.undefined"


def _is_called(word: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\s*\(", text) is not None


def _start_of(word: str, text: str, line: int, column: int) -> int:
    """CEL points behind a name (at the dot or bracket); the reader looks for its start."""
    row = text.split("\n")[line - 1] if line <= text.count("\n") + 1 else ""
    starts = [m.start() + 1 for m in re.finditer(rf"(?<![\w.]){re.escape(word)}\b", row) if m.start() < column]
    within = [m.start() + 1 for m in re.finditer(rf"\b{re.escape(word)}\b", row) if m.start() < column]
    return (starts or within or [column])[-1]


def _worded(message: str, text: str, known: Known) -> tuple[str, str, str]:
    """(sentence, hint, the name it is about)."""
    if match := re.match(r"undeclared reference to '([^']*)'", message):
        return _undeclared(match[1], text, known)
    if (refused := overloads.refused(message)) is not None:
        return (*refused, "")
    if match := re.match(r"reserved identifier: (\w+)", message):
        return f"`{match[1]}` is a reserved word", SIGNS.get(match[1], "choose another name"), ""
    if "expression of type 'string' cannot be the operand of a select" in message:
        return "a text has no fields", "+ joins texts", ""
    if "cannot be the range of a comprehension" in message and "optional" in message:
        return "what may be missing is gone through as if it were there", "end it with .orValue([])", ""
    if "has() argument" in message:
        asked = re.search(r"\bhas\(\s*(\w+)\s*\)", text)
        hint = f"whether a name has a value: {asked[1]} != null" if asked else ""
        return "has() takes a field, such as has(body.nome)", hint, ""
    if "invalid int literal" in message:
        return "the whole number is too large", "write long codes as text, in quotes", ""
    return message.rstrip("."), "", ""


_OF_ITEMS = frozenset(
    {"map", "filter", "exists", "exists_one", "all", "where", "select", "any", "some", "every", "find", "sortBy", "reduce"}
)
_READING = {"lookup": 'lookup("table", key) or lookup("table", key, "column")', "rows": 'rows("table")'}


def _plainly(sentence: str, text: str) -> str:
    """A hint for what people write who know no expressions: words meant as text, an apostrophe inside quotes, a decimal comma."""
    if not sentence.startswith("unexpected `"):
        return ""
    if asked := re.match(r"!?\s*has\s+([\w.]+)", text.strip()):
        return f"write has({asked[1]})"
    if re.fullmatch(r"\{\{.*\}\}", text.strip(), re.DOTALL):
        return f"an expression stands without braces: {text.strip()[2:-2].strip()}"
    if re.fullmatch(r"[^\W\d_]+\.?\s.*\$?\{+[\w. ]+\}+.*", text.strip(), re.DOTALL):
        return "+ joins texts: '\"Pratica \" + body.numero'"
    if re.fullmatch(r"[^\W\d_]+(['’,]?\s+[\w'’,.;:!?]+)*[.!?,;:]*", text.strip()):
        return "a text has quotes of its own: '\"…\"'"
    if re.search(r"\w''?\w", text):
        return "an apostrophe ends a text in '…': put that text in \"…\""
    if time := re.search(r"([+-])\s*(\d+(?:wd|[smhdwMy]))\b", text):
        return f'a time is added so: date_add(date_of(now), "{time[1].strip("+")}{time[2]}")'
    if (duration := _DURATION.search(text)) and sentence == f"unexpected `{duration[1]}`":
        return f'a duration is a text, and has quotes of its own: "{duration[0]}"'
    if re.search(r"\d,\d", text):
        return "decimals are written with a point"
    return f"a text has quotes of its own: '\"{text.strip()}\"'" if re.fullmatch(r"\s*\d[\w/:.]*\s*", text) else ""


_HYPHENED = re.compile(r"[^\W\d]\w*(-\w+)+")
_SOMETIMES = frozenset({"arrival", "error", "index", "items"})
"""Names that only some places have: they are not offered where they may be wrong."""


def _undeclared(name: str, text: str, known: Known) -> tuple[str, str, str]:
    root, names = name.partition(".")[0], known.names
    if _is_called(root, text):
        return _uncalled(root, text)
    whole = text.strip()
    if _HYPHENED.fullmatch(whole) and names.isdisjoint(whole.split("-")):  # one sentence for all its words: it is one cause
        return f"there is no `{whole}` here", f"a text has quotes of its own: '\"{whole}\"'", root
    hint = VALUES.get(name.lower(), "")
    if hint and root == whole:
        hint += f"; a text has quotes of its own: '\"{root}\"'"
    if table := _table(root, text, known):
        return f"there is no `{table}` here", f'a table is read with lookup("{table}", …)', root
    hint = hint or _meant(root, text, known)
    if not hint and root == whole:
        hint = f"a text has quotes of its own: '\"{root}\"'; "
    elif not hint and _is_compared(root, text):
        hint = f'a text has quotes of its own: "{root}"; '
    if known.offered and (not hint or hint.endswith("; ")):
        hint += "known here: " + ", ".join(sorted(known.offered - _SOMETIMES)[:12])
    return f"there is no `{root}` here", hint, root


def _meant(root: str, text: str, known: Known) -> str:
    """What was probably meant by a name: a field of the body, also where it is asked of what somebody calls the body."""
    if root in known.fields:
        return f"did you mean body.{root}?"
    near = _near(root, known.names)
    asked = re.search(rf"(?<![\w.]){re.escape(root)}\.\??(\w+)", text)
    said = asked is not None and asked[1] in known.fields and nearest(root, known.names - {"message"}) is None
    return "did you mean body?" if said else near


def _near(word: str, names: frozenset[str]) -> str:
    """The name that was probably meant; one that only some places have is meant where it is nearly the same."""
    return suggestion(word, names - _SOMETIMES) or suggestion(word, [one for one in names & _SOMETIMES if nearest(word, [one], 0.75)])


def _table(word: str, text: str, known: Known) -> str:
    """The table whose name stands without quotes where a table is asked for, or alone where nothing is called so."""
    bare = (one for one in known.tables if word in one.split("-") and re.search(rf"(?<![\w\"'.-]){re.escape(one)}(?![\w\"'-])", text))
    near = suggestion(word, known.names) or word in known.fields
    return next((one for one in bare if not near or re.search(rf"\b(lookup|rows)\(\s*{re.escape(one)}\b", text)), "")


def _uncalled(root: str, text: str) -> tuple[str, str, str]:
    """(sentence, hint, name) for a function that there is not, or that takes other arguments."""
    if root in FUNCTIONS:
        hint = f"write {root}(x), not x.{root}()" if re.search(rf"\.\s*{root}\s*\(", text) else ""
        return f"{root} takes other arguments: {FUNCTIONS[root].signature}", hint, root
    if root in _READING:
        return f"{root} takes other arguments", f"write {_READING[root]}", root
    if re.search(rf"\bmath\s*\.\s*{root}\s*\(", text):
        return _of_math(root, text)
    if root in OF_TEXTS and re.search(rf"\.\s*{root}\s*\(", text):
        return f"`{root}` takes other arguments", f"write {OF_TEXTS[root]}", root
    hint = FUNCTIONS_ELSEWHERE.get(root.lower()) or (f"write x.{root}(y, y.…)" if root in _OF_ITEMS else "")
    hint = hint or (f"write x.{root}(…)" if root in _STANDARD else "")
    return f"there is no function `{root}`", hint or suggestion(root, {*FUNCTIONS, "lookup", "rows", *_STANDARD}), root


def _of_math(word: str, text: str) -> tuple[str, str, str]:
    """(sentence, hint, name) for a function of `math` that there is not, or that takes other arguments."""
    if word in OF_NUMBERS:
        comma = "; decimals are written with a point" if re.search(r"\d,\d", text) else ""
        return f"math.{word} takes other arguments", f"write math.{word}(x){comma}", word
    hint = FUNCTIONS_ELSEWHERE.get(word.lower()) or suggestion(word, OF_NUMBERS) or "it has " + ", ".join(OF_NUMBERS)
    return f"there is no `math.{word}`", hint, word


def _is_compared(word: str, text: str) -> bool:
    """Whether a word stands where a value does that something is compared with: behind ``==``, or in a list."""
    return re.search(rf"([=!]=|[\[,])\s*{re.escape(word)}\s*($|[\]),&|?:])", text) is not None


def _cut(text: str) -> str:
    if text.count("(") > text.count(")"):
        return "a `(` is not closed; within {…} or […] a comma ends the text: put the whole expression in quotes"
    if len(_CHOICE.findall(text)) > text.count(":"):
        return "? needs a `:` and the value for the other case: condition ? value : other"
    return "is a bracket or an operand missing?"


_CHOICE = re.compile(r"\s\?\s")
"""The sign of a choice; one that asks for what may be missing has no blanks."""


def _syntax_error(message: str, text: str, line: int, column: int) -> ExpressionError:
    """A syntax error at what was written for something else, where that can be told: CEL notices behind it."""
    sentence, hint, found = _syntax(message, text)
    row = text.split("\n")[line - 1] if line <= text.count("\n") + 1 else ""
    if found == "<EOF>":
        line, column = line_and_column(text, len(text.rstrip()))
    elif spoken := _SPOKEN.search(row[: column - 1]) or _SPOKEN.search(row[:column]):
        found = spoken[1] or spoken[2]
        sentence, column = f"unexpected `{found}`", spoken.start() + 1
    if optional := re.search(r"(\w+)\?\.(\w+)", text):
        hint = f"the question mark stands behind the point: {optional[1]}.?{optional[2]}"
    if re.search(r"\bin\s*\($", row[: column - 1].rpartition("(")[0] + "(") and found == ",":
        hint = 'a list has square brackets: x in ["A", "B"]'
    elif column > len(row) and found == ".":
        sentence, hint = "the expression ends too early", "a field is missing behind the point"
    beside = not re.search(r"\w''?\w", text) and (found[:1] in "\"'" or row[: column - 1].rstrip()[-1:] in ('"', "'"))
    word = found.isidentifier() and found.lower() not in SIGNS
    if beside and sentence.startswith("unexpected `") and (word or found[:1] in "\"'" or found == ","):
        hint = hint or "+ joins texts; a comma stands between arguments"
    prose = found.lower() in {"e", "ed", "o", "oppure", "non"} and not re.search(r"\w\.\w", text) and _plainly(sentence, text)
    hint = hint or prose or SIGNS.get(found.lower()) or SIGNS.get(found[:1], "") or _plainly(sentence, text)
    hint = hint or _strange(found[:1])
    return ExpressionError(sentence, code="expression.invalid", line=line, column=column, hint=hint)


def _strange(sign: str) -> str:
    """What a sign is that looks like a plain one (a Cyrillic о), or like nothing."""
    named = f"it is {unicodedata.name(sign, 'a sign')} (U+{ord(sign):04X})" if sign and not sign.isascii() else ""
    return named and f'{named}; outside quotes there are plain letters and blanks alone, and a field with others is body["…"]'


def _syntax(message: str, text: str) -> tuple[str, str, str]:
    """(sentence, hint, what CEL stumbled over)."""
    if match := re.search(r"(?:mismatched|extraneous) input '(.*?)' expecting", message):
        found = match[1]
    elif match := re.search(r"(?:token recognition error at: |no viable alternative at input |at )'(.*)'", message):
        found = match[1].strip(" \t\r\n")
    else:
        return message.removeprefix("Syntax error: "), "", ""
    if found == "<EOF>":
        return "the expression ends too early", _cut(text), found
    if found.startswith(('"', "'")) and "token recognition" in message:
        last = "delete it, or write the other one; a ` #` begins a comment: put the whole expression in quotes"
        hint = last if text[-1:] == found else 'a text has quotes of its own, and an apostrophe stands within "…"'
        return "a quote is not closed", hint, found
    return f"unexpected `{found}`", "", found
