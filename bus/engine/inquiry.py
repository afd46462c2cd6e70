"""Inquiry: what doors may ask of the memory. Read only; every function takes a transaction of `Store.read`.

Answers are plain JSON objects with stable names; the API's OpenAPI document and the CLI's ``--json`` show them as they are.
Bodies are not in them, except where a caller asks for a message of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any, TypeAlias

from bus.engine import cases
from bus.errors import UNOPENED, Conflict, Erased, Invalid, NotFound
from bus.log import log
from bus.log.record import WEAK, Record, as_line
from bus.log.waits import OPENS
from bus.message import JsonObject, JsonValue
from bus.store import Row, Tx, listed

MOST_RECORDS = 1000
"""Records of a page of a case."""
Numbered: TypeAlias = list[tuple[int, Record]]


def unknown_message() -> NotFound:
    """The error that says there is no such message; also for whoever may not learn that there is one."""
    return NotFound("there is no such message", code="message.unknown", hint="the id is in the 202 that accepted it")


def unknown_case() -> NotFound:
    """The error that says there is no such case; also for whoever may not learn that there is one."""
    return NotFound(
        "no case is known by that key", code="case.unknown", hint="a key is a value or name:value, e.g. protocollo:2026/0000123"
    )


def known_run(tx: Tx, identity: str) -> Row:
    """The row of a run. Raises `NotFound`."""
    row = tx.one("run", id=identity)
    if row is None:
        raise NotFound("there is no such run", code="run.unknown", hint="bus runs shows them")
    return row


def message(tx: Tx, identity: str, now: str, *, said: bool = True) -> JsonObject:
    """State of a message: its runs; what was said is opened only if asked for (the reply if there is one).

    Raises `NotFound`, of one that was taken out of the table `Damaged`, and of a reply that nobody can open `Erased` or `StoreError`.
    """
    row = tx.one("message", id=identity)
    if row is None:
        accepted = tx.one("records_of_kind_among", messages=listed([identity]), kind="received")
        raise log.taken_out(f"the message {identity} was accepted", "messages") if accepted else unknown_message()
    runs: list[Any] = [run_row(run, now) for run in tx.all("runs_of_message", message=identity)]
    answer: JsonObject = {
        **message_row(row), "correlationid": _correlation(tx, row["id"]) if said else None,
        "state": state_of([run["state"] for run in runs]), "runs": runs, "reply": None,
    }  # fmt: skip
    if not runs:
        answer["woke"] = [woken["id"] for woken in tx.all("runs_woken_by", message=identity)]
    if said:
        answer["reply"] = reply(tx, row["reply"])
    return answer


def reply(tx: Tx, payload: str | None) -> JsonValue:
    """What was replied to a message, if anything was. Raises `StoreError`, and `Erased` only for what a record says is erased:
    whoever waits for it must not be told that it is gone for good.
    """
    if payload is None:
        return None
    try:
        found: JsonValue = log.json_payload(tx, payload)
    except Erased as erased:
        raise log.untold(tx, {payload: None}).get(payload, erased) from None
    return found


def _correlation(tx: Tx, identity: str) -> str | None:
    """What its sender calls the matter; None when nobody can open the message."""
    try:
        return str(log.message(tx, identity)[0]["envelope"].get("correlationid", identity))
    except UNOPENED:
        return None


def message_row(row: Row) -> JsonObject:
    """One message as everybody sees it."""
    return {name: row[name] for name in ("id", "type", "time", "sender")}


def run_row(row: Row, now: str) -> JsonObject:
    """One run as everybody sees it; `due` is when one that is ready goes on by itself, of no other."""
    held = row["owner"] is not None and row["lease"] is not None and row["lease"] >= now
    state = "running" if row["state"] == "ready" and held else row["state"]
    due = row["due"] if state == "ready" else None
    return {
        "id": row["id"], "message": row["message"], "route": row["route"], "version": row["version"], "state": state,
        "place": row["place"], "reason": row["reason"], "due": due, "opened": row["opened"], "changed": row["changed"],
    }  # fmt: skip


_HELD = {None: "", True: "yes", False: "no"}
_STATES = ("ready", "dead", "waiting", "done", "cancelled")
"""In which runs are stored."""


def runs(
    tx: Tx, now: str, state: str | None = None, route: str | None = None, most: int = 50, held: bool | None = None
) -> list[JsonObject]:  # fmt: skip
    """The newest runs first; of those that are ready, with ``held``, only what somebody has now (True) or has not (False)."""
    states = (state,) if state is not None or route is None else _STATES
    asked = {"route": route, "most": most, "held": _HELD[held], "now": now}
    found = [row for one in states for row in tx.all(_by_index(one, route), state=one, **asked)]
    return [run_row(row, now) for row in sorted(found, key=itemgetter("id"), reverse=True)[:most]]


def _by_index(state: str | None, route: str | None) -> str:
    """The query that reads no more than it shows, or all that are ready or dead: a route may have few runs among all there ever were."""
    if state in ("ready", "dead"):
        return "runs_ready_or_dead"
    if state is not None and route is not None:
        return "runs_of_route"
    return "runs_waiting_or_cancelled" if state in ("waiting", "cancelled") else "runs_by_state"


def run(tx: Tx, identity: str, now: str, *, after: int = 0, most: int = MOST_RECORDS) -> JsonObject:
    """A page of a run: at most so many records of its journal behind a number, where to go on, the waits that these records tell of, and
    those that are open. Raises `NotFound`.

    A call that is repeated for weeks leaves tens of thousands of records, a gather as many waits.
    """
    row = known_run(tx, identity)
    page, end = log.page_of(tx, "run", identity, after, most)
    told = sorted({str(record.path) for _, record in page if record.kind in OPENS})
    waits: list[Any] = [
        {name: wait[name] for name in ("path", "type", "deadline", "state")}
        for wait in tx.all("waits_to_show", run=identity, paths=listed(told))
    ]
    return {**run_row(row, now), "waits": waits, "journal": [as_line(record) for _, record in page], "next": end}


def case_of(tx: Tx, key: str) -> str:
    """The case known by ``value`` or ``name:value``. Raises `NotFound`; `Conflict` when several are."""
    found = cases.known_by(tx, key)
    if any(row["name"] in WEAK for row in found) or key.partition(":")[0] in WEAK:
        raise Invalid(
            "a case is not looked up by what names a person", code="case.weak-key", hint="use the practice, protocol or notice number"
        )
    known = sorted({row["case_id"] for row in found})
    if not known:
        raise unknown_case()
    if len(known) > 1:
        names = ", ".join(sorted({row["name"] for row in found}))
        raise Conflict(f"{len(known)} cases are known by that value", code="case.ambiguous", hint=f"say which key: {names}")
    return str(known[0])


def case(tx: Tx, key: str, now: str, *, sender: str | None = None, after: int = 0, most: int = MOST_RECORDS) -> JsonObject:
    """A page of a case: at most so many records behind a number, the keys, messages and runs that they tell of, and where to go on.

    ``state`` is that of the whole. Raises `NotFound`, also where no message of the case is of ``sender``.
    """
    identity = case_of(tx, key)
    if sender is not None and tx.one("sends_in_case", case_id=identity, sender=sender) is None:
        raise unknown_case()
    page, end = log.page_of(tx, "case", identity, after, most)
    records = [record for _, record in page]
    begun = [record for record in records if record.kind == "received"]
    told = sorted([*page, *_losses(tx, identity, page, after, end)], key=lambda one: one[0])
    return {
        "case": identity,
        "state": state_of([row["state"] for row in tx.all("states_of_case", case_id=identity, now=now)]),
        "keys": [{"name": name, "value": value} for name, value in _keys(tx, records)],
        "messages": [message_row(row) for row in tx.all("messages_by_id", messages=listed(str(one.message) for one in begun))],
        "runs": [run_row(row, now) for row in _runs_of(tx, begun)],
        "timeline": [as_line(record) for _, record in told],
        "next": end,
    }


def _runs_of(tx: Tx, begun: list[Record]) -> list[Row]:
    """The runs that began with some messages, by their ``received`` records."""
    runs: list[Any] = [run for record in begun for run in record.data["runs"]]
    return sorted(tx.all("runs_among", runs=listed(str(run["id"]) for run in runs)), key=lambda row: str(row["id"]))


def _losses(tx: Tx, identity: str, page: Numbered, after: int, end: int | None) -> Iterator[tuple[int, Record]]:
    """Records that say why something of a case cannot be read any more, up to the ``end`` of a page of it. Where that is the whole case
    they are looked for only if something cannot.
    """
    if not page or (not after and end is None and not _lacks(tx, page)):
        return
    members = {row["id"] for row in tx.all("messages_of_case", case_id=identity)}
    for number, record in log.of_kinds_between(tx, {"erased", "disposed"}, after or page[0][0], end):
        if named := members.intersection((*record.data["messages"], *record.data.get("wires", ()))):
            yield number, _only(record, named)


def _lacks(tx: Tx, page: Numbered) -> bool:
    """Whether something that was said cannot be opened any more."""
    told = {held.id for _, record in page for held in record.payloads if held.role == "message" or held.role.startswith("wire")}
    numbers = log.keys_of(tx, sorted(told))
    return len(numbers) < len(told) or bool(log.destroyed(tx, numbers.values()))


def _only(record: Record, messages: set[str]) -> Record:
    """A record about many messages as it concerns some of them; the whole of it is in the log."""
    return record._replace(
        data={
            name: [one for one in value if one in messages] if name in ("messages", "wires") else value
            for name, value in record.data.items()
            if name not in ("keys", "files", "records")
        }
    )


def _keys(tx: Tx, records: list[Record]) -> list[tuple[str, str]]:
    """The strong keys that a case's records tell, as far as they can be opened."""
    found: set[tuple[str, str]] = set()
    for record in records:
        role = {"received": "message", "joined": "keys"}.get(record.kind)
        if role is not None:
            try:
                told = log.json_payload(tx, str(record.payload(role)))
            except UNOPENED:
                continue
            found.update((told["keys"]["case"] if role == "message" else told).items())
    return sorted((name, value) for name, value in found if name not in WEAK)


def records(tx: Tx, what: log.Owner, key: str, after: int, most: int) -> JsonObject:
    """A page of the ``records`` of one message, run or case, in order, and the ``next``. Raises `NotFound`."""
    page, end = log.page_of(tx, what, case_of(tx, key) if what == "case" else key, after, most)
    if not page and not after:
        raise NotFound(
            f"the log has no record of that {what}", code="log.unknown", hint="ids are in the answers of the API and in bus runs"
        )
    return {"records": [as_line(record) for _, record in page], "next": end}


def state_of(states: list[str]) -> str:
    """The state that matters most among several runs."""
    for state in ("dead", "running", "ready", "waiting", "done", "cancelled"):
        if state in states:
            return state
    return "accepted"
