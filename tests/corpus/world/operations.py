"""The operations that the corpus may ask: one small system of each effect, and two that only their contracts describe."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Literal

from pydantic import Field

from adapters.rest import Rest
from adapters.soap.adapter import Soap
from bus.adapter import Adapter, Call, Contract, Operation, operation


class Residenza(Contract):
    via: str
    cap: str = Field(description="Five digits, as text")


class Ricerca(Contract):
    codice_fiscale: str


class Persona(Contract):
    nome: str
    cognome: str
    eta: int
    telefono: str | None = None
    residenza: Residenza | None = None


class Domanda(Contract):
    riferimento: str = Field(description="Our reference")
    oggetto: str
    flusso: Literal["E", "U"] = "E"
    importo: int | None = Field(default=None, description="Cents")
    valore: float | None = Field(default=None, description="In euro, with decimals")
    indirizzo: Residenza | None = None
    righe: list[Residenza] = Field(default_factory=list)


class Scheda(Contract):
    codice: str | None = Field(default=None, pattern="^[0-9]{3}$", description="Three digits")
    sigla: str | None = Field(default=None, min_length=2, max_length=4)
    quanti: int | None = Field(default=None, ge=1, le=10)
    quota: float | None = Field(default=None, gt=0, lt=1)
    ufficio: Literal["U1", "U3"] | None = None
    sportello: Literal["SUE", "ANA"] = "SUE"
    vie: list[str] = Field(default_factory=list, min_length=1, max_length=2)
    indirizzo: Residenza | None = None
    nota: str = ""
    entro: dt.date | None = None


class Numero(Contract):
    numero: str
    anno: int


class Sistema(Adapter):
    """Looks up, registers, files, takes back, and says things once; `verifica` and `iscrivi` may refuse."""

    @operation(effect="read", timeout=5)
    def cerca(self, request: Ricerca, ctx: Call) -> Persona:
        raise NotImplementedError

    @operation(effect="read", timeout=5, refusals={"NON_TROVATO": "nobody", "SOSPESO": "not now"})
    def verifica(self, request: Ricerca, ctx: Call) -> Persona:
        raise NotImplementedError

    @operation(effect="keyed", timeout=5, undo="annulla")
    def registra(self, request: Domanda, ctx: Call) -> Numero:
        raise NotImplementedError

    @operation(effect="keyed", timeout=5, refusals={"CHIUSO": "closed"}, failed_when="esito is not 0")
    def iscrivi(self, request: Domanda, ctx: Call) -> Numero:
        raise NotImplementedError

    @operation(effect="keyed", timeout=5)
    def annulla(self, request: Numero, ctx: Call) -> Numero:
        raise NotImplementedError

    @operation(effect="keyed", timeout=5, undo="scheda")
    def schedina(self, request: Ricerca, ctx: Call) -> Numero:
        raise NotImplementedError

    @operation(effect="keyed", timeout=5)
    def scheda(self, request: Scheda, ctx: Call) -> Numero:
        raise NotImplementedError

    @operation(effect="once", timeout=5)
    def avvisa(self, request: Ricerca, ctx: Call) -> Numero:
        raise NotImplementedError


CONTRACTS = Path(__file__).parent / "contratti"
ARCHIVE = Rest.Settings.model_validate({
    "url": "http://127.0.0.1:9", "openapi": str(CONTRACTS / "archivio.yaml"),
    "operations": {
        "apri": {"operation": "creaFascicolo", "effect": "keyed"},
        "leggi": {"operation": "leggiFascicolo", "effect": "read"},
        "chiudi": {"method": "DELETE", "path": "/fascicoli/{numero}", "effect": "once"},
        "deposita": {"operation": "depositaAtto", "effect": "once"},
    },
})  # fmt: skip
REGISTER = Soap.Settings.model_validate({
    "url": "http://127.0.0.1:9", "wsdl": str(CONTRACTS / "catasto.wsdl"),
    "operations": {
        "visura": {"operation": "visura", "effect": "read", "timeout": 5, "refusals": {"IMMOBILE_SOPPRESSO": "gone"}},
        "ricerca": {"operation": "ricerca", "effect": "read", "timeout": 5},
        "voltura": {"operation": "voltura", "effect": "once", "timeout": 5, "failed_when": {"field": "protocollo", "ok": ""},
                    "refusals": {"VINCOLO": "not to be sold"}},
    },
})  # fmt: skip
ADAPTERS: dict[str, Adapter] = {
    "sistema": Sistema("sistema", None),
    "archivio": Rest("archivio", ARCHIVE),
    "catasto": Soap("catasto", REGISTER),
}
OPERATIONS: dict[str, Operation] = {f"{name}.{one.name}": one for name, adapter in ADAPTERS.items() for one in adapter.operations.values()}
