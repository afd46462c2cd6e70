"""Systems behind a forward proxy: the way there, what the proxy may say, and what is in doubt when the tunnel breaks."""

from __future__ import annotations

import base64
import datetime as dt
import socket
from contextlib import closing

import pytest
from pydantic import ValidationError

from adapters.http.client import RestClient, RestSettings
from adapters.soap.adapter import Soap
from bus.adapter import Call, InDoubt, Unreachable
from bus.doctor import systems
from bus.network import Proxy
from bus.testing.ports import free_port
from tests.contract import scripted_peer
from tests.contract.forward_proxy import ForwardProxy
from tests.contract.tls_peer import peer, server_side, web
from tests.unit.soap_peer import ASKED, GOOD, OURS

USER = {"user": "snodo", "password": "una-chiave-di-prova"}
SAID = base64.b64encode(b"snodo:una-chiave-di-prova").decode()


def client_of(port, ca, proxy):
    return RestClient(RestSettings.model_validate({"url": f"https://127.0.0.1:{port}", "ca": ca, "proxy": proxy}))


def ask(client, effect="once", timeout=30.0):
    ctx = Call(key="", timeout=timeout, now=dt.datetime.now(dt.UTC))
    return client.send(ctx, effect, "POST", "/x", body={"a": 1}), ctx


def test_https_goes_through_a_tunnel_in_which_nothing_but_tls_is_said(certificate):
    seen = []
    with (
        ForwardProxy(user=SAID) as proxy,
        peer(web(certificate, seen)) as port,
        closing(client_of(port, certificate[0], {"url": proxy.url, **USER})) as client,
    ):
        reply, ctx = ask(client)
    assert reply.status == 200
    assert proxy.asked[0].split(b"\r\n")[:2] == [f"CONNECT 127.0.0.1:{port} HTTP/1.1".encode(), f"Host: 127.0.0.1:{port}".encode()]
    assert proxy.passed.startswith(b"\x16\x03"), "a TLS handshake"
    assert b'{"a":1}' not in proxy.passed
    assert b"Proxy-" not in seen[0], "who we are to the proxy is not the system's business"
    assert not any(SAID.encode() in one.content for one in ctx.exchanges)


def test_an_answer_of_an_older_proxy_opens_the_tunnel_too(certificate):
    with (
        ForwardProxy(opened=b"HTTP/1.0 200 OK\nVia: x\n\n") as proxy,
        peer(web(certificate, [])) as port,
        closing(client_of(port, certificate[0], proxy.url)) as client,
    ):
        assert ask(client)[0].status == 200


def test_a_tunnel_is_kept(certificate):
    def talk(connection):
        with server_side(connection, certificate) as secure:
            while secure.recv(65536):
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with ForwardProxy() as proxy, peer(talk) as port, closing(client_of(port, certificate[0], proxy.url)) as client:
        assert [ask(client, "read")[0].status for _ in range(3)] == [200] * 3
    assert len(proxy.asked) == 1


def test_a_line_that_the_proxy_dropped_is_made_anew():
    with (
        ForwardProxy() as proxy,
        scripted_peer.peer(scripted_peer.http(200), scripted_peer.http(200)) as (url, seen),
        closing(RestClient(RestSettings.model_validate({"url": url, "proxy": proxy.url}))) as client,
    ):
        assert ask(client, "keyed")[0].status == 200
        proxy.cut()
        assert ask(client, "keyed")[0].status == 200
    assert (len(seen), seen.connections, len(proxy.asked)) == (2, 2, 2)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "answers 407, it does not take the user"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno!!", "answers 403, it does not let us through to the system"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "answers 502, it does not reach the system"),
        (b"HTTP/1.0 504 Gateway Timeout\r\n\r\n", "answers 504, it does not reach the system"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://accesso.example/\r\n\r\n", "answers 302"),
        (b"HTTP/1.1 200 OK\r\nVia: x\r\n", "the connection ended before the answer did"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "says more than that the way is open"),
    ],
)
def test_a_proxy_that_refuses_leaves_no_doubt_and_is_named(certificate, answer, why):
    with ForwardProxy(answer) as proxy, pytest.raises(Unreachable) as told:
        ask(client_of(9, certificate[0], {"url": proxy.url, **USER}))
    assert f"the proxy {proxy.url.removeprefix('http://')}" in told.value.sentence
    assert why in told.value.sentence
    assert not [secret for secret in ("una-chiave-di-prova", SAID) if secret in str(told.value)]


@pytest.mark.parametrize("url", ["https://127.0.0.1:9", "http://127.0.0.1:9"])
def test_a_proxy_that_is_dead_leaves_no_doubt_and_is_named(url):
    port = free_port()
    error, _ = scripted_peer.send(url, "once", body={}, settings={"proxy": f"http://127.0.0.1:{port}"})
    assert type(error) is Unreachable
    assert error.sentence == f"POST /x: the proxy 127.0.0.1:{port}: Connection refused"


def test_a_proxy_that_says_nothing_is_left_when_a_connection_should_stand():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error, _ = scripted_peer.send(
            "https://127.0.0.1:9", "once", body={}, settings={"proxy": f"http://127.0.0.1:{port}", "connect_timeout": 0.2}
        )
    assert (type(error), error.sentence) == (Unreachable, f"POST /x: the proxy 127.0.0.1:{port}: timed out")


