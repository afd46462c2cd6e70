"""The file of a SQLite database: what is said of it when it is damaged, full, gone, or cannot be opened; and that the bus goes on after it."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from bus.disk import READ_ONLY
from bus.errors import StoreError
from bus.message import new_id
from bus.store import Tx, writer
from bus.store import sqlite as sqlite_store
from bus.store.opening import open_reader, open_store
from bus.store.sqlite import ROOM, SqliteReader, SqliteStore
from bus.store.sqlite_file import own, unreadable
from bus.store.survey import survey
from bus.testing.patience import until
from tests.contract.store_contract import names, put
from tests.fault.disk import Disk
from tests.small_bus import no_descriptors, write
from tests.unit.examining import examined


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


def test_damage_that_is_no_text_is_told_as_any_other(tmp_path: Path) -> None:
    """SQLite repeats the tables' own words, in which a bit was flipped."""
    open_store(f"sqlite:///{tmp_path}/a.db").close()
    whole = (tmp_path / "a.db").read_bytes()
    assert whole.count(b"CREATE TABLE records") == 1
    (tmp_path / "a.db").write_bytes(whole.replace(b"CREATE TABLE records", b"CR\xc5ATE TABLE records"))
    for opened in (open_reader, open_store):
        with pytest.raises(StoreError, match=r"malformed database schema .*CR\\xc5ATE") as told:
            opened(f"sqlite:///{tmp_path}/a.db")
        assert "restore the backup" in told.value.hint


def test_a_backup_is_not_opened_with_the_log_of_the_file_in_whose_place_it_was_put(tmp_path: Path) -> None:
    """A killed bus leaves its log. SQLite believes it beside any file, and the backup would be malformed for good."""
    path, log = tmp_path / "s.db", tmp_path / "s.db-wal"
    with closing(SqliteStore(path)) as store:
        store.write(put("before")).result()
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
        store.write(put("after")).result()
        shutil.copy(log, tmp_path / "left")
    shutil.copy(tmp_path / "backup.db", path)
    (tmp_path / "left").replace(log)
    with pytest.raises(StoreError, match="belongs to another file") as told:
        SqliteStore(path, exclusive=True)
    assert ("store.strange-log", True) == (told.value.code, f"put {log}" in told.value.hint)
    for look in (survey, open_reader):
        with pytest.raises(StoreError, match="belongs to another file"):
            look(f"sqlite:///{path}")
    assert (tmp_path / "backup.db").read_bytes() == path.read_bytes()
    log.unlink()
    for _ in range(2):
        with closing(SqliteStore(path, exclusive=True)) as store:
            assert {"before"} == names(store)


def test_a_store_that_takes_nothing_says_so_until_there_is_room_for_more_than_a_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "AGAIN", 0.0)
    room = 1 << 40

    def use(kind: str, name: str) -> None:
        nonlocal room
        room -= 4096 * (kind == "write")
        if room < 0:
            raise apsw.FullError("no room")

    with closing(SqliteStore(tmp_path / "s.db", opened=Disk(use).open)) as store:
        assert store.failing() is None
        room = 4096
        with pytest.raises(StoreError):
            store.write(put("a")).result()
        room = ROOM // 2
        assert "make room" in store.failing().hint
        room = ROOM // 2
        store.write(put("b")).result()
        assert "make room" in store.failing().hint
        room = 1 << 40
        assert [store.failing() for _ in range(2)] == [None, None]
        assert names(store) == {"b"}


def test_only_who_asks_why_nothing_is_taken_makes_it_try_and_no_more_than_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, tries = False, list[str]()

    def use(kind: str, name: str) -> None:
        if full and kind == "write":
            tries.append(name)
            raise apsw.FullError("no room")

    with closing(SqliteStore(tmp_path / "s.db", opened=Disk(use).open)) as store:
        full = True
        with pytest.raises(StoreError):
            store.write(put("a")).result()
        tries.clear()
        store.describe()
        assert tries == []
        assert store.failing() is not None
        once = len(tries)
        assert once > 0
        assert [store.failing() is not None for _ in range(20)] == [True] * 20
        assert len(tries) == once
        monkeypatch.setattr(writer, "AGAIN", 0.0)
        store.failing()
        assert len(tries) > once


