"""A bus that has too much to do says so at its doors, and takes messages again when it has less."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from bus.client import Client, ClientError
from bus.clock import SystemClock
from bus.engine import backlog as backlogs
from bus.engine.backlog import Backlog
from bus.engine.engine import Engine
from bus.errors import Busy, StoreError
from bus.store import Store
from bus.testing.patience import until
from tests.contract.store_contract import add_runs, claim, settle
from tests.small_bus import key_of, running


def full(backlog: Backlog) -> bool:
    """What its next look says."""
    backlog._look()
    return backlog.full


def test_the_door_shuts_at_the_bound_and_opens_when_a_tenth_is_worked_off(store: Store) -> None:
    backlog = Backlog(store, SystemClock(), 20)
    add_runs(store, *[f"r{n:02}" for n in range(19)])
    assert not full(backlog)
    add_runs(store, "r19", "r20")
    assert full(backlog)
    rows = claim(store, *[f"r{n:02}" for n in range(4)])
    settle(store, rows[0])
    settle(store, rows[1])
    assert full(backlog)
    settle(store, rows[2])
    settle(store, rows[3])
    assert not full(backlog)
    backlog.close()


def test_a_full_door_says_once_that_it_cannot_count_and_looks_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not each second: a database may be away for hours."""
    monkeypatch.setattr(backlogs, "EVERY", 0.01)
    backlog, looks = Backlog(store, SystemClock(), 20), Mock(side_effect=StoreError("away", code="store.unreachable"))
    says = Mock()
    monkeypatch.setattr(backlog, "_log", says)
    monkeypatch.setattr(backlog, "_count", looks)
    backlog.full = True
    with pytest.raises(Busy):
        backlog.check()
    until(lambda: looks.call_count > 9, "it looks on")
    assert [one.args for one in says.warning.call_args_list] == [("backlog.not-counted",)]
    looks.side_effect = [0]
    until(lambda: not backlog.full, "the door is open")
    backlog.close()


@pytest.mark.parametrize(("took", "apart"), [(0.01, 1.0), (0.1, 1.0), (0.5, 5.0), (3.0, 10.0)])
def test_looks_that_take_long_come_more_seldom(monkeypatch: pytest.MonkeyPatch, took: float, apart: float) -> None:
    """Behind a transaction that is left open for a night PostgreSQL walks past each run of that night that was ever ready."""
    ticks, looks = [100.0], list[float]()

    def count() -> int:
        looks.append(ticks[0])
        ticks[0] += took
        return 0

    monkeypatch.setattr(backlogs, "time", SimpleNamespace(monotonic=lambda: ticks[0]))
    backlog = Backlog(Mock(), SystemClock(), 20)
    monkeypatch.setattr(backlog, "_thread", SimpleNamespace(run=lambda work: work()))
    monkeypatch.setattr(backlog, "_count", count)
    while ticks[0] < 160:
        backlog.check()
        ticks[0] += 0.01
    assert [round(after - before, 1) for before, after in pairwise(looks)] == [apart] * (len(looks) - 1)
    assert len(looks) > 3


def test_one_case_that_stands_behind_a_dead_letter_shuts_the_door_for_nobody(store: Store) -> None:
    backlog = Backlog(store, SystemClock(), 20)
    add_runs(store, ("early", "case"), *[(f"b{n:03}", "case") for n in range(100)])
    assert full(backlog)
    settle(store, claim(store, "early")[0])
    dead = claim(store, "b000")[0]
    settle(store, dead, state="dead")
    assert not full(backlog), "99 wait for a person, none for a worker"
    add_runs(store, *[f"r{n:02}" for n in range(19)])
    assert not full(backlog)
    add_runs(store, "r19")
    assert full(backlog)
    backlog.close()


def test_beyond_the_backlog_a_message_is_refused_for_a_while_and_what_was_taken_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        running(tmp_path, engine={"backlog": 20}) as server,
        Client(server.url, key_of("portale"), attempts=1) as portal,
    ):
        with monkeypatch.context() as slow:  # nobody works for a while
            slow.setattr(Engine, "turn", lambda engine: time.sleep(0.02))
            slow.setattr(Engine, "welcome", lambda engine, tx, runs, known: None)
            taken, refused = [], None
            end = time.monotonic() + 100
            while refused is None:
                assert time.monotonic() < end
                try:
                    taken.append(portal.send("prova.saluto", {"nome": f"Ada {len(taken)}"})["id"])
                except ClientError as error:
                    refused = error
                time.sleep(0.02)
        assert (refused.status, refused.code, refused.retry_after) == (503, "bus.backlog", 5.0)
        assert "refuses messages for now" in portal.get("/status")["detail"]
        for message in taken:
            assert portal.wait_for(message)["state"] == "done"
        while "refuses" in portal.get("/status")["detail"]:  # it looks although nobody sends
            assert time.monotonic() < end
            time.sleep(0.1)
        portal.send("prova.saluto", {"nome": "Ada"})
