"""Expressions: CEL over JSON values. The only room that knows the CEL library.

An `Environment` knows the names, tables and functions an expression may use; `Environment.compile` makes an `Expression`,
a function from a scope (names to JSON values) to a JSON value. Expressions have no effects and are bounded: CEL stops
after about ten thousand iterations.

Most expressions are plain paths (``body.richiedente.nome``) or literals; these never reach CEL, because CEL converts the
whole of ``body`` at each evaluation (3 ms for 200 KB) and compiling one costs 50 µs against 2 µs. What CEL compiles is evaluated by
Python too where values are plain (`bus.expression.plain`). The rules are the same.

Three facts of the library that this room lives with: a run-time failure comes back as a value of type ERROR; an optional given to a
Python function kills the process (refused at compile time, see `bus.expression.tree`); and every null in a result takes one reference
to None that is not its own, which would kill the process after some ten thousand (see `_none_lives_for_ever`).
"""

from __future__ import annotations

import base64
import ctypes
import datetime as dt
import math
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Any

from bus.clock import text_of
from bus.errors import ExpressionError
from bus.expression import failing, library, plain, tree, wording
from bus.expression.library import Table
from bus.expression.needed import Needed, needed, part
from bus.expression.reading import Lookup, Reading, Reference
from bus.functions import FUNCTIONS
from bus.message import JsonValue
from bus.source import line_and_column

__all__ = ["Environment", "Expression", "Lookup", "Table", "Tables", "literal", "name_problem"]

RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop", "null", "package",
    "namespace", "return", "true", "var", "void", "while", "cel", "math", "optional", "strings",
    "bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "optional_type", "string", "type", "uint",
})  # fmt: skip
"""Words that no name may take: reserved by CEL, or the name of one of its libraries or types."""

MAX_LENGTH = 10_000
_OF_AN_OPTIONAL = 'end it with .orValue("")'
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN_PATH = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*")
_PLAIN_LITERAL = re.compile(r"""\s*(?:"([^"\\\n]*)"|'([^'\\\n]*)'|(-?[0-9]{1,18})|(true|false|null))\s*""")
_WORDS: dict[str, JsonValue] = {"true": True, "false": False, "null": None}
_FORBIDDEN_FIELDS = frozenset({"in", "true", "false", "null"})


@lru_cache(maxsize=4096)
def name_problem(name: str) -> str:
    """Why a name cannot be one, as a sentence; empty when it can."""
    if not _NAME.fullmatch(name):
        return f"`{name}` is not a name: letters, digits and underscores, not starting with a digit"
    if name in RESERVED:
        return f"`{name}` is a reserved word of expressions"
    return ""


def _left_out(text: str) -> str:
    """How a field is left out where an optional path, which is the whole of an expression, leads to nothing."""
    path = text.strip().replace(".?", ".")
    return f"; a field is left out by {{$when: has({path}), $value: {path}}}" if _PLAIN_PATH.fullmatch(path) and "." in path else ""


