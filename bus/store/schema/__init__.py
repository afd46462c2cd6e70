"""The schema by revisions: ``<store>/<revision>_up.sql`` brings a database there, ``…_down.sql`` back to the one before.

An empty database is made up to date when it is opened; for one of another revision there is ``bus migrate`` (`bus.store.migrate`).
SQLite keeps the revision in ``user_version``, PostgreSQL in the table ``schema_revision``; the scripts themselves set it.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bus.errors import StoreError

if TYPE_CHECKING:
    import psycopg

REVISION = 9
"""The one this program speaks."""
LOCK = 1399745925
"""Advisory lock in PostgreSQL under which a schema is made or changed."""

PRESENCE = 1399745926
"""Advisory lock in PostgreSQL that each process of the bus shares while it runs; a migration takes it alone."""

_KEY = "_pkey"
"""What PostgreSQL adds to the name of a table for that of its key."""
_BARRED = """
SELECT current_user AS "user", s.name AS schema, 'as the owner of the schema: GRANT CREATE ON SCHEMA ' || quote_ident(s.name) || ' TO '
  || quote_ident(current_user) || '; or name in store.url, for bus migrate up, a user that may' AS hint
FROM (SELECT current_schema()::text AS name) s WHERE NOT has_schema_privilege(s.name, 'CREATE') AND NOT EXISTS (
  SELECT 1 FROM pg_class
  WHERE relname = 'records' AND relnamespace = quote_ident(s.name)::regnamespace AND NOT pg_has_role(relowner, 'USAGE'))
