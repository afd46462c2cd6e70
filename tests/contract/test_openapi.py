"""OpenAPI documents of other systems: what is read of them, and systems that are asked as theirs say."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from adapters.openapi.document import IN_PATH, document_of
from adapters.openapi.model import in_kind, opened, without_nulls
from adapters.openapi.schema import alternatives
from adapters.rest import Rest
from adapters.shapes import FORM
from bus.adapter import Caution, InDoubt, Refused
from bus.testing.adapter_contract import attempt, call
from tests.contract.scripted_peer import http, peer

CONTRACT = Path(__file__).parents[1] / "corpus/world/contratti/archivio.yaml"
OFFICIAL = Path(__file__).parents[3] / "shared/contracts"
BROKEN = "catalogo-ssu_meta.yaml"
"""No YAML, as it was published."""
DOCUMENTS = sorted(
    path
    for pattern in ("*/*.json", "*/*.yaml", "suap-dpr160/openAPI/*.yaml")
    for path in OFFICIAL.glob(pattern)
    if path.name != BROKEN and ("openapi:" in (head := path.read_text("utf-8")[:2000]) or '"openapi"' in head or "swagger:" in head)
)
OPERATIONS = {
    "apri": {"operation": "creaFascicolo", "effect": "keyed"},
    "leggi": {"operation": "leggiFascicolo", "effect": "read"},
    "chiudi": {"method": "DELETE", "path": "/fascicoli/{numero}", "effect": "once"},
}
NEW = {"oggetto": "Una pratica", "classe": "EDILIZIA", "titolare": {"cognome": "Bianchi"}}
FILED = {**NEW, "numero": "F-1"}


@contextmanager
def archive(url="http://127.0.0.1:1", **changes):
    settings = {"url": url, "openapi": str(CONTRACT), "operations": OPERATIONS, **changes}
    adapter = Rest("archivio", Rest.Settings.model_validate(settings))
    yield adapter
    adapter.close()


def test_references_over_two_files_and_all_of_make_one_closed_object():
    request = document_of(CONTRACT).operation("creaFascicolo").request
    assert request["required"] == ["oggetto", "classe", "titolare"]
    assert request["additionalProperties"] is False
    assert request["properties"]["titolare"]["properties"]["cognome"] == {"type": "string", "description": "Family name"}


def test_what_is_only_read_is_not_asked_for_and_what_is_only_written_is_not_told():
    made = document_of(CONTRACT).operation("creaFascicolo")
    assert {"segreto"} == made.request["properties"].keys() - made.answer["properties"].keys()
    assert {"numero", "stato", "superiore", "metadati", "origine"} == made.answer["properties"].keys() - made.request["properties"].keys()


def test_null_alternatives_and_what_holds_itself_are_said_as_far_as_they_are_sure():
    fields = document_of(CONTRACT).operation("creaFascicolo").answer["properties"]
    assert fields["stato"] == {"anyOf": [{"type": "string", "enum": ["APERTO", "CHIUSO"]}, {"type": "null"}]}
    assert fields["origine"] == {"anyOf": [{"type": "string"}, {"type": "integer"}]}
    assert fields["superiore"] == {}
    assert fields["peso"] == {"type": "integer", "exclusiveMinimum": 0}


def test_alternatives_are_told_apart_by_their_discriminator_each_with_the_parameters():
    first, second = document_of(CONTRACT).operation("depositaAtto").request["anyOf"]
    assert first["properties"].keys() == {"urgente", "tipo", "oggetto", "note"}
    assert (first["properties"]["tipo"]["enum"], second["properties"]["tipo"]["enum"]) == (["ISTANZA"], ["PARERE"])
    assert second["required"] == ["tipo", "esito"]
    assert first["additionalProperties"] is second["additionalProperties"] is False


def test_what_stands_beside_alternatives_belongs_to_each():
    answer = document_of(CONTRACT).operation("depositaAtto").answer
    assert [form["properties"].keys() for form in answer["anyOf"]] == [{"numero", "protocollo"}, {"numero", "ricevuta"}]


DEPOSITS = {"deposita": {"operation": "depositaAtto", "effect": "once"}}


def test_a_request_of_one_alternative_is_sent_with_the_null_that_it_takes_and_the_answer_of_the_other_is_read():
    reply = http(200, b'{"numero": "1", "ricevuta": "R", "altro": 1}')
    with peer(reply) as (url, seen), archive(url, operations=DEPOSITS) as adapter:
        answer, _ = call(adapter, "deposita", {"tipo": "ISTANZA", "oggetto": "Una", "note": None, "urgente": True})
    assert seen[0].startswith(b"POST /atti?urgente=true ")
    assert json.loads(seen[0].partition(b"\r\n\r\n")[2]) == {"tipo": "ISTANZA", "oggetto": "Una", "note": None}
    assert answer.model_dump()["ricevuta"] == "R"


@pytest.mark.parametrize(
    "request_of", [{"tipo": "ISTANZA", "esito": True}, {"tipo": "PARERE", "esito": "si"}, {"tipo": "ALTRO", "oggetto": "Una"}]
)
def test_a_request_that_no_alternative_takes_is_not_sent(request_of):
    with archive(operations=DEPOSITS) as adapter, pytest.raises(ValidationError):
        adapter.operations["deposita"].request.model_validate(request_of)


def test_statuses_of_the_matter_and_listed_codes_are_refusals_that_a_route_is_asked_about():
    with archive() as adapter:
        assert adapter.operations["leggi"].expected == {"HTTP_404"}
        assert adapter.operations["leggi"].refusals["HTTP_404"] == "no such file"
        assert {"IN_USO", "SIGILLATO"} <= adapter.operations["chiudi"].refusals.keys()
        assert adapter.operations["chiudi"].expected == frozenset()


def test_a_system_is_asked_as_its_document_says():
    with peer(http(200, json.dumps({**FILED, "stato": None}).encode())) as (url, seen), archive(url) as adapter:
        answer, _ = call(adapter, "leggi", {"numero": "F-1", "vista": "BREVE"})
    assert seen[0].startswith(b"GET /fascicoli/F-1?vista=BREVE ")
    assert answer.model_dump()["numero"] == "F-1"


def test_a_success_without_content_is_an_answer_without_fields():
    with peer(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n") as (url, seen), archive(url) as adapter:
        answer, _ = call(adapter, "chiudi", {"numero": "F-1"})
    assert seen[0].startswith(b"DELETE /fascicoli/F-1 ")
    assert answer.model_dump() == {}


@pytest.mark.parametrize(("body", "refused"), [(b'{"esito": "KO"}', True), (b'{"esito": "OK"}', False), (b"", False)])
def test_a_no_inside_a_success_whose_content_nobody_describes_is_found(body, refused):
    rule = {"operation": "chiudiFascicolo", "effect": "once", "failed_when": {"field": "esito", "equals": "KO"}}
    with (
        peer(http(204 if not body else 200, body)) as (url, _),
        archive(url, operations={"chiudi": {**rule, "success": [200, 204]}}) as adapter,
    ):
        assert isinstance(attempt(adapter, "chiudi", {"numero": "F-1"}).error, Refused) is refused


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"field": "stato", "equals": "CHIUSO"}, ""),
        ({"field": "stati", "equals": "CHIUSO"}, "the contract's answer has no stati"),
        ({"field": "stato", "equals": "chiuso"}, 'stato of the contract\'s answer is never "chiuso"'),
        ({"field": "peso", "equals": "1"}, 'peso of the contract\'s answer is never "1"'),
        ({"field": "peso", "equals": 1}, ""),
        ({"field": "titolare.eta", "equals": 1}, "the contract's answer has no titolare.eta"),
        ({"field": "superiore.stato", "equals": "CHIUSO"}, ""),
        ({"field": "allegati.pagine", "equals": 101}, "allegati.pagine of the contract's answer is never 101"),
        ({"field": "allegati.pagine", "equals": 5}, ""),
    ],
)
def test_a_no_that_the_contract_never_says_is_told_before_it_is_taken_for_yes(rule, said):
    with archive(operations={"leggi": {**OPERATIONS["leggi"], "failed_when": rule}}) as adapter:
        told = list(adapter.check())
    assert told == ([f"operations.leggi.failed_when: {said}: what it says for no would be taken for yes"] if said else [])
    assert all(isinstance(one, Caution) for one in told)


def test_a_document_with_a_mark_before_it_is_read(tmp_path):
    """As .NET writes JSON into files."""
    (tmp_path / "a.json").write_text('{"openapi": "3.0.3", "paths": {"/x": {"get": {"operationId": "leggi"}}}}', "utf-8-sig")
    assert document_of(tmp_path / "a.json").names == ["leggi"]


def test_an_optional_null_is_left_out_and_one_that_the_contract_takes_is_sent():
    with peer(http(201, json.dumps(FILED).encode())) as (url, seen), archive(url) as adapter:
        call(adapter, "apri", {**NEW, "titolare": {"cognome": "Bianchi", "nome": None}, "riservato": None})
    sent = json.loads(seen[0].partition(b"\r\n\r\n")[2])
    assert sent == {**NEW, "titolare": {"cognome": "Bianchi", "nome": None}}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"classe": "EDILE"}, "classe"),
        ({"oggetto": "No"}, "oggetto"),
        ({"titolare": {"nome": "Ada"}}, "titolare"),
        ({"numero": "F-2"}, "the whole"),
        ({"allegati": [{"nome": "a", "pagine": 101}]}, "allegati.0.pagine"),
        ({"etichette": {"copie": 0}}, "etichette.copie"),
    ],
)
def test_a_request_that_does_not_fit_never_leaves(changes, place):
    with archive() as adapter, pytest.raises(ValidationError, match=f"{place} does not fit the contract"):
        call(adapter, "apri", {**NEW, **changes})


def test_an_answer_that_does_not_fit_is_no_answer_unless_the_settings_take_it():
    strange = http(201, json.dumps({**FILED, "classe": "ALTRO"}).encode())
    with peer(strange) as (url, _), archive(url) as adapter:
        error = attempt(adapter, "apri", NEW).error
    assert isinstance(error, InDoubt)
    assert error.sentence == "the reply does not have the agreed shape: classe does not fit the contract: enum"
    with peer(strange) as (url, _), archive(url, validate_replies=False) as adapter:
        assert attempt(adapter, "apri", NEW).answer.model_dump()["classe"] == "ALTRO"


def test_a_field_more_in_an_answer_is_taken():
    with peer(http(201, json.dumps({**FILED, "nuovo": 1}).encode())) as (url, _), archive(url) as adapter:
        assert attempt(adapter, "apri", NEW).error is None


@pytest.mark.parametrize(
    ("operation", "status", "body", "code"),
    [("leggi", 404, {}, "HTTP_404"), ("chiudi", 422, {"code": "SIGILLATO"}, "SIGILLATO"), ("apri", 409, {"title": "x"}, "HTTP_409")],
)
def test_a_refusal_has_the_code_that_the_document_says(operation, status, body, code):
    request = NEW if operation == "apri" else {"numero": "F-1"}
    with peer(http(status, json.dumps(body).encode())) as (url, _), archive(url) as adapter, pytest.raises(Refused) as refused:
        call(adapter, operation, request)
    assert refused.value.outside_code == code


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"operations": {"apri": {"operation": "creaFascicoli", "effect": "read"}}}, "did you mean creaFascicolo"),
        ({"operations": {"apri": {"method": "PUT", "path": "/fascicoli", "effect": "read"}}}, "has no operation PUT /fascicoli"),
        ({"openapi": "/non/esiste.yaml"}, "cannot be read as OpenAPI"),
        ({"openapi": __file__.replace("test_openapi.py", "__init__.py")}, "no OpenAPI document"),
        ({"openapi": ""}, "needs method, path, request and answer"),
    ],
)
def test_settings_that_do_not_fit_the_document_say_what_to_do(changes, said):
    with pytest.raises(ValidationError, match=said):
        Rest.Settings.model_validate({"url": "http://x", "openapi": str(CONTRACT), "operations": OPERATIONS, **changes})


def _with_headers(folder):
    """A document whose operations want headers."""
    parameters = [
        {"name": "X-Ente", "in": "header", "required": True, "description": "who asks", "schema": {"type": "string"}},
        {"name": "If-Match", "in": "header", "schema": {"type": "array", "items": {"type": "string"}}},
        {"name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string"}},
        {"name": "Accept", "in": "header", "required": True, "schema": {"type": "string"}},
        {"name": "oggetto", "in": "header", "schema": {"type": "string"}},
    ]
    body = {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "properties": {"oggetto": {"type": "string"}}}}},
    }
    settings = _documented(folder, "/fascicoli", {"parameters": parameters, "requestBody": body, "responses": {"200": {}}})
    settings["operations"]["x"]["effect"] = "keyed"
    return settings


def test_headers_that_neither_the_settings_nor_we_give_are_fields_of_the_request(tmp_path):
    settings = _with_headers(tmp_path)
    with peer(http(200)) as (url, seen), archive(url, **settings) as adapter:
        assert [*adapter.check()] == []
        request = adapter.operations["x"].request.model_json_schema()
        assert (sorted(request["properties"]), request["required"]) == (["If-Match", "X-Ente", "oggetto"], ["X-Ente"])
        assert "under `headers` of the adapter" in request["properties"]["X-Ente"]["description"]
        assert attempt(adapter, "x", {"X-Ente": "c_h501", "If-Match": ['"a"', '"b"'], "oggetto": "o"}).error is None
    head, _, content = seen[0].partition(b"\r\n\r\n")
    assert (b"\r\nX-Ente: c_h501\r\n" in head, b'\r\nIf-Match: "a","b"\r\n' in head, content) == (True, True, b'{"oggetto":"o"}')
    with archive(**settings, headers={"x-ente": "c_h501"}) as adapter:
        assert adapter.operations["x"].request.model_json_schema()["required"] == []


@pytest.mark.parametrize("value", ["a\r\nX-Altro: b", "\0", "€"])
def test_what_no_header_holds_does_not_leave(tmp_path, value):
    with archive(**_with_headers(tmp_path)) as adapter, pytest.raises(ValidationError, match="X-Ente is a header: it may hold one line"):
        attempt(adapter, "x", {"X-Ente": value})


def test_a_header_that_a_request_by_hand_lacks_is_told(tmp_path):
    settings = _with_headers(tmp_path)
    settings["operations"]["x"]["request"] = {"type": "object", "properties": {"oggetto": {"type": "string"}}}
    with archive(**settings) as adapter:
        assert [*adapter.check()] == ["operations.x: the contract asks for the header X-Ente, say it under `headers`"]


@pytest.mark.parametrize(
    ("security", "headers", "lacking"),
    [
        (
            [{"voucher": [], "firma": []}],
            {},
            "agid-jwt-signature and authorization, which nothing says: see `pdnd.integrity` and `headers`, `pdnd` or `oauth2`",
        ),
        ([{"voucher": [], "firma": []}], {"Authorization": "Bearer x"}, "agid-jwt-signature, which nothing says: see `pdnd.integrity`"),
        ([{"voucher": [], "firma": []}, {"chiave": []}], {"x-api-key": "x"}, ""),
        ([{"voucher": []}, {}], {}, ""),
        ([{"certificato": []}], {}, ""),
        ([], {}, ""),
        (None, {}, "x-api-key, which nothing says: see `headers`"),
    ],
)
def test_credentials_that_the_contract_asks_for_and_nothing_gives_are_told(tmp_path, security, headers, lacking):
    schemes = {
        "voucher": {"type": "http", "scheme": "bearer"}, "firma": {"type": "apiKey", "in": "header", "name": "Agid-JWT-Signature"},
        "chiave": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}, "certificato": {"type": "mutualTLS"},
    }  # fmt: skip
    one = {"responses": {"200": {}}, **({} if security is None else {"security": security})}
    document = {
        "openapi": "3.1.0",
        "security": [{"chiave": []}],
        "components": {"securitySchemes": schemes},
        "paths": {"/x": {"post": one}},
    }
    (tmp_path / "x.json").write_text(json.dumps(document), "utf-8")
    operations = {"x": {"method": "POST", "path": "/x", "effect": "once"}}
    with archive(openapi=str(tmp_path / "x.json"), operations=operations, headers=headers) as adapter:
        said = [*adapter.check()]
    assert said == ([f"operations.x: the contract asks for the header {lacking}"] if lacking else [])
    assert all(isinstance(one, Caution) for one in said)


@pytest.mark.parametrize(
    "more", [{"components": None}, {"components": []}, {"securityDefinitions": "x"}, {"security": [None, {"altro": []}]}]
)
def test_a_document_whose_parts_are_of_another_kind_is_read_without_them(tmp_path, more):
    document = {"openapi": "3.0.3", "paths": {"/x": {"post": {"responses": {"200": {}}}}}, **more}
    (tmp_path / "x.json").write_text(json.dumps(document), "utf-8")
    assert document_of(tmp_path / "x.json").operation("", "POST", "/x").credentials == ()


def test_a_body_that_is_a_list_stands_under_body_both_ways(tmp_path):
    items = {"type": "array", "items": {"type": "integer"}}
    document = {
        "openapi": "3.1.0",
        "paths": {"/somme": {"post": {
            "operationId": "somma", "requestBody": {"required": True, "content": {"application/json": {"schema": items}}},
            "responses": {"200": {"description": "", "content": {"application/json": {"schema": items}}}},
        }}},
    }  # fmt: skip
    (tmp_path / "somme.json").write_text(json.dumps(document), "utf-8")
    operations = {"somma": {"operation": "somma", "effect": "read"}}
    with peer(http(200, b"[6]")) as (url, seen), archive(url, openapi=str(tmp_path / "somme.json"), operations=operations) as adapter:
        answer, _ = call(adapter, "somma", {"body": [1, 2, 3]})
    assert seen[0].endswith(b"[1,2,3]")
    assert answer.model_dump() == {"body": [6]}


SPOKEN = """\
openapi: 3.0.3
paths:
  /verifiche:
    post:
      operationId: verifica
      requestBody: {content: {application/json: {schema: {type: object, properties: {
        regolare: {type: string, enum: [SI, NO]}, on: {type: string}, codice: {type: string, enum: [010, 1_0]},
        dal: {type: string, enum: [2026-01-01]}, alle: {type: string, enum: [12:30]}, quanti: {enum: [0, -3, 1.5, true, null]}}}}}}
      responses: {200: {description: ok}}
