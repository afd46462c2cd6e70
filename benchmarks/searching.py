"""What a page of a search takes among a million records, in SQLite and in PostgreSQL, for each thing that can be asked for.

The log is made by rows, as the bus would have left it: messages of thirty types, each with a run of a route of its own of eight steps, its
case with a key, a person for some; over ninety days. Traces are then made as the sequencer makes them. Each question is asked with other
values each time, at places spread over the whole log, with nothing kept between two but what the database itself keeps.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.machine import heading
from benchmarks.processes import children, cpu_of
from benchmarks.waits import MEMORY
from bus.clock import text_of
from bus.engine import search
from bus.engine.names import holder
from bus.engine.search import Cursor, Question
from bus.log.keyring import Keyring
from bus.log.record import WEAK
from bus.store import Store
from bus.store.opening import open_store
from tests.keyrings import in_memory
from tests.servers import PostgreSQL

RECORDS, TIMES, PAGE = 1_000_000, 60, 50
TYPES, STEPS, PERSONS = 30, 8, 20_000
FIRST = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAYS = 90
_OF_ONE = 10
"""Records of a message: it came in, four steps asked and answered, it ended."""
TABLES = {
    "records": ("id", "kind", "time", "message", "run", "content"),
    "messages": ("id", "type", "sender", "time", "case_id", "payload"),
    "runs": (
        "id", "message", "route", "version", "digest", "entry", "ordered", "case_id", "state", "place", "due", "opened", "changed",
    ),
    "cases": ("id", "opened"),
    "case_keys": ("name", "value", "case_id", "strong"),
    "holders": ("holder", "message"),
}  # fmt: skip
Rows = dict[str, list[tuple[Any, ...]]]


def measured(folder: Path, records: int = RECORDS, only: str = "") -> dict[str, Any]:
    """Milliseconds of a page by store and question. ``only``: one store."""
    found = {}
    if only != "postgresql":
        found["sqlite"] = _measured(f"sqlite:///{folder}/search.db", records)
    if only != "sqlite":
        with PostgreSQL(MEMORY) as server:
            found["postgresql"] = _measured(server.new_database(), records, server)
    return found


def _measured(url: str, records: int, server: PostgreSQL | None = None) -> dict[str, Any]:
    keys = in_memory(b"banco")
    open_store(url).close()  # makes the tables
    began = time.monotonic()
    (_fill_sqlite if server is None else _fill_postgresql)(url, lambda: _rows(keys, records // _OF_ONE))
    made = time.monotonic() - began
    with closing(open_store(url)) as store:
        store.keys = keys
        traced = _trace(store, server)
        asked = {name: _asked(store, make, records // _OF_ONE, server) for name, make in QUESTIONS.items()}
        return {"records": records, "made_s": round(made, 1), **traced, "questions": asked, "sizes": _sizes(url)}


def _rows(keys: Keyring, messages: int) -> Iterator[Rows]:
    """Rows by table, a thousand messages at a time."""
    dice = random.Random(1)
    for start in range(0, messages, 1000):
        rows: Rows = {table: [] for table in TABLES}
        for n in range(start, min(start + 1000, messages)):
            _add(rows, keys, dice, n, dt.timedelta(days=DAYS) / messages)
        yield rows


def _id(n: int, at: dt.datetime, what: int) -> str:
    """As the bus makes them: in the order of time."""
    ms = f"{int(at.timestamp() * 1000):012x}"
    return f"{ms[:8]}-{ms[8:]}-7{what:03x}-8000-{n:012x}"


def _add(rows: Rows, keys: Keyring, dice: random.Random, n: int, apart: dt.timedelta) -> None:
    kind = min(int(dice.expovariate(0.15)), TYPES - 1)
    at, first = FIRST + n * apart, n - n % 3
    message, run, case = _id(n, at, 1), _id(n, at, 2), _id(first, FIRST + first * apart, 1)
    route, opened = f"banco.percorso-{kind}", text_of(at)
    dead = dice.random() < 0.002
    rows["messages"].append((message, f"banco.tipo-{kind}", "banco", opened, case, ""))
    state = "dead" if dead else "done"
    rows["runs"].append((run, message, route, 1, "0" * 64, "", 1, case, state, f"{route}@1/passo-3", opened, opened, opened))
    if n % 3 == 0:
        rows["cases"].append((case, opened))
        rows["case_keys"].append(("protocollo", keys.token(f"2026/{n:07d}"), case, 1))
    rows["holders"].append((keys.token(holder(person(n % PERSONS))), message))
    opens = {"id": run, "route": route, "version": 1, "digest": "0" * 64}
    told = [("received", "", {"type": f"banco.tipo-{kind}", "sender": "banco", "runs": [opens]})]
    for step in dice.sample(range(STEPS), 4):
        end = "refused" if dice.random() < 0.003 else "answered"
        told += [(one, f"{route}@1/passo-{step}", {"operation": "registro.cerca", "key": "x" * 40}) for one in ("asked", end)]
    told.append(("dead" if dead else "done", f"{route}@1", {"state": state}))
    for number, (one, place, data) in enumerate(told):
        when = text_of(at + dt.timedelta(seconds=number))
        line = {"v": 1, "id": _id(n, at, 16 + number), "kind": one, "time": when, "actor": "bus", "message": message, "data": data,
                "payloads": [{"role": "message", "id": f"{n:064x}", "size": 400, "type": "application/json"}]}  # fmt: skip
        line |= {"place": place, "run": run, "path": place, "rules": "0" * 64} if place else {}
        rows["records"].append((line["id"], one, when, message, run if place else None, json.dumps(line).encode()))


def person(n: int) -> str:
    return f"persona-{n:05d}"


def _fill_sqlite(url: str, made: Callable[[], Iterator[Rows]]) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as raw:
        raw.execute("PRAGMA synchronous=OFF")
        raw.execute("PRAGMA cache_size=-262144")
        for rows in made():
            raw.execute("BEGIN")
            for table, columns in TABLES.items():
                raw.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", rows[table])
            raw.execute("COMMIT")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _fill_postgresql(url: str, made: Callable[[], Iterator[Rows]]) -> None:
    with psycopg.connect(url, autocommit=True) as raw:
        raw.execute("SET synchronous_commit = off")
        for rows in made():
            for table, columns in TABLES.items():
                with raw.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as into:
                    for row in rows[table]:
                        into.write_row(row)
        raw.execute("VACUUM ANALYZE")


def _cpu(server: PostgreSQL | None) -> float:
    return time.process_time() + (cpu_of(children(server.pid, "postgres: snodo ")) if server else 0.0)


def _trace(store: Store, server: PostgreSQL | None) -> dict[str, Any]:
    """As the sequencer does it; each transaction holds up whoever writes."""
    took, began = [], _cpu(server)
    while True:
        at = time.perf_counter()
        if not search.trace(store):
            break
        took.append(time.perf_counter() - at)
    return {
        "trace_cpu_us": (_cpu(server) - began) / (len(took) * search.AT_ONCE) * 1e6,
        "trace_transaction_ms": _of_hundred(took, 95) * 1000,
    }


def _asked(store: Store, make: Callable[[random.Random, int], Question], messages: int, server: PostgreSQL | None) -> dict[str, Any]:
    """Page after page until `TIMES` are had: half of them first pages, half following ones."""
    dice, walls, cpus, shown = random.Random(2), list[float](), list[float](), 0
    while len(walls) < TIMES:
        question, after = make(dice, messages), ""
        for _ in range(2):
            at, cpu = time.perf_counter(), _cpu(server)
            count, after = _page(store, question, after)
            walls.append((time.perf_counter() - at) * 1000)
            cpus.append((_cpu(server) - cpu) * 1000)
            shown += count
            if not after:
                break
    return {
        "half_ms": _of_hundred(walls, 50), "p95_ms": _of_hundred(walls, 95), "most_ms": max(walls), "cpu_half_ms": _of_hundred(cpus, 50),
        "cpu_p95_ms": _of_hundred(cpus, 95), "shown": shown / len(walls),
    }  # fmt: skip


def _page(store: Store, question: Question, after: str) -> tuple[int, str]:
    with store.read() as tx:
        cursor = Cursor.read(tx, after, question) if after else None
        persons = search.names_person(question.key)
        among = search.named(tx, question.key, persons=persons) if question.key else None
        page = search.search(tx, question, cursor, PAGE, text_of(FIRST), among)
        return len(page.found), page.after.text(tx, question) if page.after else ""


def _of_hundred(values: list[float], part: int) -> float:
    return sorted(values)[min(len(values) * part // 100, len(values) - 1)]


def _sizes(url: str) -> dict[str, float]:
    """Megabytes of the whole, and of what searches look at."""
    if not url.startswith("sqlite:"):
        with psycopg.connect(url) as raw:
            row = raw.execute("SELECT pg_database_size(current_database()), pg_total_relation_size('traces')").fetchone()
            assert row is not None
            return {"whole": row[0] / 1e6, "traces": row[1] / 1e6}
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw:
        [whole] = raw.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
        [bytes_] = raw.execute("SELECT count(*) * 16 FROM traces").fetchone()
        return {"whole": whole / 1e6, "traces": bytes_ / 1e6}


def _during(dice: random.Random) -> dict[str, dt.datetime]:
    since = FIRST + dt.timedelta(days=dice.uniform(0, DAYS - 2))
    return {"since": since, "until": since + dt.timedelta(days=dice.choice((0.05, 1, 30)))}


def _type(dice: random.Random) -> str:
    return f"banco.tipo-{dice.randrange(TYPES)}"


def _route(dice: random.Random) -> str:
    return f"banco.percorso-{dice.randrange(TYPES)}"


def _key(dice: random.Random, messages: int) -> str:
    return f"protocollo:2026/{dice.randrange(messages // 3) * 3:07d}"


_FIND = search.FINDS
QUESTIONS: dict[str, Callable[[random.Random, int], Question]] = {
    "nothing: the newest": lambda d, n: Question(d.choice(_FIND)),  # type: ignore[arg-type]
    "a key": lambda d, n: Question(d.choice(_FIND), _key(d, n)),  # type: ignore[arg-type]
    "a person": lambda d, n: Question(d.choice(_FIND), f"{min(WEAK)}:{person(d.randrange(PERSONS))}"),  # type: ignore[arg-type]
    "a key that nobody has": lambda d, n: Question("records", f"protocollo:nessuno-{d.random()}"),
    "a type, records": lambda d, n: Question("records", type=_type(d)),
    "a type, messages": lambda d, n: Question("messages", type=_type(d)),
    "a type, cases": lambda d, n: Question("cases", type=_type(d)),
    "a route, runs": lambda d, n: Question("runs", route=_route(d)),
    "a step, records": lambda d, n: Question("records", step=f"passo-{d.randrange(STEPS)}"),
    "a step that is not there": lambda d, n: Question("runs", step="passo-99"),
    "an outcome that is common": lambda d, n: Question(d.choice(_FIND), kinds=frozenset({"answered"})),  # type: ignore[arg-type]
    "an outcome that is rare": lambda d, n: Question(d.choice(_FIND), kinds=frozenset({"dead"})),  # type: ignore[arg-type]
    "a time, records": lambda d, n: Question("records", **_during(d)),  # type: ignore[arg-type]
    "a time, messages": lambda d, n: Question("messages", **_during(d)),  # type: ignore[arg-type]
    "a time, runs": lambda d, n: Question("runs", **_during(d)),  # type: ignore[arg-type]
    "a time, cases": lambda d, n: Question("cases", **_during(d)),  # type: ignore[arg-type]
    "route, step, outcome, time": lambda d, n: Question(  # type: ignore[misc]
        d.choice(_FIND),
        route=_route(d),
        step=f"passo-{d.randrange(STEPS)}",
        kinds=frozenset({"refused", "dead"}),
        **_during(d),  # type: ignore[arg-type]
    ),
    "key, type, outcome": lambda d, n: Question("records", _key(d, n), _type(d), kinds=frozenset({"answered"})),
}


REMARK = (
    f"Pages of {PAGE}, each question {TIMES} times with other values, first pages and those that follow, by the clock, without "
    "HTTP (1 to 2 ms). CPU of PostgreSQL is that of its processes and ours, in steps of 10 ms. "
    "It does not show cold disks: the file had just been written."
)


def _cost_of_traces(one: dict[str, Any]) -> str:
    cost = f"Traces: {one['trace_cpu_us']:.1f} µs of CPU a record, made apart from accepting; {search.AT_ONCE:,} of them took "
    took = f"{one['trace_transaction_ms']:.0f} ms (95 %). "
    return f"{cost}{took}{one['sizes']['traces']:.0f} MB of {one['sizes']['whole']:,.0f} MB."


def table(machine: dict[str, Any], found: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        *heading("Searching a log", machine),
    ]  # fmt: skip
    for store, one in found.items():
        lines += [
            "", f"## {store}, {one['records']:,} records", "",
            "| asked for | half of the pages, ms | 95 %, ms | the longest, ms | CPU: half, ms | CPU: 95 %, ms | found a page |",
            "|---|---:|---:|---:|---:|---:|---:|",
            *(
                f"| {name} | {q['half_ms']:.1f} | {q['p95_ms']:.1f} | {q['most_ms']:.1f} | {q['cpu_half_ms']:.1f} | {q['cpu_p95_ms']:.1f} "
                f"| {q['shown']:.1f} |"
                for name, q in one["questions"].items()
            ),
            "", _cost_of_traces(one),
        ]  # fmt: skip
    worst = {store: max(q["p95_ms"] for q in one["questions"].values()) for store, one in found.items()}
    lines += [
        "", "Aim: 95 % of the pages in 300 ms, whatever is asked for. The worst: "
        + ", ".join(f"{store} {ms:.0f} ms" for store, ms in worst.items()) + ".", "",
        REMARK, "",
    ]  # fmt: skip
    return "\n".join(lines)
