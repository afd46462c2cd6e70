"""What is so in one process and in its store, for `/metrics`: see `bus.metrics`."""

from __future__ import annotations

from collections.abc import Iterator

from bus.app import App
from bus.clock import moment_of, text_of
from bus.metrics import Figure


def of(app: App) -> Iterator[Figure]:
    """Of the process always; of the store, which is one for all, only where there is a door: one answer is enough."""
    yield Figure(
        "snodo_store_commits", "Transactions that this process committed.", {"": app.store.describe().get("commits", 0)}, grows=True
    )
    if app.role != "worker":
        yield from _of_store(app)


def _of_store(app: App) -> Iterator[Figure]:
    now = app.clock.now()
    with app.store.read() as tx:
        due = tx.all("backlog", now=text_of(now))[0]
        counts = tx.all("count_pending", now=text_of(now))[0]
        present = tx.all("processes_at_work")
    oldest = (now - moment_of(due["oldest"])).total_seconds() if due["oldest"] else 0.0
    runs = {"due": due["runs"], "later": counts["ready"] - due["runs"], "dead": counts["dead"], "waiting": counts["waiting"]}
    roles = [row["role"] for row in present]
    yield Figure("snodo_runs", "Runs that are not at their end: due, ready later, dead letters, and open waits.", runs, "state")
    yield Figure("snodo_oldest_due_seconds", "For how long the oldest run that is due has been.", {"": max(oldest, 0.0)})
    yield Figure("snodo_log_records", "Records in the log.", {"": counts["records"] or 0}, grows=True)
    yield Figure("snodo_processes", "Processes at work, as they said in the last day.", {role: roles.count(role) for role in roles}, "role")
