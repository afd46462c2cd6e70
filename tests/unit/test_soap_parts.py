"""Messages of SOAP systems in MIME parts: what is read of them, and what is no answer."""

from __future__ import annotations

import base64
import quopri

import pytest

from adapters.soap.parts import Part, parts_of
from bus.adapter import InDoubt, Refused
from bus.errors import Malformed
from tests.unit.soap_peer import FAULT, GOOD, PERSON, Peer, asked, request_bytes, service

ROOT_TYPE = 'application/xop+xml; charset=UTF-8; type="text/xml"'
RELATED = 'multipart/related; type="application/xop+xml"; start="<radice@x>"; start-info="text/xml"; boundary="==a+b"'
PDF = b"%PDF-1.7\r\n\r\n\x00\xff--==a+b-\r\n"


def related(*parts: tuple[str, bytes], end: str = "\r\n") -> bytes:
    """A body of parts, each with its headers."""
    made = b"".join(f"{end}--==a+b{end}{head}{end}{end}".encode() + content for head, content in parts)
    return b"this is a message in parts" + made + f"{end}--==a+b--{end}".encode()


def root(content: bytes, end: str = "\r\n") -> tuple[str, bytes]:
    return f"Content-Type: {ROOT_TYPE}{end}Content-Transfer-Encoding: binary{end}Content-ID: <radice@x>", content


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_parts_are_taken_apart_byte_for_byte_the_envelope_first(end):
    file = f"Content-ID: <un%20file@x>{end}Content-Type:{end}\tapplication/pdf", PDF
    assert parts_of(related(file, root(b"<a/>", end), end=end), RELATED) == [
        Part("radice@x", ROOT_TYPE, b"<a/>"),
        Part("un%20file@x", "application/pdf", PDF),
    ]


def test_a_part_in_base64_or_without_headers_is_read():
    named = "multipart/related; boundary===a+b"
    coded = "Content-ID: <f>\r\nContent-Transfer-Encoding: BASE64", base64.encodebytes(PDF)
    content = b"--==a+b\r\n\r\n<a/>\r\n" + related(coded).partition(b"\r\n")[2]
    assert [part.content.strip() for part in parts_of(content, named)] == [b"<a/>", PDF.strip()]


def test_what_is_in_no_parts_has_none():
    assert parts_of(GOOD, "text/xml") == []


def reply(body: bytes, media_type: str = RELATED, status: int = 200):
    return asked(Peer(status, body, {"Content-Type": media_type}), refusals={"MANUTENZIONE": "closed"})


def test_a_reply_of_a_server_that_is_set_up_for_attachments_is_read():
    assert reply(related(root(GOOD)))["soggetto"][0]["nome"] == "ADA"


def test_an_envelope_that_a_mail_library_has_written_is_read():
    """JavaMail writes a part of few accents as mails are written."""
    head = f"Content-Type: {ROOT_TYPE}\r\nContent-ID: <radice@x>\r\nContent-Transfer-Encoding: quoted-printable"
    said = reply(related((head, quopri.encodestring(GOOD.replace(b"BELLOMO", "NICOLÒ".encode())))))
    assert said["soggetto"][0]["cognome"] == "NICOLÒ"


INCLUDED = b'<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:un%2520file@x"/>'


def test_bytes_that_stand_in_a_part_of_their_own_are_put_back():
    """Any place will do: a name of a person, in base64, is a text too."""
    named = GOOD.replace(b">ADA<", b">" + INCLUDED.replace(b"%2520", b"-") + b"<")
    found = reply(related(root(named), ("Content-ID: <un-file@x>", b"ADA")))
    assert found["soggetto"][0]["nome"] == "QURB"


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (related(root(GOOD.replace(b">ADA<", b">" + INCLUDED + b"<"))), RELATED),
        (related(root(GOOD)), "multipart/related"),
        (related(root(GOOD)), "multipart/related; boundary=altro"),
        (related(("Content-Transfer-Encoding: base64", b"a")), RELATED),
        (b"", RELATED),
    ],
)  # fmt: skip
def test_parts_that_cannot_be_read_are_no_answer(body, media_type):
    with pytest.raises(InDoubt, match="no SOAP reply"):
        reply(body, media_type)


def test_a_fault_in_parts_is_a_fault():
    with pytest.raises(Refused):
        reply(related(root(FAULT)), status=500)


def test_a_part_is_put_back_once():
    """Else a small reply would grow without end."""
    twice = GOOD.replace(b">ADA<", b">" + INCLUDED + b"<").replace(b">BELLOMO<", b">" + INCLUDED + b"<")
    with pytest.raises(InDoubt):
        reply(related(root(twice), ("Content-ID: <un%20file@x>", b"ADA")))


def test_parts_without_a_boundary_are_malformed():
    with pytest.raises(Malformed):
        parts_of(b"--\r\n\r\n<a/>\r\n----", "multipart/related; boundary=")


@pytest.mark.parametrize("before", [b"\n", b"\r\n\r\n", b"\xef\xbb\xbf\r\n", b" \t"])
def test_blanks_before_the_declaration_are_passed_over(before):
    """PHP's scripts write what stands behind their last ``?>``."""
    assert reply(before + GOOD, "text/xml")["soggetto"][0]["nome"] == "ADA"
    assert reply(related(root(before + GOOD)))["soggetto"][0]["nome"] == "ADA"


def test_behind_blanks_the_declaration_still_says_the_encoding():
    latin = GOOD.replace(b"BELLOMO", "NICOLÒ".encode("latin-1")).replace(b"UTF-8", b"ISO-8859-1")
    assert reply(b"\n" + latin, "text/xml; charset=utf-8")["soggetto"][0]["cognome"] == "NICOLÒ"


def test_a_request_in_parts_is_answered():
    heard = []
    answer = service(lambda asked: heard.append(asked) or {"soggetto": [PERSON]}).handle(related(root(request_bytes())), media_type=RELATED)
    assert (answer.status, [one["codiceFiscale"]["codFiscale"] for one in heard]) == (200, ["BLLDAA71E43B429M"])


def test_a_request_in_parts_that_cannot_be_read_is_one_that_is_not_valid():
    answer = service().handle(b"--altro--", soap_action="ricercaSoggetto", media_type=RELATED)
    assert (answer.status, b"none of them can be read" in answer.body) == (500, True)