"""


def test_a_document_in_yaml_says_no_where_it_says_no(tmp_path):
    """``NO`` was false, and a day among the codes stopped the whole configuration."""
    (tmp_path / "verifiche.yaml").write_text(SPOKEN, "utf-8")
    fields = document_of(tmp_path / "verifiche.yaml").operation("verifica").request["properties"]
    codes = [one["enum"] for name, one in fields.items() if name not in {"on", "quanti"}]
    assert codes == [["SI", "NO"], ["010", "1_0"], ["2026-01-01"], ["12:30"]]
    assert fields["on"] == {"type": "string"}
    assert fields["quanti"] == {"anyOf": [{"enum": [0, -3, 1.5, True]}, {"type": "null"}]}
    operations = {"verifica": {"operation": "verifica", "effect": "read"}}
    with peer(http(200, b"")) as (url, seen), archive(url, openapi=str(tmp_path / "verifiche.yaml"), operations=operations) as adapter:
        call(adapter, "verifica", {"regolare": "NO", "dal": "2026-01-01"})
    assert seen[0].endswith(b'{"dal":"2026-01-01","regolare":"NO"}')


def _documented(folder, path, one):
    (folder / "documento.json").write_text(json.dumps({"openapi": "3.0.3", "paths": {path: {"post": one}}}), "utf-8")
    return {"openapi": str(folder / "documento.json"), "operations": {"x": {"method": "POST", "path": path, "effect": "once"}}}


def test_what_stands_in_the_path_is_asked_for_also_where_the_document_forgets_it(tmp_path):
    settings = _documented(tmp_path, "/notifiche/{iun}/annulla", {"parameters": [{"$ref": "altro.yaml#/iun"}], "responses": {"200": {}}})
    with peer(http(200, b"{}")) as (url, seen), archive(url, **settings) as adapter:
        assert attempt(adapter, "x", {"iun": "ABCD 1"}).error is None
        with pytest.raises(ValidationError):
            call(adapter, "x", {})
    assert [request.split()[1] for request in seen] == [b"/notifiche/ABCD%201/annulla"]


LIST = {"type": "array", "items": {"type": "string"}}


@pytest.mark.parametrize(
    ("version", "parameter", "address"),
    [
        ({"openapi": "3.0.3"}, {"in": "query", "schema": LIST}, "/righe?x=a&x=b%2Cc"),
        ({"openapi": "3.0.3"}, {"in": "query", "explode": False, "schema": LIST}, "/righe?x=a%2Cb%2Cc"),
        ({"openapi": "3.0.3"}, {"in": "query", "style": "pipeDelimited", "explode": False, "schema": LIST}, "/righe?x=a%7Cb%2Cc"),
        ({"openapi": "3.0.3"}, {"in": "path", "required": True, "schema": LIST}, "/righe/a%2Cb%2Cc"),
        ({"swagger": "2.0"}, {"in": "query", **LIST}, "/righe?x=a%2Cb%2Cc"),
        ({"swagger": "2.0"}, {"in": "query", "collectionFormat": "multi", **LIST}, "/righe?x=a&x=b%2Cc"),
    ],
)
def test_a_list_stands_in_the_address_as_the_document_says(tmp_path, version, parameter, address):
    path = "/righe/{x}" if parameter["in"] == "path" else "/righe"
    one = {"parameters": [{"name": "x", **parameter}], "responses": {"200": {}}}
    (tmp_path / "righe.json").write_text(json.dumps({**version, "paths": {path: {"get": one}}}), "utf-8")
    operations = {"x": {"method": "GET", "path": path, "effect": "read"}}
    with peer(http(200, b"{}")) as (url, seen), archive(url, openapi=str(tmp_path / "righe.json"), operations=operations) as adapter:
        assert attempt(adapter, "x", {"x": ["a", "b,c"]}).error is None
    assert seen[0].split()[1].decode() == address


@pytest.mark.parametrize(
    ("more", "given", "address"),
    [
        ({}, {"pagina": 1, "ordine": ["a", "b"]}, "/righe?pagina=1&ordine=a&ordine=b"),
        ({"style": "deepObject", "explode": True}, {"pagina": 1}, "/righe?x%5Bpagina%5D=1"),
        ({}, None, "/righe"),
    ],
)
def test_an_object_in_the_query_is_one_parameter_for_each_of_its_fields(tmp_path, more, given, address):
    """As Spring's `pageable`; it stood there as Python writes it, and an absent one as None."""
    fields = {"pagina": {"type": "integer"}, "ordine": {"type": "array", "items": {"type": "string"}}}
    parameter = {"name": "x", "in": "query", "schema": {"type": "object", "nullable": True, "properties": fields}, **more}
    settings = _documented(tmp_path, "/righe", {"parameters": [parameter], "responses": {"200": {}}})
    with peer(http(200, b"{}")) as (url, seen), archive(url, **settings) as adapter:
        assert attempt(adapter, "x", {"x": given}).error is None
    assert seen[0].split()[1].decode() == address


