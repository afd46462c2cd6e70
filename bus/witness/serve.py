"""The process of a witness, under uvicorn; SIGTERM stops it in good order."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import time
from collections.abc import Callable

import uvicorn

from bus.diagnostics import configure, logger
from bus.errors import ConfigError
from bus.log import note
from bus.witness.door import Door
from bus.witness.memory import Memory
from bus.witness.settings import Settings
from bus.witness.witness import Witness

AT_ONCE = 64
"""Connections; whoever comes then gets 503."""


def open_witness(settings: Settings) -> tuple[Witness, Memory]:
    """A witness on its memory, which is to be closed in the end; raises `ConfigError`."""
    signer = note.read_signer(settings.key)
    if signer.verifier.type != note.COSIGNATURE:
        raise ConfigError(f"the key in {settings.key} is not one that cosigns", code="config.key-file", hint="bus witness key makes one")
    logs = {log.origin: [note.verifier(key) for key in log.keys] for log in settings.logs}
    memory = Memory(settings.memory, logs, [signer.verifier, *map(note.verifier, settings.former_keys)])
    return Witness(signer, logs, memory, time.time), memory


def run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; ``announce`` is told the address once it listens."""
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises it again once it has stopped, and that is no failure
        signal.signal(number, lambda *_: None)
    configure()
    witness, memory = open_witness(settings)
    for origin in (origin for origin in witness.origins if witness.last(origin) is None):
        logger("snodo.witness").warning("log.begins", origin=origin, sentence="the first checkpoint that is brought will be believed")
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = uvicorn.Config(
        Door(witness), lifespan="off", ws="none", log_config=None, access_log=False, server_header=False, proxy_headers=False,
        limit_concurrency=AT_ONCE, timeout_keep_alive=75, timeout_graceful_shutdown=10,
    )  # fmt: skip
    try:
        with _listening(settings.host, settings.port) as door:
            host, port = door.getsockname()[:2]
            server = _Announcing(config)
            server.announce = lambda: announce(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
            server.run(sockets=[door])
    finally:
        memory.close()


class _Announcing(uvicorn.Server):
    announce: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.announce()


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
        hint = "choose another port" if taken else "host is an address of this machine, such as 127.0.0.1"
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}", code="config.port", hint=hint) from error
