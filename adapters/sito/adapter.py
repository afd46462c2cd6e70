"""Sito: publishes the catalogue of services on the municipality's website."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from adapters.http.client import HTTP_REFUSALS, RestClient, RestSettings
from adapters.http.outcome import no_answer
from bus.adapter import Adapter, Call, Contract, Text, operation
from bus.message import digest


class SitoSettings(RestSettings):
    """Settings of the website's publishing interface."""

    chiave: Text = Field(description="publishing key, sent as Authorization: Bearer")


class Pubblicazione(Contract):
    """The whole catalogue: an object whose ``servizi`` is the list of services, each with a ``codice``."""

    catalogo: dict[str, Any]

    @field_validator("catalogo")
    @classmethod
    def _has_services(cls, catalogo: dict[str, Any]) -> dict[str, Any]:
        services = catalogo.get("servizi")
        if not isinstance(services, list) or not all(isinstance(one, dict) and one.get("codice") for one in services):
            raise ValueError("a catalogue has a list `servizi`, and each service a `codice`")
        if len({one["codice"] for one in services}) != len(services):
            raise ValueError("two services have the same `codice`")
        return catalogo


class Pubblicato(Contract):
    """How many services are on the site now, and the SHA-256 of the bytes sent (the catalogue's canonical form)."""

    pubblicati: int
    digest: str


class Sito(Adapter):
    """The website: ``PUT /catalogo`` replaces the whole catalogue, so that sending it again changes nothing."""

    Settings = SitoSettings

    def __init__(self, name: str, settings: SitoSettings) -> None:
        super().__init__(name, settings)
        self._client = RestClient(settings, {"Authorization": f"Bearer {settings.chiave}"})

    def close(self) -> None:
        self._client.close()

    @operation(
        effect="keyed",
        timeout=20,
        settle=60,
        sequence="catalogo",
        concurrency=1,
        refusals={
            "VERSIONE_SUPERATA": "a newer catalogue is already published",
            "CATALOGO_NON_VALIDO": "the site cannot show this catalogue",
            **HTTP_REFUSALS,
        },
    )
    def pubblica_catalogo(self, request: Pubblicazione, ctx: Call) -> Pubblicato:
        """Replace the published catalogue; the site's digest must be ours. The number keeps a late resend from undoing a newer one."""
        refusals = self.operations["pubblica-catalogo"].refusals
        headers = {"X-Versione-Catalogo": str(ctx.number)}
        reply = self._client.send(
            ctx, "keyed", "PUT", "/catalogo", body=request.catalogo, headers=headers, expect=(200, 201), refusals=refusals
        )
        published, ours = reply.model(Pubblicato, extra="ignore"), digest(request.catalogo)
        if published.digest != ours:
            raise no_answer(
                "keyed", "the site shows another catalogue than the one sent", evidence={"digest": published.digest}, answered=True
            )
        return published
