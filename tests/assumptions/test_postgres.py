"""What we believe of PostgreSQL and psycopg (docs/decisions/postgresql.md), pinned: when one fails, our reason for something is gone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

Session = psycopg.Connection


@pytest.fixture
def session(postgresql_url: str) -> Iterator[Session]:
    with psycopg.connect(postgresql_url, autocommit=True) as opened:
        opened.prepare_threshold = 0
        yield opened


def prepared(session: Session) -> int:
    """Statements that the server holds, but for this one."""
    return session.execute("SELECT count(*) FROM pg_prepared_statements", prepare=False).fetchone()[0]


# -- prepared statements in a pipeline -------------------------------------------------------------------------------


def test_a_rollback_that_is_executed_in_a_pipeline_makes_psycopg_forget_too_late(session: Session) -> None:
    """So the writing session calls ``rollback()``. A psycopg that does better would let us do without."""
    with session.pipeline() as pipeline:
        session.execute("BEGIN")
        session.execute("ROLLBACK")
        pipeline.sync()
        session.execute("SELECT 'next'")
        pipeline.sync()
        with pytest.raises(errors.InvalidSqlStatementName, match="does not exist"):
            session.execute("SELECT 'next'").fetchone()


def test_its_own_rollback_forgets_at_once(session: Session) -> None:
    with session.pipeline() as pipeline:
        for _ in range(3):
            session.execute("BEGIN")
            with contextlib.suppress(errors.DivisionByZero):
                session.execute("SELECT 1/0").fetchone()
            session.rollback()
            for _ in range(2):
                assert session.execute("SELECT 'next'").fetchone() == ("next",)
            pipeline.sync()
    assert prepared(session) == 1


def test_a_statement_that_stood_behind_an_error_is_prepared_again(session: Session) -> None:
    with session.pipeline() as pipeline:
        session.execute("SELECT 'before'")
        with pytest.raises(errors.DivisionByZero):
            session.execute("SELECT 1/0").fetchone()
        with contextlib.suppress(psycopg.Error):
            session.execute("SELECT 'behind'")
            pipeline.sync()
        for text in ("before", "behind"):
            assert session.execute(f"SELECT '{text}'").fetchone() == (text,)


def test_what_is_evicted_is_evicted_before_its_name_is_used_again(session: Session) -> None:
    session.prepared_max = 2
    with session.pipeline() as pipeline:
        for _ in range(3):
            for number in range(5):
                assert session.execute(f"SELECT {number}").fetchone() == (number,)
        pipeline.sync()
    assert prepared(session) <= 3
