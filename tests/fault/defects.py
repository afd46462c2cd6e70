"""Thirteen defects that a bus must not have, each a patch of the product, never a switch in it; for the tests of the tests."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from bus.catalog import Catalog
from bus.channel.publisher import Flight
from bus.engine import arrival, fate, intake, projection, settle
from bus.engine.fate import Retry
from bus.route.plan import Plan
from bus.store import postgres, queries, sqlite
from tests.simulation.parts import ShakyStore
from tests.simulation.system import EDITIONS, rules

Patch = pytest.MonkeyPatch


def acknowledge_before_commit(patch: Patch) -> None:
    """Senders are told while their messages are still being written."""
    take = intake.Intake._take

    def early(self: intake.Intake) -> list[Any]:
        batch = take(self)
        for coming in batch:
            coming.tell(intake._accepted(coming.arrival, ()))
        return [coming._replace(tell=lambda end: None) for coming in batch]

    patch.setattr(intake.Intake, "_take", early)


def no_fsync(patch: Patch) -> None:
    """The database does not wait for the disk."""
    configure = sqlite._configure

    def weaker(raw: sqlite3.Connection, **more: Any) -> None:
        configure(raw, **more)
        raw.execute("PRAGMA synchronous=OFF")

    patch.setattr(sqlite, "_configure", weaker)


def no_confirms(patch: Patch) -> None:
    """A ticket that was sent is taken to have arrived."""
    patch.setattr(Flight, "unconfirmed", lambda flight: [])


def no_idempotency_check(patch: Patch) -> None:
    """Messages have no names by which they would be known again."""
    patch.setattr(arrival, "_intake_keys", lambda *told: ())


def doubt_ended_by_a_closed_door(patch: Patch) -> None:
    """What nobody hears of a second try is taken to say that the first one had no effect either."""
    after_error = fate.after_error
    patch.setattr(
        fate, "after_error", lambda call, operation, tries, *told: after_error(call, operation, replace(tries, doubt=False), *told)
    )


def retry_without_probe(patch: Patch) -> None:
    """A call in doubt is made again without looking."""
    in_doubt = fate._in_doubt

    def blind(call: Any, operation: Any, tries: Any, told: Any, now: dt.datetime) -> Any:
        if operation.effect == "queryable" and tries.count < call.retry.attempts:
            return Retry(now + fate.pause(call.retry, max(tries.count, 1)), told)
        return in_doubt(call, operation, tries, told, now)

    patch.setattr(fate, "_in_doubt", blind)


def no_fencing(patch: Patch) -> None:
    """Whoever once had a claim may still write."""
    _query(
        patch,
        "runs_held",
        " AND r.fence = json_extract(j.value, '$[1]') WHERE r.owner = :owner",
        "",
    )


def answer_and_state_in_two_transactions(patch: Patch) -> None:
    """The state of a run is committed, and only then the answers it rests on."""
    later: list[projection.Entry] = []
    at_once = settle.write
    patch.setattr(settle, "write", lambda tx, made: later.append(made) if made.record.kind == "answered" else at_once(tx, made))
    _afterwards(patch, later, at_once)


def endless_lease(patch: Patch) -> None:
    """A claim never runs out."""
    for name, text in _texts().items():
        if "lease < :now" in text:
            _query(patch, name, "lease < :now", "lease < ''")


def timer_outside_the_transaction(patch: Patch) -> None:
    """A run waits, and only then its deadline is set."""
    later: list[tuple[Any, ...]] = []
    at_once = projection.CLAUSES["waiting"]

    def without(tx: Any, record: Any, values: Any) -> None:
        if store.working and "deadline" in record.data:
            later.append((record, values))
            record = record._replace(data={key: value for key, value in record.data.items() if key != "deadline"})
        at_once(tx, record, values)

    patch.setitem(projection.CLAUSES, "waiting", without)
    store = _afterwards(patch, later, lambda tx, made: at_once(tx, *made))


def rules_by_name(patch: Patch) -> None:
    """A run goes on under whatever rules its route has now."""
    names = {route.plan.digest: name for edition in EDITIONS for name, route in rules(edition).routes.items()}

    def by_name(self: Catalog, digest: str) -> Plan:
        return self.routes[names[digest]].plan

    patch.setattr(Catalog, "plan", by_name)


def attempts_counted_by_the_broker(patch: Patch) -> None:
    """The database does not know how often a run was claimed in vain."""
    for name, text in _texts().items():
        if "strikes = strikes + CASE WHEN owner IS NULL THEN 0 ELSE 1 END" in text:
            _query(patch, name, "strikes = strikes + CASE WHEN owner IS NULL THEN 0 ELSE 1 END", "strikes = 0")


def sequence_number_as_log_order(patch: Patch) -> None:
    """Transactions take numbers as they come and commit as they please."""
    patch.setattr(postgres, "_LOCK", "")


def _texts() -> dict[str, str]:
    """The queries of SQLite as its connections know them."""
    return queries.load(*sqlite.FILES, dialect="sqlite")


def _query(patch: Patch, name: str, said: str, instead: str) -> None:
    texts = _texts()
    assert said in texts[name], f"{name} has changed: the defect must be said anew"
    patch.setitem(texts, name, texts[name].replace(said, instead))


class _Working:
    working = False


def _afterwards(patch: Patch, later: list[Any], write: Callable[[Any, Any], object]) -> _Working:
    """What was put off is written in a transaction of its own, if the process lives that long."""
    told, once = _Working(), ShakyStore.write

    def twice(self: ShakyStore, work: Callable[[Any], Any], *, here: bool = False) -> Future[Any]:
        later.clear()
        told.working = True
        try:
            done = once(self, work)
        finally:
            told.working = False
        rest = list(later)
        later.clear()
        if rest and done.exception() is None:
            once(self, lambda tx: [write(tx, made) for made in rest])
        return done

    patch.setattr(ShakyStore, "write", twice)
    return told
