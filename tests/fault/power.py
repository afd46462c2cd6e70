"""Power cuts under the whole simulation: intake, engines, deadlines, people and crashes, on a disk that forgets (`tests.fault.disk`).

`record` plays a seed on such a disk. `cut` lays down what a failing current may leave at some moment of it and judges that: every
commit that was acknowledged is there, the log is what it was, no transaction is half, the tables are those of the log, and every effect
outside has its intent. `Powered` can also lose its current and go on with what is left; then the simulation's own judge has the word.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bus.engine.arrival import Submission
from bus.engine.intake import Accepted, Intake
from bus.errors import StoreError
from bus.log import log
from bus.log.keyring import Keyring
from bus.store import Tx
from bus.store.sqlite import SqliteStore
from tests.clocks import FixedClock
from tests.fault.disk import Disk, Note, Platter, put
from tests.keyrings import in_memory
from tests.simulation import judge
from tests.simulation.parts import START, SimulatedStore
from tests.simulation.simulation import MEMORY, Simulation
from tests.simulation.system import Effect, rules

T = TypeVar("T")
MOVES, FILE = 60, "snodo.db"


class Lost(AssertionError):
    """What a power cut left breaks a promise."""


KEYS = in_memory()
"""The key store lies on a disk that forgets nothing."""


class NotedStore(SimulatedStore):
    """Marks on the disk how long the log is at each commit that was acknowledged."""

    def __init__(self, path: Path, disk: Disk) -> None:
        super().__init__(path, disk.open, KEYS)
        self._disk = disk

    def write(self, work: Callable[[Tx], T], *, here: bool = False) -> Future[T]:
        done = super().write(work, here=here)
        if done.exception() is None:
            self._disk.mark("committed", _length(self._writer))
        return done


def _length(tx: Tx) -> int:
    row = tx.one("count_everything")
    return int(row["records"] or 0) if row else 0


class NotedLedger(list[Effect]):
    """The system's ledger; marks each effect on the disk."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self._disk = disk

    def append(self, effect: Effect) -> None:
        super().append(effect)
        self._disk.mark("effect", effect.key)


@dataclass
class Powered(Simulation):
    """A simulation whose store lies on a disk that takes notes."""

    disk: Disk = field(default_factory=Disk)

    def open_store(self) -> None:
        if not isinstance(self.system.ledger, NotedLedger):
            self.system.ledger = NotedLedger(self.disk)
        self.store = NotedStore(self.folder / FILE, self.disk)
        self.intake = Intake(self.store, lambda: rules(self.edition), self.clock, self._ring)
        self.activate(self.edition)

    def _send(self, submission: Submission) -> Accepted:
        accepted = super()._send(submission)
        self.disk.mark("accepted", accepted.id)
        return accepted


class Dark(BaseException):
    """There is no current; whoever works is no more."""


@dataclass
class Blackouts(Simulation):
    """A simulation that loses its current in the middle of writes and syncs, and goes on with what is left. Each life has its own folder."""

    uses: int = 0
    cuts: int = 0
    unsure: Submission | None = None

    def __post_init__(self) -> None:
        self.until = random.Random(self.seed).randrange(1, 600)
        self.trouble = False
        self._begin({})
        super().__post_init__()

    def _begin(self, files: Mapping[str, bytes]) -> None:
        """A folder with these files on a disk of its own."""
        life = self.cuts
        put(files, self.folder / str(life))
        self.disk = Disk(lambda kind, name: self._use(life))

    def _use(self, life: int) -> None:
        self.uses += 1
        if life == self.cuts and self.trouble and self.uses >= self.until:  # a former life that is put away harms nobody
            raise Dark

    def open_store(self) -> None:
        self.store = SimulatedStore(self.folder / str(self.cuts) / FILE, self.disk.open, KEYS)
        self.intake = Intake(self.store, lambda: rules(self.edition), self.clock, self._ring)
        self.activate(self.edition)

    def move(self, name: str) -> None:
        try:
            super().move(name)
        except Dark:
            while not self._come_back():
                pass

    def _send(self, submission: Submission) -> Accepted:
        self.unsure = submission
        accepted = super()._send(submission)
        self.unsure = None
        return accepted

    def _come_back(self) -> bool:
        """The current is back: the bus starts on what the disk kept, and who got no answer sends again. False: it fails again meanwhile."""
        left = self._what_is_left()
        self.cuts += 1
        for process in self.processes:
            process.outside.close()
        self.store.close()
        self.until = self.uses + self.dice.randrange(1, 600)
        self.note(f"the current fails, cut {self.cuts}")
        self._begin(left)
        self.tickets, self.processes = [], []
        try:
            self.open_store()
            self._start_engine()
            self.store.write(lambda tx: tx.do("release_all"))
            if self.unsure is not None:
                self._ask_again(self.unsure)
        except Dark:
            return False
        return True

    def _ask_again(self, submission: Submission) -> None:
        accepted = self._send(submission)
        if accepted.repeated:
            self.accepted.append((accepted, submission))

    def _what_is_left(self) -> dict[str, bytes]:
        platter = Platter()
        for note in self.disk.notes:
            platter.play(note)
        return platter.cut(self.dice)


