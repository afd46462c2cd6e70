"""The broker lost while ten thousand runs are pending: doors and workers on PostgreSQL do every run once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.testing.patience import until
from tests.fault.broker import Meddler, done, jobs, judged, many_jobs, send
from tests.fault.house import House
from tests.fault.rules import TOGETHER, write_together
from tests.servers import RabbitMQ

SEED, PENDING = 20261125, 10_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_broker_killed_restarted_and_wiped_while_ten_thousand_runs_are_pending_costs_none(tmp_path: Path) -> None:
    with House(tmp_path / "house", "production", workers=2, loaded=True) as house:
        broker: RabbitMQ = house.services["rabbitmq"]
        write_together(house.folder)
        house.members["web"].start()
        portal = send(house, tmp_path / "1.jsonl", many_jobs(PENDING, "lavoro"))
        assert done(house) == 0
        broker.wipe()  # ten thousand runs are pending, and no ticket is left
        house.start()
        for n, blow in enumerate([broker.restart, broker.wipe, broker.kill], 1):
            until(lambda n=n: done(house) >= n * PENDING // 5, within=240)
            blow()
        broker.start()
        house.drained(400)
        effects = done(house)
        verdict = judged(house, portal)
    portal.close()
    assert (verdict.faults, verdict.messages, effects) == ([], PENDING // len(TOGETHER), PENDING)


@pytest.mark.timeout(600)
def test_tickets_meddled_with_between_two_workers_cost_no_run_and_double_none(tmp_path: Path) -> None:
    with House(tmp_path / "house", "production", workers=2, loaded=True) as house:
        house.start()
        with Meddler(house.services["rabbitmq"].url, SEED) as meddler:
            portal = send(house, tmp_path / "1.jsonl", jobs(1000, "lavoro"))
            house.drained()
        verdict = judged(house, portal)
    portal.close()
    assert (verdict.faults, verdict.messages) == ([], 1000)
    assert meddler.taken > 20
