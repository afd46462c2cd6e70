"""A bus in one process that is stopped (SIGSTOP) for longer than its lease and goes on; and a second one that wants the same store."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.house import House, Member, opened
from tests.fault.paused import LONGER, TIMES, settle, stop_in_the_midst
from tests.fault.portal import Portal


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[tuple[House, Portal]]:
    with opened(tmp_path / "house", "embedded", {"adapters": {"alfa": TIMES, "beta": TIMES}}) as (house, portal):
        house.start()
        yield house, portal


@pytest.mark.timeout(400)
def test_a_bus_that_slept_longer_than_its_lease_does_nothing_twice(stage: tuple[House, Portal]) -> None:
    house, portal = stage
    serve = house.members["serve"]
    sending = stop_in_the_midst(house, portal, serve, "sonno")
    time.sleep(LONGER)
    serve.signal(signal.SIGCONT)
    sending.join()
    verdict = settle(house, portal)
    assert verdict.faults == [], "\n".join(verdict.faults)


@pytest.mark.timeout(400)
def test_a_second_bus_on_the_same_store_is_refused_and_the_first_works_on(stage: tuple[House, Portal]) -> None:
    house, portal = stage
    second = Member("serve", house.config_path, house.folder / "second.log", loaded=True)
    assert not second.try_start()
    assert second.wait(60) != 0
    assert "store.taken" in second.log.read_text()
    sending = stop_in_the_midst(house, portal, house.members["serve"], "primo")
    assert not second.try_start(), "also while the first one sleeps"
    assert second.wait(60) != 0
    house.members["serve"].signal(signal.SIGCONT)
    sending.join()
    verdict = settle(house, portal)
    assert verdict.faults == [], "\n".join(verdict.faults)