"""


def script(kind: Literal["sqlite", "postgres"], revision: int, way: Literal["up", "down"] = "up") -> str:
    return resources.files("bus.store").joinpath(f"schema/{kind}/{revision:04}_{way}.sql").read_text("utf-8")


def _everything(kind: Literal["sqlite", "postgres"]) -> str:
    return "\n".join(script(kind, revision) for revision in range(1, REVISION + 1))


_SEQUENCE = """
SELECT s.name, coalesce(has_sequence_privilege(s.name, 'SELECT'), false) AS readable, coalesce(q.seqcache, 1) AS at_once
FROM (SELECT pg_get_serial_sequence(%s, %s) AS name) s LEFT JOIN pg_sequence q ON q.seqrelid = s.name::regclass
"""
_LAST_RECORD = "SELECT coalesce(max(seq), 0) FROM records"
# No index is in the order of acceptance alone. Ids are in that of time, so the last ones are about the last ones.
_LAST_RUN = "SELECT coalesce(max(turn), 0) FROM (SELECT turn FROM runs ORDER BY id DESC LIMIT {newest}) newest"
_NUMBERED = {"record": ("records", "seq", _LAST_RECORD), "run": ("runs", "turn", _LAST_RUN)}
"""Whose numbers are in the order of acceptance: table, column, and what tells the last one."""
_REWOUND = (
    "was it a logical replica, or restored in part? as the owner: SELECT setval(pg_get_serial_sequence('records', 'seq'), "
    "(SELECT max(seq) FROM records)), setval(pg_get_serial_sequence('runs', 'turn'), (SELECT max(turn) FROM runs)), "
    "setval(pg_get_serial_sequence('facets', 'id'), (SELECT max(id) FROM facets))"
)
"""What to do where numbers were set back: where they go on, of all that have any; of an empty table nothing is changed."""
_OURS = """
SELECT relname FROM pg_class
WHERE relname IN ('schema_revision', 'records') AND relnamespace = quote_ident(current_schema())::regnamespace
"""


def refuse(found: int) -> None:
    """Raises `StoreError` for a schema that this program does not speak."""
    if found != REVISION:
        raise StoreError(
            f"the database has schema {found}, this program speaks schema {REVISION}", code="store.schema",
            hint="stop all processes of the bus, then: bus migrate up" if found < REVISION
            else f"run the program that made it, or with that program: bus migrate down --to {REVISION}",
        )  # fmt: skip


WHOLE = {
    "SQLite": "another program changed them: restore the backup, or make them again as bus/store/schema/sqlite does",
    "PostgreSQL": "was the database restored in part? anew, into an empty one, with pg_restore --exit-on-error; what was changed, dropped "
    "or switched off, its owner makes again as bus/store/schema/postgres does, or by ALTER TABLE … ENABLE TRIGGER ALL",
}
"""What to do where parts of the schema are lacking, or are others."""
_PART = re.compile(r"^(CREATE|DROP)(?: OR REPLACE)? (TABLE|INDEX|TRIGGER)(?: IF (?:NOT )?EXISTS)? (\w+)", re.MULTILINE)
_INDEX = re.compile(r"^CREATE INDEX(?: IF NOT EXISTS)? (\w+) ON (\w+) \(([^)]*)\)(?:\s+(WHERE))?", re.MULTILINE)
_THERE = """
SELECT c.relname AS name, i.indrelid::regclass::text || ARRAY(
  SELECT coalesce(a.attname, '') FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
  LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number WHERE k.place <= i.indnkeyatts ORDER BY k.place
)::text || CASE WHEN i.indpred IS NULL THEN '' ELSE ' WHERE' END AS made_on
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND i.indisvalid
UNION ALL SELECT t.tgname, NULL FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND t.tgenabled IN ('O', 'A')
"""


def lacking(session: psycopg.Connection[Any]) -> list[str]:
    """Keys, indexes and triggers of this revision that are not there, on other columns, or switched off: each with its name."""
    there = {row["name"]: row["made_on"] for row in session.execute(_THERE).fetchall()}
    return sorted((parts() - there.keys()) | _misplaced("postgres", there))


def _misplaced(kind: Literal["sqlite", "postgres"], there: Mapping[str, str | None]) -> set[str]:
    """Indexes that have the name of one of ours and are on something else: no question finds by them what it asks."""
    return {name for name, made_on in _made_on(kind).items() if there.get(name, made_on) != made_on}


@cache
def _made_on(kind: Literal["sqlite", "postgres"]) -> Mapping[str, str]:
    """What each index of this revision is on: table, columns in their order, and whether it is of some rows alone."""
    found = _INDEX.findall(_everything(kind))
    return {name: f"{table}{{{columns.replace(' ', '')}}}{' WHERE' if some else ''}" for name, table, columns, some in found}


def refuse_without_keys(session: psycopg.Connection[Any]) -> None:
    """Raises `StoreError` where tables lack their keys: they would take twice what must be there once."""
    if keys := [name for name in lacking(session) if name.endswith(_KEY)]:
        raise StoreError(f"tables of the bus lack their keys: {', '.join(keys)}", code="store.schema", hint=WHOLE["PostgreSQL"])


def _sequence(session: psycopg.Connection[Any], table: str, column: str) -> Mapping[str, Any]:
    [found] = session.execute(_SEQUENCE, [table, column]).fetchall()
    return dict(found)


def refuse_back(row: Mapping[str, Any]) -> None:
    """Raises `StoreError` where the next record or run would have a number that was given out before."""
    for what in _NUMBERED:
        next, last = row.get(f"next_{what}"), row.get(f"last_{what}")
        if next is not None and next <= last:
            said = f"the next {what} would be number {next:,}, and number {last:,} is there"
            raise StoreError(said, code="store.unsafe", hint=_REWOUND)


def refuse_rewound(session: psycopg.Connection[Any]) -> str:
    """`refuse_back`: a record would fail, or, in a gap among those that are sealed, never be sealed; a run would come before those of its
    case. A logical replica, or a restore in part, has the rows and not where their numbers go on; and where each session takes many
    numbers at once, those of one go on behind those of another.

    Returns columns for `refuse_back`, by which each transaction asks the same: of records and runs the number of the next and the last.
    """
    found = {what: _sequence(session, table, column) for what, (table, column, _) in _NUMBERED.items()}
    for what, (table, column, _) in _NUMBERED.items():
        if (at_once := found[what]["at_once"]) > 1:
            said = f"each session takes {at_once:,} numbers of {table} at once: they would not be in the order of the commits"
            raise StoreError(said, code="store.unsafe", hint=f"as the owner: ALTER TABLE {table} ALTER COLUMN {column} SET CACHE 1")
    refuse_back(session.execute(f"SELECT {_numbering(found, newest=100)}".encode()).fetchall()[0])
    return _numbering(found, newest=8)


def _numbering(found: Mapping[str, Mapping[str, Any]], newest: int) -> str:
    """Columns for `refuse_back`, but for what our user may not know; the last run is looked for among the ``newest``."""
    return ", ".join(
        f"(SELECT last_value + is_called::int FROM {sequence['name']}) AS next_{what}, "
        f"({_NUMBERED[what][2].format(newest=newest)}) AS last_{what}"
        for what, sequence in found.items()
        if sequence["readable"]
    )


@cache
def parts() -> frozenset[str]:
    """What belongs to the tables of this revision."""
    parts: set[str] = set()
    for made, kind, name in _PART.findall(_everything("postgres")):
        change = parts.add if made == "CREATE" else parts.discard
        change(name + _KEY if kind == "TABLE" else name)
    return frozenset(parts - {"schema_revision" + _KEY})


def revision_of_sqlite(raw: sqlite3.Connection) -> int:
    """0 for an empty database; raises `StoreError` where tables of ours say none."""
    revision = int(raw.execute("PRAGMA user_version").fetchone()[0])
    if revision == 0 and raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'records'").fetchone():
        raise StoreError(
            "the tables of a bus are there, and not the revision of their schema: was it made from the .dump of another file?",
            code="store.schema", hint="copy that file by VACUUM INTO; else say the revision of the program that made it, such as "
            f"this one's: PRAGMA user_version = {REVISION}",
        )  # fmt: skip
    return revision


def lacking_in_sqlite(raw: sqlite3.Connection) -> list[str]:
    """Indexes and triggers of this revision that are not there, or on other columns. Raises `StoreError` where it is a table."""
    there = {row[0] for row in raw.execute("SELECT name FROM sqlite_master").fetchall()}
    if tables := sorted(name for name, one in _made().items() if one.kind in ("table", "view") and name not in there):
        hint = "another program changed it: restore the backup, with no -wal of this file beside it"
        raise StoreError(f"tables of the bus are not there: {', '.join(tables)}", code="store.schema", hint=hint)
    return sorted((_made().keys() - there) | _misplaced("sqlite", _indexes(raw)))


_INDEXES = """
SELECT l.name AS index_name, m.name AS table_name, l.partial AS partial, i.name AS column_name
FROM sqlite_master m JOIN pragma_index_list(m.name) l JOIN pragma_index_info(l.name) i
WHERE m.type = 'table' AND l.origin = 'c' ORDER BY l.name, i.seqno
"""


def _indexes(raw: sqlite3.Connection) -> dict[str, str]:
    """As `_made_on`, of what is there."""
    columns: dict[tuple[str, str, int], list[str]] = {}
    for row in raw.execute(_INDEXES).fetchall():
        columns.setdefault((row[0], row[1], row[2]), []).append(row[3] or "")
    return {name: f"{table}{{{','.join(on)}}}{' WHERE' * partial}" for (name, table, partial), on in columns.items()}


def in_memory() -> sqlite3.Connection:
    """A database of SQLite as a start makes it."""
    raw = sqlite3.connect(":memory:")
    raw.executescript(_at_once())
    return raw


class _Made(NamedTuple):
    kind: str
    statement: str


@cache
def _made() -> dict[str, _Made]:
    """What an empty database of SQLite is given by all revisions one after the other, each by its name, in order."""
    with closing(sqlite3.connect(":memory:")) as raw:
        raw.executescript(_everything("sqlite"))
        rows = raw.execute("SELECT name, type, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%' ORDER BY rowid")
        return {name: _Made(kind, statement) for name, kind, statement in rows}


@cache
def _at_once() -> str:
    """The same tables in one go: a third of the time that the way through all revisions takes."""
    return ";\n".join([*(one.statement for one in _made().values()), f"PRAGMA user_version = {REVISION};"])


def prepare_sqlite(raw: sqlite3.Connection) -> None:
    """Make the schema in an empty database; raises `StoreError` for one of another revision."""
    if revision_of_sqlite(raw) == 0:
        raw.executescript(f"BEGIN IMMEDIATE;\n{_at_once()}\nCOMMIT;")
    refuse(revision_of_sqlite(raw))
    lacking_in_sqlite(raw)


def revision_of_postgres(session: psycopg.Connection[Any] | psycopg.Cursor[Any]) -> int:
    """0 for a schema without our tables; raises `StoreError` where tables of ours say none. Asks the catalogue itself:
    ``to_regclass`` may answer from before we had the lock.
    """
    there = {row["relname"] for row in session.execute(_OURS).fetchall()}
    revision = 0
    if "schema_revision" in there:
        [row] = session.execute("SELECT max(revision) AS revision FROM schema_revision").fetchall()
        revision = int(row["revision"] or 0)
    if revision == 0 and "records" in there:
        raise StoreError(
            "a table records is there, and the revision of the schema (schema_revision) is not", code="store.schema",
            hint="was the database restored in part? anew, into an empty one, with pg_restore --exit-on-error; is it that of another "
            "program? name one of its own in store.url",
        )  # fmt: skip
    return revision


def refuse_barred(session: psycopg.Connection[Any]) -> None:
    """Raises `StoreError` where our user owns what there is of the bus, or there is nothing yet, and may make no table."""
    for row in session.execute(_BARRED).fetchall():
        raise StoreError(f"the user {row['user']} may make no table in the schema {row['schema']}", code="store.rights", hint=row["hint"])


def prepare_postgres(session: psycopg.Connection[Any]) -> None:
    """As `prepare_sqlite`. Of several processes that find it empty, one makes it and the others wait."""
    if revision_of_postgres(session) == 0:
        refuse_barred(session)
        with session.transaction():
            session.execute(f"SELECT pg_advisory_xact_lock({LOCK}, quote_ident(current_schema())::regnamespace::oid::int4)")
            if revision_of_postgres(session) == 0:
                session.execute(_everything("postgres").encode(), prepare=False)
    refuse(revision_of_postgres(session))


def _elsewhere(session: psycopg.Connection[Any]) -> str:
    """What to do where another schema of the database has the tables: a new one of the user's name comes before it."""
    [found] = session.execute(
        "SELECT string_agg(quote_ident(schemaname), ', '), quote_ident(current_schema()) FROM pg_tables WHERE tablename = 'schema_revision'"
    ).fetchall()
    said, now = found.values() if isinstance(found, dict) else found
    return f"tables of a bus are in the schema {said}, and search_path leads to {now} now: drop that, or set the path" if said else ""


def refuse_emptied(session: psycopg.Connection[Any]) -> None:
    """Refuse a database that a process at work finds empty or of another revision. Nothing is made: this is not the one where it began."""
    found = revision_of_postgres(session)
    if found == 0:
        raise StoreError(
            "the database is empty, and it was not when this process began", code="store.vanished",
            hint=_elsewhere(session)
            or "is it the right server? else stop all processes of the bus and restore the backup: nothing is taken in meanwhile",
        )  # fmt: skip
    refuse(found)
