"""Runs of earlier rules: they finish under these, and are given what they wait for and take what they send, whatever was activated since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus import activation, cli
from bus.engine import editions
from bus.testing.patience import until
from tests.files import put
from tests.integration.activating import SALUTA, Bus, here, reply_of
from tests.small_bus import RULES

SENDER = {
    "routes/prova/manda.yaml": """
route: prova.manda
version: 1
on: prova.attesa
case: {istanza: body.nome}
steps:
  - {id: sveglia, wait: prova.sveglia, deadline: 30d, as: sveglia}
  - {id: manda, send: prova.saluto, with: {nome: body.nome}}
  - {id: rispondi, reply: {svegliato: sveglia.nome}}
"""
}


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    made = Bus(tmp_path)
    yield made
    made.stop()


def test_a_run_that_waits_finishes_under_its_rules_also_after_a_restart(bus: Bus) -> None:
    old = bus.send("prova.attesa", "Berto")["id"]
    bus.edit("routes/prova/aspetta.yaml", "svegliato: sveglia.nome", "svegliato: '\"nuovo \" + sveglia.nome'")
    assert bus.activate().status == 200
    new = bus.send("prova.attesa", "Carla")["id"]
    [earlier] = bus.rules()["earlier"]
    assert ("prova.aspetta", 1) == (earlier["route"], earlier["runs"])
    bus.again()
    bus.send("prova.sveglia", "Berto")
    bus.send("prova.sveglia", "Carla")
    assert {"svegliato": "Berto"} == reply_of(bus, old)
    assert {"svegliato": "nuovo Carla"} == reply_of(bus, new)
    assert [] == bus.rules()["earlier"]


def test_the_status_says_how_many_runs_of_earlier_rules_are_dead(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bus.edit(SALUTA, "steps:\n", "steps:\n  - {id: basta, fail: prova.basta}\n")
    bus.activate()
    bus.send("prova.saluto", "Berto")
    until(lambda: bus.call("GET", "/dead", name="sistemista").json["dead"])
    bus.edit(SALUTA, "  - {id: basta, fail: prova.basta}\n", "")
    bus.activate()
    [earlier] = bus.rules()["earlier"]
    assert (1, 1) == (earlier["runs"], earlier["dead"])
    with here(bus, monkeypatch):
        assert 0 == cli.main(["status"])
    assert "1 run (1 dead: `bus dead list`) of prova.saluta@1" in capsys.readouterr().out


def test_a_route_that_is_gone_still_gets_what_its_runs_wait_for(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = bus.send("prova.attesa", "Berto")["id"]
    (bus.folder / "routes/prova/aspetta.yaml").unlink()
    (bus.folder / "mappings/types/prova.sveglia.yaml").unlink()
    assert bus.activate("no more waiting").status == 200
    assert ["prova.sveglia"] == bus.rules()["carried"]
    refused = bus.call("POST", "/messages", {"type": "prova.attesa", "data": {"nome": "Carla"}}, name="portale")
    assert (422, "type.no-route") == (refused.status, refused.json["code"])
    bus.again()
    assert bus.call("POST", "/messages", {"type": "prova.sveglia", "data": {"nome": 3}}, name="portale").status == 422
    bus.send("prova.sveglia", "Berto")
    assert {"svegliato": "Berto"} == reply_of(bus, old)
    with here(bus, monkeypatch):
        assert 0 == cli.main(["status"])
    assert (
        "prova.sveglia is taken for runs of earlier rules alone, till a later activation finds that they have ended"
        in capsys.readouterr().out
    )


def test_what_is_carried_is_let_go_when_no_run_needs_it(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    from bus import activation

    old = bus.send("prova.attesa", "Berto")["id"]
    (bus.folder / "routes/prova/aspetta.yaml").unlink()
    bus.activate()
    monkeypatch.setattr(activation, "SETTLING", activation.dt.timedelta())
    bus.edit(SALUTA, "ciao ", "salve ")
    bus.activate()
    assert ["prova.sveglia"] == bus.rules()["carried"], "a run waits for it"
    bus.send("prova.sveglia", "Berto")
    assert {"svegliato": "Berto"} == reply_of(bus, old)
    bus.edit(SALUTA, "salve ", "ciao ")
    bus.activate()
    assert [] == bus.rules()["carried"]


def test_an_earlier_run_sends_to_the_route_that_took_it(tmp_path: Path) -> None:
    bus = to_manda(tmp_path)
    old = bus.send("prova.attesa", "Berto")["id"]
    (bus.folder / "routes/prova/manda.yaml").unlink()
    (bus.folder / SALUTA).unlink()
    bus.activate("both are gone")
    bus.send("prova.sveglia", "Berto")
    assert {"svegliato": "Berto"} == reply_of(bus, old)
    until(lambda: ["done"] == [run["state"] for run in bus.call("GET", "/runs?route=prova.saluta").json["runs"]], "the greeting is done")
    bus.stop()


def test_an_earlier_run_sends_to_the_route_that_took_it_also_where_later_rules_sent_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them goes in an activation of its own: what waits, what it sends to, and what that sends to in turn."""
    bus = Bus(tmp_path)
    (bus.folder / "routes/prova/aspetta.yaml").unlink()
    put(bus.folder, SENDER)
    bus.edit(SALUTA, "steps:\n", "steps:\n  - {id: poi, send: prova.silenzio, with: {nome: body.nome}}\n")
    bus.activate()
    old = bus.send("prova.attesa", "Berto")["id"]
    for path in ("routes/prova/manda.yaml", SALUTA, "routes/prova/tace.yaml"):
        (bus.folder / path).unlink()
        assert bus.activate(f"without {path}").status == 200
    monkeypatch.setattr(activation, "SETTLING", activation.dt.timedelta())
    bus.put("routes/prova/fallisce.yaml", RULES["routes/prova/fallisce.yaml"].replace("version: 1", "version: 2"))
    bus.activate()
    assert ["prova.saluto", "prova.silenzio", "prova.sveglia"] == bus.rules()["carried"]
    bus.send("prova.sveglia", "Berto")
    assert {"svegliato": "Berto"} == reply_of(bus, old)
    for route in ("saluta", "tace"):
        until(lambda route=route: ["done"] == [run["state"] for run in bus.call("GET", f"/runs?route=prova.{route}").json["runs"]], route)
    bus.stop()


