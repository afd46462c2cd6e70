"""Who ended a process? Runs that were only beside it are not taken for poison; the one that does it alone is."""

from __future__ import annotations

import datetime as dt
from unittest.mock import Mock

import pytest

from bus.clock import text_of
from bus.engine import dead, engine
from bus.engine.arrival import Submission
from bus.engine.claims import SUSPECT
from bus.engine.holding import Holding
from bus.engine.lanes import LANE_PAUSE
from bus.engine.suspects import QUIET, Suspects
from bus.engine.sweeper import Sweeper
from bus.errors import Conflict
from bus.message import parsed
from bus.store.sqlite import SqliteStore
from tests.clocks import FixedClock
from tests.contract.store_contract import LATER, NOW, add_runs, claim
from tests.simulation.simulation import Simulation
from tests.simulation.system import TIMEOUT
from tests.simulation.world import LEASE
from tests.unit.engine.kit import behind_a_dead_letter, die, row_of, send, state, turn, work
from tests.unit.replay.simulated import log_of


def answer(world: Simulation) -> None:
    """Every call that is out is answered, once."""
    turn(world, *["answer"] * len(world.processes[0].outside.pending))
    turn(world)


def held(world: Simulation) -> int:
    """How many suspects are at work."""
    with world.store.read() as tx:
        rows = tx.all("runs_by_state", state="ready", route=None, most=100)
    return sum(live.strikes >= SUSPECT for row in rows if (live := world.processes[0].engine._live.get(row["id"])) is not None)


def suspects(world: Simulation, count: int, kind: str = "lavoro") -> list[str]:
    """So many runs over which the process ended twice; each time all of them were under way."""
    world.threads = 16
    die(world)
    found = [send(world, kind, caso=f"c{n}", iuv=f"i{n}") for n in range(count)]
    for _ in range(2):
        assert sorted(work(world)) == sorted(found)
        die(world)
    return found


