"""The HTTP door, over real sockets: what goes in, what comes out, and that every error has one shape."""

from __future__ import annotations

import concurrent.futures
import gc
import json
import re
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from bus.cli import main
from bus.errors import StoreError
from bus.log import log
from bus.testing.patience import until
from bus.web.served import PROBLEMS
from tests.integration.sportello import saluto
from tests.small_bus import Caller, Process, key_of, own_key, running

DOCUMENTED = set(
    re.findall(r"^\| `([a-z0-9.-]+)` \|", (Path(__file__).parents[2] / "docs/reference/errors.md").read_text("utf-8"), re.MULTILINE)
)


# -- sending ------------------------------------------------------------------------------------------------------------


def test_a_message_is_accepted_and_can_be_looked_at(call):
    accepted = call("POST", "/messages", saluto("Ada"))
    assert accepted.status == 202
    assert set(accepted.json) == {"id", "type", "time", "links", "receipt"}
    assert accepted.headers["location"] == f"/messages/{accepted.json['id']}" == accepted.json["links"]["message"]
    assert call("GET", accepted.headers["location"]).json["type"] == "prova.saluto"


def test_the_same_key_and_content_give_the_same_bytes(call):
    first, second = (call("POST", "/messages", saluto("Bea"), {"Idempotency-Key": "bea-1"}) for _ in range(2))
    assert (first.status, first.content) == (second.status, second.content)
    assert "idempotency-status" not in first.headers
    assert second.headers["idempotency-status"] == "repeated"


def test_the_same_key_with_another_content_is_refused_and_names_the_first(call):
    first = call("POST", "/messages", saluto("Ciro"), {"Idempotency-Key": "ciro-1"})
    second = call("POST", "/messages", saluto("Cira"), {"Idempotency-Key": "ciro-1"})
    assert second.status == 422
    assert second.json["code"] == "input.key-reused"
    assert second.json["message_id"] == first.json["id"]


def test_what_was_answered_leaves_nothing_for_the_garbage_collector(call):
    """A request that refers to itself stays until cycles are looked for: in the midst of another one, for some milliseconds."""
    call("GET", "/health")
    gc.collect()
    gc.disable()
    try:
        for number in range(20):
            assert call("POST", "/messages", saluto(f"Gara {number}")).status == 202
            assert call("GET", "/manca").status == 404
        left = sum(isinstance(one, RequestResponseCycle) for one in gc.get_objects())
    finally:
        gc.enable()
    assert left < 5, "those of open connections"


def test_a_key_is_the_sender_s_own(call):
    first = call("POST", "/messages", saluto("Dina"), {"Idempotency-Key": "comune"})
    other = call("POST", "/messages", saluto("Dino"), {"Idempotency-Key": "comune"}, name="altro")
    assert (first.status, other.status) == (202, 202)


def test_the_id_of_an_event_is_its_key(call):
    first = call("POST", "/messages", saluto("Elio", id="evento-1"))
    second = call("POST", "/messages", saluto("Elio", id="evento-1"))
    assert first.content == second.content


def test_many_at_once_with_one_key_are_one_message(call):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: call("POST", "/messages", saluto("Fede"), {"Idempotency-Key": "fede-1"}), range(16)))
    assert {reply.status for reply in replies} == {202}
    assert len({reply.content for reply in replies}) == 1
    assert sum("idempotency-status" not in reply.headers for reply in replies) == 1


def test_structured_cloudevents(call):
    event = saluto("Gaia", specversion="1.0", id="g-1", source="/portale", subject="x", time="2026-01-01T10:00:00Z")
    assert call("POST", "/messages", event, {"Content-Type": "application/cloudevents+json; charset=UTF-8"}).status == 202


def test_binary_cloudevents(call):
    headers = {"ce-specversion": "1.0", "ce-type": "prova.saluto", "ce-id": "b-1", "ce-source": "/portale%20uno"}
    assert call("POST", "/messages", {"nome": "Hana"}, {**headers, "Prefer": "wait=5"}).json["reply"] == {"saluto": "ciao Hana"}


