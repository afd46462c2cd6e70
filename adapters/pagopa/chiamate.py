"""The calls of pagoPA's node on a creditor, and its verdict on the replies: usable in a test without any process.

Like the real node `Nodo` takes a reply only when XSD and its own checks do, hangs up after 7 s (15 s for a receipt), and sends a receipt
**at least once**: again after a timeout, a broken connection, a reply that is not valid or a system error, with waits of
``slot * (2^k - 1)``. `adapters.pagopa.node` is the process in which a citizen pays.
"""

from __future__ import annotations

import datetime as dt
import http.client
import re
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.pagopa.identificativi import iban_valido
from adapters.pagopa.inbound import CONTRATTO
from adapters.pagopa.modelli import euro
from adapters.soap.envelope import fault_in, open_envelope
from adapters.soap.wsdl import SoapOperation, Wsdl, load
from adapters.soap.xml import serialize
from bus.clock import ROME
from bus.errors import Malformed

Trasporto = Callable[[bytes, str, float], bytes]
"""``(request, SOAPAction, seconds) -> reply``; raises OSError when there is none in time."""

ERRORE_RESPONSE = "PPT_STAZIONE_INT_PA_ERRORE_RESPONSE"
IRRAGGIUNGIBILE = "PPT_STAZIONE_INT_PA_IRRAGGIUNGIBILE"
TIMEOUT = "PPT_STAZIONE_INT_PA_TIMEOUT"
EMESSO_DA_PAA = "PPT_ERRORE_EMESSO_DA_PAA"
SECONDI, SECONDI_RICEVUTA, TENTATIVI = 7.0, 15.0, 5
MAX_BYTES = 1_000_000
_FAULT_CODE = re.compile(r"PAA_[A-Z0-9_]+")


@dataclass(frozen=True, slots=True)
class Ente:
    """Whom the node believes to be calling."""

    id_pa: str
    id_broker_pa: str
    id_station: str

    @property
    def nomi(self) -> dict[str, Any]:
        """What every request begins with."""
        return {"idPA": self.id_pa, "idBrokerPA": self.id_broker_pa, "idStation": self.id_station}


@dataclass(frozen=True, slots=True)
class Esito:
    """How one call ended: ``ppt`` is the node's code (None: all is well), ``fault`` the creditor's, ``ragione`` why a reply was refused."""

    operazione: str
    ppt: str | None = None
    fault: str | None = None
    ragione: str = ""
    valori: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def riuscito(self) -> bool:
        return self.ppt is None

    @property
    def da_ripetere(self) -> bool:
        """Whether the real node would send a receipt again."""
        return self.ppt in (ERRORE_RESPONSE, IRRAGGIUNGIBILE, TIMEOUT) or self.fault == "PAA_SYSTEM_ERROR"

    def detto(self) -> dict[str, Any]:
        """What a ledger keeps of the call: everything but the values."""
        return {
            "operation": self.operazione,
            "outcome": "OK" if self.riuscito else "KO",
            "ppt": self.ppt,
            "fault": self.fault,
            "why": self.ragione,
        }


