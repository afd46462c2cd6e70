"""A message that is committed and that no synchronous standby has: no door answers 202 to it."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest

from bus import config
from bus.app import App
from bus.engine.arrival import Submission
from bus.testing.services import PostgreSQL
from tests.fault.conduct import IN_ORDER, Sistema
from tests.fault.database import switch
from tests.integration.workshop import write_rules
from tests.small_bus import settings


@pytest.mark.timeout(180)
def test_a_message_that_no_standby_has_is_promised_by_no_other_door_either(tmp_path: Path, rabbitmq_url: str) -> None:
    """Where the session that waits for the standby is ended, others see what it committed."""
    system = Sistema("ordine", lambda: None, lambda x: None)
    rules = write_rules(tmp_path, {"prova.ordine": IN_ORDER.replace("SISTEMA", "ordine")}, {"prova.ordine": "case: {a: body.a}"})
    with PostgreSQL() as server, psycopg.connect(server.url, autocommit=True) as admin:
        url = server.new_database()
        told = config.parse(settings(store={"url": url}, channel={"url": rabbitmq_url}), rules / "config.yaml")
        doors = [App(told, role="web", adapters={"ordine": system}) for _ in range(2)]
        try:
            for door in doors:
                door.start()
            sent = Submission("prova.ordine", {"a": "1", "b": "x"}, "prova", key="uno")
            switch(url, "synchronous_standby_names", "gemello")
            first = doors[0].send(sent)
            with psycopg.connect(url, autocommit=True) as looks:
                while not looks.execute("SELECT 1 FROM intake_keys").fetchone():
                    end_who_waits(admin)
            second = doors[1].send(sent)
            until = time.monotonic() + 3
            while time.monotonic() < until:
                end_who_waits(admin)
            assert not first.done()
            assert not second.done()
            switch(url, "synchronous_standby_names", "''")
            assert (first.result(60).repeated, second.result(60).repeated) == (False, True)
        finally:
            switch(url, "synchronous_standby_names", "''")
            for door in doors:
                door.stop()


def end_who_waits(admin: psycopg.Connection[tuple[object, ...]]) -> None:
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'COMMIT'")
    time.sleep(0.05)
