"""One message and the waits of one run: it is given to one of them."""

from __future__ import annotations

from typing import Any

from bus.store import Tx
from bus.testing.simulation import Simulation
from tests.unit.engine.test_heart import send, state, turn, world
from tests.unit.engine.test_settle import row_of

__all__ = ["world"]


def add_wait(world: Simulation, message: str, path: str, type: str, **told: Any) -> None:
    """One more wait of the run that a message has opened."""
    run = row_of(world, message)["id"]
    row = {"name": None, "value": None, "deadline": None, "state": "open", "late": 0, **told}

    def work(tx: Tx) -> None:
        tx.do("add_wait", run=run, path=path, place=f"prova@1/{path}", type=type, **row)

    world.store.write(work).result()


def matches(world: Simulation) -> list[tuple[str, str]]:
    with world.store.read() as tx:
        return [(row["path"], row["state"]) for row in tx.all("all_waits")]


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
