"""`bus doctor` beside a real PostgreSQL, well and not well."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from bus.clock import text_of
from bus.doctor import database
from bus.doctor.verdict import Surroundings
from bus.engine.lifeline import new_identity
from bus.errors import StoreError
from bus.store import migrate, survey
from bus.store.obstacles import Standbys
from bus.store.opening import open_store
from bus.store.postgres_session import CONNECTIONS, READERS, SETTINGS, interrupted, refusals, unreachable
from bus.store.schema import REVISION
from bus.testing.patience import until
from tests.servers import PostgreSQL, ServiceFailed, _environment
from tests.small_bus import write
from tests.unit.examining import examined, levels

NOWHERE = "postgresql://snodo@127.0.0.1:1/snodo"


# -- PostgreSQL ---------------------------------------------------------------------------------------------------------


def test_a_database_without_schema_says_what_to_do(tmp_path, postgresql_url):
    found = examined(write(tmp_path, store={"url": postgresql_url}))
    assert levels(found, "doctor.store") == levels(found, "doctor.store-version") == levels(found, "doctor.store-settings") == ["ok"]
    assert levels(found, "doctor.clock") == ["ok"]
    [schema] = found["doctor.store-schema"]
    assert (schema.level, schema.next) == ("warning", "bus migrate up")


def unsafe(url: str, statement: str) -> str:
    """Have an administrator do something to a database; its address."""
    with psycopg.connect(url, autocommit=True) as raw:
        [name] = raw.execute("SELECT current_database()").fetchone()
        raw.execute(statement.replace("DATABASE ours", f"DATABASE {name}"))
    return url


def test_a_database_that_writes_dates_in_the_italian_way_is_looked_at_as_any_other(tmp_path, postgresql_url, standby_named):
    for setting in ("datestyle = 'SQL, DMY'", "intervalstyle = 'iso_8601'", "timezone = 'Pacific/Apia'"):
        standby_named.execute(f"ALTER DATABASE {postgresql_url.rpartition('/')[2]} SET {setting}")
    found = examined(write(tmp_path, store={"url": postgresql_url}))
    assert (levels(found, "doctor.check"), levels(found, "doctor.clock")) == ([], ["ok"])


@pytest.mark.parametrize(
    ("statement", "code", "what"),
    [
        ("ALTER DATABASE ours SET synchronous_commit = off", "store.unsafe", "synchronous_commit=off"),
        (
            "ALTER DATABASE ours SET zero_damaged_pages = on",
            "store.unsafe",
            "zero_damaged_pages=on",
        ),  # to save another table, and forgotten
        (
            "ALTER DATABASE ours SET session_replication_role = replica",
            "store.unsafe",
            "session_replication_role=replica",
        ),  # to load a dump, and forgotten
        ("ALTER DATABASE ours SET search_path = nessuno", "store.schema", "no schema of this database is ours"),
        ("ALTER TABLE payloads SET UNLOGGED", "store.unsafe", "UNLOGGED: payloads"),  # to restore faster, and forgotten
    ],
)
def test_what_the_start_refuses_of_a_database_is_told_with_the_same_remedy(tmp_path, postgresql_url, statement, code, what):
    open_store(postgresql_url).close()
    url = unsafe(postgresql_url, statement)
    with pytest.raises(StoreError) as refused:
        open_store(url)
    [told] = [one for one in examined(write(tmp_path, store={"url": url}))["doctor.store-settings"] if one.level == "wrong"]
    assert (refused.value.code, what in told.what) == (code, True)
    assert (told.what, told.next) == (refused.value.sentence, refused.value.hint)


def test_a_server_whose_disk_is_full_is_told_though_it_can_be_read(tmp_path, postgresql_url):
    """`/status` said 503, and doctor that all was well."""
    open_store(postgresql_url).close()
    unsafe(postgresql_url, "CREATE FUNCTION piena() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE disk_full; END'")
    assert levels(examined(write(tmp_path, store={"url": postgresql_url})), "doctor.store-disk") == ["ok"]
    unsafe(postgresql_url, "CREATE TRIGGER piena BEFORE INSERT ON records EXECUTE FUNCTION piena()")
    [told] = examined(tmp_path / "config.yaml")["doctor.store-disk"]
    assert (told.level, told.what) == ("wrong", "the server cannot keep what is written: disk_full")
    with psycopg.connect(postgresql_url) as raw:
        assert raw.execute("SELECT count(*) FROM records").fetchone() == (0,)


def test_a_database_that_was_restored_in_part_is_refused_and_told(tmp_path, postgresql_url):
    """Of a dump the keys come last: the start ended with a traceback then, and without indexes or triggers it said nothing."""
    open_store(postgresql_url).close()
    unsafe(postgresql_url, "ALTER TABLE records DISABLE TRIGGER ALL; DROP INDEX runs_state, runs_case, records_run")
    unsafe(postgresql_url, "CREATE INDEX runs_case ON runs (state, case_id, turn); CREATE INDEX records_run ON records (run, seq)")
    open_store(postgresql_url).close()
    [told] = examined(write(tmp_path, store={"url": postgresql_url}))["doctor.store-schema"]
    assert (told.level, told.what.partition(": ")[2]) == ("wrong", "records_are_never_changed, records_run, runs_case, runs_state")
    unsafe(postgresql_url, "ALTER TABLE marks DROP CONSTRAINT marks_pkey")
    with pytest.raises(StoreError, match="lack their keys: marks_pkey") as refused:
        open_store(postgresql_url)
    found = examined(write(tmp_path, store={"url": postgresql_url}))
    assert [one.next for code in ("doctor.store-schema", "doctor.store-settings") for one in found[code]] == [refused.value.hint] * 2


def test_a_logical_replica_whose_numbers_begin_anew_is_refused_and_told(tmp_path, postgresql_url):
    """Each message would fail, until a number falls into a gap among those that are sealed: its record would never be."""
    open_store(postgresql_url).close()
    record = "INSERT INTO records (id, kind, time, content) SELECT n, 'x', 'x', '' FROM generate_series(1, 3) n"
    unsafe(postgresql_url, record)
    unsafe(postgresql_url, "ALTER TABLE records ALTER seq RESTART WITH 3")
    with pytest.raises(StoreError, match="the next record would be number 3, and number 3 is there") as refused:
        open_store(postgresql_url)
    [told] = [one for one in examined(write(tmp_path, store={"url": postgresql_url}))["doctor.store-settings"] if one.level == "wrong"]
    assert told.next == refused.value.hint
    unsafe(postgresql_url, refused.value.hint.partition("as the owner: ")[2].partition("; ")[0])
    open_store(postgresql_url).close()
    unsafe(postgresql_url, "ALTER TABLE records ALTER seq RESTART WITH 4")
    open_store(postgresql_url).close()


def test_a_database_that_was_migrated_there_and_back_lacks_nothing(tmp_path, postgresql_url):
    for to in (REVISION, 1, REVISION):
        migrate.migrate(postgresql_url, to)
    assert levels(examined(write(tmp_path, store={"url": postgresql_url})), "doctor.store-schema") == ["ok"]


def test_a_server_that_keeps_its_timeline_to_itself_is_told_and_how_it_tells(tmp_path, postgresql_url):
    """The bus works there, and could not know an old primary that comes back."""
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as raw, user_of(raw, "riservato"):
        config = write(tmp_path, store={"url": postgresql_url.replace("snodo@", "riservato@")})
        raw.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        try:
            [told] = [one for one in examined(config)["doctor.store"] if one.level == "warning"]
            assert (told.what, told.why) == (database.NO_TIMELINE, database.UNSEEN)
            raw.execute(told.next.removeprefix("as a superuser: ").encode())
            assert levels(examined(config), "doctor.store") == ["ok"]
        finally:
            raw.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")


def test_a_server_that_is_too_old_is_refused_as_one_before_it_is_asked_for_what_it_does_not_know(tmp_path, postgresql_url, monkeypatch):
    """PostgreSQL 13 has no `client_connection_check_interval`: it was said to have gone away."""
    monkeypatch.setattr("bus.store.postgres_session.OLDEST", 990000)
    monkeypatch.setitem(SETTINGS, "a_setting_of_later", "on")
    for refusing in (open_store, migrate.migrate, migrate.status):
        with pytest.raises(StoreError) as refused:
            refusing(postgresql_url)
        assert (refused.value.code, refused.value.hint) == ("store.too-old", "the bus needs PostgreSQL 15 or later: name one in store.url")
        assert f"the server at 127.0.0.1:{urlsplit(postgresql_url).port} is PostgreSQL " in refused.value.sentence
    found = examined(write(tmp_path, store={"url": postgresql_url}))
    assert (levels(found, "doctor.store-version"), levels(found, "doctor.store")) == (["wrong"], ["ok"])
    assert not found.get("doctor.store-schema"), "there will be no first start that makes the tables"


@contextlib.contextmanager
def user_of(raw, name):
    """A user who may do with all tables of the bus what is done with rows."""
    raw.execute(f"CREATE ROLE {name} LOGIN")
    try:
        raw.execute(f"GRANT USAGE ON SCHEMA public TO {name}")
        raw.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}")
        raw.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}")
        yield
    finally:
        raw.execute(f"DROP OWNED BY {name}")
        raw.execute(f"DROP ROLE {name}")


def test_a_user_without_the_rights_to_a_new_table_is_refused_with_the_script_that_gives_them(tmp_path, postgresql, postgresql_url):
    """The commonest mistake of an upgrade: `bus migrate up` without the grants after it."""
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as raw, user_of(raw, "povero"):
        raw.execute("REVOKE UPDATE, DELETE ON records, payloads, rules, checkpoints, receipts, anchors FROM povero")
        raw.execute("REVOKE DELETE ON tiles FROM povero")
        url = postgresql_url.replace("snodo@", "povero@")
        open_store(url).close()
        for right, table in (("INSERT", "anchors"), ("UPDATE", "runs"), ("DELETE", "processes"), ("SELECT", "schema_revision")):
            code = "doctor.store" if table == "schema_revision" else "doctor.store-settings"
            raw.execute(f"REVOKE {right} ON {table} FROM povero")
            with pytest.raises(StoreError) as refused:
                open_store(url)
            [told] = [one for one in examined(write(tmp_path, store={"url": url}))[code] if one.level == "wrong"]
            assert refused.value.code == "store.rights"
            assert refused.value.hint.startswith(told.next), "it may add what who only reads needs"
            assert "deploy/postgresql/grants.sql" in told.next
            assert table in told.what
            raw.execute(f"GRANT {right} ON {table} TO povero")


def test_tables_that_hide_their_rows_are_refused_with_the_remedy(tmp_path, postgresql_url):
    """Some services switch it on for each table: doors and workers would find nothing, and say that all is well."""
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as raw, user_of(raw, "cieco"):
        raw.execute("ALTER TABLE runs ENABLE ROW LEVEL SECURITY")
        url = postgresql_url.replace("snodo@", "cieco@")
        with pytest.raises(StoreError, match="hide rows of these tables from the user of the bus: runs") as refused:
            open_store(url)
        [told] = [one for one in examined(write(tmp_path, store={"url": url}))["doctor.store-settings"] if one.level == "wrong"]
        assert (told.next, "DISABLE ROW LEVEL SECURITY" in told.next) == (refused.value.hint, True)
        open_store(postgresql_url).close()  # whom it does not concern


@pytest.mark.parametrize("name", ["Snodo", "snodo-prod"])
def test_a_schema_whose_name_wants_quotes_is_a_schema_as_any_other(tmp_path, postgresql_url, name):
    with psycopg.connect(postgresql_url, autocommit=True) as raw:
        raw.execute(f'CREATE SCHEMA "{name}"')
        raw.execute(f'ALTER ROLE snodo IN DATABASE "{raw.info.dbname}" SET search_path = "{name}"')
        open_store(postgresql_url).close()
        found = examined(write(tmp_path, store={"url": postgresql_url}))
        assert migrate.migrate(postgresql_url, REVISION - 1) == (REVISION, REVISION - 1)
        assert raw.execute("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'records'").fetchall() == [(name,)]
    assert [one.what for one in found["doctor.store-settings"] if one.level == "wrong"] == []


def test_a_schema_into_which_our_user_may_not_look_is_told_with_what_opens_it(tmp_path, postgresql_url):
    """That one must be made, as where there is none, would lead to a second, empty one."""
    with psycopg.connect(postgresql_url, autocommit=True) as raw:
        raw.execute("CREATE ROLE escluso LOGIN")
        try:
            raw.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
            url = postgresql_url.replace("snodo@", "escluso@")
            with pytest.raises(StoreError) as refused:
                open_store(url)
            [told] = examined(write(tmp_path, store={"url": url}))["doctor.store-settings"]
            raw.execute(refused.value.hint)
            with pytest.raises(StoreError, match="may make no table"):
                open_store(url)
        finally:
            raw.execute("DROP OWNED BY escluso")
            raw.execute("DROP ROLE escluso")
    assert refused.value.hint == told.next == "GRANT USAGE ON SCHEMA public TO escluso"


def test_a_pooler_in_the_place_of_the_database_is_refused():
    """It gives out numbers of its own: those of its sessions with the database are others, and change."""
    facts = {
        "pid": 7,
        "encoding": "UTF8",
        "standby": False,
        "schema": "public",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_sync_retry": "off",
        "zero_damaged_pages": "off",
        "ignore_checksum_failure": "off",
        "session_replication_role": "origin",
        "sources": {"fsync": ["command line", None]},
        "altered": None,
        "closed": None,
        "unlogged": None,
        "hiding": None,
    }
    assert list(refusals(facts, 7)) == []
    [pooled] = refusals(facts, 8)
    assert pooled.code == "store.pooled"
    [off] = refusals({**facts, "fsync": "off"}, 7)
    assert off.hint == "take fsync from the command line of the server, and restart it"
    assert [one.code for one in refusals({**facts, "encoding": "LATIN1", "standby": True, "fsync": "off"}, 7)] == [
        "store.encoding",
        "store.standby",
        "store.unsafe",
    ]


def test_what_loses_commits_is_told_with_where_it_was_said(tmp_path, postgresql, postgresql_url):
    """SHOW says what it is, and not where from: of a role, of a database, of a file or of ALTER SYSTEM."""
    with psycopg.connect(postgresql_url, autocommit=True) as raw:
        [name] = raw.execute("SELECT current_database()").fetchone()
        raw.execute("CREATE ROLE distratto LOGIN")
        url = postgresql_url.replace("snodo@", "distratto@")
        try:
            for said in (f"DATABASE {name}", "ROLE distratto", f"ROLE distratto IN DATABASE {name}"):  # the last one counts
                raw.execute(f"ALTER {said} SET synchronous_commit = off")
                with pytest.raises(StoreError) as refused:
                    open_store(url)
                assert refused.value.hint.startswith(f"ALTER {said} RESET synchronous_commit;")
        finally:
            raw.execute("DROP ROLE distratto")
            raw.execute(f"ALTER DATABASE {name} RESET synchronous_commit")
        raw.execute("ALTER SYSTEM SET full_page_writes = off")
        try:
            raw.execute("SELECT pg_reload_conf()")
            until(lambda: raw.execute("SHOW full_page_writes").fetchone() == ("off",))
            with pytest.raises(StoreError) as refused:
                open_store(postgresql_url)
            assert refused.value.hint == "ALTER SYSTEM RESET full_page_writes and reload the server"
        finally:
            raw.execute("ALTER SYSTEM RESET full_page_writes")
            raw.execute("SELECT pg_reload_conf()")
            until(lambda: raw.execute("SHOW full_page_writes").fetchone() == ("on",))


@pytest.mark.parametrize("said", ["-csynchronous_commit=off", "-c Synchronous-Commit=off", "--synchronous-commit=off"])
def test_what_loses_commits_and_was_said_in_the_address_is_to_be_taken_out_of_it(tmp_path, postgresql_url, said):
    """Neither postgresql.conf nor ALTER SYSTEM has anything to do with it."""
    url = f"{postgresql_url}?options={quote(said)}"
    with pytest.raises(StoreError) as refused:
        open_store(url)
    assert refused.value.hint == "take synchronous_commit out of the options of store.url (or of PGOPTIONS)"
    [told] = [one for one in examined(write(tmp_path, store={"url": url}))["doctor.store-settings"] if one.level == "wrong"]
    assert told.next == refused.value.hint


@contextlib.contextmanager
def of_another_user(url: str) -> Iterator[str]:
    """The database's address for a user ``affollato``, of whom nobody has connections."""
    with psycopg.connect(url, autocommit=True) as raw:
        raw.execute("CREATE ROLE affollato LOGIN")
        try:
            yield url.replace("snodo@", "affollato@")
        finally:
            raw.execute("DROP ROLE affollato")


