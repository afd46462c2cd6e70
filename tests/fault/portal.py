"""The portal of the fault suite: sends until it is answered, and keeps its own durable book of what was promised to it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus.client import Client, ClientError
from bus.testing.town import key_of
from tests.fault.rules import Sending

BUSY = frozenset({0, 429, 500, 502, 503, 504})
"""After these the same message is sent again with the same key; anything else is a fault of the suite."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A 202: the message of this name is durable under this id."""

    name: str
    type: str
    body: dict[str, Any]
    id: str


class Portal:
    """Thread-safe. ``book`` is a file of JSON lines, each on the disk before `send` returns."""

    def __init__(self, url: str, book: Path) -> None:
        self._client = Client(url, key_of("portale"), attempts=1, timeout=30)
        self._file = book.open("ab", buffering=0)
        self._book, self._lock = book, threading.Lock()
        self.unanswered: Counter[str] = Counter()
        """How often a send ended without a 202, by the code of its error."""

    def send(self, sending: Sending, within: float = 120.0) -> str:
        """Send until there is a 202, write it down, return the id."""
        until, pause = time.monotonic() + within, 0.05
        while True:
            try:
                accepted = self._client.send(sending.type, sending.body, key=sending.name)
            except ClientError as error:
                if error.status not in BUSY or time.monotonic() > until:
                    raise
                self.unanswered[error.code] += 1
                time.sleep(min(error.retry_after or pause, 0.5))
                pause *= 1.5
                continue
            self._write({"name": sending.name, "type": sending.type, "body": sending.body, "id": accepted["id"]})
            return str(accepted["id"])

    def send_all(self, sendings: Iterable[Sending]) -> None:
        """One after the other: the next is sent when the last is promised."""
        for sending in sendings:
            self.send(sending)

    def promises(self) -> list[Promise]:
        """All 202s, in the order in which they came."""
        with self._lock:  # no line that is half written
            lines = self._book.read_bytes().splitlines()
        return [Promise(**json.loads(line)) for line in lines]

    def close(self) -> None:
        self._client.close()
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        with self._lock:
            self._file.write(json.dumps(line).encode() + b"\n")
            os.fsync(self._file.fileno())
