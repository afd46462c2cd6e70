"""A look at a database from outside, for `bus doctor`: opens it to read, asks, closes it. Makes and changes nothing, not even a schema."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bus.clock import moment_of, text_of
from bus.config import file_of
from bus.errors import StoreError
from bus.store import Row, queries, shape
from bus.store.schema import (
    REVISION,
    lacking,
    lacking_in_sqlite,
    refuse,
    refuse_rewound,
    refuse_without_keys,
    revision_of_postgres,
    revision_of_sqlite,
)
from bus.store.sqlite_file import MENDING, address, refuse_folder, refuse_strange_log, unreadable

if TYPE_CHECKING:
    from bus.store.hosts import Server
    from bus.store.obstacles import Standbys
    from bus.store.postgres_session import Session

OLDEST_SQLITE = (3, 35)
"""The first with RETURNING."""
LOOKED_THROUGH = 500_000_000
"""Bytes of the largest file of which each page is looked at: that takes seconds."""
_COPY = "no WAL yet, as in each copy that SQLite made: the bus sets it at its start, and refuses to start where the disk cannot"
TOLD = dt.timedelta(days=30)
"""How long commits that are gone are told of."""
OF_ALL_REVISIONS = frozenset({"processes_at_work", "folder_of_attachments", "keystore_of_payloads", "lies_open"})
"""Queries whose tables are the same since revision 2; of others an older or newer schema may mean something else."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found. ``unsafe``: what the start refuses, each with its remedy; ``ahead``: by how much this machine's clock is.
    ``now``: when all was looked at, so that no record which came meanwhile passes for one of later.

    ``lacking``: keys, indexes and triggers of the schema that are not there; ``altered``: how its tables differ (`bus.store.shape`).
    ``room``: how many connections there may be at most, and what says so; ``full``: what a server of our schema says that could not keep
    what was written, and taken back.

    ``figures`` are the answers to the queries of ``survey.sql``, ``missed`` why a query has none: a lock, another schema, a table that was
    altered. Both are empty for an empty database.
    """

    kind: str
    where: str
    version: str
    too_old: bool
    durability: str
    unsafe: tuple[StoreError, ...]
    revision: int
    now: dt.datetime
    server: Server | None = None
    ahead: dt.timedelta | None = None
    user: str = ""
    lacking: Sequence[str] = ()
    altered: Sequence[str] = ()
    may_change: str = ""
    standbys: Standbys | None = None
    room: tuple[int, str] | None = None
    checksums: bool = True
    full: str = ""
    figures: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    missed: Mapping[str, StoreError] = field(default_factory=dict)


def of_late(gone: Sequence[Row], now: dt.datetime) -> list[Row]:
    """The rows of the query ``rolled_back`` that are young enough to be told."""
    return [row for row in gone if moment_of(row["found"]) > now - TOLD]


def where_is(url: str) -> str:
    """The place of a database without user and password."""
    if (path := file_of(url)) is not None:
        return str(path)
    parts = urlsplit(url)
    try:
        return f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
    except ValueError:  # no port: it may be a part of the password
        return "store.url"


def survey(url: str) -> Survey:
    """Look at the database; raises `StoreError` when it cannot be reached."""
    return _postgresql(url) if (path := file_of(url)) is None else _sqlite(path)


def _sqlite(path: Path) -> Survey:
    refuse_folder(path)
    refuse_strange_log(path)
    try:
        with closing(sqlite3.connect(address(path, "ro"), uri=True)) as raw:
            raw.row_factory = sqlite3.Row
            _refuse_damaged(raw, path)
            revision = revision_of_sqlite(raw)
            mode = raw.execute("PRAGMA journal_mode").fetchone()[0]

            def ask(query: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
                return raw.execute(query, parameters).fetchall()

            lost, altered = (lacking_in_sqlite(raw), shape.of_sqlite(raw)) if revision == REVISION else ([], [])
            figures, missed = _figures(ask, dt.datetime.now(dt.UTC), revision, altered, sqlite3.OperationalError)
            return Survey(
                kind="SQLite", where=str(path), version=sqlite3.sqlite_version, too_old=sqlite3.sqlite_version_info < OLDEST_SQLITE,
                durability=f"{'WAL' if mode == 'wal' else _COPY}; the bus asserts synchronous=FULL at its start",
                unsafe=(), lacking=lost, altered=altered, revision=revision, now=dt.datetime.now(dt.UTC),
                figures=figures, missed=missed,
            )  # fmt: skip
    except sqlite3.Error as error:
        hint = unreadable(error, path).hint  # the place is told apart
        raise StoreError(f"cannot read the database: {error}", code="store.unreachable", hint=hint) from error


def _refuse_damaged(raw: sqlite3.Connection, path: Path) -> None:
    """Raises `StoreError` for a file whose pages do not hold together: the bus meets that where it needs them, perhaps much later.

    Only what is said of pages counts, which comes first: of tables without rowid SQLite 3.40 tells values that are not NULL as NULL.
    """
    if path.stat().st_size <= LOOKED_THROUGH and (said := raw.execute("PRAGMA quick_check(1)").fetchone()[0]).startswith("***"):
        raise StoreError(f"the database is damaged: {' '.join(said.split())}", code="store.unreachable", hint=MENDING)


def _postgresql(url: str) -> Survey:
    import psycopg
    from psycopg.rows import dict_row

    from bus.store import hosts, obstacles, postgres_session

    try:
        postgres_session.look_around(url)
        with postgres_session.Session.connect(
            postgres_session.line(url), autocommit=True, row_factory=dict_row, **hosts.in_turn(url)
        ) as raw:
            if not postgres_session.is_pooled(raw):
                raw.execute(f"SET default_transaction_read_only = on; {_FORM}; {obstacles.PATIENCE}")
            return _found_in_postgresql(raw, where_is(url))
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(f"the database forbids it: {str(error).strip()}", code="store.rights", hint=postgres_session.RIGHTS) from error
    except psycopg.Error as error:
        raise postgres_session.unreachable(error) from error


def _found_in_postgresql(raw: Session, where: str) -> Survey:
    import psycopg

    from bus.store import hosts, obstacles, postgres_session

    def ask(query: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Any]:
        with obstacles.looking(raw, query):
            return raw.execute(postgres_session.translated(query), parameters or {}).fetchall()

    before = dt.datetime.now(dt.UTC)
    [facts] = ask(_FACTS)
    after = dt.datetime.now(dt.UTC)
    [safety] = ask(postgres_session.FACTS)
    with obstacles.looking(raw, "schema_revision"):
        revision = revision_of_postgres(raw) if safety["schema"] else 0
    ours = revision == REVISION
    altered = shape.of_postgres(raw) if ours else []
    looks = (refuse_without_keys, postgres_session.refuse_without_rights, *([] if altered else [refuse_rewound])) if ours else ()
    refused = filter(None, [_refusal(partial(_unless_locked, raw, look)) for look in looks])
    unsafe = (*postgres_session.refusals(safety, raw.info.backend_pid, raw.info.options), *refused)
    figures, missed = _figures(ask, facts["now"], revision, altered, psycopg.ProgrammingError)
    [behind] = ask("SELECT clock_timestamp() AS now")
    return Survey(
        kind="PostgreSQL", where=where, version=facts["server_version"], too_old=raw.info.server_version < postgres_session.OLDEST,
        durability=", ".join(f"{name} {safety[name]}" for name in ("fsync", "full_page_writes", "synchronous_commit")),
        unsafe=unsafe, revision=revision, now=behind["now"], server=hosts.asked(raw),
        ahead=before + (after - before) / 2 - facts["now"], user=facts["user"], lacking=lacking(raw) if ours else (), altered=altered,
        may_change=_may_change(ask) if revision else "", standbys=obstacles.standbys(raw), room=_room(facts),
        checksums=facts["checksums"], full=_full(raw) if ours else "", figures=figures, missed=missed,
    )  # fmt: skip


def _unless_locked(raw: Session, look: Callable[[Session], object]) -> None:
    """What a table says that somebody keeps for himself is not known; who does, is told where its figures are looked at."""
    from bus.store import obstacles

    try:
        with obstacles.looking(raw, ""):
            look(raw)
    except StoreError as error:
        if error.code != "store.locked":
            raise


_FORM = "SET datestyle = 'ISO'; SET intervalstyle = 'postgres'"
"""How times are written, whatever the server, the database or the user have: psycopg reads no others."""
_FACTS = """
SELECT clock_timestamp() AS now, current_user AS "user", split_part(current_setting('server_version'), ' ', 1) AS server_version,
  (SELECT rolconnlimit FROM pg_roles WHERE rolname = session_user AND NOT rolsuper) AS of_role,
  (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS of_database,
  current_setting('data_checksums') = 'on' AS checksums,
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true), '0')::int AS of_server
"""
_RIGHTS = """
SELECT pg_has_role(relowner, 'MEMBER') AS owns, has_table_privilege(oid, 'UPDATE') AS change, has_table_privilege(oid, 'DELETE') AS remove
FROM pg_class WHERE oid = to_regclass('records')
"""


def _may_change(ask: Callable[[str], Sequence[Any]]) -> str:
    """What the user could do to records that no process of the bus ever does; empty when nothing."""
    [row] = ask(_RIGHTS)
    if row["owns"]:
        return "owns the table of records"
    return "may change or delete records" if row["change"] or row["remove"] else ""


def _full(raw: Session) -> str:
    """As `/status` does where a write has failed. What else may fail here is told elsewhere: a right, a standby, a lock."""
    import psycopg

    from bus.store.postgres_session import FULL, ROOM

    try:
        with raw.transaction(force_rollback=True):
            raw.execute("SET TRANSACTION READ WRITE")
            raw.execute(ROOM)
    except FULL as error:
        return str(error).partition("\n")[0]
    except psycopg.Error:
        pass
    return ""


def _room(facts: Mapping[str, Any]) -> tuple[int, str]:
    said = {"of_role": "the CONNECTION LIMIT of its role", "of_database": "the CONNECTION LIMIT of the database",
            "of_server": "max_connections, without what is reserved"}  # fmt: skip
    return min((facts[name], what) for name, what in said.items() if facts[name] not in (None, -1))


def _figures(
    ask: Callable[[str, Mapping[str, Any]], Sequence[Any]], now: dt.datetime, revision: int, altered: list[str], strange: type[Exception]
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, StoreError]]:
    """Answers, and why there is none; ``strange``: what a database raises that lacks the tables of a query, or their columns."""
    figures: dict[str, list[dict[str, Any]]] = {}
    missed: dict[str, StoreError] = {}
    other = _refusal(lambda: refuse(revision)) or _refusal(lambda: shape.refuse(altered))
    for name, query in queries.load("survey.sql").items() if revision else ():
        if other is not None and revision != REVISION and name not in OF_ALL_REVISIONS:
            missed[name] = other
            continue
        try:
            figures[name] = [dict(row) for row in ask(query, {"now": text_of(now)})]
        except StoreError as error:
            missed[name] = error
        except strange:
            if other is None:
                raise
            missed[name] = other
    return figures, missed


def _refusal(look: Callable[[], None]) -> StoreError | None:
    """Why the start refuses what it looks at, if it does."""
    try:
        look()
    except StoreError as error:
        return error
    return None
