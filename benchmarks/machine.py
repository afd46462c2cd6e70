"""Where and when a measurement was made."""

from __future__ import annotations

import datetime as dt
import os
import platform
import sqlite3
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.processes import PROJECT

LIBRARIES = (
    "uvicorn", "uvloop", "httptools", "starlette", "requests", "zeep", "SQLAlchemy", "psycopg", "kombu", "cel-expr-python", "orjson",
)  # fmt: skip


def here() -> dict[str, Any]:
    """This machine, and the time of day."""
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "revision": _revision(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _revision() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def heading(title: str, machine: dict[str, Any]) -> list[str]:
    """The first lines of what one measurement found."""
    return [
        f"# {title}, {machine['date'][:10]}", "",
        f"{machine['processor']}, {machine['cores']} cores; revision {machine['revision']}; load before: {machine['load_before']}.",
    ]  # fmt: skip
