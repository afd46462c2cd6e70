"""What we believe of SQLite on the machine at hand (docs/decisions/sqlite.md); when one of these fails, the store's promises fail with it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading

import pytest

from adapters.database import Database, DatabaseSettings


def opened(path, **more):
    connection = sqlite3.connect(path, isolation_level=None, **more)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "prova.sqlite"
    connection = opened(path)
    connection.execute("CREATE TABLE righe (n INTEGER)")
    connection.close()
    return path


def test_the_library_knows_upsert_and_returning():
    assert sqlite3.sqlite_version_info >= (3, 35)


def test_wal_and_full_are_in_force_when_asked_for(path):
    connection = opened(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


def test_wal_stays_with_the_file_but_synchronous_is_asked_for_on_each_connection(path):
    first = opened(path)
    first.execute("PRAGMA synchronous = NORMAL")
    assert first.execute("PRAGMA synchronous").fetchone() == (1,)
    second = sqlite3.connect(path)
    assert second.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert second.execute("PRAGMA synchronous").fetchone() == (2,)
    first.close()
    second.close()


def test_a_file_in_memory_has_no_wal():
    connection = sqlite3.connect(":memory:")
    assert connection.execute("PRAGMA journal_mode = WAL").fetchone() == ("memory",)
    connection.close()


def test_there_is_one_writer_and_the_second_is_told_so(path):
    first, second = opened(path), opened(path, timeout=0.05)
    first.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError) as told:
        second.execute("BEGIN IMMEDIATE")
    assert told.value.sqlite_errorname == "SQLITE_BUSY"
    first.execute("COMMIT")
    second.execute("BEGIN IMMEDIATE")
    second.execute("COMMIT")
    first.close()
    second.close()


def test_a_reader_sees_its_own_moment_and_never_waits_for_the_writer(path):
    writer, reader = opened(path), opened(path, timeout=0.05)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO righe VALUES (1)")
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM righe").fetchone() == (0,)
    writer.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM righe").fetchone() == (0,)
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM righe").fetchone() == (1,)
    writer.close()
    reader.close()


def test_a_transaction_that_read_first_cannot_become_a_writer_after_another_wrote(path):
    """Why writers begin with BEGIN IMMEDIATE: this refusal comes at once, whatever the busy timeout."""
    late, quick = opened(path, timeout=5), opened(path)
    late.execute("BEGIN")
    late.execute("SELECT count(*) FROM righe").fetchone()
    quick.execute("INSERT INTO righe VALUES (1)")
    with pytest.raises(sqlite3.OperationalError) as told:
        late.execute("INSERT INTO righe VALUES (2)")
    assert told.value.sqlite_errorname == "SQLITE_BUSY_SNAPSHOT"
    late.execute("ROLLBACK")
    late.close()
    quick.close()


def test_what_was_committed_outlives_kill_9_and_what_was_not_does_not(path):
    program = """
import os, signal, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA journal_mode = WAL"); c.execute("PRAGMA synchronous = FULL")
c.execute("INSERT INTO righe VALUES (1)")
c.execute("BEGIN IMMEDIATE"); c.execute("INSERT INTO righe VALUES (2)")
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program, str(path)], timeout=100)
    assert ended.returncode == -9
    connection = opened(path)
    assert connection.execute("SELECT n FROM righe").fetchall() == [(1,)]
    connection.close()


def test_the_rooms_connections_are_wal_full_and_safe_from_any_thread(tmp_path):
    database = Database(DatabaseSettings(url=f"sqlite:///{tmp_path / 'stanza.sqlite'}"))
    seen = []

    def look():
        with database.engine.connect() as connection:
            seen.append([connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "foreign_keys")])

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    database.close()
    assert seen == [["wal", 2, 1]] * 4
