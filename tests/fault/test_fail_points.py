"""kill -9 at every fail point, of one process and of several; the books are judged after each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fault.fail_points import PROMPT, Case, cases, play
from tests.fault.house import House, opened
from tests.fault.judge import FLAGGED_WITHIN
from tests.fault.portal import Portal

Stage = tuple[House, Portal]


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """`bus serve` on SQLite and memory://."""
    with opened(tmp_path_factory.mktemp("embedded"), "embedded", PROMPT) as made:
        yield made


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """`bus web` and `bus worker` on PostgreSQL and RabbitMQ."""
    with opened(tmp_path_factory.mktemp("production"), "production", PROMPT) as made:
        yield made


def judged(stage: Stage, case: Case) -> None:
    verdict, _ = play(*stage, case)
    assert verdict.faults == [], "\n".join(verdict.faults)
    assert max(verdict.waits, default=0) <= FLAGGED_WITHIN


@pytest.mark.timeout(400)
@pytest.mark.parametrize("case", cases("embedded"), ids=str)
def test_nothing_is_lost_nor_doubled_when_the_bus_dies_there(one_process: Stage, case: Case) -> None:
    judged(one_process, case)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("case", cases("production"), ids=str)
def test_nothing_is_lost_nor_doubled_when_one_of_several_processes_dies_there(several: Stage, case: Case) -> None:
    judged(several, case)
