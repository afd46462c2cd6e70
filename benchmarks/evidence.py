"""What the evidence costs: ``python -m benchmarks --evidence``, and shorter in a whole run. Receipts, the tree, checkpoints, tiles.

Two buses that are alike, but that one gives no receipts and seals nothing, take the same messages in turns: accepted, transformed and
delivered; both make what searches look at. Compared are CPU of the whole process, with the making of the folder, and messages a second.
What is still to be sealed or traced at the last delivery counts with the CPU that it takes then, not with the half second that a
sequencer rests: that is there once, however many messages there were.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.house import Bus
from benchmarks.machine import heading
from benchmarks.processes import Process
from benchmarks.stand import Stand
from bus.log.published import publish
from bus.store.opening import open_reader

COUNT, ROUNDS = 1500, 7
SHORT = 1000, 3
"""Messages and rounds as a part of a whole run."""
MOST = 1.10
"""The aim: CPU a message with all evidence, against without."""
HOWS = {"with": (), "without": ("--no-evidence",)}


class Both(Stand):
    """Two buses between the same systems; only one is at work at a time."""

    def _open(self) -> None:
        start = self.stack.enter_context
        systems, database = self._outside()
        self.load = start(Process("benchmarks.load", log=self.log))
        self.buses = {how: start(Bus(self.folder / how, systems, database, *options)) for how, options in HOWS.items()}
        self.done = dict.fromkeys(HOWS, 0)

    def round(self, how: str, count: int) -> dict[str, float]:
        """Messages a second and milliseconds of CPU a message."""
        bus, cpu = self.buses[how], self.buses[how].cpu()
        began = self.load_on(self.load, bus.port, "pratica", count)["began"]
        self.done[how] += count
        ended, then = bus.wait_until_done("banco.pratica", self.done[how]), bus.cpu()
        self._wait_until_settled(how)
        published = self._publish() if how == "with" else 0.0
        behind = bus.cpu() - then + published
        return {"rate": count / (ended - began + behind), "cpu": (bus.cpu() - cpu + published) / count * 1000}

    def _wait_until_settled(self, how: str) -> None:
        """Until searches find every record, and every record is under a checkpoint where there is one at all."""
        with closing(sqlite3.connect(f"file:{self.folder}/{how}/snodo.db?mode=ro", uri=True)) as database:
            until = time.monotonic() + 60
            while True:
                [[newest, sealed, traced]] = database.execute(
                    "SELECT (SELECT max(seq) FROM records), (SELECT max(last) FROM checkpoints), "
                    "(SELECT value FROM marks WHERE name = 'traced')"
                )
                if int(traced or 0) == newest and (how == "without" or sealed == newest):
                    return
                if time.monotonic() > until:
                    raise RuntimeError(f"record {newest} is not sealed ({sealed}) or not traced ({traced})")
                time.sleep(0.05)

    def _publish(self) -> float:
        """Bring the folder of tiles up to the log; the CPU seconds that it took."""
        began = time.process_time()
        with closing(open_reader(f"sqlite:///{self.folder}/with/snodo.db")) as reader:
            publish(reader, self.folder / "tiles")
        return time.process_time() - began


def measured(folder: Path, count: int = COUNT, rounds: int = ROUNDS) -> dict[str, Any]:
    """Medians of both, and of the ratios of each round."""
    found: dict[str, list[dict[str, float]]] = {how: [] for how in HOWS}
    folder.mkdir(exist_ok=True)
    with Both(folder) as stand:
        for how in HOWS:
            stand.round(how, count)  # it warms up
        for number in range(rounds):
            for how in sorted(HOWS, reverse=bool(number % 2)):
                found[how].append(stand.round(how, count))
    median = {how: {part: statistics.median(one[part] for one in found[how]) for part in ("rate", "cpu")} for how in HOWS}
    pairs = list(zip(found["with"], found["without"], strict=True))
    ratio = {part: round(statistics.median(a[part] / b[part] for a, b in pairs), 3) for part in ("rate", "cpu")}
    return {"count": count, "rounds": found, "median": median, "ratio": ratio}


def table(machine: dict[str, Any], found: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        *heading("What the evidence costs", machine),
        "", *rows(found), "",
    ]  # fmt: skip
    return "\n".join(lines)


def rows(found: dict[str, Any]) -> list[str]:
    """The part of a table that says it."""
    costs = [f"| {how} | {found['median'][how]['rate']:.0f} | {found['median'][how]['cpu']:.2f} |" for how in HOWS]
    ratio = found["ratio"]
    return [
        f"`bus serve` on SQLite, in turns: {found['count']} messages transformed and delivered; {len(found['rounds']['with'])} rounds,",
        "medians. Evidence: receipts, tree, checkpoints, the folder of tiles.", "",
        "| evidence | messages/s | CPU ms a message |", "|---|---:|---:|", *costs,
        f"| ratio of each round | {ratio['rate']:.2f} | {ratio['cpu']:.2f} (aim {MOST:.2f} at most) |",
    ]  # fmt: skip
