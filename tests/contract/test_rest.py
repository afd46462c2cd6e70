"""The REST room: how each way to fail is told, and systems described by configuration alone."""

import gzip
import json
import time
from contextlib import contextmanager
from functools import partial

import pytest
from pydantic import ValidationError

from adapters.http.client import RestClient, RestReply, RestSettings, strict_json
from adapters.http.outcome import retry_after_of
from adapters.openapi import model_of
from adapters.rest import Rest
from adapters.shapes import shape_of
from bus.adapter import Call, Contract, InDoubt, Refused, Unreachable
from bus.engine.circuit import silent
from bus.testing.adapter_contract import attempt, call
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


@pytest.mark.parametrize(("header", "told"), [("Retry-After", (Unreachable, False)), ("X-RateLimit-Reset", (Refused, True))])
def test_a_quota_that_is_used_up_is_not_now_and_nothing_about_our_key(header, told):
    """Azure API Management's policy ``quota``; the other header stands in answers of any kind."""
    with peer(http(403, b'{"statusCode": 403, "message": "Out of call volume quota."}', **{header: "750"})) as (url, _):
        error, _ = send(url, body={})
    assert (type(error), error.locked_out) == told


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
    with pytest.raises(InDoubt, match="altro: extra_forbidden"):
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
    with peer(http(200), http(200)) as (url, seen):
        client = RestClient(RestSettings(url=url))
        for _ in range(2):
            client.send(Call(key="", timeout=30, now=NOW), effect, "GET", "/x")
        client.close()
    assert (len(seen), seen.connections) == (2, connections)


def test_settings_of_the_environment_are_ignored(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with peer(http(200)) as (url, _):
        reply, _ = send(url, body={})
    assert reply.status == 200


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
def test_retry_after_is_understood_in_all_its_forms(headers, seconds):
    assert retry_after_of(headers, NOW) == seconds


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
    ],
)
def test_what_a_system_said_is_told_in_words(status, body, sentence):
    with peer(http(status, body)) as (url, _):
        error, _ = send(url, refusals={"IGNOTO": "nobody knows it"})
    assert error.sentence == sentence


@pytest.mark.parametrize(
    ("body", "media", "why"),
    [
        (b"<html>", "text/html", "HTTP 200, text/html"),
        (b"", "application/json", "it is empty"),
        (b"\xff", "application/json", "not in UTF-8"),
        (b'{"a": 1, "a": 2}', "", "a key is repeated"),
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


# -- by configuration alone -----------------------------------------------------------------------------------------------

CONFIGURED = {
    "operations": {
        "cerca-impresa": {
            "method": "GET", "path": "/imprese/{partita_iva}", "query": ["anno"], "effect": "read",
            "request": {"type": "object", "required": ["partita_iva"],
                        "properties": {"partita_iva": {"type": "string", "pattern": "^[0-9]{11}$"}, "anno": {"type": "integer"}}},
            "answer": {"type": "object", "required": ["nome"],
                       "properties": {"nome": {"type": "string"}, "sedi": {"type": "array", "items": {"type": "string"}}}},
            "refusals": {"NON_TROVATA": "no such firm"},
        },
        "iscrivi": {
            "method": "POST", "path": "/iscrizioni", "effect": "keyed",
            "request": {"type": "object", "required": ["nome"], "properties": {"nome": {"type": "string"}}},
            "answer": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}},
            "failed_when": {"field": "esito", "equals": "KO", "code": "motivo"},
            "refusals": {"PIENO": "no place left"},
        },
    },
    "headers": {"Ocp-Apim-Subscription-Key": "segreto"},
}  # fmt: skip


@contextmanager
def configured(url, **changes):
    adapter = Rest("imprese", Rest.Settings.model_validate({**CONFIGURED, "url": url, **changes}))
    yield adapter
    adapter.close()


def test_a_configured_system_is_asked_by_path_and_query():
    with peer(http(200, b'{"nome": "Fornaio", "sedi": ["Centro"], "altro": 1}')) as (url, seen), configured(url) as adapter:
        answer, _ = call(adapter, "cerca-impresa", {"partita_iva": "01234567890", "anno": 2026})
    assert answer.model_dump() == {"nome": "Fornaio", "sedi": ["Centro"]}
    assert seen[0].startswith(b"GET /imprese/01234567890?anno=2026 ")
    assert b"Ocp-Apim-Subscription-Key: segreto" in seen[0]


