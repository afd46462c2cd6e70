"""How long `bus validate` takes: 300 routes, made of the shipped ones in turn, each under a name of its own and with step ids of its own.

CPU seconds: of the check alone (files read, parsed, compiled, checked against all contracts; in a process that has done it before), and of
the whole command, from the start of Python to the last line.
"""

from __future__ import annotations

import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.processes import PROJECT
from bus.catalog import examine
from bus.cli.rules import offered
from bus.config import load

ROUTES, ROUNDS = 300, 5
AIM = 0.5


def measured(folder: Path, routes: int = ROUTES, rounds: int = ROUNDS) -> dict[str, Any]:
    """CPU seconds of the check and of the command, one for each round; and the bytes and steps checked."""
    rules = town(folder / "rules", routes)
    operations = offered(load(PROJECT / "config.yaml", secrets=False))
    catalog, findings = examine(rules, operations)
    assert catalog is not None, findings[:3]
    alone = [_spent(lambda: examine(rules, operations)) for _ in range(rounds)]
    command = [_command(rules) for _ in range(rounds)]
    files = [path.read_bytes() for path in rules.rglob("*.yaml")]
    steps = sum(1 for route in catalog.routes.values() for _ in route.plan.walk())
    return {
        "routes": len(catalog.routes), "steps": steps, "kilobytes": sum(map(len, files)) // 1000, "check": _told(alone),
        "command": _told(command),
    }  # fmt: skip


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


def _spent(work: Any) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _command(rules: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "bus.cli", "validate", str(rules), "--config", str(PROJECT / "config.yaml")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
    made = [head, "", "| CPU seconds | median | fastest | slowest | aim |", "|---|---:|---:|---:|---:|"]
    for name, title, aim in (("check", "the check", AIM), ("command", "the whole command", "")):
        one = found[name]
        made.append(f"| {title} | {one['median']} | {one['fastest']} | {one['slowest']} | {aim} |")
    return made