@pytest.mark.parametrize(("limited", "said"), [("ROLE affollato", 'role "affollato"'), ("DATABASE ours", "database")])
def test_a_limit_of_connections_that_is_used_up_is_told_as_one(tmp_path, postgresql_url, limited, said):
    """Whether the server is up, and the network, was not the question."""
    with of_another_user(postgresql_url) as url:
        unsafe(postgresql_url, f"ALTER {limited} CONNECTION LIMIT 0")
        with pytest.raises(StoreError) as refused:
            open_store(url)
        [told] = examined(write(tmp_path, store={"url": url}))["doctor.store"]
    assert refused.value.hint.startswith(f"the CONNECTION LIMIT of the {said}")
    assert f"a process of the bus takes up to {CONNECTIONS};" in refused.value.hint
    assert told.next == refused.value.hint


@pytest.mark.parametrize(("limited", "said"), [("ROLE affollato", "its role"), ("DATABASE ours", "the database")])
def test_a_limit_of_connections_that_is_too_small_is_told_before_it_is_used_up(tmp_path, postgresql_url, limited, said):
    """A door and a worker start with less, and then do not answer who looks."""
    with of_another_user(postgresql_url) as url:
        unsafe(postgresql_url, f"ALTER {limited} CONNECTION LIMIT {2 * CONNECTIONS - 1}")
        [told] = examined(write(tmp_path, store={"url": url}))["doctor.store-connections"]
        unsafe(postgresql_url, f"ALTER {limited} CONNECTION LIMIT {2 * CONNECTIONS}")
        [well] = examined(write(tmp_path, store={"url": url}))["doctor.store-connections"]
    assert (told.level, well.level) == ("warning", "ok")
    assert told.what == f"the CONNECTION LIMIT of {said} lets 17 in, and 2 processes of the bus take up to 18"


