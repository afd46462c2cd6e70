"""What the tests of the fail points share: the cases, taken from the list of `bus.failpoint`, and how one is played."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass

from bus.failpoint import POINTS
from tests.fault.house import House, Shape
from tests.fault.judge import Verdict, judge
from tests.fault.portal import Portal
from tests.fault.rules import one_of_each

WHO = {"intake": ("web",), "commit": ("web", "worker"), "dispatch": ("web", "worker")}
"""The processes that reach a fail point, by its first word; the rest is the worker's. In the embedded shape one process does all."""
ONLY_WORKER = "dispatch.after-take"
LATER = {"commit.before": 6, "commit.after": 6, "settle.before-commit": 4, "settle.after-commit": 4, "answer.before-record": 3}
"""Places that are passed often are tried once more, further along the walk."""
REACHED_WITHIN = 150.0
PROMPT = {"adapters": {name: {"settle": 1.0} for name in ("alfa", "beta")}}
"""Nothing is late here: what the systems still do, they do at once."""


@dataclass(frozen=True, slots=True)
class Case:
    """Kill ``role`` at the ``at``-th reach of ``point``."""

    point: str
    at: int
    role: str

    def __str__(self) -> str:
        return f"{self.point}:{self.at}@{self.role}"


def cases(shape: Shape) -> list[Case]:
    """Every fail point, in every process that reaches it."""
    found = []
    for point in POINTS:
        roles = (
            ("serve",) if shape == "embedded" else ("worker",) if point == ONLY_WORKER else WHO.get(point.partition(".")[0], ("worker",))
        )
        found += [Case(point, at, role) for role in roles for at in sorted({1, LATER.get(point, 1)})]
    return found


def play(house: House, portal: Portal, case: Case) -> tuple[Verdict, float]:
    """Die there, start again, drain, judge. Returns the verdict and the seconds from the death to the end of all work."""
    victim = house.members[case.role]
    victim.kill()
    victim.start(f"{case.point}:{case.at}")
    for member in house.members.values():
        if member is not victim and not member.alive:
            member.start()
    sender = threading.Thread(target=portal.send_all, args=(one_of_each(str(case)),))
    sender.start()
    code = victim.wait(REACHED_WITHIN)
    died = time.monotonic()
    assert code == -signal.SIGKILL, f"{case} ended with {code}"
    victim.start()
    sender.join(150)
    assert not sender.is_alive()
    house.drained()
    recovered = time.monotonic() - died
    house.kill()
    with house.store() as store:
        return judge(store, portal.promises(), {name: system.ledger() for name, system in house.systems.items()}), recovered
