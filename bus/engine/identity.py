"""The name under which a process claims, by which others on its machine can tell for sure that it is no more."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

from bus.message import new_id


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
