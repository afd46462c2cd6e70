"""Attachments over HTTP: sent, named, fetched, and never given where they are not what was sent."""

from __future__ import annotations

import base64
import hashlib
import http.client
import socket

import pytest

from bus.log import log
from bus.testing.patience import until
from tests.integration.sportello import saluto
from tests.small_bus import key_of


def test_a_sender_that_hangs_up_leaves_no_file_behind(server):
    folder = server.app.config.attachments.folder
    with socket.create_connection(("127.0.0.1", server.port), 10) as raw:
        raw.sendall(
            f"POST /attachments?name=x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key_of('portale')}\r\nContent-Length: 500000\r\n\r\n".encode()
            + b"x" * 1000
        )
        until(lambda: list(folder.glob(".coming-*")), "it is coming")
    until(lambda: not list(folder.glob(".coming-*")), "it is gone")


def test_who_sends_a_file_that_is_too_large_is_not_told_to_send_it_as_a_file(call):
    told = call("POST", "/attachments?name=a.pdf", b"x" * 2_000_001)
    assert (told.status, told.json["code"], told.json["hint"]) == (413, "attachment.too-large", "split it, or ask the operator")


def test_a_file_is_sent_named_fetched_and_travels_with_a_message(call):
    content = b"%PDF-1.7 prova" * 1000
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    headers = {
        "Content-Type": "application/pdf",
        "Content-Disposition": "attachment; filename*=UTF-8''perch%C3%A9.pdf",
        "Repr-Digest": f"sha-256=:{digest}:",
    }
    sent = call("POST", "/attachments", content, headers)
    assert sent.status == 201
    assert (sent.json["sha256"], sent.json["size"], sent.json["name"]) == (hashlib.sha256(content).hexdigest(), len(content), "perché.pdf")
    fetched = call("GET", sent.headers["location"])
    assert (fetched.content, fetched.headers["content-type"]) == (content, "application/pdf")
    assert call("GET", sent.headers["location"], name="altro").status == 404
    assert call("GET", sent.headers["location"], headers={"Snodo-Purpose": "prova"}, name="revisore").status == 200
    assert call("POST", "/messages", saluto("Rita", attachments=[sent.json["sha256"]])).status == 202
    assert call("POST", "/messages", saluto("Rita", attachments=[sent.json["sha256"]]), name="altro").json["code"] == "attachment.unknown"
    assert call("POST", "/attachments?name=mio.pdf", content, {"Content-Type": "application/pdf"}, name="altro").status == 201
    assert call("GET", sent.headers["location"], name="altro").status == 200


def test_a_file_that_the_caller_has_is_not_sent_again(call, server):
    address = call("POST", "/attachments?name=x.pdf", b"planimetria").headers["location"]
    tag = call("GET", address).headers["etag"]
    for method, has in (("GET", tag), ("HEAD", tag), ("GET", f"W/{tag}"), ("GET", f'"altro", {tag} , "x"'), ("GET", "*")):
        same = call(method, address, headers={"If-None-Match": has})
        assert (same.status, same.content, same.headers["etag"], "content-length" in same.headers) == (304, b"", tag, False), has
    for other in ('"altro"', tag.strip('"'), f'"{"0" * 64}"', ""):
        assert call("GET", address, headers={"If-None-Match": other}).content == b"planimetria", other
    assert call("GET", address, headers={"If-None-Match": tag}, name="altro").status == 404
    looked = [
        call("GET", address, headers={"If-None-Match": tag, **more}, name="revisore").status for more in ({}, {"Snodo-Purpose": "prova"})
    ]
    assert looked == [422, 304]
    with socket.create_connection(("127.0.0.1", server.port), 10) as raw:  # the connection goes on behind an answer without a body
        request = f"GET {address} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key_of('portale')}\r\n"
        raw.sendall(f"{request}If-None-Match: {tag}\r\n\r\n{request}Connection: close\r\n\r\n".encode())
        said = raw.makefile("rb").read()
    assert (said.startswith(b"HTTP/1.1 304 "), said.count(b"HTTP/1.1 200 "), said.endswith(b"planimetria")) == (True, 1, True)


def test_which_of_the_files_is_none_is_told(call):
    refused = call("POST", "/messages", saluto("X", attachments=["0" * 64, {"sha256": "0" * 64, "name": "piano/1.pdf"}]))
    assert [fault["pointer"] for fault in refused.json["faults"]] == ["/attachments/1"]
    here = call("POST", "/attachments?name=a.pdf", b"questo").json["sha256"]
    missing = call("POST", "/messages", saluto("X", attachments=[here, "0" * 64]))
    assert (missing.status, missing.json["code"]) == (404, "attachment.unknown")
    assert [fault["pointer"] for fault in missing.json["faults"]] == ["/attachments/1"]


