"""Scrivania: puts a matter on the desk of the employee who is in charge, by office and service."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from adapters.http.client import HTTP_REFUSALS, RestClient, RestSettings
from bus.adapter import Adapter, Call, Contract, Text, operation


class ScrivaniaSettings(RestSettings):
    """Settings of the desks system."""

    chiave: Text = Field(description="API key of the bus, sent as X-Api-Key")
    riserva: str | None = Field(None, description="desk that takes what no open office can take; without it such a request is refused")


class Assegnazione(Contract):
    """What goes on a desk. By ``ufficio`` and ``servizio`` the desks choose it; ``riferimento`` is our reference, shown to the employee."""

    ufficio: str = Field(min_length=1, max_length=60)
    servizio: str = Field(min_length=1, max_length=120)
    oggetto: str = Field(min_length=1, max_length=500)
    riferimento: str = Field(min_length=1, max_length=120)
    pratica: str | None = Field(None, max_length=60)
    protocollo: str | None = Field(None, max_length=60)


class Elemento(Contract):
    """The item's number, the desk it lies on, and who sits there.

    ``riserva`` says that the reserve desk took it, because the office is unknown, closed or without that service.
    """

    elemento: str
    scrivania: str
    incaricato: str
    riserva: bool = False


class Scrivania(Adapter):
    """The desks system: ``POST /elementi``, idempotent by ``Idempotency-Key``."""

    Settings = ScrivaniaSettings

    def __init__(self, name: str, settings: ScrivaniaSettings) -> None:
        super().__init__(name, settings)
        self._client = RestClient(settings, {"X-Api-Key": settings.chiave})

    def close(self) -> None:
        self._client.close()

    @operation(
        effect="keyed",
        timeout=10,
        settle=30,
        refusals={
            "UFFICIO_SCONOSCIUTO": "no office with that code, and no reserve desk is configured",
            "UFFICIO_CHIUSO": "the office is closed, and no reserve desk is configured",
            "SERVIZIO_NON_COPERTO": "nobody in that office handles that service, and no reserve desk is configured",
            "SCRIVANIA_SCONOSCIUTA": "the configured reserve desk does not exist",
            "CHIAVE_RIUSATA": "our key was used before with other content",
            **HTTP_REFUSALS,
        },
        echoes=frozenset({"CHIAVE_RIUSATA"}),
    )
    def assegna(self, request: Assegnazione, ctx: Call) -> Elemento:
        """Put an item on the right desk; the reserve desk is part of the same request, so that one key makes one item."""
        body: dict[str, Any] = request.model_dump(exclude_none=True)
        if self.settings.riserva:
            body["riserva"] = self.settings.riserva
        refusals = self.operations["assegna"].refusals
        reply = self._client.send(ctx, "keyed", "POST", "/elementi", body=body, expect=(200, 201), refusals=refusals, idempotent=True)
        return reply.model(Elemento, extra="ignore")
