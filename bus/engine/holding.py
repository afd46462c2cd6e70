"""Holding: the runs that this engine has claimed, each by a lease that runs out unless it is renewed, and a fence that a later claim voids.

A claim is *confirmed* when the store said that it is ours, and for how long: at the claim itself, at every renewal. How long ago
that was is told by the running time of the machine, not by its clock. A thread of its own renews, so that neither a long turn nor
a slow store makes a healthy engine lose what it holds; it ceases when the engine has not turned for long, for then something is wrong.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from bus.clock import Clock, running_time, text_of
from bus.diagnostics import logger
from bus.engine.claims import Part, claim, claim_opened, due, turn_away
from bus.engine.faltering import repeat
from bus.engine.gates import Crowd
from bus.engine.journal import in_the_air
from bus.engine.lifeline import new_identity
from bus.errors import Damaged, StoreError
from bus.failpoint import reach
from bus.log import log
from bus.store import Key, Row, Store, Tx, listed

RENEWED = 1 / 3
"""The part of a lease after which it is renewed."""
TRUSTED = 2 / 3
"""The part of a lease for which a confirmed claim is taken to be ours without asking."""
REST = dt.timedelta(seconds=1)
"""How long nobody tries a run that could not begin, because the store failed."""
STUCK = 10
"""Leases without a turn, after which an engine's claims are not renewed any more."""
Known = Mapping[str, tuple[Any, Key, int]]
"""Messages by id that need not be read back: what was received (``envelope``, ``body``, ``keys``), its key, and its bytes as JSON."""
NOTHING: Known = MappingProxyType({})


class Claims(NamedTuple):
    """What one transaction claimed, whom it turned away at which gate, when it was (in ticks), and messages of these runs."""

    rows: list[Row]
    away: Mapping[str, Sequence[str]]
    since: float
    known: Known = NOTHING


@dataclass(slots=True)
class _Held:
    fence: int
    confirmed: float


