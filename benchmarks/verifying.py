"""What `bus log verify` takes for a log of a million records, each with a payload, and the tables made from them.

Made by the store, the projection and the sequencer, on SQLite.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import resource
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.machine import heading
from bus.clock import SystemClock
from bus.engine import projection
from bus.engine.leases import Leases
from bus.engine.sequencer import Sequencer
from bus.log.note import Signer
from bus.log.payload import BINDING, SEALED_NONCE, TAG, Sealed
from bus.log.record import Commitment, Record
from bus.log.verify import Trust, verify
from bus.message import canonical, new_id
from bus.store import Tx
from bus.store.opening import open_reader, open_store

LEAVES, AT_ONCE, PAYLOAD = 1_000_000, 2_000, 300
ORIGIN = "banco.example/log"
RULES = canonical({"route": "banco.prova"})
DIGEST = hashlib.sha256(RULES).hexdigest()


def measured(folder: Path, leaves: int = LEAVES) -> dict[str, Any]:
    """Seconds by the clock and of CPU for a whole verification, and what memory it took beyond what the process had."""
    url, signer = f"sqlite:///{folder}/verify.db", Signer.new(ORIGIN)
    began = time.monotonic()
    _make(url, signer, leaves)
    made = time.monotonic() - began
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.monotonic(), _cpu()
    with closing(open_reader(url)) as reader:
        report = verify(reader.read, Trust((signer.verifier,)), url=url)
    wall, cpu = time.monotonic() - wall, _cpu() - cpu
    if report.size <= leaves or (report.payloads, report.messages, report.runs) != (leaves, leaves // 4, leaves // 4):
        raise RuntimeError(f"{report.size} leaves and {report.payloads} payloads were verified")
    return {
        "leaves": report.size, "payloads": report.payloads, "messages": report.messages,
        "checkpoints": report.checkpoints, "made_s": round(made, 1),
        "wall_s": round(wall, 1), "cpu_s": round(cpu, 1),
        "more_memory_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024),
        "database_mb": round((folder / "verify.db").stat().st_size / 1e6),
    }  # fmt: skip


def _cpu() -> float:
    """Of this process and of those that helped it."""
    return sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def table(machine: dict[str, Any], found: dict[str, Any]) -> str:
    """Markdown."""
    row = f"| {found['leaves']:,} | {found['payloads']:,} | {found['messages']:,} | {found['checkpoints']:,} | {found['database_mb']:,} MB "
    lines = [
        *heading("Verifying a log", machine), "",
        "| records | payloads | messages and runs | checkpoints | database | s by the clock | s of CPU | more memory |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
        row + f"| {found['wall_s']} | {found['cpu_s']} | {found['more_memory_mb']} MB |",
        "", "Aim: 60 s for a million records.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _make(url: str, signer: Signer, leaves: int) -> None:
    with closing(open_store(url)) as store:
        sequencer = Sequencer(store, SystemClock(), Leases(store, SystemClock(), "banco"), ORIGIN, [signer])
        store.write(lambda tx: tx.do("add_rules", digest=DIGEST, kind="route", content=RULES)).result()
        for _ in range(leaves // AT_ONCE):
            store.write(_write).result()
            sequencer.turn()
        while sequencer.turn() or sequencer.trace():
            pass


def _write(tx: Tx) -> None:
    """Messages with a run each that asks, is answered and ends: four records, and the rows that are made from them."""
    now = dt.datetime.now(dt.UTC)
    for _ in range(AT_ONCE // 4):
        message, run = new_id(), new_id()
        opened = {"id": run, "route": "banco.prova", "version": 1, "digest": DIGEST, "ordered": True}
        told = {"type": "banco.prova", "sender": "banco", "intake": [], "content": "", "keys": {"pratica": message}, "runs": [opened]}
        for kind, data in (("received", told), ("asked", {}), ("answered", {}), ("done", {"state": "done"})):
            nonce, content = os.urandom(SEALED_NONCE), os.urandom(PAYLOAD)
            size, identity = PAYLOAD - TAG - BINDING, hashlib.sha256(nonce + content).hexdigest()
            sealed = Sealed(Commitment("message", identity, size, "application/json"), nonce, content)
            of = None if kind == "received" else run
            record = Record(new_id(), kind, now, message=message, run=of, payloads=(sealed.commitment,), data=data)  # type: ignore[arg-type]
            projection.write(tx, projection.Entry(record, (sealed,)))
