"""What becomes of files that never came whole, and of those that come more than once."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bus.engine import attachments
from bus.engine.accesses import Looker
from bus.engine.attachments import DROPPED, LEFT, NAME, Attachments
from bus.errors import Erased, StoreError, TooLarge
from bus.log import log, payload, stream
from bus.mapping.protected import EVERYTHING
from bus.message import new_id
from bus.store import listed
from bus.store.opening import open_store
from bus.store.sqlite import SqliteStore
from tests.clocks import FixedClock
from tests.keyrings import in_memory

T = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Attachments]:
    store = SqliteStore(tmp_path / "s.db")
    store.keys = in_memory()
    yield Attachments(tmp_path / "files", store, FixedClock(T))
    store.close()


def test_what_was_coming_when_a_process_was_killed_goes_with_its_key_and_what_is_coming_stays(files: Attachments) -> None:
    store = files._store
    killed, coming = files.receive("a.pdf", "application/pdf"), files.receive("b.pdf", "application/pdf")
    for one in (killed, coming):
        one.write(b"BNCNNA80A41B429E" * 10_000)
        one._file.flush()
    key, long_ago = killed._key.id, time.time() - 2 * LEFT
    os.utime(killed._path, (long_ago, long_ago))
    files.clear()
    assert list(files.folder.glob(".coming-*")) == [coming._path]
    with pytest.raises(Erased):
        store.keys.key(key)
    killed._file.close()
    with coming:
        assert files.open(coming.finish("p").sha256).read(16) == b"BNCNNA80A41B429E"


def test_what_another_machine_takes_in_stays_where_the_clock_of_this_one_is_ahead(
    files: Attachments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that started there threw away what was coming, and its sender was told that the file cannot be kept."""
    ahead = time.time() + 3 * LEFT
    with files.receive("a.pdf", "application/pdf") as coming:
        coming.write(b"BNCNNA80A41B429E")
        with monkeypatch.context() as at:
            at.setattr(attachments.time, "time", lambda: ahead)
            files.clear()
        assert files.open(coming.finish("p").sha256).read(16) == b"BNCNNA80A41B429E"


def test_what_is_thrown_away_while_the_key_store_fails_is_so_later_and_says_why_it_was(
    files: Attachments, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(numbers: object) -> None:
        raise StoreError("keys cannot be destroyed", code="keys.not-destroyed")

    files.limit = 10
    with monkeypatch.context() as at:
        at.setattr(files._store.keys, "forget", fails)
        with pytest.raises(TooLarge) as told, files.receive("a.pdf", "application/pdf") as coming:
            coming.write(bytes(10))
            coming.write(bytes(1))
    assert (told.value.code, told.value.hint) == ("attachment.too-large", "split it, or ask the operator")
    os.utime(coming._path, (0, 0))
    files.clear()
    assert list(files.folder.glob(".coming-*")) == []


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "another folder"])
def test_nothing_is_kept_in_what_a_disk_that_is_not_mounted_leaves_behind(files: Attachments, left: str) -> None:
    files.agree()
    with files.receive("a.pdf", "application/pdf") as coming:
        coming.write(b"uno")
        sent = coming.finish("p")
    away = files.folder.rename(files.folder.with_name("away"))
    if left != "nothing":
        files.folder.mkdir()
    if left == "another folder":
        (files.folder / NAME).write_text("0199e1c5-7a50-7c3f-8d65-0a4a6d6a2f11")
    for use in (lambda: files.receive("b.pdf", "application/pdf"), lambda: files.open(sent.sha256)):
        with pytest.raises(StoreError, match="mounted"):
            use()
    if left != "nothing":
        shutil.rmtree(files.folder)
    away.rename(files.folder)
    with files.receive("b.pdf", "application/pdf") as coming:
        coming.write(b"due")
        assert files.open(coming.finish("p").sha256).read() == b"due"
    assert files.open(sent.sha256).read() == b"uno"


