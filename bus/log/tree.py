"""The Merkle tree of RFC 6962 (and 9162), exactly: leaf ``SHA-256(0x00 ‖ data)``, node ``SHA-256(0x01 ‖ left ‖ right)``.

Pure functions over hashes of 32 bytes. A *node* ``(level, index)`` is the root of the complete subtree over the leaves
``[index · 2^level, (index + 1) · 2^level)``; it never changes once its leaves are there. Whoever stores nodes gives them as a
function (`Node`), and gets roots and proofs of any size. Verifying needs no stored nodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

Node = Callable[[int, int], bytes]
"""The hash of the complete subtree at (level, index)."""

HASH = 32
EMPTY = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class CompactRange:
    """The right edge of a tree: the roots of its complete subtrees, largest first. A leaf more costs one node hash, amortised."""

    def __init__(self) -> None:
        self.size, self.hashes = 0, list[bytes]()

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add leaves by their hashes; level by level, which costs half of one after the other."""
        row, size, single = list(leaves), self.size, list[bytes]()
        while row:
            if size & 1:
                row.insert(0, self.hashes.pop())
            if len(row) & 1:
                single.append(row.pop())
            row = [hashlib.sha256(b"\1" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=True)]
            size >>= 1
        self.hashes += reversed(single)
        self.size += len(leaves)

    def root(self) -> bytes:
        return joined(self.hashes) if self.hashes else EMPTY


def complete(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The largest complete subtrees that together are the leaves ``[start, end)``, from left to right, as (level, index)."""
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        yield level, start >> level
        start += 1 << level


def root(size: int, node: Node) -> bytes:
    """The root of the first ``size`` leaves."""
    return _subtree(0, size, node) if size else EMPTY


def inclusion(index: int, size: int, node: Node) -> list[bytes]:
    """The proof that leaf ``index`` is in the tree of ``size`` leaves, from the leaf's sibling up. Raises `ValueError`."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    start, end, proof = 0, size, []
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            proof.append(_subtree(middle, end, node))
            end = middle
        else:
            proof.append(_subtree(start, middle, node))
            start = middle
    return proof[::-1]


def consistency(first: int, second: int, node: Node) -> list[bytes]:
    """The proof that the tree of ``second`` leaves begins with that of ``first``; empty when trivial. Raises `ValueError`."""
    if not 0 <= first <= second:
        raise ValueError(f"a tree of {second} leaves does not begin with one of {first}")
    start, end, proof, whole = 0, second, [], True
    while first not in (start, end):
        middle = start + split(end - start)
        if first <= middle:
            proof.append(_subtree(middle, end, node))
            end = middle
        else:
            proof.append(_subtree(start, middle, node))
            start, whole = middle, False
    if first in {0, second}:
        return []
    return ([] if whole else [_subtree(start, end, node)]) + proof[::-1]


def includes(root: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` shows that the leaf with hash ``leaf`` is at ``index`` of the tree (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes([root, leaf, *proof]):
        return False
    found = _roots(index, size - 1, leaf, proof)
    return found is not None and found[1] == root


def extends(first_root: bytes, first: int, second_root: bytes, second: int, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` shows that the tree of ``second`` leaves begins with that of ``first`` (RFC 9162 §2.1.4.2).

    A tree begins with the empty one, and with itself; both need an empty proof, and the roots to be right.
    """
    if not 0 <= first <= second or not _are_hashes([first_root, second_root, *proof]):
        return False
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof and first_root == EMPTY
    path = list(proof) if first & (first - 1) else [first_root, *proof]
    if not path:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    return _roots(at, last, path[0], path[1:]) == (first_root, second_root)


def _roots(at: int, last: int, node: bytes, proof: Iterable[bytes]) -> tuple[bytes, bytes] | None:
    """Up from a node: the root of the tree that ends there, and of the one that ends with ``last``; None where the proof is of another."""
    old = new = node
    for step in proof:
        if last == 0:
            return None
        if at & 1 or at == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, step)
        at, last = at >> 1, last >> 1
    return None if last else (old, new)


def split(size: int) -> int:
    """The largest power of two below ``size`` (at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def _subtree(start: int, end: int, node: Node) -> bytes:
    """The hash over the leaves ``[start, end)``, where the tree has a subtree that begins at ``start``."""
    width = end - start
    if not width & (width - 1) and not start % width:  # one complete subtree, as most of a proof are
        return node(width.bit_length() - 1, start // width)
    return joined([node(level, index) for level, index in complete(start, end)])


def joined(hashes: Sequence[bytes]) -> bytes:
    """Complete subtrees, largest first, hashed together from the right."""
    found = hashes[-1]
    for left in hashes[-2::-1]:
        found = node_hash(left, found)
    return found


def _are_hashes(values: Iterable[bytes]) -> bool:
    return all(len(value) == HASH for value in values)
