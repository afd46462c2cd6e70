"""What is written before anything is shown: who looks, at what, what for."""

from __future__ import annotations

from typing import Any

import pytest

from bus.engine import accesses
from bus.engine.accesses import Looker
from bus.errors import Invalid
from bus.log import log
from bus.message import JsonObject
from bus.store import Tx
from tests.simulation.simulation import Simulation
from tests.unit.engine.kit import row_of, send

RITA = Looker("rita", frozenset({"personal"}), "ricorso 12")


def why(tx: Tx, scope: JsonObject, world: Simulation) -> str:
    return accesses.announce(tx, RITA, "why", scope, world.clock)


def replays(tx: Tx, scope: JsonObject, world: Simulation) -> str:
    return accesses.announce_replay(tx, RITA.name, RITA.purpose, scope, world.clock)


def written(world: Simulation, announce: Any, scope: JsonObject) -> tuple[Any, Any]:
    """The record that is written, and what it says apart."""
    identity = world.store.write(lambda tx: announce(tx, scope, world)).result()
    with world.store.read() as tx:
        record = next(one for _, one in log.everything(tx) if one.id == identity)
        return record, log.json_payload(tx, str(record.payload("purpose")))


def test_who_is_shown_what_was_said_is_written_with_what_was_asked_for(world: Simulation) -> None:
    message = send(world, "avviso")
    run = row_of(world, message)["id"]
    for scope, named in (({"what": run}, (message, run)), ({"what": message}, (message, None)), ({"days": 7}, (None, None))):
        record, apart = written(world, why, scope)
        assert (record.kind, record.actor, record.message, record.run) == ("read", "rita", *named)
        assert record.data == {"role": "why", "sees": ["personal"]}
        assert apart == {"text": "ricorso 12", **scope}


def test_what_is_recomputed_is_told_by_its_kind_and_apart_by_its_name(world: Simulation) -> None:
    message = send(world, "avviso")
    run = row_of(world, message)["id"]
    scopes: dict[str, JsonObject] = {
        "run": {"what": run}, "message": {"what": message}, "case": {"what": "pratica:c"}, "bundle": {"bundle": "f.zip"},
        "time": {"from": "2026-01-01"},
    }  # fmt: skip
    for kind, scope in scopes.items():
        record, apart = written(world, replays, scope)
        assert (record.kind, record.actor, record.data) == ("replayed", "rita", {"scope": kind})
        assert apart == {"text": "ricorso 12", **scope}


@pytest.mark.parametrize("announce", [why, replays])
def test_what_is_asked_for_names_nobody_by_a_codice_fiscale(world: Simulation, announce: Any) -> None:
    with pytest.raises(Invalid):
        written(world, announce, {"what": "codice_fiscale:BLLDAA71E43B429M"})
