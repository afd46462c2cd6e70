"""HTTP at a connection: uvicorn's protocol (httptools), with the bounds that it lacks and our own words for what is no request."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from bus.diagnostics import logger
from bus.errors import Busy, InputError, Malformed
from bus.web.answer import STANDING
from bus.web.connections import Room, most
from bus.web.door import MOST_HEADERS
from bus.web.exchange import EXTENSION, Exchange
from bus.web.problems import MEDIA_TYPE, cut_short, headers_too_large, no_memory, problem_of

HEADERS_WITHIN = 15.0
"""Seconds for the headers of a request, from the opening of the connection or from the first byte of a later request."""
TAKEN_WITHIN, PORTION = 30.0, 16_000
"""Seconds in which whoever is answered takes all that is written, or so many bytes of it; the connection of one who does not is broken."""
_OTHERS = (
    (b"PRI * HTTP/2.0", "this is HTTP/2", "the bus speaks HTTP/1.1: a proxy in front of it may speak HTTP/2"),
    (b"\x16\x03", "this is TLS", "the bus itself speaks plain HTTP: is the address http:// meant, or the proxy in front of it?"),
)
"""Other protocols: how they begin, what is said of them, and what to do."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds that it lacks: on the time and the bytes that the headers and trailers of a request may take, on the
    time that an answer may wait to be taken, and on the time that a connection may last behind an answer.
    """

    _hurry: asyncio.TimerHandle | None = None
    _room = Room()
    _look: asyncio.TimerHandle | None = None
    """The next look whether what is written is taken."""
    _taken: int | None = 0
    _coming = False
    """Whether the body of a request, or its trailers, are still to come."""
    _ending = False
    """Whether the connection ends with the answers that are still owed."""
    said_all = False
    """Whether we say no more, and only hear out who still writes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._line = _Line(self)
        if len(self.connections) > most() and not self._room.make((one for one in self._others() if one is not self), self.loop.time()):
            self._refuse(Busy("there are as many connections as there may be", hint="try again in a moment"))
            return
        self._wait_for_headers()

    def _others(self) -> Iterable[BoundedProtocol]:
        return cast("Iterable[BoundedProtocol]", self.connections)

    @property
    def open(self) -> bool:
        return not self.transport.is_closing()

    @property
    def rests_since(self) -> float | None:
        """Since when nobody has asked anything here, or waits for an answer; None while somebody does."""
        if self.said_all or self._coming or (self.cycle is not None and not self.cycle.response_complete):
            return None
        if self._hurry is not None:
            return self._hurry.when() - HEADERS_WITHIN
        return self.timeout_keep_alive_task.when() - self.timeout_keep_alive if self.timeout_keep_alive_task is not None else None

    def end_rest(self) -> None:
        self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_hurrying()
        self._stop_idling()
        self._stop_looking()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_at_what_is_taken()

    def resume_writing(self) -> None:
        self._stop_looking()
        super().resume_writing()
        if self.transport.is_closing():  # the rest too is to be taken
            self._look_at_what_is_taken()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._look_at_what_is_taken()

    def _close(self) -> None:
        """Behind what was written, if that is taken."""
        self.transport.close()
        self._look_at_what_is_taken()

    def _look_at_what_is_taken(self) -> None:
        """Nobody else does: a client that reads nothing, and keeps its side open, would keep the request, or what is closed, for
        ever, and enough of them the door shut.
        """
        if self._look is None and (left := self.transport.get_write_buffer_size()):
            self._look = self.loop.call_later(TAKEN_WITHIN, self._look_again, left)

    def _look_again(self, before: int) -> None:
        self._look = None
        if self.transport.get_write_buffer_size() > before - PORTION:
            logger("snodo.http").info("connection.broken", sentence=f"the client took too little of an answer in {TAKEN_WITHIN:g} s")
            self.transport.abort()
        else:
            self._look_at_what_is_taken()

    def _stop_looking(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether the connection stays open for writing: whoever has asked and says no more may still listen for the answer.

        Of a body that is not whole the answer is that.
        """
        if self.said_all:
            return False
        if self._coming:
            self._refuse(cut_short())
        owed = self.cycle is not None and not (self.cycle.more_body or self.cycle.response_complete)
        if owed:
            self.cycle.keep_alive = False
        return owed

    def data_received(self, data: bytes) -> None:
        """``_taken`` counts bytes of headers, or behind the head of a chunk, where trailers may come; None while a body comes."""
        if self.said_all:
            return
        if self._taken is not None:
            self._taken += len(data)
        self._feed(data)
        if self._taken is not None and self._taken > 2 * MOST_HEADERS and not self.transport.is_closing():
            self._refuse(headers_too_large(MOST_HEADERS))

    def _feed(self, data: bytes) -> None:
        left = memoryview(data)  # neither copied nor recursed: one piece may hold thousands of requests that ask for an upgrade
        while left and not self.transport.is_closing():
            try:
                self.parser.feed_data(left)
                return
            except httptools.HttpParserUpgrade as upgrade:
                left = left[upgrade.args[0] :]
                self._stay()
            except httptools.HttpParserError as error:
                self._refuse(no_memory() if isinstance(error.__context__, MemoryError) else self._other(left) or self._no_request(error))
                return

    def _stay(self) -> None:
        """Go on as before where ``Upgrade`` asks for a protocol that nobody here speaks (RFC 9110 §7.8), as Java's client does for HTTP/2.

        The parser leaves out the body then; another one reads it, behind a head that says no more than where it ends.
        """
        head = [b"%b: %b\r\n" % header for header in self.scope["headers"] if header[0] in (b"content-length", b"transfer-encoding")]
        self.parser = httptools.HttpRequestParser(_Resumed(self))
        self._feed(b"POST / HTTP/1.1\r\n" + b"".join(head) + b"\r\n")

    def _other(self, said: memoryview) -> Malformed | None:
        """What is said of a piece that begins as another protocol does; None for any else, and within a body."""
        others = () if self._coming else _OTHERS
        return next((Malformed(name, hint=hint) for begins, name, hint in others if said[: len(begins)] == begins), None)

    def _no_request(self, error: httptools.HttpParserError) -> Malformed:
        """What is not HTTP gets a problem too. What the parser says of it repeats nothing that came."""
        said, hint = "this is not an HTTP request", "is the address percent-encoded, and are its headers those of HTTP/1.1?"
        if self._coming:
            said = "the body is not in chunks, as its headers say"
            hint = "each begins with a line of its size, in hexadecimal digits"
        why = "" if isinstance(error, httptools.HttpParserCallbackError) else f": {error}"
        return Malformed(f"{said}{why}", hint=hint)

    def _refuse(self, error: InputError) -> None:
        """Answer for a request that never became one, and hang up: at once, or behind the answer that is still owed to the one before.

        The answer is told in a line of the log, as those of the door are: who asks for help names its instance.
        """
        if self._ending or self.said_all:
            return
        if self._coming and self.cycle.response_complete:  # it has its answer
            self._close()
            return
        if self.pipeline and self._coming:  # it stands behind others, which get theirs
            self.pipeline.popleft()
            self._ending = True
            return
        if self.cycle is not None and not (self.cycle.more_body or self.cycle.response_complete):
            self.cycle.keep_alive = False  # the first answer is taken for that of the first request, which may be done by now
            self.flow.pause_reading()
            return
        refused = problem_of(error)
        assert isinstance(refused.content, bytes)
        own = ((b"content-type", MEDIA_TYPE), (b"content-length", str(len(refused.content)).encode()), (b"connection", b"close"))
        lines = b"".join([b"%b: %b\r\n" % header for header in (*own, *self.server_state.default_headers, *STANDING)])
        self.transport.write(STATUS_LINE[refused.status] + lines + b"\r\n" + refused.content)
        self.hang_up(hear_out=self._hurry is not None)
        logger("snodo.http").info("request", method="-", at="-", status=refused.status, why=error.sentence, **refused.told)

    def hang_up(self, *, hear_out: bool) -> None:
        """End the connection behind what was written.

        ``hear_out``: what still comes is thrown away until its sender, or a time that runs already, ends the connection. Whoever writes
        all before it reads, as most do, would else find that broken, and no answer.
        """
        if not hear_out:
            self._close()
            return
        self.said_all = True
        self.transport.write_eof()
        self.flow.resume_reading()

    def on_message_begin(self) -> None:
        self._stop_idling()
        super().on_message_begin()
        if self._hurry is None:
            self._wait_for_headers()

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser leaves the blanks behind a value, which are no part of it (RFC 9110 §5.5): a key would be another one with them."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        self._stop_hurrying()
        self._taken = None
        self.url = self.url[: MOST_HEADERS + 1]  # the parser of addresses takes no more than 64 KB; the door refuses it as too large
        super().on_headers_complete()
        self._coming = True
        self.cycle.transport = cast("asyncio.Transport", self._line)
        if self.scope["http_version"] == "1.0":
            self.cycle.waiting_for_100_continue = False  # such a client would take it for the answer (RFC 9110 §10.1.1)
        cast("dict[str, Any]", self.scope)["extensions"] = {EXTENSION: Exchange(self.cycle)}  # before the task made for it begins
        self.headers = []  # of the request no more: what comes as trailers is no header (RFC 9110 §6.5.1)

    def on_chunk_header(self) -> None:
        """Count anew: behind the head of the last chunk trailers may come."""
        self._taken = 0

    def on_body(self, body: bytes) -> None:
        self._taken = None
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():  # its body is still to come
            return
        super().on_message_complete()
        self._taken, self._coming = 0, False

    def on_response_complete(self) -> None:
        self._stop_idling()
        if self._ending and not self.pipeline:
            self._close()
        super().on_response_complete()

    def _unset_keepalive_if_required(self) -> None:
        """Asked for by uvicorn at every byte: line ends, or what is left of a body, would keep a connection for ever."""

    def _stop_idling(self) -> None:
        super()._unset_keepalive_if_required()

    def _wait_for_headers(self) -> None:
        self._hurry = self.loop.call_later(HEADERS_WITHIN, self.timeout_keep_alive_handler)

    def _stop_hurrying(self) -> None:
        if self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None


class _Line:
    """What a request writes its answer to. Where the connection ends with an answer to a body that is still coming, that is heard out.

    Where nobody can hear any more, because the client broke off or we have said all, what is written goes nowhere: uvicorn learns of
    that a moment later than the connection does.
    """

    __slots__ = ("_protocol", "_transport", "is_closing")

    def __init__(self, protocol: BoundedProtocol) -> None:
        self._protocol = weakref.ref(protocol)  # which the connection keeps
        self._transport, self.is_closing = protocol.transport, protocol.transport.is_closing

    def write(self, data: bytes) -> None:
        protocol = self._protocol()
        if protocol is not None and not protocol.said_all and not self.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        if (protocol := self._protocol()) is not None:
            protocol.hang_up(hear_out=protocol.cycle.more_body and protocol.cycle.response_complete)


class _Resumed:
    """Tells a protocol what its new parser reads, but for the head with which that begins."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        self._protocol, self._begun = protocol, False
        self.on_body, self.on_chunk_header = protocol.on_body, protocol.on_chunk_header
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        if self._begun:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._begun:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._begun:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._begun:
            self._protocol.on_headers_complete()
        self._begun = True
