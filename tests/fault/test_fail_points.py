"""kill -9 at every fail point, of one process and of several; the books are judged after each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fault.fail_points import PROMPT, Case, cases, play
from tests.fault.house import ROLES, House, Shape, opened
from tests.fault.judge import FLAGGED_WITHIN
from tests.fault.portal import Portal

EVERY = [(shape, case) for shape in ROLES for case in cases(shape)]


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Portal]]:
    """A house of a shape; one for all cases of it."""
    shape: Shape = request.param
    with opened(tmp_path_factory.mktemp(shape), shape, PROMPT) as made:
        yield made


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("stage", "case"), EVERY, indirect=["stage"], ids=str)
def test_nothing_is_lost_nor_doubled_when_a_process_dies_there(stage: tuple[House, Portal], case: Case) -> None:
    verdict, _ = play(*stage, case)
    assert verdict.faults == [], "\n".join(verdict.faults)
    assert max(verdict.waits, default=0) <= FLAGGED_WITHIN
