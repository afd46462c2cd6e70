"""The world of the simulation (`tests.simulation.simulation`): one outside system with a ledger of effects, and rules that use all of the bus.

The system keeps its word as its effect classes say: it applies a ``keyed`` call once per key, finds a ``queryable`` one by its
key, and its late effects come within ``settle``. Everything else may go wrong, as the simulation says by `Sistema.next`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from bus import examine
from bus.adapter import Adapter, Call, Contract, InDoubt, Refused, Unreachable, operation
from bus.catalog import Catalog

TIMEOUT, SETTLE = 5.0, 60.0
Conduct = Literal["answer", "lose", "late", "timeout", "refuse", "unreachable", "crash"]
"""What it does with a call: answers; loses the reply; applies it late; lets it fall; says no; is away; its adapter breaks."""

LOSSY: tuple[Conduct, ...] = ("lose", "late", "timeout", "unreachable", "crash")


class Domanda(Contract):
    """``chi`` names the one thing that is to be done, so that the ledger can tell doubles; ``edizione`` says which rules ask."""

    chi: str
    edizione: int = 1


class Risposta(Contract):
    chi: str
    numero: int | None = None
    edizione: int = 1


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of the ledger: what was applied, under which key, with which number of the sequence, as which edition of the rules asked."""

    operation: str
    chi: str
    key: str
    number: int | None
    edition: int = 1


@dataclass
class Sistema(Adapter):
    """Every effect class, a free sequence, an ordered lane, an undo."""

    ticks: Callable[[], float]
    name: str = "sistema"
    settings: None = None
    next: Conduct = "answer"
    ledger: list[Effect] = field(default_factory=list)
    late: list[tuple[float, Effect]] = field(default_factory=list)
    delay: float = SETTLE

    @operation(effect="read", timeout=TIMEOUT)
    def leggi(self, request: Domanda, ctx: Call) -> Risposta:
        return self._ask("leggi", "read", request, ctx)

    @operation(effect="keyed", timeout=TIMEOUT, undo="annulla")
    def scrivi(self, request: Domanda, ctx: Call) -> Risposta:
        return self._ask("scrivi", "keyed", request, ctx)

    @operation(effect="keyed", timeout=TIMEOUT)
    def annulla(self, request: Risposta, ctx: Call) -> Risposta:
        return self._ask("annulla", "keyed", Domanda(chi=request.chi, edizione=request.edizione), ctx)

    @operation(effect="keyed", timeout=TIMEOUT, sequence="libera")
    def numera(self, request: Domanda, ctx: Call) -> Risposta:
        return self._ask("numera", "keyed", request, ctx)

    @operation(effect="keyed", timeout=TIMEOUT, sequence="fila", concurrency=1)
    def in_fila(self, request: Domanda, ctx: Call) -> Risposta:
        return self._ask("in-fila", "keyed", request, ctx)

    @operation(effect="queryable", timeout=TIMEOUT, settle=SETTLE)
    def registra(self, request: Domanda, ctx: Call) -> Risposta:
        return self._ask("registra", "queryable", request, ctx)

    @registra.probe  # type: ignore[untyped-decorator]
    def cerca(self, request: Domanda, ctx: Call) -> Risposta | None:
        """Found by key; a probe has no effect, so it can only fail."""
        self._maybe_fail(None)
        return Risposta(chi=request.chi) if any(e.key == ctx.key for e in self.ledger) else None

    @operation(effect="once", timeout=TIMEOUT)
    def spedisci(self, request: Domanda, ctx: Call) -> Risposta:
        return self._ask("spedisci", "once", request, ctx)

    def _ask(self, name: str, effect: str, request: Domanda, ctx: Call) -> Risposta:
        ctx.wire("out", request.chi.encode())
        self._maybe_fail(None if effect == "read" else Effect(name, request.chi, ctx.key, ctx.number, request.edizione))
        return Risposta(chi=request.chi, numero=ctx.number, edizione=request.edizione)

    def _maybe_fail(self, effect: Effect | None) -> None:
        if self.next == "refuse":
            raise Refused("it says no", outside_code="NO")
        if self.next == "unreachable":
            raise Unreachable("nobody there")
        if self.next == "late":
            self.postpone(effect, self.delay)
        elif self.next in ("answer", "lose", "crash"):
            self.apply(effect)
        if self.next == "crash":
            raise RuntimeError("the adapter broke")
        if self.next != "answer":
            raise InDoubt("no answer came")

    def postpone(self, effect: Effect | None, seconds: float) -> None:
        """The effect comes in so many seconds, when nobody listens any more."""
        if effect is not None:
            self.late.append((self.ticks() + seconds, effect))

    def apply(self, effect: Effect | None) -> None:
        """Into the ledger; a ``keyed`` effect only once for each key."""
        if effect is None or (self.operations[effect.operation].effect == "keyed" and any(e.key == effect.key for e in self.ledger)):
            return
        self.ledger.append(effect)

    def settle(self) -> None:
        """Apply the late effects whose time has come."""
        now = self.ticks()
        due = [effect for moment, effect in self.late if moment <= now]
        self.late = [(moment, effect) for moment, effect in self.late if moment > now]
        for effect in due:
            self.apply(effect)


