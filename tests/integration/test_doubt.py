"""A call in doubt stays in doubt, and stays the same call, whatever happens until its end is known: midnight, a restart, a system that is down."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus import config
from bus.adapter import Adapter, Call, Contract, InDoubt, Prepared, Refused, Settings, Unreachable, operation
from bus.app import App
from bus.engine import dead
from bus.engine.arrival import Submission
from bus.testing.patience import until
from tests.files import put
from tests.integration.kit import ShiftedClock
from tests.small_bus import settings

ROUTE = """
route: prova.posizione
version: 1
owner: prova@comune.example
purpose: Proof
on: prova.posizione
steps:
  - id: apri
    call: ente.apri
    retry: {attempts: %d, wait: 1s, most: 1s}
    with: {importo: body.importo}
    as: aperta
  - id: rispondi
    reply: {numero: aperta.numero, scadenza: aperta.scadenza}
"""
TYPE = "type: prova.posizione\ntitle: Prova\nschema: {type: object, properties: {importo: {type: integer}}, required: [importo]}\n"


class Richiesta(Contract):
    importo: int
    numero: int = 0
    scadenza: str = ""


class Aperta(Contract):
    numero: int
    scadenza: str


class Ente(Adapter):
    """Keeps the first request of each key and compares every later one with it. ``fates`` says how the tries end, one by one."""

    def __init__(self, fates: list[str], held: dict[str, Richiesta] | None = None) -> None:
        super().__init__("ente", Settings())
        self.fates, self.held, self.tries = fates, {} if held is None else held, 0

    @operation(
        effect="keyed", timeout=5, sequence="numero", prepare="prepara", refusals={"DIVERSA": "another one came under this key"},
        echoes=frozenset({"DIVERSA"}),
    )  # fmt: skip
    def apri(self, request: Richiesta, ctx: Call) -> Aperta:
        self.tries += 1
        fate = self.fates.pop(0) if self.fates else "bene"
        if fate == "giu":
            raise Unreachable("nobody opens")
        if self.held.setdefault(ctx.key, request) != request or fate == "diversa":
            raise Refused("another one is there", outside_code="DIVERSA")
        if fate == "dubbio":
            raise InDoubt("the answer was lost")
        return Aperta(numero=request.numero, scadenza=request.scadenza)

    def prepara(self, request: Richiesta, ctx: Call) -> Prepared:
        due = (ctx.now + dt.timedelta(days=30)).date().isoformat()
        return Prepared(request.model_copy(update={"numero": ctx.number, "scadenza": due}))


class House:
    """A bus on one folder, which may be stopped and started with what the outside system has kept."""

    def __init__(self, folder: Path, attempts: int) -> None:
        put(folder, {"routes/posizione.yaml": ROUTE % attempts, "mappings/types/prova.posizione.yaml": TYPE})
        self._settings = config.parse(settings(engine={"sweep": 0.1}), folder / "config.yaml")
        self.clock = ShiftedClock()
        self.app: App | None = None

    def start(self, ente: Ente) -> App:
        self.stop()
        self.app = App(self._settings, clock=self.clock, adapters={"ente": ente})
        self.app.start()
        return self.app

    def stop(self) -> None:
        if self.app is not None:
            self.app.stop()
        self.app = None


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    made = House(tmp_path, getattr(request, "param", 50))
    yield made
    made.stop()


def send(app: App) -> str:
    return app.send(Submission("prova.posizione", {"importo": 3500}, "prova")).result(60).id


def run_of(app: App, message: str, *states: str) -> dict[str, Any]:
    def found() -> Any:
        shown: Any = app.message(message)
        (run,) = shown["runs"]
        return run if run["state"] in states else None

    return dict(until(found, f"the run is {' or '.join(states)}", 60))


def test_a_request_in_doubt_goes_out_again_as_it_was_though_it_is_tomorrow(house: House) -> None:
    ente = Ente(["dubbio", *["giu"] * 3])
    app = house.start(ente)
    message = send(app)
    until(lambda: ente.tries >= 2, "it is tried again", 60)
    first = next(iter(ente.held.values()))
    house.clock.ahead = dt.timedelta(days=1)
    again = house.start(Ente([], ente.held))
    assert run_of(again, message, "done", "dead")["state"] == "done", again.records("message", message)["records"][-1]
    assert again.message(message)["reply"] == {"numero": 1, "scadenza": first.scadenza}


def test_what_surely_did_not_arrive_is_prepared_for_the_day_on_which_it_does(house: House) -> None:
    ente = Ente(["giu", "giu"])
    message = send(house.start(ente))
    until(lambda: ente.tries >= 1, "it is tried", 60)
    house.clock.ahead = dt.timedelta(days=1)
    before = house.clock.now()
    again = house.start(Ente([], ente.held))
    run_of(again, message, "done")
    days = {(now + dt.timedelta(days=30)).date().isoformat() for now in (before, house.clock.now())}
    assert str(again.message(message)["reply"]["scadenza"]) in days  # type: ignore[index, call-overload]


@pytest.mark.parametrize("house", [3], indirect=True)
def test_a_doubt_is_told_at_the_end_though_the_last_tries_did_not_arrive(house: House) -> None:
    ente = Ente(["dubbio", "giu", "giu"])
    app = house.start(ente)
    message = send(app)
    run = run_of(app, message, "dead")["id"]
    assert app.run(run)["reason"] == "call.in-doubt"
    app.redeliver(run, "chiara", "risponde di nuovo")
    run_of(app, message, "done")
    assert app.message(message)["reply"]["numero"] == 1, "the same number, since it may be taken"  # type: ignore[index, call-overload]
    assert len(ente.held) == 1


@pytest.mark.parametrize("house", [3], indirect=True)
def test_what_is_refused_because_it_may_be_there_already_waits_for_a_person(house: House) -> None:
    """Whoever answers a repetition with "exists already" does not say that nothing was done."""
    app = house.start(Ente(["dubbio", "diversa"]))
    run = run_of(app, send(app), "dead")["id"]
    assert app.run(run)["reason"] == "call.in-doubt"
    with app.store.read() as tx:
        assert dead.letter(tx, run).detail["outside_code"] == "DIVERSA"


EARLY = """
route: prova.posizione
version: 1
on: prova.posizione
steps:
  - id: insieme
    parallel:
      corso: [{id: apri, call: ente.apri, retry: {attempts: 1}, with: {importo: body.importo}, as: aperta, dead_on: any}]
      recesso: [{id: ritiro, wait: null, deadline: 1s}, {id: via, fail: prova.ritirata, dead: false}]
