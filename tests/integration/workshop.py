"""A bus inside the test's process, with one scripted system and a few small routes: for what only the inside shows."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bus import config
from bus.adapter import Adapter, Call, Contract, Fact, InDoubt, Prepared, Refused, Settings, Unreachable, operation
from bus.app import App
from bus.engine import projection
from bus.engine.arrival import Submission
from bus.engine.intake import Accepted
from bus.log import log
from bus.log.record import Record
from bus.testing.patience import until
from tests.small_bus import settings

TYPES = {
    "prova.inizio": "case: {a: body.a}",
    "prova.legame": "case: {a: body.a, b: body.b}",
    "prova.seguito": "case: {b: body.b}",
    "prova.figlia": "case: {c: body.c}",
}
ROUTES = {
    "prova.inizio": """
key: body.a
case: {a: body.a}
steps:
  - id: leggi
    call: sistema.leggi
    with: {x: body.a, modo: body.modo}
    as: letto
  - id: scrivi
    call: sistema.scrivi
    with: {x: body.a, modo: body.modo}
    retry: {attempts: 2, wait: 1s}
    as: scritto
    case: {numero: text(scritto.numero)}
  - id: registra
    call: sistema.registra
    with: {x: body.a, modo: body.modo}
    retry: {attempts: 2, wait: 1s}
  - id: avvisa
    call: sistema.avvisa
    with: {x: body.a, modo: body.modo}
  - id: rispondi
    reply: {numero: scritto.numero}
  - id: aspetta
    wait: prova.seguito
    deadline: 2s
    as: seguito
    on_late:
      - id: tardi
        send: prova.figlia
        with: {c: '"tardi-" + body.b'}
  - id: ramo
    parallel:
      manda:
        - id: manda
          send: prova.figlia
          with: {c: '"figlia-" + body.a'}
      rileggi:
        - id: rileggi
          call: sistema.leggi
          with: {x: body.a, modo: "'bene'"}
""",
    "prova.legame": """
steps:
  - id: nota
    set: {nota: body.a + body.b}
""",
    "prova.figlia": """
case: {c: body.c}
order: none
steps:
  - id: tutti
    each: "[1, 2]"
    item: n
    steps:
      - id: scrivi
        call: sistema.scrivi
        with: {x: body.c + text(n), modo: "'bene'"}
