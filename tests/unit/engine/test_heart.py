"""What an adversary tried against the heart, by hand; the seeds of tests/fault/test_simulation.py try it at large."""

from __future__ import annotations

import datetime as dt
import queue
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import IO, Any

import pytest

from bus import adapter as contract
from bus.adapter import Adapter, Contract, Wire, operation
from bus.engine import dead
from bus.engine.arrival import Submission
from bus.engine.asks import Call, Send
from bus.engine.claims import claim
from bus.engine.holding import Claims, Known
from bus.engine.intake import Intake
from bus.engine.interpreter import Walk
from bus.engine.live import AGAIN, Live
from bus.engine.outside import Asking, Outside, Result, wire_texts
from bus.engine.settle import park
from bus.errors import Conflict, Interrupted, NotFound, SnodoError, StoreError, Unknown
from bus.log import log
from bus.message import Attachment, Message, canonical
from bus.store import Key, Tx
from bus.store.sqlite import SqliteStore
from tests.clocks import FixedClock
from tests.simulation.simulation import Simulation
from tests.simulation.system import SETTLE, TIMEOUT, Domanda, Sistema, rules
from tests.unit.engine.kit import finish, row_of, send, state, turn

T = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)


def test_a_database_that_is_away_is_asked_once_for_all_runs_of_a_turn(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [send(world, "senza", caso=f"c{n}", iuv=f"i{n}") for n in range(3)]
    turn(world, "answer", "answer", "answer")
    engine, asked = world.processes[0].engine, []

    def away(store: object, work: object, *, here: bool = False) -> Future[object]:
        asked.append(work)
        future: Future[object] = Future()
        future.set_exception(Interrupted("away"))
        return future

    settling, lives = engine._settling, [*engine._live.values()]
    with monkeypatch.context() as patch:
        patch.setattr(type(settling.store), "write", away)
        assert [one.unwritten for one in settling.commit(lives, world.clock.now())] == [True] * 3
    assert len(asked) == 1
    finish(world)
    assert {state(world, one) for one in messages} == {"waiting"}


def test_what_runs_decided_and_may_be_written_is_not_written_again(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [send(world, "senza", caso=f"c{n}", iuv=f"i{n}") for n in range(3)]
    at_work = send(world, "fianco", caso="d")
    turn(world, *["answer"] * 4)
    torn, store = list[object](), type(world.processes[0].engine._settling.store)

    def write(self: Any, work: Callable[[Tx], Any], *, here: bool = False, whole: Callable[..., Future[Any]] = store.write) -> Future[Any]:
        """Where the engine settles, the line breaks at COMMIT: it was done, and nobody can say so."""
        written = whole(self, work, here=here)
        if here:
            torn.append(written.result())
            written = Future()
            written.set_exception(Unknown("nobody can say whether it was done"))
        return written

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", write)
        turn(world)
    assert len(torn) == 1
    assert world.processes[0].engine._unwritten == {}
    finish(world)
    with world.store.read() as tx:
        assert [[record.kind for record in log.of_messages(tx, [one])].count("answered") for one in messages] == [1] * 3
    assert state(world, at_work) == "done"


def test_the_calls_beside_a_wait_whose_message_is_here_already_are_made(world: Simulation) -> None:
    send(world, "parte", caso="c")
    message = send(world, "fianco", caso="c")
    turn(world, "answer")
    turn(world)
    assert sorted(call.asking.call.path for call in world.processes[0].outside.pending) == ["rami/tre/fila", "rami/uno/registra"]
    finish(world)
    assert state(world, message) == "done"


def test_what_comes_for_a_run_that_a_gate_turned_away_is_taken_at_once(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    message = send(world, "fianco", caso="c")
    turn(world, "answer")
    circuit = world.processes[0].engine._gates.circuits["sistema"]
    with monkeypatch.context() as patch:
        patch.setattr(circuit, "ended", lambda *_: None)
        circuit._open(world.clock.now())
        turn(world)
    turn(world)
    assert (row_of(world, message)["fence"], world.processes[0].engine._gates.away()) == (1, True)
    send(world, "parte", caso="c")
    turn(world)
    assert row_of(world, message)["fence"] == 2
    finish(world)
    assert state(world, message) == "done"


def test_a_run_whose_call_is_out_when_its_process_leaves_is_left_alone_whatever_comes_for_it(world: Simulation) -> None:
    message = send(world, "fianco", caso="c")
    turn(world, "answer")
    turn(world)
    world.processes[0].engine.leave()
    send(world, "parte", caso="c")
    world._start_engine()
    other = world.processes[1].engine
    other.ring(world.tickets)
    for _ in range(3):
        other.turn(patient=False)
        world.clock.move(dt.timedelta(seconds=2))
    assert row_of(world, message)["fence"] == 1, "neither the bell nor a look takes it"
    world.clock.move(other._holding.lease)
    other.turn(patient=False)
    assert row_of(world, message)["fence"] == 2


def test_an_undo_that_cannot_be_reached_is_tried_again(world: Simulation) -> None:
    send(world, "lavoro", caso="c", modo="fallisce")
    for conduct in ("answer", "answer", "unreachable"):
        turn(world, conduct)
    assert ("annulla", "scrivi m1") in finish(world)


def test_a_probe_that_never_answers_ends_with_a_person(world: Simulation) -> None:
    message = send(world, "lavoro", caso="c", modo="cerca")
    for conduct in ("answer", "answer", "lose"):
        turn(world, conduct)
    for _ in range(12):
        world._pass(600)
        turn(world, "unreachable")
    assert state(world, message) == "dead"


def test_a_message_between_the_last_one_gathered_and_the_close_is_late_and_not_lost(world: Simulation) -> None:
    send(world, "raccolta", caso="c")
    turn(world)
    for _ in range(3):
        send(world, "parte", caso="c")
    assert [("registra", "tardi m4")] == [effect for effect in finish(world) if effect[0] == "registra"]


def test_what_came_under_another_key_is_matched_when_two_cases_become_one(world: Simulation) -> None:
    send(world, "ricevuta", iuv="i")
    message = send(world, "senza", caso="c", iuv="i")
    finish(world)
    assert state(world, message) == "done"


def test_a_run_that_waits_for_a_lane_does_not_keep_its_holder_from_going_on(world: Simulation) -> None:
    first, second = send(world, "lavoro", caso="c", voci=["a"]), send(world, "lavoro", caso="d", voci=["b"])
    for _ in range(2):
        turn(world, "answer", "answer")
    turn(world, "unreachable", "unreachable")
    effects = finish(world)
    assert {state(world, first), state(world, second)} == {"done"}
    assert len([effect for effect in effects if effect[0] == "in-fila"]) == 2


def test_a_dead_run_that_holds_a_lane_is_given_up_only_when_its_call_can_take_effect_no_more(world: Simulation) -> None:
    message = send(world, "lavoro", caso="c", voci=["a"])
    for _ in range(2):
        turn(world, "answer")
    turn(world)  # the numbered call is out; the process ends over it
    with world.store.read() as tx:
        row = tx.one("run", id=tx.all("runs_of_message", message=message)[0]["id"])
        assert row is not None
        assert [one["run"] for one in tx.all("all_lanes")] == [row["id"]]

    def give_up() -> None:
        world.store.write(lambda tx: dead.discard(tx, row["id"], "anna", "prova", world.clock)).result()

    world.store.write(lambda tx: park(tx, row, row["owner"], world.clock.now(), SnodoError("ended thrice", code="run.poison"))).result()
    world.clock.move(dt.timedelta(seconds=TIMEOUT - 1))
    with pytest.raises(Conflict) as refused:
        give_up()
    assert refused.value.code == "dead.lane-not-at-rest"
    world.clock.move(dt.timedelta(seconds=1))
    give_up()
    with world.store.read() as tx:
        assert tx.all("all_lanes") == []


def test_a_clock_that_is_set_back_does_not_stop_the_sweeper(world: Simulation) -> None:
    engine = world.processes[0].engine
    engine.turn(patient=False)
    world.clock.move(dt.timedelta(hours=-1))
    message = send(world, "ricevuta", iuv="i")
    run = send(world, "avviso")
    world.tickets.clear()
    for _ in range(3):
        world.clock.move(dt.timedelta(seconds=2))
        engine.turn(patient=False)
    assert [call.message.id for call in world.processes[0].outside.pending] == [run]
    assert message != run


@pytest.mark.parametrize("taken_over", [False, True])
def test_a_clock_that_is_set_forward_brings_no_probe_before_the_call_has_settled(world: Simulation, taken_over: bool) -> None:
    message = send(world, "lavoro", caso="c", modo="cerca")
    world.system.delay = SETTLE
    for conduct in ("answer", "answer", "late"):
        turn(world, conduct)
    world._pass(1)
    turn(world)  # its end is written
    if taken_over:
        world._kill(world.processes[0])
    world.clock.move(dt.timedelta(hours=1))
    for _ in range(3):
        turn(world, "answer", "answer")
        world._pass(1)
    assert ("registra", "registra m1") not in [(effect.operation, effect.chi) for effect in world.system.ledger]
    effects = finish(world)
    assert [effect for effect in effects if effect[0] == "registra"] == [("registra", "registra m1")]
    assert state(world, message) == "done"


def test_what_comes_home_while_the_store_fails_is_written_later(world: Simulation) -> None:
    message = send(world, "avviso")
    turn(world, "answer")
    world.trouble, world.shaky, world.rough = True, 1.0, 0.0
    world.clock.move(dt.timedelta(seconds=5))
    with pytest.raises(StoreError):
        world.processes[0].engine.turn(patient=False)
    world.trouble = False
    turn(world)
    assert state(world, message) == "done"
    assert finish(world) == [("spedisci", "spedisci m1")]


def test_what_came_home_in_a_turn_that_failed_at_other_runs_is_written_later(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    first = send(world, "avviso")
    turn(world, "answer")
    second = send(world, "avviso")
    with monkeypatch.context() as broken:
        broken.setattr(log, "messages", lambda *_: (_ for _ in ()).throw(sqlite3.DatabaseError("database disk image is malformed")))
        with pytest.raises(sqlite3.DatabaseError):
            turn(world)
    for _ in range(4):
        turn(world, "answer")
        world._pass(1.0)
    assert [state(world, one) for one in (first, second)] == ["done", "done"]
    assert finish(world) == [("spedisci", "spedisci m1"), ("spedisci", "spedisci m2")]


def test_an_answer_that_our_own_code_stumbles_over_is_kept_and_the_call_not_made_again(
    world: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = send(world, "avviso")
    turn(world, "answer")
    with monkeypatch.context() as broken:
        broken.setattr(Walk, "answer", lambda *_: 1 / 0)
        turn(world)
    with world.store.read() as tx:
        run = str(tx.all("runs_of_message", message=message)[0]["id"])
        letter, kinds = dead.letter(tx, run), [record.kind for record in log.of_run(tx, run)]
    assert (letter.code, letter.doubt, kinds) == ("engine.crashed", False, ["asked", "answered", "dead"])
    world.store.write(lambda tx: dead.redeliver(tx, run, "ada", "mended", world.clock)).result()
    assert finish(world) == [("spedisci", "spedisci m1")]
    assert state(world, message) == "done"


def test_a_run_that_is_to_send_waits_while_the_key_store_is_full(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    message = send(world, "lavoro", caso="c", voci=["a"])

    def full() -> Key:
        raise StoreError("the key store fails", code="keys.failed")

    with monkeypatch.context() as broken:
        broken.setattr(world.keys, "fresh", full)
        for _ in range(20):
            turn(world, "answer", "answer")
            world._pass(AGAIN.total_seconds())
        assert state(world, message) == "ready"
    finish(world)
    assert state(world, message) == "done"
    assert "spedisci avviso m1" in {effect.chi for effect in world.system.ledger}


def test_a_message_whose_time_to_be_sent_has_come_is_sent_also_when_a_call_comes_home_first(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Send("manda", "r@1/manda", "sim.avviso", {})
    walk: Any = SimpleNamespace(pending={"manda": ask}, winding_up=False)
    nothing: Any = None
    live = Live("r", 1, Message("m", "t", "s", T, {}), nothing, walk, nothing, nothing, nothing, dues={"manda": T})
    asked: list[str] = []
    monkeypatch.setattr(live, "_consider", lambda ask, now: asked.append(ask.path))
    live.pursue([], T - dt.timedelta(seconds=1))
    assert asked == []
    live.pursue([], T)
    assert asked == ["manda"]
    assert live.dues == {}
    live.pursue([ask], T)
    assert asked == ["manda", "manda"]


class Detto(Contract):
    detto: Any


class Loquace(Adapter):
    """Answers whatever it was made to say."""

    @operation(effect="once", timeout=1)
    def di(self, request: Domanda, ctx: contract.Call) -> Detto:
        return Detto(detto=self.settings)


@pytest.mark.parametrize(
    ("said", "answer", "error"),
    [
        (7, {"detto": 7}, None),
        (2**64 - 1, {"detto": 2**64 - 1}, None),
        (float("nan"), {"detto": None}, None),
        (2**64, None, "in_doubt"),
        ("mezza \ud83d", None, "in_doubt"),
    ],
)
def test_a_run_is_given_what_the_journal_keeps_of_an_answer_or_told_that_it_cannot(said: Any, answer: Any, error: str | None) -> None:
    outside = Outside({"loquace": Loquace("loquace", said)})
    ended: list[Result] = []
    ask = Call("di", "r@1/di", "loquace.di", {"chi": "x"}, "key")
    outside._perform(
        Asking(ask, Loquace.operations["di"], Domanda(chi="x"), (), None), Message("m", "t", "s", T, {}), T, ended.append, lambda: True
    )
    assert [(one.answer, one.error and one.error.kind) for one in ended] == [(answer, error)]
    outside.close()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ('multipart/related; boundary="x"', 'multipart/related; boundary="x"'),
        ("text/xml; x=" + "\xe8" * 60_000, "application/octet-stream"),
        ("text/xml; x=" + "x" * 60_000, "application/octet-stream"),
        ("text/xml\0", "application/octet-stream"),
        ("text/plain; name=RSSMRA80A01H501U.txt", "text/plain; name=[codice fiscale].txt"),
        ("", ""),
    ],
)
def test_a_media_type_that_another_system_said_fits_in_a_record_and_names_nobody(said: str, kept: str) -> None:
    """One of 60,000 letters made a record that no log takes: the answer was lost and its run dead, PostgreSQL takes no NUL."""
    assert [text.media_type for text in wire_texts([Wire("in", b"{}", said, "")])] == [kept]


class Spedizioniere(Adapter):
    """Opens a file, before or after it has asked something."""

    @operation(effect="read", timeout=1)
    def confronta(self, request: Domanda, ctx: contract.Call) -> Detto:
        if request.chi == "rotto":
            raise ZeroDivisionError
        return self.spedisci(request, ctx)

    @operation(effect="once", timeout=1)
    def spedisci(self, request: Domanda, ctx: contract.Call) -> Detto:
        if request.chi == "dopo":
            ctx.wire("out", b"{}")
        assert ctx.open_attachment is not None
        return Detto(detto=ctx.open_attachment("0" * 64).read().decode())


@pytest.mark.parametrize(
    ("what", "when", "kind", "code"),
    [
        ("spedisci", "prima", "unreachable", "attachment.unknown"),
        ("spedisci", "dopo", "in_doubt", "attachment.unknown"),
        ("confronta", "dopo", "unreachable", "attachment.unknown"),
        ("confronta", "rotto", "unreachable", "adapter.crashed"),
    ],
)
def test_a_call_that_fails_here_is_no_doubt_while_nothing_was_asked_and_a_read_never(what: str, when: str, kind: str, code: str) -> None:
    class Mancanti:
        def open(self, sha256: str) -> IO[bytes]:
            raise NotFound("there is no such attachment", code="attachment.unknown")

        def save(self, *_: object, **__: object) -> Attachment:
            raise AssertionError

    outside = Outside({"corriere": Spedizioniere("corriere", None)}, Mancanti())
    ended: list[Result] = []
    ask = Call("s", "r@1/s", f"corriere.{what}", {"chi": when}, "key")
    asking = Asking(ask, Spedizioniere.operations[what], Domanda(chi=when), (), None)
    outside._perform(asking, Message("m", "t", "s", T, {}), T, ended.append, lambda: True)
    outside.close()
    found = [(one.error.kind, one.error.code, one.error.answered) for one in ended if one.error]
    assert found == [(kind, code, code != "adapter.crashed")]


@pytest.mark.parametrize(("what", "kind"), [("spedisci", "in_doubt"), ("confronta", "unreachable")])
def test_a_call_whose_end_cannot_be_told_for_want_of_memory_comes_home_all_the_same(
    what: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run would wait for it for ever."""

    def none_left(*given: object) -> None:
        raise MemoryError

    outside = Outside({"corriere": Spedizioniere("corriere", None)})
    monkeypatch.setattr("bus.engine.outside.count", none_left)
    ended: queue.SimpleQueue[Result] = queue.SimpleQueue()
    asking = Asking(
        Call("s", "r@1/s", f"corriere.{what}", {"chi": "lei"}, "key"), Spedizioniere.operations[what], Domanda(chi="lei"), (), None
    )
    outside.perform(asking, Message("m", "t", "s", T, {}), T, ended.put)
    error = ended.get(timeout=60).error
    outside.close()
    assert error is not None
    assert (error.kind, error.code) == (kind, "adapter.crashed")


def test_a_call_that_cannot_be_started_comes_home_as_not_done() -> None:
    outside = Outside({"sistema": Sistema(lambda: 0.0)})
    outside.close()
    ended: list[Result] = []
    ask = Call("spedisci", "r@1/spedisci", "sistema.spedisci", {"chi": "x"}, "key")
    asking = Asking(ask, Sistema.operations["spedisci"], Domanda(chi="x"), (), None)
    outside.perform(asking, Message("m", "t", "s", T, {}), T, ended.append)
    assert [result.error.kind for result in ended if result.error] == ["unreachable"]


def test_a_bell_that_fails_does_not_stop_the_intake(store: SqliteStore) -> None:
    def broken(runs: object) -> None:
        raise RuntimeError("no bell")

    intake = Intake(store, rules, FixedClock(T), broken)
    intake.send(Submission("sim.avviso", {"chi": "1"}, "p"))
    intake.send(Submission("sim.avviso", {"chi": "2"}, "p"))
    assert intake.send(Submission("sim.ricevuta", {"chi": "3"}, "p")).result(60).id


def test_senders_of_messages_that_may_be_written_are_told_so(store: SqliteStore) -> None:
    asked: list[Any] = []

    def write(work: Any) -> Future[Any]:
        asked.append(work)
        store.write(work).result()
        torn: Future[Any] = Future()
        torn.set_exception(Unknown("the line broke at COMMIT"))
        return torn

    intake = Intake(SimpleNamespace(write=write, keys=store.keys), rules, FixedClock(T), lambda runs: None)  # type: ignore[arg-type]
    with pytest.raises(StoreError) as told:
        intake.send(Submission("sim.avviso", {"chi": "1"}, "p")).result(60)
    assert (told.value.code, len(asked)) == ("store.unknown", 1)


class Hosting:
    """An engine that claims every run, or none; keeps what it was told."""

    def __init__(self, *, room: bool) -> None:
        self.room, self.owned, self.known = room, list[str](), dict[str, tuple[Any, Key, int]]()

    def welcome(self, tx: Tx, runs: Sequence[str], known: Known) -> Claims | None:
        return Claims(claim(tx, runs, "host", T, dt.timedelta(seconds=30)), (), 0.0, known) if self.room else None

    def welcomed(self, claims: Claims) -> None:
        self.owned += [row["id"] for row in claims.rows]
        self.known |= claims.known

    def unwelcome(self, runs: Sequence[str]) -> None:
        raise AssertionError(runs)


@pytest.mark.parametrize("room", [True, False])
def test_runs_are_claimed_in_the_commit_that_opens_them_or_rung_for(store: SqliteStore, room: bool) -> None:
    rung, host = list[str](), Hosting(room=room)
    intake = Intake(store, rules, FixedClock(T), rung.extend, None, host)
    before = store.describe()["commits"]
    accepted = intake.send(Submission("sim.avviso", {"chi": "1"}, "p", key="k")).result(60)
    opened = list(accepted.runs)
    assert store.describe()["commits"] == before + 1
    assert (host.owned, rung) == ((opened, []) if room else ([], opened))
    with store.read() as tx:
        said, key = log.message(tx, accepted.id)
    handed = {message: (canonical(of), *more) for message, (of, *more) in host.known.items()}
    assert handed == ({accepted.id: (canonical(said), key, len(canonical(said)))} if room else {})
    again = intake.send(Submission("sim.avviso", {"chi": "1"}, "p", key="k")).result(60)
    assert (again.repeated, host.owned + rung) == (True, opened)


def test_turns_that_fail_are_told_once_and_tried_later_and_the_end_is_in_good_order(
    world: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, said, pauses = world.processes[0].engine, list[tuple[str, str]](), list[float]()

    def fail(*_: object) -> None:
        raise StoreError("the database has schema 9, this program speaks schema 8", code="store.schema")

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 6:
            engine.wind_down()

    log = SimpleNamespace(
        error=lambda event, **more: said.append((event, more["code"])), warning=lambda event, **more: said.append((event, ""))
    )
    monkeypatch.setattr(engine, "_log", log)
    monkeypatch.setattr(engine, "turn", fail)
    monkeypatch.setattr(engine, "_wait", wait)
    monkeypatch.setattr(engine, "leave", fail)
    engine._keep_turning()
    assert said == [("engine.turn-failed", "store.schema"), ("engine.leases-not-left", "")]
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.0, 3.0]