@dataclass(frozen=True)
class Recording:
    """What happened on a disk, and the log as it was in the end: number and id of each record."""

    seed: int
    notes: list[Note]
    log: list[tuple[int, str]]


def record(seed: int, moves: int = MOVES) -> Recording:
    """Play one simulation to its end on a disk that takes notes."""
    with folder() as path:
        world = Powered(seed, path, moves=moves)
        world.play()
        return Recording(seed, world.disk.notes, _log(path / FILE))


def record_writer() -> Recording:
    """The group-commit writer and its threads at work for senders who do not wait for each other."""
    with folder() as path:
        disk, clock = Disk(), FixedClock(START)
        with closing(SqliteStore(path / FILE, opened=disk.open)) as store:
            store.keys = KEYS
            intake = Intake(store, rules, clock, lambda runs: None)
            coming = [intake.send(Submission("sim.avviso", {"chi": f"m{n}"}, "portale", key=f"k{n}")) for n in range(150)]
            for one in coming:
                one.add_done_callback(lambda done: disk.mark("accepted", done.result().id))
            wait(coming)
        return Recording(0, disk.notes, _log(path / FILE))


def _log(path: Path) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT seq, id FROM records ORDER BY seq").fetchall()


def moments(recording: Recording, cuts: int, dice: random.Random) -> list[int]:
    """When the current fails, as numbers of notes: anywhere, and as often right around what is not a plain write."""
    notes = recording.notes
    special = [n + d for n, note in enumerate(notes) if note.kind not in ("write", "effect") for d in (0, 1)]
    return sorted(dice.choice(special) if dice.random() < 0.5 else dice.randrange(len(notes) + 1) for _ in range(cuts))


def cut(recording: Recording, cuts: int, *, honest: bool = True) -> None:
    """Let the current fail so many times; raises `Lost`. ``honest`` false: the disk says it synced, and did not."""
    dice = random.Random(recording.seed)
    platter, played = Platter(honest), 0
    for moment in moments(recording, cuts, dice):
        for note in recording.notes[played:moment]:
            platter.play(note)
        played = max(played, moment)
        with folder() as path:
            put(platter.cut(dice), path)
            try:
                faults = _faults(path / FILE, recording, moment)
            except (sqlite3.DatabaseError, StoreError) as error:
                faults = [repr(error)]
        if faults:
            raise Lost(f"seed {recording.seed}, the current fails before note {moment}: {faults}")


def _faults(path: Path, recording: Recording, moment: int) -> list[str]:
    before = recording.notes[:moment]
    promised = max((note.value for note in before if note.kind == "committed"), default=0)
    under_way = next((note.value for note in recording.notes[moment:] if note.kind == "committed"), promised)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        sound = connection.execute("PRAGMA integrity_check").fetchall()
        made = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'records'").fetchone()[0]
        found = connection.execute("SELECT seq, id FROM records ORDER BY seq").fetchall() if made else []
    faults = [] if sound == [("ok",)] else [f"integrity_check: {sound[:3]}"]
    if promised and len(found) not in (promised, under_way):
        faults.append(f"{len(found)} records are there, {promised} were acknowledged, {under_way} under way")
    if found != recording.log[: len(found)]:
        faults.append("the log is not what it was")
    return faults + (_inside(path, before) if made and not faults else [])


def _inside(path: Path, before: list[Note], keys: Keyring = KEYS) -> list[str]:
    """What the bus itself finds when it starts on this file."""
    with closing(SimulatedStore(path, keys=keys)) as store:
        with store.read() as tx:
            records = [entry for _, entry in log.everything(tx)]
            faults = list(judge.log_faults(tx, records))
            lost = [n.value for n in before if n.kind == "accepted" and tx.one("message", id=n.value) is None]
        intents = {entry.data["key"] for entry in records if entry.kind == "asked"}
        faults += [f"message {message} was accepted and is lost" for message in lost]
        faults += [f"the effect {n.value} has no intent" for n in before if n.kind == "effect" and n.value not in intents]
        return faults + store.write(judge.rebuilt).result()


def faults_inside(path: Path, accepted: Sequence[str], keys: Keyring = KEYS) -> list[str]:
    """What is wrong with a store that nobody works on, of which these messages were accepted."""
    with closing(sqlite3.connect(path)) as connection:
        sound = connection.execute("PRAGMA integrity_check").fetchall()
    faults = [] if sound == [("ok",)] else [f"integrity_check: {sound[:3]}"]
    return faults + _inside(path, [Note("accepted", value=identity) for identity in accepted], keys)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="snodo-power-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)
