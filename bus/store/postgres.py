"""PostgreSQL: the store of several processes. What SQLite's single writer gives for nothing is had here by one advisory lock.

Every write transaction begins with the lock of the schema. So transactions are one after another whatever process they are of: who
commits second sees what the first did, numbers of records are in the order of commits, and nothing deadlocks. Group commit makes
it cheap (`bus.store.writer`). Statements are sent when something is read or at the end, many in one trip over the wire.

A transaction also asks for its own number. When the line breaks while COMMIT is under way, a new session asks what became of that
number (``pg_xact_status``); the work is done again only when it surely was not committed. A server that crashed may give out again a number
of which its log had nothing yet, so that it is another's: then one of the transaction's own records tells. Reads wait for nobody.
"""

from __future__ import annotations

import datetime as dt
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from bus.diagnostics import logger
from bus.errors import Interrupted, StoreError, Unknown
from bus.store import Keys, Locked, Row, Tx, hosts, queries, schema, shape
from bus.store.inserts import MOST, Insert, Inserts, Rows, Update
from bus.store.postgres_session import (
    MISTAKES,
    READERS,
    READING,
    ROOM,
    WRITING,
    Session,
    assert_safe,
    changed,
    column,
    connect,
    interrupted,
    life_of,
    look_around,
    passes,
    refuse_unsafe,
    refuse_without_rights,
    standby,
    told,
    translated,
    unreachable,
)
from bus.store.writer import PAUSE, Failures, Writer

T = TypeVar("T")
FILES = ("common.sql", "survey.sql", "postgres.sql")
READ_PATIENCE = 5.0
"""Seconds that a view waits for a database that is away."""
FRESH = 8
"""Transactions after which the plans of a session's statements are made anew, then after twice as many. One that was made while a table
was empty reads all of it, and the server itself finds that out only when it next looks at its statistics, after a minute or more."""
FAILURES = 20
"""What is heard at most of a trip that failed: psycopg tells a failure, and each statement behind it as one more."""
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
# One round trip: the lock is had before the number is given. Later statements have snapshots of their own, so they see all that
# whoever had the lock before has committed.
# What keeps a commit may be switched off while the server runs, and the numbers be set back: both are looked at in each transaction.
_NUMBER = """
SELECT pg_current_xact_id()::text AS number, current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes
"""
_LOCK = "FROM pg_advisory_xact_lock(1399745924, quote_ident(current_schema())::regnamespace::oid::int4)"
_FATE = "SELECT pg_xact_status((%s)::xid8) AS fate"
_PROOF = "SELECT 1 AS yes FROM records WHERE id = %s"
_BEFORE = "SELECT time FROM records WHERE id < %s ORDER BY id DESC LIMIT 1"
ROLLED_BACK = (
    "was a standby promoted, or a backup restored, without them? keep the server that has them; what they told outside systems may be "
    'done again, and numbers be given out again: see "calls that were made after the backup" in docs/sysadmin/running.md'
)
"""What to do where commits are gone."""
_LOST = """
INSERT INTO marks (name, value)
SELECT concat('rolled-back ', %s::text), to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
ON CONFLICT DO NOTHING
"""
"""Kept for `bus doctor`: whoever runs it looks when the line of the process has long scrolled away."""
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_xid = ((%s)::xid8)::xid AND pid <> pg_backend_pid()"
_PRESENT = f"SELECT pg_advisory_lock_shared({schema.PRESENCE}, quote_ident(current_schema())::regnamespace::oid::int4)"
_END_SILENT = """
SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 1399745924 AND l.objid = quote_ident(current_schema())::regnamespace::oid
  AND a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.wait_event = 'ClientRead'
  AND greatest(a.query_start, a.state_change) < clock_timestamp() - interval '3 seconds'
"""
_VIEW = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_INDEXED = re.compile(r"((?:\w+\.)?state = '(?:ready|dead)') AND (?:\w+\.)?state IN \('ready', 'dead'\)")
# SQLite takes an index of some rows only where its condition stands word for word. PostgreSQL derives it; where it stands too, the planner
# believes that fewer rows pass both, and may walk through all of another index and sort what it finds.
_WORDS = {name: _INDEXED.sub(r"\1", text) for name, text in queries.load(*FILES, dialect="postgresql").items()}
_QUERIES = {name: translated(text) for name, text in _WORDS.items()}


