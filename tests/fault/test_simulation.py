"""Seeds of the deterministic simulation. One that fails says as short a trace as was found, and how to play it again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bus.diagnostics import configure
from bus.errors import Conflict
from tests.fault.seeds import CHUNK, SEEDS
from tests.simulation.simulation import Simulation, SimulationError, check, simulate


@pytest.fixture(autouse=True)
def _quiet() -> None:
    configure("critical")


@pytest.mark.parametrize("first", SEEDS[::CHUNK])
def test_all_promises_are_kept(first: int) -> None:
    for seed in range(first, first + CHUNK):
        check(seed)


def told(**environment: str) -> bytes:
    """What some seeds tell in a process of their own."""
    program = "from tests.simulation.simulation import main\nfor seed in (3, 17, 50, 154): main(['--seed', str(seed)])"
    ended = subprocess.run([sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, timeout=60, check=True)
    return ended.stdout


def test_the_same_seed_gives_the_same_trace_in_another_process_and_in_another_place() -> None:
    here = told(PYTHONHASHSEED="1", TZ="Europe/Rome")
    assert here == told(PYTHONHASHSEED="20", TZ="Pacific/Auckland", LC_ALL="C")
    assert here.count(b"records,") == 4


def test_other_seeds_give_other_traces() -> None:
    assert len({simulate(seed)[-1] for seed in range(8)}) == 8


def test_a_lane_that_never_comes_to_rest_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Conflict("it may have its effect still", code="dead.lane-not-at-rest")

    monkeypatch.setattr(Simulation, "_do", refuse)
    with pytest.raises(SimulationError, match="never comes to rest"):
        for seed in range(20):
            simulate(seed)


def test_what_fails_is_told_with_as_few_moves_as_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a kill after a change of the rules is taken for a failure."""

    def judge(world: Simulation) -> None:
        said = " ".join(world.trace)
        if "edition" in said and "kill" in said.partition("edition")[2]:
            raise SimulationError("as agreed")

    monkeypatch.setattr(Simulation, "judge", judge)
    monkeypatch.setattr(Simulation, "_meanwhile", lambda world, process: "works")
    with pytest.raises(SimulationError) as error:
        for seed in range(100):
            check(seed)
    command = str(error.value).rpartition("tests.simulation ")[2].split()
    seed, only = int(command[1]), [int(place) for place in command[3].split(",")]
    assert len(only) == 2
    with pytest.raises(SimulationError, match="as agreed"):
        simulate(seed, only=only)
