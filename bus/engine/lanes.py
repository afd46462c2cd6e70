"""Lanes: which runs wait here for which ordered lane, and who is called when it is free. Used by the engine's thread.

A run that finds its lane taken holds nothing and is left alone for a while: half a second, and longer the more wait here, so that all of
them together look in vain some fifty times a second. Meanwhile the engine looks whether a lane is free, each half second, or is
told so, and calls the first of its own. What this process forgets comes back by itself when its pause is over.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

from bus.engine.gates import LONGEST, LOOKS
from bus.store import Store

LANE_PAUSE = dt.timedelta(milliseconds=500)
"""For how long at least a run looks away before it asks again whether its ordered lane is free. It holds nothing meanwhile: whoever has
the lane may be behind it in its case, and runs that wait must not take the room of those that can work."""


class Lanes:
    """See the module. A lane is known by its name, a run by its id, with the path of its call."""

    def __init__(self, store: Store, now: dt.datetime) -> None:
        self._store = store
        self._waiting: dict[str, dict[str, str]] = defaultdict(dict)
        self._free: dict[str, None] = {}
        self._next = now

    def wait(self, lane: str, run: str, path: str) -> None:
        """The run found its lane taken."""
        self._waiting[lane][run] = path

    def has_it(self, lane: str, run: str) -> None:
        """The run has the lane: it waits for it no more."""
        self._waiting[lane].pop(run, None)

    def anybody(self, lane: str) -> bool:
        """Whether anybody waits here for this lane."""
        return bool(self._waiting.get(lane))

    def runs(self) -> set[str]:
        """All that wait here."""
        return {run for waiting in self._waiting.values() for run in waiting}

    def pause(self, lane: str) -> dt.timedelta:
        """How long one more that waits for it looks away."""
        return max(LANE_PAUSE, dt.timedelta(seconds=min(len(self._waiting.get(lane, ())) / LOOKS, LONGEST)))

    def freed(self, lane: str) -> None:
        """A lane is free, or may be: the first run that waits here for it is called at the next `first`."""
        self._free[lane] = None

    def due(self) -> list[dt.datetime]:
        """When to look next; nothing where nobody waits."""
        return [self._next] if any(self._waiting.values()) else []

    def look(self, now: dt.datetime) -> None:
        """Find out each half second, whatever a clock does, which of the lanes that somebody waits for are free by now."""
        names = [lane for lane, waiting in self._waiting.items() if waiting]
        if not names or self._next - LANE_PAUSE <= now < self._next:
            return
        with self._store.read() as tx:
            self._free.update({name: None for name in names if tx.one("lane", name=name) is None})
        self._next = now + LANE_PAUSE

    def first(self) -> list[tuple[str, str, str]]:
        """Lane, run and path of the first that waits for each lane that is free; they wait no more."""
        free, self._free = self._free, {}
        called = []
        for lane in free:
            if waiting := self._waiting.get(lane):
                run = next(iter(waiting))
                called.append((lane, run, waiting.pop(run)))
        return called
