"""The rules of the fault suite: one route for each way of the walk, a step of every kind, a call of every effect class.

`EFFECTS` says what a message of each type must have done outside when all is over; the judge goes by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.files import put

Effect = Literal["keyed", "queryable", "once"]
RETRY = "retry: {attempts: 400, wait: 1s, factor: 1, most: 1s}"
TYPE = """
type: prova.{name}
title: Of the fault suite
case: {{pratica: body.?pratica.orValue(null), iuv: body.?iuv.orValue(null)}}
schema:
  type: object
  additionalProperties: false
  required: [chi]
  properties:
    chi: {{type: string}}
    pratica: {{type: string}}
    iuv: {{type: string}}
    modo: {{type: string}}
    voci: {{type: array, items: {{type: string}}}}
"""
ROUTE = """
route: prova.{name}
version: 1
owner: prove@comune.example
purpose: of the fault suite
on: prova.{name}
order: {order}
case: {{pratica: body.?pratica.orValue(null)}}
steps:
"""
MAPPING = """
mapping: prova.traduci
from: prova.lavoro
to: prova.avviso
fields: {chi: 'body.chi + "!"'}
"""
ROUTES = {
    ("breve", "case"): """
  - {id: scrivi, call: beta.scrivi, with: {chi: '"breve " + body.chi'}, RETRY}
""",
    ("lavoro", "case"): """
  - {id: leggi, call: alfa.leggi, with: {chi: body.chi}, as: letto, RETRY}
  - {id: traduci, map: prova.traduci, as: tradotto}
  - {id: poni, set: {voci: 'body.?voci.orValue([])'}}
  - {id: scrivi, call: beta.scrivi, with: {chi: '"scrivi " + body.chi'}, RETRY}
  - id: ognuna
    each: voci
    item: voce
    steps:
      - {id: voce, call: alfa.scrivi, with: {chi: '"voce " + body.chi + " " + voce'}, RETRY}
  - id: rami
    parallel:
      uno: [{id: uno, call: alfa.scrivi, with: {chi: '"uno " + body.chi'}, RETRY}]
      due: [{id: due, call: beta.scrivi, with: {chi: '"due " + body.chi'}, RETRY}]
  - {id: rispondi, reply: {chi: tradotto.chi}}
  - {id: avvisa, send: prova.avviso, with: {chi: body.chi}}
""",
    ("registro", "case"): """
  - id: scelta
    choose:
      - when: body.?modo.orValue("") == "alfa"
        steps: [{id: alfa, call: alfa.registra, with: {chi: '"registra " + body.chi'}, RETRY}]
    otherwise:
      - {id: beta, call: beta.registra, with: {chi: '"registra " + body.chi'}, RETRY}
""",
    ("fila", "case"): """
  - {id: fila, call: alfa.in-fila, with: {chi: '"fila " + body.chi'}, RETRY}
""",
    ("attesa", "case"): """
  - {id: leggi, call: beta.leggi, with: {chi: body.chi}, as: letto, case: {iuv: body.iuv}, RETRY}
  - {id: ricevuta, wait: prova.ricevuta, case: iuv, deadline: 30d, as: ricevuta}
  - {id: scrivi, call: beta.scrivi, with: {chi: '"pagato " + body.chi'}, RETRY}
""",
    ("scadenza", "case"): """
  - id: mai
    wait: prova.ricevuta
    case: pratica
    deadline: 1s
    as: mai
    on_deadline:
      - {id: sollecita, call: alfa.scrivi, with: {chi: '"scaduto " + body.chi'}, RETRY}
""",
    ("raccolta", "case"): """
  - {id: parti, gather: prova.parte, case: pratica, count: '2', deadline: 30d, as: parti}
  - {id: scrivi, call: beta.scrivi, with: {chi: '"raccolto " + body.chi'}, RETRY}
""",
    ("avviso", "none"): """
  - {id: spedisci, call: beta.spedisci, with: {chi: '"avviso " + body.chi'}}
