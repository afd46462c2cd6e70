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
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

from bus.clock import text_of
from bus.errors import ExpressionError
from bus.expression import plain, tree, wording
from bus.expression.tree import Lookup, Reading, Reference
from bus.functions import FUNCTIONS, Function, declared
from bus.message import JsonValue
from bus.source import line_and_column

__all__ = [
    "Bundle", "Environment", "Expression", "Lookup", "Reference", "Table", "Tables", "literal", "name_problem",
    "needs_extensions", "new_environment", "shape_named", "table_functions",
]  # fmt: skip

Table: TypeAlias = Mapping[str, Mapping[str, JsonValue]]
"""A lookup table: key to row, a row being column to value."""

RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop", "null", "package",
    "namespace", "return", "true", "var", "void", "while", "cel", "math", "optional", "strings",
    "bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "optional_type", "string", "type", "uint",
})  # fmt: skip
"""Words that no name may take: reserved by CEL, or the name of one of its libraries or types."""

MAX_LENGTH = 10_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN_PATH = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*")
_PLAIN_LITERAL = re.compile(r"""\s*(?:"([^"\\\n]*)"|'([^'\\\n]*)'|(-?[0-9]{1,18})|(true|false|null))\s*""")
_NAMED = {
    "INT": "integer", "DOUBLE": "number", "BOOL": "boolean", "NULL": "null",
    **dict.fromkeys(("STRING", "TIMESTAMP", "DURATION", "BYTES"), "string"),
}  # fmt: skip
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


def literal(text: str) -> str:
    """A text as a CEL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def shape_named(name: str) -> dict[str, Any]:
    """CEL's name of a type as a JSON Schema, as deep as lists go; {} of what may be of several types."""
    if name.startswith("LIST<"):
        return {"type": "array", "items": shape_named(name.removeprefix("LIST<").removesuffix(">"))}
    kind = "object" if name.startswith(("MAP", "snodo.")) else _NAMED.get(name, "")
    return {"type": kind} if kind else {}


class Expression:
    """A compiled expression. Call it with a scope; it raises `ExpressionError` ``expression.failed`` when it has no value there.

    ``text`` is its source, ``names`` the names of the scope it reads, ``in_cel`` whether it is an expression of CEL (neither a plain
    path nor a literal). What it reads is said as in `bus.expression.tree.Reading`. Immutable, thread-safe.

    The error's ``detail["missing"]`` is true when a key, an object or a name on its way is not there.
    """

    __slots__ = (
        "_evaluate", "arguments", "cells", "compared", "comparisons", "in_cel", "literals", "lookups", "made", "mixed", "names",
        "pairs", "references", "results", "sifted", "text",
    )  # fmt: skip

    def __init__(self, text: str, evaluate: Callable[[Mapping[str, Any]], JsonValue], reading: Reading) -> None:
        self.text, self._evaluate = text, evaluate
        self.in_cel = isinstance(evaluate, _Program | plain.Plain)
        self.names, self.references, self.lookups = reading.names, reading.references, reading.lookups
        self.comparisons, self.compared, self.pairs, self.mixed = reading.comparisons, reading.compared, reading.pairs, reading.mixed
        self.literals, self.arguments, self.results, self.made = reading.literals, reading.arguments, reading.results, reading.made
        self.cells, self.sifted = reading.cells, reading.sifted

    def __call__(self, scope: Mapping[str, Any]) -> JsonValue:
        return self._evaluate(scope)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    @property
    def goes_together(self) -> bool:
        """Whether CEL evaluates it, so that it is cheaper together with others."""
        return isinstance(self._evaluate, _Program)


