"""What is asked of the protocol register and what it answers, in neutral words; and the settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from adapters.http.link import LinkSettings
from adapters.protocollo.dialects import Dialect, Shipped
from adapters.shapes import WebAddress, WebAddressOrNone
from bus.adapter import Contract, LocalFile, Text

_RIFERIMENTO = r"^[A-Za-z0-9._:/-]{1,64}$"


class Corrispondente(Contract):
    """A person (surname and name) or a body (``denominazione``) on the other side."""

    codice_fiscale: str | None = None
    cognome: str | None = None
    nome: str | None = None
    denominazione: str | None = None


class DocumentoProtocollo(Contract):
    """One of the case's attachments, by its address."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    name: str = Field(min_length=1, max_length=255, description="as the door took it")


class Registrazione(Contract):
    """What is to be registered. The object gets our reference at its end, by which a search finds it."""

    riferimento: str = Field(
        pattern=_RIFERIMENTO, description="our id of what is registered; one registration each. It goes into the object"
    )
    oggetto: str = Field(min_length=1, max_length=2000)
    flusso: Literal["E", "U", "I"] = Field(description="E what comes in, U what goes out, I what stays inside")
    mittente: Corrispondente | None = Field(default=None, description="who wrote, for E; otherwise it is the administration itself")
    destinatario: Corrispondente | None = Field(default=None, description="to whom, for U; otherwise it is the administration itself")
    classifica: str | None = Field(default=None, description="code of the filing plan")
    uo: str | None = Field(default=None, description="organisational unit it goes to; the settings' one when absent")
    tipo_smistamento: Literal["COMPETENZA", "CONOSCENZA"] | None = Field(
        default=None, description="whether the unit has to work on it or is only told; the settings' one when absent"
    )
    documenti: tuple[DocumentoProtocollo, ...] = Field(
        default=(), description="the main one first; a text summary is made when there is none"
    )


class Registrato(Contract):
    """The registration; ``riferimento`` is ours, as it was asked."""

    numero: str = Field(description="at least seven digits")
    anno: int
    data: str = Field(description="YYYY-MM-DD; as the register wrote it when its form is unknown")
    riferimento: str


class RicercaProtocollo(Contract):
    riferimento: str = Field(pattern=_RIFERIMENTO)


class Trovato(Contract):
    """Whether there is one, and its number."""

    trovato: bool
    numero: str | None = None
    anno: int | None = None
    data: str | None = None


class ProtocolloSettings(LinkSettings):
    url: WebAddress = Field(description="address of the DOCAREA service; one that its contract prints is never called")
    dialetto: Shipped | Dialect = Field(default="docarea", description="docarea, ads, tinn, or a whole dialect written out")
    contratto: LocalFile = Field(default="", description="path of the WSDL; empty takes the one shipped with the dialect")
    url_ricerca: WebAddressOrNone = Field(default="", description="ads: address of ProtocolloExtendedService")
    contratto_ricerca: LocalFile = Field(default="", description="ads: path of the WSDL of ProtocolloExtendedService")
    autorizzazione_ricerca: str = Field(default="", repr=False, description="ads: Authorization header of ProtocolloExtendedService")
    ente: Text = Field(description="code of the body, for the login")
    utente: Text = Field(description="our user, for the login")
    password: Text = Field(repr=False, description="its password, a secret")
    amministrazione: Text = Field(description="IPA code of the administration")
    aoo: Text = Field(description="code of the AOO")
    denominazione: Text = Field(description="name of the administration")
    uo: str = Field(default="", description="organisational unit when the request names none")
    tipo_smistamento: str = Field(default="COMPETENZA", description="COMPETENZA, CONOSCENZA or empty")
    applicativo: Text = Field(default="SNODO", description="name of ApplicativoProtocollo, as agreed with the vendor")
    assestamento: float = Field(default=30.0, ge=0, description="seconds after which a call that timed out can register no more (settle)")
    oggetto_massimo: int = Field(
        default=4000,
        ge=200,
        description="characters of an object that the register keeps: ours are cut before our reference, not behind it",
    )
    documento_massimo: int = Field(default=30_000_000, gt=0, description="bytes of one document; it travels inside the SOAP body")
    documenti_massimo: int = Field(
        default=100_000_000, gt=0, description="bytes of all documents of one registration; the bus holds three times as many while it asks"
    )
    connessione: float = Field(default=3.0, gt=0, description="seconds to connect")
    risposte_rigorose: bool = Field(default=True, description="false takes replies that stray from the register's own XSD")
