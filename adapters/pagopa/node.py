"""A stand-in for pagoPA's node: it plays a citizen who pays a notice, against a creditor's endpoint. What it calls, and what it makes of
the replies, is in `adapters.pagopa.chiamate`.

The process answers ``POST /pay`` with a JSON object; all but ``noticeNumber`` may be left out::

    {"noticeNumber": "302...", "version": 1|2, "outcome": "OK"|"KO", "receiptId": "...", "amount": cents (pay another amount),
     "iuv": "..." (with amount: skip verify and activation), "repeat": n (send the receipt n times more), "lose": n (lose n of our replies)}

and answers the story: ``{"paid", "receiptId", "verify", "activate", "receipt", "attempts"}``. A payment is in the ledger (``pagamento``)
before its receipt leaves; each receipt that left is there too (``ricevuta``, with the creditor's outcome). Receipts that were not delivered
are sent again when the process is started again.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import threading
from collections.abc import Mapping
from typing import Any

from adapters.pagopa.chiamate import Ente, Esito, Nodo, trasporto_http
from adapters.pagopa.identificativi import iuv_di
from adapters.pagopa.modelli import centesimi, euro
from adapters.simulator import Reply, Request, Simulator, main


class SimulatoreNodo(Simulator):
    """A simulator of pagoPA's node; see the module for ``POST /pay``."""

    name = "nodo"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--target", required=True, help="the creditor's endpoint, such as http://127.0.0.1:8080/in/pagopa")
        parser.add_argument("--id-pa", required=True)
        parser.add_argument("--id-broker-pa", required=True)
        parser.add_argument("--id-station", required=True)
        parser.add_argument("--wsdl", default="", help="the official paForNode.wsdl: replies must be valid against it too")
        parser.add_argument("--slot", type=float, default=0.2, help="seconds; the k-th wait is slot * (2^k - 1)")

    def begin(self) -> None:
        """Read the contract, then take up what was left in the queue."""
        scelte = self.options
        ente = Ente(scelte.id_pa, scelte.id_broker_pa, scelte.id_station)
        self.nodo = Nodo(ente, trasporto_http(scelte.target), ufficiale=scelte.wsdl or None, slot=scelte.slot)
        for pagato in self.ledger.effects("pagamento"):
            if (self.ledger.state("coda", pagato["key"]) or {}).get("da_inviare"):
                threading.Thread(target=self._consegna, args=(pagato["key"], 0), daemon=True).start()

    def operation_of(self, request: Request) -> str:
        return request.path.strip("/")

    def handle(self, request: Request) -> Reply:
        if (request.method, request.path) != ("POST", "/pay"):
            return Reply.problem(404, "NON_TROVATO", request.path)
        try:
            return Reply.json(self.paga(request.json()))
        except (KeyError, TypeError, ValueError) as errore:
            return Reply.problem(400, "RICHIESTA_ERRATA", str(errore))

    def paga(self, ordine: Mapping[str, Any]) -> dict[str, Any]:
        """One payment, from the notice to the delivered receipt."""
        avviso, versione = str(ordine["noticeNumber"]), int(ordine.get("version", 2))
        storia: dict[str, Any] = {"paid": False, "receiptId": None, "verify": None, "activate": None, "receipt": None, "attempts": 0}
        dati = _dati_a_mano(ordine) if "iuv" in ordine and "amount" in ordine else self._attivati(avviso, versione, storia)
        if dati is None:
            return storia
        ricevuta = self.nodo.ricevuta(
            avviso,
            dati,
            id_ricevuta=ordine.get("receiptId", ""),
            importo=ordine.get("amount"),
            esito=ordine.get("outcome", "OK"),
            versione=versione,
        )
        self._in_coda(ricevuta, versione)
        esiti = self._consegna(ricevuta["receiptId"], int(ordine.get("lose", 0)))
        for _ in range(int(ordine.get("repeat", 0))):
            esiti += self._consegna(ricevuta["receiptId"], 0)
        ultimo = esiti[-1]
        return storia | {"paid": True, "receiptId": ricevuta["receiptId"], "receipt": ultimo.detto(), "attempts": len(esiti)}

    def _attivati(self, avviso: str, versione: int, storia: dict[str, Any]) -> Mapping[str, Any] | None:
        """What paGetPayment says, after a good verify; None ends the payment before any money moves."""
        verifica = self.nodo.verifica(avviso)
        storia["verify"] = verifica.detto()
        if not verifica.riuscito:
            return None
        dovuto = centesimi(verifica.valori["paymentList"]["paymentOptionDescription"]["amount"])
        attiva = self.nodo.attiva(avviso, dovuto, versione)
        storia["activate"] = attiva.detto()
        dati: Mapping[str, Any] | None = attiva.valori["data"] if attiva.riuscito else None
        return dati

    def _in_coda(self, ricevuta: Mapping[str, Any], versione: int) -> None:
        """The money has moved: durable before the receipt leaves."""
        testo = json.dumps(ricevuta, default=_scritto, ensure_ascii=False)
        with self.ledger.transaction():
            importo = centesimi(ricevuta["paymentAmount"])
            dettaglio = {"noticeNumber": ricevuta["noticeNumber"], "amount": importo, "outcome": ricevuta["outcome"]}
            self.ledger.effect("pagamento", ricevuta["receiptId"], dettaglio)
            coda = {"ricevuta": testo, "versione": versione, "da_inviare": True}
            self.ledger.remember("coda", ricevuta["receiptId"], coda)

    def _consegna(self, id_ricevuta: str, perse: int) -> list[Esito]:
        coda = self.ledger.state("coda", id_ricevuta)
        ricevuta = json.loads(coda["ricevuta"], object_hook=_riletto)
        esiti = self.nodo.consegna(ricevuta, coda["versione"], perse=perse)
        with self.ledger.transaction():
            for esito in esiti:
                self.ledger.effect("ricevuta", id_ricevuta, esito.detto())
            self.ledger.remember("coda", id_ricevuta, coda | {"da_inviare": esiti[-1].da_ripetere})
        return esiti


def _dati_a_mano(ordine: Mapping[str, Any]) -> dict[str, Any]:
    """What a receipt needs when nobody was asked: to play receipts for notices that the creditor does not know."""
    importo = euro(int(ordine["amount"]))
    debitore = {
        "uniqueIdentifier": {"entityUniqueIdentifierType": "F", "entityUniqueIdentifierValue": "ANONIMO"},
        "fullName": "Pagatore Sconosciuto",
    }
    trasferimento = {
        "idTransfer": 1,
        "transferAmount": importo,
        "fiscalCodePA": "77777777777",
        "IBAN": "IT45R0760103200000000001016",
        "remittanceInformation": "pagamento",
        "transferCategory": "9/0101108TS/",
    }
    return {
        "creditorReferenceId": ordine["iuv"] or iuv_di(str(ordine["noticeNumber"])),
        "paymentAmount": importo,
        "description": "pagamento",
        "debtor": debitore,
        "transferList": {"transfer": [trasferimento]},
    }


def _scritto(valore: Any) -> Any:
    if isinstance(valore, bytes):
        return {"__bytes__": valore.hex()}
    return {"__momento__": valore.isoformat()} if isinstance(valore, dt.datetime) else str(valore)


def _riletto(oggetto: dict[str, Any]) -> Any:
    if "__bytes__" in oggetto:
        return bytes.fromhex(oggetto["__bytes__"])
    return dt.datetime.fromisoformat(oggetto["__momento__"]) if "__momento__" in oggetto else oggetto


if __name__ == "__main__":
    main(SimulatoreNodo)
