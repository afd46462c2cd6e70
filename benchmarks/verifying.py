"""What `bus log verify` takes for a log of a million records, each with a payload: made by the store and the sequencer, on SQLite."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import resource
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from bus.clock import SystemClock
from bus.engine.leases import Leases
from bus.engine.sequencer import Sequencer
from bus.log import log
from bus.log.note import Signer
from bus.log.payload import Sealed
from bus.log.record import Commitment, Record
from bus.log.verify import Trust, verify
from bus.message import new_id
from bus.store import Tx
from bus.store.opening import open_reader, open_store

LEAVES, AT_ONCE, PAYLOAD = 1_000_000, 2_000, 300
ORIGIN = "banco.example/log"


def measured(folder: Path, leaves: int = LEAVES) -> dict[str, Any]:
    """Seconds by the clock and of CPU for a whole verification, and what memory it took beyond what the process had."""
    url, signer = f"sqlite:///{folder}/verify.db", Signer.new(ORIGIN)
    began = time.monotonic()
    _make(url, signer, leaves)
    made = time.monotonic() - began
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.monotonic(), time.process_time()
    with closing(open_reader(url)) as reader:
        report = verify(reader.read, Trust((signer.verifier,)))
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    if report.size <= leaves or report.payloads != leaves:
        raise RuntimeError(f"{report.size} leaves and {report.payloads} payloads were verified")
    return {
        "leaves": report.size, "payloads": report.payloads, "checkpoints": report.checkpoints, "made_s": round(made, 1),
        "wall_s": round(wall, 1), "cpu_s": round(cpu, 1),
        "more_memory_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024),
        "database_mb": round((folder / "verify.db").stat().st_size / 1e6),
    }  # fmt: skip


def table(machine: dict[str, Any], found: dict[str, Any]) -> str:
    """Markdown."""
    row = f"| {found['leaves']:,} | {found['payloads']:,} | {found['checkpoints']:,} | {found['database_mb']:,} MB "
    lines = [
        f"# Verifying a log, {machine['date'][:10]}", "",
        f"{machine['processor']}, {machine['cores']} cores; revision {machine['revision']}; load before: {machine['load_before']}.", "",
        "| records | payloads | checkpoints | database | s by the clock | s of CPU | more memory |",
        "|---:|---:|---:|---:|---:|---:|---:|",
        row + f"| {found['wall_s']} | {found['cpu_s']} | {found['more_memory_mb']} MB |",
        "", "Aim: 60 s for a million records.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _make(url: str, signer: Signer, leaves: int) -> None:
    store = open_store(url)
    sequencer = Sequencer(store, SystemClock(), Leases(store, SystemClock(), "banco"), ORIGIN, [signer])
    try:
        for _ in range(leaves // AT_ONCE):
            store.write(_write).result()
            sequencer.turn()
        while sequencer.turn():
            pass
    finally:
        store.close()


def _write(tx: Tx) -> None:
    now = dt.datetime.now(dt.UTC)
    for _ in range(AT_ONCE):
        nonce, content, message = os.urandom(33), os.urandom(PAYLOAD), new_id()
        sealed = Sealed(Commitment("body", hashlib.sha256(nonce + content).hexdigest(), PAYLOAD, "application/json"), nonce, content)
        record = Record(
            new_id(), "received", now, message=message, run=message, payloads=(sealed.commitment,), data={"type": "banco.prova"}
        )
        log.append(tx, record, [sealed])