def test_max_connections_that_are_used_up_are_told_as_such():
    for said in ("FATAL:  sorry, too many clients already", "FATAL:  spiacente, troppi client già connessi"):
        told = [unreachable(psycopg.OperationalError(said)).hint, interrupted(psycopg.OperationalError(said)).hint]
        assert all(hint.startswith("max_connections of the server is used up: a process of the bus takes up to 9;") for hint in told)


def test_a_password_that_was_changed_while_the_bus_works_is_told_as_such():
    """Whether the server is up, and the network, was all that was asked."""
    refused = psycopg.OperationalError('connection failed: FATAL:  password authentication failed for user "snodo"')
    assert "the user and the password that store.url names" in interrupted(refused).hint


def test_a_process_takes_as_many_connections_as_the_page_says(postgresql_url):
    """All views at once, and a write."""
    page = (Path(__file__).parents[2] / "docs/sysadmin/production.md").read_text("utf-8")
    with psycopg.connect(postgresql_url, autocommit=True) as raw, contextlib.ExitStack() as views:
        store = views.enter_context(contextlib.closing(open_store(postgresql_url)))
        for _ in range(READERS):
            views.enter_context(store.read()).one("count_everything")
        store.write(lambda tx: tx.one("count_everything")).result(20)
        ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'snodo' AND datname = current_database()"
        assert raw.execute(ours).fetchone() == (CONNECTIONS,)
        views.pop_all().close()
    assert f"takes up to {CONNECTIONS} connections" in page


