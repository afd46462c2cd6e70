"""What the bus and the pagoPA adapter say to each other, what the adapter remembers, and its settings.

Amounts are integer cents everywhere here; pagoPA's SOAP wants strings with two decimals (`euro`), its GPD integer cents.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from adapters.http.client import RestSettings
from adapters.pagopa.identificativi import Identificativi, avviso_di, emetti, iban_valido
from bus.adapter import Contract, LocalFileOrNone, Text
from bus.clock import ROME

TESTO = r"^[^\x00-\x1f\x7f\ufffe\uffff]+$"
"""What the node's XML can carry, on one line."""
_EMAIL = re.compile(r"[A-Za-z0-9_.+\-]+@[A-Za-z0-9\-]+(\.[A-Za-z0-9\-]+)*")

Importo = Annotated[int, Field(ge=1, le=99_999_999_999, description="amount in integer cents of euro")]
Stato = Literal[
    "CREATA", "DRAFT", "PUBLISHED", "VALID", "INVALID", "UNPAYABLE", "EXPIRED", "PARTIALLY_PAID", "PAID", "REPORTED",
]  # fmt: skip
"""GPD's states, and CREATA: we intend it, GPD has not answered yet."""


class Debitore(Contract):
    """Who has to pay."""

    codice_fiscale: str = Field(pattern=r"^([A-Z0-9]{16}|[0-9]{11})$", description="of a person (16) or of a firm (11)")
    denominazione: str = Field(min_length=1, max_length=255, pattern=TESTO, description="name and surname, or the firm's name")
    email: str | None = Field(None, max_length=256)

    @property
    def tipo(self) -> Literal["F", "G"]:
        """F for a person, G for a firm."""
        return "F" if len(self.codice_fiscale) == 16 else "G"

    @property
    def nome(self) -> str:
        """The name as pagoPA takes it: 70 characters."""
        return self.denominazione[:70]

    @property
    def email_ammessa(self) -> str | None:
        """The e-mail when pagoPA's pattern takes it; it is optional, and a reply with a wrong one is refused whole."""
        return self.email if self.email and _EMAIL.fullmatch(self.email) else None


class NuovaPosizione(Contract):
    """A debt position to open and publish. The identifiers are filled in by the bus before anything leaves."""

    debitore: Debitore
    importo: Importo
    causale: str = Field(
        min_length=1, max_length=140, pattern=TESTO, description="what is paid for; the debtor's codice fiscale in it becomes three dots"
    )
    riferimento: str = Field(min_length=1, max_length=140, description="our reference")
    scadenza: dt.date | None = Field(None, description="last day to pay, in Italy; settings say how many days when absent")
    tassonomia: str | None = Field(None, max_length=140, description="taxonomy code of the service; from the settings when absent")
    iuv: str | None = Field(None, description="set by the bus")
    numero_avviso: str | None = Field(None, description="set by the bus")
    iupd: str | None = Field(None, description="set by the bus")

    @field_validator("causale")
    @classmethod
    def _senza_codice_fiscale(cls, causale: str, info: ValidationInfo) -> str:
        """A causale travels through the banks, and many portals make the number of an application of its applicant's code."""
        debitore: Debitore | None = info.data.get("debitore")
        return re.sub(re.escape(debitore.codice_fiscale), "...", causale, flags=re.IGNORECASE) if debitore else causale


class PosizioneCreata(Contract):
    """A debt position as it was opened: its notice number (18 digits), which payers need, and the IUV in it; ``iupd`` is its name at GPD.

    ``scadenza`` is the last day to pay, ``stato`` what GPD says of it (``CREATA`` where GPD has not said yet).
    """

    iuv: str
    numero_avviso: str
    iupd: str
    importo: Importo
    scadenza: dt.date
    stato: Stato


class RichiestaPosizione(Contract):
    """Names one position. The other fields are those of `PosizioneCreata`, so that its answer can be passed as it is; they are not read."""

    iupd: str = Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")
    iuv: str | None = None
    numero_avviso: str | None = None
    importo: int | None = None
    scadenza: dt.date | None = None
    stato: str | None = None


class StatoPosizione(Contract):
    """Where a position stands."""

    iupd: str
    stato: Stato


class PosizioneLetta(StatoPosizione):
    """A position as GPD holds it; ``ricevuta`` is the id of the receipt, once it is paid."""

    importo: int
    iuv: str
    numero_avviso: str
    scadenza: dt.date
    causale: str
    data_pagamento: dt.datetime | None = None
    ricevuta: str | None = None


