"""Messages that are taken in together know each other, and each meets what was there before it."""

from __future__ import annotations

from typing import Any

from bus.engine.arrival import Arrival, Submission
from bus.engine.intake import Accepted, receive_all
from bus.errors import Conflict
from bus.testing.simulation import Simulation
from tests.unit.engine.test_heart import send, turn, world
from tests.unit.engine.test_matching import add_wait
from tests.unit.engine.test_settle import row_of

__all__ = ["world"]


def arrival(world: Simulation, chi: str, key: str | None = None, **more: Any) -> Arrival:
    return world.intake.prepare(Submission("sim.ricevuta", {"chi": chi, **more.pop("body", {})}, "portale", key=key, **more))


def receive(world: Simulation, *arrivals: Arrival) -> list[Accepted | Exception]:
    return world.store.write(lambda tx: receive_all(tx, arrivals)).result()


def test_of_two_messages_under_one_key_that_come_together_the_second_is_a_repetition_or_refused(world: Simulation) -> None:
    first, again, forged = receive(world, arrival(world, "a", "k"), arrival(world, "a", "k"), arrival(world, "b", "k"))
    assert isinstance(first, Accepted) and isinstance(again, Accepted)
    assert (first.repeated, again.repeated, again.id) == (False, True, first.id)
    assert isinstance(forged, Conflict)


def test_two_messages_of_one_matter_that_come_together_are_of_one_case(world: Simulation) -> None:
    told = receive(world, *[arrival(world, chi, body={"iuv": "i"}) for chi in ("a", "b")])
    with world.store.read() as tx:
        cases = {tx.one("message", id=one.id)["case_id"] for one in told if isinstance(one, Accepted)}  # type: ignore[index]
    assert len(cases) == 1


def test_a_message_meets_who_waits_for_it_by_the_name_of_a_person_alone(world: Simulation) -> None:
    waiting = send(world, "senza", caso="c", iuv="i")
    turn(world, "answer")
    turn(world)
    add_wait(world, waiting, "altra", "sim.ricevuta", name="email", value="e")
    coming = arrival(world, "a")
    [told] = receive(world, coming._replace(names=coming.names._replace(case={"email": "e"})))
    assert isinstance(told, Accepted)
    assert told.runs == (row_of(world, waiting)["id"],)


def test_a_message_that_rests_on_a_fact_which_is_not_so_is_refused_also_when_nobody_knows_it(world: Simulation) -> None:
    [told] = receive(world, arrival(world, "a", adapter="sistema", expect={("stato", "7"): "aperto"}))
    assert isinstance(told, Conflict)
    assert told.code == "fact.changed"


def test_a_message_that_joins_two_cases_gives_a_run_of_the_one_what_had_come_to_the_other(world: Simulation) -> None:
    waiting = send(world, "senza", caso="c", iuv="i")
    turn(world, "answer")
    turn(world)
    receive(world, arrival(world, "a", body={"iuv": "z"}))
    assert row_of(world, waiting)["state"] == "waiting"
    joining = world.intake.prepare(Submission("sim.parte", {"chi": "b", "caso": "c", "iuv": "z"}, "portale"))
    [told] = receive(world, joining)
    assert isinstance(told, Accepted)
    assert (told.runs, row_of(world, waiting)["state"]) == ((row_of(world, waiting)["id"],), "ready")