@pytest.mark.parametrize("said", ['citt%C3%A0 "x"', r'"citt%C3%A0 \"x\""', 'città "x"'.encode().decode("latin-1")])
def test_attributes_of_a_binary_event_are_utf8_percent_encoded_or_quoted(call, server, said):
    headers = {"ce-specversion": "1.0", "ce-type": "prova.saluto", "ce-subject": said}
    sent = call("POST", "/messages", {"nome": "Hana"}, headers).json["id"]
    with server.app.store.read() as tx:
        assert log.message(tx, sent)[0]["envelope"]["subject"] == 'città "x"'


def test_a_question_gets_its_reply(call):
    reply = call("POST", "/messages", saluto("Ivo"), {"Prefer": "respond-async, WAIT=10"})
    assert reply.status == 200
    assert reply.json["reply"] == {"saluto": "ciao Ivo"}
    assert reply.headers["preference-applied"] == "wait=10"


def test_a_reply_of_the_same_process_is_not_read_back(server, call, monkeypatch):
    monkeypatch.setattr("bus.web.messages.FIRST_LOOK", 10.0)
    monkeypatch.setattr(server.app, "message", lambda identity: pytest.fail("read"))
    reply = call("POST", "/messages", saluto("Lena"), {"Idempotency-Key": "una volta", "Prefer": "wait=10"})
    assert (reply.status, reply.json["reply"]) == (200, {"saluto": "ciao Lena"})
    monkeypatch.undo()
    again = call("POST", "/messages", saluto("Lena"), {"Idempotency-Key": "una volta", "Prefer": "wait=10"})
    assert (again.status, again.json, again.headers["idempotency-status"]) == (200, reply.json, "repeated")
    assert call("GET", f"/messages/{reply.json['id']}").json["reply"] == reply.json["reply"]


def test_a_question_that_is_refused_says_why_at_once(call):
    began = time.monotonic()
    call("POST", "/messages", saluto("Rea"), {"Idempotency-Key": "due volte"})
    refused = call("POST", "/messages", saluto("Zoe"), {"Idempotency-Key": "due volte", "Prefer": "wait=50"})
    assert (refused.status, refused.json["code"]) == (422, "input.key-reused")
    assert time.monotonic() - began < 40


def test_a_question_without_reply_in_time_is_accepted(call):
    start = time.monotonic()
    reply = call("POST", "/messages", {"type": "prova.attesa", "data": {"nome": "Lia"}}, {"Prefer": "wait=1"})
    assert reply.status == 202
    assert time.monotonic() - start > 0.9


def test_a_question_whose_route_never_replies_is_not_waited_for(call):
    start = time.monotonic()
    assert call("POST", "/messages", {"type": "prova.silenzio", "data": {"nome": "Mara"}}, {"Prefer": "wait=50"}).status == 202
    assert time.monotonic() - start < 40


def test_a_reply_that_comes_while_the_asker_waits_is_given(call):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(call, "POST", "/messages", {"type": "prova.attesa", "data": {"nome": "Nino"}}, {"Prefer": "wait=25"})
        until(lambda: call("GET", "/cases/istanza:Nino").status != 404, "it waits")
        call("POST", "/messages", {"type": "prova.sveglia", "data": {"nome": "Nino"}})
        assert asked.result().json["reply"] == {"svegliato": "Nino"}


# -- refusals, all of one shape ---------------------------------------------------------------------------------------------

