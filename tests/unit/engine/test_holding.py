"""What an engine holds: looked at again before a call goes out, renewed in time, whatever the clocks do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus.engine.claims import ALL
from bus.engine.gates import Crowd
from bus.engine.holding import REST, Holding, _Held
from bus.errors import StoreError
from bus.store.sqlite import SqliteStore
from tests.clocks import FixedClock
from tests.contract.store_contract import NOW, add_runs
from tests.keyrings import in_memory

HOUR = dt.timedelta(hours=1)


class World:
    def __init__(self, folder: Path) -> None:
        self.store, self.clock, self.running = SqliteStore(folder / "s.db"), FixedClock(NOW), 0.0
        self.store.keys = in_memory()
        add_runs(self.store, "a", "b")

    def engine(self) -> Holding:
        return Holding(self.store, self.clock, 30, lambda: self.running)

    def sleep(self, seconds: float) -> None:
        self.running += seconds
        self.clock.move(dt.timedelta(seconds=seconds))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def test_a_claim_that_was_confirmed_lately_is_ours_without_asking(world: World) -> None:
    mine = world.engine()
    row = mine.claim(["a"], NOW)[0]
    world.sleep(19)
    world.store.close()
    assert mine.ours("a", row["fence"])
    assert not mine.ours("a", row["fence"] + 1)
    assert not mine.ours("b", 1)


def test_an_engine_that_slept_longer_than_its_lease_asks_the_store_and_learns_that_another_has_the_run(world: World) -> None:
    mine, other = world.engine(), world.engine()
    row = mine.claim(["a"], NOW)[0]
    world.sleep(31)
    assert other.claim(["a"], world.clock.now())
    assert not mine.ours("a", row["fence"])


def test_a_late_engine_whose_run_nobody_took_confirms_its_claim_and_goes_on(world: World) -> None:
    mine, other = world.engine(), world.engine()
    row = mine.claim(["a"], NOW)[0]
    world.sleep(31)
    assert mine.ours("a", row["fence"])
    assert other.claim(["a"], world.clock.now()) == []


def test_a_claim_that_cannot_be_confirmed_is_not_used(world: World) -> None:
    mine = world.engine()
    row = mine.claim(["a"], NOW)[0]
    world.sleep(31)
    world.store.close()
    assert not mine.ours("a", row["fence"])


def test_a_claim_is_not_used_whatever_the_look_at_it_meets(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = world.engine()
    row = mine.claim(["a"], NOW)[0]
    world.sleep(31)
    monkeypatch.setattr(world.store, "write", lambda work: 1 / 0)
    assert not mine.ours("a", row["fence"])


def test_claims_are_renewed_when_a_third_of_the_lease_has_passed_and_not_by_an_engine_that_is_stuck(world: World) -> None:
    mine, other = world.engine(), world.engine()
    mine.claim(["a"], NOW)
    world.sleep(11)
    mine.beat({"a"})
    world.sleep(25)
    assert other.claim(["a"], world.clock.now()) == []
    for _ in range(5):
        world.sleep(11)
        mine.beat({"a"})
    assert other.claim(["a"], world.clock.now()) == []
    for _ in range(40):
        world.sleep(11)
        mine.renew()
    assert other.claim(["a"], world.clock.now())


def test_an_engine_that_does_not_turn_is_stuck_after_ten_leases(world: World) -> None:
    mine = world.engine()
    world.sleep(299)
    assert not mine.stuck()
    world.sleep(2)
    assert mine.stuck()
    mine.beat([])
    assert not mine.stuck()


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_clock_that_jumps_costs_no_claim_and_keeps_none_for_ever(world: World, jump: dt.timedelta) -> None:
    mine, other = world.engine(), world.engine()
    mine.claim(["a"], NOW)
    world.clock.move(jump)
    mine.beat({"a"})
    assert other.claim(["a"], world.clock.now()) == []
    world.sleep(31)
    world.clock.move(max(-jump, dt.timedelta()))
    assert [row["id"] for row in other.claim(["a"], world.clock.now())] == ["a"]


def test_what_could_not_be_begun_is_given_back_after_a_rest_and_is_no_strike(world: World) -> None:
    mine, other = world.engine(), world.engine()
    mine.claim(["a", "b"], NOW)
    mine.beat({"a"})
    assert other.claim(["a", "b"], NOW) == []
    world.sleep(REST.total_seconds() + 1)
    mine.beat({"a"})
    assert [(row["id"], row["strikes"]) for row in other.claim(["a", "b"], world.clock.now())] == [("b", 0)]


def test_a_claim_that_is_forgotten_while_the_engine_gives_it_back_stops_no_turn(world: World) -> None:
    class Forgetful(dict[str, _Held]):
        def pop(self, run: str, *default: Any) -> Any:
            self.clear()  # as the thread that renews does, when the store denies a claim
            return super().pop(run, *default)

    mine, other = world.engine(), world.engine()
    mine.claim(["a"], NOW)
    mine._held = Forgetful(mine._held)
    mine.beat([])
    world.sleep(REST.total_seconds() + 1)
    assert [row["id"] for row in other.claim(["a"], world.clock.now())] == ["a"]


def test_what_could_not_be_begun_is_given_back_when_the_store_writes_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = world.engine(), world.engine()
    mine.claim(["a"], NOW)

    def fails(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(world.store, "write", fails)
        for _ in range(2):
            with pytest.raises(StoreError):
                mine.beat([])
    mine.beat([])
    world.sleep(REST.total_seconds() + 1)
    assert [(row["id"], row["strikes"]) for row in other.claim(["a"], world.clock.now())] == [("a", 0)]


def test_leaving_gives_everything_back_but_what_is_still_at_a_call(world: World) -> None:
    mine, other = world.engine(), world.engine()
    rows = {row["id"]: row["fence"] for row in mine.claim(["a", "b"], NOW)}
    mine.leave([("a", rows["a"])])
    assert not mine.ours("a", rows["a"]), "a call that has not left its thread stays at home"
    assert [row["id"] for row in other.claim(["a", "b"], NOW)] == ["b"]
    world.sleep(31)
    assert [(row["id"], row["strikes"]) for row in other.claim(["a"], world.clock.now())] == [("a", 0)]


def test_claims_that_could_not_be_renewed_are_renewed_at_the_next_beat(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = world.engine(), world.engine()
    mine.claim(["a"], NOW)
    world.sleep(11)

    def fails(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken, pytest.raises(StoreError):
        broken.setattr(world.store, "write", fails)
        mine.beat({"a"})
    world.sleep(1)
    mine.beat({"a"})
    world.sleep(25)
    assert other.claim(["a"], world.clock.now()) == []


def test_a_claim_is_trusted_from_when_its_transaction_began(world: World) -> None:
    mine = world.engine()
    claims = world.store.write(lambda tx: mine.claim_opened(tx, ["a", "b"], NOW)).result()
    fences = {row["id"]: row["fence"] for row in claims.rows}
    world.running += 10
    mine.took(claims)
    assert mine._confirm([("b", fences["b"])]) == {"b"}
    world.running += 15
    world.store.close()
    assert not mine.ours("a", fences["a"])
    assert mine.ours("b", fences["b"])
    world.running += 6
    assert not mine.ours("b", fences["b"])


def test_who_forgets_an_earlier_claim_keeps_the_one_that_it_has(world: World) -> None:
    mine = world.engine()
    first = mine.claim(["a"], NOW)[0]["fence"]
    world.sleep(31)
    second = mine.claim(["a"], world.clock.now())[0]["fence"]
    mine.forget("a", first)
    assert mine.ours("a", second)


def test_a_pause_is_over_for_who_is_called_by_a_gate(world: World) -> None:
    mine = world.engine()
    mine.claim(["a"], NOW)
    mine.beat([])
    assert mine.claim(["a"], NOW) == []
    assert [row["id"] for row in mine.claim(["a"], NOW, called=["a"])] == ["a"]


def test_a_gate_hears_of_those_that_were_turned_away_at_it_unclaimed(world: World) -> None:
    crowd, told = Crowd("sistema", ["d"], 1, NOW + HOUR), list[tuple[str, list[str]]]()
    mine = Holding(world.store, world.clock, 30, lambda: 0.0, lambda most, now: [crowd], lambda gate, runs: told.append((gate, list(runs))))
    assert [row["id"] for row in mine.claim(["a", "b"], NOW)] == ["a"]
    assert told == [("sistema", ["b"])]


@pytest.mark.parametrize(("most", "more"), [(2, True), (3, False)])
def test_a_full_page_of_what_is_due_may_not_be_all(world: World, most: int, more: bool) -> None:
    rows, perhaps = world.engine().claim_due(NOW, most, ALL)
    assert ([row["id"] for row in rows], perhaps) == (["a", "b"], more)
