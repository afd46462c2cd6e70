"""What a person may do with a dead letter, and what the letter tells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from bus.engine import dead
from bus.engine.accesses import Looker
from bus.engine.settle import park
from bus.errors import Conflict, Invalid, NotFound, SnodoError
from bus.log import log
from bus.mapping.protected import EVERYTHING
from bus.message import new_id
from bus.store import Tx
from tests.simulation.simulation import Simulation
from tests.simulation.system import TIMEOUT, rules
from tests.unit.engine.kit import row_of, send, state, turn

Act = Callable[[Tx, str], Any]


def do(world: Simulation, message: str, act: Act) -> Any:
    run = row_of(world, message)["id"]
    world._ring([run])
    return world.store.write(lambda tx: act(tx, run)).result()


def refusal(world: Simulation, message: str, act: Act) -> str:
    with pytest.raises(Conflict) as told:
        do(world, message, act)
    return told.value.code


def redeliver(world: Simulation, **more: Any) -> Act:
    return lambda tx, run: dead.redeliver(tx, run, "anna", "prova", world.clock, **more)


def decide(world: Simulation, decision: dead.Decision) -> Act:
    return lambda tx, run: dead.decide(tx, run, "anna", "prova", world.clock, decision, {"chi": "visto"})


def discard(world: Simulation) -> Act:
    return lambda tx, run: dead.discard(tx, run, "anna", "prova", world.clock)


def ended(world: Simulation, conduct: str) -> str:
    """A message whose only call, an effect that can be had once, ended so."""
    message = send(world, "avviso")
    turn(world, conduct)
    turn(world)
    assert state(world, message) == "dead"
    return message


def test_a_call_in_doubt_must_be_decided_before_its_run_goes_on_and_one_that_is_not_needs_no_decision(world: Simulation) -> None:
    in_doubt, refused = ended(world, "lose"), ended(world, "refuse")
    assert refusal(world, in_doubt, redeliver(world)) == "dead.in-doubt"
    assert refusal(world, refused, decide(world, "again")) == "dead.no-doubt"
    do(world, in_doubt, decide(world, "happened"))
    do(world, refused, redeliver(world))
    turn(world, "answer")
    turn(world)
    assert [state(world, one) for one in (in_doubt, refused)] == ["done", "done"]
    assert [effect.chi for effect in world.system.ledger] == ["spedisci m1", "spedisci m2"]


def test_only_what_is_dead_or_waits_is_given_up_and_only_what_is_dead_is_redelivered(world: Simulation) -> None:
    message = send(world, "avviso")
    assert [refusal(world, message, act) for act in (redeliver(world), discard(world))] == ["dead.not-dead"] * 2
    turn(world, "refuse")
    turn(world)
    do(world, message, discard(world))
    assert state(world, message) == "cancelled"


def test_a_letter_tells_why_the_run_is_dead_now_and_shows_the_bytes_of_the_call_that_failed(world: Simulation) -> None:
    message = send(world, "lavoro", caso="c", modo="una")
    for conduct in ("answer", "answer", "refuse"):
        turn(world, conduct)
    turn(world)
    first = do(world, message, dead.letter)
    do(world, message, redeliver(world))
    turn(world, "lose")
    turn(world)
    last = do(world, message, dead.letter)
    assert [letter.doubt for letter in (first, last)] == [False, True]
    with world.store.read() as tx:
        assert {log.payload(tx, one.id) for one in last.evidence} == {b"spedisci m1"}
    assert [len(letter.evidence) for letter in (first, last)] == [1, 2]


def test_a_dead_letter_opens_its_own_evidence_and_no_other_text(world: Simulation) -> None:
    mine, other = ended(world, "lose"), ended(world, "lose")
    looker = Looker("rita", EVERYTHING, "ricorso")
    [own], [strange] = (do(world, one, dead.letter).evidence for one in (mine, other))

    def opened(identity: str) -> bytes:
        content: bytes = do(world, mine, lambda tx, run: dead.open_evidence(tx, run, identity, looker, world.clock))[0]
        return content

    assert opened(own.id) == b"spedisci m1"
    with pytest.raises(NotFound) as refused:
        opened(strange.id)
    assert refused.value.code == "dead.evidence-unknown"


def test_what_crossed_the_border_is_had_of_a_run_that_ended_well_too_by_the_same_right_and_the_look_is_kept(world: Simulation) -> None:
    message, other = send(world, "avviso"), send(world, "avviso")
    for _ in range(4):
        turn(world, "answer")
    assert [state(world, one) for one in (message, other)] == ["done", "done"]
    with world.store.read() as tx:
        wires = {
            one: next(held.id for record in log.of_messages(tx, [one]) for held in record.payloads if held.role == "wire-out")
            for one in (message, other)
        }

    def opened(identity: str, *rights: str, purpose: str = "verifica") -> Any:
        looker = Looker("rita", frozenset(rights), purpose)
        return do(world, message, lambda tx, run: dead.open_evidence(tx, run, identity, looker, world.clock))[0]

    assert opened(wires[message], *EVERYTHING) == b"spedisci m1"
    with world.store.read() as tx:
        look = list(log.of_messages(tx, [message]))[-1]
        assert (look.kind, look.actor, look.data) == ("read", "rita", {"role": "wire-out", "payload": wires[message]})
    for code, ask in (
        ("dead.evidence-unknown", lambda: opened(wires[other], *EVERYTHING)),
        ("access.rights", lambda: opened(wires[message])),
        ("purpose.missing", lambda: opened(wires[message], *EVERYTHING, purpose="")),
    ):
        with pytest.raises(SnodoError) as refused:
            ask()
        assert refused.value.code == code


def test_a_call_in_doubt_of_which_nothing_can_be_read_any_more_is_decided_by_what_the_records_say(world: Simulation) -> None:
    message = ended(world, "lose")
    with world.store.read() as tx:
        key = log.key_of(tx, message)
    world.store.keys.forget([key.id])
    letter = do(world, message, dead.letter)
    assert (letter.sentence, letter.detail) == (
        "what was said of it cannot be opened any more", {"kind": "in_doubt", "effect": "once", "operation": "sistema.spedisci"},
    )  # fmt: skip
    assert refusal(world, message, redeliver(world)) == "dead.in-doubt"


def test_a_run_that_cannot_send_what_it_is_to_send_ends_and_says_why(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Invalid("the body is not of its type", code="body.invalid", faults=["chi"])

    monkeypatch.setattr("bus.engine.live.arrival_of_sent", refuse)
    message = send(world, "lavoro", caso="c", modo="una")
    for _ in range(4):
        turn(world, "answer")
    letter = do(world, message, dead.letter)
    assert (letter.code, letter.place, letter.sentence, letter.detail, letter.doubt) == (
        "send.invalid", "sim.lavoro@1/avvisa", "sim.avviso cannot be sent: the body is not of its type", {"faults": ["chi"]}, False,
    )  # fmt: skip


def test_rules_that_replace_those_of_a_run_are_kept_with_it(world: Simulation) -> None:
    message, plan = ended(world, "refuse"), rules(2).routes["sim.avviso"].plan
    with world.store.read() as tx:
        assert tx.one("rules", digest=plan.digest) is None
    do(world, message, redeliver(world, rules=plan))
    with world.store.read() as tx:
        assert tx.one("rules", digest=plan.digest) is not None
    assert (row_of(world, message)["digest"], row_of(world, message)["version"]) == (plan.digest, plan.version)


def test_a_call_that_may_have_had_its_effect_keeps_its_key_and_number_under_other_rules(world: Simulation) -> None:
    message, keys = send(world, "senza", caso="c", iuv="i"), set[tuple[str, int | None]]()

    def out(conduct: str) -> None:
        turn(world)
        for call in list(world.processes[0].outside.pending):
            if call.asking.operation.name == "numera":
                keys.add((call.asking.call.key, call.asking.number))
            world.processes[0].outside.end(call, conduct)  # type: ignore[arg-type]
        world._pass(60)

    for _ in range(20):
        out("timeout")
    assert state(world, message) == "dead"
    do(world, message, redeliver(world, rules=rules(2).routes["sim.senza"].plan))
    for _ in range(4):
        out("answer")
    assert state(world, message) == "waiting"
    assert len(keys) == 1
    assert [effect.chi for effect in world.system.ledger] == ["nuova m1", "numera m1"]


def test_what_was_answered_is_not_asked_again_by_rules_that_ask_something_else_before(world: Simulation) -> None:
    message = send(world, "lavoro", caso="c", modo="una")
    for conduct in ("answer", "answer", "refuse"):
        turn(world, conduct)
    turn(world)
    do(world, message, redeliver(world, rules=rules(2).routes["sim.lavoro"].plan))
    asked = []
    for _ in range(4):
        turn(world)
        asked += [call.asking.operation.name for call in world.processes[0].outside.pending]
        turn(world, "answer")
    assert asked[:2] == ["scrivi", "spedisci"], "the new step, and what was refused"
    assert [effect.chi for effect in world.system.ledger][:3] == ["scrivi m1", "nuova m1", "spedisci m1"]


def test_a_lane_that_a_clock_which_was_ahead_stopped_is_at_rest_by_the_right_time(world: Simulation) -> None:
    """Nobody could give its holder up before that clock's time had come: after two years, if it was two years ahead."""
    ahead = dt.timedelta(days=700)
    world.clock.move(ahead)
    message = send(world, "lavoro", caso="c", voci=["a"])
    for _ in range(2):
        turn(world, "answer")
    turn(world)
    row = row_of(world, message)
    world.store.write(lambda tx: park(tx, row, row["owner"], world.clock.now(), SnodoError("ended thrice", code="run.poison"))).result()
    world.clock.move(-ahead)
    assert refusal(world, message, discard(world)) == "dead.lane-not-at-rest", "nothing says when it died"
    send(world, "avviso")
    world.clock.move(dt.timedelta(seconds=TIMEOUT + 9))
    assert refusal(world, message, discard(world)) == "dead.lane-not-at-rest", "it may have been just before"
    world.clock.move(dt.timedelta(seconds=1))
    do(world, message, discard(world))
    assert state(world, message) == "cancelled"


def test_a_lane_is_at_rest_when_the_slowest_of_all_tries_is(world: Simulation) -> None:
    """Rules that were put in force between two tries may have shortened the step's timeout."""
    message = send(world, "lavoro", caso="c", voci=["a"])
    for _ in range(2):
        turn(world, "answer")
    turn(world)
    row = row_of(world, message)

    def work(tx: Tx) -> None:
        park(tx, row, row["owner"], world.clock.now(), SnodoError("ended thrice", code="run.poison"))
        asked = next(one for one in log.of_run(tx, row["id"]) if "rests" in one.data)
        log.append(tx, asked._replace(id=new_id(), data={**asked.data, "rests": 3 * TIMEOUT}))

    world.store.write(work).result()
    world.clock.move(dt.timedelta(seconds=3 * TIMEOUT - 1))
    assert refusal(world, message, discard(world)) == "dead.lane-not-at-rest"
    world.clock.move(dt.timedelta(seconds=1))
    do(world, message, discard(world))
    assert state(world, message) == "cancelled"
