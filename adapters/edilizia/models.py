"""What the building office is asked and what it answers. ``importo`` is always integer cents."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import Field, StringConstraints

from bus.adapter import Contract

Pratica = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}$")]
Importo = Annotated[int, Field(gt=0, le=99_999_999_999, description="cents")]


class Richiedente(Contract):
    """Who presents it; a firm has its 11 figures and no name of a person."""

    codice_fiscale: str = Field(min_length=11, max_length=16)
    cognome: str | None = Field(None, max_length=100)
    nome: str | None = Field(None, max_length=100)


class Protocollo(Contract):
    """The number under which it was registered."""

    numero: str = Field(min_length=1, max_length=30)
    anno: int = Field(ge=1900, le=9999)
    data: dt.date


class Mappale(Contract):
    """A parcel; the texts are free, as the office writes them (``12/A``, ``vedi planimetria``)."""

    foglio: str = Field(min_length=1, max_length=50)
    particella: str = Field(min_length=1, max_length=250)
    sub: str | None = Field(None, max_length=50)
    sezione: str | None = Field(None, max_length=10)


class Onere(Contract):
    """A charge to be paid."""

    causale: str = Field(min_length=1, max_length=200)
    importo: Importo


class Apertura(Contract):
    """A practice to open; the first parcel is the primary one."""

    istanza: str = Field(min_length=1, max_length=100)
    procedimento: str = Field(min_length=1, max_length=30, description="SCIA, CILA, PDC ...")
    oggetto: str = Field(min_length=1, max_length=4000)
    richiedente: Richiedente
    protocollo: Protocollo
    mappali: list[Mappale] = Field(max_length=500)
    oneri: list[Onere] | None = Field(None, max_length=100)
    indirizzo: str | None = Field(None, max_length=250)


class Aperta(Contract):
    """The practice's number, and the ``uuid`` by which it is known to be ours."""

    pratica: str
    uuid: str


class Annullamento(Contract):
    """The practice, as its opening was answered."""

    pratica: Pratica
    uuid: str


class Stato(Contract):
    """``stato`` is ``ANNULLATA``."""

    pratica: str
    stato: str


class Pagamento(Contract):
    """What was paid of a practice; ``data`` is the day on which it was paid."""

    pratica: Pratica
    iuv: str = Field(min_length=1, max_length=50)
    importo: Importo
    data: dt.date


class Pagata(Contract):
    """``pagato`` is true when nothing of the practice is left to pay."""

    pratica: str
    pagato: bool


class Lettura(Contract):
    pratica: Pratica


class MappaleLetto(Contract):
    """A parcel as found; the office's own rows may lack anything."""

    foglio: str | None
    particella: str | None
    sub: str | None
    sezione: str | None
    primario: bool


class OnereLetto(Contract):
    """A charge as found; ``data`` and ``iuv`` are those of its payment."""

    causale: str
    importo: int = Field(description="cents")
    pagato: bool
    data: dt.date | None = None
    iuv: str | None = None


class Documento(Contract):
    """A file of the practice, by its address in the bus."""

    sha256: str
    name: str


class Movimento(Contract):
    """A line of the practice's history; ``riferimento`` is the ``uuid`` or the IUV that it speaks of."""

    tipo: str
    testo: str
    data: dt.date
    riferimento: str | None = None


class RichiedenteLetto(Contract):
    codice_fiscale: str
    cognome: str | None
    nome: str | None


class ProtocolloLetto(Contract):
    numero: str | None
    anno: int | None
    data: dt.date | None


class Fascicolo(Contract):
    pratica: str
    stato: str
    uuid: str | None
    istanza: str | None
    procedimento: str
    oggetto: str
    indirizzo: str | None
    richiedente: RichiedenteLetto | None
    protocollo: ProtocolloLetto
    mappali: list[MappaleLetto]
    oneri: list[OnereLetto]
    documenti: list[Documento]
    movimenti: list[Movimento]
