"""`bus serve`: the HTTP door and the engine in one process, under uvicorn (uvloop, httptools); stops gracefully on SIGTERM and SIGHUP."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import FrameType, MappingProxyType
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from bus.app import App
from bus.errors import ConfigError, InputError, Malformed
from bus.web.answer import STANDING
from bus.web.door import MOST_HEADERS, HttpDoor
from bus.web.exchange import EXTENSION, Exchange
from bus.web.problems import MEDIA_TYPE, cut_short, headers_too_large, problem_of
from bus.worker import LEAVING, ending_within, heeding, settle_memory

HEADERS_WITHIN = 15.0
"""Seconds for the headers of a request, from the opening of the connection or from the first byte of a later request."""
IDLE = 30
GRACE = 25
"""Seconds for what is in progress when the process is told to stop."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds that it lacks: on the time and the bytes that the headers and trailers of a request may take, and on
    the time that a connection may last behind an answer.
    """

    _hurry: asyncio.TimerHandle | None = None
    _taken: int | None = 0
    _coming = False
    """Whether the body of a request, or its trailers, are still to come."""
    _ending = False
    """Whether the connection ends with the answers that are still owed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_hurrying()
        self._stop_idling()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether the connection stays open for writing: who has asked and says no more may still listen for the answer.

        Of a body that is not whole the answer is that.
        """
        if self._coming:
            self._refuse(cut_short())
        owed = self.cycle is not None and not (self.cycle.more_body or self.cycle.response_complete)
        if owed:
            self.cycle.keep_alive = False
        return owed

    def data_received(self, data: bytes) -> None:
        """``_taken`` counts bytes of headers, or behind the head of a chunk, where trailers may come; None while a body comes."""
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
            except httptools.HttpParserError:
                self.send_400_response("")
                return

    def _stay(self) -> None:
        """Go on as before where ``Upgrade`` asks for a protocol that nobody here speaks (RFC 9110 §7.8), as Java's client does for HTTP/2.

        The parser leaves out the body then; another one reads it, behind a head that says no more than where it ends.
        """
        head = [b"%b: %b\r\n" % header for header in self.scope["headers"] if header[0] in (b"content-length", b"transfer-encoding")]
        self.parser = httptools.HttpRequestParser(_Resumed(self))
        self._feed(b"POST / HTTP/1.1\r\n" + b"".join(head) + b"\r\n")

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP gets a problem too."""
        said, hint = "this is not an HTTP request", "is the address percent-encoded, and are its headers those of HTTP/1.1?"
        if self._coming:
            said = "the body is not in chunks, as its headers say"
            hint = "each begins with a line of its size, in hexadecimal digits"
        self._refuse(Malformed(said, hint=hint))

    def _refuse(self, error: InputError) -> None:
        """Answer for a request that never became one, and hang up: at once, or behind the answer that is still owed to the one before."""
        if self._ending:
            return
        if self._coming and self.cycle.response_complete:  # it has its answer
            self.transport.close()
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
        self.transport.close()

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
        cast("dict[str, Any]", self.scope)["extensions"] = {EXTENSION: Exchange(self.cycle)}  # before the task made for it begins
        self.headers = []  # of the request no more: what comes as trailers is no header (RFC 9110 §6.5.1)

    def on_chunk_header(self) -> None:
        """Behind the last one trailers come."""
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
            self.transport.close()
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


class Server:
    """A running door. In the main thread `run`; elsewhere `start` and `stop`."""

    def __init__(self, app: App, host: str, port: int) -> None:
        self.app = app
        self._socket = listen(host, port)
        self.host, self.port = self._socket.getsockname()[:2]
        config = uvicorn.Config(
            HttpDoor(app),
            http=BoundedProtocol,
            ws="none",
            loop="uvloop",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=IDLE,
            timeout_graceful_shutdown=GRACE,
            proxy_headers=False,
        )
        # uvicorn warns of every request that is not HTTP, in lines that are not ours; those who send them get a problem.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._server = _Announcing(config)
        self._server.leave = self._leave
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def run(self, announce: Callable[[str], None] = lambda url: None) -> None:
        """Serve until SIGTERM, SIGINT or SIGHUP: take no more, finish, stop the app. Where that takes too long the process ends.

        Raises the `StoreError` that made the process unfit.
        """
        self._server.announce = lambda: announce(self.url)
        self._server.within = GRACE + LEAVING + (self.app.config.engine.stop if self.app.role == "all" else 0)
        self.app.on_unfit = self._server.end
        # While it starts we hear signals ourselves. uvicorn raises the signal again once it has stopped: with the default handler that
        # would kill the process before the app stops.
        with heeding(self._server.handle_exit):
            try:
                self._run(settle_memory)
            finally:
                self._server.stopped()
        if self.app.unfit is not None:
            raise self.app.unfit

    def _leave(self) -> None:
        self.app.leaving = True

    def _run(self, started: Callable[[], None] = lambda: None) -> None:
        try:
            self.app.start()
            started()
            if not self._server.should_exit:  # told to stop before it began
                self._server.run(sockets=[self._socket])
        finally:
            self._server.end()  # also where nobody told it to
            self._socket.close()
            self.app.stop()

    def start(self, within: float = 10.0) -> None:
        """Serve in a thread; returns when the door is open. Raises what refused the start."""
        opened: Future[None] = Future()
        self._server.announce = lambda: opened.set_result(None)

        def serve() -> None:
            try:
                self._run()
            except BaseException as error:
                if opened.done():
                    raise
                opened.set_exception(error)

        self._thread = threading.Thread(target=serve, name="snodo-web", daemon=True)
        self._thread.start()
        try:
            opened.result(within)
        except TimeoutError:
            raise ConfigError(f"the HTTP door did not open within {within:g} seconds", code="config.port") from None

    def stop(self) -> None:
        """The end of `start`: returns when the app has stopped."""
        self._leave()
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(GRACE + 5)


class _Announcing(uvicorn.Server):
    """Says when it listens, and ends the process where it is told to stop and that takes longer than ``within`` seconds."""

    announce: Callable[[], Any] = staticmethod(lambda: None)
    leave: Callable[[], None] = staticmethod(lambda: None)
    within: float | None = None
    _ending: threading.Timer | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.end()

    def end(self) -> None:
        """Take no more, finish, and end; thread-safe."""
        if self.within is not None and self._ending is None:
            self._ending = ending_within(self.within)
        self.leave()
        self.should_exit = True

    def stopped(self) -> None:
        self.within = None
        if self._ending is not None:
            self._ending.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.announce()


_REMEDIES: Mapping[int | None, str] = MappingProxyType(
    {
        errno.EADDRINUSE: "is another bus running there? choose with --port or http.port",
        errno.EACCES: "ports below 1024 are for root: choose with --port or http.port",
    }
)
"""What to do about an address that cannot be had, by the error; for all others it is the address that is wrong."""


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; raises `ConfigError` when the address cannot be had."""
    made = None
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as error:
        if made is not None:
            made.close()
        hint = _REMEDIES.get(error.errno, "--host and http.host name an address of this machine, such as 127.0.0.1")
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}", code="config.port", hint=hint) from error
    return made
