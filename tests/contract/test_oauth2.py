"""Tokens of OAuth 2.0 for a client with a secret: how they are asked for, kept and let go, and what is kept of it as evidence."""

import json
from contextlib import closing, contextmanager
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError

from adapters.rest import Rest
from bus.adapter import Refused, Unreachable
from bus.testing.adapter_contract import attempt, call
from tests.contract.scripted_peer import http, peer
from tests.unit.test_soap_files import answer
from tests.unit.test_soap_files import archive as soap_archive

OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}}
OPERATIONS = {"x": {"method": "POST", "path": "/x", "effect": "once", "request": OBJECT, "answer": OBJECT}}
OK = http(200, b'{"n": 1}', content_type="application/json")
SECRET = "se:gre to"


def given(token="abc.def.firma", **more):
    return http(200, json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 3600, **more}).encode())


@contextmanager
def archive(url, server, **more):
    login = {"url": f"{server}/token", "client": "snodo", "secret": SECRET, **more}
    with closing(Rest("archivio", Rest.Settings.model_validate({"url": url, "oauth2": login, "operations": OPERATIONS}))) as adapter:
        yield adapter


def asked(request):
    """Header Authorization and form of a request for a token."""
    head, _, content = request.partition(b"\r\n\r\n")
    login = [line for line in head.split(b"\r\n") if line.startswith(b"Authorization: ")]
    return login, {name: value for name, [value] in parse_qs(content.decode()).items()}


def test_one_token_serves_until_its_end_and_evidence_holds_no_secret():
    with (
        peer(given()) as (server, tokens),
        peer(OK, OK) as (url, seen),
        archive(url, server, scope="leggi scrivi", audience="a") as adapter,
    ):
        first, second = (attempt(adapter, "x", {"n": 1}) for _ in range(2))
    assert (first.error, second.error) == (None, None)
    login, form = asked(tokens[0])
    assert login == [b"Authorization: Basic c25vZG86c2UlM0FncmUlMjB0bw=="]  # RFC 6749 §2.3.1: quoted, then base64
    assert form == {"grant_type": "client_credentials", "scope": "leggi scrivi", "audience": "a"}
    assert all(b"\r\nAuthorization: Bearer abc.def.firma\r\n" in request for request in seen)
    assert [one.note for one in first.ctx.exchanges] == ["POST /token", "200 POST /token", "POST /x", "200 POST /x"]
    assert (b"firma" in first.wire, b"gre" in first.wire) == (False, False)


def test_name_and_secret_in_the_form():
    with peer(given()) as (server, tokens), peer(OK) as (url, _), archive(url, server, in_form=True) as adapter:
        done = attempt(adapter, "x", {"n": 1})
    assert asked(tokens[0]) == ([], {"grant_type": "client_credentials", "client_id": "snodo", "client_secret": SECRET})
    assert (b"client_id=snodo" in done.wire, b"client_secret" in done.wire) == (True, False)


def test_a_token_that_is_over_before_its_time_is_asked_for_again():
    with peer(given("uno.x.y"), given("due.x.y")) as (server, _), peer(OK, http(401), OK) as (url, seen), archive(url, server) as adapter:
        call(adapter, "x", {"n": 1})
        over = attempt(adapter, "x", {"n": 1}).error
        call(adapter, "x", {"n": 1})
    assert (type(over), over.outside_code, over.locked_out) == (Unreachable, "HTTP_401", False)
    assert b"Bearer due.x.y" in seen[-1]


def test_a_new_token_that_is_not_taken_is_told_to_the_sysadmin():
    with peer(given()) as (server, _), peer(http(401)) as (url, _), archive(url, server) as adapter:
        refused = attempt(adapter, "x", {"n": 1}).error
    assert (type(refused), refused.locked_out) == (Refused, True)


@pytest.mark.parametrize(
    ("reply", "said", "locked_out"),
    [
        (http(401, b'{"error": "invalid_client", "error_description": "unknown client"}'), "HTTP 401: invalid_client unknown client", True),
        (http(503), "HTTP 503", False),
        (given("", token_type="Bearer"), "its answer holds none that goes as Bearer", False),
        (given(token_type="mac"), "its answer holds none that goes as Bearer", False),
    ],
)  # fmt: skip
def test_where_there_is_no_token_the_system_was_not_asked(reply, said, locked_out):
    with peer(reply) as (server, _), peer() as (url, seen), archive(url, server) as adapter:
        error = attempt(adapter, "x", {"n": 1}).error
    assert (type(error), error.sentence, error.locked_out) == (Unreachable, f"the server of tokens gives none: {said}", locked_out)
    assert seen == []


def test_who_asks_is_said_once():
    login = {"url": "https://a.example/token", "client": "snodo", "secret": "x"}
    settings = {"url": "https://a.example", "operations": OPERATIONS, "oauth2": login, "headers": {"authorization": "Basic x"}}
    with pytest.raises(ValidationError, match="headers and oauth2 both say Authorization: leave one of them out"):
        Rest.Settings.model_validate(settings)
    assert "x" not in repr(Rest.Settings.model_validate({**settings, "headers": {}}).oauth2).replace("example", "")


def test_a_soap_system_has_tokens_too(tmp_path):
    told = answer("")
    over = b"HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n"
    taken = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s" % (len(told), told)
    with peer(given("uno.x.y"), given("due.x.y")) as (server, _), peer(taken, over, taken) as (url, seen):
        login = {"url": f"{server}/token", "client": "snodo", "secret": SECRET}
        with soap_archive(tmp_path, url, oauth2=login) as adapter:
            assert [*adapter.check()] == []
            first, second, third = (attempt(adapter, "x", {"oggetto": "x"}) for _ in range(3))
    assert (first.error, type(second.error), third.error) == (None, Unreachable, None)
    assert second.error.sentence == "chiedi: HTTP 401: our token is not taken any more; the next try has another"
    assert [b"Bearer uno.x.y" in request for request in seen] == [True, True, False]
    assert b"gre" not in first.wire
