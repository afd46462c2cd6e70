"""How long `bus validate` takes: 300 routes, made of the shipped ones in turn, each under a name of its own and with step ids of its own.

CPU seconds (of all processes that take part) and seconds by the clock: of the check alone (files read, parsed, compiled, checked against
all contracts; in a process that has done it before), as `bus validate` does it and as it is done before rules are put in force, and of
the whole command, from the start of Python to the last line; of everything, after an edit of one route, and when all is as it was.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.processes import PROJECT
from bus.cli.rules import offered
from bus.config import load
from bus.earlier import Earlier
from bus.examine import examine, review
from bus.rulefiles import files_of

ROUTES, ROUNDS = 300, 5
AIM = 0.5
Spent: TypeAlias = tuple[float, float]
"""CPU seconds, and seconds by the clock."""
TITLES = {
    "check": "the check, of everything",
    "alone": "the same by one process, as before rules are put in force",
    "recheck": "the check, one route edited since the last time",
    "everything": "the command, everything (`--no-cache`)",
    "edited": "the command, one route edited since the last time",
    "unchanged": "the command, nothing edited since the last time",
}


def measured(folder: Path, routes: int = ROUTES, rounds: int = ROUNDS) -> dict[str, Any]:
    """What the check and the command took, in each round one of each; and the bytes and steps checked."""
    rules = town(folder / "rules", routes)
    operations = offered(load(PROJECT / "config.yaml", secrets=False))
    catalog, findings = examine(rules, operations)
    assert catalog is not None, findings[:3]
    edited = min(rules.glob("routes/copie-*/*.yaml"))
    _command(rules)
    review(files_of(rules), operations, known := Earlier())
    spent: dict[str, list[Spent]] = {name: [] for name in TITLES}
    for turn in range(rounds):
        spent["check"].append(_spent(lambda: review(files_of(rules), operations)))
        spent["alone"].append(_spent(lambda: examine(rules, operations)))
        _edit(edited, turn)
        spent["recheck"].append(_spent(lambda: review(files_of(rules), operations, known)))
        spent["everything"].append(_command(rules, "--no-cache"))
        spent["edited"].append(_command(rules))
        spent["unchanged"].append(_command(rules))
    files = [path.read_bytes() for path in rules.rglob("*.yaml")]
    steps = sum(1 for route in catalog.routes.values() for _ in route.plan.walk())
    told = {name: {"cpu": _told([cpu for cpu, _ in each]), "clock": _told([clock for _, clock in each])} for name, each in spent.items()}
    return {"routes": len(catalog.routes), "steps": steps, "kilobytes": sum(map(len, files)) // 1000, **told}


def _edit(route: Path, turn: int) -> None:
    """Write what changes nothing that is found."""
    route.write_text(f"{route.read_text('utf-8')}# {turn}\n", "utf-8")


def town(folder: Path, routes: int) -> Path:
    """The shipped rules with so many routes instead of their own; tests are left out, since `bus validate` is asked about rules."""
    shutil.copytree(PROJECT / "mappings", folder / "mappings")
    shutil.copytree(PROJECT / "routes", folder / "routes", ignore=shutil.ignore_patterns("*.test.yaml"))
    shipped = sorted(path for path in (folder / "routes").glob("*/*.yaml"))
    texts = [path.read_text("utf-8").split("\ngiven:\n")[0].split("\ntests:\n")[0] + "\n" for path in shipped]
    for path, text in zip(shipped, texts, strict=True):
        path.write_text(text, "utf-8")
    for number in range(routes - len(shipped)):
        text = re.sub(r"^route: (\S+)", rf"route: \1-{number}", texts[number % len(texts)], flags=re.MULTILINE)
        text = re.sub(r"(\bid: )([a-z][a-z0-9-]*)", rf"\1\2-{number}", text)
        path = folder / "routes" / f"copie-{number % 10}" / f"{number}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def _spent(work: Callable[[], Any]) -> Spent:
    before, begun = _cpu(), time.perf_counter()
    work()
    return _cpu() - before, time.perf_counter() - begun


def _cpu() -> float:
    """CPU seconds of this process, and of those that it started and that have ended."""
    both = (resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def _command(rules: Path, *options: str) -> Spent:
    command = [sys.executable, "-m", "bus.cli", "validate", str(rules), "--config", str(PROJECT / "config.yaml"), *options]
    kept = {name: said for name, said in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # users keep it: it is Python's default
    kept["XDG_CACHE_HOME"] = str(rules.parent)

    def run() -> None:
        done = subprocess.run(command, cwd=PROJECT, env=kept, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]

    return _spent(run)


def _told(spent: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(spent), 3), "fastest": round(min(spent), 3), "slowest": round(max(spent), 3)}


def table(machine: dict[str, Any], found: dict[str, Any]) -> str:
    """Markdown that reads well as plain text too."""
    lines = [
        f"# `bus validate` on {machine['date'][:10]}",
        "",
        f"{machine['processor']}, {machine['cores']} cores; load before the run: {machine['load_before']}; revision {machine['revision']}.",
        "",
        *rows(found),
    ]
    return "\n".join(lines) + "\n"


def rows(found: dict[str, Any]) -> list[str]:
    """The part of a table that says it."""
    head = f"`bus validate`: {found['routes']} routes of {found['steps']} steps, {found['kilobytes']} KB of YAML with mappings and types."
    made = [head, "", f"The aim is {AIM} s. Median of the rounds, and the fastest:", ""]
    made += ["| | CPU seconds | seconds by the clock |", "|---|---:|---:|"]
    for name, title in TITLES.items():
        cpu, clock = found[name]["cpu"], found[name]["clock"]
        made.append(f"| {title} | {cpu['median']} ({cpu['fastest']}) | {clock['median']} ({clock['fastest']}) |")
    return made
