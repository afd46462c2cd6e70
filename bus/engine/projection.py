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
from bus.engine.names import Names, case_tokens, fact_tokens, names_of
from bus.errors import Erased
from bus.log import log, payload, requests
from bus.log.payload import Sealed, Text
from bus.log.record import WEAK, Record, content
from bus.message import canonical, parsed
from bus.store import Key, Keys, Row, Tx, listed

TABLES = (
    "messages", "message_keys", "intake_keys", "cases", "case_keys", "runs", "waits", "matches", "facts", "sequences", "lanes",
    "attachments", "holders", "enclosures", "erased_keys", "erasures",
)  # fmt: skip

Values = Mapping[str, Any]
"""Payloads by role, as JSON values; roles that are bytes (wire) are not looked at here."""
_NOTHING: Values = MappingProxyType({})


class Entry(NamedTuple):
    """A record about to be written, with its payloads sealed and their JSON values at hand; ``line``: its canonical bytes, once made."""

    record: Record
    payloads: tuple[Sealed, ...] = ()
    values: Values = _NOTHING
    line: bytes = b""

    def of(self, record: Record) -> Entry:
        """The same payloads with a record that says more of them; its bytes are made here."""
        return self._replace(record=record, line=content(record))


def entry(record: Record, key: Key, values: Values | None = None, wires: Sequence[Text] = ()) -> Entry:
    """Seal the payloads of a record under a key and commit the record to them; ``values`` are JSON, by role."""
    values = values or _NOTHING
    texts = [*[Text(role, canonical(value)) for role, value in values.items()], *wires]
    sealed = [payload.seal(text, key) for text in texts]
    if sealed:
        record = record._replace(payloads=tuple([one.commitment for one in sealed]))
    return Entry(record, tuple(sealed), values)


def write(tx: Tx, entry: Entry) -> None:
    """Append a record to the log and bring the projections up to it."""
    log.append(tx, entry.record, entry.payloads, entry.line)
    project(tx, entry.record, entry.values)


def write_apart(tx: Tx, record: Record, values: Values) -> None:
    """`write`, with payloads sealed under a key of their own, which is no message's."""
    write(tx, entry(record, tx.keys.fresh(), values))


def project(tx: Tx, record: Record, values: Values) -> None:
    """What one record means for the tables."""
    clause = CLAUSES.get(record.kind)
    if clause is not None:
        clause(tx, record, values)
    if "state" in record.data:
        _set_state(tx, record)


def rebuild(tx: Tx) -> None:
    """Make all projections again from the log alone. Claims from before are void, and no run passes for one that never began."""
    fence = tx.all("highest_fence")[0]["fence"] + 1
    for table in TABLES:
        tx.do(f"forget_{table}")
    for _, record in log.everything(tx):
        project(tx, record, _Stored(tx, record))
    tx.do("set_fences", fence=fence)


def protect(tx: Tx, record: Record) -> None:
    """What a record from before payloads were sealed means for the tables that came with that (`bus.protecting`)."""
    values = _Stored(tx, record)
    _remember(tx, record, values)
    if record.kind == "received":
        _add_persons(tx, record, names_of(tx.keys, record, _readable(values, "message")))
    elif record.kind in ("attached", "erasure", "erased", "disposed"):
        CLAUSES[record.kind](tx, record, values)


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
        id=record.run, state=data["state"], due=data.get("due", time), place=record.place or "", time=time, reason=data.get("code"),
    )  # fmt: skip


def _readable(values: Values, role: str) -> Any:
    """A payload's value; None when there is none, or nobody can open it any more."""
    try:
        return values.get(role)
    except Erased:
        return None


def _received(tx: Tx, record: Record, values: Values) -> None:
    _receive(tx, record, values, names_of(tx.keys, record, _readable(values, "message")))


