"""Deterministic simulation: the real intake, engine and store in one thread, under faults that a seed chooses.

::

    python -m bus.testing.simulation --seed 17      one seed, with its trace
    python -m bus.testing.simulation --seeds 0-999  many, and the first that fails

A run of the simulation makes trouble for some hundred moves (messages new, repeated and forged; tickets lost, doubled and
reordered; calls that fail in every way; engines killed, doubled and stopped; clocks moved), then calms down, lets time pass until
nothing moves, and judges: by the system's ledger, by the log, by the tables. The same seed gives the same trace.
"""

from __future__ import annotations

import argparse
import datetime as dt
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bus.clock import FixedClock, moment_of, text_of
from bus.engine import dead
from bus.engine.engine import Engine, Pace
from bus.engine.intake import Accepted, Intake, Submission
from bus.errors import Conflict, StoreError
from bus.message import JsonObject
from bus.testing import simulation_judge
from bus.testing.simulated_bus import START, Fate, Killed, Pending, Process, ShakyStore, SimulatedStore, SlowOutside
from bus.testing.simulated_system import LOSSY, SETTLE, TIMEOUT, Conduct, Effect, Sistema, rules

MOVES = 110
PATIENCE = 3000
"""Moves of the calm phase after which something is taken to run in circles."""
MEMORY = Path("/dev/shm")  # noqa: S108 - each run makes its own folder in it
"""Where a store may lie when its durability is not what is examined."""


class SimulationError(AssertionError):
    """A promise was broken; carries the trace."""


