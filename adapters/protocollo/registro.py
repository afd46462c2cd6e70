"""The daily extract for the protocol register: what the bus had registered, to be compared with the register of the day.

Source: DPR 445/2000, art. 53: the fields of a registration (comma 1) and the daily register (comma 2). The register itself, and its
handing over for keeping, are the protocol system's; this is the other side of the account.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bus.adapter import Exchange, Report
from bus.clock import ROME
from bus.message import JsonValue

FONTE = "DPR 445/2000, art. 53, commi 1 and 2; AgID, Linee guida sul documento informatico (2021), 3.1.6"
CAMPI: Mapping[str, str] = {
    "numero": "number of the registration; empty while none is known",
    "anno": "its year",
    "data_registrazione": "its date, as the register gave it",
    "ora_richiesta": "when the bus asked, Rome: this moment says of which day a line is",
    "flusso": "E in, U out, I internal",
    "mittente": "who wrote",
    "destinatario": "to whom",
    "oggetto": "subject",
    "classifica": "code of the filing plan",
    "uo": "organisational unit",
    "impronte": "SHA-256 of each document, the main one first",
    "riferimento": "our id of what was registered; it stands in the subject",
    "esito": "registrato, rifiutato, in dubbio, in corso, non riuscito (nothing was registered), as it is known now",
    "codice": "the register's code, if it said no; else ours",
    "registrazione_bus": "record in our log",
}
ESITI = {"answered": "registrato", "refused": "rifiutato", "open": "in corso", "in_doubt": "in dubbio"}


def report(adapter: str) -> Report:
    """``bus report protocollo --from DAY``."""
    return Report(adapter, "Protocol register: daily extract of what the bus had registered", FONTE, CAMPI, righe)


def righe(exchange: Exchange) -> Iterator[Mapping[str, JsonValue]]:
    """One line for each try to register; looking up makes none."""
    if exchange.inbound or exchange.operation != "registra":
        return
    chiesto, risposto = exchange.request, exchange.answer
    documenti: Any = chiesto.get("documenti") or ()
    yield {
        "numero": risposto.get("numero", ""), "anno": risposto.get("anno", ""), "data_registrazione": risposto.get("data", ""),
        "ora_richiesta": exchange.began.astimezone(ROME).isoformat(timespec="seconds"),
        "flusso": chiesto.get("flusso", ""), "mittente": _nome(chiesto.get("mittente")), "destinatario": _nome(chiesto.get("destinatario")),
        "oggetto": chiesto.get("oggetto", ""), "classifica": chiesto.get("classifica", ""), "uo": chiesto.get("uo", ""),
        "impronte": " ".join(documento["sha256"] for documento in documenti),
        "riferimento": chiesto.get("riferimento", ""), "esito": ESITI.get(exchange.outcome, "non riuscito"),
        "codice": risposto.get("outside_code") or exchange.code, "registrazione_bus": exchange.record,
    }  # fmt: skip


def _nome(corrispondente: Any) -> str:
    if not isinstance(corrispondente, dict):
        return ""
    persona = " ".join(filter(None, (corrispondente.get("cognome"), corrispondente.get("nome"))))
    return str(corrispondente.get("denominazione") or persona)