def _receive(tx: Tx, record: Record, values: Values, names: Names) -> str:
    first = _first_case(tx, record)
    case_id = cases.add_keys(tx, first, text_of(record.time), names.case, empty=first == record.message)
    _enter(tx, record, names, case_id)
    _remember(tx, record, values)
    return case_id


def write_received(tx: Tx, entry: Entry, names: Names) -> str:
    """`write` for a ``received`` record; returns the case that the message belongs to."""
    log.append(tx, entry.record, entry.payloads, entry.line)
    return _receive(tx, entry.record, entry.values, names)


def write_new(tx: Tx, entry: Entry, names: Names) -> None:
    """`write` for a ``received`` record of which the caller knows that it begins a case of its own; reads nothing."""
    record = entry.record
    log.append(tx, record, entry.payloads, entry.line)
    assert record.message is not None
    cases.open_case(tx, record.message, text_of(record.time), names.case)
    _enter(tx, record, names, record.message)
    _remember(tx, record, entry.values)


def _enter(tx: Tx, record: Record, names: Names, case_id: str) -> None:
    """The rows of a message that was received into a case."""
    data, time = record.data, text_of(record.time)
    assert record.message is not None
    tx.do(
        "add_message",
        id=record.message, type=data["type"], sender=data["sender"], time=time, case_id=case_id, payload=record.payload("message"),
    )  # fmt: skip
    for name, value in names.case.items():
        tx.do("add_message_key", name=name, value=value, message=record.message, type=data["type"])
    for scope, key in names.intake:
        tx.do("add_intake_key", scope=scope, key=key, message=record.message, content=names.content)
    for run in data["runs"]:
        _open_run(tx, run, record.message, case_id, time)
    _add_persons(tx, record, names)


def _add_persons(tx: Tx, record: Record, names: Names) -> None:
    """The rows that say whom a message is about, and which files came with it."""
    for one in names.holders:
        tx.do("add_holder", holder=one, message=record.message)
    for file in names.files:
        tx.do("add_enclosure", file=file, message=record.message)


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


def _remember(tx: Tx, record: Record, values: Values) -> None:
    payload = record.payload("facts")
    if payload is None:
        return
    told = record.data["facts"] if "facts" in record.data else fact_tokens(tx.keys, _readable(values, "facts") or ())
    for kind, key in told:
        tx.do("set_fact", adapter=record.data.get("adapter"), kind=kind, key=key, payload=payload)


def _run_of(tx: Tx, record: Record) -> Row:
    row = tx.one("run", id=record.run)
    if row is None:
        raise KeyError(record.run)
    return row


def _joined(tx: Tx, record: Record, values: Values) -> None:
    keys = case_tokens(tx.keys, record, _readable(values, "keys"))
    cases.add_keys(tx, _run_of(tx, record)["case_id"], text_of(record.time), keys)


def _asked(tx: Tx, record: Record, values: Values) -> None:
    if record.data.get("number") is not None:
        tx.do("set_sequence", name=record.data["sequence"], value=record.data["number"])
        if record.data.get("lane"):
            tx.do("take_lane", name=record.data["sequence"], run=record.run, path=record.path)
    _remember(tx, record, values)


def _answered(tx: Tx, record: Record, values: Values) -> None:
    _remember(tx, record, values)
    _call_ended(tx, record, values)


def ends_lane(record: Record) -> bool:
    """Whether the call with the last number of an ordered lane has surely ended, so that the next one may go out."""
    ended = record.kind in ("answered", "refused", "unanswered") and "again" not in record.data
    return ended and bool(record.data.get("lane")) and not record.data.get("doubt")


def _call_ended(tx: Tx, record: Record, values: Values) -> None:
    if ends_lane(record):
        tx.do("leave_lane", run=record.run, path=record.path)


def _discarded(tx: Tx, record: Record, values: Values) -> None:
    tx.do("leave_lanes", run=record.run)
    _ended(tx, record, values)


