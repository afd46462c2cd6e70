"""Statements that wait: inserts and plain updates are gathered inside a transaction and written many at a time.

A statement costs more than a row: in SQLite each one gives up the interpreter's lock and fights to get it back, in PostgreSQL each
is a trip over the wire. Queries marked ``buffered`` in the ``.sql`` files are gathered here; before anything reads or changes
their table, and before the commit, they are written: in SQLite with ``VALUES (…), (…), …``, in PostgreSQL from one array for each column.
An update waits only beside others of its own query that concern other rows: whatever else waits for its table is written first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain
from operator import itemgetter
from typing import Any

_INSERT = re.compile(
    r"INSERT INTO (?P<table>\w+) (?P<columns>\([^)]*\)(?: OVERRIDING SYSTEM VALUE)?)\s+VALUES (?P<row>\([^)]*\))(?P<tail>.*)", re.DOTALL
)
_UPDATE = re.compile(r"UPDATE (?P<table>\w+) SET (?P<set>.*) WHERE (?P<where>.*)", re.DOTALL)
_PARAMETER = re.compile(r":(\w+)")
_WORD = re.compile(r"\w+")
SIZES = (64, 32, *range(16, 0, -1))
"""Rows in one statement: nearly every batch is one or two statements, and few enough that the prepared ones are found again."""
MOST = 5_000
"""Rows of one query that wait: a transaction that makes a whole store, of which nobody asks for a table, keeps no more of it in memory."""
OCTETS = 8_000_000
"""What the ``content`` of such rows may have, about: a driver and PostgreSQL each make copies of all that is in one statement."""
_LARGEST = tuple(next((size for size in SIZES if size <= rows), 0) for rows in range(SIZES[0] + 1))
"""The largest of these sizes for so many rows, up to the largest of all."""


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
        """The statements by how many rows each inserts, with a ``?`` for each parameter."""
        row = _PARAMETER.sub("?", self.row)
        return {size: f"{self.head} VALUES {', '.join([row] * size)}{self.tail}" for size in SIZES}

    def arrays(self, types: Sequence[str]) -> str:
        """The statement for any number of rows: parameter ``:name`` is the array of a column, and ``types`` has the type of each."""
        columns = tuple(dict.fromkeys(self.names))
        arrays = ", ".join(f"(:{name})::{type}[]" for name, type in zip(columns, types, strict=True))
        row = _PARAMETER.sub(r"u.\1", self.row).strip("()")
        return f"{self.head} SELECT {row} FROM unnest({arrays}) AS u ({', '.join(columns)}){self.tail}"


@dataclass(frozen=True)
class Update:
    """One buffered query that changes the rows which ``where`` tells (names of parameters)."""

    table: str
    change: str
    names: tuple[str, ...]
    where: tuple[str, ...]

    @cached_property
    def values(self) -> Mapping[int, str]:
        """As `Insert.values`. One row is changed without a table of what is given: SQLite makes two, which cost more than the change."""
        row = f"({', '.join('?' * len(self.names))})"
        many = {size: f"WITH given ({self._given}) AS (VALUES {', '.join([row] * size)}) {self._from('given')}" for size in SIZES}
        return many | {1: _PARAMETER.sub(lambda name: f"?{self.names.index(name[1]) + 1}", self.change)}

    def arrays(self, types: Sequence[str]) -> str:
        """As `Insert.arrays`."""
        arrays = ", ".join(f"(:{name})::{type}[]" for name, type in zip(self.names, types, strict=True))
        return self._from(f"unnest({arrays}) AS given ({self._given})")

    @property
    def _given(self) -> str:
        return ", ".join(f"_{name}" for name in self.names)

    def _from(self, source: str) -> str:
        head, _, where = _PARAMETER.sub(r"_\1", self.change).rpartition(" WHERE ")
        return f"{head} FROM {source} WHERE {where}"


def many_of(text: str) -> Insert | Update:
    """Take an ``INSERT … VALUES (…)`` or an ``UPDATE … SET … WHERE …`` apart; raises ValueError for anything else."""
    if match := _INSERT.fullmatch(text):
        head, row = f"INSERT INTO {match['table']} {match['columns']}", match["row"]
        return Insert(match["table"], head, row, match["tail"], tuple(_PARAMETER.findall(row)))
    if match := _UPDATE.fullmatch(text):
        names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
        return Update(match["table"], text, names, tuple(_PARAMETER.findall(match["where"])))
    raise ValueError(f"this cannot be buffered: {text[:60]}")


Rows = list[Mapping[str, Any]]
Write = Callable[["Insert | Update", Rows], None]


def in_values(execute: Callable[[str, Sequence[Any]], object]) -> Write:
    """Writes rows as ``VALUES``; ``execute`` runs a statement with positional parameters."""

    def write(insert: Insert | Update, rows: Rows) -> None:
        start, cells = 0, _cells(insert.names)
        while start < len(rows):
            size = _LARGEST[min(len(rows) - start, SIZES[0])]
            execute(insert.values[size], [*chain.from_iterable(map(cells, rows[start : start + size]))])
            start += size

    return write


_NONE: set[tuple[Any, ...]] = set()


@cache
def _tables_in(text: str, tables: frozenset[str]) -> frozenset[str]:
    """Which of these tables a statement names; kept for all connections."""
    return tables.intersection(_WORD.findall(text))


@cache
def _cells(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """Takes the values of these names out of a row."""
    found: Callable[[Mapping[str, Any]], Any] = itemgetter(*names)
    return found if len(names) > 1 else lambda row: (found(row),)


class Inserts:
    """What waits on one connection. ``write`` writes the rows of one query."""

    def __init__(self, queries: Mapping[str, str], buffered: frozenset[str], write: Write) -> None:
        self._write = write
        self._inserts = {name: many_of(queries[name]) for name in buffered}
        self._rows: dict[str, Rows] = {}
        self._updates = {name: one.where for name, one in self._inserts.items() if isinstance(one, Update)}
        self._changing: dict[str, set[tuple[Any, ...]]] = {name: set() for name in self._updates}
        self._octets = {name: 0 for name, one in self._inserts.items() if "content" in one.names}
        self._queries = queries
        self._tables = frozenset(insert.table for insert in self._inserts.values())
        self._touched = cache(self._touched_by)

    def take(self, query: str, row: Mapping[str, Any]) -> bool:
        """Keep a row for later; false when the query is not a buffered one."""
        if query not in self._inserts:
            return False
        octets = self._octets.get(query)
        if len(self._rows.get(query, ())) == MOST or (octets is not None and octets >= OCTETS):
            self._write_rows(query)
        if query in self._updates:
            self._make_way(query, tuple([row[name] for name in self._updates[query]]))
        rows = self._rows.get(query)
        if rows is None:
            self._rows[query] = [row]
        else:
            rows.append(row)
        if octets is not None:
            self._octets[query] += len(row["content"])
        return True

    def _make_way(self, query: str, changed: tuple[Any, ...]) -> None:
        changing = self._changing[query]
        for name in self._touched(query):
            if name != query or changed in changing:
                self._write_rows(name)
        changing.add(changed)

    def before(self, query: str) -> None:
        """Write what this query might look at or change."""
        for name in self._touched(query) if self._rows else ():
            self._write_rows(name)

    def _write_rows(self, name: str) -> None:
        rows = self._rows.pop(name, None)
        if rows:
            self._changing.get(name, _NONE).clear()
            if name in self._octets:
                self._octets[name] = 0
            self._write(self._inserts[name], rows)

    def _touched_by(self, query: str) -> frozenset[str]:
        """The buffered queries whose tables a query names."""
        named = _tables_in(self._queries[query], self._tables)
        return frozenset(name for name, insert in self._inserts.items() if insert.table in named)

    def flush(self) -> None:
        """Write everything."""
        for name in list(self._rows):
            self._write_rows(name)

    def forget(self) -> None:
        self._rows.clear()
        self._octets = dict.fromkeys(self._octets, 0)
        for changing in self._changing.values():
            changing.clear()
