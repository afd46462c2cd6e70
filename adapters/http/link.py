"""The kept connections to one system: ``requests`` finds the way (addresses, TLS, authorities, our certificate), and nothing else."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import Field

from adapters.http.crossing import current, is_plain, never_block
from adapters.http.message import Reading, Reply, request_of, send
from adapters.http.outcome import NotPassedOn, passed_on, shut_out
from adapters.shapes import WebAddress
from bus.adapter import LocalFileOrNone, Settings
from bus.network import Proxy, ProxyOrNone, connected, has_authorities

ALONE = frozenset({"once", "queryable"})
"""Effects that go over a connection of their own: one that the peer just dropped would leave a doubt that costs a wait, or a person."""
IDLE = 30.0
"""Seconds that a connection is kept without a request: a firewall forgets one that is idle and tells nobody."""
OLDEST = 300.0
"""Seconds after which a connection is not kept, however busy: the system may have moved, and our certificate been renewed."""
_PLAIN_ADDRESS = re.compile(r"(https?)://([A-Za-z0-9.\-]+(?::[0-9]+)?)(/(?:[A-Za-z0-9/._~\-?&=+]|%[0-9A-F]{2})*)")
"""Addresses that `requests` would leave as they are; reading them again takes longer than writing to the socket."""


@dataclass(slots=True)
class Link:
    """Kept connections to one system; thread-safe. ``connect`` is in seconds; ``ca`` is a file of authorities, or empty for the machine's;
    ``certificate`` is the file of ours, which holds its key where ``certificate_key`` names none. All goes by way of ``proxy`` where there
    is one.
    """

    pool: int = 16
    connect: float = 3.0
    ca: str | None = None
    certificate: str | None = None
    certificate_key: str | None = None
    proxy: Proxy | None = None
    _kept: dict[tuple[str, str], list[tuple[Any, float]]] = field(default_factory=dict)
    _ways: dict[tuple[str, str], Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def exchange(
        self, method: str, address: str, content: bytes, headers: Mapping[str, str], *, limit: int, fresh: bool = False
    ) -> Reply:  # fmt: skip
        """One request, one reply, inside a `crossing`. ``limit`` is that of the body; ``fresh``: over a connection of its own.

        Raises OSError, or what ``requests`` and ``urllib3`` raise, while no head of a reply has come.
        """
        scheme, host, target = _parts(address)
        forwards = self.proxy if scheme == "http" else None
        if forwards is not None:
            target, headers = f"http://{host}{target}", {**headers, **forwards.headers}
        request = request_of(method, host, target, content, headers)
        connection, keep = self._connection(scheme, host, fresh=fresh), False
        try:
            if connection.sock is None:
                connection.timeout = min(self.connect, current().remaining())
                if self.proxy is not None:  # urllib3 takes what it gets for the system: TLS begins in the tunnel, or not at all
                    line = partial(self.proxy.line, scheme, host, connection.timeout)
                else:
                    line = partial(connected, connection.host, connection.port, self.connect, current().deadline)
                connection._new_conn = line  # noqa: SLF001
                connection.connect()
                connection.opened = time.monotonic()
                never_block(connection.sock)
            reading = Reading(connection.sock, limit)
            heard = send(connection.sock, request, reading)
            reply = _unless_shut_out(lambda: passed_on(reading.reply(method), plain=scheme == "http"))
            if forwards is not None and reply.status == 407:  # only a proxy says so, and has passed nothing on (RFC 9110 §15.5.8)
                current().left = False
                raise forwards.refusal(407)
            keep = heard and reading.reusable and not fresh and time.monotonic() - connection.opened < OLDEST
            return reply
        finally:
            self._give_back((scheme, host), connection, keep=keep)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            kept = [connection for connections in self._kept.values() for connection, _ in connections]
            self._kept.clear()
        for connection in kept:
            connection.close()

    def __del__(self) -> None:
        """Close the sockets, for whoever forgets to."""
        self.close()

    def _connection(self, scheme: str, host: str, *, fresh: bool) -> Any:
        """A kept connection that the peer has not dropped, or a new one, not yet open."""
        while not fresh and (kept := self._kept.get((scheme, host))):
            with suppress(IndexError):  # another thread took the last one
                connection, since = kept.pop()
                if time.monotonic() - since < IDLE and not _is_dropped(connection):
                    return connection
                connection.close()
        return self._way(scheme, host)._new_conn()  # noqa: SLF001 - urllib3 makes single connections in no other way

    def _give_back(self, system: tuple[str, str], connection: Any, *, keep: bool) -> None:
        if keep:
            with self._lock:
                kept = self._kept.setdefault(system, [])
                if len(kept) < self.pool and not self._closed:
                    kept.append((connection, time.monotonic()))
                    return
        connection.close()

    def _way(self, scheme: str, host: str) -> Any:
        """What makes connections to a host: the pool that ``requests`` would use."""
        with self._lock:
            way = self._ways.get((scheme, host))
            if way is None:
                way = self._ways[scheme, host] = self._find_way(f"{scheme}://{host}/")
            return way

    def _find_way(self, address: str) -> Any:
        import requests
        from requests.adapters import HTTPAdapter

        request = requests.PreparedRequest()
        request.prepare_method("GET")
        request.prepare_url(address, None)
        adapter: Any = HTTPAdapter(max_retries=0)
        verify = self.ca or True
        own = (self.certificate, self.certificate_key) if self.certificate and self.certificate_key else self.certificate or None
        way = adapter.get_connection_with_tls_context(request, verify, cert=own)
        adapter.cert_verify(way, address, verify, own)
        if verify is True and has_authorities():
            way.ca_certs = None  # those of this machine, as for mail and in `bus doctor`, and not those of requests
        return way


class LinkSettings(Settings):
    """What every system that is asked over HTTP needs in ``config.yaml``; adapters extend it."""

    url: WebAddress = Field(description="address of the system; one that its contract prints is never called")
    ca: LocalFileOrNone = Field(None, description="file of the certificate authorities to trust, instead of those of this machine")
    certificate: LocalFileOrNone = Field(None, description="file of our client certificate, when the system asks for one")
    certificate_key: LocalFileOrNone = Field(None, description="file of its private key; none where that of the certificate holds it")
    proxy: ProxyOrNone = None

    def link(self, connect: float, pool: int = 16) -> Link:
        """The way to the system: ``connect`` seconds for a connection, at most ``pool`` of them kept."""
        return Link(
            pool=pool, connect=connect, ca=self.ca, certificate=self.certificate, certificate_key=self.certificate_key, proxy=self.proxy
        )  # fmt: skip


def _is_dropped(connection: Any) -> bool:
    """Whether the peer ended a kept connection, or said something that nobody asked for."""
    from urllib3.util.connection import is_connection_dropped

    if connection.sock is None or not is_plain(connection.sock):
        return bool(is_connection_dropped(connection))
    try:
        connection.sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _parts(address: str) -> tuple[str, str, str]:
    """Scheme, host with its port, and target of an address; raises what ``requests`` raises for what is no address."""
    plain = _PLAIN_ADDRESS.fullmatch(address)
    if plain is None:
        import requests

        made = requests.PreparedRequest()
        made.prepare_url(address, None)
        scheme, _, rest = str(made.url).partition("://")
        return scheme, re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2], made.path_url
    scheme, host, target = plain.groups()
    return scheme, host, target


def _unless_shut_out(read: Callable[[], Reply]) -> Reply:
    """What ``read`` gives. In TLS 1.3 a server that does not take our certificate says so after our request left; nobody there read it.

    Nor did anybody where a web server before it says so in a page.
    """
    try:
        return read()
    except (ssl.SSLError, NotPassedOn) as error:
        if isinstance(error, NotPassedOn) or shut_out(error):
            current().left = False
        raise
