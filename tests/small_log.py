"""A log of a few lines in memory, with a key: what a witness and an auditor are shown in tests. Roots are computed by definition."""

from __future__ import annotations

import base64
import functools
import hashlib

from bus.log import tree
from bus.log.checkpoint import Checkpoint
from bus.log.note import Note, Signer


def root_of(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it stands there: the oracle for whatever is quicker."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root_of(leaves[:middle]) + root_of(leaves[middle:])).digest()


class SmallLog:
    """``n`` leaves; a ``salt`` makes another history of the same length."""

    def __init__(self, origin: str, *signers: Signer, salt: str = "") -> None:
        self.origin, self.signers, self.salt = origin, signers, salt
        self._subtree = functools.cache(self._hashed)

    def _hashed(self, start: int, end: int) -> bytes:
        if end - start < 2:
            return root_of([f"{self.salt}{n}".encode() for n in range(start, end)])
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        return hashlib.sha256(b"\1" + self._subtree(start, middle) + self._subtree(middle, end)).digest()

    def root(self, size: int) -> bytes:
        return self._subtree(0, size)

    def checkpoint(self, size: int, *extensions: str) -> Note:
        return Checkpoint(self.origin, size, self.root(size), extensions).signed(self.signers)

    def proof(self, old: int, new: int) -> list[bytes]:
        return tree.consistency(old, new, lambda level, index: self._subtree(index << level, (index + 1) << level))

    def request(self, old: int, new: int, *extensions: str) -> bytes:
        """What is sent to a witness."""
        return request(old, self.proof(old, new), self.checkpoint(new, *extensions))


def request(old: object, proof: list[bytes], note: Note) -> bytes:
    lines = [f"old {old}", *(base64.b64encode(one).decode() for one in proof)]
    return "".join(f"{line}\n" for line in lines).encode() + b"\n" + note.encode()
