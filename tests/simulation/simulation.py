"""Deterministic simulation: the real intake, engine and store in one thread, under faults that a seed chooses.

::

    python -m tests.simulation --seed 17              one seed, with its trace
    python -m tests.simulation --seed 17 --only 3,8   only these of its moves
    python -m tests.simulation --seeds 0-999          many, and the first that fails, made as short as can be

A run of the simulation makes trouble for some hundred moves (messages new, repeated and forged; tickets lost, doubled and reordered;
calls that fail in every way; engines killed, stopped, doubled, paused longer than their lease; clocks moved and apart; rules
changed under way), then calms down, lets time pass until nothing moves, and judges: by the system's ledger, by the log, by the tables.
The same seed gives the same trace. Every move has chance of its own, so that a seed that fails fails also when other moves are left out.
"""

from __future__ import annotations

import argparse
import datetime as dt
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bus.clock import moment_of, text_of
from bus.copying import rows_of
from bus.diagnostics import configure
from bus.engine.arrival import Submission
from bus.engine.intake import Accepted
from bus.errors import Conflict
from bus.message import JsonObject
from bus.store import Row
from tests.simulation import judge
from tests.simulation.system import EDITIONS, rules
from tests.simulation.world import MOST_ENGINES, SimulationError, World, own

MOVES = 110
MEMORY = Path("/dev/shm")
"""Where a store may lie when its durability is not what is examined."""
SHRINKING = 20.0
"""Seconds that may be spent on making a failing seed shorter."""
WEIGHTS = {
    "accept": 10, "repeat": 2, "deliver": 15, "turn": 30, "end_call": 25, "pass_time": 8, "step_back": 1, "step_forward": 1, "kill": 2,
    "double": 3, "stop": 1, "person": 3, "pause": 2, "go_on": 3, "change_rules": 1, "reload": 1, "at_the_deadline": 2,
}  # fmt: skip
"""The moves and how often each is made."""


@dataclass
class Simulation(World):
    """One seed's world and the moves that are made in it."""

    moves: int = MOVES
    only: Sequence[int] | None = None

    def play(self) -> None:
        """Trouble, then calm, then judgement. Raises `SimulationError`."""
        script = self.script()
        try:
            for place in range(len(script)) if self.only is None else self.only:
                move, chance = script[place]
                self.dice = random.Random(chance)
                self.move(move)
            self.dice = random.Random(self.seed + 1)
            self.calm()
            self.judge()
        finally:
            self.close()

    def script(self) -> list[tuple[str, int]]:
        """The moves of this seed, each with its own chance."""
        dice = random.Random(self.seed)
        names = dice.choices(list(WEIGHTS), list(WEIGHTS.values()), k=self.moves)
        return [(name, dice.getrandbits(48)) for name in names]

    def move(self, name: str) -> None:
        """Make one move."""
        getattr(self, name)()

    def judge(self) -> None:
        """Everything that must hold at the end."""
        with self.store.read() as tx:
            faults = judge.faults(tx, text_of(self.clock.now()), self.system.ledger, [a for a, _ in self.accepted])
            self.note(judge.summary(tx, self.system.ledger, self.name))
        faults += self.store.write(judge.rebuilt).result()
        if faults:
            raise SimulationError("\n".join(faults))

    # -- moves -------------------------------------------------------------------------------------------------------

    def accept(self) -> None:
        """A new message: work, or something that others wait for."""
        kind = self.dice.choice(
            ("lavoro", "lavoro", "attesa", "entro", "senza", "raccolta", "fianco", "ricevuta", "ricevuta", "parte", "parte")
        )
        caso, iuv = f"c{self.dice.randrange(4)}", f"i{self.dice.randrange(4)}"
        body: JsonObject = {}
        if kind != "ricevuta":
            body["caso"] = caso
        if kind in ("attesa", "entro", "senza", "ricevuta"):
            body["iuv"] = iuv
        if kind == "entro":
            body["entro"] = text_of(self.clock.now() + dt.timedelta(minutes=self.dice.choice((-10, 5, 30, 50, 90))))
        if kind in ("ricevuta", "parte") and self.dice.random() < 0.15:
            body |= {"iuv": iuv, "caso": caso}
        body["modo"] = self.dice.choice(("", "cerca", "una", "fallisce"))
        body["voci"] = [f"v{n}" for n in range(self.dice.randrange(3))]
        self._new(kind, body)

    def _new(self, kind: str, body: JsonObject) -> None:
        number = len(self.accepted) + 1
        self._send(Submission(f"sim.{kind}", {"chi": f"m{number}", **body}, "portale", key=f"k{number}"))

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

    def at_the_deadline(self) -> None:
        """What somebody waits for comes just when he stops waiting."""
        with self.store.read() as tx:
            waits = [row for row in rows_of(tx, "waits") if row["state"] == "open" and row["deadline"] and row["name"]]
        if not waits:
            return
        row = self.dice.choice(waits)
        left = (moment_of(row["deadline"]) - self.clock.now()).total_seconds() + self.dice.choice((-0.001, 0.0, 0.001, 1.001))
        if left > 0:
            self._pass(left)
        acts = [lambda: self._fulfil(row), self.turn]
        self.dice.shuffle(acts)
        for act in acts:
            act()

    def _fulfil(self, wait: Row) -> None:
        """The message that a wait is for."""
        self._new(wait["type"].removeprefix("sim."), {"iuv" if wait["name"] == "iuv" else "caso": wait["value"]})

    def step_back(self) -> None:
        """The clock is corrected by some seconds."""
        seconds = self.dice.choice((0.5, 3, 40, 7200))
        self.clock.move(dt.timedelta(seconds=-seconds))
        self.note(f"clock back {seconds}")

    def step_forward(self) -> None:
        """The clock is corrected the other way. A person who judges by the clock that a lane is at rest must not be deceived."""
        with self.store.read() as tx:
            if any(row["state"] == "dead" for lane in tx.all("all_lanes") if (row := tx.one("run", id=lane["run"])) is not None):
                return
        seconds = self.dice.choice((3, 40, 4000))
        self.clock.move(dt.timedelta(seconds=seconds))
        self.note(f"clock forward {seconds}")

    def kill(self) -> None:
        """An engine dies."""
        if awake := self.awake():
            self._kill(self.dice.choice(awake))

    def double(self) -> None:
        """One more engine on the same store."""
        if len(self.processes) < MOST_ENGINES:
            self._start_engine()
            self.note("one more engine")

    def pause(self) -> None:
        """An engine stands still between two turns; its calls go on."""
        if awake := self.awake():
            process = self.dice.choice(awake)
            process.paused = True
            self.note(f"pause {process.name}")

    def go_on(self) -> None:
        """One that stood still goes on."""
        paused = [process for process in self.processes if process.paused]
        if paused:
            process = self.dice.choice(paused)
            process.paused = False
            self.note(f"{process.name} goes on")

    def stop(self) -> None:
        """An engine stops gracefully."""
        if not (awake := self.awake()):
            return
        process = self.dice.choice(awake)
        self.note(f"stop {process.name}")
        self._stop(process)
        if process in self.processes:
            self.processes.remove(process)
        if not self.processes:
            self._start_engine()

    def change_rules(self) -> None:
        """Another edition comes into force, while runs are under way."""
        self.activate(self.dice.choice([edition for edition in EDITIONS if edition != self.edition]))
        self.note(f"edition {self.edition}")

    def reload(self) -> None:
        """An engine takes the rules of the day."""
        if awake := self.awake():
            process = self.dice.choice(awake)
            process.catalog = own(rules(self.edition))
            self.note(f"{process.name} takes edition {self.edition}")

    def person(self) -> None:
        """Somebody looks at a dead letter."""
        with self.store.read() as tx:
            found = sorted(row["id"] for row in tx.all("runs_by_state", state="dead", route=None, most=1000))
        if found:
            self._treat(self.dice.choice(found))


