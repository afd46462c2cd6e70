"""How long it takes until everything that was pending has been done when the broker has forgotten all tickets.

``python -m tests.fault.wiped [pending]`` measures; the runs call nobody outside, so that what is seen is the bus finding its work again.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from bus import config
from bus.app import App
from bus.engine.intake import Submission
from bus.testing.services import PostgreSQL, RabbitMQ
from tests.fault.house import Member
from tests.small_bus import write


def rebuilt(folder: Path, postgresql: PostgreSQL, rabbitmq: RabbitMQ, pending: int, workers: int = 1) -> float:
    """Seconds from the start of the first worker, after the broker was wiped, until ``pending`` runs are done."""
    path = write(folder, store={"url": postgresql.new_database()}, channel={"url": rabbitmq.url}, engine={"lease": 10, "sweep": 1})
    app = App(config.load(path), role="web", adapters={})
    app.start()
    members = [Member(f"worker{n}", path, folder / f"worker{n}.log") for n in range(workers)]
    try:
        for begin in range(0, pending, 2000):
            sent = [
                app.send(Submission("prova.silenzio", {"nome": f"n{n}"}, "portale", role="portal", key=f"n{n}"))
                for n in range(begin, min(pending, begin + 2000))
            ]
            for one in sent:
                one.result()
        rabbitmq.wipe()
        begun = time.monotonic()
        for member in members:
            member.start()
        while app.runs("ready", most=1) or app.runs("running", most=1):
            time.sleep(0.1)
        return time.monotonic() - begun
    finally:
        for member in members:
            member.stop()
        app.stop()


def main() -> None:
    pending = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name, PostgreSQL() as postgresql, RabbitMQ() as rabbitmq:
        print(f"{pending} pending, broker wiped: all done after {rebuilt(Path(name), postgresql, rabbitmq, pending):.1f} s")


if __name__ == "__main__":
    main()
