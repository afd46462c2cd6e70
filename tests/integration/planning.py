"""What the tests of plans share: an office, and how rules are edited and planned on what a bus has logged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bus import config
from bus.adapter import Adapter, Call, Contract, Refused, operation
from bus.cli import rules
from bus.planning.planning import planned
from bus.planning.report import Planned
from bus.replay import window
from bus.store.opening import Reader, open_reader

TYPE = """
type: ufficio.{name}
title: For a plan
case: {{pratica: body.pratica}}
schema:
  type: object
  additionalProperties: false
  required: [pratica, numero]
  properties: {{pratica: {{type: string}}, numero: {{type: integer}}, cognome: {{type: string}}}}
"""
NAME = "Fittiziani"


class Domanda(Contract):
    numero: int
    chi: str


class Risposta(Contract):
    protocollo: str


class Ufficio(Adapter):
    """An office in this very process: registers, archives, and says no to some."""

    @operation(effect="keyed", timeout=5, refusals={"PIENO": "no room"})
    def registra(self, request: Domanda, ctx: Call) -> Risposta:
        if request.numero == 13:
            raise Refused("no room", outside_code="PIENO")
        return Risposta(protocollo=f"P-{request.numero}")

    @operation(effect="keyed", timeout=5)
    def archivia(self, request: Domanda, ctx: Call) -> Risposta:
        return Risposta(protocollo=f"A-{request.numero}")


OPERATIONS = {f"ufficio.{name}": one for name, one in Ufficio.operations.items()}


def edit(folder: Path, old: str, new: str, file: str = "routes/pratica.yaml") -> None:
    text = (folder / file).read_text("utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new), "utf-8")


@contextlib.contextmanager
def looking(worked: Path) -> Iterator[Reader]:
    """The store of the settings of that folder, to read."""
    settings = config.load(worked / "config.yaml")
    with contextlib.closing(open_reader(settings.store.url)) as reader:
        rules.give_keys(reader, settings)
        yield reader


def plan(worked: Path, folder: Path) -> Planned:
    with looking(worked) as reader:
        return planned(reader, folder, OPERATIONS, window.newest(reader, 1000), 2, values=True)


def found(made: Planned) -> list[tuple[str, str, int]]:
    return [(group.kind, f"{group.subject} {' '.join(group.fields)}".strip(), group.count) for group in made.groups]