def test_a_system_that_does_not_answer_is_named_where_its_runs_are_what_waits(tmp_path, postgresql_url):
    """It was said that nobody works on them, and to start another worker."""
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as raw:
        now = text_of(dt.datetime.now(dt.UTC))
        raw.execute("INSERT INTO processes VALUES ('p', 'worker', 'macchina', 7, '0.9', 'abc', %s, %s)", [now, now])
        gates = {"anagrafe": {"circuit": "open"}, "anagrafe.certifica": {"circuit": "open"}, "sito": {"circuit": "closed"}}
        raw.execute("INSERT INTO marks VALUES ('gates p', %s)", [json.dumps(gates)])
        raw.execute(
            "INSERT INTO runs (id, message, route, version, digest, entry, ordered, case_id, state, place, due, opened, changed) VALUES"
            " ('r', 'm', 'prova', 1, 'd', '', 1, 'c', 'ready', 'prova@1', '2020-01-01T00:00:00.000000Z', %s, %s)", [now, now]
        )  # fmt: skip
    [told] = examined(write(tmp_path, store={"url": postgresql_url}))["doctor.backlog"]
    assert (told.level, told.next) == ("warning", "see that they answer")
    assert told.why == "systems that do not answer: anagrafe; what asks them waits until they do"


def test_a_system_that_does_not_take_our_credentials_is_named(tmp_path, postgresql_url):
    """The routes went on without a notice, and one line of one worker's log said why."""
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as raw:
        now = text_of(dt.datetime.now(dt.UTC))
        for name, locked in (("p", {"locked_out": ["pagopa.crea-posizione"]}), ("q", {"locked_out": []}), ("r", {})):
            raw.execute("INSERT INTO processes VALUES (%s, 'worker', 'macchina', 7, '0.9', 'abc', %s, %s)", [name, now, now])
            raw.execute("INSERT INTO marks VALUES (%s, %s)", [f"gates {name}", json.dumps({"pagopa": {"circuit": "closed", **locked}})])
    [told] = examined(write(tmp_path, store={"url": postgresql_url}))["doctor.locked-out"]
    assert (told.level, told.what) == ("warning", "pagopa.crea-posizione: the system does not take our credentials")


