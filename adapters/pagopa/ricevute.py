"""Receipts of pagoPA: reading one, and deciding what becomes of it.

The node sends a receipt at least once, also after we answered (its reply was lost, or came late). Money has moved, so nothing may
be lost and nothing counted twice: every receipt ends as a message ``pagopa.ricevuta`` (it is the payment of a position) or
``pagopa.ricevuta-anomala`` (a person must look: refund, alarm), or is the repetition of one that did.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from adapters.pagopa.memoria import PAGAMENTO, POSIZIONE, RICEVUTA, Ricordo, fatto
from adapters.pagopa.modelli import Posizione, centesimi, oggi
from bus.adapter import Door, Fact
from bus.clock import ROME
from bus.message import JsonObject, JsonValue, digest

RICEVUTA_PAGAMENTO = "pagopa.ricevuta"
RICEVUTA_ANOMALA = "pagopa.ricevuta-anomala"
MAX_ID = 140
MOSTRATO = 120
"""Characters of an id in evidence: as many as a desk takes of a reference. The bytes of the node are kept beside it."""
ILLEGGIBILE = "ILLEGGIBILE"
SOLO_V2 = frozenset({"paymentNote", "primaryCiIncurredFee", "idBundle", "idCiBundle"})
"""What a receipt has in paSendRTV2 alone; there each transfer has ``companyName`` as well."""
_FUORI_IUV = re.compile("[^0-9A-Z]")

MOTIVI: dict[str, str | None] = {
    "DESTINATARIO_ERRATO": None,
    "IDENTIFICATIVO_ERRATO": "PAA_SINTASSI_EXTRAXSD",
    "CONTENUTO_DIVERSO": "PAA_SEMANTICA",
    "POSIZIONE_SCONOSCIUTA": "PAA_PAGAMENTO_SCONOSCIUTO",
    "IUV_DIVERSO": "PAA_SEMANTICA",
    "IMPORTO_DIVERSO": "PAA_SEMANTICA",
    "PAGATA_DUE_VOLTE": None,
    "POSIZIONE_ANNULLATA": None,
}
"""Why a receipt is anomalous, and the fault it is answered with; None: OK, we hold money and evidence (or the caller knows the fault)."""


@dataclass(frozen=True, slots=True)
class Ricevuta:
    """One receipt as the node sent it. ``impronta`` is the digest of its whole content, so that two of the same id can be compared;
    ``comune`` that of what paSendRT can say of it too.
    """

    ente: str
    id: str
    numero_avviso: str
    iuv: str
    importo: int
    esito: str
    data_pagamento: dt.date | None
    psp: str
    pagatore: JsonValue
    impronta: str
    comune: str

    @classmethod
    def letta(cls, valori: Mapping[str, Any]) -> Ricevuta:
        """The receipt that the values of a paSendRT or paSendRTV2 tell."""
        ricevuta = valori["receipt"]
        contenuto: Any = _piano(ricevuta)
        return cls(
            ente=valori["idPA"],
            id=ricevuta["receiptId"] or "",
            numero_avviso=ricevuta["noticeNumber"],
            iuv=ricevuta["creditorReferenceId"],
            importo=centesimi(ricevuta["paymentAmount"]),
            esito=ricevuta["outcome"],
            data_pagamento=_data(ricevuta),
            psp=ricevuta["idPSP"],
            pagatore=_pagatore(ricevuta["payer"] or ricevuta["debtor"]),
            impronta=digest(contenuto),
            comune=digest(_senza_v2(contenuto)),
        )

    @property
    def chiave(self) -> str:
        """The idempotency key: the id is unique for the creditor."""
        return f"{self.ente}/{self.id}"

    def diversa(self, porta: Door) -> bool:
        """Whether another content was taken under this id."""
        nota = porta.fact(RICEVUTA, self.chiave)
        return isinstance(nota, dict) and not self.ripete(nota)

    def ripete(self, nota: Mapping[str, JsonValue]) -> bool:
        """Whether it is the one that was taken; the node may repeat as paSendRTV2 what it sent as paSendRT, or the other way round."""
        return nota["impronta"] in (self.impronta, self.comune) or nota.get("comune") == self.impronta

    def datata(self, giorno: dt.date) -> Ricevuta:
        """The same receipt with a date of payment: the one that it has, else ``giorno``."""
        return replace(self, data_pagamento=self.data_pagamento or giorno)

    def corpo(self, iupd: str | None) -> JsonObject:
        """The body of the message it becomes; identifiers tidied, so that evidence is not refused for its form (wire bytes are exact)."""
        corpo: JsonObject = {
            "ricevuta": self.id,
            "iuv": _FUORI_IUV.sub("", self.iuv.upper())[:35] or ILLEGGIBILE,
            "numero_avviso": self.numero_avviso,
            "importo": self.importo,
            "esito": self.esito,
            "psp": self.psp,
            "pagatore": self.pagatore,
        }
        data = {"data_pagamento": self.data_pagamento.isoformat()} if self.data_pagamento else {}
        return corpo | data | ({"iupd": iupd} if iupd else {})


@dataclass(frozen=True, slots=True)
class Decisione:
    """What becomes of a receipt: the message to accept (none when repeated), its facts, what must still be true; the fault (None: OK)."""

    tipo: str | None = None
    corpo: JsonObject = field(default_factory=dict)
    chiave: str = ""
    fatti: tuple[Fact, ...] = ()
    attesi: Mapping[tuple[str, str], JsonValue] = field(default_factory=dict)
    fault: str | None = None
    motivo: str = ""


def decidi(ricevuta: Ricevuta, porta: Door) -> Decisione:
    """Look at the facts and decide; no effect. A receipt whose addressee is wrong never comes here (`anomala`).

    A payment without any date is dated today; evidence is not, so that a repetition on another day is the same.
    """
    if not 0 < len(ricevuta.id.strip()) <= MAX_ID:
        return anomala(ricevuta, "IDENTIFICATIVO_ERRATO")
    nota = porta.fact(RICEVUTA, ricevuta.chiave)
    if isinstance(nota, dict):
        return Decisione() if ricevuta.ripete(nota) else anomala(ricevuta, "CONTENUTO_DIVERSO")
    ricordo = Ricordo.di(porta, ricevuta.numero_avviso)
    posizione = ricordo.posizione
    if posizione is None:
        return anomala(ricevuta, "POSIZIONE_SCONOSCIUTA")
    if posizione.iuv != ricevuta.iuv:
        return anomala(ricevuta, "IUV_DIVERSO", posizione)
    if ricevuta.esito == "KO":
        return _non_riuscita(ricevuta.datata(oggi(porta.now())), posizione)
    if posizione.importo != ricevuta.importo:
        return anomala(ricevuta, "IMPORTO_DIVERSO", posizione)
    if ricordo.pagata:
        return anomala(ricevuta, "PAGATA_DUE_VOLTE", posizione)
    if posizione.stato in ("INVALID", "UNPAYABLE"):
        return anomala(ricevuta, "POSIZIONE_ANNULLATA", posizione)
    return _pagata(ricevuta.datata(oggi(porta.now())), posizione, ricordo.scritta)


def anomala(ricevuta: Ricevuta, motivo: str, posizione: Posizione | None = None, fault: str | None = None) -> Decisione:
    """Evidence for a person. One message per reason and content, however often the node repeats it.

    When we answer OK the receipt is remembered as taken; when we answer a fault it is not, so that a corrected position can take it later.
    """
    atteso = {"importo_atteso": posizione.importo} if posizione else {}
    corpo: JsonObject = ricevuta.corpo(posizione.iupd if posizione else None) | {"motivo": motivo} | atteso
    corpo["ricevuta"] = ricevuta.id[:MOSTRATO] or ILLEGGIBILE
    fault = fault or MOTIVI[motivo]
    return Decisione(
        RICEVUTA_ANOMALA, corpo, f"{ricevuta.ente}/anomalia/{motivo}/{ricevuta.impronta}",
        fatti=() if fault else (_presa(ricevuta),),
        attesi={} if fault else {(RICEVUTA, ricevuta.chiave): None},
        fault=fault, motivo=motivo,
    )  # fmt: skip


def _pagata(ricevuta: Ricevuta, posizione: Posizione, scritta: JsonValue) -> Decisione:
    """The payment, provided that the position is still as it was ``scritta``."""
    assert ricevuta.data_pagamento is not None
    corpo = ricevuta.corpo(posizione.iupd)
    saldata = posizione.model_copy(update={"stato": "PAID", "ricevuta": ricevuta.id})
    pagamento: JsonObject = {"ricevuta": ricevuta.id, "importo": ricevuta.importo, "data": ricevuta.data_pagamento.isoformat()}
    return Decisione(
        RICEVUTA_PAGAMENTO, corpo, ricevuta.chiave,
        fatti=(_presa(ricevuta), Fact(PAGAMENTO, ricevuta.numero_avviso, pagamento), fatto(saldata)),
        attesi={
            (RICEVUTA, ricevuta.chiave): None,
            (PAGAMENTO, ricevuta.numero_avviso): None,
            (POSIZIONE, ricevuta.numero_avviso): scritta,
        },
    )  # fmt: skip


def _non_riuscita(ricevuta: Ricevuta, posizione: Posizione) -> Decisione:
    """An outcome KO: the case is told, the position stays open."""
    corpo = ricevuta.corpo(posizione.iupd)
    return Decisione(RICEVUTA_PAGAMENTO, corpo, ricevuta.chiave, (_presa(ricevuta),), {(RICEVUTA, ricevuta.chiave): None})


def _presa(ricevuta: Ricevuta) -> Fact:
    valore: JsonObject = {"impronta": ricevuta.impronta, "numero_avviso": ricevuta.numero_avviso, "esito": ricevuta.esito}
    return Fact(RICEVUTA, ricevuta.chiave, valore if ricevuta.comune == ricevuta.impronta else valore | {"comune": ricevuta.comune})


def _data(ricevuta: Mapping[str, Any]) -> dt.date | None:
    """The day of payment in Italy; a moment without offset is Italian time, one that no calendar of ours has is none."""
    momento = ricevuta["paymentDateTime"]
    if isinstance(momento, dt.datetime) and dt.MINYEAR < momento.year < dt.MAXYEAR:
        return momento.astimezone(ROME).date() if momento.tzinfo else momento.date()
    data = ricevuta["applicationDate"] or ricevuta["transferDate"]
    return data if isinstance(data, dt.date) else None


def _pagatore(soggetto: Mapping[str, Any]) -> JsonValue:
    return {"codice_fiscale": soggetto["uniqueIdentifier"]["entityUniqueIdentifierValue"], "denominazione": soggetto["fullName"]}


def _senza_v2(contenuto: JsonObject) -> JsonObject:
    """What paSendRT would say of a receipt."""
    trasferimenti: Any = contenuto["transferList"]
    ridotti: JsonValue = [{nome: uno for nome, uno in ogni.items() if nome != "companyName"} for ogni in trasferimenti["transfer"]]
    comune = {nome: valore for nome, valore in contenuto.items() if nome not in SOLO_V2}
    return {**comune, "transferList": {"transfer": ridotti}}


def _piano(valore: Any) -> JsonValue:
    """Any value of a request as JSON; what is absent is left out, so that both ways of saying nothing are the same."""
    if isinstance(valore, Mapping):
        return {nome: _piano(uno) for nome, uno in valore.items() if uno is not None}
    if isinstance(valore, (list, tuple)):
        return [_piano(uno) for uno in valore]
    if isinstance(valore, (dt.date, dt.datetime)):
        return valore.isoformat()
    if isinstance(valore, bytes):
        return valore.hex()
    return str(valore) if isinstance(valore, Decimal) else valore
