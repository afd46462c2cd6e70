"""Who asks, in the Header of a SOAP request: headers of the contract, and WS-Security. It is sent, and not kept with the evidence."""

from __future__ import annotations

import base64
import hashlib
from contextlib import closing
from itertools import product
from typing import Any

import pytest
from lxml import etree

from adapters.soap.adapter import Soap
from bus import config, systems
from bus.adapter import Caution
from tests.unit.soap_peer import Peer, call_of

CONTRACT = """<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/SOAP/" xmlns:t="urn:t"
 xmlns:x="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:t"><types><x:schema targetNamespace="urn:t" elementFormDefault="qualified">
<x:element name="Accesso"><x:complexType><x:sequence>
 <x:element name="ente" type="x:int"/><x:element name="parola" type="x:string"/></x:sequence></x:complexType></x:element>
<x:element name="Lingua" type="x:language"/>
<x:element name="chiedi"><x:complexType><x:sequence><x:element name="chi" type="x:string"/></x:sequence></x:complexType></x:element>
<x:element name="detto"><x:complexType><x:sequence><x:element name="chi" type="x:string"/></x:sequence></x:complexType></x:element>
</x:schema></types>
<message name="A"><part name="a" element="t:Accesso"/></message><message name="L"><part name="l" element="t:Lingua"/></message>
<message name="I"><part name="p" element="t:chiedi"/></message><message name="O"><part name="p" element="t:detto"/></message>
<portType name="P"><operation name="chiedi"><input message="t:I"/><output message="t:O"/></operation></portType>
<binding name="B" type="t:P"><s:binding transport="http://schemas.xmlsoap.org/soap/http"/><operation name="chiedi"><s:operation soapAction=""/>
<input><s:header message="t:A" part="a" use="literal"/><s:header message="t:L" part="l" use="literal"/><s:body use="literal"/></input>
<output><s:body use="literal"/></output></operation></binding>
<service name="S"><port name="X" binding="t:B"><s:address location="http://ente.example/"/></port></service></definitions>"""
ENVELOPES = {"soap": "http://schemas.xmlsoap.org/soap/envelope/", "soap12": "http://www.w3.org/2003/05/soap-envelope"}
ACCESS = {"soap_headers": {"Accesso": {"ente": 7, "parola": "Segretissima"}}}
TOKEN = {"user": "snodo", "password": "Segretissima"}
WSSE = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
WSU = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"
TYPES = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#"


def made(folder, url="http://127.0.0.1:9", version="soap", **settings: Any) -> Soap:
    (folder / "x.wsdl").write_text(CONTRACT.replace("wsdl/SOAP/", f"wsdl/{version}/"), "utf-8")
    described = {"operation": "chiedi", "effect": "read", "timeout": 2}
    given = {"wsdl": str(folder / "x.wsdl"), "url": url, "operations": {"chiedi": described}, **settings}
    return Soap("ente", Soap.Settings.model_validate(given))


def asked(folder, version="soap", **settings: Any) -> tuple[etree._Element, etree._Element]:
    """What the system was sent, and what was kept of it."""
    body = f"<Envelope xmlns='{ENVELOPES[version]}'><Body><detto xmlns='urn:t'><chi>Ada</chi></detto></Body></Envelope>"
    with Peer(body=body.encode()) as peer, closing(made(folder, peer.url, version, **settings)) as adapter:
        operation, call = adapter.operations["chiedi"], call_of()
        answer = getattr(adapter, operation.method)(operation.request.model_validate({"chi": "Ada"}), call)
    assert answer.model_dump() == {"chi": "Ada"}
    [kept] = [wire.content for wire in call.exchanges if wire.direction == "out"]
    assert b"Segretissima" not in kept
    return etree.fromstring(peer.got[0]), etree.fromstring(kept)