def test_doors_without_a_worker_and_a_process_that_is_no_more_are_told(tmp_path, postgresql_url):
    """`at work: 1 web`, and all was well, while nobody worked; and so it was when that was killed, too."""
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as raw:
        now = text_of(dt.datetime.now(dt.UTC))
        raw.execute(
            "INSERT INTO processes VALUES (%s, 'web', 'macchina', %s, '0.9', 'abc', %s, %s)", [new_identity(), os.getpid(), now, now]
        )
        told = examined(write(tmp_path, store={"url": postgresql_url}, channel={"url": "amqp://127.0.0.1:1/v"}))["doctor.processes"]
        assert [(one.level, one.what) for one in told] == [("warning", "there is no worker"), ("ok", "at work: 1 web")]
        raw.execute("UPDATE processes SET id = regexp_replace(id, '[0-9]+$', '1')")  # another process of that number
        told = examined(write(tmp_path, store={"url": postgresql_url}))["doctor.processes"]
    assert [(one.level, one.what) for one in told] == [
        ("warning", f"web on macchina (process {os.getpid()}) ended without a word"), ("ok", "at work: no bus web, no bus worker"),
    ]  # fmt: skip


@pytest.mark.parametrize("revision", [REVISION - 1, REVISION + 1])
def test_under_another_schema_processes_are_listed_and_nothing_is_well_that_was_not_looked_at(tmp_path, postgresql_url, revision):
    """In the midst of an upgrade the older programs are at work."""
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as raw:
        raw.execute("UPDATE schema_revision SET revision = %s", [revision])
        now = text_of(dt.datetime.now(dt.UTC))
        raw.execute("INSERT INTO processes VALUES ('p', 'worker', 'macchina', 7, '0.9', 'abc', %s, %s)", [now, now])
    found = examined(write(tmp_path, store={"url": postgresql_url}))
    assert found["doctor.processes"][-1].what == "at work: 1 worker"
    for code in ("backlog", "dead", "lanes", "leases", "tree", "anchors"):
        [told] = found[f"doctor.{code}"]
        assert (told.level, told.what.startswith(f"not looked at: the database has schema {revision},")) == ("warning", True)