def test_the_disk_that_a_long_look_took_is_given_back_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an auditor verifies the log nothing can be moved out of the write-ahead log: a gigabyte in five minutes."""
    monkeypatch.setattr(sqlite_store, "LOG_SIZE", 1 << 18)
    with closing(SqliteStore(tmp_path / "s.db")) as store:
        log = tmp_path / "s.db-wal"

        def write() -> None:
            store.write(lambda tx: tx.do("add_rules", digest=new_id(), kind="route", content=bytes(1 << 16))).result()

        with store.read() as tx:
            tx.one("newest_record")
            for _ in range(20):
                write()
            assert log.stat().st_size > 1 << 20

        def given_back() -> bool:
            write()
            return log.stat().st_size <= 1 << 18

        until(given_back, "the log begins anew, and is as small as it was")


def test_a_store_that_found_itself_damaged_stays_doubtful_whatever_it_takes_later(store: SqliteStore) -> None:
    def finds(tx: Tx) -> None:
        tx._raw = Damaged(tx._raw)  # type: ignore[attr-defined]
        tx.one("all_sequences")

    with pytest.raises(StoreError, match="malformed"):
        store.write(finds).result()
    store.write(put("after")).result()
    assert "restore the backup" in store.failing().hint


class Damaged:
    """A connection that finds once that its file is no database any more."""

    def __init__(self, raw: Any) -> None:
        self._raw, self._found = raw, False

    def execute(self, text: str, parameters: Any = ()) -> Any:
        if not self._found and text.startswith("SELECT"):
            self._found = True
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        return self._raw.execute(text, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def test_what_is_wrong_with_what_was_asked_is_no_failure_of_the_store(store: SqliteStore) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        store.write(lambda tx: tx.many("set_sequence", [{"name": "a", "value": None}])).result()


@pytest.mark.parametrize(
    ("error", "advice"),
    [(apsw.FullError, "is full: make room"), (apsw.ReadOnlyError, "yours to write"), (apsw.IOError, "is the folder there")],
)
def test_a_start_on_a_disk_that_does_not_take_it_says_what_to_do(tmp_path: Path, error: type[Exception], advice: str) -> None:
    def fails(kind: str, name: str) -> None:
        raise error(f"{kind} of {name}")

    with pytest.raises(StoreError) as told:
        SqliteStore(tmp_path / "s.db", opened=Disk(fails).open)
    assert told.value.code == "store.unreachable"
    assert advice in told.value.hint


@pytest.mark.parametrize(
    ("blocks", "files", "error", "advice"),
    [
        (0, (9, 9, 9), sqlite3.OperationalError("disk I/O error"), "is full: make room"),
        (1 << 30, (9, 0, 0), sqlite3.OperationalError("disk I/O error"), "is full: make room"),
        (1 << 30, (0, 0, 0), sqlite3.OperationalError("disk I/O error"), "is the folder there"),  # btrfs does not count them
        (1 << 30, (9, 9, 9), OSError(errno.EROFS, "Read-only file system"), "mounted read-only"),
        (0, (9, 9, 9), OSError(errno.EROFS, "Read-only file system"), "mounted read-only"),  # of squashfs nothing is ever free
    ],
)
def test_a_disk_without_room_is_told_whatever_sqlite_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int, files: tuple[int, ...], error: Exception, advice: str
) -> None:
    """Where the shared memory has no room, it is an I/O error."""

    def fails(path: Path) -> sqlite3.Connection:
        raise error

    found = os.statvfs(tmp_path)
    monkeypatch.setattr("bus.store.sqlite_file.os.statvfs", lambda folder: os.statvfs_result((*found[:4], blocks, *files, *found[8:10])))
    with pytest.raises(StoreError) as told:
        SqliteStore(tmp_path / "s.db", opened=fails)
    assert advice in told.value.hint


def test_a_file_system_that_counts_nothing_is_not_called_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.statvfs(tmp_path)
    counts_nothing = os.statvfs_result((*found[:2], *[0] * 6, *found[8:10]))
    monkeypatch.setattr("bus.store.sqlite_file.os.statvfs", lambda folder: counts_nothing)
    assert "is full" not in unreadable(sqlite3.OperationalError("disk I/O error"), tmp_path / "s.db").hint


def test_nobody_else_may_write_the_files_of_a_store_that_was_made_under_an_open_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with own(tmp_path / "s.db"), closing(SqliteStore(tmp_path / "s.db")):
            made = {path.name: path.stat().st_mode & 0o022 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert made == dict.fromkeys(("s.db", "s.db-wal", "s.db-shm", "s.db.lock"), 0)


def test_a_disk_that_became_read_only_is_told_as_that_by_start_and_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose the file is was not the question, and chown no remedy."""
    SqliteStore(tmp_path / "s.db").close()
    found = os.statvfs(tmp_path)
    read_only = os.statvfs_result((*found[:8], found.f_flag | os.ST_RDONLY, found.f_namemax))
    monkeypatch.setattr("bus.disk.os.statvfs", lambda folder: read_only)
    assert unreadable(sqlite3.OperationalError("unable to open database file"), tmp_path / "s.db").hint == READ_ONLY
    [told] = examined(write(tmp_path, store={"url": f"sqlite:///{tmp_path}/s.db"}))["doctor.store-disk"]
    assert (told.level, told.next) == ("wrong", READ_ONLY)


