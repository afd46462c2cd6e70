"""What an engine does from turn to turn with the runs that it has: whom it asks again and when, whose answers it takes, what it sees through."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bus.engine import erasure, loading
from bus.engine.asks import Call
from bus.engine.fate import Tries
from bus.engine.lanes import LANE_PAUSE
from bus.engine.live import Live
from bus.engine.settle import JUST_AFTER, Settled
from bus.engine.throttles import Throttles
from bus.errors import StoreError
from bus.log import log
from bus.route import plan
from bus.store import Tx
from bus.store.sqlite import SqliteConnection
from tests.simulation import system
from tests.simulation.parts import START
from tests.simulation.simulation import Simulation
from tests.simulation.world import LEASE
from tests.unit.engine.kit import finish, out, row_of, send, state, strikes, turn
from tests.views import Counting

RETRY = dt.timedelta(seconds=1)


def paths(world: Simulation) -> list[str]:
    return sorted(call.asking.call.path for call in world.processes[0].outside.pending)


def answer(world: Simulation, operation: str, conduct: str = "answer") -> None:
    """One call that is out ends."""
    outside = world.processes[0].outside
    [call] = [call for call in outside.pending if call.asking.operation.name == operation]
    outside.end(call, conduct)  # type: ignore[arg-type]


def pass_by(world: Simulation, seconds: float) -> None:
    """Time passes, and no call ends."""
    world.clock.move(dt.timedelta(seconds=seconds))
    world.running += seconds


@pytest.fixture
def many(world: Simulation) -> Simulation:
    """A world whose system takes many calls at once."""
    world.threads = 16
    world._kill(world.processes[0])
    return world


@pytest.fixture
def unswept(many: Simulation, monkeypatch: pytest.MonkeyPatch) -> Simulation:
    """Nobody looks for what is due: an engine must know itself whom it waits for."""
    many.processes[0].engine.turn(patient=False)
    monkeypatch.setattr(many.processes[0].engine._sweeper, "is_due", lambda now, room: False)
    return many


def test_calls_that_are_out_take_nothing_of_the_room_for_runs(world: Simulation) -> None:
    """A hundred systems that hung had a thousand runs, all there may be: whoever asked others waited until the first calls timed out."""
    world.threads = 60
    world._kill(world.processes[0])
    engine = world.processes[0].engine
    room = engine._room()
    for _ in range(3 * room // 2):
        send(world, "avviso")
    for _ in range(8):
        turn(world)
        pass_by(world, LEASE / 4)
    assert len(out(world)) == 3 * room // 2
    assert engine._room() == room
    for _ in range(room):
        turn(world, "answer")
    assert engine._out == {live.id for live in engine._live.values() if live.in_flight}
    finish(world)
    assert (engine._out, engine._room()) == (set(), room)


def test_a_run_that_was_left_until_its_next_try_is_taken_again_at_its_time_without_a_sweep(unswept: Simulation) -> None:
    message = send(unswept, "avviso")
    turn(unswept, "unreachable")
    turn(unswept)
    assert row_of(unswept, message)["owner"] is None
    unswept.clock.move(RETRY)
    turn(unswept)
    unswept.clock.move(JUST_AFTER)
    turn(unswept)
    assert out(unswept) == [message]


def test_a_call_is_tried_again_at_its_time_while_another_of_its_run_is_out(unswept: Simulation) -> None:
    send(unswept, "fianco", caso="c")
    turn(unswept, "answer")
    turn(unswept)
    answer(unswept, "registra", "unreachable")
    turn(unswept)
    assert paths(unswept) == ["rami/tre/fila"]
    unswept.clock.move(RETRY)
    turn(unswept)
    assert paths(unswept) == ["rami/tre/fila", "rami/uno/registra"]


def test_a_call_whose_lane_is_taken_asks_again_in_a_moment_and_has_no_place_at_its_gate_meanwhile(unswept: Simulation) -> None:
    send(unswept, "lavoro", caso="c", voci=["a"])
    for _ in range(2):
        turn(unswept, "answer")
    turn(unswept, "unreachable")
    turn(unswept)
    beside = send(unswept, "fianco", caso="d")
    turn(unswept, "answer")
    turn(unswept)
    gate = unswept.processes[0].engine._gates.of("sistema.in-fila")
    assert (paths(unswept), gate.out) == (["rami/uno/registra"], set())
    unswept.store.write(lambda tx: tx.do("leave_lanes", run=tx.all("all_lanes")[0]["run"])).result()
    unswept.clock.move(LANE_PAUSE)
    turn(unswept)
    assert paths(unswept) == ["rami/tre/fila", "rami/uno/registra"]
    assert {place[0] for place in gate.out} == {row_of(unswept, beside)["id"]}


def test_a_call_that_its_throttle_holds_back_goes_out_when_its_turn_comes(unswept: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    message, later = send(unswept, "avviso"), unswept.clock.now() + dt.timedelta(seconds=3)
    monkeypatch.setattr(unswept.processes[0].engine._around.throttles, "next", lambda call, now, *, promised, first: max(later, now))
    for seconds in (0, 2):
        pass_by(unswept, seconds)
        turn(unswept)
        assert out(unswept) == []
    pass_by(unswept, 1)
    turn(unswept)
    pass_by(unswept, JUST_AFTER.total_seconds())
    turn(unswept)
    assert out(unswept) == [message]


def test_a_run_that_was_promised_a_turn_and_is_taken_up_by_another_engine_is_known_there_as_such(
    unswept: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []

    def next(call: Call, now: dt.datetime, *, promised: bool, first: bool) -> dt.datetime:
        told.append(promised)
        return now if promised or len(told) > 2 else now + RETRY

    first, again = send(unswept, "avviso"), RETRY + JUST_AFTER
    unswept._start_engine()
    for process in unswept.processes:
        monkeypatch.setattr(process.engine._around.throttles, "next", next)
    turn(unswept)
    for conduct in ("unreachable", "answer"):
        pass_by(unswept, again.total_seconds())
        unswept.processes[1].engine.ring([row_of(unswept, first)["id"]])
        unswept.processes[1].engine.turn(patient=False)
        unswept.processes[1].outside.end(unswept.processes[1].outside.pending[0], conduct)  # type: ignore[arg-type]
        unswept.processes[1].engine.turn(patient=False)
    assert (told, state(unswept, first)) == ([False, True, False], "done"), "its retry is no turn that it was promised"


def test_a_run_that_its_engine_had_to_claim_anew_is_not_given_up_for_what_comes_home_of_the_first_claim(many: Simulation) -> None:
    message = send(many, "senza", caso="c", iuv="i")
    turn(many)
    engine, outside = many.processes[0].engine, many.processes[0].outside
    gate, [first] = engine._gates.of("sistema.numera"), outside.pending
    failures = engine._gates.circuits["sistema"].failures = 3
    pass_by(many, LEASE + 1)
    many._start_engine()
    for _ in range(2):
        many.processes[1].engine.turn(patient=False)
        pass_by(many, 1)
    many.processes[1].engine.turn(patient=False)
    assert out(many, 1) == [message]
    many._kill(many.processes[1])
    pass_by(many, LEASE + 1)
    for _ in range(3):
        turn(many)
        pass_by(many, 1)
    assert len(outside.pending) == 2
    assert len(gate.out) == 2, "the first is out as well, whoever has the run now"
    outside.end(first, "answer")
    turn(many)
    assert (len(gate.out), engine._gates.circuits["sistema"].failures) == (1, failures), "what did not go out says nothing of the system"
    turn(many, "answer")
    turn(many)
    assert state(many, message) == "waiting"


def test_a_call_that_stayed_at_home_because_nobody_could_say_whose_its_run_is_has_no_answer_and_is_no_strike(world: Simulation) -> None:
    message = send(world, "senza", caso="c", iuv="i")
    turn(world)
    [call] = world.processes[0].outside.pending
    call.ours = lambda: False
    for _ in range(8):
        turn(world, "answer")
        pass_by(world, 1)
        assert strikes(world, message) <= 1, "the claim that it has"
    assert [(effect.operation, effect.chi) for effect in world.system.ledger] == [("numera", "numera m1")]
    assert state(world, message) == "waiting"


def test_an_engine_that_stops_asks_nothing_more_and_leaves_its_runs_to_others(many: Simulation) -> None:
    message = send(many, "lavoro", caso="c")
    turn(many)
    engine = many.processes[0].engine
    engine.wind_down()
    turn(many, "answer")
    turn(many)
    assert (out(many), engine.busy()) == ([], False)
    row = row_of(many, message)
    assert (row["state"], row["owner"]) == ("ready", None)


def test_an_engine_that_stops_sees_a_call_through_that_is_out_and_writes_its_answer_when_the_store_does_again(
    many: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = send(many, "avviso")
    turn(many)
    engine = many.processes[0].engine
    engine.wind_down()
    turn(many)
    turn(many, "answer")
    store = type(engine._settling.store)

    def full(self: Any, work: Callable[[Tx], Any], *, here: bool = False, whole: Callable[..., Future[Any]] = store.write) -> Future[Any]:
        failed: Future[Any] = Future()
        failed.set_exception(StoreError("the disk is full"))
        return failed if here else whole(self, work)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", full)
        turn(many)
    assert engine.busy()
    turn(many)
    assert (state(many, message), engine.busy()) == ("done", False)


def test_an_engine_takes_what_the_door_opens_only_while_it_has_room_and_nobody_waits_for_it(
    world: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, run = world.processes[0].engine, row_of(world, send(world, "avviso"))["id"]

    def welcome() -> list[str]:
        claims = world.store.write(lambda tx: engine.welcome(tx, [run], {})).result()
        return [] if claims is None else [row["id"] for row in claims.rows]

    with monkeypatch.context() as patch:
        patch.setattr(engine, "_room", lambda: engine._pace.batch)
        assert welcome() == []
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_rung", {"another": None})
        assert welcome() == []
    assert welcome() == [run]


def test_who_waits_for_a_reply_is_told_it_and_that_a_run_waits(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(world.processes[0].engine, "_told", told.append)
    waits = send(world, "senza", caso="c", iuv="i")
    turn(world, "answer")
    turn(world)
    replies = send(world, "lavoro", caso="d", modo="una")
    for _ in range(3):
        turn(world, "answer")
    assert told == [{waits: None}]
    turn(world)
    assert told[1:] == [{replies: {"chi": "m2!"}}]


def test_a_reply_is_told_though_calls_of_its_run_are_still_out(many: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    message, told = send(many, "fianco", caso="c"), list[Any]()
    turn(many, "answer")
    turn(many)
    engine = many.processes[0].engine
    monkeypatch.setattr(engine, "_told", told.append)
    [live] = engine._live.values()
    live.note("replied", many.clock.now(), next(iter(live.walk.pending.values())), {"reply": {"chi": "ecco"}})
    engine._act([live], [Settled()], many.clock.now())
    assert told == [{message: {"chi": "ecco"}}]


@pytest.mark.parametrize(
    ("planned", "doubt", "is_open", "takes"),
    [(True, False, True, True), (False, False, True, False), (True, True, True, False), (True, False, False, False)],
)
def test_a_route_takes_its_plan_when_its_tries_would_have_ended_and_only_for_a_call_without_doubt_before_an_open_circuit(
    planned: bool, doubt: bool, is_open: bool, takes: bool
) -> None:
    ask = Call("p", "r@1/p", "sys.op", {}, "key", retry=plan.Retry(3, wait=1, factor=2, most=10), planned=planned)
    nothing: Any = None
    around: Any = SimpleNamespace(gates=SimpleNamespace(of=lambda operation: SimpleNamespace(circuit=SimpleNamespace(is_open=is_open))))
    later = START + dt.timedelta(seconds=60)
    live = Live("r", 1, nothing, nothing, nothing, nothing, nothing, around, since=START, kept_back={"p": "away"}, dues={"p": later})
    ends, tries = START + dt.timedelta(seconds=3), Tries(doubt=doubt)
    assert not live._takes_its_plan(ask, tries, START)
    assert live.dues == {"p": ends if takes else later}
    assert live._takes_its_plan(ask, tries, ends) == takes
    assert ("p" in live.dues) != takes


def test_a_call_whose_share_another_process_had_and_we_have_now_is_ours_again() -> None:
    """Else its engine would set itself no alarm any more, whatever the run waits for later, and only a look would find it."""
    throttles = Throttles(workers=2, rank=1)
    around: Any = SimpleNamespace(
        gates=SimpleNamespace(enter=lambda place, operation, now, weight: "in"),
        throttles=throttles,
        outside=SimpleNamespace(operation=lambda name: None),
    )
    nothing: Any = None
    live = Live("r", 1, nothing, nothing, nothing, nothing, nothing, around)
    ask = Call("p", "r@1/p", "sys.op", {}, "key", limit=plan.Throttle(1, 60.0))
    assert not live._may_go_out(ask, Tries(), START)
    assert live.kept_back == {"p": "elsewhere"}
    throttles.rank = 0
    assert live._may_go_out(ask, Tries(), START)
    assert not live.kept_back
    throttles.workers = 1
    assert not live._may_go_out(replace(ask, key="waits"), Tries(), START)
    assert not live.kept_back, "it was promised a turn"
    throttles.workers = 2
    throttles._turns[ask.place].went.append(START + dt.timedelta(seconds=59))
    assert not live._may_go_out(replace(ask, key="waits"), Tries(), START + dt.timedelta(seconds=60))
    assert live.kept_back == {"p": "elsewhere"}, "one more has come, which has room for it"


def test_who_hears_that_one_more_or_one_less_is_at_work_looks_through_everything(world: Simulation) -> None:
    """What a process held that is gone was due long ago, and a look that found nothing may have been a moment before."""
    engine = world.processes[0].engine
    for workers, looks in ((1, False), (2, True), (2, False), (1, True)):
        engine._sweeper._seen_until = math.inf
        engine.works_beside(workers, 0)
        assert (engine._sweeper._seen_until < math.inf) == looks


PLANNED = """
  - {id: leggi, call: sistema.leggi, with: {chi: body.chi}, as: letto, on_error: [{steps: []}]}
  - {id: ricevuta, wait: sim.ricevuta, as: ricevuta}
