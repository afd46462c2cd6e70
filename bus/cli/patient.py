"""A client for somebody at a terminal: it says when the bus keeps him waiting, and names no person in an address."""

from __future__ import annotations

import sys
import threading
from typing import Any

import typer

from bus.client import Client, Reply
from bus.errors import without_persons

QUIET = 10.0
"""Seconds without an answer, beyond those that were asked for, after which it is said."""


class PatientClient(Client):
    """A `Client` whose calls say on standard error that they still wait: else a bus that stands still looks like a command that does.

    It asks for no address with a codice fiscale in it, whichever word of the command that came from: every proxy writes addresses down.
    """

    def _call(self, method: str, path: str, *asked: Any, longer: float = 0, **how: Any) -> Reply:
        if without_persons(path) != path:
            raise typer.BadParameter(
                "a codice fiscale has no place on a command line or in an address: take the id, or another key of the case"
            )
        watch = threading.Timer(QUIET + longer, self._tell)
        watch.daemon = True
        watch.start()
        try:
            return super()._call(method, path, *asked, longer=longer, **how)
        finally:
            watch.cancel()

    def _tell(self) -> None:
        where = f"{self._parts.scheme}://{self._parts.netloc.rpartition('@')[2]}"
        print(f"the bus at {where} does not answer yet; Ctrl-C ends the wait, `bus doctor` says what holds it up", file=sys.stderr)
