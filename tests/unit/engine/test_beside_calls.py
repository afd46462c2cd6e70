"""A branch goes on with what it was told while the calls of branches beside it are out, whoever was rung for it."""

from __future__ import annotations

import datetime as dt

import pytest

from bus.engine.live import LOOK, Live
from bus.engine.words import RUN
from tests.simulation.simulation import Simulation
from tests.unit.engine.kit import die, finish, send, state, turn


def pass_by(world: Simulation, time: dt.timedelta) -> None:
    """Time passes, and no call ends."""
    world.clock.move(time)
    world.running += time.total_seconds()


@pytest.fixture(params=[16, 1])
def begun(world: Simulation, request: pytest.FixtureRequest) -> Simulation:
    """A run of three branches: two of them call, the third waits. Of a system that takes one call at once, one of these stands in line."""
    world.threads = request.param
    world._kill(world.processes[0])
    send(world, "fianco", caso="c")
    turn(world)
    send(world, "avviso")
    turn(world, "answer")
    turn(world)
    return world


def live(world: Simulation) -> Live:
    """The run of three branches."""
    return next(one for one in world.processes[0].engine._live.values() if one.message.type == "sim.fianco")


def goes_on(world: Simulation) -> bool:
    """Whether the branch that waited is at its call, out or in line."""
    return "rami/due/spedisci" in live(world).walk.pending


def test_a_message_is_taken_while_calls_beside_are_out_and_these_come_home_as_ever(begun: Simulation) -> None:
    out, in_line = set(live(begun).in_flight), set(live(begun).in_line)
    assert (len(out), len(in_line)) == ((2, 0) if begun.threads > 1 else (1, 1))
    send(begun, "parte", caso="c")
    turn(begun)
    turn(begun)
    assert goes_on(begun)
    assert out <= live(begun).in_flight, "none was given up"
    assert in_line <= live(begun).in_line
    steps = ("prima", "registra", "scrivi", "spedisci", "fila", "dopo")
    assert sorted(chi for _, chi in finish(begun)) == sorted([*(f"{step} m1" for step in steps), "spedisci m2"])


def test_a_message_that_does_not_match_passes_by_and_the_next_one_is_taken(begun: Simulation) -> None:
    send(begun, "parte", caso="c", chi="m1")
    turn(begun)
    turn(begun)
    assert not goes_on(begun)
    send(begun, "parte", caso="c")
    turn(begun)
    turn(begun)
    assert goes_on(begun)
    finish(begun)


def test_a_deadline_ends_a_wait_while_calls_beside_are_out(begun: Simulation) -> None:
    pass_by(begun, dt.timedelta(minutes=31))
    turn(begun)
    turn(begun)
    assert goes_on(begun)
    finish(begun)


def test_who_holds_the_run_is_told_by_another_engine_that_was_rung_for_it(begun: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    begun._start_engine()
    holder, other = (process.engine for process in begun.processes)
    heard: list[str] = []
    monkeypatch.setattr(other, "_told", heard.extend)
    other.works_beside(2, 1)
    send(begun, "parte", caso="c")
    taken, begun.tickets = begun.tickets, []
    other.ring(taken)
    other.turn(patient=False)
    assert heard == [RUN + live(begun).id]
    for word in [*heard, f"{RUN}of another engine"]:
        holder.hear(word)
    turn(begun)
    turn(begun)
    assert goes_on(begun)
    finish(begun)


def test_who_holds_the_run_looks_by_itself_where_others_were_rung_for_it(begun: Simulation) -> None:
    send(begun, "parte", caso="c")
    begun.tickets.clear()
    turn(begun)
    assert not goes_on(begun)
    pass_by(begun, LOOK)
    turn(begun)
    turn(begun)
    assert goes_on(begun)
    finish(begun)


def test_a_run_that_an_owner_vanished_with_goes_on_when_its_calls_have_ended(world: Simulation) -> None:
    """Which of its calls ended the owner is not known: none goes out beside them."""
    world.threads = 16
    world._kill(world.processes[0])
    message = send(world, "fianco", caso="c")
    turn(world, "answer")
    turn(world)
    die(world)
    for _ in range(3):
        turn(world)
        pass_by(world, dt.timedelta(seconds=1))
    assert (state(world, message), len(world.processes[0].engine._live)) == ("ready", 1)
    send(world, "parte", caso="c")
    for _ in range(3):
        turn(world)
        pass_by(world, LOOK)
    assert not goes_on(world)
    finish(world)
