"""Seeds of the deterministic simulation. One that fails says its trace and how to play it again."""

from __future__ import annotations

import pytest

from bus.diagnostics import configure
from bus.testing.simulation import simulate

SEEDS, CHUNK = 300, 20


@pytest.fixture(autouse=True)
def _quiet() -> None:
    configure("critical")


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_all_promises_are_kept(first: int) -> None:
    for seed in range(first, first + CHUNK):
        simulate(seed)


@pytest.mark.parametrize("seed", [3, 17, 154])
def test_the_same_seed_gives_the_same_trace(seed: int) -> None:
    assert simulate(seed) == simulate(seed)
