"""A request written and a reply read, over a connection that stands (RFC 9112). A reply is hostile: its head and its body are bounded."""

from __future__ import annotations

import re
import select
import socket
import ssl
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from adapters.http.crossing import can_wait, current, is_plain, ready, wait
from bus.failpoint import reach

MOST_HEAD = 65_536
"""Bytes of a reply's head, and of a line of a chunked body."""
_AT_ONCE = 65_536
_MEMBERS = 100
_STATUS = re.compile(rb"HTTP/1\.([01]) +([1-5][0-9]{2})(?: .*)?", re.DOTALL)
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_BEGINNING = re.compile(rb"HTTP/1\.[01] +([1-5])[0-9]{2}")
_NEVER_IN_A_HEADER = re.compile(r"[\r\n\0]")
_LENGTH = re.compile(r"[0-9]{1,20}")
_CHUNK = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?", re.DOTALL)


class Unsendable(OSError):
    """A request that cannot be written; nothing left."""


class BadReply(OSError):
    """What came back is not HTTP/1.1."""


class CutShort(OSError):
    """The connection ended before the reply did."""


@dataclass(slots=True)
class Reply:
    """What came back. Header names are lowercase; ``body`` is what came of it, whole unless ``failed`` says why not."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    failed: Exception | None = None


def request_of(method: str, host: str, target: str, content: bytes, headers: Mapping[str, str]) -> bytes:
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


def send(sock: socket.socket, request: bytes, reading: Reading) -> bool:
    """Write the request; false when the peer did not hear all of it: it hung up, or answers already that it refuses (RFC 9110 §9.6)."""
    going, whole = current(), False
    going.remaining()
    reach("call.before-first-byte")
    going.left = True
    with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
        whole = _send_all(sock, request, reading)
    reach("call.after-first-byte")
    reach("call.after-last-byte")
    return whole


def _send_all(sock: socket.socket, request: bytes, reading: Reading) -> bool:
    if not can_wait(sock):
        wait(sock, select.POLLOUT)
        sock.sendall(request)
        return True
    if not is_plain(sock):  # the others are so already
        sock.setblocking(False)
    left = memoryview(request)
    while left:
        try:
            left = left[sock.send(left[:_AT_ONCE]) :]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            if reading.refused_while_written():
                return False
    return True


class Reading:
    """Reads one reply. ``reusable``: it ended where it said it would, so that another request may follow."""

    def __init__(self, sock: socket.socket, limit: int) -> None:
        self._sock, self._limit = sock, limit
        self._buffer = bytearray()
        self._body = bytearray()
        self._mute = False
        self.reusable = False

    def refused_while_written(self) -> bool:
        """Wait until the peer can take more of the request, or says something; whether that is the beginning of an error.

        Whoever answers before it has heard all, and reads no more, would be written to until the deadline. A success it may announce so,
        and still read.
        """
        if select.POLLIN & ready(self._sock, select.POLLOUT | (0 if self._mute else select.POLLIN)):
            with suppress(BlockingIOError, ssl.SSLWantReadError):  # TLS may have something of its own to say
                piece = self._sock.recv(_AT_ONCE)
                self._buffer += piece
                self._mute = not piece or len(self._buffer) > MOST_HEAD
        return self._refuses()

    def _refuses(self) -> bool:
        """Whether what came so far is, behind interim answers, the beginning of an error."""
        start = 0
        while (line := _BEGINNING.match(self._buffer, start)) and line[1] == b"1":
            end = _END_OF_HEAD.search(self._buffer, start)
            if end is None:
                return False
            start = end.end()
        return line is not None and line[1] in (b"4", b"5")

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
            wait(self._sock, select.POLLIN)
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
        """Read ``size`` more bytes of the body; false when the body is longer than the limit."""
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
