"""What fails again and again is told once, and tried later and later."""

from __future__ import annotations

from bus.engine.faltering import FIRST, MOST, WELL, Faltering
from bus.errors import StoreError


class World:
    def __init__(self) -> None:
        self.running, self.told, self.again = 0.0, list[str](), 0
        self.faltering = Faltering(lambda error: self.told.append(str(error)), self.go_on, lambda: self.running)

    def go_on(self) -> None:
        self.again += 1


def test_the_same_failure_is_told_once_and_each_next_try_is_later() -> None:
    world = World()
    pauses = [world.faltering.failed(StoreError("away")) for _ in range(8)]
    assert (pauses[0], pauses[-1]) == (FIRST, MOST)
    assert pauses == sorted(pauses)
    assert len(set(pauses[:4])) == 4
    assert world.told == ["store.failed: away"]


def test_another_failure_is_told() -> None:
    world = World()
    for sentence in ("away", "away", "full", "full"):
        world.faltering.failed(StoreError(sentence))
    assert world.told == ["store.failed: away", "store.failed: full"]


def test_a_try_between_two_failures_that_had_nothing_to_ask_proves_nothing() -> None:
    world = World()
    world.faltering.failed(StoreError("away"))
    world.running += WELL / 2
    world.faltering.went_well()
    world.faltering.failed(StoreError("away"))
    assert (len(world.told), world.again) == (1, 0)


def test_once_work_goes_on_that_is_told_and_a_failure_is_news_again() -> None:
    world = World()
    world.faltering.went_well()
    for _ in range(5):
        world.faltering.failed(StoreError("away"))
    for _ in range(3):
        world.running += WELL + 1
        world.faltering.went_well()
    assert world.again == 1
    assert world.faltering.failed(StoreError("away")) == FIRST
    assert len(world.told) == 2


def test_an_attempt_that_fails_is_told_and_ends_nobody() -> None:
    world = World()
    world.faltering.attempt(lambda: 1 / 0)
    world.faltering.attempt(lambda: None)
    world.running += WELL + 1
    world.faltering.attempt(lambda: None)
    assert (world.told, world.again) == (["division by zero"], 1)