def test_who_was_beside_a_poison_is_done_and_the_poison_is_parked_at_its_third_time(
    world: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = Mock()
    monkeypatch.setattr(engine, "logger", lambda name: says)
    innocent, poison, other = suspects(world, 3)
    newcomer = send(world, "lavoro", caso="nuovo")
    parked = 0
    for _ in range(30):
        out = work(world, within=2)
        if poison in out:
            assert held(world) == 1, "suspects are worked one at a time"
            die(world)
            parked += 1
        elif out:
            assert held(world) <= 1
            answer(world)
    assert [state(world, one) for one in (innocent, poison, other, newcomer)] == ["done", "dead", "done", "done"]
    assert parked == 1
    run = row_of(world, poison)["id"]
    letters = [said.kwargs for said in says.warning.call_args_list if said.args == ("run.dead",)]
    assert [(said["run"], said["code"], said["place"]) for said in letters] == [(run, "run.poison", "sim.lavoro@1")], "as any dead letter"


def test_a_poison_that_a_person_sends_on_is_worked_apart_at_once_and_given_up_when_it_ends_its_process_again(world: Simulation) -> None:
    [poison] = suspects(world, 1)
    assert work(world) == [poison]
    die(world)
    work(world)
    run = row_of(world, poison)["id"]

    def redeliver() -> None:
        assert state(world, poison) == "dead"
        world.store.write(lambda tx: dead.redeliver(tx, run, "anna", "prova", world.clock)).result()

    for n in range(2):
        redeliver()
        assert work(world) == [poison]
        neighbour = send(world, "lavoro", caso=f"accanto{n}")
        assert work(world) == [poison]
        die(world)
        while out := work(world):
            assert poison not in out
            answer(world)
        assert state(world, neighbour) == "done"
    redeliver()
    world.calm()
    assert state(world, poison) == "done"


def test_many_suspects_are_soon_through_while_messages_come_and_these_do_not_wait_for_all_of_them(world: Simulation) -> None:
    found = suspects(world, 16, "attesa")
    sent, waited = {}, {}
    for tick in range(100):
        sent[send(world, "lavoro", caso=f"nuovo{tick}")] = world.running
        turn(world)
        assert held(world) <= 1
        out = world.processes[0].outside.pending
        waited.update({call.message.id: world.running - sent.pop(call.message.id) for call in out if call.message.id in sent})
        turn(world, *["answer"] * len(out))
        world.clock.move(dt.timedelta(seconds=0.1))
        world.running += 0.1
    assert {state(world, one) for one in found} == {"waiting"}, "a call each, and they wait for a message"
    assert len(sent) < 30
    assert max(waited.values()) < 4


def test_suspects_that_wait_for_a_lane_which_a_dead_letter_holds_keep_nobody_waiting(world: Simulation) -> None:
    found = behind_a_dead_letter(world, 5)
    sent, waited = {}, []
    for tick in range(130):
        sent[send(world, "lavoro", caso=f"nuovo{tick}")] = tick
        turn(world)
        out = world.processes[0].outside.pending
        waited += [tick - sent.pop(call.message.id) for call in out if call.message.id in sent]
        turn(world, *["answer"] * len(out))
        world.clock.move(dt.timedelta(seconds=0.1))
        world.running += 0.1
    assert set(waited[30:]) == {0}, "each of them was tried once, and looks again when the lane is free"
    assert len(waited) == 130
    world._pass(TIMEOUT)
    world.calm()
    assert [state(world, one) for one in found] == ["done"] * 6


def test_a_suspect_at_a_taken_lane_that_waits_for_a_message_too_is_tried_when_that_comes_and_not_before(world: Simulation) -> None:
    found = behind_a_dead_letter(world, 1, "fianco")
    tried = []
    for tick in range(100):
        if tick == 40:
            for case in ("c0", "c1"):
                world._send(Submission("sim.parte", {"chi": "altro", "caso": case}, "portale", key=case))
        turn(world)
        tried.append(world.processes[0].engine._suspects.apart())
        out = world.processes[0].outside.pending
        turn(world, *["answer"] * len(out))
        world.clock.move(dt.timedelta(seconds=0.1))
        world.running += 0.1
    assert not any(tried[20:40] + tried[60:]), "it was tried once, and again when the message had come"
    with world.store.read() as tx:
        told = [parsed(row["content"]) for row in tx.all("newest_records", most=9)]
    assert "spedisci" in {str(one.get("path")).rpartition("/")[2] for one in told if one["kind"] == "answered"}
    assert [state(world, one) for one in found] == ["dead", "ready"]


def test_suspects_that_a_crowded_gate_turned_away_keep_nobody_waiting(world: Simulation) -> None:
    found = suspects(world, 3)
    engine = world.processes[0].engine
    gate = engine._gates.of("sistema.leggi")
    size, gate.size, gate.most_in_line = gate.size, 0, 0
    apart = []
    for _ in range(600):
        turn(world)
        apart.append(engine._suspects.apart())
        world.clock.move(dt.timedelta(seconds=0.1))
        world.running += 0.1
    assert any(apart)
    assert not any(apart[50:]), "each of them was tried once, and is called when there is room"
    gate.size = size
    world.calm()
    assert [state(world, one) for one in found] == ["done"] * 3


def test_the_turn_of_a_suspect_comes_though_a_run_that_is_due_longer_waits_for_its_lane_again_and_again(store: SqliteStore) -> None:
    clock = FixedClock(LATER)
    add_runs(store, "waiter", time=text_of(NOW))
    add_runs(store, "suspect", time=text_of(NOW + dt.timedelta(seconds=1)))
    for owner in ("uno", "due"):
        claim(store, "suspect", owner=owner, now=LATER)
        store.write(lambda tx, owner=owner: tx.do("void_claims", owner=owner)).result(60)  # type: ignore[misc]
    holding, suspects = Holding(store, clock, 30, lambda: 0.0), Suspects(LATER, {}, tuple, lambda: 0.0)
    sweeper = Sweeper(store, holding, 1.0, 10, 0.0, LATER, suspects, tuple)

    def pause() -> None:
        until = text_of(clock.now() + LANE_PAUSE)
        store.write(lambda tx: tx.do("leave_alone", runs='["waiter"]', until=until)).result(60)

    pause()
    assert sweeper.look(clock.now(), 20, quiet=False, free=False)[0] == []
    assert suspects.next
    clock.move(dt.timedelta(seconds=QUIET))
    assert [row["id"] for row in sweeper.look(clock.now(), 20, quiet=True, free=False)[0]] == ["suspect"]
    assert [row["id"] for row in sweeper.look(clock.now(), 0, quiet=True, free=False)[0]] == []
    assert not suspects.next
    assert [row["id"] for row in sweeper.look(clock.now(), 20, quiet=True, free=False)[0]] == ["waiter"]


def test_a_suspect_that_holds_a_lane_has_its_turn_before_one_that_is_due_longer_and_may_wait_for_it(store: SqliteStore) -> None:
    clock = FixedClock(LATER)
    add_runs(store, "waiter", time=text_of(NOW))
    add_runs(store, "holder", time=text_of(NOW + dt.timedelta(seconds=1)))
    for owner in ("uno", "due"):
        claim(store, "waiter", "holder", owner=owner, now=LATER)
        store.write(lambda tx, owner=owner: tx.do("void_claims", owner=owner)).result(60)  # type: ignore[misc]
    store.write(lambda tx: tx.do("take_lane", name="sistema.fila", run="holder", path="fila")).result(60)
    sweeper = Sweeper(store, Holding(store, clock, 30, lambda: 0.0), 1.0, 10, 0.0, LATER, Suspects(LATER, {}, tuple, lambda: 0.0), tuple)
    assert [row["id"] for row in sweeper.look(clock.now(), 20, quiet=True, free=False)[0]] == ["holder"]
    sweeper.hurry()
    assert [row["id"] for row in sweeper.look(clock.now(), 20, quiet=True, free=False)[0]] == ["waiter"]


def test_a_suspect_that_gets_on_is_none_any_more(world: Simulation) -> None:
    [run] = suspects(world, 1)
    assert work(world) == [run]
    answer(world)
    assert work(world) == [run], "the next of its calls"
    for _ in range(2):
        die(world)
        assert work(world) == [run], "its strikes were forgotten"
    assert state(world, run) == "ready"


def test_a_branch_that_comes_home_does_not_clear_one_that_ends_the_process_each_time(world: Simulation) -> None:
    run = send(world, "fianco", caso="c")
    turn(world, "answer")
    ends = 0
    while state(world, run) != "dead":
        work(world)
        outside = world.processes[0].outside
        calls = {call.asking.call.path: call for call in outside.pending}
        if beside := calls.pop("rami/uno/registra", None):
            outside.end(beside, "unreachable")
            turn(world)
        if calls:
            die(world)
            ends += 1
    assert ends == 3
    identity = row_of(world, run)["id"]
    with world.store.read() as tx:
        letter = dead.letter(tx, identity)
    assert (letter.code, letter.path) == ("run.poison", "rami/tre/fila")


def test_a_suspect_does_not_wait_for_calls_that_hang(world: Simulation) -> None:
    [run] = suspects(world, 1)
    world.clock.move(dt.timedelta(seconds=-LEASE - 1))
    hangs = send(world, "lavoro", caso="appeso")
    assert work(world) == [hangs], "the suspect is held still"
    world.clock.move(dt.timedelta(seconds=LEASE + 1))
    assert work(world) == [hangs, run]
    beside = send(world, "lavoro", caso="accanto")
    assert work(world) == [hangs, run]
    assert state(world, beside) == "ready", "it waits until the suspect got on"
    answer(world)
    assert beside in work(world)


def test_a_letter_of_poison_tells_the_call_whose_end_nobody_knows_and_a_person_decides_it(world: Simulation) -> None:
    first, second = send(world, "lavoro", caso="c", voci=["a"]), send(world, "lavoro", caso="d", voci=["b"])
    while not any(call.asking.number for call in world.processes[0].outside.pending):
        answer(world) if world.processes[0].outside.pending else work(world, within=1)
    holder = next(call.message.id for call in world.processes[0].outside.pending if call.asking.operation.name == "in-fila")
    for _ in range(3):
        die(world)
        work(world)
    with world.store.read() as tx:
        run = tx.all("runs_of_message", message=holder)[0]
        letter = dead.letter(tx, run["id"])
    assert (letter.code, letter.doubt, letter.detail["operation"], letter.detail["effect"]) == (
        "run.poison", True, "sistema.in-fila", "keyed",
    )  # fmt: skip
    assert letter.path is not None
    assert log_of(world).verdicts()[run["id"]].result == "equal", "the bus stopped it: nothing that the rules did is missing"

    def act(decision: dead.Decision) -> None:
        answered = {"chi": "visto", "numero": 1, "edizione": 1}
        world.store.write(lambda tx: dead.decide(tx, run["id"], "anna", "prova", world.clock, decision, answered)).result()

    with pytest.raises(Conflict) as refused:
        world.store.write(lambda tx: dead.discard(tx, run["id"], "anna", "prova", world.clock)).result()
    assert refused.value.code == "dead.lane-not-at-rest"
    act("happened")
    world.trouble = False
    world._pass(TIMEOUT)
    world.calm()
    assert {state(world, first), state(world, second)} == {"done"}
    assert {verdict.result for verdict in log_of(world).verdicts().values()} == {"equal"}
    asked = [effect.chi for effect in world.system.ledger if effect.operation == "in-fila"]
    assert len(asked) == len(set(asked))
