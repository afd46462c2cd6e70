"""The key store: what opens payloads, apart from the log. Destroying a key erases what it sealed, wherever copies of that lie.

::

    keystore.folder/about.json       which key store this is; the key of tokens, wrapped
    keystore.folder/1/BLOCK.keys     a block of keys, wrapped, 60 bytes each; a destroyed one is 60 zeros
    keystore.master                  the key that wraps all others: 32 bytes in base64, mode 0600

Keys are made a block at a time, ahead of their use, and are durable before anybody uses one, so that sealing waits for no disk. A process
that ends leaves the rest of its blocks unused. Keys are wrapped with AES-256-GCM, bound to the key store and to their number.

The number of a block is the millisecond in which it was made, or the one after the largest, so that an old copy of the key store, put
in its place, gives out no number that was given out since: what destroys a key of then would destroy one of now.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from bus.disk import FOLDER_OWNER_ONLY, OWNER_ONLY, kept, make_folder, save, sync_folder
from bus.errors import ConfigError, Erased, KeyMissing, StoreError
from bus.log.payload import cipher
from bus.mac import Mac
from bus.message import new_id
from bus.store import Key

BLOCK = 1024
"""Keys made at once."""
FEW = BLOCK // 4
"""Keys left of a block, at which the next one is made."""
SLOT = 60
"""Bytes of a wrapped key: nonce 12, key 32, tag 16."""
GONE = bytes(SLOT)
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
MOST = 2_000
"""Keys kept open in memory, 0.8 KB each; the older half gives way to newer ones, for the work that needs a key is done within seconds."""
LOOK = 1.0
"""Seconds after which a process asks whether another one has destroyed keys, and whether the key store is still there."""


class Blocks:
    """Where wrapped keys lie: in memory, for tests. `Folder` keeps them in files."""

    def __init__(self) -> None:
        self._blocks: dict[int, bytearray] = {}
        self._lock = threading.Lock()

    def add(self, content: Callable[[int], bytes]) -> int:
        """Keep a block; ``content`` makes its bytes from its number. Returns the number."""
        with self._lock:
            number = len(self._blocks) + 1
            self._blocks[number] = bytearray(content(number))
        return number

    def read(self, key: int) -> bytes:
        """A wrapped key; empty when there is no such number."""
        block = self._blocks.get(key // BLOCK, b"")
        return bytes(block[key % BLOCK * SLOT :][:SLOT])

    def whole(self, block: int) -> bytes:
        """All wrapped keys of a block; empty when there is none of that number."""
        return bytes(self._blocks.get(block, b""))

    def destroy(self, keys: Iterable[int]) -> None:
        for key in keys:
            if key // BLOCK in self._blocks:
                self._blocks[key // BLOCK][key % BLOCK * SLOT : (key % BLOCK + 1) * SLOT] = GONE

    def generation(self) -> object:
        """Another value whenever keys were destroyed."""
        return 0


LEFT = "look at the disk of the key store: what its log says is destroyed the bus destroys within ten minutes, and when it starts"


class Folder(Blocks):
    """Blocks as files. Several processes, on several machines that share the folder, may use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mark = folder / "destroyed"

    def add(self, content: Callable[[int], bytes]) -> int:
        with _kept():
            return self._add(content)

    def _add(self, content: Callable[[int], bytes]) -> int:
        number = max(max((int(path.stem) for path in self.folder.glob("*.keys")), default=0), time.time_ns() // 1_000_000 - 1)
        while True:
            number += 1
            with contextlib.suppress(FileExistsError):
                descriptor = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
                try:
                    with os.fdopen(descriptor, "wb") as file:
                        file.write(content(number))
                        file.flush()
                        os.fsync(file.fileno())
                    sync_folder(self.folder)
                except BaseException:
                    self._path(number).unlink(missing_ok=True)
                    raise
                return number

    def read(self, key: int) -> bytes:
        with _kept(), contextlib.suppress(FileNotFoundError), self._path(key // BLOCK).open("rb") as file:
            return os.pread(file.fileno(), SLOT, key % BLOCK * SLOT)
        self._be_there()
        return b""

    def whole(self, block: int) -> bytes:
        with _kept(), contextlib.suppress(FileNotFoundError):
            return self._path(block).read_bytes()
        self._be_there()
        return b""

    def _be_there(self) -> None:
        """Raises `StoreError` where the folder itself is away: nobody can say then that a block is missing."""
        with _kept():
            self.folder.stat()

    def destroy(self, keys: Iterable[int]) -> None:
        """Overwritten in place: the file keeps nothing of them, nor do copies that a rekeying which was cut off has left."""
        with kept("keys cannot be destroyed", code="keys.not-destroyed", hint=LEFT):
            folders = _copies(self.folder.parent)
            for key in keys:
                for folder in folders:
                    self._overwrite(folder / self._path(key // BLOCK).name, key % BLOCK * SLOT)
            with self._mark.open("ab") as mark:
                mark.write(b".")
                os.fsync(mark.fileno())

    def _overwrite(self, block: Path, at: int) -> None:
        with contextlib.suppress(FileNotFoundError), block.open("r+b") as file:
            if at + SLOT <= os.fstat(file.fileno()).st_size:
                os.pwrite(file.fileno(), GONE, at)
                os.fsync(file.fileno())

    def generation(self) -> object:
        with _kept(), contextlib.suppress(FileNotFoundError):
            return self._mark.stat().st_size
        return 0

    def _path(self, block: int) -> Path:
        return self.folder / f"{block:08}.keys"


def _kept() -> contextlib.AbstractContextManager[None]:
    return kept(
        "the key store fails", code="keys.failed", hint="look at keystore.folder: is it there, is its disk mounted? space, rights, errors"
    )


class Keyring:
    """The keys of one bus; implements `bus.store.Keys`. ``id`` names the key store, so that a store knows its own."""

    def __init__(self, identity: str, master: bytes, index: bytes, blocks: Blocks, held: IO[bytes] | None = None) -> None:
        self.id, self._blocks = identity, blocks
        self._wrap = cipher(master)
        self._index = Mac(index)
        self._lock = threading.Lock()
        self._unused: list[Key] = []
        self._ahead: list[Key] = []
        self._open: dict[int, Key] = {}
        self._generation, self._looked, self._assured = blocks.generation(), 0.0, 0.0
        self._held = held

    @classmethod
    def in_memory(cls, index: bytes = b"") -> Keyring:
        """A key store that is gone with its process; for tests and trials. The same ``index`` makes the same tokens."""
        return cls(new_id(), os.urandom(32), index or os.urandom(32), Blocks())

    def fresh(self) -> Key:
        with self._lock:
            self._fill()
            key = self._unused.pop()
            if len(self._unused) == FEW and not self._ahead:
                self._beside(self._make_ahead)
            elif (now := time.monotonic()) - self._assured > LOOK:
                self._assured = now  # one thread, not one for each key until it runs
                self._beside(self._assure)
        self._keep(key)
        return key

    def stock(self) -> None:
        self._assure()
        with self._lock:
            self._fill()

    def _beside(self, work: Callable[[], None]) -> None:
        """What asks the disk, so that nobody waits for it, the door's event loop least of all."""
        with contextlib.suppress(RuntimeError):  # no thread is to be had: whoever needs a key makes it
            threading.Thread(target=work, name="snodo-keys", daemon=True).start()

    def _assure(self) -> None:
        """Give out no more keys of a block that is not where the next start would look for it: removed, moved, not mounted, or replaced."""
        self._assured = time.monotonic()
        try:
            well = all(self._unwrap(key.id) == key.secret for key in self._unused[-1:])
        except (StoreError, Erased):
            well = False
        if not well:
            with self._lock:
                self._unused, self._ahead = [], []

    def _fill(self) -> None:
        if not self._unused:
            self._unused, self._ahead = self._ahead or self._more(), []

    def _make_ahead(self) -> None:
        """The next block."""
        with contextlib.suppress(StoreError):  # who finds no key hears it
            made = self._more()
            with self._lock:
                self._ahead = made

    def key(self, number: int) -> Key:
        self._look()
        found = self._open.get(number)
        if found is None:
            found = Key(number, self._unwrap(number))
            self._keep(found)
        return found

    def token(self, text: str) -> str:
        made = self._index.of(text.encode("utf-8", "surrogatepass"))
        return binascii.b2a_base64(made[:16])[:22].translate(_URL_SAFE).decode()

    def forget(self, numbers: Iterable[int]) -> None:
        numbers = list(numbers)
        if not numbers:  # no process need look for keys that are gone, nor the disk be there
            return
        try:
            self._blocks.destroy(numbers)
        finally:  # who opens one from now on has it from the disk
            for number in numbers:
                self._open.pop(number, None)
        for number in numbers:
            if not self.is_gone(number):
                raise StoreError(f"key {number} cannot be destroyed", code="keys.not-destroyed", hint=LEFT)

    def close(self) -> None:
        if self._held is not None:
            self._held.close()

    def is_gone(self, number: int) -> bool:
        """Whether a key was destroyed (or never was)."""
        return self._blocks.read(number) in (GONE, b"")

    def left(self, numbers: Iterable[int]) -> list[int]:
        """Of keys those that are not gone; reads each block once."""
        return list(_left(numbers, self._blocks.whole))

    def _keep(self, key: Key) -> None:
        if len(self._open) >= MOST:
            for old in list(self._open)[: MOST // 2]:
                self._open.pop(old, None)
        self._open[key.id] = key

    def _look(self) -> None:
        """Forget what is open when another process has destroyed keys."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked, generation = now, self._blocks.generation()
        if generation != self._generation:
            self._generation = generation
            self._open.clear()

    def _more(self) -> list[Key]:
        """A block of new keys, the lowest number last: keys are taken from the end, and ids of payloads begin with their number."""
        secrets = os.urandom(32 * BLOCK)
        nonces = os.urandom(12 * BLOCK)
        keys = [secrets[at * 32 : at * 32 + 32] for at in range(BLOCK)]

        def content(block: int) -> bytes:
            made = ((nonces[at * 12 : at * 12 + 12], keys[at], block * BLOCK + at) for at in range(BLOCK))
            return b"".join(nonce + self._wrap.encrypt(nonce, secret, _bound(self.id, number)) for nonce, secret, number in made)

        block = self._blocks.add(content)
        return [Key(block * BLOCK + at, keys[at]) for at in reversed(range(BLOCK))]

    def _unwrap(self, number: int) -> bytes:
        from cryptography.exceptions import InvalidTag

        wrapped = self._blocks.read(number)
        if wrapped == GONE:
            raise Erased("the text was erased: its key was destroyed")
        if len(wrapped) != SLOT:
            raise KeyMissing(f"the key store has no key {number}", hint="it is older than the database: restore a newer one")
        try:
            return self._wrap.decrypt(wrapped[:12], wrapped[12:], _bound(self.id, number))
        except InvalidTag:
            raise StoreError(f"key {number} cannot be unwrapped: its file was changed", code="keys.damaged", hint="restore it") from None


# -- files ---------------------------------------------------------------------------------------------------------------


def open_keyring(folder: Path, master: Path, expected: str | None) -> Keyring:
    """The key store in a folder; made when there is none and ``expected`` (its id, as the database has it) is None.

    Raises `ConfigError` when it is not there, is another one, or its master key is missing, readable by others, or not its own.
    """
    told = _told(folder, expected)
    if told is None:
        _make(folder, master)
        told = json.loads((folder / "about.json").read_text("utf-8"))
    secret = _master(folder, master, told)
    held = (folder / ".lock").open("rb")
    fcntl.flock(held, fcntl.LOCK_SH)
    return Keyring(told["id"], secret, _unwrapped(secret, told), Folder(folder / told["blocks"]), held)


def refuse_used(folder: Path) -> None:
    """For a new database: raises `ConfigError` when keys of this key store were ever given out, for then there is another that knows it."""
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
    return sum(1 for _ in _left(keys, Folder(_in_use(folder)).whole))


def blocks(folder: Path) -> set[int]:
    """The numbers of the blocks of keys that are in the key store. Opens none."""
    return {int(path.stem) for path in _in_use(folder).glob("*.keys")}


def _in_use(folder: Path) -> Path:
    """Where the blocks of a key store lie."""
    return folder / str(json.loads((folder / "about.json").read_text("utf-8"))["blocks"])


def _left(keys: Iterable[int], whole: Callable[[int], bytes]) -> Iterator[int]:
    for block, some in groupby(sorted(keys), lambda key: key // BLOCK):
        content = whole(block)
        yield from (key for key in some if content[(at := key % BLOCK * SLOT) : at + SLOT] not in (GONE, b""))


def _told(folder: Path, expected: str | None) -> dict[str, Any] | None:
    """What the key store says of itself; None where there is none and none is expected."""
    about = folder / "about.json"
    if not about.exists():
        if expected is None:
            return None
        raise ConfigError(
            f"the key store is not in {folder}, and this database was written with one", code="keys.lost",
            hint="restore it from its backup, or correct keystore.folder; without it no payload can be opened",
        )  # fmt: skip
    told: dict[str, Any] = json.loads(about.read_text("utf-8"))
    if expected not in (None, told["id"]):
        raise ConfigError(
            f"{folder} is not the key store of this database", code="keys.other", hint="correct keystore.folder, or restore the right one"
        )
    if folder.stat().st_mode & 0o077:
        raise ConfigError("other users of this machine may enter the key store", code="keys.open", hint=f"chmod 0700 {folder}")
    return told


def _another_master(folder: Path, master: Path) -> ConfigError:
    sentence = f"{master} is not the master key of the key store in {folder}"
    return ConfigError(sentence, code="keys.master", hint="restore the master key it was made with")


def rekey(folder: Path, master: Path) -> int:
    """Wrap all keys under a new master key and destroy the old one; returns how many. No process may have the key store open."""
    about = folder / "about.json"
    told = json.loads(about.read_text("utf-8"))
    with (folder / ".lock").open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError("the key store is in use", code="keys.in-use", hint="stop all processes of the bus first") from None
        old, new = _master(folder, master, told), os.urandom(32)
        save(master.with_name(master.name + ".new"), base64.b64encode(new) + b"\n", OWNER_ONLY)
        was, now = folder / told["blocks"], folder / str(int(told["blocks"]) + 1)
        _remove(now)
        now.mkdir(FOLDER_OWNER_ONLY)
        count = sum(_rewrap(path, now / path.name, told["id"], old, new) for path in sorted(was.glob("*.keys")))
        if (was / "destroyed").exists():
            save(now / "destroyed", (was / "destroyed").read_bytes(), OWNER_ONLY, anew=True)
        sync_folder(now)
        told = {**told, "blocks": now.name, "master": _fingerprint(new), "index": _wrapped(new, _unwrapped(old, told), told["id"])}
        save(about, json.dumps(told, indent=1).encode(), OWNER_ONLY)
        _master(folder, master, told)
        for other in _copies(folder):
            if other != now:
                _remove(other)
    return count


def _copies(folder: Path) -> list[Path]:
    """The folders of blocks: the one that is used, and what a rekeying that was cut off has left."""
    return [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]


def _rewrap(source: Path, target: Path, identity: str, old: bytes, new: bytes) -> int:
    content, before, after = source.read_bytes(), cipher(old), cipher(new)
    slots, count = [], 0
    for at in range(len(content) // SLOT):
        slot = content[at * SLOT : (at + 1) * SLOT]
        if slot != GONE:
            bound, nonce = _bound(identity, int(source.stem) * BLOCK + at), os.urandom(12)
            slot = nonce + after.encrypt(nonce, before.decrypt(slot[:12], slot[12:], bound), bound)
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
    told = {"v": 1, "id": identity, "blocks": "1", "master": _fingerprint(secret), "index": _wrapped(secret, os.urandom(32), identity)}
    with contextlib.suppress(FileExistsError):  # another process was first
        save(folder / "about.json", json.dumps(told, indent=1).encode(), OWNER_ONLY, anew=True)


def _master(folder: Path, master: Path, told: dict[str, Any]) -> bytes:
    """The master key that fits; one that a rekeying was interrupted with is put in its place."""
    fresh = master.with_name(master.name + ".new")
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
        raise ConfigError(f"cannot read the master key {path}: {error}", code="keys.master", hint="restore it, mode 0600") from error
    if mode & 0o077:
        raise ConfigError(f"the master key {path} can be read by others", code="keys.master", hint=f"chmod 0600 {path}")
    if len(secret) != 32:
        raise ConfigError(f"{path} is no master key", code="keys.master", hint="32 bytes in base64")
    return secret


def _fingerprint(secret: bytes) -> str:
    return hashlib.sha256(b"snodo master key\0" + secret).hexdigest()[:16]


def _wrapped(master: bytes, secret: bytes, identity: str) -> str:
    nonce = os.urandom(12)
    return base64.b64encode(nonce + cipher(master).encrypt(nonce, secret, _bound(identity, "index"))).decode()


def _unwrapped(master: bytes, told: dict[str, Any]) -> bytes:
    wrapped = base64.b64decode(told["index"])
    return cipher(master).decrypt(wrapped[:12], wrapped[12:], _bound(told["id"], "index"))


def _bound(identity: str, name: int | str) -> bytes:
    """What a wrapped key is bound to: its key store, and its number."""
    return f"{identity} {name}".encode()
