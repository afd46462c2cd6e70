"""The way to other machines: a host's addresses; over HTTP a forward proxy and the connection through it; whose certificates are trusted.

https goes through a tunnel (``CONNECT``, RFC 9110 §9.3.6), in which nothing is said but TLS to the system itself; plain HTTP is asked of
the proxy by whole addresses (RFC 9112 §3.2.2). A tunnel that does not open leaves no doubt: no byte for the system has left.
"""

from __future__ import annotations

import base64
import re
import socket
import ssl
import time
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from bus.exact import Exact

STRICT = range(80, 94)
"""What OpenSSL says of certificates that are not as RFC 5280 wants them; it looks at that where Python 3.13 or later tells it to."""
ANEW = "Python 3.13 and later takes no certificates that lack this: have them issued anew, also the authority's own"
_MOST_HEAD = 16_384
_ADDRESS = re.compile(r"http://(?:(?:[A-Za-z0-9_-]{1,63}(?:\.|(?=:)))+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})/?")
_HEAD = re.compile(rb"HTTP/1\.[01] +([1-5][0-9]{2})\b.*?\n\r?\n", re.DOTALL)
_WHY = {
    403: ", it does not let us through to the system",
    407: ", it does not take the user and the password of the settings, or asks for some",
    **dict.fromkeys((502, 503, 504), ", it does not reach the system"),
}


def said_by_tls(error: ssl.SSLError) -> str:
    """What OpenSSL found, in words; empty where it does not say."""
    return str(getattr(error, "verify_message", "") or (error.reason or "").replace("_", " ").lower())


class NoConnection(TimeoutError):
    """None of a host's addresses has answered in time."""


def connected(host: str, port: int, most: float, until: float) -> socket.socket:
    """A connection to the first of a host's addresses that takes one: within ``most`` seconds each, and all before the monotonic ``until``.

    What is left is shared by the addresses that are still to be tried: behind some that are silent, as those of IPv6 where nobody
    routes it, the next has its turn. Raises OSError.
    """
    why: OSError = NoConnection("timed out")
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "no host has such a name") from None
    for left, (family, kind, protocol, _, address) in zip(range(len(found), 0, -1), found, strict=True):
        made = None
        try:
            made = socket.socket(family, kind, protocol)
            made.settimeout(max(min(most, (until - time.monotonic()) / left), 0.001))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.connect(address)
            made.settimeout(max(min(most, until - time.monotonic()), 0.001))
        except OSError as error:
            why = NoConnection("timed out") if isinstance(error, TimeoutError) else error
            if made is not None:
                made.close()
        else:
            return made
    raise why


class NoWay(OSError):
    """The proxy cannot be reached, or lets nothing through. Its text names the proxy, and no secret."""


def _proxy_address(text: str) -> str:
    said = _ADDRESS.fullmatch(text)
    if said is None or not 0 < int(said[1]) < 65_536:
        raise ValueError("is no address of a proxy: it is http://host:port, and no more; who we are to it is said by user and password")
    return text


class Proxy(Exact):
    """A forward proxy, as ``config.yaml`` says it."""

    url: Annotated[str, AfterValidator(_proxy_address)] = Field(description="http://host:port")
    user: str = Field("", pattern=r"^[^:]*$", description="who we are to it; empty where it asks for nobody")
    password: str = Field("", repr=False, description="the user's secret")

    @property
    def headers(self) -> dict[str, str]:
        """What the proxy alone reads (RFC 7617)."""
        said = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {said}"} if self.user else {}

    def line(self, scheme: str, host: str, seconds: float) -> socket.socket:
        """A connection for requests to ``host`` (with its port): to the proxy, for https through it. Raises `NoWay` within ``seconds``."""
        until, place = time.monotonic() + seconds, urlsplit(self.url)
        try:
            line = connected(place.hostname or "", place.port or 0, seconds, until)
            try:
                if scheme == "https":
                    self._open(line, host if re.search(r":[0-9]+$", host) else f"{host}:443", until)
            except BaseException:
                line.close()
                raise
        except NoWay:
            raise
        except OSError as error:
            raise self._no_way(f": {error.strerror or error}") from None
        return line

    def refusal(self, status: int) -> NoWay:
        """The error of a proxy that answers with a status of its own."""
        return self._no_way(f" answers {status}{_WHY.get(status, '')}")

    def _open(self, line: socket.socket, target: str, until: float) -> None:
        asked = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", *(f"{name}: {value}" for name, value in self.headers.items())]
        line.sendall("\r\n".join(asked).encode("latin-1") + b"\r\n\r\n")
        said = b""
        while (head := _HEAD.match(said)) is None:
            line.settimeout(max(until - time.monotonic(), 0.001))
            piece = line.recv(_MOST_HEAD)
            said += piece
            if not piece:
                raise self._no_way(": the connection ended before the answer did")
            if len(said) > _MOST_HEAD or not said.startswith(b"HTTP/1."[: len(said)]):
                raise self._no_way(": the answer is not HTTP")
        if not 200 <= (status := int(head[1])) < 300:
            raise self.refusal(status)
        if head.end() < len(said):  # the system does not speak first
            raise self._no_way(" says more than that the way is open")

    def _no_way(self, why: str) -> NoWay:
        return NoWay(f"the proxy {urlsplit(self.url).netloc}{why}")


ProxyOrNone = Annotated[
    Proxy | None,
    BeforeValidator(lambda given: {"url": given} if isinstance(given, str) else given),
    Field(description="forward proxy on the way to it: http://host:port, or {url, user, password}; none is taken from the environment"),
]
"""A setting of whoever is called over HTTP; the address alone will do."""


def has_authorities() -> bool:
    """Whether this machine has certificate authorities; small containers have none, and then those of the library that calls will do."""
    own = ssl.get_default_verify_paths()
    return bool(own.cafile or (own.capath and any(Path(own.capath).iterdir())))
