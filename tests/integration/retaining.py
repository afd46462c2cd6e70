"""What the tests of retention share: how long things are kept, what goes, and what is left of a message."""

from __future__ import annotations

import datetime as dt
from typing import Any

from bus.app import App
from bus.config import Retention
from bus.engine.destruction import Destruction
from bus.engine.retention import Kind
from bus.errors import Erased
from bus.log import log
from bus.log.verify import Trust, verify
from bus.testing.patience import until
from tests.clocks import FixedClock
from tests.integration.workshop import Workshop


def keeps(app: App, days: int, minima: dict[str, str] | None = None, **terms: Any) -> None:
    """Settings of retention, what the law wants kept at least, and a clock that is so many days on."""
    clock = FixedClock(dt.datetime.now(dt.UTC) + dt.timedelta(days=days))
    app.destruction = Destruction(Retention(**terms), minima or {}, app.store, clock, app.keys, app.attachments)


def looked(shop: Workshop, kind: Kind) -> dict[str, int]:
    """What goes (under ``""``) and what is held back, by reason."""
    counts: dict[str, int] = {}
    for one in shop.app.destruction.look(kind)["months"]:  # type: ignore[union-attr]
        counts[one["held"]] = counts.get(one["held"], 0) + one["things"]  # type: ignore[index, call-overload]
    return counts


def verified(shop: Workshop) -> int:
    """The log verifies; how many payloads it misses."""
    until(lambda: not verify(shop.app.store.read, Trust()).waiting, "everything is sealed")
    return verify(shop.app.store.read, Trust()).erased


def readable(shop: Workshop, message: str) -> bool:
    with shop.app.store.read() as tx:
        try:
            log.message(tx, message)
        except Erased:
            return False
    return True


def wires(shop: Workshop, message: str) -> list[bool]:
    """Of each piece of wire evidence of a message, whether it is there."""
    with shop.app.store.read() as tx:
        return [
            tx.one("payload", id=held.id) is not None
            for record in log.of_messages(tx, [message])
            for held in record.payloads
            if held.role.startswith("wire")
        ]