def test_a_configured_write_sends_our_key_and_the_rest_as_body():
    with peer(http(201, b'{"id": 7}')) as (url, seen), configured(url) as adapter:
        done = attempt(adapter, "iscrivi", {"nome": "Ada"})
    assert done.answer.id == 7
    assert seen[0].endswith(b'{"nome":"Ada"}')
    assert f"Idempotency-Key: {done.ctx.key}".encode() in seen[0]


@pytest.mark.parametrize(
    ("properties", "required", "failure"),
    [({}, [], None), ({"id": {"type": "integer"}}, [], None), ({"id": {"type": "integer"}}, ["id"], InDoubt)],
)
def test_a_204_is_an_answer_without_fields(properties, required, failure):
    """A system that answers so could not be called without a document: each call was in doubt."""
    one = {**CONFIGURED["operations"]["iscrivi"], "answer": {"type": "object", "properties": properties, "required": required}}
    with peer(http(204, b"")) as (url, _), configured(url, operations={"iscrivi": one}) as adapter:
        done = attempt(adapter, "iscrivi", {"nome": "Ada"})
    assert type(done.error) is (failure or type(None))
    if failure:
        assert done.error.sentence == "HTTP 204, a success without content: id: missing"


CARRELLO = {
    "method": "POST", "path": "/carts", "effect": "once", "success": [302, 201], "location": "indirizzo",
    "request": {"type": "object", "properties": {"nome": {"type": "string"}}},
    "answer": {"type": "object", "required": ["indirizzo"], "properties": {"indirizzo": {"type": "string"}, "id": {"type": "integer"}}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (
            http(302, b"<a>", Location="https://checkout.example/c/7", Content_Type="text/html"),
            {"indirizzo": "https://checkout.example/c/7"},
        ),
        (http(302, b"", Location="/c/7", Set_Cookie="s=1"), {"indirizzo": "/c/7"}),
        (http(201, b'{"id": 7, "indirizzo": "no"}', Location="/c/7"), {"id": 7, "indirizzo": "/c/7"}),
        (http(201, b'{"id": 7}', Location="/c/7", Content_Type="application/hal+json"), {"id": 7, "indirizzo": "/c/7"}),
    ],
)
def test_where_a_system_says_that_it_goes_on_is_an_answer(reply, answer):
    """pagoPA's Checkout says by a Location alone where the citizen pays."""
    with peer(reply) as (url, seen), configured(url, operations={"apri": CARRELLO}) as adapter:
        done = attempt(adapter, "apri", {"nome": "Ada"})
        assert [*adapter.check()] == []
    assert done.answer.model_dump(exclude_none=True) == answer
    assert len(seen) == 1


def test_a_system_that_does_not_say_where_it_goes_on_leaves_doubt():
    with peer(http(302, b"")) as (url, _), configured(url, operations={"apri": CARRELLO}) as adapter:
        done = attempt(adapter, "apri", {"nome": "Ada"})
    assert (type(done.error), done.error.sentence) == (InDoubt, "the reply has not the agreed shape: indirizzo: string_type")


@pytest.mark.parametrize("answer", [{"type": "object", "properties": {"id": {"type": "integer"}}}, {"type": "object"}])
def test_a_location_without_a_place_in_the_answer_is_a_finding(answer):
    with configured("http://127.0.0.1:9", operations={"apri": {**CARRELLO, "answer": answer}}) as adapter:
        assert [*adapter.check()] == ["operations.apri.location: no indirizzo is said under `answer`"]


@pytest.mark.parametrize("number", ["", ".", "..", None])
def test_a_value_that_would_ask_for_another_path_never_leaves(number):
    request = {"type": "object", "properties": {"numero": {"type": "string"}}}
    answer = {"type": "object", "properties": {}}
    deletion = {"method": "DELETE", "path": "/fascicoli/{numero}", "effect": "once", "request": request, "answer": answer}
    operations, wrong = {"elimina": deletion}, pytest.raises(ValidationError, match="stands in the path")
    with peer(http(200, b"{}")) as (url, seen), configured(url, operations=operations) as adapter, wrong:
        attempt(adapter, "elimina", {"numero": number})
    assert seen == []