@dataclass
class Simulation:
    """One seed's world. ``trace`` tells what was done, in words without ids."""

    seed: int
    folder: Path
    moves: int = MOVES
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - chance that can be repeated
        self.clock = FixedClock(START)
        self.system = Sistema(self.clock.now)
        self.tickets: list[str] = []
        self.open_store()
        self.accepted: list[tuple[Accepted, Submission]] = []
        self.names: dict[str, str] = {}
        self.count = 0
        self.processes: list[Process] = []
        self.trouble = True
        self.rough = self.dice.choice((0.0, 0.1, 0.3, 0.6))
        self.shaky = self.dice.choice((0.0, 0.0, 0.02, 0.2))
        self._start_engine()

    def open_store(self) -> None:
        """Begin to work on the store that lies in the folder."""
        self.store = SimulatedStore(self.folder / f"{self.seed}.db")
        self.intake = Intake(self.store, rules, self.clock, self._ring)

    # -- the world ---------------------------------------------------------------------------------------------------

    def _ring(self, runs: Sequence[str]) -> None:
        self.tickets += runs

    def _start_engine(self) -> None:
        outside = SlowOutside(self.system)
        shaky = ShakyStore(self.store, self._meanwhile)
        engine = Engine(shaky, rules, outside, self.clock, self._ring, Pace(lease=30, sweep=1, batch=10, most_live=20))
        self.count += 1
        self.processes.append(Process(f"e{self.count}", engine, outside))

    def _meanwhile(self) -> Fate:
        """Between two steps of an engine others work too, and its luck may end."""
        if not self.trouble:
            return "works"
        if self.dice.random() < 0.05:
            self.accept()
        if self.dice.random() < self.shaky:
            return "fails"
        return self.dice.choice(("dies", "dies after")) if self.dice.random() < self.rough / 30 else "works"

    def name(self, identity: str) -> str:
        """A short name for an id, the same in every run of a seed."""
        return self.names.setdefault(identity, f"#{len(self.names) + 1}")

    def note(self, what: str) -> None:
        self.trace.append(f"{(self.clock.now() - START).total_seconds():>10.3f} {what}")

    def play(self) -> None:
        """Trouble, then calm, then judgement. Raises `SimulationError`."""
        try:
            for _ in range(self.moves):
                self.move()
            self.calm()
            self.judge()
        finally:
            for process in self.processes:
                process.outside.close()
            self.store.close()

    def move(self) -> None:
        """Something happens."""
        self.dice.choices(*_weights(self))[0]()

    def judge(self) -> None:
        """Everything that must hold at the end."""
        with self.store.read() as tx:
            faults = simulation_judge.faults(tx, text_of(self.clock.now()), self.system.ledger, [a for a, _ in self.accepted])
        faults += simulation_judge.rebuilt(self.store)
        if faults:
            raise SimulationError("\n".join(faults))

    # -- moves -------------------------------------------------------------------------------------------------------

    def accept(self) -> None:
        """A new message: work, or something that others wait for."""
        number = len(self.accepted) + 1
        kind = self.dice.choice(("lavoro", "lavoro", "attesa", "senza", "raccolta", "fianco", "ricevuta", "ricevuta", "parte", "parte"))
        caso, iuv = f"c{self.dice.randrange(4)}", f"i{self.dice.randrange(4)}"
        body: JsonObject = {"chi": f"m{number}"}
        if kind != "ricevuta":
            body["caso"] = caso
        if kind in ("attesa", "senza", "ricevuta"):
            body["iuv"] = iuv
        if kind in ("ricevuta", "parte") and self.dice.random() < 0.15:
            body |= {"iuv": iuv, "caso": caso}
        body["modo"] = self.dice.choice(("", "cerca", "una", "fallisce"))
        body["voci"] = [f"v{n}" for n in range(self.dice.randrange(3))]
        self._send(Submission(f"sim.{kind}", body, "portale", key=f"k{number}"))

    def _send(self, submission: Submission) -> Accepted:
        accepted = self.intake.send(submission).result()
        self.note(f"accept {self.name(accepted.id)} {submission.type} {submission.body} repeated={accepted.repeated}")
        if not accepted.repeated:
            self.accepted.append((accepted, submission))
        return accepted

    def repeat(self) -> None:
        """A message again, as it was, or forged under the same key."""
        if not self.accepted:
            return
        first, submission = self.dice.choice(self.accepted)
        again = self._send(submission)
        if not again.repeated or again.id != first.id:
            raise SimulationError(f"{submission.key} was taken twice")
        forged = Submission(submission.type, {"chi": "forged"}, submission.sender, key=submission.key)
        try:
            self.intake.send(forged).result()
        except Conflict:
            return
        raise SimulationError(f"{submission.key} was taken with other content")

    def deliver(self) -> None:
        """Some tickets reach an engine: in any order, some twice, some never."""
        self.dice.shuffle(self.tickets)
        count = self.dice.randrange(len(self.tickets) + 1)
        taken, self.tickets = self.tickets[:count], self.tickets[count:]
        kept = [run for run in taken if not self.trouble or self.dice.random() > self.rough]
        doubled = [run for run in kept if self.trouble and self.dice.random() < 0.2]
        for process in self.processes[:1] if not self.trouble else [self.dice.choice(self.processes)]:
            process.engine.ring(kept + doubled)

    def deliver_all(self) -> None:
        """Every ticket reaches the first engine."""
        taken, self.tickets = self.tickets, []
        self.processes[0].engine.ring(taken)

    def turn(self) -> None:
        self._turn(self.dice.choice(self.processes))

    def _turn(self, process: Process) -> None:
        try:
            process.engine.turn(patient=False)
        except StoreError as error:
            self.note(f"{process.name} {error.sentence}")
        except Killed:
            self._kill(process)

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
        self.note(
            f"{process.name} {'probe' if call.asking.probe else 'call'} {call.asking.call.operation} {call.asking.call.path} {conduct}"
        )
        process.outside.end(call, conduct)

    def pass_time(self) -> None:
        self._pass(self.dice.choice((0.001, 0.1, 1, 5, 20, 100, 1000, 4000)))

    def _pass(self, seconds: float) -> None:
        """Calls on their way end within their timeout, so time passes by no more than that while some are."""
        for process in self.processes:
            while process.outside.pending and seconds > TIMEOUT and self.dice.random() < 0.9:
                call = process.outside.pending[0]
                self.system.delay = self.dice.choice((SETTLE, self.dice.uniform(0, SETTLE)))
                process.outside.end(call, self.dice.choice(LOSSY) if self.trouble and self.dice.random() < self.rough else "answer")
        self.clock.move(dt.timedelta(seconds=seconds))
        self.system.settle()
        self.note(f"pass {seconds}")

    def step_back(self) -> None:
        """The clock is corrected by some seconds."""
        seconds = self.dice.choice((0.5, 3, 40))
        self.clock.move(dt.timedelta(seconds=-seconds))
        self.note(f"clock back {seconds}")

    def kill(self) -> None:
        """An engine dies; its calls have happened, happen late, or never left."""
        self._kill(self.dice.choice(self.processes))

    def _kill(self, process: Process) -> None:
        self.processes.remove(process)
        for call in process.outside.pending:
            if not call.asking.probe and call.asking.operation.effect != "read" and self.dice.random() < 0.6:
                self._orphan(call)
        process.outside.close()
        self.note(f"kill {process.name}")
        if not self.processes:
            self._start_engine()
            if self.dice.random() < 0.7:
                self._take_over(self.processes[0])

    def _take_over(self, process: Process) -> None:
        try:
            process.engine.take_over()
        except StoreError as error:
            self.note(f"{process.name} {error.sentence}")
        except Killed:
            self._kill(process)

    def _orphan(self, call: Pending) -> None:
        """A call whose caller is dead: it has its effect within timeout and settle."""
        asking = call.asking
        effect = Effect(asking.operation.name, str(getattr(asking.request, "chi", "")), asking.call.key, asking.number)
        self.system.postpone(effect, self.dice.choice((0.0, self.dice.uniform(0, TIMEOUT + SETTLE))))
        self.system.settle()

    def double(self) -> None:
        """A second engine on the same store."""
        if len(self.processes) < 2:
            self._start_engine()
            self.note("second engine")

    def stop(self) -> None:
        """An engine stops gracefully; it holds no lease after that."""
        process = self.dice.choice(self.processes)
        self.note(f"stop {process.name}")
        self._stop(process)
        if process in self.processes:
            self.processes.remove(process)
        if not self.processes:
            self._start_engine()

    def _stop(self, process: Process) -> None:
        process.engine.wind_down()
        for _ in range(PATIENCE):
            while process.outside.pending:
                process.outside.end(process.outside.pending[0], "lose" if self.trouble and self.dice.random() < self.rough else "answer")
            self._turn(process)
            if process not in self.processes:
                return
            if not process.engine.busy():
                break
        self._leave(process)
        process.outside.close()
        with self.store.read() as tx:
            held = [
                row["id"] for row in tx.all("runs_by_state", state=None, route=None, most=10_000) if row["owner"] == process.engine.owner
            ]
        if held or process.engine.busy():
            raise SimulationError(f"a stopped engine holds {held}")

    def _leave(self, process: Process) -> None:
        """Its leases are given up, unless the store fails it: then they run out."""
        trouble, self.trouble = self.trouble, False
        process.engine.leave()
        self.trouble = trouble

    def person(self) -> None:
        """Somebody looks at a dead letter."""
        with self.store.read() as tx:
            found = sorted(row["id"] for row in tx.all("runs_by_state", state="dead", route=None, most=1000))
        if not found:
            return
        self._treat(self.dice.choice(found))

    def _treat(self, run: str) -> None:
        with self.store.read() as tx:
            letter = dead.letter(tx, run)
        act = self.dice.choice(("redeliver", "redeliver", "discard"))
        if letter.doubt and letter.detail.get("effect") == "once":
            act = self.dice.choice(("happened", "again", "again"))
        self.note(f"{act} {self.name(run)} {letter.code} {letter.path}")
        if act == "discard":
            self.store.write(lambda tx: dead.discard(tx, run, "anna", "prova", self.clock)).result()
        elif act == "redeliver":
            self.store.write(lambda tx: dead.redeliver(tx, run, "anna", "prova", self.clock)).result()
        else:
            decision: dead.Decision = "again" if act == "again" else "happened"
            self.store.write(lambda tx: dead.decide(tx, run, "anna", "prova", self.clock, decision, {"chi": "deciso"})).result()
        self._ring([run])

    # -- calm --------------------------------------------------------------------------------------------------------

    def calm(self) -> None:
        """No more faults; one engine; time goes from one due moment to the next until nothing moves."""
        self.trouble = False
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
            texts += [row["deadline"] for row in tx.all("all_waits") if row["deadline"] and row["state"] == "open"]
            ripe = simulation_judge.ripe(tx, text_of(self.clock.now()))
        later = [moment for moment in map(moment_of, texts) if moment > self.clock.now()] + [moment for moment, _ in self.system.late]
        if self.processes[0].engine.busy():
            self._pass(0.2)
            return True
        if not ripe and not later:
            return False
        soonest = min(later, default=self.clock.now() + dt.timedelta(seconds=1))
        self._pass(1.0 if ripe else max((soonest - self.clock.now()).total_seconds(), 0) + 1.0)
        return True

    def states(self) -> str:
        with self.store.read() as tx:
            return ", ".join(f"{row['state']} {row['runs']}" for row in tx.all("count_runs"))


