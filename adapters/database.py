"""The room of SQLAlchemy for adapters: one database, transactions whose failures say what surely did not happen.

`Database.transaction` gives a `Transaction`; leaving it commits. How an error is told:

=========================================== ==========================================================
what happened                               what is raised
=========================================== ==========================================================
no connection, no free connection           `Unreachable`
connection lost before COMMIT was sent      `Unreachable`: the server rolls back
statement timeout, deadlock, lock           `Unreachable`; so is what was prepared before a table changed
the database says no (constraint, value...) `Refused` with a code of `REFUSALS`
connection lost at COMMIT, or no clear word `InDoubt`
any of these in a transaction that reads    `Unreachable`
=========================================== ==========================================================

Statements with their parameters, rows and error texts are kept as JSON through ``ctx.wire``: the driver does not show the bytes.
Sentences of errors name only the class of failure, since the texts of databases quote values; why there is no connection they do say.
"""

from __future__ import annotations

import datetime as dt
import functools
import heapq
import itertools
import json
import math
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, ValidationInfo

from bus.adapter import Call, InDoubt, OutsideError, Refused, Settings, Unreachable

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Dialect, Engine
    from sqlalchemy.exc import DBAPIError

Row: TypeAlias = "dict[str, Any]"

REFUSALS: Mapping[str, str] = {
    "DATO_NON_VALIDO": "a value does not fit its column",
    "VINCOLO": "a constraint of the database forbids it",
    "NON_ESEGUIBILE": "the statement does not fit the schema, or the user may not run it",
    "RIFIUTATO": "a rule inside the database refused it",
}
"""What any database may refuse with; part of the ``refusals`` of every operation that writes through `Database`."""

_REFUSED_CLASSES = {
    "0A": "NON_ESEGUIBILE", "21": "NON_ESEGUIBILE", "22": "DATO_NON_VALIDO", "23": "VINCOLO", "3F": "NON_ESEGUIBILE",
    "42": "NON_ESEGUIBILE", "44": "VINCOLO", "54": "DATO_NON_VALIDO",
}  # fmt: skip
_NOT_NOW = {"08", "25", "26", "28", "3D", "40", "53", "55", "57", "58", "72", "F0", "HV", "XX"}
"""Classes of SQLSTATE that speak of the connection, the server or its other callers. What is in neither, a rule in the database raised:
``P0``, and codes of its own such as ``45000``, which it may choose freely.
"""
_SQLSTATE = re.compile(r"[0-9A-Z]{5}")
"""Anything else was not said by a database."""
_NO_LONGER_PREPARED = "RevalidateCachedQuery"
"""Where PostgreSQL finds that a statement which the driver prepared has other columns since: somebody changed the table."""
_PREPARED_BY_ANOTHER = "42P05"
"""Where a pooler lends one session to several clients, and it was not told (`_prepare_nothing_on_lent`)."""
_ASKED = "snodo asked whose the session is"
"""The key under which a connection notes that it was asked; kept as long as it is open."""
_READ_ONLY = "25006"
"""What a server says that was the primary, and is one no more: by its name another may be found, on a new connection."""
_ROLLED_BACK_AT_COMMIT = {"40", "55"}
"""Classes of SQLSTATE that, like the refusals, are a clear word at COMMIT: it did not happen. Others leave doubt."""
_NOBODY_KNOWS = "40003"
"""The exception in class 40: databases of several nodes that speak PostgreSQL's protocol say by it that a COMMIT may have happened."""

_SQLITE_STATES = {
    "SQLITE_CONSTRAINT_PRIMARYKEY": "23505", "SQLITE_CONSTRAINT_UNIQUE": "23505", "SQLITE_CONSTRAINT": "23000",
    "SQLITE_BUSY": "55P03", "SQLITE_LOCKED": "55P03", "SQLITE_INTERRUPT": "57014", "SQLITE_CANTOPEN": "08001",
    "SQLITE_TOOBIG": "22000", "SQLITE_MISMATCH": "22000", "SQLITE_ERROR": "42000", "SQLITE_READONLY": "42501",
    "SQLITE_AUTH": "42501",
}  # fmt: skip
_DRIVER_STATES = {"DataError": "22000", "ProgrammingError": "42000", "NotSupportedError": "42000", "IntegrityError": "23000"}
"""What the driver itself refuses to send (a NUL in a text, a value it cannot adapt) has no SQLSTATE."""