class Nodo:
    """The player. ``ufficiale`` is the path of the official WSDL, if any: then a reply must be valid against both. Thread-safe."""

    def __init__(self, ente: Ente, trasporto: Trasporto, *, ufficiale: str | Path | None = None, slot: float = 0.2) -> None:
        self.ente, self.slot = ente, slot
        self._trasporto = trasporto
        self._contratti: list[Wsdl] = [load(CONTRATTO), *([load(ufficiale)] if ufficiale else [])]

    def verifica(self, avviso: str) -> Esito:
        """Send paVerifyPaymentNotice."""
        return self.chiama("paVerifyPaymentNotice", self._richiesta(avviso))

    def attiva(self, avviso: str, importo: int | None = None, versione: int = 2) -> Esito:
        """Send paGetPayment or V2; ``importo`` in cents."""
        altro = {} if importo is None else {"amount": euro(importo)}
        return self.chiama("paGetPaymentV2" if versione == 2 else "paGetPayment", self._richiesta(avviso) | altro)

    def invia(self, ricevuta: Mapping[str, Any], versione: int = 2) -> Esito:
        """Send paSendRT or V2 once."""
        valori = self.ente.nomi | {"receipt": ricevuta}
        return self.chiama("paSendRTV2" if versione == 2 else "paSendRT", valori, SECONDI_RICEVUTA)

    def consegna(self, ricevuta: Mapping[str, Any], versione: int = 2, *, perse: int) -> list[Esito]:
        """Send a receipt until it is delivered or five times; the first ``perse`` replies are lost on the way."""
        esiti: list[Esito] = []
        for giro in range(TENTATIVI + perse):
            time.sleep(0 if giro < perse + 1 else self.slot * (2 ** (giro - perse) - 1))
            esito = self.invia(ricevuta, versione)
            esiti.append(Esito(esito.operazione, TIMEOUT, ragione="reply lost on the way") if giro < perse else esito)
            if not esiti[-1].da_ripetere:
                break
        return esiti

    def ricevuta(
        self,
        avviso: str,
        dati: Mapping[str, Any],
        *,
        id_ricevuta: str = "",
        importo: int | None = None,
        esito: str = "OK",
        versione: int = 2,
    ) -> dict[str, Any]:
        """The receipt of a payment that paGetPayment answered with ``dati``."""
        trasferimenti = [_trasferimento(t) for t in dati["transferList"]["transfer"]]
        if importo is not None and len(trasferimenti) == 1 and importo > 0:
            trasferimenti[0]["transferAmount"] = euro(importo)
        return {
            "receiptId": id_ricevuta or uuid.uuid4().hex,
            "noticeNumber": avviso,
            "fiscalCode": self.ente.id_pa,
            "outcome": esito,
            "creditorReferenceId": dati["creditorReferenceId"],
            "paymentAmount": str(dati["paymentAmount"]) if importo is None else euro(importo),
            "description": dati["description"],
            "companyName": dati.get("companyName") or "ente",
            "debtor": _pieno(dati["debtor"]),
            "transferList": {"transfer": trasferimenti},
            "idPSP": "PSPSIMULATO",
            "PSPCompanyName": "Banca di Prova",
            "idChannel": "00000000000_01",
            "channelDescription": "app",
            "paymentMethod": "creditCard",
            "fee": "1.50",
            "paymentDateTime": dt.datetime.now(ROME).replace(microsecond=0, tzinfo=None),
        } | ({"primaryCiIncurredFee": "0.00"} if versione == 2 else {})

    def chiama(self, operazione: str, valori: Mapping[str, Any], secondi: float = SECONDI) -> Esito:
        """Send one request, which is valid by construction, and judge the reply."""
        contratto = self._contratti[0]
        richiesta = serialize(contratto.build_request(contratto.operation(operazione), valori))
        try:
            return self.giudica(operazione, self._trasporto(richiesta, operazione, secondi))
        except TimeoutError:
            return Esito(operazione, TIMEOUT)
        except (OSError, http.client.HTTPException):
            return Esito(operazione, IRRAGGIUNGIBILE)

    def giudica(self, operazione: str, risposta: bytes, enti: tuple[str, ...] = ()) -> Esito:
        """The node's verdict on the bytes of a reply; ``enti`` are the creditors that exist (not looked at when empty)."""
        letta: dict[str, Any] = {}
        for contratto in reversed(self._contratti):
            valori = _letta(contratto, contratto.operation(operazione), risposta)
            if isinstance(valori, str):
                return Esito(operazione, ERRORE_RESPONSE, ragione=valori)
            letta = valori
        if ragioni := _difetti(operazione, letta, enti):
            return Esito(operazione, ERRORE_RESPONSE, ragione="; ".join(ragioni))
        if letta["outcome"] == "KO":
            return Esito(operazione, EMESSO_DA_PAA, letta["fault"]["faultCode"], valori=letta)
        return Esito(operazione, valori=letta)

    def _richiesta(self, avviso: str) -> dict[str, Any]:
        return self.ente.nomi | {"qrCode": {"fiscalCode": self.ente.id_pa, "noticeNumber": avviso}}


