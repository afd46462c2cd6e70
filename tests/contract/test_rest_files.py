"""Files that go to a REST system and come from one, as its OpenAPI document says: whole, or as parts of a form; and bodies that are texts."""

import email
import email.policy
import hashlib
import json

import pytest
from pydantic import ValidationError

from adapters.openapi.document import document_of
from bus.adapter import InDoubt, Refused
from bus.client import Client
from bus.examine import examine
from bus.testing.adapter_contract import ExampleFile, attempt, call
from tests.contract.scripted_peer import http, peer
from tests.contract.test_openapi import _documented, archive
from tests.files import put
from tests.small_bus import TYPE, key_of, running

KIND = TYPE.format(name="prova.orfano").encode()

PDF = ExampleFile("relazione «finale».pdf", b"%PDF-1.7 \r\n--prova\r\n\0\xff", "application/pdf")
PHOTO = ExampleFile('fac"ciata\r\nX-Altro: si.jpg', b"\xff\xd8\xff", "image/jpeg")
BINARY = {"type": "string", "format": "binary"}
FORM = {
    "type": "object",
    "required": ["documento", "oggetto"],
    "properties": {
        "oggetto": {"type": "string"},
        "anno": {"type": "integer"},
        "parole": {"type": "array", "items": {"type": "string"}},
        "mittente": {"type": "object", "properties": {"nome": {"type": "string"}}},
        "documento": BINARY,
        "foto": {"type": "array", "items": BINARY},
    },
}


def address(file):
    return hashlib.sha256(file.content).hexdigest()


def named(file, **more):
    return {"sha256": address(file), **more}


def posted(folder, media, schema, answer=None):
    """Settings of a system that is given such a body."""
    body = {"required": True, "content": {media: {"schema": schema}}}
    return _documented(folder, "/documenti", {"requestBody": body, "responses": {"200": answer or {"description": "fatto"}}})


def parts_of(request):
    """The parts of a request as Python's own library reads them: (name, file name, media type, content)."""
    head, _, body = request.partition(b"\r\n\r\n")
    [kind] = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-type:")]
    read = email.message_from_bytes(kind + b"\r\n\r\n" + body, policy=email.policy.HTTP)
    found = []
    for part in read.iter_parts():
        said = part["Content-Disposition"].params
        found.append((said["name"], said.get("filename"), part.get("Content-Type"), part.get_payload(decode=True)))
    return found


def test_a_form_of_parts_carries_texts_objects_and_files(tmp_path):
    given = {
        "oggetto": "Perché no", "anno": 2026, "parole": ["a", "b"], "mittente": {"nome": "Ada"},
        "documento": named(PDF), "foto": [named(PHOTO, name="foto.jpg"), named(PDF, media_type="image/x")],
    }  # fmt: skip
    with peer(http(200, b"")) as (url, seen), archive(url, **posted(tmp_path, "multipart/form-data", FORM)) as adapter:
        assert [*adapter.check()] == []
        done = attempt(adapter, "x", given, files=(PDF, PHOTO))
    assert done.error is None
    assert parts_of(seen[0]) == [
        ("oggetto", None, None, "Perché no".encode()),
        ("anno", None, None, b"2026"),
        ("parole", None, None, b"a"),
        ("parole", None, None, b"b"),
        ("mittente", None, "application/json", b'{"nome":"Ada"}'),
        ("documento", PDF.name, "application/pdf", PDF.content),
        ("foto", "foto.jpg", "image/jpeg", PHOTO.content),
        ("foto", PDF.name, "image/x", PDF.content),
    ]
    assert PDF.content in done.wire, "what left is kept"