_WRITER = json.JSONEncoder(ensure_ascii=False, default=str)
"""How evidence is written; made once, which `json.dumps` would do each time."""

_LEAST, _MOST = -(2**63), 2**63 - 1
UNIQUE_VIOLATION, _NO_RIGHT = "23505", "42501"
_FILLED = "bpchar"
"""PostgreSQL's type of texts of fixed length (CHAR): they come with the blanks that fill them, which say nothing and make no text equal."""
_TEXT = 0
"""psycopg's name of values that come as texts."""
_MOMENTS = ("date", "time", "timetz", "timestamp", "timestamptz")
_AS_WRITTEN = (
    "interval", *(f"{of}{kind}" for of in ("int4", "int8", "num", "date", "ts", "tstz") for kind in ("range", "multirange"))
)  # fmt: skip
"""Types whose values are told as PostgreSQL writes them."""
GRACE = 0.1
"""Seconds that the server's own statement timeout is given before the connection is cut."""


_SQLITE = "sqlite:///"
_ADDRESS = re.compile(r"[^:]+://(?:[^:/]*(?::[^@]*)?@)?(?:\[[^/?]+\]|[^/:?]*)(?::([^/?]*))?(?:[/?].*)?", re.DOTALL)
"""An address as SQLAlchemy reads it; the group is the port."""


def _with_a_port(url: str) -> str:
    """SQLAlchemy says it with the whole address, and at the first call."""
    parts = _ADDRESS.fullmatch(url)
    if parts is None or not re.fullmatch(r"[0-9]{0,5}", parts[1] or "") or int(parts[1] or 1) not in range(1, 65536):
        raise ValueError("is no address: SYSTEM://USER@HOST:PORT/DATABASE, with a number from 1 to 65535 for the port")
    return url


def _beside_the_settings(url: str, info: ValidationInfo) -> str:
    """A SQLite file with a relative path is relative to the folder of ``config.yaml``, as `LocalFile` is."""
    path = url.removeprefix(_SQLITE)
    if path in ("", url) or path.startswith(("/", ":memory:", "?", "file:")) or not info.context:
        return url
    return f"{_SQLITE}{info.context['folder']}/{path}"


class DatabaseSettings(Settings):
    """What every database needs in ``config.yaml``; adapters extend it."""

    url: Annotated[str, AfterValidator(_with_a_port), AfterValidator(_beside_the_settings)] = Field(
        pattern=r"^(postgresql\+psycopg|sqlite)://",
        description="SQLAlchemy address, postgresql+psycopg://... or sqlite:///path (a relative one from the folder of config.yaml)",
    )
    connect_timeout: float = Field(3.0, gt=0, description="seconds to wait for a connection (PostgreSQL's library waits at least 2)")
    pool: int = Field(8, ge=1, description="connections kept open")


def queries_of(path: Path) -> dict[str, str]:
    """Named statements of a ``.sql`` file: each begins with a line ``-- name: ...``; other comment lines are dropped."""
    found: dict[str, str] = {}
    for block in path.read_text(encoding="utf-8").split("-- name:")[1:]:
        name, _, body = block.partition("\n")
        lines = [line for line in body.splitlines() if line.strip() and not line.startswith("--")]
        found[name.strip()] = "\n".join(lines).rstrip(";")
    return found


def parameters_of(statement: str) -> frozenset[str]:
    """The names of its parameters, written ``:name``."""
    from sqlalchemy import text

    return frozenset(text(statement).compile().params)


def cents_of(amount: object) -> int:
    """Cents of a ``decimal(11,2)`` as a driver gives it (text, Decimal or, from SQLite, a float)."""
    return int((Decimal(str(amount)) * 100).to_integral_value(ROUND_HALF_UP))