def simulate(seed: int, moves: int = MOVES, only: Sequence[int] | None = None) -> list[str]:
    """Play one seed; returns its trace. Raises `SimulationError` with the trace and how to see it again."""
    with tempfile.TemporaryDirectory(prefix="snodo-simulation-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        world = Simulation(seed, Path(folder), moves=moves, only=only)
        try:
            world.play()
        except Exception as error:
            trace = "\n".join(world.trace)
            which = f" --moves {moves}" * (moves != MOVES) + (f" --only {','.join(map(str, only))}" if only is not None else "")
            raise SimulationError(f"{trace}\n{error!r}\nagain: python -m tests.simulation --seed {seed}{which}") from error
        return world.trace


def check(seed: int, moves: int = MOVES) -> None:
    """Play one seed; when it fails, raise the failure of as few of its moves as were found to fail."""
    try:
        simulate(seed, moves)
    except SimulationError as error:
        raise shrunk(seed, moves, error) from None


def shrunk(seed: int, moves: int, error: SimulationError) -> SimulationError:
    """Leave out moves, many at a time and then one by one, as long as it fails and there is time."""
    kept, size, until = list(range(moves)), moves // 2, time.monotonic() + SHRINKING
    while size >= 1 and time.monotonic() < until:
        start, before = 0, len(kept)
        while start < len(kept) and time.monotonic() < until:
            fewer = kept[:start] + kept[start + size :]
            try:
                simulate(seed, moves, fewer)
                start += size
            except SimulationError as shorter:
                kept, error = fewer, shorter
        if size > 1 or len(kept) == before:
            size //= 2
    return error


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when all seeds keep the promises."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seed", type=int, help="one seed, with its trace")
    parser.add_argument("--only", help="some of its moves, by number")
    parser.add_argument("--seeds", default="0-999", help="from-to")
    parser.add_argument("--moves", type=int, default=MOVES)
    options = parser.parse_args(arguments)
    configure("critical")
    first, _, last = options.seeds.partition("-")
    try:
        if options.seed is not None:
            only = [int(one) for one in options.only.split(",") if one] if options.only is not None else None
            sys.stdout.write("\n".join(simulate(options.seed, options.moves, only)) + "\n")
            return 0
        for seed in range(int(first), int(last or first) + 1):
            check(seed, options.moves)
    except SimulationError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    sys.stdout.write(f"seeds {options.seeds}: all promises kept\n")
    return 0
