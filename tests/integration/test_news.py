"""Whoever waits for a reply in one process hears of it when another has settled it: doors and worker, PostgreSQL and RabbitMQ between."""

from __future__ import annotations

import threading
from pathlib import Path

from bus import config
from bus.app import App
from bus.engine.arrival import Submission
from bus.testing.patience import until
from tests.small_bus import write


def test_a_reply_settled_by_a_worker_wakes_who_waits_at_a_door(tmp_path: Path, postgresql_url: str, rabbitmq_url: str) -> None:
    path = write(tmp_path, store={"url": postgresql_url}, channel={"url": rabbitmq_url})
    doors = App(config.load(path), role="web", adapters={})
    worker = App(config.load(path), role="worker", adapters={})
    told = threading.Event()
    try:
        doors.start()
        until(lambda: doors.channel.describe()["connected"])
        accepted = doors.send(Submission("prova.saluto", {"nome": "Ada"}, "portale", role="portal", key="uno")).result(60)
        with doors.news.listen(accepted.id, lambda _: told.set()):
            worker.start()
            assert told.wait(60)  # nothing but the news of the other process sets it
        assert doors.message(accepted.id)["reply"] == {"saluto": "ciao Ada"}
    finally:
        worker.stop()
        doors.stop()
