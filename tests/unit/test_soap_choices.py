"""What rules are told of the choices in a contract of SOAP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.soap.shapes import is_absent, shapes_of, without


def _object(*, closed: bool = True, **fields: dict[str, object]) -> dict[str, object]:
    """The schema of an object that needs all of its fields."""
    return {"type": "object", "properties": fields, "required": list(fields), **({"additionalProperties": False} if closed else {})}


def _of_the_type(tmp_path: Path, content: str) -> dict[str, Any]:
    """What rules are told of a request whose element has this content."""
    contract = tmp_path / "c.wsdl"
    contract.write_text(
        f"""<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:t"
          targetNamespace="urn:t"><wsdl:types><xs:schema targetNamespace="urn:t">
          <xs:element name="m"><xs:complexType>{content}</xs:complexType></xs:element></xs:schema></wsdl:types>
          <wsdl:message name="m"><wsdl:part name="p" element="t:m"/></wsdl:message>
          <wsdl:portType name="P"><wsdl:operation name="o"><wsdl:input message="t:m"/></wsdl:operation></wsdl:portType>
          <wsdl:binding name="P" type="t:P"><b:binding xmlns:b="http://schemas.xmlsoap.org/wsdl/soap/"/></wsdl:binding>
          <wsdl:service name="S"><wsdl:port name="P" binding="t:P"/></wsdl:service></wsdl:definitions>""",
        "utf-8",
    )
    return shapes_of(contract, "o")[0]


_TEXT = {"type": "string"}
_A, _B, _C, _D = (f'<xs:element name="{name}" type="xs:string"/>' for name in "abcd")


@pytest.mark.parametrize(
    ("content", "ways"),
    [
        (f"<xs:choice>{_A}{_B}</xs:choice>", [_object(a=_TEXT), _object(b=_TEXT)]),
        (f"<xs:choice minOccurs='0'>{_A}{_B}</xs:choice>", [_object(), _object(a=_TEXT), _object(b=_TEXT)]),
        (
            f"<xs:choice><xs:sequence>{_A}{_B}</xs:sequence><xs:sequence>{_A}{_C}</xs:sequence></xs:choice>",
            [_object(a=_TEXT, b=_TEXT), _object(a=_TEXT, c=_TEXT)],
        ),
        (
            f"<xs:sequence>{_A}<xs:choice>{_B}<xs:choice>{_C}{_D}</xs:choice></xs:choice></xs:sequence>",
            [_object(a=_TEXT, b=_TEXT), _object(a=_TEXT, c=_TEXT), _object(a=_TEXT, d=_TEXT)],
        ),
        (f"<xs:choice>{_A}<xs:sequence>{_B}<xs:any/></xs:sequence></xs:choice>", [_object(a=_TEXT), _object(b=_TEXT, closed=False)]),
    ],
)
def test_a_choice_of_a_contract_is_told_as_the_ways_in_which_it_may_be_taken(tmp_path, content, ways):
    """What all ways have is surely there, what only some have is not, and a request that takes two of them, or none, does not fit."""
    assert {"anyOf": ways} == _of_the_type(tmp_path, content)


def test_choices_that_may_be_taken_in_many_ways_are_told_as_fields_that_may_be_missing(tmp_path):
    of_two = '<xs:choice><xs:element name="x{0}" type="xs:string"/><xs:element name="y{0}" type="xs:int"/></xs:choice>'
    several = "".join(of_two.format(number) for number in range(5))
    other = '<xs:choice><xs:element name="x0" type="xs:int"/></xs:choice>'
    told = _of_the_type(tmp_path, f"<xs:sequence>{_A}{several}{other}</xs:sequence>")
    assert (["a"], False) == (told["required"], told["additionalProperties"])
    assert {"a", *(f"{letter}{n}" for letter in "xy" for n in range(5))} == told["properties"].keys()
    assert ({}, _TEXT) == (told["properties"]["x0"], told["properties"]["x1"])


def test_the_field_of_a_key_is_found_in_the_ways_of_a_choice(tmp_path):
    told = _of_the_type(tmp_path, f"<xs:sequence><xs:choice>{_A}{_B}</xs:choice>{_C}</xs:sequence>")
    assert [False, False, True] == [is_absent(told, name) for name in ("a", "c", "z")]
    assert [["a"], ["b"]] == [one["required"] for one in without(told, "c")["anyOf"]]
    assert [["c"], ["b", "c"]] == [sorted(one["required"]) for one in without(told, "a")["anyOf"]]
