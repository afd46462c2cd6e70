"""Forbids every socket that leaves this machine, in the process that calls `install`.

It is an audit hook (PEP 578): code under test cannot undo it, and it sees every socket made by Python, whichever library makes it.
Libraries that open sockets in C (libpq) are not seen; those are given loopback addresses or Unix sockets by the tests.

* Allowed: Unix sockets; ``127.0.0.0/8``, ``::1`` and ``localhost``, to connect, bind and send.
* Names under ``.invalid`` (RFC 2606) fail as DNS would, without asking it, so that "the name does not resolve" can be tested.
* All else raises `NetworkForbidden` and is written to the file named by ``SNODO_NETWORK_REPORT``, so that a test fails even when
  the code under test swallows the exception, or when it happens in a process that the test started.
"""

from __future__ import annotations

import os
import sys
from typing import Any

REPORT = "SNODO_NETWORK_REPORT"
_ADDRESSED = {"socket.connect": "connect to", "socket.bind": "bind to", "socket.sendto": "send to", "socket.sendmsg": "send to"}
_NAMED = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
_installed = False


class NetworkForbidden(RuntimeError):
    """A test, or something it started, tried to reach beyond the loopback interface."""


def install() -> None:
    """Arm the guard for the rest of this process; a second call changes nothing."""
    global _installed
    if not _installed:
        _installed = True
        sys.addaudithook(_hook)


def is_loopback(host: object) -> bool:
    """``host`` is what `socket` takes: a name, an address as text or bytes, or None (this machine)."""
    if host is None:
        return True
    text = host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else str(host)
    if text.lower() in {"localhost", "localhost.localdomain"}:
        return True
    import ipaddress

    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event in _ADDRESSED:
        _check_address(event, *args)
    elif event in _NAMED:
        _check_name(args[0])


def _check_address(event: str, sock: Any, address: Any) -> None:
    import socket

    if address is None or sock.family == socket.AF_UNIX:
        return
    if sock.family in {socket.AF_INET, socket.AF_INET6} and is_loopback(address[0]):
        return
    _refuse(f"{_ADDRESSED[event]} {address!r}")


def _check_name(host: object) -> None:
    if is_loopback(host) or host in {"", b""}:
        return
    if str(host).rstrip(".").endswith(".invalid"):
        import socket

        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    _refuse(f"resolve the name {host!r}")


def _refuse(what: str) -> None:
    sentence = f"the network guard forbids to {what}: tests may only use loopback and Unix sockets"
    report = os.environ.get(REPORT)
    if report:
        with open(report, "a", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would be one more import in every process started
            file.write(f"{sentence} (pid {os.getpid()}, {' '.join(sys.argv)[:200]})\n")
    raise NetworkForbidden(sentence)
