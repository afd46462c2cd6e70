"""The tree as tiles: runs of at most 256 node hashes, as c2sp.org/tlog-tiles has them. Tile ``n`` of level ``l`` holds the nodes
``[256 n, 256 (n + 1))`` of tree level ``8 l``; only the last one of a level is partial. Tiles only grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from bus.log.tree import EMPTY, HASH, CompactRange, Node, joined

HEIGHT = 8
WIDTH = 1 << HEIGHT
TileAt = Callable[[int, int], bytes]
"""The hashes of the tile at (level, number), one after the other; may be longer than asked for, never shorter."""


class Tile(NamedTuple):
    """``first`` is the number (``seq``) of the first record under it; of other levels than 0 it is 0."""

    level: int
    number: int
    hashes: bytes
    first: int = 0


class Edge:
    """The right edge of the tree, as tiles that grow. A leaf more costs two hashes, amortised: its own and a node."""

    def __init__(self, size: int = 0, tiles: Mapping[int, Tile] | None = None) -> None:
        """``tiles``: the partial tile of each level that has one."""
        self.size = size
        self._open = [_Open(level, size >> HEIGHT * (level + 1), (tiles or {}).get(level)) for level in range(_levels(size))]
        self._full: list[Tile] = []

    @classmethod
    def at(cls, size: int, tile: Callable[[int, int], Tile]) -> Edge:
        """The edge of a tree of which the tiles are stored."""
        found = {level: (tile(level, number), width) for level, number, width in partial_tiles(size)}
        return cls(size, {level: one._replace(hashes=one.hashes[: width * HASH]) for level, (one, width) in found.items()})

    def extend(self, leaves: Sequence[bytes], seqs: Sequence[int]) -> None:
        """Add leaves by their hashes; ``seqs`` are the numbers of their records."""
        self.size += len(leaves)
        self._add(0, leaves, seqs)

    def _add(self, level: int, hashes: Sequence[bytes], firsts: Sequence[int]) -> None:
        if level == len(self._open):
            self._open.append(_Open(level, 0, None))
        full, at = list[bytes](), 0
        while at < len(hashes):
            tile = self._open[level]
            until = at + max(WIDTH - tile.range.size, 0)  # a tile that somebody changed may be too long
            tile.add(hashes[at:until], firsts[at])
            at = until
            if tile.range.size >= WIDTH:
                self._full.append(tile.now())
                self._open[level] = _Open(level, tile.number + 1, None)
                full.append(tile.range.root())
        if full:
            self._add(level + 1, full, bytes(len(full)))

    def root(self) -> bytes:
        hashes = [hash for tile in reversed(self._open) for hash in tile.range.hashes]
        return joined(hashes) if hashes else EMPTY

    def changed(self) -> list[Tile]:
        """The tiles that grew since the last time this was asked, as they are now."""
        full, self._full = self._full, []
        return [*full, *(tile.now() for tile in self._open if tile.grew())]


class _Open:
    """A tile that is not full yet."""

    def __init__(self, level: int, number: int, tile: Tile | None) -> None:
        self._level, self.number = level, number
        self._first = tile.first if tile else 0
        self._hashes = bytearray(tile.hashes if tile else b"")
        self._kept = len(self._hashes)
        self.range = CompactRange()
        self.range.extend(hashes_in(self._hashes))

    def add(self, hashes: Sequence[bytes], first: int) -> None:
        if not self._hashes:
            self._first = first
        self._hashes += b"".join(hashes)
        self.range.extend(hashes)

    def now(self) -> Tile:
        self._kept = len(self._hashes)
        return Tile(self._level, self.number, bytes(self._hashes), self._first)

    def grew(self) -> bool:
        return len(self._hashes) > self._kept


def hashes_in(tile: bytes | bytearray) -> list[bytes]:
    """The hashes of a tile; one that was cut off in the middle ends with less than a hash."""
    return [bytes(tile[at : at + HASH]) for at in range(0, len(tile), HASH)]


def _levels(size: int) -> int:
    return max(-(-size.bit_length() // HEIGHT), 1)


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """All tiles of a tree, as (level, number, width)."""
    for level in range(_levels(size)):
        for number in range(size >> HEIGHT * (level + 1)):
            yield level, number, WIDTH
    yield from partial_tiles(size)


def partial_tiles(size: int) -> Iterator[tuple[int, int, int]]:
    """The last tile of each level that is not full, as (level, number, width)."""
    for level in range(_levels(size)):
        width = (size >> HEIGHT * level) % WIDTH
        if width:
            yield level, size >> HEIGHT * (level + 1), width


def nodes(tile: TileAt) -> Node:
    """The nodes of a tree of which the tiles can be read; the 4096 nodes used last are remembered.

    Only for complete subtrees, whose hashes never change: those of partial tiles are there too, for as far as they go.
    """

    @lru_cache(4096)
    def node(level: int, index: int) -> bytes:
        shift = level % HEIGHT
        if shift:
            return joined([node(level - 1, 2 * index), node(level - 1, 2 * index + 1)])
        hashes = tile(level // HEIGHT, index >> HEIGHT)
        at = (index & (WIDTH - 1)) * HASH
        found = bytes(hashes[at : at + HASH])
        if len(found) != HASH:
            raise LookupError(f"tile {level // HEIGHT}/{index >> HEIGHT} ends before its hash {index & (WIDTH - 1)}")
        return found

    return node


def path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Where a tile is, below the log's address: ``tile/0/x001/x234/067`` or ``tile/entries/000.p/12``."""
    parts = [f"{number % 1000:03}"]
    while number := number // 1000:
        parts.insert(0, f"x{number % 1000:03}")
    return f"tile/{level}/{'/'.join(parts)}" + (f".p/{width}" if width < WIDTH else "")
