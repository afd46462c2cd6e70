"""Alembic's folder: one file for each revision in ``versions``. Each runs the scripts of `bus.store.schema`, as a new database does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from bus.store import schema


def scripts(number: int) -> tuple[str, str | None, Callable[[], None], Callable[[], None]]:
    """What alembic wants to know of a revision: its name, that of the one before, how to come to it and how to go back.

    There is nothing before the first, which has no script for the way back.
    """
    before = f"{number - 1:04}" if number > 1 else None
    return f"{number:04}", before, partial(_run, number, "up"), partial(_run, number, "down")


def _run(revision: int, way: Literal["up", "down"]) -> None:
    """Run one script on the connection that alembic has."""
    from alembic import op

    raw = op.get_bind().connection.driver_connection
    assert raw is not None
    if isinstance(raw, sqlite3.Connection):
        for statement in _statements(schema.script("sqlite", revision, way)):
            raw.execute(statement)
    else:
        raw.execute(schema.script("postgres", revision, way).encode(), prepare=False)


def _statements(script: str) -> Iterator[str]:
    """A script's statements: SQLite's own way to run several ends the transaction first."""
    said = ""
    for line in script.splitlines(keepends=True):
        said += line
        if sqlite3.complete_statement(said):
            yield said
            said = ""
