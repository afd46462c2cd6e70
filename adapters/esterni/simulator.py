"""Another institution's e-service: verifications, and communications in its ledger (kind ``comunicazione``).

With ``--pdnd-key`` it plays PDND too, at ``/token.oauth2``: vouchers are given for assertions that this key signed, each once (kind
``voucher``), and callers must send one that is good. With ``--e-service`` callers must also say who asks (kind ``evidence``), in a
tracking evidence that the voucher is bound to, and sign what they send.
"""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import hashlib
import json
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from adapters.simulator import Reply, Request, Simulator, main

STATUS = {"NON_TROVATO": 404, "CHIAVE_RIUSATA": 409}
NAMES = {"/regolarita/verifica": "verifica", "/comunicazioni": "comunicazione", "/token.oauth2": "voucher"}


class Istituzione(Simulator):
    """An institution that answers in the style of ModI."""

    name = "esterni"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--voucher", default="", help="bearer token callers must send; none asked when empty")
        parser.add_argument("--pdnd-key", default="", help="public RSA key (PEM) of who asks for vouchers; no PDND is played when empty")
        parser.add_argument("--e-service", default="", help="audience of what must be signed for it (AUDIT_REST_02, INTEGRITY_REST_02)")
        parser.add_argument("--lasts", type=int, default=600, help="seconds for which a voucher is good")
        parser.add_argument("--irregular", action="append", default=[], help="codice fiscale of a firm in an irregular position")
        parser.add_argument("--unknown", action="append", default=[], help="codice fiscale of a firm nobody knows")

    def operation_of(self, request: Request) -> str:
        return NAMES.get(request.path, super().operation_of(request))

    def refuse(self, request: Request, code: str) -> Reply:
        return Reply.problem(STATUS.get(code, 422), code)

    def handle(self, request: Request) -> Reply:
        name = NAMES.get(request.path)
        if name == "voucher" and self.options.pdnd_key:
            return self._give_voucher(dict(parse_qsl(request.body.decode())))
        if not self._lets_in(request.headers.get("authorization", "")):
            return Reply.problem(401, "NON_AUTENTICATO")
        if request.method != "POST" or name is None:
            return Reply.problem(404, "RISORSA_SCONOSCIUTA")
        if "digest" in request.headers and request.headers["digest"] != _digest(request.body):
            return Reply.problem(400, "DIGEST_NON_VALIDO")
        if self.options.e_service and (lacking := self._lacking(request)):
            return Reply.problem(400, lacking)
        try:
            asked = request.json()
        except ValueError:
            return Reply.problem(400, "JSON_NON_VALIDO")
        reply = self._verify(asked) if name == "verifica" else self._communicate(request.headers.get("idempotency-key", ""), asked)
        correlation = {"X-Correlation-ID": request.headers.get("x-correlation-id", ""), "GovWay-Transaction-ID": "simulata"}
        return Reply(reply.status, reply.body, reply.media_type, correlation)

    def _lets_in(self, header: str) -> bool:
        if self.options.pdnd_key:
            given = self.ledger.find("voucher", header.removeprefix("Bearer "))
            return given is not None and given["time"] + self.options.lasts > time.time()
        return not self.options.voucher or header == f"Bearer {self.options.voucher}"

    def _lacking(self, request: Request) -> str:
        """What is not as ModI wants it; empty where all is."""
        evidence, signature = (request.headers.get(name, "") for name in ("agid-jwt-trackingevidence", "agid-jwt-signature"))
        voucher = self.ledger.find("voucher", request.headers["authorization"].removeprefix("Bearer "))
        if voucher is None or voucher["detail"].get("digest") != hashlib.sha256(evidence.encode()).hexdigest():
            return "VOUCHER_DI_ALTRI"
        try:
            who, what = (_claims(one, Path(self.options.pdnd_key).read_bytes()) for one in (evidence, signature))
        except (ValueError, InvalidSignature):
            return "FIRMA_NON_VALIDA"
        if any(one["aud"] != self.options.e_service or not one["nbf"] <= time.time() < one["exp"] for one in (who, what)):
            return "FIRMA_PER_ALTRI"
        if what["signed_headers"] != [{name: request.headers.get(name, "")} for name in ("digest", "content-type")]:
            return "INTESTAZIONI_NON_FIRMATE"
        self.ledger.effect("evidence", who["jti"], who)
        return ""

    def _give_voucher(self, form: dict[str, str]) -> Reply:
        try:
            claims = _claims(form.get("client_assertion", ""), Path(self.options.pdnd_key).read_bytes())
        except (ValueError, InvalidSignature):
            return _no_voucher("015-0001", "the client assertion is not valid")
        if form.get("grant_type") != "client_credentials" or not claims["iat"] - 5 <= time.time() < claims["exp"]:
            return _no_voucher("015-0002", "the client assertion is not good now")
        if not claims["iss"] == claims["sub"] == form.get("client_id") or not claims["aud"].endswith("/client-assertion"):
            return _no_voucher("015-0003", "the client assertion is for somebody else")
        _, fresh = self.ledger.once("assertion", claims["jti"], claims)
        if not fresh:
            return _no_voucher("015-0004", "the client assertion was used before")
        token = f"{_part(b'{}')}.{_part(json.dumps({'purposeId': claims['purposeId']}).encode())}.{secrets.token_urlsafe(16)}"
        bound = {"digest": claims["digest"]["value"]} if "digest" in claims else {}
        self.ledger.effect("voucher", token, {"purposeId": claims["purposeId"], **bound})
        return Reply.json({"access_token": token, "token_type": "Bearer", "expires_in": self.options.lasts})

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


def _claims(assertion: str, key: bytes) -> dict[str, Any]:
    """What a signed assertion says; raises ValueError, InvalidSignature."""
    head, said, signature = assertion.split(".")
    if json.loads(_bytes(head))["alg"] != "RS256":
        raise ValueError("another algorithm")
    public: Any = load_pem_public_key(key)
    public.verify(_bytes(signature), f"{head}.{said}".encode(), PKCS1v15(), SHA256())
    claims: dict[str, Any] = json.loads(_bytes(said))
    return claims


def _bytes(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _no_voucher(code: str, detail: str) -> Reply:
    """The reply with which PDND refuses a voucher."""
    return Reply.json({"status": 400, "title": "The request contains bad syntax", "errors": [{"code": code, "detail": detail}]}, 400)


def _digest(body: bytes) -> str:
    return "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()


if __name__ == "__main__":
    main(Istituzione)
