"""Types of a contract that others are derived from: an object is of the one that it fits, in requests, in answers and for rules."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from lxml import etree

from adapters.soap.client import SoapClient
from bus.adapter import Refused
from tests.unit.soap_peer import Peer, call_of, contract_of

CONTRACT = contract_of("""<x:complexType name="Soggetto" abstract="true"><x:sequence><x:element name="id" type="x:string"/></x:sequence></x:complexType>
<x:complexType name="Persona"><x:complexContent><x:extension base="t:Soggetto"><x:sequence>
 <x:element name="cognome" type="x:string"/></x:sequence></x:extension></x:complexContent></x:complexType>
<x:complexType name="Ditta"><x:complexContent><x:extension base="t:Soggetto"><x:sequence>
 <x:element name="ragione" type="x:string"/><x:element name="soci" type="t:Soggetto" minOccurs="0" maxOccurs="9"/>
 </x:sequence></x:extension></x:complexContent></x:complexType>
<x:complexType name="Indirizzo"><x:sequence><x:element name="via" type="x:string"/></x:sequence></x:complexType>
<x:complexType name="Recapito"><x:complexContent><x:extension base="t:Indirizzo"><x:sequence/></x:extension></x:complexContent></x:complexType>
<x:complexType name="Estero"><x:complexContent><x:extension base="t:Indirizzo"><x:sequence>
 <x:element name="stato" type="x:string"/></x:sequence></x:extension></x:complexContent></x:complexType>
<x:complexType name="Oltremare"><x:complexContent><x:extension base="t:Indirizzo"><x:sequence>
 <x:element name="stato" type="x:string"/></x:sequence></x:extension></x:complexContent></x:complexType>
<x:complexType name="T"><x:sequence><x:element name="chi" type="t:Soggetto"/><x:element name="dove" type="t:Indirizzo" minOccurs="0"/>
</x:sequence></x:complexType>""")
ADA = {"id": "1", "cognome": "Bianchi"}
FIRM = {"id": "2", "ragione": "Forno", "soci": [ADA]}
KIND = "{http://www.w3.org/2001/XMLSchema-instance}type"


def asked(folder, values: dict[str, Any]) -> tuple[etree._Element, dict[str, Any]]:
    """The request as it was sent, given back as the answer."""
    (folder / "x.wsdl").write_text(CONTRACT, "utf-8")
    with closing(SoapClient(folder / "x.wsdl", "http://127.0.0.1:9")) as client:
        operation = client.wsdl.operation("chiedi")
        sent = etree.fromstring(etree.tostring(client.wsdl.build_request(operation, values)))
    answer = etree.tostring(sent).replace(b"chiedi", b"detto")
    with Peer(body=answer) as peer, closing(SoapClient(folder / "x.wsdl", peer.url)) as client:
        said = client.call("chiedi", values, call_of())
        return etree.fromstring(peer.got[0]), said


def kinds(request: etree._Element) -> dict[str, str]:
    return {etree.QName(one).localname: one.get(KIND).rpartition(":")[2] for one in request.iter() if one.get(KIND)}


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"chi": ADA}, {"chi": "Persona"}),
        ({"chi": FIRM}, {"chi": "Ditta", "soci": "Persona"}),
        ({"chi": ADA, "dove": {"via": "Roma"}}, {"chi": "Persona"}),
    ],
)
def test_an_object_is_sent_as_the_type_whose_fields_it_has_and_read_as_the_type_that_is_said(tmp_path, values, wanted):
    sent, said = asked(tmp_path, values)
    assert kinds(sent) == wanted
    assert {name: value for name, value in said.items() if value is not None} == values


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"chi": {"id": "1", "zona": "x"}}, "none of Persona, Ditta has all of the fields id, zona"),
        ({"chi": {"id": "1"}}, "Missing element cognome"),
        ({"chi": ADA, "dove": {"via": "Roma", "stato": "Malta"}}, "it may be Estero or Oltremare, which have the same fields"),
    ],
)
def test_what_fits_no_type_or_several_is_not_sent(tmp_path, values, why):
    (tmp_path / "x.wsdl").write_text(CONTRACT, "utf-8")
    with closing(SoapClient(tmp_path / "x.wsdl", "http://127.0.0.1:9")) as client, pytest.raises(Refused, match=why):
        client.call("chiedi", values, call_of())


def test_rules_are_told_the_fields_of_every_type_that_may_stand_there(tmp_path):
    (tmp_path / "x.wsdl").write_text(CONTRACT, "utf-8")
    with closing(SoapClient(tmp_path / "x.wsdl", "http://127.0.0.1:9")) as client:
        asked, _ = client.shapes("chiedi")
    who, where = asked["properties"]["chi"]["anyOf"], asked["properties"]["dove"]["anyOf"]
    assert [sorted(one["properties"]) for one in who] == [["cognome", "id"], ["id", "ragione", "soci"]]
    assert [sorted(one["properties"]) for one in where] == [["via"], ["stato", "via"]]
