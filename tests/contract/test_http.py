"""HTTP/1.1 as outside systems speak it: what is understood, what is refused, and when a connection is kept."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from adapters.http.crossing import crossing
from adapters.http.link import Link
from adapters.http.message import MOST_HEAD, BadReply, CutShort, Reply, Unsendable, inflated
from adapters.http.outcome import retry_after_of
from bus.adapter import Unreachable
from tests.contract.scripted_peer import NOW, http, peer, send
from tests.contract.tls_peer import peer as tls_peer
from tests.contract.tls_peer import self_signed, server_side


def ask(raw: bytes, method: str = "POST", limit: int = 1000, headers: dict[str, str] | None = None) -> Reply:
    """One exchange with a peer that answers these bytes and hangs up."""
    with peer(lambda connection: connection.sendall(raw)) as (url, _), crossing(30.0), closing(Link()) as link:
        return link.exchange(method, f"{url}/x", b"{}", headers or {}, limit=limit)


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200\r\ncontent-length:2\r\n\r\nok and more", b"ok"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok"),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nTrailer: t\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\nX: a\r\n b\r\nX: caff\xe8\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_what_old_and_new_servers_say_is_understood(raw: bytes, body: bytes) -> None:
    reply = ask(raw)
    assert (reply.body, reply.failed) == (body, None)
    assert reply.headers.get("x", "a b, caffè") == "a b, caffè"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2",
        b"220 mail.example ESMTP\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (3 * MOST_HEAD) + b"\r\n\r\n",
    ],
)
def test_what_has_no_head_that_can_be_read_is_refused(raw: bytes) -> None:
    with pytest.raises((BadReply, CutShort)):
        ask(raw)


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", b"cut"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n9\r\ncut", b"okcut"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nnot a size\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * (MOST_HEAD + 2), b""),
    ],
)
def test_of_a_body_that_is_cut_or_cannot_be_read_what_came_is_kept(raw: bytes, kept: bytes) -> None:
    reply = ask(raw)
    assert (reply.status, reply.body) == (200, kept)
    assert reply.failed is not None


@pytest.mark.parametrize("how", ["Content-Length: 500000", "Transfer-Encoding: chunked", "Connection: close"])
def test_no_more_than_the_limit_and_one_piece_is_read(how: str) -> None:
    piece = b"x" * 500_000
    body = b"7a120\r\n" + piece + b"\r\n0\r\n\r\n" if "chunked" in how else piece
    reply = ask(f"HTTP/1.1 200 OK\r\n{how}\r\n\r\n".encode() + body)
    assert 1000 < len(reply.body) <= 1000 + 65_536


@pytest.mark.parametrize("value", ["a\r\nX-More: b", "a\nb", "a\0b", "snow ☃"])
def test_a_header_that_would_be_two_is_not_sent(value: str) -> None:
    with crossing(30.0) as going, pytest.raises(Unsendable):
        Link().exchange("GET", "http://127.0.0.1:1/x", b"", {"X-A": value}, limit=1)
    assert not going.left


@pytest.mark.parametrize(
    ("first", "connections"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok", 2),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 2),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", 2),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 1),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", 2),  # whose body comes later, before the next reply
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 2),
    ],
)
def test_a_connection_is_kept_only_when_the_reply_ended_where_it_said(first: bytes, connections: int) -> None:
    again = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"

    def last(connection: socket.socket) -> None:
        connection.sendall(first)
        with suppress(ConnectionError):
            connection.recv(1)  # who hangs up first must be we

    with peer(last if connections == 2 else first, again) as (url, seen), closing(Link()) as link:
        for _ in range(2):
            with crossing(30.0):
                told = link.exchange("GET", f"{url}/x", b"", {}, limit=100).body
        assert told == b"second"
    assert seen.connections == connections


def test_what_a_server_said_before_it_heard_all_is_read() -> None:
    """A server that answers 413 to the head of a large request, and closes with the rest unread: its kernel resets the connection."""

    def refuse(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with peer(refuse) as (url, _), crossing(30.0), closing(Link()) as link:
        assert link.exchange("POST", f"{url}/x", b"x" * 8_000_000, {}, limit=100).status == 413


@pytest.mark.parametrize("over_tls", [False, True])
@pytest.mark.parametrize(
    ("at_once", "in_the_end", "status"),
    [
        (b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", b"", 413),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", b"", 503),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201),
        (b"HTTP/1.1 201 Created\r\n", b"Content-Length: 0\r\n\r\n", 201),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + b"HTTP/1.1 1", b"00 \r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201),
    ],
)
def test_who_refuses_before_it_has_heard_all_is_written_to_no_more(
    tmp_path: Path, at_once: bytes, in_the_end: bytes, status: int, over_tls: bool
) -> None:
    """It was written to until the deadline, and what it had said was never read. Whoever does not refuse hears all of it."""
    size, heard, answered = 30_000_000, 0, threading.Event()
    certificate = self_signed(tmp_path)

    def talk(connection: socket.socket) -> None:
        nonlocal heard
        with server_side(connection, certificate) if over_tls else connection as channel:
            heard = len(channel.recv(1000))
            channel.sendall(at_once)
            while in_the_end and heard < size:
                heard += len(channel.recv(1 << 20))
            channel.sendall(in_the_end)
            answered.wait(60)

    with tls_peer(talk) as port, crossing(60.0):
        link = Link(ca=certificate[0])
        try:
            address = f"{'https' if over_tls else 'http'}://127.0.0.1:{port}/x"
            assert link.exchange("POST", address, b"x" * size, {}, limit=100).status == status
        finally:
            answered.set()
            link.close()
    assert (heard >= size) is bool(in_the_end)


@pytest.mark.parametrize("bound", ["IDLE", "OLDEST"])
def test_a_connection_that_lay_idle_or_is_old_is_not_used_again(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """A firewall forgets an idle one and tells nobody: the next request was lost in it, and in doubt. Where there is always something to
    ask, a connection would last for ever, though the system's name had long meant another machine.
    """
    monkeypatch.setattr(f"adapters.http.link.{bound}", 0.0)
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with peer(ok, ok) as (url, seen), closing(Link()) as link:
        for _ in range(2):
            with crossing(30.0):
                assert link.exchange("GET", f"{url}/x", b"", {}, limit=100).body == b"ok"
    assert seen.connections == 2


def test_a_body_of_members_without_end_is_left_as_it_came(monkeypatch) -> None:
    """Each member costs a copy of what is left: 200,000 empty ones took seconds, four times as many sixteen times as long."""
    headers, limit, begun = {"content-encoding": "gzip"}, 5_000_000, list[int]()
    made = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", lambda wbits: begun.append(wbits) or made(wbits))
    assert inflated(gzip.compress(b"a") + gzip.compress(b"b"), headers, limit) == b"ab"
    assert len(begun) == 2
    bomb = gzip.compress(b"") * 200_000
    assert inflated(bomb, headers, limit) == bomb
    assert len(begun) < 2000


@contextmanager
def _silent() -> Iterator[Any]:
    """An address that lets nobody in and says nothing: its queue is full."""
    with ExitStack() as kept:
        server = kept.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = kept.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()


def _named(monkeypatch: pytest.MonkeyPatch, *addresses: Any) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_addresses_that_are_silent_leave_the_next_one_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    with _silent() as silent, peer(http(200)) as (url, _):
        _named(monkeypatch, silent, silent, ("127.0.0.1", int(url.rpartition(":")[2])))
        reply, _ = send("http://sistema.example", timeout=3.0, body={})
    assert getattr(reply, "status", reply) == 200


def test_however_many_addresses_a_host_has_the_deadline_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    with _silent() as silent:
        _named(monkeypatch, *[silent] * 40)
        error, ctx = send("http://sistema.example", timeout=1.0, body={})
    assert (type(error), error.cause, ctx.exchanges) == (Unreachable, "no connection in time", [])
    assert time.monotonic() - begun < 30, "a second for each would be forty"


def test_a_proxy_of_many_addresses_is_given_up_at_the_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    with _silent() as silent:
        _named(monkeypatch, *[silent] * 40)
        error, _ = send("http://sistema.example", timeout=1.0, body={}, settings={"proxy": "http://proxy.example:3128"})
    assert (type(error), error.cause) == (Unreachable, "the proxy proxy.example:3128: timed out")
    assert time.monotonic() - begun < 30, "a second for each would be forty"


def test_of_addresses_that_refuse_the_last_one_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    _named(monkeypatch, ("127.0.0.1", 1), ("127.0.0.1", 1))
    error, _ = send("http://sistema.example", timeout=5.0, body={})
    assert (type(error), error.cause) == (Unreachable, "the connection failed: Connection refused")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after": "Mon, 02 Mar 2026 09:01:30 GMT"}, 90),
        ({"retry-after": "Mon, 02 Mar 2026 08:00:00 GMT"}, 0),
        ({"retry-after": "Monday, 02-Mar-26 09:01:30 GMT"}, 90),
        ({"retry-after": "Mon Mar  2 09:01:30 2026"}, 90),
        ({"retry-after": "Mon, 02 Mar 2026 08:50:30 GMT", "date": "Mon, 02 Mar 2026 08:50:00 GMT"}, 30),
        ({"retry-after": "Mon, 02 Mar 2026 09:01:30 GMT", "date": "oggi"}, 90),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) - 600 + 45), "date": "Mon, 02 Mar 2026 08:50:00 GMT"}, 45),
        ({"retry-after": "99999999"}, 86_400),
        ({"x-ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) + 45)}, 45),
        ({"retry-after": "5", "x-ratelimit-reset": "30"}, 5),
        ({"retry-after": "domani"}, None),
        ({"retry-after": "Mon, 02 Mar 2026 09:01:30 +99999999999999"}, None),
        ({"retry-after": "Mon, 02 Mar 99999999999999999999 09:01:30 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_understood_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_of(headers, NOW) == seconds
