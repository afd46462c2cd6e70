"""The key store: what is destroyed stays destroyed, whatever is wrapped anew, restored, or lost."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

from bus.errors import ConfigError, Erased, StoreError
from bus.log import keyring, keystore, payload
from bus.log.keyring import BLOCK, FEW, GONE, SLOT
from bus.log.keystore import rekey
from bus.log.payload import Text, matches, opened, payload_key, seal
from bus.store import Key
from bus.testing.patience import until
from tests.keyrings import in_memory, verify_opening


@pytest.fixture
def home(tmp_path):
    return tmp_path / "keys", tmp_path / "master.key"


@pytest.fixture
def open_keyring():
    """`bus.log.keystore.open_keyring`, closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda *words: stack.enter_context(contextlib.closing(keystore.open_keyring(*words)))


def test_a_block_never_has_the_number_of_one_that_was_lost_or_of_a_clock_that_was_set_back(tmp_path, monkeypatch):
    """A key of that number would open nothing of what the lost one had sealed, and be taken for it."""
    folder = keyring.Folder(tmp_path)

    def added(milliseconds: int) -> int:
        monkeypatch.setattr(time, "time_ns", lambda: milliseconds * 1_000_000)
        return folder.add(lambda number: b"")

    now = 1_800_000_000_000
    first, lost = added(now), added(now)
    assert lost > first
    (tmp_path / f"{lost}.keys").unlink()
    newest = added(now + 2)
    assert newest > lost
    assert added(0) > newest


def test_what_else_lies_beside_the_keys_is_left_alone(open_keyring, home):
    """As `lost+found` does where they have a disk of their own."""
    home[0].mkdir(mode=0o700)
    (home[0] / "lost+found").mkdir()
    with contextlib.closing(keystore.open_keyring(*home, None)) as made:
        key = made.fresh()
    rekey(*home)
    assert open_keyring(*home, None).key(key.id).secret == key.secret
    assert (home[0] / "lost+found").is_dir()


def test_a_destroyed_key_opens_nothing_and_its_neighbours_open_as_before(open_keyring, home):
    keys = open_keyring(*home, None)
    gone, kept = keys.fresh(), keys.fresh()
    sealed, other = seal(Text("message", b"Ada"), gone), seal(Text("message", b"Bea"), kept)
    keys.forget([gone.id])
    with pytest.raises(Erased):
        opened(sealed.nonce, sealed.content, keys)
    assert opened(other.nonce, other.content, keys) == b"Bea"
    assert payload.matches(sealed.commitment.id, sealed.nonce, sealed.content)  # the proof needs no key
    assert keys.left([gone.id, kept.id]) == [kept.id]
    [block] = (home[0] / "1").glob("*.keys")
    at = gone.id % 1024 * SLOT
    assert block.read_bytes()[at : at + SLOT] == GONE


def test_only_so_many_keys_are_kept_in_memory_and_all_are_read_again(monkeypatch):
    monkeypatch.setattr(keyring, "MOST", 10)
    keys = in_memory()
    made = [keys.fresh() for _ in range(25)]
    assert [keys.key(one.id).secret for one in made] == [one.secret for one in made]
    assert made[-1].id in keys._open
    assert len(keys._open) <= 10


def test_who_needs_a_key_does_not_wait_for_the_disk_while_some_are_left(monkeypatch):
    keys, makers = in_memory(), []
    add = keys._blocks.add
    monkeypatch.setattr(keys._blocks, "add", lambda content: (makers.append(threading.current_thread().name), add(content))[1])
    made = [keys.fresh() for _ in range(BLOCK - FEW)]
    until(lambda: keys._ahead, "the next block is made", every=0.001)
    made += [keys.fresh() for _ in range(BLOCK - 1)]
    assert makers == [threading.current_thread().name, "snodo-keys"]
    assert len({one.id for one in made}) == len({one.secret for one in made}) == 2 * BLOCK - FEW - 1


@pytest.mark.parametrize("fails", ["open", "fsync"])
def test_a_full_disk_of_the_key_store_is_a_store_that_fails_and_leaves_nothing_behind(open_keyring, home, monkeypatch, fails):
    keys = open_keyring(*home, None)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(keyring.os, fails, full)
        with pytest.raises(StoreError) as told:
            keys.fresh()
    assert told.value.code == "keys.failed"
    assert list((home[0] / "1").glob("*.keys")) == []
    assert keys.fresh().id >= keyring.BLOCK