def _letta(contratto: Wsdl, operazione: SoapOperation, risposta: bytes) -> dict[str, Any] | str:
    """The values of a reply, or why it is none."""
    try:
        aperta = open_envelope(risposta, max_bytes=MAX_BYTES)
    except Malformed as errore:
        return errore.sentence
    if fault_in(aperta) is not None:
        return "a SOAP fault"
    if aperta.child is None or aperta.child.tag != operazione.reply_tag or len(aperta.body) != 1:
        return "not the reply of this operation"
    errori = contratto.errors(aperta.child)
    return errori[0] if errori else contratto.read_reply(operazione, aperta.child)


def _difetti(operazione: str, risposta: Mapping[str, Any], enti: Collection[str]) -> list[str]:
    """What the node wants of a reply beyond its XSD: one sentence per reason to refuse it; empty when the node takes it."""
    if risposta["outcome"] == "KO":
        return list(_del_rifiuto(risposta.get("fault")))
    if operazione == "paVerifyPaymentNotice":
        return [f"{nome} is missing" for nome in ("paymentList", "paymentDescription") if risposta.get(nome) is None]
    if operazione in ("paGetPayment", "paGetPaymentV2"):
        data = risposta.get("data")
        return ["data is missing"] if data is None else list(_dei_dati(data, operazione == "paGetPaymentV2", enti))
    return []


def _del_rifiuto(fault: Mapping[str, Any] | None) -> Iterator[str]:
    if fault is None:
        yield "a KO without a fault"
    elif not _FAULT_CODE.fullmatch(fault["faultCode"]):
        yield "a fault code that is not of the creditor's domain"


def _dei_dati(data: Mapping[str, Any], seconda_versione: bool, enti: Collection[str]) -> Iterator[str]:
    trasferimenti = data["transferList"]["transfer"]
    if len({t["idTransfer"] for t in trasferimenti}) != len(trasferimenti):
        yield "idTransfer is repeated"
    for trasferimento in trasferimenti:
        if trasferimento.get("IBAN") and not iban_valido(trasferimento["IBAN"]):
            yield "IBAN with wrong check digits"
        if enti and trasferimento["fiscalCodePA"] not in enti:
            yield "fiscalCodePA is not a creditor"
    if seconda_versione and sum(t["transferAmount"] for t in trasferimenti) != data["paymentAmount"]:
        yield "the transfers do not add up to paymentAmount"


def _trasferimento(trasferimento: Mapping[str, Any]) -> dict[str, Any]:
    """A transfer as a receipt carries it; a stamp comes back as an attachment."""
    valori = _pieno(trasferimento)
    if valori.pop("richiestaMarcaDaBollo", None):
        valori["MBDAttachment"] = b"<marcaDaBollo/>"
    return {nome: str(valore) if nome == "transferAmount" else valore for nome, valore in valori.items()}


def _pieno(valori: Mapping[str, Any]) -> dict[str, Any]:
    return {nome: valore for nome, valore in valori.items() if valore is not None}


def trasporto_http(url: str) -> Trasporto:
    """Plain HTTP to a loopback endpoint; any status is a reply, as for the node."""
    parti = urlsplit(url)

    def invia(richiesta: bytes, azione: str, secondi: float) -> bytes:
        collegamento = http.client.HTTPConnection(parti.hostname or "", parti.port or 80, timeout=secondi)
        try:
            intestazioni = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{azione}"'}
            collegamento.request("POST", parti.path or "/", richiesta, intestazioni)
            return collegamento.getresponse().read(MAX_BYTES)
        finally:
            collegamento.close()

    return invia
