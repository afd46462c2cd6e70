"""An adapter of pagoPA, its facts, and a node that calls it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from adapters.pagopa.adapter import Pagopa
from adapters.pagopa.chiamate import Nodo
from adapters.pagopa.modelli import NuovaPosizione, PagopaSettings, Posizione
from bus.adapter import Call, Inbound, Outbound
from bus.testing.door import MemoryDoor
from tests.unit.pagopa_settings import ENTE, SETTINGS

ADESSO = dt.datetime(2026, 3, 10, 9, 0, tzinfo=dt.UTC)
RICHIESTA: dict[str, Any] = {
    "debitore": {"codice_fiscale": "RSSMRA80A01H501U", "denominazione": "Rossi Mària D'Angelo", "email": "maria@example.it"},
    "importo": 15150, "causale": "Diritti di segreteria SCIA", "riferimento": "istanza-1", "scadenza": "2026-04-30",
}  # fmt: skip


class Scena:
    """An adapter, a door and a node that calls it; ``avviso`` is one position in state VALID."""

    def __init__(self, **settings: Any) -> None:
        self.adapter = Pagopa("pagopa", PagopaSettings.model_validate(SETTINGS | settings))
        self.porta = MemoryDoor(ADESSO)
        self.nodo = Nodo(ENTE, self.trasporta, slot=0)
        self.avviso = self.apri(1)

    def apri(self, numero: int, stato: str = "VALID", **campi: Any) -> str:
        """Remember a position as crea-posizione does, in a state."""
        ctx = Call(key=f"{numero:064x}", timeout=5, now=ADESSO, number=numero)
        fatto = self.adapter.prepara(NuovaPosizione.model_validate(RICHIESTA | campi), ctx).facts[0]
        assert isinstance(fatto.value, dict)
        self.porta.facts[fatto.kind, fatto.key] = fatto.value | {"stato": stato}
        return fatto.key

    def chiama(self, corpo: bytes, azione: str = "", tipo: str = "text/xml") -> Outbound:
        testata = {"soapaction": f'"{azione}"', "content-type": tipo}
        return self.adapter.endpoints()[0].handle(Inbound("POST", "/in/pagopa", testata, {}, corpo, "127.0.0.1"), self.porta)

    def trasporta(self, corpo: bytes, azione: str, secondi: float) -> bytes:
        return self.chiama(corpo, azione).body

    def ricevuta(self, id_ricevuta: str = "r1", avviso: str = "", **campi: Any) -> dict[str, Any]:
        """A receipt for a position, without asking for it."""
        fatto = self.porta.facts["posizione", avviso or self.avviso]
        posizione = Posizione.model_validate(fatto)
        dati = {
            "creditorReferenceId": posizione.iuv, "paymentAmount": "151.50", "description": posizione.causale,
            "companyName": "Comune di Esempio",
            "debtor": {"uniqueIdentifier": {"entityUniqueIdentifierType": "F", "entityUniqueIdentifierValue": "RSSMRA80A01H501U"}, "fullName": "Rossi Maria"},
            "transferList": {"transfer": [{
                "idTransfer": 1, "transferAmount": "151.50", "fiscalCodePA": ENTE.id_pa, "IBAN": SETTINGS["iban"],
                "remittanceInformation": "causale", "transferCategory": "9/0101108TS/",
            }]},
        }  # fmt: skip
        ricevuta = self.nodo.ricevuta(posizione.numero_avviso, dati, id_ricevuta=id_ricevuta)
        return ricevuta | {"paymentDateTime": dt.datetime(2026, 3, 10, 10, 30)} | campi

    @property
    def ricevute(self) -> list[Any]:
        return self.porta.of_type("pagopa.ricevuta")

    @property
    def anomalie(self) -> list[Any]:
        return self.porta.of_type("pagopa.ricevuta-anomala")
