"""The judge of the simulation: reads the ledger, the log and the tables, and says what promise was broken. Empty: none was."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Any

from bus.clock import text_of
from bus.copying import rows_of
from bus.engine import projection
from bus.engine.intake import Accepted
from bus.log import log, payload
from bus.log.record import Record
from bus.store import Row, Tx
from tests.projections import snapshot
from tests.simulation.system import Effect, Sistema, edition_of


def faults(tx: Tx, now: str, ledger: Sequence[Effect], accepted: Sequence[Accepted]) -> list[str]:
    """Everything that must hold when nothing moves any more."""
    numbered = list(log.everything(tx))
    records = [record for _, record in numbered]
    return [
        *_numbers([seq for seq, _ in numbered]),
        *log_faults(tx, records),
        *_lost(tx, accepted),
        *_rest(tx, now, records),
        *_waits(tx),
        *_doubles(ledger, records),
        *_lane(ledger),
        *_order(tx, records),
        *_unseen(tx, records),
        *_not_done(records, ledger),
        *_disowned(records),
        *_not_undone(tx, records, ledger),
        *_twice(records),
        *_editions(records, ledger),
    ]


def summary(tx: Tx, ledger: Sequence[Effect], name: Callable[[str], str]) -> str:
    """All that happened, as one line that differs when anything of it differs; ids by their short names."""
    told = sha256()
    records = [record for _, record in log.everything(tx)]
    for record in records:
        who = [name(identity) for identity in (record.message, record.run) if identity]
        told.update(repr((record.kind, text_of(record.time), who, record.path, record.place, record.attempt, record.rules)).encode())
    for effect in ledger:
        told.update(repr((effect.operation, effect.chi, effect.number, effect.edition)).encode())
    return f"{len(records)} records, {len(ledger)} effects, {told.hexdigest()[:32]}"


def ripe(tx: Tx, now: str) -> bool:
    """Whether there is something for a sweeper to find: a run that can be claimed, or a deadline that has passed."""
    return bool(
        tx.all("runs_to_ring", now=now, since="", most=1, suspects=1, long="[]", firsts="[]") or tx.all("waits_expired", now=now, most=1)
    )


def rebuilt(tx: Tx) -> list[str]:
    """The tables against those that the log alone makes, and that stand there from now on."""
    before = snapshot(tx)
    projection.rebuild(tx)
    after = snapshot(tx)
    return [
        f"table {name} differs from the log: {_difference(before[name], after[name])}" for name in before if before[name] != after[name]
    ]


def _difference(before: list[dict[str, object]], after: list[dict[str, object]]) -> str:
    return f"{[row for row in before if row not in after][:2]} became {[row for row in after if row not in before][:2]}"


def _opened(record: Record) -> list[dict[str, str]]:
    """The runs that a record opens."""
    if record.kind == "received":
        return list(record.data["runs"])
    return [record.data["opens"]] if record.kind == "late" else []


def _held_up(run: Row, runs: Sequence[Row], turns: Mapping[str, int]) -> bool:
    """Whether an earlier run of its case stands before it."""
    others = [o for o in runs if o["case_id"] == run["case_id"] and o["ordered"] and o["state"] in ("ready", "dead")]
    return bool(run["ordered"] and any(turns[o["id"]] < turns[run["id"]] for o in others))


def _numbers(numbers: Sequence[int]) -> Iterator[str]:
    if any(a >= b for a, b in pairwise(numbers)):
        yield "the log's numbers do not increase"


def log_faults(tx: Tx, records: Sequence[Record]) -> Iterator[str]:
    """Every payload that a record commits to is there, and is what it was."""
    for record in records:
        for commitment in record.payloads:
            row = tx.one("payload", id=commitment.id)
            if row is None or not payload.matches(commitment.id, row["nonce"], row["content"]):
                yield f"{record.kind} {record.id} commits to a payload that is not there"


def _lost(tx: Tx, accepted: Sequence[Accepted]) -> Iterator[str]:
    for one in accepted:
        if tx.one("message", id=one.id) is None:
            yield f"message {one.id} was accepted and is lost"


def _rest(tx: Tx, now: str, records: Sequence[Record]) -> Iterator[str]:
    turns = {run["id"]: turn for turn, run in enumerate(run for record in records for run in _opened(record))}
    runs = tx.all("runs_by_state", state=None, route=None, most=100_000)
    for row in runs:
        if row["owner"] is not None and row["lease"] >= now:
            yield f"run {row['id']} is still held"
        if row["state"] == "ready" and not _held_up(row, runs, turns):
            yield f"run {row['id']} is stranded: ready since {row['due']} at {row['place']}"
        if row["state"] == "dead" and (not row["reason"] or row["reason"] in ("engine.crashed", "run.unreadable")):
            yield f"run {row['id']} is dead without a good reason: {_why(tx, row['id'])}"
        if row["state"] == "waiting" and not tx.all("waits_to_show", run=row["id"], paths="[]"):
            yield f"run {row['id']} waits for nothing at {row['place']}"


def _why(tx: Tx, run: str) -> object:
    last = [record for record in log.of_run(tx, run) if record.kind == "dead"][-1]
    return log.json_payload(tx, str(last.payload("failure")))


def _waits(tx: Tx) -> Iterator[str]:
    """Nobody waits for what has come, and whatever came late was told."""
    first: dict[str, Any] = {"after": "", "most": 2}  # one of them may be what the run is for
    for row in rows_of(tx, "waits"):
        if row["state"] not in ("open", "late") or row["type"] is None:
            continue
        run = tx.one("run", id=row["run"])
        assert run is not None
        if row["name"] is None:
            here = tx.all("arrived_for_case", case_id=run["case_id"], type=row["type"], run=row["run"], **first)
        else:
            here = tx.all("arrived_for_key", type=row["type"], name=row["name"], value=row["value"], run=row["run"], **first)
        if [arrived for arrived in here if arrived["message"] != run["message"]]:
            yield f"run {row['run']} has a wait {row['path']} ({row['state']}) that does not see what has come"


def _doubles(ledger: Sequence[Effect], records: Sequence[Record]) -> Iterator[str]:
    """One effect for each thing that was to be done; of ``once`` more only when a person said so. What is done for a message
    that came too late is done once for each run that it came too late for, each under its own key.
    """
    allowed = Counter(key for record in records if record.kind == "decided" and (key := _again(record, records)))
    late = {effect.key for effect in ledger if effect.chi.startswith("tardi ")}
    for (operation, chi, _), times in Counter((e.operation, e.chi, e.key if e.key in late else "") for e in ledger).items():
        if times > 1 and Sistema.operations[operation].effect != "once":
            yield f"{operation} {chi!r} happened {times} times"
    for (key, chi), times in Counter(
        (effect.key, effect.chi) for effect in ledger if Sistema.operations[effect.operation].effect == "once"
    ).items():
        if times > 1 + allowed[key]:
            yield f"spedisci {chi!r} happened {times} times"


def _again(record: Record, records: Sequence[Record]) -> str | None:
    """The outgoing key of a call that a person sent again."""
    if record.data["decision"] != "again":
        return None
    return next((r.data["key"] for r in records if r.kind == "asked" and (r.run, r.path) == (record.run, record.path)), None)


def _twice(records: Sequence[Record]) -> Iterator[str]:
    """An engine whose claim was lost writes nothing: no call is answered twice, no run is done twice."""
    ends = Counter(
        (record.kind, record.run, record.path) for record in records if record.kind in ("answered", "done", "replied", "expired")
    )
    yield from (f"{kind} twice: {path} of run {run}" for (kind, run, path), times in ends.items() if times > 1)


def _editions(records: Sequence[Record], ledger: Sequence[Effect]) -> Iterator[str]:
    """A run finishes under the rules it started with: so say its records, and so was asked outside."""
    began: dict[str, str] = {}
    effects = {effect.key: effect.edition for effect in ledger}
    for record in records:
        began.update({run["id"]: run["digest"] for run in _opened(record)})
        if record.run is None:
            continue
        if record.rules != began[record.run]:
            yield f"run {record.run} began under other rules than those of its {record.kind} {record.path}"
        if record.kind == "asked" and effects.get(record.data["key"], edition_of()[began[record.run]]) != edition_of()[began[record.run]]:
            yield f"{record.path} of run {record.run} was asked as other rules say"


def _lane(ledger: Sequence[Effect]) -> Iterator[str]:
    numbers = [effect.number for effect in ledger if effect.operation == "in-fila" and effect.number is not None]
    if any(a >= b for a, b in pairwise(numbers)):
        yield f"the lane's numbers were used out of order: {numbers}"


def _order(tx: Tx, records: Sequence[Record]) -> Iterator[str]:
    """No ordered run begins to act while an earlier one of its case has not yet waited or ended."""
    matters = {row["message"]: row["value"] for row in rows_of(tx, "message_keys") if row["name"] == "pratica"}
    cases: dict[str, str] = {}
    for row in tx.all("runs_by_state", state=None, route=None, most=100_000):
        if row["ordered"] and row["message"] in matters:
            cases[row["id"]] = matters[row["message"]]
    states: dict[str, str] = {}
    acted: set[str] = set()
    of_case: dict[str, list[str]] = defaultdict(list)
    for record in records:
        _follow(record, cases, states, of_case)
        run = record.run or ""
        if run not in cases or run in acted or record.kind not in ("asked", "answered", "unanswered", "sent", "replied"):
            continue
        acted.add(run)
        earlier = of_case[cases[run]][: of_case[cases[run]].index(run)]
        before = [other for other in earlier if states[other] in ("open", "dead")]
        if before:
            yield f"run {run} overtook {before} ({[states[other] for other in before]})"


def _follow(record: Record, cases: dict[str, str], states: dict[str, str], of_case: dict[str, list[str]]) -> None:
    """What a record means for who stands before whom, among runs whose messages named the same matter."""
    for run in (one["id"] for one in _opened(record)):
        if run in cases:
            states[run] = "open"
            of_case[cases[run]].append(run)
    if record.run in states and "state" in record.data:
        state = record.data["state"]
        states[record.run] = {"ready": states[record.run], "waiting": "passed"}.get(state, state)
        if record.kind in ("redelivered", "decided"):
            states[record.run] = "open"


def _unseen(tx: Tx, records: Sequence[Record]) -> Iterator[str]:
    """A run that is done knows the end of every call it made."""
    open_calls: dict[tuple[str | None, str | None], Record] = {}
    for record in records:
        if record.kind == "asked":
            open_calls[record.run, record.path] = record
        elif record.kind in ("answered", "refused", "unanswered", "decided"):
            open_calls.pop((record.run, record.path), None)
    for run, path in open_calls:
        row = tx.one("run", id=run)
        if row is not None and row["state"] == "done":
            yield f"run {run} is done and does not know what became of {path}"


def _not_undone(tx: Tx, records: Sequence[Record], ledger: Sequence[Effect]) -> Iterator[str]:
    """A run that a route's `fail` ended has taken back what it had done."""
    taken_back = {effect.chi for effect in ledger if effect.operation == "annulla"}
    for record in records:
        row = tx.one("run", id=record.run) if record.kind == "answered" and record.data["operation"] == "sistema.scrivi" else None
        if row is None or row["state"] != "dead" or not row["reason"].startswith("sim."):
            continue
        chi = log.json_payload(tx, str(record.payload("answer")))["chi"]
        if chi not in taken_back:
            yield f"run {record.run} failed and did not take back {chi!r}"


def _not_done(records: Sequence[Record], ledger: Sequence[Effect]) -> Iterator[str]:
    """What was answered has happened."""
    keys = {effect.key for effect in ledger}
    asked: dict[tuple[str | None, str | None], str] = {}
    for record in records:
        if record.kind == "asked":
            asked[record.run, record.path] = record.data["key"]
        if record.kind == "answered" and (record.run, record.path) in asked and asked[record.run, record.path] not in keys:
            yield f"{record.path} of run {record.run} was answered and never happened"


def _disowned(records: Sequence[Record]) -> Iterator[str]:
    """A doubt ends by an answer, a refusal, a probe or a person: that nobody opened later says nothing of what was asked before."""
    doubted: set[tuple[str | None, str | None]] = set()
    for record in records:
        call = record.run, record.path
        if record.kind == "unanswered" and record.data.get("doubt"):
            doubted.add(call)
        elif record.kind in ("answered", "refused", "decided") or (record.kind == "unanswered" and record.data.get("by") == "probe"):
            doubted.discard(call)
        elif record.kind == "unanswered" and call in doubted:
            yield f"{record.path} of run {record.run} was in doubt and is told as {record.data['code']}"
