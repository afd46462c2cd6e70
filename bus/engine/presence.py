"""Presence: which processes of the bus are at work, as each says every few seconds. For people, not for safety: claims have leases."""

from __future__ import annotations

import datetime as dt
import os
import socket
import threading
from importlib.metadata import version

from bus.clock import Clock, moment_of, text_of
from bus.diagnostics import logger
from bus.errors import StoreError
from bus.message import JsonObject
from bus.store import Store, Tx

EVERY = 10.0
"""Seconds between two signs of life."""
FORGOTTEN = dt.timedelta(days=1)


class Presence:
    """Says that this process is here, from `begin` to `end`. ``rules`` is the digest of the catalog it works with."""

    def __init__(self, store: Store, clock: Clock, identity: str, role: str, rules: str) -> None:
        self._store, self._clock, self._id = store, clock, identity
        self._facts = {
            "id": identity, "role": role, "host": socket.gethostname(), "pid": os.getpid(), "version": version("snodo"), "rules": rules,
            "started": text_of(clock.now()),
        }  # fmt: skip
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="snodo-presence", daemon=True)

    def works_under(self, rules: str) -> None:
        """Say at once that the process works under these rules now."""
        self._facts["rules"] = rules
        if self._thread.is_alive() and not self._over.is_set():
            self._try_to_say()

    def begin(self) -> None:
        self._say()
        self._thread.start()

    def end(self) -> None:
        """Say good-bye; raises `StoreError` when nobody can be told."""
        self._over.set()
        self._store.write(lambda tx: tx.do("drop_process", id=self._id)).result()

    def _go_on(self) -> None:
        while not self._over.wait(EVERY):
            self._try_to_say()

    def _try_to_say(self) -> None:
        try:
            self._say()
        except StoreError as error:
            logger("snodo.presence").warning("presence.not-told", error=repr(error))

    def _say(self) -> None:
        now = self._clock.now()

        def work(tx: Tx) -> None:
            tx.do("forget_processes", before=text_of(now - FORGOTTEN))
            tx.do("see_process", seen=text_of(now), **self._facts)

        self._store.write(work).result()


def processes(tx: Tx, now: dt.datetime) -> list[JsonObject]:
    """All processes that were seen lately: what they said of themselves, and ``silent``: seconds since the last sign of life."""
    return [{**dict(row), "silent": round(max((now - moment_of(row["seen"])).total_seconds(), 0.0), 1)} for row in tx.all("processes_seen")]
