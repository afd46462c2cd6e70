"""Processes of the bus: what each role refuses at start, and what it says."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bus import worker
from bus.app import App, refuse_unsafe
from bus.cli import main
from bus.config import Config, load
from bus.diagnostics import configure
from bus.engine.arrival import Submission
from bus.errors import ConfigError
from bus.store.opening import doubts
from bus.web.serve import Server, listen
from tests.small_bus import wait_reply, write

SHARED = {"store": {"url": "postgresql://snodo@127.0.0.1/snodo"}, "channel": {"url": "amqp://snodo@127.0.0.1//"}}
ALONE: dict[str, Any] = {"store": {"url": "sqlite:///var/snodo.db"}, "channel": {"url": "memory://"}}


def config(**parts: Any) -> Config:
    return Config.model_validate({"organization": {"name": "Comune", "fiscal_code": "80001130857"}, **parts})


def test_everything_in_one_process_needs_nobody() -> None:
    refuse_unsafe(config(**ALONE), "all")
    refuse_unsafe(config(**SHARED), "all")


@pytest.mark.parametrize("role", ["web", "worker"])
@pytest.mark.parametrize("alone", ["store", "channel"])
def test_one_of_several_processes_refuses_what_only_one_can_use(role: Any, alone: str) -> None:
    with pytest.raises(ConfigError, match="bus serve") as refused:
        refuse_unsafe(config(**{**SHARED, alone: ALONE[alone]}), role)
    assert refused.value.code == "config.not-shared"


@pytest.mark.parametrize("role", ["web", "worker"])
def test_processes_that_share_may_start(role: Any) -> None:
    refuse_unsafe(config(**SHARED), role)


@pytest.mark.parametrize(
    ("url", "doubtful"),
    [
        ("postgresql://snodo@db.example/snodo", True),
        ("postgresql://snodo@db.example/snodo?sslmode=prefer", True),
        ("postgresql://snodo@db.example/snodo?sslmode=require", True),
        ("postgresql://snodo@127.0.0.1,db.example/snodo", True),
        ("postgresql://snodo@db.example/snodo?sslmode=verify-full", False),
        ("postgresql://snodo@127.0.0.1/snodo", False),
        ("postgresql:///snodo?host=/run/postgresql", False),
        ("sqlite:///var/snodo.db", False),
    ],
)
def test_a_database_elsewhere_that_shows_no_certificate_is_doubtful(url: str, doubtful: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert ["sslmode=verify-full" in one for one in doubts(url)] == [True] * doubtful


def test_an_app_that_refuses_its_settings_lets_go_of_the_database(tmp_path: Path) -> None:
    path = write(tmp_path)
    App(load(path), adapters={}).stop()
    right = load(path)
    wrong = right.model_copy(update={"log": right.log.model_copy(update={"origin": "altrove.example/registro"})})
    with pytest.raises(ConfigError, match="signs for"):
        App(wrong, adapters={})
    App(right, adapters={}).stop()


def test_what_is_doubtful_is_said_at_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    away = {"store": {"url": "postgresql://snodo@db.example/snodo"}, "channel": {"url": "amqp://snodo:segreta@broker.example/snodo"}}
    configure("warning")
    refuse_unsafe(config(**away), "web")
    said = capsys.readouterr()
    assert "sslmode=verify-full" in said.out + said.err
    assert "amqps://" in said.out + said.err


def test_a_secret_of_the_example_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNODO_STORE_URL", "postgresql://snodo:CHANGE-ME@127.0.0.1/snodo")
    path = write(tmp_path, store={"url": {"env": "SNODO_STORE_URL"}})
    with pytest.raises(ConfigError, match="SNODO_STORE_URL is still the example's"):
        load(path)
    load(path, secrets=False)


def test_all_secrets_of_the_example_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SNODO_STORE_URL", "SNODO_CHANNEL_URL"):
        monkeypatch.setenv(name, "amqp://snodo:CHANGE-ME@127.0.0.1")
    path = write(tmp_path, store={"url": {"env": "SNODO_STORE_URL"}}, channel={"url": {"env": "SNODO_CHANNEL_URL"}})
    with pytest.raises(ConfigError, match="SNODO_CHANNEL_URL, SNODO_STORE_URL are still the example's"):
        load(path)


def test_all_secrets_that_the_environment_lacks_are_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, store={"url": {"env": "SNODO_STORE_URL"}}, channel={"url": {"env": "SNODO_CHANNEL_URL"}})
    with pytest.raises(ConfigError, match="the environment has no SNODO_CHANNEL_URL, SNODO_STORE_URL"):
        load(path)


@pytest.mark.parametrize("command", ["web", "worker"])
def test_the_command_says_what_to_change(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--config", str(write(tmp_path)), "--json"]) == 2
    told = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert told["code"] == "config.not-shared"
    assert "postgresql://" in told["hint"]


def test_what_refuses_the_start_of_a_worker_is_told_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing that was not begun stands in the way of the end."""
    app = App(load(write(tmp_path)), adapters={})

    def refuse() -> None:
        raise ConfigError("the broker has no virtual host 'snodo'", code="config.channel", hint="rabbitmqctl add_vhost snodo")

    monkeypatch.setattr(app.channel, "check", refuse)
    with pytest.raises(ConfigError, match="no virtual host"):
        worker.run(app)
    App(load(tmp_path / "config.yaml"), adapters={}).stop()


