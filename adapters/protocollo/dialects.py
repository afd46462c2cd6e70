"""How each vendor says DOCAREA, and how numbers and dates in its answers are read. The three steps are the same; the words, the case and
the wire are not.

=========== ===================================== ===================================== ======================================
            docarea (ours)                        ads                                   tinn
=========== ===================================== ===================================== ======================================
wire        document/literal                      document/literal                      rpc/encoded
error       lngErrNumber                          lngErrNumber                          IngErrNumber (a capital I)
file        strAttachment                         strAttachment                         FileBinario, FileXML
search      ``ricerca`` by object                 ProtocolloExtendedService (2 calls)   none
=========== ===================================== ===================================== ======================================
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from bus.adapter import Contract


class Step(Contract):
    """One operation: their argument -> ours (``ente utente password token contenuto oggetto``), and where the answer is."""

    operazione: str = Field(description="name of the operation in their WSDL")
    argomenti: dict[str, str] = Field(description="their argument -> ours")
    risultato: str = Field(description="name of the one element of the reply that holds everything")


class Dialect(Contract):
    """All that differs from one register to another: its operations, and how their answers are read."""

    contratto: str = Field(default="", description="WSDL beside this file; empty when the settings must name it")
    login: Step = Field(description="gives the token")
    inserimento: Step = Field(description="takes one document in")
    protocollazione: Step = Field(description="registers, and gives the number")
    ricerca: Step | None = Field(default=None, description="search by object in the same service")
    ricerca_estesa: bool = Field(default=False, description="search through ADS's ProtocolloExtendedService")
    token: str = Field(default="strDST", description="where the token is in the answer to the login")
    documento: str = Field(default="lngDocID", description="where the id of a document is")
    numero: str = Field(default="lngNumPG", description="where the number is")
    anno: str = Field(default="lngAnnoPG", description="where its year is")
    data: str = Field(default="strDataPG", description="where its date is")
    errore: str = Field(default="lngErrNumber", description="where the error number is")
    testo: str = Field(default="strErrString", description="where its sentence is")
    codici: dict[str, str] = Field(default_factory=dict, description="their error number -> our refusal")
    gettone_scaduto: tuple[str, ...] = Field(default=(), description="error numbers that mean: log in again")
    gettone_scaduto_testi: tuple[str, ...] = Field(default=("token", "dst", "sessione"), description="or words in their sentence")


_LITERAL = {"strUserName": "utente", "strDST": "token", "strAttachment": "contenuto"}
_LOGIN = Step(
    operazione="login", argomenti={"strCodEnte": "ente", "strUserName": "utente", "strPassword": "password"}, risultato="LoginResult"
)
_INSERT = Step(operazione="inserimento", argomenti=_LITERAL, risultato="InserimentoResult")
_REGISTER = Step(operazione="protocollazione", argomenti=_LITERAL, risultato="ProtocollazioneResult")

DOCAREA = Dialect(
    contratto="docarea.wsdl",
    login=_LOGIN,
    inserimento=_INSERT,
    protocollazione=_REGISTER,
    ricerca=Step(
        operazione="ricerca", argomenti={"strUserName": "utente", "strDST": "token", "strOggetto": "oggetto"}, risultato="RicercaResult"
    ),
    codici={
        "-1": "ACCESSO_NEGATO",
        "101": "UO_SCONOSCIUTA",
        "102": "CLASSIFICA_ERRATA",
        "103": "SEGNATURA_ERRATA",
        "104": "DOCUMENTO_IGNOTO",
    },
    gettone_scaduto=("-2",),
)
ADS = Dialect(
    login=_LOGIN, inserimento=_INSERT, protocollazione=_REGISTER, ricerca_estesa=True, codici=DOCAREA.codici, gettone_scaduto=("-2",)
)
TINN = Dialect(
    login=Step(operazione="Login", argomenti={"CodiceEnte": "ente", "Username": "utente", "UserPassword": "password"}, risultato="return"),
    inserimento=Step(
        operazione="Inserimento", argomenti={"Username": "utente", "DSTLogin": "token", "FileBinario": "contenuto"}, risultato="return"
    ),
    protocollazione=Step(
        operazione="Protocollazione", argomenti={"Username": "utente", "DSTLogin": "token", "FileXML": "contenuto"}, risultato="return"
    ),
    documento="IngDocID",
    numero="IngNumPG",
    anno="IngAnnoPG",
    data="StrDataPG",
    errore="IngErrNumber",
    codici=DOCAREA.codici,
    gettone_scaduto=("-2",),
)

SHIPPED: Mapping[str, Dialect] = {"docarea": DOCAREA, "ads": ADS, "tinn": TINN}
Shipped = Literal["docarea", "ads", "tinn"]

_WRITTEN = ("%d/%m/%Y", "%Y-%m-%d", "%d-%m-%Y", "%Y%m%d", "%d/%m/%y")


def day_of(text: str) -> str:
    """A date as YYYY-MM-DD; as it was written when no known form fits: a number once given is never thrown away for its date."""
    for written in _WRITTEN:
        try:
            return dt.datetime.strptime(text.strip().replace("T", " ").split(" ")[0], written).date().isoformat()  # noqa: DTZ007 - a day
        except ValueError:
            continue
    return text


def year_of(written: object, day: str) -> int:
    """The year of a registration in four digits; some registers write two, or leave it to the ``day``. Raises ValueError for none."""
    year = int(str(written) if is_number(written) else day[:4])
    return year if year > 99 else 2000 + year


def is_number(number: object) -> bool:
    """Whether a number, or a year, was given: registers that give none say 0, -1, nothing, or a word."""
    text = str(number or "").strip()
    return any(sign in "123456789" for sign in text) and not text.startswith("-")


def full_number(number: object) -> str:
    """Seven digits at least (DPR 445/2000): the services give a bare integer."""
    return str(number).strip().zfill(7)
