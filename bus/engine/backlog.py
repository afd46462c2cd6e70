"""Back-pressure: how much work waits, and whether the doors take more. Any process can ask, with an engine or without.

The count is a look at the store, at most one a second and only while messages come; so a bus that fills up fast takes about a second's
worth more than its bound. Once it is full it looks on by itself, and takes messages again when a tenth has been worked off. Looks that take
long, as where a transaction that is left open keeps PostgreSQL from clearing away what was ready hours ago, come more seldom.

Runs that stand behind a dead letter of their case are not counted: they wait for a person, and one case must not shut the door for all.
"""

from __future__ import annotations

import threading
import time

from bus.clock import Clock, text_of
from bus.diagnostics import logger
from bus.engine.faltering import Faltering
from bus.engine.threads import Threads
from bus.errors import Busy
from bus.store import Store

EVERY, SELDOM = 1.0, 10.0
"""Seconds between two looks, and the most."""
SHARE = 0.1
"""The part of the time for which it may look."""
RETRY_AFTER = 5
"""Seconds that a sender is asked to wait."""


class Backlog:
    """``most`` runs may be due. `check` never blocks; the looking is done by a thread that is made when first needed."""

    def __init__(self, store: Store, clock: Clock, most: int) -> None:
        self._store, self._clock, self._most = store, clock, most
        self._looked, self._every = -EVERY, EVERY
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = Threads(1, "snodo-backlog")
        self._log = logger("snodo.intake")
        self._faltering = Faltering(lambda error: self._log.warning("backlog.not-counted", error=repr(error)))
        self.full = False

    def check(self) -> None:
        """Raises `Busy` while too much waits."""
        now = time.monotonic()
        if now - self._looked >= self._every and self._lock.acquire(blocking=False):
            self._looked = now
            try:
                self._thread.run(self._watch)
            except RuntimeError:  # stopping
                self._lock.release()
        if self.full:
            raise Busy(
                f"more than {self._most} messages wait to be worked on", code="bus.backlog", retry_after=RETRY_AFTER,
                hint="send it again after that time, under the same key",
            )  # fmt: skip

    def _watch(self) -> None:
        """Look, and while it is full again and again: the first message after a pause must not meet what was true before it."""
        try:
            self._faltering.attempt(self._look)  # a store that fails says so itself, when a message is written
            while self.full and not self._stopping.wait(self._every):
                self._faltering.attempt(self._look)
        finally:
            self._lock.release()

    def _look(self) -> None:
        began = time.monotonic()
        count = self._count()
        self._every = min(max(EVERY, (time.monotonic() - began) / SHARE), SELDOM)
        was, self.full = self.full, count >= (self._most * 0.9 if self.full else self._most)
        if was != self.full:
            self._log.warning("backlog.full" if self.full else "backlog.worked-off", ready=count, most=self._most)

    def _count(self) -> int:
        """Runs that a worker could take, up to the bound. What stands behind a dead letter is looked for only when that may decide."""
        now = text_of(self._clock.now())
        with self._store.read() as tx:
            due = int(tx.all("count_ready", now=now, most=self._most)[0]["ready"])
            if due < self._most * 0.9:
                return due
            behind = int(tx.all("count_behind_dead", now=now)[0]["behind"])
            return int(tx.all("count_ready", now=now, most=self._most + behind)[0]["ready"]) - behind

    def close(self) -> None:
        self._stopping.set()
        self._thread.close(time.monotonic() + 5)
