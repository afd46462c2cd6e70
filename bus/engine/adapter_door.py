"""What an adapter's endpoint or poller is given: the way in for what its system sends us, and what the log knows of that system."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from bus.adapter import Delivery, Fact, Wire
from bus.clock import Clock
from bus.engine.arrival import Submission
from bus.engine.intake import Accepted
from bus.engine.outside import wire_texts
from bus.engine.projection import entry, fact, write
from bus.log import log
from bus.log.record import Record
from bus.message import JsonObject, JsonValue, new_id
from bus.store import Store, Tx


class AdapterDoor:
    """Implements `bus.adapter.Door` for one adapter. ``send``: see `bus.engine.intake.Intake.send`."""

    def __init__(self, adapter: str, store: Store, clock: Clock, send: Callable[[Submission], Future[Accepted]]) -> None:
        self._adapter, self._store, self._clock, self._send = adapter, store, clock, send

    def accept(
        self, type: str, body: JsonObject, *, key: str, subject: str | None = None, facts: Sequence[Fact] = (),
        expect: Mapping[tuple[str, str], JsonValue] | None = None, exchanges: Sequence[Wire] = (),
    ) -> Delivery:  # fmt: skip
        submission = Submission(
            type=type, body=body, sender=self._adapter, source=f"/adapters/{self._adapter}", subject=subject, key=key,
            adapter=self._adapter,
            facts=tuple((f.kind, f.key, f.value) for f in facts), expect=dict(expect or {}),
            wires=wire_texts(exchanges),
        )  # fmt: skip
        accepted = self._send(submission).result()
        return Delivery(accepted.id, accepted.repeated)

    def served(
        self, operation: str, outcome: str, *, request: JsonObject, answer: JsonObject, exchanges: Sequence[Wire] = (),
        about: tuple[str, str] | None = None,
    ) -> None:  # fmt: skip
        data = {"adapter": self._adapter, "operation": operation, "outcome": outcome}

        def work(tx: Tx) -> None:
            known = None if about is None else tx.one("fact", adapter=self._adapter, kind=about[0], key=tx.keys.token(about[1]))
            key = tx.keys.fresh() if known is None else log.key_of_payload(tx, known["payload"])
            record = Record(new_id(), "served", self._clock.now(), data=data)
            write(tx, entry(record, key, {"request": request, "answer": answer}, wire_texts(exchanges)))

        self._store.write(work).result()

    def fact(self, kind: str, key: str) -> Any:
        with self._store.read() as tx:
            return fact(tx, self._adapter, kind, key)

    def now(self) -> dt.datetime:
        return self._clock.now()
