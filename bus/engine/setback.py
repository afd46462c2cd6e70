"""A clock that was ahead and is set back: what it left behind that would stand still until it is again as late as it was.

- A run that was due at once, or was put off (a try, a turn under a ``limit``), at a time that has not come yet: it is due now. How long it
  was put off is not waited for again; a call in doubt rests all the same, by running time (`bus.engine.rests`).
- A claim, or a pause, that ends later than any is given for: who lives renews his claims by the clock as it is now; what nobody renews for
  the time of a lease is void, as if it had run out.

Deadlines, and what was put off by the right time, stay. Nothing of this is looked for but after the start and when the clock was set back.
"""

from __future__ import annotations

import datetime as dt

from bus.clock import APART, text_of
from bus.diagnostics import logger
from bus.engine.gates import LONGEST
from bus.engine.holding import Holding
from bus.engine.leases import BEYOND
from bus.store import Store, listed

MOST = 1000
"""Runs that one look puts right; then the next one comes at once."""
PAUSED = dt.timedelta(seconds=2 * LONGEST)
"""No gate and no lane leaves a run alone for so long."""


class Setback:
    """See the module. Used by the engine's thread."""

    def __init__(self, store: Store, holding: Holding) -> None:
        self._store, self._holding = store, holding
        self._now: dt.datetime | None = None
        self._until = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._far: dict[tuple[str, str], float] = {}
        self._next, self._right, self._freed = 0.0, 0, 0
        self._log = logger("snodo.engine")

    def look(self, now: dt.datetime) -> tuple[bool, bool]:
        """Put right what is found; whether the clock was set back since the last look or anything was, and whether there may be more.

        For a while, since other processes write by the old time for some seconds more, and as long as anything of it is found.
        """
        first, gone, self._now = self._now is None, (self._now or now) - now, now
        back = gone > APART
        if first or back:
            self._until, self._next = now + 3 * APART, 0.0
        if back:
            self._log.warning("clock.set-back", seconds=round(gone.total_seconds()))
        self._until = min(self._until, now + 3 * APART)
        if now >= self._until and not self._far:
            self._tell()
            return False, False
        (found, far), freed = self._make_due(now), self._void(now)
        if far or freed:
            self._until = now + 3 * APART
            self._right, self._freed = self._right + far, self._freed + freed
        return back or found + freed > 0, found >= MOST

    def _tell(self) -> None:
        """What was put right since this was told last."""
        if self._right or self._freed:
            self._log.warning("clock.put-right", due=self._right, freed=self._freed, sentence="a clock that was ahead had put runs off")
        self._right = self._freed = 0

    def _make_due(self, now: dt.datetime) -> tuple[int, int]:
        """How many were made due, and how many of them would have been so only later than the clocks of two processes are apart."""
        terms = {"now": text_of(now), "apart": text_of(now + APART)}
        with self._store.read() as tx:
            rows = tx.all("runs_of_a_fast_clock", most=MOST, **terms)
        if rows:
            self._store.write(lambda tx: tx.do("make_due", runs=listed(row["id"] for row in rows), **terms)).result()
        return len(rows), sum(int(row["far"]) for row in rows)

    def _void(self, now: dt.datetime) -> int:
        """Void the leases that are too far off and have stayed so for the time of one; a look costs a walk through all that is ready."""
        ticks, lease = self._holding.ticks(), self._holding.lease
        if ticks < self._next:
            return 0
        self._next = ticks + APART.total_seconds()
        ends = {"held": text_of(now + BEYOND * lease), "paused": text_of(now + max(PAUSED, BEYOND * lease))}
        with self._store.read() as tx:
            rows = tx.all("leases_of_a_fast_clock", most=MOST, **ends)
        far = {(str(row["id"]), str(row["lease"])) for row in rows}
        self._far = {one: self._far.get(one, ticks) for one in far}
        stale = [one for one, since in self._far.items() if ticks - since >= lease.total_seconds()]
        if stale:
            self._store.write(lambda tx: tx.many("end_far_lease", [{"id": run, "lease": until} for run, until in stale])).result()
        self._far = {one: since for one, since in self._far.items() if one not in stale}
        return len(stale)
