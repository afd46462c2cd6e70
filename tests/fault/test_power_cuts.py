"""Power cuts at any write, sync, checkpoint: the store's own code on a disk that forgets, and what shows that such a test would notice."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bus.diagnostics import configure
from bus.errors import StoreError
from bus.store import sqlite as embedded
from bus.store.sqlite import SqliteConnection
from tests.fault.power import FILE, Blackouts, Lost, cut, folder, record, record_writer

WORLDS, CUTS, LIVES, CHUNK = 30, 36, 80, 10


@pytest.fixture(autouse=True)
def _quiet() -> None:
    configure("critical")


@pytest.mark.parametrize("first", range(0, WORLDS, CHUNK))
def test_what_was_acknowledged_is_there_after_a_power_cut_and_nothing_is_half(first: int) -> None:
    for seed in range(first, first + CHUNK):
        cut(record(seed), CUTS)


def test_what_the_writer_committed_in_groups_is_there_too() -> None:
    recording = record_writer()
    assert sum(note.kind == "accepted" for note in recording.notes) == len(recording.log) == 150
    cut(recording, 150)


@pytest.mark.parametrize("first", range(0, LIVES, LIVES // 4))
def test_the_bus_goes_on_from_what_a_power_cut_left_and_keeps_all_promises(first: int) -> None:
    cuts = 0
    for seed in range(first, first + LIVES // 4):
        with folder() as path:
            world = Blackouts(seed, path)
            world.play()
            cuts += world.cuts
    assert cuts > LIVES // 4


def test_the_cuts_fall_into_checkpoints_and_where_the_wal_begins_anew() -> None:
    kinds = {"checkpoint": 0, "reset": 0}
    for seed in range(3):
        notes = record(seed).notes
        names = {note.file: note.name for note in notes if note.kind == "create"}
        kinds["checkpoint"] += sum(note.kind == "sync" and names[note.file] == FILE for note in notes)
        kinds["reset"] += sum(note.kind == "write" and names[note.file] == f"{FILE}-wal" and not note.offset for note in notes) - 1
    assert min(kinds.values()) >= 6, kinds


def test_a_disk_that_lies_about_its_syncs_is_noticed() -> None:
    with pytest.raises(Lost):
        cut(record(1), CUTS, honest=False)


def test_the_store_refuses_a_connection_that_would_lose_what_was_accepted(tmp_path: Path) -> None:
    class Weak(sqlite3.Connection):
        def execute(self, text, *parameters):  # type: ignore[no-untyped-def]
            return super().execute(text.replace("synchronous=FULL", "synchronous=NORMAL"), *parameters)

    def weak(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, factory=Weak)

    with pytest.raises(StoreError) as told:
        SqliteConnection(tmp_path / FILE, opened=weak)
    assert told.value.code == "store.unsafe"


def test_synchronous_normal_loses_acknowledged_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = embedded._configure

    def weaker(raw: sqlite3.Connection, *, read_only: bool) -> None:
        asked(raw, read_only=read_only)
        raw.execute("PRAGMA synchronous=NORMAL")

    monkeypatch.setattr(embedded, "_configure", weaker)
    with pytest.raises(Lost, match="were acknowledged"):
        cut(record(1), CUTS)