def test_a_server_without_checksums_is_doubtful(tmp_path):
    """Of 300 records in damaged pages it read 300, and nobody was told. Debian's server of PostgreSQL 15 to 17 is made so."""
    with PostgreSQL() as server:
        server.stop()
        with contextlib.suppress(ServiceFailed):  # it has none
            server._run([str(server.programs / "pg_checksums"), "--disable", "--no-sync", "-D", str(server.data)], _environment())
        server.start()
        told = examined(write(tmp_path, store={"url": server.new_database()}))["doctor.store-settings"]
    assert [(one.level, "data_checksums" in one.what) for one in told] == [("warning", True), ("ok", False)]
    assert "pg_checksums --enable" in told[0].next


@pytest.fixture
def standby_named(postgresql, postgresql_url):
    """A server whose commits wait for a standby that there is not."""
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True, options="-c synchronous_commit=local") as raw:
        name = "SELECT 1 FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting = %s"
        raw.execute("ALTER SYSTEM SET synchronous_standby_names = 'gemello'")
        try:
            raw.execute("SELECT pg_reload_conf()")
            until(lambda: raw.execute(name, ["gemello"]).fetchone())
            yield raw
        finally:
            raw.execute("ALTER SYSTEM RESET synchronous_standby_names")
            raw.execute("SELECT pg_reload_conf()")
            until(lambda: raw.execute(name, [""]).fetchone())


