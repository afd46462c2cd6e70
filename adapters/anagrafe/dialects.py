"""How each registry says the same things: data, no code. A third vendor is a `Dialect` written in ``config.yaml``.

A **path** walks nested values by names joined with dots; ``a|b`` tries the second when the first is absent or empty.
A **template** is text with ``{names}`` of the request, of the settings' ``credenziali`` and of the call (``{numero}``, ``{adesso}``);
what comes out empty is not sent.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from adapters.soap.client import put
from bus.adapter import Contract
from bus.clock import ROME

_AS_TODAY = 1996
"""Since then Italy's summer time is as long as today. .NET counts it so for all years, and writes earlier midnights an hour early."""
_NO_DATE = re.compile(r"(?:0000.00.00|00.00.0000|00000000|0001.01.01|01.01.0001)(?:[T ][0:.]+)?")
_PARTS = re.compile("%(.)")


class Question(Contract):
    """One of their operations: what to send, where the answer is, how it says no."""

    operazione: str = Field(description="name of the operation in their WSDL")
    valori: dict[str, str] = Field(description="path in the request -> template")
    risultato: str = Field(default="", description="path of the answer; absent means not found")
    campi: dict[str, str] = Field(default_factory=dict, description="our field -> path in the answer")
    errori: str = Field(default="", description="path of the error or list of errors said inside a success")
    codice: str = Field(default="", description="path of the code in an error")
    testo: str = Field(default="", description="path of the sentence in an error")
    solo_avviso: dict[str, str] = Field(default_factory=dict, description="an error with this value at this path is a mere warning")
    codici: dict[str, str] = Field(default_factory=dict, description="their code -> ours")


class Dialect(Contract):
    """All that differs from one registry to another."""

    contratto: str = Field(default="", description="WSDL beside this file; empty when the settings must name it")
    porta: str = Field(default="", description="port of the WSDL; empty takes the first")
    formato_data: str = Field(default="%Y-%m-%d", description="how dates are written where the contract types them as text")
    deceduto: tuple[str, ...] = Field(
        default=(), description="texts that mean deceased; empty: any value but false, 0 and a date that is none"
    )
    cerca: Question = Field(description="looks for a person")
    certificato: Question | None = Field(default=None, description="issues one; none: this registry issues no certificates")


_PERSON_CODES = {"EN042": "NON_TROVATO", "EN043": "AMBIGUO", "EN067": "AMBIGUO", "EN131": "AMBIGUO"}
_ERROR = {"codice": "codiceErroreAnomalia", "testo": "testoErroreAnomalia", "solo_avviso": {"tipoErroreAnomalia": "W"}}

ANPR = Dialect(
    contratto="anagrafe.wsdl",
    cerca=Question(
        operazione="ricercaSoggetto",
        valori={
            "testata.codMittente": "{comune}",
            "testata.dataOraRichiesta": "{adesso}",
            "codiceFiscale.codFiscale": "{codice_fiscale}",
        },
        risultato="soggetto",
        campi={
            "codice_fiscale": "codiceFiscale.codFiscale",
            "cognome": "cognome",
            "nome": "nome",
            "data_nascita": "dataNascita",
            "sesso": "sesso",
            "luogo_nascita": "luogoNascita",
            "residenza.via": "residenza.via",
            "residenza.civico": "residenza.civico",
            "residenza.cap": "residenza.cap",
            "residenza.comune": "residenza.comune",
            "residenza.provincia": "residenza.provincia",
            "deceduto": "dataDecesso",
        },
        errori="listaErrori.errore",
        codici=_PERSON_CODES,
        **_ERROR,  # type: ignore[arg-type]
    ),
    certificato=Question(
        operazione="emissioneCertificato",
        valori={
            "testataRichiesta.idOperazioneComune": "{numero}",
            "testataRichiesta.codMittente": "{comune}",
            "testataRichiesta.codDestinatario": "999999",
            "testataRichiesta.operazioneRichiesta": "6001",
            "testataRichiesta.dataOraRichiesta": "{adesso}",
            "testataRichiesta.tipoOperazione": "C",
            "testataRichiesta.tipoInvio": "{tipo_invio}",
            "listaTipiCertificati.tipoCertificato": "{tipo}",
            "soggettoIntestatario.codiceFiscale.codFiscale": "{codice_fiscale}",
            "datiControllo.esenzioneBollo": "{esenzione}",
            "datiControllo.usoCertificato": "{uso}",
            "datiControllo.ricevutaPagamento": "{ricevuta}",
        },
        risultato="Risposta6001OK",
        campi={
            "numero": "protocolloANPR.numeroProtocolloANPR",
            "data": "testataRisposta.dataOraRichiesta",
            "codice_fiscale": "soggettoIntestatario.codiceFiscale.codFiscale",
            "file": "file.certificatoPdf",
        },
        errori="Risposta6001KO.listaErrori.errore",
        codici=_PERSON_CODES | {"EN044": "AIRE", "EN054": "DECEDUTO", "ID001": "ID_INFERIORE"},
        **_ERROR,  # type: ignore[arg-type]
    ),
)

