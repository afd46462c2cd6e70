"""More seeds of the simulation, in a file of their own so that both halves of a machine play."""

from __future__ import annotations

import pytest

from bus.diagnostics import configure
from tests.fault.seeds import CHUNK, SEEDS
from tests.simulation.simulation import check

MORE = range(SEEDS.stop, 1000)


@pytest.mark.parametrize("first", MORE[::CHUNK])
def test_all_promises_are_kept(first: int) -> None:
    configure("critical")
    for seed in range(first, first + CHUNK):
        check(seed)
