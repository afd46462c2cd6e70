"""The guard: nothing leaves this process. Armed once, for the rest of the process's life.

Python tells of each socket, name look-up and child process before it is made (audit events), and the guard refuses them all. It cannot
be taken off. What it does not see is a line that C code opens by itself; here that is libpq's, to the database that the settings name,
and SQLite needs none. The one name that may be looked up is that of the database's host (`only_host`), once it is known.
"""

from __future__ import annotations

import sys
from typing import Any

from bus.errors import SnodoError

_REFUSED = ("socket.", "subprocess.", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "urllib.Request")
_WINDOWLESS = frozenset({"socket.gethostname"})
"""Asks the machine its name; nothing is opened."""
_armed = False
_hosts: frozenset[str] | None = None


class EgressRefused(SnodoError):
    """Something tried to leave a process that recomputes."""

    default_code = "replay.egress"


def arm() -> None:
    """Refuse every socket and every child process from here on."""
    global _armed
    if not _armed:
        _armed = True
        sys.addaudithook(_refuse)


def only_host(hosts: frozenset[str]) -> None:
    """Names that may be looked up: those of the database's hosts. Said once; later words change nothing."""
    global _hosts
    if _hosts is None:
        _hosts = hosts


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo" and arguments[0] in (_hosts or ()):
        return
    if event.startswith(_REFUSED) and event not in _WINDOWLESS:
        raise EgressRefused(
            f"{event} was refused: nothing may leave a process that recomputes",
            hint="who tried it is a defect of the rules' adapters or of the bus",
        )