def amount_of(cents: int) -> str:
    """Text with two decimals for a ``decimal(11,2)``; the inverse of `cents_of`."""
    sign, whole = ("-" if cents < 0 else ""), abs(cents)
    return f"{sign}{whole // 100}.{whole % 100:02d}"


def _plain(value: Any) -> Any:
    """A column's value as the log can keep it: whole numbers of 64 bits are integers, longer ones and decimals text; moments are ISO text;
    what is no number is null.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Decimal):
        if not value.is_finite():  # `math.isfinite` makes a float of it, and infinity of what is beyond 1e308
            return None
        return _plain(int(value)) if value.as_tuple().exponent == 0 else str(value)
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        return str(value)
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).hex()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _state_of(error: DBAPIError) -> str:
    """The SQLSTATE; for SQLite the one that says the same; empty when the connection broke without a word."""
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return str(state)
    if str(error.orig).startswith("Could not decode to UTF-8"):  # of sqlite3 itself, which quotes the value
        return "22021"
    name = getattr(error.orig, "sqlite_errorname", None) or ""
    while name and name not in _SQLITE_STATES:
        name = name.rpartition("_")[0]
    return _SQLITE_STATES.get(name) or _DRIVER_STATES.get(type(error).__name__, "")


@functools.lru_cache(maxsize=500)
def _as_driver_takes(sql: str, dialect: Dialect) -> str:
    """A statement with the driver's own marks for parameters: made once, so that none is looked into again at each execution."""
    from sqlalchemy import text

    return str(text(sql).compile(dialect=dialect))


class _Watch:
    """Cuts a connection at a deadline, unless it was left before: the server's own timeout does not help when the server is silent.

    It is the driver's, and may come to be only while it is watched for (`held`).
    """

    def __init__(self, seconds: float, raw: Any = None) -> None:
        self._raw = raw
        self._lock, self.over, self._late = threading.Lock(), False, False
        self.until = time.monotonic() + seconds

    def __enter__(self) -> Self:
        _watchman.watch(self)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.over, self._raw = True, None

    def held(self, raw: Any) -> None:
        """This is the connection; beyond the deadline it is cut at once."""
        with self._lock:
            self._raw = None if self.over else raw
        if self._late:
            self.cut()

    def cut(self) -> None:
        with self._lock, suppress(Exception):  # the connection is closed already: nothing to cut
            self._late = True
            if self._raw is None:
                return
            if hasattr(self._raw, "interrupt"):
                self._raw.interrupt()
            else:
                with socket.socket(fileno=os.dup(self._raw.fileno())) as line:
                    line.shutdown(socket.SHUT_RDWR)


