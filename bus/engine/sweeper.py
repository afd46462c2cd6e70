"""The sweeper: finds what nobody rang for. Runs that are ready and whose ticket got lost, and deadlines that have passed.

It looks now and then; when it found a full page it looks again at once, so that what a broker forgot is worked off at full speed. What it
finds is claimed in the transaction that finds it, so that several workers take different pages. When there is nothing it costs
two small reads and no transaction.

What it walks past without a use are long lines of single cases, behind a dead letter or a slow run. Now and then, when there is less than a
page of other work, it learns which these are, and asks from then on only for the first in each. Where it is very many short lines, behind
a system that is dead, a look through all of them takes long: then most looks are at what came due since the last one that found nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence

from bus.clock import APART, text_of
from bus.engine.claims import SUSPECT, Lines, Part, lines_of, long_lines
from bus.engine.gates import GOLDEN
from bus.engine.holding import Holding
from bus.engine.matching import expire
from bus.engine.setback import Setback
from bus.engine.suspects import Suspects
from bus.failpoint import reach
from bus.store import Row, Store, Tx

LEARN = 10
"""Looks that found less than a page, between two at which the long lines are learnt."""
PAUSE = 10
"""How long the sweeper rests after a look through everything that found nothing, in times of how long the look took."""


class Sweeper:
    """Used by the engine's thread. ``every`` is in seconds, ``page`` in rows; ``phase`` (0 to 1) keeps several workers out of step.

    ``waiting`` tells the runs that are called here when their lane is free.
    """

    def __init__(
        self, store: Store, holding: Holding, every: float, page: int, phase: float, now: dt.datetime,
        suspects: Suspects, waiting: Callable[[], Collection[str]],
    ) -> None:  # fmt: skip
        self._suspects, self._waiting = suspects, waiting
        self._store, self._holding, self._every, self._page, self._phase = store, holding, dt.timedelta(seconds=every), page, phase
        self.next = now
        self._more = False
        self._long: Sequence[str] = ()
        self._lean = 0
        self._seen, self._seen_until = "", 0.0
        self._setback = Setback(store, holding)

    def is_due(self, now: dt.datetime, room: int) -> bool:
        """Whether to look: now and then, and at once when there was more and is room for a page, or for a suspect."""
        self.next = min(self.next, now + 2 * self._every)  # a clock that was set back must not make us sleep until it is where it was
        return now >= self.next or (self._more and room >= self._page) or self._suspects.is_to_look()

    def hurry(self) -> None:
        """A suspect is at work no more: look at once, before others are begun."""
        self._suspects.cleared()
        self._more = True
        self.look_at_all()

    def look_at_all(self) -> None:
        """What was due long ago may have become free: the next look goes through everything."""
        self._seen_until = 0.0

    def look(self, now: dt.datetime, room: int, *, quiet: bool, free: bool) -> tuple[list[Row], list[str]]:
        """Claimed runs, at most ``room``, and runs to ring for because their deadline has passed.

        ``quiet``: nothing has begun here lately, so that a suspect may; it comes alone. ``free``: no gate of ours keeps anybody waiting,
        so that those whom others left alone for a while are ours to try.
        """
        self._suspects.hurried = False
        self._phase = (self._phase + GOLDEN) % 1
        self.next = now + self._every * (0.75 + self._phase / 2)
        reach("sweeper.before-look")
        old, older = self._setback.look(now)
        if old:
            self.look_at_all()
        most = max(min(room, self._page), 0)
        part, ready, paused, overdue = self._find(now, most, free=free)
        expired = self._store.write(lambda tx: expire(tx, now, self._page)).result() if overdue else []
        if overdue:  # before anything is claimed: what fails here must not keep runs that nobody works on then
            reach("timers.after-commit")
        if self._suspects.next and most:
            rows, more = self._claim_suspect(now, quiet=quiet), True
        else:
            rows, more = self._claim(ready[0], now, most, part, quiet=quiet) if ready else ([], False)
            self._suspects.next = ready[0]["id"] if ready and ready[0]["strikes"] == SUSPECT else ""
        if paused:
            rows = self._holding.wake([row["id"] for row in paused], now)
        reach("sweeper.after-look")
        self._more = more or older or len(expired) >= self._page
        return rows, expired

    def _find(self, now: dt.datetime, most: int, *, free: bool) -> tuple[Part, Sequence[Row], Sequence[Row], Sequence[Row]]:
        """A look in one view of the store: the part that is looked at, the first run in it that can be claimed, runs that were left alone
        for a while, a wait whose deadline has passed.
        """
        began = self._holding.ticks()
        everything = began >= self._seen_until
        with self._store.read() as tx:
            part = Part(self._lines(tx, now, learn=everything), "" if everything else self._seen)
            ready = [] if self._suspects.next or not most else self._suspects.first(tx, now, part)
            others = everything and free and not (ready or self._suspects.next)
            paused = self._paused(tx, now, most) if others else ()
            overdue = tx.all("waits_expired", now=text_of(now), most=1)
        if everything:
            self._saw(began, now, nothing=most > 0 and not (ready or paused or self._suspects.next))
        return part, ready, paused, overdue

    def _paused(self, tx: Tx, now: dt.datetime, most: int) -> Sequence[Row]:
        """Runs that somebody left alone for a while, but those that wait here for a lane."""
        waiting = self._waiting()
        rows = tx.all("runs_paused", now=text_of(now), most=most + len(waiting))
        return [row for row in rows if row["id"] not in waiting][:most]

    def _saw(self, began: float, now: dt.datetime, *, nothing: bool) -> None:
        """A look through everything, which ``began`` at that tick, is over; if it found ``nothing``, the next one waits (`PAUSE`)."""
        ended = self._holding.ticks()
        self._seen = text_of(now - APART)
        self._seen_until = ended + PAUSE * (ended - began) if nothing else 0.0

    def _lines(self, tx: Tx, now: dt.datetime, *, learn: bool) -> Lines:
        """The long lines as they are now."""
        if learn and not self._more:
            if self._lean % LEARN == 0:
                self._long = long_lines(tx, now)
            self._lean += 1
        return lines_of(tx, self._long)

    def _claim_suspect(self, now: dt.datetime, *, quiet: bool) -> list[Row]:
        """Claim the suspect whose turn it is, also when others are due longer: they may wait for a lane that it holds."""
        if not quiet:
            return []
        rows = self._holding.claim([self._suspects.next], now, suspects=True)
        if not any(row["strikes"] >= SUSPECT for row in rows):  # another engine may have cleared it meanwhile
            self._suspects.next = ""
        return rows

    def _claim(self, first: Row, now: dt.datetime, most: int, part: Part, *, quiet: bool) -> tuple[list[Row], bool]:
        """Claim a page, or only the first when it has strikes enough; what is poison is only parked."""
        if first["strikes"] < SUSPECT:
            return self._holding.claim_due(now, most, part)
        if first["strikes"] == SUSPECT and not quiet:
            return [], True
        return self._holding.claim([first["id"]], now, suspects=True), True
