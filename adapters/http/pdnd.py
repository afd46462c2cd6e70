"""Vouchers of PDND, the national platform through which institutions call each other's e-services.

A voucher is asked for with an assertion that our private key signs (RFC 7523, RS256), is good for one purpose and for some minutes, and
goes with each request as ``Authorization: Bearer``. It is kept in memory until shortly before its end; a process that has none asks, so
nothing of it need outlive a restart. Until it is here nothing was asked of the e-service: whatever fails before is `Unreachable`.

Where the e-service wants to know who on our side asks, a voucher is bound to the tracking evidence that says so (its digest is in the
assertion): one that tells of a single message serves for that call alone.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from pydantic import Field

from adapters.http import modi
from adapters.http.jws import private, signed, unsigned
from adapters.http.link import Link
from adapters.http.message import Reply, inflated
from adapters.http.outcome import exchanged, refuse_cut, retry_after_of
from adapters.shapes import WebAddress
from bus.adapter import Call, Caution, LocalFile, LocalFileOrNone, Settings, Text, Unreachable, Wire
from bus.network import Proxy

EARLY = 60.0
"""Seconds before its end from which a voucher is used no more; of one that is good for less than ten minutes a tenth of its time."""
ASSERTED = 120
"""Seconds for which an assertion of ours is good, and a signature; it is used at once, and once."""
TRACKED = 900
"""Seconds for which a tracking evidence is good: at least as long as the voucher that is bound to it."""
MOST_BYTES = 100_000
_NO_VOUCHER = "PDND gives no voucher"
_FORM = "application/x-www-form-urlencoded"
_now = time.monotonic
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,10000}")


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


@dataclass(frozen=True, slots=True)
class _Voucher:
    token: str = ""
    until: float = 0.0
    """Monotonic, as ``since``, when it was asked for."""
    since: float = 0.0
    evidence: str = ""
    """The tracking evidence that it is bound to."""


@dataclass(slots=True)
class Vouchers:
    """The voucher of one system; thread-safe. ``e_service`` is whom signed headers are for, ``proxy`` the system's own way out."""

    settings: Pdnd
    e_service: str = ""
    proxy: Proxy | None = None
    _kept: _Voucher = field(default_factory=_Voucher)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def headers(self, ctx: Call, content: bytes = b"", media_type: str = "") -> dict[str, str]:
        """``Authorization``, with a voucher that is good now, and what ModI wants beside it for this body.

        Raises `Unreachable` where there is none within ``ctx.left`` seconds.
        """
        voucher = self._asked(ctx) if self._each else self._one(ctx)
        made = {"Authorization": f"Bearer {voucher.token}"}
        if voucher.evidence:
            made[modi.EVIDENCE] = voucher.evidence
            ctx.wire("out", unsigned(voucher.evidence).encode(), "application/jwt", modi.EVIDENCE)
        if self.settings.integrity and content:
            made["Digest"] = modi.digest(content)
            headers = [{"digest": made["Digest"]}, {"content-type": media_type}]
            made[modi.SIGNATURE] = self._signed(self._claims(ctx, ASSERTED, signed_headers=headers), "the request is not signed")
        return made

    def forget(self, header: str, begun: float) -> bool:
        """The e-service does not take this one: the next call asks for another.

        Whether that may help: this one was there before the call had ``begun`` (monotonic), so that it may be over.
        """
        if self._each:
            return False
        with self._lock:
            if header != f"Bearer {self._kept.token}":  # another call was told before
                return True
            was_there = self._kept.since < begun
            self._kept = _Voucher()
            return was_there

    @property
    def _each(self) -> bool:
        """Whether each call has a voucher of its own: it is bound to what tells of one message."""
        return self.settings.audit is not None and not self.settings.audit.user

    def _one(self, ctx: Call) -> _Voucher:
        """That which is kept, or a new one."""
        kept = self._kept
        if kept.until <= _now():
            with self._alone(ctx.left):
                if self._kept.until <= _now():  # no other thread got one meanwhile
                    self._kept = self._asked(ctx)
                kept = self._kept
        return kept

    @contextmanager
    def _alone(self, timeout: float) -> Iterator[None]:
        if not self._lock.acquire(timeout=max(timeout, 0.0)):
            raise Unreachable(f"{_NO_VOUCHER}: another call waits for one, no answer in time")
        try:
            yield
        finally:
            self._lock.release()

    def _asked(self, ctx: Call) -> _Voucher:
        """A new one. What is kept as evidence lacks the signatures, without which nobody can use it."""
        evidence = self._evidence(ctx)
        assertion, begun = self._assertion(ctx, evidence), _now()
        form = {
            "client_id": self.settings.client,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "grant_type": "client_credentials",
        }
        line = f"POST {urlsplit(self.settings.url).path}"
        shown = urlencode({**form, "client_assertion": unsigned(assertion)}).encode()
        reply = self._exchange(urlencode({**form, "client_assertion": assertion}).encode(), Wire("out", shown, _FORM, line), ctx)
        said = _said(reply)
        token = said.get("access_token")
        given = json.dumps(said | {"access_token": unsigned(str(token))}).encode()
        media = reply.headers.get("content-type", "application/octet-stream")
        ctx.wire("in", given if reply.status == 200 else reply.body, media, f"{reply.status} {line}")
        if reply.status != 200:
            raise _refused(reply, said, ctx)
        if not isinstance(token, str) or not _TOKEN.fullmatch(token) or str(said.get("token_type", "")).lower() != "bearer":
            raise Unreachable(f"{_NO_VOUCHER}: its answer holds none that goes as Bearer", answered=True)
        lasts = said.get("expires_in")
        seconds = float(lasts) if isinstance(lasts, int) and not isinstance(lasts, bool) else 0.0
        seconds = min(seconds, TRACKED) if evidence else seconds
        return _Voucher(token, begun + seconds - min(EARLY, seconds / 10), begun, evidence)

    def _exchange(self, content: bytes, asked: Wire, ctx: Call) -> Reply:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": _FORM, "User-Agent": "snodo"}
        link = Link(ca=self.settings.ca, proxy=self.proxy)
        exchange = partial(link.exchange, "POST", self.settings.url, content, headers, limit=MOST_BYTES, fresh=True)
        reply = exchanged(ctx, "read", _NO_VOUCHER, asked, exchange)
        refuse_cut(reply, MOST_BYTES, "read", _NO_VOUCHER)
        return reply

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
        return modi.claims(
            ctx, self.settings.e_service or self.e_service, lasts, iss=self.settings.client, sub=self.settings.client, **more
        )

    def _signed(self, claims: Mapping[str, Any], otherwise: str) -> str:
        """Raises `Unreachable`, with what happens ``otherwise``, where our key cannot be read."""
        try:
            return signed(Path(self.settings.key), self.settings.kid, claims)
        except (OSError, ValueError, TypeError) as error:
            why = getattr(error, "strerror", "") or "it is no private RSA key"
            raise Unreachable(f"{otherwise}: our key cannot be read: {why}", locked_out=True) from None


def _said(reply: Reply) -> dict[str, Any]:
    try:
        said = json.loads(inflated(reply.body, reply.headers, MOST_BYTES))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _refused(reply: Reply, said: dict[str, Any], ctx: Call) -> Unreachable:
    """What PDND's no means. A 4xx is about who asks, and for what: client, key or purpose; the sysadmin is told."""
    faults = said.get("errors")
    first = faults[0] if isinstance(faults, list) and faults and isinstance(faults[0], dict) else {}
    why = " ".join(str(one)[:200] for one in (first.get("code"), first.get("detail") or said.get("detail") or said.get("title")) if one)
    about_us = 400 <= reply.status < 500 and reply.status not in (408, 425, 429)
    return Unreachable(
        f"{_NO_VOUCHER}: HTTP {reply.status}" + (f": {why}" if why else ""), outside_code=f"HTTP_{reply.status}",
        retry_after=retry_after_of(reply.headers, ctx.now), evidence=said or None, locked_out=about_us,
    )  # fmt: skip
