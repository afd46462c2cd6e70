"""The log as a folder of files that others can check: checkpoint, tiles and entry bundles, as c2sp.org/tlog-tiles has them.

`Folder` is the other side: it reads such a folder and believes nothing in it but the signature.

The checkpoint is written last, so that whatever it promises is there. Full tiles never change; partial ones have their width in
their name. Entries are the records' exact bytes, each behind its length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bus.disk import whole
from bus.errors import EvidenceError, StoreError
from bus.log import checkpoint, note
from bus.log.diagnosis import of_the_bus
from bus.log.note import Verifier
from bus.log.record import LONGEST
from bus.log.stored import StoredCheckpoint, StoredTree
from bus.log.tiles import HEIGHT, WIDTH, hashes_in, path, tiles_of
from bus.log.tree import HASH, CompactRange, leaf_hash
from bus.store.opening import Reader


class Folder:
    """A log as somebody without the database has it. All leaves are hashed up to the root that was signed, or it raises `EvidenceError`."""

    def __init__(self, folder: Path, origin: str, keys: Iterable[Verifier]) -> None:
        self._folder = folder
        self.head = checkpoint.opened(self._read("checkpoint"), origin, keys)
        self._leaves: dict[bytes, int] = {}
        edge = CompactRange()
        for number in range(-(-self.head.size // WIDTH)):
            for index, leaf in enumerate(leaves := hashes_in(self._tile(0, number)), edge.size):
                self._leaves.setdefault(leaf, index)
            edge.extend(leaves)
        if (edge.size, edge.root()) != (self.head.size, self.head.root):
            raise EvidenceError(f"the tiles in {folder} do not have the root that was signed", code="evidence.tiles")

    def index_of(self, leaf: bytes) -> int | None:
        """The place of a record by its leaf hash."""
        return self._leaves.get(leaf)

    def entry(self, index: int) -> bytes:
        """The record at a place, as its leaf has it; raises `EvidenceError`."""
        found = [*self._entries(index // WIDTH)][index % WIDTH :][:1]
        if self.index_of(leaf_hash(b"".join(found))) != index:
            raise self._unlike()
        return found[0]

    def newest(self, count: int) -> list[bytes]:
        """The last records, some more than ``count`` perhaps; each is the one that its leaf is of. Raises `EvidenceError`."""
        first = max(self.head.size - count, 0) // WIDTH
        found = [content for number in range(first, -(-self.head.size // WIDTH)) for content in self._entries(number)]
        if [self.index_of(leaf_hash(content)) for content in found] != list(range(first * WIDTH, self.head.size)):
            raise self._unlike()
        return found

    def _unlike(self) -> EvidenceError:
        return EvidenceError(f"the entries in {self._folder} are not those of its tiles", code="evidence.tiles")

    def _entries(self, number: int) -> Iterator[bytes]:
        bundle, at = self._tile("entries", number), 0
        while at < len(bundle):
            start = at + 2
            at = start + int.from_bytes(bundle[at:start], "big")
            yield bundle[start:at]

    def _tile(self, level: int | str, number: int) -> bytes:
        return self._read(path(level, number, min(WIDTH, self.head.size - number * WIDTH)))

    def _read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise EvidenceError(f"{self._folder / name} cannot be read: {error.strerror}", code="evidence.tiles") from error


@of_the_bus()
def publish(reader: Reader, folder: Path) -> tuple[int, int]:
    """Bring the folder up to the newest checkpoint; the size of the tree, and how many files were written.

    Raises `StoreError`, and `EvidenceError` for a folder of another log, or of another or a longer history of this one.
    """
    written = 0
    with reader.read() as tx:
        stored = StoredTree(tx)
        newest = _newest(stored)
        published = _published(stored, newest, folder)
        for level, number, width in tiles_of(newest.size):
            covered = number * WIDTH + width << HEIGHT * level <= published
            file, entries = folder / path(level, number, width), folder / path("entries", number, width)
            hashes = bytes(stored.tile(level, number).hashes[: width * HASH])
            if level == 0 and not (covered and entries.exists()):
                written += _put(entries, _entries(stored, number * WIDTH, hashes))
            if not (covered and file.exists()):
                written += _put(file, hashes)
    return newest.size, written + _put(folder / "checkpoint", newest.note)


def _newest(stored: StoredTree) -> StoredCheckpoint:
    """What is published, as it was signed: a size that is none would have no last tile."""
    newest = stored.checkpoint()
    if newest is None:
        raise StoreError("the log has no checkpoint yet", code="store.tree", hint="it has one a second after its first record")
    signed = checkpoint.checkpoint_of(note.parse(newest.note).text)
    if signed.size != newest.size or stored.root(signed.size) != signed.root:
        sentence = "the newest checkpoint is not as it was signed, or not that of the stored tree: nothing was written"
        raise EvidenceError(sentence, code="evidence.broken", hint="bus log verify says more")
    return newest


def _published(stored: StoredTree, newest: StoredCheckpoint, folder: Path) -> int:
    """How many records the folder's checkpoint is of, 0 without one. Raises `EvidenceError` when this log does not go on from it.

    Files that it covers are not written again, so another history would be mixed with it. Of others nothing says of which log they are.
    """
    try:
        said = (folder / "checkpoint").read_bytes()
    except FileNotFoundError:
        return 0
    ours = checkpoint.checkpoint_of(note.parse(newest.note).text)
    try:
        there = checkpoint.checkpoint_of(note.parse(said).text)
    except EvidenceError as error:
        hint = "nothing was written; keep that folder, and write into another one"
        raise EvidenceError(f"{folder / 'checkpoint'} is no checkpoint: {error.sentence}", code="evidence.tiles", hint=hint) from error
    if there.origin != ours.origin or there.size > ours.size or stored.root(there.size) != there.root:
        raise EvidenceError(
            f"{folder} holds {there.size:,} records of the log {there.origin}, and this log, of {ours.size:,}, does not go on from them",
            code="evidence.tiles", hint="nothing was written; was the log rolled back, or begun anew? bus log verify --from-checkpoint"
            f" {folder / 'checkpoint'} says; keep that folder, and write into another one",
        )  # fmt: skip
    return there.size


def _entries(stored: StoredTree, start: int, hashes: bytes) -> bytes:
    """The records of a tile, whose leaves are ``hashes``: a folder in which they are others would be held against the log by everybody."""
    contents = list(stored.contents(start, start + len(hashes) // HASH))
    if len(contents) < len(hashes) // HASH or max(map(len, contents)) > LONGEST:
        raise StoreError("records are missing, or longer than an entry may be", code="store.tree", hint="bus log verify says which")
    if b"".join(map(leaf_hash, contents)) != hashes:
        sentence = f"among the leaves from {start:,} on, records are not those of the stored tree: nothing more was written"
        raise EvidenceError(sentence, code="evidence.broken", hint="bus log verify names the first")
    return b"".join(len(content).to_bytes(2, "big") + content for content in contents)


def _put(file: Path, content: bytes) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole(file) as written:
        written.write(content)
    return 1
