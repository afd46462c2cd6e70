"""What we believe of PostgreSQL and psycopg (docs/decisions/postgresql.md), pinned: when one fails, our reason for something is gone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import errors

from bus.testing.patience import until

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


# -- transactions ----------------------------------------------------------------------------------------------------

LOCK = "SELECT pg_advisory_xact_lock(7, 7)"


def numbered(session: Session) -> str:
    """The number of the transaction at hand."""
    return session.execute("SELECT pg_current_xact_id()::text").fetchone()[0]


def fate(session: Session, number: str) -> str:
    return session.execute("SELECT pg_xact_status(%s::text::xid8)", [number]).fetchone()[0]


def test_another_session_tells_what_became_of_a_transaction(session: Session, postgresql_url: str) -> None:
    """Also of one whose session has ended without a word."""
    numbers = []
    for how in ("COMMIT", "ROLLBACK", None):
        other = psycopg.connect(postgresql_url, autocommit=True)
        other.execute("BEGIN")
        numbers.append(numbered(other))
        if how is not None:
            other.execute(how)
        else:
            assert fate(session, numbers[-1]) == "in progress"
            ended = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE backend_xid = (%s::text::xid8)::xid"
            assert session.execute(ended, [numbers[-1]]).fetchone() == (True,)
        other.close()
    assert [fate(session, number) for number in numbers] == ["committed", "aborted", "aborted"]
    with pytest.raises(errors.InvalidParameterValue, match="in the future"):
        fate(session, str(int(numbers[-1]) + 1_000_000))


def test_who_stops_behind_a_sync_is_ended_and_who_stops_before_one_is_not(session: Session, postgresql_url: str) -> None:
    """So the writing session sends a Sync behind whatever it sends, and others end one that has been silent in the midst of a pipeline."""
    alive = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
    with contextlib.ExitStack() as stack:
        pids, pipelines = [], []
        for synced in (True, False):
            other = psycopg.connect(postgresql_url, autocommit=True)
            stack.callback(other.close)
            other.execute("SET idle_in_transaction_session_timeout = '300ms'")
            pipelines.append(other.pipeline())  # leaving it would send a Flush
            entered = pipelines[-1].__enter__()
            other.execute("BEGIN")
            other.execute(LOCK if synced else "SELECT 1").fetchall()  # sends a Flush
            if synced:
                entered.sync()
            pids.append(other.info.backend_pid)
        until(lambda: session.execute(alive, [pids[:1]]).fetchone() == (0,), "the one behind a Sync is ended")
        assert session.execute(alive, [pids[1:]]).fetchone() == (1,)
        assert session.execute("SELECT wait_event FROM pg_stat_activity WHERE pid = %s", [pids[1]]).fetchone() == ("ClientRead",)


def test_who_waits_for_the_lock_sees_what_the_one_before_committed_and_numbers_are_in_that_order(
    session: Session, postgresql_url: str
) -> None:
    session.execute("CREATE TABLE t (n BIGINT GENERATED ALWAYS AS IDENTITY, name TEXT)")
    session.execute("BEGIN")
    session.execute(LOCK)
    seen: dict[str, list[str]] = {}

    def write(name: str) -> None:
        with psycopg.connect(postgresql_url, autocommit=True) as other:
            other.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            other.execute(LOCK)
            seen[name] = [row[0] for row in other.execute("SELECT name FROM t ORDER BY n")]
            other.execute("INSERT INTO t (name) VALUES (%s)", [name])
            other.execute("COMMIT")

    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7 AND NOT granted"
    with ThreadPoolExecutor(3) as threads:
        writers = []
        for number in range(3):
            writers.append(threads.submit(write, f"w{number}"))
            until(lambda wanted=number + 1: session.execute(waiting).fetchone() == (wanted,), "it waits")  # type: ignore[misc]
        session.execute("INSERT INTO t (name) VALUES ('first')")
        session.execute("COMMIT")
        for writer in writers:
            writer.result(60)
    assert seen == {"w0": ["first"], "w1": ["first", "w0"], "w2": ["first", "w0", "w1"]}, "first come, first served"


def test_a_lock_of_a_session_ends_with_it(session: Session, postgresql_url: str) -> None:
    other = psycopg.connect(postgresql_url, autocommit=True)
    other.execute("SELECT pg_advisory_lock_shared(8, 8)")
    assert session.execute("SELECT pg_try_advisory_lock(8, 8)").fetchone() == (False,)
    other.close()
    until(lambda: session.execute("SELECT pg_try_advisory_lock(8, 8)").fetchone() == (True,), "it is to be had")


def test_no_text_holds_a_nul_and_bytes_may(session: Session) -> None:
    with pytest.raises(psycopg.DataError, match="NUL"):
        session.execute("SELECT %s", ["a\0b"])
    with pytest.raises(errors.UntranslatableCharacter):
        session.execute("SELECT '\"\\u0000\"'::jsonb #>> '{}'")
    assert session.execute("SELECT %b", [b"a\0b"]).fetchone() == (b"a\0b",)


def test_what_is_committed_in_a_pipeline_is_told_only_behind_a_sync(session: Session, postgresql_url: str) -> None:
    session.execute("CREATE TABLE t (n INT)")
    with session.pipeline() as pipeline:
        session.execute("BEGIN")
        session.execute("INSERT INTO t VALUES (1)")
        ended = session.execute("COMMIT")
        pipeline.sync()
        assert ended.statusmessage == "COMMIT"
        session.execute("BEGIN")
        with pytest.raises(errors.DivisionByZero):
            session.execute("SELECT 1/0").fetchone()
        with contextlib.suppress(psycopg.Error):
            pipeline.sync()
        ended = session.execute("COMMIT")
        pipeline.sync()
        assert ended.statusmessage == "ROLLBACK", "a COMMIT that succeeds may be none: its tag is looked at"
