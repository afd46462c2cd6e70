"""What the tests of the engine share: how they send, turn, look and let a process end."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

from bus.engine.arrival import Submission
from bus.engine.suspects import QUIET
from bus.store import Row, Tx
from tests.simulation.simulation import Simulation
from tests.simulation.world import LEASE


def send(world: Simulation, kind: str, **body: object) -> str:
    number = len(world.accepted) + 1
    return world._send(Submission(f"sim.{kind}", {"chi": f"m{number}", **body}, "portale", key=f"k{number}")).id  # type: ignore[dict-item]


def turn(world: Simulation, *conducts: str) -> None:
    """One turn, which every ticket reaches; then the calls that are out end, each in its way."""
    taken, world.tickets = world.tickets, []
    world.processes[0].engine.ring(taken)
    world.processes[0].engine.turn(patient=False)
    outside = world.processes[0].outside
    for call, conduct in zip(list(outside.pending), conducts, strict=False):
        outside.end(call, conduct)  # type: ignore[arg-type]


def finish(world: Simulation) -> list[tuple[str, str]]:
    """Everything comes to rest and keeps its promises; the effects."""
    world.calm()
    world.judge()
    return [(effect.operation, effect.chi) for effect in world.system.ledger]


def state(world: Simulation, message: str) -> str:
    return str(row_of(world, message)["state"])


def row_of(world: Simulation, message: str) -> Row:
    with world.store.read() as tx:
        return tx.all("runs_of_message", message=message)[0]


def strikes(world: Simulation, message: str) -> int:
    """What is counted against its run, a claim that ran out included."""
    run = row_of(world, message)["id"]
    with world.store.read() as tx:
        found = tx.all("runs_to_ring", now="9", most=99, since="", suspects=1, long="[]", firsts="[]")
    return next((int(one["strikes"]) for one in found if one["id"] == run), 0)


def out(world: Simulation, process: int = 0) -> list[str]:
    return [call.message.id for call in world.processes[process].outside.pending]


def add_wait(world: Simulation, message: str, path: str, type: str, **told: Any) -> None:
    """One more wait of the run that a message has opened."""
    run = row_of(world, message)["id"]
    row = {"name": None, "value": None, "deadline": None, "state": "open", "late": 0, **told}

    def work(tx: Tx) -> None:
        tx.do("add_wait", run=run, path=path, place=f"prova@1/{path}", type=type, **row)

    world.store.write(work).result()


def work(world: Simulation, *, within: int = 4) -> list[str]:
    """Some turns, moments apart; whose calls are out then."""
    for _ in range(within):
        world.clock.move(dt.timedelta(seconds=QUIET))
        world.running += QUIET
        turn(world)
    return [call.message.id for call in world.processes[0].outside.pending]


def die(world: Simulation) -> None:
    """The process ends over what is under way; another one takes over when the leases have run out."""
    world.rough = 0.0
    world._kill(world.processes[0])
    world.clock.move(dt.timedelta(seconds=LEASE + 1))
    world.running += LEASE + 1
    world.system.late.clear()


def behind_a_dead_letter(world: Simulation, count: int, kind: str = "lavoro") -> list[str]:
    """So many suspects that wait for an ordered lane, which a dead letter holds: its call ended the process, and they stood in line."""
    world.threads = 16
    die(world)
    found = [send(world, kind, caso=f"c{n}", iuv=f"i{n}", **({"voci": ["a"]} if kind == "lavoro" else {})) for n in range(count + 1)]
    for _ in range(6):
        turn(world)
        outside = world.processes[0].outside
        for call in [call for call in outside.pending if call.asking.number is None]:
            outside.end(call, "answer")
    for _ in range(3):
        work(world)
        die(world)
    work(world)
    assert Counter(state(world, one) for one in found) == Counter({"dead": 1, "ready": count})
    return found
