"""Duties that one process has at a time (asking a poller, numbering the log): a lease in the store, with a fencing number.

A lease that runs out is anybody's, and so is one that ends later than any is given for: the clock was ahead when it was taken, and its
owner may be no more. The fence grows with every change of hands, so that what a late owner still does can be told.
"""

from __future__ import annotations

import datetime as dt

from bus.clock import Clock, text_of
from bus.store import Store

BEYOND = 10
"""How many times as long as ours a lease is at most: processes of other settings ask other pollers at other times."""


class Leases:
    """The leases of one process, named ``owner``."""

    def __init__(self, store: Store, clock: Clock, owner: str) -> None:
        self._store, self._clock, self.owner = store, clock, owner

    def take(self, name: str, seconds: float) -> int | None:
        """Take or keep a duty for so long; returns its fence, or None while somebody else has it. Blocks for one transaction."""
        now = self._clock.now()
        until, beyond = (text_of(now + dt.timedelta(seconds=times * seconds)) for times in (1, BEYOND))
        terms = {"name": name, "owner": self.owner, "until": until, "now": text_of(now), "beyond": beyond}
        row = self._store.write(lambda tx: tx.one("take_lease", **terms)).result()
        return None if row is None else int(row["fence"])

    def leave(self, name: str) -> None:
        """Leave one duty to others at once."""
        self._store.write(lambda tx: tx.do("leave_lease", name=name, owner=self.owner)).result()

    def give_back(self) -> None:
        """Leave all duties to others at once."""
        self._store.write(lambda tx: tx.do("leave_leases", owner=self.owner)).result()