def test_a_body_in_a_part_that_nobody_copied_is_sent_as_it_is_given(tmp_path):
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": "altro.yaml#/Richiesta"}}}}
    settings = _documented(tmp_path, "/richieste", {"requestBody": body, "responses": {"202": {}}})
    with peer(http(202, b"{}")) as (url, seen), archive(url, **settings) as adapter:
        assert attempt(adapter, "x", {"body": {"oggetto": "prova"}}).error is None
    assert seen[0].endswith(b'{"oggetto":"prova"}')


@pytest.mark.parametrize(
    ("kind", "schema"), [("multipart/mixed", {}), ("application/xml", {"type": "object", "properties": {"nome": {"type": "string"}}})]
)
def test_a_body_that_cannot_be_written_is_found_before_anything_is_sent(tmp_path, kind, schema):
    body = {"content": {kind: {"schema": schema}}}
    with archive(**_documented(tmp_path, "/file", {"requestBody": body, "responses": {"200": {}}})) as adapter:
        said = f"operations.x: the contract asks for a body of {kind}, not JSON, a form, a text or a file"
        assert list(adapter.check()) == [said]


FIELDS = {"nome": {"type": "string"}, "anni": {"type": "array", "items": {"type": "integer"}}, "attivo": {"type": "boolean"}}
GIVEN = {"nome": "Città & C.", "anni": [2025, 2026], "attivo": True}
SENT = b"anni=2025&anni=2026&attivo=true&nome=Citt%C3%A0+%26+C."


