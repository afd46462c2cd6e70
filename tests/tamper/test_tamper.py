"""Whatever is done to the database, `bus.log.verify` finds it and names the leaf; a log that nobody touched is never suspected."""

from __future__ import annotations

import pytest

from tests.tamper.kinds import KINDS
from tests.tamper.suite import clean, logs, storm

CLEAN, TAMPERINGS = 200, 2_000


pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return logs(tmp_path_factory.mktemp("logs"), CLEAN, "make test")


def test_two_thousand_tamperings_of_all_kinds_are_found_and_the_right_leaf_is_named(small):
    done, complaints = storm(small, TAMPERINGS, "make test")
    assert complaints == []
    assert (set(done), sum(done.values())) == (set(KINDS), TAMPERINGS)
    assert len(KINDS) >= 14
    assert min(done.values()) >= TAMPERINGS // len(KINDS)


def test_two_hundred_logs_that_nobody_touched_are_not_suspected(small):
    assert [said for one in small if (said := clean(one))] == []