def _weights(world: Simulation) -> tuple[list[Callable[[], None]], list[int]]:
    """The moves and how often each is made."""
    moves: list[tuple[Callable[[], None], int]] = [
        (world.accept, 10), (world.repeat, 2), (world.deliver, 15), (world.turn, 30), (world.end_call, 25), (world.pass_time, 8),
        (world.step_back, 1), (world.kill, 2), (world.double, 3), (world.stop, 1), (world.person, 3),
    ]  # fmt: skip
    return [move for move, _ in moves], [weight for _, weight in moves]


def simulate(seed: int, moves: int = MOVES) -> list[str]:
    """Play one seed; returns its trace. Raises `SimulationError` with the trace and how to see it again."""
    with tempfile.TemporaryDirectory(prefix="snodo-simulation-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = Simulation(seed, Path(folder), moves)
        try:
            world.play()
        except Exception as error:
            trace = "\n".join(world.trace)
            raise SimulationError(f"{trace}\n{error!r}\nagain: python -m bus.testing.simulation --seed {seed}") from error
        return world.trace


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when all seeds keep the promises."""
    parser = argparse.ArgumentParser(prog="python -m bus.testing.simulation", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seed", type=int, help="one seed, with its trace")
    parser.add_argument("--seeds", default="0-299", help="from-to")
    parser.add_argument("--moves", type=int, default=MOVES)
    options = parser.parse_args(arguments)
    first, _, last = options.seeds.partition("-")
    seeds = [options.seed] if options.seed is not None else range(int(first), int(last or first) + 1)
    for seed in seeds:
        try:
            trace = simulate(seed, options.moves)
        except SimulationError as error:
            sys.stdout.write(f"seed {seed} fails\n{error}\n")
            return 1
        if options.seed is not None:
            sys.stdout.write("\n".join(trace) + "\n")
    sys.stdout.write(f"{len(seeds)} seeds: all promises kept\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