@pytest.mark.parametrize(("when", "failure"), [("in TLS", Unreachable), ("after a byte", InDoubt), ("in the reply", InDoubt)])
def test_a_tunnel_that_is_cut_leaves_doubt_only_when_a_byte_of_the_request_left(certificate, when, failure):
    def talk(connection):
        if when == "in TLS":
            connection.recv(65536)
            proxy.cut()
            return
        with server_side(connection, certificate) as secure:
            secure.recv(1)
            if when == "in the reply":
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
            proxy.cut()

    with ForwardProxy() as proxy, peer(talk) as port, pytest.raises(failure):
        ask(client_of(port, certificate[0], proxy.url))


def test_plain_http_is_asked_of_the_proxy_by_whole_addresses():
    with ForwardProxy(user=SAID) as proxy, scripted_peer.peer(scripted_peer.http(200), scripted_peer.http(200)) as (url, seen):
        reply, ctx = scripted_peer.send(f"{url}/base", "once", body={}, settings={"proxy": {"url": proxy.url, **USER}})
    assert reply.status == 200
    assert proxy.asked[0].startswith(f"POST {url}/base/x HTTP/1.1\r\n".encode())
    assert seen[0].startswith(b"POST /base/x HTTP/1.1\r\n")
    assert not any(SAID.encode() in one.content for one in ctx.exchanges)


def test_that_the_proxy_asks_who_we_are_leaves_no_doubt_over_plain_http():
    with ForwardProxy(user=SAID) as proxy, scripted_peer.peer(scripted_peer.http(200)) as (url, seen):
        error, _ = scripted_peer.send(url, "once", body={}, settings={"proxy": {"url": proxy.url, "user": "altro"}})
    assert type(error) is Unreachable
    assert "answers 407" in error.sentence
    assert seen == []


def test_a_soap_system_is_reached_through_the_proxy(certificate):
    def talk(connection):
        with server_side(connection, certificate) as secure:
            got = b""
            while not got.endswith(b"Envelope>"):
                got += secure.recv(65536)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s" % (len(GOOD), GOOD))

    operations = {"x": {"operation": "ricercaSoggetto", "effect": "once", "timeout": 5}}
    with ForwardProxy() as proxy, peer(talk) as port:
        settings = {
            "url": f"https://127.0.0.1:{port}",
            "wsdl": str(OURS),
            "ca": certificate[0],
            "proxy": proxy.url,
            "operations": operations,
        }
        adapter = Soap("anagrafe", Soap.Settings.model_validate(settings))
        ctx = Call(key="", timeout=30.0, now=dt.datetime.now(dt.UTC))
        assert adapter._ask("x", adapter.operations["x"].request.model_validate(ASKED), ctx)
        adapter.close()
    assert proxy.asked[0].startswith(b"CONNECT ")


@pytest.mark.parametrize(
    "given", ["", "proxy:3128", "https://proxy:3128", "http://proxy", "http://proxy:3128/x", "http://u:p@proxy:3128", "http://proxy:0"]
)
def test_an_address_that_is_no_proxys_is_told(given):
    with pytest.raises(ValidationError, match="address"):
        RestSettings.model_validate({"url": "http://x", "proxy": given})


def test_the_secret_of_the_proxy_is_not_shown():
    assert "una-chiave" not in repr(RestSettings.model_validate({"url": "http://x", "proxy": {"url": "http://proxy:3128", **USER}}))


def test_the_doctor_goes_the_same_way(certificate):
    with ForwardProxy() as proxy, peer(web(certificate, [])) as port:
        settings = RestSettings.model_validate({"url": f"https://127.0.0.1:{port}", "ca": certificate[0], "proxy": proxy.url})
        found = [
            verdict
            for address in systems._addresses("sito", settings)
            for verdict in systems._reach(address, settings, dt.datetime.now(dt.UTC))
        ]
    assert [(one.level, one.what.partition(" good")[0]) for one in found] == [
        ("ok", "the proxy of sito takes connections"),
        ("ok", "sito takes connections"),
        ("warning", "sito: certificate"),
    ]
    assert proxy.asked[-1].startswith(b"CONNECT ")


def test_the_doctor_says_what_the_proxy_says_and_asks_nothing_of_who_is_behind_it():
    with ForwardProxy(b"HTTP/1.1 403 Forbidden\r\n\r\n") as proxy:
        settings = {"url": "https://sito.comune.example/api", "url_ricerca": "http://sito.comune.example/", "proxy": Proxy(url=proxy.url)}
        addresses = list(systems._addresses("sito", list(settings.items())))
        settings_ = RestSettings.model_validate({"url": "https://sito.comune.example/api", "proxy": proxy.url})
        (told,) = systems._reach(addresses[-1], settings_, dt.datetime.now(dt.UTC))
    assert [str(address) for address in addresses] == [proxy.url.removeprefix("http://"), "sito.comune.example:443"]
    assert f"sito cannot be reached: the proxy {proxy.url.removeprefix('http://')} answers 403" in told.what


@pytest.mark.parametrize("host", ["proxy..example", ".example", "a" * 64, "[::g]", "proxy example"])
def test_a_proxy_whose_name_no_host_can_have_is_refused(host):
    with pytest.raises(ValueError, match="no address of a proxy"):
        Proxy(url=f"http://{host}:3128")
    assert Proxy(url="http://proxy-1.comune_x.example.:3128/")
