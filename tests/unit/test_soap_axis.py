"""Contracts of the style rpc/encoded as Axis 1, PHP and others write them: each called once, request and reply as they cross."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from adapters.soap.client import SoapClient
from tests.unit.soap_peer import Peer, call_of

ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
CONTRACT = """<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:w="http://schemas.xmlsoap.org/wsdl/" xmlns:t="urn:t"
 xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:e="{encoding}" xmlns:x="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:t">
<types><x:schema targetNamespace="urn:t"><x:import namespace="{encoding}"/>{types}</x:schema></types>
<message name="I">{asked}</message><message name="O">{told}</message>
<portType name="P"><operation name="chiedi"><input message="t:I"/><output message="t:O"/></operation></portType>
<binding name="B" type="t:P"><s:binding style="rpc" transport="http://schemas.xmlsoap.org/soap/http"/>
<operation name="chiedi"><s:operation soapAction=""/><input><s:body use="encoded" namespace="urn:t" encodingStyle="{encoding}"/></input>
<output><s:body use="encoded" namespace="urn:t" encodingStyle="{encoding}"/></output></operation></binding>
<service name="S"><port name="X" binding="t:B"><s:address location="http://ente.example/"/></port></service></definitions>"""
REPLY = """<E:Envelope xmlns:E="http://schemas.xmlsoap.org/soap/envelope/" xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns:t="urn:t"
 xmlns:x="http://www.w3.org/2001/XMLSchema" xmlns:e="{encoding}"><E:Body><t:chiediResponse>{told}</t:chiediResponse></E:Body></E:Envelope>"""
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
STRUCT = """<x:complexType name="P"><x:sequence><x:element name="n" type="e:string" nillable="true"/>
<x:element name="k" type="x:int"/></x:sequence></x:complexType>"""
DERIVED = """<x:complexType name="B"><x:sequence><x:element name="n" type="x:string"/></x:sequence></x:complexType>
<x:complexType name="D"><x:complexContent><x:extension base="t:B"><x:sequence><x:element name="m" type="x:string"/></x:sequence>
</x:extension></x:complexContent></x:complexType>"""

LISTS = """<x:complexType name="Nomi"><x:complexContent><x:restriction base="e:Array">
 <x:attribute ref="e:arrayType" w:arrayType="x:string[]"/></x:restriction></x:complexContent></x:complexType>
