"""Messages that are taken in together know each other, and each meets what was there before it."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from bus.catalog import Catalog
from bus.engine.adapter_door import AdapterDoor
from bus.engine.arrival import Arrival, Submission, _intake_keys, sent_by
from bus.engine.intake import Accepted, receive_all
from bus.errors import Conflict, Invalid, StoreError
from bus.mapping.types import Fault
from bus.message import Attachment, Message
from tests.simulation.parts import START
from tests.simulation.simulation import Simulation
from tests.unit.engine.kit import add_wait, row_of, send, turn


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


def test_a_message_about_a_person_costs_the_same_however_many_cases_there_are_of_theirs(world: Simulation) -> None:
    """What the database does for one, in steps of its machine: for a surveyor with 3,000 cases it read all of them."""
    steps = [0]

    def accepting(chi: str) -> int:
        coming = arrival(world, chi)
        coming = coming._replace(names=coming.names._replace(case={"email": "e", "pratica": chi}))

        def work(tx: Any) -> Accepted | Exception:
            tx._raw.set_progress_handler(lambda: steps.append(steps.pop() + 1), 1)
            try:
                return receive_all(tx, [coming])[0]
            finally:
                tx._raw.set_progress_handler(None, 0)

        before = steps[0]
        assert isinstance(world.store.write(work).result(), Accepted)
        return steps[0] - before

    alone = accepting("a")
    theirs = [{"name": "email", "value": "e", "case_id": f"c{number}", "strong": 0} for number in range(3_000)]
    world.store.write(lambda tx: tx.many("add_case_key", theirs)).result()
    assert accepting("b") < 2 * alone


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


def test_a_key_is_of_its_sender_and_of_all_that_the_message_says(world: Simulation) -> None:
    file = Attachment("0" * 64, 1, "text/plain", "allegato.txt")

    def told(sender: str, **more: Any) -> Accepted | Exception:
        return receive(world, world.intake.prepare(Submission("sim.ricevuta", {"chi": "a"}, sender, key="k", **more)))[0]

    first, other = told("portale"), told("altro")
    assert isinstance(first, Accepted) and isinstance(other, Accepted)
    assert (first.repeated, other.repeated) == (False, False)
    assert [type(told("portale", **more)) for more in ({}, {"subject": "s"}, {"attachments": (file,)})] == [Accepted, Conflict, Conflict]


def test_the_keys_that_types_and_routes_tell_are_of_their_sender_too() -> None:
    plan: Any = SimpleNamespace(route="r", name="r@1", key=lambda scope: "1")
    names = [_intake_keys(lambda scope: "2", [plan], {}, Submission("t", {}, sender)) for sender in ("uno", "due")]
    assert len({name for told in names for name in told}) == 4


@pytest.mark.parametrize("value", [None, ""])
def test_a_key_that_is_not_there_is_the_name_of_no_message(value: str | None) -> None:
    plan: Any = SimpleNamespace(route="r", name="r@1", key=lambda scope: value)
    assert () == _intake_keys(lambda scope: value, [plan], {}, Submission("t", {}, "uno"))


def test_who_sends_is_told_where_the_store_fails_before_it_begins(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(work: object) -> Future[None]:
        failed: Future[None] = Future()
        failed.set_exception(StoreError("the database is away", code="store.away"))
        return failed

    monkeypatch.setattr(world.store, "write", write)
    told = world.intake.send(Submission("sim.ricevuta", {"chi": "a"}, "portale"))
    with pytest.raises(StoreError, match="away"):
        told.result(0)


def test_what_a_system_sends_again_is_answered_as_at_first_though_its_type_would_refuse_it_now(
    world: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each door: here an adapter's, whose system repeats what it has no answer to."""
    door = AdapterDoor("sistema", world.store, world.clock, world.intake.send)
    first = door.accept("sim.ricevuta", {"chi": "a"}, key="k")
    monkeypatch.setattr(Catalog, "validate", lambda *asked: [Fault("/chi", "is not taken any more")])
    again = door.accept("sim.ricevuta", {"chi": "a"}, key="k")
    assert (again.message_id, first.repeated, again.repeated) == (first.message_id, False, True)
    for body, key in (({"chi": "b"}, "k"), ({"chi": "a"}, "other")):
        with pytest.raises(Invalid, match="is not taken any more"):
            door.accept("sim.ricevuta", body, key=key)
    with pytest.raises(Invalid, match="is not taken any more"):
        world.intake.send(Submission("sim.ricevuta", {"chi": "a"}, "portale"))


def test_what_a_run_sends_has_the_files_and_the_cause_of_its_message() -> None:
    file = Attachment("0" * 64, 1, "text/plain", "allegato.txt")
    sent = sent_by(Message("m", "t", "s", START, {}, correlationid="c", attachments=(file,)), "r", "i", "t", {}, ["x"])
    assert (sent.attachments, sent.causationid, sent.correlationid, sent.about) == ((file,), "m", "c", ("x",))
