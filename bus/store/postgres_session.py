"""One session with PostgreSQL: how it is opened, what is asserted of its server, and what its errors mean."""

from __future__ import annotations

import logging
import re
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.adapt import Dumper
from psycopg.conninfo import make_conninfo
from psycopg.pq import Format
from psycopg.rows import dict_row
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumper
from psycopg.waiting import Ready, Wait

from bus.errors import Changed, Interrupted, StoreError
from bus.store import hosts

logging.getLogger("psycopg").setLevel(logging.ERROR)
# It warns of each error that it passes over while it closes what is broken: at our commands' standard error, in words that tell nobody
# anything. What broke is told to us before.

T = TypeVar("T")
SILENT = 125.0
"""Seconds after which a server of which nothing is heard is taken for gone: its own timeouts end whatever it does for us before."""


class Session(psycopg.Connection[dict[str, Any]]):
    """A session that ends where nothing is heard: what stands between us and a server that is gone, such as a balancer, may keep the line
    and take what we send for ever, and TCP sees nothing of that.
    """

    patience: float | None = SILENT
    """None: it may take the time that it takes."""
    server: hosts.Server | None = None
    """What it said of itself when the session began."""

    def wait(self, gen: PQGen[T], *how: Any, **limits: Any) -> T:
        return super().wait(self._heard(gen), *how, **limits)

    def _heard(self, asking: PQGen[T]) -> PQGen[T]:
        """As ``asking``, which psycopg resumes ten times a second; ends it with an error as of a line that broke."""
        ready: Any = None
        heard = time.monotonic()
        while True:
            try:
                wanted = asking.send(ready)
            except StopIteration as done:
                answer: T = done.value
                return answer
            ready = yield from self._sent(wanted)
            if ready:
                heard = time.monotonic()
            elif self.patience is not None and time.monotonic() - heard > self.patience:
                raise psycopg.OperationalError(f"nothing was heard of it for {self.patience:g} s")

    def _sent(self, wanted: Any) -> PQGen[Any]:
        """Wait for that, and send meanwhile what is still to be sent: psycopg tries once, and waits then for the answer to a statement of
        which the server has but a part, where it is larger than what the line takes at once.
        """
        while wanted == Wait.R and self.pgconn.flush():
            ready = yield Wait.RW
            if ready != Ready.W:
                return ready & Ready.R
        return (yield wanted)


