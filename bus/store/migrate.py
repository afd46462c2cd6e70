"""Migrations: from one revision of the schema to another and back, with the work that is in flight. For `bus migrate` alone.

All of a migration is one transaction. Processes of the bus must be stopped: each holds the database while it runs, and a migration
takes it for itself. Waiting, ready and dead runs, open waits and the log stay as they are; leases from before are void.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bus.config import file_of
from bus.errors import Invalid, StoreError, Unknown
from bus.store import schema
from bus.store.opening import refuse_unusable
from bus.store.sqlite_file import kind_of, own

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from bus.store.postgres_session import Session

LOCKS = "SET lock_timeout = '10s'"
"""A session that keeps a table to itself (a look in psql that was left open) is named, not waited for."""
WRITING = """
SELECT set_config(name, said, false) FROM (VALUES ('default_transaction_read_only', 'off'), ('standard_conforming_strings', 'on'),
  ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0')) wanted (name, said)
WHERE EXISTS (SELECT 1 FROM pg_settings known WHERE known.name = wanted.name)
"""
"""What is set for our user is for its other sessions: a migration writes, and takes the time that it takes."""
MOMENT = 2.0
"""Seconds to wait for processes that are just ending."""

_PROCESSES = "SELECT role, host, pid, seen FROM processes ORDER BY seen DESC"
_TABLES = """
SELECT string_agg(quote_ident(relname), ', ' ORDER BY relname) FROM pg_class
WHERE relnamespace = quote_ident(current_schema())::regnamespace
  AND relkind = 'r' AND relowner = (SELECT relowner FROM pg_class WHERE oid = to_regclass('records'))
"""


def status(url: str) -> tuple[int, int]:
    """The revision of the database (0: it is empty) and the one this program speaks."""
    with _connected(url, looks=True) as (connection, _):
        return _revision(connection), schema.REVISION


def migrate(url: str, to: int = schema.REVISION) -> tuple[int, int]:
    """Bring the database to a revision, up or down; returns the one before and the one after. Raises `StoreError`.

    A file of version 0.1.0, which knew no migrations, is adopted as revision 1.
    """
    refuse_unknown(to)
    if file_of(url) is None:
        _refuse_unsafe(url)
    with _connected(url) as (connection, begin), _alone(url, connection):
        before = _revision(connection)
        if before > schema.REVISION:
            schema.refuse(before)
        if to < 5 <= before:
            _refuse_sealed(connection)
        connection.exec_driver_sql(begin)
        try:
            _change(connection, before, to)
        except BaseException:
            with suppress(Exception):  # where the line is gone, the transaction is
                connection.exec_driver_sql("ROLLBACK")
            raise
        _commit(connection)
        return before, to


def _commit(connection: Any) -> None:
    """Raises `Unknown` where the line broke before the server said what became of it."""
    import sqlalchemy as sa

    from bus.store.postgres_session import passes

    try:
        connection.exec_driver_sql("COMMIT")
    except sa.exc.DBAPIError as error:
        if connection.dialect.name == "sqlite":
            raise
        if not error.connection_invalidated and not passes(error.orig, connection.connection.driver_connection):
            raise
        said = "the line broke at COMMIT, and nobody can say whether the migration was done"
        raise Unknown(said, hint="bus migrate status says which revision the database has now") from error


def refuse_unknown(to: int) -> None:
    """Raises `Invalid` for a revision that there is not."""
    if not 1 <= to <= schema.REVISION:
        raise Invalid(f"there is no revision {to}", code="cli.usage", hint=f"1 to {schema.REVISION}")


def refuse_busy(url: str) -> None:
    """Raises `StoreError` where a process of the bus has the database, or anybody one of its tables: before anything of a migration."""
    with _connected(url) as (connection, begin), _alone(url, connection):
        connection.exec_driver_sql(begin)
        tables = None if connection.dialect.name == "sqlite" else connection.exec_driver_sql(_TABLES).scalar()
        if tables:
            connection.exec_driver_sql(f"LOCK TABLE {tables}")
        connection.exec_driver_sql("ROLLBACK")


def refuse_changing(url: str) -> None:
    """Raises `StoreError` where somebody else's migration has the database now; a bus that works on it is let be."""
    with _connected(url) as (connection, begin):
        if connection.dialect.name == "sqlite":  # a migration is one long piece of writing, a bus writes in many short ones
            connection.exec_driver_sql(f"PRAGMA busy_timeout={5 * MOMENT * 1000:.0f}")  # a bus under full load leaves but short gaps
            connection.exec_driver_sql(begin)
            connection.exec_driver_sql("ROLLBACK")
        elif not _taken(connection, shared=True):
            raise taken()


def lies_open(url: str) -> set[str]:
    """The marks of a database, of revision 5 or later, in which payloads lie open (`bus.protecting`)."""
    with _connected(url, looks=True) as (connection, _):
        return set(connection.exec_driver_sql("SELECT name FROM marks WHERE name IN ('unprotected', 'laid-open')").scalars())


def _refuse_sealed(connection: Any) -> None:
    """What is sealed must be laid open before (`bus.protecting`): an older program cannot read it."""
    open_ = connection.exec_driver_sql("SELECT 1 FROM marks WHERE name = 'laid-open'").scalar()
    if open_ is None and connection.exec_driver_sql("SELECT 1 FROM records LIMIT 1").scalar() is not None:
        raise StoreError(
            "the payloads are sealed", code="store.sealed", hint="bus migrate down lays them open with the keys of the settings"
        )


def _change(connection: Any, before: int, to: int) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "revisions"))
    command.stamp(config, f"{before:04}" if before else "base", purge=True)
    if to > before:
        command.upgrade(config, f"{to:04}")
    elif to < before:
        command.downgrade(config, f"{to:04}")


