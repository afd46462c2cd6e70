"""One message and the waits of one run: it is given to one of them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from bus.clock import text_of
from bus.copying import rows_of
from bus.engine.matching import FEW, arrived, expire, take_arrived
from bus.engine.names import key_tokens
from bus.engine.projection import entry, write
from bus.engine.settle import Settled, Settling
from bus.log import log
from bus.log.record import Record
from bus.message import new_id
from bus.store import Tx
from tests.simulation.simulation import Simulation
from tests.unit.engine.kit import add_wait, row_of, send, state, turn
from tests.views import Counting


def matches(world: Simulation) -> list[tuple[str, str]]:
    with world.store.read() as tx:
        return [(row["path"], row["state"]) for row in rows_of(tx, "waits")]


def test_a_message_that_two_waits_of_a_run_are_for_is_given_to_one_and_to_an_open_one_first(world: Simulation) -> None:
    message = send(world, "senza", caso="c", iuv="i")
    turn(world, "answer")
    turn(world)
    assert state(world, message) == "waiting"
    add_wait(world, message, "altra", "sim.ricevuta", state="late", late=1)
    add_wait(world, message, "terza", "sim.ricevuta")
    send(world, "ricevuta", iuv="i")
    assert matches(world) == [("altra", "late"), ("ricevuta[0.0]", "matched"), ("terza", "open")]
    assert len(world.tickets) == 1, "nothing came late"


def test_what_comes_late_for_a_run_without_order_opens_one_without_order(world: Simulation) -> None:
    message = send(world, "avviso", caso="c")
    turn(world, "answer")
    turn(world)
    add_wait(world, message, "tardi!closed", "sim.parte", state="late", late=1)
    late = send(world, "parte", caso="c")
    row = row_of(world, late)
    with world.store.read() as tx:
        assert tx.one("run", id=row["id"])["ordered"] == 0  # type: ignore[index]


def test_of_what_came_to_another_case_and_the_message_that_joins_it_the_older_one_is_given_first(world: Simulation) -> None:
    """As where both came to the same case: a wait for any message of it is given the first of them."""
    message = send(world, "senza", caso="c", iuv="i")
    turn(world, "answer")
    turn(world)
    add_wait(world, message, "altra", "sim.parte")
    add_wait(world, message, "terza", "sim.parte")
    older = send(world, "parte", caso="d")
    assert ("altra", "open") in matches(world)
    joining, run = send(world, "parte", caso="d", iuv="i"), row_of(world, message)["id"]
    with world.store.read() as tx:
        given = [(one.path, one.data["arrival"]) for one in log.of_run(tx, run) if one.kind == "matched"]
    assert given == [("altra", older), ("terza", joining)]


def test_what_came_to_another_case_is_matched_when_a_run_learns_that_it_is_the_same_matter(world: Simulation) -> None:
    waiting = send(world, "senza", caso="c", iuv="i")
    turn(world, "answer")
    turn(world)
    send(world, "ricevuta", iuv="z")
    row, keys = row_of(world, waiting), {"iuv": "z"}
    told = {"names": ["iuv"], "keys": key_tokens(world.keys, keys)}
    joined = Record(new_id(), "joined", world.clock.now(), message=waiting, run=row["id"], rules=row["digest"], path="x", data=told)

    def work(tx: Tx) -> list[str]:
        write(tx, entry(joined, log.key_of(tx, waiting), {"keys": keys}))
        return Settling._consequences(tx, joined, world.clock.now())

    assert world.store.write(work).result() == [row["id"]]
    assert state(world, waiting) == "ready"


def test_a_run_is_never_given_the_message_that_it_is_for(world: Simulation) -> None:
    row = row_of(world, send(world, "avviso", caso="c"))
    wait = {"run": row["id"], "path": "p", "place": "p", "type": "sim.avviso", "name": None, "value": None, "state": "open"}
    assert world.store.write(lambda tx: take_arrived(tx, wait, world.clock.now())).result() == []


@pytest.mark.parametrize(
    ("state", "deadline", "taken"),
    [("open", 0, 1), ("open", -1, 0), ("open", None, 1), ("late", -1, 1)],
    ids=["at its deadline", "after it", "without one", "late"],
)
def test_an_open_wait_takes_what_came_up_to_its_deadline_and_one_that_is_over_whatever_came(
    world: Simulation, state: str, deadline: int | None, taken: int
) -> None:
    row = row_of(world, send(world, "avviso", caso="c"))
    send(world, "parte", caso="c")
    until = None if deadline is None else text_of(world.clock.now() + dt.timedelta(microseconds=deadline))
    wait = {"run": row["id"], "path": "p!closed", "place": "p", "type": "sim.parte", "name": None, "state": state, "deadline": until}
    assert len(world.store.write(lambda tx: take_arrived(tx, wait, world.clock.now())).result()) == taken


def test_of_many_messages_that_were_here_an_open_wait_looks_at_a_few_and_one_that_is_over_at_all(world: Simulation) -> None:
    """A gather whose messages were all here read each of them again for each that it took."""
    row = row_of(world, send(world, "avviso", caso="c"))
    came = sorted(send(world, "parte", caso="c") for _ in range(FEW + 5))
    wait = {"run": row["id"], "type": "sim.parte", "name": None, "state": "open", "deadline": None}
    with world.store.read() as tx:
        some, every = Counting(tx), Counting(tx)
        assert next(arrived(some, wait)) == came[0]  # type: ignore[arg-type]
        assert list(arrived(every, {**wait, "state": "late"})) == came  # type: ignore[arg-type]
    assert (some.rows["arrived_for_case"], every.rows["arrived_for_case"]) == (FEW, len(came))


def test_a_wait_whose_time_ran_out_while_its_run_was_at_work_takes_nothing_that_came_after(
    world: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = send(world, "fianco", caso="c")
    turn(world, "answer")
    turn(world)
    turn(world, "unreachable", "unreachable")
    turn(world)
    world._pass(1000)
    commit = Settling.commit

    def meanwhile(self: Settling, *told: Any) -> list[Settled]:
        monkeypatch.undo()
        world.clock.move(dt.timedelta(hours=1))
        world.store.write(lambda tx: expire(tx, world.clock.now(), 9)).result()
        send(world, "parte", caso="c")
        return commit(self, *told)

    monkeypatch.setattr(Settling, "commit", meanwhile)
    turn(world)
    run = row_of(world, message)["id"]
    with world.store.read() as tx:
        told = [record.kind for record in log.of_run(tx, run) if (record.path or "").startswith("rami/due/parte")]
    assert told == ["waiting", "expired"]


def test_a_message_that_many_runs_wait_for_is_given_to_all_of_them_by_few_statements(world: Simulation) -> None:
    """Each had five of its own, in a transaction while nobody else can write: two thousand took more than a second."""
    waiting = [send(world, "senza", caso=f"c{number}", iuv=f"i{number}") for number in range(40)]
    for _ in range(3):
        turn(world, *["answer"] * 40)
    for message in waiting:
        add_wait(world, message, "tutti", "sim.ricevuta", name="iuv", value=world.keys.token("i"))
    told: list[str] = []
    world.store.write(lambda tx: tx._raw.set_trace_callback(told.append)).result()  # type: ignore[attr-defined]
    send(world, "ricevuta", iuv="i")
    assert [state for path, state in matches(world) if path == "tutti"] == ["matched"] * 40
    assert {state(world, message) for message in waiting} == {"ready"}
    assert len(told) < 40, told
