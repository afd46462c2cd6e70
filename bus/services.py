"""The services catalogue (routes/servizi.yaml): what the portal offers. Adding a service is one entry.

``istanza``: an application, with a form (``modulo``, a type) or a route of its own (``percorso``), whose message type is the form;
``informativo``: a page of the website; ``esterno``: a service of another institution. ``tariffa.importo`` is in cents; no ``tariffa`` means
free.
Expressions read an entry with ``lookup("servizi", codice)``; what an entry does not say is null there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bus.expression import Table
from bus.message import JsonValue
from bus.source import Pointer, Reporter, report_empty, suggestion, validated

GENERIC_ROUTE = "servizi.istanza-generica"
"""The route of an application that needs nothing special."""


class Tariffa(BaseModel):
    """What a service costs."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    importo: int = Field(ge=1, le=99_999_999_999, description="Cents of euro")
    causale: str = Field(
        min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$", description="Reason for payment, on one line; no personal data"
    )
    tassonomia: str = Field(default="", pattern=r"^([0-9A-Za-z/]{1,40})?$", description="Code of pagoPA's taxonomy, such as 9/0101108TS/")


class Servizio(BaseModel):
    """One service."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    codice: str = Field(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$", max_length=80, description="Code of the service, unique")
    titolo: str = Field(min_length=1, max_length=160, description="Title for citizens")
    ufficio: str = Field(description="Office, a key of the table uffici")
    tipo: Literal["informativo", "istanza", "esterno"] = Field(description="informativo, istanza or esterno")
    descrizione: str = Field(default="", description="What it is for, one or two sentences")
    modulo: str | None = Field(
        default=None, description="Message type whose schema is the form's; for an istanza without a route of its own"
    )
    tariffa: Tariffa | None = Field(default=None, description="What it costs; free when not said")
    percorso: str | None = Field(default=None, description=f"Route that serves it; {GENERIC_ROUTE} when not said; for an istanza")
    indirizzo: str | None = Field(default=None, pattern=r"^https://\S+$", description="Address of the service; for an esterno")
    pagina: str | None = Field(default=None, min_length=1, description="Page of the website; for an informativo")

    def row(self) -> dict[str, JsonValue]:
        """The entry as a row of the table ``servizi``."""
        row: dict[str, JsonValue] = self.model_dump()
        if self.tipo == "istanza" and self.percorso is None:
            row["percorso"] = GENERIC_ROUTE
        return row


class _Catalogue(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    servizi: list[dict[str, Any]] = Field(description="The services")


_NEEDS = {"istanza": "modulo", "esterno": "indirizzo", "informativo": "pagina"}
_ONLY = {"modulo": "istanza", "percorso": "istanza", "tariffa": "istanza", "indirizzo": "esterno", "pagina": "informativo"}


def read_services(document: Any, report: Reporter) -> dict[str, Servizio]:
    """The services by code; what is wrong with an entry goes to ``report`` and the entry is left out."""
    catalogue = validated(document, _Catalogue, report)
    found: dict[str, Servizio] = {}
    for position, written in enumerate(catalogue.servizi if catalogue else ()):
        pointer: Pointer = ("servizi", position)
        service = validated(written, Servizio, report, pointer)
        if service is None:
            continue
        if service.codice in found:
            report.report((*pointer, "codice"), "service.duplicate", f"there is already a service `{service.codice}`")
        found.setdefault(service.codice, service)
        for name in (name for name, value in written.items() if value is None):  # an emptied `tariffa` would make the service free
            report_empty(report, (*pointer, name))
        _check_kind(service, written, pointer, report)
    return found


def _check_kind(service: Servizio, written: Mapping[str, Any], pointer: Pointer, report: Reporter) -> None:
    needed = _NEEDS[service.tipo]
    if needed not in written and service.percorso in (None, GENERIC_ROUTE):
        hint = Servizio.model_fields[needed].description or ""
        report.report(pointer, "service.missing-field", f"a service of kind `{service.tipo}` needs `{needed}`", hint)
    for name, kind in _ONLY.items():
        if getattr(service, name) is not None and kind != service.tipo:
            report.report((*pointer, name), "service.wrong-field", f"`{name}` is for services of kind `{kind}`", key=True)


def _check_offices(named: Mapping[int, Mapping[str, Any]], offices: Table, report: Reporter) -> None:
    """One finding for each office that there is not, or for a table without any, however many services name it."""
    unknown: dict[str, list[Pointer]] = {}
    for position, written in named.items():
        if isinstance(office := written.get("ufficio"), str) and office not in offices:
            unknown.setdefault(office if offices else "", []).append(("servizi", position, "ufficio"))
    for office, places in unknown.items():
        said = f"there is no office `{office}` in table uffici" if offices else "the table uffici has no row, so that there is no office"
        others = f"; {len(places)} services name it" if offices else f"; {len(places)} services name one"
        report.report(places[0], "service.unknown-office", said + (others if len(places) > 1 else ""), suggestion(office, offices))


def check_services(
    services: Mapping[str, Servizio], document: Any, types: Collection[str], starts: Mapping[str, str | None], inside: Collection[str],
    offices: Table | None, report: Reporter,
) -> None:  # fmt: skip
    """Whether forms, routes and offices that the services name are there, and each application can be presented.

    ``starts`` is the type that starts each route (None: not known); types ``inside`` are those that no portal presents.
    """
    entries = document.get("servizi")
    named = {at: entry for at, entry in enumerate(entries if isinstance(entries, list) else ()) if isinstance(entry, dict)}
    if offices is not None:
        _check_offices(named, offices, report)
    for position, written in named.items():
        service = services.get(str(written.get("codice")))  # None: something of it is wrong, the names in it are looked up all the same
        pointer: Pointer = ("servizi", position)
        form = written.get("modulo")
        if isinstance(form, str) and form not in types:
            hint = suggestion(form, types)
            report.report((*pointer, "modulo"), "service.unknown-form", f"there is no message type `{form}`", hint)
        route = service.row()["percorso"] if service else written.get("percorso")
        if not isinstance(route, str):
            continue
        if route not in starts:
            said = written.get("percorso") is not None
            hint = suggestion(route, starts) if said else "it serves applications without a `percorso`: write such a route, or say which"
            report.report((*pointer, "percorso"), "service.unknown-route", f"there is no route `{route}`", hint)
        elif starts[route] in inside:
            sentence = f"route `{route}` starts from `{starts[route]}`, which no portal presents"
            hint = "name a route that starts from an application, or name `portal` among the senders of its type"
            report.report((*pointer, "percorso"), "service.unsuitable-route", sentence, hint)
        elif service and service.tipo == "istanza" and service.modulo and route != GENERIC_ROUTE:
            sentence = f"the form is the type that starts route `{route}`: `modulo` is for services of `{GENERIC_ROUTE}`"
            report.report((*pointer, "modulo"), "service.wrong-field", sentence, key=True)
