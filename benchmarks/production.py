"""Production mode: PostgreSQL, RabbitMQ, ``bus web`` and ``bus worker`` as processes of their own. ``python -m benchmarks --production``.

One worker against two, in turns, for work that CPU bounds and for work that waits for a slow system; one door against two; memory. All
processes, the two servers and the load share the cores of this machine: with two of them, CPU-bound work has no room for a second worker.
"""

from __future__ import annotations

import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.house import settings
from benchmarks.machine import heading
from benchmarks.processes import Process
from benchmarks.stand import Stand
from benchmarks.work import SAMPLES, Kind
from tests.servers import PostgreSQL, RabbitMQ

ROUNDS = 2
COUNTS: dict[Kind, int] = {"pratica": 1000, "lenta": 1500, "lentissima": 600}
TITLES: dict[Kind, str] = {
    "pratica": "transform and deliver (CPU-bound)",
    "lenta": "a system that answers after 50 ms",
    "lentissima": "a system that answers after 200 ms",
}
WARM = 100
"""Messages of each kind that a process which has just begun does before it is measured: it opens connections and makes threads."""


class Production(Stand):
    """The processes of a production bus, and what is measured of them."""

    def _open(self) -> None:
        start = self.stack.enter_context
        store, broker = start(PostgreSQL()), start(RabbitMQ())
        systems, database = self._outside()
        shape = settings(self.folder, systems, database)
        self.config = self.folder / "config.yaml"
        self.config.write_text(json.dumps({**shape, "store": {"url": store.url}, "channel": {"url": broker.url}}), "utf-8")
        self.loads = [start(Process("benchmarks.load", log=self.log)) for _ in range(2)]
        self.webs = [start(self._process("web", "--port", "0")) for _ in range(2)]
        self._db = start(psycopg.connect(store.url.replace("+psycopg", ""), autocommit=True))

    def _process(self, role: str, *options: str) -> Process:
        return Process("bus.cli", role, "--config", str(self.config), *options, "--json", log=self.log)

    def _send(self, number: int, kind: Kind, count: int) -> dict[str, Any]:
        """Send to one door."""
        port = int(json.loads(self.webs[number].ready)["url"].rpartition(":")[2])
        return self.load_on(self.loads[number], port, kind, count)

    def accepts(self, count: int) -> dict[str, int]:
        """Durable accepts a second by one door, and by two at once; no worker works."""
        found: dict[str, list[float]] = {"one": [], "two": []}
        with ThreadPoolExecutor(2) as pool:
            for _ in range(ROUNDS):
                told = self._send(0, "deposito", count)
                found["one"].append(count / (told["ended"] - told["began"]))
                both = [pool.submit(self._send, n, "deposito", count) for n in (0, 1)]
                ends = [one.result() for one in both]
                found["two"].append(2 * count / (max(e["ended"] for e in ends) - min(e["began"] for e in ends)))
        return {name: round(statistics.median(values)) for name, values in found.items()}

    def workers(self) -> dict[str, Any]:
        """Messages a second with one worker and with two, in turns, and the memory of the first worker and the first door."""
        found: dict[str, Any] = {}
        with self._process("worker") as first:
            self._drain("deposito")
            rates: dict[str, list[float]] = {f"{kind}.{n}": [] for kind in COUNTS for n in (1, 2)}
            self._warm()
            for _ in range(ROUNDS):
                self._measure(rates, 1)
                with self._process("worker"):
                    self._warm()
                    self._measure(rates, 2)
            for kind in COUNTS:
                one, two = rates[f"{kind}.1"], rates[f"{kind}.2"]
                ratio = statistics.median(b / a for a, b in zip(one, two, strict=True))
                found[kind] = {"one": round(statistics.median(one)), "two": round(statistics.median(two)), "ratio": round(ratio, 2)}
            found["memory_mb"] = {"web": round(self.webs[0].memory()), "worker": round(first.memory())}
        return found

    def _warm(self) -> None:
        for kind in COUNTS:
            self._send(0, kind, WARM)
            self._drain(kind)

    def _measure(self, rates: dict[str, list[float]], workers: int) -> None:
        for kind, count in COUNTS.items():
            began = self._send(0, kind, count)["began"]
            rates[f"{kind}.{workers}"].append(count / (self._drain(kind) - began))

    def _drain(self, kind: Kind, seconds: float = 180.0) -> float:
        """The moment at which nothing of a kind is left to do."""
        until = time.monotonic() + seconds
        asked = "SELECT count(*) FROM runs WHERE route = %s AND state NOT IN ('done', 'cancelled')"
        while left := self._db.execute(asked, (SAMPLES[kind][0].type,)).fetchone()[0]:  # type: ignore[index]
            if time.monotonic() > until:
                raise RuntimeError(f"{kind}: {left} not done after {seconds:g} s")
            time.sleep(0.02)
        return time.monotonic()


def measured(folder: Path) -> dict[str, Any]:
    """Everything of this file."""
    with Production(folder) as production:
        production.accepts(100)
        accepts = production.accepts(800)
        return {"accepts": accepts, **production.workers()}


def table(machine: dict[str, Any], found: dict[str, Any]) -> str:
    """Markdown."""
    accepts, memory = found["accepts"], found["memory_mb"]
    rows = [
        ("durable accepts a second, one and two `bus web`", accepts["one"], accepts["two"], f"{accepts['two'] / accepts['one']:.2f}", ""),
        *[
            (f"messages a second, {title}, one and two `bus worker`", *[found[kind][n] for n in ("one", "two", "ratio")], "1.7")
            for kind, title in TITLES.items()
        ],
    ]
    return "\n".join(
        [
            *heading("Production mode", machine),
            "PostgreSQL, RabbitMQ, doors, workers, outside systems and load on the same cores.",
            "",
            "| | one | two | ratio | aim |",
            "|---|---:|---:|---:|---:|",
            *[f"| {' | '.join(str(part) for part in row)} |" for row in rows],
            "",
            f"Resident memory: web {memory['web']} MB, worker {memory['worker']} MB, together {sum(memory.values())} (aim: 250).",
            "",
        ]
    )
