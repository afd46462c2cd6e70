"""The REST room: how each way to fail is told."""

import gzip
import json
import time
from contextlib import closing

import pytest
from pydantic import ValidationError

from adapters.http.client import RestClient, RestReply, RestSettings, strict_json
from adapters.rest import Rest
from bus.adapter import Call, Contract, InDoubt, Refused, Unreachable
from bus.engine.circuit import silent
from tests.contract.scripted_peer import NOW, http, peer, send


@pytest.mark.parametrize("effect", ["read", "keyed", "queryable", "once"])
@pytest.mark.parametrize("status", [500, 502, 504, 302, 204, 299])
def test_a_status_nobody_expected_leaves_doubt_except_for_a_read(effect, status):
    with peer(http(status, b"" if status == 204 else b"<html>no</html>")) as (url, _):
        error, _ = send(url, effect, body={})
    assert type(error) is (Unreachable if effect == "read" else InDoubt)


@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_not_now_is_unreachable_with_the_time_to_wait(status):
    with peer(http(status, Retry_After="17")) as (url, _):
        error, _ = send(url, "once", body={})
    assert type(error) is Unreachable
    assert error.retry_after == 17


@pytest.mark.parametrize(("effect", "told"), [("read", Unreachable), ("keyed", Unreachable), ("queryable", InDoubt), ("once", InDoubt)])
def test_a_503_that_does_not_say_when_may_come_of_a_proxy_when_the_work_is_done(effect, told):
    """Envoy and Azure Front Door answer so when the system behind them took too long, or hung up: a citizen was told twice."""
    with peer(http(503, b"upstream connect error or disconnect/reset before headers", X_RateLimit_Reset="9")) as (url, _):
        error, _ = send(url, effect, body={})
    assert (type(error), error.outside_code) == (told, "HTTP_503")


@pytest.mark.parametrize(("header", "told"), [("Retry-After", (Unreachable, False)), ("X-RateLimit-Reset", (Refused, True))])
def test_a_quota_that_is_used_up_is_not_now_and_nothing_about_our_key(header, told):
    """Azure API Management's policy ``quota``; the other header stands in answers of any kind."""
    with peer(http(403, b'{"statusCode": 403, "message": "Out of call volume quota."}', **{header: "750"})) as (url, _):
        error, _ = send(url, body={})
    assert (type(error), error.locked_out) == told


@pytest.mark.parametrize(("effect", "told"), [("read", Unreachable), ("keyed", InDoubt), ("queryable", InDoubt), ("once", InDoubt)])
def test_a_403_with_a_page_is_of_a_firewall_that_may_have_seen_the_answer(effect, told):
    """It was a certain no, where a SOAP call was in doubt: ModSecurity answers so when it does not like what the system has answered."""
    with peer(http(403, b"<html>Forbidden</html>", Content_Type="text/html; charset=iso-8859-1")) as (url, _):
        error, _ = send(url, effect, body={})
    assert (type(error), error.outside_code, error.locked_out, error.answered) == (told, "HTTP_403", True, False)


@pytest.mark.parametrize("effect", ["read", "keyed", "queryable", "once"])
def test_a_404_with_a_page_says_of_nothing_that_it_is_not_there(effect):
    """While a system was set up, the server before it said so of every firm, and routes believed it."""
    with peer(http(404, b"<html>Not Found</html>", Content_Type="text/html")) as (url, _):
        error, _ = send(url, effect, body={})
    assert (type(error), error.outside_code, error.answered) == (Unreachable, "HTTP_404", False)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (422, {"code": "CHIUSO"}, "CHIUSO"),
        (400, {"type": "https://x.example/problemi/CHIUSO"}, "CHIUSO"),
        (409, {"title": "CHIUSO"}, "CHIUSO"),
        (409, {"code": "IGNOTO"}, "HTTP_409"),
        (418, {}, "HTTP_4XX"),
        (404, "<html>", "HTTP_404"),
        (403, [1], "HTTP_403"),
    ],
)
def test_a_4xx_is_a_refusal_with_a_declared_code(status, body, code):
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    with peer(http(status, content)) as (url, _):
        error, ctx = send(url, body={}, refusals={"CHIUSO": "closed"})
    assert (type(error), error.outside_code) == (Refused, code)
    assert ctx.exchanges[-1].content == content