@pytest.mark.parametrize("media", ["image/png\r\nX-Altro: si", "image/png; a=b\r\nX-Altro: si", "niente"])
def test_a_name_that_would_write_headers_writes_none(tmp_path, media):
    with peer(http(200, b"")) as (url, seen), archive(url, **posted(tmp_path, "multipart/form-data", FORM)) as adapter:
        given = {"oggetto": "x", "documento": named(PHOTO, media_type=media)}
        assert attempt(adapter, "x", given, files=(PHOTO,)).error is None
    assert [part[1:3] for part in parts_of(seen[0])] == [(None, None), ("fac%22ciata%0D%0AX-Altro: si.jpg", "application/octet-stream")]


def test_each_try_of_a_call_sends_the_same_bytes(tmp_path):
    given, key = {"oggetto": "x", "documento": named(PDF)}, "ab" * 32
    with peer(http(200, b""), http(200, b"")) as (url, _), archive(url, **posted(tmp_path, "multipart/form-data", FORM)) as adapter:
        first, again = (attempt(adapter, "x", given, files=(PDF,), key=key) for _ in range(2))
    assert first.wire == again.wire


def test_a_form_with_a_file_as_swagger_2_says_it(tmp_path):
    fields = [{"name": "file", "in": "formData", "type": "file", "required": True}, {"name": "nota", "in": "formData", "type": "string"}]
    with peer(http(200, b"")) as (url, seen), archive(
        url, **_documented(tmp_path, "/file", {"parameters": fields, "responses": {"200": {}}})
    ) as adapter:  # fmt: skip
        assert attempt(adapter, "x", {"file": named(PDF), "nota": "a"}, files=(PDF,)).error is None
    assert [part[:2] for part in parts_of(seen[0])] == [("file", PDF.name), ("nota", None)]


@pytest.mark.parametrize(
    ("said", "files"),
    [({"contentMediaType": "image/png"}, ("file",)), ({"contentMediaType": "image/png", "contentEncoding": "base64"}, ())],
)
def test_a_file_as_openapi_3_1_says_it(tmp_path, said, files):
    posted(tmp_path, "multipart/form-data", {"type": "object", "properties": {"file": {"type": "string", **said}}})
    assert document_of(tmp_path / "documento.json").operation("", "POST", "/documenti").files == files


@pytest.mark.parametrize(("media", "sent"), [("application/pdf", "application/pdf"), ("image/*", "application/x-prova")])
def test_a_file_that_is_the_whole_body(tmp_path, media, sent):
    with peer(http(200, b""), http(200, b"")) as (url, seen), archive(url, **posted(tmp_path, media, BINARY)) as adapter:
        file = ExampleFile("a.x", b"\0\1", "application/x-prova")
        assert [*adapter.check()] == []
        assert attempt(adapter, "x", {"body": named(file)}, files=(file,)).error is None
        with pytest.raises(ValidationError):  # of which there is none
            attempt(adapter, "x", {"body": {"sha256": "x"}})
    assert seen[0].endswith(b"\r\n\r\n\0\1")
    assert f"Content-Type: {sent}\r\n".encode() in seen[0]


def test_a_text_goes_and_comes_as_one(tmp_path):
    answer = {"description": "righe", "content": {"text/csv": {"schema": {"type": "string"}}}}
    settings = posted(tmp_path, "text/csv", {"type": "string"}, answer)
    reply = "città;n\r\nCefalù;1\r\n".encode("latin-1")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv; charset=ISO-8859-1\r\nContent-Length: %d\r\n\r\n" % len(reply)
    with peer(head + reply) as (url, seen), archive(url, **settings) as adapter:
        told, _ = call(adapter, "x", {"body": "nome\nAgnès\n"})
    assert told.model_dump() == {"body": "città;n\r\nCefalù;1\r\n"}
    assert seen[0].endswith("\r\n\r\nnome\nAgnès\n".encode())
    assert b"Content-Type: text/csv; charset=utf-8\r\n" in seen[0]
    assert b"Accept: text/csv, application/problem+json\r\n" in seen[0]


