"""What a clock that was hours ahead has put off goes on once it is set back, and with it the lane and the case that it holds."""

from __future__ import annotations

import datetime as dt

import pytest

from bus.clock import text_of
from bus.engine.setback import Setback
from bus.log.diagnosis import Broken, Line, Page
from bus.log.tables import Journals, compare
from tests.projections import told_otherwise
from tests.simulation.parts import START
from tests.simulation.simulation import Simulation
from tests.simulation.system import SETTLE, TIMEOUT
from tests.simulation.world import LEASE
from tests.unit.engine.kit import finish, out, row_of, send, state, turn

AHEAD = dt.timedelta(hours=2)


def pass_by(world: Simulation, seconds: float) -> None:
    world.clock.move(dt.timedelta(seconds=seconds))
    world.running += seconds
    world.system.settle()


def go_on(world: Simulation, seconds: int, conduct: str = "answer") -> None:
    """So many seconds pass, and every call that is out ends."""
    for _ in range(seconds):
        pass_by(world, 1)
        for _ in range(2):
            turn(world, *[conduct] * len(world.processes[0].outside.pending))


@pytest.fixture
def ahead(world: Simulation) -> Simulation:
    """A world with a clock that is two hours ahead, and a system that takes many calls at once."""
    world.threads = 16
    world._kill(world.processes[0])
    world.clock.move(AHEAD)
    turn(world)
    return world


def in_the_lane(world: Simulation, *others: str) -> list[str]:
    """One run whose call in the ordered lane is out, and others that wait for the lane."""
    found = [send(world, "lavoro", caso=caso, voci=["a"]) for caso in ("c", *others)]
    for _ in range(5):
        turn(world)
        outside = world.processes[0].outside
        for call in [call for call in outside.pending if call.asking.number is None]:
            outside.end(call, "answer")
    with world.store.read() as tx:
        [lane] = tx.all("all_lanes")
    assert lane["run"] == row_of(world, found[0])["id"]
    return found


@pytest.mark.parametrize("fresh", [False, True])
def test_a_holder_of_a_lane_whose_try_was_put_off_gives_it_up(ahead: Simulation, fresh: bool) -> None:
    """It held the lane for two hours from when the clock was set right, and all who waited for it with it."""
    found = in_the_lane(ahead, "d")
    turn(ahead, "unreachable")
    turn(ahead)
    assert row_of(ahead, found[0])["due"] > text_of(START + AHEAD)
    ahead.clock.move(-AHEAD)
    if fresh:
        ahead._kill(ahead.processes[0])
    go_on(ahead, 12)
    assert [state(ahead, one) for one in found] == ["done", "done"]
    assert [effect.number for effect in ahead.system.ledger if effect.operation == "in-fila"] == [1, 2]


def test_a_branch_whose_try_was_put_off_beside_a_call_that_is_out_asks_again(ahead: Simulation) -> None:
    message = send(ahead, "fianco", caso="c")
    turn(ahead, "answer")
    turn(ahead)
    assert len(out(ahead)) > 1
    outside = ahead.processes[0].outside
    outside.end(outside.pending[-1], "unreachable")
    turn(ahead)
    left = len(out(ahead))
    ahead.clock.move(-AHEAD)
    for _ in range(3):
        pass_by(ahead, 1)
        turn(ahead)
    assert (len(out(ahead)), state(ahead, message)) == (left + 1, "ready"), "while the other one is out"


def test_a_call_in_doubt_that_was_out_while_the_clock_was_set_back_is_probed_when_it_has_settled(ahead: Simulation) -> None:
    message = send(ahead, "attesa", caso="c", iuv="i")
    turn(ahead, "answer")
    turn(ahead)
    send(ahead, "ricevuta", iuv="i")
    go = 0
    while not any(call.asking.operation.name == "registra" for call in ahead.processes[0].outside.pending) and (go := go + 1) < 9:
        turn(ahead)
    ahead.clock.move(-AHEAD)
    turn(ahead, "lose")
    turn(ahead)
    assert row_of(ahead, message)["due"] <= text_of(START + dt.timedelta(seconds=TIMEOUT + SETTLE + 1))
    go_on(ahead, int(TIMEOUT + SETTLE) - 2)
    assert state(ahead, message) == "ready", "it rests as long as any"
    go_on(ahead, 6)
    assert state(ahead, message) == "done"
    assert len([effect for effect in ahead.system.ledger if effect.operation == "registra"]) == 1


def test_a_call_in_doubt_of_a_clock_that_was_ahead_rests_and_is_then_probed(ahead: Simulation) -> None:
    message = send(ahead, "attesa", caso="c", iuv="i")
    turn(ahead, "answer")
    turn(ahead)
    send(ahead, "ricevuta", iuv="i")
    while not any(call.asking.operation.name == "registra" for call in ahead.processes[0].outside.pending):
        turn(ahead)
    turn(ahead, "late")
    turn(ahead)
    ahead.clock.move(-AHEAD)
    go_on(ahead, int(TIMEOUT + SETTLE) + 4)
    assert state(ahead, message) == "done"
    assert len([effect for effect in ahead.system.ledger if effect.operation == "registra"]) == 1


