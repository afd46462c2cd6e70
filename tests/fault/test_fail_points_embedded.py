"""kill -9 at every fail point of a bus in one process, on SQLite and memory://; the books are judged after each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fault.fail_points import PROMPT, Case, cases, play
from tests.fault.house import House, opened
from tests.fault.judge import FLAGGED_WITHIN
from tests.fault.portal import Portal


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Portal]]:
    with opened(tmp_path_factory.mktemp("embedded"), "embedded", PROMPT) as made:
        yield made


@pytest.mark.timeout(400)
@pytest.mark.parametrize("case", cases("embedded"), ids=str)
def test_nothing_is_lost_nor_doubled_when_the_bus_dies_there(stage: tuple[House, Portal], case: Case) -> None:
    verdict, _ = play(*stage, case)
    assert verdict.faults == [], "\n".join(verdict.faults)
    assert max(verdict.waits, default=0) <= FLAGGED_WITHIN
