"""A stand-in for GPD, the store of debt positions of pagoPA (REST, version 1): the subset of ``contract/gpd.yaml``.

Each effect is one line of the ledger: ``posizione`` (key iupd), ``pubblicazione``, ``annullamento`` and ``pagamento``.
``POST /organizations/{cf}/paymentoptions/{iuv}/pay`` marks a position paid, as pagoPA does inside. The fault ``refuse`` takes an HTTP
status as its code. As in the real one, GET does not show the debtor, one status, 409, means other things by operation, and a position
that switches to expired does so when it is looked at after its due date.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from adapters.simulator import Reply, Request, Simulator, main

_POSIZIONI = re.compile(r"/organizations/(?P<cf>[0-9]{11})/debtpositions(/(?P<iupd>[\w-]+))?(/(?P<verbo>publish|invalidate))?")
_PAGA = re.compile(r"/organizations/(?P<cf>[0-9]{11})/paymentoptions/(?P<iuv>\w+)/pay")
_DEBITORE = ("fiscalCode", "fullName", "streetName", "civicNumber", "postalCode", "city", "province", "region", "country", "email", "phone")
_OBBLIGATORI = ("iupd", "type", "fiscalCode", "fullName", "companyName", "switchToExpired")
_OBBLIGATORI_OPZIONE = ("iuv", "amount", "description", "isPartialPayment", "dueDate")
_OBBLIGATORI_TRASFERIMENTO = ("idTransfer", "amount", "remittanceInformation", "category")


class SimulatoreGpd(Simulator):
    """A simulator of GPD."""

    name = "gpd"

    def operation_of(self, request: Request) -> str:
        trovato = _POSIZIONI.fullmatch(request.path)
        if trovato is None:
            return "paga" if _PAGA.fullmatch(request.path) else request.path
        verbi = {"publish": "pubblica-posizione", "invalidate": "annulla-posizione"}
        return verbi.get(trovato["verbo"] or "", "leggi-posizione" if request.method == "GET" else "crea-posizione")

    def refuse(self, request: Request, code: str) -> Reply:
        return _problema(int(code) if code.isdigit() else 422, f"refused as told: {request.method}")

    def handle(self, request: Request) -> Reply:
        if not request.headers.get("ocp-apim-subscription-key"):
            return _problema(401, "Access denied due to missing subscription key")
        if pagata := _PAGA.fullmatch(request.path):
            return self._paga(pagata["cf"], pagata["iuv"])
        trovato = _POSIZIONI.fullmatch(request.path)
        if trovato is None:
            return _problema(404, "Not Found")
        cf, iupd, verbo = trovato["cf"], trovato["iupd"], trovato["verbo"]
        if request.method == "POST" and iupd is None:
            return self._crea(cf, request)
        if request.method == "GET" and iupd and verbo is None:
            posizione = self.ledger.state("posizione", f"{cf}/{iupd}")
            return _assente() if posizione is None else Reply.json(_mostrata(_invecchiata(posizione), cf))
        if request.method == "POST" and iupd and verbo:
            return self._cambia(cf, iupd, verbo)
        return _problema(405, "Method Not Allowed")

    def _crea(self, cf: str, request: Request) -> Reply:
        try:
            posizione = request.json()
            _verifica(posizione)
        except (ValueError, TypeError, KeyError, AttributeError) as errore:
            return _problema(400, f"Bad Request: {errore}")
        iupd, opzione = posizione["iupd"], posizione["paymentOption"][0]
        stato = "VALID" if request.query.get("toPublish", "false").lower() == "true" else "DRAFT"
        with self.ledger.transaction():
            if self.ledger.state("posizione", f"{cf}/{iupd}") or self.ledger.state("iuv", f"{cf}/{opzione['iuv']}"):
                return _problema(409, "The debt position already exists")
            dettaglio = {"iuv": opzione["iuv"], "amount": opzione["amount"], "organization": cf, "status": stato}
            self.ledger.effect("posizione", iupd, dettaglio)
            self.ledger.remember("iuv", f"{cf}/{opzione['iuv']}", iupd)
            self.ledger.remember("posizione", f"{cf}/{iupd}", posizione | {"status": stato, "insertedDate": _adesso()})
        return Reply.json(posizione | {"status": stato}, 201)

    def _cambia(self, cf: str, iupd: str, verbo: str) -> Reply:
        """Publish or invalidate; a state that does not allow it is a 409, also when it is the one wanted."""
        partenza, arrivo, tipo = {
            "publish": (("DRAFT",), "VALID", "pubblicazione"),
            "invalidate": (("PUBLISHED", "VALID"), "INVALID", "annullamento"),
        }[verbo]
        with self.ledger.transaction():
            posizione = self.ledger.state("posizione", f"{cf}/{iupd}")
            if posizione is None:
                return _assente()
            if _invecchiata(posizione)["status"] not in partenza:
                return _problema(409, f"The debt position is not in a state that allows {verbo}")
            posizione["status"] = arrivo
            self.ledger.effect(tipo, iupd, {"status": arrivo})
            self.ledger.remember("posizione", f"{cf}/{iupd}", posizione)
        return Reply.json(posizione)

    def _paga(self, cf: str, iuv: str) -> Reply:
        with self.ledger.transaction():
            iupd = self.ledger.state("iuv", f"{cf}/{iuv}")
            posizione = self.ledger.state("posizione", f"{cf}/{iupd}")
            if posizione is None:
                return _assente()
            if posizione["status"] == "PAID":
                return _problema(409, "Conflict: existing related payment found")
            posizione["status"] = "PAID"
            posizione["paymentOption"][0] |= {"paymentDate": _adesso(), "status": "PO_PAID"}
            self.ledger.effect("pagamento", iupd, {"iuv": iuv})
            self.ledger.remember("posizione", f"{cf}/{iupd}", posizione)
        return Reply.json(posizione["paymentOption"][0])


def _verifica(posizione: Mapping[str, Any]) -> None:
    """Raises ValueError or KeyError for what GPD answers 400 to."""
    _presenti(posizione, _OBBLIGATORI)
    for opzione in posizione["paymentOption"]:
        _presenti(opzione, _OBBLIGATORI_OPZIONE)
        trasferimenti = opzione["transfer"]
        for trasferimento in trasferimenti:
            _presenti(trasferimento, _OBBLIGATORI_TRASFERIMENTO)
            if ("iban" in trasferimento) == ("stamp" in trasferimento):
                raise ValueError("mutually exclusive payment conditions: iban and stamp")
        importi = [opzione["amount"], *(trasferimento["amount"] for trasferimento in trasferimenti)]
        if any(type(importo) is not int or importo < 1 for importo in importi) or importi[0] != sum(importi[1:]):
            raise ValueError("the sum of the transfers is not the amount of the payment option")
        if not 1 <= len(trasferimenti) <= 5 or len(opzione["description"]) > 140:
            raise ValueError("one to five transfers, 140 characters of description")
        dt.datetime.fromisoformat(opzione["dueDate"])


def _presenti(valori: Mapping[str, Any], nomi: tuple[str, ...]) -> None:
    mancanti = [nome for nome in nomi if valori.get(nome) in (None, "")]
    if mancanti:
        raise ValueError(f"{', '.join(mancanti)}: must not be blank")


def _invecchiata(posizione: dict[str, Any]) -> dict[str, Any]:
    """The position as it is now: VALID becomes EXPIRED after the due date, where it was asked for."""
    fine = max(dt.datetime.fromisoformat(opzione["dueDate"]) for opzione in posizione["paymentOption"])
    scaduta = posizione["switchToExpired"] and posizione["status"] == "VALID" and dt.datetime.now(dt.UTC) > _in_utc(fine)
    return posizione | ({"status": "EXPIRED"} if scaduta else {})


def _in_utc(momento: dt.datetime) -> dt.datetime:
    return momento if momento.tzinfo else momento.replace(tzinfo=dt.UTC)


def _mostrata(posizione: Mapping[str, Any], cf: str) -> dict[str, Any]:
    """What GET answers: without the debtor."""
    visibile = {nome: valore for nome, valore in posizione.items() if nome not in _DEBITORE}
    opzioni = [{"status": "PO_UNPAID", **opzione, "organizationFiscalCode": cf} for opzione in posizione["paymentOption"]]
    return visibile | {"organizationFiscalCode": cf, "paymentOption": opzioni}


def _problema(status: int, detail: str) -> Reply:
    return Reply.json({"title": detail.split(":", maxsplit=1)[0], "status": status, "detail": detail}, status)


def _assente() -> Reply:
    return _problema(404, "Not found the debt position")


def _adesso() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    main(SimulatoreGpd)