@pytest.mark.parametrize(("version", "digest"), [*product(ENVELOPES, [False, True])])
def test_a_header_of_the_contract_and_who_asks_are_sent_and_not_kept(tmp_path, version, digest):
    sent, kept = asked(tmp_path, version, **ACCESS, username_token={**TOKEN, "digest": digest})
    assert [one.tag for one in sent] == [f"{{{ENVELOPES[version]}}}{name}" for name in ("Header", "Body")]
    access, security = sent[0]
    assert [(one.tag, one.text) for one in access.iter()] == [
        ("{urn:t}Accesso", None),
        ("{urn:t}ente", "7"),
        ("{urn:t}parola", "Segretissima"),
    ]
    assert [one.tag for one in kept] == [f"{{{ENVELOPES[version]}}}Body"]
    assert etree.tostring(kept[0], method="c14n") == etree.tostring(sent[1], method="c14n")
    said = {one.tag: one for one in security.iter()}
    word = said[f"{WSSE}Password"]
    assert said[f"{WSSE}Username"].text == "snodo"
    if digest:
        nonce, created = base64.b64decode(said[f"{WSSE}Nonce"].text), said[f"{WSU}Created"].text
        assert created.endswith("Z")
        wanted = base64.b64encode(hashlib.sha1(nonce + created.encode() + b"Segretissima", usedforsecurity=False).digest()).decode()
        assert (word.text, word.get("Type")) == (wanted, f"{TYPES}PasswordDigest")
    else:
        assert (word.text, word.get("Type")) == ("Segretissima", f"{TYPES}PasswordText")


def test_a_header_that_is_one_text_is_sent_and_without_any_there_is_no_header(tmp_path):
    sent, _ = asked(tmp_path, soap_headers={"Lingua": "it"})
    assert [(one.tag, one.text) for one in sent[0]] == [("{urn:t}Lingua", "it")]
    sent, kept = asked(tmp_path)
    assert etree.tostring(sent) == etree.tostring(kept)
    assert len(sent) == 1


NOT_SENT = "operations.chiedi: the contract has a SOAP header Accesso for chiedi, and none is sent"


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({**ACCESS["soap_headers"], "Lingua": "it"}, []),
        ({"Lingua": "it"}, [NOT_SENT]),
        ({"Accesso": {"ente": "", "parola": "x"}, "Lingua": "it"}, []),  # a secret that is not there where rules are checked
        ({"Accesso": {"ente": "sette", "parola": "x"}, "Lingua": "it"}, ["soap_headers: a header is not valid"]),
        ({"Accesso": {"ente": 7}, "Lingua": "it"}, ["soap_headers: the values do not fit the header Accesso"]),
        ({"Accesso": {"ente": 7, "parolla": "x"}, "Lingua": "it"}, ["soap_headers: the values do not fit the header Accesso"]),
        ({"Accesso": "x", "Lingua": "it"}, ["soap_headers: the values do not fit the header Accesso"]),
        (
            {**ACCESS["soap_headers"], "Linqua": "it"},
            [
                "operations.chiedi: the contract has a SOAP header Lingua for chiedi, and none is sent",
                "soap_headers: the contract has no header Linqua for these operations; it has Accesso, Lingua",
            ],
        ),
    ],
)
def test_headers_are_held_against_the_contract_before_anything_is_sent(tmp_path, headers, told):
    with closing(made(tmp_path, soap_headers=headers)) as adapter:
        found = list(adapter.check())
    assert [one[: len(wanted)] for one, wanted in zip(found, told, strict=True)] == told
    assert [one for one in found if isinstance(one, Caution)] == [one for one in found if one.endswith("none is sent")]


def test_no_password_is_shown_with_the_settings(tmp_path):
    with closing(made(tmp_path, **ACCESS, username_token=TOKEN)) as adapter:
        assert "Segretissima" not in repr(adapter.settings)


def test_a_password_stands_in_the_environment_as_any_secret_of_the_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("PROVA_PAROLA", "Segretissima")
    (tmp_path / "x.wsdl").write_text(CONTRACT.replace("wsdl/SOAP/", "wsdl/soap/"), "utf-8")
    given = {"Accesso": {"ente": 7, "parola": {"env": "PROVA_PAROLA"}}}
    described = {"chiedi": {"operation": "chiedi", "effect": "read", "timeout": 2}}
    ente = {"use": "soap", "wsdl": "x.wsdl", "url": "http://127.0.0.1:9", "operations": described, "soap_headers": given}
    settings = config.parse(
        {"organization": {"name": "Comune di Prova", "fiscal_code": "00000000000"}, "adapters": {"ente": ente}}, tmp_path / "config.yaml"
    )
    [adapter] = systems.adapters_of(settings).values()
    assert adapter.settings.soap_headers == ACCESS["soap_headers"]
