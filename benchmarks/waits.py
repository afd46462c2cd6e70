"""What a match costs among many open waits, in SQLite and in PostgreSQL: receipts for notices, among 1,000 and among 1,000,000 that wait.

The waits are made by one statement for each table of the store, as the bus would have left them; then receipts come in through the intake,
ten at a time, in no order. What counts are the last rounds: a process before a million waits has long read the pages that lead to them, and
never those in which the next one stands.
"""

from __future__ import annotations

import json
import random
import re
import sqlite3
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.house import settings
from benchmarks.machine import heading
from benchmarks.processes import children, cpu_of
from benchmarks.serve import Resting
from benchmarks.work import WIDTH
from bus import config
from bus.engine.arrival import Submission
from bus.store import Keys
from tests.servers import PostgreSQL

FEW, MANY = 1_000, 1_000_000
AT_ONCE, ROUNDS, BEFORE = 10, 60, 240
_TIME = "2026-03-01T09:30:00.000000Z"
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
_ROWS = {
    "cases (id, opened)": "{message}, :time",
    "case_keys (name, value, case_id, strong)": "'iuv', {key}, {message}, 1",
    "messages (id, type, sender, time, case_id, payload)": ("{message}, 'banco.avviso', 'banco', :time, {message}, ''"),
    "message_keys (name, value, message, type)": "'iuv', {key}, {message}, 'banco.avviso'",
    "runs (id, message, route, version, digest, entry, ordered, case_id, state, place, due, opened, changed, turn)": (
        "{run}, {message}, 'banco.avviso', 1, :digest, '', 1, {message}, 'waiting', 'banco.avviso@1/pagamento', :time, :time, :time, n.i"
    ),
    "waits (run, path, place, type, case_id, name, value, deadline, state, late)": (
        "{run}, 'pagamento', 'banco.avviso@1/pagamento', 'banco.ricevuta', {message}, 'iuv', {key}, :deadline, 'open', 0"
    ),
}
"""Rows of each table for the waiting run number ``n.i``."""
_IDS = {"message": "'01900000-0000-7000-8000-'", "run": "'01900000-0001-7000-8000-'"}
"""How ids begin (of cases, too), older than those which the bus makes now: of two cases that are joined, the older one lives on."""
_NUMBER = {"sqlite": f"substr('{'0' * WIDTH}' || n.i, -{WIDTH})", "postgresql": f"lpad(n.i::text, {WIDTH}, '0')"}
_KEY = "(SELECT t.value FROM tokens t WHERE t.i = n.i)"
"""What stands in the database for the IUV of number ``n.i``: its token, made by the keys of the store."""
MEMORY = {"shared_buffers": "512MB"}
"""What PostgreSQL is given; its default here is made for tests."""


def matching(folder: Path, count: int, server: PostgreSQL | None = None) -> dict[str, Any]:
    """Microseconds of a match among so many open waits: CPU of the process (and of the server's), and by the clock."""
    folder.mkdir(parents=True)
    path, store = folder / "config.yaml", {"url": server.new_database() if server else f"sqlite:///{folder}/snodo.db"}
    whole = settings(folder, "http://127.0.0.1:9", "postgresql+psycopg://nobody@/nowhere")
    path.write_text(json.dumps({**whole, "store": store}), "utf-8")
    app = Resting(config.load(path))
    try:
        made = _make(store["url"], count, next(iter(app.catalog().plans_for("banco.avviso"))).digest, app.store.keys)
        time.sleep(1 if server else 0)  # the session that made them is gone then
        pids = children(server.pid, "postgres: snodo ") if server else []
        spent = [_round(app, numbers, pids) for numbers in _rounds(count)][-ROUNDS:]
        asked = _counting(app)
    finally:
        app.stop()
    cpu, wall = (round(statistics.median(one)) for one in zip(*spent, strict=True))
    return {"waits": count, "made_s": round(made, 1), "cpu_us": cpu, "wall_us": wall, "counting_ms": round(asked, 1)}


def compared(folder: Path) -> dict[str, Any]:
    """Few, many, few again: what the machine does meanwhile is seen by the two that should be alike."""
    with PostgreSQL(MEMORY) as server:
        return {name: _compared(folder / name, given) for name, given in (("sqlite", None), ("postgresql", server))}


def _compared(folder: Path, server: PostgreSQL | None) -> dict[str, Any]:
    few, many, again = (matching(folder / f"waits-{n}", count, server) for n, count in enumerate((FEW, MANY, FEW)))
    ratio = many["cpu_us"] / statistics.mean((few["cpu_us"], again["cpu_us"]))
    return {"few": few, "many": many, "again": again, "ratio": round(ratio, 2)}