@contextmanager
def _connected(url: str, *, looks: bool = False) -> Iterator[tuple[Any, str]]:
    """A connection that leaves transactions to us, and how they begin; ``looks``: nothing is to be changed."""
    import psycopg
    import sqlalchemy as sa

    from bus.store.postgres_session import look_around, refuse_old

    refuse_unusable(url)
    path = file_of(url)
    engine = _server(url) if path is None else _file(url, path)
    try:
        if path is None:
            look_around(url)
        with engine.connect() as connection:
            ours = connection.execution_options(isolation_level="AUTOCOMMIT")
            if path is None:
                refuse_old(cast("Session", ours.connection.driver_connection))
                ours.exec_driver_sql(LOCKS)
                ours.exec_driver_sql(WRITING)
            else:
                ours.exec_driver_sql("PRAGMA secure_delete=ON")  # what lay open must not stay in free pages
            yield ours, "BEGIN" if path is None else "BEGIN IMMEDIATE"
    except sa.exc.DBAPIError as error:
        raise _told(url, error.orig, looks) from error
    except (psycopg.Error, sqlite3.Error) as error:  # of a script: `revisions.run` speaks to the driver itself
        raise _told(url, error, looks) from error
    finally:
        engine.dispose()


def _file(url: str, path: Path) -> Engine:
    """Raises `StoreError` where there is none: it is not made here."""
    import sqlalchemy as sa

    if not path.is_file():
        raise StoreError(f"there is no database {url}", code="store.unreachable", hint="bus serve makes it, up to date")
    return sa.create_engine(url, poolclass=sa.NullPool)


def _server(url: str) -> Engine:
    """Its address is read by libpq, as for the bus: SQLAlchemy takes no list of hosts.

    The first questions of SQLAlchemy stand in no transaction: how long one may be idle we say only behind them (`WRITING`).
    """
    import psycopg
    import sqlalchemy as sa

    from bus.store.hosts import in_turn
    from bus.store.postgres_session import line

    def dial() -> psycopg.Connection:
        return psycopg.connect(line(url), autocommit=True, **in_turn(url))

    return sa.create_engine("postgresql+psycopg://", creator=dial, poolclass=sa.NullPool, use_native_hstore=False)