def test_a_page_is_a_text_where_the_document_says_so_and_nothing_elsewhere(tmp_path):
    page = http(200, b"<p>fatto</p>", content_type="text/html; charset=utf-8")
    for media, told in (("text/html", {"body": "<p>fatto</p>"}), ("text/plain", None)):
        (tmp_path / media.replace("/", "-")).mkdir()
        settings = posted(tmp_path / media.replace("/", "-"), "application/json", JSON, {"content": {media: {}}})
        with peer(page) as (url, _), archive(url, **settings) as adapter:
            done = attempt(adapter, "x", {"numero": "1"})
            assert (done.answer and done.answer.model_dump(), type(done.error)) == (told, type(None) if told else InDoubt)


GIVES = {"description": "il documento", "content": {"application/pdf": {"schema": BINARY}}}
JSON = {"type": "object", "properties": {"numero": {"type": "string"}}}


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("attachment; filename*=UTF-8''relazione%20%C3%A8%20qui.pdf", "relazione è qui.pdf"),
        ('attachment; filename="relazione è.pdf"', "relazione è.pdf"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\\\tmp\\\\a.pdf"', "a.pdf"),
        ('attachment; filename=".."', "x.pdf"),
        ("attachment", "x.pdf"),
        ("", "x.pdf"),
    ],
)
def test_a_file_that_comes_is_kept_and_the_answer_names_it(tmp_path, disposition, name):
    reply = f"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nContent-Disposition: {disposition}\r\nContent-Length: {len(PDF.content)}\r\n\r\n"
    with peer(reply.encode() + PDF.content) as (url, seen), archive(
        url, **posted(tmp_path, "application/json", JSON, GIVES)
    ) as adapter:  # fmt: skip
        done = attempt(adapter, "x", {"numero": "1"})
    assert done.answer.model_dump() == {
        "body": {"sha256": address(PDF), "size": len(PDF.content), "media_type": "application/pdf", "name": name}
    }
    assert done.shelf.files == {address(PDF): PDF.content}
    assert b"Accept: application/pdf, application/problem+json\r\n" in seen[0]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            http(200, b'{"errore": 1}', content_type="application/json"),
            "the reply is no file as the contract says: HTTP 200, application/json",
        ),
        (http(200, b"<html>", content_type="text/html"), "the reply is a page for people: HTTP 200, text/html"),
        (http(200, b"", content_type="application/pdf"), "the reply is no file as the contract says: it is empty"),
    ],
)
def test_what_comes_instead_of_a_file_is_no_answer(tmp_path, reply, said):
    with peer(reply) as (url, _), archive(url, **posted(tmp_path, "application/json", JSON, GIVES)) as adapter:
        done = attempt(adapter, "x", {"numero": "1"})
    assert (type(done.error), done.error.sentence, done.shelf.files) == (InDoubt, said, {})


def test_a_file_of_swagger_2_and_an_answer_without_one(tmp_path):
    said = {"produces": ["application/pdf"], "responses": {"200": {"schema": {"type": "file"}}, "204": {}}}
    with peer(http(200, b"%PDF", content_type="application/pdf"), http(204, b"")) as (url, _), archive(
        url, **_documented(tmp_path, "/file", said)
    ) as adapter:  # fmt: skip
        assert call(adapter, "x", {})[0].body["name"] == "x.pdf"
        assert call(adapter, "x", {})[0].model_dump() == {}


def test_files_that_are_too_large_do_not_leave(tmp_path):
    settings = {**posted(tmp_path, "multipart/form-data", FORM), "max_upload": len(PDF.content) + 1}
    with peer(http(200, b"")) as (url, seen), archive(url, **settings) as adapter:
        given = {"oggetto": "x", "documento": named(PDF), "foto": [named(PDF)]}
        assert attempt(adapter, "x", given, files=(PDF,)).error is None, "the same file twice is held once"
        error = attempt(adapter, "x", {**given, "foto": [named(PHOTO)]}, files=(PDF, PHOTO)).error
    assert (type(error), error.outside_code, len(seen)) == (Refused, "HTTP_413", 1)
    assert "raise max_upload" in error.sentence