@pytest.mark.parametrize(
    ("status", "body", "ours"),
    [(401, {}, True), (401, {"code": "CHIUSO"}, True), (403, {}, True), (403, {"code": "CHIUSO"}, False), (404, {}, False)],
)
def test_a_refusal_that_is_about_who_asks_says_so(status, body, ours):
    """A 403 with a code that the contract lists is about the matter."""
    with peer(http(status, json.dumps(body).encode())) as (url, _):
        error, _ = send(url, body={}, refusals={"CHIUSO": "closed"})
    assert error.locked_out == ours


class Registrata(Contract):
    numero: str


def test_what_a_reply_says_besides_is_left_alone_where_the_adapter_says_so():
    reply = RestReply(200, {}, b'{"numero": "7", "altro": 1}', "keyed")
    assert reply.model(Registrata, extra="ignore") == Registrata(numero="7")
    with pytest.raises(InDoubt, match="altro is not one of the fields"):
        reply.model(Registrata)


@pytest.mark.parametrize("url", ["http://nessuno.invalid", "http://nessuno..invalid"])
def test_a_name_that_does_not_resolve_is_unreachable(url):
    error, _ = send(url, "once", body={})
    assert type(error) is Unreachable
    assert "the name of its host is not known" in error.sentence


def test_a_peer_that_does_not_speak_tls_is_unreachable():
    with peer(b"not tls at all") as (url, _):
        error, _ = send(url.replace("http://", "https://"), "once", body={}, timeout=30.0)
    assert type(error) is Unreachable


def test_a_redirect_is_not_followed():
    with peer(http(302, Location="/altrove")) as (url, seen):
        error, _ = send(url, body={})
    assert type(error) is InDoubt
    assert len(seen) == 1


def test_a_failed_request_is_not_repeated():
    with peer(lambda connection: None, http(200)) as (url, seen):
        error, _ = send(url, body={})
        assert type(error) is InDoubt
        assert len(seen) == 1
        send(url, body={})


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_peer_that_drips_does_not_outlast_the_timeout(where):
    def drip(connection):
        begun = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n" + (b"\r\n" if where == "body" else b"X-Slow: ")
        try:
            connection.sendall(begun)
            for _ in range(600):
                connection.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            return

    with peer(drip) as (url, _):
        began = time.monotonic()
        error, _ = send(url, timeout=0.5, body={})
        assert type(error) is InDoubt
        assert time.monotonic() - began < 25, "the peer goes on for half a minute"


def test_a_reply_cut_short_leaves_doubt_and_its_bytes():
    with peer(lambda connection: connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a":')) as (url, _):
        error, ctx = send(url, body={})
    assert type(error) is InDoubt
    assert ctx.exchanges[-1].content == b'{"a":'


def test_a_reply_beyond_the_limit_is_not_read_to_its_end():
    with peer(http(200, b"x" * 300_000)) as (url, _):
        error, ctx = send(url, "read", method="GET", settings={"max_bytes": 1000})
    assert type(error) is Unreachable
    assert len(ctx.exchanges[-1].content) <= 1000 + 65_536


def test_chunked_replies_are_read():
    chunked = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n'
    with peer(chunked) as (url, _):
        reply, _ = send(url, body={})
    assert reply.json() == {"a": 1}


def test_what_leaves_is_what_was_kept_and_secrets_are_in_no_evidence():
    with peer(http(200)) as (url, seen):
        _, ctx = send(url, "keyed", body={"b": 1, "a": "è"}, idempotent=True)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert ctx.exchanges[0].content == body == '{"a":"è","b":1}'.encode()
    for line in (b"X-Api-Key: segreto", b"X-Correlation-ID: c-1", b"traceparent: 00-1-2-01", b"Idempotency-Key: " + b"ab" * 32):
        assert line in head
    assert not [e for e in ctx.exchanges if "segreto" in e.note or b"segreto" in e.content]


def test_a_querys_values_are_evidence_but_not_in_the_note():
    with peer(http(200)) as (url, seen):
        _, ctx = send(url + "/base", "read", method="GET", query={"token": "t-1"})
    assert seen[0].startswith(b"GET /base/x?token=t-1 ")
    assert (ctx.exchanges[0].note, ctx.exchanges[0].content) == ("GET /base/x", b"token=t-1")


@pytest.mark.parametrize(("effect", "connections"), [("read", 1), ("keyed", 1), ("queryable", 2), ("once", 2)])
def test_connections_are_kept_except_for_a_call_which_must_not_meet_a_dropped_one(effect, connections):
    with peer(http(200), http(200)) as (url, seen), closing(RestClient(RestSettings(url=url))) as client:
        for _ in range(2):
            client.send(Call(key="", timeout=30, now=NOW), effect, "GET", "/x")
    assert (len(seen), seen.connections) == (2, connections)


def test_settings_of_the_environment_are_ignored(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with peer(http(200)) as (url, _):
        reply, _ = send(url, body={})
    assert reply.status == 200


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b"NaN",
        b"[Infinity]",
        b"1e999",
        b"\xff",
        b"",
        b"{",
        b"[" * 50 + b"]" * 50,
        b"[" * 200_000,
        b"1 2",
        b"\xef\xbb\xbf{}",
    ],
)
def test_json_that_is_not_strict_is_refused(text):
    with pytest.raises(ValueError):
        strict_json(text)


