"""What belongs in a bundle: the records of some messages, each with its proof, the payloads that may be seen, the rules and schemas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bus.bundle import verify
from bus.bundle.packing import File, digest_of
from bus.errors import Conflict, Damaged, Invalid, StoreError
from bus.log import keys, log, note, payload
from bus.log.diagnosis import octets
from bus.log.note import in_base64
from bus.log.record import Record, record_of
from bus.log.stored import StoredCheckpoint, StoredTree
from bus.message import canonical
from bus.replay.window import pages_of
from bus.store import Row, Store, Tx, listed

MOST = 20_000
"""Messages in one bundle."""
SOME = 25
"""Payloads that are open at the same time: one may be as large as a request."""
FAR = 100_000
"""Leaves within which a checkpoint with cosignatures is looked for."""

Leaf = tuple[int, bytes, Record | None]
"""Index, exact content and record: None for one that was changed so that nobody can read it."""


@dataclass(frozen=True)
class Gathered:
    """``leaves``: in order; ``files``: everything that is written as it is, by name.

    ``opened``: the payloads that are in it with their text, which `texts` reads; ``damaged``: how many are not, since nobody can open
    them, though no record says that they were erased. ``unruled``: files of rules that these records name, and that the database has not.
    """

    leaves: Sequence[Leaf]
    checkpoint: StoredCheckpoint
    keys: Sequence[str]
    opened: Sequence[str]
    damaged: int
    unruled: Sequence[str]
    files: Mapping[str, bytes]

    @property
    def payloads(self) -> int:
        return len(self.opened)

    @property
    def records(self) -> list[Record]:
        return [record for _, _, record in self.leaves if record is not None]


def last_record(tx: Tx, messages: Sequence[str]) -> int:
    """The number of the last record that concerns these messages; raises `Invalid` when they are too many or none."""
    if not 0 < len(messages) <= MOST:
        hint = "choose a shorter time" if messages else "choose another time: no message was accepted in this one"
        said = f"a bundle takes 1 to {MOST:,} messages, these are {'more' if messages else 'none'}"
        raise Invalid(said, code="export.size", hint=hint)
    found = [int(row["seq"]) for row in log.rows_of_messages(tx, messages)]
    if not found:
        raise log.taken_out("messages that stand in the table `messages` were accepted", "records")
    return max(found)


def taken(store: Store, messages: Sequence[str]) -> list[str]:
    """The messages of other cases that the runs of these took: awaited by a key that names a person, they joined no cases.

    Without them nobody could recompute these runs.
    """
    with store.read() as tx:
        records = [_readable(octets(row["content"])) for row in log.rows_of_messages(tx, messages)]
    return sorted({str(one.data["arrival"]) for one in records if one is not None and "arrival" in one.data} - set(messages))


def gather(tx: Tx, messages: Sequence[str], last: int, schemas: Mapping[str, Any], *, payloads: bool) -> Gathered:
    """All of it from one view, up to record ``last``, to which the log must be sealed: what came since has no place in it yet."""
    stored = StoredTree(tx)
    leaves = _leaves(tx, stored, messages, last)
    records = [record for _, _, record in leaves if record is not None]
    checkpoint, vouched = _checkpoint(tx, stored, leaves[-1][0] + 1)
    opened, damaged = _openings(tx, records) if payloads else ([], {})
    named = verify.rules_of({"kind": record.kind, "data": record.data, "rules": record.rules} for record in records)
    types = sorted({str(record.data.get("type")) for record in records if record.kind == "received"})
    files = {
        "records.jsonl": b"".join(_line(stored, checkpoint.size, index, content) for index, content, _ in leaves),
        **({verify.DAMAGED: b"".join(damaged.values())} if damaged else {}),
        **vouched,
        **_apart(tx, stored, [index for index, _, record in leaves if record is None or record.message], checkpoint.size),
        **_rules(tx, named),
        **{f"schemas/{name}.json": canonical(schemas[name]) for name in types if name in schemas},
    }
    said = list(dict.fromkeys(key for record in keys.history(tx, "checkpoints") for key in record.data["keys"]))
    return Gathered(leaves, checkpoint, said, opened, len(damaged), verify.unruled(named, files), files)


def _leaves(tx: Tx, stored: StoredTree, messages: Sequence[str], last: int) -> list[Leaf]:
    """The records of these messages, and of the rules in force meanwhile; raises `StoreError` where one has no place in the tree yet."""
    rows = {row["seq"]: octets(row["content"]) for row in log.rows_of_messages(tx, messages) if row["seq"] <= last}
    rows |= _in_force(tx, min(rows), max(rows))
    places = stored.indexes_of(rows)
    if len(places) < len(rows):
        raise StoreError("some of these records are not sealed yet", code="export.unsealed", hint="try again in a second")
    return [(places[seq], rows[seq], _readable(rows[seq])) for seq in sorted(rows)]


def _readable(content: bytes) -> Record | None:
    """None for a record that was changed: it goes into the bundle as it stands, and whoever verifies that is told."""
    try:
        return record_of(content)
    except Damaged:
        return None


def _checkpoint(tx: Tx, stored: StoredTree, least: int) -> tuple[StoredCheckpoint, dict[str, bytes]]:
    """The first checkpoint that covers so many leaves, or a later one for which others vouch; with what they said of it."""
    best = tx.one("best_anchored", size=least, until=least + FAR)
    found = stored.checkpoint_of(best["size"] if best else least)
    assert found is not None
    signed, files = note.parse(found.note), dict[str, bytes]()
    for number, anchor in enumerate(tx.all("anchors_of", size=found.size)):
        if anchor["kind"] == "witness":
            signed = signed.signed(*note.parse(octets(anchor["evidence"])).signatures)
        else:
            files |= {f"anchors/{anchor['kind']}-{number}": octets(anchor["evidence"]), "anchors/checkpoint": found.note}
    return found, {"checkpoint": signed.encode(), **files}


def _apart(tx: Tx, stored: StoredTree, leaves: Sequence[int], size: int) -> dict[str, bytes]:
    """What others say of checkpoints beside the bundle's, each with the proof that it is of the same log: stamps and numbers come rarely.

    Of each who gives them the first one that holds for all these leaves; while there is none the last one, if it holds for any.
    """
    files: dict[str, bytes] = {}
    for number, who in enumerate(row for row in tx.all("anchor_names") if row["kind"] != "witness"):
        kind, name = who["kind"], who["name"]
        anchor = tx.one("anchors_beyond", kind=kind, name=name, after=leaves[-1], most=1) or tx.one("last_anchor", kind=kind, name=name)
        at = stored.checkpoint_of(anchor["size"]) if anchor and anchor["size"] > leaves[0] else None
        if anchor is None or at is None or at.size != anchor["size"] or at.size == size:
            continue
        proof = "".join(in_base64(step) + "\n" for step in stored.consistency(*sorted((at.size, size))))
        kept = {"checkpoint": at.note, "consistency": proof.encode(), f"{kind}-{number}": octets(anchor["evidence"])}
        files |= {f"anchors/{at.size}/{what}": content for what, content in kept.items()}
    return files


def _in_force(tx: Tx, first: int, last: int) -> dict[int, bytes]:
    """The records of the rules that were in force meanwhile: the newest of the earlier ones, and those since."""
    rows = tx.all("records_of_rules", last=last)
    before = [row for row in rows if row["seq"] < first][-1:]
    return {row["seq"]: octets(row["content"]) for row in (*before, *(row for row in rows if row["seq"] >= first))}


def _line(stored: StoredTree, size: int, index: int, content: bytes) -> bytes:
    proof = [in_base64(step) for step in stored.inclusion(index, size)]
    return canonical({"index": index, "record": content.decode(errors="replace"), "proof": proof}) + b"\n"


def _openings(tx: Tx, records: Iterable[Record]) -> tuple[list[str], dict[str, bytes]]:
    """The payloads that can be opened, and those that nobody can open, with why, though nobody erased them; in the order of the records."""
    wanted = {held.id: held.role for record in records for held in record.payloads}
    rows_go = {identity for identity, role in wanted.items() if role.startswith("wire")}  # for their age, while their keys stay
    opened, damaged = list[str](), dict[str, bytes]()
    for some in pages_of(list(wanted), SOME):
        rows = tx.all("payloads_among", payloads=listed(some))
        lines, lost = log.open_all(tx, rows, [one for one in some if one not in rows_go], _opened)
        opened += (one for one in some if one in lines)
        damaged |= {one: canonical({"id": one, "why": lost[one].sentence}) + b"\n" for one in some if one in lost}
    return opened, damaged


def texts(store: Store, opened: Sequence[str]) -> Iterator[bytes]:
    """Each of these payloads with what shows that its record committed to it; those that are gone by now are left out."""
    for some in pages_of(opened, SOME):
        with store.read() as tx:
            lines, _ = log.open_all(tx, tx.all("payloads_among", payloads=listed(some)), (), _opened)
        yield b"".join(lines[one] for one in some if one in lines)


def still_readable(tx: Tx, opened: Sequence[str]) -> None:
    """Raises `Conflict` when the log says by now that one of these payloads is destroyed: nobody who was told so finds it in a bundle."""
    for some in pages_of(opened):
        there = log.keys_of(tx, some)
        keys = [key for key in there.values() if key is not None]
        if len(there) < len(set(some)) or (keys and tx.one("erased_among", keys=listed(keys))):
            sentence = "while the bundle was made, some of what is in it was erased, or destroyed for its age"
            raise Conflict(sentence, code="export.erased", hint="ask for it again: what is gone is left out then")


def _opened(tx: Tx, row: Row) -> bytes:
    """One payload with the key that opens it and no other; raises one of `UNOPENED`."""
    nonce, content = payload.committed(row["id"], row)
    number = payload.key_number(nonce)
    if number is None:
        return _opening(row["id"], row["media_type"], nonce, b"", b"", content)
    own = payload.payload_key(tx.keys.key(number), nonce)
    return _opening(row["id"], row["media_type"], nonce, content, own, payload.opened_with(own, nonce, content))


def _opening(identity: str, media_type: str, nonce: bytes, sealed: bytes, own: bytes, text: bytes) -> bytes:
    line = {"id": identity, "type": media_type, "nonce": in_base64(nonce), "sealed": in_base64(sealed), "key": in_base64(own)}
    try:
        said = {"text": text.decode()}
    except UnicodeDecodeError:
        said = {"base64": in_base64(text)}
    return canonical(line | said) + b"\n"


def _rules(tx: Tx, named: Iterable[str]) -> dict[str, bytes]:
    """The plans that records name, with the texts of their steps; the editions that were in force, file by file; those that are there."""
    files: dict[str, bytes] = {}

    def take(name: str, address: str) -> bytes | None:
        row = tx.one("rules", digest=address)
        files.update({name: octets(row["content"])} if row else {})
        return files.get(name)

    for name in sorted(named):
        _, kind, file = name.split("/")
        address = file.removesuffix(".json")
        content = take(name, address)
        if kind == "route":
            take(f"rules/text/{file}", f"text {address}")
        elif content is not None:
            for part in verify.unruled([name], files):
                take(part, part.rpartition("/")[2])
    return files


def manifest(gathered: Gathered, files: Mapping[str, File], origin: str, scope: Mapping[str, str]) -> bytes:
    """What the log is told of the bundle, by its digest: every file but itself and the seal."""
    return canonical({
        "v": 1, "origin": origin, "keys": list(gathered.keys), "size": gathered.checkpoint.size, "scope": dict(scope),
        "records": len(gathered.leaves), "payloads": gathered.payloads,
        "files": {name: digest_of(file) for name, file in files.items()},
    })  # fmt: skip
