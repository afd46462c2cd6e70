"""What a bundle of 10,000 messages takes: ``python -m benchmarks --export``.

Written by the running bus, then verified as its reader would.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.house import key_of
from benchmarks.machine import heading
from benchmarks.stand import OneBus
from bus.bundle import verify
from bus.client import Client
from bus.log.note import read_signer

MESSAGES, AIM = 10_000, 10
SCOPE = {"from": "2000-01-01", "to": "3000-01-01"}


def measured(folder: Path, messages: int = MESSAGES) -> dict[str, Any]:
    """Seconds by the clock for the whole request, CPU of the bus, the bundle's size; seconds of the one-file verifier."""
    with OneBus(folder) as stand:
        stand.send("pratica", messages)
        stand.bus.wait_until_done("banco.pratica", messages, 300)
        sysadmin = Client(f"http://127.0.0.1:{stand.bus.port}", key_of("sistemista"))
        cpu, began = stand.bus.cpu(), time.monotonic()
        content = sysadmin.export(SCOPE, "a measurement", payloads=True)
        wall, cpu = time.monotonic() - began, stand.bus.cpu() - cpu
        key = str(read_signer(stand.folder / "bus/var/log.key").verifier)
    bundle = folder / "bundle.zip"
    bundle.write_bytes(content)
    began = time.monotonic()
    told = subprocess.run([sys.executable, "-I", verify.__file__, str(bundle), "--key", key], capture_output=True, text=True, check=False)
    if told.returncode:
        raise RuntimeError(told.stdout + told.stderr)
    return {
        "messages": messages, "records": _records(content), "megabytes": round(len(content) / 1e6, 1), "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1), "verifying_s": round(time.monotonic() - began, 1),
    }  # fmt: skip


def _records(bundle: bytes) -> int:
    return verify.unpacked(bundle)["records.jsonl"].count(b"\n")


def table(machine: dict[str, Any], found: dict[str, Any]) -> str:
    """Markdown."""
    seconds = (found["wall_s"], found["cpu_s"], found["verifying_s"])
    lines = [
        *heading("A bundle of many messages", machine), "",
        "| messages | records | bundle | s to export, by the clock | s of CPU of the bus | s to verify, one file |",
        "|---:|---:|---:|---:|---:|---:|",
        "| " + " | ".join((f"{found['messages']:,}", f"{found['records']:,}", f"{found['megabytes']} MB", *map(str, seconds))) + " |",
        "", f"Aim: {AIM} s to export {MESSAGES:,}.", "",
    ]  # fmt: skip
    return "\n".join(lines)