class _Watchman:
    """One thread for all deadlines of the process: a timer of its own for each took longer than the statement it watched."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watches: list[tuple[float, int, _Watch]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def watch(self, watch: _Watch) -> None:
        """Cut it at its deadline, unless it is over by then."""
        with self._changed:
            heapq.heappush(self._watches, (watch.until, next(self._numbers), watch))
            if self._thread is None:
                self._thread = threading.Thread(target=self._live, name="snodo-sql-watch", daemon=True)
                self._thread.start()
            elif self._watches[0][2] is watch:
                self._changed.notify()

    def _live(self) -> None:
        while True:
            self._next().cut()

    def _next(self) -> _Watch:
        """The next watch whose deadline has come; waits for it."""
        with self._changed:
            while True:
                while self._watches and self._watches[0][2].over:
                    heapq.heappop(self._watches)
                left = self._watches[0][0] - time.monotonic() if self._watches else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._watches)[2]
                self._changed.wait(left)


_watchman = _Watchman()


@dataclass(slots=True)
class Transaction:
    """One open transaction; not thread-safe."""

    connection: Connection
    ctx: Call

    def rows(self, name: str, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Run one statement that answers rows; ``name`` is the note of the evidence."""
        given = dict(parameters or {})
        _keep(self.ctx, "out", {"sql": sql, "parameters": given}, name)
        answered = self._execute(sql, given)
        if not answered.returns_rows:
            raise Refused(
                f"{name}: the last statement answers no rows: write RETURNING, or a SELECT behind it", outside_code="NON_ESEGUIBILE"
            )
        columns = list(answered.keys())
        if len(set(columns)) < len(columns):  # a row has one value for a name
            twice = next(column for column in columns if columns.count(column) > 1)
            raise Refused(f"{name}: two columns are called {twice!r}: give one of them another name with AS", outside_code="NON_ESEGUIBILE")
        found = [{column: _plain(value) for column, value in row.items()} for row in answered.mappings()]
        _keep(self.ctx, "in", {"rows": found}, name)
        return found

    def one(self, name: str, sql: str, parameters: Mapping[str, Any] | None = None) -> Row | None:
        """The first row, or None."""
        found = self.rows(name, sql, parameters)
        return found[0] if found else None

    def run(self, name: str, sql: str, *parameters: Mapping[str, Any]) -> int:
        """Run one statement for each set of parameters (none: nothing is sent); the number of rows it touched."""
        if not parameters:
            return 0
        given = [dict(one) for one in parameters]
        _keep(self.ctx, "out", {"sql": sql, "parameters": given}, name)
        touched = self._execute(sql, given[0] if len(given) == 1 else given).rowcount
        _keep(self.ctx, "in", {"touched": touched}, name)
        return touched

    def _execute(self, sql: str, parameters: Row | list[Row]) -> CursorResult[Any]:
        return self.connection.exec_driver_sql(_as_driver_takes(sql, self.connection.dialect), parameters)

    def commit(self, name: str) -> None:
        _keep(self.ctx, "out", {"sql": "COMMIT"}, name)
        self.connection.commit()
        _keep(self.ctx, "in", {"committed": True}, name)


def _keep(ctx: Call, direction: Literal["out", "in"], what: Mapping[str, Any], name: str) -> None:
    ctx.wire(direction, _WRITER.encode(what).encode(), "application/json", name)