def _refuse_unsafe(url: str) -> None:
    """As the start of the bus does: nothing is changed on a server that it would not work with, or may not. Raises `StoreError`."""
    from bus.store.postgres_session import assert_safe, connect, look_around, told

    with told(None):
        look_around(url)
        session = connect(url, {})
    with session, told(session):
        assert_safe(session)
        schema.refuse_barred(session)


def _told(url: str, error: BaseException | None, looks: bool = False) -> StoreError:
    """What a database says to a migration, or to whoever only looks, in our words."""
    from psycopg import errors

    from bus.store.obstacles import locked
    from bus.store.postgres_session import FULL, PASSING, READING, connect, remedy, standby

    said = next(iter(str(error).strip().splitlines()), "")
    code, unchanged = kind_of(error), "" if looks else ", and its schema was not changed"
    match error:
        case errors.InsufficientPrivilege():
            hint = "bus migrate is for the owner of the tables: name that user in store.url (SNODO_STORE_URL) for this command"
            return StoreError(f"the user of store.url may not do that: {said}", code="store.rights", hint=hint)
        case errors.ReadOnlySqlTransaction():
            return standby()
        case errors.LockNotAvailable():
            with connect(url, READING) as session:
                return locked(session, looks=True)
        case sqlite3.Error() if code == sqlite3.SQLITE_BUSY:
            return StoreError("another program writes to the database", code="store.locked", hint="end it: lsof names who has the file")
        case errors.OperationalError() if error.sqlstate is None or isinstance(error, PASSING):
            hint = f"{remedy(error)} (then the same command again)"
            return StoreError(f"the database is away{unchanged}: {said}", code="store.unreachable", hint=hint)
        case sqlite3.Error() if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            return StoreError(f"cannot open the database: {said}", code="store.unreachable", hint="is it there, and yours?")
    hint = "look at the disk: space, errors" if code else "its log says more"
    if isinstance(error, FULL):
        hint = "make room on the disk of the server, or look at it; then the same command again"
    return StoreError(f"the database refused it{unchanged}: {said}", code="store.failed", hint=hint)


def _revision(connection: Any) -> int:
    from psycopg.rows import dict_row

    driver = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        return schema.revision_of_sqlite(driver)
    return schema.revision_of_postgres(driver.cursor(row_factory=dict_row))


@contextmanager
def _alone(url: str, connection: Any) -> Iterator[None]:
    """Nobody else has the database; raises `StoreError` when somebody has."""
    if (path := file_of(url)) is not None:
        with own(path):
            yield
    elif _taken(connection):
        yield
    else:
        raise taken(_at_work(connection))


def taken(who: str = "") -> StoreError:
    hint = "stop all of its processes first (bus doctor lists them); where it is another bus migrate, wait for its end"
    return StoreError(f"the bus works on this database{who and f': {who}'}", code="store.taken", hint=hint)


def _at_work(connection: Any) -> str:
    """What the processes of the bus say of themselves; empty where only a migration, or one that is just beginning, has the database."""
    rows = connection.exec_driver_sql(_PROCESSES).fetchall() if _revision(connection) > 1 else []
    return ", ".join(f"{role} on {host} (process {pid}, last heard of {seen[:19]}Z)" for role, host, pid, seen in rows)


def _taken(connection: Any, *, shared: bool = False) -> bool:
    """The server needs a moment to see that a process is gone. ``shared``: with all that work, and no migration."""
    until = time.monotonic() + MOMENT
    while not connection.exec_driver_sql(
        f"SELECT pg_try_advisory_lock{'_shared' * shared}({schema.PRESENCE}, quote_ident(current_schema())::regnamespace::oid::int4)"
    ).scalar():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
