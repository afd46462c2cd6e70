"""Suspects: runs with which this process, or another, ended twice before anything came of them; see `bus.engine.claims`.

A suspect is worked apart: what is at work here comes to an end, then it begins, and nothing else does until it has shown that it was
not the cause. So a third strike is its own. Whose turn it is, and who was tried in vain, is kept here. Used by the engine's thread.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from bus.engine.claims import SUSPECT, Part, blocking, due
from bus.engine.live import Live
from bus.engine.settle import has_ended
from bus.store import Row, Tx

QUIET = 1.0
"""Seconds for which what is at work here must have been so, before a suspect is: whatever ends a process does so sooner, nearly always."""
TURN = dt.timedelta(seconds=2)
"""Suspects have a turn of so long, one after the other, then those who wait for them: a second kill may leave hundreds."""


class _Stand(NamedTuple):
    """What keeps a suspect that was tried: the name of its ordered lane, which is taken, or, where that is empty, a gate that turned it
    away. ``waits``: the paths of its open waits, any of which may let it go on.
    """

    lane: str
    waits: tuple[str, ...]


class Suspects:
    """See the module. ``live``: the runs that are live here, by id; ``are_away`` tells which of some runs a gate has turned away and not
    called since; ``ticks`` gives running time in seconds.
    """

    def __init__(
        self, now: dt.datetime, live: Mapping[str, Live], are_away: Callable[[Iterable[str]], Collection[str]], ticks: Callable[[], float]
    ) -> None:
        self._live, self._are_away, self._ticks = live, are_away, ticks
        self.next = ""
        """The suspect whose turn it is; empty where there is none. Other work is brought to an end first."""
        self.hurried = False
        """Whether to look before anything is begun: the next one may be a suspect too, and its turn need not wait for quiet again."""
        self._claimed = ""
        self._stands: dict[str, _Stand] = {}
        self._apart_since: dt.datetime | None = None
        self._others_until = now

    def first(self, tx: Tx, now: dt.datetime, part: Part) -> Sequence[Row]:
        """A suspect that holds a lane, else the run that is due longest; in the turn of the others the first that is no suspect."""
        self._others_until = min(self._others_until, now + TURN)  # whatever a clock does
        if now < self._others_until:
            if others := due(tx, now, 1, part):
                return others
            self._others_until = now
        vain = self._in_vain(tx)
        found = chain(blocking(tx, now), due(tx, now, 1 + len(vain), part, suspects=True))
        first = [row for row in found if row["strikes"] != SUSPECT or row["id"] not in vain][:1]
        if not first or first[0]["strikes"] < SUSPECT:
            self._apart_since = None
        elif self._apart_since is None:
            self._apart_since = now
        elif abs(now - self._apart_since) >= TURN and (others := due(tx, now, 1, part)):
            self._apart_since, self._others_until = None, now + TURN
            return others
        return first

    def claimed(self, rows: Sequence[Row]) -> None:
        """The sweeper has claimed these."""
        self._claimed = next((row["id"] for row in rows if row["strikes"] >= SUSPECT), self._claimed)

    def at_work(self) -> bool:
        """Whether the one that was claimed here last is live and has shown nothing yet."""
        live = self._live.get(self._claimed)
        return live is not None and live.strikes >= SUSPECT

    def apart(self) -> bool:
        """Whether a suspect is at work here, or perhaps waits until it can be so apart: nothing else is begun."""
        return bool(self.next) or self.hurried or self.at_work()

    def quiet_in(self) -> float:
        """Seconds until nothing here has begun lately, so that a suspect may."""
        return max([live.began for live in self._live.values()], default=-math.inf) + QUIET - self._ticks()

    def is_to_look(self) -> bool:
        """Whether the sweeper need not wait for its time."""
        return self.hurried or (bool(self.next) and self.quiet_in() <= 0)

    def cleared(self) -> None:
        """The one at work has shown that it was not the cause, or is at work here no more."""
        self.next, self.hurried = "", True

    def tried(self, run: str, lane: str, waits: tuple[str, ...]) -> None:
        """A suspect was tried and could do nothing: its ordered ``lane`` is taken, or, without one, a gate turned it away.

        ``waits``: the paths of its open waits.
        """
        self._stands[run] = _Stand(lane, waits)

    def _in_vain(self, tx: Tx) -> Collection[str]:
        """Those that were tried and still could do nothing: their lane is taken, or their gate has not called them, and no message that
        they wait for has come.
        """
        taken = {one for one in {stand.lane for stand in self._stands.values()} if one and tx.one("lane", name=one) is not None}
        away = {*self._are_away(run for run, stand in self._stands.items() if not stand.lane)}
        vain = {run: stand for run, stand in self._stands.items() if stand.lane in taken or run in away}
        self._stands = {
            run: stand for run, stand in vain.items() if not any(has_ended(tx.one("wait", run=run, path=path)) for path in stand.waits)
        }
        return self._stands
