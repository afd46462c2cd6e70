"""What we answer pagoPA's node: the fault table and the good replies, as plain values of the contract.

Pure functions. The shapes are those of ``contract/paForNode.xsd``; the node refuses a reply that breaks it or, in an OK, leaves out
what the XSD calls optional (`adapters.pagopa.chiamate`).
"""

from __future__ import annotations

from typing import Any

from adapters.pagopa.modelli import Posizione, Stato, Trasferimento, euro

Valori = dict[str, Any]

FAULTS: dict[str, str] = {
    "PAA_PAGAMENTO_SCONOSCIUTO": "pagamento in attesa sconosciuto all'ente creditore",
    "PAA_PAGAMENTO_SCADUTO": "pagamento in attesa scaduto",
    "PAA_PAGAMENTO_DUPLICATO": "pagamento in attesa gia' concluso",
    "PAA_PAGAMENTO_ANNULLATO": "pagamento in attesa annullato",
    "PAA_ID_DOMINIO_ERRATO": "la PA non corrisponde all'ente atteso",
    "PAA_ID_INTERMEDIARIO_ERRATO": "identificativo intermediario non corrispondente",
    "PAA_STAZIONE_INT_ERRATA": "stazione intermediario non corrispondente",
    "PAA_ATTIVA_RPT_IMPORTO_NON_VALIDO": "l'importo indicato non corrisponde a quello dovuto",
    "PAA_SEMANTICA": "errore semantico",
    "PAA_SINTASSI_XSD": "errore di sintassi XSD",
    "PAA_SINTASSI_EXTRAXSD": "errore di sintassi extra XSD",
    "PAA_SYSTEM_ERROR": "errore generico",
}
"""Every fault we emit, with its sentence (docs.pagopa.it, gestione degli errori, dominio EC)."""

FAULT_DI_STATO: dict[Stato, str | None] = {
    "CREATA": "PAA_PAGAMENTO_SCONOSCIUTO",
    "DRAFT": "PAA_PAGAMENTO_SCONOSCIUTO",
    "PUBLISHED": "PAA_PAGAMENTO_SCONOSCIUTO",
    "VALID": None,
    "INVALID": "PAA_PAGAMENTO_ANNULLATO",
    "UNPAYABLE": "PAA_PAGAMENTO_ANNULLATO",
    "EXPIRED": "PAA_PAGAMENTO_SCADUTO",
    "PARTIALLY_PAID": "PAA_PAGAMENTO_DUPLICATO",
    "PAID": "PAA_PAGAMENTO_DUPLICATO",
    "REPORTED": "PAA_PAGAMENTO_DUPLICATO",
}
"""Why a position in that state cannot be paid; None when it can."""

ABI_POSTE = "07601"


def negata(codice: str, id_pa: str, descrizione: str) -> Valori:
    """Outcome KO with its fault; ``descrizione`` holds no personal data. ``id`` is the creditor's: the fault is of its domain."""
    fault = {"faultCode": codice, "faultString": FAULTS[codice], "id": id_pa}
    return {"outcome": "KO", "fault": fault | ({"description": descrizione} if descrizione else {})}


def accolta() -> Valori:
    """The reply to a receipt that is durable."""
    return {"outcome": "OK"}


def verificata(posizione: Posizione) -> Valori:
    """The answer to paVerifyPaymentNotice: what there is to pay."""
    opzione = {
        "amount": euro(posizione.importo),
        "options": "EQ",
        "dueDate": posizione.scadenza,
        "detailDescription": posizione.causale,
        "allCCP": all(t.iban[5:10] == ABI_POSTE for t in posizione.trasferimenti),
    }
    return {
        "outcome": "OK",
        "paymentList": {"paymentOptionDescription": opzione},
        "paymentDescription": posizione.causale,
        "fiscalCodePA": posizione.ente,
        **_ente(posizione),
    }


def attivata(posizione: Posizione) -> Valori:
    """The answer to paGetPayment and paGetPaymentV2: all that the payment provider needs."""
    data: Valori = {
        "creditorReferenceId": posizione.iuv,
        "paymentAmount": euro(posizione.importo),
        "dueDate": posizione.scadenza,
        "lastPayment": True,
        "description": posizione.causale,
        **_ente(posizione),
        "debtor": _debitore(posizione),
        "transferList": {"transfer": [_trasferimento(t) for t in posizione.trasferimenti]},
    }
    return {"outcome": "OK", "data": data | ({"retentionDate": posizione.ritenzione} if posizione.ritenzione else {})}


def _ente(posizione: Posizione) -> Valori:
    ufficio = {"officeName": posizione.ufficio} if posizione.ufficio else {}
    return {"companyName": posizione.denominazione_ente, **ufficio}


def _debitore(posizione: Posizione) -> Valori:
    debitore = posizione.debitore
    identificativo = {"entityUniqueIdentifierType": debitore.tipo, "entityUniqueIdentifierValue": debitore.codice_fiscale}
    email = {"e-mail": debitore.email_ammessa} if debitore.email_ammessa else {}
    return {"uniqueIdentifier": identificativo, "fullName": debitore.nome, **email}


def _trasferimento(trasferimento: Trasferimento) -> Valori:
    return {
        "idTransfer": trasferimento.id,
        "transferAmount": euro(trasferimento.importo),
        "fiscalCodePA": trasferimento.ente,
        "IBAN": trasferimento.iban,
        "remittanceInformation": trasferimento.causale,
        "transferCategory": trasferimento.tassonomia,
    }