@dataclass(slots=True)
class Database:
    """One database behind a pool of connections. Thread-safe; opened at first use."""

    settings: DatabaseSettings
    _engine: Engine | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _local: threading.local = field(default_factory=threading.local)
    _seats: threading.BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        self._seats = threading.BoundedSemaphore(self.settings.pool)  # the pool's own wait has one length for all calls

    @contextmanager
    def transaction(self, ctx: Call, name: str, *, read: bool = False, taken_again: bool = False) -> Iterator[Transaction]:
        """A transaction named ``name``, committed when the block ends, rolled back when it raises; obeys ``ctx.timeout``.

        ``taken_again`` says that a unique value already taken is another caller's race: `Unreachable` (try again) and not `Refused`.
        """
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        until = time.monotonic() + ctx.left
        if not self._seats.acquire(timeout=_left(until)):
            raise Unreachable(f"{name}: no connection is free")
        at_commit, opened = False, None
        try:
            opened = self._open(ctx, name, until, read=read)
            with _Watch(_left(until) + GRACE, _raw_of(opened.connection)), _undone(opened.connection):
                yield opened
                at_commit = True
                opened.commit(name)
        except DBAPIError as error:
            _keep(ctx, "in", {"error": str(error.orig).strip(), "sqlstate": _state_of(error)}, name)
            if opened is not None and _state_of(error) == _READ_ONLY and not read:
                opened.connection.invalidate()
            cause = _first_line(error) if opened is None else ""
            when = " at COMMIT" if at_commit else f", and nothing was asked: {cause}" if cause else ""
            told = _told(error, f"{name}: {_named(error)}{when}", read=read, at_commit=at_commit, taken_again=taken_again)
            told.cause = cause
            raise told from None
        except OverflowError:
            raise Refused(f"{name}: a whole number is larger than any column", outside_code="DATO_NON_VALIDO") from None
        except UnicodeError:
            sentence = f"{name}: a text has characters that the encoding of the connection cannot say"
            raise (Unreachable(sentence, outside_code="22021") if read else Refused(sentence, outside_code="DATO_NON_VALIDO")) from None
        except SQLAlchemyError as error:  # a parameter is missing, a driver is not there, and the like: before anything left
            raise Unreachable(f"{name}: {type(error).__name__}") from None
        finally:
            if opened is not None:
                _give_back(opened.connection)
            self._seats.release()

    def script(self, *parts: str) -> None:
        """Run statements separated by ``;`` in one transaction; for schemas. Raises what SQLAlchemy raises."""
        with self.engine.begin() as connection:
            raw = connection.execution_options(no_parameters=True)
            raw.exec_driver_sql("BEGIN")
            for part in parts:
                for statement in filter(str.strip, part.split(";\n") if self.is_sqlite else (part,)):
                    raw.exec_driver_sql(statement)

    def close(self) -> None:
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    @property
    def engine(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = self._make()
            return self._engine

    @property
    def is_sqlite(self) -> bool:
        return self.settings.url.startswith("sqlite")

    def _make(self) -> Engine:
        from sqlalchemy import create_engine, event

        own = {"paramstyle": "named"} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}  # transactions begin where we say
        engine = create_engine(self.settings.url, pool_size=self.settings.pool, max_overflow=0, hide_parameters=True, **own)
        if self.is_sqlite:
            event.listen(engine, "connect", _prepare_sqlite)
        else:
            event.listen(engine, "connect", _prepare_postgres)
        event.listen(engine, "do_connect", self._limit_connect)
        return engine

    def _limit_connect(self, dialect: Dialect, _record: Any, arguments: Any, keywords: dict[str, Any]) -> Any:
        """The driver's connection, made in time and watched from its beginning: what SQLAlchemy asks over the first one has no deadline."""
        hosts = str(keywords.get("host", "")).count(",") + 1  # of which each is given the time anew
        seconds = min(self.settings.connect_timeout, getattr(self._local, "left", self.settings.connect_timeout) / hosts)
        if self.is_sqlite:
            keywords["timeout"] = seconds
            return None
        keywords["connect_timeout"] = max(1, round(seconds))
        keywords.setdefault("client_encoding", "utf8")  # the server's own cannot say every text, and of SQL_ASCII texts come as bytes
        made = dialect.connect(*arguments, **keywords)
        if (watch := getattr(self._local, "watch", None)) is not None:
            watch.held(made)
        return made

    def _open(self, ctx: Call, name: str, until: float, *, read: bool, again: bool = True) -> Transaction:
        """A connection with a begun transaction. A kept connection that the server has dropped is replaced once: nothing was asked yet.

        This first statement is the ping of the pool (`pool_pre_ping` has no deadline, and costs one more round trip).
        """
        from sqlalchemy.exc import DBAPIError

        self._local.left = _left(until)
        with _Watch(_left(until)) as self._local.watch:
            connection = self.engine.connect()
            self._local.watch.held(_raw_of(connection))
            try:
                with _undone(connection):
                    self._begin(connection, name, until, read=read)
                return Transaction(connection, ctx)
            except DBAPIError as error:
                _give_back(connection)
                if not again or not error.connection_invalidated or time.monotonic() >= until:
                    raise
        return self._open(ctx, name, until, read=read, again=False)

    def _begin(self, connection: Connection, name: str, until: float, *, read: bool) -> None:
        milliseconds = max(1, int(_left(until) * 1000))
        if self.is_sqlite:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {milliseconds}")
            connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if read else 'OFF'}")
            connection.exec_driver_sql("BEGIN" if read else "BEGIN IMMEDIATE")
            return
        begin = "BEGIN READ ONLY" if read else "BEGIN"
        styles = "SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'postgres'"  # psycopg reads no other dates
        connection.exec_driver_sql(f"/* {name} */ {begin}; SET LOCAL statement_timeout = {milliseconds}; {styles}")  # one round trip
        if _ASKED not in connection.info:
            _prepare_nothing_on_lent(connection)