DEEP = b'{"type":"prova.saluto","data":' + b"[" * 60 + b"]" * 60 + b"}"
J = {"Content-Type": "application/json"}
X_DIGEST = "sha-256=:LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=:"
REFUSALS = [
    ("duplicate key", "POST", "/messages", b'{"type":"a.b","type":"a.b","data":{}}', J, "portale", 400, "input.malformed"),
    ("NaN", "POST", "/messages", b'{"type":"prova.saluto","data":{"nome":NaN}}', J, "portale", 400, "input.malformed"),
    ("infinite", "POST", "/messages", b'{"type":"prova.saluto","data":{"numero":1e999}}', J, "portale", 400, None),
    (
        "huge integer",
        "POST",
        "/messages",
        b'{"type":"prova.saluto","data":{"numero":123456789012345678901}}',
        J,
        "portale",
        400,
        "input.number",
    ),
    ("too deep", "POST", "/messages", DEEP, J, "portale", 400, "input.too-deep"),
    ("bad UTF-8", "POST", "/messages", b'{"type":"prova.saluto","data":{"nome":"\xff"}}', J, "portale", 400, "input.malformed"),
    ("lone surrogate", "POST", "/messages", b'{"type":"prova.saluto","data":{"nome":"\\ud800"}}', J, "portale", 400, "input.malformed"),
    ("empty body", "POST", "/messages", b"", J, "portale", 400, "input.malformed"),
    ("not an object", "POST", "/messages", b"[]", J, "portale", 400, "input.malformed"),
    ("too large", "POST", "/messages", b'{"type":"' + b"x" * 1_000_001 + b'"}', J, "portale", 413, "input.too-large"),
    ("wrong media type", "POST", "/messages", b"<a/>", {"Content-Type": "application/xml"}, "portale", 415, "input.media-type"),
    (
        "wrong charset",
        "POST",
        "/messages",
        b"{}",
        {"Content-Type": "application/json; charset=latin-1"},
        "portale",
        415,
        "input.media-type",
    ),
    (
        "batch of events",
        "POST",
        "/messages",
        b"[]",
        {"Content-Type": "application/cloudevents-batch+json"},
        "portale",
        415,
        "input.media-type",
    ),
    ("compressed", "POST", "/messages", b"{}", {**J, "Content-Encoding": "gzip"}, "portale", 415, "input.encoding"),
    ("unknown attribute", "POST", "/messages", saluto("X", colore="blu"), J, "portale", 422, "envelope.invalid"),
    ("no type", "POST", "/messages", {"data": {}}, J, "portale", 422, "envelope.invalid"),
    ("type is a number", "POST", "/messages", {"type": 7, "data": {}}, J, "portale", 422, "envelope.invalid"),
    ("version of events", "POST", "/messages", saluto("X", specversion="0.3"), J, "portale", 422, "envelope.invalid"),
    (
        "event without version",
        "POST",
        "/messages",
        saluto("X"),
        {"Content-Type": "application/cloudevents+json"},
        "portale",
        422,
        "envelope.invalid",
    ),
    ("base64 data", "POST", "/messages", {"type": "prova.saluto", "data_base64": "eA=="}, J, "portale", 422, "envelope.invalid"),
    ("attachments not addresses", "POST", "/messages", saluto("X", attachments=["abc"]), J, "portale", 422, "envelope.invalid"),
    *(
        (
            "no attribute of an event",
            "POST",
            "/messages",
            {"nome": "X"},
            {**J, "ce-specversion": "1.0", "ce-type": "prova.saluto", **wrong},
            "portale",
            422,
            "envelope.invalid",
        )
        for wrong in ({"ce-data": "1"}, {"ce-id": "%FF"}, {"ce-id": "\xff"})
    ),
    (
        "unknown ce- header",
        "POST",
        "/messages",
        {"nome": "X"},
        {**J, "ce-specversion": "1.0", "ce-type": "prova.saluto", "ce-altro": "1"},
        "portale",
        422,
        "envelope.invalid",
    ),
    *(
        ("no named file", "POST", "/messages", saluto("X", attachments=[one]), J, "portale", 422, "envelope.invalid")
        for one in (
            {"sha256": "0" * 64},
            {"name": "a"},
            {"sha256": "0" * 64, "name": "a/b"},
            {"sha256": "0", "name": "a"},
            {"sha256": "0" * 64, "name": 1},
            {"sha256": "0" * 64, "name": "a", "size": 1},
            {"sha256": {"sha256": "0" * 64, "name": "a"}, "name": "a"},
        )
    ),
    ("unknown attachment", "POST", "/messages", saluto("X", attachments=["0" * 64]), J, "portale", 404, "attachment.unknown"),
    ("unknown type", "POST", "/messages", {"type": "prova.salut", "data": {}}, J, "portale", 422, "type.unknown"),
    ("type nobody takes", "POST", "/messages", {"type": "prova.orfano", "data": {"nome": "X"}}, J, "portale", 422, "type.no-route"),
    (
        "unknown field of the body",
        "POST",
        "/messages",
        {"type": "prova.saluto", "data": {"nome": "X", "altro": 1}},
        J,
        "portale",
        422,
        "body.invalid",
    ),
    ("no data", "POST", "/messages", {"type": "prova.saluto"}, J, "portale", 422, "body.invalid"),
    ("key too long", "POST", "/messages", saluto("X"), {**J, "Idempotency-Key": "k" * 201}, "portale", 400, "input.idempotency-key"),
    ("key not ASCII", "POST", "/messages", saluto("X"), {**J, "Idempotency-Key": "caffè"}, "portale", 400, "input.idempotency-key"),
    ("no key", "POST", "/messages", saluto("X"), J, None, 401, "auth.missing"),
    ("wrong key", "GET", "/runs", None, {"Authorization": "Bearer indovinata"}, None, 401, "auth.missing"),
    ("basic authentication", "GET", "/runs", None, {"Authorization": "Basic eDp5"}, None, 401, "auth.missing"),
    ("an auditor sends", "POST", "/messages", saluto("X"), J, "revisore", 403, "auth.forbidden"),
    ("a portal lists runs", "GET", "/runs", None, {}, "portale", 403, "auth.forbidden"),
    ("an auditor redelivers", "POST", "/dead/x/redeliver", {"reason": "x"}, J, "revisore", 403, "auth.forbidden"),
    ("unknown address", "GET", "/nulla", None, {}, "portale", 404, "input.not-found"),
    ("trailing slash", "GET", "/status/", None, {}, "portale", 404, "input.not-found"),
    ("unknown message", "GET", "/messages/x", None, {}, "portale", 404, "message.unknown"),
    ("unknown case", "GET", "/cases/x%2Fy", None, {}, "sistemista", 404, "case.unknown"),
    ("case by a person", "GET", "/cases/codice_fiscale:BNCNNA80A41B429E", None, {}, "sistemista", 422, "case.weak-key"),
    ("more of a case than a page has", "GET", "/cases/istanza:x?limit=1001", None, {}, "portale", 422, "input.query"),
    ("a page of a case that there cannot be", "GET", "/cases/istanza:x?after=-1", None, {}, "portale", 422, "input.query"),
    ("unknown run", "GET", "/runs/x", None, {}, "sistemista", 404, "run.unknown"),
    ("unknown state", "GET", "/runs?state=felice", None, {}, "sistemista", 422, "input.query"),
    ("unknown parameter", "GET", "/runs?colore=blu", None, {}, "sistemista", 422, "input.query"),
    ("limit not a number", "GET", "/runs?limit=molti", None, {}, "sistemista", 422, "input.query"),
    ("a limit of thousands of digits", "GET", "/runs?limit=" + "9" * 5000, None, {}, "sistemista", 422, "input.query"),
    ("records of nothing", "GET", "/log", None, {}, "revisore", 422, "input.query"),
    ("records of two", "GET", "/log?run=x&message=x&limit=5", None, {}, "revisore", 422, "input.query"),
    ("records unknown", "GET", "/log?run=x", None, {}, "revisore", 404, "log.unknown"),
    ("unknown dead letter", "GET", "/dead/x", None, {}, "sistemista", 404, "run.unknown"),
    ("act of unknown field", "POST", "/dead/x/discard", {"reason": "x", "altro": 1}, J, "sistemista", 422, "input.invalid"),
    ("steps that are none", "POST", "/rules/rollback", {"reason": "x", "steps": 0}, J, "sistemista", 422, "input.invalid"),
    ("files that are no text", "POST", "/rules/activate", {"reason": "x", "files": {"a": 1}}, J, "sistemista", 422, "input.invalid"),
    ("act that is none", "POST", "/reads", {"act": "curiosare", "purpose": "prova"}, J, "sistemista", 422, "input.invalid"),
    ("act without reason", "POST", "/dead/x/discard", {"reason": 7}, J, "sistemista", 422, "input.invalid"),
    *(
        ("decision that is none", "POST", "/dead/x/decide", {"reason": "x", **said}, J, "sistemista", 422, "input.invalid")
        for said in ({}, {"decision": "happend"}, {"decision": "discard"})
    ),
    (
        "act in a form",
        "POST",
        "/dead/x/discard",
        b"reason=x",
        {"Content-Type": "application/x-www-form-urlencoded"},
        "sistemista",
        415,
        "input.media-type",
    ),
    ("unknown evidence", "GET", "/dead/x/evidence/y", None, {}, "revisore", 404, "run.unknown"),
    ("unknown service", "GET", "/catalog/x", None, {}, None, 404, "service.unknown"),
    ("unknown schema", "GET", "/types/prova.x", None, {}, None, 404, "type.missing"),
    ("unknown attachment", "GET", f"/attachments/{'0' * 64}", None, {}, "portale", 404, "attachment.unknown"),
    ("attachment by a path", "GET", "/attachments/..%2f..%2fetc%2fpasswd", None, {}, "sistemista", 404, None),
    ("file without name", "POST", "/attachments", b"x", {}, "portale", 422, "attachment.name"),
    *(
        (f"file in a form, {media}", "POST", "/attachments?name=x", b"x", {"Content-Type": media}, "portale", 415, "input.media-type")
        for media in ("multipart/form-data; boundary=x", "application/x-www-form-urlencoded")
    ),
    ("file name with a path", "POST", "/attachments?name=..%2Fx", b"x", {}, "portale", 422, "attachment.name"),
    *(
        (f"file name that is none, {name}", "POST", f"/attachments?name={name}", b"x", {}, "portale", 422, "attachment.name")
        for name in ("..", ".", "%20", "%20..%20")
    ),
    ("a parameter twice", "POST", "/attachments?name=a&name=b", b"x", {}, "portale", 422, "input.query"),
    ("file name with a line break", "POST", "/attachments?name=a%0D%0Ab", b"x", {}, "portale", 422, "attachment.name"),
    ("file too large", "POST", "/attachments?name=x", b"x" * 2_000_001, {}, "portale", 413, "attachment.too-large"),
    (
        "file of another digest",
        "POST",
        "/attachments?name=x",
        b"x",
        {"Content-Digest": f"sha-256=:{'A' * 43}=:"},
        "portale",
        422,
        "attachment.digest",
    ),
    *(
        (
            f"file with a digest that cannot be right, {headers}",
            "POST",
            "/attachments?name=x",
            b"x",
            headers,
            "portale",
            422,
            "attachment.digest",
        )
        for headers in (
            {"Content-Digest": X_DIGEST, "Repr-Digest": f"sha-256=:{'A' * 43}=:"},
            {"Content-Digest": "sha-256=2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"},
            {"Repr-Digest": "sha-512=:AAAA:, SHA-256=abc"},
        )
    ),
    ("compressed file", "POST", "/attachments?name=x", b"x", {"Content-Encoding": "gzip"}, "portale", 415, "input.encoding"),
    ("a piece of a file", "POST", "/attachments?name=x", b"x", {"Content-Range": "bytes 0-0/9"}, "portale", 400, "attachment.piece"),
    ("wrong method", "DELETE", "/messages", None, {}, "portale", 405, "input.method"),
    ("wrong method on an endpoint", "GET", "/in/eco", None, {}, None, 405, "input.method"),
    ("large headers", "GET", "/status", None, {"X-Grande": "x" * 40_000}, None, 431, "input.headers-too-large"),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "name", "status", "code"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS]
)
def test_every_refusal_is_a_problem_with_a_documented_code(call, method, path, body, headers, name, status, code):
    reply = call(method, path, body, headers, name=name)
    problem = reply.json
    assert reply.status == status, problem
    assert reply.headers["content-type"] == "application/problem+json"
    assert set(problem) >= {"type", "title", "status", "detail", "instance", "code"}
    assert problem["status"] == status
    assert code is None or problem["code"] == code
    assert problem["hint"], "what to do next"
    assert problem["code"] in DOCUMENTED
    assert problem["type"] == f"urn:snodo:error:{problem['code']}"
    assert problem["instance"].startswith("urn:uuid:")
    assert status in PROBLEMS or status == 405
    assert (status == 401) == ("www-authenticate" in reply.headers)
    assert (status == 405) == ("allow" in reply.headers)
    assert reply.headers.get("accept-encoding") == ("identity" if (status, code) == (415, "input.encoding") else None)


