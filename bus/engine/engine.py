"""The engine: claims runs, steps many of them together, commits them together, then acts.

One thread turns; calls outside run in the adapters' own pools and come back through the inbox. A turn is the whole story::

    take      what came: tickets, calls that came back
    claim     the runs that are rung for            (one transaction)
    fold      their journals, and follow their walks as far as they go
    settle    all that was decided                  (one transaction)
    act       make the outside calls, ring the doorbell
"""

from __future__ import annotations

import datetime as dt
import heapq
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bus.clock import Clock, text_of
from bus.diagnostics import logger
from bus.engine import journal
from bus.engine.claims import claim
from bus.engine.interpreter import Walk
from bus.engine.live import House, Live
from bus.engine.outside import Outside, Result
from bus.engine.settle import LANE_PAUSE, Settled, Settling, park_unreadable
from bus.engine.throttles import Throttles
from bus.engine.timers import expire
from bus.errors import SnodoError, StoreError
from bus.failpoint import reach
from bus.log import log
from bus.message import message_of, new_id, parsed
from bus.route.plan import Plan
from bus.store import Row, Store, Tx

if TYPE_CHECKING:
    from bus.catalog import Catalog

Ring = Callable[[Sequence[str]], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """How the engine goes about its work; seconds."""

    lease: float = 30.0
    sweep: float = 1.0
    batch: int = 200
    most_live: int = 1000


@dataclass(frozen=True, slots=True)
class _Home:
    """A call that came back."""

    run: str
    fence: int
    result: Result


class Engine:
    """See the module. ``ring`` tells everybody that runs are ready; ``told`` gets messages that were replied or ended."""

    def __init__(
        self, store: Store, catalog: Callable[[], Catalog], outside: Outside, clock: Clock, ring: Ring,
        pace: Pace = Pace(), told: Callable[[Iterable[str]], None] = lambda messages: None,
    ) -> None:  # fmt: skip
        self._store, self._outside, self._clock, self._ring, self._pace, self._told = store, outside, clock, ring, pace, told
        self._house = House(outside, catalog, clock, Throttles())
        self.owner = new_id()
        self._settling = Settling(self.owner, outside)
        self._inbox: queue.SimpleQueue[Sequence[str] | _Home | None] = queue.SimpleQueue()
        self._live: dict[str, Live] = {}
        self._unwritten: dict[str, Live] = {}
        self._rung: dict[str, None] = {}
        self._alarms: list[tuple[dt.datetime, str]] = []
        self._log = logger("snodo.engine")
        self._stopping = threading.Event()
        self._next_sweep = clock.now()
        self._next_renewal = clock.now()
        self._thread = threading.Thread(target=self._live_on, name="snodo-engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take_over(self) -> None:
        """Void the claims of engines that are no more. Only where this process owns the store alone."""
        self._store.write(lambda tx: tx.do("release_all")).result()

    def ring(self, runs: Sequence[str]) -> None:
        """Runs may be ready; thread-safe, cheap, may be wrong."""
        self._inbox.put(runs)

    def stop(self, seconds: float = 20.0) -> None:
        """Claim nothing more, let calls in flight come home and be recorded, then give up the leases."""
        self.wind_down()
        self._thread.join(seconds)

    def wind_down(self) -> None:
        """Claim nothing more; turns go on until what is in flight has come home."""
        self._stopping.set()
        self._inbox.put(None)

    def busy(self) -> bool:
        """Whether a run is live here."""
        return bool(self._live)

    def leave(self) -> None:
        """Give up the leases; the last thing an engine does."""
        self._store.write(lambda tx: tx.do("release_owner", owner=self.owner)).result()

    def idle(self) -> bool:
        """Whether nothing is live and nothing is rung for; for tests and graceful stops."""
        return not self._live and not self._rung and self._inbox.empty()

    def _live_on(self) -> None:
        while not self._stopping.is_set() or self.busy():
            try:
                self.turn()
            except SnodoError as error:
                self._log.error("engine.turn-failed", code=error.code, sentence=error.sentence)
                self._stopping.wait(0.2)
            except Exception:  # noqa: BLE001 - the engine outlives whatever one turn meets
                self._log.exception("engine.turn-failed")
                self._stopping.wait(0.2)
        self.leave()

    def turn(self, *, patient: bool = True) -> None:
        """One turn; see the module. ``patient``: sleep until there is something to do."""
        if self._stopping.is_set():
            self._live = {run: live for run, live in self._live.items() if live.in_flight or run in self._unwritten}
        home = self._take(self._patience() if patient else 0.0)
        now = self._clock.now()
        claimed = self._find_work(home, now)
        again = [live for run in list(self._rung) if (live := self._live.get(run)) is not None and self._ask_again(live, now)]
        fresh = [self._revive(live, known, now) for live, known in self._load_all(claimed, now)]
        back = [live for back in home if (live := self._bring_home(back, now)) is not None]
        lives = list({live.id: live for live in (*self._unwritten.values(), *again, *fresh, *back)}.values())
        self._unwritten = {}
        if lives:
            self._act(lives, self._settle(lives, now), now)

    def _find_work(self, home: list[_Home], now: dt.datetime) -> list[Row]:
        """Sweep and claim; when the store fails, what came home is kept for the next turn."""
        try:
            self._sweep(now)
            return self._claim(now)
        except BaseException:
            for back in home:
                self._inbox.put(back)
            raise

    def _take(self, wait: float) -> list[_Home]:
        """Drain the inbox; sleeps at most ``wait`` seconds until something comes."""
        home: list[_Home] = []
        try:
            item = self._inbox.get(timeout=wait) if wait > 0 else self._inbox.get_nowait()
            while True:
                if isinstance(item, _Home):
                    home.append(item)
                elif item is not None:
                    self._rung.update(dict.fromkeys(item))
                if len(home) + len(self._rung) >= self._pace.batch * 4:
                    break
                item = self._inbox.get_nowait()
        except queue.Empty:
            pass
        return home

    def _patience(self) -> float:
        if self._rung and not self._stopping.is_set() and len(self._live) < self._pace.most_live:
            return 0.0
        soonest = min([self._next_sweep, *(alarm for alarm, _ in self._alarms[:1])])
        return min(max((soonest - self._clock.now()).total_seconds(), 0.001), self._pace.sweep)

    def _sweep(self, now: dt.datetime) -> None:
        """Ring for runs whose time has come, for deadlines, and for tickets that got lost; renew our leases."""
        while self._alarms and self._alarms[0][0] <= now:
            self._rung[heapq.heappop(self._alarms)[1]] = None
        self._not_later_than(now)
        if now >= self._next_renewal and self._live:
            self._next_renewal = now + dt.timedelta(seconds=self._pace.lease / 3)
            until = text_of(now + dt.timedelta(seconds=self._pace.lease))
            held = [{"id": live.id, "fence": live.fence, "owner": self.owner, "lease": until} for live in self._live.values()]
            self._store.write(lambda tx: tx.many("hold_run", held)).result()
        if now < self._next_sweep or self._stopping.is_set():
            return
        self._next_sweep = now + dt.timedelta(seconds=self._pace.sweep)
        reach("sweeper.before-look")
        with self._store.read() as tx:
            ready = [row["id"] for row in tx.all("runs_to_ring", now=text_of(now), most=self._pace.batch)]
            overdue = tx.all("waits_expired", now=text_of(now), most=1)
        if overdue:
            ready += self._store.write(lambda tx: expire(tx, now, self._pace.batch)).result()
            reach("timers.after-commit")
        self._rung.update(dict.fromkeys(ready))
        reach("sweeper.after-look")

    def _not_later_than(self, now: dt.datetime) -> None:
        """A clock that was set back must not make us sleep until it is where it was."""
        self._next_sweep = min(self._next_sweep, now + dt.timedelta(seconds=self._pace.sweep))
        self._next_renewal = min(self._next_renewal, now + dt.timedelta(seconds=self._pace.lease / 3))

    def _claim(self, now: dt.datetime) -> list[Row]:
        room = self._pace.most_live - len(self._live)
        if self._stopping.is_set() or room <= 0 or not self._rung:
            return []
        wanted = list(self._rung)[: min(room, self._pace.batch)]
        for run in wanted:
            del self._rung[run]
        wanted = [run for run in wanted if run not in self._live]
        if not wanted:
            return []
        lease = dt.timedelta(seconds=self._pace.lease)

        def work(tx: Tx) -> list[Row]:
            rows = claim(tx, wanted, self.owner, now, lease)
            if rows:
                reach("claim.before-commit")
            return rows

        claimed = self._store.write(work).result()
        if claimed:
            reach("claim.after-commit")
        if claimed and claimed[0]["strikes"]:  # it came alone: the others are asked for again
            self._rung.update(dict.fromkeys(run for run in wanted if run != claimed[0]["id"]))
        return claimed

    def _load_all(self, rows: Sequence[Row], now: dt.datetime) -> list[tuple[Live, journal.Journal]]:
        """What the store has of claimed runs, in one view. The claim of one that is not read runs out, and the sweeper rings again."""
        loaded: list[tuple[Live, journal.Journal]] = []
        unreadable: list[tuple[Row, Exception]] = []
        if not rows:
            return loaded
        try:
            with self._store.read() as tx:
                for row in rows:
                    try:
                        loaded.append(self._load(tx, row))
                    except StoreError as error:
                        self._log.error("run.not-read", run=row["id"], error=repr(error))
                    except Exception as error:  # noqa: BLE001 - a run that cannot be read is parked, the others go on
                        unreadable.append((row, error))
        except StoreError as error:
            self._log.error("runs.not-read", runs=[row["id"] for row in rows], error=repr(error))
        for row, reason in unreadable:
            self._log.error("run.unreadable", run=row["id"], error=repr(reason))
            self._park(row, now, reason)
        return loaded

    def _revive(self, live: Live, known: journal.Journal, now: dt.datetime) -> Live:
        """Make a claimed run live: its journal folded, its walk brought up to date."""
        try:
            live.walk.start()
            live.remember(known.events)
            live.pursue(list(live.walk.pending.values()), self._house, now)
        except Exception as error:  # noqa: BLE001 - what one run meets is parked with that run
            self._fell(live, now, error)
        self._live[live.id] = live
        return live

    def _park(self, row: Row, now: dt.datetime, error: Exception) -> None:
        try:
            self._store.write(lambda tx: park_unreadable(tx, row, self.owner, now, error)).result()
        except Exception:  # noqa: BLE001 - the claim runs out and the sweeper rings again; the other runs of this turn go on
            self._log.exception("run.cannot-be-parked", run=row["id"])

    def _load(self, tx: Tx, row: Row) -> tuple[Live, journal.Journal]:
        stored = parsed(tx.one("message_payload", id=row["message"])["content"])  # type: ignore[index]
        records = log.of_run(tx, row["id"]) if row["fence"] > 1 else []
        known = journal.fold(records, lambda identity: log.json_payload(tx, identity), lambda message: _body(tx, message))
        message = message_of(stored["envelope"], stored["body"])
        plan = self._plan(tx, row["digest"])
        return Live(row["id"], row["fence"], row["case_id"], message, plan, Walk(plan, message, row["entry"]), known.tries), known

    def _fell(self, live: Live, now: dt.datetime, error: BaseException) -> None:
        self._log.warning("run.fell", run=live.id, error=repr(error))
        live.fall(now, error)

    def _ask_again(self, live: Live, now: dt.datetime) -> bool:
        """Try again what is due in a run that stayed live for another branch; false when nothing is."""
        del self._rung[live.id]
        asks = live.due_asks(now)
        if not asks or self._stopping.is_set():
            return False
        try:
            live.pursue(asks, self._house, now)
        except Exception as error:  # noqa: BLE001 - what one run meets is parked with that run
            self._fell(live, now, error)
        return True

    def _plan(self, tx: Tx, digest: str) -> Plan:
        found = self._house.catalog().plan(digest)
        if found is not None:
            return found
        row = tx.one("rules", digest=digest)
        if row is None:
            raise SnodoError(f"the rules {digest[:12]}… are in nobody's memory", code="rules.missing")
        return self._house.catalog().remember(parsed(row["content"]))

    def _bring_home(self, home: _Home, now: dt.datetime) -> Live | None:
        live = self._live.get(home.run)
        if live is None or live.fence != home.fence:
            return None
        reach("answer.before-record")
        try:
            asks = live.came_back(home.result, now)
            if self._stopping.is_set():
                live.suspend(now)
            else:
                live.pursue(asks, self._house, now)
        except Exception as error:  # noqa: BLE001 - what one run meets is parked with that run
            self._fell(live, now, error)
        return live

    def _settle(self, lives: list[Live], now: dt.datetime) -> list[Settled]:
        """Commit what all of them decided; when the batch fails, one by one, so that a bad run harms only itself."""
        lease = dt.timedelta(seconds=self._pace.lease)
        try:
            settled = self._store.write(self._settling.work(lives, now, lease)).result()
            reach("settle.after-commit")
            return settled
        except Exception as error:  # noqa: BLE001 - a batch that fails is split run by run
            if len(lives) > 1:
                return [settled for live in lives for settled in self._settle([live], now)]
            if isinstance(error, StoreError):
                return [Settled(unwritten=True)]
            return [self._settle_alone(lives[0], now, error)]

    def _settle_alone(self, live: Live, now: dt.datetime, error: Exception) -> Settled:
        """A run whose decisions cannot be written is written as dead; when even that fails, its lease will run out."""
        self._fell(live, now, error)
        try:
            return self._store.write(self._settling.work([live], now, dt.timedelta(seconds=self._pace.lease))).result()[0]
        except Exception:  # noqa: BLE001 - said in the diagnostics; the claim runs out and the sweeper rings again
            self._log.exception("run.cannot-be-settled", run=live.id)
            return Settled(lost=True)

    def _act(self, lives: list[Live], settled: list[Settled], now: dt.datetime) -> None:
        """After the commit: make the calls, ring for the others, forget what is not ours any more."""
        rung: dict[str, None] = {}
        told: list[str] = []
        for live, done in zip(lives, settled, strict=True):
            rung.update(dict.fromkeys(done.rung))
            if done.unwritten:
                self._unwritten[live.id] = live
                continue
            if done.lost or done.woken or done.ended or done.parked:
                self._live.pop(live.id, None)
                told += [live.message.id] if done.ended or done.parked else []
                if done.due is not None:
                    heapq.heappush(self._alarms, (done.due, live.id))
                continue
            told += [live.message.id] if any(e.record.kind == "replied" for e in live.entries) else []
            self._call_out(live, done, now)
            for due in live.dues.values():
                heapq.heappush(self._alarms, (due, live.id))
        if rung:
            self._ring(list(rung))
        if told:
            reach("reply.before-told")
            self._told(told)

    def _call_out(self, live: Live, done: Settled, now: dt.datetime) -> None:
        for asking in done.askings:
            live.started(asking, now)
        live.dues.update(dict.fromkeys(done.held_up, now + LANE_PAUSE))
        askings, live.askings = live.askings, []
        live.entries, live.outgoing, live.waits, live.numbered = [], [], [], []
        for asking in askings:
            if asking.operation.effect != "read":
                reach("intent.after-commit")
            live.in_flight.add(asking.call.path)
            self._outside.perform(asking, live.message, now, lambda result, live=live: self._inbox.put(_Home(live.id, live.fence, result)))  # type: ignore[misc]


def _body(tx: Tx, message: str) -> Any:
    row = tx.one("message_payload", id=message)
    if row is None:
        raise KeyError(message)
    return parsed(row["content"])["body"]
