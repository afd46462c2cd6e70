"""Projections: every table but the log itself, derived from records. One clause per kind of record.

`write` is the only way a record gets into the log: it appends and projects in one transaction. `rebuild` throws the projections
away and makes them again from the log; a test compares. Leases are not projected: they die with their owner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from bus.clock import text_of
from bus.engine import cases
from bus.log import log, payload
from bus.log.payload import Sealed
from bus.log.record import Record
from bus.message import canonical, parsed
from bus.store import Row, Tx

TABLES = (
    "messages", "message_keys", "intake_keys", "cases", "case_keys", "runs", "waits", "matches", "facts", "sequences", "lanes",
    "attachments",
)  # fmt: skip

Values = Mapping[str, Any]
"""Payloads by role, as JSON values; roles that are bytes (wire) are not looked at here."""
_NOTHING: Values = MappingProxyType({})


class Entry(NamedTuple):
    """A record about to be written, with its payloads sealed and their JSON values at hand."""

    record: Record
    payloads: tuple[Sealed, ...] = ()
    values: Values = _NOTHING


def entry(record: Record, values: Values | None = None, wires: Sequence[Sealed] = ()) -> Entry:
    """Seal the JSON payloads of a record and commit the record to them."""
    values = values or _NOTHING
    sealed = [*[payload.seal_json(role, value) for role, value in values.items()], *wires]
    if sealed:
        record = record.committed_to(tuple([one.commitment for one in sealed]))
    return Entry(record, tuple(sealed), values)


def write(tx: Tx, entry: Entry) -> None:
    """Append a record to the log and bring the projections up to it."""
    log.append(tx, entry.record, entry.payloads)
    project(tx, entry.record, entry.values)


def project(tx: Tx, record: Record, values: Values) -> None:
    """What one record means for the tables."""
    clause = CLAUSES.get(record.kind)
    if clause is not None:
        clause(tx, record, values)
    if "state" in record.data:
        _set_state(tx, record)


def rebuild(tx: Tx) -> None:
    """Make all projections again from the log alone. Claims of before are void, and no run passes for one that never began."""
    fence = tx.one("highest_fence")["fence"] + 1  # type: ignore[index]
    for table in TABLES:
        tx.do(f"forget_{table}")
    for _, record in log.everything(tx):
        project(tx, record, _Stored(tx, record))
    tx.do("set_fences", fence=fence)


def snapshot(tx: Tx) -> dict[str, list[dict[str, Any]]]:
    """All projections as plain rows, for comparing."""
    return {table: [dict(row) for row in tx.all(f"all_{table}")] for table in TABLES}


class _Stored(dict[str, Any]):
    """Payload values read from the store when asked for."""

    def __init__(self, tx: Tx, record: Record) -> None:
        super().__init__()
        self._tx, self._record = tx, record

    def __missing__(self, role: str) -> Any:
        identity = self._record.payload(role)
        if identity is None:
            raise KeyError(role)
        self[role] = value = log.json_payload(self._tx, identity)
        return value

    def get(self, role: str, default: Any = None) -> Any:
        return self[role] if self._record.payload(role) is not None else default


def _set_state(tx: Tx, record: Record) -> None:
    data, time = record.data, text_of(record.time)
    tx.do(
        "set_run",
        id=record.run,
        state=data["state"],
        due=data.get("due", time),
        place=record.place or "",
        time=time,
        reason=data.get("code"),
    )


def _received(tx: Tx, record: Record, values: Values) -> None:
    _receive(tx, record, values)


def _receive(tx: Tx, record: Record, values: Values) -> str:
    first = _first_case(tx, record)
    case_id = cases.settle_keys(tx, first, text_of(record.time), values["message"]["keys"]["case"], empty=first == record.message)
    _enter(tx, record, values, case_id)
    return case_id


def write_received(tx: Tx, entry: Entry) -> str:
    """`write` for a ``received`` record; returns the case that the message belongs to."""
    log.append(tx, entry.record, entry.payloads)
    return _receive(tx, entry.record, entry.values)


def write_new(tx: Tx, entry: Entry) -> None:
    """`write` for a ``received`` record of which the caller knows that it begins a case of its own; reads nothing."""
    record, values = entry.record, entry.values
    log.append(tx, record, entry.payloads)
    assert record.message is not None
    cases.open_case(tx, record.message, text_of(record.time), values["message"]["keys"]["case"])
    _enter(tx, record, values, record.message)


def _enter(tx: Tx, record: Record, values: Values, case_id: str) -> None:
    """The rows of a message that was received into a case."""
    data, time = record.data, text_of(record.time)
    envelope, keys = values["message"]["envelope"], values["message"]["keys"]
    assert record.message is not None
    tx.do(
        "add_message",
        id=record.message, type=data["type"], sender=data["sender"], time=time, correlation=envelope["correlationid"],
        causation=envelope.get("causationid"), case_id=case_id, payload=record.payload("message"),
    )  # fmt: skip
    for name, value in keys["case"].items():
        tx.do("add_message_key", name=name, value=value, message=record.message, type=data["type"])
    for scope, key in keys["intake"]:
        tx.do("add_intake_key", scope=scope, key=key, message=record.message, content=keys["content"])
    for run in data["runs"]:
        _open_run(tx, run, record.message, case_id, time)
    _remember(tx, data.get("adapter"), values)


def _first_case(tx: Tx, record: Record) -> str:
    """A message sent by a run belongs to the run's case; another one to its own until its keys say more."""
    parent = record.data.get("parent")
    row = tx.one("run", id=parent) if parent else None
    return str(row["case_id"] if row else record.message)