def test_faults_of_a_body_are_all_listed_without_its_values(call):
    problem = call("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "", "segreto": "BNCNNA80A41B429E"}}).json
    assert {fault["pointer"] for fault in problem["faults"]} == {"/segreto", "/nome"}
    assert "BNCNNA80A41B429E" not in json.dumps(problem)


def test_an_unexpected_error_says_nothing_but_where_to_ask(server, call, monkeypatch):
    monkeypatch.setattr(server.app, "status", lambda: 1 / 0)
    reply = call("GET", "/status")
    assert (reply.status, reply.json["code"]) == (500, "bus.failed")
    assert "division" not in reply.content.decode()


def test_headers_of_every_answer(call):
    for path in ("/status", "/nulla"):
        headers = call("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


@pytest.mark.parametrize("path", ["/messages/", "/runs/", "/messages//receipt", "/messages/..%2F..%2Fx", "/messages/a%2fb/receipt"])
def test_an_address_without_an_id_in_its_place_says_that(call, path):
    told, why = call("GET", path), "holds a /, and no id does" if "%" in path else "is empty"
    assert (told.status, told.json["detail"]) == (404, f"there is nothing at this address: the id in it {why}")


@pytest.mark.parametrize("path", ["/messages/a%00b", "/cases/istanza:a%00b", "/in/eco%00"])
def test_an_address_with_a_nul_is_nowhere(call, path):
    assert (call("GET", path).status, call("GET", path).json["code"]) == (404, "input.not-found")


@pytest.mark.parametrize("path", ["/runs?route=a%00b", "/status?a=%00"])
def test_a_query_with_a_nul_is_refused_as_the_document_says_of_each_address(call, path):
    assert (call("GET", path).status, call("GET", path).json["code"]) == (400, "input.malformed")


# -- looking ----------------------------------------------------------------------------------------------------------------


def test_a_portal_sees_its_own_messages_and_cases_only(call):
    accepted = call("POST", "/messages", saluto("Olga"), {"Prefer": "wait=5"}).json
    for name, status in (("portale", 200), ("altro", 404), ("sistemista", 200), ("revisore", 200)):
        assert call("GET", f"/messages/{accepted['id']}", name=name).status == status
        assert call("GET", "/cases/istanza:Olga", name=name).status == status
        assert call("GET", "/cases/istanza:Olga?limit=1&after=3", name=name).status == status


def test_the_journal_of_a_run_comes_in_pages(call):
    sent = call("POST", "/messages", saluto("Nilde"), {"Prefer": "wait=5"}).json["id"]
    [run] = call("GET", f"/messages/{sent}", name="sistemista").json["runs"]
    whole = call("GET", f"/runs/{run['id']}", name="sistemista").json
    found, after = [], 0
    while after is not None:
        page = call("GET", f"/runs/{run['id']}?limit=1&after={after}", name="sistemista").json
        assert len(page["journal"]) == 1
        assert (page["id"], page["state"]) == (run["id"], "done")
        found, after = found + page["journal"], page["next"]
    assert (found, whole["next"]) == (whole["journal"], None)
    assert len(found) > 1
    assert call("GET", f"/runs/{run['id']}?limit=1001", name="sistemista").json["code"] == "input.query"


def test_a_case_is_found_by_a_value_with_a_colon_alone_and_behind_its_name(call):
    told = call("POST", "/messages", saluto("urn:suap:2026:12")).json["id"]
    for key in ("urn:suap:2026:12", "istanza:urn:suap:2026:12"):
        reply = call("GET", f"/cases/{key}", name="sistemista")
        assert (reply.status, [one["id"] for one in reply.json.get("messages", ())]) == (200, [told])


def test_a_case_is_found_by_a_key_with_a_slash(call):
    call("POST", "/messages", saluto("2026/0000123"))
    assert call("GET", "/cases/2026%2F0000123").json["keys"] == [{"name": "istanza", "value": "2026/0000123"}]
    assert call("GET", "/cases/istanza:2026/0000123").status == 200


def test_a_line_end_is_a_character_of_a_key_like_others(call):
    keys = ("riga", "riga\n", "riga\nseconda")
    told = [call("POST", "/messages", saluto(one)).json["id"] for one in keys]
    for address, one in zip(map(quote, keys), told, strict=True):
        assert [message["id"] for message in call("GET", f"/cases/istanza:{address}").json.get("messages", ())] == [one]
    assert call("GET", f"/messages/{told[0]}%0A").status == 404


def test_a_dead_letter_is_listed_shown_redelivered_and_discarded(call):
    accepted = call("POST", "/messages", {"type": "prova.guasto", "data": {"nome": "Pia"}}, {"Prefer": "wait=5"}).json
    [run] = [one for one in call("GET", "/dead", name="revisore").json["dead"] if one["message"] == accepted["id"]]
    letter = call("GET", f"/dead/{run['id']}", headers={"Snodo-Purpose": "prova"}, name="revisore").json
    assert call("GET", f"/dead/{run['id']}/evidence/{'0' * 64}", name="revisore").json["code"] == "dead.evidence-unknown"
    assert (letter["code"], letter["sentence"], letter["place"]) == ("prova.rotta", "rotta apposta", "prova.fallisce@1/rompi")
    assert (
        call("POST", f"/dead/{run['id']}/decide", {"reason": "x", "decision": "again"}, name="sistemista").json["code"] == "dead.no-doubt"
    )
    assert call("POST", f"/dead/{run['id']}/discard", {"reason": " "}, name="sistemista").json["code"] == "dead.reason-missing"
    again = call("POST", f"/dead/{run['id']}/redeliver", {"reason": "riprovo", "current_rules": True}, name="sistemista")
    assert again.status == 200
    until(lambda: call("GET", f"/runs/{run['id']}", name="sistemista").json["state"] == "dead", "it is dead again")
    assert call("POST", f"/dead/{run['id']}/discard", {"reason": "basta"}, name="sistemista").json["state"] == "cancelled"
    kinds = [record["kind"] for record in call("GET", f"/log?run={run['id']}", name="revisore").json["records"]]
    assert [kind for kind in kinds if kind in ("dead", "redelivered", "discarded")] == ["dead", "redelivered", "dead", "discarded"]


@pytest.mark.parametrize("state", ["ready", "running", "waiting", "done", "dead", "cancelled"])
def test_runs_may_be_asked_for_in_every_state(call, state):
    found = call("GET", f"/runs?state={state}", name="revisore")
    assert (found.status, {run["state"] for run in found.json["runs"]} <= {state}) == (200, True)


def test_dead_runs_are_listed_page_by_page_of_one_code_and_one_route(call, server, monkeypatch, capsys):
    asked = {name: call("POST", "/messages", {"type": "prova.guasto", "data": {"nome": name}}).json["id"] for name in ("Lea", "Leo", "Lia")}
    until(lambda: {call("GET", f"/messages/{one}").json["state"] for one in asked.values()} == {"dead"}, "all are dead")

    def page(query):
        found = call("GET", f"/dead?code=prova.rotta&route=prova.fallisce&{query}", name="revisore").json
        return [one["message"] for one in found["dead"]], found.get("next")

    first, after = page("limit=2")
    assert first == [asked["Lia"], asked["Leo"]]
    rest, end = page(f"limit=500&after={after}")
    assert (rest[0], end, set(rest) & set(first)) == (asked["Lea"], None, set())
    assert page("limit=500") == (first + rest, None)
    for other in ("code=call.refused", "route=prova.aspetta"):
        assert call("GET", f"/dead?{other}", name="revisore").json == {"dead": []}
    assert call("GET", "/dead?limit=501", name="revisore").json["code"] == "input.query"
    monkeypatch.setattr("bus.web.dead.MOST_RUNS", 2)
    main(["dead", "list", "--url", server.url, "--key", key_of("revisore")])
    assert "There are older ones, too" in capsys.readouterr().out


def test_a_message_that_begins_nothing_says_which_runs_it_woke_or_that_there_were_none(call):
    """An answer with a typing error in its number is accepted, too: only so does its sender learn that nobody heard it."""
    waiting = call("POST", "/messages", {"type": "prova.attesa", "data": {"nome": "Tea"}}).json
    until(lambda: call("GET", f"/messages/{waiting['id']}").json["state"] == "waiting", "the run waits")
    right, wrong = (call("POST", "/messages", {"type": "prova.sveglia", "data": {"nome": nome}}).json["id"] for nome in ("Tea", "Taa"))
    told = [call("GET", f"/messages/{one}").json for one in (right, wrong)]
    [run] = call("GET", f"/messages/{waiting['id']}").json["runs"]
    assert [(one["state"], one["woke"]) for one in told] == [("accepted", [run["id"]]), ("accepted", [])]
    assert "woke" not in call("GET", f"/messages/{waiting['id']}").json


def test_what_is_public_needs_no_key_and_tells_nothing_of_anybody(call):
    status = call("GET", "/status", name=None)
    assert status.headers["content-type"] == "application/problem+json"
    assert status.json == {"type": "about:blank", "title": "OK", "status": 200, "detail": "the bus takes messages"}
    assert "bus" in call("GET", "/status", name="sistemista").json
    assert call("GET", "/catalog", name=None).json["servizi"][0]["codice"] == "ritiro-ingombranti"
    assert call("GET", "/catalog/ritiro-ingombranti", name=None).json["ufficio"] == "ambiente"
    assert call("GET", "/types/prova.saluto", name=None).json["required"] == ["nome"]
    assert call("HEAD", "/status", name=None).content == b""


def test_a_type_that_is_like_none_is_to_be_found_in_the_catalogue(call):
    assert "GET /catalog" in call("GET", "/types/zzz", name=None).json["hint"]


def test_the_key_may_come_in_its_own_header(call):
    assert call("GET", "/runs?limit=1&state=done", headers={"X-Api-Key": key_of("revisore")}, name=None).status == 200


def test_a_caller_may_have_two_keys_while_one_is_changed(tmp_path):
    """The new key sends as the same sender: what was sent under the old one is repeated, not taken anew."""
    old, new = own_key("portale", "portal"), {**own_key("nuova", "portal"), "name": "portale"}
    named = {"Idempotency-Key": "comune"}
    with running(tmp_path, keys=[old, new]) as server:
        first, again = (Caller(server.port, name)("POST", "/messages", saluto("Dina"), named) for name in ("portale", "nuova"))
    assert (first.status, again.status) == (202, 202)
    assert first.json["id"] == again.json["id"]
    with running(tmp_path, keys=[new]) as server:
        assert [Caller(server.port, name)("POST", "/messages", saluto("Dina"), named).status for name in ("portale", "nuova")] == [401, 202]


# -- the process ----------------------------------------------------------------------------------------------------------------


def test_a_hundred_megabytes_pass_with_flat_memory_and_the_process_stops_in_good_order(tmp_path):
    process = Process(tmp_path)
    try:
        client = Caller(process.port)
        assert client("POST", "/attachments?name=prima.bin", b"x" * 300_000).status == 201
        before = process.memory()
        content = bytes(100_000_000)
        sent = client("POST", "/attachments?name=grande.bin", content)
        grown = process.memory() - before
        assert (sent.status, sent.json["size"]) == (201, len(content))
        assert grown < 30_000_000, f"memory grew by {grown} bytes"
        assert client("GET", sent.headers["location"]).content == content
        assert process.memory() - before < 30_000_000
    finally:
        code = process.stop()
    assert code == 0, process.log.read_text()
    assert "Traceback" not in process.log.read_text()


def test_who_waits_at_a_door_that_is_told_to_stop_is_told_that_the_message_was_accepted(tmp_path):
    with running(tmp_path) as server, concurrent.futures.ThreadPoolExecutor(2) as pool:
        call = Caller(server.port)
        sent = pool.submit(call, "POST", "/messages", {"type": "prova.attesa", "data": {"nome": "Ada"}}, {"Prefer": "wait=50"})
        watched = pool.submit(call, "GET", "/log/tail?after=0&outcome=dead&wait=30", None, None, "sistemista")
        until(lambda: server.app.runs("waiting"), "the run waits")
        until(lambda: server._server.config.app._open == 2, "both have asked")
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 25
        assert sent.result(60).status == 202
        assert watched.result(60).status == 200


def test_a_message_that_is_refused_at_once_leaves_nobody_to_be_told_later(call, monkeypatch):
    from bus.web import bridge

    told = []
    monkeypatch.setattr(bridge, "PATIENCE", 0.0)
    monkeypatch.setattr(bridge, "unanswered", lambda: told.append("nobody waits") or StoreError("nobody waits"))
    assert call("POST", "/messages", {"type": "prova.saluto", "data": {"altro": 1}}, J).status == 422
    time.sleep(2 * bridge._EVERY)
    assert told == []
