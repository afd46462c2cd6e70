"""HTTP/1.1 for adapters: the one room of ``requests``, which finds the way (addresses, TLS, authorities, our certificate, connecting).

What goes over a connection that stands is written and read here, because that was two thirds of what a call cost: `Link.exchange` writes
one request and reads one reply under one deadline. No hidden retries, no redirects, no proxies or netrc from the environment.
A proxy that the settings name is `bus.network`'s.
Whether a byte left is told by `crossing`, never guessed. A reply is hostile: its head is bounded, its body is cut at a limit.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import io
import os
import re
import select
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bus.adapter import Effect, InDoubt, OutsideError, Unreachable
from bus.failpoint import reach
from bus.network import NoWay, Proxy, has_authorities

MOST_HEAD = 65_536
"""Bytes of a reply's head, and of a line of a chunked body."""
ALONE = frozenset({"once", "queryable"})
"""Effects that go over a connection of their own: one that the peer just dropped would leave a doubt that costs a wait, or a person."""
IDLE = 30.0
"""Seconds that a connection is kept without a request: a firewall forgets one that is idle and tells nobody."""
LONGEST_WAIT = 86_400.0
"""Seconds that a system may ask us to wait, at most."""
ELSEWHERE = ", which sends us elsewhere; that is not followed: look at the address in the settings"
"""What is said of a redirection."""
_AT_ONCE = 65_536
_MEMBERS = 100
_PLAIN_ADDRESS = re.compile(r"(https?)://([A-Za-z0-9.\-]+(?::[0-9]+)?)(/(?:[A-Za-z0-9/._~\-?&=+]|%[0-9A-F]{2})*)")
"""Addresses that `requests` would leave as they are; reading them again takes longer than writing to the socket."""
_STATUS = re.compile(rb"HTTP/1\.([01]) +([1-5][0-9]{2})(?: .*)?", re.DOTALL)
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_NEVER_IN_A_HEADER = re.compile(r"[\r\n\0]")
_LENGTH = re.compile(r"[0-9]{1,20}")
_CHUNK = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?", re.DOTALL)


_SHUT_OUT = re.compile(r"ALERT_(?:.*CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)")
"""Why a server ends a connection (RFC 8446 §6.2): for our certificate, or for having none."""


class Unsendable(OSError):
    """A request that cannot be written; nothing left."""


class BadReply(OSError):
    """What came back is not HTTP/1.1."""


class CutShort(OSError):
    """The connection ended before the reply did."""


def errors() -> tuple[type[Exception], ...]:
    """What an exchange that failed may raise; a function, because ``requests`` is slow to import."""
    import requests
    import urllib3

    return (OSError, requests.RequestException, urllib3.exceptions.HTTPError)


_FILES = "a file of certificates that the settings name"
_REASONS = {
    "ConnectTimeoutError": "no connection in time",
    "TimeoutError": "no answer in time",
    **dict.fromkeys(("NameResolutionError", "gaierror"), "the name of its host is not known: look at the settings, and at the DNS"),
    "FileNotFoundError": f"{_FILES} is not there",
    **dict.fromkeys(("CutShort", "SMTPServerDisconnected"), "the connection ended before the answer did"),
    "BadReply": "the answer is not HTTP",
}


def reason(error: Exception) -> str:
    """Why, in words that hold neither address nor payload (the texts of requests hold both)."""
    cause = error.__cause__ or error  # urllib3 wraps what the system said
    if isinstance(error, Unsendable):
        return f"the request cannot be written: {error}"
    if isinstance(error, NoWay):
        return str(error)
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed: {_said_by_tls(cause)}"
    if type(error) is OSError and error.errno is None:  # of requests, whose text is a path
        return f"{_FILES} is not there"
    if known := _REASONS.get(type(error).__name__):
        return known
    code = cause.errno if isinstance(cause, OSError) else None
    return f"the connection failed: {os.strerror(code) if code else type(error).__name__}"