"""


def make_rules(monkeypatch: pytest.MonkeyPatch, route: str, steps: str) -> None:
    """Have the worlds of a test work by rules in which one route has other steps."""
    monkeypatch.setitem(system.ROUTES, (route, "case"), steps)
    made = system.rules.__wrapped__()
    monkeypatch.setattr("tests.simulation.world.rules", lambda edition=1: made)


def test_a_run_that_took_its_plan_before_an_open_circuit_waits_as_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_rules(monkeypatch, "senza", PLANNED)
    world = Simulation(1, tmp_path)
    world.trouble = False
    sent = [send(world, "senza", caso=f"c{number}", iuv=f"i{number}") for number in range(8)]
    for _ in range(60):
        turn(world, *["timeout"] * 8)
        world.clock.move(dt.timedelta(seconds=1))
        world.running += 1
    with world.store.read() as tx:
        codes = {record.data.get("code") for _, record in log.everything(tx)}
    assert "call.circuit-open" in codes
    assert {state(world, message) for message in sent} == {"waiting"}
    world.close()


GATHERS = """
  - {id: parti, gather: sim.parte, case: pratica, count: 'int(body.?modo.orValue("0"))', deadline: 30d, as: parti}
  - {id: scrivi, call: sistema.scrivi, with: {chi: '"scrivi " + parti.map(p, p.chi).join(",")'}}
