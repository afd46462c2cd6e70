"""The OpenAPI document: valid, complete, after the rules of the Italian checker, and true of real answers."""

from __future__ import annotations

import re
from contextlib import closing
from fnmatch import fnmatch

import jsonschema_rs
import pytest
from pydantic import ValidationError

from bus.config import Http
from bus.errors import InputError, StoreError
from bus.web.answer import STANDING
from bus.web.api import SERVED
from bus.web.auth import WATCHERS
from bus.web.door import HttpDoor
from bus.web.openapi import document
from bus.web.problems import problem_of
from bus.web.schemas import SCHEMAS
from bus.web.served import HEADERS, PROBLEMS
from tests.small_bus import Caller, running

DOCUMENT = document(SERVED, "Comune di Prova")
OPERATIONS = [(path, method, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()]


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_reference_leads_somewhere_and_every_shape_is_used():
    found = set(references(DOCUMENT))
    for reference in found:
        here = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            here = here[part]
    assert {f"#/components/schemas/{name}" for name in SCHEMAS} - found == set()


def kinds(error):
    yield error
    for kind in error.__subclasses__():
        yield from kinds(kind)


def test_every_status_that_a_refusal_can_have_is_in_the_document():
    told = {status for _, _, operation in OPERATIONS for status in operation["responses"]}
    assert {str(kind.status) for kind in kinds(InputError)} - told == {"405"}, "that of another method than those which are described"


def test_the_head_says_what_the_italian_rules_ask():
    info = DOCUMENT["info"]
    assert re.fullmatch(r"3\.0\.\d", DOCUMENT["openapi"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", info["version"])
    assert info["x-summary"]
    assert info["contact"]["name"]
    assert DOCUMENT["servers"]


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=[f"{m} {p}" for p, m, _ in OPERATIONS])
def test_every_operation_is_whole(path, method, operation):
    assert operation["operationId"]
    assert operation["summary"]
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    assert re.fullmatch(r"(/[a-z0-9.-]+|/\{[a-z0-9]+\})+", path), "kebab-case"
    assert set(re.findall(r"\{(\w+)\}", path)) == {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
    statuses = set(operation["responses"])
    assert any(status.startswith("2") for status in statuses)
    assert {"500", "503"} <= statuses
    assert ("401" in statuses) == bool(operation["security"])
    assert (method == "post") == ("requestBody" in operation)


def lists(value, name):
    """What stands under a name, wherever it is a list."""
    if isinstance(value, dict):
        yield from (inner for key, inner in value.items() if key == name and isinstance(inner, list))
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from lists(inner, name)


def test_no_list_is_empty_where_openapi_wants_one_item_at_least():
    """Of parameters and of an object's fields alike: other validators refuse the whole document."""
    assert all(found for name in ("required", "enum", "anyOf", "parameters") for found in lists(DOCUMENT, name))


def test_every_status_that_an_error_has_is_described():
    kinds = [InputError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {kind.status for kind in kinds} - {405} <= set(PROBLEMS), "another method is none of an operation"


def test_what_is_said_before_an_address_is_looked_at_is_said_of_each():
    """A host that is missing, a header that came twice, an expectation that is none, a parameter that there is not."""
    assert all({"400", "417", "422", "431"} <= set(operation["responses"]) for _, _, operation in OPERATIONS)


@pytest.mark.parametrize("one", SERVED, ids=[one.name for one in SERVED])
def test_an_address_refuses_parameters_that_it_does_not_have(bus, one):
    """What is ignored is a typing error that nobody sees, or a preference said in the wrong place."""
    reply = Caller(bus.port, "sistemista")(one.method, re.sub(r"\{\w+\}", "x", one.path) + "?colore=blu")
    assert (reply.status, reply.json["code"], reply.json["hint"][:10]) == (422, "input.query", "known here")


@pytest.mark.parametrize("query", ["wait=3", "Wait=3", "key=una"])
def test_a_parameter_that_is_a_header_is_told_as_that(bus, query):
    reply = Caller(bus.port, "sistemista")("POST", f"/messages?{query}", {"type": "prova.saluto", "data": {"nome": "Ada"}})
    assert (reply.status, reply.json["code"], reply.json["hint"][:14]) == (422, "input.query", "it is a header")


@pytest.mark.parametrize("name", ["get-message", "get-attachment", "get-dead", "get-evidence", "redeliver-dead"])
def test_who_asks_for_what_was_said_may_hear_that_it_was_erased(name):
    (found,) = [operation for _, _, operation in OPERATIONS if operation["operationId"] == name]
    assert "410" in found["responses"]


def test_ids_are_unique():
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(ids) == len(set(ids))


def test_every_problem_is_problem_json_with_the_four_fields():
    for status, response in DOCUMENT["components"]["responses"].items():
        assert list(response["content"]) == ["application/problem+json"]
        assert ("Retry-After" in response.get("headers", {})) == (status in ("Problem429", "Problem503"))
    assert {"type", "title", "status", "detail"} <= set(SCHEMAS["Problem"]["properties"])


def test_status_is_a_problem_too():
    assert list(DOCUMENT["paths"]["/status"]["get"]["responses"]["200"]["content"]) == ["application/problem+json"]


def test_no_line_of_a_description_is_set_in_as_it_stands_in_the_code():
    """Who renders it would show the line as an example; and before Python 3.13 alone the code's own indent is part of it."""
    described = [one["description"] for path in DOCUMENT["paths"].values() for one in path.values() if "description" in one]
    assert [text for text in described if "\n" in text], "some have several lines"
    assert [text for text in described if "\n    " in text] == []


def test_what_status_says_to_who_watches_is_told(told):
    assert "bus" in told["get-status", 200].json
    description = DOCUMENT["paths"]["/status"]["get"]["description"]
    assert not [line for _, _, operation in OPERATIONS for line in operation["description"].splitlines() if line.startswith(" ")]
    assert set(told["get-status", 200].json["bus"]) == set(SCHEMAS["Status"]["properties"]["bus"]["properties"])
    assert [word for word in ("bus", *WATCHERS) if f"``{word}``" not in description] == []


def of_2020(value):
    """OpenAPI 3.0 schemas as JSON Schema: ``nullable`` is the only difference that we use."""
    if isinstance(value, dict):
        made = {key: of_2020(inner) for key, inner in value.items() if key != "nullable"}
        if value.get("nullable") and "type" in made:
            made["type"] = [made["type"], "null"]
        return made
    return [of_2020(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def bus(tmp_path_factory):
    with running(tmp_path_factory.mktemp("bus")) as server:
        yield server


@pytest.fixture(scope="module")
def told(bus):
    """Real answers, by operation and status."""
    call, answers = Caller(bus.port, "sistemista"), {}
    sent = call("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}, {"Prefer": "wait=10"})
    answers["send-message", 200] = sent
    answers["send-message", 202] = call("POST", "/messages", {"type": "prova.guasto", "data": {"nome": "Bea"}}, {"Prefer": "wait=10"})
    answers["send-attachment", 201] = call("POST", "/attachments?name=a.txt", b"x")
    answers["get-message", 200] = call("GET", f"/messages/{sent.json['id']}")
    answers["get-case", 200] = call("GET", "/cases/Ada")
    answers["list-runs", 200] = call("GET", "/runs")
    answers["list-dead", 200] = call("GET", "/dead")
    run = answers["list-dead", 200].json["dead"][0]["id"]
    answers["get-run", 200] = call("GET", f"/runs/{run}")
    answers["get-dead", 200] = call("GET", f"/dead/{run}")
    answers["discard-dead", 200] = call("POST", f"/dead/{run}/discard", {"reason": "prova"})
    for name, path in (("list-records", "/log?case=Ada"), ("get-status", "/status"), ("get-catalog", "/catalog"),
                       ("get-service", "/catalog/ritiro-ingombranti"), ("get-type", "/types/prova.saluto"), ("get-openapi", "/openapi.json")):  # fmt: skip
        answers[name, 200] = call("GET", path)
    return answers


def test_real_answers_are_of_the_declared_shape(told):
    served = {one.name: one for one in SERVED}
    for (name, status), reply in told.items():
        assert reply.status == status, (name, reply.content)
        _, shape, media = served[name].answers[status]
        assert reply.headers["content-type"] == media, name
        schema = {"$ref": f"#/components/schemas/{shape}", "components": {"schemas": of_2020(SCHEMAS)}}
        jsonschema_rs.Draft202012Validator(schema).validate(reply.json)


def headers_of(response):
    """Those that an answer as described always has, and those that it may have."""
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    told = {name.lower(): DOCUMENT["components"]["headers"][name] for name in response.get("headers", {})}
    return {name for name, one in told.items() if one["required"]}, set(told)


@pytest.fixture(scope="module")
def more(bus, told):
    """Answers of those operations that give headers of their own, and problems."""
    call, nobody = Caller(bus.port, "sistemista"), Caller(bus.port, None)
    body = {"type": "prova.saluto", "data": {"nome": "Ada"}}
    [first, again] = [call("POST", "/messages", body, {"Idempotency-Key": "una"}) for _ in range(2)]
    file = told["send-attachment", 201].headers["location"]
    etag = call("GET", file).headers["etag"]
    assert again.headers["idempotency-status"] == "repeated"
    answers = {
        "first": ("send-message", first), "again": ("send-message", again), "file": ("get-attachment", call("GET", file)),
        "same": ("get-attachment", call("GET", file, None, {"If-None-Match": etag})),
        "bundle": ("export", call("POST", "/exports", {"message": first.json["id"], "purpose": "prova"})),
        "nobody": ("list-runs", nobody("GET", "/runs")), "nothing": ("get-run", call("GET", "/runs/nulla")),
        "wrong": ("send-message", call("POST", "/messages", {**body, "data": {}})),
        "packed": ("send-message", call("POST", "/messages", body, {"Content-Encoding": "gzip"})),
    }  # fmt: skip
    assert [reply.status for _, reply in answers.values()] == [202, 202, 200, 304, 200, 401, 404, 422, 415]
    return [*((name, reply) for (name, _), reply in told.items()), *answers.values()]


def test_real_answers_have_the_headers_that_are_described(more):
    described = {operation["operationId"]: operation["responses"] for _, _, operation in OPERATIONS}
    common = {"date", "server", "content-type", "content-length", *(name.decode() for name, _ in STANDING)}
    seen = set()
    for name, reply in more:
        always, known = headers_of(described[name][str(reply.status)])
        found = set(reply.headers) - common
        assert always <= found <= known, (name, reply.status)
        seen |= found
    assert {name.lower() for name in HEADERS} - seen == {"retry-after"}, "of a bus that is busy: below"


def test_the_headers_of_every_problem_are_described():
    for kind in {*kinds(InputError), StoreError}:
        problem = problem_of(kind("prova", allow="GET"))
        if problem.status != 405:
            always, _ = headers_of({"$ref": f"#/components/responses/Problem{problem.status}"})
            assert {name.decode() for name, _ in problem.headers} - {"connection"} == always, kind


def test_every_described_header_is_one_of_some_answer():
    assert {reference.rpartition("/")[2] for reference in references(DOCUMENT) if "/headers/" in reference} == set(HEADERS)


def test_a_file_goes_and_comes_back_under_a_media_type_that_the_document_declares(bus):
    call = Caller(bus.port, "portale")
    file = call("POST", "/attachments?name=a.pdf", b"%PDF-1.7", {"Content-Type": "application/pdf"}).json
    answered = call("GET", file["links"]["content"])
    declared = DOCUMENT["paths"]["/attachments/{sha256}"]["get"]["responses"]["200"]["content"]
    assert answered.headers["content-type"] == "application/pdf"
    taken = DOCUMENT["paths"]["/attachments"]["post"]["requestBody"]["content"]
    assert all(any(fnmatch("application/pdf", media) for media in said) for said in (declared, taken))


def test_a_client_made_from_the_document_sends_a_file_as_the_first_type_named_there(bus):
    """Generators take the first type, some as it is written: ``*/*`` is no type that a file can have."""
    first = next(iter(DOCUMENT["paths"]["/attachments"]["post"]["requestBody"]["content"]))
    assert Caller(bus.port, "portale")("POST", "/attachments?name=b.pdf", b"%PDF-1.7", {"Content-Type": first}).status == 201


def test_what_a_media_type_of_a_message_asks_for_is_told_of_that_one(bus):
    """A client made from the document has one class for each schema, and sends it as the type under which it stands."""
    call, least = Caller(bus.port, "portale"), {"type": "prova.saluto", "data": {"nome": "Ada"}}
    for media, content in DOCUMENT["paths"]["/messages"]["post"]["requestBody"]["content"].items():
        required = SCHEMAS[content["schema"]["$ref"].rpartition("/")[2]]["required"]
        body = {name: {"specversion": "1.0", **least}[name] for name in required}
        assert call("POST", "/messages", body, {"Content-Type": media}).status == 202, media
        assert call("POST", "/messages", least, {"Content-Type": media}).status == (202 if "specversion" not in required else 422), media


@pytest.mark.parametrize("path", ["/metrics", "/messages/{id}/receipt"])
def test_what_is_text_is_described_as_text(path):
    """A client made from the document wraps what is `binary` in a stream of bytes, and a text does not go in there."""
    [(media, content)] = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"].items()
    assert (media, content["schema"]) == ("text/plain", {"type": "string"})


def test_the_bus_serves_the_document_it_was_made_from(told):
    assert told["get-openapi", 200].json["paths"].keys() == DOCUMENT["paths"].keys()


def test_what_is_served_is_in_the_document(bus):
    with closing(HttpDoor(bus.app)) as door:
        paths = {*door._fixed, *(path.replace(":path", "") for path in door._routes)}
    assert paths == set(DOCUMENT["paths"])


@pytest.mark.parametrize(("path", "operation"), [(path, operation) for path, method, operation in OPERATIONS if method == "get"])
def test_who_refuses_a_parameter_that_it_does_not_know_declares_that(bus, path, operation):
    answered = Caller(bus.port, "sistemista")("GET", re.sub(r"\{\w+\}", "nulla", path) + "?nulla=1")
    assert str(answered.status) in operation["responses"]


@pytest.mark.parametrize("name", ["id", "source", "type", "subject", "dataschema", "correlationid", "causationid", "traceparent"])
def test_how_long_an_attribute_may_be_is_told_and_held(bus, name):
    call, told = Caller(bus.port, "portale"), DOCUMENT["components"]["schemas"]["Message"]["properties"][name]
    for length, taken in ((told["maxLength"], True), (told["maxLength"] + 1, False), (told["minLength"] - 1, False)):
        answered = call("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}, name: "x" * length})
        refused = answered.json.get("code") == "envelope.invalid"
        assert refused == (not taken), (length, answered.json)


def test_addresses_in_answers_begin_with_the_path_under_which_a_reverse_proxy_shows_the_bus(tmp_path):
    with running(tmp_path, http={"prefix": "/snodo"}, attachments={"folder": "files"}) as server:
        call = Caller(server.port)
        accepted, file = (
            call("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}),
            call("POST", "/attachments?name=x.pdf", b"planimetria"),
        )
        shown = call("GET", "/openapi.json").json["servers"][0]["url"]
    message = f"/snodo/messages/{accepted.json['id']}"
    assert accepted.json["links"] == {"message": message, "receipt": f"{message}/receipt"}
    assert file.json["links"] == {"content": f"/snodo/attachments/{file.json['sha256']}"}
    assert (accepted.headers["location"], file.headers["location"], shown) == (message, file.json["links"]["content"], "/snodo")


@pytest.mark.parametrize("prefix", ["snodo", "/snodo/", "https://comune.example/snodo", "/a b"])
def test_a_prefix_that_is_no_path_is_refused(prefix):
    with pytest.raises(ValidationError):
        Http(prefix=prefix)