def _said_by_tls(error: ssl.SSLError) -> str:
    """What OpenSSL found; a file that it cannot read it calls a certificate that is not there, or nothing."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "the connection ended"
    if error.reason in (None, "", "NO_CERTIFICATE_OR_CRL_FOUND"):
        return f"{_FILES} cannot be read"
    return str(getattr(error, "verify_message", "") or error.reason.replace("_", " ").lower())


def retry_after_of(headers: Mapping[str, str], now: dt.datetime) -> float | None:
    """Seconds to wait: ``Retry-After`` (delta or date), else ``X-RateLimit-Reset`` (delta or unix time); None when neither says."""
    text = headers.get("retry-after", "").strip()
    if not text:
        text = headers.get("x-ratelimit-reset", headers.get("ratelimit-reset", "")).strip()
    if text.isdecimal():
        seconds = float(text)
        if seconds > 1_000_000_000:
            seconds -= now.timestamp()
    else:
        try:
            seconds = (email.utils.parsedate_to_datetime(text) - now).total_seconds()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def inflated(body: bytes, headers: Mapping[str, str], limit: int) -> bytes:
    """A body in gzip as it was before; as it came where it is in none, not whole, larger than ``limit`` or of many members."""
    if headers.get("content-encoding", "").strip().lower() not in ("gzip", "x-gzip"):
        return body
    plain, left = b"", body
    for _ in range(_MEMBERS):  # one behind the other (RFC 1952); each step copies what is left
        coded = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            plain += coded.decompress(left, limit + 1 - len(plain))
        except zlib.error:
            return body
        if not coded.eof or len(plain) > limit:
            return body
        left = coded.unused_data
        if not left:
            return plain
    return body


def no_answer(effect: Effect, sentence: str, **detail: Any) -> OutsideError:
    """Bytes left and nothing usable came back: `Unreachable` for a ``read``, `InDoubt` for the rest."""
    return Unreachable(sentence, **detail) if effect == "read" else InDoubt(sentence, **detail)


# -- one deadline ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Crossing:
    """The exchange that the current thread is making: until when, and whether a byte of it left."""

    deadline: float
    left: bool = False

    def remaining(self) -> float:
        """Seconds to the deadline; never zero, which a socket would take for "do not block". Raises TimeoutError beyond it."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return max(left, 0.001)


_local = threading.local()


@contextmanager
def crossing(timeout: float) -> Iterator[Crossing]:
    """Within it, exchanges of a `Link` obey one deadline and tell through ``left`` whether a byte of the request left."""
    _local.crossing = made = Crossing(time.monotonic() + timeout)
    try:
        yield made
    finally:
        del _local.crossing


class BoundedRaw(io.RawIOBase):
    """A socket's reading end whose every ``recv`` is bounded by what remains of the crossing: a dripping peer gains nothing."""

    def __init__(self, sock: Any, raw: Any) -> None:
        self._sock, self._raw = sock, raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_local.crossing.remaining())
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


