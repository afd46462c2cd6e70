"""Processes of a benchmark: started, asked, measured, stopped. Each ends with this process."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROJECT = Path(__file__).parents[1]
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Process:
    """``python -m module arguments``; ``ready`` is the first line it prints."""

    def __init__(self, module: str, *arguments: str, log: Path) -> None:
        self.module, self._log = module, log
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment,
                preexec_fn=lambda: _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM),  # noqa: PLW1509 - we have no other threads
            )  # fmt: skip
        self.ready = self.line()

    @property
    def port(self) -> int:
        return int(self.ready)

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self) -> str:
        """The next line it prints; raises RuntimeError when it ends instead."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline().decode().strip()
        if not said:
            raise RuntimeError(f"{self.module} ended: {self._log.read_text(errors='replace')[-3000:]}")
        return said

    def order(self, what: dict[str, Any]) -> dict[str, Any]:
        """Write one line, read one line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self.line())
        return told

    def cpu(self) -> float:
        """Seconds of CPU so far, user and system, of all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Resident memory, in MB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def children(pid: int, named: str) -> list[int]:
    """The processes that a process started, of those whose command begins so."""
    found = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    return [int(child) for child in found if Path(f"/proc/{child}/cmdline").read_text().startswith(named)]


def cpu_of(pids: list[int]) -> float:
    """Seconds of CPU so far of processes of one thread."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def ask(port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None, seconds: float = 300) -> Any:
    """One HTTP request to a process of ours; the JSON it answers."""
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, headers=headers or {})
    with _opener.open(asked, timeout=seconds) as answer:
        return json.loads(answer.read())
