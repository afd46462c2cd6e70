"""Pollers: asking a system "anything new?" again and again. Each has a thread and a durable watermark.

What a poll finds goes in through the door like any other message, with a key, so that a watermark that was not written in time
makes the same messages come twice and be taken once. A poll that fails is asked again at the next turn, and
said: the same failure once, and when it is over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from bus.adapter import Door, Poller
from bus.clock import Clock
from bus.diagnostics import logger
from bus.engine.faltering import Faltering
from bus.engine.leases import Leases
from bus.engine.names import fact_tokens
from bus.engine.projection import Entry, entry, fact, write
from bus.errors import StoreError
from bus.log.record import Record
from bus.message import JsonValue, new_id
from bus.store import Store, Tx

LEAST_LEASE = 60.0
"""Seconds for which a poller is one process's own after a poll, at least."""
WATERMARK = "poller"
"""The kind of fact that holds watermarks, by the poller's name."""


class Polling:
    """Runs the pollers of all adapters. ``door`` gives the door of an adapter; of several processes that have ``leases`` one polls."""

    def __init__(self, store: Store, clock: Clock, door: Callable[[str], Door], leases: Leases | None = None) -> None:
        self._store, self._clock, self._door, self._leases = store, clock, door, leases
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._log = logger("snodo.polling")

    def start(self, adapter: str, poller: Poller) -> None:
        """Poll from now on, every ``poller.interval`` seconds."""
        thread = threading.Thread(target=self._poll_on, args=(adapter, poller), name=f"snodo-poll-{adapter}-{poller.name}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        """Let polls in progress end."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=20)

    def _poll_on(self, adapter: str, poller: Poller) -> None:
        log = self._log.bind(adapter=adapter, poller=poller.name)
        faltering = Faltering(lambda error: log.warning("poll.failed", error=repr(error)), lambda: log.warning("poll.goes-on"))
        while not self._stopping.is_set():
            faltering.attempt(partial(self._poll_once, adapter, poller))
            self._stopping.wait(poller.interval)

    def _poll_once(self, adapter: str, poller: Poller) -> None:
        duty = f"poller {adapter}.{poller.name}"
        fence = 0 if self._leases is None else self._leases.take(duty, max(LEAST_LEASE, 2 * poller.interval))
        if fence is None:
            return
        with self._store.read() as tx:
            before: JsonValue = fact(tx, adapter, WATERMARK, poller.name)
        after = poller.poll(self._door(adapter), before)
        if after != before:
            keys, facts = self._store.keys, [[WATERMARK, poller.name, after]]
            data = {"adapter": adapter, "poller": poller.name, "facts": fact_tokens(keys, facts)}
            record = Record(new_id(), "polled", self._clock.now(), actor=adapter, data=data)
            made = entry(record, keys.fresh(), {"facts": facts})
            self._store.write(lambda tx: self._keep(tx, made, duty, fence)).result()

    def _keep(self, tx: Tx, made: Entry, duty: str, fence: int) -> None:
        """Write a watermark, unless another process has polled meanwhile: its own may be newer."""
        if self._leases is not None and tx.one("lease_held", name=duty, owner=self._leases.owner, fence=fence) is None:
            raise StoreError(f"the duty {duty!r} is another process's by now", code="store.superseded")
        write(tx, made)
