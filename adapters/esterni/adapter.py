"""Esterni: REST calls to another institution in the style of ModI (BLOCK_REST): one request, one answer, problem+json errors."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from adapters.http.client import HTTP_REFUSALS, Hook, RestClient, RestSettings
from adapters.http.modi import digest
from adapters.http.pdnd import Pdnd
from bus.adapter import Adapter, Call, Contract, operation

FIRM_OR_PERSON = r"^([0-9]{11}|[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z])$"


class EsterniSettings(RestSettings):
    """Settings of one institution's e-service."""

    voucher: str | None = Field(None, description="bearer token agreed with the institution, sent as Authorization")
    pdnd: Pdnd | None = Field(None, description="how PDND is asked for vouchers, in place of `voucher`")
    integrita: bool = Field(True, description="send Digest: SHA-256=... with every body, as INTEGRITY_REST asks")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.voucher is not None and self.pdnd is not None:
            raise ValueError("voucher and pdnd say the same header: leave one of them out")
        return self


class Verifica(Contract):
    """Whose position is to be verified; travels in the body, never in an address."""

    codice_fiscale: str = Field(pattern=FIRM_OR_PERSON)


class Regolarita(Contract):
    """Is the firm's position regular, and until when (``scadenza``, a date) does that hold?"""

    regolare: bool
    scadenza: dt.date | None = None


class Comunicazione(Contract):
    """What is communicated to ``ente``, the institution's IPA code."""

    ente: str = Field(pattern=r"^[A-Za-z0-9_]{2,20}$")
    oggetto: str = Field(min_length=1, max_length=500)
    contenuto: dict[str, Any]


class Ricevuta(Contract):
    """The institution's receipt: its number and the moment it was given (RFC 3339)."""

    ricevuta: str = Field(min_length=1)
    data: dt.datetime


def digest_header(method: str, path: str, body: bytes, ctx: Call) -> Mapping[str, str]:
    """``Digest`` over the very bytes of the body (RFC 3230, ModI INTEGRITY_REST_01)."""
    del method, path, ctx
    return {"Digest": digest(body)} if body else {}


class Esterni(Adapter):
    """Another institution's e-service: a verification (``read``) and a communication (``keyed`` by ``Idempotency-Key``)."""

    Settings = EsterniSettings

    def __init__(self, name: str, settings: EsterniSettings) -> None:
        super().__init__(name, settings)
        headers = {"Authorization": f"Bearer {settings.voucher}"} if settings.voucher else {}
        hooks: tuple[Hook, ...] = (digest_header,) if settings.integrita else ()
        self._client = RestClient(settings, headers, hooks, settings.pdnd)

    def check(self) -> Iterable[str]:
        """Can the key for PDND be read?"""
        return self.settings.pdnd.cautions() if self.settings.pdnd else ()

    def close(self) -> None:
        self._client.close()

    @operation(effect="read", timeout=10, refusals={"NON_TROVATO": "the institution does not know that firm", **HTTP_REFUSALS})
    def verifica_regolarita(self, request: Verifica, ctx: Call) -> Regolarita:
        """Is the firm's position regular? A POST, so that the codice fiscale stays out of addresses and access logs."""
        refusals = self.operations["verifica-regolarita"].refusals
        reply = self._client.send(ctx, "read", "POST", "/regolarita/verifica", body=request.model_dump(mode="json"), refusals=refusals)
        return reply.model(Regolarita, extra="ignore")

    @operation(
        effect="keyed",
        timeout=15,
        settle=60,
        refusals={
            "ENTE_SCONOSCIUTO": "that institution is not served here",
            "CONTENUTO_NON_VALIDO": "the institution does not accept the content",
            "CHIAVE_RIUSATA": "our key was used before with other content",
            **HTTP_REFUSALS,
        },
        echoes=frozenset({"CHIAVE_RIUSATA"}),
    )
    def trasmetti_comunicazione(self, request: Comunicazione, ctx: Call) -> Ricevuta:
        """Communicate something, once per key; the same key again gets the receipt already given."""
        refusals = self.operations["trasmetti-comunicazione"].refusals
        body = request.model_dump(mode="json")
        reply = self._client.send(
            ctx, "keyed", "POST", "/comunicazioni", body=body, expect=(200, 201), refusals=refusals, idempotent=True
        )  # fmt: skip
        return reply.model(Ricevuta, extra="ignore")
