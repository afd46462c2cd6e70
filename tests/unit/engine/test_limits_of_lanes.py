"""A limit on the calls of an ordered lane: whoever has the lane is not kept from it by those that wait for it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from bus.engine.asks import Call
from bus.engine.throttles import Throttles
from bus.route.plan import Throttle
from tests.simulation.simulation import Simulation
from tests.unit.engine.kit import send, state, turn

LIMIT = Throttle(2, 10.0)


@pytest.fixture
def limited(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> Simulation:
    """A world in which the calls of the lane have a limit."""

    def with_a_limit(call: Call) -> Call:
        return replace(call, limit=LIMIT) if call.operation == "sistema.in-fila" else call

    for name in ("next", "share", "delay", "give_back"):
        if plain := getattr(Throttles, name, None):
            monkeypatch.setattr(
                Throttles, name, lambda self, call, *more, plain=plain, **how: plain(self, with_a_limit(call), *more, **how)
            )
    world.threads = 16
    world._kill(world.processes[0])
    return world


@pytest.mark.parametrize("workers", [1, 2])
def test_calls_of_a_lane_go_at_the_pace_of_their_limit_also_where_one_is_tried_again(limited: Simulation, workers: int) -> None:
    """Those that waited for the lane used up the limit, turn after turn, and its holder stood in line behind them."""
    found = [send(limited, "lavoro", caso=f"c{n}", voci=["a"]) for n in range(12)]
    while len(limited.processes) < workers:
        limited._start_engine()
    for rank, process in enumerate(limited.processes):
        process.engine.works_beside(workers, rank)
    lost, asked = 3, list[dt.datetime]()
    for _ in range(110 * workers):
        limited.clock.move(dt.timedelta(seconds=1))
        limited.running += 1
        turn(limited)
        for process in limited.processes * 3:
            process.engine.turn(patient=False)
            for call in [*process.outside.pending]:
                in_lane = call.asking.operation.name == "in-fila"
                asked += [limited.clock.now()] * in_lane
                conduct: Any = "lose" if in_lane and lost else "answer"
                lost -= conduct == "lose"
                process.outside.end(call, conduct)
        if all(state(limited, one) == "done" for one in found):
            break
    assert {state(limited, one) for one in found} == {"done"}
    assert len(asked) == 12 + 3
    assert all(later - first >= dt.timedelta(seconds=LIMIT.per) for first, later in zip(asked, asked[LIMIT.count :], strict=False))
