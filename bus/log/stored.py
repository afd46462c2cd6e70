"""The log's tree as it is stored: sizes, roots, proofs, and the records by their place in it. The read side of the evidence.

What is stored is not believed: whoever verifies hashes the records again. Numbers here are leaf indexes, from 0; the database's
own numbers (``seq``) have gaps where transactions were taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from bus.errors import StoreError
from bus.log import tiles, tree
from bus.log.tiles import HEIGHT, WIDTH, Tile
from bus.store import Row, Tx

PAGE = 2048
"""Records read at a time."""


class StoredCheckpoint(NamedTuple):
    """A checkpoint that was stored: ``note`` is the signed text; ``last`` the number of the last record in the tree; ``time`` RFC 3339."""

    size: int
    root: bytes
    last: int
    time: str
    note: bytes


class NoTile(StoreError):
    """A part of the tree is not there."""

    default_code = "store.tree"


class StoredTree:
    """The tree as one view or transaction sees it; not to be kept beyond it."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.tile = lru_cache(512)(self._tile)
        self.node = tiles.nodes(lambda level, number: self.tile(level, number).hashes)

    def size(self) -> int:
        """Leaves so far: records that have their number. Those committed since the last checkpoint come to it within a second."""
        newest = self.checkpoint()
        return newest.size if newest else 0

    def root(self, size: int) -> bytes:
        return tree.root(size, self.node)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """See `bus.log.tree.inclusion`."""
        return tree.inclusion(index, size, self.node)

    def consistency(self, first: int, second: int) -> list[bytes]:
        """See `bus.log.tree.consistency`."""
        return tree.consistency(first, second, self.node)

    def extends(self, first_root: bytes, first: int, second_root: bytes, second: int) -> bool:
        """Whether the tree with the second root, which is right, begins with the first; not where the nodes between are not theirs."""
        return tree.extends(first_root, first, second_root, second, self.consistency(first, second))

    def contents(self, start: int, end: int) -> Iterator[bytes]:
        """What the records of the leaves ``[start, end)`` say now, page by page; fewer when records are missing at the end."""
        if start >= end:
            return
        seq, index = self.tile(0, start >> HEIGHT).first - 1, (start >> HEIGHT) * WIDTH
        while index < end:
            rows = self._tx.all("records_after", after=seq, most=min(PAGE, end - index))
            if not rows:
                return
            yield from (bytes(row["content"]) for row in rows[max(start - index, 0) :])
            seq, index = rows[-1]["seq"], index + len(rows)

    def index_of(self, seq: int) -> int | None:
        """The place of the record with that number; None while the sequencer has not come to it."""
        newest, row = self.checkpoint(), self._tx.one("tile_of_record", seq=seq)
        if newest is None or row is None or seq > newest.last:
            return None
        [rank] = self._tx.all("rank_of_record", first=row["first"], seq=seq)
        return int(row["number"]) * WIDTH + int(rank["rank"])

    def indexes_of(self, seqs: Iterable[int]) -> dict[int, int]:
        """`index_of` for many records, those of a tile at once; records without a place are left out. Raises `StoreError`."""
        newest, found = self.checkpoint(), dict[int, int]()
        for seq in sorted(set(seqs)):
            if newest is None or seq > newest.last:
                break
            if seq not in found:
                row = self._tx.one("tile_of_record", seq=seq)
                if row is None:
                    said = f"the record number {seq} stands before the first one of the tree"
                    raise StoreError(said, code="store.tree", hint="bus log verify says what is wrong")
                there = self._tx.all("records_after", after=row["first"] - 1, most=WIDTH)
                found |= {one["seq"]: row["number"] * WIDTH + rank for rank, one in enumerate(there)}
        return {seq: found[seq] for seq in seqs if seq in found}

    def checkpoint(self) -> StoredCheckpoint | None:
        """The newest one; None in a log that has none yet."""
        return _checkpoint(self._tx.one("last_checkpoint"))

    def checkpoint_of(self, size: int) -> StoredCheckpoint | None:
        """The first one that covers so many leaves."""
        return _checkpoint(self._tx.one("checkpoint_after", size=size))

    def _tile(self, level: int, number: int) -> Tile:
        row = self._tx.one("tile", level=level, number=number)
        if row is None:
            raise NoTile(f"the tree has no tile {level}/{number}", hint="bus log verify says what is wrong")
        return Tile(level, number, bytes(row["hashes"]), row["first"])


CUT_OFF = (
    "was a part of a backup restored? put all of it back; else somebody cut the log: change nothing, bus log verify says more; "
    "nothing is sealed until it is as it was"
)


def cut_off(ends: Mapping[str, int]) -> str:
    """What the store (``ends_of_log``) knows of a larger log than is in it, in a sentence; empty where nothing is missing at its end."""
    if ends["sealed"] and not ends["sealed_there"]:
        there = f"the last record is number {ends['last']:,}" if ends["last"] < ends["sealed"] else "that one is not there"
        return f"the log was cut: its last checkpoint covers record number {ends['sealed']:,}, and {there}"
    if (most := max(ends["leaves"], ends["vouched"])) > ends["size"]:
        knows = "the stored tree has" if most == ends["leaves"] else "somebody outside has vouched for"
        return f"the log was cut: {knows} {most:,} records, and its last checkpoint {ends['size']:,}"
    if ends["untold"]:
        return "the log was cut: there are messages, and no record of the first of them or of the last"
    return ""


def _checkpoint(row: Row | None) -> StoredCheckpoint | None:
    if row is None:
        return None
    return StoredCheckpoint(row["size"], bytes(row["root"]), row["last"], row["time"], bytes(row["note"]))