def test_a_body_that_is_a_form_is_sent_as_one(tmp_path):
    schema = {"type": "object", "properties": FIELDS, "required": ["nome"]}
    body = {"required": True, "content": {f"{FORM}; charset=utf-8": {"schema": schema}, "multipart/form-data": {"schema": schema}}}
    settings = _documented(tmp_path, "/moduli", {"requestBody": body, "responses": {"200": {}}})
    with peer(http(200, b"{}")) as (url, seen), archive(url, **settings) as adapter:
        assert [*adapter.check()] == []
        assert attempt(adapter, "x", GIVEN).error is None
        with pytest.raises(ValidationError):  # the form is judged by the document before it leaves
            attempt(adapter, "x", {"attivo": True})
    headers, _, content = seen[0].partition(b"\r\n\r\n")
    assert f"Content-Type: {FORM}".encode() in headers
    assert b"&".join(sorted(content.split(b"&"))) == SENT


@pytest.mark.parametrize(
    ("more", "content"),
    [({}, b"anni=2025%2C2026&attivo=true&nome=Citt%C3%A0+%26+C."), ({"collectionFormat": "multi"}, SENT)],
)
def test_a_form_that_swagger_describes_as_parameters_is_sent_as_one(tmp_path, more, content):
    fields = [{"name": name, "in": "formData", **said, **(more if name == "anni" else {})} for name, said in FIELDS.items()]
    settings = _documented(tmp_path, "/moduli", {"consumes": [FORM], "parameters": fields, "responses": {"200": {}}})
    with peer(http(200, b"{}")) as (url, seen), archive(url, **settings) as adapter:
        assert attempt(adapter, "x", GIVEN).error is None
    assert b"&".join(sorted(seen[0].partition(b"\r\n\r\n")[2].split(b"&"))) == content


