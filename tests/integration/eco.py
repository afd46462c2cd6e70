"""An adapter that writes what it is told, for the tests of a bus at work."""

from __future__ import annotations

from bus.adapter import Adapter, Call, Contract, Refused, operation


class Nome(Contract):
    nome: str


class Eco(Adapter):
    """Writes what it is told, and refuses who is called Nessuno."""

    @operation(effect="keyed", timeout=5, refusals={"NESSUNO": "there is nobody"})
    def scrivi(self, request: Nome, ctx: Call) -> Nome:
        if request.nome == "Nessuno":
            raise Refused("no", outside_code="NESSUNO")
        return request
