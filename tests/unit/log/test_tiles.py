"""Tiles against the formula of c2sp.org/tlog-tiles, grown one leaf at a time or many, and taken up again anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.log import tiles, tree
from tests.unit.log.rfc_tree import naive_root

MANY = [tree.leaf_hash(b"%d" % n) for n in range(70_000)]


class Shelf:
    """Tiles as a store keeps them."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], tiles.Tile] = {}

    def put(self, changed: list[tiles.Tile]) -> None:
        for tile in changed:
            before = self.tiles.get((tile.level, tile.number))
            assert before is None or (tile.hashes.startswith(before.hashes) and tile.first == before.first), "tiles only grow"
            self.tiles[tile.level, tile.number] = tile

    def at(self, level: int, number: int) -> tiles.Tile:
        return self.tiles[level, number]

    def node(self) -> tree.Node:
        return tiles.nodes(lambda level, number: self.at(level, number).hashes)


def grown(size: int) -> tuple[tiles.Edge, Shelf]:
    edge, shelf = tiles.Edge(), Shelf()
    for seq, leaf in enumerate(MANY[:size]):
        edge.extend([leaf], [10 * seq])
    shelf.put(edge.changed())
    return edge, shelf


def test_the_specifications_example_of_70_000_leaves():
    edge, shelf = grown(70_000)
    widths = [width for level, number, width in tiles.tiles_of(70_000) if width < 256]
    assert widths == [112, 17, 1]
    assert sum(level == 0 and width == 256 for level, _, width in tiles.tiles_of(70_000)) == 273
    assert sum(level == 1 and width == 256 for level, _, width in tiles.tiles_of(70_000)) == 1
    assert set(shelf.tiles) == {(level, number) for level, number, _ in tiles.tiles_of(70_000)}
    assert all(len(shelf.at(level, number).hashes) == 32 * width for level, number, width in tiles.tiles_of(70_000))
    assert shelf.at(1, 0).hashes[96:128] == naive_root(MANY[3 * 256 : 4 * 256])
    assert shelf.at(2, 0).hashes == naive_root(MANY[:65_536])
    assert edge.root() == tree.root(70_000, shelf.node()) == naive_root(MANY[:70_000])
    assert list(tiles.tiles_of(256)) == [(0, 0, 256), (1, 0, 1)]


@settings(max_examples=30)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=6))
def test_a_tree_grown_in_pieces_by_several_processes_is_the_same(pieces: list[int]):
    shelf, size = Shelf(), 0
    for piece in pieces:
        edge = tiles.Edge.at(size, shelf.at)
        assert edge.root() == tree.root(size, shelf.node())
        edge.extend(MANY[size : size + piece], range(0, 10 * (size + piece), 10)[size:])
        shelf.put(edge.changed())
        assert edge.changed() == []
        size += piece
        assert edge.root() == naive_root(MANY[:size])
    assert shelf.tiles == grown(size)[1].tiles


@settings(max_examples=30)
@given(st.data(), st.integers(1, 1500))
def test_proofs_from_tiles_hold_at_every_size_that_the_tree_had(data: st.DataObject, size: int):
    node = grown(1500)[1].node()
    index, first = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    assert tree.root(size, node) == naive_root(MANY[:size])
    assert tree.includes(tree.root(size, node), size, index, MANY[index], tree.inclusion(index, size, node))
    assert tree.extends(tree.root(first, node), first, tree.root(size, node), size, tree.consistency(first, size, node))


def test_paths_are_those_of_the_specification():
    assert tiles.path(0, 1_234_067) == "tile/0/x001/x234/067"
    assert tiles.path("entries", 0, 12) == "tile/entries/000.p/12"
    assert tiles.path(1, 999, 255) == "tile/1/999.p/255"


def test_a_tile_that_is_too_short_is_noticed():
    with pytest.raises(LookupError, match="ends before"):
        tree.root(3, tiles.nodes(lambda level, number: MANY[0] + MANY[1]))