def test_an_object_in_a_form_is_found_before_anything_is_sent(tmp_path):
    fields = {
        **FIELDS,
        "chi": {"type": "object", "properties": {"cf": {"type": "string"}}},
        "voci": {"type": "array", "items": {"type": "object"}},
    }
    body = {"content": {FORM: {"schema": {"type": "object", "properties": fields}}}}
    with archive(**_documented(tmp_path, "/moduli", {"requestBody": body, "responses": {"200": {}}})) as adapter:
        assert [*adapter.check()] == [f"operations.x: {name} is an object, and a form has none" for name in ("chi", "voci")]


PULLED = """
openapi: 3.0.3
info: {title: Elenchi, version: "1"}
paths:
  /elenchi/{id}:
    get:
      responses:
        "200": {description: Not yet, content: {application/json: {schema: &stato {type: object, required: [stato], properties: {stato: {type: string}}}}}}
        "303": {description: Ready, headers: {Location: {schema: {type: string}}}, content: {application/json: {schema: *stato}}}
    put: {responses: {"200": {description: Done}, "303": {description: Elsewhere}}}
"""


def test_a_result_that_is_ready_elsewhere_is_an_answer_where_the_document_says_it_with_json(tmp_path):
    (tmp_path / "elenchi.yaml").write_text(PULLED, "utf-8")
    operations = {
        "stato": {"method": "GET", "path": "/elenchi/{id}", "effect": "read"},
        "cambia": {"method": "PUT", "path": "/elenchi/{id}", "effect": "once"},
    }
    ready = http(303, b'{"stato": "PRONTO"}', Location="/elenchi/7/risultato", Content_Type="application/json")
    with peer(ready) as (url, _), archive(url, openapi=str(tmp_path / "elenchi.yaml"), operations=operations) as lists:
        assert call(lists, "stato", {"id": "7"})[0].stato == "PRONTO"
        assert lists._described["cambia"].success == (200,)


