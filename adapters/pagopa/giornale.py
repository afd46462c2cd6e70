"""The journal of events that pagoPA asks of a creditor: one line for each request and one for each answer at the interfaces.

Source: Specifiche Attuative del Nodo dei Pagamenti-SPC (SANP), "Giornale degli Eventi": the names of the fields are theirs. Kept for at
least 24 months.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from adapters.pagopa.modelli import PagopaSettings, euro
from bus.adapter import Exchange, Report
from bus.clock import ROME
from bus.message import JsonObject, JsonValue

FONTE = "pagoPA, Specifiche Attuative del Nodo dei Pagamenti-SPC, Giornale degli Eventi; to be kept for 24 months"
NODO, GPD = "NodoDeiPagamentiSPC", "GPD"
CAMPI: Mapping[str, str] = {
    "dataOraEvento": "date and time of the event, with its offset (Rome)",
    "identificativoDominio": "fiscal code of the creditor",
    "identificativoUnivocoVersamento": "IUV (creditorReferenceId); empty where only the notice number was told",
    "codiceContestoPagamento": "receiptId, the context of the payment; n/a before it is paid",
    "identificativoPrestatoreServiziPagamento": "idPSP; empty where the node does not tell it",
    "tipoVersamento": "paymentMethod",
    "componente": "who writes the journal: EC",
    "categoriaEvento": "INTERFACCIA",
    "tipoEvento": "name of the primitive or operation",
    "sottoTipoEvento": "REQ, or RSP",
    "identificativoFruitore": "who asked",
    "identificativoErogatore": "who was asked",
    "identificativoStazioneIntermediarioPA": "idStation",
    "canalePagamento": "idChannel",
    "parametriSpecificiInterfaccia": "notice number, amount in euro, code of a refusal, at GPD how the call ended, record in our log",
    "esito": "OK or KO of an RSP, KO also where none came (esitoChiamata: unreachable, in_doubt); n/a while no end is known",
}
_PARAMETRI = {
    "idPA": "dominio", "idBrokerPA": "intermediario", "idStation": "stazione", "noticeNumber": "numero_avviso",
    "creditorReferenceId": "iuv", "receiptId": "ccp", "idPSP": "psp", "idChannel": "canale", "paymentMethod": "metodo",
    "amount": "importo", "paymentAmount": "importo",
}  # fmt: skip


def parametri(valori: Mapping[str, Any]) -> JsonObject:
    """What a line needs of the node's request, as texts; no person is named in it."""
    dentro = {**(valori.get("qrCode") or {}), **(valori.get("receipt") or {})}
    return {nostro: str(valore) for loro, nostro in _PARAMETRI.items() if (valore := valori.get(loro) or dentro.get(loro)) is not None}


def report(adapter: str, settings: PagopaSettings) -> Report:
    """The journal as the bus writes it: ``bus report pagopa``."""
    return Report(adapter, "pagoPA: journal of events (Giornale degli Eventi)", FONTE, CAMPI, partial(righe, settings), keep="24M")


def righe(settings: PagopaSettings, exchange: Exchange) -> Iterator[Mapping[str, JsonValue]]:
    """REQ, and RSP once there is an answer."""
    detto = exchange.request if exchange.inbound else {**_nostri(exchange.request), **_nostri(exchange.answer)}
    chi, quale = (NODO, settings.id_pa) if exchange.inbound else (settings.id_pa, GPD)
    comune: dict[str, JsonValue] = {
        "identificativoDominio": detto.get("dominio") or settings.id_pa,
        "identificativoUnivocoVersamento": detto.get("iuv", ""),
        "codiceContestoPagamento": detto.get("ccp") or "n/a",
        "identificativoPrestatoreServiziPagamento": detto.get("psp", ""),
        "tipoVersamento": detto.get("metodo", ""),
        "componente": "EC",
        "categoriaEvento": "INTERFACCIA",
        "tipoEvento": exchange.operation,
        "identificativoFruitore": chi,
        "identificativoErogatore": quale,
        "identificativoStazioneIntermediarioPA": detto.get("stazione") or settings.id_station,
        "canalePagamento": detto.get("canale", ""),
    }
    yield {**comune, "dataOraEvento": _ora(exchange.began), "sottoTipoEvento": "REQ", **_particolari(exchange, detto), "esito": "n/a"}
    if exchange.ended is not None:
        esito = "OK" if exchange.outcome in ("OK", "answered") else "KO"
        yield {**comune, "dataOraEvento": _ora(exchange.ended), "sottoTipoEvento": "RSP", **_particolari(exchange, detto), "esito": esito}


def _nostri(said: JsonObject) -> JsonObject:
    """What our own requests and GPD's answers say of a position, its amount as at the node."""
    detto = {nome: said[nome] for nome in ("iuv", "numero_avviso", "importo") if said.get(nome) is not None}
    return {nome: euro(valore) if nome == "importo" and isinstance(valore, int) else valore for nome, valore in detto.items()}


def _particolari(exchange: Exchange, detto: JsonObject) -> dict[str, JsonValue]:
    fault = exchange.answer.get("fault")
    codice = fault.get("faultCode") if isinstance(fault, dict) else exchange.answer.get("outside_code") or exchange.code
    parti = {
        "numeroAvviso": detto.get("numero_avviso"),
        "importo": detto.get("importo"),
        "codice": codice,
        "esitoChiamata": "" if exchange.inbound else exchange.outcome,
        "registrazione": exchange.record,
    }
    return {"parametriSpecificiInterfaccia": "; ".join(f"{nome}={valore}" for nome, valore in parti.items() if valore)}


def _ora(moment: dt.datetime) -> str:
    return moment.astimezone(ROME).isoformat(timespec="milliseconds")
