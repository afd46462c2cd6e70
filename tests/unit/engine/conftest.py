"""What the tests of the engine share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.log.keyring import Keyring
from bus.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty SQLite database with keys of its own."""
    made = SqliteStore(tmp_path / "s.db")
    made.keys = Keyring.in_memory()
    yield made
    made.close()