class Bundle:
    """Several expressions evaluated together, to a list of their values: one conversion of the scope for all."""

    def __init__(self, environment: Environment, expressions: Sequence[Expression]) -> None:
        self.expressions = tuple(expressions)
        self._each = [one._evaluate for one in self.expressions]  # noqa: SLF001 - a call less for each field of each message
        self._environment = environment
        self._together = [position for position, one in enumerate(self.expressions) if one.goes_together]

    def __call__(self, scope: Mapping[str, Any]) -> list[JsonValue]:
        """Raises what the first failing expression raises, with its position as ``error.detail["position"]``."""
        if self._joined is None:
            return self._one_by_one(scope)
        try:
            together = self._joined(scope)
        except ExpressionError:
            return self._one_by_one(scope)
        assert isinstance(together, list)
        values = dict(zip(self._together, together, strict=True))
        return [values[n] if n in values else self._single(n, scope) for n in range(len(self.expressions))]

    def _one_by_one(self, scope: Mapping[str, Any]) -> list[JsonValue]:
        try:
            return [evaluate(scope) for evaluate in self._each]
        except ExpressionError:  # again, to see which
            return [self._single(position, scope) for position in range(len(self.expressions))]

    def _single(self, position: int, scope: Mapping[str, Any]) -> JsonValue:
        try:
            return self.expressions[position](scope)
        except ExpressionError as error:
            error.detail["position"] = position
            raise

    @cached_property
    def _joined(self) -> Expression | None:
        """The list of those that CEL evaluates, compiled at first use; None of a single one, or when CEL does not take it (too deep)."""
        if len(self._together) < 2:
            return None
        source = ",\n".join(f"dyn({self.expressions[position].text}\n)" for position in self._together)
        try:
            return self._environment.compile(f"[{source}\n]", limit=1_000_000)
        except ExpressionError:
            return None


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
        self.functions = {name: [one] for name, one in FUNCTIONS.items()} | {"lookup": _lookups(self)}

    def expect(self, names: Iterable[str]) -> None:
        """Names that expressions will use: who tells them all at first needs one environment."""
        self._names = self._names.union(names)

    def environment(self, names: frozenset[str], text: str) -> Any:
        """The CEL environment for an expression, with at least these names."""
        if not names <= self._names:
            self._names |= names
            self._cel.clear()
        more = needs_extensions(text)
        if more not in self._cel:
            self._cel[more] = new_environment(dict.fromkeys(self._names), self, extended=more)
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

    def compile(self, text: str, limit: int = MAX_LENGTH, offered: frozenset[str] | None = None) -> Expression:
        """Compile, or raise `ExpressionError` with line and column (from 1, in characters).

        ``offered`` are the names that a hint may list, where not all are known at the place of this expression.
        """
        kept = self.tables.kept.get(text)
        if kept is None or not kept.names <= self.names:
            kept = self.tables.kept[text] = self._compile(text, limit, self.names if offered is None else self.names & offered)
        return kept

    def _compile(self, text: str, limit: int, offered: frozenset[str]) -> Expression:
        if not text.strip():
            raise ExpressionError("the expression is empty", hint='the empty text is written ""')
        if len(text) > limit:
            raise ExpressionError(f"the expression has {len(text)} characters, at most {limit} are taken")
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
                "an optional value is used as if it were plain", line=line, column=column, hint='end it with .orValue("")'
            )
        if reading.loose_type is not None:
            line, column = line_and_column(text, reading.loose_type)
            hint = "compare it: type(x) == string; a text has quotes of its own: '\"string\"'"
            raise ExpressionError("a type stands where a value should", line=line, column=column, hint=hint)
        program = _Program(compiled, reading)
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
        return new_environment(dict.fromkeys(self.names), self.tables)


def _read(compiled: Any) -> tuple[Any, Any, Reading]:
    checked = tree.checked_of(compiled.serialize())
    return compiled, checked, tree.read(checked)


def _plain_literal(text: str) -> Expression | None:
    match = _PLAIN_LITERAL.fullmatch(text)
    if not match:
        return None
    double, single, number, word = match.groups()
    value: JsonValue = _WORDS[word] if word else int(number) if number else double if double is not None else single
    return Expression(text, lambda scope: value, Reading())


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
            return wording.run_error(f'No value with name "{self.path[0]}" found', ())
        value: Any = scope[self.path[0]]
        for position, piece in enumerate(self.path[1:], 1):
            if not isinstance(value, Mapping):
                return wording.run_error("Applying SELECT to non-message type", [".".join(self.path[: position + 1])])
            if piece not in value:
                break
            value = value[piece]
        path = ".".join(self.path[: position + 1])
        sentence, hint = wording.missing(piece, [path])
        return ExpressionError(sentence, code="expression.failed", hint=hint, missing=True)


