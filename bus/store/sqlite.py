"""SQLite: the embedded store. WAL, ``synchronous=FULL``, one writing connection; the settings are asserted, not hoped for.

``NORMAL`` loses acknowledged commits at a power cut (half of them, measured); ``FULL`` loses none.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any, Literal, TypeVar

from bus.errors import StoreError
from bus.store import Keys, Locked, Row, Tx, queries, schema, shape
from bus.store.inserts import Inserts, in_values
from bus.store.sqlite_file import (
    DAMAGED,
    LOCAL_DISK,
    MISTAKES,
    Place,
    address,
    failed,
    kind_of,
    make,
    own,
    own_file,
    refuse_strange_log,
    unreachable,
    unreadable,
)
from bus.store.writer import LULL, Failures, Writer

T = TypeVar("T")
Open = Callable[[Path], sqlite3.Connection]
"""Opens a database file; the fault suite opens it on a disk that forgets."""
FILES = ("common.sql", "survey.sql", "sqlite.sql")
NO_TEXT = "decode to UTF-8"
"""What Python says of a text that is none."""
SOME, MANY = 8, 128
"""Commits after which there is enough to move in the next lull, and whenever nobody asks for anything. Whoever comes meanwhile waits: for
1.8 ms after 8 commits, for 4 after 32 (docs/design/performance-history.md)."""
LOG_SIZE = 1 << 26
"""Bytes that the write-ahead log keeps when it begins anew: twice what is in it at most, but while somebody reads the whole database."""
ROOM = 1 << 18
"""Bytes that must find room where there was none: more than most messages take."""
WRITER_CACHE, READER_CACHE = 32_768, 4_096
"""KB of pages that a connection keeps. Each reading thread has a connection of its own, and what it misses the system still has."""
_ONE, _ALL = methodcaller("fetchone"), methodcaller("fetchall")


def open_file(path: Path, mode: Literal["rw", "ro"] = "rw") -> sqlite3.Connection:
    """A file that is there: usable from any thread, transactions left to us. With ``ro`` SQLite itself refuses to write to it."""
    return sqlite3.connect(address(path, mode), uri=True, isolation_level=None, check_same_thread=False, cached_statements=1024)


class SqliteConnection(Failures):
    """One connection with named queries; begins and ends transactions by hand. One that writes makes the file where there is none.

    ``place``: where the files must still be for whatever is committed or read to count.
    """

    def __init__(
        self, path: Path, *, read_only: bool = False, opened: Open = open_file, keys: Callable[[], Keys] = Locked,
        place: Place | None = None,
    ) -> None:  # fmt: skip
        self._keys, self._read_only, self._unmoved = keys, read_only, 0
        self._viewing = self._to_begin = False
        self._queries = queries.load(*FILES, dialect="sqlite")
        self._inserts = Inserts(self._queries, queries.buffered(*FILES), in_values(self._execute))
        self._path, self.place = path, place
        self._damaged: StoreError | None = None
        if not read_only:
            make(path)
        self._raw = opened(path)
        self._raw.row_factory = sqlite3.Row
        with _closed_on_failure(self._raw), _damage_in_words():
            _configure(self._raw, read_only=read_only)

    @property
    def keys(self) -> Keys:
        return self._keys()

    def do(self, query: str, **parameters: Any) -> None:
        if not self._inserts.take(query, parameters):
            self._inserts.before(query)
            self._execute(self._queries[query], parameters)

    def many(self, query: str, rows: Iterable[Mapping[str, Any]]) -> None:
        self._inserts.before(query)
        self._execute(self._queries[query], rows, many=True)

    def one(self, query: str, **parameters: Any) -> Row | None:
        row: Row | None = self._fetch(query, parameters, _ONE)
        return row

    def all(self, query: str, **parameters: Any) -> Sequence[Row]:
        rows: Sequence[Row] = self._fetch(query, parameters, _ALL)
        return rows

    def take_alone(self) -> bool:
        """True: whoever writes to a file has it alone."""
        return True

    def _fetch(self, query: str, parameters: Mapping[str, Any], fetch: Callable[[sqlite3.Cursor], Any]) -> Any:
        """Read again where a text is no UTF-8, as bytes are that somebody made a text of: an auditor is to see them."""
        self._inserts.before(query)
        try:
            return self._execute(self._queries[query], parameters, fetch)
        except StoreError as error:
            if not self._read_only or NO_TEXT not in error.sentence:
                raise
        self._raw.text_factory = _any_text
        return self._execute(self._queries[query], parameters, fetch)

    def _execute(self, text: str, parameters: Any = (), fetch: Callable[[sqlite3.Cursor], Any] | None = None, *, many: bool = False) -> Any:
        """What ``fetch`` takes of it, else the cursor. What SQLite says of the database, and not of what it is asked, is a `StoreError`."""
        try:
            if self._to_begin:
                self._to_begin = False
                self._raw.execute("BEGIN")
            cursor = self._raw.executemany(text, parameters) if many else self._raw.execute(text, parameters)
            return cursor if fetch is None else _fetched(cursor, fetch)
        except sqlite3.DatabaseError as error:
            if isinstance(error, MISTAKES) and not self._is_refused(error):
                raise
            self.failing = told = failed(error, self._path, looking=self._read_only)
            if kind_of(error) in DAMAGED:
                self._damaged = told
            raise told from error

    def _is_refused(self, error: sqlite3.DatabaseError) -> bool:
        """Whether it may be what somebody did to the tables that refuses a row, and not what the row is."""
        return isinstance(error, sqlite3.IntegrityError) and bool(shape.of_sqlite(self._raw))

    def begin(self) -> None:
        self._execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._inserts.flush()
        self._refuse_vanished()
        self._execute("COMMIT")
        self._unmoved += 1

    def prove(self) -> None:
        """Write `ROOM` bytes; what is deleted is written over (``secure_delete``). A damaged file is doubtful until it is opened again."""
        if self._damaged is not None:
            raise self._damaged
        if self.altered:
            self._refuse_altered()
        self._execute("INSERT INTO sequences (name, value) VALUES ('', zeroblob(:size))", {"size": ROOM})
        self._execute("DELETE FROM sequences WHERE name = ''")

    def _refuse_altered(self) -> None:
        try:
            shape.refuse(shape.of_sqlite(self._raw))
        except (StoreError, sqlite3.Error) as error:
            self.failing = told = error if isinstance(error, StoreError) else failed(error, self._path)
            raise told from error

    def _refuse_vanished(self) -> None:
        try:
            if self.place is not None:
                self.place.check()
        except StoreError:
            self.rollback()
            self.rest()  # SQLite still has both files open: what was accepted is moved out of a log that nobody will find
            raise

    def weary(self) -> float | None:
        if self._unmoved < SOME:
            return None
        return LULL if self._unmoved < MANY else 0.0

    def rest(self) -> None:
        """Move a little of the write-ahead log into the database now, so that no commit has to move much of it."""
        self._unmoved = 0
        with suppress(sqlite3.Error):  # the next commit finds out what is wrong
            self._raw.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def rollback(self) -> None:
        self._inserts.forget()
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")

    def prepare(self) -> None:
        """Make the schema in an empty database; raises `StoreError` for another one."""
        schema.prepare_sqlite(self._raw)

    def refuse_other(self) -> None:
        """Raises `StoreError` for a database of another schema, or none."""
        schema.refuse(schema.revision_of_sqlite(self._raw))

    def close(self) -> None:
        self._raw.close()

    @contextmanager
    def view(self) -> Iterator[None]:
        """Hold one read snapshot, from what is asked first; SQLite would take it no sooner."""
        if self._viewing:
            raise RuntimeError("a view within a view")
        if self.place is not None:
            self.place.check()
        self._viewing = self._to_begin = True
        try:
            yield
        finally:
            self._viewing = self._to_begin = False
            if self._raw.in_transaction:
                self._execute("ROLLBACK")


def _fetched(cursor: sqlite3.Cursor, fetch: Callable[[sqlite3.Cursor], Any]) -> Any:
    """A row that Python cannot take leaves its statement half done, which holds the view of the database that it began with for ever."""
    try:
        return fetch(cursor)
    except sqlite3.Error:
        cursor.close()
        raise


@contextmanager
def _closed_on_failure(connection: sqlite3.Connection | SqliteConnection) -> Iterator[None]:
    """What was opened is kept only where all that belongs to opening it goes well."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextmanager
