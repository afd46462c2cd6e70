"""What is so in one process and in its store, for `/metrics`: see `bus.metrics`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from bus.anchors.lateness import standing
from bus.app import App
from bus.clock import moment_of, text_of
from bus.metrics import Figure
from bus.store import Tx
from bus.store.survey import of_late


def of(app: App) -> Iterator[Figure]:
    """The figures of the process; where there is a door also those of the store, which is one for all: one answer is enough."""
    yield Figure(
        "snodo_store_commits", "Transactions that this process committed.", {"": app.store.describe().get("commits", 0)}, grows=True
    )
    told: Any = app.channel.describe()
    for name, text in _CHANNEL.items():
        yield Figure(f"snodo_channel_{name}", text, {"": float(told[name])}, grows=name == "outages")
    if app.role != "web":
        yield from _of_gates(app)
    if app.role != "worker":
        yield from _of_store(app)


_CHANNEL = {
    "connected": "1 while the broker can be reached.", "blocked": "1 while the broker takes nothing.",
    "outages": "Times that the broker was lost.",
}  # fmt: skip


def _of_gates(app: App) -> Iterator[Figure]:
    """What each process that works knows of the outside systems; the name of a gate is an adapter or an operation."""
    described: Any = app.engine.describe()
    gates = described["gates"]
    circuits = {name: float(gate["circuit"] == "open") for name, gate in gates.items()}
    yield Figure("snodo_circuit_open", "1 while nobody calls the system, because it did not answer.", circuits, "gate")
    locked = {operation: 1.0 for gate in gates.values() for operation in gate["locked_out"]}
    yield Figure("snodo_locked_out", "1 while the system does not take our credentials.", locked, "operation")
    for name, text in (
        ("out", "Calls that are out."),
        ("in_line", "Calls that wait for a place."),
        ("turned_away", "Runs that found no place."),
    ):
        yield Figure(f"snodo_gate_{name}", text, {gate: one[name] for gate, one in gates.items()}, "gate")


class _Waits:
    """The number of open waits, counted again when the last count is `PATIENCE` times as old as it took: a million take half a second."""

    def __init__(self) -> None:
        self._count, self._again = 0, 0.0

    def of(self, tx: Tx) -> int:
        began = time.monotonic()
        if began >= self._again:
            self._count = tx.all("count_waits")[0]["waiting"]
            ended = time.monotonic()
            self._again = ended + PATIENCE * (ended - began) if ended - began > QUICK else ended
        return self._count


PATIENCE, QUICK = 100, 0.02
"""How long a count is good for, in times of what it took; and the seconds that it may take every time."""
_waits: WeakKeyDictionary[App, _Waits] = WeakKeyDictionary()


def _of_store(app: App) -> Iterator[Figure]:
    now = app.clock.now()
    with app.store.read() as tx:
        due = tx.all("backlog", now=text_of(now))[0]
        counts = tx.all("count_pending")[0]
        waiting = _waits.setdefault(app, _Waits()).of(tx)
        unsealed = tx.all("oldest_unsealed")
        stopped = tx.all("lanes_of_the_dead")
        gone = of_late(tx.all("rolled_back"), now)
        present = app.at_work(tx, now)
        anchors = {f"{one.kind} {one.name}": one for one in standing(tx, app.config.anchors, now)}
    oldest = (now - moment_of(due["oldest"])).total_seconds() if due["oldest"] else 0.0
    runs = {"due": due["runs"], "later": counts["ready"] - due["runs"], "dead": counts["dead"], "waiting": waiting}
    roles = [str(row["role"]) for row in present]
    lanes = {row["name"]: 1.0 for row in stopped}
    yield Figure("snodo_runs", "Runs that are not at their end: due, ready later, dead letters, and open waits.", runs, "state")
    yield Figure("snodo_oldest_due_seconds", "For how long the oldest run that is due has been.", {"": max(oldest, 0.0)})
    yield Figure("snodo_log_records", "Records in the log.", {"": counts["records"] or 0}, grows=True)
    late = (now - moment_of(unsealed[0]["oldest"])).total_seconds() if unsealed else 0.0
    yield Figure("snodo_unsealed_seconds", "For how long the oldest record without a place in the tree has been.", {"": max(late, 0.0)})
    told = "1 for 30 days after a process missed in the database what it had committed: accepted messages are gone."
    yield Figure("snodo_rolled_back", told, {"": float(bool(gone))})
    yield Figure("snodo_processes", "Processes at work, as they said in the last day.", {role: roles.count(role) for role in roles}, "role")
    yield Figure("snodo_lane_stopped", "1 while a dead letter holds the ordered lane: whoever needs it waits for a person.", lanes, "lane")
    behind = {name: one.behind for name, one in anchors.items()}
    yield Figure("snodo_anchor_behind_seconds", "For how long there has been a checkpoint that the anchor has not seen.", behind, "anchor")
    yield Figure(
        "snodo_anchor_late", "1 while that is longer than the settings allow.", {n: float(one.late) for n, one in anchors.items()}, "anchor"
    )
