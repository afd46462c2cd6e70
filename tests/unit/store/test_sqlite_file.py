"""The file of a SQLite database: what is said of it when it is damaged, full, gone, or cannot be opened; and that the bus goes on after it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from bus.errors import StoreError
from bus.store.opening import open_store
from bus.store.sqlite import SqliteStore
from tests.fault.disk import Disk
from tests.unit.store.test_writer import names, put


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    (tmp_path / "d").mkdir()
    with closing(SqliteStore(tmp_path / "d" / "s.db")) as opened:
        opened.write(put("before")).result()
        yield opened


def damage(path: Path) -> None:
    """Overwrite the table of sequences."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [page] = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sequences'").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)


def test_a_damaged_file_is_a_store_that_fails(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "s.db").close()
    damage(tmp_path / "s.db")
    with closing(SqliteStore(tmp_path / "s.db")) as store:
        for ask in (lambda: store.write(put("a")).result(), lambda: names(store)):
            with pytest.raises(StoreError, match="malformed") as told:
                ask()
            assert (told.value.code, "restore the backup" in told.value.hint) == ("store.failed", True)


def test_what_is_wrong_with_what_was_asked_is_no_failure_of_the_store(store: SqliteStore) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        store.write(lambda tx: tx.many("set_sequence", [{"name": "a", "value": None}])).result()


@pytest.mark.parametrize(
    ("error", "advice"),
    [(apsw.FullError, "is full: make room"), (apsw.ReadOnlyError, "read-only"), (apsw.IOError, "is the folder there")],
)
def test_a_start_on_a_disk_that_does_not_take_it_says_what_to_do(tmp_path: Path, error: type[Exception], advice: str) -> None:
    def fails(kind: str, name: str) -> None:
        raise error(f"{kind} of {name}")

    with pytest.raises(StoreError) as told:
        SqliteStore(tmp_path / "s.db", opened=Disk(fails).open)
    assert told.value.code == "store.unreachable"
    assert advice in told.value.hint


def test_a_disk_without_room_is_told_whatever_sqlite_calls_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the shared memory has no room, it is an I/O error."""

    def fails(path: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    found = os.statvfs(tmp_path)
    monkeypatch.setattr("bus.store.sqlite_file.os.statvfs", lambda folder: os.statvfs_result((*found[:4], 0, *found[5:10])))
    with pytest.raises(StoreError) as told:
        SqliteStore(tmp_path / "s.db", opened=fails)
    assert "is full: make room" in told.value.hint


def test_a_folder_that_cannot_be_made_is_a_store_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as told:
        open_store(f"sqlite:///{tmp_path}/file/s.db")
    assert (told.value.code, bool(told.value.hint)) == ("store.unreachable", True)
