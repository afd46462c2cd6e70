"""The witness over HTTP: ``POST /add-checkpoint`` and ``GET /<hash of the origin>/checkpoint`` (c2sp.org/tlog-witness).

No one needs to say who he is: what counts is the log's signature on what is brought. TLS, and bounds on connections, are a reverse proxy's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from bus.diagnostics import logger
from bus.log.checkpoint import place_of
from bus.witness.witness import MOST_BYTES, Refusal, Witness

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
PATIENCE = 10.0
"""Seconds that a request may take to arrive."""
TEXT = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    status: int
    text: str
    media_type: str = TEXT


class Door:
    """The ASGI application."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._places = {f"/{place_of(origin)}/checkpoint": origin for origin in witness.origins}

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope["method"], scope["path"], receive)
        except Refusal as refusal:
            answer = Answer(refusal.status, refusal.sentence, refusal.media_type)
        except OSError as error:
            logger("snodo.witness").error("memory.failed", error=str(error))
            answer = Answer(500, "the memory cannot be read or written, so nothing is cosigned\n")
        headers = [(b"content-type", answer.media_type.encode()), (b"content-length", str(len(answer.text.encode())).encode())]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.text.encode()})

    async def _answer(self, method: str, path: str, receive: Receive) -> Answer:
        if path == "/add-checkpoint":
            if method != "POST":
                raise Refusal(405, "POST a checkpoint here\n")
            return await self._add(await _body(receive))
        origin = self._places.get(path)
        if origin is None or method not in ("GET", "HEAD"):
            raise Refusal(404, "there is no such log here\n")
        note = await asyncio.to_thread(self._witness.last, origin)
        if note is None:
            raise Refusal(404, "nothing of this log was cosigned yet\n")
        return Answer(200, note.encode().decode())

    async def _add(self, body: bytes) -> Answer:
        try:
            return Answer(200, (await asyncio.to_thread(self._witness.add, body)).line())
        except Refusal as refusal:
            if refusal.status in (403, 422):  # perhaps the log is being forked: that is what we are here for
                logger("snodo.witness").warning("checkpoint.refused", status=refusal.status, why=refusal.sentence.strip())
            raise


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                event = await receive()
                if event["type"] == "http.disconnect":
                    raise Refusal(400, "the request did not arrive whole\n")
                body += event.get("body", b"")
                if len(body) > MOST_BYTES:
                    raise Refusal(413, f"more than {MOST_BYTES} bytes\n")
                if not event.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refusal(408, f"the request did not arrive within {PATIENCE:g} seconds\n") from None
