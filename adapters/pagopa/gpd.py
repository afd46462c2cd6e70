"""Debt positions as GPD writes them, to and from ours. Pure functions; GPD counts in integer cents, as we do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from adapters.pagopa.modelli import NuovaPosizione, PagopaSettings, Posizione, PosizioneLetta, Stato, Trasferimento, euro
from bus.clock import ROME

FINE_GIORNO = dt.time(23, 59, 59)


class _Gpd(BaseModel):
    """GPD writes names in camelCase and may say more than we read."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)


class TrasferimentoGpd(_Gpd):
    id_transfer: str
    amount: int
    organization_fiscal_code: str | None = None
    remittance_information: str
    category: str
    iban: str | None = None


class OpzioneGpd(_Gpd):
    nav: str | None = None
    iuv: str
    amount: int
    description: str
    due_date: dt.datetime
    payment_date: dt.datetime | None = None
    id_receipt: str | None = None
    transfer: tuple[TrasferimentoGpd, ...]


class StatoGpd(_Gpd):
    """What we read of the answer to POST."""

    status: Stato | None = None


class PosizioneGpd(_Gpd):
    """What GET answers; the debtor is not in it."""

    iupd: str
    status: Stato
    company_name: str
    payment_option: tuple[OpzioneGpd, ...] = Field(min_length=1)


def fine_del_giorno(giorno: dt.date) -> str:
    """The last second of a day in Italy, in UTC: what GPD calls dueDate."""
    return dt.datetime.combine(giorno, FINE_GIORNO, ROME).astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def giorno_di(momento: dt.datetime) -> dt.date:
    """The day in Italy of a moment of GPD's, which is UTC even when it says nothing. Whoever means "never" writes the last of all days."""
    try:
        return (momento if momento.tzinfo else momento.replace(tzinfo=dt.UTC)).astimezone(ROME).date()
    except OverflowError:
        return momento.date()


def posizione_di(richiesta: NuovaPosizione, settings: PagopaSettings, stato: Stato) -> Posizione:
    """What we remember of a prepared request (its identifiers are set): one transfer, to our account."""
    assert richiesta.iuv is not None
    assert richiesta.numero_avviso is not None
    assert richiesta.iupd is not None
    assert richiesta.scadenza is not None
    trasferimento = Trasferimento(
        id=1,
        importo=richiesta.importo,
        ente=settings.id_pa,
        iban=settings.iban,
        causale=f"/RFB/{richiesta.iuv}/{euro(richiesta.importo)}/TXT/{richiesta.causale}"[:140],
        tassonomia=richiesta.tassonomia or settings.tassonomia,
    )
    giorni = settings.ritenzione_giorni
    return Posizione(
        stato=stato,
        iuv=richiesta.iuv,
        numero_avviso=richiesta.numero_avviso,
        iupd=richiesta.iupd,
        importo=richiesta.importo,
        scadenza=richiesta.scadenza,
        ritenzione=None if giorni is None else dt.datetime.combine(richiesta.scadenza + dt.timedelta(days=giorni), FINE_GIORNO),
        scade=settings.switch_to_expired,
        causale=richiesta.causale,
        riferimento=richiesta.riferimento,
        debitore=richiesta.debitore,
        ente=settings.id_pa,
        denominazione_ente=settings.company_name,
        ufficio=settings.office_name,
        trasferimenti=(trasferimento,),
    )


def corpo_di(posizione: Posizione) -> dict[str, Any]:
    """The body of POST ``/debtpositions``."""
    debitore = posizione.debitore
    opzione: dict[str, Any] = {
        "nav": posizione.numero_avviso,
        "iuv": posizione.iuv,
        "amount": posizione.importo,
        "description": posizione.causale,
        "isPartialPayment": False,
        "dueDate": fine_del_giorno(posizione.scadenza),
        "transfer": [_trasferimento(t, posizione.denominazione_ente) for t in posizione.trasferimenti],
    }
    if posizione.ritenzione:
        opzione["retentionDate"] = fine_del_giorno(posizione.ritenzione.date())
    return {
        "iupd": posizione.iupd,
        "type": debitore.tipo,
        "fiscalCode": debitore.codice_fiscale,
        "fullName": debitore.nome,
        "companyName": posizione.denominazione_ente,
        "switchToExpired": posizione.scade,
        "paymentOption": [opzione],
        **({"email": debitore.email_ammessa} if debitore.email_ammessa else {}),
        **({"officeName": posizione.ufficio} if posizione.ufficio else {}),
    }


def _trasferimento(trasferimento: Trasferimento, ente: str) -> dict[str, Any]:
    return {
        "idTransfer": str(trasferimento.id),
        "amount": trasferimento.importo,
        "organizationFiscalCode": trasferimento.ente,
        "companyName": ente,
        "remittanceInformation": trasferimento.causale,
        "category": trasferimento.tassonomia,
        "iban": trasferimento.iban,
    }


def differenze(voluta: Mapping[str, Any], trovata: PosizioneGpd) -> list[str]:
    """Names of the fields in which a position that was already there is not the one we want; empty when it is ours.

    GPD's answer has no debtor: two positions that differ only there are told apart by their iupd, which is made of our key.
    """
    try:
        nostra = PosizioneGpd.model_validate({**voluta, "status": trovata.status})
        (una,), (altra,) = nostra.payment_option, trovata.payment_option
    except ValueError:
        return ["paymentOption"]
    coppie: dict[str, tuple[Any, Any]] = {
        "iupd": (nostra.iupd, trovata.iupd),
        "companyName": (nostra.company_name, trovata.company_name),
        "iuv": (una.iuv, altra.iuv),
        "nav": (una.nav, altra.nav or una.nav),
        "amount": (una.amount, altra.amount),
        "description": (una.description, altra.description),
        "dueDate": (giorno_di(una.due_date), giorno_di(altra.due_date)),
        "transfer": (una.transfer, altra.transfer),
    }
    return [nome for nome, (nostro, loro) in coppie.items() if nostro != loro]


def letta(trovata: PosizioneGpd, settings: PagopaSettings) -> PosizioneLetta:
    """A position of GPD's in our words. GPD may leave ``nav`` out: then it is the one that we make of such an IUV."""
    opzione = trovata.payment_option[0]
    return PosizioneLetta(
        iupd=trovata.iupd,
        stato=trovata.status,
        importo=opzione.amount,
        iuv=opzione.iuv,
        numero_avviso=opzione.nav or settings.avviso_di(opzione.iuv),
        scadenza=giorno_di(opzione.due_date),
        causale=opzione.description,
        data_pagamento=opzione.payment_date,
        ricevuta=opzione.id_receipt,
    )
