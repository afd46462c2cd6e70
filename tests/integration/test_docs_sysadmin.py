"""The sysadmin's pages, played: every block of commands runs, in the order of the pages, against a real PostgreSQL and a real RabbitMQ.

A block after a line "*Not run by the tests*" needs root, systemd or more; what it names is checked all the same (commands and options
of all pages: `tests/unit/test_docs_commands.py`).
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bus.client import Client
from bus.testing.ports import free_port
from tests.servers import PostgreSQL, RabbitMQ, ServiceMissing
from tests.small_bus import Caller, key_of, running, write

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "docs/sysadmin" / name for name in ("production.md", "running.md")]
NOT_RUN = "*Not run by the tests*"


def blocks(page: Path) -> list[tuple[str, bool]]:
    """Each block of commands, and whether it is run."""
    found, before = [], 0
    text = page.read_text("utf-8")
    for block in re.finditer(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        prose = re.split(r"\n\n", text[before : block.start()].rstrip())[-1]
        found.append((block[1], not prose.startswith(NOT_RUN)))
        before = block.end()
    return found


# -- all of them --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_the_pages_name_exist(page):
    text = page.read_text("utf-8")
    for name in set(re.findall(r"deploy/[\w./@-]*\w", text)):
        assert (PROJECT / name).exists(), name


# -- the play -------------------------------------------------------------------------------------------------------------


class Machine:
    """A machine as the pages suppose it: servers with an administrator, settings, the commands of the units."""

    def __init__(self, folder: Path, postgresql: PostgreSQL, rabbitmq: RabbitMQ) -> None:
        self.folder, self.postgresql, self.rabbitmq = folder, postgresql, rabbitmq
        self.port = free_port()
        self.settings: dict[str, Any] = {}
        self.processes: list[subprocess.Popen[str]] = []
        self.environment = {
            **os.environ, **rabbitmq._environment(),
            "PATH": f"{Path(sys.executable).parent}:{postgresql.programs}:/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PGHOST": "127.0.0.1", "PGPORT": str(postgresql.port), "PGUSER": "postgres", "NO_COLOR": "1",
            "OWNER_PASSWORD": "prova-uno", "BUS_PASSWORD": "prova-due", "BROKER_PASSWORD": "prova-tre",
            "OWNER_URL": self.database("snodo_owner", "snodo"), "SNODO_STORE_URL": self.database("snodo:prova-due", "snodo"),
            "SNODO_CHANNEL_URL": f"amqp://snodo:prova-tre@127.0.0.1:{rabbitmq.port}/snodo",
            "ATTACHMENTS": str(folder / "etc/var/attachments"), "RESTORED_ATTACHMENTS": str(folder / "restored"),
            "KEY_STORE": str(folder / "etc/var/keys"), "MASTER_KEY": str(folder / "etc/var/master.key"),
            "RESTORED_URL": self.database("snodo_owner", "restored"), "SQLITE": str(folder / "old/var/snodo.db"),
            "SNODO_CONFIG": str(folder / "etc/config.yaml"), "SNODO_URL": f"http://127.0.0.1:{self.port}", "SNODO_KEY": key_of("sistemista"),
        }  # fmt: skip

    def database(self, who: str, name: str) -> str:
        return f"postgresql://{who}@127.0.0.1:{self.postgresql.port}/{name}"

    def run(self, block: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, unit: str, *more: str) -> None:
        """The command of a unit, as systemd starts it; returns at READY=1."""
        text = (PROJECT / "deploy/systemd" / unit).read_text("utf-8")
        command = (
            re.search(r"^ExecStart=/opt/snodo/bin/bus (.*)$", text, re.MULTILINE)[1]
            .replace("--port %i", f"--port {self.port}")
            .replace("--metrics-port %i", "--metrics-port 0")
        )
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            address = self.folder / f"notify{len(self.processes)}"
            address.unlink(missing_ok=True)
            told.bind(str(address))
            told.settimeout(120)
            full = [sys.executable, "-m", "bus.cli", *command.split(), *more]
            self.processes.append(
                subprocess.Popen(full, env={**self.environment, "NOTIFY_SOCKET": str(address)}, stdout=subprocess.PIPE, text=True)
            )
            assert told.recv(100) == b"READY=1"

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            assert process.wait(45) == 0
            process.stdout.close()
        self.processes.clear()


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    try:
        postgresql, rabbitmq = PostgreSQL(), RabbitMQ()
    except ServiceMissing as error:
        pytest.skip(f"NOT TESTED: {error}")
    with postgresql, rabbitmq:
        _as_delivered(postgresql, rabbitmq)
        made = Machine(folder, postgresql, rabbitmq)
        (folder / "deploy").symlink_to(PROJECT / "deploy")
        (folder / "old").mkdir()
        (folder / "etc").mkdir()
        write(folder / "old", http={"port": 0})
        made.settings = {
            "store": {"url": {"env": "SNODO_STORE_URL"}},
            "channel": {"url": {"env": "SNODO_CHANNEL_URL"}},
            "http": {"port": made.port},
        }
        write(folder / "etc", **made.settings)
        try:
            yield made
        finally:
            for process in made.processes:
                process.kill()
                process.wait()
                process.stdout.close()


def _as_delivered(postgresql: PostgreSQL, rabbitmq: RabbitMQ) -> None:
    """The test servers know a snodo already; a new machine does not, and asks for passwords: the pages show none to other users."""
    with psycopg.connect(postgresql.url, autocommit=True) as raw:
        raw.execute("CREATE ROLE postgres SUPERUSER LOGIN")
    rules = postgresql.data / "pg_hba.conf"
    rules.write_text("host all snodo,snodo_owner 127.0.0.1/32 scram-sha-256\n" + rules.read_text("utf-8"), "utf-8")
    with psycopg.connect(postgresql.url.replace("snodo@", "postgres@"), autocommit=True) as raw:
        raw.execute("ALTER ROLE snodo RENAME TO before")
        raw.execute("SELECT pg_reload_conf()")
    rabbitmq.evaluate('rabbit_vhost:delete(<<"snodo">>, <<"test">>)')
    rabbitmq.evaluate('rabbit_auth_backend_internal:delete_user(<<"snodo">>, <<"test">>)')


def bring_back_the_key_store(machine: Machine) -> None:
    """The backup of the key store put in the place of the real one, as the page says for when it is lost."""
    for place, backup in (("KEY_STORE", "keys.backup"), ("MASTER_KEY", "master.key.backup")):
        machine.run(f'rm -r "${place}"; cp -a {backup} "${place}"')


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_pages_played_from_top_to_bottom(machine):
    roles, broker, keys, look_around, first = (block for block, is_run in blocks(PAGES[0]) if is_run)
    watch, migrate, backup, restore, sqlite_backup, sqlite_restore, copy = (block for block, is_run in blocks(PAGES[1]) if is_run)

    machine.run(roles)
    machine.run(broker)
    assert machine.run(keys).count("sha256: ") == 3
    (machine.folder / "etc/var/attachments").mkdir(parents=True)
    seen = machine.run(look_around)
    assert [line for line in seen.splitlines() if line.startswith("wrong")] == []
    assert "the user snodo can add records, and neither change nor delete them" in seen

    for unit in ("snodo-web@.service", "snodo-worker@.service", "snodo-worker@.service"):
        machine.start(unit)
    told = machine.run(first.replace("sito.catalogo.richiesto", "prova.saluto").replace('"motivo"', '"nome"'))
    assert "at work: 1 web, 2 worker" in told
    message = json.loads(told[told.index('{\n  "id"') :].partition("\n}\n")[0] + "}")["id"]
    with Client(machine.environment["SNODO_URL"], key_of("sistemista")) as client:
        assert client.wait_for(message)["reply"] == {"saluto": "ciao prima prova"}

    assert 'snodo_messages_accepted_total{type="prova.saluto"} 1.0' in machine.run(watch)
    machine.stop()
    machine.run(migrate)
    machine.run(backup)
    machine.run(backup)  # over the copy of yesterday
    assert not (machine.folder / "keys.backup/keys").exists()
    machine.run(restore)
    bring_back_the_key_store(machine)
    machine.environment["SNODO_STORE_URL"] = machine.database("snodo:prova-due", "restored")
    machine.start("snodo-web@.service")
    with Client(machine.environment["SNODO_URL"], key_of("sistemista")) as client:
        assert client.wait_for(message)["reply"] == {"saluto": "ciao prima prova"}
    machine.stop()

    with running(machine.folder / "old") as server:
        waits = Caller(server.port)("POST", "/messages", {"type": "prova.attesa", "data": {"nome": "Ada"}}).json["id"]
    machine.run(sqlite_backup)
    (machine.folder / "old/var/snodo.db-wal").write_bytes(b"of the file that was killed")
    database, user = machine.folder / "old/var/snodo.db", os.geteuid() or 10001
    os.chown(database, user, -1)
    machine.run(sqlite_restore)  # by root, of a file of the user of the bus
    assert (database.stat().st_uid, database.stat().st_mode & 0o077) == (user, 0)
    os.chown(database, os.geteuid(), -1)
    assert [path.name for path in (machine.folder / "old/var").glob("snodo.db*")] == ["snodo.db"]
    machine.run("createdb --owner=snodo_owner fresh")
    for name, who in (("OWNER_URL", "snodo_owner"), ("SNODO_STORE_URL", "snodo:prova-due")):
        machine.environment[name] = machine.database(who, "fresh")
    machine.run('PGPASSWORD="$OWNER_PASSWORD" psql --quiet --command="GRANT USAGE ON SCHEMA public TO snodo" "$OWNER_URL"')
    machine.run('mv "$KEY_STORE" keys.before; mv "$MASTER_KEY" master.key.before')  # a new machine has none
    machine.run(look_around)
    machine.run('mv keys.before "$KEY_STORE"; mv master.key.before "$MASTER_KEY"')
    with pytest.raises(AssertionError, match="is not the key store of this database"):
        machine.run(copy)
    old = machine.folder / "old/var"
    keys_and_log = {"keystore": {"folder": f"{old}/keys", "master": f"{old}/master.key"}, "log": {"key": f"{old}/log.key"}}
    write(machine.folder / "etc", **machine.settings, **keys_and_log)
    machine.run(copy)
    for unit in ("snodo-web@.service", "snodo-worker@.service"):
        machine.start(unit)
    with Client(machine.environment["SNODO_URL"], key_of("portale")) as client:
        client.send("prova.sveglia", {"nome": "Ada"})
        assert client.wait_for(waits)["reply"] == {"svegliato": "Ada"}
    machine.stop()
