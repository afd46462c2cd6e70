"""What the tests of paused processes share: stop one in the midst of its calls for longer than everything it holds is good for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

from bus.testing.patience import until
from tests.fault.house import LEASE, House, Member
from tests.fault.judge import Verdict, judge
from tests.fault.portal import Portal
from tests.fault.rules import Sending

TIMES = {"timeout": 2.0, "settle": 1.0}
LONGER = LEASE + sum(TIMES.values()) + 1.5
"""Seconds after which whoever took the runs over has looked into every doubt and asked again."""
SLOW = [{"fault": "slow", "operation": "POST", "seconds": 0.4}]
COUNT = 60


def many(name: str) -> Iterator[Sending]:
    """More calls of every effect class than go out at once: some have left when the process stops, some are about to."""
    for n in range(COUNT):
        kind = ("registro", "avviso", "breve", "lavoro")[n % 4]
        body = {"chi": f"{name}-{n}", "pratica": f"{name}-{n // 8}-{kind}"}
        yield Sending(f"{name}-{n}", f"prova.{kind}", body)


def stop_in_the_midst(house: House, portal: Portal, member: Member, name: str) -> threading.Thread:
    """Send, and stop ``member`` when half is sent and calls are in the air. Whoever calls this lets it go on, and waits for the one who sends."""
    for system in house.systems.values():
        system.faults(SLOW)
    sending = threading.Thread(target=portal.send_all, args=(many(name),))
    before = len(portal.promises())
    sending.start()
    until(lambda: len(portal.promises()) >= before + COUNT // 2, "half is sent")
    until(lambda: all(system.status()["pending"] for system in house.systems.values()), "calls are in the air", every=0.01)
    member.signal(signal.SIGSTOP)
    return sending


def settle(house: House, portal: Portal) -> Verdict:
    """Everything comes to rest in good order, then the books are read."""
    for system in house.systems.values():
        system.clear()
    house.drained()
    house.stop()
    with house.store() as store:
        return judge(store, portal.promises(), {name: system.ledger() for name, system in house.systems.items()})
