"""The Merkle tree against the definition in RFC 6962 §2.1, against published vectors, and against forged proofs."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.log import tree
from tests.unit.log.rfc_tree import naive_root

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "merkle"
SIZES = st.integers(1, 70)
LEAVES = [tree.leaf_hash(b"%d" % n) for n in range(300)]


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH, as the RFC writes it."""
    if len(leaves) == 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])] if m < k else [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_proof(m: int, leaves: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF, as the RFC writes it."""
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if m <= k:
        return [*naive_proof(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_proof(m - k, leaves[k:], False), naive_root(leaves[:k])]


def node(level: int, index: int) -> bytes:
    return naive_root(LEAVES[index << level : (index + 1) << level])


def test_the_root_of_the_published_seven_leaves_is_the_known_one():
    """Of Certificate Transparency's own tests: eight inputs, their root."""
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    edge = tree.CompactRange()
    edge.extend([tree.leaf_hash(bytes.fromhex(text)) for text in inputs])
    assert edge.root().hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert tree.CompactRange().root() == tree.root(0, node) == tree.EMPTY


@pytest.mark.parametrize("size", [*range(1, 40), 255, 256, 257, 300])
def test_roots_and_compact_ranges_agree_with_the_definition(size: int):
    edge = tree.CompactRange()
    for leaf in LEAVES[: size // 2]:
        edge.extend([leaf])
    edge.extend(LEAVES[size // 2 : size])
    assert edge.root() == tree.root(size, node) == naive_root(LEAVES[:size])


@given(st.data(), SIZES)
def test_inclusion_proofs_are_those_of_the_definition_and_hold(data: st.DataObject, size: int):
    index = data.draw(st.integers(0, size - 1))
    proof = tree.inclusion(index, size, node)
    assert proof == naive_path(index, LEAVES[:size])
    assert tree.includes(naive_root(LEAVES[:size]), size, index, LEAVES[index], proof)


@given(st.data(), SIZES)
def test_consistency_proofs_are_those_of_the_definition_and_hold(data: st.DataObject, second: int):
    first = data.draw(st.integers(0, second))
    proof = tree.consistency(first, second, node)
    assert proof == (naive_proof(first, LEAVES[:second]) if first else [])
    assert tree.extends(naive_root(LEAVES[:first]), first, naive_root(LEAVES[:second]), second, proof)


def forged(data: st.DataObject, proof: list[bytes]) -> list[bytes]:
    """The proof with one thing wrong."""
    way = data.draw(st.sampled_from(["flip", "cut", "add", "swap"] if proof else ["add"]))
    at = data.draw(st.integers(0, max(len(proof) - 1, 0)))
    if way == "flip":
        bit = data.draw(st.integers(0, 255))
        return [*proof[:at], bytes(b ^ (1 << bit % 8 if n == bit // 8 else 0) for n, b in enumerate(proof[at])), *proof[at + 1 :]]
    if way == "cut":
        return proof[:at] + proof[at + 1 :]
    if way == "swap":
        return proof[:at][::-1] + proof[at:][::-1]
    return [*proof[:at], data.draw(st.sampled_from([*LEAVES[:3], b"", tree.EMPTY])), *proof[at:]]


@given(st.data(), SIZES)
def test_a_proof_with_anything_wrong_is_refused(data: st.DataObject, size: int):
    index = data.draw(st.integers(0, size - 1))
    root, proof = naive_root(LEAVES[:size]), tree.inclusion(index, size, node)
    bad = forged(data, proof)
    if bad != proof:
        assert not tree.includes(root, size, index, LEAVES[index], bad)
    other = data.draw(st.integers(-1, size + 1).filter(lambda n: n != index))
    assert not tree.includes(root, size, other, LEAVES[index], proof)
    assert not tree.includes(root, size, index, LEAVES[index + 1], proof)
    assert not tree.includes(naive_root(LEAVES[: size + 1]), size, index, LEAVES[index], proof)


@given(st.data(), SIZES)
def test_a_consistency_proof_with_anything_wrong_is_refused(data: st.DataObject, second: int):
    first = data.draw(st.integers(0, second))
    old, new, proof = naive_root(LEAVES[:first]), naive_root(LEAVES[:second]), tree.consistency(first, second, node)
    bad = forged(data, proof)
    if bad != proof:
        assert not tree.extends(old, first, new, second, bad)
    assert not tree.extends(LEAVES[299], first, new, second, proof)
    assert not (first and tree.extends(old, first, LEAVES[299], second, proof))
    assert not tree.extends(new, second + 1, old, second, proof)


def test_no_beginning_of_a_proof_is_one():
    """An empty one above all: whoever took it would take any history."""
    for second in range(2, 40):
        for first in range(1, second):
            proof = tree.consistency(first, second, node)
            for shorter in (proof[:length] for length in range(len(proof))):
                assert not tree.extends(naive_root(LEAVES[:first]), first, naive_root(LEAVES[:second]), second, shorter), (first, second)


def test_what_is_no_hash_is_no_root():
    assert not tree.extends(b"", 3, b"", 3, [])
    assert not tree.includes(b"", 1, 0, b"", [])


def test_a_size_that_cannot_be_is_refused():
    for index, size in ((0, 0), (3, 3), (-1, 3)):
        with pytest.raises(ValueError, match="no leaf"):
            tree.inclusion(index, size, node)
    with pytest.raises(ValueError, match="does not begin"):
        tree.consistency(4, 3, node)
    assert not tree.includes(tree.EMPTY, 0, 0, tree.EMPTY, [])


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")) or [None], ids=lambda path: path.stem if path else "absent")
def test_published_vectors_are_accepted(path: Path | None):
    if path is None:
        pytest.skip(f"NOT TESTED: the vectors of transparency-dev/merkle are not in {VECTORS}")
    vector: dict[str, Any] = json.loads(path.read_text())
    proof = [base64.b64decode(step) for step in vector["proof"] or []]
    if "leafIdx" in vector:
        root, leaf = base64.b64decode(vector["root"]), base64.b64decode(vector["leafHash"])
        held = tree.includes(root, vector["treeSize"], vector["leafIdx"], leaf, proof)
    else:
        first, second = base64.b64decode(vector["root1"]), base64.b64decode(vector["root2"])
        held = tree.extends(first, vector["size1"], second, vector["size2"], proof)
    assert held is not vector["wantErr"]
