"""What the tests of plans share: an office, and how rules are edited and planned on what a bus has logged."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bus import config
from bus.adapter import Adapter, Call, Contract, Refused, operation
from bus.app import App
from bus.cli import rules
from bus.planning.planning import planned
from bus.planning.report import Planned
from bus.replay import window
from bus.store.opening import Reader, open_reader
from tests import files
from tests.small_bus import settings

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
HEAD = """
route: ufficio.{name}
version: 1
owner: prove@comune.example
purpose: for a plan
on: ufficio.{name}
case: {{pratica: body.pratica}}
steps:
"""
"""What a route of an `office` begins with."""
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
    files.edit(folder / file, old, new)


def office(folder: Path, routes: Mapping[str, str], types: Iterable[str], type: str = TYPE, **changes: Any) -> App:
    """A bus with these routes, by the names of their files, and types, by name, whose only system is an `Ufficio`; not started."""
    files.put(folder, {f"routes/{name}.yaml": text for name, text in routes.items()})
    files.put(folder, {f"mappings/types/ufficio.{name}.yaml": type.format(name=name) for name in types})
    told = settings(adapters={"ufficio": {"use": "tests.integration.planning:Ufficio"}}, **changes)
    files.put(folder, {"config.yaml": json.dumps(told)})
    return App(config.load(folder / "config.yaml"))


@contextlib.contextmanager
def looking(worked: Path) -> Iterator[Reader]:
    """The store of the settings of that folder, to read."""
    loaded = config.load(worked / "config.yaml")
    with contextlib.closing(open_reader(loaded.store.url)) as reader:
        rules.give_keys(reader, loaded)
        yield reader


def plan(worked: Path, folder: Path, **more: Any) -> Planned:
    with looking(worked) as reader:
        return planned(reader, folder, OPERATIONS, window.newest(reader, 1000), 2, values=True, **more)


def found(made: Planned) -> list[tuple[str, str, int]]:
    return [(group.kind, f"{group.subject} {' '.join(group.fields)}".strip(), group.count) for group in made.groups]