@pytest.mark.parametrize(("reason", "code"), [("PIENO", "PIENO"), ("ALTRO", "IN_BAND")])
def test_a_configured_system_may_refuse_inside_a_success(reason, code):
    body = json.dumps({"esito": "KO", "motivo": reason}).encode()
    with peer(http(200, body)) as (url, _), configured(url) as adapter, pytest.raises(Refused) as refused:
        call(adapter, "iscrivi", {"nome": "Ada"})
    assert refused.value.outside_code == code


@pytest.mark.parametrize(
    ("rule", "body", "refused"),
    [
        (
            {"field": "esito.codice", "equals": "KO", "code": "esito.motivo"},
            b'{"id": 1, "esito": {"codice": "KO", "motivo": "PIENO"}}',
            "PIENO",
        ),
        ({"field": "esito.codice", "equals": "KO", "code": "esito.motivo"}, b'{"id": 1, "esito": {"codice": "OK"}}', None),
        ({"field": "esito.codice", "equals": "KO"}, b'{"id": 1, "esito": "KO"}', None),
        ({"field": "errore", "equals": 1}, b'{"id": 1, "errore": 1}', "IN_BAND"),
        ({"field": "errore", "equals": 1}, b'{"id": 1, "errore": true}', None),
        ({"field": "esito", "equals": False}, b'{"id": 1, "esito": 0}', None),
        ({"field": "esito", "equals": False}, b'{"id": 1, "esito": false}', "IN_BAND"),
    ],
)
def test_how_a_configured_system_says_no_is_looked_for_where_it_stands(rule, body, refused):
    operation = {**CONFIGURED["operations"]["iscrivi"], "failed_when": rule}
    with peer(http(200, body)) as (url, _), configured(url, operations={"iscrivi": operation}) as adapter:
        error = attempt(adapter, "iscrivi", {"nome": "Ada"}).error
    assert getattr(error, "outside_code", None) == refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"query": []}, "anno stands neither in `path` nor in `query`, and GET goes without a body"),
        ({"path": "/imprese/{codice}"}, "codice stands in the address, and the request has no such field"),
        ({"query": ["anno", "mese"]}, "mese stands in the address, and the request has no such field"),
    ],
)
def test_a_field_that_goes_nowhere_or_is_missing_in_the_address_is_found_before_anything_is_sent(changes, said):
    """A filter that was never sent gave the answer to another question."""
    operations = {"cerca-impresa": {**CONFIGURED["operations"]["cerca-impresa"], **changes}}
    adapter = Rest("imprese", Rest.Settings.model_validate({"url": "http://127.0.0.1:9", "operations": operations}))
    assert f"operations.cerca-impresa: {said}" in list(adapter.check())
    adapter.close()


def test_what_takes_a_call_back_may_be_asked_with_more_than_it_sends():
    """It is asked with the whole answer of that call."""
    take_back = {**CONFIGURED["operations"]["cerca-impresa"], "query": [], "effect": "once", "method": "DELETE"}
    operations = {"iscrivi": {**CONFIGURED["operations"]["iscrivi"], "undo": "imprese.cancella"}, "cancella": take_back}
    adapter = Rest("imprese", Rest.Settings.model_validate({"url": "http://127.0.0.1:9", "operations": operations}))
    assert list(adapter.check()) == []
    adapter.close()


def test_an_answer_of_another_shape_is_no_answer_but_its_system_is_not_away():
    with peer(http(200, b'{"id": "sette"}')) as (url, _), configured(url) as adapter:
        error = attempt(adapter, "iscrivi", {"nome": "Ada"}).error
    assert isinstance(error, InDoubt)
    assert error.answered


