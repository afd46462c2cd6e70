"""kill -9 at every fail point of a bus in one process, on SQLite and memory://; the books are judged after each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fault.fail_points import PROMPT, Case, cases, play
from tests.fault.house import House
from tests.fault.portal import Portal


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("embedded"), "embedded", PROMPT) as opened:
        yield opened


@pytest.fixture(scope="module")
def portal(house: House) -> Iterator[Portal]:
    made = Portal(house.url, house.folder / "portal.jsonl")
    yield made
    made.close()


@pytest.mark.parametrize("case", cases("embedded"), ids=str)
def test_nothing_is_lost_nor_doubled_when_the_bus_dies_there(house: House, portal: Portal, case: Case) -> None:
    verdict, _ = play(house, portal, case)
    assert verdict.faults == [], "\n".join(verdict.faults)
