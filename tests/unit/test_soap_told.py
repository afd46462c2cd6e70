"""What rules are told of types that contracts write in one of XML Schema's less usual ways; the same contract is asked, and answers so."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import validator_for

from adapters.soap.adapter import as_json
from adapters.soap.client import SoapClient
from tests.unit.soap_peer import Peer, call_of, contract_of

TYPES = """<x:group name="G"><x:sequence><x:element name="a" type="x:string"/></x:sequence></x:group>
<x:attributeGroup name="A"><x:attribute name="k" type="x:int" use="required"/></x:attributeGroup>
<x:complexType name="B"><x:sequence><x:element name="a" type="x:string"/><x:element name="b" type="x:string" minOccurs="0"/></x:sequence>
</x:complexType>"""
REPLY = '<E:Envelope xmlns:E="http://schemas.xmlsoap.org/soap/envelope/"><E:Body>{}</E:Body></E:Envelope>'
TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
VALUED = """<x:sequence><x:element name="i"><x:complexType><x:simpleContent><x:extension base="x:decimal">
<x:attribute name="valuta" type="x:string" use="{use}"/></x:extension></x:simpleContent></x:complexType></x:element></x:sequence>"""
LIST = '<x:sequence><x:element name="l"><x:simpleType><x:list itemType="x:int"/></x:simpleType></x:element></x:sequence>'
UNION = '<x:sequence><x:element name="u"><x:simpleType><x:union memberTypes="x:int x:string"/></x:simpleType></x:element></x:sequence>'
RESTRICTED = """<x:complexContent><x:restriction base="t:B"><x:sequence><x:element name="a" type="x:string"/></x:sequence>
</x:restriction></x:complexContent>"""
GROUPS = '<x:sequence><x:group ref="t:G"/></x:sequence><x:attributeGroup ref="t:A"/>'


def an_object(needed: list[str], **fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": needed, "additionalProperties": False}


MONEY = an_object(["_value_1", "valuta"], _value_1=TEXT, valuta=TEXT)
MAYBE = an_object(["_value_1"], _value_1=TEXT, valuta=TEXT)


@pytest.mark.parametrize(
    ("inner", "values", "reply", "asked", "told"),
    [
        (GROUPS, {"a": "x", "k": 1}, '<detto xmlns="urn:t" k="2"><a>y</a></detto>', *[an_object(["a", "k"], a=TEXT, k=WHOLE)] * 2),
        ('<x:group ref="t:G"/>', {"a": "x"}, '<detto xmlns="urn:t"><a>y</a></detto>', *[an_object(["a"], a=TEXT)] * 2),
        (RESTRICTED, {"a": "x"}, '<detto xmlns="urn:t"><a>y</a></detto>', *[an_object(["a"], a=TEXT)] * 2),
        (VALUED.format(use="required"), {"i": {"_value_1": "1.50", "valuta": "EUR"}}, '<detto xmlns="urn:t"><i valuta="EUR">2.50</i></detto>',
         *[an_object(["i"], i=MONEY)] * 2),
        (VALUED.format(use="optional"), {"i": "1.50"}, '<detto xmlns="urn:t"><i>2.50</i></detto>', an_object(["i"], i={}), an_object(["i"], i=MAYBE)),
        (LIST, {"l": [1, 2]}, '<detto xmlns="urn:t"><l>3 4</l></detto>', an_object(["l"], l={}), an_object(["l"], l={"type": "array", "items": WHOLE})),
        (UNION, {"u": "x"}, '<detto xmlns="urn:t"><u>7</u></detto>', an_object(["u"], u={}), an_object(["u"], u=TEXT)),
    ],
)  # fmt: skip
def test_a_type_is_told_as_it_goes_and_comes(tmp_path: Path, inner: str, values: Any, reply: str, asked: Any, told: Any) -> None:
    (tmp_path / "x.wsdl").write_text(contract_of(f'{TYPES}<x:complexType name="T">{inner}</x:complexType>'), "utf-8")
    with Peer(body=REPLY.format(reply).encode()) as peer, closing(SoapClient(tmp_path / "x.wsdl", peer.url)) as client:
        assert client.shapes("chiedi") == (asked, told)
        said = as_json(client.call("chiedi", values, call_of(), filled=True))
    for schema, value in ((asked, values), (told, said)):
        validator_for(schema).validate(value)
