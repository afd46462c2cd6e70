"""What a PostgreSQL server or database is set to: refused where it could lose commits, or mix up texts; not ours where it is meant for others."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from bus.errors import StoreError
from bus.store import Store, migrate, schema, survey
from bus.store.postgres import PostgresLook, PostgresStore
from bus.store.postgres_session import SAFE
from bus.testing.patience import until
from tests.contract.proxy import Pooler
from tests.fault.database import add, numbers, switch, times
from tests.servers import PostgreSQL


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("fsync", "take fsync from the command line"),
        ("full_page_writes", "take full_page_writes from the command line"),
        ("synchronous_commit", "set synchronous_commit = on"),  # our own session says on, and so hides where off comes from
        ("data_sync_retry", "take data_sync_retry from the command line"),
        ("zero_damaged_pages", "take zero_damaged_pages from the command line"),
        ("ignore_checksum_failure", "take ignore_checksum_failure from the command line"),
        ("session_replication_role", "take session_replication_role from the command line"),  # no trigger keeps records from being changed
    ],
)
def test_a_server_that_could_lose_commits_is_refused_with_the_remedy(setting: str, remedy: str) -> None:
    unsafe = {"on": "off", "off": "on", "origin": "replica"}[SAFE[setting]]
    with PostgreSQL({setting: unsafe}) as server, pytest.raises(StoreError, match=rf"{setting}={unsafe}.*{remedy}"):
        PostgresStore(server.new_database())


def test_what_keeps_commits_cannot_be_switched_off_unseen_while_the_bus_works() -> None:
    with PostgreSQL() as server:
        url = server.new_database()
        store = PostgresStore(url)
        store.write(lambda tx: add(tx, "before")).result(30)
        for setting in ("fsync", "full_page_writes"):
            switch(url, setting, "off")
            with pytest.raises(StoreError, match=rf"{setting}=off.*set {setting} = on"):
                _write_until_refused(store)
            switch(url, setting, "on")
            end = time.monotonic() + 30
            while True:
                with contextlib.suppress(StoreError):
                    store.write(lambda tx, name=f"after {setting}": add(tx, name)).result(30)  # type: ignore[misc]
                    break
                assert time.monotonic() < end
            assert times(store, f"after {setting}") == 1
        store.close()


def test_numbers_that_are_set_back_while_the_bus_works_are_told_with_the_remedy(postgresql_url: str) -> None:
    """It was an error of nobody's, again and again, until the next start said what it was."""
    store = PostgresStore(postgresql_url)
    for name in ("one", "two"):
        store.write(lambda tx, name=name: add(tx, name)).result(30)  # type: ignore[misc]
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        admin.execute("SELECT setval(pg_get_serial_sequence('records', 'seq'), 1, false)")
        for name in ("three", "four"):
            with pytest.raises(StoreError, match=r"the next record would be number 2, and number 2 is there.*setval") as told:
                store.write(lambda tx, name=name: add(tx, name)).result(30)  # type: ignore[misc]
            assert told.value.code == "store.unsafe"
        assert store.failing() is not None
        admin.execute("SELECT setval(pg_get_serial_sequence('records', 'seq'), (SELECT max(seq) FROM records))")
    store.write(lambda tx: add(tx, "five")).result(30)
    assert [times(store, name) for name in ("two", "three", "four", "five")] == [1, 0, 0, 1]
    until(lambda: store.failing() is None)
    store.close()


def test_no_record_falls_into_a_gap_that_was_sealed_before(postgresql_url: str) -> None:
    """It failed nowhere, and was never sealed: what crashed or was rolled back leaves numbers free."""
    store = PostgresStore(postgresql_url)
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        store.write(lambda tx: add(tx, "one")).result(30)
        admin.execute("SELECT nextval(pg_get_serial_sequence('records', 'seq')) FROM generate_series(1, 10)")
        store.write(lambda tx: add(tx, "two")).result(30)
        admin.execute("SELECT setval(pg_get_serial_sequence('records', 'seq'), 2)")
        with pytest.raises(StoreError, match=r"the next record would be number 3, and number 12 is there.*setval") as told:
            store.write(lambda tx: add(tx, "three")).result(30)
        assert told.value.code == "store.unsafe"
        assert isinstance(told.value.hint, str)
        admin.execute(told.value.hint.partition("as the owner: ")[2].encode())
    store.write(lambda tx: add(tx, "four")).result(30)
    assert numbers(store) == [1, 12, 13]
    store.close()


def test_a_database_whose_runs_would_go_on_before_those_that_are_there_is_refused(postgresql_url: str) -> None:
    """Whoever followed the remedy for records alone had runs that overtook those of their case."""
    store = PostgresStore(postgresql_url)
    store.write(lambda tx: add(tx, "one")).result(30)
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        for run in ("1", "2", "3"):
            row = dict.fromkeys(("message", "route", "digest", "entry", "case_id", "place", "time"), "x")
            store.write(lambda tx, run=run, row=row: tx.do("add_run", id=run, version=1, ordered=1, **row)).result(30)  # type: ignore[misc]
        admin.execute("SELECT setval(pg_get_serial_sequence('runs', 'turn'), 1)")
        store.close()
        with pytest.raises(StoreError, match="the next run would be number 2, and number 3 is there") as told:
            PostgresStore(postgresql_url)
        assert [one.sentence for one in survey.survey(postgresql_url).unsafe] == [told.value.sentence]
        assert isinstance(told.value.hint, str)
        admin.execute(told.value.hint.partition("as the owner: ")[2].encode())
    PostgresStore(postgresql_url).close()


