"""The Segnatura: what a registration says about itself. Built element by element, judged by our XSD before it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from adapters.protocollo.modelli import Corrispondente, ProtocolloSettings, Registrazione
from adapters.protocollo.riferimento import marked
from adapters.soap.xml import Element, Schema, add, new

Document: TypeAlias = "tuple[int, str]"
"""The register's id of a document, and its name."""


@lru_cache(maxsize=1)
def schema() -> Schema:
    """The compiled XSD of the Segnatura, once per process."""
    return Schema.of_file(Path(__file__).parent / "contract" / "segnatura.xsd")


def segnatura(request: Registrazione, documents: Sequence[Document], settings: ProtocolloSettings) -> Element:
    """The Segnatura of a request whose documents are already in, the main one first.

    Raises `Malformed` for characters that XML cannot carry.
    """
    root = new("Segnatura")
    heading = add(root, "Intestazione")
    add(heading, "Oggetto", marked(request.oggetto, request.riferimento, settings.oggetto_massimo))
    known = add(heading, "Identificatore")
    add(known, "CodiceAmministrazione", settings.amministrazione)
    add(known, "CodiceAOO", settings.aoo)
    add(known, "Flusso", request.flusso)
    uo = request.uo or settings.uo
    _party(add(heading, "Mittente"), request.mittente if request.flusso == "E" else None, settings, uo)
    _party(add(heading, "Destinatario"), request.destinatario if request.flusso == "U" else None, settings, uo)
    if request.classifica:
        _classified(heading, request.classifica, settings)
    _described(add(root, "Descrizione"), documents)
    _routed(root, request, settings, uo)
    return root


def _party(parent: Element, who: Corrispondente | None, settings: ProtocolloSettings, uo: str) -> None:
    """The other side as a person; our own administration where there is none."""
    if who is None:
        own = add(parent, "Amministrazione")
        add(own, "Denominazione", settings.denominazione)
        add(own, "CodiceAmministrazione", settings.amministrazione)
        add(own, "IndirizzoTelematico")
        add(own, "UnitaOrganizzativa", id=uo)
        add(add(parent, "AOO"), "CodiceAOO", settings.aoo)
        return
    person = add(parent, "Persona", id=who.codice_fiscale or "")
    said = {"Nome": who.nome, "Cognome": who.cognome, "CodiceFiscale": who.codice_fiscale, "Denominazione": who.denominazione}
    for name, text in said.items():
        if text:
            add(person, name, text)


def _classified(heading: Element, code: str, settings: ProtocolloSettings) -> None:
    classified = add(heading, "Classifica")
    add(classified, "CodiceAmministrazione", settings.amministrazione)
    add(classified, "CodiceAOO", settings.aoo)
    add(classified, "CodiceTitolario", code)


def _described(parent: Element, documents: Sequence[Document]) -> None:
    (main, *others) = documents
    add(parent, "Documento", id=str(main[0]), nome=main[1])
    if others:
        attached = add(parent, "Allegati")
        for number, name in others:
            add(attached, "Documento", id=str(number), nome=name)


def _routed(root: Element, request: Registrazione, settings: ProtocolloSettings, uo: str) -> None:
    """Where the registration goes once it is made: the vendor's own parameters."""
    parameters = {"riferimento": request.riferimento, "uo": uo, "tipoSmistamento": request.tipo_smistamento or settings.tipo_smistamento}
    application = add(root, "ApplicativoProtocollo", nome=settings.applicativo)
    for name, value in parameters.items():
        if value:
            add(application, "Parametro", nome=name, valore=value)