def test_a_standby_that_is_to_confirm_commits_and_is_not_there_is_told(tmp_path, postgresql_url, standby_named):
    """Every commit waits for it, and all else was well."""
    path = write(tmp_path, store={"url": postgresql_url})
    with psycopg.connect(postgresql_url, autocommit=True) as writer:
        thread = threading.Thread(target=writer.execute, args=["INSERT INTO marks (name, value) VALUES ('prova', '')"])
        thread.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'SyncRep'"
        until(lambda: standby_named.execute(waits, [writer.info.backend_pid]).fetchone())
        [told] = examined(path)["doctor.store-standby"]
        standby_named.execute("SELECT pg_cancel_backend(%s)", [writer.info.backend_pid])
        thread.join(20)
    assert told.level == "wrong"
    assert told.what.startswith("synchronous_standby_names is 'gemello', and no such standby confirms commits")
    assert told.what.endswith("sessions of the bus that wait in a commit: 1")
    assert told.next == "start the standby, or take it out of synchronous_standby_names and reload the server"


def test_a_plain_user_is_told_of_the_standby_too(tmp_path, postgresql_url, standby_named):
    standby_named.execute("CREATE ROLE piano LOGIN")
    try:
        standby_named.execute("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO piano")
        found = examined(write(tmp_path, store={"url": postgresql_url.replace("snodo@", "piano@")}))
    finally:
        standby_named.execute("DROP OWNED BY piano")
        standby_named.execute("DROP ROLE piano")
    assert levels(found, "doctor.store-standby") == ["wrong"]


def test_a_commit_that_no_standby_confirms_for_long_is_doubtful(tmp_path):
    at = Surroundings(tmp_path, lambda: dt.datetime.now(dt.UTC), store=Mock(where="qui"))
    for longest, level in ((0, "ok"), (60, "warning")):
        at.store.standbys = Standbys("gemello", lacking=False, waiting=1, longest=dt.timedelta(seconds=longest))
        [told] = database.standby(at)
        assert (told.level, "perhaps" in told.what) == (level, level == "warning")


def test_a_record_that_comes_while_it_looks_is_no_doubt_of_the_clock(url, monkeypatch):
    """Where the figures took more than a second, a bus at work wrote meanwhile what seemed to be of later than now."""
    open_store(url).close()
    told, figures = [], survey._figures

    def looked(*asked):
        found, missed = figures(*asked)
        told.append(dt.datetime.now(dt.UTC))
        return {**found, "time_of_last_record": [{"time": text_of(told[0])}]}, missed

    monkeypatch.setattr(survey, "_figures", looked)
    assert survey.survey(url).now >= told[0]
