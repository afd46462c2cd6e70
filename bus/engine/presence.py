"""Presence: which processes of the bus are at work, as each says every few seconds. For people, not for safety: claims have leases.

A process that is no more on this very machine need not be waited for: what it held is free at once (`Presence.release_the_gone`). Only what
the kernel says of a process counts, by its number or by its lifeline (`bus.engine.lifeline`), never silence: a process that is paused,
slow or cut off lives, and its leases run.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
import threading
from collections.abc import Callable
from importlib.metadata import version

from bus.clock import Clock, moment_of, text_of
from bus.diagnostics import logger
from bus.engine.faltering import Faltering
from bus.engine.lifeline import Lifelines, gone
from bus.message import JsonObject, canonical, parsed
from bus.store import Row, Store, Tx

EVERY = 10.0
"""Seconds between two signs of life."""
LOOK = 1.0
"""Seconds between two looks for processes of this machine that are no more."""
SILENT = dt.timedelta(seconds=3 * EVERY)
"""A process of which nothing was heard for so long does not count as one that works."""
FORGOTTEN = dt.timedelta(days=1)
LAST = 5.0
"""Seconds that the good-bye waits for a look that is under way: it asks the disk of the attachments, too, which may hang."""


def facts_of(identity: str, role: str, rules: str, started: dt.datetime) -> dict[str, str | int]:
    """What this process says of itself: to the others, or to people where it is alone; as its role, the command that began it."""
    command = "serve" if role == "all" else role
    return {
        "id": identity, "role": command, "host": socket.gethostname(), "pid": os.getpid(), "version": version("snodo"), "rules": rules,
        "started": text_of(started),
    }  # fmt: skip


class Presence:
    """Says that this process is here, from `begin` to `end`. ``rules`` is the digest of the catalog it works with.

    ``workers`` is told each second how many processes work, this one counted in, and which of them it is, from 0; ``gates`` says how many
    calls are out and in line, which the others may read a second later; ``heard`` is told of what failed.
    """

    def __init__(
        self, store: Store, clock: Clock, identity: str, role: str, rules: str,
        workers: Callable[[int, int], None] = lambda count, rank: None, gates: Callable[[], JsonObject] = dict,
        lifelines: Lifelines | None = None, heard: Callable[[Exception], None] = lambda error: None,
    ) -> None:  # fmt: skip
        self._workers, self._gates, self._lifelines, self._heard = workers, gates, lifelines, heard
        self._said = canonical({})
        self._store, self._clock, self._id = store, clock, identity
        self._facts = facts_of(identity, role, rules, clock.now())
        self._log = logger("snodo.presence")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="snodo-presence", daemon=True)

    def works_under(self, rules: str) -> None:
        """Say at once that the process works under these rules now."""
        self._facts["rules"] = rules
        if self._thread.is_alive() and not self._over.is_set():
            self._try(self._say, Faltering(self._not_told))

    def begin(self) -> None:
        if self._lifelines is not None:
            self._lifelines.hold(self._id)
        self.release_the_gone()
        self._say()
        self._thread.start()

    def end(self) -> None:
        """Say good-bye; raises `StoreError` when nobody can be told."""
        self._over.set()
        if self._thread.is_alive():  # in the midst of a look it would meet a store that is closed
            self._thread.join(LAST)
        self._store.write(lambda tx: _leave(tx, self._id)).result()
        self._drop([self._id])

    def release_the_gone(self) -> None:
        """Void claims and duties of processes of this machine that are no more; one read when there are none."""
        with self._store.read() as tx:
            seen = tx.all("processes_seen")
        lost = [row["id"] for row in seen if self._is_gone(row["id"])]
        now = self._clock.now()
        here = {row["id"] for row in seen if row["role"] != "web" and silence(row, now) <= SILENT} - {*lost} | {self._id}
        self._workers(len(here), sorted(here).index(self._id))
        if lost:
            self._store.write(lambda tx: _release(tx, lost)).result()
            self._drop(lost)
            self._log.warning("process.gone", processes=lost, sentence="what they held is free again")

    def _is_gone(self, identity: str) -> bool:
        return gone(identity) or (self._lifelines is not None and identity != self._id and self._lifelines.is_cut(identity))

    def _drop(self, ended: list[str]) -> None:
        if self._lifelines is not None:
            for identity in ended:
                self._lifelines.drop(identity)

    def _go_on(self) -> None:
        beats, pause = 0, 0.0
        looked, said, called = (Faltering(self._not_told) for _ in range(3))
        while not self._over.wait(max(LOOK, pause)):
            beats += 1
            pause = max(self._try(self.release_the_gone, looked), self._try(self._say_gates, said))
            if beats % round(EVERY / LOOK) == 0:
                pause = max(pause, self._try(self._say, called))

    def _try(self, work: Callable[[], None], faltering: Faltering) -> float:
        """Try some work; returns the seconds to wait before the next try, 0 where it went well."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the next time is soon, and leases run out by themselves
            self._heard(error)
            return faltering.failed(error)
        faltering.went_well()
        return 0.0

    def _not_told(self, error: Exception) -> None:
        self._log.warning("presence.not-told", error=repr(error))

    def _say(self) -> None:
        now = self._clock.now()

        def work(tx: Tx) -> None:
            tx.do("forget_processes", before=text_of(now - FORGOTTEN))
            tx.do("forget_gates")
            tx.do("see_process", seen=text_of(now), **self._facts)

        self._write(work)

    def _say_gates(self) -> None:
        """What has changed since the last time."""
        said = canonical(self._gates())
        if said != self._said:
            self._write(lambda tx: tx.do("say_gates", id=self._id, value=said.decode()))
            self._said = said

    def _write(self, work: Callable[[Tx], None]) -> None:
        """Say something of this process, unless it has said good-bye by then."""
        self._store.write(lambda tx: None if self._over.is_set() else work(tx)).result()


def _release(tx: Tx, lost: list[str]) -> None:
    for one in lost:
        tx.do("void_claims", owner=one)
        tx.do("leave_leases", owner=one)
        _leave(tx, one)


def _leave(tx: Tx, identity: str) -> None:
    tx.do("drop_process", id=identity)
    tx.do("drop_gates", id=identity)


def processes(tx: Tx, now: dt.datetime) -> list[JsonObject]:
    """All processes that were seen lately: what they said of themselves, and ``silent``: seconds since the last sign of life."""
    return [{**dict(row), "silent": round(silence(row, now).total_seconds(), 1)} for row in tx.all("processes_seen")]


def silence(row: Row, now: dt.datetime) -> dt.timedelta:
    """For how long nothing was heard of a process. Who said it was later than now has not spoken since the clock was set back."""
    return abs(now - moment_of(row["seen"]))


def gates(tx: Tx, now: dt.datetime, but: str = "") -> list[JsonObject]:
    """What processes that are at work said of their gates, by name of the gate; without those of the process ``but``."""
    return [parsed(row["value"]) for row in tx.all("gates_said", since=text_of(now - SILENT)) if row["id"] != but]
