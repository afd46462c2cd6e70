"""What a witness does with a checkpoint: look who signed it, see that it only adds to the last one, remember it, cosign it.

The checks are those of c2sp.org/tlog-witness, in this order, each with its HTTP status: 400 not in the form, 404 a log that we do not know,
403 no good signature, 400 older than what it claims to follow, 409 not after our last one, 422 it does not follow from it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bus.errors import EvidenceError
from bus.log import note as notes
from bus.log import tree
from bus.log.checkpoint import Checkpoint, checkpoint_of, number
from bus.log.note import Note, Signature, Signer, Verifier
from bus.witness.memory import Memory

MOST_PROOF = 63
"""Lines of a proof."""
MOST_BYTES = 262_144
"""The length of a request at most: sixteen signatures that withstand quantum computers fit in."""
SIZE = "text/x.tlog.size"


class Refusal(Exception):
    """Why a checkpoint is not cosigned, with the HTTP status."""

    def __init__(self, status: int, sentence: str, media_type: str = "text/plain; charset=utf-8") -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.media_type = status, sentence, media_type


class Request(NamedTuple):
    """``old``: the size of the checkpoint that the new one claims to follow."""

    old: int
    proof: tuple[bytes, ...]
    note: Note


class Witness:
    """One key and the logs it watches: ``logs`` gives the public keys of each by its origin. Safe to call from any thread."""

    def __init__(self, signer: Signer, logs: Mapping[str, Sequence[Verifier]], memory: Memory, now: Callable[[], float]) -> None:
        self._signer, self._logs, self._memory, self._now = signer, logs, memory, now
        self._one_at_a_time = threading.Lock()

    def add(self, body: bytes) -> Signature:
        """The cosignature for what ``POST /add-checkpoint`` brings; raises `Refusal`, or OSError when it cannot be remembered."""
        asked = request_of(body)
        signed = self._signed(asked.note)
        new = _head(asked.note)
        if asked.old > new.size:
            raise Refusal(400, f"the old size {asked.old} is beyond the new one, {new.size}\n")
        with self._one_at_a_time:
            self._judge(asked, new)
            cosignature = self._signer.sign(asked.note.text, int(self._now()))
            self._memory.keep(new.origin, Note(asked.note.text, (*signed, cosignature)))
        return cosignature

    def last(self, origin: str) -> Note | None:
        """The last checkpoint of a log that was cosigned."""
        return self._memory.last(origin)

    @property
    def origins(self) -> list[str]:
        return list(self._logs)

    def _signed(self, note: Note) -> tuple[Signature, ...]:
        """The signatures of the log's own keys."""
        origin = note.text.partition("\n")[0]
        if origin not in self._logs:
            raise Refusal(404, f"we do not witness the log {origin[:200]!r}\n")
        try:
            return tuple(signature for _, signature in notes.verify(note, self._logs[origin]))
        except EvidenceError as error:
            raise Refusal(403, f"{error.sentence}\n") from error

    def _judge(self, asked: Request, new: Checkpoint) -> None:
        """Whether the new checkpoint follows from the last one; raises `Refusal`."""
        note = self._memory.last(new.origin)
        last = Checkpoint(new.origin, 0, tree.EMPTY) if note is None else checkpoint_of(note.text)
        if asked.old != last.size:
            raise Refusal(409, f"{last.size}\n", SIZE)
        if not tree.extends(last.root, last.size, new.root, new.size, asked.proof):
            raise Refusal(422, f"the tree of {new.size} does not follow from the one of {last.size} that we cosigned\n")


def request_of(body: bytes) -> Request:
    """The parts of a request; raises `Refusal` (400)."""
    head, empty_line, checkpoint = body.partition(b"\n\n")
    try:
        old, *proof = head.decode("ascii").split("\n")
        if not (old.startswith("old ") and empty_line):
            raise Refusal(400, "a request is a line `old SIZE`, the lines of a proof, an empty line and a checkpoint\n")
        if len(proof) > MOST_PROOF:
            raise Refusal(400, f"a proof of {len(proof)} lines; the limit is {MOST_PROOF}\n")
        hashes = tuple(map(notes.unbase64, proof))
        if any(len(one) != tree.HASH for one in hashes):
            raise Refusal(400, f"a line of a proof is one hash of {tree.HASH} bytes\n")
        return Request(number(old.removeprefix("old ")), hashes, notes.parse(checkpoint))
    except (EvidenceError, UnicodeDecodeError) as error:
        raise Refusal(400, f"{error.sentence if isinstance(error, EvidenceError) else 'the proof is not ASCII'}\n") from error


def _head(note: Note) -> Checkpoint:
    try:
        return checkpoint_of(note.text)
    except EvidenceError as error:
        raise Refusal(400, f"{error.sentence}\n") from error
