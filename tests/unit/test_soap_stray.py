"""Replies that stray from the system's own XSD, where the settings say that they are taken."""

from __future__ import annotations

from contextlib import closing

import pytest

from adapters.soap.client import SoapClient
from bus.adapter import InDoubt
from tests.unit.soap_peer import ASKED, GOOD, OURS, Peer, call_of

LAST = b"<cognome>BELLOMO</cognome>"


def said(body: bytes, **how: bool) -> dict[str, object]:
    with Peer(body=body) as peer, closing(SoapClient(OURS, peer.url, **how)) as client:
        person: dict[str, object] = client.call("ricercaSoggetto", ASKED, call_of())["soggetto"][0]
    return person


def moved(body: bytes, part: bytes, behind: bytes) -> bytes:
    assert part in body
    return body.replace(part, b"", 1).replace(behind, behind + part, 1)


@pytest.mark.parametrize(
    "stray",
    [
        moved(GOOD, LAST, b"</sesso>"),
        GOOD.replace(LAST, LAST + b"<nuovo>1</nuovo>"),
        GOOD.replace(LAST, b"<nuovo><a/></nuovo>" + LAST),
        GOOD.replace(LAST, b'<v:cognome xmlns:v="urn:v">BELLOMO</v:cognome>').replace(b"<nome>", b'<nome xmlns="urn:v">'),
    ],
    ids=["order", "more", "more-first", "namespace"],
)
def test_another_order_more_elements_and_other_namespaces_are_taken_when_the_settings_say_so(stray):
    assert said(stray, validate_replies=False) == said(GOOD)
    with pytest.raises(InDoubt, match="not valid"):
        said(stray)


DERIVED = """<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:t="urn:t"
 xmlns:x="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:t"><types><x:schema targetNamespace="urn:t">
<x:complexType name="A"><x:sequence><x:element name="a" type="x:string"/></x:sequence></x:complexType>
<x:complexType name="B"><x:complexContent><x:extension base="t:A"><x:sequence><x:element name="b" type="x:string" minOccurs="0"/></x:sequence>
</x:extension></x:complexContent></x:complexType><x:element name="q"><x:complexType/></x:element>
<x:element name="r"><x:complexType><x:sequence><x:element name="uno" type="t:A"/></x:sequence></x:complexType></x:element></x:schema></types>
<message name="I"><part name="p" element="t:q"/></message><message name="O"><part name="p" element="t:r"/></message>
<portType name="T"><operation name="chiedi"><input message="t:I"/><output message="t:O"/></operation></portType>
<binding name="B" type="t:T"><s:binding transport="http://schemas.xmlsoap.org/soap/http"/><operation name="chiedi"><s:operation soapAction=""/>
<input><s:body use="literal"/></input><output><s:body use="literal"/></output></operation></binding>
<service name="S"><port name="X" binding="t:B"><s:address location="http://ente.example/"/></port></service></definitions>"""
REPLY = """<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><t:r xmlns:t="urn:t">
<uno xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="t:B">{}</uno></t:r></e:Body></e:Envelope>"""


def test_what_a_type_that_the_reply_names_knows_more_is_kept(tmp_path):
    (tmp_path / "x.wsdl").write_text(DERIVED, "utf-8")
    with (
        Peer(body=REPLY.format("<b>2</b><a>1</a>").encode()) as peer,
        closing(SoapClient(tmp_path / "x.wsdl", peer.url, validate_replies=False)) as client,
    ):
        assert client.call("chiedi", {}, call_of())["uno"] == {"a": "1", "b": "2"}


def test_what_must_be_said_is_not_made_up():
    with pytest.raises(InDoubt, match="cannot be read"):
        said(GOOD.replace(b"sesso>", b"sessi>"), validate_replies=False)


def test_a_reply_of_which_nothing_is_known_does_not_say_that_there_is_nobody():
    with pytest.raises(InDoubt, match="cannot be read"):
        said(GOOD.replace(b"soggetto>", b"persona>"), validate_replies=False)