def literal(text: str) -> str:
    """A text as a CEL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


class Expression:
    """A compiled expression. Call it with a scope; it raises `ExpressionError` ``expression.failed`` when it has no value there.

    ``text`` is its source, ``reads`` what it refers to, ``names`` the names of the scope among that, ``in_cel`` whether it is an expression
    of CEL (neither a plain path nor a literal), ``evaluate`` the same as a call, and a step less. Immutable, thread-safe.

    The error's ``detail["missing"]`` is true when a key, an object or a name on its way is not there.
    """

    __slots__ = ("evaluate", "in_cel", "names", "reads", "text")

    def __init__(self, text: str, evaluate: Callable[[Mapping[str, Any]], JsonValue], reading: Reading) -> None:
        self.text, self.evaluate, self.reads = text, evaluate, reading
        self.in_cel = isinstance(evaluate, _Program | plain.Plain)
        self.names = reading.names

    def __call__(self, scope: Mapping[str, Any]) -> JsonValue:
        return self.evaluate(scope)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


class Tables(dict[str, Table]):
    """Tables by name, and the CEL environment that all who look into them share.

    A CEL environment costs 2 ms at its first compilation, whatever it compiles, so it knows the names of all its users; each
    `Environment` checks its own. Do not change tables once expressions have run.
    """

    def __init__(self, tables: Mapping[str, Table] | None = None) -> None:
        super().__init__(tables or {})
        self._names: frozenset[str] = frozenset()
        self._cel: dict[bool, Any] = {}
        self.kept: dict[str, Expression] = {}
        """Expressions by their text: the same text means the same wherever its names are known."""
        self.functions = {name: [one] for name, one in FUNCTIONS.items()} | {"lookup": library.lookups(self)}

    def expect(self, names: Iterable[str]) -> None:
        """Names that expressions will use: who tells them all at first needs one environment."""
        self._names = self._names.union(names)

    def environment(self, names: frozenset[str], text: str) -> Any:
        """The CEL environment for an expression, with at least these names."""
        if not names <= self._names:
            self._names |= names
            self._cel.clear()
        more = library.needs_extensions(text)
        if more not in self._cel:
            self._cel[more] = library.new_environment(dict.fromkeys(self._names), self, extended=more)
        return self._cel[more]


class Environment:
    """The names and tables that expressions may use; ``fields`` of the body are meant, perhaps, where a name is not there."""

    def __init__(self, names: Iterable[str], tables: Mapping[str, Table] | None = None, fields: Collection[str] = ()) -> None:
        self.names = frozenset(names)
        self.fields = fields
        self.tables = tables if isinstance(tables, Tables) else Tables(tables)
        for name in self.names:
            if problem := name_problem(name):
                raise ExpressionError(problem, code="expression.name")

    def compile(self, text: str, offered: frozenset[str] | None = None) -> Expression:
        """Compile, or raise `ExpressionError` with line and column (from 1, in characters).

        ``offered`` are the names that a hint may list, where not all are known at the place of this expression.
        """
        kept = self.tables.kept.get(text)
        if kept is None or not kept.names <= self.names:
            kept = self.tables.kept[text] = self._compile(text, self.names if offered is None else self.names & offered)
        return kept

    def _compile(self, text: str, offered: frozenset[str]) -> Expression:
        if not text.strip():
            raise ExpressionError("the expression is empty", hint='the empty text is written ""')
        if len(text) > MAX_LENGTH:
            raise ExpressionError(f"the expression has {len(text)} characters, at most {MAX_LENGTH} are taken")
        return self._plain_path(text) or _plain_literal(text) or self._in_cel(text, offered)

    def _plain_path(self, text: str) -> Expression | None:
        match = _PLAIN_PATH.fullmatch(text)
        if not match:
            return None
        path = tuple(match[1].split("."))
        if path[0] not in self.names or not _FORBIDDEN_FIELDS.isdisjoint(path[1:]):
            return None
        return Expression(text, _Path(path), Reading([Reference(path, match.start(1) + len(match[1]) - len(path[-1]))]))

    def _in_cel(self, text: str, offered: frozenset[str]) -> Expression:
        compiled, checked, reading = self._compiled(text, offered)
        returned = compiled.return_type().name()
        if returned.startswith("optional_type") or reading.loose_optional is not None:
            line, column = line_and_column(text, reading.loose_optional or 0)
            raise ExpressionError(
                "an optional value is used as if it were plain", line=line, column=column, hint=_OF_AN_OPTIONAL + _left_out(text)
            )
        if reading.loose_type is not None:
            line, column = line_and_column(text, reading.loose_type)
            hint = "compare it: type(x) == string; a text has quotes of its own: '\"string\"'"
            raise ExpressionError("a type stands where a value should", line=line, column=column, hint=hint)
        program = _Program(compiled, reading, needed(checked.expr), self.tables)
        value = plain.compiled(checked.expr, self.tables.functions)
        return Expression(text, program if value is None else plain.Plain(value, program), reading)

    def _compiled(self, text: str, offered: frozenset[str]) -> tuple[Any, Any, Reading]:
        """What CEL makes of it, its tree and what it reads; what is wrong is told with these names alone, whatever others use."""
        try:
            found = _read(self.tables.environment(self.names, text).compile(text))
            if found[2].names <= self.names:
                return found
        except RuntimeError:
            pass
        try:
            return _read(self._alone.compile(text))
        except RuntimeError as error:
            raise wording.compile_error(str(error), text, wording.Known(self.names, self.fields, self.tables, offered)) from None

    @cached_property
    def _alone(self) -> Any:
        """A CEL environment with these names and no others."""
        return library.new_environment(dict.fromkeys(self.names), self.tables)


def _read(compiled: Any) -> tuple[Any, Any, Reading]:
    checked = tree.checked_of(compiled.serialize())
    return compiled, checked, tree.read(checked)


def _plain_literal(text: str) -> Expression | None:
    match = _PLAIN_LITERAL.fullmatch(text)
    if not match:
        return None
    double, single, number, word = match.groups()
    value: JsonValue = _WORDS[word] if word else int(number) if number else double if double is not None else single
    return Expression(text, lambda scope: value, Reading(texts=frozenset([value] if isinstance(value, str) else [])))


class _Path:
    """A plain path, by the rules of CEL: each piece is a key of a map."""

    __slots__ = ("path",)

    def __init__(self, path: tuple[str, ...]) -> None:
        self.path = path

    def __call__(self, scope: Mapping[str, Any]) -> JsonValue:
        value: Any = scope
        try:
            for piece in self.path:
                value = value[piece]
        except (KeyError, TypeError, IndexError):
            raise self._failure(scope) from None
        found: JsonValue = value
        return found

    def _failure(self, scope: Mapping[str, Any]) -> ExpressionError:
        if self.path[0] not in scope:
            return failing.run_error(f'No value with name "{self.path[0]}" found', ())
        value: Any = scope[self.path[0]]
        for position, piece in enumerate(self.path[1:], 1):
            if not isinstance(value, Mapping):
                return failing.run_error("Applying SELECT to non-message type", [".".join(self.path[: position + 1])])
            if piece not in value:
                break
            value = value[piece]
        path = ".".join(self.path[: position + 1])
        sentence, hint = failing.missing(piece, [path])
        return ExpressionError(sentence, code="expression.failed", hint=hint, missing=True)


class _Program:
    """An expression that CEL evaluates."""

    __slots__ = ("_compiled", "_needed", "_reading", "_tables")

    def __init__(self, compiled: Any, reading: Reading, wanted: Mapping[str, Needed], tables: Tables) -> None:
        self._compiled, self._tables = compiled, tables  # of the tables CEL itself knows only where they are
        self._needed = [(name, wanted.get(name)) for name in reading.names]
        self._reading = reading

    def __call__(self, scope: Mapping[str, Any]) -> JsonValue:
        data = {name: part(scope[name], inner) for name, inner in self._needed if name in scope}
        try:
            result = self._compiled.eval(data=data)
            value = result.plain_value()
        except TypeError:
            raise ExpressionError("the result holds an optional value", code="expression.failed", hint='end it with .orValue("")') from None
        except RuntimeError as error:
            raise self._error(str(error)) from None
        if value.__class__ is str:
            if result.type() == library.error_type():
                raise self._error(value)
            failing.bounded(len(value))
        return _plain(value)

    def _error(self, raw: str) -> ExpressionError:
        return failing.run_error(raw, [reference.text for reference in self._reading.references])


def _plain(value: Any) -> JsonValue:
    """A CEL value as JSON. Timestamps are RFC 3339 text in UTC, durations seconds with ``s``, bytes base64."""
    kind = value.__class__
    if kind in _AS_THEY_ARE:
        kept: JsonValue = value
        return kept
    if kind is dict:
        return {_key(key): _plain(inner) for key, inner in value.items()}
    if kind is list:
        return [_plain(inner) for inner in value]
    if kind is float:
        if not math.isfinite(value):
            raise ExpressionError("the result is not a finite number", code="expression.failed")
        finite: float = value
        return finite
    if isinstance(value, dt.datetime):
        return text_of(value)
    if isinstance(value, dt.timedelta):
        return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    raise ExpressionError("the result is a type, not a value", code="expression.failed")


_AS_THEY_ARE = frozenset({str, int, bool, type(None)})


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise ExpressionError("the keys of a map must be text", code="expression.failed", hint="text(...) makes text of a number")
    return key


def _none_lives_for_ever() -> None:
    """Give None more references than can ever be taken from it. From Python 3.12 on it is immortal by itself."""
    if sys.version_info < (3, 12) and sys.implementation.name == "cpython":
        ctypes.c_ssize_t.from_address(id(None)).value += 1 << 60


_none_lives_for_ever()