@pytest.mark.parametrize(
    "told", ['{"n": true}', '{"n": "7"}', '{"n": 7.5}', '{"n": 7, "l": ["1"]}', '{"n": 7, "q": "1.5"}', '{"n": 7, "b": 1}']
)
def test_in_an_answer_only_a_number_is_a_number_and_only_a_truth_value_one(told: str) -> None:
    kinds = {"n": {"type": "integer", "minimum": 1}, "q": {"type": "number"}, "b": {"type": "boolean"}}
    answer = {"type": "object", "properties": {**kinds, "l": {"type": "array", "items": {"type": "integer"}}}, "required": ["n"]}
    operation = {"method": "GET", "path": "/x", "effect": "read", "request": {"type": "object"}, "answer": answer}
    with peer(http(200, told.encode())) as (url, _), configured(url, operations={"x": operation}) as adapter:
        assert "agreed shape" in str(attempt(adapter, "x", {}).error)
    with peer(http(200, b'{"n": 7.0, "q": 1, "b": true, "l": [1]}')) as (url, _), configured(url, operations={"x": operation}) as adapter:
        assert (7, 1.0, True, [1]) == tuple(call(adapter, "x", {})[0].model_dump().values())
        assert adapter.operations["x"].answer.model_json_schema()["properties"]["n"]["minimum"] == 1


def test_a_configured_request_is_checked_before_it_leaves():
    with configured("http://127.0.0.1:1") as adapter, pytest.raises(ValidationError):
        call(adapter, "cerca-impresa", {"partita_iva": "123"})


def test_a_list_of_whatever_takes_whatever():
    anything = {"type": "object", "properties": {"voci": {"type": "array"}}, "required": ["voci"]}
    operation = {"method": "POST", "path": "/voci", "effect": "keyed", "request": anything, "answer": anything}
    with peer(http(200, b'{"voci": [1, "due", {"tre": []}]}')) as (url, seen), configured(url, operations={"manda": operation}) as adapter:
        answer, _ = call(adapter, "manda", {"voci": [1, "due", None]})
    assert answer.voci == [1, "due", {"tre": []}]
    assert seen[0].endswith(b'{"voci":[1,"due",null]}')


@pytest.mark.parametrize(
    "request_",
    [
        {"type": "array"},
        {"type": "object", "properties": {"a": {"type": "string", "format": "date"}}},
        {"type": "object", "properties": {"a": {"type": "numero"}}},
        {"type": "object", "required": ["a"]},
    ],
)
def test_a_shape_we_do_not_know_is_refused_when_the_configuration_is_read(request_):
    operation = {**CONFIGURED["operations"]["iscrivi"], "request": request_}
    with pytest.raises(ValidationError):
        Rest.Settings.model_validate({"url": "http://x", "operations": {"iscrivi": operation}})


def test_each_configured_system_has_its_own_operations():
    one = {"cerca-impresa": CONFIGURED["operations"]["cerca-impresa"]}
    with configured("http://127.0.0.1:1") as first, configured("http://127.0.0.1:1", operations=one) as second:
        assert set(first.operations) == {"cerca-impresa", "iscrivi"}
        assert set(second.operations) == {"cerca-impresa"}
    assert Rest.operations == {}


def test_a_word_of_json_schema_that_shapes_have_not_is_told_with_those_that_they_have():
    shape = {"type": "object", "properties": {"nome": {"type": "string", "format": "date"}}}
    apri = {"method": "POST", "path": "/", "effect": "once", "request": shape, "answer": {"type": "object"}}
    with pytest.raises(ValidationError, match=r"schema\.nome: keyword not known here: format; known: description, enum, items, maxItems, "):
        Rest.Settings.model_validate({"url": "http://127.0.0.1:9", "operations": {"apri": apri}})


@pytest.mark.parametrize("made", [partial(shape_of, closed=False), partial(model_of, closed=False)])
def test_a_list_of_wrong_items_costs_no_more_than_its_first_one(made):
    """A reply within the limit took gigabytes, a fault for each item."""
    shape = made("x", {"type": "object", "properties": {"voci": {"type": "array", "items": {"type": "string"}}}})
    reply = RestReply(200, {}, b'{"voci":[' + b"1," * 100_000 + b"1]}", "keyed")
    with pytest.raises(InDoubt, match=r"agreed shape: voci.0\b") as doubt:
        reply.model(shape)
    assert "voci.1" not in doubt.value.sentence