def test_a_key_store_that_goes_away_gives_out_no_keys_until_it_is_back(open_keyring, home, monkeypatch):
    monkeypatch.setattr("bus.log.keyring.LOOK", 0.0)
    keys, away = open_keyring(*home, None), home[0].with_name("away")
    keys.stock()
    home[0].rename(away)
    with pytest.raises(StoreError) as told:
        keys.stock()
    assert told.value.code == "keys.failed"
    away.rename(home[0])
    keys.stock()
    shutil.move(home[0], away)
    with pytest.raises(StoreError):  # nor to those who only ask for one; the look is made beside them
        for _ in range(1000):
            keys.fresh()
            time.sleep(0.001)
    away.rename(home[0])
    made = keys.fresh()
    assert open_keyring(*home, keys.id).key(made.id).secret == made.secret


def test_a_key_store_that_is_away_does_not_say_that_its_keys_are_missing_or_gone(open_keyring, home):
    keys, away = open_keyring(*home, None), home[0].with_name("away")
    made = keys.fresh()
    home[0].rename(away)
    for look in (keys._unwrap, lambda number: keys.left([number])):
        with pytest.raises(StoreError) as told:
            look(made.id)
        assert (told.value.code, "mounted" in told.value.hint) == ("keys.failed", True)
    away.rename(home[0])
    (home[0] / "1" / f"{made.id // BLOCK:08}.keys").unlink()
    with pytest.raises(StoreError) as told:
        keys._unwrap(made.id)
    assert told.value.code == "keys.missing"


def test_keys_of_a_block_that_a_restored_copy_lacks_are_given_out_no_more(open_keyring, home):
    keys, copy = open_keyring(*home, None), home[0].with_name("copy")
    shutil.copytree(home[0], copy)
    keys.stock()
    shutil.rmtree(home[0])
    copy.rename(home[0])
    keys.stock()
    made = keys.fresh()
    assert open_keyring(*home, keys.id).key(made.id).secret == made.secret


