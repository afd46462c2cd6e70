"""Runs that wait for an ordered lane look in vain only now and then, however many they are, and are called when it is free."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from bus.clock import text_of
from bus.engine import dead, lanes
from bus.engine.lanes import LANE_PAUSE, Lanes
from bus.engine.projection import ends_lane
from bus.log.record import Kind, Record
from bus.store.sqlite import SqliteStore
from tests.contract.store_contract import NOW, add_runs
from tests.simulation.simulation import Simulation
from tests.simulation.system import TIMEOUT
from tests.unit.engine.kit import behind_a_dead_letter, row_of, send, state, turn


def test_the_first_that_waits_is_called_when_somebody_says_or_a_look_finds_that_the_lane_is_free(store: SqliteStore) -> None:
    add_runs(store, "holder", time=text_of(NOW))
    store.write(lambda tx: tx.do("take_lane", name="s.fila", run="holder", path="p")).result(60)
    made = Lanes(store, NOW)
    assert made.due() == []
    for run in ("uno", "due", "tre"):
        made.wait("s.fila", run, "q")
    assert made.due() == [NOW]
    made.look(NOW)
    assert made.first() == [], "it is taken"
    made.freed("s.fila")
    assert made.first() == [("s.fila", "uno", "q")]
    assert made.first() == [], "the next one when it is free again"
    store.write(lambda tx: tx.do("leave_lane", run="holder", path="p")).result(60)
    made.look(NOW + LANE_PAUSE / 2)
    assert made.first() == [], "each half second"
    made.look(NOW + LANE_PAUSE)
    assert made.first() == [("s.fila", "due", "q")]
    made.look(NOW - dt.timedelta(hours=1))
    assert made.first() == [("s.fila", "tre", "q")], "a clock that was set back stops no look"
    assert (made.anybody("s.fila"), made.runs(), made.due()) == (False, set(), [])


def test_who_got_the_lane_meanwhile_is_not_called_in_the_place_of_who_waits(store: SqliteStore) -> None:
    made = Lanes(store, NOW)
    for run in ("uno", "due"):
        made.wait("s.fila", run, "q")
    made.has_it("s.fila", "uno")
    made.freed("s.fila")
    assert made.first() == [("s.fila", "due", "q")]


def test_the_more_wait_the_longer_each_of_them_looks_away(store: SqliteStore) -> None:
    made = Lanes(store, NOW)
    assert made.pause("s.fila") == LANE_PAUSE
    for n in range(2000):
        made.wait("s.fila", f"r{n}", "q")
    assert made.pause("s.fila") == dt.timedelta(seconds=40)
    assert made.pause("s.altra") == LANE_PAUSE


def test_many_that_wait_behind_a_dead_letter_cost_little_and_are_called_when_a_person_has_decided(
    world: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "LOOKS", 1)
    found = behind_a_dead_letter(world, 0)
    found += [send(world, "lavoro", caso=f"d{n}", voci=["a"]) for n in range(12)]

    def pass_time(turns: int) -> None:
        for _ in range(turns):
            turn(world)
            turn(world, *["answer"] * len(world.processes[0].outside.pending))
            world.clock.move(dt.timedelta(seconds=0.1))
            world.running += 0.1

    def claims() -> int:
        return sum(row_of(world, message)["fence"] for message in found[1:])

    pass_time(100)
    before = claims()
    pass_time(300)
    assert claims() - before <= 60, "half a second each would be hundreds"
    world._pass(TIMEOUT)
    run = row_of(world, found[0])["id"]
    seen = {"chi": "visto", "numero": 1, "edizione": 1}
    world.store.write(lambda tx: dead.decide(tx, run, "anna", "prova", world.clock, "happened", seen)).result()  # type: ignore[arg-type]
    pass_time(40)
    assert {state(world, one) for one in found} == {"done"}


@pytest.mark.parametrize(
    ("kind", "data", "ends"),
    [
        ("answered", {"lane": True}, True),
        ("refused", {"lane": True}, True),
        ("unanswered", {"lane": True}, True),
        ("unanswered", {"lane": True, "again": "2026-03-02T08:00:00Z"}, False),
        ("unanswered", {"lane": True, "doubt": True}, False),
        ("answered", {}, False),
        ("asked", {"lane": True}, False),
    ],
)
def test_the_next_number_goes_out_when_the_call_before_it_has_surely_ended(kind: Kind, data: dict[str, Any], ends: bool) -> None:
    assert ends_lane(Record("r", kind, dt.datetime(2026, 3, 2, tzinfo=dt.UTC), data=data)) == ends
