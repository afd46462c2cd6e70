"""What a system described in ``config.yaml`` is asked to take a call back: of that call's answer what the undo has fields for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.rest import Rest
from adapters.soap.adapter import Soap
from bus.adapter import Adapter
from bus.examine import examine
from tests.corpus.world.operations import CONTRACTS

NUMBER: dict[str, Any] = {"type": "object", "required": ["numero"], "properties": {"numero": {"type": "string"}}}
OPENED = {**NUMBER, "properties": {**NUMBER["properties"], "posti": {"type": "integer"}, "note": {"type": "string"}}}
WRITTEN = {
    "apri": {"method": "POST", "path": "/f", "effect": "keyed", "undo": "chiudi", "request": {"type": "object"}, "answer": OPENED},
    "chiudi": {"method": "DELETE", "path": "/f/{numero}", "effect": "once", "request": NUMBER, "answer": {"type": "object"}},
}
DESCRIBED = {
    "apri": {"operation": "creaFascicolo", "effect": "keyed", "undo": "sys.chiudi"},
    "chiudi": {"operation": "chiudiFascicolo", "effect": "once"},
}
OF_WSDL = {
    "apri": {"operation": "voltura", "effect": "once", "timeout": 5, "undo": "chiudi"},
    "chiudi": {"operation": "ritira", "effect": "keyed", "timeout": 5},
}
WSDL = """<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" targetNamespace="urn:x"
 xmlns:x="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:x" name="X"><types><x:schema targetNamespace="urn:x" elementFormDefault="qualified">
 <x:element name="voltura"><x:complexType><x:sequence/></x:complexType></x:element>
 <x:element name="volturaR"><x:complexType><x:sequence><x:element name="numero" type="x:string"/><x:element name="posti" type="x:int"/>
  <x:element name="note" type="x:string" minOccurs="0"/></x:sequence></x:complexType></x:element>
 <x:element name="ritira"><x:complexType><x:sequence><x:element name="numero" type="x:string"/></x:sequence></x:complexType></x:element>
 <x:element name="ritiraR"><x:complexType><x:sequence/></x:complexType></x:element></x:schema></types>
 <message name="a"><part name="p" element="t:voltura"/></message><message name="b"><part name="p" element="t:volturaR"/></message>
 <message name="c"><part name="p" element="t:ritira"/></message><message name="d"><part name="p" element="t:ritiraR"/></message>
 <portType name="P"><operation name="voltura"><input message="t:a"/><output message="t:b"/></operation>
  <operation name="ritira"><input message="t:c"/><output message="t:d"/></operation></portType>
 <binding name="B" type="t:P"><s:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
  <operation name="voltura"><s:operation soapAction=""/><input><s:body use="literal"/></input><output><s:body use="literal"/></output></operation>
  <operation name="ritira"><s:operation soapAction=""/><input><s:body use="literal"/></input><output><s:body use="literal"/></output></operation>
 </binding><service name="S"><port name="P" binding="t:B"><s:address location="http://127.0.0.1:9"/></port></service></definitions>"""
ROUTE = """route: prova.r
version: 1
on: prova.d
steps:
  - {id: a, call: sys.apri, with: REQUEST, undo: sys.chiudi, dead_on: any}
  - {id: b, fail: prova.no}
"""
TYPE = {"type": "prova.d", "schema": {"type": "object", "properties": {}}}


@pytest.fixture(params=["written", "openapi", "wsdl"])
def system(request: pytest.FixtureRequest, tmp_path: Any) -> tuple[Adapter, str]:
    """An adapter whose `chiudi` takes `apri` back, and a request of `apri`."""
    (tmp_path / "x.wsdl").write_text(WSDL, "utf-8")
    where = {"url": "http://127.0.0.1:9"}
    if request.param == "wsdl":
        return Soap("sys", Soap.Settings.model_validate({**where, "wsdl": str(tmp_path / "x.wsdl"), "operations": OF_WSDL})), "{}"
    if request.param == "written":
        return Rest("sys", Rest.Settings.model_validate({**where, "operations": WRITTEN})), "{}"
    settings = {**where, "openapi": str(CONTRACTS / "archivio.yaml"), "operations": DESCRIBED}
    return Rest("sys", Rest.Settings.model_validate(settings)), "{oggetto: '\"abc\"', classe: '\"ANAGRAFE\"', titolare: {cognome: '\"R\"'}}"


def test_an_undo_is_asked_with_what_it_takes_of_the_answer(system: tuple[Adapter, str]) -> None:
    """It was refused for every other field that the answer had, so that a system with a contract of its own had no undo."""
    adapter, request = system
    operations = {f"sys.{name}": one for name, one in adapter.operations.items()}
    files = {"routes/r.yaml": ROUTE.replace("REQUEST", request).encode(), "mappings/types/d.yaml": json.dumps(TYPE).encode()}
    _, findings = examine(files, operations)
    assert [one for one in findings if one.code.startswith("target.")] == []
    answer = adapter.operations["apri"].answer.model_json_schema()["properties"]
    told = {name: {"numero": "F-1", "posti": 3}.get(name, "x") for name in answer}
    assert adapter.operations["chiudi"].request.model_validate(told).model_dump(exclude_none=True) == {"numero": "F-1"}
    assert [*adapter.check()] == []
    adapter.close()


@pytest.mark.parametrize("system", ["written", "openapi"], indirect=True)
def test_what_no_answer_has_is_refused_as_before(system: tuple[Adapter, str]) -> None:
    adapter, _ = system
    with pytest.raises(ValidationError):
        adapter.operations["chiudi"].request.model_validate({"numero": "F-1", "nessuno": 1})
    adapter.close()
