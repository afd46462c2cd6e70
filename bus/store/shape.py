"""How the tables that stand differ from those that this revision makes, in words: for `bus doctor`, and for who was refused for it.

What SQLite makes in an empty database tells what there must be: PostgreSQL's tables have the same columns, keys of their own aside.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from bus.errors import Changed
from bus.store import schema
from bus.store.sqlite_file import CHANGED

if TYPE_CHECKING:
    import psycopg

_IN_POSTGRES = {"INTEGER": "bigint", "TEXT": "text", "BLOB": "bytea"}
_COUNTED = {("records", "seq"), ("runs", "turn"), ("facets", "id")}
"""Columns that the database fills, with the next number."""


@dataclass(frozen=True, slots=True)
class _Column:
    """``filled``: it takes no NULL; ``given``: the database has a value for whoever says none."""

    type: str
    filled: bool
    given: bool


@dataclass(slots=True)
class _Table:
    """``unique``: columns that may stand together only once; ``others``: what was put upon it and may refuse rows, with its kind."""

    columns: dict[str, _Column] = field(default_factory=dict)
    unique: set[frozenset[str]] = field(default_factory=set)
    others: set[str] = field(default_factory=set)


def of_sqlite(raw: sqlite3.Connection) -> list[str]:
    """How a database of this revision differs, a sentence each; nothing where it is as it was made."""
    return _differences(_made_in_sqlite(), _tables_of_sqlite(raw))


def of_postgres(session: psycopg.Connection[Any]) -> list[str]:
    """As `of_sqlite`."""
    there: defaultdict[str, _Table] = defaultdict(_Table)
    for row in session.execute(_COLUMNS).fetchall():
        there[row["table"]].columns[row["name"]] = _Column(row["type"], row["filled"], row["given"])
    for row in session.execute(_UNIQUE).fetchall():
        there[row["table"]].unique.add(frozenset(row["columns"]))
    for row in session.execute(_OTHERS, [sorted(schema.parts())]).fetchall():
        there[row["table"]].others.add(row["said"])
    return _differences(_made_in_postgres(), there)


def refuse(found: list[str]) -> None:
    """Raises `Changed` where there are differences."""
    if found:
        raise Changed(f"the database is not as this program knows it: {some(found)}", hint=CHANGED)


def some(found: Sequence[str], most: int = 5) -> str:
    """The first of them, and how many more there are."""
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")


def _differences(made: Mapping[str, _Table], there: Mapping[str, _Table]) -> list[str]:
    return [said for name, table in made.items() for said in _differs(name, table, there.get(name))]


def _differs(name: str, made: _Table, there: _Table | None) -> Iterator[str]:
    if there is None:
        yield f"{name} is not there"
        return
    for column, wanted in made.columns.items():
        yield from (f"{name}.{column} {what}" for what in _turned(wanted, there.columns.get(column)))
    for column, strange in there.columns.items():
        if column not in made.columns and strange.filled and not strange.given:
            yield f"{name}.{column} must be filled, and the bus does not know it"
    for columns in made.unique - there.unique:
        yield f"{name} takes the same twice in {', '.join(sorted(columns))}"
    yield from (f"{name} has {what}, which is not the bus's" for what in sorted(there.others - made.others))


def _turned(wanted: _Column, found: _Column | None) -> Iterator[str]:
    """What became of a column."""
    if found is None:
        yield "is not there"
        return
    if found.type != wanted.type:
        yield f"is {found.type}, not {wanted.type}"
    if found.filled != wanted.filled:
        yield "takes no NULL any more" if found.filled else "takes NULL"
    if wanted.given and not found.given:
        yield "is not filled by the database any more"


# -- SQLite ----------------------------------------------------------------------------------------------------------------

_COLUMNS_OF_SQLITE = """
SELECT m.name, p.name, upper(p.type), p."notnull" OR p.pk, p.dflt_value IS NOT NULL
FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'
"""
_UNIQUE_OF_SQLITE = """
SELECT m.name, l.name, i.name
FROM sqlite_master m JOIN pragma_index_list(m.name) l JOIN pragma_index_info(l.name) i
WHERE m.type = 'table' AND l."unique" AND NOT l.partial
"""
_VIEWS_OF_SQLITE = "SELECT name FROM sqlite_master WHERE type = 'view'"
_TRIGGERS_OF_SQLITE = "SELECT tbl_name, 'the trigger ' || name FROM sqlite_master WHERE type = 'trigger'"


def _tables_of_sqlite(raw: sqlite3.Connection) -> dict[str, _Table]:
    tables: defaultdict[str, _Table] = defaultdict(_Table)
    for table, column, type, filled, given in raw.execute(_COLUMNS_OF_SQLITE).fetchall():
        tables[table].columns[column] = _Column(type, bool(filled), bool(given))
    indexes: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for table, index, column in raw.execute(_UNIQUE_OF_SQLITE).fetchall():
        indexes[table, index].add(column)
    for (table, _), columns in indexes.items():
        tables[table].unique.add(frozenset(columns))
    for table, said in raw.execute(_TRIGGERS_OF_SQLITE).fetchall():
        tables[table].others.add(said)
    return {**tables, **{view: _Table() for (view,) in raw.execute(_VIEWS_OF_SQLITE).fetchall()}}


@cache
def _made_in_sqlite() -> Mapping[str, _Table]:
    with closing(schema.in_memory()) as raw:
        return _tables_of_sqlite(raw)


# -- PostgreSQL ------------------------------------------------------------------------------------------------------------

_OURS = "c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'p', 'v')"
_COLUMNS = f"""
SELECT c.relname AS "table", a.attname AS name, a.attnotnull AS filled, a.atthasdef OR a.attidentity <> '' AS given,
  format_type(a.atttypid, a.atttypmod) || CASE WHEN l.collname IS NULL OR l.collname IN ('C', 'POSIX') THEN ''
    WHEN l.collname = 'default' AND d.datcollate IN ('C', 'POSIX') THEN '' ELSE ' COLLATE ' || quote_ident(l.collname) END AS type
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_collation l ON l.oid = a.attcollation JOIN pg_database d ON d.datname = current_database() WHERE {_OURS}
"""
_UNIQUE = f"""
SELECT c.relname AS "table",
  ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey)) AS columns
FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL WHERE {_OURS}
"""
_OTHERS = f"""
SELECT c.relname AS "table", 'the constraint ' || o.conname AS said
FROM pg_class c JOIN pg_constraint o ON o.conrelid = c.oid AND o.contype IN ('c', 'f', 'x') WHERE {_OURS}
UNION ALL SELECT c.relname, 'the trigger ' || t.tgname FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
WHERE {_OURS} AND t.tgenabled IN ('O', 'A') AND t.tgname <> ALL (%s::text[])
"""


@cache
def _made_in_postgres() -> Mapping[str, _Table]:
    with closing(schema.in_memory()) as raw:
        made = _tables_of_sqlite(raw)
    for name, table in made.items():
        table.others.clear()
        for column, one in table.columns.items():
            table.columns[column] = _Column(_IN_POSTGRES[one.type], one.filled, one.given or (name, column) in _COUNTED)
    return made
