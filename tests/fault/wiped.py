"""How long it takes until everything that was pending has been done when the broker has forgotten all tickets.

``python -m tests.fault.wiped [pending]`` measures; the runs call nobody outside, so that what is seen is the bus finding its work again.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bus import config
from bus.app import App
from bus.engine.intake import Submission
from bus.testing.services import PostgreSQL, RabbitMQ
from tests.fault.house import Member
from tests.small_bus import write

TICK = os.sysconf("SC_CLK_TCK")


def measured(pending: int, workers: int = 2) -> dict[str, Any]:
    """``pending`` runs are accepted, the broker is wiped, the workers start: seconds from then until the first is done, and until all are."""
    with tempfile.TemporaryDirectory() as name, PostgreSQL() as postgresql, RabbitMQ() as rabbitmq:
        where = {"store": {"url": postgresql.new_database()}, "channel": {"url": rabbitmq.url}}
        path = write(Path(name), **where, engine={"lease": 10, "sweep": 1})
        app = App(config.load(path), role="web", adapters={})
        members = [Member(f"worker{n}", path, Path(name) / f"worker{n}.log") for n in range(workers)]
        app.start()
        try:
            begun = time.monotonic()
            _accept(app, pending)
            accepted = time.monotonic() - begun
            rabbitmq.wipe()
            begun = time.monotonic()
            for member in members:
                member.start()
            first = _until(lambda: bool(app.runs("done", most=1))) - begun
            seconds = _until(lambda: not app.runs("ready", most=1)) - begun
            cpu = sum(map(_cpu, members))
        finally:
            for member in members:
                member.stop()
            app.stop()
    return {
        "pending": pending,
        "workers": workers,
        "accepted": accepted,
        "first": first,
        "seconds": seconds,
        "cpu_ms": 1000 * cpu / pending,
    }


def _accept(app: App, count: int) -> None:
    for begin in range(0, count, 2000):
        sent = [
            app.send(Submission("prova.silenzio", {"nome": f"n{n}"}, "portale", role="portal", key=f"n{n}"))
            for n in range(begin, min(count, begin + 2000))
        ]
        for one in sent:
            one.result()


def _until(true: Any) -> float:
    """The moment at which it came true."""
    while not true():
        time.sleep(0.1)
    return time.monotonic()


def _cpu(member: Member) -> float:
    """Seconds of CPU that a process has used."""
    assert member.process is not None
    fields = Path(f"/proc/{member.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


if __name__ == "__main__":
    print(measured(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
