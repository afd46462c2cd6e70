"""A head start: what a message asks first is decided in the commit that accepts it, where door and engine are one process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from typing import Any

import pytest

from bus.engine.holding import Claims, Known
from bus.engine.settle import Settling
from bus.errors import Interrupted, StoreError
from bus.log import log
from bus.store import Row, Tx
from tests.simulation.simulation import Simulation
from tests.unit.engine.kit import finish, send, turn


@pytest.fixture
def hosted(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> Simulation:
    """Door and engine are one process: it claims what it accepts."""

    def welcome(tx: Tx, runs: Sequence[str], known: Known) -> Claims | None:
        world._host = world.processes[0]
        return world._host.engine.welcome(tx, runs, known)

    monkeypatch.setattr(world, "welcome", welcome)
    return world


def kinds(world: Simulation, message: str) -> list[str]:
    with world.store.read() as tx:
        return [record.kind for record in log.of_messages(tx, [message])]


def places(world: Simulation) -> list[object]:
    gates: Any = world.processes[0].engine.describe()["gates"]
    return [gates["sistema"][name] for name in ("out", "in_line")]


def test_what_a_message_asks_first_is_decided_in_the_commit_that_accepts_it_and_asked_after(hosted: Simulation) -> None:
    message = send(hosted, "avviso")
    assert kinds(hosted, message) == ["received", "asked"]
    assert hosted.processes[0].outside.pending == []
    turn(hosted)
    assert [call.asking.call.operation for call in hosted.processes[0].outside.pending] == ["sistema.spedisci"]
    assert finish(hosted) == [("spedisci", "spedisci m1")]
    assert kinds(hosted, message) == ["received", "asked", "answered", "done"]


@pytest.mark.parametrize("why", ["the engine is at work", "the message is large"])
def test_a_run_is_left_to_the_turn_of_the_engine_where(hosted: Simulation, why: str) -> None:
    large, engine = why == "the message is large", hosted.processes[0].engine
    with nullcontext() if large else engine._head_start.turning:
        message = send(hosted, "avviso", modo="x" * 20_000 if large else "x")
    assert kinds(hosted, message) == ["received"]
    assert finish(hosted) == [("spedisci", "spedisci m1")]


def test_what_was_begun_in_a_transaction_that_failed_is_not_asked(hosted: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    write, process = hosted.store.write, hosted.processes[0]

    def full(work: Callable[[Tx], Any], *, here: bool = False) -> Future[Any]:
        def whole(tx: Tx) -> Any:
            work(tx)
            raise StoreError("the disk is full")

        return write(whole, here=here)

    with monkeypatch.context() as patch, pytest.raises(StoreError, match="full"):
        patch.setattr(hosted.store, "write", full)
        send(hosted, "avviso")
    assert places(hosted) == [1, 0]
    process.engine.turn(patient=False)
    assert (process.outside.pending, places(hosted), process.engine.busy()) == ([], [0, 0], False)
    message = send(hosted, "avviso")
    turn(hosted)
    assert finish(hosted) == [("spedisci", "spedisci m1")]
    assert kinds(hosted, message) == ["received", "asked", "answered", "done"]


@pytest.mark.parametrize("busy", [False, True], ids=["begun again", "left to the engine"])
def test_a_transaction_that_is_run_again_begins_its_runs_anew(hosted: Simulation, monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    write, engine = hosted.store.write, hosted.processes[0].engine

    def twice(work: Callable[[Tx], Any], *, here: bool = False) -> Future[Any]:
        def interrupted(tx: Tx) -> Any:
            work(tx)
            raise Interrupted("the server restarts")

        assert isinstance(write(interrupted).exception(), Interrupted)
        with engine._head_start.turning if busy else nullcontext():
            return write(work, here=here)

    with monkeypatch.context() as patch:
        patch.setattr(hosted.store, "write", twice)
        message = send(hosted, "avviso")
    assert kinds(hosted, message) == ["received"] + ["asked"] * (not busy)
    turn(hosted)
    assert (len(hosted.processes[0].outside.pending), places(hosted)) == (1, [1, 0])
    assert finish(hosted) == [("spedisci", "spedisci m1")]
    assert kinds(hosted, message) == ["received", "asked", "answered", "done"]


def test_a_run_that_was_begun_and_whose_claim_ran_out_before_the_engine_heard_of_it_is_had_once_and_leaves_its_place(
    hosted: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It claims the run anew in that turn; a place that nobody gives back is lost to the system's other calls until a restart."""
    send(hosted, "attesa", caso="c", iuv="i", modo="una")
    engine, had, out = hosted.processes[0].engine, list[int](), list[object]()
    take = engine._head_start.take

    def seen(rows: Sequence[Row], live: Collection[str]) -> Any:
        had.extend(row["fence"] for row in rows)
        found = take(rows, live)
        out.extend(places(hosted))
        return found

    assert places(hosted) == [1, 0]
    hosted._pass(1000)
    with monkeypatch.context() as patch:
        patch.setattr(engine._head_start, "take", seen)
        turn(hosted)
    assert (had, out) == ([2], [0, 0])
    finish(hosted)


def test_who_stood_in_line_before_the_engine_heard_of_it_is_asked_though_its_turn_came_meanwhile(
    hosted: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place was given to nobody, since no run that was live had it: it would have stood in line until a restart."""
    process, late = hosted.processes[0], list[Claims]()
    with monkeypatch.context() as patch:
        while places(hosted)[1] == 0:
            send(hosted, "avviso")
            turn(hosted)
        patch.setattr(hosted, "welcomed", late.append)
        message = send(hosted, "avviso")
    while places(hosted) != [0, 0]:
        process.outside.end(process.outside.pending[0], "answer")
        process.engine.turn(patient=False)
    assert kinds(hosted, message) == ["received"]
    process.engine.welcomed(*late)
    process.engine.turn(patient=False)
    process.outside.end(process.outside.pending[0], "answer")
    process.engine.turn(patient=False)
    assert kinds(hosted, message) == ["received", "asked", "answered", "done"]


def test_a_message_is_taken_in_whose_run_cannot_be_begun(hosted: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_long(*_: object) -> object:
        raise ValueError("a record `asked` of 70,000 bytes; the most is 65,535")

    with monkeypatch.context() as patch:
        patch.setattr(Settling, "settle", too_long)
        message = send(hosted, "avviso")
    assert kinds(hosted, message) == ["received"]
    turn(hosted)
    assert places(hosted) == [1, 0]
    assert finish(hosted) == [("spedisci", "spedisci m1")]


def test_an_engine_that_stops_waits_for_what_was_begun_and_asks_it(hosted: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, late = hosted.processes[0].engine, list[Claims]()
    with monkeypatch.context() as patch:
        patch.setattr(hosted, "welcomed", late.append)
        message = send(hosted, "avviso")
    engine.wind_down()
    assert engine.busy()
    engine.welcomed(*late)
    engine.turn(patient=False)
    hosted.processes[0].outside.end(hosted.processes[0].outside.pending[0], "answer")
    engine.turn(patient=False)
    assert not engine.busy()
    assert kinds(hosted, message) == ["received", "asked", "answered", "done"]
