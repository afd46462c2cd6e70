"""The log of a simulated world in memory, to be replayed and to be tampered with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bus.diagnostics import configure
from bus.log import log
from bus.log.record import Record
from bus.message import JsonObject, parsed
from bus.replay.evidence import Evidence, Rulebook, gathered
from bus.replay.recount import Verdict, recount
from tests.simulation.simulation import MEMORY, Simulation
from tests.simulation.system import Sistema
from tests.simulation.world import World

OPERATIONS = {f"sistema.{name}": operation for name, operation in Sistema.operations.items()}


@dataclass
class Log:
    """Records, payloads by id, rules by digest; all MAY be changed."""

    records: list[Record]
    payloads: dict[str, bytes]
    rules: dict[str, JsonObject]

    def evidence(self) -> Evidence:
        return gathered(self.records, self.payloads.get, Rulebook(self.rules.get))

    def verdicts(self) -> dict[str, Verdict]:
        """By run."""
        evidence = self.evidence()
        return {one.run: recount(one, evidence, OPERATIONS) for one in evidence.openings}


class _Kept(Simulation):
    """A simulation whose log is kept before its store goes."""

    log: Log

    def judge(self) -> None:
        self.log = log_of(self)


def log_of(world: World) -> Log:
    with world.store.read() as tx:
        records = [record for _, record in log.everything(tx)]
        payloads, _ = log.payloads(tx, [row["id"] for row in tx.all("payloads_after", after="", most=100_000)])
        rules = {row["digest"]: parsed(row["content"]) for row in tx.all("rules_after", after="", most=1000) if row["kind"] == "route"}
    return Log(records, payloads, rules)


@contextmanager
def played(seed: int) -> Iterator[_Kept]:
    configure("critical")
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = _Kept(seed, Path(folder))
        world.play()
        yield world


@cache
def _log(seed: int) -> Log:
    with played(seed) as world:
        return world.log


def simulated(seed: int) -> Log:
    """The log of a seed; a copy of one's own."""
    made = _log(seed)
    return Log(list(made.records), dict(made.payloads), dict(made.rules))
