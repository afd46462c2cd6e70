"""The broker killed, wiped, paused, its tickets lost, doubled, mixed and late, while work is open: every run is done once.

Real processes, judged by the systems' ledgers, the portal's own book of 202s, and the log.
"""

from __future__ import annotations

from pathlib import Path

from tests.fault.broker import Meddler, jobs, judged, send
from tests.fault.house import House
from tests.servers import RabbitMQ

SEED = 20261125


def embedded(folder: Path, url: str) -> House:
    """One process on SQLite that hears of its own work through RabbitMQ."""
    return House(folder / "house", "embedded", {"channel": {"url": url}}, loaded=True)


def test_a_broker_that_dies_forgets_falls_silent_and_goes_for_good_costs_no_run(rabbitmq: RabbitMQ, tmp_path: Path) -> None:
    with embedded(tmp_path, rabbitmq.url) as house:
        house.start()
        portal = send(house, tmp_path / "1.jsonl", jobs(200, "prima"))
        for n, blow in enumerate([rabbitmq.restart, rabbitmq.wipe, rabbitmq.pause]):
            blow()
            portal.send_all(jobs(100, f"colpo{n}"))
        rabbitmq.resume()
        rabbitmq.kill()  # the bus ends its work without a broker
        portal.send_all(jobs(100, "senza"))
        house.drained()
        verdict = judged(house, portal)
    portal.close()
    assert (verdict.faults, verdict.messages) == ([], 600)


def test_tickets_doubled_mixed_late_and_lost_cost_no_run_and_double_none(rabbitmq_url: str, tmp_path: Path) -> None:
    with embedded(tmp_path, rabbitmq_url) as house, Meddler(rabbitmq_url, SEED) as meddler:
        house.start()
        portal = send(house, tmp_path / "1.jsonl", jobs(1000, "lavoro"))
        house.drained()
        verdict = judged(house, portal)
    portal.close()
    assert (verdict.faults, verdict.messages) == ([], 1000)
    assert meddler.taken > 20