def _decided(tx: Tx, record: Record, values: Values) -> None:
    if record.data["decision"] == "happened":
        tx.do("leave_lane", run=record.run, path=record.path)


def _waiting(tx: Tx, record: Record, values: Values) -> None:
    """A wait that is open, or one that is over (``closed``)."""
    late = record.kind == "closed"
    name, value = wait_key(tx.keys, record, values)
    tx.do(
        "add_wait",
        run=record.run, path=record.path or "", place=record.place or "", type=record.data.get("type"),
        name=name, value=value, deadline=record.data.get("deadline"), state="late" if late else "open", late=int(late),
    )  # fmt: skip


def wait_key(keys: Keys, record: Record, values: Values) -> tuple[str | None, str | None]:
    """The key that a run waits for: its name, and the token of its value; both empty for one that nobody can read any more.

    What names a person is told by the payload alone, as everything was before there were tokens.
    """
    if "key" in record.data:
        name, token = record.data["key"]
        return name, token
    if record.payload("key") is None:
        return None, None
    told = _readable(values, "key")
    return (told[0], keys.token(told[1])) if told else ("", "")


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
    file, sender, time = attached(tx.keys, record)
    tx.do("add_attachment", time=time, sender=sender, file=file, payload=record.payload("attachment"))
    if record.message is not None:  # another system gave it for that message
        tx.do("add_enclosure", file=file, message=record.message)


def attached(keys: Keys, record: Record) -> tuple[str, str, str]:
    """What the record of a file that came tells: the file's token, who sent it, and when."""
    file = record.data["file"] if "file" in record.data else keys.token(record.data["sha256"])
    return file, record.data.get("sender", record.actor), record.data.get("came", text_of(record.time))


def _requested(tx: Tx, record: Record, values: Values) -> None:
    request = str(record.payload("request"))
    name, value = requests.mark(record, log.keys_of(tx, [request]).get(request))
    tx.do("add_mark", name=name, value=value)


def _erased(tx: Tx, record: Record, values: Values) -> None:
    """What names the person goes out of the tables; matters keep the tokens by which they hang together."""
    if record.data["messages"]:
        _forget_persons(tx, record.data["messages"])
    if record.data["files"]:
        tx.do("drop_attachments", files=listed(record.data["files"]))
    for key in record.data["keys"]:
        tx.do("add_erased_key", key=key)
    for row in tx.all("all_erasures"):
        if parsed(row["value"])["key"] in record.data["keys"]:
            tx.do("drop_mark", name=row["name"])


def _forget_persons(tx: Tx, identities: Sequence[str]) -> None:
    messages, weak = listed(identities), listed(sorted(WEAK))
    tx.do("drop_weak_message_keys", messages=messages, weak=weak)
    tx.do("drop_holders", messages=messages)
    tx.do("drop_enclosures", messages=messages)
    tx.do("forget_waits_for_persons", messages=messages, weak=weak)
    tx.do("forget_facts_of", payloads=listed(log.facts_of(tx, identities)))
    tx.do("drop_weak_case_keys", cases=listed(sorted({row["case_id"] for row in tx.all("messages_by_id", messages=messages)})))


CLAUSES: Mapping[str, Callable[[Tx, Record, Values], None]] = {
    "received": _received,
    "joined": _joined,
    "asked": _asked,
    "answered": _answered,
    "polled": _answered,
    "waiting": _waiting,
    "closed": _waiting,
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
    "erasure": _requested,
    "erased": _erased,
    "disposed": _erased,
}


def fact(tx: Tx, adapter: str, kind: str, key: str) -> Any:
    """The last value of a fact, or None; also when nobody can open it any more."""
    row = tx.one("fact", adapter=adapter, kind=kind, key=tx.keys.token(key))
    try:
        found = [] if row is None else log.json_payload(tx, row["payload"])
    except Erased:
        return None
    return next((value for of, name, value in reversed(found) if (of, name) == (kind, key)), None)
