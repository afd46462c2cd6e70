"""The roots by which records are judged, and who vouches for each: the log itself, a witness, or the auditor who holds a checkpoint."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bus.errors import EvidenceError
from bus.log import diagnosis, note
from bus.log.checkpoint import Checkpoint, checkpoint_of, cosigned
from bus.log.diagnosis import Broken, Fault, octets
from bus.log.examine import PAGE
from bus.log.note import Note, Verifier
from bus.log.stored import StoredCheckpoint
from bus.log.stretches import Read

STORED, WITNESS, HELD = range(3)
"""Who vouches for a root; of one size the log itself is asked first."""


class Root(NamedTuple):
    """A root that somebody vouches for. ``head``: what it says; of the log's own (``stored``) that is not known before it is opened."""

    size: int
    order: int
    head: Checkpoint | None
    by: str
    stored: StoredCheckpoint | None = None
    time: int = 0
    held: Note | None = None


class Span(NamedTuple):
    """A log as it is read, by its name, from a size on to another one."""

    read: Read
    origin: str
    after: int
    until: int


def roots(log: Span, witnesses: Iterable[Verifier], held: Iterable[Note]) -> Iterator[Root]:
    """All roots, the smallest first. Raises `Broken` for what is kept as cosigned, and is not."""
    known = list(witnesses)
    seen = (_cosigned(log, known, name) for name in sorted({key.name for key in known}))
    return heapq.merge(_stored(log), _held(log, held), *seen, key=lambda root: root[:2])


def _stored(log: Span) -> Iterator[Root]:
    """The log's own checkpoints, signed or not."""
    at = log.after
    while True:
        with log.read() as tx:
            rows = tx.all("checkpoints_beyond", size=at, until=log.until, most=PAGE)
        for row in rows:
            at = row["size"]
            stored = StoredCheckpoint(at, row["root"], row["last"], row["time"], row["note"])
            yield Root(at, STORED, None, "the log", stored)
        if not rows:
            return


def _cosigned(log: Span, witnesses: list[Verifier], name: str) -> Iterator[Root]:
    """Checkpoints that carry a cosignature of a witness whom the auditor trusts."""
    for size, evidence in anchors(log.read, "witness", name, log.after):
        yield from cosignatures(evidence, size, log.origin, witnesses)


def cosignatures(evidence: bytes, size: int, origin: str, witnesses: Iterable[Verifier]) -> Iterator[Root]:
    """What trusted witnesses say in one of these; raises `Broken` for what is not of this log and size."""
    try:
        found = note.parse(evidence)
        head, made = checkpoint_of(found.text), cosigned(found, witnesses)
    except EvidenceError as error:
        raise Broken(Fault("cosignature", f"the cosigned checkpoint of {size:,} records: {error.sentence}")) from error
    if not made or (head.origin, head.size) != (origin, size):
        raise Broken(diagnosis.not_cosigned(found, size, head, origin))
    for key, signature in made:
        yield Root(size, WITNESS, head, key.name, time=signature.time)


def _held(log: Span, notes: Iterable[Note]) -> Iterator[Root]:
    """What the auditor holds, the smallest first."""
    heads = ((checkpoint_of(held.text), held) for held in notes)
    for head, held in sorted(heads, key=lambda one: one[0].size):
        if head.size >= log.after:
            yield Root(head.size, HELD, head, "you hold", held=held)


def anchors(read: Read, kind: str, name: str, after: int) -> Iterator[tuple[int, bytes]]:
    """What somebody said of checkpoints beyond a size, with the size of each, in order."""
    while True:
        with read() as tx:
            rows = tx.all("anchors_beyond", kind=kind, name=name, after=after, most=PAGE)
        if not rows:
            return
        for row in rows:
            after = row["size"]
            yield after, octets(row["evidence"])
