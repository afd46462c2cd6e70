"""An act that destroys or hands out, in a process that kills itself at its n-th word to the disk or commit: ``python -m tests.fault.cut_off``.

A fail point names a place of a message's walk; these acts have no walk, they have words to the disk, and each of them is tried.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bus import config
from bus.app import App
from bus.bundle import export as bundles
from bus.config import Retention
from bus.disk import save
from bus.engine.destruction import Destruction
from bus.engine.retention import KINDS
from bus.store import writer
from tests.clocks import FixedClock

WORDS = ("fsync", "pwrite", "replace", "link", "unlink")
DAYS = 40
"""How long after what happened the retention comes that finds it too old."""


class Countdown:
    """Ends the process when so many words were said since `begin`."""

    def __init__(self, left: int) -> None:
        self._left, self._counts = left, False
        for name in WORDS:
            setattr(os, name, self._before(getattr(os, name)))
        writer.reach = lambda name: self.word()  # type: ignore[assignment]

    def begin(self) -> None:
        self._counts = True

    def word(self) -> None:
        self._left -= self._counts
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _before(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            self.word()
            return real(*given, **named)

        return call


def old(app: App) -> Destruction:
    """Retention, at a time when everything is too old."""
    clock, terms = FixedClock(dt.datetime.now(dt.UTC) + dt.timedelta(days=DAYS)), Retention(payloads="30d", attachments="30d", wire="20d")
    return Destruction(terms, {}, app.store, clock, app.keys, app.attachments)


def retain(app: App) -> None:
    for kind in KINDS:
        if kind in ("payloads", "attachments", "wire"):
            old(app).dispose(kind, "sistemista", "scarto")


def export(app: App, out: Path) -> None:
    scope = {"from": "2020-01-01"}
    wanted = bundles.Wanted(scope, bundles.messages_of(app.store, scope), "revisore", "prova", payloads=True)
    save(out, b"".join(bundles.export(app.store, app.clock, app.config.log.origin, wanted, {}).pieces))


def main(act: str, at: int, settings: Path, request: str) -> None:
    """Start the bus, do the act, end as if nothing more were to be said."""
    countdown = Countdown(at)
    loaded = config.load(settings)
    if act == "start":
        countdown.begin()
    app = App(loaded, adapters={})
    app.start()
    countdown.begin()
    if act == "erase":
        app.destruction.confirm(request, "collega")
    elif act == "retain":
        retain(app)
    elif act == "export":
        export(app, settings.parent / "fascicolo.zip")
    else:
        app.stop()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
