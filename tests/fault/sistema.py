"""The adapter of the outside system of the fault suite: an operation of every effect class, and an ordered lane, over REST."""

from __future__ import annotations

import dataclasses
from urllib.parse import quote

from pydantic import Field

from adapters.rest import HTTP_REFUSALS, RestClient, RestSettings
from bus.adapter import Adapter, Call, Contract, Refused, operation


class Domanda(Contract):
    """``chi`` names the one thing that is to be done, so that the ledger can tell doubles."""

    chi: str


class Risposta(Contract):
    chi: str
    numero: int = 0


class SistemaSettings(RestSettings):
    """Settings of the system of the fault suite."""

    timeout: float = Field(2.0, gt=0, description="seconds for every call")
    settle: float = Field(2.0, ge=0, description="seconds after which a call that timed out has no effect any more")


class Sistema(Adapter):
    """Every effect class; what is ``keyed`` goes with our key, what is ``queryable`` is found again by ``chi``."""

    Settings = SistemaSettings

    def __init__(self, name: str, settings: SistemaSettings) -> None:
        super().__init__(name, settings)
        self._client = RestClient(settings)
        times = {"timeout": settings.timeout, "settle": settings.settle}
        vars(self)["operations"] = {name: dataclasses.replace(one, **times) for name, one in type(self).operations.items()}

    @operation(effect="read", timeout=2, refusals=HTTP_REFUSALS)
    def leggi(self, request: Domanda, ctx: Call) -> Risposta:
        return self._client.send(ctx, "read", "GET", f"/leggi/{quote(request.chi, safe='')}").model(Risposta)

    @operation(effect="keyed", timeout=2, refusals=HTTP_REFUSALS)
    def scrivi(self, request: Domanda, ctx: Call) -> Risposta:
        return self._post("keyed", "/scrivi", request, ctx)

    @operation(effect="keyed", timeout=2, sequence="fila", concurrency=1, refusals=HTTP_REFUSALS)
    def in_fila(self, request: Domanda, ctx: Call) -> Risposta:
        return self._post("keyed", "/fila", request, ctx, {"numero": ctx.number})

    @operation(effect="queryable", timeout=2, settle=2, refusals=HTTP_REFUSALS)
    def registra(self, request: Domanda, ctx: Call) -> Risposta:
        return self._post("queryable", "/registra", request, ctx)

    @registra.probe
    def cerca(self, request: Domanda, ctx: Call) -> Risposta | None:
        try:
            return self._client.send(ctx, "read", "GET", f"/registra/{quote(request.chi, safe='')}").model(Risposta)
        except Refused as refused:
            if refused.outside_code == "HTTP_404":
                return None
            raise

    @operation(effect="once", timeout=2, refusals=HTTP_REFUSALS)
    def spedisci(self, request: Domanda, ctx: Call) -> Risposta:
        return self._post("once", "/spedisci", request, ctx)

    def _post(self, effect: str, path: str, request: Domanda, ctx: Call, more: dict[str, object] | None = None) -> Risposta:
        body = {"chi": request.chi, **(more or {})}
        return self._client.send(ctx, effect, "POST", path, body=body, idempotent=effect == "keyed").model(Risposta)

    def close(self) -> None:
        self._client.close()
