"""The measurements. Rivals are measured in turn, round after round, in one run: only ratios within a run mean something."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.house import Bus
from benchmarks.processes import Process, ask
from benchmarks.stand import Stand
from benchmarks.work import SAMPLES, Kind

OPEN_RATE = 100.0
"""Messages a second of the open loop."""
_TEXT = json.dumps({"voci": [{"numero": n, "testo": "x" * 20, "parti": {"chiave": str(n)}} for n in range(60)]})


@dataclass(slots=True)
class Figures:
    """Values by name, one for each round."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        return statistics.median(self.values[name])

    def ratio(self, name: str, against: str) -> float:
        """The median of the ratios of each round: what slows a whole round down slows both."""
        return statistics.median(a / b for a, b in zip(self.values[name], self.values[against], strict=True))


class Bench(Stand):
    """All processes of a run: outside systems, load generator, empty server, script, rival, two buses (one rests, one works)."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.figures = Figures()

    def _open(self) -> None:
        start, log = self.stack.enter_context, self.log
        self.systems, self.database = self._outside()
        self._make_table()
        self.load = start(Process("benchmarks.load", log=log))
        self.bare = start(Process("benchmarks.bare", log=log))
        self.durable = start(Process("benchmarks.bare", "--durable", str(self.folder / "durable.db"), log=log))
        order = {"systems": self.systems, "database": self.database}
        self.script = start(Process("benchmarks.script", json.dumps(order), log=log))
        self.rival = start(Process("benchmarks.rival", json.dumps({**order, "folder": str(self.folder)}), log=log))
        self.resting = start(Bus(self.folder / "resting", self.systems, self.database, "--resting"))
        self.bus = start(Bus(self.folder / "working", self.systems, self.database))

    def _make_table(self) -> None:
        from sqlalchemy import create_engine, text

        from benchmarks.work import TABLE

        engine = create_engine(self.database)
        with engine.begin() as connection:
            connection.execute(text(TABLE))
        engine.dispose()

    def send(self, port: int, kind: Kind, count: int, **how: Any) -> dict[str, Any]:
        """See `Stand.load_on`."""
        return self.load_on(self.load, port, kind, count, **how)

    # -- 1: accepting ------------------------------------------------------------------------------------------------

    def accepts(self, count: int) -> None:
        """Durable accepts a second: the door alone, the empty handler, the bare durable one, the door while the engine works."""
        doors = {"resting": self.resting, "bare": self.bare, "durable": self.durable, "working": self.bus}
        for name, port in [(name, door.port) for name, door in doors.items()]:
            told = self.send(port, "deposito", count)
            self.figures.add(f"accept.{name}", count / (told["ended"] - told["began"]))
        self.bus.wait_until_done("banco.deposito", self._all_done("deposito", count))

    def _all_done(self, kind: Kind, count: int) -> int:
        name = f"sent {kind}"
        self.figures.add(name, count)
        return int(sum(self.figures.values[name]))

    # -- 2: from message to effect -----------------------------------------------------------------------------------

    def walk(self, kind: Kind, count: int) -> None:
        """Messages a second from the first request to the last effect: the bus, the rival, the script behind a door and in memory."""
        messages = count * len(SAMPLES[kind])
        self.figures.add(f"{kind}.bus", self._bus_walk(kind, count, messages))
        for name, process in (("rival", self.rival), ("script", self.script)):
            self.figures.add(f"{kind}.{name}", self._walk_of(name, process, kind, count, messages))
        told = ask(self.script.port, f"/memory?kind={kind}&start={self.numbers(count)}&count={count}", "POST")
        if told["failed"]:
            raise RuntimeError(f"the script failed {told['failed']} times")
        self.figures.add(f"{kind}.memory", messages / told["seconds"])

    def _bus_walk(self, kind: Kind, count: int, messages: int) -> float:
        cpu, commits, threads = self.bus.cpu(), self.bus.commits(), self.bus.threads()
        told = self.send(self.bus.port, kind, count)
        ended = self.bus.wait_until_done(SAMPLES[kind][0].type, self._all_done(kind, count))
        self.figures.add(f"{kind}.accepting", messages / (told["ended"] - told["began"]))
        self.figures.add(f"{kind}.cpu", (self.bus.cpu() - cpu) / messages * 1000)
        for role, spent in self.bus.threads().items():
            self.figures.add(f"{kind}.threads.{role}", (spent - threads[role]) / messages)
        self.figures.add(f"{kind}.commits", (self.bus.commits() - commits) / messages)
        return float(messages / (ended - told["began"]))

    def _walk_of(self, name: str, process: Process, kind: Kind, count: int, messages: int) -> float:
        cpu, until = process.cpu(), ask(process.port, "/done")["done"] + messages
        told = self.send(process.port, kind, count)
        while ask(process.port, "/done")["done"] < until:
            time.sleep(0.01)
        elapsed = time.monotonic() - told["began"]
        self.figures.add(f"{kind}.{name}-cpu", (process.cpu() - cpu) / messages * 1000)
        return float(messages / elapsed)

    # -- 3: at a steady rate -----------------------------------------------------------------------------------------

    def steady(self, seconds: float) -> dict[str, Any]:
        """At 100 messages a second: milliseconds to the 202 and to the reply after the delivery; CPU and commits per message."""
        count = int(OPEN_RATE * seconds)
        cpu, commits = self.bus.cpu(), self.bus.commits()
        accepted = self.send(self.bus.port, "pratica", count, rate=OPEN_RATE)["latencies"]
        self.bus.wait_until_done("banco.pratica", self._all_done("pratica", count))
        spent = {"cpu_ms": (self.bus.cpu() - cpu) / count * 1000, "commits": (self.bus.commits() - commits) / count}
        figures = {**spent, "rested": rested()}
        return {"accepted_ms": accepted, "replied_ms": self.replied(seconds), **{name: round(value, 3) for name, value in figures.items()}}

    def replied(self, seconds: float) -> dict[str, float]:
        """At 100 messages a second: milliseconds to the reply after the delivery."""
        count = int(OPEN_RATE * seconds)
        found: dict[str, float] = self.send(self.bus.port, "richiesta", count, rate=OPEN_RATE, headers="Prefer: wait=20\r\n")["latencies"]
        return found


def rested() -> float:
    """How many times the CPU a piece of work takes here when it comes 100 times a second, against the same piece without a pause.

    What a processor needs to get going again is the machine's share of a slow answer: no program of ours is in it.
    """
    pause = 1 / OPEN_RATE
    return statistics.median(_pieces(100, pause) / _pieces(500, 0.0) for _ in range(5))


def _pieces(count: int, pause: float) -> float:
    """Seconds of CPU of a piece, half of them: JSON written, read and digested, a tenth of a millisecond or two."""
    taken = []
    for _ in range(count):
        time.sleep(pause)
        began = time.thread_time()
        hashlib.sha256(json.dumps(json.loads(_TEXT), sort_keys=True).encode()).digest()
        taken.append(time.thread_time() - began)
    return statistics.median(taken)


def rounds(bench: Bench, seconds: float, count: int, say: Callable[[str], None]) -> None:
    """Interleaved rounds. The first one only warms up, and tells how many messages fill ``seconds``."""
    sizes: dict[str, int] = {"deposito": 500, "pratica": 150, "iscrizione": 150, "avviso": 150}
    steps: dict[str, Callable[[int], None]] = {"deposito": bench.accepts}
    steps.update({kind: lambda n, kind=kind: bench.walk(kind, n) for kind in ("pratica", "iscrizione", "avviso")})  # type: ignore[misc]
    for number in range(count + 1):
        began = time.monotonic()
        for kind, step in steps.items():
            step(sizes[kind])
        if number == 0:
            speeds = {kind: bench.figures.median("accept.resting" if kind == "deposito" else f"{kind}.bus") for kind in steps}
            sizes = {kind: max(50, int(speed * seconds / len(SAMPLES[kind]))) for kind, speed in speeds.items()}  # type: ignore[index]
            _forget_warming(bench.figures)
        say(f"round {number} of {count}{' (warming up)' if number == 0 else ''}: {time.monotonic() - began:.0f} s")


def _forget_warming(figures: Figures) -> None:
    """Throw the first round away, but for what counts messages."""
    for name in [name for name in figures.values if not name.startswith("sent ")]:
        del figures.values[name]
