"""A line between us and a server that can be spoilt: it swallows what we say, or breaks."""

from __future__ import annotations

import contextlib
import socket
import threading


class Proxy:
    """Listens on ``port`` and passes everything on to ``target``, both ways."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._lines: list[socket.socket] = []
        self._swallows = False
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self.cut()

    def swallow(self) -> None:
        """From now on the lines that are open take what we say and pass nothing on."""
        self._swallows = True

    def cut(self) -> None:
        """Break all lines; the next ones work."""
        lines, self._lines, self._swallows = self._lines, [], False
        for line in lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._door.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._lines += [near, far]
                threading.Thread(target=self._pass_on, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(far, near, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, outward: bool) -> None:
        with contextlib.suppress(OSError):
            while said := source.recv(65536):
                if not (outward and self._swallows and source in self._lines):
                    sink.sendall(said)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