def test_a_file_is_named_once_in_a_message(call):
    """Each time that it is named it would become a document of its own."""
    address = call("POST", "/attachments?name=a.pdf", b"due volte").json["sha256"]
    for one in (address, {"sha256": address, "name": "pianta.pdf"}):
        refused = call("POST", "/messages", saluto("X", attachments=[one, "0" * 64, one]))
        assert (refused.status, refused.json["code"], refused.json["faults"][0]["pointer"]) == (422, "envelope.invalid", "/attachments/2")


def test_the_same_bytes_are_called_in_each_message_as_it_says(call, server):
    address = hashlib.sha256(b"modulo in bianco").hexdigest()
    given = [[address], [{"sha256": address, "name": "modulo di Anna.pdf"}], [{"sha256": address, "name": "modulo di Bruno.pdf"}, address]]
    for name in ("di-anna.pdf", "modulo.pdf"):
        assert call("POST", f"/attachments?name={name}", b"modulo in bianco").json["sha256"] == address
    sent = [call("POST", "/messages", saluto("Rita", attachments=files)).json["id"] for files in given]
    with server.app.store.read() as tx:
        called = [[file["name"] for file in log.message(tx, one)[0]["envelope"]["attachments"]] for one in sent]
    assert called == [["modulo.pdf"], ["modulo di Anna.pdf"], ["modulo di Bruno.pdf", "modulo.pdf"]]


def test_a_file_of_another_name_is_other_content_and_what_its_address_is_called_meanwhile_is_not(call):
    address = call("POST", "/attachments?name=prima.pdf", b"planimetria").json["sha256"]
    alone, named = [address], [{"sha256": address, "name": "Tav. 1.pdf"}]
    for key, files in (("a solo indirizzo", alone), ("con nome", named)):
        assert call("POST", "/messages", saluto("Nora", attachments=files), {"Idempotency-Key": key}).status == 202
    call("POST", "/attachments?name=dopo.pdf", b"planimetria")
    for key, files in (("a solo indirizzo", alone), ("con nome", named)):
        again = call("POST", "/messages", saluto("Nora", attachments=files), {"Idempotency-Key": key})
        assert again.headers["idempotency-status"] == "repeated"
    other = call("POST", "/messages", saluto("Nora", attachments=[{**named[0], "name": "Tav. 2.pdf"}]), {"Idempotency-Key": "con nome"})
    assert (other.status, other.json["code"]) == (422, "input.key-reused")


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('form-data; name="filename=altro"; filename=piano.pdf', "piano.pdf"),
        ("attachment; x-filename=altro.pdf; filename=piano.pdf", "piano.pdf"),
        ("attachment;filename*=utf-8''perch%C3%A9.pdf;filename=perche.pdf", "perché.pdf"),
        ('attachment; filename="perché.pdf"'.encode().decode("latin-1"), "perché.pdf"),
        ('attachment; filename="perché.pdf"', "perché.pdf"),
        ("attachment; filename*=UTF-8''perch%E9.pdf; filename=perche.pdf", "perche.pdf"),
        ("attachment; filename = piano.pdf", "piano.pdf"),
        ("attachment; filename* = UTF-8''perch%C3%A9.pdf", "perché.pdf"),
        ("attachment; filename=Relazione tecnica.pdf ; x=1", "Relazione tecnica.pdf"),
        ('form-data; name="a; filename=altro"; filename="Tav. 1; piano \\"terra\\".pdf"', 'Tav. 1; piano "terra".pdf'),
    ],
)
def test_a_file_has_the_name_of_the_parameter_that_is_the_file_s(call, disposition, name):
    headers = {"Content-Type": "application/pdf", "Content-Disposition": disposition}
    assert call("POST", "/attachments", b"x", headers).json["name"] == name


@pytest.mark.parametrize("said", ["filename*=UTF-8''perch%E9.pdf", 'filename="piano.pdf', 'filename=""'])
def test_a_name_that_is_not_written_as_it_should_be_is_no_name(call, said):
    headers = {"Content-Type": "application/pdf", "Content-Disposition": f"attachment; {said}"}
    refused = call("POST", "/attachments", b"x", headers)
    assert (refused.status, refused.json["code"]) == (422, "attachment.name")


@pytest.mark.parametrize("harm", ["gone", "begin", "end"])
def test_a_file_that_is_not_what_was_sent_is_never_given(server, call, harm, capsys):
    content = harm.encode() * 300_000
    sent = call("POST", "/attachments?name=a.bin", content, {"Content-Type": "application/octet-stream"}).json
    attachments = server.app.attachments
    kept = attachments.place(server.app.store.keys.token(sent["sha256"]))
    if harm == "gone":
        kept.unlink()
    else:
        held = bytearray(kept.read_bytes())
        held[1000 if harm == "begin" else -1] ^= 1
        kept.write_bytes(held)
    if harm == "end":
        with pytest.raises(http.client.IncompleteRead):
            call("GET", f"/attachments/{sent['sha256']}")
    else:
        refused = call("GET", f"/attachments/{sent['sha256']}")
        assert (refused.status, refused.json["code"]) == (503, "payload.swapped")
    assert "Traceback" not in capsys.readouterr().err
