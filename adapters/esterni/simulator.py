"""Another institution's e-service: verifications, and communications in its ledger (kind ``comunicazione``)."""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import hashlib
from typing import Any

from adapters.simulator import Reply, Request, Simulator, main

STATUS = {"NON_TROVATO": 404, "CHIAVE_RIUSATA": 409}
NAMES = {"/regolarita/verifica": "verifica", "/comunicazioni": "comunicazione"}


class Istituzione(Simulator):
    """An institution that answers in the style of ModI."""

    name = "esterni"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--voucher", default="", help="bearer token callers must send; none asked when empty")
        parser.add_argument("--irregular", action="append", default=[], help="codice fiscale of a firm in an irregular position")
        parser.add_argument("--unknown", action="append", default=[], help="codice fiscale of a firm nobody knows")

    def operation_of(self, request: Request) -> str:
        return NAMES.get(request.path, super().operation_of(request))

    def refuse(self, request: Request, code: str) -> Reply:
        return Reply.problem(STATUS.get(code, 422), code)

    def handle(self, request: Request) -> Reply:
        if self.options.voucher and request.headers.get("authorization") != f"Bearer {self.options.voucher}":
            return Reply.problem(401, "NON_AUTENTICATO")
        name = NAMES.get(request.path)
        if request.method != "POST" or name is None:
            return Reply.problem(404, "RISORSA_SCONOSCIUTA")
        if "digest" in request.headers and request.headers["digest"] != _digest(request.body):
            return Reply.problem(400, "DIGEST_NON_VALIDO")
        try:
            asked = request.json()
        except ValueError:
            return Reply.problem(400, "JSON_NON_VALIDO")
        reply = self._verify(asked) if name == "verifica" else self._communicate(request.headers.get("idempotency-key", ""), asked)
        correlation = {"X-Correlation-ID": request.headers.get("x-correlation-id", ""), "GovWay-Transaction-ID": "simulata"}
        return Reply(reply.status, reply.body, reply.media_type, correlation)

    def _verify(self, asked: dict[str, Any]) -> Reply:
        firm = asked.get("codice_fiscale")
        if firm in self.options.unknown:
            return Reply.problem(404, "NON_TROVATO")
        if firm in self.options.irregular:
            return Reply.json({"regolare": False})
        return Reply.json({"regolare": True, "scadenza": (dt.datetime.now(dt.UTC).date() + dt.timedelta(days=120)).isoformat()})

    def _communicate(self, key: str, asked: dict[str, Any]) -> Reply:
        if not key:
            return Reply.problem(400, "CHIAVE_MANCANTE")
        if not asked.get("contenuto"):
            return Reply.problem(422, "CONTENUTO_NON_VALIDO")
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        made, fresh = self.ledger.once("comunicazione", key, {"richiesta": asked, "data": now})
        if made["detail"]["richiesta"] != asked:
            return Reply.problem(409, "CHIAVE_RIUSATA")
        return Reply.json({"ricevuta": f"RIC-{made['id']:08d}", "data": made["detail"]["data"]}, 201 if fresh else 200)


def _digest(body: bytes) -> str:
    return "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()


if __name__ == "__main__":
    main(Istituzione)
