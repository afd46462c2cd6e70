"""Accesses: records of who looked at what, and why."""

from __future__ import annotations

from bus.clock import Clock
from bus.engine.projection import entry, write
from bus.errors import Invalid
from bus.log.record import Record
from bus.message import JsonObject, new_id
from bus.store import Tx


def announce_replay(tx: Tx, actor: str, purpose: str, scope: JsonObject, clock: Clock) -> str:
    """Write who recomputes what, and why; returns the id of the record. A key of a case is said in the payload, not in the record."""
    if not purpose.strip():
        raise Invalid("say why: the log keeps the purpose", code="replay.purpose-missing", hint="--purpose '…'")
    what = str(scope.get("what", ""))
    run, message = tx.one("run", id=what), tx.one("message", id=what)
    record = Record(
        new_id(), "replayed", clock.now(), actor=actor, message=run["message"] if run else message["id"] if message else None,
        data={"scope": "run" if run else "message" if message else "case" if what else "time"},
    )  # fmt: skip
    made = entry(record, tx.keys.fresh(), {"purpose": {"text": purpose, **scope}})
    write(tx, made)
    return made.record.id