def test_a_folder_that_cannot_be_made_is_a_store_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as told:
        open_store(f"sqlite:///{tmp_path}/file/s.db")
    assert (told.value.code, bool(told.value.hint)) == ("store.unreachable", True)


def move(store: SqliteStore, to: Path) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{store.path}{end}").rename(f"{to}{end}")


def remove(store: SqliteStore) -> None:
    for path in store.path.parent.iterdir():
        path.unlink()


def replace(store: SqliteStore) -> None:
    remove(store)
    SqliteStore(store.path).close()


def log_of(store: SqliteStore) -> Path:
    return Path(f"{store.path}-wal")


def test_who_only_looks_is_told_when_the_file_is_another(store: SqliteStore) -> None:
    with closing(SqliteReader(store.path)) as looking:
        shutil.copy(store.path, store.path.with_name("t.db")).replace(store.path)
        with pytest.raises(StoreError) as told, looking.read():
            pass
    assert told.value.code == "store.vanished"


@pytest.mark.parametrize("look", [SqliteReader, lambda path: survey(f"sqlite:///{path}")])
@pytest.mark.parametrize(("content", "hint"), [(b"garbage, and no database", "restore the backup"), (None, "is the file there")])
def test_who_only_looks_is_told_what_to_do_about_a_file_that_is_no_database(
    tmp_path: Path, look: Callable[[Path], object], content: bytes | None, hint: str
) -> None:
    path = tmp_path / "t.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError) as told:
        look(path)
    assert (told.value.code, hint in told.value.hint) == ("store.unreachable", True)


