"""Random kills: a plan made from a seed, carried out while portals send. The same seed is the same plan, messages included."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from bus.testing.simulators import RunningSimulator
from tests.fault.house import LEASE, House, Member, Shape
from tests.fault.judge import Verdict, judge
from tests.fault.portal import Portal
from tests.fault.rules import Sending, gathering, waiting

WEIGHTS: dict[Shape, dict[str, int]] = {
    "embedded": {"serve": 4, "alfa": 3, "beta": 3},
    "production": {"web": 3, "worker": 2, "worker1": 2, "alfa": 2, "beta": 2, "rabbitmq": 1, "postgresql": 1},
}
PAUSE = LEASE + 1.0
"""Seconds for which a process is stopped (SIGSTOP): longer than its lease."""
MIX = {"breve": 50, "lavoro": 12, "registro": 10, "attesa": 10, "raccolta": 5, "scadenza": 5, "fila": 3, "avviso": 5}
TWICE = 0.05
"""The part of the messages that are sent once more although they were answered."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How badly the systems behave: the part of replies that get lost, and how late effects may come (seconds)."""

    lost: float
    late: tuple[float, ...]

    def faults(self) -> list[dict[str, Any]]:
        """For one system, as `adapters.simulator` takes them."""
        late = [{"fault": "late", "operation": "POST", "seconds": seconds, "probability": 0.02} for seconds in self.late]
        return [*late, {"fault": "lose_reply", "probability": self.lost}]


@dataclass(frozen=True, slots=True)
class Blow:
    """After ``pause`` seconds, ``how`` for ``victim``."""

    pause: float
    victim: str
    how: Literal["kill", "stop"]


def plan(seed: int, shape: Shape, kills: int, stops: int, every: float) -> list[Blow]:
    """So many kills and stops, one every ``every`` seconds on average; only processes of the bus are stopped."""
    dice = random.Random(f"plan {seed} {shape}")
    weights = WEIGHTS[shape]
    ours = [name for name in weights if name.startswith(("serve", "web", "worker"))]
    hows: list[Literal["kill", "stop"]] = ["kill"] * kills + ["stop"] * stops
    dice.shuffle(hows)
    pick = {"kill": lambda: dice.choices(list(weights), list(weights.values()))[0], "stop": lambda: dice.choice(ours)}
    return [Blow(dice.uniform(0.2, 1.8) * every, pick[how](), how) for how in hows]


def messages(seed: int, sender: int, count: int) -> Iterator[Sending]:
    """What one sender sends, at least ``count`` messages; those of one case come ten in a row."""
    dice = random.Random(f"messages {seed} {sender}")
    sent = 0
    while sent < count:
        for sending in _some(dice, f"s{seed}-{sender}-{sent}", f"p{seed}-{sender}-{sent // 10}"):
            sent += 1
            yield sending
            if dice.random() < TWICE:
                yield sending


def _some(dice: random.Random, name: str, case: str) -> list[Sending]:
    kind = dice.choices(list(MIX), list(MIX.values()))[0]
    match kind:
        case "attesa":
            return dice.sample([*waiting(name)], 2)
        case "raccolta":
            return dice.sample([*gathering(name)], 3)
        case "breve":
            return [Sending(name, "prova.breve", {"chi": name, "pratica": case})]
        case "lavoro":
            return [Sending(name, "prova.lavoro", {"chi": name, "pratica": case, "voci": ["x"] * dice.randrange(2)})]
        case "registro":
            return [Sending(name, "prova.registro", {"chi": name, "pratica": name, "modo": dice.choice(["alfa", "beta"])})]
        case _:
            return [Sending(name, f"prova.{kind}", {"chi": name, "pratica": name})]


@dataclass
class Outcome:
    """What a run of chaos showed. ``down``: seconds from each kill of a process of the bus until it was ready again, by role.

    ``parked``: runs that were innocent and were taken for poison, because whoever worked on them was killed three times in a row.
    """

    verdict: Verdict
    kills: Counter[str]
    stops: int
    down: dict[str, list[float]]
    fell: list[str]
    unanswered: Counter[str]
    drained: float
    seconds: float
    parked: int