def _damage_in_words() -> Iterator[None]:
    """What SQLite says of damaged tables may repeat the damage, and Python takes it for no text then."""
    try:
        yield
    except UnicodeDecodeError as error:
        damaged = sqlite3.DatabaseError(error.object.decode(errors="backslashreplace"))
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damaged from error


def _any_text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _configure(raw: sqlite3.Connection, *, read_only: bool) -> None:
    raw.execute("PRAGMA busy_timeout=10000")
    raw.execute("PRAGMA page_size=4096")
    raw.execute("PRAGMA foreign_keys=OFF")
    raw.execute("PRAGMA secure_delete=ON")
    raw.execute("PRAGMA temp_store=MEMORY")
    raw.execute(f"PRAGMA cache_size=-{READER_CACHE if read_only else WRITER_CACHE}")
    if read_only:
        raw.execute("PRAGMA query_only=ON")
        return
    raw.execute("PRAGMA journal_mode=WAL")
    raw.execute("PRAGMA synchronous=FULL")
    raw.execute("PRAGMA wal_autocheckpoint=8000")
    raw.execute(f"PRAGMA journal_size_limit={LOG_SIZE}")
    _assert_safe(raw)


def _assert_safe(raw: sqlite3.Connection) -> None:
    mode = raw.execute("PRAGMA journal_mode").fetchone()[0]
    synchronous = raw.execute("PRAGMA synchronous").fetchone()[0]
    if mode != "wal" or synchronous != 2:
        raise StoreError(
            f"this database runs with journal_mode={mode} and synchronous={synchronous}, which can lose what was accepted",
            code="store.unsafe",
            hint=LOCAL_DISK,
        )


