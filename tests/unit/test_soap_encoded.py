"""Replies of SOAP's encoding (section 5 of SOAP 1.1), whose parts refer to one another."""

from __future__ import annotations

import time

import pytest

from adapters.soap.client import SoapClient
from bus.adapter import InDoubt
from tests.unit.soap_peer import SHARED, Peer, call_of

ENCODED = b"""<?xml version="1.0"?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:SOAP-ENC="http://schemas.xmlsoap.org/soap/encoding/">
<SOAP-ENV:Body SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">
<NS1:LoginRisposta xmlns:NS1="http://tempuri.org/"><return href="#1"/></NS1:LoginRisposta>
<NS2:TRispostaLogin xmlns:NS2="http://tempuri.org" id="1" xsi:type="NS2:TRispostaLogin" SOAP-ENC:root="0">
<strDST xsi:type="xsd:string">gettone</strDST><IngErrNumber xsi:type="xsd:int">0</IngErrNumber><strErrString xsi:type="xsd:string"/>
</NS2:TRispostaLogin></SOAP-ENV:Body></SOAP-ENV:Envelope>"""


@pytest.mark.skipif(not SHARED.exists(), reason="the official contracts are not beside the project (../shared)")
def test_an_encoded_reply_is_read_through_its_references_and_whatever_its_wrapper_is_called():
    with Peer(body=ENCODED) as peer:
        client = SoapClient(SHARED / "protocollo-vendor/docarea_tinn/DOCAREAProtoservice.wsdl", peer.url)
        said = client.call("Login", {"CodiceEnte": "e", "Username": "u", "UserPassword": "p"}, call_of())
        client.close()
    assert said["return"]["strDST"] == "gettone"
    assert said["return"]["IngErrNumber"] == 0
    assert peer.actions == ['"http://tempuri.org/#Login"']


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
    with Peer(body=body) as peer:
        client = SoapClient(SHARED / "protocollo-vendor/docarea_tinn/DOCAREAProtoservice.wsdl", peer.url)
        with pytest.raises(InDoubt) as doubt:
            client.call("Login", {"CodiceEnte": "e", "Username": "u", "UserPassword": "p"}, call_of())
        client.close()
    assert "references" in doubt.value.sentence
    assert time.process_time() - begun < 10
