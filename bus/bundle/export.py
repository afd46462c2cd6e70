"""Making a bundle: gather, have the log record it, wait until that is sealed, add the proof, pack."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bus.bundle import gather, summary, verify
from bus.bundle.packing import File, Packed, digest_of, measured, packed
from bus.clock import Clock
from bus.engine import reasons
from bus.engine.projection import write_apart
from bus.errors import Invalid, StoreError
from bus.log.diagnosis import of_the_bus
from bus.log.note import in_base64
from bus.log.record import Record
from bus.log.stored import StoredTree
from bus.message import new_id
from bus.replay import window
from bus.store import Store

PATIENCE = 15.0
"""Seconds to wait for the sequencer."""


class Wanted(NamedTuple):
    """What is to be exported: ``scope`` in words, its messages, who wants it and why; ``payloads``: also what was said."""

    scope: Mapping[str, str]
    messages: Sequence[str]
    actor: str
    purpose: str
    payloads: bool


def messages_of(store: Store, scope: Mapping[str, str]) -> list[str]:
    """The messages of ``case`` and those that its runs took, of ``message``, or accepted ``from``, ``to``.

    Of more than a bundle takes there are so many that it is refused.

    Raises `Invalid`, `NotFound`.
    What is asked for is kept by the log and stands in the bundle when a person is erased, so it says no codice fiscale.
    """
    for said in scope.values():
        reasons.nameless(said)
    if len(scope) == 1 and (name := scope.get("case") or scope.get("message")):
        found = window.named(store, name)[0]
        return found if "case" not in scope else [*found, *gather.taken(store, found)]
    if not scope or not set(scope) <= {"from", "to"}:
        several = f", not {' and '.join(sorted(scope))} together" if len(scope) > 1 else ""
        sentence = f"say what: a case, a message, or a time{several}"
        raise Invalid(sentence, code="export.scope", hint="one of case, message, or from and to")
    found = []
    for page in window.between(store, *window.times(scope.get("from"), scope.get("to"))):
        found += [message for message, _ in page]
        if len(found) > gather.MOST:
            break
    return found


@of_the_bus()
def export(store: Store, clock: Clock, origin: str, wanted: Wanted, schemas: Mapping[str, Any]) -> Packed:
    """The bundle; the log has recorded it. Blocks up to a second or so, and as its pieces are taken: each reads what is in it.

    Raises `Invalid`, `StoreError` (``export.unsealed``), `Conflict` (``export.erased``).
    """
    with store.read() as tx:
        last = gather.last_record(tx, wanted.messages)
    _sealed(store, last)
    with store.read() as tx:
        found = gather.gather(tx, wanted.messages, last, schemas, payloads=wanted.payloads)
    files: dict[str, File] = dict(found.files)
    files["payloads.jsonl"] = measured(lambda: gather.texts(store, found.opened))
    files["summary.html"] = summary.page(found, origin, wanted.scope)
    files["LEGGIMI-README.txt"] = summary.README.encode()
    files["verify.py"] = Path(verify.__file__).read_bytes()
    files["manifest.json"] = gather.manifest(found, files, origin, wanted.scope)
    record = _record(store, clock, wanted, digest_of(files["manifest.json"]), len(found.leaves))
    files["seal.json"] = _seal(store, record, found.checkpoint.size)
    with store.read() as tx:  # the last thing: an erasure may have been carried out since the payloads were opened
        gather.still_readable(tx, found.opened)
    return packed(files)


def _record(store: Store, clock: Clock, wanted: Wanted, manifest: str, records: int) -> Record:
    """Who took what and why is a payload: scope and purpose may name a person."""
    data = {"manifest": manifest, "records": records, "payloads": wanted.payloads}
    record = Record(new_id(), "exported", clock.now(), actor=wanted.actor, data=data)
    told = {"export": {"scope": dict(wanted.scope), "purpose": wanted.purpose}}
    store.write(lambda tx: write_apart(tx, record, told)).result()
    return record


def _seal(store: Store, record: Record, first: int) -> bytes:
    with store.read() as tx:
        [row] = tx.all("record", id=record.id)
    _sealed(store, row["seq"])
    with store.read() as tx:
        stored = StoredTree(tx)
        index = stored.index_of(row["seq"])
        assert index is not None
        newer = stored.checkpoint_of(index + 1)
        assert newer is not None
        proof, grown = stored.inclusion(index, newer.size), stored.consistency(first, newer.size)
    seal = {
        "record": bytes(row["content"]).decode(), "index": index, "checkpoint": newer.note.decode(),
        "proof": list(map(in_base64, proof)),
        "consistency": list(map(in_base64, grown)),
    }  # fmt: skip
    return json.dumps(seal, sort_keys=True, indent=1, ensure_ascii=False).encode()


def _sealed(store: Store, seq: int) -> None:
    """Wait until the record with that number has its place in the tree."""
    until = time.monotonic() + PATIENCE
    while True:
        with store.read() as tx:
            newest = StoredTree(tx).checkpoint()
        if newest is not None and newest.last >= seq:
            return
        if time.monotonic() > until:
            raise StoreError("the log is not being sealed", code="export.unsealed", hint="is a sequencer at work? see bus doctor")
        time.sleep(0.05)
