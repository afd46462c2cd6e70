"""The HTTP door, byte by byte: what is no request, what never comes, and what is asked of the connection."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import resource
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from bus.engine.arrival import Submission
from bus.testing.patience import until
from bus.web.answer import STANDING
from bus.web.connections import most
from bus.web.door import HttpDoor
from bus.web.exchange import exchange_of
from bus.web.protocol import PORTION, BoundedProtocol
from tests.integration.sportello import saluto
from tests.small_bus import Caller, key_of, running


def connected(server):
    return socket.create_connection(("127.0.0.1", server.port), 60)


def rest(raw):
    """All that the bus says until it ends the connection."""
    return b"".join(iter(lambda: raw.recv(65536), b""))


@pytest.mark.parametrize(
    "request_text",
    [
        b"GARBAGE\r\n\r\n",
        b"POST /messages HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"CONNECT altrove:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_not_http_gets_a_problem_too(server, request_text):
    with connected(server) as raw:
        raw.sendall(request_text)
        head, _, body = rest(raw).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json")
    assert json.loads(body).keys() >= {"code", "hint"}
    assert json.loads(body)["code"] == "input.malformed"
    said = head.lower().split(b"\r\n")
    assert {b"%b: %b" % header for header in STANDING} <= set(said), "as every answer"
    assert [line for line in said if line.startswith(b"date: ")]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (b"Content-Length: 2\r\nContent-Length: 2", "Duplicate Content-Length"),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked", "Transfer-Encoding can't be present with Content-Length"),
        (b"X-Nota: a\r\n b", "Unexpected whitespace after header value"),
        (b"X-Nota : a", "Invalid header token"),
    ],
)
def test_what_is_wrong_with_a_request_that_is_none_is_said(server, lines, why):
    """Who looks at such a request by eye sees one of HTTP/1.1."""
    with connected(server) as raw:
        raw.sendall(b"POST /messages HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n\r\n{}")
        _, _, body = rest(raw).partition(b"\r\n\r\n")
    assert json.loads(body)["detail"] == f"this is not an HTTP request: {why}"


@pytest.mark.parametrize(
    ("begins", "what"),
    [(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "this is HTTP/2"), (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "this is TLS")],
)
def test_another_protocol_is_called_by_its_name(server, begins, what):
    with connected(server) as raw:
        raw.sendall(begins)
        _, _, body = rest(raw).partition(b"\r\n\r\n")
    assert (json.loads(body)["detail"], json.loads(body)["hint"].startswith("the bus")) == (what, True)


@pytest.mark.parametrize("chunk", [b"0x2\r\n{}", b"-2\r\n{}", b"2\n{}", b"1\r\n{}\r\n", b"f" * 17 + b"\r\n"])
def test_a_body_whose_chunks_are_none_is_told_as_that(server, chunk):
    with connected(server) as raw:
        raw.sendall(b"POST /messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + b"\r\n0\r\n\r\n")
        head, _, body = rest(raw).partition(b"\r\n\r\n")
    assert (head.split(b"\r\n")[0], json.loads(body)["code"]) == (b"HTTP/1.1 400 Bad Request", "input.malformed")
    assert "chunks" in json.loads(body)["detail"]


@pytest.mark.parametrize(
    ("lines", "status", "code"),
    [
        (b"Content-Length: 2\r\n\r\n{}", b"400 Bad Request", "input.malformed"),
        (b"Host: a b\r\nContent-Length: 2\r\n\r\n{}", b"400 Bad Request", "input.malformed"),
        (b"Host: http://bus/\r\nContent-Length: 2\r\n\r\n{}", b"400 Bad Request", "input.malformed"),
        (b"Host: a\r\nHost: b\r\nContent-Length: 2\r\n\r\n{}", b"400 Bad Request", "input.header-twice"),
        (b"Host: bus\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"400 Bad Request", "input.encoding"),
        (
            b"Host: bus\r\nContent-Length: "
            + b"0" * 5000
            + b"2\r\nConnection: close\r\nAuthorization: Bearer "
            + key_of("portale").encode()
            + b"\r\nContent-Type: application/json\r\n\r\n{}",
            b"400 Bad Request",
            "input.malformed",
        ),
        (b"Host: bus\r\nExpect: 200-ok\r\nContent-Length: 2\r\n\r\n{}", b"417 Expectation Failed", "input.expect"),
    ],
)
def test_what_a_request_asks_of_the_connection_and_nobody_does_is_refused(server, lines, status, code):
    with connected(server) as raw:
        raw.sendall(b"POST /messages HTTP/1.1\r\n" + lines)
        head, _, body = raw.recv(65536).partition(b"\r\n\r\n")
    assert (head.split(b"\r\n")[0], json.loads(body)["code"]) == (b"HTTP/1.1 " + status, code)


@pytest.mark.parametrize(
    ("version", "lines", "body"),
    [
        ("1.0", "Content-Length: 2\r\n", b"{}"),
        ("1.1", "Host: bus\r\nTransfer-Encoding: Chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
        ("1.1", "Host: bus\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n", b"{}"),
    ],
)
def test_what_is_asked_of_the_connection_and_done_is_no_fault(server, version, lines, body):
    with connected(server) as raw:
        own = f"Authorization: Bearer {key_of('portale')}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        raw.sendall(f"POST /messages HTTP/{version}\r\n{lines}{own}\r\n".encode() + body)
        answer = rest(raw)
    assert b'"status":422' in answer, "the body was read: it is no message"


CHUNKED = b"POST /messages HTTP/1.1\r\nHost: bus\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "behind", [b"xyz", b"GET /status HTTP/1.1\r\nX-Lunga: " + b"x" * 200_000, CHUNKED + b"zz\r\n", CHUNKED + b"2\r\n{}\r\nzz\r\n"]
)
def test_what_is_no_request_gets_no_answer_before_the_message_that_it_stands_behind(server, behind):
    body = json.dumps(saluto("Dina")).encode()
    own = f"Authorization: Bearer {key_of('portale')}\r\nContent-Type: application/json\r\nIdempotency-Key: dietro{len(behind)}\r\n"
    with connected(server) as raw:
        raw.sendall(f"POST /messages HTTP/1.1\r\nHost: bus\r\n{own}Content-Length: {len(body)}\r\n\r\n".encode() + body + behind)
        with contextlib.suppress(ConnectionResetError):
            answer = raw.recv(65536)
            answer += rest(raw)
    assert answer.startswith(b"HTTP/1.1 202"), "the message was accepted, and its sender is told so"


def test_who_has_asked_and_says_no_more_is_answered(server):
    body = json.dumps({"type": "prova.attesa", "data": {"nome": "Olga"}}).encode()
    own = f"Authorization: Bearer {key_of('portale')}\r\nContent-Type: application/json\r\nPrefer: wait=1\r\n"
    asked = f"POST /messages HTTP/1.1\r\nHost: bus\r\n{own}Content-Length: {len(body)}\r\n\r\n".encode() + body
    for requests, answers in (
        (asked, [b"202"]),
        (b"GET /status HTTP/1.1\r\nHost: bus\r\n\r\n" + asked, [b"200", b"202"]),
        (asked[:-1], [b"400"]),
        (asked[:40], []),
    ):
        with connected(server) as raw:
            raw.sendall(requests)
            raw.shutdown(socket.SHUT_WR)
            assert re.findall(rb"HTTP/1\.1 (\d+)", rest(raw)) == answers


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0"])
@pytest.mark.parametrize("chunked", [False, True])
def test_another_protocol_that_is_asked_for_is_passed_over_and_the_body_read(server, protocol, chunked):
    content = b"%PDF" + protocol.encode() * 40_000
    how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(content)}"
    own = f"Host: bus\r\nAuthorization: Bearer {key_of('portale')}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AA\r\n"
    head = f"POST /attachments?name=a HTTP/1.1\r\n{own}{how}\r\n\r\n".encode()
    body = f"{len(content):x}\r\n".encode() + content + b"\r\n0\r\nX: trailer\r\n\r\n" if chunked else content
    status = b"GET /status HTTP/1.1\r\nHost: bus\r\n"
    with connected(server) as raw:
        raw.sendall(head + body[:10])
        raw.sendall(body[10:] + status.partition(b"Host")[0] + f"{own}\r\n".encode() + status + b"Connection: close\r\n\r\n")
        answer = rest(raw)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"201", b"200", b"200"]
    assert f'"size":{len(content)},'.encode() in answer


def test_requests_that_ask_for_another_protocol_may_come_in_one_piece_however_many_they_are(server):
    one = b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with connected(server) as raw:
        raw.sendall(one * 1500 + b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert re.findall(rb"HTTP/1\.1 (\d+)", rest(raw)) == [b"200"] * 1501


@pytest.mark.parametrize("size", [40_000, 70_000, 120_000])
def test_an_address_that_is_too_large_is_said_to_be_so_however_large_it_is(server, size):
    with connected(server) as raw:
        raw.sendall(b"GET /messages/" + b"a" * size + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["code"]) == (431, "input.headers-too-large")


def test_a_header_that_never_ends_is_cut(server):
    with connected(server) as raw:
        raw.sendall(b"GET /status HTTP/1.1\r\nHost: x\r\nX-Lunga: ")
        for _ in range(200):
            raw.sendall(b"x" * 4096)
        assert raw.recv(100).startswith(b"HTTP/1.1 431 ")
    assert Caller(server.port)("GET", "/status").status == 200


@pytest.mark.parametrize("piece", [b"X-Molte: x\r\n" * 400, b"x" * 4800])
@pytest.mark.parametrize("key", [key_of("portale"), "nessuna"])
def test_trailers_that_never_end_are_cut(server, piece, key):
    with connected(server) as raw, contextlib.suppress(ConnectionError):
        raw.sendall(
            f"POST /messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Una: ".encode()
        )
        for _ in range(2000):
            raw.sendall(piece)
        pytest.fail("ten megabytes were taken")


def test_trailers_are_no_headers(server):
    body = json.dumps(saluto("Elsa")).encode()
    own = f"Authorization: Bearer {key_of('portale')}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    answers = []
    for trailer in ("Authorization: Bearer x", "Idempotency-Key: x", "X-A: b"):
        with connected(server) as raw:
            chunk = f"{len(body):x}\r\n".encode() + body
            raw.sendall(
                f"POST /messages HTTP/1.1\r\nHost: bus\r\n{own}Connection: close\r\n\r\n".encode()
                + chunk
                + f"\r\n0\r\n{trailer}\r\n\r\n".encode()
            )
            answers.append(rest(raw))
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 202"] * 3
    assert len({re.search(rb'"id":"(.*?)"', answer)[1] for answer in answers}) == 3


def test_a_request_that_has_its_answer_gets_no_other(server):
    with connected(server) as raw:
        raw.sendall(b"POST /messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        first = raw.recv(65536)
        raw.sendall(b"zz\r\n")
        assert (first[:12], rest(raw)) == (b"HTTP/1.1 401", b"")


@pytest.mark.parametrize(
    ("request_text", "more"),
    [
        (b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n"),
        (b"POST /messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na", b"b"),
    ],
)
def test_a_connection_ends_some_time_behind_an_answer_whatever_comes_that_is_no_request(server, monkeypatch, request_text, more):
    monkeypatch.setattr(server._server.config, "timeout_keep_alive", 0.5)
    with connected(server) as raw:
        raw.sendall(request_text)
        assert raw.recv(65536).startswith(b"HTTP/1.1 ")
        raw.sendall(more)
        raw.settimeout(20)
        assert raw.recv(100) == b""


def test_who_was_not_let_in_is_told_that_the_connection_ends(server):
    """Whether its body or another request comes next, nobody could tell: the request was taken for the body, and never answered."""
    with connected(server) as raw:
        raw.sendall(b"POST /messages HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n")
        answer = rest(raw)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"\r\nconnection: close\r\n" in answer


def test_who_did_not_wait_to_be_let_in_goes_on_with_the_connection(server):
    asked = b"POST /messages HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"
    with connected(server) as raw:
        raw.sendall(asked + b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = rest(raw)
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"401", b"200"]


def test_a_client_of_http_1_0_is_not_told_to_go_on(server):
    """It would take that for the answer."""
    body = json.dumps(saluto("Zoe")).encode()
    own = f"Authorization: Bearer {key_of('portale')}\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    head = f"POST /messages HTTP/1.0\r\n{own}Content-Length: {len(body)}\r\n\r\n".encode()
    with connected(server) as raw:
        raw.sendall(head)
        raw.sendall(body)
        assert rest(raw).startswith(b"HTTP/1.1 202")


def test_a_body_that_never_comes_ends_in_408(server, monkeypatch):
    monkeypatch.setattr("bus.web.bodies.PATIENCE", 0.2)
    with connected(server) as raw:
        raw.sendall(
            f"POST /messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key_of('portale')}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{{".encode()
        )
        assert raw.recv(1000).startswith(b"HTTP/1.1 408")


def test_headers_that_never_come_end_the_connection(server, monkeypatch):
    monkeypatch.setattr("bus.web.protocol.HEADERS_WITHIN", 0.2)
    with connected(server) as raw:
        raw.sendall(b"GET /status HTTP/1.1\r\nHost:")
        assert raw.recv(100) == b""


def test_the_time_for_headers_does_not_cut_a_slow_answer(server, monkeypatch):
    monkeypatch.setattr("bus.web.protocol.HEADERS_WITHIN", 0.2)
    for _ in range(20):  # on a busy machine the headers themselves may come too late
        with contextlib.suppress(ConnectionError):
            asked = Caller(server.port)("POST", "/messages", {"type": "prova.attesa", "data": {"nome": "Ugo"}}, {"Prefer": "wait=1"})
            assert asked.status == 202
            return
    pytest.fail("a slow answer never comes")


@pytest.mark.parametrize("name", ["Idempotency-Key", "ce-id"])
def test_blanks_behind_a_header_are_no_part_of_it(server, name):
    content = json.dumps({"nome": "Pia"}).encode()
    told = []
    for blanks in ("", " ", " \t"):
        with connected(server) as raw:
            own = f"Authorization: Bearer {key_of('portale')}\r\nce-specversion: 1.0\r\nce-type: prova.saluto"
            lines = f"Host: bus\r\n{own}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\nConnection: close\r\n"
            raw.sendall(f"POST /messages HTTP/1.1\r\n{lines}{name}: di-{name}{blanks}\r\n\r\n".encode() + content)
            told.append(json.loads(rest(raw).partition(b"\r\n\r\n")[2]))
    assert told[0]["id"] == told[1]["id"] == told[2]["id"]


@pytest.mark.parametrize("name", ["Idempotency-Key", "Content-Type", "ce-id", "X-Api-Key"])
def test_a_header_of_which_there_is_one_alone_is_not_taken_twice(server, name):
    with connected(server) as raw:
        twice = f"{name}: uno\r\n{name}: uno\r\n"
        raw.sendall(f"POST /messages HTTP/1.1\r\nHost: bus\r\n{twice}Content-Length: 2\r\n\r\n{{}}".encode())
        answer = raw.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert b"input.header-twice" in answer


@pytest.mark.parametrize(
    ("path", "headers", "chunked", "code"),
    [
        ("/messages", {}, False, "input.too-large"),
        ("/messages", {}, True, "input.too-large"),
        ("/messages", {"Authorization": "Bearer indovinata"}, False, "auth.missing"),
        ("/attachments", {}, True, "attachment.name"),
        ("/nulla", {}, False, "input.not-found"),
    ],
)
def test_who_writes_all_and_then_hangs_up_is_told_why_it_was_refused(server, path, headers, chunked, code):
    own = {"Authorization": f"Bearer {key_of('portale')}", "Content-Type": "application/json", "Connection": "close", **headers}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    content = b"x" * 20_000_000
    connection.request(
        "POST",
        path,
        iter([content]) if chunked else content,
        {**own, "Transfer-Encoding": "chunked"} if chunked else own,
        encode_chunked=chunked,
    )
    assert json.loads(connection.getresponse().read())["code"] == code
    connection.close()


def test_an_answer_that_nobody_can_hear_any_more_is_no_fault(server, monkeypatch, caplog):
    """uvicorn tells the newest of the requests of a connection alone that the client is gone."""
    answered, gone, ended = HttpDoor._answer, threading.Event(), threading.Event()

    async def answer_when_gone(door, scope, receive):
        found = await answered(door, scope, receive)
        protocol = exchange_of(scope)._here().transport._protocol()
        protocol.transport.abort()
        await asyncio.to_thread(gone.wait, 60)
        protocol.loop.call_later(0.01, ended.set)
        return found

    with connected(server) as raw:
        monkeypatch.setattr(HttpDoor, "_answer", answer_when_gone)
        raw.sendall(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        with contextlib.suppress(ConnectionError):
            assert rest(raw) == b""
        gone.set()
        assert ended.wait(60)
    assert [record.getMessage() for record in caplog.records if record.name == "uvicorn.error"] == []


@pytest.mark.parametrize("asked", [b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 300, b"GET /openapi.json HTTP/1.0\r\n\r\n"])
def test_who_takes_nothing_of_an_answer_keeps_neither_the_request_nor_the_connection(server, monkeypatch, asked):
    """What the system does not hold of it waits in the process: for ever, and enough such requests kept the door shut for all."""
    monkeypatch.setattr("bus.web.protocol.TAKEN_WITHIN", 0.2)
    lines, waiting, pause = server._server.server_state.connections, [], BoundedProtocol.pause_writing
    monkeypatch.setattr(BoundedProtocol, "pause_writing", lambda line: (waiting.append(line), pause(line)))
    usual = server._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    server._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # so little is held for who connects now
    with contextlib.closing(socket.socket()) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", server.port))
        server._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, usual // 2)
        raw.sendall(asked)
        until(lambda: waiting, "an answer waits to be taken")
        until(lambda: waiting[0] not in lines, "it is given up, and its connection is gone")


def test_who_takes_an_answer_slowly_keeps_the_connection():
    held, broken, looks = [100_000], [], []
    transport = SimpleNamespace(get_write_buffer_size=lambda: held[0], is_closing=lambda: False, abort=lambda: broken.append(True))
    protocol = BoundedProtocol.__new__(BoundedProtocol)
    protocol.transport, protocol.flow = transport, FlowControl(transport)
    protocol.loop = SimpleNamespace(
        call_later=lambda seconds, look, before: looks.append((look, before)) or SimpleNamespace(cancel=looks.clear)
    )
    protocol.pause_writing()
    for _ in range(3):
        held[0] -= PORTION
        look, before = looks.pop()
        look(before)
        assert not broken
    held[0] -= PORTION - 1
    look, before = looks.pop()
    look(before)
    assert broken
    assert not looks


@pytest.fixture
def few(tmp_path, monkeypatch):
    """A bus with room for three connections, in which those of other tests do not rest."""
    for module in ("protocol", "connections"):
        monkeypatch.setattr(f"bus.web.{module}.most", lambda: 3)
    with running(tmp_path) as made:
        yield made


def held(server, count):
    """So many connections, one after the other."""
    lines, there = [], server._server.server_state.connections
    for _ in range(count):
        before = len(there)
        lines.append(connected(server))
        until(lambda before=before: len(there) > before, "it is connected")
        time.sleep(0.005)  # the clock of uvloop counts milliseconds: else two of them may have rested equally long
    return lines


def test_connections_that_rest_make_room_for_who_comes_and_those_that_rest_longest_first(few):
    lines = held(few, 3)
    for _ in range(2):  # the second finds the room that the first has left
        assert Caller(few.port)("POST", "/messages", saluto("Ada")).status == 202
        until(lambda: len(few._server.server_state.connections) == 2, "it has left")
    assert lines[0].recv(1) == b""
    lines.pop(0).close()
    for line in lines:
        line.sendall(b"GET /nulla HTTP/1.1\r\nHost: x\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 404")
        line.close()


def test_no_connection_with_a_request_under_way_is_ended_to_make_room(few):
    names, lines = ("Ivo", "Ugo", "Pia"), held(few, 3)
    for name, line in zip(names, lines, strict=True):
        content = json.dumps({"type": "prova.attesa", "data": {"nome": name}})
        own = f"Host: x\r\nAuthorization: Bearer {key_of('portale')}\r\nPrefer: wait=60\r\nContent-Type: application/json\r\n"
        line.sendall(f"POST /messages HTTP/1.1\r\n{own}Content-Length: {len(content)}\r\n\r\n{content}".encode())
    until(lambda: len(few.app.runs(state="waiting")) == 3, "all wait for their replies")
    with connected(few) as raw, contextlib.suppress(ConnectionError):
        assert b"bus.busy" in rest(raw)
    for name, line in zip(names, lines, strict=True):
        few.app.send(Submission("prova.sveglia", {"nome": name}, "altro")).result(60)
        assert line.recv(100).startswith(b"HTTP/1.1 200")
        line.close()


@pytest.mark.parametrize(("files", "connections"), [(64, 32), (1024, 512), (65536, 65024), (resource.RLIM_INFINITY, 1_000_000)])
def test_some_descriptors_are_kept_for_the_work(monkeypatch, files, connections):
    monkeypatch.setattr("resource.getrlimit", lambda which: (files, files))
    assert most() == connections