class SqliteStore:
    """See `bus.store.Store`. ``path`` is a file on a local disk; ``exclusive``: refuse to share it with another process."""

    def __init__(self, path: Path, *, exclusive: bool = False, opened: Open = open_file) -> None:
        self.path, self._opened = path, opened
        self.keys: Keys = Locked()
        self._locks = [own(path)] if exclusive else []
        self._local = threading.local()
        self._readers: dict[threading.Thread, SqliteConnection] = {}
        self._lock = threading.Lock()
        self._closed = False
        try:
            self._writer = Writer(self._open_writer)
        except BaseException:
            for held in self._locks:
                held.close()
            raise
        if exclusive and path.exists():
            try:
                self._locks.append(own_file(path))
            except BaseException:
                self.close()
                raise

    def _open_writer(self) -> SqliteConnection:
        try:
            connection = SqliteConnection(self.path, opened=self._opened, keys=lambda: self.keys)
            with _closed_on_failure(connection):
                connection.prepare()
        except (sqlite3.Error, OSError) as error:
            raise unreachable(error, self.path) from error
        self._place = connection.place = Place(self.path, with_log=True)
        return connection

    def write(self, work: Callable[[Tx], T], *, here: bool = False) -> Future[T]:
        return self._writer.submit(work, here=here)

    def lull(self, most: float) -> None:
        self._writer.lull(most)

    def refuse_old(self) -> None:
        """There is no server."""

    @contextmanager
    def read(self) -> Iterator[Tx]:
        reader = self._reader()
        with reader.view():
            yield reader

    def _reader(self) -> SqliteConnection:
        if self._closed:
            raise StoreError("the store is closed", code="store.closed")
        reader: SqliteConnection | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = self._open_reader()
            with self._lock:
                for thread in [thread for thread in self._readers if not thread.is_alive()]:
                    self._readers.pop(thread).close()
                self._readers[threading.current_thread()] = reader
        return reader

    def _open_reader(self) -> SqliteConnection:
        self._place.check()  # SQLite would make another log
        try:
            return SqliteConnection(self.path, read_only=True, opened=self._opened, keys=lambda: self.keys, place=self._place)
        except sqlite3.Error as error:
            raise unreachable(error, self.path) from error

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    def describe(self) -> Mapping[str, Any]:
        with self.read() as tx:
            [counts] = tx.all("count_everything")
        return {"kind": "sqlite", "durability": "WAL, synchronous=FULL", **self._writer.describe(), **counts}

    def failing(self) -> StoreError | None:
        return self._writer.failing()

    def close(self) -> None:
        self._writer.close()
        self._closed = True
        self.keys.close()
        with self._lock:
            for reader in self._readers.values():
                reader.close()
            self._readers.clear()
        for held in self._locks:
            held.close()


class SqliteReader:
    """See `bus.store.opening.Reader`. The bus may be at work on the file meanwhile."""

    def __init__(self, path: Path) -> None:
        self.keys: Keys = Locked()
        refuse_strange_log(path)
        try:
            self._connection = SqliteConnection(path, read_only=True, opened=partial(open_file, mode="ro"), keys=lambda: self.keys)
            with _closed_on_failure(self._connection):
                self._connection.refuse_other()
                self._connection.place = Place(path, with_log=False)
        except sqlite3.Error as error:
            raise unreadable(error, path) from error

    @contextmanager
    def read(self) -> Iterator[Tx]:
        with self._connection.view():
            yield self._connection

    def close(self) -> None:
        self.keys.close()
        self._connection.close()
