"""Mapping documents compiled: a function from the scope to the target object."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bus.expression import Environment, Table, name_problem
from bus.mapping.model import MappingDocument
from bus.mapping.tables import hint_for
from bus.mapping.template import Template, Used, Workshop, local_names
from bus.mapping.types import BUILT_IN
from bus.message import JsonObject, JsonValue
from bus.source import Pointer, Reporter, line_and_column, suggestion, validated


@dataclass(frozen=True)
class CompiledMapping:
    """A mapping ready to use: call it with a scope. ``rules`` is its document without tests; ``spoilt`` are the places of conditions that
    do not compile.
    """

    document: MappingDocument
    rules: JsonObject
    template: Template
    used: tuple[Used, ...]
    spoilt: frozenset[Pointer] = frozenset()

    @property
    def name(self) -> str:
        return self.document.mapping

    @cached_property
    def by_pointer(self) -> dict[Pointer, Used]:
        """Its expressions by the places where they stand."""
        return {used.pointer: used for used in self.used}

    def __call__(self, scope: Mapping[str, Any]) -> JsonValue:
        return self.template(scope)


def compile_mapping(document: Any, tables: Mapping[str, Table], report: Reporter) -> CompiledMapping | None:
    """Check a mapping's document and compile it; None when a finding is an error."""
    mapping, complete = read_mapping(document, tables, report)
    return mapping if complete else None


def read_mapping(
    document: Any, tables: Mapping[str, Table], report: Reporter, fields: Collection[str] = ()
) -> tuple[CompiledMapping | None, bool]:
    """As `compile_mapping`; where only some of its expressions are wrong the others can be checked, and the second value is false.

    ``fields`` are those of its body.
    """
    model = validated(document, MappingDocument, report)
    if model is None or not _names_fit(model, report):
        return None, False
    local = {name for name in local_names(model.fields) if not name_problem(name)}
    shop = _Shop(Environment(BUILT_IN | set(model.uses) | local, tables, fields), report, offered=BUILT_IN | set(model.uses))
    template = shop.template(model.fields, ("fields",), f"mapping {model.mapping}")
    for used in shop.used:
        _check_names(used, BUILT_IN | set(model.uses), shop)
        check_lookups(used, tables, shop)
    rules = {name: value for name, value in document.items() if name not in ("tests", "given")}
    return CompiledMapping(model, rules, template, tuple(shop.used), frozenset(shop.spoilt)), not shop.failed


class _Shop(Workshop):
    """Where a name is none: it may be one of the route."""

    def refuse(self, pointer: Pointer, code: str, sentence: str, hint: str = "", **kwargs: Any) -> None:
        if code == "name.undefined" and (not hint or hint.startswith("known here: ")):
            hint = "; ".join(filter(None, ("a name of the route is read where `uses` lists it", hint)))
        super().refuse(pointer, code, sentence, hint, **kwargs)


def _names_fit(model: MappingDocument, report: Reporter) -> bool:
    good = True
    for position, name in enumerate(model.uses):
        problem = name_problem(name) or (f"`{name}` is always there" if name in BUILT_IN else "")
        if problem:
            report.report(("uses", position), "name.reserved", problem)
            good = False
    return good


def _check_names(used: Used, known: set[str] | frozenset[str], shop: Workshop) -> None:
    for name in sorted(used.expression.names - known - used.local.keys()):
        hint = suggestion(name, {*known, *used.local})
        shop.refuse(used.pointer, "name.undefined", f"there is no `{name}` here", hint, within=place_of(used, (name,)))


def check_lookups(used: Used, tables: Mapping[str, Table], shop: Workshop) -> None:
    """Tables must be named in the text, exist, and have the column asked for."""
    for lookup in used.reads.lookups:
        within = named_at(used.expression.text, lookup.offset, lookup.table)
        if lookup.table is None:
            hint = 'write the table\'s name as text: lookup("uffici", ...)'
            shop.refuse(used.pointer, "table.computed", "the name of a table may not be computed", hint, within=within)
        elif lookup.table not in tables:
            hint = hint_for(lookup.table, tables)
            shop.refuse(used.pointer, "table.unknown", f"there is no table `{lookup.table}`", hint, within=within)
        elif lookup.fields and not lookup.rows:
            column = lookup.fields[0]
            _check_column(used, tables, lookup.table, column, named_at(used.expression.text, lookup.offset, column), shop)
        if lookup.key is not None and (rows := tables.get(lookup.table or "")) and lookup.key not in rows:
            sentence = f"table `{lookup.table}` has no key `{lookup.key}`"
            within = named_at(used.expression.text, lookup.offset, lookup.key)
            shop.refuse(used.pointer, "table.unknown-key", sentence, suggestion(lookup.key, rows), within=within)
    for cell in used.reads.cells:
        within = line_and_column(used.expression.text, cell.offset)
        _check_column(used, tables, cell.table, cell.column, within, shop)


def _check_column(used: Used, tables: Mapping[str, Table], table: str, column: str, within: tuple[int, int], shop: Workshop) -> None:
    columns = next(iter(tables.get(table, {}).values()), {})
    if columns and column not in columns:
        sentence = f"table `{table}` has no column `{column}`"
        shop.refuse(used.pointer, "table.unknown-column", sentence, suggestion(column, columns), within=within)


def named_at(text: str, offset: int, name: str | None) -> tuple[int, int]:
    """Line and column of a name written in quotes, or as a field, after an offset; of the offset where it is not written so."""
    mark = "([\"']?)" if name and name.isdigit() else "([\"'])"  # a key that is a number may stand without
    quoted = re.compile(rf"{mark}(?<!\w){re.escape(name)}(?!\w)\1").search(text, offset) if name is not None else None
    field = re.compile(rf"\)\s*\.\s*(?={re.escape(name)}\b)").search(text, offset) if name is not None and not quoted else None
    return line_and_column(text, quoted.start() if quoted else field.end() if field else offset)


def place_of(used: Used, path: Sequence[str]) -> tuple[int, int]:
    """Line and column, in the expression's text, of the last piece of a path it reads."""
    text = used.expression.text
    lead, last = r"\s*\.\??\s*".join(map(re.escape, path[:-1])), re.escape(path[-1])
    whole = re.search(rf"(?<![\w.]){lead}\s*\.\??\s*({last})\b" if lead else rf"(?<![\w.])({last})\b", text)
    found = whole or re.search(rf"\b({last})\b", text)
    return line_and_column(text, found.start(1) if found else 0)
