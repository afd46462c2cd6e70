"""A TCP relay before PostgreSQL that knows just enough of protocol 3.0 to see a COMMIT, and hands it to whoever rules faults.

A client's messages pass through; a COMMIT (simple query, or parse message with all that follows up to its Sync) is held and given to
``rule(session, held)``, which forwards it, answers in the server's stead, or cuts. The session's ``operation`` is the name in the comment
of its last ``/* name */``.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

_ENCRYPTION = {80877103, 80877104}
_NAME = re.compile(rb"/\* ([a-z0-9.-]{1,80}) \*/")
_COMMIT = re.compile(rb"\s*commit\s*;?\s*", re.IGNORECASE)
QUIET = "snodo-simulator"
"""The application name of sessions that no fault rules."""


@dataclass(slots=True)
class Session:
    """One client and its own session at the server. ``ready`` is set whenever the server has ended answering."""

    client: socket.socket
    server: socket.socket
    operation: str = ""
    quiet: bool = False
    mute: bool = False
    ready: threading.Event = field(default_factory=threading.Event)

    def forward(self, held: bytes) -> None:
        """Give the held messages to the server and wait until it has answered them, 30 seconds at most."""
        self.ready.clear()
        self.server.sendall(held)
        self.ready.wait(30)

    def cut_client(self) -> None:
        """Close towards the client; the session at the server stays."""
        self.mute = True
        _shut(self.client)

    def say_error(self, state: str, text: str) -> None:
        """A fatal ErrorResponse in the server's stead, then the end of the session."""
        body = b"".join(t + v.encode() + b"\0" for t, v in ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", state), (b"M", text))) + b"\0"
        try:
            self.client.sendall(b"E" + struct.pack("!I", len(body) + 4) + body)
        finally:
            self.cut_client()

    def close(self) -> None:
        _shut(self.client)
        _shut(self.server)


Rule = Callable[[Session, bytes], None]


class Relay:
    """Listens on a loopback port and opens one session at the server for each client."""

    def __init__(self, port: int, connect: Callable[[], socket.socket], rule: Rule) -> None:
        self._connect, self._rule = connect, rule
        self._listener = socket.create_server(("127.0.0.1", port), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = self._connect()
        except OSError:
            client.close()
            return
        session = Session(client, server)
        threading.Thread(target=_answers, args=(session,), daemon=True).start()
        try:
            if _greet(session):
                self._converse(session)
        except OSError:
            pass  # somebody hung up: the other side is told by closing
        finally:
            session.close()

    def _converse(self, session: Session) -> None:
        while (message := _message(session.client)) is not None:
            kind, body = message[:1], message[5:]
            if kind in b"QP" and (named := _NAME.search(body)):
                session.operation = named.group(1).decode()
            if session.quiet or not _is_commit(kind, body):
                session.server.sendall(message)
                continue
            self._rule(session, message if kind == b"Q" else message + _until_sync(session.client))


def _greet(session: Session) -> bool:
    """The unencrypted start of a session; False when there is none (a cancel request, a client that left)."""
    while True:
        head = _exactly(session.client, 8)
        if head is None:
            return False
        length, code = struct.unpack("!II", head)
        body = _exactly(session.client, min(length, 10_000) - 8) if length > 8 else b""
        if code in _ENCRYPTION:
            session.client.sendall(b"N")
            continue
        session.quiet = body is not None and QUIET.encode() in body
        session.server.sendall(head + (body or b""))
        return bool(code >> 16 == 3)


def _is_commit(kind: bytes, body: bytes) -> bool:
    text = body.partition(b"\0")[2] if kind == b"P" else body
    return kind in b"QP" and _COMMIT.fullmatch(text.partition(b"\0")[0]) is not None


def _until_sync(client: socket.socket) -> bytes:
    held = b""
    while (message := _message(client)) is not None:
        held += message
        if message[:1] == b"S":
            break
    return held


def _answers(session: Session) -> None:
    """The server's messages, back to the client; notes when it is ready for the next query."""
    try:
        while (message := _message(session.server)) is not None:
            muted = session.mute
            if message[:1] == b"Z":
                session.ready.set()  # before the client hears it: its next message must not be answered by this
            if not muted:
                session.client.sendall(message)
    except OSError:
        pass  # the client left; the session ends below
    finally:
        session.ready.set()
        if not session.mute:
            session.close()


def _message(line: socket.socket) -> bytes | None:
    """One typed message with its head, or None at the end."""
    head = _exactly(line, 5)
    if head is None:
        return None
    rest = _exactly(line, struct.unpack("!I", head[1:])[0] - 4)
    return None if rest is None else head + rest


def _exactly(line: socket.socket, size: int) -> bytes | None:
    got = bytearray()
    while len(got) < size:
        part = line.recv(size - len(got))
        if not part:
            return None
        got += part
    return bytes(got)


def _shut(line: socket.socket) -> None:
    with suppress(OSError):  # closed before
        line.shutdown(socket.SHUT_RDWR)
    line.close()
