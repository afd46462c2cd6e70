"""Inserts that wait: rows of append-only tables are gathered inside a transaction and written many at a time.

A statement costs more than a row: in SQLite each one gives up the interpreter's lock and fights to get it back, in PostgreSQL each
is a trip over the wire. Queries marked ``buffered`` in the ``.sql`` files are gathered here; before anything reads or changes
their table, and before the commit, they are written: in SQLite with ``VALUES (…), (…), …``, in PostgreSQL from one array for each column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

_INSERT = re.compile(r"INSERT INTO (?P<table>\w+) (?P<columns>\([^)]*\))\s+VALUES (?P<row>\([^)]*\))(?P<tail>.*)", re.DOTALL)
_PARAMETER = re.compile(r":(\w+)")
SIZES = (64, 32, *range(16, 0, -1))
"""Rows in one statement: nearly every batch is one or two statements, and few enough that the prepared ones are found again."""


@dataclass(frozen=True)
class Insert:
    """One buffered query: its table, and its text for so many rows."""

    table: str
    head: str
    row: str
    tail: str
    names: tuple[str, ...]

    @cached_property
    def values(self) -> Mapping[int, str]:
        """By the number of rows, with a ``?`` for each parameter."""
        row = _PARAMETER.sub("?", self.row)
        return {size: f"{self.head} VALUES {', '.join([row] * size)}{self.tail}" for size in SIZES}

    def arrays(self, types: Sequence[str]) -> str:
        """For any number of rows: parameter ``:name`` is the array of a column, of the type that stands at its place."""
        columns = tuple(dict.fromkeys(self.names))
        arrays = ", ".join(f"(:{name})::{type}[]" for name, type in zip(columns, types, strict=True))
        row = _PARAMETER.sub(r"u.\1", self.row).strip("()")
        return f"{self.head} SELECT {row} FROM unnest({arrays}) AS u ({', '.join(columns)}){self.tail}"


def insert_of(text: str) -> Insert:
    """Take an ``INSERT … VALUES (…)`` apart; raises ValueError for anything else."""
    match = _INSERT.fullmatch(text)
    if match is None:
        raise ValueError(f"this cannot be buffered: {text[:60]}")
    head = f"INSERT INTO {match['table']} {match['columns']}"
    row = match["row"]
    return Insert(match["table"], head, row, match["tail"], tuple(_PARAMETER.findall(row)))


Rows = list[Mapping[str, Any]]


def in_values(execute: Callable[[str, Sequence[Any]], object]) -> Callable[[Insert, Rows], None]:
    """Writes rows as ``VALUES``; ``execute`` runs a statement with positional parameters."""

    def write(insert: Insert, rows: Rows) -> None:
        start = 0
        while start < len(rows):
            size = next(size for size in SIZES if size <= len(rows) - start)
            execute(insert.values[size], [row[column] for row in rows[start : start + size] for column in insert.names])
            start += size

    return write


class Inserts:
    """The rows that wait on one connection. ``write`` writes those of one query."""

    def __init__(self, queries: Mapping[str, str], buffered: frozenset[str], write: Callable[[Insert, Rows], None]) -> None:
        self._write = write
        self._inserts = {name: insert_of(queries[name]) for name in buffered}
        self._rows: dict[str, Rows] = {}
        self._queries = queries
        self._touched = cache(self._tables_in)

    def take(self, query: str, row: Mapping[str, Any]) -> bool:
        """Keep a row for later; false when the query is not a buffered one."""
        if query not in self._inserts:
            return False
        self._rows.setdefault(query, []).append(row)
        return True

    def before(self, query: str) -> None:
        """Write what this query might look at or change."""
        if self._rows:
            for name in self._touched(query) & self._rows.keys():
                self._write(self._inserts[name], self._rows.pop(name))

    def _tables_in(self, query: str) -> frozenset[str]:
        """The buffered queries whose tables a query names."""
        return frozenset(name for name, insert in self._inserts.items() if re.search(rf"\b{insert.table}\b", self._queries[query]))

    def flush(self) -> None:
        """Write everything."""
        rows, self._rows = self._rows, {}
        for name, waiting in rows.items():
            self._write(self._inserts[name], waiting)

    def forget(self) -> None:
        self._rows = {}
