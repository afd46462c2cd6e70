"""One exchange of the current thread: its deadline, whether a byte of it left, and sockets that obey it.

Each system call gives the interpreter's lock away, and a socket with a timeout makes two more for each that is needed: one to set it, one
to wait where nothing is to be waited for. So plain sockets never block, and are waited for here.
"""

from __future__ import annotations

import io
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Crossing:
    """The exchange that the current thread is making: until when, and whether a byte of it left."""

    deadline: float
    left: bool = False

    def remaining(self) -> float:
        """Seconds to the deadline; never zero, which a socket would take for "do not block". Raises TimeoutError beyond it."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return max(left, 0.001)


_local = threading.local()


@contextmanager
def crossing(timeout: float) -> Iterator[Crossing]:
    """Within it, exchanges of a `Link` obey one deadline and tell through ``left`` whether a byte of the request left."""
    _local.crossing = made = Crossing(time.monotonic() + timeout)
    try:
        yield made
    finally:
        del _local.crossing


def current() -> Crossing:
    """The one that the current thread is within."""
    made: Crossing = _local.crossing
    return made


def is_plain(sock: Any) -> bool:
    """Whether it is no TLS socket, which may have to read in order to write."""
    return type(sock) is socket.socket


def never_block(sock: Any) -> None:
    if is_plain(sock):
        sock.setblocking(False)


def wait(sock: Any, event: int) -> None:
    """Until a plain socket is ready; others wait by themselves. Raises TimeoutError at the deadline of the crossing."""
    if is_plain(sock):
        ready(sock, event)
    else:
        sock.settimeout(current().remaining())


def can_wait(sock: Any) -> bool:
    """Whether `ready` can tell of it: not of TLS within TLS, to a proxy and to what lies behind it."""
    return isinstance(sock, socket.socket)


def ready(sock: socket.socket, events: int) -> int:
    """Which of these it is ready for, once it is for any. Raises TimeoutError at the deadline of the crossing."""
    poll = select.poll()
    poll.register(sock, events)
    for _, found in poll.poll(current().remaining() * 1000):
        return found
    raise TimeoutError("timed out")


class BoundedRaw(io.RawIOBase):
    """A socket's reading end whose every ``recv`` is bounded by what remains of the crossing: a dripping peer gains nothing."""

    def __init__(self, sock: Any, raw: Any) -> None:
        self._sock, self._raw = sock, raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(current().remaining())
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