def test_who_reads_is_not_told_that_a_file_cannot_be_kept(files: Attachments) -> None:
    files.agree()
    files.folder.rename(files.folder.with_name("away"))
    with pytest.raises(StoreError, match="the folder of attachments cannot be read: No such file"):
        files.open("0" * 64)
    files.folder.write_bytes(b"")
    with pytest.raises(StoreError, match="the file cannot be read: Not a directory"):
        files.open("0" * 64)


@pytest.mark.parametrize("size", [1, stream.PIECE, stream.PIECE + 1, 3 * stream.PIECE])
@pytest.mark.parametrize("whole", [False, True])
def test_of_what_was_coming_the_key_goes_wherever_the_file_breaks_off(files: Attachments, size: int, whole: bool) -> None:
    killed = files.receive("a.pdf", "application/pdf")
    killed.write(bytes(size))
    if whole:
        killed._sealed.finish()
    killed._file.close()
    os.utime(killed._path, (0, 0))
    sealed = killed._path.stat().st_size > len(stream.MAGIC) + payload.SEALED_NONCE
    files.clear()
    assert not killed._path.exists()
    assert bool(files._store.keys.left([killed._key.id])) != sealed  # what holds nothing need not be erased


def test_what_was_coming_and_is_damaged_takes_no_other_key_with_it(files: Attachments) -> None:
    with files.receive("a.pdf", "application/pdf") as coming:
        coming.write(b"BNCNNA80A41B429E")
        digest = coming.finish("p").sha256
    other = files.key_of(files._store.keys.token(digest))
    assert other is not None
    killed = files.receive("b.pdf", "application/pdf")
    killed.write(bytes(2 * stream.PIECE))
    killed._file.close()
    content = bytearray(killed._path.read_bytes())
    content[len(stream.MAGIC) + 1 : len(stream.MAGIC) + 9] = other.to_bytes(8, "big")
    killed._path.write_bytes(content)
    os.utime(killed._path, (0, 0))
    files.clear()
    assert not killed._path.exists()
    assert files.open(digest).read() == b"BNCNNA80A41B429E"


def test_a_file_that_has_its_place_keeps_its_key_though_it_seems_to_come_still(files: Attachments) -> None:
    with files.receive("a.pdf", "application/pdf") as coming:
        coming.write(b"BNCNNA80A41B429E")
        digest = coming.finish("p").sha256
    left = files.folder / ".coming-left"
    os.link(files._path(digest), left)  # a power cut between the two names
    os.utime(left, (0, 0))
    files.clear()
    assert not left.exists()
    assert files.open(digest).read() == b"BNCNNA80A41B429E"


@pytest.mark.parametrize("looks", ["before", "after"])
def test_of_a_file_that_two_send_at_the_same_moment_one_key_is_left_which_opens_it(
    files: Attachments, monkeypatch: pytest.MonkeyPatch, looks: str
) -> None:
    """The second one looks what is there before, or after, the first one has its place and is read; it waits for that if it can."""
    looked, placed, key_of = threading.Event(), threading.Event(), files.key_of

    def look(token: str) -> int | None:
        if threading.current_thread() not in second:
            return key_of(token)
        found = key_of(token) if looks == "before" else None
        looked.set()
        placed.wait(1)
        return found if looks == "before" else key_of(token)

    def send(sender: str) -> tuple[int, str]:
        with files.receive("a.pdf", "application/pdf") as coming:
            coming.write(b"BNCNNA80A41B429E")
            return coming._key.id, coming.finish(sender).sha256

    monkeypatch.setattr(files, "key_of", look)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(lambda: [threading.current_thread()]).result()
        coming = pool.submit(send, "q")
        looked.wait(1)
        first, digest = send("p")
        with files._path(digest).open("rb") as reading:
            placed.set()
            other, _ = coming.result()
            assert stream.opened(reading, files._store.keys).read() == b"BNCNNA80A41B429E"
    assert files.open(digest).read() == b"BNCNNA80A41B429E"
    assert [not files._store.keys.left([key]) for key in (first, other)].count(False) == 1  # type: ignore[attr-defined]


