"""A line to an outside system of HTTP on which everything goes wrong that goes wrong on lines, by chance that a seed chooses."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable

from tests.contract.proxy import Door

PAGE = b"<html><body>Il servizio non risponde</body></html>"
SLOW = 2.5
"""Seconds, longer than the timeout of a call (`tests.fault.sistema`)."""
Spoil = Callable[["BadLine", socket.socket], bool]
"""What becomes of one request on the line to the bus; false when the line has ended with it."""


class BadLine(Door):
    """In front of the system at ``target``. A request goes well or meets one of `SPOILT`; ``met`` counts which."""

    def __init__(self, target: int, seed: int, share: float) -> None:
        super().__init__()
        self._target, self._dice, self._share = target, random.Random(seed), share
        self._lock = threading.Lock()
        self.met: Counter[str] = Counter()

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        self._share = 0.0

    def ask(self, request: bytes) -> bytes:
        """The system's whole answer to a request."""
        with contextlib.closing(socket.create_connection(("127.0.0.1", self._target), timeout=30)) as far:
            far.sendall(request)
            return whole(far) or b""

    def _serve(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while self._chosen()(self, near):
                continue
        near.close()

    def _chosen(self) -> Spoil:
        with self._lock:
            if self._dice.random() >= self._share:
                return well
            spoil = self._dice.choice(SPOILT)
            self.met[spoil.__name__] += 1
            return spoil


def whole(line: socket.socket) -> bytes | None:
    """One request or answer that says its length; None at the end of the line."""
    said = b""
    while (headers := said.partition(b"\r\n\r\n"))[1] == b"":
        if not (more := line.recv(65536)):
            return None
        said += more
    length = re.search(rb"(?im)^content-length: *(\d+)", headers[0])
    missing = (int(length[1]) if length else 0) - len(headers[2])
    while missing > 0 and (more := line.recv(65536)):
        said, missing = said + more, missing - len(more)
    return said


def reset(near: socket.socket) -> bool:
    """End the line as a machine does that knows nothing of it."""
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def well(line: BadLine, near: socket.socket) -> bool:
    request = whole(near)
    if request is None:
        return False
    near.sendall(line.ask(request))
    return True


def reset_at_once(line: BadLine, near: socket.socket) -> bool:
    return reset(near)


def reset_in_the_request(line: BadLine, near: socket.socket) -> bool:
    near.recv(20)
    return reset(near)


def reset_unanswered(line: BadLine, near: socket.socket) -> bool:
    if request := whole(near):
        line.ask(request)
    return reset(near)


def closed_unasked(line: BadLine, near: socket.socket) -> bool:
    """As a server does whose kept line was idle for too long, in the moment in which it is used again."""
    whole(near)
    return False


def cut_in_the_headers(line: BadLine, near: socket.socket) -> bool:
    return _cut(line, near, 30)


def cut_in_the_body(line: BadLine, near: socket.socket) -> bool:
    return _cut(line, near, -5)


def _cut(line: BadLine, near: socket.socket, at: int) -> bool:
    if request := whole(near):
        near.sendall(line.ask(request)[:at])
    return False


def too_late(line: BadLine, near: socket.socket) -> bool:
    """The answer comes when nobody waits any more, and the line goes on."""
    if request := whole(near):
        answer = line.ask(request)
        time.sleep(SLOW)
        near.sendall(answer)
    return request is not None


def drop_by_drop(line: BadLine, near: socket.socket) -> bool:
    """A byte now and then, so that each wait for one is short, and the whole is too long."""
    if request := whole(near):
        for byte in line.ask(request):
            near.sendall(bytes([byte]))
            time.sleep(0.2)
    return False


def swallowed(line: BadLine, near: socket.socket) -> bool:
    whole(near)
    time.sleep(SLOW)
    return False


def answered_twice(line: BadLine, near: socket.socket) -> bool:
    """What comes behind the answer is no answer to the next request."""
    if request := whole(near):
        near.sendall(line.ask(request) * 2)
    return request is not None


def no_http(line: BadLine, near: socket.socket) -> bool:
    if request := whole(near):
        line.ask(request)
        near.sendall(b"\x16\x03\x01\x00\x00 nothing of this is HTTP\r\n\r\n")
    return False


def page(line: BadLine, near: socket.socket, status: bytes, *, asked: bool) -> bool:
    """Whoever stands before the system answers for it."""
    if request := whole(near):
        if asked:
            line.ask(request)
        near.sendall(b"HTTP/1.1 %b\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (status, len(PAGE), PAGE))
    return request is not None


def bad_gateway(line: BadLine, near: socket.socket) -> bool:
    return page(line, near, b"502 Bad Gateway", asked=True)


def gateway_timeout(line: BadLine, near: socket.socket) -> bool:
    return page(line, near, b"504 Gateway Timeout", asked=True)


def unavailable(line: BadLine, near: socket.socket) -> bool:
    return page(line, near, b"503 Service Unavailable", asked=False)


def not_found(line: BadLine, near: socket.socket) -> bool:
    return page(line, near, b"404 Not Found", asked=False)


def forbidden(line: BadLine, near: socket.socket) -> bool:
    return page(line, near, b"403 Forbidden", asked=False)


SPOILT: tuple[Spoil, ...] = (
    reset_at_once, reset_in_the_request, reset_unanswered, closed_unasked, cut_in_the_headers, cut_in_the_body, too_late, drop_by_drop,
    swallowed, answered_twice, no_http, bad_gateway, gateway_timeout, unavailable, not_found, forbidden,
)  # fmt: skip
