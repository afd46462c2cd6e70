"""Both stores keep the contract of stores."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bus.errors import Changed, StoreError
from bus.store import Store, Tx, queries
from bus.store.postgres import FILES, PostgresConnection, PostgresStore
from bus.store.postgres_session import _PARAMETER
from bus.store.sqlite import SqliteStore
from bus.testing.patience import until
from tests.contract.looks_contract import LooksContract
from tests.contract.store_contract import StoreContract, names, put


class TestSqlite(StoreContract, LooksContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        opened = SqliteStore(tmp_path / "s.db")
        yield opened
        opened.close()


class TestPostgres(StoreContract, LooksContract):
    @pytest.fixture
    def store(self, postgresql_url: str) -> Iterator[Store]:
        opened = PostgresStore(postgresql_url)
        yield opened
        opened.close()


def test_work_that_passes_over_an_error_of_postgresql_is_not_taken_for_committed(postgresql_url: str) -> None:
    """The server answers its COMMIT with ROLLBACK."""
    store = PostgresStore(postgresql_url)

    def work(tx: Tx) -> None:
        put("lost")(tx)
        assert [row["name"] for row in tx.all("all_sequences")] == ["lost"]
        with contextlib.suppress(StoreError):
            tx.all("records_among", seqs="no list")

    with pytest.raises(StoreError, match="ended a transaction with ROLLBACK"):
        store.write(work).result(30)
    for turn in range(3):
        store.write(put(f"after {turn}")).result(30)
    assert names(store) == {"after 0", "after 1", "after 2"}
    store.close()


def test_a_failure_that_is_told_before_its_trip_has_ended_does_no_harm_to_the_next_transaction(postgresql_url: str) -> None:
    """A server tells it as soon as it is there. Here that is waited for, and heard as by the statement that failed: no Sync has gone out."""
    connection = PostgresConnection(postgresql_url)
    connection.begin()
    sync = connection._sync

    def late() -> None:
        connection._sync, session = sync, connection._session
        assert session is not None
        assert select.select([session], [], [], 60)[0]
        session.wait(sync.__self__._communicate_gen())  # type: ignore[attr-defined]
        raise AssertionError("it was told no failure")

    with contextlib.closing(connection), psycopg.connect(postgresql_url, autocommit=True) as admin:
        for work in ("first", "second"):
            admin.execute("ALTER TABLE marks RENAME TO others")
            connection._sync = late
            connection.do("add_mark", name=work, value="")
            with pytest.raises(Changed):
                connection.commit()
            connection._sync = sync  # a quick server told it before that, and nobody has waited for it
            connection.rollback()
            admin.execute("ALTER TABLE others RENAME TO marks")
            connection.begin()
            connection.do("add_mark", name=work, value="")
            connection.commit()
            connection.begin()
        assert admin.execute("SELECT count(*) FROM marks WHERE name IN ('first', 'second')").fetchone() == (2,)


def test_a_line_that_breaks_is_told_in_our_words_alone(postgresql_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """psycopg warns of what it passes over: at a command's standard error that stood beside an answer which is right."""
    with contextlib.closing(PostgresStore(postgresql_url)) as store:
        assert names(store) == set()
        with psycopg.connect(postgresql_url) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        assert names(store) == set()
    assert not [said.getMessage() for said in caplog.records if said.name.startswith("psycopg")]


def test_the_fate_of_a_commit_is_known_in_the_end_whatever_became_of_its_session(postgresql_url: str) -> None:
    """Whoever asks for it waits: a number that stays unknown would keep all writers waiting for ever."""
    asking = PostgresConnection(postgresql_url)
    with psycopg.connect(postgresql_url) as stopped:
        [number] = stopped.execute("SELECT pg_current_xact_id()::text").fetchone() or ()
        assert asking._fate(number) is None
        with pytest.raises(psycopg.OperationalError):
            stopped.execute("SELECT 1")
    assert until(lambda: asking._fate(number), "its fate is known", every=0.05) == "aborted"
    assert asking._fate(str(int(number) + 1_000_000)) == "aborted", "a number that the server has not given yet"


def test_a_server_that_has_become_unsafe_behind_a_lost_line_is_told_also_to_who_writes_nothing(postgresql_url: str) -> None:
    """``/status`` asks for what failed last."""
    connection = PostgresConnection(postgresql_url)
    connection.open()
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {postgresql_url.rpartition('/')[2]} SET synchronous_commit = off")  # type: ignore[call-overload]
    connection.close()
    with pytest.raises(StoreError) as refused:
        connection.begin()
    assert (refused.value.code, connection.failing) == ("store.unsafe", refused.value)


def test_postgresql_understands_every_query(postgresql_url: str) -> None:
    store = PostgresStore(postgresql_url)
    with psycopg.connect(postgresql_url, autocommit=True) as raw:
        raw.execute("CREATE TEMPORARY TABLE texts (old TEXT PRIMARY KEY, new TEXT NOT NULL)")  # as the query make_texts makes it
        for name, text in queries.load(*FILES, dialect="postgresql").items():
            numbered = {parameter: f"${n}" for n, parameter in enumerate(dict.fromkeys(_PARAMETER.findall(text)), 1)}
            said = raw.pgconn.prepare(b"", _PARAMETER.sub(lambda match, known=numbered: known[match[1]], text).encode())  # type: ignore[misc]
            assert said.status == psycopg.pq.ExecStatus.COMMAND_OK or b"could not determine data type" in said.error_message, (
                name, said.error_message.decode(),
            )  # fmt: skip
    store.close()