def test_numbers_of_runs_that_are_set_back_while_the_bus_works_are_refused(postgresql_url: str) -> None:
    """They were seen by the next session only: until then new runs came before those of their case."""
    store = PostgresStore(postgresql_url)
    row = dict.fromkeys(("message", "route", "digest", "entry", "case_id", "place", "time"), "x")

    def run(name: str) -> None:
        store.write(lambda tx: tx.do("add_run", id=name, version=1, ordered=1, **row)).result(30)

    for number in range(10, 30):
        run(str(number))
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        admin.execute("SELECT setval(pg_get_serial_sequence('runs', 'turn'), 1)")
        for name in ("30", "31"):
            with pytest.raises(StoreError, match=r"the next run would be number \d, and number 20 is there") as told:
                run(name)
        assert isinstance(told.value.hint, str)
        admin.execute(told.value.hint.partition("as the owner: ")[2].encode())
        run("32")
        assert admin.execute("SELECT id FROM runs ORDER BY turn DESC LIMIT 2").fetchall() == [("32",), ("29",)]
    store.close()


def test_who_may_not_see_whether_numbers_are_set_back_does_not_work_on_without_it(postgresql_url: str) -> None:
    """The guard was off, without a word, from the next session on."""
    PostgresStore(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        rights = ("ON ALL TABLES IN SCHEMA public", "USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public")
        admin.execute("CREATE ROLE operaio LOGIN")
        try:
            admin.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE {rights[0]} TO operaio; GRANT {rights[1]} TO operaio".encode())
            store = PostgresStore(postgresql_url.replace("snodo@", "operaio@"))
            store.write(lambda tx: add(tx, "one")).result(30)
            admin.execute("REVOKE SELECT ON SEQUENCE records_seq_seq FROM operaio")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'operaio'")
            with pytest.raises(StoreError, match=r"store\.rights.*records_seq_seq"):
                store.write(lambda tx: add(tx, "two")).result(30)
            assert [one.sentence for one in survey.survey(postgresql_url.replace("snodo@", "operaio@")).unsafe] == [
                "the user of the bus lacks rights to: records_seq_seq"
            ]
            admin.execute("GRANT SELECT ON SEQUENCE records_seq_seq TO operaio")
            store.write(lambda tx: add(tx, "three")).result(30)
            store.close()
        finally:
            admin.execute("DROP OWNED BY operaio; DROP ROLE operaio")


@pytest.mark.parametrize(("table", "column"), [("records", "seq"), ("runs", "turn")])
def test_a_database_that_gives_a_session_many_numbers_at_once_is_refused(postgresql_url: str, table: str, column: str) -> None:
    """What the second of two processes wrote was behind what the first wrote after it: sealed by nobody, or worked in the wrong order."""
    PostgresStore(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        admin.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET CACHE 20".encode())
        with pytest.raises(StoreError, match=f"each session takes 20 numbers of {table} at once") as told:
            PostgresStore(postgresql_url)
        assert [one.sentence for one in survey.survey(postgresql_url).unsafe] == [told.value.sentence]
        admin.execute(told.value.hint.partition("as the owner: ")[2].encode())
    PostgresStore(postgresql_url).close()


def test_a_session_that_a_pooler_lends_is_given_back_as_it_was(postgresql: PostgreSQL, postgresql_url: str) -> None:
    """Whoever had it next could not write, after `bus doctor`, and had plans without hash joins after a start."""
    with Pooler(postgresql.port) as pooler:
        url = postgresql_url.replace(f":{postgresql.port}/", f":{pooler.port}/")
        with pytest.raises(StoreError, match="a pooler stands between"):
            PostgresStore(url)
        assert [one.code for one in survey.survey(url).unsafe] == ["store.pooled"]
    assert pooler.said.count(b"pg_backend_pid() <>") == 2
    assert [word for word in (b"enable_seqscan", b"SET default_transaction", b"SET lock_timeout") if word in pooler.said] == []


def test_who_looks_prepares_nothing_in_a_session_that_a_pooler_lends(postgresql: PostgreSQL, postgresql_url: str) -> None:
    """`bus log verify` said that the database went away: the names it gave to statements were another's there."""
    PostgresStore(postgresql_url).close()
    with (
        Pooler(postgresql.port) as pooler,
        contextlib.closing(PostgresLook(postgresql_url.replace(f":{postgresql.port}/", f":{pooler.port}/"))) as look,
    ):
        for _ in range(2):
            with look.read() as tx:
                assert tx.all("records_after", after=0, most=1) == []
    assert b"FROM records" in pooler.said
    assert b"_pg3_" not in pooler.said


_WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE %s"


@pytest.mark.parametrize("ended", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_commit_that_no_synchronous_standby_has_is_acknowledged_by_nobody(ended: str) -> None:
    """Whoever ends the session that waits for a standby makes the server say that it has committed."""
    with PostgreSQL() as server:
        url = server.new_database()
        server._sql("ALTER ROLE snodo SET client_min_messages = error")  # the server says it in a warning
        store = PostgresStore(url)
        store.write(lambda tx: add(tx, "before")).result(30)
        switch(url, "synchronous_standby_names", "gemello")
        with psycopg.connect(url, autocommit=True) as admin:
            written, name = _write_until_it_waits(store, admin)
            for query in ("COMMIT", "%pg_logical_emit_message%", "%pg_logical_emit_message%"):
                admin.execute(f"SELECT {ended}(%s)", [_waiting(admin, query)])  # type: ignore[call-overload]
            assert _waiting(admin, "%pg_logical_emit_message%")
        assert not written.done()
        switch(url, "synchronous_standby_names", "''")
        written.result(30)
        assert times(store, name) == 1
        store.close()


def _write_until_it_waits(store: Store, admin: psycopg.Connection[Any]) -> tuple[Future[None], str]:
    """A session hears of a change of settings some moments after it."""
    for number in range(1000):
        name = f"alone {number}"
        written = store.write(lambda tx, name=name: add(tx, name))  # type: ignore[misc]
        while not written.done():
            if admin.execute(_WAITING, ["COMMIT"]).fetchone():
                return written, name
            time.sleep(0.02)
    raise AssertionError("no commit waits")


def _waiting(admin: psycopg.Connection[Any], query: str) -> int:
    """The session that waits for a standby with this query; it MUST come within half a minute."""
    return int(until(lambda: admin.execute(_WAITING, [query]).fetchone(), query, 30)[0])


def _write_until_refused(store: Store) -> None:
    """A session hears of a change of settings some moments after it."""
    end, number = time.monotonic() + 30, 0
    while time.monotonic() < end:
        number += 1
        store.write(lambda tx, name=f"meanwhile {number}": add(tx, name)).result(30)  # type: ignore[misc]


def test_settings_of_the_server_for_others_sessions_are_not_ours(postgresql: PostgreSQL, postgresql_url: str) -> None:
    """They may end what idles, waits or takes long, let nobody write who does not ask for it, and take bytes for other texts."""
    theirs = {
        "default_transaction_read_only": "on", "default_transaction_isolation": "serializable", "statement_timeout": "500ms",
        "lock_timeout": "1ms", "idle_in_transaction_session_timeout": "1ms", "idle_session_timeout": "300ms",
        "client_encoding": "LATIN1",
    }  # fmt: skip
    name = postgresql_url.rpartition("/")[2]
    with psycopg.connect(postgresql.url, autocommit=True) as admin:
        if admin.info.server_version >= 170000:
            theirs["transaction_timeout"] = "500ms"
        for setting, value in theirs.items():
            admin.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")  # type: ignore[call-overload]
    with ThreadPoolExecutor(8) as threads:
        store, *others = threads.map(PostgresStore, [postgresql_url] * 8)
    for other in others:
        other.close()
    for turn in range(3):
        store.write(lambda tx, turn=turn: add(tx, f"perché {turn} €")).result(60)  # type: ignore[misc]
        assert times(store, f"perché {turn} €") == 1
        time.sleep(0.5)  # their patience with whoever idles
        with psycopg.connect(postgresql.url) as admin:
            [here] = admin.execute(_PRESENT, [name, schema.PRESENCE]).fetchall()
        assert here == (1,), "no migration takes the bus for stopped"
    with store.read() as tx:
        counted = tx.all("count_everything")
        time.sleep(1)  # a long look, such as that of `bus log verify`
        assert tx.all("count_everything") == counted
    assert len(numbers(store)) == 3
    store.close()


_PRESENT = "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database AND datname = %s WHERE classid = %s::bigint::oid"


def test_a_database_that_is_not_there_says_what_to_look_at(postgresql: PostgreSQL) -> None:
    with pytest.raises(StoreError, match=r"cannot be opened.*nessuna") as told:
        PostgresStore(postgresql.url_of("nessuna"))
    assert told.value.code == "store.unreachable"
    assert "the database, the user and the password" in told.value.hint


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_in_another_encoding_is_refused(postgresql: PostgreSQL, encoding: str) -> None:
    """SQL_ASCII is what a server made without a locale gives."""
    other = postgresql.url_of(f"other_{encoding.lower()}")
    postgresql._sql(f"CREATE DATABASE {other.rpartition('/')[2]} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    try:
        asking: list[Callable[[str], object]] = [PostgresStore, migrate.migrate]
        for asked in asking:
            with pytest.raises(StoreError, match=encoding) as told:
                asked(other)
            assert told.value.code == "store.encoding"
        assert migrate.status(other)[0] == 0
        assert any(encoding in unsafe.sentence for unsafe in survey.survey(other).unsafe)
    finally:
        postgresql.drop_database(other)
