"""Start, spoil, question and kill simulators from tests and from the demonstration. Standard library only.

Each simulator is a process of its own (``python -m <module>``) that ends when this process does. See `adapters.simulator`
for what it answers under ``/_control/``.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from bus.testing.ports import free_port

READY_SECONDS = 120.0
PATIENCE = 60.0
"""Seconds for what a simulator is waited for."""
opener = build_opener(ProxyHandler({}))
"""Asks servers of this machine, whatever proxy the environment names."""


def environment() -> dict[str, str]:
    """The environment of a process that is to find the modules that this one finds."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), *sys.path])}


def first_line(process: subprocess.Popen[bytes], within: float) -> bytes:
    """What a process says first on its standard output; empty when it ends, or so many seconds pass, without a word."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return process.stdout.readline() if selector.select(within) else b""


def ended(process: subprocess.Popen[bytes], within: float) -> None:
    """Wait for a process that was told to end; one that does not is killed."""
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


class SimulatorFailed(Exception):
    """A simulator did not get ready; the text holds what it printed."""


class RunningSimulator:
    """One simulator process. ``facts`` is its ready line: ``{"name", "url", "pid", ...}``."""

    def __init__(self, module: str, folder: Path, arguments: tuple[str, ...], port: int) -> None:
        self.module, self.folder, self.arguments, self.port = module, folder, arguments, port
        self._second = free_port()
        self.facts: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._begin()

    @property
    def url(self) -> str:
        """Where the system is, such as ``http://127.0.0.1:40001``."""
        return str(self.facts["url"])

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def faults(self, faults: list[dict[str, Any]]) -> None:
        """Add faults; raises `SimulatorFailed` when one is not understood."""
        self._ask("POST", "faults", faults)

    def clear(self) -> None:
        """End all faults."""
        self._ask("DELETE", "faults")

    def ledger(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The effects (of one kind), oldest first: ``{id, kind, key, detail, time}``."""
        found: list[dict[str, Any]] = self._ask("GET", "ledger" + (f"?kind={quote(kind)}" if kind else ""))
        return found

    def status(self) -> dict[str, Any]:
        """Name, process id, requests seen by operation, how many are pending, faults in force."""
        found: dict[str, Any] = self._ask("GET", "status")
        return found

    def wait_for_effects(self, count: int, kind: str | None = None) -> list[dict[str, Any]]:
        """The ledger as soon as it holds ``count`` effects; raises `SimulatorFailed` when it never does."""
        until = time.monotonic() + PATIENCE
        while len(found := self.ledger(kind)) < count:
            if time.monotonic() > until:
                raise SimulatorFailed(f"{self.module}: {len(found)} effects after {PATIENCE:g} s, {count} expected")
            time.sleep(0.01)
        return found

    def wait_until_quiet(self) -> None:
        """Returns when no request is being served and no late effect is due; raises `SimulatorFailed` when that never comes."""
        until = time.monotonic() + PATIENCE
        while self.status()["pending"]:
            if time.monotonic() > until:
                raise SimulatorFailed(f"{self.module}: still busy after {PATIENCE:g} s")
            time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it when it lives, then start it again on the same port and folder."""
        self.kill()
        self._begin()

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        given = ["--port", str(self.port), "--second-port", str(self._second), "--folder", str(self.folder), *self.arguments]
        errors = self.folder / "stderr.txt"
        self._process = self._launched(given, errors)
        line = first_line(self._process, READY_SECONDS)
        try:
            self.facts = json.loads(line)
        except ValueError:
            self.kill()
            said = errors.read_text(errors="replace")[-2000:]
            raise SimulatorFailed(f"{self.module} did not get ready: {said or repr(line[:200])}") from None

    def _launched(self, arguments: list[str], errors: Path) -> subprocess.Popen[bytes]:
        """The process, told to end when this one does; what it says besides goes to the end of ``errors``."""
        command = [sys.executable, "-m", self.module, "--with-parent", *arguments]
        with errors.open("ab") as said:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=environment())

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            ended(process, 20)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        url = f"{self.url}/_control/{path}"
        request = Request(url, data=content, method=method, headers={"Content-Type": "application/json"})
        try:
            with opener.open(request, timeout=30) as reply:
                return json.load(reply)
        except OSError as error:
            raise SimulatorFailed(f"{self.module}: {method} {path}: {error}") from error


def start(module: str, folder: Path, *arguments: str, port: int = 0) -> RunningSimulator:
    """Start ``python -m module`` with its ledger in ``folder`` and wait until it answers; ``port`` 0 takes a free one."""
    return RunningSimulator(module, folder, arguments, port or free_port())
