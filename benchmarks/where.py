"""Where a message's time goes: CPU time of each thread of the bus by function, while it transforms and delivers.

The profiler itself slows small functions down more than large ones: read the shares, not the sums.
"""

from __future__ import annotations

import pstats
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import PROJECT
from benchmarks.stand import OneBus

ROLES = {"web": "web", "snodo-writer": "writer", "snodo-engine": "engine", "snodo-consegna": "adapter", "snodo-publish": "channel",
         "snodo-consume": "channel"}  # fmt: skip
MOST = 14


@dataclass(frozen=True, slots=True)
class Cost:
    """One function: CPU milliseconds per message, its own and with all it calls."""

    name: str
    own: float
    whole: float


@dataclass(frozen=True, slots=True)
class Share:
    """One role: its CPU milliseconds per message, and what cost most (by time with callees, ours only; and by own time)."""

    role: str
    total: float
    whole: list[Cost]
    own: list[Cost]


def profile(folder: Path, count: int) -> list[Share]:
    """Send so many messages through a profiled bus."""
    made = folder / "profiles"
    made.mkdir()
    with OneBus(folder, "--profile", str(made)) as stand:
        stand.send("pratica", count)
        stand.bus.wait_until_done("banco.pratica", count, 300)
    shares = [_share(role, files, count) for role, files in _by_role(made).items() if files]
    return sorted(shares, key=lambda share: -share.total)


def _by_role(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {role: [] for role in dict.fromkeys(ROLES.values())}
    for path in folder.glob("*.prof"):
        role = next((role for prefix, role in ROLES.items() if path.name.startswith(prefix)), None)
        if role is not None:
            found[role].append(str(path))
    return found


def _share(role: str, files: list[str], count: int) -> Share:
    stats = pstats.Stats(*files)
    costs = [
        Cost(_name(function), own / count * 1000, whole / count * 1000)
        for function, (_, _, own, whole, _) in stats.stats.items()  # type: ignore[attr-defined]
    ]
    ours = sorted((cost for cost in costs if cost.name.startswith(("bus.", "adapters."))), key=lambda cost: -cost.whole)
    return Share(role, stats.total_tt / count * 1000, ours[:MOST], sorted(costs, key=lambda cost: -cost.own)[:MOST])  # type: ignore[attr-defined]


def _name(function: tuple[str, int, str]) -> str:
    """``bus.engine.settle:_settle`` for ours, ``requests/sessions.py:send`` for others, the plain name for what is built in."""
    file, _, name = function
    if file == "~":
        return name.strip("<>")
    path = Path(file)
    if path.is_relative_to(PROJECT) and ".venv" not in path.parts:
        return ".".join(path.relative_to(PROJECT).with_suffix("").parts) + ":" + name
    return "/".join(path.parts[-2:]) + ":" + name
