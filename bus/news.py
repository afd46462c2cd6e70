"""News within a process: whoever waits for the reply of a message is woken when there is one, or when the message has ended.

Whoever gives a reply here hands it over with the news, so that nobody need read it back; from other processes there is only word that
one should look (`bus.channel`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from bus.message import JsonValue

Wake = Callable[[JsonValue], object]
"""Hears news of a message: the reply, or None when one should look. MUST NOT block."""


class News:
    """Thread-safe."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Wake]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def listen(self, message: str, wake: Wake) -> Iterator[None]:
        """Call ``wake`` at every news of a message, for the ``with`` block only."""
        with self._lock:
            self._waiting.setdefault(message, []).append(wake)
        try:
            yield
        finally:
            with self._lock:
                self._waiting[message].remove(wake)
                if not self._waiting[message]:
                    del self._waiting[message]

    def tell(self, told: Mapping[str, JsonValue]) -> None:
        """Messages with their replies, or None."""
        with self._lock:
            for message, reply in told.items():
                for wake in self._waiting.get(message, ()):
                    wake(reply)
