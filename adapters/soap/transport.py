"""HTTP for SOAP over one requests session: no retries, no redirects, no proxy from the environment, limits on time and size.

Two ways to fail, told apart because the bus must know whether bytes left: `NotSent` and `NoReply`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, LocationValueError, MaxRetryError, NameResolutionError, NewConnectionError, SSLError

from bus.adapter import Call

_CHUNK = 65_536


class NotSent(Exception):
    """The connection was never made; no byte of the request left."""


class NoReply(Exception):
    """The request left, wholly or in part, and no whole reply came back in time."""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came back, as it was."""

    status: int
    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Link:
    """How to reach one system. ``connect`` is in seconds; ``ca`` a file, or empty for the system's; ``certificate`` ours and its key."""

    connect: float = 3.0
    max_reply_bytes: int = 20_000_000
    ca: str = ""
    certificate: tuple[str, str] | None = None
    headers: Mapping[str, str] | None = None


class HttpTransport:
    """Thread-safe: requests' pool hands each thread its own connection."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.max_redirects = 0
        self._session.verify = link.ca or True
        self._session.cert = link.certificate
        self._session.headers = requests.structures.CaseInsensitiveDict({"User-Agent": "snodo", **(link.headers or {})})
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=32, max_retries=0))

    def post(self, url: str, content: bytes, headers: Mapping[str, str], ctx: Call) -> HttpReply:
        """Send and read within ``ctx.timeout`` seconds; bytes of both ways go to ``ctx.wire``. Raises `NotSent` or `NoReply`."""
        deadline = time.monotonic() + ctx.timeout
        ctx.wire("out", content, headers.get("Content-Type", ""), f"POST {url}")
        try:
            response = self._session.post(
                url,
                data=content,
                headers=dict(headers),
                timeout=(min(self._link.connect, ctx.timeout), ctx.timeout),
                allow_redirects=False,
                stream=True,
            )
        except requests.RequestException as error:
            raise (NotSent if _never_left(error) else NoReply)(_sentence(error)) from None
        with response:
            return self._read(response, deadline, ctx)

    def _read(self, response: requests.Response, deadline: float, ctx: Call) -> HttpReply:
        """The whole body; what came is kept also when the rest does not come."""
        media_type = response.headers.get("Content-Type", "")
        content, failure = bytearray(), ""
        try:
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                content += chunk
                if len(content) > self._link.max_reply_bytes:
                    failure = f"the reply is larger than {self._link.max_reply_bytes} bytes"
                    break
                if time.monotonic() > deadline:
                    failure = "the reply was not whole in time"
                    break
        except (HTTPError, OSError) as error:
            failure = f"the reply broke off: {type(error).__name__}"
        ctx.wire("in", bytes(content), media_type, f"status {response.status_code}" + (f"; {failure}" if failure else ""))
        if failure:
            raise NoReply(failure)
        return HttpReply(response.status_code, bytes(content), media_type)

    def close(self) -> None:
        self._session.close()


def _never_left(error: requests.RequestException) -> bool:
    """Only what surely failed before the request line was written."""
    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.InvalidURL, requests.exceptions.MissingSchema)):
        return True
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    if isinstance(reason, SSLError):
        return "certificate" in str(reason).lower()
    return isinstance(reason, (NewConnectionError, NameResolutionError, LocationValueError))


def _sentence(error: requests.RequestException) -> str:
    cause = error.args[0] if error.args else error
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return f"{type(error).__name__} ({type(reason).__name__})"
