"""The tables of a new database of SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from bus.store import schema


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        yield made


def parts(raw: sqlite3.Connection) -> tuple[list[Any], list[Any]]:
    return (
        raw.execute("PRAGMA user_version").fetchall(),
        raw.execute("SELECT name, type, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall(),
    )


def test_what_is_made_in_one_go_is_what_all_revisions_make_one_after_the_other(raw: sqlite3.Connection) -> None:
    schema.prepare_sqlite(raw)
    with closing(sqlite3.connect(":memory:")) as stepwise:
        for revision in range(1, schema.REVISION + 1):
            stepwise.executescript(schema.script("sqlite", revision))
        assert parts(stepwise) == parts(raw)
    filled = [
        table
        for (table,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if raw.execute(f"SELECT 1 FROM {table}").fetchone()
    ]
    assert filled == []


def test_nothing_is_made_where_a_part_cannot_be(raw: sqlite3.Connection) -> None:
    raw.execute("CREATE TABLE waits (id)")
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        schema.prepare_sqlite(raw)
    raw.rollback()
    assert ([(0,)], [("waits", "table", "waits", "CREATE TABLE waits (id)")]) == parts(raw)
