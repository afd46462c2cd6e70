"""A desks system: offices, desks and employees from a JSON file; items in its ledger (kind ``elemento``)."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from adapters.simulator import Reply, Request, Simulator, main

DESKS = Path(__file__).with_name("scrivanie.json")
FIELDS = {"ufficio", "servizio", "oggetto", "riferimento", "pratica", "protocollo", "riserva"}
REQUIRED = ("ufficio", "servizio", "oggetto", "riferimento")


class Scrivanie(Simulator):
    """The desks system."""

    name = "scrivania"

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        super().__init__(folder, options)
        self.offices: dict[str, dict[str, Any]] = json.loads(options.desks.read_text(encoding="utf-8"))

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--desks", type=Path, default=DESKS, help="offices, desks and employees (JSON)")
        parser.add_argument("--api-key", default="", help="the key callers must send; none asked when empty")

    def operation_of(self, request: Request) -> str:
        return "assegna" if request.path == "/elementi" else super().operation_of(request)

    def refuse(self, request: Request, code: str) -> Reply:
        return Reply.problem(409 if code == "CHIAVE_RIUSATA" else 422, code)

    def handle(self, request: Request) -> Reply:
        if self.options.api_key and request.headers.get("x-api-key") != self.options.api_key:
            return Reply.problem(401, "NON_AUTENTICATO")
        if (request.method, request.path) != ("POST", "/elementi"):
            return Reply.problem(404, "NON_TROVATO")
        try:
            asked = request.json()
        except ValueError:
            return Reply.problem(400, "JSON_NON_VALIDO")
        key = request.headers.get("idempotency-key", "")
        if not key or not isinstance(asked, dict) or set(asked) - FIELDS or not all(asked.get(name) for name in REQUIRED):
            return Reply.problem(400, "RICHIESTA_NON_VALIDA")
        with self.ledger.transaction():
            return self._assign(key, asked)

    def _assign(self, key: str, asked: dict[str, Any]) -> Reply:
        known = self.ledger.find("elemento", key)
        if known is not None:
            same = known["detail"]["richiesta"] == asked
            return Reply.json(_answer(known)) if same else Reply.problem(409, "CHIAVE_RIUSATA")
        desk = self._desk_of(asked["ufficio"], asked["servizio"])
        used_reserve = isinstance(desk, str) and "riserva" in asked
        if used_reserve:
            desk = self._desk_named(asked["riserva"])
        if isinstance(desk, str):
            return Reply.problem(422, desk)
        detail = {"richiesta": asked, "scrivania": desk["scrivania"], "incaricato": self._least_busy(desk), "riserva": used_reserve}
        made, _ = self.ledger.once("elemento", key, detail)
        return Reply.json(_answer(made), 201)

    def _desk_of(self, office_code: str, service: str) -> dict[str, Any] | str:
        """The desk, or the code of the reason why there is none."""
        office = self.offices.get(office_code)
        if office is None:
            return "UFFICIO_SCONOSCIUTO"
        if not office["aperto"]:
            return "UFFICIO_CHIUSO"
        for wanted in (service, "*"):
            for desk in office["scrivanie"]:
                if wanted in desk["servizi"]:
                    found: dict[str, Any] = desk
                    return found
        return "SERVIZIO_NON_COPERTO"

    def _desk_named(self, name: str) -> dict[str, Any] | str:
        desks = (desk for office in self.offices.values() for desk in office["scrivanie"] if desk["scrivania"] == name)
        return next(desks, "SCRIVANIA_SCONOSCIUTA")

    def _least_busy(self, desk: dict[str, Any]) -> str:
        load = Counter(effect["detail"]["incaricato"] for effect in self.ledger.effects("elemento"))
        employees: list[str] = desk["impiegati"]
        return min(employees, key=lambda one: (load[one], one))


def _answer(effect: dict[str, Any]) -> dict[str, Any]:
    detail = effect["detail"]
    return {"elemento": f"EL-{effect['id']:06d}", **{name: detail[name] for name in ("scrivania", "incaricato", "riserva")}}


if __name__ == "__main__":
    main(Scrivanie)
