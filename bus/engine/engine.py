"""The engine: claims runs, steps many of them together, commits them together, then acts.

One thread turns; calls outside run in the adapters' own threads and come back through the inbox. A turn is the whole story::

    take      what came: tickets, calls that came back
    claim     the runs that are rung for, and those that the sweeper finds     (one transaction)
    bring     home the calls that came back; let those ask again whose turn has come
    revive    claimed runs: fold their journals, follow their walks as far as they go
    settle    all that was decided                                             (one transaction)
    act       make the outside calls, ring the doorbell

Where nothing is to be done, the thread that writes gives a new run a head start (`bus.engine.headstart`); a turn goes on with it.
What a run may ask of a system, and when, is said by its gate (`bus.engine.gates`); what we hold, by `bus.engine.holding`; which run is
worked while nothing else is, by `bus.engine.suspects`.
"""

from __future__ import annotations

import datetime as dt
import heapq
import math
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from bus.catalog import Catalog
from bus.clock import APART, Clock, running_time
from bus.diagnostics import logger
from bus.engine.asks import Call, Failure
from bus.engine.circuit import Habits
from bus.engine.claims import POISON, SUSPECT, poisoned
from bus.engine.faltering import Faltering
from bus.engine.gates import Crowd, Gates
from bus.engine.headstart import HeadStart
from bus.engine.holding import Claims, Holding, Known
from bus.engine.intake import Ring
from bus.engine.journal import Journal
from bus.engine.lanes import LANE_PAUSE, Lanes
from bus.engine.live import Decided, Live, Surroundings
from bus.engine.loading import Loaded, Loading
from bus.engine.outside import Outside, Result
from bus.engine.rests import Rests
from bus.engine.settle import Settled, Settling, park
from bus.engine.suspects import Suspects
from bus.engine.sweeper import Sweeper
from bus.engine.throttles import Throttles
from bus.engine.words import LANE, RUN, Bulletin
from bus.errors import SnodoError
from bus.failpoint import reach
from bus.message import JsonObject, JsonValue
from bus.store import Key, Row, Store, Tx

STOP_MARGIN = 2.0
"""Seconds for the last transaction of an engine that stops."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How the engine goes about its work; seconds. ``phase``: see `bus.engine.sweeper`."""

    lease: float = 10.0
    sweep: float = 1.0
    batch: int = 200
    most_live: int = 1000
    phase: float = 0.0
    circuit: Habits = field(default_factory=Habits)


@dataclass(frozen=True, slots=True)
class _Home:
    """A call that came back."""

    run: str
    fence: int
    result: Result


class _Word(NamedTuple):
    """One of `bus.engine.words`."""

    said: str