@dataclass
class _Supervisor:
    """Kills as planned, and starts again what is dead, as systemd would."""

    house: House
    portal: Portal
    weather: Weather
    kills: Counter[str] = field(default_factory=Counter)
    down: dict[str, list[float]] = field(default_factory=dict)
    fell: list[str] = field(default_factory=list)
    progress: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    def carry_out(self, blows: list[Blow]) -> None:
        """Strike blow by blow; a victim that is not up again yet is waited for. Ends when all are up."""
        locks = {name: threading.Lock() for name in WEIGHTS[self.house.shape]}
        watch = threading.Thread(target=self._watch, args=(locks,))
        watch.start()
        try:
            with ThreadPoolExecutor(len(locks)) as pool:
                struck = []
                for number, blow in enumerate(blows, 1):
                    time.sleep(blow.pause)
                    locks[blow.victim].acquire()
                    struck.append(pool.submit(self._strike, blow, locks[blow.victim]))
                    self.progress = number / len(blows)
                for one in struck:
                    one.result()
        finally:
            self.progress = 1.0
            self._over.set()
            watch.join()

    def _strike(self, blow: Blow, lock: threading.Lock) -> None:
        try:
            if blow.how == "stop":
                self._pause(self.house.members[blow.victim])
            elif blow.victim in self.house.members:
                self._kill_member(self.house.members[blow.victim])
            elif blow.victim in self.house.systems:
                self._kill_system(self.house.systems[blow.victim])
            else:
                self.house.services[blow.victim].restart()
            if blow.how == "kill":
                self.kills[blow.victim] += 1
        finally:
            lock.release()

    def _pause(self, member: Member) -> None:
        member.signal(signal.SIGSTOP)
        time.sleep(PAUSE)
        member.signal(signal.SIGCONT)

    def _kill_member(self, member: Member) -> None:
        begun = time.monotonic()
        member.kill()
        self._start(member)
        self.down.setdefault(member.role.rstrip("0123456789"), []).append(time.monotonic() - begun)
        if member.role in ("serve", "web"):
            self._let_it_promise(sum(map(len, self.down.values())))

    def _let_it_promise(self, number: int) -> None:
        """A door that is killed before it has taken a message is no trial of anything, and on a busy machine it would never take one."""
        name = f"porta-{self.house.shape}-{number}"
        self.portal.send(Sending(name, "prova.ricevuta", {"chi": name}), within=300.0)

    def _start(self, member: Member, within: float = 60.0) -> None:
        """Until it is ready: it may find the database down."""
        until = time.monotonic() + within
        while not member.try_start():
            self.fell.append(f"{member.role} could not start")
            assert time.monotonic() < until, self.house.said()
            time.sleep(0.5)

    def _kill_system(self, system: RunningSimulator) -> None:
        system.restart()
        system.faults(self.weather.faults())

    def _watch(self, locks: dict[str, threading.Lock]) -> None:
        """A process that ended by itself is started again, and remembered."""
        while not self._over.wait(0.2):
            for name, member in self.house.members.items():
                if not member.alive and locks[name].acquire(blocking=False):
                    try:
                        if not member.alive:
                            self.fell.append(f"{name} ended by itself")
                            self._start(member)
                    finally:
                        locks[name].release()


def storm(house: House, portal: Portal, seed: int, blows: list[Blow], count: int, weather: Weather, senders: int = 8) -> Outcome:
    """Send ``count`` messages while the blows fall, let everything come to rest, judge."""
    for system in house.systems.values():
        system.faults(weather.faults())
    house.start()
    begun = time.monotonic()
    supervisor = _Supervisor(house, portal, weather)
    with ThreadPoolExecutor(senders + 1) as pool:
        striking = pool.submit(supervisor.carry_out, blows)
        share = -(-count // senders)
        lists = [list(messages(seed, sender, share)) for sender in range(senders)]
        sending = [pool.submit(_send_in_step, portal, one, lambda: supervisor.progress) for one in lists]
        for one in (striking, *sending):
            one.result()
    for system in house.systems.values():
        system.clear()
    drained, parked = house.drained_and_pardoned(300.0)
    house.kill()
    with house.store() as store:
        verdict = judge(store, portal.promises(), {name: system.ledger() for name, system in house.systems.items()})
    stops = sum(blow.how == "stop" for blow in blows)
    seconds = time.monotonic() - begun
    return Outcome(verdict, supervisor.kills, stops, supervisor.down, supervisor.fell, portal.unanswered, drained, seconds, parked)


def _send_in_step(portal: Portal, sendings: list[Sending], progress: Callable[[], float]) -> None:
    """Spread over the time in which the blows fall; what is left at the end goes at once."""
    for number, sending in enumerate(sendings):
        while number / len(sendings) > progress() + 0.05:
            time.sleep(0.02)
        portal.send(sending, within=300.0)
