"""An adapter for tests that ends the process it works in, or hangs; every call is a line of its ledger, written before anything else."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from bus.adapter import Adapter, Call, Contract, InDoubt, Settings, operation


class Cosa(Contract):
    x: str


class KillerSettings(Settings):
    ledger: str


class Killer(Adapter):
    Settings = KillerSettings

    def _do(self, name: str, request: Cosa) -> Cosa:
        with Path(self.settings.ledger).open("a", encoding="utf-8") as ledger:
            ledger.write(f"{name} {request.x}\n")
        if request.x.startswith("veleno"):
            os.kill(os.getpid(), signal.SIGKILL)
        if request.x.startswith("appeso"):
            time.sleep(600)
        return request

    @operation(effect="read", timeout=1)
    def leggi(self, request: Cosa, ctx: Call) -> Cosa:
        return self._do("leggi", request)

    @operation(effect="keyed", timeout=1)
    def scrivi(self, request: Cosa, ctx: Call) -> Cosa:
        return self._do("scrivi", request)

    @operation(effect="queryable", timeout=0.2, settle=0.2)
    def registra(self, request: Cosa, ctx: Call) -> Cosa:
        if request.x == "incerta":
            raise InDoubt("nobody knows")
        return self._do("registra", request)

    @registra.probe
    def cerca(self, request: Cosa, ctx: Call) -> Cosa | None:
        if request.x == "incerta":
            self._do("cerca", Cosa(x="veleno"))
        return None

    @operation(effect="keyed", timeout=1, settle=3600, sequence="fila", concurrency=1)
    def fila(self, request: Cosa, ctx: Call) -> Cosa:
        return self._do("fila", request)