def test_a_disk_that_takes_no_destruction_is_told_and_the_next_try_destroys(open_keyring, home, monkeypatch):
    def fails(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    keys = open_keyring(*home, None)
    doomed = keys.fresh()
    with monkeypatch.context() as at:
        at.setattr("bus.log.keyring.os.fsync", fails)
        with pytest.raises(StoreError, match="Input/output error") as told:
            keys.forget([doomed.id])
    assert told.value.code == "keys.not-destroyed"
    with pytest.raises(Erased):  # it was overwritten, though nobody knows whether it lasts
        keys.key(doomed.id)
    keys.forget([doomed.id])
    assert not keys.left([doomed.id])


def test_keys_that_lie_together_are_destroyed_by_one_write_to_the_disk(open_keyring, home, monkeypatch):
    """Those of a person with thousands of messages within seconds."""
    keys, synced = open_keyring(*home, None), []
    doomed = [keys.fresh().id for _ in range(50)]
    fsync = os.fsync
    monkeypatch.setattr("bus.log.keyring.os.fsync", lambda descriptor: (synced.append(descriptor), fsync(descriptor)))
    keys.forget(doomed)
    assert len(synced) == 2, "the block, and the mark for other processes"
    assert keys.left(doomed) == []


def test_where_no_key_is_to_be_destroyed_the_disk_is_left_alone(open_keyring, home):
    keys, away = open_keyring(*home, None), home[0].with_name("away")
    before = keys._blocks.generation()
    keys.forget([])
    assert keys._blocks.generation() == before
    home[0].rename(away)
    keys.forget([])


def test_another_process_learns_that_a_key_is_gone(open_keyring, home, monkeypatch):
    monkeypatch.setattr("bus.log.keyring.LOOK", 0.0)
    one = open_keyring(*home, None)
    other = open_keyring(*home, one.id)
    key = one.fresh()
    assert other.key(key.id) == key
    one.forget([key.id])
    with pytest.raises(Erased):
        other.key(key.id)


def test_wrapped_anew_what_is_there_opens_and_what_is_gone_stays_gone(open_keyring, home):
    keys = open_keyring(*home, None)
    gone, kept, token = keys.fresh(), keys.fresh(), keys.token("Ada")
    keys.forget([gone.id])
    with pytest.raises(StoreError, match=r"keys\.in-use"):
        rekey(*home)
    keys.close()
    old_master, [old_block] = home[1].read_bytes(), [path.read_bytes() for path in (home[0] / "1").glob("*.keys")]
    assert rekey(*home) == 1023
    assert home[1].read_bytes() != old_master
    assert not (home[0] / "1").exists()
    again = open_keyring(*home, keys.id)
    assert (again.key(kept.id), again.token("Ada")) == (kept, token)
    with pytest.raises(Erased):
        again.key(gone.id)
    again.close()
    # A block of before, as a backup has it, opens nothing under the new master key.
    [block] = (home[0] / "2").glob("*.keys")
    block.write_bytes(old_block)
    with pytest.raises(StoreError, match=r"keys\.damaged"):
        open_keyring(*home, keys.id).key(kept.id)


CUT_OFF = """
import os, sys
from pathlib import Path
from bus.log import keystore

left = int(sys.argv[3])

def counted(real):
    def call(*given, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
        return real(*given, **named)
    return call

for name in ("fsync", "replace", "rename", "link", "unlink", "rmdir", "mkdir"):
    setattr(os, name, counted(getattr(os, name)))
keystore.rekey(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_rekeying_that_is_cut_off_anywhere_leaves_no_copy_of_a_key_that_is_destroyed_later(open_keyring, home, tmp_path):
    keys = open_keyring(*home, None)
    gone, kept = keys.fresh(), keys.fresh()
    keys.close()
    for at in range(100):
        folder, master = tmp_path / f"{at}/keys", tmp_path / f"{at}/master.key"
        shutil.copytree(home[0], folder)
        shutil.copy(home[1], master)
        done = subprocess.run([sys.executable, "-c", CUT_OFF, str(folder), str(master), str(at)], timeout=60)
        opened = open_keyring(folder, master, keys.id)
        assert [opened.key(one.id).secret for one in (gone, kept)] == [gone.secret, kept.secret], at
        opened.forget([gone.id])
        slots = [path.read_bytes()[gone.id % BLOCK * SLOT :][:SLOT] for path in folder.glob("*/*.keys")]
        assert set(slots) <= {GONE, b""}, at
        opened.close()
        if done.returncode == 0:
            break
        rekey(folder, master)
        assert len([path for path in folder.iterdir() if path.is_dir()]) == 1, at
        again = open_keyring(folder, master, keys.id)
        assert again.key(kept.id).secret == kept.secret
        with pytest.raises(Erased):
            again.key(gone.id)
    assert at > 10


def test_a_key_store_that_is_lost_or_another_one_is_refused(open_keyring, home, tmp_path):
    with pytest.raises(ConfigError, match=r"keys\.lost"):
        open_keyring(*home, "0199e1c5-7a50-7c3f-8d65-0a4a6d6a2f11")
    assert not home[0].exists()
    open_keyring(*home, None).close()
    with pytest.raises(ConfigError, match=r"keys\.other"):
        open_keyring(*home, "0199e1c5-7a50-7c3f-8d65-0a4a6d6a2f11")
    open_keyring(tmp_path / "others", tmp_path / "others.key", None).close()
    with pytest.raises(ConfigError, match=r"keys\.master"):
        open_keyring(home[0], tmp_path / "others.key", None)
    home[1].chmod(0o644)
    with pytest.raises(ConfigError, match=r"keys\.master"):
        open_keyring(*home, None)


def test_a_key_that_the_store_is_too_old_to_have_is_missing_not_erased():
    with pytest.raises(StoreError, match=r"keys\.missing"):
        in_memory().key(5000)


def test_the_key_of_a_payload_is_the_hmac_that_the_scheme_says():
    key, nonce = Key(7, bytes(range(32))), b"\1" + bytes(32)
    assert payload_key(key, nonce) == hmac.digest(key.secret, b"snodo.payload/1" + nonce, "sha256")


def test_an_opening_is_verified_with_the_payloads_own_key_alone():
    key = in_memory().fresh()
    sealed = seal(Text("message", b"Ada"), key)
    own = payload_key(key, sealed.nonce)
    whole = (sealed.commitment.id, sealed.nonce, sealed.content)
    assert verify_opening(*whole, own, b"Ada")
    assert not verify_opening(*whole, own, b"Eva")
    assert not verify_opening(*whole, bytes(32), b"Ada")
    assert not verify_opening("0" * 64, sealed.nonce, sealed.content, own, b"Ada")
    assert not verify_opening(sealed.commitment.id, sealed.nonce, bytes([sealed.content[0] ^ 1]) + sealed.content[1:], own, b"Ada")


def test_the_id_of_a_payload_is_the_number_of_its_key_and_its_digest_so_that_those_of_one_message_sort_together():
    ring = in_memory()
    keys = [ring.fresh() for _ in range(BLOCK + 3)]
    made = [(seal(Text("answer", b"Ada"), key), key) for key in keys for _ in range(2)]
    for sealed, key in made:
        digest = hashlib.sha256(sealed.nonce + sealed.content).hexdigest()
        assert sealed.commitment.id == f"{key.id:016x}{digest}"
        assert matches(sealed.commitment.id, sealed.nonce, sealed.content)
        assert matches(digest, sealed.nonce, sealed.content), "payloads of before have the digest alone"
        for other in (f"{key.id + 1:016x}{digest}", f"{key.id:x}{digest}", digest[1:], digest[:16] + sealed.commitment.id, ""):
            assert not matches(other, sealed.nonce, sealed.content)
    assert sorted({sealed.commitment.id[:16] for sealed, _ in made}) == [f"{key.id:016x}" for key in keys]
