"""A forward proxy as they stand at the border of a municipality's network: CONNECT, whole addresses, and refusing."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from tests.contract.proxy import Door, end


class ForwardProxy(Door):
    """``answer``: what it says to every CONNECT instead of opening the tunnel; ``user``: ``user:password`` in base64 that it asks for.

    ``asked`` has the head of every request to it, ``passed`` what went through to systems.
    """

    def __init__(self, answer: bytes = b"", user: str = "", opened: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.asked: list[bytes] = []
        self.passed = bytearray()
        super().__init__()
        self._answer, self._user, self._opened = answer, user, opened
        self.url = f"http://127.0.0.1:{self.port}"

    def _serve(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            said = b""
            while b"\r\n\r\n" not in said and (piece := near.recv(65536)):
                said += piece
            head, _, rest = said.partition(b"\r\n\r\n")
            if not head:
                return
            self.asked.append(head)
            method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
            answer = self._answer
            if self._user and f"Proxy-Authorization: Basic {self._user}".encode() not in head:
                answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
            if answer:
                near.sendall(answer)
                end(near)
                return
            host, _, port = (target if method == "CONNECT" else urlsplit(target).netloc).rpartition(":")
            far = socket.create_connection((host, int(port)))
            self._lines.append(far)
            if method == "CONNECT":
                near.sendall(self._opened)
            else:
                own = [line for line in head.split(b"\r\n")[1:] if not line.startswith(b"Proxy-")]
                rest = b"\r\n".join([f"{method} {urlsplit(target).path} HTTP/1.1".encode(), *own]) + b"\r\n\r\n" + rest
                self._pass(far, rest)
            threading.Thread(target=self._pump, args=(far, near, near.sendall), daemon=True).start()
            self._pump(near, far, lambda piece: self._pass(far, piece))

    def _pass(self, far: socket.socket, piece: bytes) -> None:
        self.passed += piece
        far.sendall(piece)

    def _pump(self, source: socket.socket, other: socket.socket, sink: Callable[[bytes], object]) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                sink(piece)
        end(source)
        end(other)