def _left(until: float) -> float:
    return max(until - time.monotonic(), 0.001)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say: the module's own begin cannot be IMMEDIATE
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_nothing_on_lent(connection: Connection) -> None:
    """Whatever the driver prepares has a name in the session. In one that a pooler lends, another client may have given it to a statement
    of his, which would be run in the place of ours.
    """
    driver: Any = connection.connection.driver_connection
    if connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() != driver.info.backend_pid:
        driver.prepare_threshold = None
    connection.info[_ASKED] = True


def _prepare_postgres(connection: Any, _record: Any) -> None:
    known = connection.adapters
    for oid in (known.types[name].oid for name in _MOMENTS):
        known.register_loader(oid, _lenient(known.get_loader(oid, _TEXT), connection.DataError))
    as_written = known.get_loader(known.types["text"].oid, _TEXT)
    for name in _AS_WRITTEN:
        known.register_loader(known.types[name].oid, as_written)
    known.register_loader(known.types[_FILLED].oid, _unfilled(as_written))


@functools.cache
def _unfilled(as_written: Any) -> type:
    """A loader: texts without the blanks that fill them."""

    class Unfilled:
        format = _TEXT

        def __init__(self, oid: int, context: Any = None) -> None:
            self._written = as_written(oid, context)

        def load(self, data: Any) -> Any:
            return self._written.load(data).rstrip(" ")

    return Unfilled


@functools.cache
def _lenient(usual: Any, fault: type[Exception]) -> type:
    """A loader: moments that Python has not (infinity, before Christ, after the year 9999, 24:00) as PostgreSQL writes them."""

    class Lenient:
        format = _TEXT

        def __init__(self, oid: int, context: Any = None) -> None:
            self._usual = usual(oid, context)

        def load(self, data: Any) -> Any:
            try:
                return self._usual.load(data)
            except fault:
                return bytes(data).decode()

    return Lenient


def _raw_of(connection: Connection) -> Any:
    return connection.connection.driver_connection


@contextmanager
def _undone(connection: Connection) -> Iterator[None]:
    """What fails within it is rolled back at once, while the connection is watched: a server may be silent at that, too."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except BaseException:
        with suppress(SQLAlchemyError):  # it is broken, and whoever takes it back throws it away
            connection.rollback()
        raise


def _give_back(connection: Connection) -> None:
    """Return to the pool, which throws away a connection that cannot even roll back."""
    from sqlalchemy.exc import SQLAlchemyError

    with suppress(SQLAlchemyError):
        connection.close()


def _named(error: DBAPIError) -> str:
    """The class of a failure alone: the texts of databases quote values."""
    state = _state_of(error)
    return type(error.orig).__name__ + (f", SQLSTATE {state}" if state else "")


def _first_line(error: DBAPIError) -> str:
    """Why there is no connection, in the words of the library: they quote host and user, and no value, since none was sent."""
    return next(iter(str(error.orig).strip().splitlines()), "no reason is told").strip()


def _told(error: DBAPIError, sentence: str, *, read: bool, at_commit: bool, taken_again: bool) -> OutsideError:
    """What a failure of the database means, by the table at the top of this module."""
    state = _state_of(error)
    if read or _is_of_preparing(error, state) or (taken_again and state == UNIQUE_VIOLATION):
        return Unreachable(sentence, outside_code=state)
    if _SQLSTATE.fullmatch(state) and state[:2] not in _NOT_NOW:
        code = _REFUSED_CLASSES.get(state[:2], "RIFIUTATO")
        return Refused(sentence, outside_code=code, evidence={"sqlstate": state}, locked_out=state == _NO_RIGHT)
    if at_commit and (state == _NOBODY_KNOWS or state[:2] not in _ROLLED_BACK_AT_COMMIT):
        return InDoubt(sentence, outside_code=state)
    return Unreachable(sentence, outside_code=state)


def _is_of_preparing(error: DBAPIError, state: str) -> bool:
    """Whether it is about what the driver prepares to be faster, and not about the statement: another try prepares it anew."""
    where = getattr(getattr(error.orig, "diag", None), "source_function", None)
    return state == _PREPARED_BY_ANOTHER or where == _NO_LONGER_PREPARED
