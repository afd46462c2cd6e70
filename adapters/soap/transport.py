"""HTTP for SOAP, on the sessions of `adapters.rest`: one deadline, no retries, no redirects, nothing from the environment, size limits.

Two ways to fail, told apart because the bus must know whether a byte left: `NotSent` and `NoReply`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests
import urllib3.exceptions

from adapters.rest import crossing, exchange, open_session
from bus.adapter import Call

_CHUNK = 65_536


class NotSent(Exception):
    """No byte of the request left."""


class NoReply(Exception):
    """The request left, wholly or in part, and no whole reply came back in time."""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came back, as it was."""

    status: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """How to reach one system. ``connect`` is in seconds; ``ca`` a file, or empty for the system's; ``certificate`` ours and its key."""

    connect: float = 3.0
    max_reply_bytes: int = 20_000_000
    ca: str = ""
    certificate: tuple[str, str] | None = None
    headers: Mapping[str, str] | None = None


class HttpTransport:
    """Thread-safe: the pool hands each thread its own connection."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._session: requests.Session | None = None
        self._lock = threading.Lock()

    def post(self, url: str, content: bytes, headers: Mapping[str, str], ctx: Call, *, fresh: bool = False) -> HttpReply:
        """Send and read within ``ctx.timeout`` seconds; bytes of both ways go to ``ctx.wire``. Raises `NotSent` or `NoReply`.

        ``fresh`` takes a new connection: one that was kept and just dropped by the peer would leave needless doubt.
        """
        ctx.wire("out", content, headers.get("Content-Type", ""), f"POST {url}")
        session = open_session(1) if fresh else self._kept()
        with crossing(ctx.timeout) as going:
            try:
                with exchange(session, "POST", url, content, self._headers(headers), **self._terms(ctx)) as response:
                    return self._read(response, ctx)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                raise (NoReply if going.left else NotSent)(f"no answer ({type(error).__name__})") from None
            finally:
                if fresh:
                    session.close()

    def close(self) -> None:
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    def _kept(self) -> requests.Session:
        with self._lock:
            if self._session is None:
                self._session = open_session()
            return self._session

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {"User-Agent": "snodo", "Accept-Encoding": "identity", **(self._link.headers or {}), **headers}

    def _terms(self, ctx: Call) -> dict[str, Any]:
        link = self._link
        timeout = (min(link.connect, ctx.timeout), ctx.timeout)
        return {"timeout": timeout, "verify": link.ca or True, "cert": link.certificate}

    def _read(self, response: requests.Response, ctx: Call) -> HttpReply:
        """The whole body; what came is kept also when the rest does not come."""
        content = bytearray()
        try:
            while len(content) <= self._link.max_reply_bytes and (chunk := response.raw.read1(_CHUNK)):
                content += chunk
        finally:
            ctx.wire("in", bytes(content), response.headers.get("Content-Type", ""), f"status {response.status_code}")
        declared = response.headers.get("Content-Length", "")
        if len(content) > self._link.max_reply_bytes:
            raise NoReply(f"the reply is larger than {self._link.max_reply_bytes} bytes")
        if declared.isdigit() and len(content) < int(declared):
            raise NoReply("the reply was cut short")
        return HttpReply(response.status_code, bytes(content))
