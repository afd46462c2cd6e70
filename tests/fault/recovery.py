"""How long it takes after kill -9: until messages are taken again, and until all work that was open at the kill is done."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.fault.house import House
from tests.fault.portal import Portal
from tests.fault.rules import Sending

OPEN = 24
"""Runs that are at work when the process is killed."""
SLOW = [{"fault": "slow", "operation": "POST", "seconds": 0.1}]


def recoveries(house: House, portal: Portal, times: int) -> dict[str, list[float]]:
    """Seconds by what was killed and what came back; every process of the bus is killed ``times`` times."""
    for system in house.systems.values():
        system.faults(SLOW)
    house.start()
    found: dict[str, list[float]] = {}
    for name, member in house.members.items():
        for turn in range(times):
            portal.send_all(_work(f"{name}-{turn}"))
            killed = time.monotonic()
            member.kill()
            member.start()
            portal.send(Sending(f"{name}-{turn}-poi", "prova.ricevuta", {"chi": f"{name}-{turn}-poi"}))
            found.setdefault(f"{name} killed: messages are taken", []).append(time.monotonic() - killed)
            house.drained()
            found.setdefault(f"{name} killed: all work is done", []).append(time.monotonic() - killed)
    house.stop()
    return found


def _work(name: str) -> Iterator[Sending]:
    """Calls that may be made again at once, so that no doubt has to settle."""
    for n in range(OPEN):
        yield Sending(f"{name}-{n}", "prova.breve", {"chi": f"{name}-{n}", "pratica": f"{name}-{n % 12}"})