@pytest.mark.parametrize(
    ("schema", "said", "told", "asked"),
    [
        ({"type": "integer"}, 12.0, 12, 12),
        ({"type": "number"}, 12, 12.0, 12),
        ({"type": "number"}, 2**60 + 1, 2**60 + 1, 2**60 + 1),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, -3, -3.0, -3),
        ({"anyOf": [{"type": "number"}, {"type": "string"}]}, 12, 12, 12),
        ({"type": "array", "items": {"type": "number"}}, [1, 1.5], [1.0, 1.5], [1, 1.5]),
        (
            {"type": "object", "properties": {"n": {"type": "integer"}}},
            {"n": 1e3, "altro": 1.0},
            {"n": 1000, "altro": 1.0},
            {"n": 1000, "altro": 1.0},
        ),
        ({"type": "boolean"}, True, True, True),
        ({}, 12.0, 12.0, 12.0),
    ],
)
def test_a_number_is_of_the_kind_that_rules_are_checked_by(schema, said, told, asked):
    """`answer.importo * 1.5` passed every check, and stopped its run where the amount was a whole one."""
    assert repr(in_kind(said, schema, told=True)) == repr(told)
    assert repr(in_kind(said, schema, told=False)) == repr(asked)


def test_a_whole_amount_of_a_system_is_one_with_decimals(tmp_path):
    amount = {"type": "object", "properties": {"importo": {"type": "number"}, "rate": {"type": "integer"}}}
    reply = {"200": {"description": "", "content": {"application/json": {"schema": amount}}}}
    settings = _documented(tmp_path, "/dovuto", {"responses": reply})
    with peer(http(200, b'{"importo": 12, "rate": 3.0}')) as (url, _), archive(url, **settings) as adapter:
        answer, _ = call(adapter, "x", {})
    assert repr(answer.model_dump(mode="json")) == "{'importo': 12.0, 'rate': 3}"


def test_nulls_go_only_where_the_contract_does_not_take_them():
    schema = {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "b": {"type": "string"}}}
    assert without_nulls({"a": None, "b": None, "c": [None]}, schema) == {"a": None, "c": [None]}
    named = {"type": "object", "additionalProperties": schema["properties"]["a"]}
    assert without_nulls({"x": None}, named) == {"x": None}
    assert opened({"properties": {"additionalProperties": {"additionalProperties": False}}}) == {"properties": {"additionalProperties": {}}}


@pytest.mark.official
@pytest.mark.skipif(not DOCUMENTS, reason="the official contracts are not beside the project (../shared)")
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_operation_of_the_official_documents_is_read(path):
    document = document_of(path)
    for _, method, own_path, one in document.found:
        described = document.operation(method=method, path=own_path)
        assert described.request["type"] == "object"
        names = {each["name"] for each in one.get("parameters", ()) if each.get("in") in {"path", "query"}} | {*IN_PATH.findall(own_path)}
        assert all(names <= form["properties"].keys() for form in alternatives(described.request))
