"""The keys of one bus: what opens payloads, apart from the log. Destroying one erases what it sealed, wherever copies of that lie.

They lie in blocks (``BLOCK.keys``), wrapped, 60 bytes each; a destroyed one is 60 zeros. `bus.log.keystore` makes and opens their folder.

Keys are made a block at a time, ahead of their use, and are durable before anybody uses one, so that sealing waits for no disk. A process
that ends leaves the rest of its blocks unused.

The number of a block is the millisecond in which it was made, or the one after the largest, so that an old copy of the key store, put
in its place, gives out no number that was given out since: destroying the old key of that number would destroy the new one.
"""

from __future__ import annotations

import binascii
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO

from bus.disk import OWNER_ONLY, kept, sync_folder
from bus.errors import Damaged, Erased, KeyMissing, StoreError
from bus.log import timelines
from bus.log.payload import cipher
from bus.mac import Mac
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


class Wrapping:
    """How keys lie under a master key: AES-256-GCM, each bound to the key store (``identity``) and to its own number or name."""

    def __init__(self, master: bytes, identity: str) -> None:
        self._cipher, self._identity = cipher(master), identity

    def wrapped(self, name: int | str, secret: bytes, nonce: bytes) -> bytes:
        return nonce + self._cipher.encrypt(nonce, secret, f"{self._identity} {name}".encode())

    def unwrapped(self, name: int | str, wrapped: bytes) -> bytes:
        """Raises `cryptography.exceptions.InvalidTag` for what was changed, or is under another master key."""
        return self._cipher.decrypt(wrapped[:12], wrapped[12:], f"{self._identity} {name}".encode())


LEFT = "look at the disk of the key store: what its log says is destroyed the bus destroys within ten minutes, and when it starts"


class Folder:
    """Where wrapped keys lie: blocks, each a file. Several processes, on several machines that share the folder, may use it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._root = folder, str(folder)
        self._mark = folder / "destroyed"

    def add(self, content: Callable[[int], bytes]) -> int:
        """Keep a block; ``content`` makes its bytes from its number. Returns the number."""
        with _kept():
            return self._add(content)

    def _add(self, content: Callable[[int], bytes]) -> int:
        number = max(max(self.numbers(), default=0), time.time_ns() // 1_000_000 - 1)
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

    def numbers(self) -> set[int]:
        """The numbers of all blocks."""
        return {int(path.stem) for path in self.folder.glob("*.keys")}

    def read(self, key: int) -> bytes:
        """A wrapped key; empty when there is no such number. Whoever reads a long journal or log asks for one after the other."""
        with _kept(), contextlib.suppress(FileNotFoundError):
            descriptor = os.open(self._place(key // BLOCK), os.O_RDONLY | os.O_CLOEXEC)
            try:
                return os.pread(descriptor, SLOT, key % BLOCK * SLOT)
            finally:
                os.close(descriptor)
        self._be_there()
        return b""

    def whole(self, block: int) -> bytes:
        """All wrapped keys of a block; empty when there is none of that number."""
        with _kept(), contextlib.suppress(FileNotFoundError):
            return self._path(block).read_bytes()
        self._be_there()
        return b""

    def left(self, keys: Iterable[int]) -> Iterator[int]:
        """Those of the keys that are not gone; reads each block once."""
        for block, some in groupby(sorted(keys), lambda key: key // BLOCK):
            content = self.whole(block)
            yield from (key for key in some if content[(at := key % BLOCK * SLOT) : at + SLOT] not in (GONE, b""))

    def _be_there(self) -> None:
        """Raises `StoreError` where the folder itself is away: nobody can say then that a block is missing."""
        with _kept():
            self.folder.stat()

    def destroy(self, keys: Iterable[int]) -> None:
        """Overwrite keys in place, in their files and in copies that an interrupted rekeying has left: nothing of them is kept."""
        with kept("keys cannot be destroyed", code="keys.not-destroyed", hint=LEFT):
            folders = copies(self.folder.parent)
            for block, some in groupby(sorted(keys), lambda key: key // BLOCK):
                places = [key % BLOCK * SLOT for key in some]
                for folder in folders:
                    self._overwrite(folder / self._path(block).name, places)
            with self._mark.open("ab") as mark:
                mark.write(b".")
                os.fsync(mark.fileno())

    def _overwrite(self, block: Path, places: Sequence[int]) -> None:
        with contextlib.suppress(FileNotFoundError), block.open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            for at in places:
                if at + SLOT <= size:
                    os.pwrite(file.fileno(), GONE, at)
            os.fsync(file.fileno())

    def generation(self) -> object:
        """Another value whenever keys were destroyed."""
        with _kept(), contextlib.suppress(FileNotFoundError):
            return self._mark.stat().st_size
        return 0

    def _path(self, block: int) -> Path:
        return Path(self._place(block))

    def _place(self, block: int) -> str:
        """A text, which is made in a tenth of the time of a path."""
        return f"{self._root}/{block:08}.keys"


def _kept() -> contextlib.AbstractContextManager[None]:
    return kept(
        "the key store fails", code="keys.failed", hint="look at keystore.folder: is it there, is its disk mounted? space, rights, errors"
    )


class Keyring:
    """The keys of one bus; implements `bus.store.Keys`. ``id`` names the key store, so that a store knows its own."""

    def __init__(self, identity: str, master: bytes, index: bytes, blocks: Folder, held: IO[bytes] | None = None) -> None:
        self.id, self._blocks = identity, blocks
        self._wrapping = Wrapping(master, identity)
        self._index = Mac(index)
        self._lock = threading.Lock()
        self._unused: list[Key] = []
        self._ahead: list[Key] = []
        self._open: dict[int, Key] = {}
        self._generation, self._looked, self._assured = blocks.generation(), 0.0, 0.0
        self._held = held

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
        """Do in a thread what asks the disk, so that nobody waits for it, the door's event loop least of all."""
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
        """Make the next block of keys."""
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
        if left := self.left(numbers):
            raise StoreError(f"key {left[0]} cannot be destroyed", code="keys.not-destroyed", hint=LEFT)

    def saw(self, system: str, timeline: int) -> int:
        folder = self._blocks.folder
        return timelines.saw(folder.parent, system, timeline) if folder.is_dir() else 0

    def close(self) -> None:
        if self._held is not None:
            self._held.close()

    def left(self, numbers: Iterable[int]) -> list[int]:
        """Those of the keys that are not gone; reads each block once."""
        return list(self._blocks.left(numbers))

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
            made = ((block * BLOCK + at, keys[at], nonces[at * 12 : at * 12 + 12]) for at in range(BLOCK))
            return b"".join(self._wrapping.wrapped(*one) for one in made)

        block = self._blocks.add(content)
        return [Key(block * BLOCK + at, keys[at]) for at in reversed(range(BLOCK))]

    def _unwrap(self, number: int) -> bytes:
        from cryptography.exceptions import InvalidTag

        wrapped = self._blocks.read(number)
        if wrapped == GONE:
            raise Erased("the text was erased: its key was destroyed")
        if len(wrapped) != SLOT:
            hint = "is it older than the database, or did it lose a file? restore its newest copy"
            raise KeyMissing(f"the key store has no key {number}", hint=hint)
        try:
            return self._wrapping.unwrapped(number, wrapped)
        except InvalidTag:
            hint = "restore the key store from its backup; bus log verify --names says which message it opens"
            raise Damaged(f"key {number} cannot be unwrapped: its file was changed", code="keys.damaged", hint=hint) from None


def copies(folder: Path) -> list[Path]:
    """The folders of blocks: the one that is used, and what a rekeying that was cut off has left."""
    return [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
