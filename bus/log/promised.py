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
from bus.message import parsed
from bus.store import Tx
from bus.store.opening import Reader

NEWEST = 256
"""Records at the end of the log that are asked how far it has come."""


class Judged(NamedTuple):
    """``code`` 0 or 5."""

    code: int
    sentence: str


def judged(reader: Reader, text: str, door: Sequence[Verifier], log: Sequence[Verifier]) -> Judged:
    """Look for what a receipt promises. Raises `EvidenceError` for a receipt or a checkpoint that no trusted key signed."""
    promise = receipt.opened(text, door)
    with reader.read() as tx:
        stored = StoredTree(tx)
        newest = stored.checkpoint()
        if newest is None:
            raise EvidenceError("the log has no checkpoint", code="evidence.unsigned")
        checkpoint.opened(newest.note, promise.origin, log)
        index = _place(tx, stored, promise)
        if index is not None and tree.includes(newest.root, newest.size, index, promise.leaf, stored.inclusion(index, newest.size)):
            return _included(promise, index, newest.size)
        contents = [leaf.content for leaf in stored.records(max(0, newest.size - NEWEST), newest.size)]
    return _absent(promise, newest.size, contents)


def judged_by_files(folder: Path, text: str, door: Sequence[Verifier], log: Sequence[Verifier]) -> Judged:
    """As `judged`, from a folder that ``bus log tiles`` wrote: for whoever has no access to the database."""
    promise = receipt.opened(text, door)
    published = Folder(folder, promise.origin, log)
    index = published.index_of(promise.leaf)
    if index is not None:
        return _included(promise, index, published.head.size)
    return _absent(promise, published.head.size, published.newest(NEWEST))


def _included(promise: receipt.Receipt, index: int, size: int) -> Judged:
    return Judged(0, f"included: message {promise.message} is record {index} of the {size} that are signed")


def _absent(promise: receipt.Receipt, size: int, newest: Sequence[bytes]) -> Judged:
    """By the latest time that the newest records tell: what the log itself says of how far it has come."""
    known = max(record_of(parsed(content)).time for content in newest)
    if known <= promise.deadline:
        return Judged(
            0, f"not there yet: promised before {text_of(promise.deadline)}, the log knows of nothing later than {text_of(known)}"
        )
    return Judged(
        5, f"OMITTED: {promise.origin} promised to include message {promise.message} before {text_of(promise.deadline)}; "
        f"its signed tree of {size} records goes on until {text_of(known)} and does not have it"
    )  # fmt: skip


def _place(tx: Tx, stored: StoredTree, promise: receipt.Receipt) -> int | None:
    """Where the leaf is: at the message's own record, else anywhere in the tree."""
    for row in tx.all("records_of_message", message=promise.message):
        if tree.leaf_hash(bytes(row["content"])) == promise.leaf:
            return stored.index_of(row["seq"])
    for tile in tx.all("tiles_between", level=0, start=0, until=2**62):
        hashes = bytes(tile["hashes"])
        at = next((at for at in range(0, len(hashes), tree.HASH) if hashes[at : at + tree.HASH] == promise.leaf), None)
        if at is not None:
            return int(tile["number"]) * 256 + at // tree.HASH
    return None
