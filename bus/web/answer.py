"""What a handler is given and what it gives back: `Call` and `Answer`. Thin over ASGI, for the sake of requests per second."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.types import Receive, Scope, Send

from bus.app import App
from bus.engine.accesses import Looker
from bus.errors import Invalid
from bus.jsontext import dumps
from bus.web.auth import Caller
from bus.web.exchange import Exchange, exchange_of
from bus.web.house import House

T = TypeVar("T")
_NUMBER = re.compile(r"[0-9]{1,20}")
"""No more digits than any number has that is asked for: Python refuses to read thousands."""
Header = tuple[bytes, bytes]
JSON = b"application/json"
STANDING: tuple[Header, ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
"""Headers of every answer: nothing here is to be kept by caches, framed, or guessed at."""


@dataclass(slots=True)
class Answer:
    """Status, content (whole, or pieces with a known ``size``), headers. ``told``: what its line in the log says besides."""

    status: int
    content: bytes | AsyncIterator[bytes] = b""
    headers: list[Header] = field(default_factory=list)
    media_type: bytes = JSON
    size: int | None = None
    told: Mapping[str, str] = field(default_factory=dict)

    async def deliver(self, scope: Scope, send: Send) -> None:
        """Send it: at once when the content is whole and the server lets us, else in events."""
        content, exchange = self.content, exchange_of(scope)
        if (
            exchange is not None
            and isinstance(content, bytes)
            and self.status != HTTPStatus.NOT_MODIFIED
            and await exchange.answer(self.status, _head(self.media_type), self.headers, content)
        ):
            return
        await send({"type": "http.response.start", "status": self.status, "headers": [*STANDING, *self._of_content(), *self.headers]})
        if isinstance(content, bytes):
            await send({"type": "http.response.body", "body": content})
            return
        async for piece in content:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _of_content(self) -> tuple[Header, ...]:
        """The headers that say what content follows; none where what the caller has is not sent again."""
        if self.status == HTTPStatus.NOT_MODIFIED:
            return ()
        size = len(self.content) if isinstance(self.content, bytes) else self.size
        return (b"content-type", self.media_type), (b"content-length", str(size).encode())


@lru_cache(maxsize=32)
def _head(media_type: bytes) -> bytes:
    """The lines that answers of one media type have in common."""
    return b"".join([b"%b: %b\r\n" % header for header in (*STANDING, (b"content-type", media_type))])


def json_answer(value: Any, status: int = 200, headers: list[Header] | None = None, media_type: bytes = JSON) -> Answer:
    return Answer(status, dumps(value), headers or [], media_type)


@dataclass(slots=True)
class Call:
    """One request. Header names are lowercase; ``path`` holds the parts of the path that the address names, ``query`` what is asked for
    behind it: nothing but what `Served.fields` declares.
    """

    house: House
    method: str
    headers: Mapping[bytes, bytes]
    receive: Receive
    caller: Caller
    path: Mapping[str, str]
    query: Mapping[str, str]
    exchange: Exchange | None = None

    @property
    def app(self) -> App:
        return self.house.app

    async def run(self, work: Callable[[], T]) -> T:
        """See `bus.web.house.House.run`."""
        return await self.house.run(work)

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1").strip()

    @property
    def looker(self) -> Looker:
        """Who asks, and for what: the header `Snodo-Purpose`, UTF-8. It is no part of the address, which others may write down."""
        return self.caller.looks(self.headers.get(b"snodo-purpose", b"").decode("utf-8", "replace"))


def number_of(query: Mapping[str, str], name: str, least: int, most: int, default: int) -> int:
    """A parameter that is a whole number; raises `Invalid` for what is none, or out of bounds."""
    text = query.get(name, str(default))
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise Invalid(f"{name} is {text[:100]!r}", code="input.query", hint=f"a number from {least} to {most}")
    return int(text)
