"""A town to try the bus in: every outside system as a simulator in a process of its own, and a bus that talks to them.

The settings are those of ``config.yaml``, with the addresses and secrets of the simulators in the place of the real ones.
Used by ``bus demo`` and by the tests; everything is on loopback, in one folder, and ends with this process.
"""

from __future__ import annotations

import csv
import hashlib
import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn, Self
from urllib.request import Request

from bus import source
from bus.client import Client
from bus.testing.ports import free_port
from bus.testing.simulators import RunningSimulator, SimulatorFailed, ended, environment, first_line, opener, start

SYSTEMS = ("anagrafe", "protocollo", "edilizia", "pagopa", "scrivania", "notifiche", "sito", "esterni")
KEYS = {"portale": "portal", "sistemista": "sysadmin", "vicario": "sysadmin", "revisore": "auditor"}
SECRET = "chiave-di-prova"  # noqa: S105 - good for the simulators and nothing else
READY_SECONDS = 90.0
"""Enough for a machine that has much else to do."""


class Town:
    """Simulators, settings and one bus process. ``rules`` is the folder of ``config.yaml``, ``routes/`` and ``mappings/``.

    Use as a context manager, or call `open` and `close`. `changes` are laid over the settings (nested objects are merged).
    With ``workers`` the bus is one process for the doors and so many for the work: then `changes` name a store and a channel to share.
    """

    begin = staticmethod(start)
    """How a simulator is started: its module, its folder, its arguments. The tests have a quicker way."""

    def __init__(self, folder: Path, rules: Path, changes: dict[str, Any] | None = None, workers: int = 0) -> None:
        self.folder, self.rules, self.changes = folder, rules, changes or {}
        self.simulators: dict[str, RunningSimulator] = {}
        self.port = free_port()
        self.bus: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        self._many = workers
        self.config_path = folder / "config.yaml"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, name: str = "portale") -> Client:
        """A client with the key of ``portale``, ``sistemista``, ``vicario`` (a second sysadmin) or ``revisore``."""
        return Client(self.url, key_of(name))

    def open(self) -> Self:
        """Start the simulators side by side, write the settings, start the bus."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(len(SYSTEMS)) as pool:
            list(pool.map(self._start_system, SYSTEMS))
        self.config_path.write_text(json.dumps(self.settings(), indent=1), "utf-8")
        self.simulators["node"] = self._start_node()
        self.start_bus()
        return self

    def close(self) -> None:
        """Stop everything that was started."""
        self.stop_bus()
        with ThreadPoolExecutor(len(self.simulators) or 1) as pool:
            list(pool.map(RunningSimulator.stop, self.simulators.values()))

    def start_bus(self) -> None:
        """Start the bus and wait until it answers: ``bus serve``, or ``bus web`` and workers."""
        self.bus = self._launch("web" if self._many else "serve")
        self.workers = [self._launch("worker") for _ in range(self._many)]
        if not all(first_line(process, READY_SECONDS) for process in (self.bus, *self.workers)):
            self.stop_bus(signal.SIGKILL)
            raise SimulatorFailed(f"the bus did not start:\n{self._last_words()}")

    def attend(self) -> NoReturn:
        """Wait until the bus (its doors, where it is several processes) ends without being told to; raises `SimulatorFailed` then."""
        assert self.bus is not None
        code = self.bus.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise SimulatorFailed(f"the bus ended, which nobody here told it to ({how})\n{self._last_words()}".rstrip())

    def _last_words(self) -> str:
        return (self.folder / "bus.log").read_text("utf-8", "replace")[-3000:]

    def stop_bus(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End all processes of the bus: SIGTERM in good order, SIGKILL as a crash."""
        running = [process for process in (self.bus, *self.workers) if process is not None]
        for process in running:
            process.send_signal(how)
        for process in running:
            ended(process, 60)
        self.bus, self.workers = None, []

    def _launch(self, command: str) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "bus.cli", command, "--config", str(self.config_path)]
        with (self.folder / "bus.log").open("ab") as errors:
            return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, env=environment())

    def pay(self, notice: str, **how: Any) -> dict[str, Any]:
        """A citizen pays a notice: the simulated node verifies, activates and sends the receipt; returns its story."""
        body = json.dumps({"noticeNumber": notice, **how}).encode()
        asked = Request(f"{self.simulators['node'].url}/pay", body, {"Content-Type": "application/json"})
        with opener.open(asked, timeout=60) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    def settings(self) -> dict[str, Any]:
        """``config.yaml`` with this town's addresses."""
        settings: dict[str, Any] = source.read_file(self.rules / "config.yaml").plain()
        settings.update(
            adapters={name: {**said, **self._address_of(name)} for name, said in settings["adapters"].items() if name in SYSTEMS},
            rules=str(self.rules.resolve()),
            http={**settings.get("http", {}), "port": self.port},
            keys=[{"name": name, "role": role, "sha256": hashlib.sha256(key_of(name).encode()).hexdigest()} for name, role in KEYS.items()],
        )
        return merged(settings, self.changes)

    def _address_of(self, name: str) -> dict[str, Any]:
        simulator = self.simulators[name]
        match name:
            case "edilizia":
                return {"url": simulator.facts["database"]}
            case "protocollo":
                return {"url": simulator.url, "password": "segreta-di-prova"}
            case "pagopa":
                return {"url": simulator.url, "subscription_key": SECRET}
            case "notifiche":
                return {"url": simulator.url, "chiave": SECRET, "smtp_port": simulator.facts["smtp_port"]}
            case "scrivania" | "sito":
                return {"url": simulator.url, "chiave": SECRET}
            case _:
                return {"url": simulator.url}

    def _start_system(self, name: str) -> None:
        arguments = ["--desks", str(self._write_desks())] if name == "scrivania" else []
        self.simulators[name] = self.begin(f"adapters.{name}.simulator", self.folder / name, *arguments)

    def _start_node(self) -> RunningSimulator:
        pagopa = self.settings()["adapters"]["pagopa"]
        names = ["--id-pa", pagopa["id_pa"], "--id-broker-pa", pagopa["id_broker_pa"], "--id-station", pagopa["id_station"]]
        return self.begin("adapters.pagopa.node", self.folder / "node", "--target", f"{self.url}/in/pagopa", *names)

    def _write_desks(self) -> Path:
        """One desk and two employees for each office of the table ``uffici``."""
        with (self.rules / "mappings/tables/uffici.csv").open(encoding="utf-8", newline="") as file:
            offices = {
                row["codice"]: {
                    "aperto": True,
                    "scrivanie": [
                        {"scrivania": row["scrivania"], "servizi": ["*"], "impiegati": [f"{row['codice']}.{number}" for number in (1, 2)]}
                    ],
                }
                for row in csv.DictReader(file)
            }
        path = self.folder / "scrivanie.json"
        path.write_text(json.dumps(offices), "utf-8")
        return path

    def __enter__(self) -> Self:
        try:
            return self.open()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()


def key_of(name: str) -> str:
    """The API key of a caller in the town; long, and good for nothing elsewhere."""
    return f"snodo-{name}-" + hashlib.sha256(f"town {name}".encode()).hexdigest()[:32]


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """One object laid over another, nested objects merged."""
    both = dict(base)
    for name, value in changes.items():
        both[name] = merged(both[name], value) if isinstance(value, dict) and isinstance(both.get(name), dict) else value
    return both
