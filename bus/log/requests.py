"""Requests of an erasure that wait for a second person. Each has a mark as long as no record tells that its key is destroyed.

Whoever takes a mark away hides a request from whoever would confirm it, and what it says of the person is never destroyed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from bus.clock import text_of
from bus.log import log
from bus.log.diagnosis import Broken, Fault
from bus.log.record import Record
from bus.message import canonical
from bus.store import Tx

PATIENCE = dt.timedelta(days=7)
"""How long a request waits for the second person; then what it says of the subject is erased too."""
HINT = "the records are as they were; a person's request is hidden, or stands where there is none. Right is the row {} = {}"


def mark(record: Record, key: int | None) -> tuple[str, str]:
    """Name and value of the mark that a record ``erasure`` makes; ``key``: the number of the key of what it says."""
    return f"erasure {record.id}", canonical({"key": key, "until": text_of(record.time + PATIENCE)}).decode()


def compare(tx: Tx, destroyed: Collection[int]) -> None:
    """Raises `Broken` for a request that waits and has no mark, or another one, and for a mark that no such request has.

    ``destroyed``: the numbers of keys that records say are destroyed.
    """
    asked = {str(record.payload("request")): record for record in log.every_of_kinds(tx, {"erasure"})}
    told = dict(mark(asked[request], key) for request, key in log.keys_of(tx, asked).items() if key not in destroyed)
    stands = {row["name"]: row["value"] for row in tx.all("all_erasures")}
    for name in sorted(told.keys() | stands.keys()):
        if told.get(name) != stands.get(name):
            sentence = f"the request of an {name} does not stand in the table `marks` as the records say"
            hint = HINT.format(name, told[name]) if name in told else "the records are as they were; no request waits under that id"
            raise Broken(Fault("table", sentence, hint=hint))
