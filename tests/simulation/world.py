"""The world of one seed: its time, its store, its engines, and how they come and go. What is done in it: `tests.simulation.simulation`."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bus.catalog import Catalog
from bus.clock import moment_of, text_of
from bus.copying import rows_of
from bus.engine import dead
from bus.engine.arrival import Submission
from bus.engine.engine import Pace
from bus.engine.holding import Claims, Known
from bus.engine.intake import Accepted, Intake
from bus.errors import Conflict, StoreError
from bus.message import canonical
from bus.store import Tx
from tests.clocks import FixedClock
from tests.keyrings import in_memory
from tests.simulation import judge
from tests.simulation.parts import (
    START,
    Fate,
    Killed,
    Pending,
    Process,
    ShakyStore,
    SimulatedStore,
    SkewedClock,
    SlowOutside,
    TurnedEngine,
)
from tests.simulation.system import LOSSY, SETTLE, TIMEOUT, Conduct, Effect, Sistema, rules

LEASE = 30.0
"""Seconds."""
PATIENCE = 3000
"""Moves of the calm phase after which something is taken to run in circles."""
MOST_ENGINES = 3
LATE = 0.4
"""How often an engine hears of what was claimed for it later than others go on."""


class SimulationError(AssertionError):
    """A promise was broken; carries the trace."""


@dataclass
class World:
    """``trace`` tells what was done, in words without ids. ``dice`` is the only chance there is."""

    seed: int
    folder: Path
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.clock = FixedClock(START)
        self.system = Sistema(lambda: self.running)
        self.tickets: list[str] = []
        self.accepted: list[tuple[Accepted, Submission]] = []
        self.names: dict[str, str] = {}
        self.count = 0
        self.processes: list[Process] = []
        self.edition = 1
        self.rough = self.dice.choice((0.0, 0.1, 0.3, 0.6))
        self.shaky = self.dice.choice((0.0, 0.0, 0.02, 0.2))
        self.skew = self.dice.choice((0.0, 0.0, 1.0))
        self.threads = self.dice.choice((1, 2, 16))
        self.running = 0.0
        self.keys = in_memory(random.Random(self.seed).randbytes(32))
        self.open_store()
        self._start_engine()
        self.trouble = True
        self._host: Process | None = None
        self._late: list[tuple[Process, Claims]] = []

    def open_store(self) -> None:
        """Begin to work on the store that lies in the folder."""
        self.store = SimulatedStore(self.folder / f"{self.seed}.db", keys=self.keys)
        self.intake = Intake(self.store, lambda: rules(self.edition), self.clock, self._ring, None, self)
        self.activate(self.edition)

    def welcome(self, tx: Tx, runs: Sequence[str], known: Known) -> Claims | None:
        """Where door and engine are one process, accepting and claiming are one commit; where they are not, nobody claims."""
        awake = self.awake()
        self._host = self.dice.choice(awake) if awake and self.trouble and self.dice.random() < 0.5 else None
        claims = None if self._host is None else self._host.engine.welcome(tx, runs, known)
        self.note(f"welcome {self._host.name if self._host else '-'} {0 if claims is None else len(claims.rows)}")
        return claims

    def welcomed(self, claims: Claims) -> None:
        if self._host is not None:
            self._late.append((self._host, claims))
        if not (self.trouble and self.dice.random() < LATE):
            self._hear()

    def _hear(self) -> None:
        """Engines hear of the commits that claimed for them; the thread that wrote them may be slower than a turn."""
        late, self._late = self._late, []
        for host, claims in late:
            if host in self.processes:
                host.engine.welcomed(claims)

    def unwelcome(self, runs: Sequence[str]) -> None:
        if self._host is not None and self._host in self.processes:
            self._host.engine.unwelcome(runs)

    def close(self) -> None:
        for process in self.processes:
            process.outside.close()
        self.store.close()

    def activate(self, edition: int) -> None:
        """Put rules in force: kept by fingerprint, then taken by the intake; engines take them when they start or are told."""
        plans = [route.plan for route in rules(edition).routes.values()]
        kept = [{"digest": plan.digest, "kind": "route", "content": canonical(plan.rules)} for plan in plans]
        self.store.write(lambda tx: tx.many("add_rules", kept)).result()
        self.edition = edition

    def name(self, identity: str) -> str:
        """A short name for an id, the same in every run of a seed."""
        return self.names.setdefault(identity, f"#{len(self.names) + 1}")

    def note(self, what: str) -> None:
        self.trace.append(f"{(self.clock.now() - START).total_seconds():>10.3f} {what}")

    # -- engines -----------------------------------------------------------------------------------------------------

    def _ring(self, runs: Sequence[str]) -> None:
        self.tickets += runs

    def awake(self) -> list[Process]:
        return [process for process in self.processes if not process.paused]

    def _start_engine(self) -> None:
        """A new process, with a clock of its own and the rules of the day."""
        self.count += 1
        outside, clock = SlowOutside(self.system, self.threads), SkewedClock(self.clock, self.dice.uniform(-self.skew, self.skew))
        process = Process(f"e{self.count}", outside, own(rules(self.edition)))
        shaky = ShakyStore(self.store, lambda: self._meanwhile(process), lambda: self._stand_still(process))
        pace = Pace(lease=LEASE, sweep=1, batch=10, most_live=20)
        process.engine = TurnedEngine(shaky, lambda: process.catalog, outside, clock, self._ring, pace, ticks=lambda: self.running)
        self.processes.append(process)

    def _meanwhile(self, process: Process) -> Fate:
        """Between two steps of an engine others work too, and its luck may end."""
        if not self.trouble:
            return "works"
        if self.dice.random() < 0.05:
            self.accept()
        if self.dice.random() < self.shaky:
            return "fails"
        if self.dice.random() < self.rough / 30:
            return self.dice.choice(("dies", "dies after"))
        return "stands still" if self.dice.random() < self.rough / 30 else "works"

    def _stand_still(self, process: Process) -> None:
        """A process is stopped in the middle of a turn, perhaps for longer than its lease, and the others go on."""
        process.paused = True
        self.note(f"{process.name} stands still")
        for _ in range(self.dice.randrange(8)):
            self.dice.choice((self.turn, self.turn, self.end_call, self.pass_time, self.deliver))()
        process.paused = False
        self.note(f"{process.name} goes on")

    def accept(self) -> None:
        raise NotImplementedError

    def turn(self) -> None:
        """An engine turns."""
        if awake := self.awake():
            self._turn(self.dice.choice(awake))

    def _turn(self, process: Process) -> None:
        self._let(process, lambda: process.engine.turn(patient=False))
        if self._late and self.dice.random() < LATE:
            self._hear()

    def _kill(self, process: Process) -> None:
        """Its calls have happened, happen late, or never left."""
        self.processes.remove(process)
        for call in process.outside.pending:
            if not call.asking.probe and call.asking.operation.effect != "read" and self.dice.random() < 0.6:
                self._orphan(call)
        process.outside.close()
        self.note(f"kill {process.name}")
        if not self.processes:
            self._start_engine()
            if self.dice.random() < 0.7:
                self._let(self.processes[0], self.processes[0].engine.take_over)

    def _let(self, process: Process, act: Callable[[], object]) -> None:
        """It may fail at what it does, or die of it."""
        try:
            act()
        except StoreError as error:
            self.note(f"{process.name} {error.sentence}")
        except Killed:
            self._kill(process)

    def _orphan(self, call: Pending) -> None:
        """A call whose caller is dead: it has its effect within timeout and settle."""
        asking = call.asking
        asked = asking.request
        effect = Effect(
            asking.operation.name, str(getattr(asked, "chi", "")), asking.call.key, asking.number, int(getattr(asked, "edizione", 1))
        )
        self.system.postpone(effect, self.dice.choice((0.0, self.dice.uniform(0, TIMEOUT + SETTLE))))
        self.system.settle()

    def _stop(self, process: Process) -> None:
        """It stops gracefully; it holds no lease after that."""
        process.engine.wind_down()
        for _ in range(PATIENCE):
            self._hear()
            while process in self.processes and process.outside.pending:
                self._end(process, process.outside.pending[0], "lose" if self.trouble and self.dice.random() < self.rough else "answer")
            if process in self.processes:
                self._turn(process)
            if process not in self.processes:
                return
            if not process.engine.busy():
                break
        self._leave(process)
        process.outside.close()
        with self.store.read() as tx:
            rows = tx.all("runs_by_state", state=None, route=None, most=10_000)
            held = [row["id"] for row in rows if row["owner"] == process.engine.owner]
        if held or process.engine.busy():
            raise SimulationError(f"a stopped engine holds {held}")

    def _leave(self, process: Process) -> None:
        """Its leases are given up, unless the store fails it: then they run out."""
        trouble, self.trouble = self.trouble, False
        process.engine.leave()
        self.trouble = trouble

    # -- tickets, calls, time ----------------------------------------------------------------------------------------

    def deliver(self) -> None:
        """Some tickets reach an engine: in any order, some twice, some never."""
        self.dice.shuffle(self.tickets)
        count = self.dice.randrange(len(self.tickets) + 1)
        taken, self.tickets = self.tickets[:count], self.tickets[count:]
        kept = [run for run in taken if not self.trouble or self.dice.random() > self.rough]
        doubled = [run for run in kept if self.trouble and self.dice.random() < 0.2]
        self.dice.choice(self.processes).engine.ring(kept + doubled)

    def end_call(self) -> None:
        """A call comes home, well or badly."""
        waiting = [(process, call) for process in self.processes for call in process.outside.pending]
        if not waiting:
            return
        process, call = self.dice.choice(waiting)
        conduct: Conduct = "answer"
        if self.trouble and self.dice.random() < self.rough:
            conduct = self.dice.choice((*LOSSY, "refuse"))
        self.system.delay = self.dice.choice((SETTLE, self.dice.uniform(0, SETTLE)))
        asking = call.asking
        self.note(f"{process.name} {'probe' if asking.probe else 'call'} {asking.call.operation} {asking.call.path} {conduct}")
        self._end(process, call, conduct)

    def _end(self, process: Process, call: Pending, conduct: Conduct) -> None:
        """Before it goes out it may ask the store whether its run is still ours, and die of that."""
        try:
            process.outside.end(call, conduct)
        except Killed:
            self._kill(process)

    def pass_time(self) -> None:
        """Moments or hours."""
        self._pass(self.dice.choice((0.001, 0.1, 1, 5, 20, 100, 1000, 4000)))

    def _pass(self, seconds: float) -> None:
        """Calls on their way end within their timeout, so time passes by no more than that while some are."""
        for process in list(self.processes):
            while (
                process in self.processes and process.outside.pending and seconds > TIMEOUT and (process.paused or self.dice.random() < 0.9)
            ):
                call = process.outside.pending[0]
                self.system.delay = self.dice.choice((SETTLE, self.dice.uniform(0, SETTLE)))
                self._end(process, call, self.dice.choice(LOSSY) if self.trouble and self.dice.random() < self.rough else "answer")
        self.clock.move(dt.timedelta(seconds=seconds))
        self.running += seconds
        self.system.settle()
        self.note(f"pass {seconds}")

    # -- people ------------------------------------------------------------------------------------------------------

    def _treat(self, run: str) -> None:
        """Somebody looks at a dead letter and acts."""
        with self.store.read() as tx:
            letter = dead.letter(tx, run)
        act = self.dice.choice(("redeliver", "redeliver", "discard"))
        if letter.doubt and letter.detail.get("effect") == "once":
            act = self.dice.choice(("happened", "again", "again"))
        self.note(f"{act} {self.name(run)} {letter.code} {letter.path}")
        for _ in range(PATIENCE):
            try:
                self.store.write(lambda tx: self._do(tx, act, run)).result()
                break
            except Conflict as error:  # its lane is not at rest; who means it waits, longer where the clock was set back
                if error.code != "dead.lane-not-at-rest":
                    raise
                self.note(error.code)
                self._pass(TIMEOUT + 1)
        else:
            raise SimulationError(f"the lane of {self.name(run)} never comes to rest")
        self._ring([run])

    def _do(self, tx: Tx, act: str, run: str) -> None:
        if act == "discard":
            dead.discard(tx, run, "anna", "prova", self.clock)
        elif act == "redeliver":
            dead.redeliver(tx, run, "anna", "prova", self.clock)
        else:
            decision: dead.Decision = "again" if act == "again" else "happened"
            dead.decide(tx, run, "anna", "prova", self.clock, decision, {"chi": "deciso"})

    # -- calm --------------------------------------------------------------------------------------------------------

    def calm(self) -> None:
        """No more faults; one engine; time goes from one due moment to the next until nothing moves."""
        self.trouble = False
        self._hear()
        for process in self.processes:
            process.paused = False
        for process in self.processes[1:]:
            self._stop(process)
        del self.processes[1:]
        self._pass(200)
        engine = self.processes[0].engine
        for _ in range(PATIENCE):
            self.deliver()
            while self.processes[0].outside.pending:
                self.end_call()
            engine.turn(patient=False)
            self._free_lanes()
            if not self.processes[0].outside.pending and not self.tickets and not self._advance() and engine.idle():
                break
        else:
            raise SimulationError(f"it never came to rest: {self.states()}")
        self._stop(self.processes[0])

    def _free_lanes(self) -> None:
        """A dead letter that holds an ordered lane is treated, for all wait for it."""
        with self.store.read() as tx:
            holders = sorted({row["run"] for row in tx.all("all_lanes")})
            dead_ones = [run for run in holders if (row := tx.one("run", id=run)) is not None and row["state"] == "dead"]
        for run in dead_ones:
            self._treat(run)

    def _advance(self) -> bool:
        """Let time pass until something is due; false when nothing ever will be."""
        with self.store.read() as tx:
            rows = tx.all("runs_by_state", state="ready", route=None, most=10_000)
            texts = [row["due"] for row in rows] + [row["lease"] for row in rows if row["lease"]]
            texts += [row["deadline"] for row in rows_of(tx, "waits") if row["deadline"] and row["state"] == "open"]
            ripe = judge.ripe(tx, text_of(self.clock.now()))
        later = [moment for moment in map(moment_of, texts) if moment >= self.clock.now()]  # a lease is good to its last moment
        later += [self.clock.now() + dt.timedelta(seconds=moment - self.running) for moment, _ in self.system.late]
        if self.processes[0].engine.busy():
            self._pass(0.2)
            return True
        if not ripe and not later:
            return False
        soonest = min(later, default=self.clock.now() + dt.timedelta(seconds=1))
        ripens = self.dice.choice((0.3, 1.0))  # not always when those who wait for a lane ask for it again, or its holder is never free
        self._pass(ripens if ripe else max((soonest - self.clock.now()).total_seconds(), 0) + 1.0)
        return True

    def states(self) -> str:
        with self.store.read() as tx:
            counts = Counter(row["state"] for row in rows_of(tx, "runs"))
        return ", ".join(f"{state} {runs}" for state, runs in counts.items())


def own(catalog: Catalog) -> Catalog:
    """A catalog that remembers for itself what others need not know."""
    return replace(catalog, _by_digest=dict(catalog._by_digest))
