"""Receipts: the promise that goes with every 202, that the message's record will be in the tree before a deadline; signed by a door.

All messages of one transaction are promised by one signature, over the root of a small tree (`bus.log.tree`) of ``message ‖ leaf hash``.
A receipt is a text that whoever has the door's public key can check alone::

    snodo.receipt/v1                      what is signed, as a signed note (`bus.log.note`):
    message 01a2…                             snodo.receipts/v1
    leaf <base 64>                            origin, size, root, time, deadline
    index 3
    <a hash of the proof in each line>

The record says in ``receipt`` which signature is its own, so the same receipt can be given again, byte for byte.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bus.clock import moment_of, text_of
from bus.errors import EvidenceError
from bus.log import note, tree
from bus.log.note import Signer, Verifier
from bus.log.record import Record, content, record_of
from bus.message import parsed
from bus.store import Tx

HEAD, SIGNED = "snodo.receipt/v1", "snodo.receipts/v1"


class Receipt(NamedTuple):
    """What a receipt promises: the record of ``message``, with this leaf hash, is in the tree of ``origin`` before ``deadline``."""

    message: str
    leaf: bytes
    origin: str
    time: dt.datetime
    deadline: dt.datetime


class Promises:
    """Makes receipts for one door."""

    def __init__(self, signer: Signer, origin: str, seconds: float) -> None:
        self._signer, self._origin, self._within = signer, origin, dt.timedelta(seconds=seconds)

    def make(self, tx: Tx, identity: str, records: Sequence[Record]) -> list[str]:
        """Promise these ``received`` records of one transaction, which all say ``identity``; the receipts, in their order."""
        leaves = [tree.leaf_hash(content(record)) for record in records]
        entries = [_entry(str(record.message), leaf) for record, leaf in zip(records, leaves, strict=True)]
        time = min(record.time for record in records)
        node = _nodes(entries)
        root = _encoded(tree.root(len(entries), node))
        said = (SIGNED, f"origin {self._origin}", f"size {len(entries)}", f"root {root}", f"time {text_of(time)}")
        text = "".join(f"{line}\n" for line in (*said, f"deadline {text_of(time + self._within)}"))
        signed = note.Note(text, (self._signer.sign(text),)).encode()
        tx.do("add_receipt", id=identity, note=signed, leaves=b"".join(entries))
        said_by = signed.decode()
        proofs = [tree.inclusion(index, len(entries), node) for index in range(len(entries))]
        return [
            _text(str(record.message), leaf, index, proof, said_by)
            for index, (record, leaf, proof) in enumerate(zip(records, leaves, proofs, strict=True))
        ]


def of_message(tx: Tx, message: str) -> str:
    """The receipt that was given for a message, as it was; empty when none was."""
    rows = tx.all("records_of_message", message=message)
    received = next((bytes(row["content"]) for row in rows if record_of(parsed(row["content"])).kind == "received"), b"")
    identity = record_of(parsed(received)).data.get("receipt") if received else None
    row = tx.one("receipt", id=identity) if identity else None
    if row is None:
        return ""
    entries = [bytes(row["leaves"])[at : at + tree.HASH] for at in range(0, len(row["leaves"]), tree.HASH)]
    leaf = tree.leaf_hash(received)
    index = entries.index(_entry(message, leaf))
    return _text(message, leaf, index, tree.inclusion(index, len(entries), _nodes(entries)), bytes(row["note"]).decode())


def opened(text: str, keys: Iterable[Verifier]) -> Receipt:
    """What a receipt promises, when one of the keys signed it; raises `EvidenceError`."""
    head, _, signed = text.partition("\n\n")
    found = note.parse(signed.encode())
    note.verify(found, keys)
    lines, said = head.split("\n"), found.text.splitlines()
    try:
        message, leaf, index = (line.split(" ")[1] for line in lines[1:4])
        names, values = zip(*(line.split(" ") for line in said[1:]), strict=True)
        origin, size, root, time, deadline = values
        proof = [note.unbase64(line) for line in lines[4:]]
        whole = lines[:4] == [HEAD, f"message {message}", f"leaf {leaf}", f"index {int(index)}"]
        whole = whole and (said[0], names) == (SIGNED, ("origin", "size", "root", "time", "deadline"))
        entry = _entry(message, note.unbase64(leaf))
        held = tree.includes(note.unbase64(root), int(size), int(index), entry, proof)
        receipt = Receipt(message, note.unbase64(leaf), origin, moment_of(time), moment_of(deadline))
    except (ValueError, IndexError) as error:
        raise EvidenceError(f"this is no receipt: {error}", code="evidence.malformed") from error
    if not (whole and held):
        raise EvidenceError("this receipt is not the one that was signed", code="evidence.receipt")
    return receipt


def _entry(message: str, leaf: bytes) -> bytes:
    return tree.leaf_hash(f"{message}\n{_encoded(leaf)}\n".encode())


def _text(message: str, leaf: bytes, index: int, proof: Sequence[bytes], signed: str) -> str:
    return "\n".join([HEAD, f"message {message}", f"leaf {_encoded(leaf)}", f"index {index}", *map(_encoded, proof), "", signed])


def _nodes(entries: Sequence[bytes]) -> tree.Node:
    """All nodes of a small tree, each hashed once."""
    levels = [list(entries)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([tree.node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)])
    return lambda level, index: levels[level][index]


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()
