"""Alembic's folder: one file for each revision in ``versions``. Each runs the script of `bus.store.schema`, as a new database does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Literal

from bus.store import schema


def run(revision: int, way: Literal["up", "down"]) -> None:
    """Run one script on the connection that alembic has."""
    from alembic import op

    raw = op.get_bind().connection.driver_connection
    assert raw is not None
    if isinstance(raw, sqlite3.Connection):
        for statement in statements(schema.script("sqlite", revision, way)):
            raw.execute(statement)
    else:
        raw.execute(schema.script("postgres", revision, way).encode(), prepare=False)


def statements(script: str) -> Iterator[str]:
    """A script's statements: SQLite's own way to run several ends the transaction first."""
    said = ""
    for line in script.splitlines(keepends=True):
        said += line
        if sqlite3.complete_statement(said):
            yield said
            said = ""
