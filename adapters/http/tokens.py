"""Bearer tokens of OAuth 2.0 (RFC 6749, client credentials): asked for where one is needed, kept in memory until shortly before its end.

A process that has none asks, so nothing of it need outlive a restart. Until it is here nothing was asked of the system: whatever fails
before is `Unreachable`. Evidence holds no secret, and no signature, without which nobody can use a token.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from pydantic import Field

from adapters.http.jws import unsigned
from adapters.http.link import Link
from adapters.http.message import Reply, inflated
from adapters.http.outcome import exchanged, refuse_cut, retry_after_of
from adapters.shapes import FORM, WebAddress
from bus.adapter import Call, Caution, LocalFileOrNone, Settings, Text, Unreachable, Wire
from bus.network import Proxy

EARLY = 60.0
"""Seconds before its end from which a token is used no more; of one that is good for less than ten minutes a tenth of its time."""
MOST_BYTES = 100_000
_now = time.monotonic
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,10000}")


@dataclass(frozen=True, slots=True)
class Token:
    """``until`` when it is used is monotonic, as ``since`` when it was asked for; ``evidence`` is what it is bound to, sent beside it."""

    value: str = ""
    until: float = 0.0
    since: float = 0.0
    evidence: str = ""


@dataclass(slots=True)
class Tokens:
    """The token of one system; thread-safe. ``proxy`` is the system's own way out."""

    settings: Any
    proxy: Proxy | None = None
    _kept: Token = field(default_factory=Token)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    refused = "no token is given"
    """Begins the sentence where there is none."""

    def headers(self, ctx: Call, content: bytes = b"", media_type: str = "") -> dict[str, str]:
        """``Authorization``, with a token that is good now, and what goes beside it for this body.

        Raises `Unreachable` where there is none within ``ctx.left`` seconds.
        """
        return {"Authorization": f"Bearer {self.one(ctx).value}"}

    def forget(self, header: str, begun: float) -> bool:
        """The system does not take this one: the next call asks for another.

        Whether that may help: this one was there before the call had ``begun`` (monotonic), so that it may be over.
        """
        with self._lock:
            if header != f"Bearer {self._kept.value}":  # another call was told before
                return True
            was_there = self._kept.since < begun
            self._kept = Token()
            return was_there

    def refuse(self, asked: str, header: str, begun: float) -> None:
        """Raises `Unreachable` after a 401 where another token may help (see `forget`); ``asked`` begins the sentence."""
        if self.forget(header, begun):
            sentence = f"{asked}: HTTP 401: our token is not taken any more; the next try has another"
            raise Unreachable(sentence, outside_code="HTTP_401", answered=True)

    def one(self, ctx: Call) -> Token:
        """That which is kept, or a new one."""
        kept = self._kept
        if kept.until <= _now():
            with self._alone(ctx.left):
                if self._kept.until <= _now():  # no other thread got one meanwhile
                    self._kept = self.new(ctx)
                kept = self._kept
        return kept

    def new(self, ctx: Call) -> Token:
        """Another one, asked for now."""
        raise NotImplementedError

    def ask(self, ctx: Call, form: Mapping[str, str], shown: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Token:
        """What is given for a form; ``shown`` is what is kept of it as evidence."""
        begun, line = _now(), f"POST {urlsplit(self.settings.url).path}"
        reply = self._exchange(urlencode(form).encode(), headers or {}, Wire("out", urlencode(shown).encode(), FORM, line), ctx)
        said = _said(reply)
        token = said.get("access_token")
        given = json.dumps(said | {"access_token": unsigned(str(token))}).encode()
        media = reply.headers.get("content-type", "application/octet-stream")
        ctx.wire("in", given if reply.status == 200 else reply.body, media, f"{reply.status} {line}")
        if reply.status != 200:
            raise self._no(reply, said, ctx)
        if not isinstance(token, str) or not _TOKEN.fullmatch(token) or str(said.get("token_type", "")).lower() != "bearer":
            raise Unreachable(f"{self.refused}: its answer holds none that goes as Bearer", answered=True)
        lasts = said.get("expires_in")
        seconds = float(lasts) if isinstance(lasts, int) and not isinstance(lasts, bool) else 0.0
        return Token(token, begun + seconds - min(EARLY, seconds / 10), begun)

    @contextmanager
    def _alone(self, timeout: float) -> Iterator[None]:
        if not self._lock.acquire(timeout=max(timeout, 0.0)):
            raise Unreachable(f"{self.refused}: another call waits for one, no answer in time")
        try:
            yield
        finally:
            self._lock.release()

    def _exchange(self, content: bytes, more: Mapping[str, str], asked: Wire, ctx: Call) -> Reply:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": FORM, "User-Agent": "snodo", **more}
        link = Link(ca=self.settings.ca, proxy=self.proxy)
        exchange = partial(link.exchange, "POST", self.settings.url, content, headers, limit=MOST_BYTES, fresh=True)
        reply = exchanged(ctx, "read", self.refused, asked, exchange)
        refuse_cut(reply, MOST_BYTES, "read", self.refused)
        return reply

    def _no(self, reply: Reply, said: dict[str, Any], ctx: Call) -> Unreachable:
        """What a no means. A 4xx is about who asks, and for what; the sysadmin is told."""
        why = " ".join(str(one)[:200] for one in _reasons(said) if one)
        about_us = 400 <= reply.status < 500 and reply.status not in (408, 425, 429)
        return Unreachable(
            f"{self.refused}: HTTP {reply.status}" + (f": {why}" if why else ""), outside_code=f"HTTP_{reply.status}",
            retry_after=retry_after_of(reply.headers, ctx.now), evidence=said or None, locked_out=about_us,
        )  # fmt: skip


class OAuth2(Settings):
    """How tokens are asked for with the name and the secret of our client."""

    url: WebAddress = Field(description="where tokens are asked for")
    client: Text = Field(description="name of our client (client_id)")
    secret: str = Field(min_length=1, repr=False, description="its secret")
    scope: str = Field("", description="what the token is for, if the server wants to be told: names with blanks between")
    audience: str = Field("", description="whom the token is for, if the server wants to be told")
    in_form: bool = Field(False, description="true sends name and secret in the form, in place of the header Authorization")
    ca: LocalFileOrNone = Field(None, description="file of the authorities to trust for `url`, instead of those of this machine")

    @property
    def headers(self) -> frozenset[str]:
        """The headers that go with a request, in lowercase."""
        return frozenset({"authorization"})

    def cautions(self) -> Iterator[Caution]:
        """Nothing that this machine could tell."""
        return iter(())

    def tokens(self, system: str, proxy: Proxy | None) -> Tokens:
        return _OfASecret(self, proxy)


class _OfASecret(Tokens):
    """Tokens for a client with a secret (RFC 6749 §2.3.1, §4.4)."""

    refused = "the server of tokens gives none"

    def new(self, ctx: Call) -> Token:
        wanted: OAuth2 = self.settings
        more = {"scope": wanted.scope, "audience": wanted.audience}
        form = {"grant_type": "client_credentials", **{name: value for name, value in more.items() if value}}
        if wanted.in_form:
            return self.ask(ctx, {**form, "client_id": wanted.client, "client_secret": wanted.secret}, {**form, "client_id": wanted.client})
        login = base64.b64encode(f"{quote(wanted.client, safe='')}:{quote(wanted.secret, safe='')}".encode()).decode()
        return self.ask(ctx, form, form, {"Authorization": f"Basic {login}"})


class Credentials(Protocol):
    """How a system is told who asks: `OAuth2`, or a voucher of PDND."""

    @property
    def headers(self) -> frozenset[str]:
        """The headers that go with a request, in lowercase."""
        ...

    def cautions(self) -> Iterator[Caution]:
        """What is wrong with it on this machine, which need not be the one that calls."""
        ...

    def tokens(self, system: str, proxy: Proxy | None) -> Tokens:
        """Those for one system, by its address."""
        ...


def _said(reply: Reply) -> dict[str, Any]:
    try:
        said = json.loads(inflated(reply.body, reply.headers, MOST_BYTES))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _reasons(said: dict[str, Any]) -> tuple[Any, Any]:
    """Code and sentence of a no: as PDND says them, or RFC 6749 §5.2."""
    faults = said.get("errors")
    first = faults[0] if isinstance(faults, list) and faults and isinstance(faults[0], dict) else {}
    detail = first.get("detail") or said.get("detail") or said.get("error_description") or said.get("title")
    return first.get("code") or said.get("error"), detail