<x:complexType name="Persona"><x:sequence><x:element name="nome" type="x:string"/><x:element name="altri" type="t:Nomi" minOccurs="0"/>
</x:sequence></x:complexType>
<x:complexType name="Persone"><x:complexContent><x:restriction base="e:Array">
 <x:attribute ref="e:arrayType" w:arrayType="t:Persona[]"/></x:restriction></x:complexContent></x:complexType>"""
ARRAY_TYPE = f"{{{ENCODING}}}arrayType"


def parts(**kinds: str) -> str:
    return "".join(f'<part name="{name}" type="{kind}"/>' for name, kind in kinds.items())


def asked(folder: Path, types: str, kinds: dict[str, str], kind: str, values: dict[str, Any], told: str) -> tuple[etree._Element, Any, Any]:
    """What was sent (the wrapper), what was answered, and the shape of the request."""
    (folder / "x.wsdl").write_text(CONTRACT.format(encoding=ENCODING, types=types, asked=parts(**kinds), told=parts(r=kind)), "utf-8")
    with Peer(body=REPLY.format(encoding=ENCODING, told=told).encode()) as peer, closing(SoapClient(folder / "x.wsdl", peer.url)) as client:
        assert [*client.missing("chiedi")] == []
        said = client.call("chiedi", values, call_of())
        return etree.fromstring(peer.got[0])[0][0], said["r"], client.shapes("chiedi")[0]["properties"]


def said_in_full(element: etree._Element, name: str) -> str:
    """What an attribute says, with the namespace for which its prefix stands at that place."""
    prefix, _, own = element.get(name, "").partition(":")
    return f"{element.nsmap[prefix]} {own}"


def kinds_of(wrapper: etree._Element) -> dict[str, str]:
    """The type that each part says it is of."""
    return {part.tag: said_in_full(part, TYPE) for part in wrapper}


def test_simple_types_by_the_names_that_the_encoding_has_for_them(tmp_path):
    given = {"a": "x", "b": 3, "c": True, "d": "YQ=="}
    sent, said, shape = asked(
        tmp_path, "", {"a": "e:string", "b": "e:int", "c": "e:boolean", "d": "e:base64"}, "e:string", given, '<r i:type="e:string">ok</r>'
    )
    assert ([part.text for part in sent], said) == (["x", "3", "true", "YQ=="], "ok")
    assert kinds_of(sent) == {name: f"{ENCODING} {kind}" for name, kind in zip("abcd", ("string", "int", "boolean", "base64"), strict=True)}
    assert [shape[name].get("type") for name in "abc"] == ["string", "integer", "boolean"]


def test_a_struct_whose_fields_are_of_such_types_and_nil(tmp_path):
    told = '<r i:type="t:P"><n i:nil="true"/><k i:type="x:int">2</k></r>'
    sent, said, shape = asked(tmp_path, STRUCT, {"a": "t:P"}, "t:P", {"a": {"n": "x", "k": 1}}, told)
    assert ([one.text for one in sent[0]], kinds_of(sent), said) == (["x", "1"], {"a": "urn:t P"}, {"n": None, "k": 2})
    assert shape["a"]["properties"]["n"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_a_part_that_may_be_anything(tmp_path):
    sent, said, shape = asked(tmp_path, "", {"a": "x:anyType"}, "x:anyType", {"a": "x"}, '<r i:type="x:string">q</r>')
    assert (sent[0].text, said, shape) == ("x", "q", {"a": {}})


def test_a_part_of_a_derived_type_says_that_it_is(tmp_path):
    told = '<r i:type="t:D"><n>q</n><m>z</m></r>'
    sent, said, _ = asked(tmp_path, DERIVED, {"a": "t:B", "b": "t:B"}, "t:B", {"a": {"n": "x", "m": "y"}, "b": {"n": "x"}}, told)
    assert (kinds_of(sent), said) == ({"a": "urn:t D", "b": "urn:t B"}, {"n": "q", "m": "z"})


@pytest.mark.parametrize("of", ["x:string[,]", "x:string[][]"])
def test_of_an_array_of_arrays_nothing_is_sure(tmp_path, of):
    array = f"""<x:complexType name="L"><x:complexContent><x:restriction base="e:Array">
    <x:attribute ref="e:arrayType" w:arrayType="{of}"/></x:restriction></x:complexContent></x:complexType>"""
    (tmp_path / "x.wsdl").write_text(
        CONTRACT.format(encoding=ENCODING, types=array, asked=parts(a="t:L"), told=parts(r="x:string")), "utf-8"
    )
    with closing(SoapClient(tmp_path / "x.wsdl", "http://127.0.0.1:9")) as client:
        assert client.shapes("chiedi")[0]["properties"] == {"a": {}}


def test_arrays_of_the_encoding_go_and_come_as_lists(tmp_path):
    """And the types of parts are told where they are of the same namespace as the body, too: no prefix stood for it."""
    kinds = parts(nomi="t:Nomi", chi="t:Persone", uno="t:Persona")
    (tmp_path / "x.wsdl").write_text(CONTRACT.format(encoding=ENCODING, types=LISTS, asked=kinds, told=kinds), "utf-8")
    ada = {"nome": "Ada", "altri": ["Bianca", "Carla"]}
    values = {"nomi": ["a", "b"], "chi": [ada, {"nome": "Ugo", "altri": []}], "uno": {"nome": "Ida"}}
    with closing(SoapClient(tmp_path / "x.wsdl", "http://127.0.0.1:9")) as client:
        sent = client.wsdl.build_request(client.wsdl.operation("chiedi"), values)
    with (
        Peer(body=etree.tostring(sent).replace(b"chiedi", b"chiediResponse")) as peer,
        closing(SoapClient(tmp_path / "x.wsdl", peer.url)) as client,
    ):
        said = client.call("chiedi", values, call_of())
        assert said == {**values, "uno": {"nome": "Ida", "altri": None}}
        shape, _ = client.shapes("chiedi")
    request = etree.fromstring(peer.got[0])
    assert kinds_of(request[0][0]) == {"nomi": "urn:t Nomi", "chi": "urn:t Persone", "uno": "urn:t Persona"}
    arrays = [(one.tag, said_in_full(one, ARRAY_TYPE)) for one in request.iter() if one.get(ARRAY_TYPE)]
    strings = "http://www.w3.org/2001/XMLSchema string"
    assert arrays == [
        ("nomi", f"{strings}[2]"), ("chi", "urn:t Persona[2]"), ("altri", f"{strings}[2]"), ("altri", f"{strings}[0]"),
    ]  # fmt: skip
    names = {"type": "array", "items": {"type": "string"}}
    assert shape["properties"]["nomi"] == names
    assert shape["properties"]["chi"]["items"]["properties"] == {"nome": {"type": "string"}, "altri": names}
