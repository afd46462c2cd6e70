"""Processes that are born with their modules loaded: forked by a process that has imported them and does nothing else.

Importing is nine tenths of what a start costs, and the tests start some five hundred processes of the bus and of its systems. Those
born here are processes like those of ``python -m``: number, settings, signals, end. `tests.fault.__main__` measures starts and takes
none of these; that a start finds what it needs is shown by the tests of the command line, of the demonstration and of each adapter.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import subprocess
import sys
import threading
from multiprocessing import connection, forkserver, get_context
from pathlib import Path
from typing import BinaryIO

from bus import failpoint
from bus.testing.simulators import RunningSimulator

PROJECT = Path(__file__).parents[1]
LOADED = (
    "adapters.pagopa.inbound", "adapters.simulator", "adapters.soap.server", "adapters.database", "bus.app", "bus.channel.line",
    "bus.channel.publisher", "bus.cli.failures", "bus.cli.serve", "bus.store.opening", "bus.store.postgres", "bus.store.sqlite",
    "bus.web.door", "bus.web.serve", "bus.worker", "cel_expr_python.cel", "cel_expr_python.ext.ext_math",
    "cryptography.hazmat.primitives.asymmetric.ed25519", "cryptography.hazmat.primitives.ciphers.aead", "kombu.connection",
    "kombu.messaging", "kombu.transport.memory", "kombu.transport.pyamqp", "requests", "sqlalchemy.dialects.postgresql.psycopg",
    "tests.fault.killer", "tests.fault.sistema", "tests.nursery", "typer._adapters", "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl", "zeep",
)  # fmt: skip
_context = get_context("forkserver")
_context.set_forkserver_preload([*LOADED])
_turn = threading.Lock()
"""The exit code of a process can be read once, and each start looks whether those of before have ended."""
_PR_SET_PDEATHSIG = 1


class Born:
    """``python -m module arguments``; what `subprocess.Popen` is to a process, of it only what the tests use."""

    stdin = None

    def __init__(self, module: str, arguments: list[str], environment: dict[str, str], errors: Path) -> None:
        reader, writer = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_live, args=(module, arguments, environment, str(errors), writer), daemon=True)
        with reader:
            with writer, _turn:
                self._process.start()
            self.stdout: BinaryIO = os.fdopen(os.dup(reader.fileno()), "rb", buffering=0)
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it lives."""
        with _turn:
            return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """The exit code; raises `subprocess.TimeoutExpired`."""
        connection.wait([self._process.sentinel], seconds)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", seconds or 0.0)
        return code

    def send_signal(self, what: signal.Signals) -> None:
        """Nothing when it is dead."""
        if self.poll() is None:
            os.kill(self.pid, what)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class BornSimulator(RunningSimulator):
    """A simulator that is born, also when it is started again."""

    def _launched(self, arguments: list[str], errors: Path) -> Born:
        return Born(self.module, arguments, dict(os.environ), errors)


def _live(module: str, arguments: list[str], environment: dict[str, str], errors: str, output: connection.Connection) -> None:
    """In the process that was born: the kernel ends it with the one that bore it, and that one ends with the tests."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]  # whoever has it keeps the one that bore us
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests that run under nohup ignore it, and so would whoever they bear
    assert Path(failpoint.__file__).is_relative_to(PROJECT), "another bus was loaded"
    with open(errors, "ab") as said:  # noqa: PTH123 - one call as in the shell
        os.dup2(said.fileno(), 2)
    os.dup2(output.fileno(), 1)
    output.close()
    os.environ.clear()
    os.environ.update(environment)
    failpoint._armed = failpoint._parse(environment.get(failpoint.VARIABLE, ""))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
