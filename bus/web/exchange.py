"""What nearly every request is: one whose body is here as soon as it is looked at, and whose answer is a single piece.

ASGI tells both in events, and the server looks at each header of an answer once more; a third of an accept's time in the door was that.
An `Exchange` spares such a request the events. It stands in the ASGI scope, as an extension; where it is missing, or does not apply, the
events are used.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Final

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

EXTENSION: Final = "snodo.exchange"


class Exchange:
    """One request at a connection of uvicorn."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = weakref.ref(cycle)

    def _here(self) -> RequestResponseCycle:
        """Whoever asks is within the request, and uvicorn keeps that until it is over."""
        cycle = self._cycle()
        assert cycle is not None
        return cycle

    def body(self) -> bytes | None:
        """The body, once, if all of it has come; else None, and it comes by events."""
        cycle = self._here()
        if cycle.more_body or cycle.waiting_for_100_continue or cycle.disconnected:
            return None
        content, cycle.body = bytes(cycle.body), bytearray()
        return content

    async def answer(self, status: int, head: bytes, headers: Sequence[tuple[bytes, bytes]], content: bytes) -> bool:
        """Answer with one piece; ``head`` are lines that are always right. False when the answer must go by events."""
        cycle = self._here()
        if cycle.waiting_for_100_continue and cycle.more_body:
            cycle.keep_alive = False  # a body may follow, or another request: nobody can tell which
        lines = b"".join([b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers)])
        plain = cycle.keep_alive and b"connection:" not in lines and lines.count(b"\n") == len(headers) + len(cycle.default_headers)
        if not plain or cycle.scope["method"] == "HEAD" or cycle.response_started:
            return False
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if not cycle.disconnected:
            cycle.response_started = cycle.response_complete = True
            cycle.message_event.set()
            cycle.transport.write(b"%b%b%bcontent-length: %d\r\n\r\n%b" % (STATUS_LINE[status], lines, head, len(content), content))
            cycle.on_response()
        return True


def exchange_of(scope: Scope) -> Exchange | None:
    """The request as an exchange, where the server offers that."""
    found: Exchange | None = scope.get("extensions", _NONE).get(EXTENSION)
    return found


_NONE: dict[str, Exchange] = {}
