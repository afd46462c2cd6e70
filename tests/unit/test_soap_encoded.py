"""Replies of SOAP's encoding (section 5 of SOAP 1.1), whose parts refer to one another."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import pytest

from adapters.soap.client import SoapClient
from bus.adapter import InDoubt, Refused
from tests.unit.soap_peer import SHARED, Peer, call_of

DOCAREA = SHARED / "protocollo-vendor/docarea_tinn/DOCAREAProtoservice.wsdl"


def logged_in(peer: Peer) -> dict[str, Any]:
    with peer, closing(SoapClient(DOCAREA, peer.url)) as client:
        return client.call("Login", {"CodiceEnte": "e", "Username": "u", "UserPassword": "p"}, call_of())


ENCODED = b"""<?xml version="1.0"?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:SOAP-ENC="http://schemas.xmlsoap.org/soap/encoding/">
<SOAP-ENV:Body SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">
<NS1:LoginRisposta xmlns:NS1="http://tempuri.org/"><return href="#1"/></NS1:LoginRisposta>
<NS2:TRispostaLogin xmlns:NS2="http://tempuri.org" id="1" xsi:type="NS2:TRispostaLogin" SOAP-ENC:root="0">
<strDST xsi:type="xsd:string">gettone</strDST><IngErrNumber xsi:type="xsd:int">0</IngErrNumber><strErrString xsi:type="xsd:string"/>
</NS2:TRispostaLogin></SOAP-ENV:Body></SOAP-ENV:Envelope>"""


DELPHI = b"""<?xml version="1.0"?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:SOAP-ENC="http://schemas.xmlsoap.org/soap/encoding/">
<SOAP-ENV:Body SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">
<NS1:LoginResponse xmlns:NS1="http://tempuri.org/" xmlns:NS2="http://tempuri.org"><NS2:TRispostaLogin id="1" xsi:type="NS2:TRispostaLogin">
<strDST xsi:type="xsd:string">gettone</strDST><IngErrNumber xsi:type="xsd:int">0</IngErrNumber><strErrString xsi:type="xsd:string"></strErrString>
</NS2:TRispostaLogin><return href="#1"/></NS1:LoginResponse></SOAP-ENV:Body></SOAP-ENV:Envelope>"""
"""As Delphi's servers say it: what is referred to stands inside the wrapper."""


@pytest.mark.skipif(not SHARED.exists(), reason="the official contracts are not beside the project (../shared)")
@pytest.mark.parametrize("reply", [ENCODED, DELPHI], ids=["beside", "inside"])
def test_an_encoded_reply_is_read_through_its_references_and_whatever_its_wrapper_is_called(reply):
    peer = Peer(body=reply)
    said = logged_in(peer)
    assert said["return"]["strDST"] == "gettone"
    assert said["return"]["IngErrNumber"] == 0
    assert peer.actions == ['"http://tempuri.org/#Login"']


def login(*parts: str) -> bytes:
    """A reply to Login with these parts, as Delphi's servers say it."""
    head, _, rest = DELPHI.partition(b"\n<strDST")
    return head + "".join(parts).encode() + rest[rest.index(b"\n</NS2:") :]


DST, NUMBER, SENTENCE = (
    '<strDST xsi:type="xsd:string">gettone</strDST>', '<IngErrNumber xsi:type="xsd:int">0</IngErrNumber>', "<strErrString>ok</strErrString>",
)  # fmt: skip


@pytest.mark.skipif(not SHARED.exists(), reason="the official contracts are not beside the project (../shared)")
@pytest.mark.parametrize("parts", [(SENTENCE, NUMBER, DST), (NUMBER, DST), (DST, NUMBER), (NUMBER,)])
def test_in_an_encoded_reply_parts_are_told_by_their_names_and_may_be_left_out(parts):
    said = {"strDST": "gettone" if DST in parts else None, "IngErrNumber": 0, "strErrString": "ok" if SENTENCE in parts else None}
    assert logged_in(Peer(body=login(*parts)))["return"] == said


@pytest.mark.skipif(not SHARED.exists(), reason="the official contracts are not beside the project (../shared)")
@pytest.mark.parametrize("parts", [(DST, NUMBER, "<altro/>"), (DST, DST, NUMBER), (DST, NUMBER.replace("0", "no"))])
def test_an_encoded_reply_that_says_what_the_contract_knows_not_is_not_valid(parts):
    with pytest.raises(InDoubt, match="not valid"):
        logged_in(Peer(body=login(*parts)))


@pytest.mark.skipif(not SHARED.exists(), reason="the official contracts are not beside the project (../shared)")
def test_an_encoded_request_that_leaves_something_out_is_not_sent():
    client = SoapClient(DOCAREA, "http://127.0.0.1:1")
    with pytest.raises(Refused):
        client.call("Login", {"CodiceEnte": "e", "Username": "u"}, call_of())
    client.close()


