"""What the tests of the engine share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.diagnostics import configure
from bus.store.sqlite import SqliteStore
from tests.keyrings import in_memory
from tests.simulation.simulation import Simulation


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty SQLite database with keys of its own."""
    made = SqliteStore(tmp_path / "s.db")
    made.keys = in_memory()
    yield made
    made.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Simulation]:
    """A simulated bus at which nothing goes wrong by itself."""
    configure("critical")
    made = Simulation(1, tmp_path)
    made.trouble = False
    yield made
    for process in made.processes:
        process.outside.close()
    made.store.close()