class _Program:
    """An expression that CEL evaluates."""

    __slots__ = ("_compiled", "_reading")

    def __init__(self, compiled: Any, reading: Reading) -> None:
        self._compiled = compiled
        self._reading = reading

    def __call__(self, scope: Mapping[str, Any]) -> JsonValue:
        data = {name: scope[name] for name in self._reading.names if name in scope}
        try:
            result = self._compiled.eval(data=data)
            value = result.plain_value()
        except TypeError:
            raise ExpressionError("the result holds an optional value", code="expression.failed", hint='end it with .orValue("")') from None
        except RuntimeError as error:
            raise self._error(str(error)) from None
        if value.__class__ is str and result.type() == _error_type():
            raise self._error(value)
        return _plain(value)

    def _error(self, raw: str) -> ExpressionError:
        return wording.run_error(raw, [reference.text for reference in self._reading.references])


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


# --- the CEL library -------------------------------------------------------------------------------------------------


def _error_type() -> Any:
    from cel_expr_python import cel

    return cel.Type.ERROR


_PROTOBUF = {1: "DOUBLE", 3: "INT", 8: "BOOL", 9: "STRING"}
_EXTENDED = re.compile(
    r"\b(?:math|cel|strings)\b|\.\s*(?:charAt|format|indexOf|join|lastIndexOf|lowerAscii|quote|replace|reverse|split|substring|trim|upperAscii)\b"
)


def needs_extensions(text: str) -> bool:
    """Whether an expression may use one of CEL's extensions beyond optional values."""
    return _EXTENDED.search(text) is not None


def _extensions(*, extended: bool, binding: bool) -> list[Any]:
    """Optional values, and what an environment is to have beside them: each library is 2.6 MB of a process, and few rules use one."""
    from cel_expr_python.ext import ext_optional

    found = [ext_optional.ExtOptional(1)]  # version 2 takes the word `first` for itself
    if extended:
        from cel_expr_python.ext import ext_math, ext_strings

        found += [ext_strings.ExtStrings(), ext_math.ExtMath()]
    if extended or binding:
        from cel_expr_python.ext import ext_bindings

        found.append(ext_bindings.ExtBindings())
    return found


def new_environment(
    names: Mapping[str, tuple[int, str, bool] | None],
    tables: Mapping[str, Table],
    pool: Any = None,
    *,
    texts: bool = False,
    extended: bool = True,
) -> Any:
    """A CEL environment. A name holds anything (None), or what a protobuf field says: (type, name of its message, repeated).

    With a ``pool`` of messages it is one that checks types: there `number` gives a number, where a run may get a whole one, and
    `lookup`, if all that it finds is ``texts``, a text. What is not ``extended`` knows neither extensions for texts and numbers nor,
    without a pool, `cel.bind`.
    """
    from cel_expr_python import cel

    known = {**FUNCTIONS, "number": replace(FUNCTIONS["number"], returns=float)} if pool else FUNCTIONS
    functions = [_declaration(cel, name, [function]) for name, function in known.items() if name != "sum"]
    functions.append(_sums(cel) if pool else _declaration(cel, "sum", [FUNCTIONS["sum"]]))
    row, cell = _lookups(tables)
    found = [replace(row, returns=dict[str, str]), replace(cell, returns=str)] if texts else [row, cell]
    functions.append(_declaration(cel, "lookup", found))
    functions.append(_declaration(cel, "rows", [_rows(tables)]))
    variables = {name: _declared_type(cel, said) for name, said in names.items()}
    extensions = _extensions(extended=extended, binding=pool is not None)
    return cel.NewEnv(descriptor_pool=pool, variables=variables, functions=functions, extensions=extensions)


