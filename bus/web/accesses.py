"""Accesses of persons: the first request of a key, its end, and whoever was refused, handed to the log.

Keys have no log-in. An access begins with the first request of a key from an address and ends when none came for `IDLE` seconds. Only roles
that see other people's data count; portals and monitors are programs.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bus.errors import StoreError
from bus.reports import Access
from bus.web.auth import READERS, Caller

IDLE = 900.0
"""Seconds without a request after which an access is over."""
EVERY = 60.0
"""Seconds in which refusals of one address make one line."""
LOOK = 5.0
"""Seconds between two looks for what is to be told though nobody comes in or is refused."""
MOST = 1000
"""Addresses whose refusals are kept apart; the rest is counted together."""


@dataclass(slots=True)
class _Seen:
    role: str
    last: float


class Accesses:
    """Thread-safe. ``keep`` writes events to the log; ``clock`` gives seconds."""

    def __init__(self, keep: Callable[[Sequence[Access]], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._keep, self._clock = keep, clock
        self._lock, self._entering = threading.Lock(), threading.Lock()
        self._present: dict[tuple[str, str], _Seen] = {}
        self._refused: dict[str, int] = {}
        self._told = float("-inf")

    def enters(self, caller: Caller, address: str) -> bool:
        """Whether this request begins an access; one that goes on is noted here."""
        return caller.role in READERS and not self._goes_on(caller, address)

    def _goes_on(self, caller: Caller, address: str) -> bool:
        with self._lock:
            seen = self._present.get((caller.name, address))
            if seen is not None:
                seen.last = self._clock()
            return seen is not None

    def enter(self, caller: Caller, address: str) -> None:
        """Durable when it returns: nobody comes in unrecorded. Raises `StoreError`."""
        with self._entering:  # of several first requests at once, one begins the access, and the others wait until it is recorded
            if self._goes_on(caller, address):
                return
            self._write([*self._gone(), Access("entered", caller.name, caller.role or "", address)])
            with self._lock:
                self._present[caller.name, address] = _Seen(caller.role or "", self._clock())

    def refuse(self, address: str) -> bool:
        """Count a request with a key that is not known or may not; whether it is time to write."""
        with self._lock:
            known = address if address in self._refused or len(self._refused) < MOST else "others"
            self._refused[known] = self._refused.get(known, 0) + 1
        return self._clock() - self._told >= EVERY

    def due(self) -> bool:
        """Whether refusals have waited for their minute, or somebody has gone."""
        now = self._clock()
        with self._lock:
            return (bool(self._refused) and now - self._told >= EVERY) or any(now - seen.last > IDLE for seen in self._present.values())

    def tell(self, idle: float = IDLE) -> None:
        """Write what was refused and who has gone; what cannot be written now is counted on."""
        events = [*self._take_refused(), *self._gone(idle)]
        with contextlib.suppress(StoreError):
            if events:
                self._write(events)

    def _write(self, events: Sequence[Access]) -> None:
        """Hand events to the log; those that it does not take are told later."""
        try:
            self._keep(events)
        except StoreError:
            with self._lock:
                for event in events:
                    if event.event == "refused":
                        self._refused[event.address] = self._refused.get(event.address, 0) + event.times
                    elif event.event == "left":
                        self._present.setdefault((event.name, event.address), _Seen(event.role, float("-inf")))
            raise

    def close(self) -> None:
        """The door closes: everybody leaves."""
        self.tell(idle=-1.0)

    def _take_refused(self) -> list[Access]:
        with self._lock:
            taken, self._refused = self._refused, {}
            self._told = self._clock() if taken else self._told
        return [Access("refused", "", "", address, times) for address, times in taken.items()]

    def _gone(self, idle: float = IDLE) -> list[Access]:
        now = self._clock()
        with self._lock:
            gone = [key for key, seen in self._present.items() if now - seen.last > idle]
            return [Access("left", key[0], self._present.pop(key).role, key[1]) for key in gone]
