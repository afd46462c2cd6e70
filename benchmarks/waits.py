"""What a match costs among many open waits: receipts for notices that wait, among 1,000 and among 1,000,000 others.

The waits are made by one statement for each table of the store, as the bus would have left them; then receipts come in through the intake,
ten at a time. Each round takes receipts for waits spread over the whole number, so that nothing is warm that would not be.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.house import settings
from benchmarks.serve import Resting
from benchmarks.work import WIDTH
from bus import config
from bus.engine.intake import Submission

FEW, MANY = 1_000, 1_000_000
AT_ONCE, ROUNDS = 10, 60
_TIME = "2026-03-01T09:30:00.000000Z"
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
_ROWS = {
    "cases (id, opened)": "'m-' || {i}, :time",
    "case_keys (name, value, case_id, strong)": "'iuv', '470' || {i}, 'm-' || {i}, 1",
    "messages (id, type, sender, time, correlation, case_id, payload)": (
        "'m-' || {i}, 'banco.avviso', 'banco', :time, 'm-' || {i}, 'm-' || {i}, ''"
    ),
    "message_keys (name, value, message, type)": "'iuv', '470' || {i}, 'm-' || {i}, 'banco.avviso'",
    "runs (id, message, route, version, digest, entry, ordered, case_id, state, place, due, opened, changed, turn)": (
        "'r-' || {i}, 'm-' || {i}, 'banco.avviso', 1, :digest, '', 1, 'm-' || {i}, 'waiting', 'banco.avviso@1/pagamento', "
        ":time, :time, :time, n.i"
    ),
    "waits (run, path, place, type, case_id, name, value, deadline, state, late)": (
        "'r-' || {i}, 'pagamento', 'banco.avviso@1/pagamento', 'banco.ricevuta', 'm-' || {i}, 'iuv', '470' || {i}, :deadline, 'open', 0"
    ),
}
"""Rows of each table for the waiting run number ``n.i``."""
_NUMBER = f"substr('{'0' * WIDTH}' || n.i, -{WIDTH})"


def matching(folder: Path, count: int) -> dict[str, Any]:
    """Microseconds of a match among so many open waits: CPU of the process, and by the clock."""
    folder.mkdir(parents=True)
    path = folder / "config.yaml"
    path.write_text(json.dumps(settings(folder, "http://127.0.0.1:9", "postgresql+psycopg://nobody@/nowhere")), "utf-8")
    app = Resting(config.load(path))
    try:
        made = _make(folder / "snodo.db", count, next(iter(app.catalog().plans_for("banco.avviso"))).digest)
        spent = [_round(app, [1 + (AT_ONCE * r + k) * count // (AT_ONCE * ROUNDS) for k in range(AT_ONCE)]) for r in range(ROUNDS)]
    finally:
        app.stop()
    cpu, wall = zip(*spent, strict=True)
    return {"waits": count, "made_s": round(made, 1), "cpu_us": round(statistics.median(cpu)), "wall_us": round(statistics.median(wall))}


def compared(folder: Path) -> dict[str, Any]:
    """Few, many, few again: what the machine does meanwhile is seen by the two that should be alike."""
    few, many, again = (matching(folder / f"waits-{n}", count) for n, count in enumerate((FEW, MANY, FEW)))
    ratio = many["cpu_us"] / statistics.mean((few["cpu_us"], again["cpu_us"]))
    return {"few": few, "many": many, "again": again, "ratio": round(ratio, 2)}


def table(machine: dict[str, Any], found: dict[str, Any]) -> str:
    """Markdown."""
    rows = [
        f"| {one['waits']:,} | {one['cpu_us']} | {one['wall_us']} | {one['made_s']} |"
        for one in (found["few"], found["many"], found["again"])
    ]
    return "\n".join(
        [
            f"# A match among open waits, {machine['date'][:10]}",
            "",
            f"{machine['processor']}, {machine['cores']} cores; revision {machine['revision']}; load before: {machine['load_before']}.",
            "",
            "| open waits | CPU µs of a match, its message taken in | µs by the clock, ten in a transaction | s to make them |",
            "|---:|---:|---:|---:|",
            *rows,
            "",
            f"Many against few: {found['ratio']:.2f} (aim: 1.5).",
            "",
        ]
    )


def _make(database: Path, count: int, digest: str) -> float:
    began = time.monotonic()
    bound = {"count": count, "time": _TIME, "digest": digest, "deadline": "2036-03-01T09:30:00.000000Z"}
    raw = sqlite3.connect(database, isolation_level=None)
    raw.execute("PRAGMA cache_size=-262144")
    raw.execute("BEGIN IMMEDIATE")
    for table, row in _ROWS.items():
        raw.execute(f"INSERT INTO {table} {_NUMBERS}SELECT {row.format(i=_NUMBER)} FROM n", bound)
    raw.execute("COMMIT")
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    return time.monotonic() - began


def _round(app: Resting, numbers: list[int]) -> tuple[float, float]:
    """Receipts for these notices: microseconds of each, CPU and wall. Raises RuntimeError when one wakes no run."""
    began, spent = time.perf_counter(), time.process_time()
    coming = [app.intake.send(_receipt(f"470{number:0{WIDTH}d}")) for number in numbers]
    woken = [runs for one in coming if (runs := one.result(60).runs)]
    cpu, wall = time.process_time() - spent, time.perf_counter() - began
    if len(woken) != len(numbers):
        raise RuntimeError(f"{len(numbers)} receipts woke {len(woken)} runs")
    return cpu / len(numbers) * 1e6, wall / len(numbers) * 1e6


def _receipt(iuv: str) -> Submission:
    return Submission("banco.ricevuta", {"iuv": iuv, "importo": 10_000, "ricevuta": f"R-{iuv}"}, "banco", key=iuv, role="portal")
