"""What a live run has decided and nobody has written yet; see `bus.engine.live`, and `bus.engine.settle` for its order in the log."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from bus.engine.arrival import Arrival
from bus.engine.asks import Await, Call
from bus.engine.projection import Entry


@dataclass(frozen=True, slots=True)
class Numbered:
    """A call that needs the next number of ``sequence`` (its full name); it is made ready inside the transaction that allocates it."""

    call: Call
    sequence: str
    attempt: int
    now: dt.datetime


@dataclass(slots=True)
class Decided:
    """Records to write, messages to send, calls to number and waits to open. False when there is nothing."""

    entries: list[Entry] = field(default_factory=list)
    outgoing: list[Arrival] = field(default_factory=list)
    numbered: list[Numbered] = field(default_factory=list)
    waits: list[Await] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.entries or self.outgoing or self.numbered or self.waits)
