"""`bus serve`: the HTTP door and the engine in one process, under uvicorn (uvloop, httptools); stops gracefully on SIGTERM and SIGHUP."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import FrameType, MappingProxyType
from typing import Any

import uvicorn

from bus import memory
from bus.app import App
from bus.errors import ConfigError
from bus.web.door import HttpDoor
from bus.web.protocol import BoundedProtocol
from bus.worker import LEAVING, Ending, ending_within, heeding

IDLE = 30
GRACE = 25
"""Seconds for what is in progress when the process is told to stop."""


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
                self._run(memory.settle)
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
    _ending: Ending | None = None

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
