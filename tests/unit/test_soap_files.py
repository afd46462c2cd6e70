"""Files where a contract of SOAP has bytes: attachments of the case in a request, files that the bus keeps in an answer."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from pydantic import ValidationError

from adapters.soap.adapter import Soap
from adapters.soap.client import BAD_REQUEST
from bus.adapter import InDoubt, Refused
from bus.examine import examine
from bus.testing.adapter_contract import ExampleFile, attempt
from tests.small_bus import TYPE
from tests.unit.soap_peer import Peer, contract_of

CONTRACT = contract_of("""<x:simpleType name="Piccolo"><x:restriction base="x:base64Binary"><x:maxLength value="100"/></x:restriction></x:simpleType>
<x:complexType name="Allegato"><x:sequence><x:element name="nome" type="x:string"/><x:element name="contenuto" type="t:Piccolo"/></x:sequence>
</x:complexType><x:complexType name="T"><x:sequence><x:element name="oggetto" type="x:string"/>
<x:element name="documento" type="x:base64Binary" minOccurs="0"/><x:element name="allegati" type="t:Allegato" minOccurs="0" maxOccurs="9"/>
</x:sequence></x:complexType>""")
ENVELOPE = '<E:Envelope xmlns:E="http://schemas.xmlsoap.org/soap/envelope/"><E:Body><detto xmlns="urn:t">{}</detto></E:Body></E:Envelope>'
PDF, PHOTO = ExampleFile("a.pdf", b"%PDF\0\xff", "application/pdf"), ExampleFile("b.png", b"PNG", "image/png")
FILES = {"documento": "copia.pdf", "allegati.contenuto": "allegato.bin"}


def address(file: ExampleFile) -> str:
    return hashlib.sha256(file.content).hexdigest()


@contextmanager
def archive(folder: Path, url: str = "http://127.0.0.1:1", files: dict[str, str] | None = None, **more: Any) -> Iterator[Soap]:
    (folder / "x.wsdl").write_text(CONTRACT, "utf-8")
    operation = {"operation": "chiedi", "timeout": 5, "files": files or {}}
    settings = {"wsdl": str(folder / "x.wsdl"), "url": url, "operations": {"x": operation}, **more}
    with closing(Soap("archivio", Soap.Settings.model_validate(settings))) as adapter:
        yield adapter


def answer(inner: str) -> bytes:
    return ENVELOPE.format(f"<oggetto>o</oggetto>{inner}").encode()


def coded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_files_of_the_case_are_sent_as_bytes(tmp_path: Path) -> None:
    given = {
        "oggetto": "x",
        "documento": {"sha256": address(PDF), "name": "a.pdf"},
        "allegati": [{"nome": "b", "contenuto": {"sha256": address(PHOTO)}}, {"nome": "c", "contenuto": coded(b"c")}],
    }
    with Peer(body=answer("")) as peer, archive(tmp_path, peer.url) as adapter:
        assert [*adapter.check()] == []
        assert attempt(adapter, "x", given, files=(PDF, PHOTO)).error is None
    sent = etree.fromstring(peer.got[0])
    assert [one.text for one in sent.iter("{urn:t}documento", "{urn:t}contenuto")] == [
        coded(PDF.content),
        coded(PHOTO.content),
        coded(b"c"),
    ]


def test_bytes_of_an_answer_are_kept_where_the_settings_say_so(tmp_path: Path) -> None:
    told = f"<documento>{coded(PDF.content)}</documento><allegati><nome>b</nome><contenuto>{coded(PHOTO.content)}</contenuto></allegati>"
    with Peer(body=answer(told)) as peer, archive(tmp_path, peer.url, FILES) as adapter:
        assert [*adapter.check()] == []
        done = attempt(adapter, "x", {"oggetto": "x"})
    photo = {"sha256": address(PHOTO), "size": 3, "media_type": "application/octet-stream", "name": "allegato.bin"}
    assert done.answer.model_dump() == {
        "oggetto": "o",
        "documento": {"sha256": address(PDF), "size": 6, "media_type": "application/pdf", "name": "copia.pdf"},
        "allegati": [{"nome": "b", "contenuto": photo}],
    }
    assert done.shelf.files == {address(PDF): PDF.content, address(PHOTO): PHOTO.content}


def test_an_answer_without_the_file_is_one(tmp_path: Path) -> None:
    with Peer(body=answer("")) as peer, archive(tmp_path, peer.url, FILES) as adapter:
        assert attempt(adapter, "x", {"oggetto": "x"}).answer.model_dump() == {"oggetto": "o", "allegati": []}


def test_a_text_that_is_to_be_a_file_and_is_none_is_no_answer(tmp_path: Path) -> None:
    with Peer(body=answer("")) as peer, archive(tmp_path, peer.url, {"oggetto": "o.txt"}) as adapter:
        error = attempt(adapter, "x", {"oggetto": "x"}).error
    assert (type(error), error and error.sentence) == (InDoubt, "x: oggetto of the reply is not base64")


def test_files_that_are_too_large_do_not_leave(tmp_path: Path) -> None:
    with Peer(body=answer("")) as peer, archive(tmp_path, peer.url, max_upload=5) as adapter:
        error = attempt(adapter, "x", {"oggetto": "x", "documento": {"sha256": address(PDF)}}, files=(PDF,)).error
        assert (type(error), error and error.outside_code, peer.got) == (Refused, BAD_REQUEST, [])


@pytest.mark.parametrize("said", [{"sha256": "../../etc/passwd"}, {"sha256": address(PDF), "nome": "a.pdf"}, {"name": "a.pdf"}])
def test_what_names_no_file_does_not_leave(tmp_path: Path, said: dict[str, str]) -> None:
    with Peer(body=answer("")) as peer, archive(tmp_path, peer.url) as adapter:
        error = attempt(adapter, "x", {"oggetto": "x", "documento": said}, files=(PDF,)).error
        assert (type(error), error and error.outside_code, peer.got) == (Refused, BAD_REQUEST, [])


def test_settings_that_cannot_work_are_told(tmp_path: Path) -> None:
    with archive(tmp_path, files={"documenti": "a.pdf", "allegati.nome": "b.txt"}) as adapter:
        assert [*adapter.check()] == ["operations.x.files: the reply of chiedi has no documenti"]
    with pytest.raises(ValidationError, match=r"'\.\./x' is no name of a file"), archive(tmp_path, files={"documento": "../x"}):
        pass


ROUTE = """
route: prova.deposita
version: 1
owner: prove@comune.example
purpose: hands a file to an archive
on: prova.orfano
steps:
  - id: deposita
    call: archivio.x
    with: {{oggetto: body.nome, documento: {given}}}
    as: copia
    dead_on: any
  - id: rispondi
    reply: {{x: {read}}}
"""


@pytest.mark.parametrize(
    ("given", "read", "codes"),
    [
        ('"message.attachments[0]"', "copia.oggetto", ["path.maybe-missing"]),
        ('{$when: has(message.attachments), $value: "message.attachments[0]"}', "copia.documento.sha256", ["path.maybe-missing"]),
        ("body.nome", "copia.?documento.orValue(null)", []),
        ("'{\"sha256\": body.nome}'", "copia.documento.sha2", ["path.unknown-field"]),
        ("1", "copia.oggetto", ["target.wrong-type"]),
    ],
)
def test_rules_know_where_a_file_goes_and_comes(tmp_path: Path, given: str, read: str, codes: list[str]) -> None:
    with archive(tmp_path, files=FILES) as adapter:
        operations = {f"archivio.{name}": one for name, one in adapter.operations.items()}
        rules = {
            "mappings/types/prova.yaml": TYPE.format(name="prova.orfano").encode(),
            "routes/prova.yaml": ROUTE.format(given=given, read=read).encode(),
        }
        _, findings = examine(rules, operations)
    assert [one.code for one in findings] == codes
