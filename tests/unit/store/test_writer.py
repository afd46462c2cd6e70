"""What is SQLite's own about the writer; what both stores keep is in `tests.contract.store_contract`."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from bus.errors import Interrupted, StoreError, Unknown
from bus.store import Tx
from bus.store.sqlite import MANY, SOME, SqliteReader, SqliteStore, _assert_safe, open_file
from bus.store.writer import MOST, PATIENCE, Writer
from bus.testing.patience import until
from tests.contract.store_contract import names, put


class Torn:
    """A connection that loses the line at its first COMMIT, which was done."""

    def __init__(self) -> None:
        self.commits = 0

    def commit(self) -> None:
        self.commits += 1
        if self.commits == 2:
            raise Unknown("nobody can say")

    def begin(self) -> None: ...
    def rollback(self) -> None: ...
    def weary(self) -> None: ...
    def close(self) -> None: ...


def test_what_may_be_written_is_not_written_again() -> None:
    connection, writing, go_on, done = Torn(), threading.Event(), threading.Event(), list[str]()
    writer = Writer(lambda: connection)  # type: ignore[arg-type, return-value]
    first = writer.submit(lambda tx: (writing.set(), go_on.wait(10)))
    assert writing.wait(10)
    batch = [writer.submit(lambda tx, name=name: done.append(name)) for name in "ab"]
    go_on.set()
    assert first.result(10)
    for one in batch:
        with pytest.raises(StoreError) as told:
            one.result(10)
        assert told.value.code == "store.unknown"
    assert done == ["a", "b"]
    writer.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_where_nobody_writes_any_more_whoever_waits_and_whoever_comes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """For want of memory any line may end a thread; those who waited for it waited for ever."""
    writer = Writer(lambda: Torn())  # type: ignore[arg-type, return-value]
    writing, go_on = threading.Event(), threading.Event()

    def none_left(pieces: int) -> None:
        raise MemoryError

    monkeypatch.setattr(writer, "_end", none_left)
    first = writer.submit(lambda tx: (writing.set(), go_on.wait(10)))
    assert writing.wait(10)
    second = writer.submit(lambda tx: None)
    go_on.set()
    assert first.result(10)
    for asked in (lambda: second.result(10), lambda: writer.submit(lambda tx: None), lambda: writer.submit(lambda tx: None, here=True)):
        with pytest.raises(StoreError, match="has ended: MemoryError") as told:
            asked()
        assert told.value.code == "store.fallen"
    assert writer.failing() is told.value
    writer.close()


class Away:
    """A connection that ends so many of its transactions, one number for each work that is to be done; each takes a second of `now`."""

    def __init__(self) -> None:
        self.left = self.begun = 0
        self.now = 0.0
        self.failing: StoreError | None = None

    def begin(self) -> None:
        self.begun += 1
        if self.left > 0:
            self.left -= 1
            self.now += 1
            raise Interrupted("away")

    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def weary(self) -> None: ...
    def close(self) -> None: ...


def test_work_is_done_again_while_the_database_is_away_for_so_long_and_then_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Away()
    monkeypatch.setattr("bus.store.writer.PAUSE", 0.0)
    monkeypatch.setattr("bus.store.writer.time", SimpleNamespace(monotonic=lambda: connection.now))
    writer = Writer(lambda: connection)  # type: ignore[arg-type, return-value]
    for _ in range(2):
        connection.left = int(PATIENCE)
        assert writer.submit(lambda tx: "done").result(10) == "done"
        connection.now += 2 * PATIENCE  # it has been back for longer than anybody's patience
    connection.left = 1000
    assert connection.failing is None, "not before all patience is gone"
    with pytest.raises(Interrupted):
        writer.submit(lambda tx: None).result(10)
    assert isinstance(connection.failing, Interrupted), "who asks for the status is told, too"
    before = connection.begun
    with pytest.raises(Interrupted):
        writer.submit(lambda tx: None).result(10)
    assert connection.begun == before + 1
    connection.left = 0
    assert writer.submit(lambda tx: "done").result(10) == "done"
    writer.close()


def test_who_closes_does_not_wait_for_a_database_that_is_away() -> None:
    connection = Away()
    connection.left = 1000
    writer = Writer(lambda: connection)  # type: ignore[arg-type, return-value]
    waiting, began = writer.submit(lambda tx: None), time.monotonic()
    writer.close()
    assert isinstance(waiting.exception(0), Interrupted)
    assert time.monotonic() - began < 10


@pytest.fixture
def store(tmp_path: Path):  # type: ignore[no-untyped-def]
    opened = SqliteStore(tmp_path / "s.db")
    yield opened
    opened.close()


def test_what_a_future_promises_is_on_the_disk(store: SqliteStore) -> None:
    store.write(put("a")).result()
    other = sqlite3.connect(store.path)
    assert other.execute("SELECT name FROM sequences").fetchall() == [("a",)]
    other.close()


def test_one_transaction_holds_no_more_work_than_its_bound(store: SqliteStore) -> None:
    writing, gate = threading.Event(), threading.Event()
    store.write(lambda tx: (writing.set(), gate.wait(30)))
    assert writing.wait(30)
    before = store.describe()["commits"]
    futures = [store.write(put(f"n{n}")) for n in range(2 * MOST + 1)]
    gate.set()
    for future in futures:
        future.result(30)
    assert store.describe()["commits"] - before == 4


def test_what_was_taken_before_closing_is_in_the_file(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s.db")
    futures = [store.write(put(f"n{i}")) for i in range(500)]
    store.close()
    assert all(future.done() for future in futures)
    again = SqliteStore(tmp_path / "s.db")
    assert len(names(again)) == 500
    again.close()


def test_between_commits_the_log_is_moved_into_the_database_a_little_at_a_time(store: SqliteStore, tmp_path: Path) -> None:
    for number in range(SOME):
        store.write(put(f"n{number}")).result()
    until(lambda: moved(store, tmp_path) >= SOME, "they are moved though nobody asks for anything", 10)


def test_who_never_pauses_has_it_moved_too(store: SqliteStore, tmp_path: Path) -> None:
    for number in range(MANY):
        store.write(put(f"n{number}"), here=number != MANY - 1).result()
    until(lambda: store.write(lambda tx: None, here=True).result() or moved(store, tmp_path) >= MANY, "they are moved", 10, every=0)


def moved(store: SqliteStore, folder: Path) -> int:
    """Rows that are in the database without its write-ahead log."""
    shutil.copy(store.path, folder / "alone.db")
    alone = sqlite3.connect(f"file:{folder / 'alone.db'}?immutable=1", uri=True)
    try:
        return int(alone.execute("SELECT count(*) FROM sequences").fetchone()[0])
    except sqlite3.DatabaseError:  # not even the tables, or half of a page
        return 0
    finally:
        alone.close()


def test_the_writing_connection_runs_wal_with_full_synchronous(store: SqliteStore) -> None:
    raw = store._writer.submit(lambda tx: [tx._raw.execute(f"PRAGMA {p}").fetchone()[0] for p in ("journal_mode", "synchronous")]).result()  # type: ignore[attr-defined]
    assert raw == ["wal", 2]


@pytest.mark.parametrize("setting", ["journal_mode=DELETE", "synchronous=NORMAL"])
def test_a_database_that_could_lose_a_commit_is_refused(tmp_path: Path, setting: str) -> None:
    with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as raw:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", setting):
            raw.execute(f"PRAGMA {pragma}")
        with pytest.raises(StoreError, match=f"(?i){setting.partition('=')[0]}") as refused:
            _assert_safe(raw)
    assert refused.value.code == "store.unsafe"


def test_what_was_deleted_is_not_left_in_the_file(tmp_path: Path) -> None:
    """Also where SQLite was not built to see to it."""

    def careless(path: Path) -> sqlite3.Connection:
        raw = open_file(path)
        raw.execute("PRAGMA secure_delete=OFF")
        return raw

    with closing(SqliteStore(tmp_path / "s.db", opened=careless)) as store:
        store.write(put("Segretissimo" * 20)).result()
        store.write(put("resta")).result()
        store.write(lambda tx: tx._raw.execute("DELETE FROM sequences WHERE name LIKE 'S%'")).result()  # type: ignore[attr-defined]
    assert b"Segretissimo" not in store.path.read_bytes()


def test_somebody_else_who_writes_for_a_moment_is_waited_for_and_waits_for_us(store: SqliteStore) -> None:
    def looks_and_writes(tx: Tx) -> None:
        tx.all("all_sequences")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        put("ours")(tx)

    with closing(sqlite3.connect(store.path, timeout=0, isolation_level=None, check_same_thread=False)) as other:
        store.write(looks_and_writes).result(30)
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.3, lambda: other.execute("ROLLBACK")).start()
        store.write(put("behind")).result(30)
    assert names(store) == {"ours", "behind"}


def test_records_cannot_be_changed_or_deleted(store: SqliteStore) -> None:
    store.write(lambda tx: tx.do("add_record", id="r", kind="rules", time="t", message=None, run=None, content=b"{}")).result()
    for statement in ("UPDATE records SET kind='x'", "DELETE FROM records"):
        with pytest.raises(sqlite3.Error, match="append-only"):
            store.write(lambda tx, s=statement: tx._raw.execute(s)).result()  # type: ignore[attr-defined, misc]


def test_a_database_of_another_schema_is_refused_with_a_remedy(tmp_path: Path) -> None:
    raw = sqlite3.connect(tmp_path / "s.db")
    raw.execute("PRAGMA user_version=99")
    raw.close()
    for kind in (SqliteStore, SqliteReader):
        with pytest.raises(StoreError, match=r"schema 99.*migrate") as refused:
            kind(tmp_path / "s.db")
        held = [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
        assert tmp_path / "s.db" not in held, f"{refused.value.code} leaves the file open"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot open the database"):
        SqliteStore(tmp_path / "nowhere" / "s.db")


@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_a_database_is_owned_by_one_bus_under_whatever_name(tmp_path: Path, link: str) -> None:
    (tmp_path / "altrove").mkdir()
    (tmp_path / "s.db.lock").write_text("12345678")  # of a process before
    first = SqliteStore(tmp_path / "s.db", exclusive=True)
    other = tmp_path / "altrove" / "t.db"
    other.symlink_to(first.path) if link == "symbolic" else other.hardlink_to(first.path)
    with pytest.raises(StoreError, match="another name" if link == "hard" else rf"\(process {os.getpid()}\)") as refused:
        SqliteStore(other, exclusive=True)
    assert refused.value.code == "store.taken"
    first.close()


def test_a_store_whose_lock_file_was_deleted_is_refused_to_another_all_the_same(tmp_path: Path) -> None:
    """As is one that is mounted elsewhere, where no lock lies beside it."""
    first = SqliteStore(tmp_path / "s.db", exclusive=True)
    (tmp_path / "s.db.lock").unlink()
    with pytest.raises(StoreError) as refused:
        SqliteStore(tmp_path / "s.db", exclusive=True)
    assert refused.value.code == "store.taken"
    first.write(lambda tx: tx.do("add_rules", digest="a", kind="route", content=b"{}")).result(30)
    first.close()
