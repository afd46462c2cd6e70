"""``/in/pagopa``: where pagoPA's node calls the creditor. Answers from facts only, never from another system.

98 % of the replies must leave within 2 s and the node hangs up after 7 s (15 s for a receipt), so nothing here waits for anybody
but the bus's own store. Every no is in band (HTTP 200, outcome KO, a fault of the table in `adapters.pagopa.risposte`); only what is
not even a SOAP request of a known operation gets a SOAP fault.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.pagopa import giornale
from adapters.pagopa.memoria import POSIZIONE, Ricordo
from adapters.pagopa.modelli import PagopaSettings, Posizione, centesimi, oggi
from adapters.pagopa.ricevute import RICEVUTA_PAGAMENTO, Decisione, Ricevuta, anomala, decidi
from adapters.pagopa.risposte import FAULT_DI_STATO, Valori, accolta, attivata, negata, verificata
from bus.adapter import Door, Endpoint, Inbound, Outbound, Wire
from bus.errors import Busy, Conflict, StoreError

if TYPE_CHECKING:
    from adapters.soap.server import SoapReply, SoapService

PATH = "/in/pagopa"
CONTRATTO = Path(__file__).parent / "contract" / "paForNode.wsdl"
OPERAZIONI = ("paVerifyPaymentNotice", "paGetPayment", "paGetPaymentV2", "paSendRT", "paSendRTV2", "paDemandPaymentNotice")
"""What the node asks."""
MAX_BYTES = 1_000_000
AVVISO = re.compile(rb"noticeNumber>\s*([0-9]{18})\s*<")
"""The notice number in a request that is not of the contract: whom it concerns, it may name all the same."""
MAX_TENUTI = 65_536
"""Bytes kept of a request that becomes no message: many times what the node writes, so that who floods us does not fill the store."""
MAX_DESCRIZIONE = 1024
"""Characters of the description of a fault (SACI)."""
SGUARDI = 5
"""How often a receipt is looked at again when another one changed the facts under it."""


def endpoint(settings: PagopaSettings) -> Endpoint:
    """The endpoint; requests that are too large still get a SOAP answer."""

    def handle(richiesta: Inbound, porta: Door) -> Outbound:
        return Sportello(settings, richiesta, porta).rispondi()

    def too_large(richiesta: Inbound, porta: Door) -> Outbound:
        return Sportello(settings, richiesta, porta).troppo_grande()

    return Endpoint(PATH, handle, budget=2.0, max_bytes=MAX_BYTES, too_large=too_large)


@dataclass(frozen=True, slots=True)
class Sportello:
    """One request of the node and what answers it."""

    settings: PagopaSettings
    richiesta: Inbound
    porta: Door
    viste: list[tuple[str, Mapping[str, Any], Valori]] = field(default_factory=list)

    def rispondi(self) -> Outbound:
        """The answer, whatever was asked. It leaves only when it stands in the log: else the node is told to try again."""
        risposta = self._ascolta()
        try:
            self._annota(risposta)
        except StoreError:
            risposta = self._ascolta(fermo=True)
        return Outbound(*risposta)

    def _ascolta(self, *, fermo: bool = False) -> SoapReply:
        tipo = self.richiesta.headers.get("content-type", "")
        return self._servizio(fermo=fermo).handle(self.richiesta.body, soap_action=self._azione, media_type=tipo)

    def troppo_grande(self) -> Outbound:
        """The answer to a request of which only the headers can be trusted: KO of the operation that SOAPAction names."""
        risposta = self._servizio().refuse(f"the request is larger than {MAX_BYTES} bytes", soap_action=self._azione)
        with contextlib.suppress(StoreError):  # sent again it is as large: no better answer comes later
            self._annota(risposta, intera=False)
        return Outbound(*risposta)

    @property
    def _azione(self) -> str:
        return self.richiesta.headers.get("soapaction", "")

    def _annota(self, risposta: SoapReply, *, intera: bool = True) -> None:
        """Keep what was asked and what we say, for the journal of events; the bytes of a receipt that was read are with its message.

        ``intera``: the request was read whole; of one that was not no bytes are kept.
        """
        for nome, valori, detto in self.viste:
            chiesto = giornale.parametri(valori)
            scritto = AVVISO.search(self.richiesta.body) if not valori else None
            avviso = scritto[1].decode() if scritto else str(chiesto.get("numero_avviso", ""))
            fuori = Wire("out", risposta.body, risposta.media_type, f"{risposta.status}")
            self.porta.served(
                nome, detto["outcome"], request=chiesto, answer={key: detto[key] for key in ("outcome", "fault") if key in detto},
                exchanges=(fuori,) if not intera or (valori and nome.startswith("paSendRT")) else (self._prova(MAX_TENUTI), fuori),
                about=(POSIZIONE, avviso) if avviso else None,
            )  # fmt: skip

    def _vista(self, nome: str, operazione: Callable[[dict[str, Any]], Valori]) -> Callable[[dict[str, Any]], Valori]:
        """An operation that leaves what it was asked and what it said."""

        def risponde(valori: dict[str, Any]) -> Valori:
            detto = operazione(valori)
            self.viste.append((nome, valori, detto))
            return detto

        return risponde

    def _servizio(self, *, fermo: bool = False) -> SoapService:
        """Making the service costs microseconds: its contract is read once per process. ``fermo``: every operation fails."""
        from adapters.soap.server import SoapService

        risponde = (self.verifica, self.attiva, self.attiva, self.ricevi, self.ricevi, self.chiedi)
        return SoapService(
            self.settings.wsdl or CONTRATTO,
            {nome: _ferma if fermo else self._vista(nome, uno) for nome, uno in zip(OPERAZIONI, risponde, strict=True)},
            on_invalid=self._non_valida, on_error=self._guasto, max_bytes=MAX_BYTES,
        )  # fmt: skip

    def verifica(self, valori: dict[str, Any]) -> Valori:
        """Answers paVerifyPaymentNotice."""
        posizione = self._pagabile(valori)
        return verificata(posizione) if isinstance(posizione, Posizione) else posizione

    def attiva(self, valori: dict[str, Any]) -> Valori:
        """Answers paGetPayment and V2: repeatable, changes nothing; the position stays open until the receipt."""
        posizione = self._pagabile(valori)
        if not isinstance(posizione, Posizione):
            return posizione
        importo = valori["amount"]
        if importo is not None and centesimi(importo) != posizione.importo:
            return self._negata("PAA_ATTIVA_RPT_IMPORTO_NON_VALIDO")
        return attivata(posizione)

    def ricevi(self, valori: dict[str, Any]) -> Valori:
        """Answers paSendRT and V2: durable first, then OK."""
        ricevuta = Ricevuta.letta(valori)
        errore = self._destinatario(valori, valori["receipt"]["fiscalCode"])
        for _ in range(SGUARDI):
            decisione = anomala(ricevuta, "DESTINATARIO_ERRATO", fault=errore) if errore else decidi(ricevuta, self.porta)
            try:
                ripetuta = self._accetta(decisione, ricevuta)
            except Conflict:
                continue  # another receipt came between our look and our commit
            if ripetuta and decisione.tipo == RICEVUTA_PAGAMENTO and ricevuta.diversa(self.porta):
                continue  # one of the same id did, and what the two say differs beyond the message that they make
            return self._negata(decisione.fault, decisione.motivo) if decisione.fault else accolta()
        raise Busy(f"the facts of {ricevuta.numero_avviso} keep changing")

    def chiedi(self, valori: dict[str, Any]) -> Valori:
        """Answers paDemandPaymentNotice: no service of ours takes payments that nobody announced."""
        errore = self._destinatario(valori, valori["idPA"])
        return self._negata(errore) if errore else self._negata("PAA_SEMANTICA", "servizio di pagamento spontaneo non attivo")

    def _accetta(self, decisione: Decisione, ricevuta: Ricevuta) -> bool:
        """Whether the message had been accepted before."""
        if decisione.tipo is None:
            return False
        return self.porta.accept(
            decisione.tipo, decisione.corpo, key=decisione.chiave, subject=ricevuta.numero_avviso,
            facts=decisione.fatti, expect=decisione.attesi, exchanges=(self._prova(MAX_BYTES),),
        ).repeated  # fmt: skip

    def _prova(self, tenuti: int) -> Wire:
        """The request as it came, of a longer one so many bytes."""
        corpo = self.richiesta.body
        nota = f"POST {PATH}" if len(corpo) <= tenuti else f"POST {PATH}, the first {tenuti} of {len(corpo)} bytes"
        return Wire("in", corpo[:tenuti], self.richiesta.headers.get("content-type", "text/xml"), nota)

    def _pagabile(self, valori: Mapping[str, Any]) -> Posizione | Valori:
        """The position when it can be paid now, else the reply that says why not."""
        avviso = valori["qrCode"]
        errore = self._destinatario(valori, avviso["fiscalCode"])
        if errore:
            return self._negata(errore)
        posizione = Ricordo.di(self.porta, avviso["noticeNumber"]).posizione
        if posizione is None:
            return self._negata("PAA_PAGAMENTO_SCONOSCIUTO")
        errore = FAULT_DI_STATO[posizione.stato_il(oggi(self.porta.now()))]
        return self._negata(errore) if errore else posizione

    def _destinatario(self, valori: Mapping[str, Any], ente: str) -> str | None:
        """The fault for a request that is not addressed to us."""
        if valori["idPA"] != self.settings.id_pa or ente != self.settings.id_pa:
            return "PAA_ID_DOMINIO_ERRATO"
        if valori["idBrokerPA"] != self.settings.id_broker_pa:
            return "PAA_ID_INTERMEDIARIO_ERRATO"
        return None if valori["idStation"] == self.settings.id_station else "PAA_STAZIONE_INT_ERRATA"

    def _negata(self, codice: str, descrizione: str = "") -> Valori:
        return negata(codice, self.settings.id_pa, descrizione)

    def _non_valida(self, operazione: str | None, errori: list[str]) -> Valori | None:
        return self._detta(operazione, self._negata("PAA_SINTASSI_XSD", errori[0][:MAX_DESCRIZIONE])) if operazione else None

    def _guasto(self, operazione: str, errore: Exception) -> Valori:
        """Anything unexpected, a full disk included: the node tries again later."""
        del errore
        return self._detta(operazione, self._negata("PAA_SYSTEM_ERROR"))

    def _detta(self, operazione: str, no: Valori) -> Valori:
        """A no to a request whose values cannot be trusted, or were not looked at."""
        self.viste.append((operazione, {}, no))
        return no


def _ferma(valori: dict[str, Any]) -> Valori:
    """What was answered could not be kept."""
    del valori
    raise Busy("the log cannot be written")
