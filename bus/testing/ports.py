"""Loopback ports for servers that are started, killed and started again on the same port by tests and trials."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

_FROM = 20_000


def free_port() -> int:
    """A port nobody listens on, that is this process's as long as it lives: `free_port` gives it to no other process either.

    Below the ports that the kernel gives to whoever asks for any, so that it stays free while its server is dead. What tells other
    processes is the name of a Unix socket in the abstract namespace, which the kernel forgets when we end, however we end.
    """
    ports = range(_FROM, _first_of_the_kernel())
    first: int = random.SystemRandom().randrange(len(ports))
    for step in range(len(ports)):
        port = ports[(first + step) % len(ports)]
        sign = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sign.bind(f"\0snodo-port-{port}")
            with socket.socket() as tried:
                tried.bind(("127.0.0.1", port))
        except OSError:
            sign.close()
            continue
        sign.detach()  # open until this process ends
        return port
    raise OSError("every port is taken")


def _first_of_the_kernel() -> int:
    """Linux says which ports it gives to whoever asks for any; 30,000 where it does not, or where that leaves no room."""
    with contextlib.suppress(OSError, ValueError):
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
        return first if first > _FROM + 1000 else 30_000
    return 30_000