class Engine:
    """See the module. ``ring`` tells everybody that runs are ready; ``told`` hears the news.

    ``look``: see `bus.engine.loading.Loading`. ``heard`` is told of every turn that failed.
    """

    def __init__(
        self, store: Store, catalog: Callable[[], Catalog], outside: Outside, clock: Clock, ring: Ring,
        pace: Pace = Pace(), told: Callable[[Bulletin], None] = lambda news: None, ticks: Callable[[], float] = running_time,
        look: Callable[[], object] = lambda: None, heard: Callable[[Exception], None] = lambda error: None,
    ) -> None:  # fmt: skip
        self._store, self._outside, self._clock, self._ring, self._pace, self._told = store, outside, clock, ring, pace, told
        self._log = logger("snodo.engine")
        self._faltering, self._heard = Faltering(self._tell_failure, lambda: self._log.warning("engine.goes-on")), heard
        self._gates = Gates(outside.places, pace.most_live, pace.circuit, self._log.warning)
        self._around = Surroundings(outside, catalog, clock, self._gates, Throttles(), Rests(ticks))
        self._holding = Holding(store, clock, pace.lease, ticks, self._crowds, self._gates.turn_away)
        self._lanes = Lanes(store, clock.now())
        self._live: dict[str, Live] = {}
        self._out: set[str] = set()
        """Live runs with a call that is out: gates bound them, and a hundred systems that hang must leave room for the others."""
        self._suspects = Suspects(clock.now(), self._live, self._gates.are_away, ticks)
        self._sweeper = Sweeper(store, self._holding, pace.sweep, pace.batch, pace.phase, clock.now(), self._suspects, self._lanes.runs)
        self._loading = Loading(store, self._around, look)
        self._settling = Settling(store, self.owner, self._lanes.pause)
        self._head_start = HeadStart(self._loading, self._settling, self._gates, ticks)
        self._inbox: queue.SimpleQueue[Sequence[str] | _Home | _Word | None] = queue.SimpleQueue()
        self._welcomed: deque[Claims] = deque()
        self._known: dict[str, tuple[Any, Key, int]] = {}
        self._unwritten: dict[str, Live] = {}
        self._rung: dict[str, None] = {}
        self._alarms: list[tuple[dt.datetime, str]] = []
        self._stopping = threading.Event()
        self._last_moment, self._turned = math.inf, clock.now()
        self._thread = threading.Thread(target=self._keep_turning, name="snodo-engine", daemon=True)

    @property
    def owner(self) -> str:
        """The name under which this engine claims."""
        return self._holding.owner

    # -- from outside ------------------------------------------------------------------------------------------------

    def works_beside(self, workers: int, rank: int) -> None:
        """How many work, and which of them this is: each has its share of every ``limit``, and may have to take over. Thread-safe."""
        if workers != self._around.throttles.workers:
            self._sweeper.look_at_all()
        self._around.throttles.workers, self._around.throttles.rank = max(workers, 1), rank

    def start(self) -> None:
        self._thread.start()  # first: it ends what the other one does
        self._holding.start()

    def take_over(self) -> None:
        """Void the claims of engines that are no more. Only where this process owns the store alone."""
        self._holding.take_over()

    def ring(self, runs: Sequence[str]) -> None:
        """Runs may be ready; thread-safe, cheap, may be wrong."""
        self._inbox.put(runs)

    def hear(self, word: str) -> None:
        """Who waits here for a lane that is free may ask again, a run that is live here look; thread-safe, may be wrong."""
        self._inbox.put(_Word(word))

    def welcome(self, tx: Tx, runs: Sequence[str], known: Known) -> Claims | None:
        """Claim runs in the transaction that opens them, unless others wait; by the thread that writes. See `bus.engine.intake.Host`."""
        if self._stopping.is_set() or not self.alive() or self._rung or self._room() < self._pace.batch + len(runs):
            return None
        if not self._loading.takes(known):
            return None
        now = self._clock.now()
        claims = self._holding.claim_opened(tx, runs, now)
        if not self._welcomed:
            self._head_start.give(tx, claims.rows, known, now)
        return claims._replace(known=known)

    def welcomed(self, claims: Claims) -> None:
        """What `welcome` claimed was committed; thread-safe."""
        self._welcomed.append(claims)
        self._inbox.put(None)

    def unwelcome(self, runs: Sequence[str]) -> None:
        """The transaction that would have opened them was not written, or nobody knows, or it is written anew; thread-safe."""
        self._head_start.void(runs)
        self._inbox.put(None)

    def stop(self, seconds: float) -> None:
        """Claim nothing more, let calls in flight come home and be recorded, then give up the leases.

        What has not come home in time is left to its run's lease, never taken for failed: whoever claims it finds an intent without an
        answer.
        """
        self._last_moment = time.monotonic() + seconds
        self.wind_down()
        if self._thread.ident is not None:  # else it never began: something refused the start
            self._thread.join(seconds + STOP_MARGIN)

    def wind_down(self) -> None:
        """Claim nothing more; turns go on until what is in flight has come home."""
        self._stopping.set()
        self._inbox.put(None)

    def busy(self) -> bool:
        """Whether a run is live here, or is about to be."""
        return bool(self._live) or self._head_start.pending

    def leave(self) -> None:
        """Give up the leases; the last thing an engine does."""
        self._holding.leave([live.claim for live in self._live.values() if live.in_flight])

    def alive(self) -> bool:
        """Whether anybody turns it."""
        return self._thread.is_alive()

    def fallen(self) -> bool:
        """Whether nobody turns it who should."""
        return self._thread.ident is not None and not self.alive() and not self._stopping.is_set()

    def stuck(self) -> bool:
        """Whether it has not turned for many leases."""
        return self._holding.stuck()

    def idle(self) -> bool:
        """Whether nothing is live and nothing is rung for; for tests and graceful stops."""
        return not (self._live or self._loading.waiting or self._rung or self._welcomed) and self._inbox.empty()

    def describe(self) -> JsonObject:
        """How busy it is, for ``/status``; a glance from another thread."""
        return {"live": len(self._live), "rung": len(self._rung), "threads": self._outside.threads(), "gates": self._gates.describe()}

    def _keep_turning(self) -> None:
        while not self._stopping.is_set() or (self.busy() and time.monotonic() < self._last_moment):
            try:
                self.turn()
            except Exception as error:  # noqa: BLE001 - the engine outlives whatever one turn meets
                pause = self._faltering.failed(error)
                self._heard(error)
                self._wait(pause)
            else:
                self._faltering.went_well()
        if self._live:
            self._log.warning("engine.left-calls", runs=list(self._live), seconds=self._pace.lease)
        try:
            self.leave()
        except SnodoError as error:
            self._log.warning("engine.leases-not-left", code=error.code, sentence="they run out by themselves")

    def _wait(self, seconds: float) -> None:
        """Wait after a turn that failed. `stop` cuts this wait short; a later one lasts, but not beyond the last moment."""
        if self._stopping.is_set():
            time.sleep(max(min(seconds, self._last_moment - time.monotonic()), 0.0))
        self._stopping.wait(seconds)

    def _tell_failure(self, error: Exception) -> None:
        if isinstance(error, SnodoError):
            self._log.error("engine.turn-failed", code=error.code, sentence=error.sentence)
        else:
            self._log.error("engine.turn-failed", exc_info=error)

    # -- a turn ------------------------------------------------------------------------------------------------------

    def turn(self, *, patient: bool = True) -> None:
        """One turn; see the module. ``patient``: sleep until there is something to do."""
        home = self._take(self._patience() if patient else 0.0)
        with self._head_start.turning:
            self._turn(home)

    def _turn(self, home: list[_Home]) -> None:
        now = self._clock.now()
        self._mind_the_clock(now)
        self._let_go_what_rests()
        begun, claimed = self._head_start.take(self._find_work(home, now), self._live)
        if begun:
            self._live.update({live.id: live for live, _ in begun})
            self._act([live for live, _ in begun], [done for _, done in begun], now)
            self._line_up([live for live, _ in begun], now)
        for one in home:
            self._bring_home(one, now)
        self._ask_again(now)
        for live, known in self._load(claimed, now):
            self._revive(live, known, now)
        lives, self._unwritten = list(self._unwritten.values()), {}
        if lives:
            self._act(lives, self._settle(lives, now), now)

    def _mind_the_clock(self, now: dt.datetime) -> None:
        """When it was set back, all that live runs put off asks again: else it would be written anew that they wait until the old time."""
        if now < self._turned - APART:
            for live in self._live.values():
                self._let_ask(live, [*live.dues], now)
        self._turned = now

    def _take(self, wait: float) -> list[_Home]:
        """Drain the inbox; sleeps at most ``wait`` seconds until something comes."""
        home: list[_Home] = []
        try:
            item = self._inbox.get(timeout=wait) if wait > 0 else self._inbox.get_nowait()
            while True:
                if isinstance(item, _Home):
                    home.append(item)
                elif isinstance(item, _Word):
                    self._heed(item.said)
                elif item is not None:
                    self._rung.update(dict.fromkeys(item))
                if len(home) + len(self._rung) >= self._pace.batch * 4:
                    break
                item = self._inbox.get_nowait()
        except queue.Empty:
            pass
        return home

    def _heed(self, word: str) -> None:
        if word.startswith(LANE):
            self._lanes.freed(word.removeprefix(LANE))
        elif (run := word.removeprefix(RUN)) in self._live:
            self._rung[run] = None

    def _patience(self) -> float:
        now = self._clock.now()
        if self._stopping.is_set():
            return min(max(self._last_moment - time.monotonic(), 0.001), self._pace.sweep)
        apart = self._suspects.apart()
        stirs = self._welcomed or self._loading.waiting or self._gates.stir(now, calls=not apart)
        rung = self._rung and (self._room() > 0 or not self._live.keys().isdisjoint(self._rung))
        if stirs or rung or self._sweeper.is_due(now, self._room()):
            return 0.0
        soonest = min([self._sweeper.next, *(alarm for alarm, _ in self._alarms[:1]), *([] if apart else self._lanes.due())])
        seconds = min((soonest - now).total_seconds(), self._suspects.quiet_in() if self._suspects.next else math.inf)
        return min(max(seconds, 0.001), self._pace.sweep)

    def _room(self) -> int:
        return 0 if self._suspects.apart() else self._left()

    def _left(self) -> int:
        """How many more may be live and at work here."""
        return self._pace.most_live - (len(self._live) - len(self._out)) - len(self._loading.waiting)

    def _let_go_what_rests(self) -> None:
        """Once we stop, only what is in flight or unwritten is still ours to see through."""
        if self._stopping.is_set():
            for live in list(self._live.values()):
                if not live.in_flight and live.id not in self._unwritten:
                    self._forget(live)

    # -- claiming ----------------------------------------------------------------------------------------------------

    def _find_work(self, home: list[_Home], now: dt.datetime) -> list[Row]:
        """Claim what is rung for, called by a gate or found by the sweeper; when the store fails, what came home is kept."""
        try:
            self._holding.beat(self._live.keys() | self._loading.waiting.keys() if self._loading.waiting else self._live)
            rows = [] if self._stopping.is_set() else self._claim(now)
            for _ in range(len(self._welcomed)):
                claims = self._welcomed.popleft()
                self._known.update(claims.known)
                rows += self._holding.took(claims)
            return rows
        except BaseException:
            for one in home:
                self._inbox.put(one)
            raise

    def _claim(self, now: dt.datetime) -> list[Row]:
        while self._alarms and self._alarms[0][0] <= now:
            self._rung[heapq.heappop(self._alarms)[1]] = None
        rows = self._claim_rung(now)
        if self._sweeper.is_due(now, self._room() - len(rows)):
            rows += self._look(now, len(rows))
        return rows

    def _look(self, now: dt.datetime, more: int) -> list[Row]:
        """What the sweeper finds, beside ``more`` runs that were claimed in this turn."""
        room = 0 if self._suspects.at_work() else self._left() - more
        quiet = not (more or self._welcomed or self._loading.waiting) and self._suspects.quiet_in() <= 0
        found, rung = self._sweeper.look(now, room, quiet=quiet, free=not self._gates.away())
        self._suspects.claimed(found)
        self._rung.update(dict.fromkeys(rung))
        return found

    def _claim_rung(self, now: dt.datetime) -> list[Row]:
        if self._suspects.apart():
            return []
        first = self._first_for_lanes(now)
        called = [*self._gates.called(now), *first]
        wanted = [*called, *list(self._rung)[: max(min(self._room(), self._pace.batch) - len(called), 0)]]
        wanted = [run for run in wanted if run not in self._live]
        for run in wanted:
            self._rung.pop(run, None)
        rows = self._holding.claim(wanted, now, called=called)
        got = {row["id"] for row in rows}
        for run, lane in first.items():
            if run not in got:  # it went elsewhere: the next one's turn
                self._lanes.freed(lane)
        woken, elsewhere = self._holding.wake_rung([run for run in wanted if run not in got], now)
        if elsewhere and self._around.throttles.workers > 1:
            self._told({RUN + run: None for run in elsewhere})
        return rows + woken

    def _first_for_lanes(self, now: dt.datetime) -> dict[str, str]:
        """Runs that are to be claimed, each with the lane that is free for it; one that is live here asks again."""
        first: dict[str, str] = {}
        self._lanes.look(now)
        for lane, run, path in self._lanes.first():
            live = self._live.get(run)
            if live is None:
                first[run] = lane
            elif path in live.walk.pending:
                self._let_ask(live, [path], now)
        return first

    def _crowds(self, most: int, now: dt.datetime) -> list[Crowd]:
        coming = Counter(row["digest"] for claims in self._welcomed.copy() for row in claims.rows)
        return self._gates.crowds(self._around.catalog().first_calls, most, now, coming)

    # -- what runs do ------------------------------------------------------------------------------------------------

    def _load(self, rows: Sequence[Row], now: dt.datetime) -> list[Loaded]:
        """A portion of the claimed runs with their journals; what cannot be begun becomes a dead letter."""
        if self._stopping.is_set():  # what was claimed and not begun is given back
            self._loading.waiting.clear()
            rows = ()
        poison = [row for row in rows if row["strikes"] >= POISON]
        known, self._known = self._known, {}
        loaded, unreadable = self._loading.load([row for row in rows if row["strikes"] < POISON], known)
        for row, reason in [*((row, poisoned(row)) for row in poison), *unreadable]:
            self._log.error("run.parked", run=row["id"], error=repr(reason))
            self._park(row, now, reason)
        return loaded

    def _park(self, row: Row, now: dt.datetime, error: Exception) -> None:
        try:
            failure = self._store.write(lambda tx: park(tx, row, self.owner, now, error)).result()
            self._holding.forget(row["id"], row["fence"])
            if failure is not None:
                self._tell_dead(row["id"], failure)
        except Exception:  # noqa: BLE001 - it is given back and tried again; the other runs of this turn go on
            self._log.exception("run.cannot-be-parked", run=row["id"])

    def _revive(self, live: Live, known: Journal, now: dt.datetime) -> None:
        """Make a claimed run live: its journal folded, its walk brought up to date."""
        if live.id in self._live:  # claimed anew: the claim that we had ran out
            self._forget(self._live[live.id])
        self._live[live.id], live.began = live, self._holding.ticks()
        self._let_go_on(live, lambda: live.begin(known.events, now))

    def _bring_home(self, home: _Home, now: dt.datetime) -> None:
        """Free the place of a call that came back, and let its run go on, if the claim under which it went out is still ours."""
        result = home.result
        self._gates.came_home((home.run, home.fence, result.asking.call.path), result.error, now, asked=not result.lost)
        live = self._live.get(home.run)
        if live is None or live.fence != home.fence:
            return
        if result.lost:  # perhaps the store could only not say that it is ours: then it is given back at the next beat
            self._forget(live, held=live.in_flight == {result.asking.call.path})
            return
        if live.in_flight == {result.asking.call.path}:
            self._out.discard(live.id)
        reach("answer.before-record")
        self._let_go_on(live, lambda: self._take_in(live, result, now))

    def _take_in(self, live: Live, result: Result, now: dt.datetime) -> None:
        asks = live.came_back(result, now)
        if self._stopping.is_set():
            live.suspend(now)
        else:
            live.pursue(asks, now)

    def _ask_again(self, now: dt.datetime) -> None:
        """Live runs ask again whose turn at a gate, or whose due time, has come, and go on with what was here when they asked for it."""
        if self._stopping.is_set():
            return
        for place in self._gates.next(now):
            run, fence, path = place
            live = self._live.get(run)
            if live is not None and live.fence == fence and path in live.walk.pending:
                self._let_ask(live, [path], now)
            else:
                self._gates.leave(place)
        for run in list(self._rung):
            live = self._live.get(run)
            if live is None:
                continue
            del self._rung[run]
            if live.arrived:
                self._let_go_on(live, partial(live.go_on, now))
            elif asks := live.due_asks(now):
                self._let_go_on(live, partial(live.pursue, asks, now))
            elif live.waits_beside_calls:
                live.looks, self._unwritten[live.id] = True, live

    def _line_up(self, begun: Sequence[Live], now: dt.datetime) -> None:
        """Runs with a head start may stand in line at a gate before they are live here. Had their turn come in that time, nobody
        would have asked for them: all of these ask once more.
        """
        for live in begun:
            if live.in_line and self._live.get(live.id) is live:
                self._let_ask(live, live.in_line, now)

    def _let_ask(self, live: Live, paths: Collection[str], now: dt.datetime) -> None:
        """These calls of a live run may ask again in this turn."""
        live.dues.update(dict.fromkeys(paths, now))
        self._rung[live.id] = None

    def _let_go_on(self, live: Live, work: Callable[[], None]) -> None:
        """Do ``work`` with a run; what it decides is written when this turn, or a later one, settles it."""
        self._unwritten[live.id] = live
        live.attempt(work)

    def _settle(self, lives: Sequence[Live], now: dt.datetime) -> list[Settled]:
        """Commit what was decided. A run that only waits needs no transaction: its claim is looked at before it acts."""
        decided = [live for live in lives if not live.only_waits]
        written = self._settling.commit(decided, now) if decided else []
        settled = {live.id: one for live, one in zip(decided, written, strict=True)}
        return [settled.get(live.id) or Settled() for live in lives]

    # -- acting ------------------------------------------------------------------------------------------------------

    def _act(self, lives: list[Live], settled: list[Settled], now: dt.datetime) -> None:
        """Do what has to wait for the commit: make the calls, ring for the others, forget what is not ours any more."""
        rung: dict[str, None] = {}
        told: dict[str, JsonValue] = {}
        for live, done in zip(lives, settled, strict=True):
            rung.update(dict.fromkeys(done.rung))
            if done.unwritten:
                self._unwritten[live.id] = live
                continue
            if done.ended and (failure := live.walk.failure) is not None and failure.dead:
                self._tell_dead(live.id, failure)
            reply, stays = live.reply, self._stays(live, done, now)
            if done.ended or done.parked or (stays and reply is not None):
                told[live.message.id] = reply if reply is not None else told.get(live.message.id)
        if rung:
            self._ring(list(rung))
        if told:
            reach("reply.before-told")
            self._told(told)
        freed = dict.fromkeys(lane for done in settled for lane in done.freed)
        if free := [LANE + lane for lane in freed if self._lanes.anybody(lane) or self._around.throttles.workers > 1]:
            self._told(dict.fromkeys(free))

    def _tell_dead(self, run: str, failure: Failure) -> None:
        """Whoever watches the process's own log alone must not miss what needs a person."""
        self._log.warning("run.dead", run=run, place=failure.place, code=failure.code, hint=f"bus dead show {run}")

    def _stays(self, live: Live, done: Settled, now: dt.datetime) -> bool:
        """Go on with a run whose decisions are written; false when it is not live here any more."""
        if done.well:
            self._clear(live)
        for path, lane in done.held_up.items():
            self._lanes.wait(lane, live.id, path)
            if isinstance(ask := live.walk.pending.get(path), Call):
                self._around.throttles.give_back(ask)
        if live.strikes >= SUSPECT and done.woken and (waits := live.beside_one_call()) is not None:
            self._suspects.tried(live.id, next(iter(done.held_up.values()), ""), waits)
        if done.lost or done.left or self._live.get(live.id) is not live:
            self._forget(live)
            if done.due is not None:
                heapq.heappush(self._alarms, (done.due, live.id))
            return False
        self._call_out(live, done, now)
        self._gates.keep(live.claim, live.in_flight | live.in_line)
        for due in live.alarms(now):
            heapq.heappush(self._alarms, (due, live.id))
        if done.arrived:
            live.arrived = done.arrived
            self._rung[live.id] = None
        return True

    def _forget(self, live: Live, *, held: bool = False) -> None:
        """The run is not live here any more, or not for some moments. Its calls that are out keep their places until they come home.

        ``held``: the claim may still be ours, so that it is given back at the next beat.
        """
        if self._live.get(live.id) is live:
            del self._live[live.id]
            self._out.discard(live.id)
        self._gates.keep(live.claim, live.in_flight)
        if not held:
            self._holding.forget(*live.claim)
        self._clear(live)

    def _clear(self, live: Live) -> None:
        """Where the run is a suspect, it is none any more, or is not at work here any more: other work may begin."""
        if live.strikes >= SUSPECT:
            self._sweeper.hurry()
        live.strikes = 0

    def _call_out(self, live: Live, done: Settled, now: dt.datetime) -> None:
        for asking in done.askings:
            live.started(asking, now)
        live.dues.update(dict.fromkeys(done.held_up, now + LANE_PAUSE))
        askings, live.askings = live.askings, []
        live.decided, live.looks = Decided(), False
        ours = partial(self._holding.ours, *live.claim)
        for asking in askings:
            if asking.operation.effect != "read":
                reach("intent.after-commit")
            live.in_flight.add(asking.call.path)
            self._out.add(live.id)
            if asking.number is not None:
                self._lanes.has_it(self._outside.sequence(asking.call.operation), live.id)
            delay = self._around.throttles.delay(asking.call, self._holding.ticks())
            self._outside.perform(asking, live.message, now, partial(self._come_home, live.claim), ours, delay)

    def _come_home(self, claim: tuple[str, int], result: Result) -> None:
        self._inbox.put(_Home(*claim, result))
