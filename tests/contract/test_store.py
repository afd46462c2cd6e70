"""Both stores keep the contract of stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.store import Store
from bus.store.postgres import PostgresStore
from bus.store.sqlite import SqliteStore
from bus.testing.store_contract import StoreContract


class TestSqlite(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        opened = SqliteStore(tmp_path / "s.db")
        yield opened
        opened.close()


class TestPostgres(StoreContract):
    @pytest.fixture
    def store(self, postgresql_url: str) -> Iterator[Store]:
        opened = PostgresStore(postgresql_url)
        yield opened
        opened.close()
