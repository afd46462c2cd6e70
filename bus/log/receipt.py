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

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bus.clock import moment_of, text_of
from bus.errors import Damaged, EvidenceError
from bus.log import note, tree
from bus.log.diagnosis import octets
from bus.log.note import Signer, Verifier, in_base64
from bus.log.record import Record, record_of
from bus.store import Tx, listed

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

    def make(self, tx: Tx, identity: str, records: Sequence[tuple[Record, bytes]]) -> list[str]:
        """Promise these ``received`` records, told with their canonical bytes, of one transaction, which all say ``identity``.

        The receipts, in their order.
        """
        told = [(str(record.message), in_base64(tree.leaf_hash(line))) for record, line in records]
        entries = [_entry(message, leaf) for message, leaf in told]
        time = min(record.time for record, _ in records)
        root, proofs = _proofs(entries)
        said = (SIGNED, f"origin {self._origin}", f"size {len(entries)}", f"root {in_base64(root)}", f"time {text_of(time)}")
        text = "".join(f"{line}\n" for line in (*said, f"deadline {text_of(time + self._within)}"))
        signed = note.Note(text, (self._signer.sign(text),)).encode()
        tx.do("add_receipt", id=identity, note=signed, leaves=b"".join(entries))
        said_by = signed.decode()
        return [_text(*one, index, proof, said_by) for index, (one, proof) in enumerate(zip(told, proofs, strict=True))]


def of_message(tx: Tx, message: str) -> str:
    """The receipt that was given for a message, as it was; empty when none was. Raises `Damaged` for one that is not that any more."""
    row = tx.one("records_of_kind_among", messages=listed([message]), kind="received")
    identity = record_of(row["content"]).data.get("receipt") if row else None
    if row is None or not identity:
        return ""
    kept = tx.one("receipt", id=identity)
    leaves = octets(kept["leaves"]) if kept else b""
    entries = [leaves[at : at + tree.HASH] for at in range(0, len(leaves), tree.HASH)]
    leaf = in_base64(tree.leaf_hash(octets(row["content"])))
    if kept is None or (entry := _entry(message, leaf)) not in entries:
        sentence = f"the receipt of the message {message} does not stand in the table `receipts`, or not as it was given"
        raise Damaged(sentence, code="evidence.broken", hint="its sender has it; the log keeps the promise without it")
    index = entries.index(entry)
    return _text(message, leaf, index, _proofs(entries)[1][index], octets(kept["note"]).decode(errors="replace"))


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
        entry = _entry(message, in_base64(note.unbase64(leaf)))
        held = tree.includes(note.unbase64(root), int(size), int(index), entry, proof)
        receipt = Receipt(message, note.unbase64(leaf), origin, moment_of(time), moment_of(deadline))
    except (ValueError, IndexError) as error:
        raise EvidenceError(f"this is no receipt: {error}", code="evidence.malformed") from error
    if not (whole and held):
        raise EvidenceError("this receipt is not the one that was signed", code="evidence.receipt")
    return receipt


def _entry(message: str, leaf: str) -> bytes:
    return tree.leaf_hash(f"{message}\n{leaf}\n".encode())


def _text(message: str, leaf: str, index: int, proof: str, signed: str) -> str:
    return f"{HEAD}\nmessage {message}\nleaf {leaf}\nindex {index}\n{proof}\n{signed}"


def _proofs(entries: Sequence[bytes]) -> tuple[bytes, list[str]]:
    """The root of a small tree, and the proof of each entry as lines. Each node is hashed, and written, once."""
    if len(entries) == 1:
        return entries[0], [""]
    middle = tree.split(len(entries))
    (left, before), (right, behind) = _proofs(entries[:middle]), _proofs(entries[middle:])
    beside, other = f"{in_base64(right)}\n", f"{in_base64(left)}\n"
    return tree.node_hash(left, right), [proof + beside for proof in before] + [proof + other for proof in behind]
