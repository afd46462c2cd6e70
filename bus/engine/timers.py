"""Timers: deadlines of waits. They are rows; a deadline that passed becomes a record ``expired`` and makes its run ready."""

from __future__ import annotations

import datetime as dt

from bus.clock import text_of
from bus.engine.projection import Entry, write
from bus.failpoint import reach
from bus.log.record import Record
from bus.message import new_id
from bus.store import Tx


def expire(tx: Tx, now: dt.datetime, most: int) -> list[str]:
    """Expire up to ``most`` waits; returns the runs that are ready because of it."""
    runs = []
    for row in tx.all("waits_expired", now=text_of(now), most=most):
        record = Record(
            new_id(), "expired", now, message=row["message"], run=row["run"], place=row["place"], path=row["path"], rules=row["digest"]
        )
        write(tx, Entry(record))
        runs.append(row["run"])
    reach("timers.before-commit")
    return runs