def _declared_type(cel: Any, said: tuple[int, str, bool] | None) -> Any:
    if said is None:
        return cel.Type.DYN
    kind, message, repeated = said
    single = getattr(cel.Type, _PROTOBUF[kind]) if kind in _PROTOBUF else cel.Type(message.lstrip("."))
    return cel.Type.List(single) if repeated else single


def _declaration(cel: Any, name: str, overloads: Sequence[Function]) -> Any:
    return cel.FunctionDecl(name, [_overload(cel, function) for function in overloads])


def _sums(cel: Any) -> Any:
    """`sum` for a checker of types: whole of whole numbers, and of no texts.

    The first takes what nobody has. It is for lists of which nothing is known: where several may be meant, CEL gives the first's type.
    """
    kinds = (cel.Type.TIMESTAMP, cel.Type.DYN), (cel.Type.INT, cel.Type.INT), (cel.Type.DOUBLE, cel.Type.DOUBLE)

    def overload(item: Any, returned: Any) -> Any:
        return cel.Overload(f"sum_{item.name()}", return_type=returned, parameters=[cel.Type.List(item)], impl=FUNCTIONS["sum"].call)

    return cel.FunctionDecl("sum", [overload(*one) for one in kinds])


def _overload(cel: Any, function: Function) -> Any:
    return cel.Overload(
        f"{function.name}_{len(function.parameters)}",
        return_type=_type(cel, function.returns, returned=True),
        parameters=[_type(cel, annotation) for _, annotation in function.parameters],
        impl=_guarded(function.call),
    )


def _guarded(call: Callable[..., Any]) -> Callable[..., Any]:
    """CEL shows the text of what a function raises: let only our own sentences through."""

    def guarded(*arguments: Any) -> Any:
        try:
            return call(*arguments)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"{call.__name__} cannot take this value") from error

    return guarded


def _type(cel: Any, annotation: Any, returned: bool = False) -> Any:
    kinds = {str: cel.Type.STRING, int: cel.Type.INT, float: cel.Type.DOUBLE, bool: cel.Type.BOOL}
    if annotation in kinds:
        return kinds[annotation]
    origin = getattr(annotation, "__origin__", None)
    if origin is list:
        return cel.Type.List(cel.Type.DYN)
    if origin is dict:
        return cel.Type.Map(cel.Type.STRING, _type(cel, annotation.__args__[1], returned=True))
    # a parameter of type DYN matches nothing at run time; `google.protobuf.Any` matches every value
    return cel.Type.DYN if returned else cel.Type("google.protobuf.Any")


def table_functions(tables: Mapping[str, Table]) -> list[Function]:
    """The functions that read tables; their examples are true with the shipped ones."""
    return [*_lookups(tables), _rows(tables)]


def _rows(tables: Mapping[str, Table]) -> Function:
    def rows(table: str) -> list[Any]:
        """All rows of a table, in its order, each a map from column to value."""
        if table not in tables:
            raise ValueError(f"there is no table {table}")
        return [dict(row) for row in tables[table].values()]

    return declared(rows, ('rows("uffici")[0].codice == "anagrafe"',))


def _lookups(tables: Mapping[str, Table]) -> list[Function]:
    def row_of(table: str, key: Any) -> Mapping[str, JsonValue]:
        rows = tables.get(table)
        if rows is None:
            raise ValueError(f"there is no table {table}")
        row = rows.get(FUNCTIONS["text"].call(key))
        if row is None:
            raise ValueError(f"the key is not in table {table}")
        return row

    def lookup(table: str, key: Any) -> dict[str, Any]:
        """The row of a table (CSV) with a key, as a map from column to text."""
        return dict(row_of(table, key))

    def lookup_column(table: str, key: Any, column: str) -> Any:
        """One column of the row of a table with a key."""
        row = row_of(table, key)
        if column not in row:
            raise ValueError(f"table {table} has no column {column}")
        return row[column]

    examples = ('lookup("uffici", "edilizia").uo == "SUE01"',), ('lookup("uffici", "edilizia", "uo") == "SUE01"',)
    return [declared(lookup, examples[0]), declared(lookup_column, examples[1])]
