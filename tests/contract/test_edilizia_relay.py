"""The relay before the building office's database: what it waits for is the answer to what it gave, however threads take turns."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

from adapters.edilizia.relay import Session, _answers

READY = b"Z" + struct.pack("!I", 5) + b"I"


class HastyClient:
    """Hears that the server is ready, and has the next message on its way before the relay's thread goes on."""

    def __init__(self) -> None:
        self.session: Any = None
        self.answered = threading.Event()
        self.waits = threading.Event()

    def sendall(self, message: bytes) -> None:
        threading.Thread(target=self._next, daemon=True).start()
        assert self.waits.wait(10)

    def _next(self) -> None:
        self.session.forward(b"COMMIT")
        self.answered.set()

    def shutdown(self, how: int) -> None:
        pass

    def close(self) -> None:
        pass


class Waiting(threading.Event):
    """Says when somebody begins to wait."""

    def __init__(self, begun: threading.Event) -> None:
        super().__init__()
        self._begun = begun

    def wait(self, timeout: float | None = None) -> bool:
        self._begun.set()
        return super().wait(timeout)


def test_an_answer_to_an_earlier_message_is_not_taken_for_that_to_the_next() -> None:
    ours, servers = socket.socketpair()
    client = HastyClient()
    client.session = session = Session(client, ours, ready=Waiting(client.waits))  # type: ignore[arg-type]
    with ours, servers:
        threading.Thread(target=_answers, args=(session,), daemon=True).start()
        servers.sendall(READY)
        assert servers.recv(100) == b"COMMIT"
        assert not client.answered.wait(0.2)
        session.mute = True
        servers.sendall(READY)
        assert client.answered.wait(10)
