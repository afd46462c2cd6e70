"""Processes of the bus that are born with their modules loaded: forked by a process that has imported them and does nothing else.

Importing is nine tenths of what a start costs, and the suite starts some three hundred. They are processes like those of
``python -m bus.cli``: number, command line of the bus, settings, signals, end. `tests.fault.__main__` measures starts and takes none of
these; that a start imports what it needs is shown by the tests of the command line and of a whole town.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

from bus import failpoint

PROJECT = Path(__file__).parents[2]
LOADED = (
    "bus.app", "bus.channel.line", "bus.channel.publisher", "bus.cli.failures", "bus.cli.serve", "bus.store.opening", "bus.store.postgres",
    "bus.store.sqlite", "bus.web.door", "bus.web.serve", "bus.worker", "cel_expr_python.cel", "cel_expr_python.ext.ext_math",
    "cryptography.hazmat.primitives.asymmetric.ed25519", "cryptography.hazmat.primitives.ciphers.aead", "kombu.connection", "kombu.messaging", "kombu.transport.memory", "kombu.transport.pyamqp",
    "tests.fault.killer", "tests.fault.nursery", "tests.fault.sistema", "typer._adapters", "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
)  # fmt: skip
_context = get_context("forkserver")
_context.set_forkserver_preload([*LOADED])
_PR_SET_PDEATHSIG = 1


class Born:
    """What `subprocess.Popen` is to a process that was started: of it only what the suite uses."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        reader, writer = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_live, args=(arguments, environment, str(log), writer), daemon=True)
        with reader:
            with writer:
                self._process.start()
            self.stdout: BinaryIO = os.fdopen(os.dup(reader.fileno()), "rb", buffering=0)
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it lives."""
        return self._process.exitcode

    def wait(self, seconds: float) -> int:
        """The exit code; raises `subprocess.TimeoutExpired`."""
        self._process.join(seconds)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("bus", seconds)
        return code

    def send_signal(self, what: signal.Signals) -> None:
        """Nothing when it is dead."""
        if self.poll() is None:
            os.kill(self.pid, what)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _live(arguments: list[str], environment: dict[str, str], log: str, output: Connection) -> None:
    """``bus ARGUMENTS``, in the process that was born for it; the kernel ends it with the one that bore it, and that one ends with the tests."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    assert Path(failpoint.__file__).is_relative_to(PROJECT), "another bus was loaded"
    with open(log, "ab") as errors:  # noqa: PTH123 - one call as in the shell
        os.dup2(errors.fileno(), 2)
    os.dup2(output.fileno(), 1)
    output.close()
    os.environ.clear()
    os.environ.update(environment)
    failpoint._armed = failpoint._parse(environment.get(failpoint.VARIABLE, ""))
    sys.argv = ["bus", *arguments]
    from bus.cli.__main__ import start

    start()
