"""``make fault``: the long storms of both shapes and the time of recovery, written with machine and date to ``benchmarks/results/``.

``python -m tests.fault [--seed N] [--messages N] [--kills N] [--shape embedded|production] [--dry]``. Exits 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import machine
from bus.config import Engine
from tests.fault.chaos import Outcome, Weather, plan, storm
from tests.fault.house import PROJECT, ROLES, House, Shape
from tests.fault.portal import Portal
from tests.fault.recovery import recoveries

WEATHER = Weather(lost=0.1, late=(1.0, 2.5, 5.0))
PATIENT = {"adapters": {name: {"settle": 6.0} for name in ("alfa", "beta")}}
"""Effects come up to 5 s late: who looks earlier learns nothing."""
AS_SHIPPED = {"engine": {"lease": Engine().lease, "sweep": Engine().sweep}}
"""Recovery is measured with the settings that nobody changed."""
HEADS = ("messages", "kills", "stops", "answers lost on the way", "lost", "silent duplicates", "flagged", "flagged after, p50/max s")


def main() -> int:
    asked = argparse.ArgumentParser(prog="make fault", description=__doc__)
    asked.add_argument("--seed", type=int, default=int(dt.datetime.now(dt.UTC).strftime("%Y%m%d")))
    asked.add_argument("--messages", type=int, default=5200, help="for each shape")
    asked.add_argument("--kills", type=int, default=260, help="for each shape")
    asked.add_argument("--shape", choices=list(ROLES), action="append")
    asked.add_argument("--dry", action="store_true", help="write no results")
    options = asked.parse_args()
    shapes: list[Shape] = options.shape or list(ROLES)
    where, outcomes, recovered = machine(), {}, {}
    for shape in shapes:
        outcomes[shape] = _storm(shape, options.seed, options.messages, options.kills)
        print(f"{shape}: {outcomes[shape]}", flush=True)
        recovered[shape] = _recover(shape)
        print(f"{shape}: recovery {recovered[shape]}", flush=True)
    text = report(where, options.seed, outcomes, recovered)
    print(text)
    if not options.dry:
        _write(text, {"machine": where, "seed": options.seed, "recovery": recovered, "storms": _plain(outcomes)})
    faults = [f"{shape}: {fault}" for shape, outcome in outcomes.items() for fault in outcome.verdict.faults]
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


def _storm(shape: Shape, seed: int, count: int, kills: int) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="snodo-fault-") as name, House(Path(name) / "house", shape, PATIENT, workers=2) as house:
        portal = Portal(house.url, Path(name) / "portal.jsonl")
        try:
            return storm(house, portal, seed, plan(seed, shape, kills, kills // 20, every=1.2), count, WEATHER)
        finally:
            portal.close()


def _recover(shape: Shape) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory(prefix="snodo-fault-") as name, House(Path(name) / "house", shape, AS_SHIPPED) as house:
        portal = Portal(house.url, Path(name) / "portal.jsonl")
        try:
            return recoveries(house, portal, 20)
        finally:
            portal.close()


def report(where: dict[str, Any], seed: int, outcomes: dict[Shape, Outcome], recovered: dict[Shape, dict[str, list[float]]]) -> str:
    """The page for people."""
    lines = [
        f"# Faults of {where['date'][:10]}", "",
        f"{where['processor']}, {where['cores']} cores, {where['memory_gb']} GB; {where['system']}; revision {where['revision']}.",
        f"Python {where['python']}; load of the machine before the run: {where['load_before']}. Seed {seed}.", "",
        ("Processes are killed (SIGKILL) or stopped for longer than their lease (SIGSTOP) at random moments while eight senders send; "
        "a tenth of the systems' replies gets lost, effects come up to 5 s late."), "",
        f"| shape | {' | '.join(HEADS)} |", "|---" * (len(HEADS) + 1) + "|",
        *(_row(shape, outcome) for shape, outcome in outcomes.items()), "",
        "Killed: " + "; ".join(f"{s}: " + ", ".join(f"{n} {c}" for n, c in sorted(o.kills.items())) for s, o in outcomes.items()) + ".", "",
        "| seconds from kill -9 | p50 | max | aim |", "|---|---:|---:|---:|",
    ]  # fmt: skip
    for shape, figures in recovered.items():
        aim = 2 if shape == "embedded" else 5
        lines += [f"| {shape}, {what} | {_p50_max(times)} | {aim} |" for what, times in figures.items()]
    return "\n".join([*lines, "", CAVEAT, ""])


CAVEAT = """What this does not show: power cuts (`tests/fault/test_power_cuts.py`), disks that lie, machines that are cut off from each other.
Recovery is the time until a restarted process takes messages again, and until all work that was open at the kill is done, its leases included;
the supervisor starts the process again at once."""


def _row(shape: str, outcome: Outcome) -> str:
    verdict = outcome.verdict
    flagged = f"{median(verdict.waits):.2f} / {max(verdict.waits):.2f}" if verdict.waits else "-"
    cells = (
        verdict.messages, outcome.kills.total(), outcome.stops, outcome.unanswered.total(), verdict.lost, verdict.doubled,
        verdict.flagged, flagged,
    )  # fmt: skip
    return f"| {shape} | {' | '.join(map(str, cells))} |"


def _p50_max(times: list[float]) -> str:
    return f"{median(times):.2f} | {max(times):.2f}"


def _plain(outcomes: dict[Shape, Outcome]) -> dict[str, Any]:
    return {shape: vars(outcome) | {"verdict": vars(outcome.verdict)} for shape, outcome in outcomes.items()}


def _write(text: str, figures: dict[str, Any]) -> None:
    path = PROJECT / "benchmarks" / "results" / f"fault-{dt.datetime.now(dt.UTC):%Y-%m-%dT%H%M}.md"
    path.write_text(text, "utf-8")
    path.with_suffix(".json").write_text(json.dumps(figures, indent=1, default=str) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