def test_json_that_is_strict_is_read():
    assert strict_json('{"a":[1,2.5,null,true,"è"]}'.encode()) == {"a": [1, 2.5, None, True, "è"]}


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ('{"a":"è"}'.encode("utf-8-sig"), "application/json"),
        ('{"a":"è"}'.encode("latin-1"), 'application/json; charset="ISO-8859-1"'),
        ('{"a":"è"}'.encode("cp1252"), "application/json;charset=windows-1252"),
        ('{"a":"è"}'.encode("cp1252"), "application/json;charset=Cp1252"),
        ('{"a":"è"}'.encode("latin-1"), "application/json;charset=ISO8859-1"),
        ('{"a":"è"}'.encode("latin-1"), "application/json;charset=latin1"),
        ('{"a":"è"}'.encode("utf-16"), "application/json; charset=utf-16"),
        ('{"a":"è"}'.encode(), "application/json; charset=utf-8"),
    ],
)
def test_a_reply_is_read_out_of_the_charset_that_it_says(body, media_type):
    assert RestReply(200, {"content-type": media_type}, body, "read").json() == {"a": "è"}


def test_a_header_of_the_settings_stands_for_ours_however_it_is_written():
    """Two of one name went out, which servers refuse, or take the one or the other of."""
    with peer(http(200)) as (url, seen):
        client = RestClient(RestSettings(url=url), {"content-type": "application/vnd.api+json", "ACCEPT": "*/*"})
        send(url, client=client, body={})
    head = seen[0].partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert [line for line in head if line.startswith((b"content-type", b"accept:"))] == [
        b"accept: */*",
        b"content-type: application/vnd.api+json",
    ]


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"X y": "1"}, "'X y' is no name"), ({"": "1"}, "is no name"), ({"Content-Length": "3"}, "said by the bus itself"),
        ({"X-Key": "a\n"}, "the value of X-Key"), ({"X-Key": "☃"}, "the value of X-Key"), ({"X-Key": "1", "x-key": "2"}, "two headers"),
    ],
)  # fmt: skip
def test_a_header_that_cannot_be_sent_is_told_where_it_is_written(headers, why):
    with pytest.raises(ValidationError, match=why):
        Rest.Settings.model_validate({"url": "http://127.0.0.1:9", "operations": {}, "headers": headers})


def test_a_key_with_a_line_end_is_told_as_that():
    error, _ = send("http://127.0.0.1:9", client=RestClient(RestSettings(url="http://127.0.0.1:9"), {"X-Api-Key": "a\nb"}))
    assert error.sentence == "POST /x: the request cannot be written: a header holds a line break"


@pytest.mark.parametrize("packed", [gzip.compress(b'{"id": 1}'), gzip.compress(b'{"id"') + gzip.compress(b": 1}")], ids=["one", "two"])
def test_a_reply_that_a_gateway_compressed_is_read_and_kept_as_it_came(packed):
    with peer(http(200, packed, Content_Encoding="gzip")) as (url, _):
        reply, ctx = send(url)
    assert (reply.json(), ctx.exchanges[-1].content) == ({"id": 1}, packed)


