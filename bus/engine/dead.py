"""Dead letters: runs that need a person, and what a person can do: redeliver, decide, discard. Each is a record with actor and reason.

*Redeliver* makes a dead run ready again, with the same keys: what was answered stays answered. *Decide* is for a call in doubt:
it happened (and this is its answer), or send it again. *Discard* gives the run up, also one that waits; its case goes on.
One that was parked as poison goes on as a suspect, apart from others: should it end its process again, no neighbour is harmed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bus.clock import APART, Clock, moment_of, text_of
from bus.engine import accesses, reasons
from bus.engine.accesses import Looker
from bus.engine.claims import POISONED, SUSPECT
from bus.engine.inquiry import known_run, run_row
from bus.engine.projection import entry, write
from bus.errors import UNOPENED, Conflict, Damaged, Invalid, NotFound
from bus.log import log
from bus.log.record import Kind, Record
from bus.message import JsonObject, JsonValue, canonical, new_id
from bus.route.plan import Plan
from bus.store import Tx

Decision = Literal["happened", "again"]
_CODES = ("effect", "kind", "code", "outside_code", "operation", "attempts")
"""What a failure tells without a text that somebody wrote; records say the same."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Bytes that crossed the border in the call that failed: ``id`` opens them, ``role`` is ``wire-out`` or ``wire-in``."""

    id: str
    role: str
    size: int
    media_type: str
    time: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead run: why, where, since when, with what evidence; ``doubt``: a call of it is in doubt; ``withheld``: without what was said."""

    run: str
    message: str
    route: str
    place: str
    path: str | None
    code: str
    sentence: str
    since: str
    doubt: bool
    detail: Mapping[str, Any]
    evidence: tuple[Evidence, ...] = ()
    withheld: bool = False


def letters(tx: Tx, now: str, code: str | None, route: str | None, after: str | None, most: int) -> JsonObject:
    """A page of the dead runs, newest first: those that ended with ``code``, of ``route``; ``next`` is the ``after`` of the page behind."""
    found = tx.all("dead_letters", code=code, route=route, after=after, most=most + 1)
    page: JsonObject = {"dead": [run_row(row, now) for row in found[:most]]}
    return page | {"next": found[most - 1]["id"]} if len(found) > most else page


def letter(tx: Tx, run: str) -> Letter:
    """One dead letter; raises `NotFound` for an unknown run, `Conflict` when the run is not dead, `Damaged` when no record says why."""
    row = known_run(tx, run)
    if row["state"] != "dead":
        raise Conflict(f"the run is {row['state']}, not dead", code="dead.not-dead", hint=f"bus runs show {run}")
    journal = log.of_run(tx, run)
    record = next((record for record in reversed(journal) if record.kind == "dead"), None)
    if record is None:
        hint = "bus log verify says what else is amiss; restore it from a backup before anything is decided"
        raise Damaged(f"the run {run} is dead, and the log does not say any more why", code="evidence.broken", hint=hint)
    failure = _failure(tx, record, journal)
    return Letter(
        run=run, message=row["message"], route=f"{row['route']}@{row['version']}", place=record.place or "", path=record.path,
        code=failure["code"], sentence=failure["sentence"], since=text_of(record.time), doubt=bool(record.data.get("doubt")),
        detail=failure["detail"], evidence=_evidence(journal, record.path),
    )  # fmt: skip


def _failure(tx: Tx, record: Record, journal: list[Record]) -> Any:
    """What a dead run is told to have failed with; where nobody can open that any more, what the records say of it."""
    try:
        return log.json_payload(tx, str(record.payload("failure")))
    except UNOPENED:
        asked = [one for one in journal if one.kind == "asked" and one.path == record.path] if record.data.get("doubt") else []
        detail = {"kind": "in_doubt", **{name: asked[-1].data[name] for name in ("effect", "operation")}} if asked else {}
        return {"code": record.data["code"], "sentence": "what was said of it cannot be opened any more", "detail": detail}


def _evidence(journal: list[Record], path: str | None) -> tuple[Evidence, ...]:
    """What crossed the border at the place of the failure, all tries, oldest first."""
    tries = [record for record in journal if record.path == path] if path is not None else []
    return tuple(
        Evidence(held.id, held.role, held.size, held.media_type, text_of(record.time))
        for record in tries
        for held in record.payloads
        if held.role.startswith("wire")
    )


def open_letter(tx: Tx, run: str, looker: Looker, clock: Clock) -> Letter:
    """A dead letter as somebody may see it: without a purpose not what was said, and with one it is recorded."""
    found = letter(tx, run)
    codes = {name: found.detail[name] for name in _CODES if name in found.detail}
    if not looker.purpose:
        return replace(found, sentence=accesses.WITHHELD, detail=codes, withheld=True)
    accesses.look(tx, looker, "failure", clock, message=found.message, run=run)
    told: Any = accesses.undeclared({"sentence": found.sentence, "detail": dict(found.detail)}, looker)
    return replace(found, sentence=told["sentence"], detail={**told["detail"], **codes})


def open_evidence(tx: Tx, run: str, identity: str, looker: Looker, clock: Clock) -> tuple[bytes, str]:
    """Bytes that crossed the border in a call of a run, whatever became of it, or with its message, and their media type; that somebody
    looked is a record. Raises `NotFound`, `Forbidden`.
    """
    message = str(known_run(tx, run)["message"])
    own = (record for record in log.of_messages(tx, [message]) if record.run in (None, run))
    held = (one for record in own for one in record.payloads if one.id == identity and one.role.startswith("wire"))
    found = next(held, None)
    content = log.payload(tx, identity) if found else None
    if found is None or content is None:
        raise NotFound("this run has no such evidence", code="dead.evidence-unknown", hint=f"bus runs evidence {run} lists it")
    accesses.needs_all(looker, "what crossed the border")
    accesses.look(tx, looker, found.role, clock, message=message, run=run, data={"payload": identity})
    return content, found.media_type


def redeliver(tx: Tx, run: str, actor: str, reason: str, clock: Clock, rules: Plan | None = None) -> None:
    """Make a dead run ready again; ``rules`` replaces those it started with. A ``once`` call in doubt must be decided first."""
    found = letter(tx, run)
    if found.doubt and found.detail.get("effect") == "once":
        raise Conflict(
            "a call of this run is in doubt", code="dead.in-doubt", hint=f"say what happened: bus dead decide {run} --happened|--again"
        )
    data: dict[str, Any] = {"state": "ready"}
    if rules is not None:
        tx.do("add_rules", digest=rules.digest, kind="route", content=canonical(rules.rules))
        data["version"] = rules.version
    _write(tx, "redelivered", run, found.path, actor, reason, clock, data, rules=rules)


def decide(tx: Tx, run: str, actor: str, reason: str, clock: Clock, decision: Decision, answer: JsonValue = None) -> None:
    """Say what became of a call in doubt. ``happened`` needs the answer the system would have given."""
    found = letter(tx, run)
    if not found.doubt:
        raise Conflict("nothing of this run is in doubt", code="dead.no-doubt", hint=f"bus dead redeliver {run}")
    if decision == "happened" and not isinstance(answer, dict):
        raise Invalid("say what the system answered, as a JSON object", code="dead.answer-missing", hint="--answer '{…}'")
    values = {"answer": answer} if decision == "happened" else {}
    _write(tx, "decided", run, found.path, actor, reason, clock, {"state": "ready", "decision": decision}, values)


def discard(tx: Tx, run: str, actor: str, reason: str, clock: Clock) -> None:
    """Give a run up for good that is dead, or waits for a message; what it did stays done.

    One that holds an ordered lane must have been dead for as long as its call may still take effect: the next number goes out then.
    """
    path = None
    if known_run(tx, run)["state"] != "waiting":
        found = letter(tx, run)
        now = clock.now()
        path, free = found.path, _lane_free(tx, found, now)
        if free is not None and now < free:
            raise Conflict(
                "a call of this run may still take effect, and the next number of its ordered lane would overtake it",
                code="dead.lane-not-at-rest", hint=f"discard it after {text_of(free)}",
            )  # fmt: skip
    _write(tx, "discarded", run, path, actor, reason, clock, {"state": "cancelled"})


def _lane_free(tx: Tx, found: Letter, now: dt.datetime) -> dt.datetime | None:
    """When nothing that the run asked of its ordered lane can take effect any more; None when it holds none."""
    held = {row["path"] for row in tx.all("lanes_of_run", run=found.run)}
    journal = log.of_run(tx, found.run)
    rests = [one.data["rests"] for one in journal if one.kind == "asked" and one.path in held and "rests" in one.data]
    return _surely(tx, journal, moment_of(found.since), now) + dt.timedelta(seconds=max(rests)) if rests else None


def _surely(tx: Tx, journal: Sequence[Record], since: dt.datetime, now: dt.datetime) -> dt.datetime:
    """When a run had surely died. A clock that was ahead said a time that has not come yet: it was before the first record behind it that
    is of a time which has.
    """
    if since <= now + APART:
        return since
    died = log.number_of(tx, next(one for one in reversed(journal) if one.kind == "dead"))
    row = tx.one("first_of_a_time", after=died, now=text_of(now))
    return now if row is None else moment_of(row["time"]) + APART


def _write(
    tx: Tx, kind: Kind, run: str, path: str | None, actor: str, reason: str, clock: Clock, data: dict[str, Any],
    values: Mapping[str, Any] | None = None, rules: Plan | None = None,
) -> None:  # fmt: skip
    told = reasons.given(reason, "dead.reason-missing")
    row = known_run(tx, run)
    record = Record(
        new_id(), kind, clock.now(), message=row["message"], run=run, place=row["place"], path=path,
        rules=rules.digest if rules else row["digest"], actor=actor, data=data,
    )  # fmt: skip
    write(tx, entry(record, log.key_of(tx, row["message"]), {"reason": {"text": told}, **(values or {})}))
    if row["reason"] == POISONED:
        tx.do("suspect", id=run, strikes=SUSPECT)
