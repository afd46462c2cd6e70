"""How long it takes until the bus is as before, and until all that was pending is done, when the broker has forgotten all tickets.

``python -m tests.fault.wiped [pending]`` measures; the runs call nobody outside, so that what is seen is the bus finding its work again.
Nothing is put back into the broker: the store is the queue, and each worker takes from it page by page what nobody rang for. So *rebuilt* it
is when it carries tickets again (``carried``: one that was sent after the wipe has been done) and work of before is being done (``first``).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bus import config
from bus.app import App
from bus.clock import text_of
from bus.engine.arrival import Submission
from tests.fault.house import Member
from tests.servers import PostgreSQL, RabbitMQ
from tests.small_bus import write

TICK = os.sysconf("SC_CLK_TCK")


def measured(pending: int, workers: int = 2) -> dict[str, Any]:
    """``pending`` runs are accepted, the broker is wiped, the workers start: seconds from then until each of the moments, see the module."""
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
            last = _newest(app)
            database = _cpu_of_all(postgresql)
            begun = time.monotonic()
            with ThreadPoolExecutor(workers) as starting:
                list(starting.map(Member.start, members))
            ready = time.monotonic() - begun
            sent = app.send(Submission("prova.saluto", {"nome": "dopo"}, "portale", role="portal", key="dopo")).result()
            first = _until(lambda: _newest(app) > last + 1) - begun
            carried = _until(lambda: _done(app, sent.id)) - begun
            seconds = _until(lambda: not _ready(app)) - begun
            cpu = sum(_cpu(member.process.pid) for member in members if member.process)
            database = _cpu_of_all(postgresql) - database
        finally:
            for member in members:
                member.stop()
            app.stop()
    return {
        "pending": pending,
        "workers": workers,
        "accepted": accepted,
        "ready": ready,
        "first": first,
        "carried": carried,
        "seconds": seconds,
        "cpu_ms": 1000 * cpu / pending,
        "database_ms": 1000 * database / pending,
    }


def _accept(app: App, count: int) -> None:
    for begin in range(0, count, 2000):
        sent = [
            app.send(Submission("prova.silenzio", {"nome": f"n{n}"}, "portale", role="portal", key=f"n{n}"))
            for n in range(begin, min(count, begin + 2000))
        ]
        for one in sent:
            one.result()


def _newest(app: App) -> int:
    """The number of the last record; each run that is done adds one."""
    with app.store.read() as tx:
        return int(tx.all("newest_record")[0]["seq"])


def _ready(app: App) -> bool:
    with app.store.read() as tx:
        return bool(tx.all("count_ready", now=text_of(app.clock.now()), most=1)[0]["ready"])


def _done(app: App, message: str) -> bool:
    with app.store.read() as tx:
        return all(row["state"] == "done" for row in tx.all("runs_of_message", message=message))


def _until(true: Any) -> float:
    """The moment at which it came true."""
    while not true():
        time.sleep(0.1)
    return time.monotonic()


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used, and those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK


def _cpu_of_all(server: PostgreSQL) -> float:
    """Those of a server and of the processes that it has made."""
    assert server._process is not None
    main = server._process.pid
    return sum(map(_cpu, [main, *map(int, Path(f"/proc/{main}/task/{main}/children").read_text("ascii").split())]))


if __name__ == "__main__":
    print(measured(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
