"""The CEL library: the environments in which it compiles, and our functions and types as it is told of them.

It is imported when the first environment is made: most commands need none.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from bus.functions import FUNCTIONS, Function, declared
from bus.message import JsonValue

Table: TypeAlias = Mapping[str, Mapping[str, JsonValue]]
"""A lookup table: key to row, a row being column to value."""

_NAMED = {
    "INT": "integer", "DOUBLE": "number", "BOOL": "boolean", "NULL": "null",
    **dict.fromkeys(("STRING", "TIMESTAMP", "DURATION", "BYTES"), "string"),
}  # fmt: skip
_PROTOBUF = {1: "DOUBLE", 3: "INT", 8: "BOOL", 9: "STRING"}
_EXTENDED = re.compile(
    r"\b(?:math|cel|strings)\b|\.\s*(?:charAt|format|indexOf|join|lastIndexOf|lowerAscii|quote|replace|reverse|split|substring|trim|upperAscii)\b"
)


def shape_named(name: str) -> dict[str, Any]:
    """CEL's name of a type as a JSON Schema, as deep as lists go; {} of what may be of several types."""
    if name.startswith("LIST<"):
        return {"type": "array", "items": shape_named(name.removeprefix("LIST<").removesuffix(">"))}
    kind = "object" if name.startswith(("MAP", "snodo.")) else _NAMED.get(name, "")
    return {"type": kind} if kind else {}


def error_type() -> Any:
    from cel_expr_python import cel

    return cel.Type.ERROR


def needs_extensions(text: str) -> bool:
    """Whether an expression may use one of CEL's extensions beyond optional values."""
    return _EXTENDED.search(text) is not None


def _extensions(*, extended: bool) -> list[Any]:
    """Optional values, and what an environment is to have beside them: each library is 2.6 MB of a process, and few rules use one."""
    from cel_expr_python.ext import ext_optional

    found = [ext_optional.ExtOptional(1)]  # version 2 takes the word `first` for itself
    if extended:
        from cel_expr_python.ext import ext_bindings, ext_math, ext_strings

        found += [ext_strings.ExtStrings(), ext_math.ExtMath(), ext_bindings.ExtBindings()]
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
    `lookup` and `rows`, if all that they find is ``texts``, texts. What is not ``extended`` knows neither extensions for texts and numbers
    nor `cel.bind`.

    It does not keep the tables: who uses it MUST. What CEL holds, Python's collector does not see, and tables hold the environments that
    were made for them: each set of rules that was ever read would stay in memory.
    """
    from cel_expr_python import cel

    tables = weakref.proxy(tables)
    known = {**FUNCTIONS, "number": replace(FUNCTIONS["number"], returns=float)} if pool else FUNCTIONS
    functions = [_declaration(cel, name, [function]) for name, function in known.items() if name != "sum"]
    functions.append(_sums(cel) if pool else _declaration(cel, "sum", [FUNCTIONS["sum"]]))
    row, cell = lookups(tables)
    found = [replace(row, returns=dict[str, str]), replace(cell, returns=str)] if texts else [row, cell]
    functions.append(_declaration(cel, "lookup", found))
    functions.append(_declaration(cel, "rows", [replace(_rows(tables), returns=list[dict[str, str]]) if texts else _rows(tables)]))
    variables = {name: _declared_type(cel, said) for name, said in names.items()}
    extensions = _extensions(extended=extended)
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
        return cel.Type.List(_type(cel, annotation.__args__[0], returned=True))
    if origin is dict:
        return cel.Type.Map(cel.Type.STRING, _type(cel, annotation.__args__[1], returned=True))
    # a parameter of type DYN matches nothing at run time; `google.protobuf.Any` matches every value
    return cel.Type.DYN if returned else cel.Type("google.protobuf.Any")


def table_functions(tables: Mapping[str, Table]) -> list[Function]:
    """The functions that read tables; their examples are true with the shipped ones."""
    return [*lookups(tables), _rows(tables)]


def _rows(tables: Mapping[str, Table]) -> Function:
    def rows(table: str) -> list[Any]:
        """All rows of a table, in its order, each a map from column to value."""
        if table not in tables:
            raise ValueError(f"there is no table {table}")
        return [dict(row) for row in tables[table].values()]

    return declared(rows, ('rows("uffici")[0].codice == "anagrafe"',))


def lookups(tables: Mapping[str, Table]) -> list[Function]:
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