WSANAGRAFE2 = Dialect(
    deceduto=("1", "S", "SI", "true"),
    cerca=Question(
        operazione="getPersonaFisica",
        valori={"token": "{token}", "codiceFiscale": "{codice_fiscale}"},
        risultato="getPersonaFisicaResult",
        campi={
            "codice_fiscale": "CODICEFISCALE",
            "cognome": "NOMINATIVO",
            "nome": "NOME",
            "data_nascita": "DATANASCITA",
            "sesso": "SESSO",
            "luogo_nascita": "ComuneNascita.COMUNE|CODCOMNASCITA",
            "residenza.via": "INDIRIZZO",
            "residenza.cap": "CAP",
            "residenza.comune": "ComuneResidenza.COMUNE|CITTA",
            "residenza.provincia": "ComuneResidenza.SIGLAPROVINCIA|PROVINCIA",
            "deceduto": "FLAG_DISABILITATO",
        },
    ),
)

SHIPPED: Mapping[str, Dialect] = {"anpr": ANPR, "wsanagrafe2": WSANAGRAFE2}


def filled(templates: Mapping[str, str], names: Mapping[str, Any]) -> dict[str, Any]:
    """The nested request that ``templates`` describe. Raises KeyError for a name that nobody gives."""
    request: dict[str, Any] = {}
    for path, template in templates.items():
        text = template.format_map({name: "" if value is None else value for name, value in names.items()})
        if text:
            put(request, path, text)
    return request


def dig(values: Any, paths: str) -> Any:
    """The first value that is there on one of the paths ``a.b|c``, or None."""
    for path in paths.split("|"):
        found = values
        for name in path.split(".") if path else ():
            found = found.get(name) if isinstance(found, Mapping) else None
        if found not in (None, "", []):
            return found
    return None


def day_of(value: Any, written: str) -> str:
    """A date of theirs as YYYY-MM-DD: a moment with an offset is a day in Rome (23:00Z of the eve is our midnight). Raises ValueError.

    Empty where there is no date, and where zeros stand for a day or a month that nobody knows, as of many who were born abroad.
    """
    if is_no_date(value):
        return ""
    if isinstance(value, dt.datetime):
        there = value.astimezone(ROME) if value.tzinfo else value
        if value.tzinfo and there.year < _AS_TODAY and there.time() == dt.time(23):
            there += dt.timedelta(hours=1)
        return there.date().isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    try:
        return dt.datetime.strptime(str(value), written).date().isoformat()  # noqa: DTZ007 - only the day is kept
    except ValueError:
        if _is_half_known(str(value), written):
            return ""
        raise


def _is_half_known(text: str, written: str) -> bool:
    """Whether a date that is written so has zeros for its day or its month."""
    shape = _PARTS.sub(lambda part: "([0-9]{2})" if part[1] in "dm" else r"[0-9]+", re.escape(written))
    found = re.fullmatch(shape, text)
    return found is not None and "00" in found.groups()


def is_no_date(value: Any) -> bool:
    """Whether a registry says so that there is none: .NET with the first day of the year 1, MySQL with zeros."""
    if isinstance(value, dt.date):
        return value.year == 1
    return _NO_DATE.fullmatch(str(value)) is not None