TYPE = """
type: sim.{name}
title: Of the simulation
case: {{pratica: body.?caso.orValue(null), iuv: body.?iuv.orValue(null)}}
schema:
  type: object
  additionalProperties: false
  required: [chi]
  properties:
    chi: {{type: string}}
    caso: {{type: string}}
    iuv: {{type: string}}
    entro: {{type: string, format: date-time}}
    modo: {{type: string}}
    voci: {{type: array, items: {{type: string}}}}
"""
TYPES = ("lavoro", "attesa", "entro", "senza", "raccolta", "fianco", "avviso", "ricevuta", "parte")
ROUTE = """
route: sim.{name}
version: {edition}
owner: prove@comune.example
purpose: of the simulation
on: sim.{on}
order: {order}
case: {{pratica: body.?caso.orValue(null)}}
steps:
{steps}
"""
ROUTES = {
    ("lavoro", "case"): """
  - {id: leggi, call: sistema.leggi, with: {chi: '"leggi " + body.chi'}, as: letto}
  - {id: traduci, map: sim.traduci, as: tradotto}
  - {id: poni, set: {voci: 'body.?voci.orValue([])', modo: 'body.?modo.orValue("")'}}
  - {id: scrivi, call: sistema.scrivi, with: {chi: '"scrivi " + body.chi'}, as: scritto, undo: sistema.annulla}
  - id: ognuna
    each: voci
    item: voce
    collect: numerata.chi
    as: numerate
    steps:
      - {id: fila, call: sistema.in-fila, with: {chi: '"fila " + body.chi + " " + voce'}, as: numerata}
  - id: scelta
    choose:
      - when: modo == "cerca"
        steps: [{id: registra, call: sistema.registra, with: {chi: '"registra " + body.chi'}}]
      - when: modo == "una"
        steps: [{id: spedisci, call: sistema.spedisci, with: {chi: '"spedisci " + body.chi'}}]
      - when: modo == "fallisce"
        steps: [{id: rinuncia, fail: sim.rinuncia, reason: '"as asked"'}]
    otherwise:
      - {id: numera, call: sistema.numera, with: {chi: '"numera " + body.chi'}}
  - {id: rispondi, reply: {chi: tradotto.chi}}
  - {id: avvisa, send: sim.avviso, with: {chi: '"avviso " + body.chi', caso: body.caso}}
""",
    ("attesa", "case"): """
  - {id: numera, call: sistema.numera, with: {chi: '"numera " + body.chi'}, as: numero, case: {iuv: body.iuv}}
  - id: ricevuta
    wait: sim.ricevuta
    case: iuv
    deadline: 1h
    again: 1
    as: ricevuta
    on_deadline:
      - {id: sollecita, send: sim.avviso, with: {chi: '"sollecito " + body.chi', caso: body.caso}}
    on_late:
      - {id: tardi, call: sistema.scrivi, with: {chi: '"tardi " + body.chi'}}
  - id: registra
    call: sistema.registra
    with: {chi: '"registra " + body.chi'}
    on_error:
      - when: error.kind == "refused"
        steps: [{id: ripiega, call: sistema.scrivi, with: {chi: '"ripiega " + body.chi'}}]
""",
    ("entro", "case"): """
  - {id: numera, call: sistema.numera, with: {chi: '"numera " + body.chi'}, as: numero, case: {iuv: body.iuv}}
  - id: ricevuta
    wait: sim.ricevuta
    case: iuv
    by: body.?entro.orValue("2026-03-02")
    deadline: 30m
    again: 1
    as: ricevuta
    on_deadline: [{id: sollecita, send: sim.avviso, with: {chi: '"sollecito " + body.chi', caso: body.caso}}]
    on_late: [{id: tardi, call: sistema.scrivi, with: {chi: '"tardi " + body.chi'}}]
  - {id: scrivi, call: sistema.scrivi, with: {chi: '"scrivi " + body.chi'}}
""",
    ("senza", "case"): """
  - {id: numera, call: sistema.numera, with: {chi: '"numera " + body.chi'}, as: numero, case: {iuv: body.iuv}}
  - {id: ricevuta, wait: sim.ricevuta, as: ricevuta}
  - {id: scrivi, call: sistema.scrivi, with: {chi: '"scrivi " + body.chi'}}
""",
    ("raccolta", "case"): """
  - id: parti
    gather: sim.parte
    case: pratica
    count: '2'
    deadline: 2h
    as: parti
    on_deadline: [{id: poche, set: {poche: size(items)}}]
    on_late: [{id: tardi, call: sistema.registra, with: {chi: '"tardi " + body.chi'}}]
  - {id: scrivi, call: sistema.scrivi, with: {chi: '"scrivi " + body.chi'}}
  - id: pausa
    wait:
    deadline: 10m
  - {id: rispondi, reply: {parti: size(parti)}}
""",
    ("fianco", "case"): """
  - {id: prima, call: sistema.scrivi, with: {chi: '"prima " + body.chi'}, undo: sistema.annulla}
  - id: rami
    parallel:
      uno:
        - {id: registra, call: sistema.registra, with: {chi: '"registra " + body.chi'}}
        - {id: scrivi, call: sistema.scrivi, with: {chi: '"scrivi " + body.chi'}, undo: sistema.annulla}
      due:
        - {id: parte, wait: sim.parte, case: pratica, deadline: 30m, match: 'arrival.chi != body.chi', as: parte}
        - {id: spedisci, call: sistema.spedisci, with: {chi: '"spedisci " + body.chi'}}
      tre:
        - {id: fila, call: sistema.in-fila, with: {chi: '"fila " + body.chi'}}
        - {id: cede, when: 'body.?modo.orValue("") == "fallisce"', fail: sim.cede, reason: '"as asked"'}
  - {id: dopo, call: sistema.numera, with: {chi: '"dopo " + body.chi'}}
""",
    ("avviso", "none"): """
  - {id: spedisci, call: sistema.spedisci, with: {chi: '"spedisci " + body.chi'}}
""",
}  # fmt: skip
MAPPING = """
mapping: sim.traduci
from: sim.lavoro
to: sim.avviso
fields: {chi: 'body.chi + "!"'}
"""


