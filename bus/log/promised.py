"""Whether the log kept what a receipt promised: included, not due yet, or omitted, which receipt and log together prove."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bus.clock import text_of
from bus.errors import EvidenceError
from bus.log import checkpoint, receipt, tree
from bus.log.note import Verifier
from bus.log.published import Folder
from bus.log.record import record_of
from bus.log.stored import StoredTree
from bus.log.tiles import hashes_in
from bus.store import Tx
from bus.store.opening import Reader

NEWEST = 256
"""Records at the end of the log that are asked how far it has come."""


class Judged(NamedTuple):
    """``code`` 0 or 5."""

    code: int
    sentence: str


def judged(reader: Reader, text: str, door: Sequence[Verifier], log: Sequence[Verifier]) -> Judged:
    """Look for what a receipt promises. Raises `EvidenceError` for a receipt or a checkpoint that no trusted key signed, and for a database
    that is not what was signed: it neither shows that something is there nor that it is not.
    """
    promise = receipt.opened(text, door)
    with reader.read() as tx:
        stored = StoredTree(tx)
        newest = stored.checkpoint()
        if newest is None:
            raise EvidenceError("the log has no checkpoint", code="evidence.unsigned")
        head = checkpoint.opened(newest.note, promise.origin, log)
        leaves = _leaves(tx, head)
        if promise.leaf in leaves:
            index = leaves.index(promise.leaf)
            [content] = [*stored.contents(index, index + 1)] or [b""]
            if tree.leaf_hash(content) != promise.leaf:
                raise _unlike(f"the record with the promised leaf, number {index + 1:,}, is not the one")
            return _included(promise, index, head.size, content)
        first = max(0, head.size - NEWEST)
        contents = list(stored.contents(first, head.size))
        if [*map(tree.leaf_hash, contents)] != leaves[first:]:
            raise _unlike("the newest records are not those")
    return _absent(promise, head.size, contents)


def judged_by_files(folder: Path, text: str, door: Sequence[Verifier], log: Sequence[Verifier]) -> Judged:
    """As `judged`, from a folder that ``bus log tiles`` wrote: for whoever has no access to the database."""
    promise = receipt.opened(text, door)
    published = Folder(folder, promise.origin, log)
    index = published.index_of(promise.leaf)
    if index is not None:
        return _included(promise, index, published.head.size, published.entry(index))
    return _absent(promise, published.head.size, published.newest(NEWEST))


def _included(promise: receipt.Receipt, index: int, size: int, content: bytes) -> Judged:
    """Judge a leaf that is there by its record: a door could promise the leaf of another message, and leave out this one."""
    found = record_of(content)
    if (found.kind, found.message) == ("received", promise.message):
        return Judged(0, f"included: message {promise.message} is record {index:,} of the {size:,} that are signed")
    whose = f"message {found.message}" if found.message else "no message"
    return Judged(
        5, f"OMITTED: {promise.origin} promised to include message {promise.message}, and the leaf that its receipt names, {index:,} of "
        f"the {size:,} that are signed, is a record `{found.kind}` of {whose}"
    )  # fmt: skip


def _absent(promise: receipt.Receipt, size: int, newest: Sequence[bytes]) -> Judged:
    """Judge a message that is not in the log, by how far the log itself says to have come: the latest time of its newest records."""
    known = max(record_of(content).time for content in newest)
    if known <= promise.deadline:
        return Judged(
            0, f"not there yet: promised before {text_of(promise.deadline)}, the log knows of nothing later than {text_of(known)}"
        )
    return Judged(
        5, f"OMITTED: {promise.origin} promised to include message {promise.message} before {text_of(promise.deadline)}; "
        f"its signed tree of {size} records goes on until {text_of(known)} and does not have it"
    )  # fmt: skip


def _leaves(tx: Tx, head: checkpoint.Checkpoint) -> list[bytes]:
    """All leaves of the tree as it is stored, which have the root that was signed; raises `EvidenceError`."""
    tiles = tx.all("tiles_between", level=0, start=0, until=2**62)
    leaves = [leaf for tile in tiles for leaf in hashes_in(bytes(tile["hashes"]))]
    edge = tree.CompactRange()
    edge.extend(leaves)
    if (edge.size, edge.root()) != (head.size, head.root):
        raise _unlike("the stored tree is not the one")
    return leaves


def _unlike(what: str) -> EvidenceError:
    return EvidenceError(
        f"{what} of the checkpoint that was signed, so nothing can be shown by them", code="evidence.broken",
        hint="bus log verify names the place",
    )  # fmt: skip
