"""The tests of the tests: thirteen defects, one by one, and for each the cheapest detector of the suite, which must notice it. Without a
defect no detector says anything. The table is printed: ``pytest -rP tests/fault/test_defects.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import pytest

from bus.diagnostics import configure
from tests import servers
from tests.fault import defects, detectors
from tests.fault.detectors import Detector

ENOUGH = 2
"""Tries without a defect: `tests.fault.test_simulation` and `tests.fault.test_power_cuts` make all of them, and many more."""
Defect = Callable[[pytest.MonkeyPatch], None]
HERE: dict[Defect, tuple[Detector, str]] = {
    defects.acknowledge_before_commit: (detectors.power_cuts_of_the_writer, "was accepted and is lost"),
    defects.no_fsync: (detectors.power_cuts, "were acknowledged|malformed|not a database"),
    defects.no_idempotency_check: (detectors.simulation, "was taken twice"),
    defects.retry_without_probe: (detectors.simulation, "registra .* happened . times"),
    defects.doubt_ended_by_a_closed_door: (detectors.simulation, "was in doubt and is told as"),
    defects.no_fencing: (detectors.simulation, "answered twice|happened . times"),
    defects.answer_and_state_in_two_transactions: (detectors.simulation, "does not know what became of"),
    defects.endless_lease: (detectors.simulation, "is stranded"),
    defects.timer_outside_the_transaction: (detectors.simulation, "differs from the log|waits for nothing"),
    defects.rules_by_name: (detectors.simulation, "under other rules"),
    defects.attempts_counted_by_the_broker: (detectors.strikes, ""),
}
"""Each with what notices it, and the words in which it is told."""
SOONER = {defects.doubt_ended_by_a_closed_door: 47, defects.no_fencing: 3, defects.answer_and_state_in_two_transactions: 126}
"""The first seed of the simulation that notices a rare one, or tells it in its own words: the search begins there, and goes on when the engine has changed."""


@pytest.fixture(autouse=True)
def _quiet() -> None:
    configure("critical")


@dataclass(frozen=True)
class Noticed:
    tries: int
    words: str


def play(detector: Iterator[None]) -> Noticed | None:
    """Try until something is noticed; None when nothing is."""
    count = 1
    try:
        for _ in detector:
            count += 1
    except AssertionError as error:
        return Noticed(count, str(error))
    return None


def judge(defect: Callable[..., None], detector: str, noticed: Noticed | None, words: str = "") -> None:
    print(f"{defect.__name__:40} {detector:28} {'not noticed' if noticed is None else f'noticed at try {noticed.tries}'}")
    assert noticed is not None
    assert re.search(words, noticed.words)


@pytest.mark.parametrize("defect", HERE, ids=lambda defect: defect.__name__)
def test_a_defect_is_noticed(defect: Defect, monkeypatch: pytest.MonkeyPatch) -> None:
    detector, words = HERE[defect]
    defect(monkeypatch)
    tries = detectors.simulation(SOONER[defect]) if defect in SOONER else detector()
    judge(defect, detector.__name__, play(tries), words)


def test_a_channel_without_confirms_is_noticed(rabbitmq: servers.RabbitMQ, monkeypatch: pytest.MonkeyPatch) -> None:
    assert play(detectors.swallowed_tickets(rabbitmq)) is None
    defects.no_confirms(monkeypatch)
    judge(defects.no_confirms, "swallowed_tickets", play(detectors.swallowed_tickets(rabbitmq)))


def test_numbers_that_are_not_in_the_order_of_commits_are_noticed(postgresql: servers.PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    sound, broken = postgresql.new_database(), postgresql.new_database()
    try:
        assert play(detectors.log_order(sound)) is None
        defects.sequence_number_as_log_order(monkeypatch)
        judge(defects.sequence_number_as_log_order, "log_order", play(detectors.log_order(broken, 60)), "a follower missed records")
    finally:
        postgresql.drop_database(sound)
        postgresql.drop_database(broken)


def test_there_are_thirteen_defects() -> None:
    assert len(HERE) + 2 == 13


@pytest.mark.parametrize("detector", dict.fromkeys(detector for detector, _ in HERE.values()), ids=lambda detector: detector.__name__)
def test_without_a_defect_nothing_is_noticed(detector: Detector) -> None:
    assert play(islice(detector(), ENOUGH)) is None
