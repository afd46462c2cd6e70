"""``bus doctor``: is everything in order around this process? Looks, and leaves nothing behind: no table, no queue, no business call.

`CHECKS` is the whole of it: each name with a function that yields verdicts. A later one builds on what an earlier one found.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from bus.doctor import broker, database, here, keystore, systems, work
from bus.doctor.verdict import Check, Surroundings, Verdict, needs_settings, needs_store, wrong

__all__ = ["CHECKS", "Verdict", "examine", "exit_code"]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("python", here.python),
    ("limits", here.limits),
    ("settings", here.settings),
    ("secrets", here.secrets),
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
    ("store disk", needs_settings(database.disk)),
    ("clock", needs_store(database.clock)),
    ("key store", needs_store(keystore.keystore)),
    ("log keys", needs_settings(keystore.signers)),
    ("channel", needs_settings(broker.channel)),
    ("attachments", needs_settings(here.attachments)),
    ("same attachments", needs_store(work.same_attachments)),
    ("processes", needs_store(work.processes)),
    ("backlog", needs_store(work.backlog)),
    ("dead letters", needs_store(work.dead)),
    ("lanes", needs_store(work.lanes)),
    ("leases", needs_store(work.leases)),
    ("tree", needs_store(work.tree)),
    ("anchors", needs_store(work.anchors)),
)


def examine(path: Path) -> list[Verdict]:
    """Run all checks on the settings in ``path`` and on what they name; never raises."""
    at = Surroundings(path, lambda: dt.datetime.now(dt.UTC))
    return [verdict for name, check in CHECKS for verdict in _run(name, check, at)]


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
