"""CEL's messages in the words of the author of a route. Nothing here shows a value: values may be personal data."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass

from bus.errors import ExpressionError
from bus.expression.foreign import FUNCTIONS_ELSEWHERE, OF_NUMBERS, OF_TEXTS, SIGNS, VALUES
from bus.expression.tree import COMPARISONS, RECKONING
from bus.functions import FUNCTIONS
from bus.source import line_and_column, nearest, suggestion

_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_ABSENT = ("Key not found", "No value with name", "Applying SELECT")
_STATUS = re.compile(r"^[A-Z_]+: ")
_OPERATOR = re.compile(r"^_?([^_a-z@]+)_?$")
_TYPES = {
    "int64": "int", "null_type": "null", "dyn": "any", "list": "list", "uint64": "uint", "bool": "bool", "timestamp": "timestamp",
}  # fmt: skip
_SPOKEN = re.compile(r"\b(not|non)[ \t]+$|(<>|->|\?\?)$", re.IGNORECASE)
"""What stands before the place where CEL notices."""

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
    found = []
    for match in _ERROR.finditer(raw):
        line, column, message = max(int(match[1]) - 1, 1), int(match[2]), match[3]
        if (worded := _type_worded(message)) is not None:
            sentence, hint, word = worded
            if word:
                column = _start_of(word, text, line, column)
            hint = _dated(text) or hint
            found.append(ExpressionError(sentence, code="expression.wrong-type", line=line, column=column, hint=hint))
    return tuple(_by_cause(found))


def mixed_numbers(raw: str, text: str) -> tuple[ExpressionError, ...]:
    """Where a whole number is reckoned with one with decimals: never right, if both are of the kind that their types say."""
    found = []
    for match in _ERROR.finditer(raw):
        overload = _OVERLOAD.match(match[3])
        if overload is None or overload[1] not in RECKONING:
            continue
        kinds = set(_operands(overload[2].removeprefix("(").removesuffix(")")))
        if kinds <= _NUMBERS and _WHOLE & kinds and _FRACTIONS & kinds:
            sentence, hint = of_two_kinds(overload[1])
            place = {"line": max(int(match[1]) - 1, 1), "column": int(match[2])}
            found.append(ExpressionError(sentence, code="expression.wrong-type", hint=hint, **place))
    return tuple(_by_cause(found))


_OF_WHOLE_ONES = "% takes whole numbers: int(...) makes one"


def of_two_kinds(function: str, whole: str = "") -> tuple[str, str]:
    """(sentence, hint) for a whole number, at the path ``whole`` where it has one, that is reckoned with one with decimals."""
    made = f"write double({whole})" if whole else "double(...) around the whole one, 2.0 for 2"
    hint = _OF_WHOLE_ONES if function == "_%_" else f"{made}; and int(...) around it all where cents are wanted"
    return f"`{function.strip('_')}` cannot be applied to a whole number and a number with decimals", hint


_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '(.*)'")
_SURE_OPERATORS = RECKONING | {"-_", "!_", "_&&_", "_||_", "_<_", "_<=_", "_>_", "_>=_"}
_NUMBERS = frozenset({"int", "double", "uint", "wrapper(int)", "wrapper(double)"})
_TEXTS = frozenset({"string", "wrapper(string)"})
_WHOLE = frozenset({"int", "wrapper(int)"})
_FRACTIONS = frozenset({"double", "wrapper(double)"})


def _type_worded(message: str) -> tuple[str, str, str] | None:
    """(sentence, hint, word to point at); None for what may be right when it runs: nulls, open objects, mixed numbers."""
    if "*error*" in message:
        return None  # what it is applied to is told by itself, or is right when it runs
    if match := _OVERLOAD.match(message):
        function, types = match[1], match[2].removeprefix("(").removesuffix(")")
        parts = _operands(types)
        if function == "_?_:_":
            return None if _may_be_condition(parts[0]) else (*_no_condition(_shown(parts[0])), "")
        unsure = "null_type" in types or "optional" in types or "%" in types or "map(" in types
        if unsure or (function in COMPARISONS and set(parts) <= _NUMBERS):
            return None
        if _FRACTIONS & set(parts) and (set(parts) <= _NUMBERS | {"dyn"} or function not in _SURE_OPERATORS | COMPARISONS):
            return None  # the number may be a whole one when it runs; see `mixed_numbers`
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


def _no_condition(kind: str) -> tuple[str, str]:
    """(sentence, hint) for what stands before ``?``, or decides in ``filter``, and is no condition."""
    return f"the condition is {kind}, not true or false", "compare it with something"


def field_of(kind: str, *, of_list: bool) -> tuple[str, str]:
    """(sentence, hint) for a field that is asked of what has none; ``kind`` says in words what it is."""
    return f"a field is asked of {kind}", "take one item, such as [0], or .map(x, x.…); size(…) counts them" if of_list else ""


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
    words = {
        "int": "a whole number", "string": "a text", "bool": "true or false", "double": "a number", "dyn": "anything",
        "google.protobuf.Timestamp": "a moment", "google.protobuf.Duration": "a duration", "null_type": "null"}  # fmt: skip
    inner = re.fullmatch(r"wrapper\((\w+)\)", kind)
    return words.get(inner[1] if inner else kind, kind)


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
    if match := _OVERLOAD.match(message):
        function, types = match[1], match[2].removeprefix("(").removesuffix(")")
        condition = _operands(types)[0]
        if function == "_?_:_" and not _may_be_condition(condition):
            return (*_no_condition(_shown(condition)), "")
        return (*_inapplicable(function, types), "")
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
    hint = hint or (f"did you mean body.{root}?" if root in known.fields else _near(root, names))
    if not hint and root == whole:
        hint = f"a text has quotes of its own: '\"{root}\"'; "
    elif not hint and _is_compared(root, text):
        hint = f'a text has quotes of its own: "{root}"; '
    if known.offered and (not hint or hint.endswith("; ")):
        hint += "known here: " + ", ".join(sorted(known.offered - _SOMETIMES)[:12])
    return f"there is no `{root}` here", hint, root


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


def _operands(types: str) -> list[str]:
    return re.split(r",\s*(?![^(]*\))", types)


def _inapplicable(function: str, types: str) -> tuple[str, str]:
    """(sentence, hint) for what is applied to types of CEL that it does not take: they are shown in words, the hint depends on them."""
    shown = f"({', '.join(map(_shown, _operands(types)[function == '_?_:_' :]))})"  # of a choice its two sides
    return _no_overload(function, shown)[0], _no_overload(function, types)[1]


def _no_overload(function: str, types: str) -> tuple[str, str]:
    if function == "_?_:_":
        return f"the two results of ? : have different types: {types}", "make them the same type, or wrap one in dyn(...)"
    hint = ""
    if function == "date_add" and "int" in types:
        hint = 'a duration is a text with its unit: "30d"; of a number of days text(...) + "d"'
    elif "double" in types and function == "_%_":
        hint = _OF_WHOLE_ONES
    elif "double" in types and "int" in types:
        hint = "int(...) or double(...) makes them the same type"
    elif "bool" in types and "string" in types and function in COMPARISONS:
        hint = "true and false are written without quotes"
    elif function == "@in" and types.rstrip(")").endswith("string"):
        hint = 'for a part of a text write x.contains("…")'
    elif function == "contains" and types.removeprefix("(").startswith("list"):
        hint = "whether a list has an item: x in list"
    elif function == "_+_" and "list" in types:
        hint = "a list is joined to a list, as in list + [x]; size(…) counts its items"
    elif "list" in types and "int" in types and function in COMPARISONS | _SURE_OPERATORS:
        hint = "size(…) counts the items of a list"
    elif "optional" in types:
        hint = 'end the optional with .orValue("")'
    elif function == "_-_" and "string" in types and set(_operands(types.strip("()"))) <= _TEXTS | {"dyn"}:
        hint = "days_between(start, end) counts the days between dates; number(...) makes a number of text"
    elif "string" in types and function in COMPARISONS | _SURE_OPERATORS - {"_+_"} and ("int" in types or "double" in types):
        hint = "a number is written without quotes; number(...) makes one of a text"
    elif "string" in types and "int" in types:
        hint = "text(...) makes text of a number"
    elif function in {"_==_", "_!=_"} and "null" in types:
        hint = "where this is one side of a choice, put the choice in brackets: (x == null ? … : …)"
    elif function in {"_==_", "_!=_"} and "snodo." in types:
        hint = "name the field of it that is compared"
    elif function in {"_&&_", "_||_", "!_"}:
        hint = "it takes true or false; default(x, other) gives the other for what is null"
    if function in FUNCTIONS:
        return f"{FUNCTIONS[function].signature} cannot be applied to {types}", hint
    return f"`{_operator(function)}` cannot be applied to {types}", hint


def _operator(function: str) -> str:
    found = _OPERATOR.match(function)
    return found[1] if found else function.strip("_@")


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


def run_error(raw: str, paths: Iterable[str]) -> ExpressionError:
    """What CEL said while evaluating, as ours; ``paths`` are what the expression reads."""
    if "teration budget" in raw:
        hint = "take fewer items, or use an `each` step"
        return ExpressionError("the expression goes over too many items", code="expression.budget", hint=hint)
    message = _STATUS.sub("", raw.removesuffix(" [INVALID_ARGUMENT]").removesuffix(" [INTERNAL]"))
    sentence, hint = _run_worded(message, tuple(paths))
    return ExpressionError(sentence, code="expression.failed", hint=hint, missing=message.startswith(_ABSENT))


_NO_LIST = "write default(x, []) where a list may be null"
_NO_OBJECT = 'write default(x, {}).?name.orValue("") where an object may be null'
_UNFIT = {
    "No matching overloads found : _?._(": ("a field is asked of something that is no object", _NO_OBJECT),
    "No matching overloads found : _[?_]": ("a field or an item is asked of something that has none", _NO_OBJECT),
    "No matching overloads found : <jump_condition>": _no_condition("something else"),
    "No matching overloads found : <iter_range>": ("something that is no list is gone through", _NO_LIST),
    "No matching overloads found : @in": ("something is looked for in what is no list and no object", _NO_LIST),
    "Invalid container type": ("an item is asked of something that is no list and no object", _NO_LIST),
}
"""What CEL says by words of its inner parts."""


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
        return _no_overload(match[1], f"({types})")
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
