"""Migrations that the database, its server or somebody beside hinders: each is refused in words, and nothing is changed."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from bus import protecting
from bus.cli import main
from bus.errors import StoreError
from bus.store import migrate, postgres_session, schema
from bus.store.opening import open_store
from bus.testing.ports import free_port
from tests.integration.workshop import workshop


def _refused(url: str) -> tuple[str, str]:
    """What `bus migrate` says, on one line, and its code."""
    with pytest.raises(StoreError) as refused:
        migrate.migrate(url, schema.REVISION - 1)
    assert "\n" not in refused.value.sentence, refused.value.sentence
    return refused.value.code, refused.value.hint


def test_who_may_not_change_the_schema_is_told_who_may(postgresql_url: str) -> None:
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as owner:
        owner.execute("DROP ROLE IF EXISTS soltanto")
        owner.execute("CREATE ROLE soltanto LOGIN")
        owner.execute("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO soltanto")
        try:
            code, hint = _refused(re.sub(r"//[^@]*@", "//soltanto@", postgresql_url))
            assert code == "store.rights"
            assert "owner" in hint
        finally:
            owner.execute("DROP OWNED BY soltanto")
            owner.execute("DROP ROLE soltanto")
    assert migrate.status(postgresql_url)[0] == schema.REVISION


def test_a_database_in_which_others_may_not_write_is_migrated_as_the_bus_works_with_it(tmp_path: Path, postgresql_url: str) -> None:
    with workshop(tmp_path, postgresql_url) as shop:
        shop.app.stop()
        with psycopg.connect(postgresql_url, autocommit=True) as owner:
            owner.execute(f"ALTER DATABASE {postgresql_url.rpartition('/')[2]} SET default_transaction_read_only = on")  # type: ignore[call-overload]
        for to in (4, schema.REVISION):
            assert protecting.change(shop.app.config, to)[1] == to


def test_a_migration_takes_the_time_that_it_takes_whatever_is_set_for_its_user(tmp_path: Path, postgresql_url: str) -> None:
    with workshop(tmp_path, postgresql_url) as shop:
        shop.app.stop()
        with psycopg.connect(postgresql_url, autocommit=True) as owner:
            for setting in (
                "statement_timeout = '1s'",
                "idle_in_transaction_session_timeout = '5ms'",
                "standard_conforming_strings = off",
            ):
                owner.execute(f"ALTER DATABASE {postgresql_url.rpartition('/')[2]} SET {setting}")  # type: ignore[call-overload]
        for to in (1, schema.REVISION):
            assert protecting.change(shop.app.config, to)[1] == to


def test_a_server_that_the_bus_would_not_work_with_is_not_migrated(postgresql_url: str) -> None:
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {postgresql_url.rpartition('/')[2]} SET synchronous_commit = off")  # type: ignore[call-overload]
    assert _refused(postgresql_url)[0] == "store.unsafe"


@pytest.mark.parametrize("held", ["LOCK TABLE runs, schema_revision", "LOCK TABLE runs", "SELECT 1 FROM runs"])
def test_a_table_that_somebody_keeps_for_himself_is_not_waited_for_without_end(
    postgresql_url: str, held: LiteralString, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCKS", "SET lock_timeout = '200ms'")
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url) as other:
        other.execute(held)
        with pytest.raises(StoreError, match=rf"locked by process {other.info.backend_pid} ") as refused:
            migrate.migrate(postgresql_url, 6)
        assert refused.value.code == "store.locked"
    assert migrate.migrate(postgresql_url, 6) == (schema.REVISION, 6)


@pytest.mark.parametrize("held", ["LOCK TABLE payloads", "LOCK TABLE marks", "SELECT 1 FROM facts"])
def test_nothing_is_laid_open_while_somebody_keeps_a_table(
    tmp_path: Path, postgresql_url: str, held: LiteralString, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCKS", "SET lock_timeout = '200ms'")
    with workshop(tmp_path, postgresql_url) as shop:
        shop.app.stop()
        with psycopg.connect(postgresql_url) as other:
            other.execute(held)
            with pytest.raises(StoreError, match=rf"locked by process {other.info.backend_pid} ") as refused:
                protecting.change(shop.app.config, 4)
        assert refused.value.code == "store.locked"
        assert migrate.lies_open(postgresql_url) == set()


def test_a_file_that_another_program_writes_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'prova.db'}"
    open_store(url).close()
    connect = sqlite3.connect
    with closing(connect(tmp_path / "prova.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(sqlite3.dbapi2, "connect", lambda *named, **options: connect(*named, **options | {"timeout": 0.1}))
        assert _refused(url)[0] == "store.locked"


def test_a_line_that_breaks_in_the_midst_is_told(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(postgresql_url).close()
    script = schema.script
    monkeypatch.setattr(schema, "script", lambda *which: f"{script(*which)} SELECT pg_terminate_backend(pg_backend_pid());")
    assert _refused(postgresql_url)[0] == "store.unreachable"  # not "refused it": the same command does it when the server is back
    assert migrate.status(postgresql_url)[0] == schema.REVISION


AT_COMMIT = """;
CREATE FUNCTION pg_temp.leave() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER leaves AFTER INSERT ON marks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.leave();
INSERT INTO marks (name, value) VALUES ('at', 'commit');
"""


def test_of_a_line_that_breaks_at_the_commit_nobody_says_that_nothing_was_changed(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(postgresql_url).close()
    script = schema.script
    monkeypatch.setattr(schema, "script", lambda *which: script(*which) + AT_COMMIT)
    with pytest.raises(StoreError, match="nobody can say") as told:
        migrate.migrate(postgresql_url, schema.REVISION - 1)
    assert (told.value.code, "bus migrate status" in told.value.hint) == ("store.unknown", True)


def test_an_address_of_several_servers_is_migrated_as_the_bus_works_with_it(postgresql_url: str) -> None:
    """A list of hosts, of which the first is no more; and a host that is a name with percent signs."""
    several = f"{postgresql_url.replace('@', f'@127.0.0.1:{free_port()},')}?target_session_attrs=read-write"
    escaped = postgresql_url.replace("127.0.0.1", "127.0.0%2E1")
    for url in (several, escaped):
        open_store(url).close()
        assert migrate.migrate(url, schema.REVISION - 1) == (schema.REVISION, schema.REVISION - 1)
        assert migrate.migrate(url) == (schema.REVISION - 1, schema.REVISION)


def test_who_may_make_no_table_is_told_the_grant(postgresql_url: str) -> None:
    """In an empty database, where nobody owns tables yet, and where they are his own."""
    his = re.sub(r"//[^@]*@", "//straniero@", postgresql_url)
    with psycopg.connect(postgresql_url, autocommit=True) as owner:
        owner.execute("DROP ROLE IF EXISTS straniero")
        owner.execute("CREATE ROLE straniero LOGIN")
        owner.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        try:
            for refused in (lambda: open_store(his), lambda: migrate.migrate(his)):
                with pytest.raises(StoreError, match="GRANT CREATE ON SCHEMA public TO straniero") as told:
                    refused()
                assert told.value.code == "store.rights"
            owner.execute("GRANT CREATE ON SCHEMA public TO straniero")
            open_store(his).close()
            owner.execute("REVOKE CREATE ON SCHEMA public FROM straniero")
            assert "GRANT CREATE" in _refused(his)[1]
            open_store(his).close()
        finally:
            owner.execute("DROP OWNED BY straniero")
            owner.execute("DROP ROLE straniero")


def test_an_empty_database_is_not_taken_back(tmp_path: Path, postgresql_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f'organization: {{name: Prova, fiscal_code: "80001130857"}}\nstore: {{url: "{postgresql_url}"}}\n', "utf-8")
    assert main(["migrate", "down", "--config", str(config)]) == 3
    assert "has revision 0, which is below 1" in capsys.readouterr().err
    assert migrate.status(postgresql_url)[0] == 0


def test_a_start_during_a_migration_says_to_wait_for_it(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgres_session.WRITING, "lock_timeout", "200ms")
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as other:
        other.execute(f"SELECT pg_advisory_lock({schema.PRESENCE}, current_schema()::regnamespace::oid::int4)")
        with pytest.raises(StoreError, match="a migration ends by itself") as refused:
            open_store(postgresql_url)
    assert refused.value.code == "store.locked"
