"""``make fault``: the long storms of both shapes, the time of recovery and the wiped broker, written with machine and date to ``benchmarks/results/``.

``python -m tests.fault [--minutes M] [--seed N] [--storms N] [--messages N] [--kills N] [--pending N] [--only PART] [--dry]``. Exits 1 when a
promise was broken. What was played is kept part by part in ``var/fault``: called again with the same sizes and seed it goes on where it was,
also after an interruption, and begins no part when ``--minutes`` are over. The page tells what of it was not played.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import here
from bus.config import Engine
from tests.fault.chaos import Weather, plan, storm
from tests.fault.house import PROJECT, ROLES, House, Shape
from tests.fault.portal import Portal
from tests.fault.recovery import recoveries
from tests.fault.wiped import measured

KEPT = PROJECT / "var" / "fault"
WEATHER = Weather(lost=0.1, late=(1.0, 2.5, 5.0))
PATIENT = {"adapters": {name: {"settle": 6.0} for name in ("alfa", "beta")}}
"""Effects come up to 5 s late: who looks earlier learns nothing."""
AS_SHIPPED = {"engine": {"lease": Engine().lease, "sweep": Engine().sweep}}
"""Recovery is measured with the settings that nobody changed."""
RECOVER = {"embedded": 2, "production": 5}
FLAG, REBUILD = 5.0, 60.0
"""The aims, in seconds."""
HEADS = (
    "storms",
    "messages",
    "kills",
    "stops",
    "answers lost on the way",
    "lost",
    "silent duplicates",
    "flagged",
    "within 5 s",
    "p50/max s",
)
Part = dict[str, Any]


def main() -> int:
    asked = argparse.ArgumentParser(prog="make fault", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seed", type=int, default=20261126)
    asked.add_argument("--storms", type=int, default=5, help="for each shape")
    asked.add_argument("--messages", type=int, default=1040, help="in each storm")
    asked.add_argument("--kills", type=int, default=52, help="in each storm")
    asked.add_argument("--pending", type=int, default=100_000, help="when the broker is wiped")
    asked.add_argument("--minutes", type=float, default=float("inf"), help="begin no part later than that")
    asked.add_argument("--only", default="", help="only parts whose name contains this")
    asked.add_argument("--dry", action="store_true", help="write no page")
    options = asked.parse_args()
    until = time.monotonic() + 60 * options.minutes
    sizes = f"{options.seed}-{options.messages}-{options.kills}-{options.pending}"
    found: dict[str, Part | None] = {}
    for name, play in parts(options):
        found[name] = _kept(KEPT / f"{sizes}-{name}.json", play, go_on=options.only in name and time.monotonic() < until)
    text = report(found, options.seed)
    print(text)
    if not options.dry:
        path = PROJECT / "benchmarks" / "results" / f"fault-{dt.datetime.now(dt.UTC):%Y-%m-%dT%H%M}.md"
        path.write_text(text, "utf-8")
        path.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    faults = [f"{name}: {fault}" for name, part in found.items() if part for fault in part.get("verdict", {}).get("faults", ())]
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


def parts(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Part]]]:
    """Everything there is to play, by name: the short ones first."""
    for shape in ROLES:
        yield f"recovery-{shape}", lambda shape=shape: {"recovery": _recover(shape)}  # type: ignore[misc]
    yield "wiped", lambda: measured(options.pending)
    for number in range(options.storms):
        for shape in ROLES:
            seed = options.seed + number
            yield f"storm-{shape}-{number}", lambda shape=shape, seed=seed: _storm(shape, seed, options.messages, options.kills)  # type: ignore[misc]


def _kept(path: Path, play: Callable[[], Part], *, go_on: bool) -> Part | None:
    """What a part showed; played now unless it was before."""
    if not path.exists():
        if not go_on:
            return None
        where, begun = here(), time.monotonic()
        part = {"machine": where, **play(), "took": round(time.monotonic() - begun)}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(part, default=str), "utf-8")
        print(f"{path.stem}: {part}"[:600], flush=True)
    kept: Part = json.loads(path.read_text("utf-8"))
    return kept


@contextmanager
def _house(shape: Shape, changes: Part, workers: int = 1) -> Iterator[tuple[House, Portal]]:
    with (
        tempfile.TemporaryDirectory(prefix="snodo-fault-") as name,
        House(Path(name) / "house", shape, changes, workers) as house,
        closing(Portal(house.url, Path(name) / "portal.jsonl")) as portal,
    ):
        yield house, portal


def _storm(shape: Shape, seed: int, count: int, kills: int) -> Part:
    with _house(shape, PATIENT, workers=2) as (house, portal):
        outcome = storm(house, portal, seed, plan(seed, shape, kills, kills // 20, every=1.2), count, WEATHER)
    return {**vars(outcome), "verdict": vars(outcome.verdict)}


def _recover(shape: Shape) -> dict[str, list[float]]:
    with _house(shape, AS_SHIPPED) as (house, portal):
        return recoveries(house, portal, 10)


def report(found: dict[str, Part | None], seed: int) -> str:
    """The page for people."""
    played = {name: part for name, part in found.items() if part is not None}
    wheres = [part["machine"] for part in played.values()] or [here()]
    missing = [name for name, part in found.items() if part is None]
    storms = {shape: [part for name, part in played.items() if name.startswith(f"storm-{shape}-")] for shape in ROLES}
    lines = [
        f"# Faults of {wheres[-1]['date'][:10]}", "",
        f"{wheres[0]['processor']}, {wheres[0]['cores']} cores, {wheres[0]['memory_gb']} GB; {wheres[0]['system']}.",
        _where(wheres, seed), "",
        ("Processes are killed (SIGKILL) or stopped for longer than their lease (SIGSTOP) at random moments while eight senders send; "
        "a tenth of the systems' replies gets lost, effects come up to 5 s late."), "",
        f"| shape | {' | '.join(HEADS)} |", "|---" * (len(HEADS) + 1) + "|",
        *(_row(shape, those) for shape, those in storms.items() if those), "",
        "Killed: " + "; ".join(f"{shape}: {_killed(those)}" for shape, those in storms.items() if those) + ".", "",
        "| seconds from kill -9 | p50 | max | aim |", "|---|---:|---:|---:|",
    ]  # fmt: skip
    for shape, aim in RECOVER.items():
        figures = played.get(f"recovery-{shape}", {"recovery": {}})["recovery"]
        lines += [f"| {shape}, {what} | {median(times):.2f} | {max(times):.2f} | {aim} |" for what, times in figures.items()]
    if wiped := played.get("wiped"):
        lines += ["", _wiped(wiped)]
    if missing:
        lines += ["", f"Not played: {', '.join(missing)}."]
    return "\n".join([*lines, "", CAVEAT, ""])


def _where(wheres: list[dict[str, Any]], seed: int) -> str:
    revisions = ", ".join(sorted({where["revision"] for where in wheres}))
    loads = [where["load_before"] for where in wheres]
    return f"Revisions {revisions}; Python {wheres[0]['python']}; load before the parts: {min(loads)} to {max(loads)}. Seed {seed}."


CAVEAT = """What this does not show: power cuts (`tests/fault/test_power_cuts.py`), disks that lie, machines that are cut off from each other.
Recovery is the time until a restarted process takes messages again, and until all work that was open at the kill is done, its leases included;
the supervisor starts the process again at once."""


def _wiped(part: Part) -> str:
    return (
        f"Broker wiped with {part['pending']} runs pending, {part['workers']} workers started, which took {part['ready']:.1f} s: the first is done after "
        f"{part['first']:.1f} s, a message sent then after {part['carried']:.1f} s, all after {part['seconds']:.1f} s (aim: {REBUILD:g} s for 100,000); "
        f"{part['cpu_ms']:.2f} ms of CPU of the workers for each, {part['database_ms']:.2f} of the database, accepted in {part['accepted']:.0f} s. Load before: {part['machine']['load_before']}."
    )


def _row(shape: str, storms: list[Part]) -> str:
    verdicts = [storm["verdict"] for storm in storms]
    total = {name: sum(verdict[name] for verdict in verdicts) for name in ("messages", "lost", "doubled", "flagged")}
    waits = list(chain.from_iterable(verdict["waits"] for verdict in verdicts))
    soon = f"{sum(wait <= FLAG for wait in waits)} of {len(waits)}"
    cells = (
        len(storms), total["messages"], sum(sum(storm["kills"].values()) for storm in storms), sum(storm["stops"] for storm in storms),
        sum(sum(storm["unanswered"].values()) for storm in storms), total["lost"], total["doubled"], total["flagged"], soon,
        f"{median(waits):.2f} / {max(waits):.2f}" if waits else "-",
    )  # fmt: skip
    return f"| {shape} | {' | '.join(map(str, cells))} |"


def _killed(storms: list[Part]) -> str:
    kills = sum((Counter(storm["kills"]) for storm in storms), Counter[str]())
    return ", ".join(f"{name} {count}" for name, count in sorted(kills.items()))


if __name__ == "__main__":
    sys.exit(main())