class Holding:
    """See the module. ``lease`` is in seconds; ``ticks`` gives running time. `ours`, `renew` and `beat` are thread-safe.

    ``crowds`` tells which gates have no room for so many runs, ``turned_away`` hears of those that were not claimed for it.
    """

    def __init__(
        self, store: Store, clock: Clock, lease: float, ticks: Callable[[], float] = running_time,
        crowds: Callable[[int, dt.datetime], Sequence[Crowd]] = lambda most, now: (),
        turned_away: Callable[[str, Sequence[str]], None] = lambda gate, runs: None,
    ) -> None:  # fmt: skip
        self._store, self._clock, self.ticks = store, clock, ticks
        self.lease = dt.timedelta(seconds=lease)
        self._crowds, self._turned_away = crowds, turned_away
        self.owner = new_identity()
        self._held: dict[str, _Held] = {}
        self._vain: list[tuple[str, int]] = []
        self._renewed = self._turned = ticks()
        self._renewed_at = clock.now()
        self._stopped = threading.Event()
        self._log = logger("snodo.engine")

    def start(self) -> None:
        """Renew from a thread of our own until `leave`; where that fails, the next time is soon, and there are more before leases end."""
        every = self.lease.total_seconds() * RENEWED / 4
        repeat("snodo-lease", every, self._stopped, self.renew, lambda error: self._log.warning("claims.not-renewed", error=repr(error)))

    def take_over(self) -> None:
        """Void the claims of engines that are no more. Only where this process owns the store alone."""
        self._store.write(lambda tx: tx.do("release_all")).result()

    # -- claiming ----------------------------------------------------------------------------------------------------

    def claim(self, runs: Sequence[str], now: dt.datetime, *, called: Collection[str] = (), suspects: bool = False) -> list[Row]:
        """Claim those of these runs that can be had, see `bus.engine.claims`; a pause of those ``called`` is over."""

        def found(tx: Tx) -> Sequence[str]:
            if called:
                tx.do("end_pauses", runs=listed(called))
            return runs

        return self._claim(found, len(runs), now, suspects) if runs else []

    def claim_due(self, now: dt.datetime, most: int, part: Part) -> tuple[list[Row], bool]:
        """Claim what nobody rang for, but suspects; also whether there may be more of it."""
        found: list[str] = []

        def find(tx: Tx) -> Sequence[str]:
            found[:] = [row["id"] for row in due(tx, now, most, part)]
            return found

        return self._claim(find, most, now), len(found) >= most

    def wake_rung(self, runs: Sequence[str], now: dt.datetime) -> tuple[list[Row], list[str]]:
        """`wake` those of these runs that were rung for and are paused; and which ones an engine holds.

        A gate had turned away a call of theirs, or one is out; now a message came that another of their branches waits for.
        """
        if not runs:
            return [], []
        with self._store.read() as tx:
            kept = list(tx.all("runs_kept_among", runs=listed(runs), now=text_of(now)))
        return self.wake([row["id"] for row in kept if row["owner"] is None], now), [row["id"] for row in kept if row["owner"] is not None]

    def wake(self, paused: Sequence[str], now: dt.datetime) -> list[Row]:
        """Claim those of these runs that can be had, although their pause is not over; none whose call may still be on its way."""

        def found(tx: Tx) -> Sequence[str]:
            free = _free(tx, paused)
            tx.do("end_pauses", runs=listed(free))
            return free

        return self._claim(found, len(paused), now) if paused else []

    def _claim(self, find: Callable[[Tx], Sequence[str]], most: int, now: dt.datetime, suspects: bool = False) -> list[Row]:
        crowds = self._crowds(most, now)
        how = partial(claim, suspects=suspects)
        claims = self._store.write(lambda tx: self._claim_within(tx, find(tx), now, crowds, how)).result()
        return self.took(claims)

    def claim_opened(self, tx: Tx, runs: Sequence[str], now: dt.datetime) -> Claims:
        """Claim runs in the transaction that opens them; thread-safe. What was claimed counts from `took` on."""
        return self._claim_within(tx, runs, now, self._crowds(len(runs), now), claim_opened)

    def _claim_within(
        self, tx: Tx, runs: Sequence[str], now: dt.datetime, crowds: Sequence[Crowd], how: Callable[..., list[Row]]
    ) -> Claims:  # fmt: skip
        since = self.ticks()
        away = turn_away(tx, runs, crowds)
        beyond = {run for turned in away.values() for run in turned}
        rows = how(tx, [run for run in runs if run not in beyond], self.owner, now, self.lease)
        if rows:
            reach("claim.before-commit")
        return Claims(rows, away, since)

    def took(self, claims: Claims) -> list[Row]:
        """The claims were committed: these runs are ours from now on.

        A claim that ran out before we heard of it, and whose run we have claimed again meanwhile, does not count.
        """
        if claims.rows:
            reach("claim.after-commit")
        for gate, turned in claims.away.items():
            self._turned_away(gate, turned)
        rows = [row for row in claims.rows if (held := self._held.get(row["id"])) is None or held.fence <= row["fence"]]
        self._held.update({row["id"]: _Held(row["fence"], claims.since) for row in rows})
        return rows

    # -- holding -----------------------------------------------------------------------------------------------------

    def until(self, now: dt.datetime) -> str:
        return text_of(now + self.lease)

    def forget(self, run: str, fence: int) -> None:
        """This claim of a run is not ours any more."""
        held = self._held.get(run)
        if held is not None and held.fence == fence:
            self._held.pop(run, None)

    def ours(self, run: str, fence: int) -> bool:
        """Whether a call of this run may go out: its claim was confirmed lately, or the store confirms it now.

        What remains: a process that is paused between this answer and the first byte that leaves may be overtaken. Then the effect class
        covers it, as after a crash: whoever took the run over found an intent without an answer. A ``keyed`` call has the same key, a
        ``queryable`` one is probed a full settle after it was found, a ``once`` is in doubt and waits for a person.
        """
        held = self._held.get(run)
        if held is None or held.fence != fence:
            return False
        if self.ticks() - held.confirmed < TRUSTED * self.lease.total_seconds():
            return True
        try:
            return run in self._confirm([(run, fence)])
        except Exception as error:  # noqa: BLE001 - whatever the look meets, the thread of the call lives, and nothing leaves
            self._log.warning("claim.not-confirmed", run=run, error=repr(error))
            return False

    def beat(self, live: Collection[str]) -> None:
        """Called once a turn, with the runs that are ``live``: claimed runs that could not begin are given back, leases are renewed."""
        self._turned = self.ticks()
        for run, held in self._held.copy().items():
            if run not in live:
                self._held.pop(run, None)  # another thread may have forgotten it
                self._vain.append((run, held.fence))
        if self._vain:
            until = text_of(self._clock.now() + REST)
            self._store.write(lambda tx: self._leave_alone(tx, self._vain, until)).result()
            self._vain = []
        self.renew()

    def _leave_alone(self, tx: Tx, claims: Sequence[tuple[str, int]], until: str) -> None:
        """Give these claims up; nobody takes the runs for a while. It is no strike: no owner vanished."""
        tx.many("pause_run", [{"id": run, "fence": fence, "owner": self.owner, "until": until} for run, fence in claims])

    def stuck(self) -> bool:
        """Whether the engine has not turned for so long that something is wrong with it."""
        return self.ticks() - self._turned > STUCK * self.lease.total_seconds()

    def renew(self) -> None:
        """Renew all claims when a part of the lease has passed, or the clock jumped by as much; what the store denies is forgotten."""
        now, at, seconds = self.ticks(), self._clock.now(), self.lease.total_seconds()
        passed = max(now - self._renewed, abs((at - self._renewed_at).total_seconds()))
        if not self._held or passed < RENEWED * seconds or self.stuck():
            return
        self._renewed, self._renewed_at = now, at
        claims = [(run, held.fence) for run, held in list(self._held.items())]
        try:
            kept = self._confirm(claims)
        except StoreError:
            self._renewed = now - seconds
            raise
        for run, fence in claims:
            if run not in kept:
                self.forget(run, fence)

    def _confirm(self, claims: Sequence[tuple[str, int]]) -> set[str]:
        """Renew these claims in one statement; those that are ours still."""
        since, until, asked = self.ticks(), self.until(self._clock.now()), listed(list(one) for one in claims)
        rows = self._store.write(lambda tx: tx.all("hold_runs", owner=self.owner, lease=until, claims=asked)).result()
        kept = {row["id"] for row in rows}
        for run in kept:
            held = self._held.get(run)  # another thread may have forgotten it
            if held is not None:
                held.confirmed = max(held.confirmed, since)
        return kept

    # -- leaving -----------------------------------------------------------------------------------------------------

    def leave(self, in_flight: Sequence[tuple[str, int]] = ()) -> None:
        """Give everything back. A run whose call has not come home stays shut for one more lease, so that nobody asks beside it."""
        self._stopped.set()
        until = self.until(self._clock.now())

        def work(tx: Tx) -> None:
            self._leave_alone(tx, in_flight, until)
            tx.do("release_owner", owner=self.owner)

        self._store.write(work).result()
        self._held.clear()


def _free(tx: Tx, runs: Sequence[str]) -> list[str]:
    """Those of which no call is in the air; and those of which a record was changed: whoever loads them parks them for a person."""
    journal, free = log.journals(tx, runs), list[str]()
    for run in runs:
        with suppress(Damaged):
            if in_the_air(journal(run)):
                continue
        free.append(run)
    return free