""",
}


class Domanda(Contract):
    x: str
    modo: str


class Risposta(Contract):
    x: str
    numero: int = 0


class Sistema(Adapter):
    """Does as ``modo`` says: bene, giu, no, lento-NOME (slow at that operation), dubbio-NOME (in doubt, and it happened),
    perso-NOME (and it did not), tardo-NOME (and it happens a quarter of a second later)."""

    def __init__(self) -> None:
        super().__init__("sistema", Settings())
        self.well = False
        self.effects: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def _do(self, name: str, request: Domanda, ctx: Call) -> None:
        ctx.wire("out", f"{name} {request.x}".encode(), "text/plain", "POST /")
        mode = "bene" if self.well else request.modo
        if mode == f"giu-{name}":
            raise Unreachable("down")
        if mode == f"no-{name}":
            raise Refused("no", outside_code="NO")
        if mode == f"lento-{name}":
            time.sleep(1.5)
        if mode == f"tardo-{name}":
            threading.Timer(0.25, self._happen, (name, ctx.key)).start()
        elif mode != f"perso-{name}":
            self._happen(name, ctx.key)
        if mode in {f"dubbio-{name}", f"perso-{name}", f"tardo-{name}"}:
            raise InDoubt("who knows")

    def _happen(self, name: str, key: str) -> None:
        with self._lock:
            if (name, key) not in self.effects or name in {"registra", "avvisa"}:
                self.effects.append((name, key))

    @operation(effect="read", timeout=1)
    def leggi(self, request: Domanda, ctx: Call) -> Risposta:
        return Risposta(x=request.x)

    @operation(effect="keyed", timeout=1, sequence="numero", prepare="prepara")
    def scrivi(self, request: Domanda, ctx: Call) -> Risposta:
        self._do("scrivi", request, ctx)
        ctx.remember("scritto", request.x, {"numero": ctx.number})
        return Risposta(x=request.x, numero=ctx.number or 0)

    def prepara(self, request: Domanda, ctx: Call) -> Prepared:
        return Prepared(request, (Fact("preparato", request.x, {"numero": ctx.number}),))

    @operation(effect="queryable", timeout=0.2, settle=0.6)
    def registra(self, request: Domanda, ctx: Call) -> Risposta:
        self._do("registra", request, ctx)
        return Risposta(x=request.x)

    @registra.probe  # type: ignore[untyped-decorator]
    def registrato(self, request: Domanda, ctx: Call) -> Risposta | None:
        return Risposta(x=request.x) if ("registra", ctx.key) in self.effects else None

    @operation(effect="once", timeout=0.2)
    def avvisa(self, request: Domanda, ctx: Call) -> Risposta:
        self._do("avvisa", request, ctx)
        return Risposta(x=request.x)


def write_rules(folder: Path, routes: Mapping[str, str] = ROUTES, types: Mapping[str, str] = TYPES) -> Path:
    """Routes by the type they are on, and types by name."""
    (folder / "routes").mkdir(parents=True)
    (folder / "mappings/types").mkdir(parents=True)
    fields = "schema: {type: object, additionalProperties: false, properties: {a: {type: string}, b: {type: string}, c: {type: string}, modo: {type: string}}}"
    for name, case in types.items():
        (folder / f"mappings/types/{name}.yaml").write_text(f"type: {name}\ntitle: {name}\n{case}\n{fields}\n", "utf-8")
    for name, text in routes.items():
        head = f"route: {name}\nversion: 1\nowner: prova@comune.example\npurpose: Proof\non: {name}\n"
        (folder / f"routes/{name}.yaml").write_text(head + text.lstrip(), "utf-8")
    return folder


class Workshop:
    """An `App` that runs, and its system."""

    def __init__(self, folder: Path, url: str = "sqlite:///prova.db", **engine: Any) -> None:
        told = settings(store={"url": url}, engine={"sweep": 0.1, "lease": 5, **engine})
        self.database = folder / "prova.db"
        self.system = Sistema()
        self.app = App(config.parse(told, write_rules(folder) / "config.yaml"), adapters={"sistema": self.system})
        self.app.start()

    def send(self, type: str, **body: str) -> Accepted:
        return self.app.send(Submission(f"prova.{type}", body, "prova")).result(60)

    def start(self, a: str, modo: str = "bene") -> str:
        """Send a ``prova.inizio`` and return its run."""
        return str(self.app.message(self.send("inizio", a=a, modo=modo).id)["runs"][0]["id"])  # type: ignore[index, call-overload]

    def troubles(self) -> tuple[dict[str, str], list[str]]:
        """Runs by how the system takes them, and three whose last call is in doubt; those that need a person are dead when it returns."""
        runs = {modo: self.start(f"a-{modo}", modo) for modo in ("bene", "giu-scrivi", "no-registra", "dubbio-registra", "perso-registra")}
        doubts = [self.start(f"a-{n}", "dubbio-avvisa") for n in range(3)]
        for run in (runs["giu-scrivi"], runs["no-registra"], runs["perso-registra"], *doubts):
            self.when(run, "dead")
        return runs, doubts

    def when(self, run: str, *states: str, within: float = 60.0) -> dict[str, Any]:
        """The run as soon as it is in one of the states."""
        end = time.monotonic() + within
        while (shown := self.app.run(run))["state"] not in states:
            assert "dead" in states or shown["state"] != "dead", shown
            assert time.monotonic() < end, shown
            time.sleep(0.01)
        return shown

    def quiet(self, within: float = 60.0) -> None:
        """Returns when every run is done, dead or given up."""
        end = time.monotonic() + within
        while any(self.app.runs(state) for state in ("ready", "waiting")):
            assert time.monotonic() < end, [run for state in ("ready", "waiting") for run in self.app.runs(state)]
            time.sleep(0.02)

    def settled(self) -> None:
        """Returns when what a bus writes of itself as it starts is in the log: by what keys it signs receipts, and by what checkpoints."""
        until(lambda: 2 == [record.kind for record in self._records()].count("keys"), "the keys are told")

    def _records(self) -> list[Record]:
        with self.app.store.read() as tx:
            return [record for _, record in log.everything(tx)]

    def rest(self) -> dict[str, list[tuple[Any, ...]]]:
        """All tables that are no projection, row by row, without what processes that are at work say of themselves now and then."""
        with closing(self._look()) as database:
            names = [row[0] for row in database.execute(_TABLES[self.app.config.store.shared])]
            others = sorted(set(names) - {*projection.TABLES, "processes"})
            rows = {name: sorted(database.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in others}
            return {name: [row for row in found if name != "marks" or not row[0].startswith("gates ")] for name, found in rows.items()}

    def _look(self) -> Any:
        url = self.app.config.store.url
        return psycopg.connect(url) if self.app.config.store.shared else sqlite3.connect(self.database)


_TABLES = {
    False: "SELECT name FROM sqlite_master WHERE type = 'table'",
    True: "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
}


@contextmanager
def workshop(folder: Path, url: str = "sqlite:///prova.db", **engine: Any) -> Iterator[Workshop]:
    """``engine`` are settings of the engine."""
    made = Workshop(folder, url, **engine)
    try:
        yield made
    finally:
        made.app.stop()