# -- the connections to one system ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Reply:
    """What came back. Header names are lowercase; ``body`` is what came of it, whole unless ``failed`` says why not."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    failed: Exception | None = None


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
        request = _request(method, host, target, content, headers)
        connection, keep = self._connection(scheme, host, fresh=fresh), False
        try:
            if connection.sock is None:
                connection.timeout = min(self.connect, _local.crossing.remaining())
                if self.proxy is not None:  # urllib3 takes what it gets for the system: TLS begins in the tunnel, or not at all
                    connection._new_conn = partial(self.proxy.line, scheme, host, connection.timeout)  # noqa: SLF001
                connection.connect()
                _never_block(connection.sock)
            _send(connection.sock, request)
            reading = _Reading(connection.sock, limit)
            reply = _unless_shut_out(lambda: reading.reply(method))
            if forwards is not None and reply.status == 407:  # only a proxy says so, and has passed nothing on (RFC 9110 §15.5.8)
                _local.crossing.left = False
                raise forwards.refusal(407)
            keep = reading.reusable and not fresh
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
        """Who forgets it leaves no socket open."""
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


# -- waiting ----------------------------------------------------------------------------------------------------------------
# Each system call gives the interpreter's lock away, and a socket with a timeout makes two more for each that is needed: one to set it, one
# to wait where nothing is to be waited for. So plain sockets never block, and are waited for here.


def _is_plain(sock: Any) -> bool:
    """Whether it is no TLS socket, which may have to read in order to write."""
    return type(sock) is socket.socket


def _never_block(sock: Any) -> None:
    if _is_plain(sock):
        sock.setblocking(False)


def _wait(sock: Any, event: int) -> None:
    """Until a plain socket is ready; others wait by themselves. Raises TimeoutError at the deadline of the crossing."""
    remaining = _local.crossing.remaining()
    if not _is_plain(sock):
        sock.settimeout(remaining)
        return
    poll = select.poll()
    poll.register(sock, event)
    if not poll.poll(remaining * 1000):
        raise TimeoutError("timed out")


def _is_dropped(connection: Any) -> bool:
    """Whether the peer ended a kept connection, or said something that nobody asked for."""
    from urllib3.util.connection import is_connection_dropped

    if connection.sock is None or not _is_plain(connection.sock):
        return bool(is_connection_dropped(connection))
    try:
        connection.sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


# -- writing ----------------------------------------------------------------------------------------------------------------


def _parts(address: str) -> tuple[str, str, str]:
    """Scheme, host with its port, and target of an address; raises what ``requests`` raises for one that is none."""
    plain = _PLAIN_ADDRESS.fullmatch(address)
    if plain is None:
        import requests

        made = requests.PreparedRequest()
        made.prepare_url(address, None)
        scheme, _, rest = str(made.url).partition("://")
        return scheme, re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2], made.path_url
    scheme, host, target = plain.groups()
    return scheme, host, target


def _request(method: str, host: str, target: str, content: bytes, headers: Mapping[str, str]) -> bytes:
    named = {name.lower(): f"{name}: {value}" for name, value in headers.items()}  # capitals make no other: the last one stands
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *named.values()]
    if content or method not in ("GET", "HEAD", "DELETE"):
        lines.append(f"Content-Length: {len(content)}")
    if any(map(_NEVER_IN_A_HEADER.search, lines)):
        raise Unsendable("a header holds a line break")
    try:
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content
    except UnicodeEncodeError:
        raise Unsendable("a header holds characters that are not Latin-1") from None


def _send(sock: socket.socket, request: bytes) -> None:
    crossing_now: Crossing = _local.crossing
    crossing_now.remaining()
    reach("call.before-first-byte")
    crossing_now.left = True
    with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):  # it may have answered before it heard all
        _send_all(sock, request)
    reach("call.after-first-byte")
    reach("call.after-last-byte")


def _unless_shut_out(read: Callable[[], Reply]) -> Reply:
    """What ``read`` gives. In TLS 1.3 a server that does not take our certificate says so after our request left; nobody there read it."""
    try:
        return read()
    except ssl.SSLError as error:
        if _SHUT_OUT.search(error.reason or ""):
            _local.crossing.left = False
        raise


def _send_all(sock: socket.socket, request: bytes) -> None:
    if not _is_plain(sock):
        _wait(sock, select.POLLOUT)
        sock.sendall(request)
        return
    left = memoryview(request)
    while left:
        try:
            left = left[sock.send(left) :]
        except BlockingIOError:
            _wait(sock, select.POLLOUT)


# -- reading ----------------------------------------------------------------------------------------------------------------


class _Reading:
    """Reads one reply. ``reusable``: it ended where it said it would, so that another request may follow."""

    def __init__(self, sock: socket.socket, limit: int) -> None:
        self._sock, self._limit = sock, limit
        self._buffer = bytearray()
        self._body = bytearray()
        self.reusable = False

    def reply(self, method: str) -> Reply:
        version, status, headers = self._head()
        while 100 <= status < 200:
            version, status, headers = self._head()
        ended, failed = False, None
        try:
            ended = self._read_body(headers, none=method == "HEAD" or status in (204, 304))
        except OSError as error:
            failed = error
        self.reusable = ended and not self._buffer and version == b"1" and "close" not in headers.get("connection", "").lower()
        return Reply(status, headers, bytes(self._body), failed)

    def _more(self) -> bool:
        """Read what comes next; false when nothing will."""
        while True:
            _wait(self._sock, select.POLLIN)
            with suppress(BlockingIOError):  # it was ready, and is no more
                piece = self._sock.recv(_AT_ONCE)
                self._buffer += piece
                return bool(piece)

    def _head(self) -> tuple[bytes, int, dict[str, str]]:
        start = 0
        while (end := _END_OF_HEAD.search(self._buffer, start)) is None:
            start = max(len(self._buffer) - 3, 0)
            if len(self._buffer) > MOST_HEAD:
                raise BadReply("the head of the reply is too large")
            if not self._more():
                raise CutShort("the connection ended before an answer")
        raw = bytes(self._buffer[: end.start()])
        del self._buffer[: end.end()]
        first, _, rest = raw.partition(b"\n")
        line = _STATUS.fullmatch(first.rstrip(b"\r"))
        if line is None:
            raise BadReply("the reply does not begin as HTTP/1.1 does")
        return line[1], int(line[2]), _headers(rest.decode("latin-1"))

    def _read_body(self, headers: Mapping[str, str], *, none: bool) -> bool:
        """Read the body, up to the limit and a little more; true when it ended where it should and the connection can go on."""
        if none:  # what a server writes all the same would be taken for the next reply
            return headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        coding = headers.get("transfer-encoding", "").lower()
        if coding not in ("", "identity"):
            if coding.rpartition(",")[2].strip() != "chunked":
                raise BadReply("the body of the reply is coded in a way that is not known here")
            return self._chunks()
        declared = headers.get("content-length")
        if declared is None:
            return self._until_the_end()
        length, *others = {one.strip() for one in declared.split(",")}  # one that is said twice is one (RFC 9112 §6.3)
        if others or not _LENGTH.fullmatch(length):
            raise BadReply("the reply says no length that can be read")
        return self._exactly(int(length))

    def _exactly(self, size: int) -> bool:
        """So many bytes more of the body; false when they are beyond the limit."""
        while len(self._buffer) < size and len(self._body) + len(self._buffer) <= self._limit:
            if not self._more():
                self._body += self._buffer
                raise CutShort("the reply was cut short")
        self._body += self._buffer[:size]
        complete = len(self._buffer) >= size
        del self._buffer[:size]
        return complete and len(self._body) <= self._limit

    def _until_the_end(self) -> bool:
        try:
            while len(self._buffer) <= self._limit and self._more():
                pass
        finally:
            self._body += self._buffer
            self._buffer.clear()
        return False

    def _chunks(self) -> bool:
        while True:
            size = _CHUNK.fullmatch(self._line())
            if size is None:
                raise BadReply("the chunks of the reply cannot be read")
            if int(size[1], 16) == 0:
                break
            if not self._exactly(int(size[1], 16)):
                return False
            if self._line():
                raise BadReply("the chunks of the reply cannot be read")
        while self._line():  # trailers
            pass
        return True

    def _line(self) -> bytes:
        """The next line of a chunked body, without its end."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > MOST_HEAD:
                raise BadReply("a line of the reply is too long")
            if not self._more():
                raise CutShort("the reply was cut short")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.rstrip(b"\r")


def _headers(text: str) -> dict[str, str]:
    """Headers by lowercase name; those that came twice are joined, two lengths that differ are refused, folded lines are one."""
    found: dict[str, str] = {}
    last = ""
    for raw in text.split("\n") if text else ():
        line = raw.rstrip("\r")
        if line[:1] in (" ", "\t") and last:
            found[last] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        last, value = name.strip().lower(), value.strip()
        if not colon or not last:
            raise BadReply("a header of the reply cannot be read")
        if last not in found:
            found[last] = value
        elif last != "content-length":
            found[last] += f", {value}"
        elif found[last] != value:
            raise BadReply("the reply says two lengths")
    return found
