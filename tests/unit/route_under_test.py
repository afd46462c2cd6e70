"""What the tests of tests of routes share: systems, types, and a folder with one route and its tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bus.adapter import Operation
from bus.testing.routes import Verdict


class Chiesto(BaseModel):
    model_config = ConfigDict(extra="forbid")
    codice: str


class Detto(BaseModel):
    model_config = ConfigDict(extra="forbid")
    codice: str
    data: str | None = None


class Annullo(BaseModel):
    codice: str


def operation(name: str, effect: Any, **more: Any) -> Operation:
    return Operation(name, effect, Chiesto, Detto, timeout=5, method=name, **more)


OPERATIONS = {
    "sys.leggi": operation("leggi", "read", refusals={"IGNOTO": "nobody has that code"}),
    "sys.scrivi": operation("scrivi", "keyed", undo="cancella"),
    "sys.cancella": Operation("cancella", "keyed", Annullo, Annullo, timeout=5, method="cancella"),
    "sys.registra": operation("registra", "queryable", settle=30, probe="cerca"),
    "sys.avvisa": operation("avvisa", "once"),
    "sys.altra": operation("altra", "read"),
}
TYPES = {
    "prova.inizio": "{codice: {type: string}, importo: {type: integer}, allegati: {type: boolean}}",
    "prova.ricevuta": "{codice: {type: string}, esito: {type: string, enum: [OK, KO]}}",
    "prova.avviso": "{codice: {type: string}, testo: {type: string, minLength: 5}}",
}
HEAD = """
route: prova.percorso
version: 1
on: prova.inizio
case: {codice: body.codice}
"""

GIVEN = """
given:
  messages:
    prova.inizio: {codice: A1}
    prova.ricevuta: {codice: A1, esito: "OK"}
"""


def folder(path: Path, steps: str, tests: str, given: str = GIVEN) -> Path:
    (path / "routes").mkdir()
    (path / "mappings" / "types").mkdir(parents=True)
    for name, properties in TYPES.items():
        required = "[testo]" if "testo" in properties else "[codice]"
        (path / "mappings" / "types" / f"{name}.yaml").write_text(
            f"type: {name}\ncase: {{codice: body.?codice.orValue(null)}}\n"
            f"schema: {{type: object, additionalProperties: false, required: {required}, properties: {properties}}}\n"
        )
    if "send: prova.avviso" in steps:
        taken = "route: prova.avvisi\nversion: 1\non: prova.avviso\nsteps: [{id: prendi, reply: {}}]\n"
        (path / "routes" / "avvisi.yaml").write_text(taken)
    (path / "routes" / "percorso.yaml").write_text(f"{HEAD}steps:\n{steps}\n{given}tests:\n{tests}\n")
    return path


def faults(verdicts: list[Verdict]) -> list[str]:
    return [fault.sentence for verdict in verdicts for fault in verdict.faults]


READ = """
  - id: leggi
    call: sys.leggi
    with: {codice: body.codice}
    as: letto
    on_error:
      - when: error.kind == "refused"
        steps: [{id: rifiutato, reply: {esito: error.code}}]
      - steps: [{id: fermo, reply: {esito: error.kind}}]
  - id: fine
    when: has(body.importo)
    set: {x: 1}
"""


BESIDE = """
given:
  sys.leggi: {answers: {codice: B2}}
tests:
  - {name: beside, expect: {state: done, reply: null}}
  - {name: bad, given: {sys.leggi: {refuses: IGNOTO}}, expect: {state: dead}}
"""