def test_the_files_of_a_person_who_sent_many_are_removed_some_at_a_time(files: Attachments) -> None:
    """Whoever sends meanwhile waits for some of them, and not for all."""
    names, keys = [f"{number:022}" for number in range(2 * DROPPED + 1)], files._store.keys
    for name in names:
        files.place(name).parent.mkdir(exist_ok=True)
        files.place(name).touch()
    before = files._store.describe()["commits"]
    files.drop(names, [keys.fresh().id])
    assert files._store.describe()["commits"] - before == 3
    assert not any(files.place(name).exists() for name in names)


def test_a_file_that_is_erased_while_it_comes_again_is_there_and_what_was_of_it_is_not(
    files: Attachments, monkeypatch: pytest.MonkeyPatch
) -> None:
    def receive(sender: str) -> tuple[str, int]:
        with files.receive("a.pdf", "application/pdf") as coming:
            coming.write(b"BNCNNA80A41B429E")
            return coming.finish(sender).sha256, coming._key.id

    def erase_and_place(temporary: Path, target: Path, first: Callable[[Path, Path], None] = files._place_first) -> None:
        files._store.write(lambda tx: tx.do("drop_attachments", files=listed([token]))).result()
        first(temporary, target)

    digest, old = receive("p")
    token = files._store.keys.token(digest)
    monkeypatch.setattr(files, "_place_first", erase_and_place)
    _, new = receive("q")
    files._store.keys.forget([old])
    files.drop([token], [old])
    assert files.key_of(token) == new
    assert files.open(digest).read() == b"BNCNNA80A41B429E"


def test_a_look_at_a_file_that_very_many_messages_have_names_all_of_them(files: Attachments) -> None:
    with files.receive("logo.png", "image/png") as coming:
        coming.write(b"logo")
        digest = coming.finish("p").sha256
    messages = sorted(new_id() for _ in range(2500))
    token = files._store.keys.token(digest)
    files._store.write(lambda tx: [tx.do("add_enclosure", file=token, message=one) for one in messages]).result()
    files.look(digest, Looker("revisore", EVERYTHING, "controllo a campione"))
    with files._store.read() as tx:
        looks = [record for _, record in log.everything(tx) if record.kind == "read"]
    assert [message for look in looks for message in look.data["messages"]] == messages


@pytest.mark.parametrize("at", [0, 5, 6, 45, -1])
def test_a_file_of_which_one_byte_is_another_is_not_given_whatever_byte_it_is(files: Attachments, at: int) -> None:
    with files.receive("a.pdf", "application/pdf") as coming:
        coming.write(b"BNCNNA80A41B429E")
        digest = coming.finish("p").sha256
    path = files._path(digest)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises((StoreError, Erased)), files.open(digest) as file:
        file.read()


def test_a_file_of_before_files_were_sealed_is_given(files: Attachments) -> None:
    digest = hashlib.sha256(b"BNCNNA80A41B429E").hexdigest()
    (files.folder / digest[:2]).mkdir()
    (files.folder / digest[:2] / digest).write_bytes(b"BNCNNA80A41B429E")
    with files.open(digest) as file:
        assert file.read() == b"BNCNNA80A41B429E"


def test_the_folder_of_attachments_and_those_in_it_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{tmp_path}/var/s.db")
        store.keys = in_memory()
        files = Attachments(tmp_path / "var/attachments", store, FixedClock(T))
        with files.receive("a.pdf", "application/pdf") as coming:
            coming.write(b"x")
            coming.finish("p")
        store.close()
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (files.folder, *files.folder.iterdir()) if path.is_dir()}
    assert (modes, files.folder.parent.stat().st_mode & 0o777) == ({0o700}, 0o755)


def test_the_files_of_a_message_are_written_with_it_many_at_once(files: Attachments) -> None:
    """Each was a statement of its own, and a question to the server in PostgreSQL: of 10,000 everybody waited for them."""
    said: list[str] = []

    def enclose(tx: Any) -> None:
        tx._raw.set_trace_callback(said.append)
        for number in range(1000):
            tx.do("add_enclosure", file=f"f{number}", message="m")
        assert [row["message"] for row in tx.all("enclosures_of_file", file="f7")] == ["m"]
        tx._raw.set_trace_callback(None)

    files._store.write(enclose).result()
    assert sum("INSERT INTO enclosures" in statement for statement in said) < 50
