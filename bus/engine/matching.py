"""Matching: a message and a wait for it find each other, whichever of the two comes second. Pieces of the transaction in which it does.

A wait is *open* until the first message of its type and key that came before its deadline; or it is over and *late*, and each such message
opens a run of its own. A deadline that has passed counts also while no worker is there to say so;
`expire` says it, and makes the run ready.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from bus.clock import text_of
from bus.engine.projection import Entry, write
from bus.failpoint import reach
from bus.log import log
from bus.log.record import Record
from bus.message import Message, new_id
from bus.store import Row, Tx, listed

FEW = 10
"""Messages that are looked at first, of those that a wait may be given."""


def match_arrival(tx: Tx, message: Message, case_id: str, keys: Mapping[str, str]) -> list[str]:
    """Match a new message with the waits that it fulfils, of each run one, and open a run where it comes late.

    Returns the runs to ring for. Thousands may wait for one message, and nobody else writes meanwhile: their runs are read at once.
    """
    found = list(tx.all("waits_for_case", case_id=case_id, type=message.type))
    for name, value in keys.items():
        found += tx.all("waits_for_key", type=message.type, name=name, value=value)
    now, chosen = text_of(message.time), dict[str, Row]()
    for wait in sorted(found, key=lambda row: (row["run"], row["state"] != "open", row["path"])):
        if not _passed(wait, now):
            chosen.setdefault(wait["run"], wait)
    runs = {row["id"]: row for row in tx.all("runs_that_wait", runs=listed(chosen))} if chosen else {}
    return [_match(tx, wait, runs.get(run), message.id, message.time) for run, wait in chosen.items()]


def match_joined(tx: Tx, case_id: str, now: dt.datetime, new: str = "") -> list[str]:
    """Two cases became one: match the waits of either for any message of the case with what came to the other before ``new``, which joined
    them: that one is matched with what is left (`match_arrival`).
    """
    return [run for wait in tx.all("waits_for_any", case_id=case_id) for run in take_arrived(tx, wait, now, new)]


def take_arrived(tx: Tx, wait: Row, now: dt.datetime, new: str = "") -> list[str]:
    """Match a wait with what was here before it, and before the message ``new``: an open one with the first message, one that is over with
    all; the runs to ring for.
    """
    found = (message for message in arrived(tx, wait) if message != new)
    return [match(tx, wait, message, now) for message in (found if wait["state"] == "late" else islice(found, 1))]


def arrived(tx: Tx, wait: Row, after: str = "") -> Iterator[str]:
    """The messages that were here before a wait for them and that its run was not given yet, in the order in which they came; behind one.

    What was erased or disposed of is here no more: nobody could go on with it. What only the key store lacks is: whoever goes on with it
    is a dead letter until a newer copy of the key store is there.
    """
    run = tx.one("run", id=wait["run"])
    if run is None or wait["type"] is None:
        return
    for row in _came(tx, wait, run, after):
        if row["message"] != run["message"] and not _passed(wait, row["time"]) and not log.is_erased(tx, row["message"]):
            yield row["message"]


def _came(tx: Tx, wait: Row, run: Row, after: str) -> Iterator[Row]:
    """Page by page, a small one first: thousands may have come, and an open wait takes one of them."""
    query = "arrived_for_case" if wait["name"] is None else "arrived_for_key"
    named = {"case_id": run["case_id"]} if wait["name"] is None else {"name": wait["name"], "value": wait["value"]}
    most = FEW
    while rows := tx.all(query, type=wait["type"], run=run["id"], **named, after=after, most=most):
        yield from rows
        if len(rows) < most:
            return
        after, most = rows[-1]["message"], log.PAGE


def _passed(wait: Row, time: str) -> bool:
    """Whether the deadline of a wait that is not over yet had passed when a message came."""
    return wait["state"] == "open" and wait["deadline"] is not None and wait["deadline"] < time


def match(tx: Tx, wait: Row, message: str, now: dt.datetime) -> str:
    """Give one message to one wait (its run, path, place, state); returns the run to ring for: a new one when the message is late."""
    return _match(tx, wait, tx.one("run", id=wait["run"]), message, now)


def _match(tx: Tx, wait: Row, row: Row | None, message: str, now: dt.datetime) -> str:
    """`match`, with the run that waits."""
    if row is None:
        raise log.taken_out(f"the run {wait['run']} waits for this message", "runs")
    data: dict[str, Any] = {"arrival": message, "type": wait["type"]}
    late = wait["state"] == "late"
    if late:
        step = wait["path"].removesuffix("!closed").rsplit("/", 1)[-1]
        data["opens"] = {
            "id": new_id(), "entry": f"{step} {row['id']}", "ordered": bool(row["ordered"]),
            "route": row["route"], "version": row["version"], "digest": row["digest"],
        }  # fmt: skip
    record = Record(
        new_id(), "late" if late else "matched", now, message=row["message"], run=row["id"], path=wait["path"], place=wait["place"],
        rules=row["digest"], data=data,
    )  # fmt: skip
    write(tx, Entry(record))
    return str(data["opens"]["id"] if late else row["id"])


def expire(tx: Tx, now: dt.datetime, most: int) -> list[str]:
    """Expire up to ``most`` waits whose deadlines have passed; returns the runs that are ready because of it."""
    runs = []
    for row in tx.all("waits_expired", now=text_of(now), most=most):
        record = Record(
            new_id(), "expired", now, message=row["message"], run=row["run"], place=row["place"], path=row["path"], rules=row["digest"]
        )
        write(tx, Entry(record))
        runs.append(row["run"])
    reach("timers.before-commit")
    return runs