OLDEST = 150000
LINE = {"application_name": "snodo", "client_encoding": "UTF8", "connect_timeout": 5, "keepalives": 1, "keepalives_idle": 5,
        "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}  # fmt: skip
"""A line that went dead is known within 10 s, by us here and by the server through ``client_connection_check_interval``.

Columns of texts are encoded here: from a database that has no encoding (SQL_ASCII) psycopg would take bytes, before anybody can say so."""
SETTINGS = {
    "synchronous_commit": "on",
    "client_min_messages": "warning",  # that no standby has a commit is told by one
    "timezone": "UTC",
    "default_transaction_isolation": "read committed",  # whoever has waited for a lock sees what was done meanwhile
    "client_connection_check_interval": "2s",
    "idle_session_timeout": "0",  # with the session goes the lock that keeps a migration out
    # Every query is written for an index. Plans must not turn over because a table was empty when they were made, or statistics are old.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    # An index is walked in its order, as far as the page goes: a bitmap is made of all that waits, and sorted.
    "enable_bitmapscan": "off",
    "jit": "off",
}
DEADLINE = 60
"""Seconds that one statement may take."""
SLOW = f"the database stopped a statement: it took longer than {DEADLINE} s, or somebody cancelled it"
BUSY = "look at the server: its load, its disk, its long transactions (pg_stat_activity)"
WRITING = {
    # Whoever stops in the midst of a transaction (a paused process, a dead machine) holds up all writers for no longer than this.
    "idle_in_transaction_session_timeout": "5s",
    "lock_timeout": "4s",
    "statement_timeout": f"{DEADLINE}s",
    "default_transaction_read_only": "off",  # also while the schema is made
}
READING = {"idle_in_transaction_session_timeout": "10min", "statement_timeout": f"{DEADLINE}s", "default_transaction_read_only": "on"}
READERS = 8
"""Views at once; whoever comes then waits."""
CONNECTIONS = READERS + 1
"""How many a process has at most: each view has one, made when it is first needed, and whoever writes has another."""
CORRUPTED = (errors.DataCorrupted, errors.IndexCorrupted)
"""What a server says that cannot read what it kept."""
FAILED = "look at the server: its disk, its memory, its log"
DAMAGED = (
    "look at the disk of the server; what else is damaged pg_amcheck tells; go over to a standby or restore the backup, an index is made "
    "anew by REINDEX; leave zero_damaged_pages off: it makes the damage a loss"
)
FULL = (errors.DiskFull, errors.IoError)
"""What a server says that cannot keep what is written."""
PASSING: tuple[type[psycopg.Error], ...] = (
    errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable, errors.AdminShutdown, errors.CrashShutdown,
    errors.CannotConnectNow, errors.TooManyConnections, errors.IdleInTransactionSessionTimeout, errors.IdleSessionTimeout,
    errors.ReadOnlySqlTransaction, errors.InvalidSqlStatementName,
)  # fmt: skip
"""What a server says when the same work may do well a moment later."""
ALTERED = (
    errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction, errors.DatatypeMismatch, errors.WrongObjectType,
    errors.InvalidColumnReference, errors.StringDataRightTruncation,
    errors.NotNullViolation, errors.CheckViolation, errors.ForeignKeyViolation, errors.RaiseException,
    errors.InvalidDatetimeFormat, errors.DatetimeFieldOverflow, errors.InvalidTextRepresentation, errors.CharacterNotInRepertoire,
    errors.UntranslatableCharacter,
)  # fmt: skip
"""What a server says whose tables are not as the bus made them, or hold what it never writes: a column is gone, of another type, or one
more; a key is gone, a trigger refuses; a time is none, a record no JSON.
"""
MISTAKES = (psycopg.IntegrityError, psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError)
"""Errors that say something of what was asked; all others say something of the server."""


class Texts(list[Any]):
    """A column of texts, for an array parameter."""


class Numbers(list[Any]):
    """A column of integers."""


class Blobs(list[Any]):
    """A column of bytes."""


def column(values: Sequence[Any]) -> tuple[str, Texts | Numbers | Blobs]:
    """The type of a column, told by its first value that is not None, and its values as a parameter."""
    first = next((value for value in values if value is not None), "")
    if isinstance(first, str):
        return "text", Texts(values)
    return ("bigint", Numbers(values)) if isinstance(first, int) else ("bytea", Blobs(values))


class _ArrayDumper(Dumper):
    """PostgreSQL's binary form of a one-dimensional array; psycopg's own is general and slow."""

    format = Format.BINARY
    element = 0

    def one(self, value: Any) -> bytes:
        raise NotImplementedError

    def dump(self, obj: Sequence[Any]) -> bytes:
        one, length = self.one, struct.Struct(">i").pack
        parts = [struct.pack(">iiIii", 1, 1, self.element, len(obj), 1)]
        for value in obj:
            if value is None:
                parts.append(b"\xff\xff\xff\xff")
            else:
                written = one(value)
                parts += (length(len(written)), written)
        return b"".join(parts)


class _NothingDumper(Dumper):
    """None is a text: all columns that may be NULL are texts, and a type must be told where nothing else tells it."""

    oid = 25

    def dump(self, obj: None) -> None:
        return None


class _TextsDumper(_ArrayDumper):
    oid, element = 1009, 25

    def one(self, value: Any) -> bytes:
        if "\0" in value:
            raise psycopg.DataError("PostgreSQL takes no text with a NUL character")
        return str(value).encode()


class _NumbersDumper(_ArrayDumper):
    oid, element = 1016, 20

    def one(self, value: Any) -> bytes:
        return struct.pack(">q", value)


class _BlobsDumper(_ArrayDumper):
    oid, element = 1001, 17

    def one(self, value: Any) -> bytes:
        return bytes(value)


_DUMPERS: tuple[tuple[type, type[Dumper]], ...] = (
    (Texts, _TextsDumper), (Numbers, _NumbersDumper), (Blobs, _BlobsDumper), (str, StrDumper), (int, Int8Dumper),
    (type(None), _NothingDumper),
)  # fmt: skip
_PARAMETER = re.compile(r"(?<!:):(\w+)")


def translated(text: str) -> str:
    """Named parameters as psycopg takes them."""
    return _PARAMETER.sub(r"%(\1)s", text.replace("%", "%%"))


def line(url: str) -> str:
    """The address of a database with what makes a line to it."""
    return make_conninfo(url, **LINE)  # type: ignore[arg-type]


def dial(url: str, host: str, port: str) -> Session:
    """A session with one host of an address, as it is; a silent one is given up soon."""
    alone = {"host": host, "port": port, "target_session_attrs": "any", "connect_timeout": 2}
    return Session.connect(line(url), autocommit=True, row_factory=dict_row, **alone)  # type: ignore[arg-type]


def look_around(url: str) -> list[hosts.Server]:
    """Ask all hosts of an address which of them goes on with the log, before one is written to, or judged; see `bus.store.hosts.settle`."""
    return hosts.settle(url, hosts.primaries(url, partial(dial, url)))


def connect(url: str, settings: dict[str, str]) -> Session:
    """Open a session and make it ours; raises psycopg's errors, `Divided` among them, and `StoreError` for a server that is too old."""
    session = Session.connect(line(url), autocommit=True, row_factory=dict_row, **hosts.in_turn(url))
    try:
        refuse_old(session)
        for kind, dumper in _DUMPERS:  # the types of parameters never vary, so each statement is prepared once
            session.adapters.register_dumper(kind, dumper)
        pooled = is_pooled(session)
        if not pooled:
            _set(session, settings)
            session.server = hosts.asked(session)
            hosts.refuse_old(session.server)
        session.prepare_threshold = None if pooled else 0  # under its name another client's statement may stand there, and would be run
        session.prepared_max = 500
    except BaseException:
        session.close()
        raise
    hosts.answered(url, session)
    return session


def _set(session: Session, settings: dict[str, str]) -> None:
    wanted = SETTINGS | settings
    session.execute("SELECT " + ", ".join("set_config(%s, %s, false)" for _ in wanted), [part for pair in wanted.items() for part in pair])
    if session.info.server_version >= 170000:  # whoever looks may look for long, whatever the server's own patience is
        session.execute(f"SET transaction_timeout = '{'120s' if settings is WRITING else '0'}'")


def life_of(session: Session) -> str:
    """Another one since the server began anew: after a crash it forgets its statistics, also when only its sessions ended."""
    [row] = session.execute(_LIFE).fetchall()
    return str(row["life"])


def is_pooled(session: psycopg.Connection[Any]) -> bool:
    """Whether a session of the server is lent to us, which others have next, as we leave it."""
    return session.execute("SELECT pg_backend_pid() <> %s AS lent", [session.info.backend_pid], prepare=False).fetchall()[0]["lent"] is True


def refuse_old(session: Session) -> None:
    """Refuse an old server before anything is set: it does not know all of `SETTINGS`, and would be taken for one that went away."""
    info = session.info
    if info.server_version < OLDEST:
        said = f"the server at {info.host}:{info.port} is PostgreSQL {info.parameter_status('server_version')}"
        raise StoreError(said, code="store.too-old", hint="the bus needs PostgreSQL 15 or later: name one in store.url")


_LIFE = "SELECT concat(pg_postmaster_start_time(), ' ', stats_reset) AS life FROM pg_stat_bgwriter"
RIGHTS = "as the owner of the tables: bus migrate up, then psql --file=deploy/postgresql/grants.sql"
"""What to do when the user of the bus lacks a right."""
LOOKS = "for a user who only reads: GRANT USAGE ON SCHEMA public, and SELECT ON ALL TABLES IN SCHEMA public, to it"
"""And when it is that of an auditor."""
CHANGED = "was it made anew, or migrated, or a table dropped? bus doctor looks at it"
ROOM = """DO $$ BEGIN
  INSERT INTO records (id, kind, time, content)
    SELECT '', '', '', string_agg(uuid_send(gen_random_uuid()), '') FROM generate_series(1, 16384);
  RAISE SQLSTATE 'SN001';
EXCEPTION WHEN SQLSTATE 'SN001' THEN NULL;
END $$"""
"""256 KB that cannot be compressed, where messages go; rolled back in the server: psycopg takes any ROLLBACK for one of all it prepared."""
SAFE = {
    "fsync": "on", "full_page_writes": "on", "synchronous_commit": "on",
    # What could not be written is written again, as if it were still there; a damaged page is taken for an empty one, or for a sound one.
    "data_sync_retry": "off", "zero_damaged_pages": "off", "ignore_checksum_failure": "off",
    "session_replication_role": "origin",  # else no trigger works, and those are ours that let nobody change a record
}  # fmt: skip
"""Settings of the server under which what was accepted is kept, as it was written."""
_UNSAFE = {("off", "on"), ("on", "off"), ("replica", "origin")}
"""What a setting is, and what it must be."""
FACTS = """
SELECT current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync,
  current_setting('full_page_writes') AS full_page_writes,
  (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit') AS synchronous_commit,
  current_setting('data_sync_retry') AS data_sync_retry, current_setting('zero_damaged_pages') AS zero_damaged_pages,
  current_setting('ignore_checksum_failure') AS ignore_checksum_failure,
  current_setting('session_replication_role') AS session_replication_role,
  (SELECT jsonb_object_agg(name, jsonb_build_array(source, sourcefile)) FROM pg_settings
   WHERE sourcefile IS NOT NULL OR source = 'command line') AS sources,
  (SELECT jsonb_object_agg(name, said) FROM (
     SELECT DISTINCT ON (split_part(c, '=', 1)) split_part(c, '=', 1) AS name, 'ALTER ' || CASE
       WHEN s.setrole <> 0 THEN 'ROLE ' || quote_ident(r.rolname) || coalesce(' IN DATABASE ' || quote_ident(d.datname), '')
       WHEN s.setdatabase <> 0 THEN 'DATABASE ' || quote_ident(d.datname) ELSE 'ROLE ALL' END AS said
     FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
     CROSS JOIN unnest(s.setconfig) c
     WHERE (s.setrole = 0 OR r.rolname = session_user) AND (s.setdatabase = 0 OR d.datname = current_database())
     ORDER BY split_part(c, '=', 1), s.setrole <> 0 DESC, s.setdatabase <> 0 DESC) found) AS altered,
  pg_is_in_recovery() AS standby, current_schema() AS schema, pg_backend_pid() AS pid,
  (SELECT 'GRANT USAGE ON SCHEMA ' || quote_ident(nspname) || ' TO ' || quote_ident(current_user) FROM pg_namespace
   WHERE nspname IN (SELECT replace(trim(both ' "' from said), '$user', current_user)
                     FROM unnest(string_to_array(current_setting('search_path'), ',')) said)
     AND NOT has_schema_privilege(oid, 'USAGE') LIMIT 1) AS closed,
  (SELECT string_agg(quote_ident(relname), ', ' ORDER BY relname) FROM pg_class
   WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind = 'r' AND relpersistence = 'u'
     AND relowner = (SELECT relowner FROM pg_class WHERE oid = to_regclass('records'))) AS unlogged,
  (SELECT string_agg(quote_ident(relname), ', ' ORDER BY relname) FROM pg_class
   WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind = 'r' AND row_security_active(oid)
     AND relowner = (SELECT relowner FROM pg_class WHERE oid = to_regclass('records'))) AS hiding
"""
"""``sources``: where a setting was said, as far as our user may know; ``altered``: which ALTER of a role or a database said it, if one did;
``closed``: what opens the schema of our search_path where our user may not look in;
``unlogged``: tables of ours that a crash of the server empties; ``hiding``: those of which our user sees only some rows."""
# Tables that were made since the rights were given have none: `grants.sql` belongs to each migration, and says what is needed.
# Of sequences, SELECT lets our user see when they were set back; numbers of identity columns it may take with none.
_LACKING = """
SELECT string_agg(c.relname, ', ' ORDER BY c.relname) AS tables FROM pg_class c
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'S')
  AND c.relname NOT IN ('alembic_version', 'schema_revision')
  AND c.relowner = (SELECT relowner FROM pg_class WHERE oid = to_regclass('records'))
  AND NOT CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
    ELSE has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
      AND (has_table_privilege(c.oid, 'UPDATE') AND (has_table_privilege(c.oid, 'DELETE') OR c.relname = 'tiles')
        OR c.relname IN ('records', 'payloads', 'rules', 'checkpoints', 'receipts', 'anchors')) END
"""


def assert_safe(session: Session) -> None:
    """Raises `StoreError` for a server that could lose what was accepted, or that is not for us."""
    [facts] = session.execute(FACTS, prepare=False).fetchall()  # a pooler keeps no statements
    for unsafe in refusals(facts, session.info.backend_pid, session.info.options):
        raise unsafe


def refusals(facts: Mapping[str, Any], pid: int, options: str = "") -> Iterator[StoreError]:
    """What is unsafe of a server, each with its remedy; for the start and for `bus doctor`. ``pid``: of the session, as its line says;
    ``options``: what we asked of it ourselves.
    """
    if facts["pid"] != pid:
        yield StoreError(
            "a pooler stands between the bus and its database", code="store.pooled",
            hint="name the server itself in store.url: locks, settings and statements of the bus belong to sessions of its own",
        )  # fmt: skip
    if facts["encoding"] != "UTF8":
        hint = "make it again: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        yield StoreError(f"the database is encoded in {facts['encoding']}, not in UTF8", code="store.encoding", hint=hint)
    if facts["standby"]:
        yield standby()
    if facts["schema"] is None:
        hint = facts["closed"] or "CREATE SCHEMA, or set the user's search_path"
        yield StoreError("no schema of this database is ours", code="store.schema", hint=hint)
    if facts["unlogged"]:
        said = f"a crash of the server would empty these tables, which are UNLOGGED: {facts['unlogged']}"
        yield StoreError(said, code="store.unsafe", hint="as their owner, for each: ALTER TABLE … SET LOGGED")
    if facts["hiding"]:
        said = f"policies hide rows of these tables from the user of the bus: {facts['hiding']}"
        yield StoreError(said, code="store.unsafe", hint="as their owner, for each: ALTER TABLE … DISABLE ROW LEVEL SECURITY")
    for name in SAFE:
        try:
            refuse_unsafe(name, facts[name], _undoing(name, facts, options))
        except StoreError as unsafe:
            yield unsafe


PRIMARY = "name the primary in store.url; where that names several hosts, add target_session_attrs=read-write"


def standby() -> StoreError:
    return StoreError("this server is a standby: it cannot be written to", code="store.standby", hint=PRIMARY)


def _undoing(name: str, facts: Mapping[str, Any], options: str) -> str:
    """How to take back a setting, where it was said."""
    if re.search(name.replace("_", "[-_]") + r"\s*=", options, re.IGNORECASE):
        return f"take {name} out of the options of store.url (or of PGOPTIONS)"
    source, file = (facts["sources"] or {}).get(name, ("", None))
    if altered := (facts["altered"] or {}).get(name):
        return f"{altered} RESET {name}; it counts for sessions that begin after it"
    if source == "command line":
        return f"take {name} from the command line of the server, and restart it"
    if file and not file.endswith(".auto.conf"):
        return f"set {name} = {SAFE[name]} in {file} and {_heeded(name)}"
    return f"ALTER SYSTEM RESET {name} and {_heeded(name)}" if file else ""


def _heeded(name: str) -> str:
    """What makes a server heed its files."""
    return f"{'restart' if name == 'data_sync_retry' else 'reload'} the server"


def refuse_without_rights(session: Session) -> None:
    """Raises `StoreError` where there are tables of ours that our user may not work with as it must."""
    [lacking] = session.execute(_LACKING).fetchall()
    if lacking["tables"]:
        raise StoreError(f"the user of the bus lacks rights to: {lacking['tables']}", code="store.rights", hint=RIGHTS)


def refuse_unsafe(name: str, value: str, undoing: str = "") -> None:
    """Raises `StoreError` where a setting is as it must not be (`SAFE`); ``undoing``: how to take it back, if that is known."""
    if (value, SAFE[name]) in _UNSAFE:
        raise StoreError(
            f"the server runs with {name}={value}, which can lose or change what was accepted", code="store.unsafe",
            hint=undoing
            or f"set {name} = {SAFE[name]} in postgresql.conf, or ALTER SYSTEM RESET {name} where that said it; {_heeded(name)}",
        )  # fmt: skip


@contextmanager
def told(session: Session | None) -> Iterator[None]:
    """Say errors of the database itself in our words: `Interrupted` when the same may do well later, else `StoreError`."""
    try:
        yield
    except psycopg.Error as error:
        if session is not None and isinstance(error, errors.InvalidSqlStatementName | errors.FeatureNotSupported):
            # psycopg believes a statement prepared that is not, or the server has it for a table that was another: the next has neither
            session.close()
        if isinstance(error, errors.InsufficientPrivilege):
            raise StoreError(f"the database forbids it: {str(error).strip()}", code="store.rights", hint=f"{RIGHTS}; {LOOKS}") from error
        if isinstance(error, ALTERED):
            raise changed(error) from error
        if isinstance(error, errors.QueryCanceled):
            raise StoreError(SLOW, hint="ask for less at once (a smaller time, fewer messages); else " + BUSY) from error
        if session is None or passes(error, session):
            raise interrupted(error) from error
        if isinstance(error, MISTAKES):
            raise
        raise StoreError(f"the database failed: {error}", hint=DAMAGED if isinstance(error, CORRUPTED) else FAILED) from error


def changed(error: psycopg.Error) -> Changed:
    return Changed(f"the database is not as this program knows it: {str(error).partition(chr(10))[0]}", hint=CHANGED)


def passes(error: BaseException | None, session: Session) -> bool:
    """Whether the same may do well later: the server says so, or the line is gone.

    What no server told (it has no SQLSTATE) psycopg has seen itself, as soon as the socket says so and before libpq takes the session for
    broken. Such a session is given up here, as is one in which a record got a number that is taken: the next one looks at the numbers.
    """
    if (type(error) is psycopg.OperationalError and error.sqlstate is None) or _is_rewound(error):
        session.close()
    return isinstance(error, PASSING) or session.closed


def _is_rewound(error: BaseException | None) -> bool:
    return isinstance(error, errors.UniqueViolation) and error.diag.constraint_name == "records_pkey"


def interrupted(error: BaseException) -> Interrupted:
    if isinstance(error, errors.LockNotAvailable):
        return Interrupted("the database gave no lock in time", hint="bus doctor says who keeps a table locked; else look again")
    if isinstance(error, hosts.Divided):
        return Interrupted(error.sentence, code=error.code, hint=error.hint)
    return Interrupted(f"the database went away: {_said(error)}", hint=remedy(error))


def unreachable(error: BaseException) -> StoreError:
    """The error of a database that could not be opened at the start."""
    if isinstance(error, errors.LockNotAvailable):
        hint = "a migration ends by itself: wait, and start again; where it stays so, bus doctor says who keeps a table locked"
        return StoreError("the database cannot be opened: somebody has it for himself", code="store.locked", hint=hint)
    if isinstance(error, hosts.Divided):
        return StoreError(error.sentence, code=error.code, hint=error.hint)
    return StoreError(f"the database cannot be opened: {_said(error)}", code="store.unreachable", hint=remedy(error))


def _said(error: BaseException) -> str:
    """Without the advice of libpq, some of which is not ours: to look at no certificate."""
    return _ADVICE.sub("", str(error)).strip()


def remedy(error: BaseException) -> str:
    """What to do when no session could be had."""
    if isinstance(error, hosts.Divided):
        return error.hint
    said = str(error)
    return _used_up(error) or next((what for words, what in _REMEDIES if words.search(said)), UNREACHABLE)


def _used_up(error: BaseException) -> str:
    """What to do when the server has no connection left; empty where it is something else."""
    found = _TOO_MANY.search(str(error))
    if found is None:
        return ""
    of = _OF_ONE.search(str(error))
    limit, more = "max_connections of the server", "raise max_connections and restart the server"
    if of is not None:
        what = _ONES[of[1]]
        limit, more = f"the CONNECTION LIMIT of the {what} {of[2]}", f"ALTER {what.upper()} {of[2]} CONNECTION LIMIT …"
    others = "or end others (pg_stat_activity says whose they are)"
    return f"{limit} is used up: a process of the bus takes up to {CONNECTIONS}; {more}, {others}"


UNREACHABLE = "is the server up, and the network? are the database, the user and the password that store.url names known there?"
NO_PRIMARY = (
    "no server of store.url takes writes: promote a standby (SELECT pg_promote()), or start the primary; where that is up, "
    "default_transaction_read_only is on there, which target_session_attrs=primary does not mind"
)
_ADVICE = re.compile(r"\n\s*(?:Is the server running on|Either provide the file)[^\n]*")
_REMEDIES = (
    (
        re.compile(r"pg_hba\.conf"),
        "let it in: a line in pg_hba.conf of the server, then reload it; where all its lines are hostssl, sslmode=verify-full in store.url",
    ),
    (re.compile(r"invalid \S+ value|definition of service"), "mend it in store.url (or in PGSSLMODE, PGSERVICE … of the environment)"),
    (
        re.compile(r"session is read-only|server is in hot standby mode"),
        NO_PRIMARY,
    ),
    (
        re.compile(r"\bSSL\b|certificat|private key file"),
        "look at the certificates: the server's must be valid, of the authority in sslrootcert and of the host; ours is sslcert",
    ),
)
# A connection that was refused comes without its SQLSTATE (53300), and in the language of the server.
_TOO_MANY = re.compile(
    r"too many (?:clients|connections)|connection slots are reserved|tropp[ie] (?:client|connessioni)|slot di connessione"
)
_OF_ONE = re.compile(r"(?:too many connections for|troppe connessioni per il) (database|role|ruolo) (\"[^\"]+\")")
_ONES = {"database": "database", "role": "role", "ruolo": "role"}
