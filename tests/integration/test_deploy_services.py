"""The set-up files of deploy/, run on a real PostgreSQL and a real RabbitMQ."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import kombu
import psycopg
import pytest

from bus.errors import StoreError
from bus.store import migrate
from bus.store.opening import open_store
from bus.store.schema import REVISION

DEPLOY = Path(__file__).parents[2] / "deploy"


# -- RabbitMQ -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def set_up(rabbitmq):
    """The script as an administrator runs it, with names of its own: the test server's user is called snodo already."""
    text = (
        (DEPLOY / "rabbitmq/set-up.sh").read_text("utf-8").replace("vhost snodo", "vhost comune").replace("snodo snodo '", "snodo comune '")
    )
    text = text.replace("add_user snodo", "add_user comune").replace("--vhost comune snodo", "--vhost comune comune")
    script = rabbitmq.folder / "set-up.sh"
    script.write_text(text, "utf-8")
    rabbitmq._give(script)
    environment = {
        **rabbitmq._environment(),
        "PATH": "/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "SNODO_BROKER_PASSWORD": "una-prova",
    }
    yield lambda: rabbitmq._run(["sh", str(script)], environment)
    rabbitmq.evaluate('rabbit_vhost:delete(<<"comune">>, <<"test">>)')
    rabbitmq.evaluate('rabbit_auth_backend_internal:delete_user(<<"comune">>, <<"test">>)')


def test_the_user_of_the_bus_may_use_its_own_queues_and_no_others(rabbitmq, set_up):
    set_up()
    url = f"amqp://comune:una-prova@127.0.0.1:{rabbitmq.port}/comune"
    with kombu.Connection(url, transport_options={"confirm_publish": True}) as connection:
        own = kombu.Queue("snodo.runs", durable=True, queue_arguments={"x-queue-type": "quorum"})(connection.default_channel)
        own.declare()
        kombu.Producer(connection.default_channel).publish([], routing_key=own.name, mandatory=True, confirm_timeout=10)
        assert own.get(no_ack=True) is not None
    with kombu.Connection(url) as connection, pytest.raises(connection.channel_errors, match="ACCESS_REFUSED"):
        kombu.Queue("others", durable=True)(connection.default_channel).declare()


# -- PostgreSQL -----------------------------------------------------------------------------------------------------------


def psql(postgresql, text: str, *, url: str, **passwords: str) -> None:
    script = postgresql.folder / "set-up.sql"
    script.write_text(text, "utf-8")
    postgresql._give(script)
    command = [str(postgresql.programs / "psql"), "--no-psqlrc", "--quiet", f"--file={script}", url]
    postgresql._run(command, {"PATH": "/usr/bin:/bin", "HOME": str(postgresql.folder), **passwords})


def renamed(file: str) -> str:
    """With names of its own: the test server's administrator is called snodo already."""
    return re.sub(r"\bsnodo(?=_owner\b|\b)", "comune", (DEPLOY / "postgresql" / file).read_text("utf-8"))


@pytest.fixture
def roles(postgresql):
    """The two roles, the database, and the tables that the owner made; gives the URLs of owner and bus."""
    psql(postgresql, renamed("roles.sql"), url=postgresql.url, OWNER_PASSWORD="prova-uno", BUS_PASSWORD="prova-due")
    owner, bus = (
        f"postgresql://{name}:{word}@127.0.0.1:{postgresql.port}/comune"
        for name, word in (("comune_owner", "prova-uno"), ("comune", "prova-due"))
    )
    yield owner, bus
    postgresql.drop_database("/comune")
    with psycopg.connect(postgresql.url, autocommit=True) as raw:
        raw.execute("DROP ROLE comune_owner")
        raw.execute("DROP ROLE comune")


def test_the_bus_makes_no_tables(roles):
    _, bus = roles
    with psycopg.connect(bus) as raw, pytest.raises(psycopg.errors.InsufficientPrivilege):
        raw.execute("CREATE TABLE mia (x int)")


def test_the_bus_works_with_its_rights_and_migrates_nothing(postgresql, roles):
    """Whether a revision changes a table or, as 8, nothing but its number."""
    owner, bus = roles
    migrate.migrate(owner)
    psql(postgresql, renamed("grants.sql"), url=owner)
    open_store(bus).close()
    for to in (7, 6):
        with pytest.raises(StoreError) as refused:
            migrate.migrate(bus, to)
        assert refused.value.code == "store.rights"
    assert migrate.status(owner)[0] == REVISION


def test_a_script_that_fails_says_so(postgresql, roles):
    with pytest.raises(Exception, match="already exists"):
        psql(postgresql, renamed("roles.sql"), url=postgresql.url, OWNER_PASSWORD="x", BUS_PASSWORD="y")


def test_a_role_without_a_password_is_not_made(postgresql):
    with pytest.raises(Exception, match="syntax error"):
        psql(postgresql, renamed("roles.sql"), url=postgresql.url)


def test_the_shell_script_wants_a_password():
    done = subprocess.run(["sh", str(DEPLOY / "rabbitmq/set-up.sh")], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode != 0
    assert "SNODO_BROKER_PASSWORD" in done.stderr
