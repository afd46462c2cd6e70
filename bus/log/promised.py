"""Whether the log kept what a receipt promised: included, not due yet, or omitted, which receipt and log together prove."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

from bus.clock import text_of
from bus.errors import EvidenceError
from bus.log import checkpoint, receipt, tree
from bus.log.note import Verifier
from bus.log.record import record_of
from bus.log.stored import StoredTree
from bus.message import parsed
from bus.store import Tx
from bus.store.opening import Reader


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
            return Judged(0, f"included: message {promise.message} is record {index} of the {newest.size} that are signed")
        known = _latest(stored, newest.size)
    if known <= promise.deadline:
        return Judged(
            0, f"not there yet: promised before {text_of(promise.deadline)}, the log knows of nothing later than {text_of(known)}"
        )
    return Judged(
        5, f"OMITTED: {promise.origin} promised to include message {promise.message} before {text_of(promise.deadline)}; "
        f"its signed tree of {newest.size} records goes on until {text_of(known)} and does not have it"
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


def _latest(stored: StoredTree, size: int) -> dt.datetime:
    """The latest time that the newest records tell: what the log itself says of how far it has come."""
    return max(record_of(parsed(leaf.content)).time for leaf in stored.records(max(0, size - 256), size))