def test_a_request_or_an_answer_by_hand_beside_files(tmp_path):
    settings = posted(tmp_path, "multipart/form-data", FORM, GIVES)
    by_hand = {"request": {"type": "object", "properties": {"oggetto": {"type": "string"}}}, "answer": {"type": "object", "properties": {}}}
    settings["operations"]["x"] |= by_hand
    with peer(http(200, b"%PDF", content_type="application/pdf")) as (url, seen), archive(url, **settings) as adapter:
        said = "operations.x: the contract asks for files, and only its own request says where they go: leave `request` out"
        assert [*adapter.check()] == [said]
        assert attempt(adapter, "x", {"oggetto": "a"}).answer.model_dump() == {}
    assert parts_of(seen[0]) == [("oggetto", None, None, b"a")]


def test_json_is_preferred_where_the_document_takes_both(tmp_path):
    kinds = {media: {"schema": JSON} for media in ("multipart/form-data", "application/json")}
    said = {
        "requestBody": {"content": kinds},
        "responses": {"200": {"content": {"application/pdf": {}, "application/json": {"schema": JSON}}}},
    }
    with peer(http(200, json.dumps({"numero": "2"}).encode())) as (url, seen), archive(
        url, **_documented(tmp_path, "/doc", said)
    ) as adapter:  # fmt: skip
        assert call(adapter, "x", {"numero": "1"})[0].model_dump() == {"numero": "2"}
    assert seen[0].endswith(b'{"numero":"1"}')


ROUTE = """
route: prova.deposita
version: 1
owner: prove@comune.example
purpose: hands a file to an archive and gives the sender what the archive made of it
on: prova.orfano
steps:
  - id: deposita
    call: archivio.x
    with: {oggetto: body.nome, documento: "message.attachments[0]"}
    as: copia
    dead_on: any
  - id: rispondi
    reply: {file: copia.body}
"""


def test_a_file_goes_from_a_portal_to_a_system_and_another_comes_back(tmp_path):
    put(tmp_path, {"routes/prova/deposita.yaml": ROUTE})
    settings = posted(tmp_path, "multipart/form-data", FORM, GIVES)
    reply = http(200, b"%PDF-copia", content_type="application/pdf", content_disposition="attachment; filename=copia.pdf")
    with (
        peer(reply) as (url, seen),
        archive(url, **settings) as adapter,
        running(tmp_path, {"archivio": adapter}) as server,
        Client(f"http://127.0.0.1:{server.port}", key_of("portale")) as portal,
    ):
        sent = portal.attach(PDF.content, PDF.name, PDF.media_type)
        told = portal.ask("prova.orfano", {"nome": "Ada"}, wait=20, attachments=[sent])
        assert portal.content(f"/attachments/{told['file']['sha256']}") == b"%PDF-copia"
    assert told["file"]["name"] == "copia.pdf"
    assert parts_of(seen[0]) == [("oggetto", None, None, b"Ada"), ("documento", PDF.name, PDF.media_type, PDF.content)]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("body.nome", "target.wrong-type"),
        ("{sha256: body.nome, nome: body.nome}", "target.unknown-field"),
        ("{name: body.nome}", "target.missing-field"),
    ],
)
def test_rules_that_give_something_else_than_a_file_are_told(tmp_path, given, code):
    steps = f"  - {{id: a, call: archivio.x, dead_on: any, with: {{oggetto: body.nome, documento: {given}}}}}\n"
    head = ROUTE.partition("  - id: deposita")[0]
    with archive(**posted(tmp_path, "multipart/form-data", FORM)) as adapter:
        operations = {f"archivio.{name}": one for name, one in adapter.operations.items()}
        _, findings = examine({"mappings/types/prova.yaml": KIND, "routes/prova/deposita.yaml": (head + steps).encode()}, operations)
    assert [one.code for one in findings] == [code]
