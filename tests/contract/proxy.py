"""A line between us and a server that can be spoilt: it swallows what we say, or breaks."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self


class Door:
    """Listens on ``port`` of loopback; what becomes of a line, `_serve` says, in a thread of its own."""

    def __init__(self) -> None:
        self._lines: list[socket.socket] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        end(self._door)
        self.cut()

    def cut(self) -> None:
        """Break all lines; the next ones work."""
        lines, self._lines = self._lines, []
        for line in lines:
            end(line)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._door.accept()
                self._lines.append(near)
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        raise NotImplementedError


def end(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()


class Proxy(Door):
    """Passes everything on to the port ``target``, both ways."""

    def __init__(self, target: int) -> None:
        super().__init__()
        self._target = target
        self._swallowing: set[socket.socket] = set()

    def swallow(self) -> None:
        """From now on the lines that are open take what we say and pass nothing on, to their end."""
        self._swallowing.update(self._lines)

    def _serve(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            far = socket.create_connection(("127.0.0.1", self._target))
            self._lines.append(far)
            threading.Thread(target=self._pass_on, args=(far, near, False), daemon=True).start()
            self._pass_on(near, far, outward=True)

    def _pass_on(self, source: socket.socket, sink: socket.socket, outward: bool) -> None:
        with contextlib.suppress(OSError):
            while said := source.recv(65536):
                if not (outward and source in self._swallowing):
                    sink.sendall(said)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


class Pooler(Proxy):
    """It lends sessions of the server: the number that it gives to whoever calls is its own. ``said``: what was asked through it."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.said = b""

    def _pass_on(self, source: socket.socket, sink: socket.socket, outward: bool) -> None:
        with contextlib.suppress(OSError):
            while said := source.recv(65536):
                self.said += said if outward else b""
                number = said.find(b"K\0\0\0\x0c") + 5
                sink.sendall(said if outward or number < 5 else said[:number] + b"\0\0\0\x07" + said[number + 4 :])
        sink.close()


class Mute(Proxy):
    """Whoever is asked ``word`` through it is not heard any more, nor is what is said to him passed on: no line is broken by it."""

    def __init__(self, target: int, word: bytes) -> None:
        super().__init__(target)
        self._word = word
        self.muted = threading.Event()

    def _pass_on(self, source: socket.socket, sink: socket.socket, outward: bool) -> None:
        with contextlib.suppress(OSError):
            while said := source.recv(65536):
                if outward and self._word in said:
                    self.muted.set()
                if not self.muted.is_set():
                    sink.sendall(said)
        end(sink)
