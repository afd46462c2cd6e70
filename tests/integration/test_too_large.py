"""A body that an endpoint does not take is still answered in words its sender can read, also one who writes it all before reading."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from adapters.pagopa.adapter import Pagopa
from adapters.pagopa.chiamate import Ente, Nodo
from adapters.pagopa.modelli import PagopaSettings
from bus.adapter import Adapter, Endpoint, Fact, Inbound, Outbound
from bus.testing.door import MemoryDoor
from bus.web.serve import Server
from bus.web.turns import LARGE, Turns
from tests.small_bus import Caller, key_of, running

ENTE = Ente("77777777777", "80000000001", "80000000001_01")
SETTINGS = PagopaSettings.model_validate({
    "url": "http://127.0.0.1:1", "subscription_key": "chiave-di-prova", "id_pa": ENTE.id_pa, "id_broker_pa": ENTE.id_broker_pa,
    "id_station": ENTE.id_station, "company_name": "Comune di Esempio", "office_name": "Sportello edilizia",
    "iban": "IT45R0760103200000000001016", "tassonomia": "9/0101108TS/", "segregation_code": "02",
})  # fmt: skip
SOAP = "/in/pagopa"


class Sportello(Adapter):
    """Two endpoints that say how much of a body they saw, and one that breaks on it."""

    def endpoints(self):
        def seen(inbound, door):
            return Outbound(200, str(len(inbound.body)).encode(), "text/plain")

        def breaks(inbound, door):
            raise RuntimeError("segreto interno")

        def remembers(inbound, door):
            facts = [Fact("riga", f"{n}", n) for n in range(int(inbound.body))]
            return Outbound(200, door.accept("prova.silenzio", {"nome": "Ada"}, key="k", facts=facts).message_id.encode(), "text/plain")

        return (
            Endpoint("muto", seen, max_bytes=1000),
            Endpoint("cortese", seen, max_bytes=1000, too_large=seen),
            Endpoint("memore", remembers),
            Endpoint("rotto", seen, max_bytes=1000, too_large=breaks),
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    adapters = {"pagopa": Pagopa("pagopa", SETTINGS), "sportello": Sportello("sportello", None)}
    with running(tmp_path_factory.mktemp("bus"), adapters) as server:
        yield server


def written_whole(port: int, path: str, size: int, *headers: str, chunked: bool = False) -> tuple[http.client.HTTPResponse, bytes]:
    """The answer to a client that reads nothing before its last byte is written."""
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: bus", "Content-Type: text/xml", framing, *headers, "", ""]).encode()
    body = b"x" * size
    if chunked:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(head + body)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer, answer.read()


@pytest.mark.parametrize("size", [1_000_001, 3_000_000, 12_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_node_reads_a_syntax_fault_of_the_operation_it_named(server: Server, size: int, chunked: bool) -> None:
    answer, content = written_whole(server.port, SOAP, size, 'SOAPAction: "paSendRTV2"', chunked=chunked)
    assert (answer.status, answer.headers.get_content_type()) == (200, "text/xml")
    verdict = Nodo(ENTE, lambda *_: b"", slot=0).giudica("paSendRTV2", content)
    assert (verdict.fault, b"<outcome>KO</outcome>" in content) == ("PAA_SINTASSI_XSD", True)


def test_a_body_too_large_for_an_unknown_operation_gets_a_soap_fault(server: Server) -> None:
    answer, content = written_whole(server.port, SOAP, 3_000_000)
    assert (answer.status, b"Fault>" in content) == (500, True)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_endpoint_without_words_of_its_own_answers_413(server: Server, chunked: bool) -> None:
    answer, content = written_whole(server.port, "/in/muto", 12_000_000, chunked=chunked)
    assert (answer.status, answer.headers.get_content_type()) == (413, "text/plain")
    assert b"1000" in content


@pytest.mark.parametrize("chunked", [False, True])
def test_the_api_tells_who_sends_to_the_end_on_a_connection_that_closes(server: Server, chunked: bool) -> None:
    bearer = f"Authorization: Bearer {key_of('portale')}"
    answer, content = written_whole(server.port, "/messages", 12_000_000, "Connection: close", bearer, chunked=chunked)
    assert (answer.status, json.loads(content)["code"]) == (413, "input.too-large")


def test_the_api_answers_at_once_and_goes_on_throwing_away_whatever_still_comes(server: Server) -> None:
    """It hung up after 32 MB: of two such bodies a proxy told 502, and took this door for broken, for everybody."""
    head = f"POST /messages HTTP/1.1\r\nHost: bus\r\nAuthorization: Bearer {key_of('portale')}\r\nContent-Type: application/json\r\n"
    chunk = b"%x\r\n%s\r\n" % (3_000_000, b"x" * 3_000_000)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["connection"], json.loads(answer.read())["status"]) == (413, None, 413)
        for _ in range(12):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\nGET /status HTTP/1.1\r\nHost: bus\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_a_message_waits_for_its_turn_before_it_is_understood(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    waited, take = list[int](), Turns.take

    async def watched(turns: Turns, size: int) -> None:
        waited.append(size)
        await take(turns, size)

    monkeypatch.setattr(Turns, "take", watched)
    content = json.dumps({"type": "prova.silenzio", "data": {"nome": "Ada", "numero": ["x" * LARGE]}}).encode()
    assert Caller(server.port)("POST", "/messages", content, {"Content-Type": "application/json"}).status == 202
    assert waited == [len(content)]


def test_more_facts_than_a_record_can_name_are_refused_with_what_to_do(server: Server) -> None:
    def remember(count: int) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", "/in/memore", str(count), {"content-type": "text/plain"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    status, told = remember(3000)
    assert status == 413
    assert "prova.silenzio came with 3,000 facts" in told
    assert "sportello must hand in less" in told
    assert remember(1000)[0] == 200


def test_an_endpoint_sees_the_first_bytes_and_no_more_than_it_takes(server: Server) -> None:
    assert written_whole(server.port, "/in/cortese", 3_000_000, chunked=True)[1] == b"1000"
    assert written_whole(server.port, "/in/cortese", 3_000_000)[1] == b"1000"


def test_an_endpoint_that_breaks_on_it_answers_cleanly(server: Server) -> None:
    answer, content = written_whole(server.port, "/in/rotto", 2000)
    assert (answer.status, b"segreto" in content) == (500, False)


@pytest.mark.parametrize("headers", ["Content-Length: 3000000\r\nExpect: 100-continue", "Content-Length: 900000000"])
def test_a_body_that_need_not_be_read_is_answered_at_once(server: Server, headers: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(f"POST /in/muto HTTP/1.1\r\nHost: bus\r\n{headers}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("path", ["/in/muto", SOAP, "/messages"])
@pytest.mark.parametrize("headers", [(), ("Connection: close",)])
def test_however_large_it_is_who_writes_it_all_reads_the_answer(server: Server, path: str, headers: tuple[str, ...]) -> None:
    """Beyond 32 MB in chunks the bus hung up while they came, and the answer was lost."""
    answer, content = written_whole(server.port, path, 50_000_000, *headers, chunked=True)
    assert (answer.status, content != b"") == ({SOAP: 500, "/in/muto": 413}.get(path, 401), True)


def test_who_never_ends_its_body_is_not_heard_out_for_ever(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._server.config, "timeout_keep_alive", 0.3)
    head = b"POST /in/muto HTTP/1.1\r\nHost: bus\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head + b"x" * 5000)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 413"), "and we say no more, which tells who reads to the end"
        with pytest.raises(ConnectionError):
            while True:
                connection.sendall(b"x" * 5000)


def test_the_answer_of_pagopa_holds_nothing_of_the_body() -> None:
    endpoint = Pagopa("pagopa", SETTINGS).endpoints()[0]
    assert endpoint.too_large is not None
    request = Inbound("POST", SOAP, {"soapaction": "paGetPayment"}, {}, b"segreto" * 10, "127.0.0.1")
    assert b"segreto" not in endpoint.too_large(request, MemoryDoor(dt.datetime(2026, 3, 2, tzinfo=dt.UTC))).body
