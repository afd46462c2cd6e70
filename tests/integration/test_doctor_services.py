"""`bus doctor` beside a real PostgreSQL and a real RabbitMQ, well and not well."""

from __future__ import annotations

from pathlib import Path

import kombu
import psycopg
import pytest

from bus import doctor
from bus.doctor.verdict import Verdict
from bus.errors import StoreError
from bus.store.opening import open_store
from bus.store.postgres_session import refusals
from tests.small_bus import write

NOWHERE = "postgresql://snodo@127.0.0.1:1/snodo"


def examined(path: Path) -> dict[str, list[Verdict]]:
    found: dict[str, list[Verdict]] = {}
    for verdict in doctor.examine(path):
        found.setdefault(verdict.code, []).append(verdict)
    return found


def levels(found: dict[str, list[Verdict]], code: str) -> list[str]:
    return [verdict.level for verdict in found.get(code, [])]


# -- RabbitMQ -----------------------------------------------------------------------------------------------------------


def test_a_broker_that_is_well_is_tried_and_left_as_it_was(tmp_path, rabbitmq, rabbitmq_url):
    before = rabbitmq.evaluate("length(rabbit_amqqueue:list())")
    found = examined(write(tmp_path, store={"url": NOWHERE}, channel={"url": rabbitmq_url}))
    assert levels(found, "doctor.channel") == levels(found, "doctor.channel-queue") == levels(found, "doctor.channel-alarm") == ["ok"]
    assert found["doctor.channel"][0].what.startswith("RabbitMQ 3.")
    assert rabbitmq.evaluate("length(rabbit_amqqueue:list())") == before


def test_a_broker_under_alarm_takes_nothing_and_doctor_says_so(tmp_path, rabbitmq, rabbitmq_url, monkeypatch):
    monkeypatch.setattr("bus.doctor.broker.WITHIN", 3.0)
    rabbitmq.raise_alarm()
    try:
        found = examined(write(tmp_path, store={"url": NOWHERE}, channel={"url": rabbitmq_url}))
    finally:
        rabbitmq.clear_alarm()
    assert levels(found, "doctor.channel-queue") == ["ok"]
    [alarm] = found["doctor.channel-alarm"]
    assert (alarm.level, alarm.next.split(";")[0]) == ("warning", "rabbitmq-diagnostics alarms")


def test_a_broker_that_does_not_let_us_in_is_exit_code_3_and_no_password_is_shown(tmp_path, rabbitmq, rabbitmq_url):
    found = examined(write(tmp_path, store={"url": NOWHERE}, channel={"url": rabbitmq_url.replace("snodo:snodo@", "snodo:segretissima@")}))
    assert levels(found, "doctor.channel") == ["wrong"]
    assert doctor.exit_code(found["doctor.channel"]) == 3
    assert "segretissima" not in repr(found)


def test_what_the_start_would_refuse_of_a_broker_is_told_with_the_same_remedy(tmp_path, rabbitmq_url, monkeypatch):
    def told(url: str, code: str = "doctor.channel") -> tuple[str, str]:
        [one] = [v for v in examined(write(tmp_path, store={"url": NOWHERE}, channel={"url": url}))[code] if v.level == "wrong"]
        return one.what, one.next

    what, remedy = told(rabbitmq_url.replace("snodo:snodo@", "snodo:altra@"))
    assert what == "the broker does not know our user or password"
    assert remedy.startswith("set channel.url to")
    assert "rabbitmqctl add_vhost nessuno" in told(f"{rabbitmq_url.rpartition('/')[0]}/nessuno")[1]
    with kombu.Connection(rabbitmq_url) as connection:
        kombu.Queue("snodo.runs", durable=True)(connection.channel()).declare()
    assert "rabbitmqctl delete_queue" in told(rabbitmq_url, "doctor.channel-queue")[1]
    monkeypatch.setattr("bus.channel.refusal.OLDEST", (99, 0))
    assert told(rabbitmq_url)[1] == "the bus needs RabbitMQ 3.10 or later: upgrade the broker"