def test_what_a_dead_process_of_another_machine_held_is_free_when_nobody_renews_it(ahead: Simulation) -> None:
    message = send(ahead, "lavoro", caso="c", voci=[])
    turn(ahead)
    ahead.processes.pop().outside.close()
    ahead.clock.move(-AHEAD)
    ahead._start_engine()
    go_on(ahead, int(LEASE) - 1)
    assert state(ahead, message) == "ready", "it may live"
    go_on(ahead, 15)
    assert state(ahead, message) == "done"


def test_whoever_lives_keeps_what_it_has(ahead: Simulation) -> None:
    """A claim of a clock that was ahead is void where nobody renews it."""
    message = send(ahead, "lavoro", caso="c", voci=[])
    turn(ahead)
    fence = row_of(ahead, message)["fence"]
    ahead.clock.move(-AHEAD)
    ahead._start_engine()
    for _ in range(int(LEASE) * 3):
        pass_by(ahead, 1)
        for process in ahead.processes:
            process.engine.turn(patient=False)
    assert row_of(ahead, message)["fence"] == fence
    assert finish(ahead)


def test_what_is_rightly_put_off_for_long_waits(world: Simulation) -> None:
    message = send(world, "avviso")
    turn(world)
    turn(world, "unreachable")
    run = row_of(world, message)["id"]
    far = text_of(world.clock.now() + dt.timedelta(days=3))
    now = text_of(world.clock.now())
    world._kill(world.processes[0])
    world.store.write(lambda tx: tx.do("set_run", id=run, state="ready", due=far, place="", time=now, reason=None)).result()
    go_on(world, 40)
    assert (state(world, message), row_of(world, message)["due"]) == ("ready", far)


def test_what_was_put_right_is_no_other_table_than_the_log_tells(ahead: Simulation) -> None:
    """It stands so until somebody has it, which behind others of its case may be long: a log that was looked at then was called damaged."""
    message = send(ahead, "lavoro", caso="c")
    turn(ahead, "unreachable")
    turn(ahead)
    told = row_of(ahead, message)["due"]
    ahead.clock.move(-AHEAD)
    engine = ahead.processes[0].engine
    assert Setback(ahead.store, engine._holding).look(ahead.clock.now()) == (True, False)
    assert row_of(ahead, message)["due"] == text_of(ahead.clock.now()) < told
    with ahead.store.read() as tx:
        compare(tx, Page.of(0, [Line.of(row) for row in tx.all("whole_records_after", after=0, most=99)]), Journals())
    assert told_otherwise(ahead.store) == {}


def test_a_row_that_is_due_later_than_the_log_tells_is_another_one(ahead: Simulation) -> None:
    message = send(ahead, "lavoro", caso="c")
    row = row_of(ahead, message)
    ahead.store.write(lambda tx: tx._raw.execute("UPDATE runs SET due = '2199-01-01T00:00:00.000000Z'")).result()  # type: ignore[attr-defined]
    with ahead.store.read() as tx, pytest.raises(Broken, match=f"run {row['id']} stands in the table `runs` with `due`"):
        compare(tx, Page.of(0, [Line.of(row) for row in tx.all("whole_records_after", after=0, most=99)]), Journals())


def test_a_try_that_somebody_brought_forward_is_none_that_was_put_right(world: Simulation) -> None:
    """No clock that was ahead wrote it: its record tells a time that had come."""
    message = send(world, "lavoro", caso="c")
    turn(world, "unreachable")
    turn(world)
    row = row_of(world, message)
    assert (row["state"], row["changed"] < row["due"]) == ("ready", True)
    for due in (row["changed"], text_of(world.clock.now())):
        world.store.write(lambda tx, due=due: tx._raw.execute("UPDATE runs SET due = ?", (due,))).result()  # type: ignore[attr-defined]
        with world.store.read() as tx, pytest.raises(Broken, match=f"run {row['id']} stands in the table `runs` with `due`"):
            compare(tx, Page.of(0, [Line.of(row) for row in tx.all("whole_records_after", after=0, most=99)]), Journals())


def test_a_run_that_somebody_had_when_the_clock_was_set_back_goes_on_when_he_ends_much_later(ahead: Simulation) -> None:
    """Nobody looked any more then, and while he had it nobody had put it right."""
    message = send(ahead, "lavoro", caso="c")
    turn(ahead)
    assert out(ahead) == [message]
    ahead.clock.move(-AHEAD)
    for _ in range(60):
        pass_by(ahead, 1)
        turn(ahead)
    ahead._start_engine()
    survivor = ahead.processes[1]
    for _ in range(60):
        pass_by(ahead, 1)
        turn(ahead)
        survivor.engine.turn(patient=False)
    ahead._kill(ahead.processes[0])
    go_on(ahead, 2 * round(LEASE))
    assert state(ahead, message) == "done"