class Trasferimento(Contract):
    """A part of the amount and the account it goes to. ``ente`` is the fiscal code of the body that receives it."""

    id: int = Field(ge=1, le=5)
    importo: Importo
    ente: str
    iban: str
    causale: str
    tassonomia: str


class Posizione(Contract):
    """The fact ``posizione``, key ``numero_avviso``: all that is needed to answer the node without asking anybody."""

    stato: Stato
    iuv: str
    numero_avviso: str
    iupd: str
    importo: Importo
    scadenza: dt.date
    ritenzione: dt.datetime | None = None
    scade: bool
    causale: str
    riferimento: str
    debitore: Debitore
    ente: str
    denominazione_ente: str
    ufficio: str | None = None
    trasferimenti: tuple[Trasferimento, ...] = Field(min_length=1, max_length=5)
    ricevuta: str | None = None

    def stato_il(self, oggi: dt.date) -> Stato:
        """The state on a day of the Italian calendar: the platform never blocks by due date, the creditor does."""
        return "EXPIRED" if self.stato == "VALID" and self.scade and oggi > self.scadenza else self.stato


class PagopaSettings(RestSettings):
    """Settings of the pagoPA adapter; ``url`` is the base of GPD, such as https://api.platform.pagopa.it/gpd/debt-positions-service/v1.

    The taxonomy codes of the municipality's services are configuration: no public list has them all.
    """

    subscription_key: Text = Field(repr=False, description="Ocp-Apim-Subscription-Key")
    id_pa: str = Field(pattern=r"^[0-9]{11}$", description="fiscal code of the creditor")
    id_broker_pa: str = Field(min_length=1, max_length=35, description="broker, as configured at pagoPA")
    id_station: str = Field(min_length=1, max_length=35, description="station, as configured at pagoPA")
    company_name: str = Field(min_length=1, max_length=140, pattern=TESTO, description="name of the creditor, as payers read it")
    office_name: str | None = Field(None, min_length=1, max_length=140, pattern=TESTO, description="its office, likewise")
    iban: str = Field(description="account that receives the payments")
    tassonomia: str = Field(min_length=1, max_length=140, description="taxonomy code used when a request has none, such as 9/0101108TS/")
    aux_digit: Literal[0, 1, 2, 3] = Field(3, description="first digit of a notice number, as agreed with pagoPA")
    segregation_code: str = Field("00", pattern=r"^[0-9]{2}$", description="aux digit 3: our generation point")
    application_code: str = Field("00", pattern=r"^[0-9]{2}$", description="aux digit 0: our generation point")
    iuv_iniziale: int = Field(0, ge=0, description="added to each number: where to begin when other software issued IUVs in this space")
    scadenza_giorni: int = Field(30, ge=1, le=3650, description="days to pay when a request has no due date; the shipped routes say one")
    ritenzione_giorni: int | None = Field(None, ge=1, description="days after the due date in which the position stays payable")
    switch_to_expired: bool = Field(True, description="after the due date the position cannot be paid any more")
    wsdl: LocalFileOrNone = Field(None, description="the official paForNode.wsdl instead of ours")

    @model_validator(mode="after")
    def _conto(self) -> Self:
        if not iban_valido(self.iban):
            raise ValueError("iban: the check digits do not fit; pagoPA would refuse every reply that carries it")
        return self

    @model_validator(mode="after")
    def _numerazione(self) -> Self:
        """The first number that is given must fit in an IUV."""
        try:
            self.identificativi(1)
        except ValueError as error:
            raise ValueError(f"iuv_iniziale: {error}") from None
        return self

    def identificativi(self, numero: int) -> Identificativi:
        """The identifiers of the ``numero``-th payment that we open."""
        codice = {0: self.application_code, 3: self.segregation_code}.get(self.aux_digit, "")
        return emetti(self.aux_digit, codice, self.iuv_iniziale + numero)

    def avviso_di(self, iuv: str) -> str:
        """The notice number of one of our payments."""
        return avviso_di(self.aux_digit, self.application_code, iuv)


def euro(centesimi: int) -> str:
    """Cents as pagoPA's SOAP wants them: ``150`` is ``"1.50"``."""
    return f"{centesimi // 100}.{centesimi % 100:02d}"


def centesimi(importo: Decimal | str) -> int:
    """Euro with two decimals to cents; exact. Raises ValueError when there are fractions of a cent."""
    esatto = Decimal(importo) * 100
    if esatto != int(esatto):
        raise ValueError(f"{importo} has fractions of a cent")
    return int(esatto)


def oggi(adesso: dt.datetime) -> dt.date:
    """The day in Italy at a moment."""
    return adesso.astimezone(ROME).date()
