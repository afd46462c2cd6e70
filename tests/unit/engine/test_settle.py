"""What settling leaves behind for others: who is woken, when, and what is still said of a run that was lost or parked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from bus.adapter import Contract, Operation
from bus.clock import text_of
from bus.engine import dead, settle
from bus.engine.asks import Call, Failure
from bus.engine.fate import GIVEN_UP, Tries
from bus.engine.interpreter import Walk
from bus.engine.lanes import LANE_PAUSE
from bus.engine.live import Live
from bus.engine.outside import Asking
from bus.engine.projection import Entry
from bus.engine.settle import Settling, park
from bus.errors import ConfigError, Conflict, SnodoError, StoreError, Unreachable
from bus.log import log
from bus.log.record import Record
from bus.store import Row, Tx
from tests.keyrings import in_memory
from tests.simulation.simulation import Simulation
from tests.simulation.system import SETTLE, TIMEOUT
from tests.simulation.world import LEASE
from tests.unit.engine.kit import out, row_of, send, state, strikes, turn


def test_who_stands_behind_a_run_of_its_case_is_rung_for_when_that_one_waits(world: Simulation) -> None:
    send(world, "senza", caso="c", iuv="i")
    behind = send(world, "senza", caso="c", iuv="i")
    turn(world, "answer")
    for _ in range(3):
        turn(world)
    assert out(world) == [behind], "no time has passed: nobody has swept"


def test_a_run_whose_lane_is_taken_is_left_alone_for_a_moment(world: Simulation) -> None:
    world.threads = 16
    world._kill(world.processes[0])
    both = [send(world, "lavoro", caso="c", voci=["a"]), send(world, "lavoro", caso="d", voci=["b"])]
    for _ in range(2):
        turn(world, "answer", "answer")
    turn(world, "unreachable")
    turn(world)
    with world.store.read() as tx:
        holder = tx.all("all_lanes")[0]["run"]
    waiter = next(row for row in (row_of(world, one) for one in both) if row["id"] != holder)
    assert (waiter["owner"], waiter["lease"]) == (None, text_of(world.clock.now() + LANE_PAUSE))


def test_a_run_that_waits_for_what_has_come_already_goes_on_with_it_in_the_same_claim(world: Simulation) -> None:
    """Its journal is not read again for each message of many that were here before it."""
    message = send(world, "senza", caso="c", iuv="i")
    turn(world, "answer")
    send(world, "ricevuta", iuv="i")
    turn(world)
    row = row_of(world, message)
    assert (row["owner"], row["state"], row["fence"]) == (world.processes[0].engine.owner, "ready", 1)
    for _ in range(3):
        turn(world, "answer")
    row = row_of(world, message)
    assert (row["state"], row["fence"]) == ("done", 1), "and nobody had to claim it again"
    world.judge()


def test_a_run_that_goes_on_is_not_kept_waiting_where_no_other_one_fits(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    send(world, "senza", caso="c", iuv="i")
    turn(world, "answer")
    send(world, "ricevuta", iuv="i")
    engine = world.processes[0].engine
    monkeypatch.setattr(engine, "_room", lambda: 0)
    turn(world)
    assert engine._patience() == 0.0, "it need not wait until something else comes"
    turn(world, "answer")
    assert engine._patience() > 0, "and nothing turns for nothing"


def test_a_run_that_others_gave_something_else_meanwhile_finds_that_in_its_journal_first(world: Simulation) -> None:
    """What it goes on with is in the order of the log, as whoever replays it has it."""
    message = send(world, "senza", caso="c", iuv="i")
    turn(world, "answer")
    send(world, "ricevuta", iuv="i")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Settling, "_woken_meanwhile", staticmethod(lambda tx, live, beside=(): True))
        turn(world)
    row = row_of(world, message)
    assert (row["owner"], row["state"], row["lease"], row["fence"]) == (None, "ready", None, 1), "given up at once"


def test_a_run_with_several_tries_before_it_is_due_for_the_first_of_them(world: Simulation) -> None:
    message = send(world, "fianco", caso="c")
    turn(world, "answer")
    turn(world)
    turn(world, "unreachable")
    turn(world)
    first = world.clock.now() + dt.timedelta(seconds=1)
    world.clock.move(dt.timedelta(milliseconds=300))
    turn(world, "unreachable")
    turn(world)
    row = row_of(world, message)
    assert (row["owner"], row["state"], row["due"], row["lease"]) == (None, "ready", text_of(first), None)
    world.processes[0].engine._gates.circuits["sistema"]._open(world.clock.now())
    world.clock.move(dt.timedelta(milliseconds=700))
    turn(world)
    row = row_of(world, message)
    assert (row["owner"], row["due"]) == (None, text_of(first)), "one is turned away, which is not written"
    assert row["lease"] == text_of(first + dt.timedelta(milliseconds=300)), "the other has its own time"


def test_a_try_waits_for_its_time_though_its_run_is_woken_before(world: Simulation) -> None:
    send(world, "fianco", caso="c")
    turn(world, "answer")
    turn(world)
    turn(world, "unreachable", "unreachable")
    turn(world)
    send(world, "parte", caso="c")
    for _ in range(2):
        turn(world)
    assert [call.asking.call.path for call in world.processes[0].outside.pending] == ["rami/due/spedisci"]


def test_what_came_home_is_written_later_when_the_store_fails_at_it_alone(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    message = send(world, "avviso")
    turn(world, "answer")
    store = type(world.processes[0].engine._settling.store)

    def full(self: Any, work: Callable[[Tx], Any], *, here: bool = False, whole: Callable[..., Future[Any]] = store.write) -> Future[Any]:
        if not here:
            return whole(self, work)
        failed: Future[Any] = Future()
        failed.set_exception(StoreError("the disk is full"))
        return failed

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", full)
        turn(world)
    turn(world)
    assert state(world, message) == "done"


def test_a_run_whose_decisions_cannot_be_written_is_parked_alone_and_its_call_is_in_doubt(
    world: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = send(world, "avviso"), send(world, "avviso")
    turn(world, "answer", "answer")
    whole = settle.write

    def write(tx: Tx, made: Entry) -> None:
        if made.record.kind == "answered" and made.record.message == bad:
            raise ZeroDivisionError
        whole(tx, made)

    with monkeypatch.context() as broken:
        broken.setattr(settle, "write", write)
        turn(world)
    assert state(world, bad) == "dead"
    run = row_of(world, bad)["id"]
    with world.store.read() as tx:
        letter = dead.letter(tx, run)
    assert (letter.code, letter.doubt) == ("engine.crashed", True), "what came home is nowhere written"
    with pytest.raises(Conflict, match=r"dead\.in-doubt"):
        world.store.write(lambda tx: dead.redeliver(tx, run, "ada", "mended", world.clock)).result()
    for _ in range(2):
        turn(world, "answer")
    assert state(world, good) == "done"


def test_who_has_lost_a_run_forgets_none_of_its_strikes(world: Simulation) -> None:
    message = send(world, "senza", caso="c", iuv="i")
    turn(world)
    world._kill(world.processes[0])
    world._pass(LEASE + 1)
    for _ in range(3):
        turn(world)
        world._pass(1)
    assert out(world) == [message]
    turn(world, "answer")
    world._start_engine()
    world.clock.move(dt.timedelta(seconds=LEASE + 1))
    for _ in range(3):
        world.processes[1].engine.turn(patient=False)
        world.clock.move(dt.timedelta(seconds=1))
        world.running += 1
    assert out(world, 1) == [message]
    turn(world)
    assert strikes(world, message) == 3, "two are counted, and the claim of whoever has it would be the third"


def claimed(world: Simulation) -> tuple[str, Row]:
    """A message whose run an engine has, and the row of that run with its fence."""
    message = send(world, "avviso")
    turn(world)
    run = row_of(world, message)["id"]
    with world.store.read() as tx:
        row = tx.one("run", id=run)
    assert row is not None
    return message, row


def test_what_is_parked_is_nobodys(world: Simulation) -> None:
    message, row = claimed(world)
    world.store.write(lambda tx: park(tx, row, row["owner"], world.clock.now(), SnodoError("unreadable", code="run.unreadable"))).result()
    assert [row_of(world, message)[name] for name in ("state", "owner", "lease")] == ["dead", None, None]


def test_what_somebody_else_has_meanwhile_is_not_parked(world: Simulation) -> None:
    message, row = claimed(world)
    late = {**row, "fence": row["fence"] - 1}
    error = SnodoError("unreadable", code="run.unreadable")
    assert world.store.write(lambda tx: park(tx, late, row["owner"], world.clock.now(), error)).result() is None
    assert [row_of(world, message)[name] for name in ("state", "owner")] == [row["state"], row["owner"]]


def test_a_call_that_waited_for_a_thread_settles_from_when_it_went_out_by_both_clocks(world: Simulation) -> None:
    message = send(world, "lavoro", caso="c", modo="cerca")
    for _ in range(2):
        turn(world, "answer")
    turn(world)
    world.clock.move(dt.timedelta(seconds=10))
    outside, moments = world.processes[0].outside, iter((0.0, 2.0))
    outside._ticks = lambda: next(moments)
    outside.end(outside.pending[0], "timeout")
    home = world.clock.now()
    turn(world)
    assert row_of(world, message)["due"] == text_of(home + dt.timedelta(seconds=TIMEOUT + SETTLE - 2))
    outside._ticks = lambda: 0.0
    world._pass(TIMEOUT + SETTLE - 2)
    turn(world)
    assert [call.asking.probe for call in outside.pending] == [True]


def failing(world: Simulation, conduct: str) -> tuple[str, list[Record]]:
    """A run that fails in one branch, after a call of another branch ended so, or while it is out; and what is told of that call."""
    world.threads = 16
    world._kill(world.processes[0])
    message = send(world, "fianco", caso="c", modo="fallisce")
    turn(world, "answer")
    turn(world)
    outside = world.processes[0].outside
    for call in list(outside.pending):
        if call.asking.operation.name == "in-fila":
            outside.end(call, "answer")
        elif conduct:
            outside.end(call, conduct)  # type: ignore[arg-type]
    turn(world)
    return message, of_call(world, message)


def of_call(world: Simulation, message: str) -> list[Record]:
    run = row_of(world, message)["id"]
    with world.store.read() as tx:
        return [record for record in log.of_run(tx, run) if record.path == "rami/uno/registra"]


def test_a_call_that_surely_had_no_effect_is_not_tried_again_when_its_run_has_failed_elsewhere(world: Simulation) -> None:
    message, told = failing(world, "unreachable")
    assert [(record.kind, record.data.get("code")) for record in told][-1] == ("unanswered", GIVEN_UP)
    turn(world, "answer")
    turn(world)
    assert state(world, message) == "dead"
    assert [effect.operation for effect in world.system.ledger] == ["scrivi", "in-fila", "annulla"]


def test_a_call_that_is_out_when_its_run_fails_elsewhere_is_waited_for_and_then_given_up(world: Simulation) -> None:
    message, told = failing(world, "")
    assert [record.kind for record in told] == ["asked"]
    turn(world, "unreachable")
    turn(world, "answer")
    turn(world)
    assert of_call(world, message)[-1].data["code"] == GIVEN_UP
    assert state(world, message) == "dead"


def test_a_call_in_doubt_is_seen_through_though_its_run_has_failed_elsewhere(world: Simulation) -> None:
    _, told = failing(world, "timeout")
    assert [record.data.get("doubt") for record in told] == [None, True]
    world._pass(TIMEOUT + SETTLE)
    turn(world)
    assert [call.asking.probe for call in world.processes[0].outside.pending if call.asking.operation.name == "registra"] == [True]


def test_a_call_whose_end_nobody_saw_is_in_doubt_though_its_run_has_failed_elsewhere(world: Simulation) -> None:
    message, _ = failing(world, "")
    world._kill(world.processes[0])
    world._pass(LEASE + 1)
    for _ in range(3):
        turn(world)
        world._pass(1)
    assert [(record.kind, record.data.get("doubt")) for record in of_call(world, message)] == [("asked", None), ("unanswered", True)]


def test_a_call_whose_end_nobody_saw_is_probed_when_it_has_rested_since_it_was_found(world: Simulation) -> None:
    message = send(world, "lavoro", caso="c", modo="cerca")
    for conduct in ("answer", "answer"):
        turn(world, conduct)
    turn(world)
    world._kill(world.processes[0])
    world._pass(LEASE + 1)
    turn(world)
    assert row_of(world, message)["due"] == text_of(world.clock.now() + dt.timedelta(seconds=TIMEOUT + SETTLE))
    world._pass(TIMEOUT + SETTLE)
    turn(world)
    assert [call.asking.probe for call in world.processes[0].outside.pending] == [True]


def test_a_request_in_doubt_is_prepared_for_the_time_of_its_first_try() -> None:
    operation, prepared = Operation("op", "keyed", Contract, Contract, 5, "op"), list[dt.datetime]()
    ask = Call("p", "r@1/p", "sys.op", {}, "key")

    def prepare(call: Call, message: object, now: dt.datetime, number: int | None, attempt: int) -> Asking:
        prepared.append(now)
        return Asking(call, operation, Contract(), (), number, attempt=attempt)

    nothing: Any = None
    message, plan = SimpleNamespace(id="m"), SimpleNamespace(digest="d")
    around: Any = SimpleNamespace(outside=SimpleNamespace(operation=lambda name: operation, prepare=prepare))
    live = Live("r", 1, message, plan, nothing, in_memory().fresh(), nothing, around)  # type: ignore[arg-type]
    first, later = dt.datetime(2026, 3, 2, tzinfo=dt.UTC), dt.datetime(2026, 3, 3, tzinfo=dt.UTC)
    live.tries["p"] = Tries(count=1, asked=first, prepared=first, doubt=True)
    live._make_ready(ask, live.tries["p"], later)
    assert prepared == [first]
    assert live.tries["p"].count == 2


def test_the_sentence_of_what_fell_is_its_own_and_its_code_and_hint_stand_beside_it() -> None:
    nothing: Any = None
    for hint, detail in (("use another one", {"hint": "use another one"}), ("", {})):
        live = Live("r", 1, nothing, SimpleNamespace(name="r@1"), Walk.__new__(Walk), nothing, nothing, nothing)  # type: ignore[arg-type]
        live.walk.pending = {}
        live.fall(ConfigError("the key is too short", code="config.key", hint=hint))
        assert live.walk.failure == Failure("config.key", "the key is too short", "r@1", "", detail=detail)


@pytest.mark.parametrize(
    ("kind", "more", "answers", "operation"),
    [
        ("avviso", {}, 0, "spedisci"),
        ("senza", {"iuv": "i"}, 0, "numera"),
        ("lavoro", {}, 1, "scrivi"),
        ("lavoro", {"modo": "cerca"}, 2, "registra"),
    ],
)
def test_every_call_that_may_have_an_effect_has_its_intent_in_the_log_before_it_goes_out(
    world: Simulation, kind: str, more: dict[str, str], answers: int, operation: str
) -> None:
    message = send(world, kind, caso="c", **more)
    for _ in range(answers):
        turn(world, "answer")
    turn(world)
    [call], run = world.processes[0].outside.pending, row_of(world, message)["id"]
    with world.store.read() as tx:
        last = log.of_run(tx, run)[-1]
    assert (call.asking.operation.name, last.kind, last.path, last.attempt) == (operation, "asked", call.asking.call.path, 1)


def test_a_call_of_an_ordered_lane_whose_end_nobody_knows_keeps_the_lane_when_its_run_dies(world: Simulation) -> None:
    message = send(world, "lavoro", caso="c", voci=["a"])
    for _ in range(2):
        turn(world, "answer")
    for _ in range(20):
        turn(world, "timeout")
        world._pass(TIMEOUT)
    row = row_of(world, message)
    with world.store.read() as tx:
        assert (row["state"], [lane["run"] for lane in tx.all("all_lanes")]) == ("dead", [row["id"]])


def test_an_engine_that_stops_takes_none_of_what_the_door_opens(world: Simulation) -> None:
    engine, message = world.processes[0].engine, send(world, "avviso")
    run = row_of(world, message)["id"]
    engine.wind_down()
    assert world.store.write(lambda tx: engine.welcome(tx, [run], {})).result() is None
    assert row_of(world, message)["owner"] is None


def test_while_a_call_is_tried_again_the_code_of_the_other_system_is_told_openly(
    world: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody could see why before the tries are over, hours later."""

    def fail(*_: object) -> None:
        raise Unreachable("status 302, which sends us elsewhere", outside_code="HTTP_302", cause="no answer in time")

    monkeypatch.setattr(world.system, "_maybe_fail", fail)
    run = row_of(world, send(world, "senza", caso="c", iuv="i"))["id"]
    turn(world, "answer")
    turn(world)
    with world.store.read() as tx:
        (told,) = [record.data for record in log.of_run(tx, run) if record.kind == "unanswered"]
    assert (told["code"], told["outside_code"], told["cause"]) == ("outside.unreachable", "HTTP_302", "no answer in time")
    assert told["again"]
