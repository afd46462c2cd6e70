"""Systems described by configuration alone (`adapters.rest`): what is sent, what is read, and what is told when it is not right."""

import json
from contextlib import contextmanager
from functools import partial

import pytest
from pydantic import ValidationError

from adapters.http.client import RestReply
from adapters.openapi.model import model_of
from adapters.rest import Rest
from adapters.shapes import shape_of
from bus.adapter import InDoubt, Refused, Unreachable
from bus.testing.adapter_contract import attempt, call
from tests.contract.scripted_peer import http, peer

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


def test_a_configured_write_goes_as_a_form_where_the_settings_say_so():
    one = {**CONFIGURED["operations"]["iscrivi"], "form": True}
    with peer(http(201, b'{"id": 7}')) as (url, seen), configured(url, operations={"iscrivi": one}) as adapter:
        assert attempt(adapter, "iscrivi", {"nome": "Ada + Eva"}).answer.id == 7
    assert b"Content-Type: application/x-www-form-urlencoded\r\n" in seen[0]
    assert seen[0].endswith(b"\r\n\r\nnome=Ada+%2B+Eva")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_configured_write_sends_our_key_and_the_rest_as_body(method):
    one = {**CONFIGURED["operations"]["iscrivi"], "method": method}
    with peer(http(201, b'{"id": 7}')) as (url, seen), configured(url, operations={"iscrivi": one}) as adapter:
        done = attempt(adapter, "iscrivi", {"nome": "Ada"})
    assert done.answer.id == 7
    assert seen[0].startswith(f"{method} /iscrizioni ".encode())
    assert seen[0].endswith(b'{"nome":"Ada"}')
    assert f"Idempotency-Key: {done.ctx.key}".encode() in seen[0]


@pytest.mark.parametrize(
    ("status", "refusals", "told"),
    [(403, {}, InDoubt), (403, {"HTTP_403": "not for us"}, Refused), (404, {}, Unreachable), (404, {"HTTP_404": "no such firm"}, Refused)],
)
def test_a_page_is_a_no_where_the_settings_say_so(status, refusals, told):
    one = {**CONFIGURED["operations"]["iscrivi"], "refusals": refusals}
    page = http(status, b"<html>no</html>", Content_Type="text/html")
    with peer(page) as (url, _), configured(url, operations={"iscrivi": one}) as adapter:
        done = attempt(adapter, "iscrivi", {"nome": "Ada"})
    assert type(done.error) is told


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
        assert done.error.sentence == "HTTP 204, a success without content: id is missing"


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
    assert (type(done.error), done.error.sentence) == (
        InDoubt,
        "the reply does not have the agreed shape: indirizzo must be a text, and nothing is written",
    )


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
        (
            {"field": "esiti.codice", "equals": "KO", "code": "esiti.motivo"},
            b'{"id": 1, "esiti": [{"codice": "OK"}, {"codice": "KO", "motivo": "PIENO"}]}',
            "PIENO",
        ),
        ({"field": "esiti.codice", "equals": "KO"}, b'{"id": 1, "esiti": []}', None),
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