def _open_run(tx: Tx, run: Mapping[str, Any], message: str, case_id: str, time: str) -> None:
    tx.do(
        "add_run",
        id=run["id"], message=message, route=run["route"], version=run["version"], digest=run["digest"], entry=run.get("entry", ""),
        ordered=int(run.get("ordered", True)), case_id=case_id, place=f"{run['route']}@{run['version']}", time=time,
    )  # fmt: skip


def _remember(tx: Tx, adapter: str | None, values: Values) -> None:
    for kind, key, value in values.get("facts") or ():
        tx.do("set_fact", adapter=adapter, kind=kind, key=key, value=canonical(value))


def _run_of(tx: Tx, record: Record) -> Row:
    row = tx.one("run", id=record.run)
    if row is None:
        raise KeyError(record.run)
    return row


def _joined(tx: Tx, record: Record, values: Values) -> None:
    cases.settle_keys(tx, _run_of(tx, record)["case_id"], text_of(record.time), values["keys"])


def _asked(tx: Tx, record: Record, values: Values) -> None:
    if record.data.get("number") is not None:
        tx.do("set_sequence", name=record.data["sequence"], value=record.data["number"])
        if record.data.get("lane"):
            tx.do("take_lane", name=record.data["sequence"], run=record.run, path=record.path)
    _remember(tx, record.data.get("adapter"), values)


def _answered(tx: Tx, record: Record, values: Values) -> None:
    _remember(tx, record.data.get("adapter"), values)
    _call_ended(tx, record, values)


def _call_ended(tx: Tx, record: Record, values: Values) -> None:
    """The next number of an ordered lane may go out when this one's call has surely ended."""
    if record.data.get("lane") and "again" not in record.data and not record.data.get("doubt"):
        tx.do("leave_lane", run=record.run, path=record.path)


def _discarded(tx: Tx, record: Record, values: Values) -> None:
    tx.do("leave_lanes", run=record.run)
    _ended(tx, record, values)


def _decided(tx: Tx, record: Record, values: Values) -> None:
    if record.data["decision"] == "happened":
        tx.do("leave_lane", run=record.run, path=record.path)


def _waiting(tx: Tx, record: Record, values: Values) -> None:
    _add_wait(tx, record, values, record.path or "", "open")


def _closed(tx: Tx, record: Record, values: Values) -> None:
    _add_wait(tx, record, values, record.path or "", "late")


def _add_wait(tx: Tx, record: Record, values: Values, path: str, state: str) -> None:
    name, value = values["key"] if values.get("key") else (None, None)
    tx.do(
        "add_wait",
        run=record.run, path=path, place=record.place or "", type=record.data.get("type"),
        name=name, value=value, deadline=record.data.get("deadline"), state=state, late=int(state == "late"),
    )  # fmt: skip


def _matched(tx: Tx, record: Record, values: Values) -> None:
    tx.do("close_wait", run=record.run, path=record.path, state="matched")
    tx.do("add_match", run=record.run, message=record.data["arrival"])
    tx.do("wake_run", id=record.run, time=text_of(record.time))


def _expired(tx: Tx, record: Record, values: Values) -> None:
    tx.do("close_wait", run=record.run, path=record.path, state="expired")
    tx.do("wake_run", id=record.run, time=text_of(record.time))


def _late(tx: Tx, record: Record, values: Values) -> None:
    tx.do("add_match", run=record.run, message=record.data["arrival"])
    _open_run(tx, record.data["opens"], record.data["arrival"], _run_of(tx, record)["case_id"], text_of(record.time))


def _replied(tx: Tx, record: Record, values: Values) -> None:
    tx.do("set_reply", id=record.message, reply=record.payload("reply"))


def _ended(tx: Tx, record: Record, values: Values) -> None:
    tx.do("close_waits", run=record.run)


def _redelivered(tx: Tx, record: Record, values: Values) -> None:
    if "version" in record.data:
        tx.do("rule_run", id=record.run, digest=record.rules, version=record.data["version"])


def _attached(tx: Tx, record: Record, values: Values) -> None:
    file = values["attachment"]
    tx.do(
        "add_attachment", time=text_of(record.time), sender=record.actor, **{k: file[k] for k in ("sha256", "size", "media_type", "name")}
    )


CLAUSES: Mapping[str, Callable[[Tx, Record, Values], None]] = {
    "received": _received,
    "joined": _joined,
    "asked": _asked,
    "answered": _answered,
    "polled": _answered,
    "waiting": _waiting,
    "closed": _closed,
    "matched": _matched,
    "expired": _expired,
    "late": _late,
    "replied": _replied,
    "done": _ended,
    "dead": _ended,
    "discarded": _discarded,
    "decided": _decided,
    "refused": _call_ended,
    "unanswered": _call_ended,
    "redelivered": _redelivered,
    "attached": _attached,
}


def fact(tx: Tx, adapter: str, kind: str, key: str) -> Any:
    """The last value of a fact, or None."""
    row = tx.one("fact", adapter=adapter, kind=kind, key=key)
    return None if row is None else parsed(row["value"])
