"""Processes of the bus that are told to end, or cannot go on: by the terminal, by a migration that took place while they slept."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bus import config
from tests.fault.house import House, Member, opened

WITHIN = 60
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def lines(member: Member) -> list[Any]:
    return [json.loads(line) for line in member.log.read_text("utf-8").splitlines() if line.startswith("{")]


def _migrate(house: House) -> None:
    """As `bus migrate` would, that takes processes which are cut off for gone."""
    with psycopg.connect(config.load(house.config_path).store.url, autocommit=True) as session:
        session.execute(END_SESSIONS)
        session.execute("UPDATE schema_revision SET revision = revision + 1")


@pytest.mark.timeout(300)
def test_processes_that_find_another_schema_say_so_once_and_end_as_a_start_that_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "house", "production") as (house, _):
        house.start()
        for member in house.members.values():
            member.signal(signal.SIGSTOP)
        _migrate(house)
        for member in house.members.values():
            member.signal(signal.SIGCONT)
        assert {name: member.wait(WITHIN) for name, member in house.members.items()} == {"web": 3, "worker": 3}
        for member in house.members.values():
            said = lines(member)
            (told,) = [line for line in said if line["event"] == "process.unfit"]
            assert (told["level"], told["code"]) == ("error", "store.schema")
            assert "bus migrate" in told["hint"]
            refused = [line for line in said if line["event"] == "engine.turn-failed" and line["code"] == "store.schema"]
            assert len(refused) <= 1
            assert "Traceback" not in member.log.read_text("utf-8")


@pytest.mark.timeout(300)
def test_processes_whose_terminal_is_closed_end_in_good_order(tmp_path: Path) -> None:
    with opened(tmp_path / "house", "production") as (house, _):
        house.start()
        for member in house.members.values():
            member.signal(signal.SIGHUP)
        assert {name: member.wait(WITHIN) for name, member in house.members.items()} == {"web": 0, "worker": 0}