LOSSES: dict[str, Callable[[SqliteStore], object]] = {
    "removed": remove,
    "replaced": replace,
    "its log removed": lambda store: log_of(store).unlink(),
    "its log replaced": lambda store: shutil.copy(log_of(store), log_of(store).with_name("w")).replace(log_of(store)),
    "moved": lambda store: move(store, store.path.with_name("t.db")),
    "its folder renamed": lambda store: store.path.parent.rename(store.path.parent.with_name("e")),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_is_accepted_or_answered_once_a_file_is_not_where_it_was(store: SqliteStore, loss: str) -> None:
    assert names(store) == {"before"}
    LOSSES[loss](store)
    there = sorted(store.path.parent.glob("*"))
    asking = [lambda here=here: store.write(put("after"), here=here).result() for here in (False, True)]
    with ThreadPoolExecutor(1) as another:
        asking += [lambda: names(store), lambda: another.submit(names, store).result()]
        for ask in asking:
            with pytest.raises(StoreError, match="moved, deleted or replaced") as told:
                ask()
            assert (told.value.code, "start again" in told.value.hint) == ("store.vanished", True)
    assert sorted(store.path.parent.glob("*")) == there, "nobody makes a file"


def test_it_goes_on_when_the_files_are_put_back_and_has_not_what_it_refused(store: SqliteStore) -> None:
    aside = store.path.with_name("aside.db")
    move(store, aside)
    with pytest.raises(StoreError):
        store.write(put("refused")).result()
    for end in ("", "-wal", "-shm"):
        Path(f"{aside}{end}").rename(f"{store.path}{end}")
    store.write(put("after")).result()
    assert names(store) == {"before", "after"}


@pytest.mark.parametrize("end", ["stopped", "killed once it knew"])
def test_what_was_accepted_outlives_its_log(tmp_path: Path, end: str) -> None:
    """SQLite still has the log that was removed, and moves what it holds into the database."""
    store = SqliteStore(tmp_path / "s.db")
    store.write(put("before")).result()
    log_of(store).unlink()
    if end == "stopped":
        store.close()
    else:
        with pytest.raises(StoreError):
            store.write(put("refused"), here=True).result()
    with closing(sqlite3.connect(shutil.copy(tmp_path / "s.db", tmp_path / "left.db"))) as left:
        assert left.execute("SELECT name FROM sequences").fetchall() == [("before",)]
    store.close()


@pytest.mark.parametrize("name", ["a b", "50%", "a?mode=memory", "a#b", "città", 'l\'"a"', "due\nrighe", "%41", "a&b;c"])
def test_any_name_is_the_name_of_a_file(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        with closing(open_store(f"sqlite:///{tmp_path}/{name}/{name}.db", exclusive=True)) as store:
            store.write(put("a")).result()
            assert isinstance(store, SqliteStore)
            assert names(store) == {"a"}
    assert {path.name for path in (tmp_path / name).iterdir()} == {f"{name}.db", f"{name}.db.lock"}


def test_a_link_to_a_file_that_is_not_there_yet_makes_it_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "s.db").symlink_to(tmp_path / "disk" / "s.db")
    with closing(SqliteStore(tmp_path / "s.db")) as store:
        store.write(put("a")).result()
        assert names(store) == {"a"}
    assert (tmp_path / "disk" / "s.db").stat().st_size > 0


def test_a_reader_that_finds_no_descriptor_says_so_and_the_next_one_reads(store: SqliteStore) -> None:
    with no_descriptors(), pytest.raises(StoreError) as told:
        names(store)
    assert (told.value.code, "LimitNOFILE" in told.value.hint) == ("store.unreachable", True)
    assert names(store) == {"before"}


def test_threads_that_ended_leave_no_file_open(store: SqliteStore) -> None:
    def opened() -> int:
        return sum(str(one.resolve()).startswith(str(store.path)) for one in Path("/proc/self/fd").iterdir())

    names(store)
    before = opened()
    for _ in range(5):
        with ThreadPoolExecutor(1) as one:
            one.submit(names, store).result()
    assert opened() <= before + 3


def test_a_reader_that_met_a_text_that_is_none_goes_on_with_what_is_written_since(store: SqliteStore) -> None:
    """It would hold its view of the database for ever: whoever asks sees what was then, and the write-ahead log can never be emptied."""
    add = "INSERT INTO payloads (id, media_type, nonce, content) VALUES ('x', 'text/plain', x'00', CAST(x'ff41' AS TEXT))"
    with closing(sqlite3.connect(store.path)) as raw:
        for statement, found in ((add, "\udcffA"), ("UPDATE payloads SET content = x'42'", b"B")):
            raw.execute(statement)
            raw.commit()
            with store.read() as tx:
                assert [row["content"] for row in tx.all("payloads_among", payloads='["x"]')] == [found]


def _dumped(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        script = "\n".join(raw.iterdump())
    path.unlink()
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(script)


def _without(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as raw, raw:
            raw.execute(statement)

    return change


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "code", "said", "remedy"),
    [
        (_dumped, "store.schema", "the tables of a bus are there, and not the revision", "PRAGMA user_version = "),
        (_without("DROP TABLE waits"), "store.schema", "tables of the bus are not there: waits", "restore the backup"),
        (_folder, "store.unreachable", " is a folder", "name a file in store.url"),
    ],
)
def test_what_another_hand_made_of_a_file_is_refused_and_told_as_what_it_is(
    tmp_path: Path, change: Callable[[Path], None], code: str, said: str, remedy: str
) -> None:
    """That it is empty was said of the first, and nothing of the second, until a run waited."""
    path = tmp_path / "snodo.db"
    open_store(f"sqlite:///{path}").close()
    change(path)
    with pytest.raises(StoreError) as refused:
        open_store(f"sqlite:///{path}", exclusive=True)
    [told] = examined(write(tmp_path, store={"url": f"sqlite:///{path}"}))["doctor.store"]
    assert (refused.value.code, told.level, told.what, told.next) == (code, "wrong", refused.value.sentence, refused.value.hint)
    assert (said in told.what, remedy in told.next) == (True, True)


def test_indexes_and_triggers_that_are_gone_and_damage_that_no_question_meets_are_told(tmp_path: Path) -> None:
    path = tmp_path / "snodo.db"
    open_store(f"sqlite:///{path}").close()
    settings_path = write(tmp_path, store={"url": f"sqlite:///{path}"})
    _without("DROP TRIGGER records_are_never_changed")(path)
    _without("DROP INDEX runs_state")(path)
    for name, made_on in (("runs_case", "runs (state, case_id)"), ("records_run", "records (run, seq)")):  # other columns, other rows
        _without(f"DROP INDEX {name}")(path)
        _without(f"CREATE INDEX {name} ON {made_on}")(path)
    [told] = examined(settings_path)["doctor.store-schema"]
    assert (told.level, told.what.partition(": ")[2]) == ("wrong", "records_are_never_changed, records_run, runs_case, runs_state")
    with path.open("r+b") as file:
        file.seek(60_000)
        file.write(b"\xff" * 20_000)
    [told] = examined(settings_path)["doctor.store"]
    assert (told.level, told.what.startswith("the database is damaged: ")) == ("wrong", True)


def test_a_table_that_somebody_dropped_is_told_as_that_and_not_as_a_failing_disk(tmp_path: Path) -> None:
    path = tmp_path / "snodo.db"
    with closing(open_store(f"sqlite:///{path}")):
        pass
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TABLE waits")
    with closing(open_reader(f"sqlite:///{path}")) as reader, reader.read() as tx, pytest.raises(StoreError) as told:
        tx.all("waits_to_show", run="r", paths="[]")
    assert told.value.sentence == "the database is not as this program knows it: no such table: waits"
    assert "who dropped" in told.value.hint