ARRAYS = """<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:t="urn:t"
 xmlns:x="http://www.w3.org/2001/XMLSchema" xmlns:e="http://schemas.xmlsoap.org/soap/encoding/" xmlns:w="http://schemas.xmlsoap.org/wsdl/"
 targetNamespace="urn:t"><types><x:schema targetNamespace="urn:t"><x:import namespace="http://schemas.xmlsoap.org/soap/encoding/"/>
<x:complexType name="P"><x:all><x:element name="nome" type="x:string"/><x:element name="figli" type="x:int"/></x:all></x:complexType>
<x:complexType name="Ps"><x:complexContent><x:restriction base="e:Array"><x:attribute ref="e:arrayType" w:arrayType="t:P[]"/></x:restriction>
</x:complexContent></x:complexType></x:schema></types>
<message name="I"><part name="cf" type="x:string"/></message><message name="O"><part name="return" type="t:Ps"/></message>
<portType name="T"><operation name="cerca"><input message="t:I"/><output message="t:O"/></operation></portType>
<binding name="B" type="t:T"><s:binding style="rpc" transport="http://schemas.xmlsoap.org/soap/http"/><operation name="cerca">
<s:operation soapAction=""/><input><s:body use="encoded" namespace="urn:t" encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"/></input>
<output><s:body use="encoded" namespace="urn:t" encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"/></output></operation></binding>
<service name="S"><port name="X" binding="t:B"><s:address location="http://ente.example/"/></port></service></definitions>"""
ADA, LEO = ({"nome": "Ada", "figli": 2}, {"nome": "Leo", "figli": 0})
ITEM = '<item xsi:type="t:P"><nome xsi:type="xsd:string">{nome}</nome><figli xsi:type="xsd:int">{figli}</figli></item>'


@pytest.mark.parametrize(
    ("items", "beside", "said"),
    [
        (ITEM.format_map(ADA) + ITEM.format_map(LEO), "", [ADA, LEO]),
        ("", "", []),
        ('<item href="#1"/>', ITEM.format_map(ADA).replace("item", "multiRef").replace("<multiRef ", '<multiRef id="1" ', 1), [ADA]),
    ],
)
def test_an_array_of_a_contract_that_says_not_where_the_encoding_is_described_is_read(tmp_path, items, beside, said):
    """PHP's and Axis's contracts name it and say no more; they could not be read at all."""
    (tmp_path / "x.wsdl").write_text(ARRAYS, "utf-8")
    there = f'<return xsi:type="SOAP-ENC:Array" SOAP-ENC:arrayType="t:P[]">{items}</return>'
    head = ENCODED.partition(b"<NS1:")[0].decode().replace("<SOAP-ENV:Body", '<SOAP-ENV:Body xmlns:t="urn:t"')
    body = f"{head}<t:cercaResponse>{there}</t:cercaResponse>{beside}</SOAP-ENV:Body></SOAP-ENV:Envelope>"
    with Peer(body=body.encode()) as peer, closing(SoapClient(tmp_path / "x.wsdl", peer.url)) as client:
        assert client.call("cerca", {"cf": "x"}, call_of())["return"] == said


def test_a_contract_whose_binding_stands_in_a_file_that_it_imports_is_encoded_as_that_says(tmp_path):
    head, _, rest = ARRAYS.partition("<types>")
    parts, service, end = rest.partition("<service")
    (tmp_path / "binding.wsdl").write_text(f"{head}<types>{parts}</definitions>", "utf-8")
    (tmp_path / "x.wsdl").write_text(f'{head}<import namespace="urn:t" location="binding.wsdl"/>{service}{end}', "utf-8")
    body = ENCODED.partition(b"<NS1:")[0].decode().replace("<SOAP-ENV:Body", '<SOAP-ENV:Body xmlns:t="urn:t"')
    body += f'<t:cercaResponse><return href="#1"/></t:cercaResponse><t:Ps id="1">{ITEM.format_map(ADA)}</t:Ps></SOAP-ENV:Body></SOAP-ENV:Envelope>'
    with Peer(body=body.encode()) as peer, closing(SoapClient(tmp_path / "x.wsdl", peer.url)) as client:
        assert client.call("cerca", {"cf": "x"}, call_of())["return"] == [ADA]


def _references(*bodies: str) -> bytes:
    inner = "".join(f'<o id="{number}">{body}</o>' for number, body in enumerate(bodies))
    return ENCODED.replace(b"<NS2:", inner.encode() + b"<NS2:", 1).replace(b'href="#1"', b'href="#0"')


@pytest.mark.skipif(not SHARED.exists(), reason="the official contracts are not beside the project (../shared)")
@pytest.mark.parametrize(
    "body",
    [
        _references('<x href="#0"/>'),
        _references('<x href="#1"/>', '<x href="#0"/>'),
        _references(*(f'<x href="#{n + 1}"/>' * 10 for n in range(12)), "fine"),
    ],
)
def test_references_that_do_not_end_are_not_followed(body):
    begun = time.process_time()
    with pytest.raises(InDoubt) as doubt:
        logged_in(Peer(body=body))
    assert "references" in doubt.value.sentence
    assert time.process_time() - begun < 10
