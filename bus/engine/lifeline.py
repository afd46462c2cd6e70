"""What tells the other processes of a machine for sure that one is no more: its name, and a file that it keeps locked as long as it lives.

The name under which a process claims has its number, which means nothing in another container. There its *lifeline* counts, such a file:
the kernel drops the lock when the process ends, however it ends, and not before: one that is stopped keeps it. That is so where one kernel
keeps all locks: for the same boot of the same machine, in a folder on a local file system. Of anything else nothing is known.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
from contextlib import suppress
from pathlib import Path

from bus.diagnostics import logger
from bus.disk import FOLDER_OWNER_ONLY, OWNER_ONLY, READ_ONLY, filesystem
from bus.message import new_id

FOLDER = ".snodo-processes"
LOCAL = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"})
"""File systems whose locks this kernel keeps, and nobody else."""


def new_identity() -> str:
    """A name for this process, by which `gone` knows it again: ``<id>@<machine>.<process>.<its start>``."""
    return f"{new_id()}@{_machine()}.{os.getpid()}.{_started(os.getpid())}"


def gone(identity: str) -> bool:
    """Whether the process of that name surely is no more; false for those of other machines, of which nobody here can know."""
    machine, _, process = identity.rpartition("@")[2].partition(".")
    pid, _, started = process.partition(".")
    return bool(started) and bool(machine) and machine == _machine() and pid.isdecimal() and _started(int(pid)) != started


def _machine() -> str:
    """This boot of this machine, and the namespace in which its process numbers count; empty where that cannot be told.

    That is where there is no ``/proc``, or where it is that of another namespace: the numbers in it are of other processes.
    """
    try:
        if str(Path("/proc/self").readlink()) != str(os.getpid()):
            return ""
        facts = (
            socket.gethostname(),
            Path("/proc/sys/kernel/random/boot_id").read_text("ascii"),
            str(Path("/proc/self/ns/pid").readlink()),
        )
    except OSError:
        return ""
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]


def _started(pid: int) -> str:
    """When a process began, in ticks since the machine did; empty when there is none, or only what its parent has not yet taken note of."""
    try:
        state, *facts = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else facts[18]


class Lifelines:
    """The lifelines of all processes that share ``folder``; there are none where its file system is not local. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._held: int | None = None

    def hold(self, identity: str) -> None:
        """Hold one for this process from now on. Where that cannot be, the others wait for its leases, as on another machine."""
        try:
            self._folder.mkdir(FOLDER_OWNER_ONLY, exist_ok=True)
            if filesystem(self._folder) not in LOCAL:
                return
            self._clean()
            self._held = os.open(self._path(identity), os.O_CREAT | os.O_EXCL | os.O_RDWR, OWNER_ONLY)
            fcntl.flock(self._held, fcntl.LOCK_EX)
            os.write(self._held, _mark(self._held))
        except OSError as error:
            hint = READ_ONLY if error.errno == errno.EROFS else "may the user of the bus write in the folder of attachments?"
            logger("snodo.presence").warning("process.no-lifeline", error=str(error), hint=hint)

    def is_cut(self, identity: str) -> bool:
        """Whether the process of that name surely is no more."""
        try:
            found = os.open(self._path(identity), os.O_RDWR)
        except OSError:
            return False
        try:
            if os.read(found, 256) != _mark(found):  # of another boot, or a copy that nobody ever locked
                return False
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(found)
        return True

    def drop(self, identity: str) -> None:
        """Take away the lifeline of a process that has ended."""
        with suppress(OSError):
            self._path(identity).unlink()

    def _path(self, identity: str) -> Path:
        return self._folder / identity.partition("@")[0].replace("/", "")

    def _clean(self) -> None:
        """Drop those of earlier boots."""
        boot = _boot()
        for path in self._folder.iterdir():
            with suppress(OSError):  # others clean too, and drop their own
                if boot and path.read_bytes()[: len(boot)] not in (b"", boot):
                    path.unlink()


def _boot() -> bytes:
    return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()


def _mark(file: int) -> bytes:
    """What only this very file says, during this boot."""
    facts = os.fstat(file)
    return _boot() + f" {facts.st_dev}:{facts.st_ino}".encode()
