"""kill -9 of any process at any moment while a thousand messages come: doors, two workers, their systems, PostgreSQL and RabbitMQ."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from tests.fault.chaos import Weather, plan, storm
from tests.fault.house import opened
from tests.fault.judge import FLAGGED_WITHIN

SEED, MESSAGES, KILLS, STOPS = 20261125, 1000, 50, 4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_nor_doubled_whatever_is_killed(tmp_path: Path) -> None:
    with opened(tmp_path / "house", "production", workers=2) as (house, portal):
        outcome = storm(house, portal, SEED, plan(SEED, "production", KILLS, STOPS, every=1.4), MESSAGES, Weather(0.03, (0.5, 1.5)))
    assert outcome.verdict.faults == [], f"seed {SEED}\n" + "\n".join(outcome.verdict.faults[:5])
    assert median(outcome.verdict.waits or [0]) <= FLAGGED_WITHIN, outcome.verdict.waits
    assert (outcome.verdict.messages >= MESSAGES, outcome.kills.total()) == (True, KILLS)
    assert outcome.parked <= MESSAGES / 50, "a suspect is claimed alone, so that few are taken for poison"
    assert [one for one in outcome.fell if "could not start" not in one] == [], "who loses the database or the broker waits for it"
