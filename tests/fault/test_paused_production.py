"""A worker that is stopped (SIGSTOP) for longer than its lease: the other does its work meanwhile, and what it wakes up with is void.

And a database that is stopped so: it keeps its lines and says nothing.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from bus.web.serve import GRACE
from bus.worker import LEAVING
from tests.fault.house import opened
from tests.fault.paused import LONGER, TIMES, settle, stop_in_the_midst
from tests.fault.rules import one_of_each


@pytest.mark.timeout(400)
def test_a_worker_that_slept_longer_than_its_lease_does_nothing_twice(tmp_path: Path) -> None:
    with opened(tmp_path / "house", "production", {"adapters": {"alfa": TIMES, "beta": TIMES}}, workers=2) as (house, portal):
        house.start()
        for turn, name in enumerate(("worker", "worker1", "worker")):
            sleeper = house.members[name]
            sending = stop_in_the_midst(house, portal, sleeper, f"sonno{turn}")
            slept = time.monotonic()
            sending.join()
            house.drained()
            time.sleep(max(0.0, LONGER - (time.monotonic() - slept)))
            sleeper.signal(signal.SIGCONT)
        verdict = settle(house, portal)
    assert verdict.faults == [], "\n".join(verdict.faults)


@pytest.mark.timeout(400)
def test_the_work_of_a_dead_worker_is_done_by_the_other_long_before_its_lease_ends(tmp_path: Path) -> None:
    long = {"adapters": {"alfa": TIMES, "beta": TIMES}, "engine": {"lease": 3600}}
    with opened(tmp_path / "house", "production", long, workers=2) as (house, portal):
        house.start()
        sending = stop_in_the_midst(house, portal, house.members["worker"], "morto")
        house.members["worker"].kill()
        sending.join()
        verdict = settle(house, portal)
    assert verdict.faults == [], "\n".join(verdict.faults)


@pytest.mark.timeout(400)
def test_processes_that_are_told_to_stop_while_their_database_hangs_end_in_time_and_lose_nothing(tmp_path: Path) -> None:
    brief = {"engine": {"stop": 1}, "adapters": {"alfa": TIMES, "beta": TIMES}}
    with opened(tmp_path / "house", "production", brief) as (house, portal):
        house.start()
        portal.send_all(one_of_each("fermo"))
        house.services["postgresql"].pause()
        try:
            for member in house.members.values():
                member.signal(signal.SIGTERM)
            for name, within in (("worker", 1 + LEAVING), ("web", GRACE + LEAVING)):
                house.members[name].wait(within + 30)  # it would wait for the database, which does not come back
        finally:
            house.services["postgresql"].resume()
        house.start()
        verdict = settle(house, portal)
    assert verdict.faults == [], "\n".join(verdict.faults)
