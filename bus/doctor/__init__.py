"""``bus doctor``: is everything in order around this process? Looks, and leaves nothing behind: no table, no queue, no business call.

`CHECKS` is the whole of it: each name with a function that yields verdicts. A later one builds on what an earlier one found.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

from bus.doctor import broker, database, here, keystore, systems, work
from bus.doctor.verdict import Check, Surroundings, Verdict, needs_figures, needs_settings, needs_store, wrong

__all__ = ["Verdict", "examine", "exit_code"]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("python", here.python),
    ("limits", here.limits),
    ("settings", here.settings),
    ("secrets", needs_settings(here.secrets)),
    ("files", needs_settings(here.files)),
    ("places", needs_settings(here.places)),
    ("shape", needs_settings(here.shape)),
    ("keys", needs_settings(here.keys)),
    ("adapters", needs_settings(systems.adapters)),
    ("rules", needs_settings(here.rules)),
    ("addresses", needs_settings(systems.addresses)),
    ("store", needs_settings(database.reachable)),
    ("store version", needs_store(database.version)),
    ("store settings", needs_store(database.safety)),
    ("store schema", needs_store(database.schema)),
    ("store rights", needs_store(database.rights)),
    ("store connections", needs_store(database.connections)),
    ("store disk", needs_settings(database.disk)),
    ("store keeps", needs_store(database.keeps)),
    ("store locks", needs_store(database.locks)),
    ("store standby", needs_store(database.standby)),
    ("rolled back", needs_figures(database.rolled_back, "doctor.rolled-back", "rolled_back")),
    ("clock", needs_store(database.clock)),
    ("key store", needs_figures(keystore.keystore, "doctor.keystore", "keystore_of_payloads", "sealed")),
    ("log keys", needs_settings(keystore.signers)),
    ("authority", needs_settings(keystore.authority)),
    ("log's own key", needs_figures(keystore.signs, "doctor.secrets", "ends_of_log")),
    ("channel", needs_settings(broker.channel)),
    ("attachments", needs_settings(here.attachments)),
    ("same attachments", needs_figures(work.same_attachments, "doctor.attachments-same", "folder_of_attachments")),
    ("all attachments", needs_figures(work.all_attachments, "doctor.attachments-same", "newest_attachments")),
    ("processes", needs_figures(work.processes, "doctor.processes", "processes_at_work")),
    ("backlog", needs_figures(work.backlog, "doctor.backlog", "backlog", "count_behind_dead")),
    ("credentials", needs_figures(work.locked_out, "doctor.locked-out", "gates_at_work")),
    ("dead letters", needs_figures(work.dead, "doctor.dead", "dead_by_reason")),
    ("lanes", needs_figures(work.lanes, "doctor.lanes", "lanes_of_the_dead")),
    ("leases", needs_figures(work.leases, "doctor.leases", "expired_leases")),
    ("tree", needs_figures(work.tree, "doctor.tree", "oldest_unsealed", "processes_at_work", "ends_of_log")),
    ("anchors", needs_figures(work.anchors, "doctor.anchors", "anchored", "oldest_unsealed")),
)


def examine(path: Path) -> Iterator[Verdict]:
    """Run all checks on the settings in ``path`` and on what they name, each verdict as it is found; never raises."""
    at = Surroundings(path, lambda: dt.datetime.now(dt.UTC))
    return (verdict for name, check in CHECKS for verdict in _run(name, check, at))


def _run(name: str, check: Check, at: Surroundings) -> list[Verdict]:
    try:
        return list(check(at))
    except Exception as error:  # noqa: BLE001 - one check that breaks must not hide what the others see
        return [wrong("doctor.check", f"the check of {name} broke: {type(error).__name__}: {error}")]


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """0 nothing wrong, 2 the settings cannot be used, 3 database or broker cannot be reached, 1 anything else is wrong."""
    codes = {verdict.code for verdict in verdicts if verdict.level == "wrong"}
    if "doctor.settings" in codes:
        return 2
    if codes & {"doctor.store", "doctor.channel"}:
        return 3
    return 1 if codes else 0