def test_who_waits_for_a_reply_waits_no_longer_when_the_clock_is_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Back(dt.datetime):
        """A clock that loses an hour at each look."""

        looks = 0

        @classmethod
        def now(cls, tz: Any = None) -> dt.datetime:
            cls.looks += 1
            return dt.datetime(2026, 1, 1, tzinfo=tz) - dt.timedelta(hours=cls.looks)

    app = App(load(write(tmp_path)), adapters={})
    app.start()
    try:
        sent = app.send(Submission("prova.silenzio", {"nome": "Ada"}, "portale", role="portal")).result(30)
        monkeypatch.setattr(app, "message", lambda identity: {"reply": None, "state": "waiting"})
        monkeypatch.setattr("bus.app.dt", SimpleNamespace(datetime=Back, timedelta=dt.timedelta, UTC=dt.UTC))
        begun = time.monotonic()
        wait_reply(app, sent.id, 0.5)
        assert 0.5 <= time.monotonic() - begun < 20
    finally:
        monkeypatch.undo()
        app.stop()


# -- the end --------------------------------------------------------------------------------------------------------------


def test_what_cannot_end_in_good_order_ends_all_the_same() -> None:
    """A database that hangs, and is neither there nor away, would keep its process for ever."""
    program = "import time; from bus.worker import bounded\nwith bounded(0.2): time.sleep(0.1)\nwith bounded(0.3): time.sleep(60)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert done.returncode == 1
    assert "stop.cut-short" in done.stdout + done.stderr


def test_a_door_that_is_told_to_stop_while_it_starts_does_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that says nothing may hold up the start for seconds."""
    app = App(load(write(tmp_path)), adapters={})
    server, start = Server(app, "127.0.0.1", 0), app.start

    def start_and_be_told() -> None:
        start()
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(app, "start", start_and_be_told)
    monkeypatch.setattr("bus.memory.settle", lambda: None)
    opened: list[str] = []
    server.run(opened.append)
    assert opened == []
    assert app.engine.alive() is False


@pytest.mark.parametrize("step", ["check", "consume"])
def test_a_door_whose_start_is_refused_half_way_says_why_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def refuse(*given: Any) -> None:
        raise ConfigError("the broker does not know us", code="config.channel")

    before = set(threading.enumerate())
    server = Server(App(load(write(tmp_path)), adapters={}), "127.0.0.1", 0)
    monkeypatch.setattr(server.app.channel, step, refuse)
    with pytest.raises(ConfigError, match="does not know us"):
        server.start()
    server.stop()
    assert [thread.name for thread in set(threading.enumerate()) - before if thread.is_alive()] == []
    listen("127.0.0.1", server.port).close()
    App(load(write(tmp_path)), adapters={}).stop()


# -- no more threads -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def threads_until(most: int) -> Iterator[None]:
    """As where the system gives a process so many more threads, and no other."""
    start, made = threading.Thread.start, itertools.count()

    def start_or_not(thread: threading.Thread) -> None:
        if next(made) >= most:
            raise RuntimeError("can't start new thread")
        start(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_or_not)
        yield


def served(folder: Path) -> bool:
    """Start a bus and tell it at once to stop; whether it opened."""
    opened: list[str] = []
    server = Server(App(load(write(folder)), adapters={}), "127.0.0.1", 0)
    server.run(lambda url: opened.append(url) or os.kill(os.getpid(), signal.SIGTERM))  # type: ignore[func-returns-value]
    return bool(opened)


def test_a_start_without_the_threads_for_it_leaves_nothing_behind_whichever_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.memory.settle", lambda: None)
    before, opened = set(threading.enumerate()), False
    for most in range(30):
        monkeypatch.setattr("bus.worker.signal.setitimer", lambda which, seconds: None)  # it would end us
        with threads_until(most):
            try:
                opened = served(tmp_path)
            except RuntimeError as error:
                assert str(error) == "can't start new thread"  # noqa: PT017 - it is the last that has none
        left = [thread for thread in set(threading.enumerate()) - before if "keys" not in thread.name]
        for thread in left:
            thread.join(10)  # it was told to end
        assert [thread.name for thread in left if thread.is_alive()] == []
        if opened:
            break
    assert most > 5
    assert opened
    assert served(tmp_path)


def test_the_command_says_that_there_are_no_threads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with threads_until(0):
        assert main(["serve", "--config", str(write(tmp_path)), "--json"]) == 3
    told = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert told["code"] == "cli.threads"
    assert "TasksMax" in told["hint"]


def test_a_process_that_gets_no_thread_to_watch_its_end_ends_all_the_same() -> None:
    program = """
import threading, time
from bus.worker import bounded
def refuse(thread): raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
with bounded(0.2): pass
time.sleep(0.5)
print("cancelled", flush=True)
with bounded(0.3): time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (-signal.SIGALRM, "cancelled\n")


@pytest.mark.parametrize(("before", "heard"), [(signal.SIG_DFL, [signal.SIGHUP]), (signal.SIG_IGN, [])])
def test_a_terminal_that_is_closed_ends_a_process_in_good_order_unless_it_was_started_to_outlive_it(before: Any, heard: list[int]) -> None:
    """The second is what nohup does."""
    told: list[int] = []
    was = signal.signal(signal.SIGHUP, before)
    try:
        with worker.heeding(lambda number, frame: told.append(number)):
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == before
    finally:
        signal.signal(signal.SIGHUP, was)
    assert told == heard


def test_the_first_process_of_a_container_ends_when_it_is_told_to_while_it_starts() -> None:
    """The kernel gives that one no signal that it does not ask for: podman waited out its 45 s, and killed it."""
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: this machine lets nobody make a namespace")
    program = "import bus.cli.__main__ as program; program.main = lambda: print('starts', flush=True) or input(); program.start()"
    with subprocess.Popen([*command, sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as outer:
        assert outer.stdout is not None
        assert outer.stdout.readline() == "starts\n"
        first = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text())
        os.kill(first, signal.SIGTERM)
        try:
            assert outer.wait(60) == 128 + signal.SIGTERM
        finally:
            outer.kill()
