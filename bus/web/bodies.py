"""Bodies of requests, read within bounds: of size and of time. No body is taken in whole before its size is known to be allowed."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.types import Message, Receive

from bus.errors import Malformed, TooLarge
from bus.web.exchange import Exchange
from bus.web.problems import Slow, WrongMedia, cut_short

_NUMBER = re.compile(rb"[0-9]{1,20}")
PATIENCE = 20.0
"""Seconds that a whole message, or the next piece of a file, may take."""


def refuse_large(headers: Mapping[bytes, bytes], limit: int, **told: str) -> None:
    """Raises `TooLarge` at once where ``Content-Length`` is beyond ``limit``, with the code and hint in ``told``."""
    declared = headers.get(b"content-length", b"0")
    if not _NUMBER.fullmatch(declared):
        raise Malformed("Content-Length is not a number", hint="the bytes of the body, in digits")
    if int(declared) > limit:
        raise _too_large(f"{int(declared)} bytes, at most {limit} are taken", size=int(declared), **told)


def refuse_compressed(headers: Mapping[bytes, bytes]) -> None:
    """Nobody here undoes a content coding; a file kept in one would be given back as if it were in none. 415 says so with
    ``Accept-Encoding`` (RFC 9110 §12.5.3).
    """
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        hint = "send it as it is, without Content-Encoding"
        raise WrongMedia("the body is compressed", code="input.encoding", hint=hint, accept_encoding="identity")


def inflated(content: bytes, headers: Mapping[bytes, bytes], limit: int) -> tuple[bytes, Mapping[bytes, bytes]]:
    """A body in gzip, inflated, and its headers without that coding; any other, also what only calls itself gzip, as it came.

    Raises `TooLarge` when it grows beyond ``limit``.
    """
    if headers.get(b"content-encoding", b"").lower() not in (b"gzip", b"x-gzip"):
        return content, headers
    coded = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = coded.decompress(content, limit + 1)
    except zlib.error:
        return content, headers
    if coded.unused_data or not (coded.eof or len(plain) > limit):
        return content, headers
    return _fitting(plain, limit), {name: value for name, value in headers.items() if name != b"content-encoding"}


async def whole(
    receive: Receive, headers: Mapping[bytes, bytes], limit: int, *, exchange: Exchange | None = None, coded: bool = False
) -> bytes:
    """The body, at most ``limit`` bytes; with ``coded`` in whatever coding, and as far as the limit whatever its headers say of its size.
    It is cheap when all of it is here already, as ``exchange`` can tell.
    """
    if not coded:
        refuse_large(headers, limit)
        refuse_compressed(headers)
    if exchange is not None and (here := exchange.body()) is not None:
        return _fitting(here, limit)
    try:
        first = await _within(receive, PATIENCE)
        if first["type"] == "http.request" and not first.get("more_body", False):
            content: bytes = first.get("body", b"")
            return _fitting(content, limit)
        taken = bytearray()
        async with asyncio.timeout(PATIENCE):
            async for piece in _pieces(receive, first):
                taken += piece
                if len(taken) > limit:
                    raise _too_large(f"more than {limit} bytes")
        return bytes(taken)
    except TimeoutError:
        raise Slow(f"the body did not come within {PATIENCE:g} seconds", hint="send the same message again, with the same key") from None


async def _within(receive: Receive, patience: float) -> Message:
    """`asyncio.timeout` around the first event, at a quarter of its cost; raises TimeoutError."""
    task, late = asyncio.current_task(), False
    assert task is not None

    def cancel() -> None:
        nonlocal late
        late = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(patience, cancel)
    try:
        return await receive()
    except asyncio.CancelledError:
        if late and task.uncancel() == 0:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()


def _too_large(has: str, *, hint: str = "send files as attachments: POST /attachments", **detail: Any) -> TooLarge:
    return TooLarge(f"the body has {has}", hint=hint, **detail)


def _fitting(content: bytes, limit: int) -> bytes:
    if len(content) > limit:
        raise _too_large(f"more than {limit} bytes")
    return content


async def _pieces(receive: Receive, first: Message | None = None) -> AsyncIterator[bytes]:
    more = True
    while more:
        event, first = first or await receive(), None
        if event["type"] == "http.disconnect":
            raise cut_short()
        more = event.get("more_body", False)
        if body := event.get("body"):
            yield body


class Tapped:
    """``receive``, remembering how the body begins: at most ``keep`` bytes."""

    def __init__(self, receive: Receive, keep: int) -> None:
        self._receive, self._keep = receive, keep
        self._start: list[bytes] = []

    async def __call__(self) -> Message:
        event = await self._receive()
        if self._keep > 0 and (piece := event.get("body")):
            self._start.append(piece[: self._keep])
            self._keep -= len(piece)
        return event

    @property
    def start(self) -> bytes:
        """The first bytes that came."""
        return b"".join(self._start)


async def pieces(receive: Receive) -> AsyncIterator[bytes]:
    """The body piece by piece, for files: each piece has `PATIENCE` seconds."""
    stream = _pieces(receive)
    while True:
        try:
            async with asyncio.timeout(PATIENCE):
                piece = await anext(stream, None)
        except TimeoutError:
            raise Slow(f"nothing came for {PATIENCE:g} seconds", hint="send the file again") from None
        if piece is None:
            return
        yield piece
