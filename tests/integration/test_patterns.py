"""What the tests beside the routes of docs/patterns cannot show, since it is no route's doing: what the door and the engine make of them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.scrivania.adapter import Assegnazione, Elemento, Scrivania
from bus import config
from bus.adapter import Adapter, Call, Settings, operation
from bus.app import App
from bus.bundle.export import messages_of
from bus.cli import rules
from bus.cli.replay import replayed
from bus.clock import running_time
from bus.engine.arrival import Submission
from bus.engine.throttles import Throttles
from bus.errors import SnodoError
from bus.store.opening import open_reader
from bus.testing.patience import until
from tests.small_bus import at_work, settings, wait_reply

PATTERNS = Path(__file__).parents[2] / "docs/patterns"
DOMANDA = {
    "domanda": "D-1", "tipo": "edilizia", "urgente": False, "importo": 1000, "righe": [],
    "richiedente": {"codice_fiscale": "BNCNNA80A41B429E", "nome": "Anna", "cognome": "Bianchi"},
}  # fmt: skip


class Scrivanie(Adapter):
    """Desks in this very process that note when they were asked for what."""

    def __init__(self) -> None:
        super().__init__("scrivania", Settings())
        self.asked: list[tuple[float, str]] = []
        self._lock = threading.Lock()
        self.operations = {"assegna": replace(Scrivania.operations["assegna"], method="assegna_qui", probe=None)}  # type: ignore[misc]

    @operation(effect="keyed", timeout=10)
    def assegna_qui(self, request: Assegnazione, ctx: Call) -> Elemento:
        with self._lock:
            self.asked.append((running_time(), request.riferimento))
        return Elemento(elemento="E1", scrivania="istruttoria", incaricato="s.moro")


@contextmanager
def working(folder: Path, route: str, desks: Scrivanie) -> Iterator[App]:
    """A bus under one of the routes."""
    if not (folder / "mappings").exists():
        shutil.copytree(PATTERNS / "mappings", folder / "mappings")
        (folder / "routes").mkdir()
        for name in (route, "riceventi/copia"):
            shutil.copy(PATTERNS / f"routes/{name}.yaml", folder / "routes")
    with at_work(App(told(folder), adapters={"scrivania": desks})) as app:
        yield app


def told(folder: Path) -> config.Config:
    """Its settings."""
    return config.parse(settings(store={"url": f"sqlite:///{folder}/prova.db"}, engine={"sweep": 0.1}), folder / "config.yaml")


def send(app: App, **fields: Any) -> str:
    return app.send(Submission("modelli.domanda", {**DOMANDA, **fields}, "portale")).result(60).id


def test_the_idempotent_receiver_takes_a_message_once_also_after_a_restart_and_refuses_another_body_of_its_key(tmp_path: Path) -> None:
    desks = Scrivanie()
    with working(tmp_path, "idempotenza", desks) as app:
        first = send(app)
        reply = wait_reply(app, first, 60)["reply"]
    with working(tmp_path, "idempotenza", desks) as app:
        assert first == send(app)
        assert {"ricevuta": "D-1"} == reply == wait_reply(app, first, 60)["reply"]
        with pytest.raises(SnodoError) as refused:
            send(app, importo=2000)
        assert "input.key-reused" == refused.value.code
        assert 1 == len(app.runs())
    assert ["D-1"] == [name for _, name in desks.asked]


def test_the_throttler_lets_no_more_go_in_a_second_and_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By when they may go: one that a busy machine lets go late comes close to the next ones."""
    desks, names, may_go = Scrivanie(), [f"D-{number}" for number in range(25)], list[float]()
    delay = Throttles.delay

    def noted(throttles: Throttles, call: Any, ticks: float) -> float:
        seconds = delay(throttles, call, ticks)
        may_go.append(ticks + seconds)
        return seconds

    monkeypatch.setattr(Throttles, "delay", noted)
    with working(tmp_path, "freno", desks) as app:
        for name in names:
            send(app, domanda=name)
        until(lambda: 25 == len(app.runs("done")), "all are done")
    assert sorted(names) == sorted(name for _, name in desks.asked)
    assert all(later - sooner > 0.999 for sooner, later in zip(may_go, may_go[10:], strict=False)), may_go
    assert all(went > may - 0.001 for (went, _), may in zip(desks.asked, may_go, strict=True)), (desks.asked, may_go)


def test_a_wait_until_a_date_that_has_passed_ends_at_once(tmp_path: Path) -> None:
    with working(tmp_path, "promemoria", Scrivanie()) as app:
        sent = send(app, scadenza="2026-01-01")
        assert wait_reply(app, sent, 20)["reply"] == {"arrivato": False}


def test_what_ends_a_case_in_mid_course_ends_its_waits_needs_nobody_and_is_replayed_so(tmp_path: Path) -> None:
    person, desks = DOMANDA["richiedente"]["codice_fiscale"], Scrivanie()
    with working(tmp_path, "recesso", desks) as app:
        sent = {name: send(app, domanda=name) for name in ("D-1", "D-2", "D-3")}

        def comes(type: str, **body: Any) -> str:
            return app.send(Submission(type, body, "portale")).result(60).id

        comes("modelli.interruzione", codice_fiscale=person, domanda="D-1", cosa="ritirata")
        comes("modelli.parere", domanda="D-2", ufficio="tecnico", esito="favorevole", numero=1)
        until(lambda: 2 == len(app.runs("done")), "one is withdrawn, one has taken its course")
        death = comes("modelli.interruzione", codice_fiscale=person, cosa="decesso")
        until(lambda: 3 == len(app.runs("done")), "a death ends the one that is left")
        replies = [app.message(one)["reply"]["esito"] for one in sent.values()]
        assert ["ritirata", "favorevole", "decesso"] == replies
        assert ["D-3"] == [name for _, name in desks.asked]
        assert [None, "domanda.interrotta", "domanda.interrotta"] == sorted((run["reason"] for run in app.runs("done")), key=str)
        bundled = messages_of(app.store, {"case": "domanda:D-3"})
        assert {sent["D-3"], death} <= {*bundled} and not {sent["D-1"], sent["D-2"]} & {*bundled}
        assert len(bundled) == len({*bundled}) == 4, "what it let pass is needed to recompute it, too"
        assert [sent["D-3"]] == messages_of(app.store, {"message": sent["D-3"]})
    with closing(open_reader(f"sqlite:///{tmp_path}/prova.db")) as reader:
        rules.give_keys(reader, told(tmp_path))
        report = replayed(reader, {"scrivania.assegna": desks.operations["assegna"]}, "", ("", ""), every=False)
    assert {"equal": 3} == dict(report.counts)