@pytest.mark.parametrize(
    "body",
    [b"\x1f\x8bno", gzip.compress(b'"' + b"x" * 6_000_000 + b'"'), gzip.compress(b"{}")[:-4]],
    ids=["not packed", "more than the limit", "cut short"],
)
def test_a_reply_that_does_not_unpack_within_the_limit_is_no_answer(body):
    with peer(http(200, body, Content_Encoding="gzip")) as (url, _):
        reply, _ = send(url)
    with pytest.raises(InDoubt, match="not JSON"):
        reply.json()


@pytest.mark.parametrize(
    ("body", "media_type", "away"),
    [
        (b"", "application/json", False),
        (b'{"id": }', "application/json", False),
        (b'"\xff"', "application/json", False),
        (b"<html>", "text/html; charset=utf-8", True),
        (b"x" * 2000, "application/json", False),
    ],
)
def test_only_who_stands_before_a_system_says_that_it_is_away(body, media_type, away):
    with peer(http(200, body, Content_Type=media_type)) as (url, _):
        found, _ = send(url, "once", settings={"max_bytes": 1000})
    with pytest.raises(InDoubt) as told:
        raise found if isinstance(found, InDoubt) else found.json()
    assert silent(told.value) == away


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (401, b"<html>", "POST /x: HTTP 401: our credentials are not valid"),
        (404, b'{"title": "IGNOTO"}', "POST /x: HTTP 404, IGNOTO: nobody knows it"),
        (204, b"", "POST /x: HTTP 204, a success of another kind than this operation expects"),
        (302, b"", "POST /x: HTTP 302, which sends us elsewhere; that is not followed: look at the address in the settings"),
        (304, b"", "POST /x: HTTP 304, as if we kept a copy of the answer: look at the cache that stands before it"),
    ],
)
def test_what_a_system_said_is_told_in_words(status, body, sentence):
    with peer(http(status, body)) as (url, _):
        error, _ = send(url, refusals={"IGNOTO": "nobody knows it"})
    assert error.sentence == sentence


@pytest.mark.parametrize(
    ("header", "schemes"),
    [
        ("NTLM, Negotiate", "NTLM, Negotiate"),
        ('Digest realm="ufficio, tributi", nonce="a", Basic realm="b"', "Digest, Basic"),
        ("NTLM TlRMTVNTUAAC==", "NTLM"),
    ],
)
def test_how_a_system_wants_to_be_told_who_asks_is_said(header, schemes):
    """Headers are not kept as evidence: nobody could see that it takes NTLM alone."""
    with peer(http(401, b"", WWW_Authenticate=header)) as (url, _):
        error, _ = send(url, body={})
    assert error.sentence == f"POST /x: HTTP 401: our credentials are not valid; it asks for {schemes}"


@pytest.mark.parametrize(
    ("body", "media", "why"),
    [
        (b"<html>", "text/html", "HTTP 200, text/html"),
        (b"", "application/json", "it is empty"),
        (b"\xff", "application/json", "not in UTF-8"),
        (b'{"a": 1, "a": 2}', "", "a key is repeated"),
        (b"9" * 5000, "application/json", "a number is too large$"),
    ],
)
def test_a_reply_that_is_no_json_is_told_for_what_it_is(body, media, why):
    with peer(http(200, body, Content_Type=media)) as (url, _):
        reply, _ = send(url)
    with pytest.raises(InDoubt, match=why):
        reply.json()


def test_a_reply_in_a_coding_that_nobody_asked_for_is_told_for_what_it_is():
    with pytest.raises(InDoubt, match=r"HTTP 200, application/json coded in br, and not in UTF-8"):
        RestReply(200, {"content-type": "application/json", "content-encoding": "br"}, b"\x8b\x02\x80", "keyed").json()


@pytest.mark.parametrize("charset", ["", "; charset=utf-16", "; charset=iso-8859-12", "; charset=utf-7", "; charset=punycode"])
def test_a_reply_in_another_charset_than_it_says_is_no_answer(charset):
    with pytest.raises(InDoubt):
        RestReply(200, {"content-type": f"application/json{charset}"}, '{"a":"è"}'.encode("latin-1"), "keyed").json()