EDITIONS = (1, 2, 3)
"""The second asks for one thing more, before all others; the third calls a step by another name."""
BEFORE = """  - {id: nuova, call: sistema.scrivi, with: {chi: '"nuova " + body.chi'}, undo: sistema.annulla}"""


def _edited(steps: str, edition: int, *, longer: bool) -> str:
    """The steps of a route as an edition has them; every call says which edition asks."""
    if edition == 2 and longer:
        steps = f"{BEFORE}\n{steps.lstrip(chr(10))}"
    if edition == 3:
        steps = steps.replace("id: scrivi,", "id: scrive,")
    lines = steps.splitlines()
    return "\n".join(line if "send:" in line else line.replace("with: {chi:", f"with: {{edizione: '{edition}', chi:") for line in lines)


@cache
def rules(edition: int = 1) -> Catalog:
    """The catalog of the simulation in one of its `EDITIONS`, compiled once in a process."""
    with tempfile.TemporaryDirectory(prefix="snodo-simulation-") as name:
        folder = Path(name)
        for type_name in TYPES:
            _write(folder / "mappings" / "types" / f"sim.{type_name}.yaml", TYPE.format(name=type_name))
        for (route, order), steps in ROUTES.items():
            edited = _edited(steps, edition, longer=order == "case")
            text = ROUTE.format(name=route, on=route, order=order, edition=edition, steps=edited)
            _write(folder / "routes" / f"{route}.yaml", text)
        _write(folder / "mappings" / "traduci.yaml", MAPPING)
        return examine.load(folder, {f"sistema.{name}": operation for name, operation in Sistema.operations.items()})


@cache
def edition_of() -> dict[str, int]:
    """Which edition a route's digest belongs to."""
    return {route.plan.digest: edition for edition in EDITIONS for route in rules(edition).routes.values()}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
