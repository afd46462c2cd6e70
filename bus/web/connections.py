"""How many connections there may be: each takes a file descriptor, and so do the database, the keys, files and every call.

Where there are more than that, those that have rested longest are ended, as HTTP lets any side do with a connection on which nothing is
under way. Without this, clients that keep connections and do not use them would take the last descriptor from the work.
"""

from __future__ import annotations

import resource
from collections.abc import Hashable, Iterable
from typing import Protocol

from bus.diagnostics import logger

KEPT_BACK = 512
"""Descriptors that no connection takes; half of them all, where there are fewer than twice as many."""
TOLD_EVERY = 60.0
"""Seconds between two lines that say so."""


class Connection(Hashable, Protocol):
    @property
    def open(self) -> bool: ...

    @property
    def rests_since(self) -> float | None:
        """When it began to rest; None while a request is under way."""
        ...

    def end_rest(self) -> None: ...


def most() -> int:
    """How many connections there may be now: who runs the process may change its limit."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1_000_000 if files == resource.RLIM_INFINITY else files - min(KEPT_BACK, files // 2)


class Room:
    """What tells of it, once a while. Not thread-safe."""

    def __init__(self) -> None:
        self._told = -TOLD_EVERY

    def make(self, others: Iterable[Connection], now: float) -> bool:
        """Whether there is room for one more beside the ``others``; where there is none, some are ended, for more than this one."""
        here = [one for one in others if one.open]  # some were ended a moment ago
        limit = most()
        over = len(here) + 1 - limit
        if over <= 0:
            return True
        since = {one: rests for one in here if (rests := one.rests_since) is not None}
        ended = sorted(since, key=lambda one: since[one])[: over + limit // 16]
        for one in ended:
            one.end_rest()
        self._tell(limit, len(ended), now)
        return len(ended) >= over

    def _tell(self, limit: int, ended: int, now: float) -> None:
        if now - self._told >= TOLD_EVERY:
            self._told = now
            hint = "does a client keep more of them than it uses? LimitNOFILE (ulimit -n) says how many there may be"
            logger("snodo.http").warning("connections.full", most=limit, ended=ended, hint=hint)