@pytest.mark.parametrize("lacking", ["configure", "write", "read"])
def test_a_right_that_our_user_lacks_is_told_with_the_remedy(tmp_path, rabbitmq, rabbitmq_url, lacking):
    vhost = rabbitmq_url.rpartition("/")[2]
    rights = ", ".join('<<"^$">>' if right == lacking else '<<".*">>' for right in ("configure", "write", "read"))
    rabbitmq.evaluate(f'rabbit_auth_backend_internal:add_user(<<"{lacking}">>, <<"segreta">>, <<"test">>)')
    try:
        rabbitmq.evaluate(f'rabbit_auth_backend_internal:set_permissions(<<"{lacking}">>, <<"{vhost}">>, {rights}, <<"test">>)')
        url = rabbitmq_url.replace("snodo:snodo@", f"{lacking}:segreta@")
        found = examined(write(tmp_path, store={"url": NOWHERE}, channel={"url": url}))
    finally:
        rabbitmq.evaluate(f'rabbit_auth_backend_internal:delete_user(<<"{lacking}">>, <<"test">>)')
    wrong = [one for one in found["doctor.channel-queue"] if one.level == "wrong"]
    assert ["the broker forbids it"] == [one.what.partition(":")[0] for one in wrong]
    assert "rabbitmqctl set_permissions" in wrong[0].next
    assert "warning" not in levels(found, "doctor.channel-alarm")


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


@pytest.mark.parametrize(
    ("statement", "code", "what"),
    [
        ("ALTER DATABASE ours SET synchronous_commit = off", "store.unsafe", "synchronous_commit=off"),
        ("ALTER DATABASE ours SET search_path = nessuno", "store.schema", "no schema of this database is ours"),
    ],
)
def test_what_the_start_refuses_of_a_database_is_told_with_the_same_remedy(tmp_path, postgresql_url, statement, code, what):
    url = unsafe(postgresql_url, statement)
    with pytest.raises(StoreError) as refused:
        open_store(url)
    [told] = [one for one in examined(write(tmp_path, store={"url": url}))["doctor.store-settings"] if one.level == "wrong"]
    assert (refused.value.code, what in told.what) == (code, True)
    assert (told.what, told.next) == (refused.value.sentence, refused.value.hint)


def test_a_user_without_the_rights_to_a_new_table_is_refused_with_the_script_that_gives_them(tmp_path, postgresql, postgresql_url):
    """The commonest mistake of an upgrade: `bus migrate up` without the grants after it."""
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as raw:
        raw.execute("CREATE ROLE povero LOGIN")
        try:
            raw.execute("GRANT USAGE ON SCHEMA public TO povero")
            raw.execute("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO povero")
            raw.execute("REVOKE INSERT ON anchors FROM povero")
            url = postgresql_url.replace("snodo@", "povero@")
            for lacking, code in (("", "doctor.store-settings"), ("REVOKE SELECT ON schema_revision FROM povero", "doctor.store")):
                raw.execute(lacking or "SELECT 1")
                with pytest.raises(StoreError) as refused:
                    open_store(url)
                [told] = [one for one in examined(write(tmp_path, store={"url": url}))[code] if one.level == "wrong"]
                assert (refused.value.code, refused.value.hint) == ("store.rights", told.next)
                assert "deploy/postgresql/grants.sql" in told.next
                assert ("anchors" in told.what) is (not lacking)
        finally:
            raw.execute("DROP OWNED BY povero")
            raw.execute("DROP ROLE povero")


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
    }
    assert list(refusals(facts, 7)) == []
    [pooled] = refusals(facts, 8)
    assert pooled.code == "store.pooled"
    assert [one.code for one in refusals({**facts, "encoding": "LATIN1", "standby": True, "fsync": "off"}, 7)] == [
        "store.encoding",
        "store.standby",
        "store.unsafe",
    ]
