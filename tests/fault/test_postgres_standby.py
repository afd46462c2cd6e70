"""A message that is committed and that no standby has: where one is synchronous no door answers 202 to it, else its loss is told."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from bus import config, doctor
from bus.app import App
from bus.engine.arrival import Submission
from bus.store import postgres
from bus.store.postgres import PostgresStore
from tests.fault.conduct import IN_ORDER, Sistema
from tests.fault.database import add, switch, times
from tests.integration.workshop import write_rules
from tests.servers import PostgreSQL
from tests.small_bus import settings, write


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


def test_a_database_that_is_without_the_last_commits_is_told_of_once_by_who_made_them(
    tmp_path: Path, postgresql: PostgreSQL, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a standby that was behind is once it is promoted: messages were lost and numbers given out again, and no process said a word."""
    told = list[tuple[str, dict[str, str]]]()
    monkeypatch.setattr(postgres, "logger", lambda _: SimpleNamespace(error=lambda event, **said: told.append((event, said))))
    name, behind = postgresql_url.rpartition("/")[2], f"{postgresql_url.rpartition('/')[2]}_behind"
    with closing(PostgresStore(postgresql_url)) as store:
        with psycopg.connect(postgresql.url, autocommit=True) as admin:
            for work, act in (("one", f"CREATE DATABASE {behind} TEMPLATE {name}"), ("two", f"DROP DATABASE {name}")):
                store.write(lambda tx, work=work: add(tx, work)).result(30)  # type: ignore[misc]
                end_sessions(admin, name)
                admin.execute(act)  # type: ignore[call-overload]
                assert told == []
            admin.execute(f"ALTER DATABASE {behind} RENAME TO {name}")  # type: ignore[call-overload]
            for work in ("three", "four"):
                store.write(lambda tx, work=work: add(tx, work)).result(30)  # type: ignore[misc]
                end_sessions(admin, name)
        store.write(lambda tx: add(tx, "five")).result(30)
        assert [times(store, work) for work in ("one", "two", "three", "four", "five")] == [1, 0, 1, 1, 1]
    [(event, said)] = told
    assert event == "store.rolled-back"
    assert said["sentence"] == "what was committed after t is not in this database any more"
    assert said["hint"].startswith("was a standby promoted, or a backup restored, without them?")
    path = write(tmp_path, store={"url": postgresql_url})
    [verdict] = [one for one in doctor.examine(path) if one.code == "doctor.rolled-back"]
    assert verdict.level == "warning", "for whoever looks when that line has long scrolled away"
    assert verdict.what.startswith(f"{said['sentence']}, as a process found at 20")
    with psycopg.connect(postgresql_url) as raw:
        raw.execute("UPDATE marks SET value = '2026-01-01T00:00:00.000000Z' WHERE name LIKE 'rolled-back %'")
    assert "doctor.rolled-back" not in {one.code for one in doctor.examine(path)}, "it is not told for ever"


def end_sessions(admin: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    """Of a database, and wait until they are gone."""
    admin.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", [name])


def end_who_waits(admin: psycopg.Connection[tuple[object, ...]]) -> None:
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'COMMIT'")
    time.sleep(0.05)