"""


class Slow(Ente):
    """Answers when it is told to."""

    def __init__(self, fates: list[str]) -> None:
        super().__init__(fates)
        self.may_answer = threading.Event()

    def apri(self, request: Richiesta, ctx: Call) -> Aperta:
        assert self.may_answer.wait(60)
        return super().apri(request, ctx)


@pytest.mark.parametrize(("fate", "ends"), [("bene", ("prova.ritirata", "done")), ("dubbio", ("call.in-doubt", "dead"))])
def test_a_run_that_ends_early_hears_its_call_out_and_a_doubt_needs_a_person(
    house: House, tmp_path: Path, fate: str, ends: tuple[str, str]
) -> None:
    put(tmp_path, {"routes/posizione.yaml": EARLY})
    ente = Slow([fate])
    app = house.start(ente)
    message = send(app)
    until(lambda: any(record["kind"] == "expired" for record in app.records("message", message)["records"]), "the other branch ends it")
    ente.may_answer.set()
    run = run_of(app, message, "done", "dead")
    assert ends == (run["reason"], run["state"])
    if run["state"] == "dead":
        app.decide(run["id"], "s.moro", "seen in the other system", "happened", {"numero": 1, "scadenza": "2026-04-01"})
        run = run_of(app, message, "done")
    assert ("prova.ritirata", "done", 1) == (run["reason"], run["state"], ente.tries)
