"""A client for somebody at a terminal: it says when the bus keeps him waiting."""

from __future__ import annotations

import sys
import threading
from typing import Any

from bus.client import Client, Reply

QUIET = 10.0
"""Seconds without an answer, beyond those that were asked for, after which it is said."""


class PatientClient(Client):
    """A `Client` whose calls say on standard error that they still wait: else a bus that stands still looks like a command that does."""

    def _call(self, *asked: Any, longer: float = 0, **how: Any) -> Reply:
        watch = threading.Timer(QUIET + longer, self._tell)
        watch.daemon = True
        watch.start()
        try:
            return super()._call(*asked, longer=longer, **how)
        finally:
            watch.cancel()

    def _tell(self) -> None:
        where = f"{self._parts.scheme}://{self._parts.netloc.rpartition('@')[2]}"
        print(f"the bus at {where} does not answer yet; Ctrl-C ends the wait, `bus doctor` says what holds it up", file=sys.stderr)
