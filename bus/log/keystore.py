"""The key store as it lies on the disk: made, opened, looked at, wrapped anew under another master key.

::

    keystore.folder/about.json       which key store this is; the key of tokens, wrapped
    keystore.folder/1/BLOCK.keys     a block of keys (`bus.log.keyring`)
    keystore.master                  the key that wraps all others: 32 bytes in base64, mode 0600
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from shlex import quote
from typing import IO, Any

from bus.config import Keystore
from bus.disk import FOLDER_OWNER_ONLY, OWNER_ONLY, make_folder, save, sync_folder
from bus.errors import ConfigError, StoreError
from bus.log.keyring import BLOCK, GONE, SLOT, Folder, Keyring, Wrapping, copies
from bus.message import new_id
from bus.store import Store, Tx


def open_keyring(folder: Path, master: Path, expected: str | None) -> Keyring:
    """The key store in a folder; made when there is none and ``expected`` (its id, as the database has it) is None.

    Raises `ConfigError` when it is not there, is another one, or its master key is missing, readable by others, or not its own.
    """
    told = _told(folder, expected)
    if told is None:
        _make(folder, master)
        told = _about(folder)
    secret = _master(folder, master, told)
    index = _index(Wrapping(secret, told["id"]), told, folder)
    held = _lock(folder)
    fcntl.flock(held, fcntl.LOCK_SH)
    return Keyring(told["id"], secret, index, Folder(folder / told["blocks"]), held)


def unlock(store: Store, settings: Keystore, *, changing: bool = False) -> Keyring:
    """Open the key store of a store and give it its keys; the first time they are made. Raises `ConfigError` when they are not there.

    ``changing``: what lies open in it is about to be protected.
    """
    with store.read() as tx:
        known, lies_open, sealed = tx.one("mark", name="keystore"), tx.all("lies_open"), tx.one("sealed_payload_after", after="")
    if lies_open and not changing:
        raise StoreError("payloads in this database lie open", code="store.unprotected", hint="bus migrate up seals them")
    if known is None and not changing:
        if sealed is not None:
            raise unnamed()
        try:
            refuse_used(settings.folder)
        except ConfigError:
            with store.read() as tx:  # another process may have begun beside us: a key store is named before its first key is given out
                known = tx.one("mark", name="keystore")
            if known is None:
                raise
    keys = open_keyring(settings.folder, settings.master, known["value"] if known else None)

    def work(tx: Tx) -> str:
        tx.do("add_mark", name="keystore", value=keys.id)
        row = tx.one("mark", name="keystore")
        return str(row["value"] if row else "")

    if known is None and store.write(work).result() != keys.id:
        raise ConfigError("another process uses another key store", code="keys.other", hint="give all of them the same keystore.folder")
    store.keys = keys
    return keys


def unnamed() -> ConfigError:
    """Of a database with sealed payloads that does not say under which key store: another one would pass for it, or be made."""
    hint = "INSERT INTO marks (name, value) VALUES ('keystore', '…'), the `id` in about.json of its key store; or restore the backup"
    said = "the mark `keystore`, which names the key store of this database, is not in the table `marks` any more"
    return ConfigError(said, code="keys.lost", hint=hint)


def refuse_used(folder: Path) -> None:
    """Raise `ConfigError` where a new database finds keys of this key store given out: then another database knows them."""
    if any(folder.glob("*/*.keys")):
        raise ConfigError(
            f"the database is new, and the key store {folder} was used before: its log is elsewhere", code="store.lost",
            hint="is store.url right, and the disk there? put the backup back; for a new log move the key store and the log's key away",
        )  # fmt: skip


def look(folder: Path, master: Path, expected: str | None) -> bool:
    """Whether there is a key store, without making, opening or mending anything; raises as `open_keyring` would."""
    told = _told(folder, expected)
    if told is None:
        return False
    waiting = master.with_name(master.name + ".new")
    if told["master"] not in {_fingerprint(_read_master(path)) for path in (master, waiting) if path == master or path.exists()}:
        raise _another_master(folder, master)
    return True


def left(folder: Path, keys: Iterable[int]) -> int:
    """How many of these keys, which were destroyed, are in the key store again: one that was restored has them. Opens none."""
    return sum(1 for _ in _in_use(folder).left(keys))


def blocks(folder: Path) -> set[int]:
    """The numbers of the blocks of keys that are in the key store, with all of their keys. Opens none."""
    return {int(path.stem) for path in _in_use(folder).folder.glob("*.keys") if path.stat().st_size == BLOCK * SLOT}


def _in_use(folder: Path) -> Folder:
    """Where the blocks of a key store lie."""
    return Folder(folder / str(_about(folder)["blocks"]))


def _about(folder: Path) -> dict[str, Any]:
    """What a key store says of itself. Raises `ConfigError` where that was damaged."""
    try:
        told: dict[str, Any] = json.loads((folder / "about.json").read_text("utf-8"))
        if all(type(told[name]) is str for name in ("id", "blocks", "master", "index")):
            return told
    except (ValueError, KeyError, TypeError):
        pass
    raise _damaged(folder)


def _damaged(folder: Path) -> ConfigError:
    hint = "restore that file from the backup of the key store, and change nothing else: the keys beside it are opened with what it says"
    return ConfigError(f"{folder / 'about.json'} is not as it was made", code="keys.lost", hint=hint)


def _lock(folder: Path) -> IO[bytes]:
    """The file that says who uses a key store; there is nothing in it, and a copy of the folder may have left it out."""
    return os.fdopen(os.open(folder / ".lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY), "rb")


def _told(folder: Path, expected: str | None) -> dict[str, Any] | None:
    """What the key store says of itself; None where there is none and none is expected."""
    if not (folder / "about.json").exists():
        if expected is None:
            return None
        raise ConfigError(
            f"the key store is not in {folder}, and this database was written with one", code="keys.lost",
            hint="restore it from its backup, or correct keystore.folder; without it no payload can be opened",
        )  # fmt: skip
    told = _about(folder)
    if expected not in (None, told["id"]):
        raise ConfigError(
            f"{folder} is not the key store of this database", code="keys.other", hint="correct keystore.folder, or restore the right one"
        )
    if folder.stat().st_mode & 0o077:
        raise ConfigError("other users of this machine may enter the key store", code="keys.open", hint=f"chmod 0700 {quote(str(folder))}")
    return told


def _another_master(folder: Path, master: Path) -> ConfigError:
    sentence = f"{master} is not the master key of the key store in {folder}"
    return ConfigError(sentence, code="keys.master", hint="restore the master key it was made with")


def rekey(folder: Path, master: Path) -> int:
    """Wrap all keys under a new master key and destroy the old one; returns how many. No process may have the key store open."""
    told = _about(folder)
    with _lock(folder) as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError("the key store is in use", code="keys.in-use", hint="stop all processes of the bus first") from None
        old, new = _master(folder, master, told), os.urandom(32)
        before, after = Wrapping(old, told["id"]), Wrapping(new, told["id"])
        save(master.with_name(master.name + ".new"), base64.b64encode(new) + b"\n", OWNER_ONLY)
        was, now = folder / told["blocks"], folder / str(int(told["blocks"]) + 1)
        _remove(now)
        now.mkdir(FOLDER_OWNER_ONLY)
        count = sum(_rewrap(path, now / path.name, before, after) for path in sorted(was.glob("*.keys")))
        if (was / "destroyed").exists():
            save(now / "destroyed", (was / "destroyed").read_bytes(), OWNER_ONLY, anew=True)
        sync_folder(now)
        told = {**told, "blocks": now.name, "master": _fingerprint(new), "index": _wrapped(after, _index(before, told, folder))}
        save(folder / "about.json", json.dumps(told, indent=1).encode(), OWNER_ONLY)
        _master(folder, master, told)
        for other in copies(folder):
            if other != now:
                _remove(other)
    return count


def _rewrap(source: Path, target: Path, before: Wrapping, after: Wrapping) -> int:
    content = source.read_bytes()
    slots, count = [], 0
    for at in range(len(content) // SLOT):
        slot = content[at * SLOT : (at + 1) * SLOT]
        if slot != GONE:
            number = int(source.stem) * BLOCK + at
            slot = after.wrapped(number, before.unwrapped(number, slot), os.urandom(12))
            count += 1
        slots.append(slot)
    save(target, b"".join(slots), OWNER_ONLY, anew=True)
    return count


def _remove(folder: Path) -> None:
    """Overwrite and remove the files of a folder of blocks, and the folder."""
    for path in folder.glob("*") if folder.is_dir() else ():
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            os.fsync(file.fileno())
        path.unlink()
    if folder.is_dir():
        folder.rmdir()


def _make(folder: Path, master: Path) -> None:
    make_folder(folder, FOLDER_OWNER_ONLY)
    (folder / "1").mkdir(FOLDER_OWNER_ONLY, exist_ok=True)
    (folder / ".lock").touch(mode=OWNER_ONLY)
    make_folder(master.parent)
    with contextlib.suppress(FileExistsError):
        save(master, base64.b64encode(os.urandom(32)) + b"\n", OWNER_ONLY, anew=True)
    secret, identity = _read_master(master), new_id()
    index = _wrapped(Wrapping(secret, identity), os.urandom(32))
    told = {"v": 1, "id": identity, "blocks": "1", "master": _fingerprint(secret), "index": index}
    with contextlib.suppress(FileExistsError):  # another process was first
        save(folder / "about.json", json.dumps(told, indent=1).encode(), OWNER_ONLY, anew=True)


def _master(folder: Path, master: Path, told: dict[str, Any]) -> bytes:
    """The master key that fits; one that a rekeying was interrupted with is put in its place."""
    secret, fresh = _read_master(master), master.with_name(master.name + ".new")
    if fresh.exists() and _fingerprint(_read_master(fresh)) == told["master"]:
        fresh.replace(master)
        sync_folder(master.parent)
        secret = _read_master(master)
    if _fingerprint(secret) != told["master"]:
        raise _another_master(folder, master)
    return secret


def _read_master(path: Path) -> bytes:
    try:
        mode, secret = path.stat().st_mode, base64.b64decode(path.read_bytes(), validate=False)
    except (OSError, ValueError) as error:
        hint = "restore it, mode 0600; it and its folder are the user's of the bus"
        raise ConfigError(f"cannot read the master key {path}: {error}", code="keys.master", hint=hint) from error
    if mode & 0o077:
        raise ConfigError(f"the master key {path} can be read by others", code="keys.master", hint=f"chmod 0600 {quote(str(path))}")
    if len(secret) != 32:
        raise ConfigError(f"{path} is no master key", code="keys.master", hint="32 bytes in base64")
    return secret


def _fingerprint(secret: bytes) -> str:
    return hashlib.sha256(b"snodo master key\0" + secret).hexdigest()[:16]


def _wrapped(wrapping: Wrapping, index: bytes) -> str:
    """The key of tokens as it stands in ``about.json``; `_index` is the inverse."""
    return base64.b64encode(wrapping.wrapped("index", index, os.urandom(12))).decode()


def _index(wrapping: Wrapping, told: dict[str, Any], folder: Path) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        return wrapping.unwrapped("index", base64.b64decode(told["index"]))
    except (InvalidTag, ValueError) as error:
        raise _damaged(folder) from error
