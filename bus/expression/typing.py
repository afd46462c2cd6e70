"""Expressions against the types of the contracts: what CEL's own checker says once it knows what a name holds.

`Types` declares JSON Schemas to CEL as protobuf messages, made in memory, each as one variable of one environment. An expression is
checked with its names bound to such variables (``[v3].map(persona, …)``), so that a route's names, which mean something else in
every route, need no environment of their own: the first compilation in one costs 1 ms, each after that some 60 µs.

JSON has shapes that messages cannot say. What is said about an open object, a union, a null or a number that may be either whole or
not is left to the run: here only what cannot be right is told.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, wrappers_pb2

from bus.errors import ExpressionError
from bus.expression import Lookup, Tables, wording
from bus.expression.library import needs_extensions, new_environment, shape_named
from bus.expression.rows import shape_of_rows
from bus.expression.unions import kinds_of, referred
from bus.message import canonical

ANYTHING = "any_"
"""The variable of which nothing is known."""

_PACKAGE = "snodo.t"
_ANY = ".google.protobuf.Value"
_LEAVES: dict[str, tuple[int, str]] = {
    "integer": (3, "Int64Value"),
    "number": (1, "DoubleValue"),
    "string": (9, "StringValue"),
    "boolean": (8, "BoolValue"),
}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,999}")  # a longer one spoils all messages: protobuf takes 65,535 with its path
_DEPTH = 30


@dataclass(frozen=True, slots=True)
class Checked:
    """What CEL says of an expression: the schema of its value ({}: not known) and each reason why it cannot be right, with its
    place (from 1). ``mixed``: reasons that hold where no number with decimals may be a whole one when it runs.
    """

    returns: dict[str, Any] = field(default_factory=dict)
    faults: tuple[ExpressionError, ...] = ()
    mixed: tuple[ExpressionError, ...] = ()


def _file() -> Any:
    """A file of protobuf messages without any yet."""
    needed = ["google/protobuf/wrappers.proto", "google/protobuf/struct.proto"]
    return descriptor_pb2.FileDescriptorProto(name="snodo/t.proto", package=_PACKAGE, syntax="proto2", dependency=needed)


@dataclass(slots=True)
class Types:
    """Schemas known to CEL. `declare` all of them before the first `check`: the environment is made then, once."""

    tables: Tables
    passed: dict[Hashable, tuple[list[tuple[str, ...]], list[Any]]] = field(default_factory=dict)
    """Questions that gave no finding: the paths whose value may be missing where nobody asks, and what was asked of, kept alive so that
    its identity stays its own."""
    _names: dict[bytes, str] = field(default_factory=dict)
    _by_id: dict[int, str] = field(default_factory=dict)
    _roots: dict[str, tuple[int, str, bool]] = field(default_factory=dict)
    _file: Any = field(default_factory=_file)
    _messages: dict[int, str] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)
    _cel: dict[tuple[bool, bool], Any] = field(default_factory=dict)
    _checked: dict[tuple[str, bool], Checked] = field(default_factory=dict)
    _rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    _texts: dict[tuple[str | None, str | None], bool] = field(default_factory=dict)

    def declare(self, schema: Mapping[str, Any]) -> str:
        """The variable that stands for a value of this schema."""
        if id(schema) in self._by_id:
            return self._by_id[id(schema)]
        if not schema or self._cel:
            return ANYTHING
        key = canonical(schema)
        if key not in self._names:
            self._names[key] = name = f"v{len(self._roots)}_"
            self._roots[name] = self._field(schema, schema, 0)
        self._kept.append(schema)  # schemas are known by their identity: keep it theirs
        self._by_id[id(schema)] = self._names[key]
        return self._names[key]

    def finds_text(self, lookups: Sequence[Lookup]) -> bool:
        """Whether all that is looked up is surely text: it is in tables of files, and not in that of the services."""
        return bool(lookups) and all(self._holds_text(one.table, next(iter(one.fields), None)) for one in lookups)

    def row(self, table: str | None) -> dict[str, Any]:
        """The schema of a row of a table, the same object each time; {} where the table cannot be read, or has none."""
        rows = self.tables.get(table or "")
        if not rows or table is None:
            return {}
        if table not in self._rows:
            self._rows[table] = shape_of_rows(rows.values())
        return self._rows[table]

    def _holds_text(self, table: str | None, column: str | None) -> bool:
        found = self._texts.get((table, column))
        if found is None:
            rows = self.tables.get(table or "", {})
            cells = [cell for row in rows.values() for name, cell in row.items() if column in (None, name)]
            found = self._texts[table, column] = bool(cells) and all(isinstance(cell, str) for cell in cells)
        return found

    def check(self, text: str, bound: Mapping[str, str], texts: bool = False) -> Checked:
        """Check an expression with names bound to variables, or to paths from them; ``texts``: what it looks up is text."""
        known = {name: source for name, source in sorted(bound.items()) if source != ANYTHING}
        lead = "".join(f"[{known.get(name, ANYTHING)}].map({name}, " for name in sorted(bound))
        whole = f"{lead}\n{text}\n{')' * len(bound)}"
        if (whole, texts) not in self._checked:
            self._checked[whole, texts] = self._compiled(whole, text, texts, bound)
        return self._checked[whole, texts]

    def _compiled(self, whole: str, text: str, texts: bool, names: Collection[str]) -> Checked:
        try:
            name = self._environment(texts, needs_extensions(text)).compile(whole).return_type().name()
            inner = name[len("LIST<") * len(names) : len(name) - len(names)]  # a list for each name that it is bound to
            return Checked(shape_named(inner))
        except RuntimeError as error:
            faults = wording.type_errors(str(error), text)
            return Checked({} if faults else self._untyped(text, names), faults, wording.mixed_numbers(str(error), text))

    def _untyped(self, text: str, names: Collection[str]) -> dict[str, Any]:
        """What an expression gives whatever its names hold: a comparison is true or false, also of numbers of two kinds."""
        try:
            return shape_named(self.tables.environment(frozenset(names), text).compile(text).return_type().name())
        except RuntimeError:
            return {}

    # --- schemas as messages -----------------------------------------------------------------------------------------

    def _environment(self, texts: bool, extended: bool) -> Any:
        if (texts, extended) not in self._cel:
            pool = descriptor_pool.DescriptorPool()
            for known in (wrappers_pb2, struct_pb2):
                pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
            pool.Add(self._file)
            variables = {ANYTHING: (11, _ANY, False), **self._roots}
            self._cel[texts, extended] = new_environment(variables, self.tables, pool, texts=texts, extended=extended)
        return self._cel[texts, extended]

    def _message(self, schema: Mapping[str, Any], root: Any, depth: int) -> str:
        """The full name of the message of an object's schema."""
        key = id(schema)
        if key not in self._messages:
            message = self._file.message_type.add(name=f"M{len(self._messages)}")
            self._messages[key] = f".{_PACKAGE}.{message.name}"
            taken: set[str] = set()
            for number, (name, inner) in enumerate(schema.get("properties", {}).items(), 1):
                plain = name.replace("_", "").lower()
                if not _IDENTIFIER.fullmatch(name) or plain in taken:
                    continue  # protobuf takes no such name, or not beside the other: left to the run
                taken.add(plain)
                kind, type_name, repeated = self._field(inner, root, depth + 1)
                made = message.field.add(name=name, number=number, label=3 if repeated else 1, json_name=f"j{number}", type=kind)
                if type_name:
                    made.type_name = type_name
        return self._messages[key]

    def _field(self, schema: Any, root: Any, depth: int) -> tuple[int, str, bool]:
        """(protobuf type, type name, repeated) of a value of a schema."""
        inner, nullable = resolved(schema, root)
        kind = inner.get("type")
        if depth > _DEPTH or any(word in inner for word in ("anyOf", "oneOf", "allOf")):
            return 11, _ANY, False
        if isinstance(kind, list):
            several = [one for one in kind if one != "null"]
            nullable, kind = nullable or "null" in kind, several[0] if len(several) == 1 else None
        if kind is None and len(kinds := kinds_of(inner)) == 1:
            kind = kinds[0]
        if kind in _LEAVES:
            number, wrapper = _LEAVES[kind]
            return (11, f".google.protobuf.{wrapper}", False) if nullable else (number, "", False)
        if kind == "array":
            number, type_name, repeated = self._field(inner.get("items", {}), root, depth + 1)
            return (11, ".google.protobuf.ListValue", False) if repeated else (number, type_name, True)
        if kind == "object" and inner.get("properties"):
            return 11, self._message(inner, root, depth), False
        if kind == "object":
            return 11, ".google.protobuf.Struct", False
        return 11, _ANY, False


def resolved(schema: Any, root: Any) -> tuple[dict[str, Any], bool]:
    """A schema with its references followed and its null taken apart: (schema, whether null is allowed)."""
    nullable = False
    for _ in range(20):
        if not isinstance(schema, dict):
            return {}, nullable
        if "$ref" not in schema and "anyOf" not in schema:
            return schema, nullable
        if isinstance(schema.get("$ref"), str):
            schema = referred(schema["$ref"], root)
            continue
        chosen = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
        if "anyOf" not in schema or len(chosen) != 1:
            return schema, nullable
        nullable = nullable or len(chosen) < len(schema["anyOf"])
        schema = chosen[0]
    return {}, nullable