def table(machine: dict[str, Any], found: dict[str, Any]) -> str:
    """Markdown."""
    rows = [
        f"| {store} | {one['waits']:,} | {one['cpu_us']} | {one['wall_us']} | {one['counting_ms']} | {one['made_s']} |"
        for store in _NUMBER
        for one in (found[store][name] for name in ("few", "many", "again"))
    ]
    return "\n".join(
        [
            *heading("A match among open waits", machine),
            "",
            "| store | open waits | CPU µs of a match, its message taken in | µs by the clock, ten at once | ms to count | s to make |",
            "|---|---:|---:|---:|---:|---:|",
            *rows,
            "",
            "CPU of PostgreSQL is that of its processes and ours. Many against few (aim: 1.5): "
            + ", ".join(f"{store} {found[store]['ratio']:.2f}" for store in _NUMBER),
            "",
        ]
    )


def _filled(row: str, number: str) -> str:
    """What one row holds, in SQL; ``number``: of its run, as text."""
    return row.format(i=number, key=_KEY, **{name: f"{start} || {number}" for name, start in _IDS.items()})


def _iuv(number: int) -> str:
    return f"470{number:0{WIDTH}d}"


def _make(url: str, count: int, digest: str, keys: Keys) -> float:
    began = time.monotonic()
    tokens = ((number, keys.token(_iuv(number))) for number in range(1, count + 1))
    bound = {"count": count, "time": _TIME, "digest": digest, "deadline": "2036-03-01T09:30:00.000000Z"}
    if url.startswith("sqlite:"):
        _make_in_sqlite(url.removeprefix("sqlite:///"), tokens, bound)
    else:
        _make_in_postgresql(url, tokens, bound)
    return time.monotonic() - began


def _make_in_postgresql(url: str, tokens: Iterable[tuple[int, str]], bound: dict[str, Any]) -> None:
    with psycopg.connect(url, autocommit=True) as raw:
        raw.execute("SET synchronous_commit = off")
        raw.execute("CREATE TEMPORARY TABLE tokens (i bigint PRIMARY KEY, value text NOT NULL)")
        with raw.cursor().copy("COPY tokens FROM STDIN") as copied:
            for row in tokens:
                copied.write_row(row)
        for table, row in _ROWS.items():
            overriding = "OVERRIDING SYSTEM VALUE " if table.startswith("runs") else ""
            text = f"INSERT INTO {table} {overriding}{_NUMBERS}SELECT {_filled(row, _NUMBER['postgresql'])} FROM n"
            typed = re.sub(r":(\w+)", lambda named: f"%({named[1]})s" + ("" if named[1] == "count" else "::text"), text.replace("::", "\0"))
            raw.execute(typed.replace("\0", "::"), bound)
        raw.execute("SELECT setval(pg_get_serial_sequence('runs', 'turn'), %(count)s)", bound)
        raw.execute("VACUUM ANALYZE")
        raw.execute("CHECKPOINT")


def _make_in_sqlite(database: str, tokens: Iterable[tuple[int, str]], bound: dict[str, Any]) -> None:
    raw = sqlite3.connect(database, isolation_level=None)
    raw.execute("PRAGMA cache_size=-262144")
    raw.execute("CREATE TEMPORARY TABLE tokens (i INTEGER PRIMARY KEY, value TEXT NOT NULL)")
    raw.execute("BEGIN IMMEDIATE")
    raw.executemany("INSERT INTO tokens VALUES (?, ?)", tokens)
    for table, row in _ROWS.items():
        raw.execute(f"INSERT INTO {table} {_NUMBERS}SELECT {_filled(row, _NUMBER['sqlite'])} FROM n", bound)
    raw.execute("COMMIT")
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()


def _counting(app: Resting) -> float:
    """Milliseconds to count the open waits, as `/metrics` does when its last count is old."""
    with app.store.read() as tx:
        began = time.perf_counter()
        tx.all("count_waits")
        return (time.perf_counter() - began) * 1000


def _rounds(count: int) -> list[list[int]]:
    """Which notices are paid: ten in each round, as many rounds as there are waits for, and no more than are needed."""
    rounds = min(BEFORE + ROUNDS, count // AT_ONCE)
    paid = random.Random(1).sample(range(1, count + 1), rounds * AT_ONCE)
    return [paid[n : n + AT_ONCE] for n in range(0, len(paid), AT_ONCE)]


def _round(app: Resting, numbers: list[int], pids: list[int]) -> tuple[float, float]:
    """Receipts for these notices: microseconds of each, CPU and wall. Raises RuntimeError when one wakes no run."""
    began, spent = time.perf_counter(), time.process_time() + cpu_of(pids)
    coming = [app.intake.send(_receipt(_iuv(number))) for number in numbers]
    woken = [runs for one in coming if (runs := one.result(60).runs)]
    cpu, wall = time.process_time() + cpu_of(pids) - spent, time.perf_counter() - began
    if len(woken) != len(numbers):
        raise RuntimeError(f"{len(numbers)} receipts woke {len(woken)} runs")
    return cpu / len(numbers) * 1e6, wall / len(numbers) * 1e6


def _receipt(iuv: str) -> Submission:
    return Submission("banco.ricevuta", {"iuv": iuv, "importo": 10_000, "ricevuta": f"R-{iuv}"}, "banco", key=iuv, role="portal")
