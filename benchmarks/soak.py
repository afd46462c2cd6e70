"""A long steady load: does memory stay flat, does work keep up? ``python -m benchmarks --soak MINUTES [--rate N]``.

200 messages a second, or N, are transformed and delivered; every ten seconds the resident memory, the runs not yet done and the latencies
of that while are noted. Memory is *flat* when the line through the samples of the last three quarters rises by less than 5 % in an hour.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks.house import Bus
from benchmarks.machine import heading
from benchmarks.stand import OneBus

RATE = 200
PIECE = 10
"""Seconds between two samples."""
FLAT = 0.05
"""Of the memory, in an hour."""


def soak(folder: Path, minutes: float, rate: int = RATE) -> dict[str, Any]:
    """Load a bus for so long with ``rate`` messages a second; the samples, and what they say."""
    pieces = max(4, int(minutes * 60 / PIECE))
    with OneBus(folder) as stand:
        bus, cpu = stand.bus, stand.bus.cpu()
        samples = [_sample(bus, piece, stand.send("pratica", rate * PIECE, rate=rate)["latencies"]) for piece in range(pieces)]
        sent = len(samples) * rate * PIECE
        bus.wait_until_done("banco.pratica", sent)
        spent = (bus.cpu() - cpu) / sent * 1000
    return {"rate": rate, "minutes": round(len(samples) * PIECE / 60, 1), "cpu_ms": round(spent, 2), **_said(samples), "samples": samples}


def _sample(bus: Bus, piece: int, latencies: dict[str, float]) -> dict[str, float]:
    behind = bus.runs("ready", "banco.pratica")
    return {"second": (piece + 1) * PIECE, "memory_mb": round(bus.memory(), 1), "behind": behind, **latencies}


def _said(samples: list[dict[str, float]]) -> dict[str, Any]:
    """What the samples say once the process is warm."""
    warm = samples[len(samples) // 4 :]
    line = statistics.linear_regression([s["second"] for s in warm], [s["memory_mb"] for s in warm])
    rise = line.slope * 3600
    middle = statistics.median(s["memory_mb"] for s in warm)
    return {
        "memory_mb": {"first": samples[0]["memory_mb"], "median": middle, "last": samples[-1]["memory_mb"]},
        "rise_mb_an_hour": round(rise, 1), "flat": rise < FLAT * middle, "most_behind": max(s["behind"] for s in warm),
        "p50_ms": statistics.median(s["p50"] for s in warm), "p99_ms": statistics.median(s["p99"] for s in warm),
    }  # fmt: skip


def table(machine: dict[str, Any], found: dict[str, Any]) -> str:
    """Markdown."""
    memory = found["memory_mb"]
    return "\n".join(
        [
            *heading("Soak", machine),
            f"{found['rate']} messages a second, transformed and delivered, for {found['minutes']} minutes, one `bus serve`.",
            f"The aim is {RATE} a second for 30 minutes.",
            "",
            "| | measured | aim |",
            "|---|---:|---:|",
            f"| resident memory after 10 s, median, at the end | {memory['first']}, {memory['median']}, {memory['last']} MB | 250 MB |",
            f"| its rise in an hour, by the last three quarters | {found['rise_mb_an_hour']} MB | flat: less than 5 % |",
            f"| runs not done at the end of a ten-second piece, at most | {found['most_behind']} | |",
            f"| to the 202, median of the pieces: p50, p99 | {found['p50_ms']}, {found['p99_ms']} ms | |",
            f"| CPU of the bus per message | {found['cpu_ms']} ms | |",
            "",
        ]
    )
