"""The outbox: what waits to be published. Filling it never blocks; beyond its bound ids are dropped, since the sweeper rings again."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections import deque
from collections.abc import Sequence

MOST = 100
"""How many ids go into one ticket at most: the claim of a worker is about as large, and others get their share."""
BOUND = 200_000
"""How many run ids wait at most while the broker is away, and how many news."""


class Outbox:
    """Ids in order, taken as tickets. Thread-safe; one thread takes."""

    def __init__(self, bound: int = BOUND) -> None:
        self._bound = bound
        self._runs: deque[str] = deque()
        self._news: deque[str] = deque(maxlen=bound)
        self._lock = threading.Lock()
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)
        self._pressed = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._runs)

    def put(self, runs: Sequence[str]) -> None:
        with self._lock:
            room = self._bound - len(self._runs)
            self._runs.extend(runs if len(runs) <= room else runs[:room])
            self.dropped += max(0, len(runs) - room)
        self.wake()

    def put_back(self, tickets: Sequence[Sequence[str]]) -> None:
        """What was not confirmed goes to the front again."""
        with self._lock:
            for ticket in reversed(tickets):
                self._runs.extendleft(reversed(ticket))
            while len(self._runs) > self._bound:
                self._runs.pop()
                self.dropped += 1

    def put_news(self, messages: Sequence[str]) -> None:
        with self._lock:
            self._news.extend(messages)
        self.wake()

    def take(self) -> list[str]:
        """The next ticket; empty when nothing waits."""
        return self._take(self._runs)

    def take_news(self) -> list[str]:
        return self._take(self._news)

    def wake(self) -> None:
        """End the `wait` of the thread that takes."""
        if not self._pressed:
            self._pressed = True
            with contextlib.suppress(OSError):
                self._button.send(b"!")

    def wait(self, seconds: float, other: socket.socket | None = None) -> None:
        """Until something was put, ``other`` can be read, or ``seconds`` have passed."""
        watch = select.poll()
        for line in (self._bell, other):
            if line is not None:
                watch.register(line, select.POLLIN)
        watch.poll(seconds * 1000)
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(64)
        self._pressed = False  # behind the bell: who rang between the two would be silenced, and the button stay pressed

    def close(self) -> None:
        self._bell.close()
        self._button.close()

    def _take(self, waiting: deque[str]) -> list[str]:
        with self._lock:
            return [waiting.popleft() for _ in range(min(MOST, len(waiting)))]