"""


def test_a_run_that_was_given_many_messages_is_read_with_as_many_questions_as_one_that_was_given_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_rules(monkeypatch, "raccolta", GATHERS)

    def asked(parts: int) -> int:
        folder = tmp_path / str(parts)
        folder.mkdir()
        world = Simulation(1, folder)
        world.trouble = False
        message = send(world, "raccolta", caso="c", modo=str(parts + 1))
        turn(world)
        for _ in range(parts):
            send(world, "parte", caso="c")
            turn(world)
        views = list[Counting]()

        @contextmanager
        def counting() -> Iterator[Counting]:
            with read() as tx:
                views.append(Counting(tx))
                yield views[-1]

        read = world.store.read
        monkeypatch.setattr(world.store, "read", counting)
        turn(world)
        send(world, "parte", caso="c")
        turn(world, "answer")
        monkeypatch.setattr(world.store, "read", read)
        assert [effect.chi.count(",") for effect in world.system.ledger] == [parts]
        turn(world)
        assert state(world, message) == "done"
        world.close()
        return sum(view.asked.total() for view in views)

    assert asked(2) == asked(20)


def test_a_run_whose_messages_were_here_before_it_looks_past_none_of_those_it_has_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 6,000 each look for the next one passed by all that came before: 11 s in SQLite, while nobody else could write."""
    make_rules(monkeypatch, "raccolta", GATHERS)
    steps, ask = Counter[str](), SqliteConnection.all

    def counting(connection: SqliteConnection, query: str, **given: Any) -> Any:
        connection._raw.set_progress_handler(lambda: steps.update([query.rpartition("_")[0]]), 1)
        try:
            return ask(connection, query, **given)
        finally:
            connection._raw.set_progress_handler(None, 0)

    monkeypatch.setattr(SqliteConnection, "all", counting)

    def looked(parts: int, *, late: bool = False) -> int:
        folder = tmp_path / f"{parts}-{late}"
        folder.mkdir()
        world = Simulation(1, folder)
        world.trouble = False
        for _ in range(parts):
            send(world, "parte", caso="c")
        message = send(world, "raccolta", caso="c", modo=str(parts))
        before = steps["arrived_for"]
        for number in range(parts + 2):
            turn(world, "answer")
            if late and number == 1:  # the one that it took was handed in behind all others, which were written later
                [live] = world.processes[0].engine._live.values()
                live.given = dict.fromkeys(live.given, "~")
        assert state(world, message) == "done"
        assert [effect.chi.count(",") for effect in world.system.ledger] == [parts - 1]
        world.close()
        return steps["arrived_for"] - before

    assert looked(120) < 6 * looked(30)
    looked(10, late=True)


SENDS = """
  - id: tutti
    each: "[1, 2, 3, 4, 5]"
    item: uno
    steps: [{id: manda, send: sim.avviso, with: {chi: 'body.chi + string(uno)', caso: body.caso}}]
  - {id: scrivi, call: sistema.scrivi, with: {chi: body.chi}}
"""


def test_whom_a_message_is_about_is_looked_up_once_however_many_its_run_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its whole body is looked through: a list of 4,000, with a message sent for each item, took as much again as all else."""
    make_rules(monkeypatch, "raccolta", SENDS)
    world = Simulation(1, tmp_path)
    world.trouble = False
    looked: list[object] = []

    def about(message: Any) -> list[str]:
        looked.append(message)
        return ["BNCNNA80A41B429E"]

    monkeypatch.setattr(loading, "about", about)
    send(world, "raccolta", caso="c")
    turn(world)
    with world.store.read() as tx:
        assert len(erasure.holdings(tx, "BNCNNA80A41B429E").messages) == 6, "the one that they were sent for goes with them"
    assert len(looked) == 1
    world.close()