SALUTO = "mappings/types/prova.saluto.yaml"


def to_manda(folder: Path, **changes: Any) -> Bus:
    """A bus with `SENDER` in the place of the route that waits."""
    bus = Bus(folder, **changes)
    (folder / "routes/prova/aspetta.yaml").unlink()
    put(folder, SENDER)
    assert bus.activate().status == 200
    return bus


def another_shape(bus: Bus, number: int) -> None:
    """The greeting takes one more field, which who sends it must give."""
    before = f", campo{number - 1}" if number > 1 else ""
    bus.edit(SALUTO, f"required: [nome{before}]", f"required: [nome, campo{number}]")
    bus.edit(SALUTO, "numero: {}", f"campo{number}: {{type: string}}\n    numero: {{}}")
    bus.edit("routes/prova/manda.yaml", "nome: body.nome}}" if number == 1 else f'campo{number - 1}: "\'x\'"}}}}',
             f'nome: body.nome, campo{number}: "\'x\'"}}}}' if number == 1 else f'campo{number}: "\'x\'"}}}}')  # fmt: skip
    bus.edit(SALUTA, "version: ", f"version: {number}")
    assert bus.activate(f"shape {number}").status == 200


def greetings(bus: Bus) -> list[tuple[str, str]]:
    """State and version of the runs of greetings, the oldest first."""
    runs = bus.call("GET", "/runs?route=prova.saluta").json["runs"]
    return sorted((run["state"], str(run["version"])) for run in runs)


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_an_earlier_run_sends_as_the_type_was_to_the_route_that_took_it(tmp_path: Path, store: str, request) -> None:
    """Whatever became of the type since, and how often; a message from outside is always judged by the type in force."""
    changes = {} if store == "sqlite" else {"store": {"url": request.getfixturevalue("postgresql_url")}}
    bus = to_manda(tmp_path, **changes)
    old = [bus.send("prova.attesa", "Berto")["id"]]
    for number in (1, 2):
        another_shape(bus, number)
        old.append(bus.send("prova.attesa", ["", "Carla", "Dino"][number])["id"])
    assert 422 == bus.call("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}, name="portale").status
    bus.again()
    for name, run in zip(("Berto", "Carla", "Dino"), old, strict=True):
        bus.send("prova.sveglia", name)
        assert {"svegliato": name} == reply_of(bus, run)
    until(lambda: [("done", "1"), ("done", "11"), ("done", "211")] == greetings(bus), "each is greeted by the route of then")
    bus.stop()


def test_the_earlier_shape_of_a_type_is_let_go_when_no_run_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bus import activation

    bus = to_manda(tmp_path)
    old = bus.send("prova.attesa", "Berto")["id"]
    another_shape(bus, 1)
    monkeypatch.setattr(activation, "SETTLING", activation.dt.timedelta())

    def carried() -> list[str]:
        with bus.server.app.store.read() as tx:
            return sorted(editions.manifest(tx, bus.rules()["edition"])["carried"].get("changed", ()))

    bus.edit("routes/prova/tace.yaml", "version: 1", "version: 2")
    bus.activate()
    assert ["prova.saluto"] == carried()
    bus.send("prova.sveglia", "Berto")
    assert {"svegliato": "Berto"} == reply_of(bus, old)
    bus.edit("routes/prova/tace.yaml", "version: 2", "version: 3")
    bus.activate()
    assert [] == carried()
    bus.stop()


def test_a_dead_letter_whose_route_is_gone_goes_on_under_its_own_rules_alone_and_says_so(bus: Bus) -> None:
    bus.send("prova.guasto", "Berto", wait=5)
    [letter] = bus.call("GET", "/dead").json["dead"]
    (bus.folder / "routes/prova/fallisce.yaml").unlink()
    assert bus.activate().status == 200
    again = f"/dead/{letter['id']}/redeliver"
    refused = bus.call("POST", again, {"reason": "x", "current_rules": True})
    assert (422, "dead.no-route") == (refused.status, refused.json["code"])
    assert "under those that it had" in refused.json["hint"]
    assert bus.call("POST", again, {"reason": "x"}).status == 200


def test_a_run_takes_what_it_waits_for_as_the_type_in_force_let_it_in(tmp_path: Path) -> None:
    """The sender keeps to the type in force: its message is not judged again by the type of when the run began."""
    bus = to_manda(tmp_path)
    old = bus.send("prova.attesa", "Berto")["id"]
    bus.edit("mappings/types/prova.sveglia.yaml", "numero: {}", "altro: {type: string}")
    assert bus.activate().status == 200
    sent = bus.call("POST", "/messages", {"type": "prova.sveglia", "data": {"nome": "Berto", "altro": "x"}}, name="portale")
    assert sent.status == 202
    assert {"svegliato": "Berto"} == reply_of(bus, old)
    bus.stop()
