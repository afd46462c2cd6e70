"""Checkpoints: the signed head of the log's tree, as c2sp.org/tlog-checkpoint has it: origin, size, root, perhaps extension lines.

Whoever holds one can show later that the log was changed since: a tree of that size has that root and no other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from bus.errors import EvidenceError
from bus.log.note import COSIGNATURE, Note, Signature, Signer, Verifier, in_base64, parse, unbase64, verify
from bus.log.tree import HASH

MOST = 2**63 - 1
"""The largest size of a tree that is taken."""
RECEIPTS = "/receipts"
"""Behind the origin of a log: the name of the key that signs its receipts."""
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class Checkpoint(NamedTuple):
    """Says of the log ``origin`` that its first ``size`` records have the root ``root`` (32 bytes). ``extensions`` say nothing to us."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """What is signed."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, in_base64(self.root), *self.extensions))

    def signed(self, signers: Iterable[Signer]) -> Note:
        """The checkpoint as a note; while a key is being changed there are two signers."""
        text = self.text()
        return Note(text, tuple(signer.sign(text) for signer in signers))


def place_of(origin: str) -> str:
    """The name of a log in addresses and folders of witnesses (c2sp.org/tlog-witness): SHA-256 of its origin."""
    return hashlib.sha256(origin.encode()).hexdigest()


def checkpoint_of(text: str) -> Checkpoint:
    """The inverse of `Checkpoint.text`; raises `EvidenceError`."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "" or not all(lines):
        raise EvidenceError("a checkpoint has three lines or more, none of them empty", code="evidence.malformed")
    origin, size, root, *extensions = lines
    digest = unbase64(root)
    if len(digest) != HASH:
        raise EvidenceError(f"a root of {len(digest)} bytes", code="evidence.malformed")
    return Checkpoint(origin, number(size), digest, tuple(extensions))


def signed_by(keys: Iterable[Verifier], raw: bytes) -> Checkpoint:
    """The checkpoint in a note that one of the keys has signed; raises `EvidenceError`."""
    note = parse(raw)
    verify(note, keys)
    return checkpoint_of(note.text)


def opened(raw: bytes, origin: str, keys: Iterable[Verifier]) -> Checkpoint:
    """The checkpoint that `signed_by` finds, if it is of this log; raises `EvidenceError`."""
    checkpoint = signed_by(keys, raw)
    if checkpoint.origin != origin:
        raise EvidenceError(f"a checkpoint of the log {checkpoint.origin!r}, not of {origin!r}", code="evidence.origin")
    return checkpoint


def cosigned(note: Note, witnesses: Iterable[Verifier]) -> list[tuple[Verifier, Signature]]:
    """The cosignatures of these witnesses, all of them good, perhaps none; raises `EvidenceError` for a false one."""
    known = [witness for witness in witnesses if witness.type == COSIGNATURE]
    if not any(witness.made(signature) for witness in known for signature in note.signatures):
        return []
    return verify(note, known)


def number(said: str) -> int:
    """A size as the specifications write it: decimal, no sign, no leading zero; raises `EvidenceError`."""
    if not _NUMBER.fullmatch(said) or int(said) > MOST:
        raise EvidenceError(f"no size of a tree: {said[:30]!r}", code="evidence.malformed")
    return int(said)
