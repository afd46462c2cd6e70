"""A small bus as real processes, with its outside systems as real processes, in one of the two shapes it is run in.

``embedded``: one ``bus serve`` on SQLite. ``production``: ``bus web`` and workers on PostgreSQL and RabbitMQ. Everything is on
loopback, in one folder, and ends with this process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Self

from bus import config
from bus.client import Client, ClientError
from bus.failpoint import VARIABLE
from bus.log.keystore import unlock
from bus.store.opening import open_store
from bus.testing.ports import free_port
from bus.testing.simulators import RunningSimulator, first_line
from bus.testing.town import key_of, merged
from tests.fault import rules
from tests.fault.portal import Portal
from tests.nursery import Born, BornSimulator
from tests.servers import PostgreSQL, RabbitMQ, ServiceMissing

PROJECT = Path(__file__).parents[2]
Shape = Literal["embedded", "production"]
KEYS = {"portale": "portal", "sistemista": "sysadmin"}
ROLES: dict[Shape, tuple[str, ...]] = {"embedded": ("serve",), "production": ("web", "worker")}
LEASE = 2.0
READY_SECONDS = 120.0
_launcher = ThreadPoolExecutor(1, "house")
"""The kernel ends a child with the *thread* that started it: this one lives as long as the process."""


class Member:
    """One process of the bus: ``bus serve``, ``bus web`` or ``bus worker``; ``loaded``: with its modules (`tests.nursery`)."""

    def __init__(self, role: str, config_path: Path, log: Path, *, loaded: bool = False) -> None:
        self.role, self._config, self.log, self._loaded = role, config_path, log, loaded
        self.process: subprocess.Popen[bytes] | Born | None = None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, armed: str = "") -> bool:
        """Start it and wait until it is ready; false when an armed one died on the way."""
        ready = self.try_start(armed)
        if not ready and not armed:
            self.wait(60)
            raise AssertionError(f"bus {self.role} did not start:\n{self.log.read_text('utf-8', 'replace')[-3000:]}")
        return ready

    def try_start(self, armed: str = "") -> bool:
        """Start it and wait until it is ready, or has ended."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(PROJECT)]),
            "PYTHONDONTWRITEBYTECODE": "",  # it starts often, and as an installed one does: with its bytecode
            VARIABLE: armed,
        }
        arguments = [self.role.rstrip("0123456789"), "--config", str(self._config)]
        command = ["setpriv", "--pdeathsig=KILL", sys.executable, "-m", "bus.cli", *arguments]

        def launch() -> subprocess.Popen[bytes] | Born:
            if self._loaded:
                return Born("bus.cli", arguments, environment, self.log)
            with self.log.open("ab") as errors:
                return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment)

        if self.process is not None:
            self.kill()  # it ended by itself, and nobody has closed what it wrote on
        self.process = _launcher.submit(launch).result()
        return bool(first_line(self.process, READY_SECONDS))

    def wait(self, seconds: float) -> int:
        """The exit code of a process that ends by itself; raises `subprocess.TimeoutExpired`."""
        assert self.process is not None
        code = self.process.wait(seconds)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def signal(self, what: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(what)

    def kill(self) -> None:
        """SIGKILL, as a crash would; nothing when it is dead."""
        if self.process is not None:
            self.process.kill()
            self.wait(60)

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.wait(40)
            except subprocess.TimeoutExpired:
                self.kill()


class House:
    """Systems, settings, processes; use as a context manager. ``services`` are the PostgreSQL and RabbitMQ of the shape ``production``.

    ``loaded``: its processes start with their modules, as is cheap where no start is measured (`tests.nursery`).
    """

    def __init__(
        self, folder: Path, shape: Shape, changes: dict[str, Any] | None = None, workers: int = 1, *, loaded: bool = False
    ) -> None:
        self.folder, self.shape, self._changes, self._loaded = folder, shape, changes or {}, loaded
        self.port = free_port()
        self.config_path = folder / "config.yaml"
        self.systems: dict[str, RunningSimulator] = {}
        self.services: dict[str, Any] = {}
        names = ("serve",) if shape == "embedded" else ("web", *(f"worker{n or ''}" for n in range(workers)))
        self.members = {name: Member(name, self.config_path, folder / f"{name}.log", loaded=loaded) for name in names}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, name: str = "sistemista") -> Client:
        return Client(self.url, key_of(name), attempts=1, timeout=30)

    def open(self) -> Self:
        """Start the systems and the services, write the settings; no process of the bus yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.shape == "production":
            self.services = {"postgresql": PostgreSQL(), "rabbitmq": RabbitMQ()}
        simulator = BornSimulator if self._loaded else RunningSimulator
        with ThreadPoolExecutor(4) as pool:
            begun = [pool.submit(service.start) for service in self.services.values()]
            names = ("alfa", "beta")
            made = pool.map(lambda name: simulator("tests.fault.sistema_simulator", self.folder / name, (), free_port()), names)
            self.systems.update(zip(names, made, strict=True))
            for one in begun:
                one.result()
        rules.write(self.folder)
        self.config_path.write_text(json.dumps(merged(self._settings(), self._changes)), "utf-8")
        return self

    def start(self) -> None:
        """Start every process of the bus that does not run, side by side."""
        with ThreadPoolExecutor(len(self.members)) as pool:
            list(pool.map(lambda member: member.alive or member.start(), self.members.values()))

    def kill(self) -> None:
        """Kill every process of the bus."""
        for member in self.members.values():
            member.kill()

    def stop(self) -> None:
        """End every process of the bus in good order."""
        with ThreadPoolExecutor(len(self.members)) as pool:
            list(pool.map(Member.stop, self.members.values()))

    def close(self) -> None:
        self.kill()
        for system in self.systems.values():
            system.stop()
        for service in self.services.values():
            service.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def store(self) -> Any:
        """The store, opened by this process; no process of the bus may run."""
        settings = config.load(self.config_path)
        with contextlib.closing(open_store(settings.store.url)) as opened:
            unlock(opened, settings.keystore)
            yield opened

    def drained(self, within: float = 240.0) -> float:
        """Seconds until no run has anything to do or to wait for; fails with what is left when that does not come."""
        return self._rested(within, lambda operator: 0)[0]

    def drained_and_pardoned(self, within: float) -> tuple[float, int]:
        """`drained`, while an operator redelivers what was parked because three processes died over it; also how many runs that were.

        Not one after the other: a run that was parked with a call whose end nobody knows holds its lane, for which others wait.
        """
        return self._rested(within, _pardon)

    def _rested(self, within: float, act: Callable[[Client], int]) -> tuple[float, int]:
        begun, left, acts = time.monotonic(), [], 0
        with self.client() as operator:
            while time.monotonic() < begun + within:
                acted, left = act(operator), _open_runs(operator)
                acts += acted
                if not acted and left == [] and not any(system.status()["pending"] for system in self.systems.values()):
                    return time.monotonic() - begun, acts
                time.sleep(0.1)
        raise AssertionError(f"after {within} s there is still work: {left and left[:5]}\n{self.said()}")

    def said(self) -> str:
        """The last lines of what each process of the bus said."""
        return "\n".join(f"--- {name}\n{member.log.read_text('utf-8', 'replace')[-1500:]}" for name, member in self.members.items())

    def _settings(self) -> dict[str, Any]:
        where = {"store": {"url": f"sqlite:///{self.folder}/snodo.db"}}
        if self.shape == "production":
            database, broker = self.services["postgresql"], self.services["rabbitmq"]
            where = {"store": {"url": database.new_database()}, "channel": {"url": broker.url}}
        return {
            "organization": {"name": "Comune di Prova", "fiscal_code": "00000000000"},
            **where,
            "rules": str(self.folder),
            "attachments": {"folder": str(self.folder / "attachments")},
            "http": {"port": self.port},
            "keys": [{"name": n, "role": role, "sha256": hashlib.sha256(key_of(n).encode()).hexdigest()} for n, role in KEYS.items()],
            "engine": {"lease": LEASE, "sweep": 0.3},
            "log_level": "warning",
            "adapters": {name: {"use": "tests.fault.sistema:Sistema", "url": one.url} for name, one in self.systems.items()},
        }

    def __enter__(self) -> Self:
        try:
            return self.open()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def opened(folder: Path, shape: Shape, changes: dict[str, Any] | None = None, workers: int = 1) -> Iterator[tuple[House, Portal]]:
    """For tests: a house that is open, and a portal; skips, loudly, where PostgreSQL or RabbitMQ cannot be had."""
    import pytest

    with contextlib.ExitStack() as stack:
        try:
            house = stack.enter_context(House(folder, shape, changes, workers, loaded=True))
        except ServiceMissing as error:
            pytest.skip(f"NOT TESTED: {error}")
        portal = Portal(house.url, folder / "portal.jsonl")
        stack.callback(portal.close)
        yield house, portal


def _pardon(operator: Client) -> int:
    try:
        return sum(_redelivered(operator, one["id"]) for one in operator.get("/dead")["dead"] if one["reason"] == "run.poison")
    except Exception:  # the bus does not answer now
        return 0


def _redelivered(operator: Client, run: str) -> bool:
    """Redeliver a run, unless a `once` call of it is in doubt: that is for a person who looks at the other system."""
    try:
        operator.post(f"/dead/{run}/redeliver", {"reason": "it was the storm, not the message"})
    except ClientError as error:
        if error.code != "dead.in-doubt":
            raise
        return False
    return True


def _open_runs(operator: Client) -> list[Any] | None:
    """Some runs that are not over; None while the bus cannot say. Looks twice: a run may go from one state to another while we look."""
    try:
        for state in ("waiting", "ready", "running") * 2:
            if left := operator.get("/runs", state=state)["runs"]:
                return list(left)
    except Exception:
        return None
    return []
