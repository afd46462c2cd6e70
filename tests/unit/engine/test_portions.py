"""Large messages: of what is claimed a turn loads a portion, so that a thousand of a megabyte are not in memory at once."""

from __future__ import annotations

import pytest

from bus.engine import loading
from tests.simulation.simulation import Simulation
from tests.unit.engine.kit import finish, out, row_of, send, turn


@pytest.fixture
def small(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> Simulation:
    """A portion is one message, and many calls may be out."""
    world.threads = 16
    world._kill(world.processes[0])
    monkeypatch.setattr(loading, "PORTION", 1)
    return world


def owners(world: Simulation, messages: list[str]) -> list[bool]:
    """Which of the runs of these somebody has."""
    return [row_of(world, one)["owner"] is not None for one in messages]


def test_of_what_is_claimed_a_turn_loads_a_portion_and_keeps_the_rest_claimed(small: Simulation) -> None:
    engine, messages = small.processes[0].engine, [send(small, "avviso") for _ in range(4)]
    turn(small)
    first = len(out(small))
    assert owners(small, messages) == [True] * 4
    assert len(engine._live) + len(engine._loading.waiting) == 4
    assert engine._loading.waiting
    assert not engine.idle()
    for loaded in range(first, 4):
        assert len(out(small)) == loaded
        assert engine._patience() == 0.0
        turn(small)
    assert sorted(out(small)) == messages
    assert not engine._loading.waiting
    assert not engine._loading._known
    assert len(finish(small)) >= 4


def test_what_waits_to_be_loaded_is_given_back_when_the_engine_stops(small: Simulation) -> None:
    engine, messages = small.processes[0].engine, [send(small, "avviso") for _ in range(4)]
    turn(small)
    waiting = {*engine._loading.waiting}
    assert waiting
    engine.wind_down()
    engine.turn(patient=False)
    engine.turn(patient=False)
    assert not engine._loading.waiting
    assert [owned for one, owned in zip(messages, owners(small, messages), strict=True) if row_of(small, one)["id"] in waiting] == [
        False
    ] * len(waiting)


def test_a_door_hands_over_no_large_messages(small: Simulation) -> None:
    """They would be in memory, all of them, until the engine comes to them: it reads them when it does."""
    host = small.processes[0].engine
    with small.store.read() as tx:
        assert host.welcome(tx, ["r"], {"m": ({}, None, 2)}) is None  # type: ignore[dict-item]
