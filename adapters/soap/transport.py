"""HTTP for SOAP, over `adapters.http`: one deadline, no retries, no redirects, nothing from the environment, size limits.

Two ways to fail, told apart because the bus must know whether a byte left: `NotSent` and `NoReply`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters import http
from adapters.soap.client import Link
from adapters.soap.xml import as_said
from bus.adapter import Call


class NotSent(Exception):
    """No byte of the request left."""


class NoReply(Exception):
    """The request left, wholly or in part, and no whole reply came back in time."""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came back, as it was."""

    status: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpTransport:
    """Thread-safe; keeps connections until `close`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._connections = http.Link(connect=link.connect, ca=link.ca or None, certificate=link.certificate)

    def post(self, url: str, content: bytes, headers: Mapping[str, str], ctx: Call, *, fresh: bool = False) -> HttpReply:
        """Send and read within ``ctx.timeout`` seconds; bytes of both ways go to ``ctx.wire``. Raises `NotSent` or `NoReply`.

        ``fresh`` takes a new connection: one that was kept and just dropped by the peer would leave needless doubt.
        """
        ctx.wire("out", content, headers.get("Content-Type", ""), f"POST {url}")
        limit = self._link.max_reply_bytes
        wanted = {"User-Agent": "snodo", "Accept-Encoding": "identity", **(self._link.headers or {}), **headers}
        with http.crossing(ctx.timeout) as going:
            try:
                reply = self._connections.exchange("POST", url, content, wanted, limit=limit, fresh=fresh)
            except http.errors() as error:
                raise (NoReply if going.left else NotSent)(http.reason(error)) from None
        ctx.wire("in", reply.body, reply.headers.get("content-type", ""), f"status {reply.status}")
        if reply.failed is not None:
            raise NoReply(http.reason(reply.failed))
        if len(reply.body) > limit:
            raise NoReply(f"the reply is larger than {limit} bytes")
        return HttpReply(reply.status, as_said(reply.body, reply.headers.get("content-type", "")), reply.headers)

    def close(self) -> None:
        self._connections.close()
