"""Vouchers of PDND, the national platform through which institutions call each other's e-services.

A voucher is a token that is asked for with an assertion that our private key signs (RFC 7523, RS256), and is good for one purpose.

Where the e-service wants to know who on our side asks, a voucher is bound to the tracking evidence that says so (its digest is in the
assertion): one that tells of a single message serves for that call alone.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from adapters.http import modi
from adapters.http.jws import private, signed, unsigned
from adapters.http.tokens import Token, Tokens
from adapters.shapes import WebAddress
from bus.adapter import Call, Caution, LocalFile, LocalFileOrNone, Settings, Text, Unreachable
from bus.network import Proxy

ASSERTED = 120
"""Seconds for which an assertion of ours is good, and a signature; it is used at once, and once."""
TRACKED = 900
"""Seconds for which a tracking evidence is good, and at most the voucher that is bound to it."""


class Pdnd(Settings):
    """How vouchers of PDND are asked for: one client, one key, one purpose."""

    client: Text = Field(description="id of our client at PDND (a UUID)")
    kid: Text = Field(description="id that PDND gave to our key")
    key: LocalFile = Field(description="file (PEM) of the private RSA key whose public one PDND has")
    purpose: Text = Field(description="id of the purpose that the provider approved (purposeId)")
    url: WebAddress = Field("https://auth.interop.pagopa.it/token.oauth2", description="where vouchers are asked for")
    audience: str = Field("", description="whom our assertion is for; empty: the host of `url` and /client-assertion, as PDND wants it")
    ca: LocalFileOrNone = Field(None, description="file of the authorities to trust for `url`, instead of those of this machine")
    e_service: str = Field("", description="whom signed headers are for, as PDND shows it (aud); empty: the `url` of the system")
    integrity: bool = Field(False, description="sign each body that is sent: Digest and Agid-JWT-Signature (INTEGRITY_REST_02)")
    audit: modi.Audit | None = Field(None, description="who on our side asks: Agid-JWT-TrackingEvidence (AUDIT_REST_02)")

    @property
    def headers(self) -> frozenset[str]:
        """The headers that go with a request, in lowercase."""
        of_integrity = {"digest", modi.SIGNATURE.lower()} if self.integrity else set[str]()
        return frozenset({"authorization", *of_integrity, *({modi.EVIDENCE.lower()} if self.audit else ())})

    def cautions(self) -> Iterator[Caution]:
        """What is wrong with the key on this machine, which need not be the one that calls."""
        try:
            private(Path(self.key))
        except (OSError, ValueError, TypeError) as error:
            yield Caution(f"pdnd.key: no private RSA key can be read there: {getattr(error, 'strerror', '') or error}")

    def tokens(self, system: str, proxy: Proxy | None) -> Tokens:
        return Vouchers(self, proxy, e_service=self.e_service or system)


@dataclass(slots=True)
class Vouchers(Tokens):
    """The voucher of one system. ``e_service`` is whom signed headers are for."""

    e_service: str = ""
    refused = "PDND gives no voucher"

    def headers(self, ctx: Call, content: bytes = b"", media_type: str = "") -> dict[str, str]:
        """``Authorization``, with a voucher that is good now, and what ModI wants beside it for this body.

        Raises `Unreachable` where there is none within ``ctx.left`` seconds.
        """
        voucher = self.new(ctx) if self._each else self.one(ctx)
        made = {"Authorization": f"Bearer {voucher.value}"}
        if voucher.evidence:
            made[modi.EVIDENCE] = voucher.evidence
            ctx.wire("out", unsigned(voucher.evidence).encode(), "application/jwt", modi.EVIDENCE)
        if self.settings.integrity and content:
            made["Digest"] = modi.digest(content)
            headers = [{"digest": made["Digest"]}, {"content-type": media_type}]
            made[modi.SIGNATURE] = self._signed(self._claims(ctx, ASSERTED, signed_headers=headers), "the request is not signed")
        return made

    def forget(self, header: str, begun: float) -> bool:
        return not self._each and Tokens.forget(self, header, begun)

    @property
    def _each(self) -> bool:
        """Whether each call has a voucher of its own: it is bound to what tells of one message."""
        return self.settings.audit is not None and not self.settings.audit.user

    def new(self, ctx: Call) -> Token:
        evidence = self._evidence(ctx)
        assertion = self._assertion(ctx, evidence)
        form = {
            "client_id": self.settings.client,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "grant_type": "client_credentials",
        }
        voucher = self.ask(ctx, {**form, "client_assertion": assertion}, {**form, "client_assertion": unsigned(assertion)})
        return replace(voucher, evidence=evidence, until=min(voucher.until, voucher.since + TRACKED)) if evidence else voucher

    def _assertion(self, ctx: Call, evidence: str) -> str:
        """Says who we are and for what we ask; bound to the tracking evidence, where there is one."""
        wanted, now = self.settings, int(ctx.now.timestamp())
        claims: dict[str, Any] = {
            "iss": wanted.client, "sub": wanted.client, "purposeId": wanted.purpose, "jti": str(uuid.uuid4()),
            "iat": now, "exp": now + ASSERTED, "aud": wanted.audience or f"{urlsplit(wanted.url).netloc}/client-assertion",
        }  # fmt: skip
        if evidence:
            claims["digest"] = {"alg": "SHA256", "value": hashlib.sha256(evidence.encode()).hexdigest()}
        return self._signed(claims, "PDND is not asked for a voucher")

    def _evidence(self, ctx: Call) -> str:
        """The tracking evidence, signed; nothing where none is wanted."""
        audit = self.settings.audit
        if audit is None:
            return ""
        more = {"purposeId": self.settings.purpose, **modi.tracked(ctx, audit)}
        return self._signed(self._claims(ctx, TRACKED, **more), "PDND is not asked for a voucher")

    def _claims(self, ctx: Call, lasts: int, **more: Any) -> dict[str, Any]:
        return modi.claims(ctx, self.e_service, lasts, iss=self.settings.client, sub=self.settings.client, **more)

    def _signed(self, claims: Mapping[str, Any], otherwise: str) -> str:
        """Raises `Unreachable`, with what happens ``otherwise``, where our key cannot be read."""
        try:
            return signed(Path(self.settings.key), self.settings.kid, claims)
        except (OSError, ValueError, TypeError) as error:
            why = getattr(error, "strerror", "") or "it is no private RSA key"
            raise Unreachable(f"{otherwise}: our key cannot be read: {why}", locked_out=True) from None