""",
}  # fmt: skip
TOGETHER = ("breve", "breve2", "breve3", "breve4", "breve5")
"""What the five routes of one message of the type ``prova.insieme`` write."""
TYPES = (*(name for name, _ in ROUTES), "ricevuta", "parte")
EFFECTS: dict[str, Callable[[dict[str, Any]], list[tuple[Effect, str]]]] = {
    "prova.breve": lambda body: [("keyed", f"breve {body['chi']}")],
    "prova.insieme": lambda body: [("keyed", f"{step} {body['chi']}") for step in TOGETHER],
    "prova.lavoro": lambda body: [
        *(("keyed", f"{step} {body['chi']}") for step in ("scrivi", "uno", "due")),
        *(("keyed", f"voce {body['chi']} {voce}") for voce in body.get("voci", ())),
        ("once", f"avviso {body['chi']}"),
    ],
    "prova.registro": lambda body: [("queryable", f"registra {body['chi']}")],
    "prova.fila": lambda body: [("keyed", f"fila {body['chi']}")],
    "prova.attesa": lambda body: [("keyed", f"pagato {body['chi']}")],
    "prova.scadenza": lambda body: [("keyed", f"scaduto {body['chi']}")],
    "prova.raccolta": lambda body: [("keyed", f"raccolto {body['chi']}")],
    "prova.avviso": lambda body: [("once", f"avviso {body['chi']}")],
    "prova.ricevuta": lambda body: [],
    "prova.parte": lambda body: [],
}  # fmt: skip
ORDERED = ("breve", "scrivi")
"""Effects that must come in the order in which the messages of a case were accepted: the first of routes that do not wait."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A message that a client means to send; ``name`` is its Idempotency-Key."""

    name: str
    type: str
    body: dict[str, Any]


def one_of_each(name: str) -> Iterator[Sending]:
    """Messages that take every way of the walk, each in a case of its own but the two ``breve``, which are in order."""
    yield Sending(f"{name}-lavoro", "prova.lavoro", {"chi": f"{name}-lavoro", "pratica": f"{name}-1", "voci": ["x", "y"]})
    yield Sending(f"{name}-breve", "prova.breve", {"chi": f"{name}-breve", "pratica": f"{name}-1"})
    yield Sending(f"{name}-breve2", "prova.breve", {"chi": f"{name}-breve2", "pratica": f"{name}-1"})
    yield Sending(f"{name}-fila", "prova.fila", {"chi": f"{name}-fila", "pratica": f"{name}-2"})
    yield Sending(f"{name}-registro", "prova.registro", {"chi": f"{name}-registro", "pratica": f"{name}-3", "modo": "alfa"})
    yield from waiting(f"{name}-attesa")
    yield from gathering(f"{name}-raccolta")
    yield Sending(f"{name}-scadenza", "prova.scadenza", {"chi": f"{name}-scadenza", "pratica": f"{name}-5"})


def waiting(name: str) -> Iterator[Sending]:
    """A run that waits for its receipt, and the receipt."""
    yield Sending(name, "prova.attesa", {"chi": name, "iuv": name})
    yield Sending(f"{name}-ricevuta", "prova.ricevuta", {"chi": f"{name}-ricevuta", "iuv": name})


def gathering(name: str) -> Iterator[Sending]:
    """A run that gathers two parts; one of them comes before it."""
    yield Sending(f"{name}-a", "prova.parte", {"chi": f"{name}-a", "pratica": name})
    yield Sending(name, "prova.raccolta", {"chi": name, "pratica": name})
    yield Sending(f"{name}-b", "prova.parte", {"chi": f"{name}-b", "pratica": name})


def write(folder: Path) -> None:
    """The rules as files."""
    put(folder, {f"mappings/types/prova.{name}.yaml": TYPE.format(name=name) for name in TYPES})
    for (name, order), steps in ROUTES.items():
        put(folder, {f"routes/{name}.yaml": ROUTE.format(name=name, order=order) + steps.replace("RETRY", RETRY)})
    put(folder, {"mappings/traduci.yaml": MAPPING})


def write_together(folder: Path) -> None:
    """A type of message that opens five runs, each of one keyed call."""
    put(folder, {"mappings/types/prova.insieme.yaml": TYPE.format(name="insieme")})
    for step in TOGETHER:
        call = f"  - {{id: scrivi, call: beta.scrivi, with: {{chi: '\"{step} \" + body.chi'}}, {RETRY}}}\n"
        head = ROUTE.format(name="insieme", order="case").replace("route: prova.insieme", f"route: prova.insieme-{step}")
        put(folder, {f"routes/insieme-{step}.yaml": head + call})