class _Asking(Tx):
    """What the session that writes and those that read have in common."""

    def __init__(self, keys: Callable[[], Keys]) -> None:
        self._session: Session | None = None
        self._keys = keys

    @property
    def keys(self) -> Keys:
        return self._keys()

    def many(self, query: str, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            self.do(query, **row)

    def one(self, query: str, **parameters: Any) -> Row | None:
        return next(iter(self.all(query, **parameters)), None)

    def take_alone(self) -> bool:
        alone = bool(self.all("take_alone"))
        if self._session is not None:
            self._session.patience = None  # nor has the server a limit any more
        return alone

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(psycopg.Error):
                session.close()

    def close(self) -> None:
        self._drop()


class PostgresConnection(Failures, _Asking):
    """The writing session. ``closing`` tells that nobody waits any more."""

    def __init__(self, url: str, closing: Callable[[], bool] = lambda: False, keys: Callable[[], Keys] = Locked) -> None:
        super().__init__(keys)
        self._url, self._closing = url, closing
        self._inserts = Inserts(_WORDS, queries.buffered(*FILES), self._write)
        self._texts: dict[tuple[Insert | Update, tuple[str, ...]], str] = {}
        self._later: list[tuple[str, Mapping[str, Any]]] = []
        self._kept_rows = 0
        self._sent = False
        """Whether the server was told anything of this transaction."""
        self._number: str | None = None
        self._proof: str | None = None
        """A record that this transaction adds."""
        self._kept: str | None = None
        """A record of the last transaction that was committed."""
        self._life: str | None = None
        self._numbering = ""
        """Columns that tell which numbers the next record and run have, and the last ones: see `schema.refuse_rewound`."""
        self._warned = False
        self._transactions, self._stale = 0, FRESH
        self._context: AbstractContextManager[psycopg.Pipeline] | None = None
        self._sync: Callable[[], None] = lambda: None

    # -- statements --------------------------------------------------------------------------------------------------

    def do(self, query: str, **parameters: Any) -> None:
        if not self._inserts.take(query, parameters):
            self._inserts.before(query)
            self._keep(_QUERIES[query], parameters)

    def _keep(self, text: str, parameters: Mapping[str, Any], rows: int = 1) -> None:
        """Have a statement wait for the next trip. Where rows are many it is now: a transaction may write more than memory holds."""
        self._later.append((text, parameters))
        self._kept_rows += rows
        if self._kept_rows >= MOST:
            self._send_all()

    def all(self, query: str, **parameters: Any) -> Sequence[Row]:
        self._inserts.before(query)
        self._later.append((_QUERIES[query], parameters))
        return self._send_all().fetchall()

    def _send_all(self) -> psycopg.Cursor[dict[str, Any]]:
        """Send what was kept, in one trip that ends with a Sync; returns the cursor of the last statement.

        Nothing is sent before, and nothing after it (leaving psycopg's pipeline sends a Flush): only after a Sync does the server
        end a session that has stopped in the midst of its transaction.
        """
        session, later, self._later, self._kept_rows = self._session, self._later, [], 0
        if session is None:
            raise interrupted(ConnectionError("no session"))
        cursor = session.cursor(binary=True)
        begun = None
        self._sent = True
        with self._remembered(), told(session):
            if self._number is None:
                session.execute(_BEGIN)
                cursor = begun = session.execute(f"{_NUMBER}{self._numbering}{_LOCK}".encode())
            for text, parameters in later:
                cursor = session.cursor(binary=True).execute(text, parameters)
            self._sync()
            if begun is not None:
                self._begun(begun.fetchone())
        return cursor

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        """Remember a failure that would be the same a moment later."""
        try:
            yield
        except Interrupted:
            raise
        except StoreError as error:
            self.failing = error
            raise

    def prove(self) -> None:
        self._later.append((ROOM, {}))
        self._send_all()
        assert self._session is not None
        with self._remembered(), told(self._session):
            refuse_without_rights(self._session)
            if self.altered:
                shape.refuse(shape.of_postgres(self._session))

    def _begun(self, facts: Row | None) -> None:
        assert facts is not None
        for name in ("fsync", "full_page_writes"):
            refuse_unsafe(name, facts[name])
        schema.refuse_back(facts)
        self._number = facts["number"]

    def _write(self, insert: Insert | Update, rows: Rows) -> None:
        """All rows of a query in one statement."""
        if insert.table == "records":
            self._proof = rows[0]["id"]
        columns = {name: column([row[name] for row in rows]) for name in insert.names}
        key = insert, tuple(type for type, _ in columns.values())
        if key not in self._texts:
            self._texts[key] = translated(insert.arrays(key[1]))
        self._keep(self._texts[key], {name: values for name, (_, values) in columns.items()}, len(rows))

    # -- the transaction ---------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect and see that the server is safe and the schema ours; raises `StoreError`."""
        with told(None):
            hosts.tell(look_around(self._url))
            session = connect(self._url, WRITING)
        try:
            with told(None):
                hosts.refuse_old(session.server, self._keys().saw)
            with told(session):
                assert_safe(session)
                session.execute(_PRESENT)
                if self._life is None:
                    schema.prepare_postgres(session)
                    schema.refuse_without_keys(session)
                else:
                    schema.refuse_emptied(session)
                    self._look_back(session)
                refuse_without_rights(session)
                self._numbering = f", {schema.refuse_rewound(session)} "
                self._life = life_of(session)
        except BaseException:
            session.close()
            raise
        session.add_notice_handler(self._hear)
        self._session = session
        self._context = session.pipeline()
        self._sync = self._context.__enter__().sync

    def _look_back(self, session: Session) -> None:
        """Say, once, that a commit is gone of which others were told that it is kept. Work goes on: less of it would help nobody."""
        if self._kept is None or session.execute(_PROOF, [self._kept]).fetchone() is not None:
            return
        before = session.execute(_BEFORE, [self._kept]).fetchone()
        since = before["time"] if before else "the beginning"
        session.execute(_LOST, [since])
        said = f"what was committed after {since} is not in this database any more"
        logger("snodo.store").error("store.rolled-back", record=self._kept, sentence=said, hint=ROLLED_BACK)
        self._kept = None

    def _hear(self, said: psycopg.errors.Diagnostic) -> None:
        self._warned = self._warned or said.severity_nonlocalized == "WARNING"

    def _drop(self) -> None:
        context, self._context = self._context, None
        if context is not None:
            with suppress(psycopg.Error):
                context.__exit__(None, None, None)
        super()._drop()

    def begin(self) -> None:
        """The transaction begins on the server with the first statement that is sent."""
        self._number, self._proof, self._later, self._kept_rows, self._sent = None, None, [], 0, False
        if self._session is None or self._session.closed or hosts.is_old(self._session.server):
            self._drop()
            with self._remembered():
                self.open()
        self._transactions += 1
        if self._transactions == self._stale:
            self._later.append(("DISCARD PLANS", {}))
            self._stale *= 2

    def commit(self) -> None:
        self._inserts.flush()
        if self._later or self._number is None:
            self._send_all()
        assert self._session is not None
        assert self._number is not None
        self._warned = False
        try:
            ended = self._session.execute("COMMIT")
            self._sync()
        except psycopg.Error as error:
            if passes(error, self._session):
                self._find_out(self._number, error)
                self._kept = self._proof or self._kept
                return
            # What a server refuses at COMMIT it has not done: after that point it would panic.
            with self._remembered(), told(self._session):
                raise
        if ended.statusmessage != "COMMIT":
            self._drop()  # psycopg may owe the server a DEALLOCATE ALL, see `rollback`
            raise StoreError(f"the database ended a transaction with {ended.statusmessage}")
        self._kept = self._proof or self._kept
        if self._warned:  # somebody ended the wait for a synchronous standby
            self._until_replicated()

    def weary(self) -> None:
        """The server does by itself what can wait."""

    def rest(self) -> None:
        """See `weary`."""

    def rollback(self) -> None:
        self._inserts.forget()
        self._later, self._kept_rows = [], 0
        session = self._session
        try:
            if session is not None and not session.closed and self._is_under_way(session):
                # Not execute("ROLLBACK"): psycopg answers it with a DEALLOCATE ALL, which in a pipeline goes out only behind the first
                # statements of the next transaction: it holds them prepared from then on, and they are not. Its own rollback waits for it.
                session.rollback()
                # Perhaps we did not get the lock: whoever has it may be a process that was stopped in the midst of a pipeline, which the
                # server does not take for idle, so that its own timeout never comes.
                session.execute(_END_SILENT)
                self._sync()
        except psycopg.Error:
            self._drop()

    def _is_under_way(self, session: Session) -> bool:
        """Whether the server has something to take back. Nobody knows before all is heard that stood behind a statement that failed, up to
        the last Sync: a failure is told as soon as it is there, when libpq may still call the session idle.
        """
        for _ in range(FAILURES if self._sent else 0):
            try:
                self._sync()
                break
            except psycopg.Error as error:
                if error.sqlstate is None and not isinstance(error, errors.PipelineAborted):
                    raise
        return session.info.transaction_status != TransactionStatus.IDLE

    # -- a COMMIT of which nothing was heard -------------------------------------------------------------------------

    def _find_out(self, number: str, lost: psycopg.Error) -> None:
        """Returns when transaction ``number`` is committed; raises `Interrupted` when it surely is not. Until either is known, it asks.

        Nobody may take for unwritten what perhaps is written, so only closing the store ends the asking without an answer.
        """
        self._drop()
        logger("snodo.store").warning("commit.unknown", transaction=number, error=str(lost).strip())
        while True:
            fate = self._fate(number)
            if fate == "committed":
                logger("snodo.store").warning("commit.known", transaction=number, fate=fate)
                self._until_replicated()
                return
            if fate == "aborted":
                raise interrupted(lost) from lost
            if self._closing():
                raise Unknown("the line broke at COMMIT, and nobody can say whether it was done") from lost
            time.sleep(PAUSE)

    def _until_replicated(self) -> None:
        """Return when all that is committed is where ``synchronous_standby_names`` wants it: when a later commit is, which waits for that.

        A session that ends while it waits has committed for all the others: the server says so of its transaction.
        """
        while True:
            warned: list[Any] = []
            with suppress(psycopg.Error), connect(self._url, WRITING) as session:
                session.add_notice_handler(warned.append)
                session.execute(_QUERIES["wait_for_standbys"])
                if not warned:
                    return
            if self._closing():
                raise Unknown("nobody can say whether the standby has the last commit")
            time.sleep(PAUSE)

    def _fate(self, number: str) -> str | None:
        """``committed``, ``aborted``, or None: not known yet. A session that is still at it is ended: either way it is decided then.

        What added no record and is not surely committed may be done again: claims, leases and the like bear that.
        """
        try:
            look_around(self._url)
            with connect(self._url, WRITING) as session:
                if session.execute("SELECT pg_is_in_recovery() AS standby").fetchone() == {"standby": True}:
                    return None
                [row] = session.execute(_FATE, [number]).fetchall()
                fate: str | None = row["fate"]
                if fate == "in progress":
                    session.execute(_END, [number])
                    return None
                return "aborted" if fate == "committed" and not self._is_ours(session) else fate
        except errors.InvalidParameterValue:  # a number of the future: the server that knew it is no more, and this one never will
            return "aborted"
        except psycopg.Error:
            return None

    def _is_ours(self, session: Session) -> bool:
        """Whether what was committed under our number is our transaction."""
        if self._proof is not None:
            return session.execute(_PROOF, [self._proof]).fetchone() is not None
        return life_of(session) == self._life


class PostgresReader(_Asking):
    """A session that only looks. Its first question of a view is asked again when the line turns out to be dead."""

    def __init__(self, url: str, keys: Callable[[], Keys]) -> None:
        super().__init__(keys)
        self._url = url
        self._looking = False

    @property
    def server(self) -> hosts.Server | None:
        """The one that answers."""
        return None if self._session is None else self._session.server

    def do(self, query: str, **parameters: Any) -> None:
        self.all(query, **parameters)

    def all(self, query: str, **parameters: Any) -> Sequence[Row]:
        return self.ask(_QUERIES[query], parameters)

    def ask(self, text: str, parameters: Mapping[str, Any]) -> Sequence[Row]:
        if not self._looking:
            return self._first(text, parameters)
        session = self._session
        if session is None:
            raise interrupted(ConnectionError("no session"))
        with told(session):
            cursor = session.cursor(binary=True).execute(text, parameters)
            return cursor.fetchall() if cursor.description else []

    def _first(self, text: str, parameters: Mapping[str, Any]) -> Sequence[Row]:
        until = time.monotonic() + READ_PATIENCE
        while True:
            try:
                return self._begin(text, parameters)
            except Interrupted:
                self._drop()
                if time.monotonic() > until:
                    raise
            except (StoreError, psycopg.Error):  # such as a question it does not understand: the session is in a failed transaction
                self._drop()
                raise
            time.sleep(PAUSE)

    def _begin(self, text: str, parameters: Mapping[str, Any]) -> Sequence[Row]:
        session = self._at_hand()
        with told(session), session.pipeline():
            session.execute(_VIEW)
            rows = session.cursor(binary=True).execute(text, parameters).fetchall()
        self._looking = True
        return rows

    def _at_hand(self) -> Session:
        """The session that is there, or a new one: its server may live on where no writer of ours is any more."""
        if self._session is not None and hosts.is_old(self._session.server):
            self._drop()
        if self._session is None:
            with told(None):
                self._session = connect(self._url, READING)
        return self._session

    def end(self) -> None:
        """The view is over."""
        self._looking = False
        try:
            if self._session is not None and self._session.info.transaction_status != TransactionStatus.IDLE:
                self._session.execute("COMMIT")
        except psycopg.Error:
            self._drop()


class PostgresLook:
    """See `bus.store.opening.Reader`. Its session may not write, whatever its user may."""

    def __init__(self, url: str) -> None:
        with told(None):
            look_around(url)
        with told(None), connect(url, READING) as session:
            schema.refuse(schema.revision_of_postgres(session))
        self.keys: Keys = Locked()
        self._reader = PostgresReader(url, lambda: self.keys)

    @contextmanager
    def read(self) -> Iterator[Tx]:
        try:
            yield self._reader
        except MISTAKES as error:  # the questions are right: what they are asked of is another thing by now, such as a view
            raise changed(error) from error
        finally:
            self._reader.end()

    def close(self) -> None:
        self.keys.close()
        self._reader.close()


class PostgresStore:
    """See `bus.store.Store`. ``url``: ``postgresql://user@host/database``, and whatever libpq understands behind it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: Keys = Locked()
        self._closing = threading.Event()
        self._idle: queue.LifoQueue[PostgresReader] = queue.LifoQueue()
        for _ in range(READERS):
            self._idle.put(PostgresReader(url, lambda: self.keys))
        try:
            self._writer = Writer(self._open_writer)
        except Interrupted as error:
            raise unreachable(error.__cause__ or error) from error

    def _open_writer(self) -> PostgresConnection:
        connection = PostgresConnection(self.url, self._closing.is_set, lambda: self.keys)
        connection.open()
        return connection

    def write(self, work: Callable[[Tx], T], *, here: bool = False) -> Future[T]:
        return self._writer.submit(work, here=here)

    def lull(self, most: float) -> None:
        self._writer.lull(most)

    @contextmanager
    def read(self) -> Iterator[PostgresReader]:
        reader = self._idle.get()
        try:
            if self._closing.is_set():
                raise StoreError("the store is closed", code="store.closed")
            yield reader
        finally:
            reader.end()
            self._idle.put(reader)

    def now(self) -> dt.datetime:
        with self.read() as reader:
            moment: dt.datetime = reader.ask("SELECT clock_timestamp() AS now", {})[0]["now"]
        return moment.astimezone(dt.UTC)

    def refuse_old(self) -> None:
        with self.read() as reader:
            reader.ask("SELECT 1 AS yes", {})
            with told(None):
                hosts.refuse_old(reader.server, self.keys.saw)

    def describe(self) -> Mapping[str, Any]:
        with self.read() as reader:
            [server] = reader.ask("SELECT current_setting('server_version') AS version", {})
            [counts] = reader.all("count_everything")
        return {
            "kind": "postgresql", "version": server["version"], "durability": "synchronous_commit=on, fsync=on",
            **self._writer.describe(), **counts,
        }  # fmt: skip

    def failing(self) -> StoreError | None:
        with self.read() as reader:
            if reader.ask("SELECT pg_is_in_recovery() AS standby", {})[0]["standby"]:
                return standby()
        return self._writer.failing()

    def close(self) -> None:
        self._closing.set()
        self._writer.close()
        self.keys.close()
        readers = [self._idle.get() for _ in range(READERS)]  # when their views are over
        for reader in readers:
            reader.close()
            self._idle.put(reader)  # for whoever still comes, to be told
