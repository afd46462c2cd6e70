"""Hostile XML is refused with a reason before anything is built; schemas come from our own disk only."""

from __future__ import annotations

import time

import pytest

from adapters.soap import xml
from bus.errors import ConfigError, Malformed

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]><a b="&d;">&d;</a>"""


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<!DOCTYPE a><a/>", "input.doctype"),
        (b"<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/x.dtd'><a/>", "input.doctype"),
        (b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "input.doctype"),
        (b"<!DOCTYPE a [<!ENTITY % x SYSTEM 'file:///etc/passwd'> %x;]><a/>", "input.doctype"),
        ("<!DOCTYPE a><a/>".encode("utf-16"), "input.doctype"),
        (b"<!-- first --><!DOCTYPE a><a/>", "input.doctype"),
        (LAUGHS, "input.doctype"),
        (b"<a>" * 65 + b"</a>" * 65, "input.too-deep"),
        (b"<a>" * 100_000, "input.too-deep"),
        (b"<a>" + b" " * 10_000_000 + b"</a>", "input.too-large"),
        (b"<a>" + b"<b/>" * 2_400_000 + b"</a>", "input.too-large"),
        (b"<a " + b" ".join(b'a%d="1"' % n for n in range(300_000)) + b"/>", "input.too-large"),
        (b"<a " + b" ".join(b'xmlns:a%d="u%d"' % (n, n) for n in range(200_000)) + b"/>", "input.too-large"),
        (b'<a b="' + b"x" * 1_200_000 + b'"/>', "input.too-large"),
        (b"<a><!--" + b"x" * 1_200_000 + b"--></a>", "input.too-large"),
        (b"", "input.malformed"),
        (b"{}", "input.malformed"),
        (b"<a>", "input.malformed"),
        (b"<a/><b/>", "input.malformed"),
        (b"<a>&nbsp;</a>", "input.malformed"),
        (b"<a>\x00</a>", "input.malformed"),
        (b"<a>\xff</a>", "input.malformed"),
        (b"<x:a/>", "input.malformed"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "input.malformed"),
        (b'<a b="1" b="2"/>', "input.malformed"),
    ],
)
def test_hostile_xml_is_refused_with_its_reason(content, code):
    begun = time.thread_time()
    with pytest.raises(Malformed) as refused:
        xml.parse(content)
    assert refused.value.code == code
    assert time.thread_time() - begun < 5


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_tag_without_end_is_refused_before_all_of_it_is_read(encoding: str) -> None:
    """The parser tells of a tag when it has its last byte: half a minute for 16 MB of attributes."""
    with pytest.raises(Malformed) as refused:
        xml.parse(('<a b="' + "x" * 1_200_000).encode(encoding))
    assert refused.value.code == "input.too-large", "its end, which lacks, was not looked for"
    assert len(xml.parse(b'<a b="' + b"x" * 900_000 + b'"/>').get("b")) == 900_000


def test_good_xml_is_read_in_the_encodings_that_vendors_use():
    assert xml.parse("<a>è</a>".encode()).text == "è"
    assert xml.parse("<?xml version='1.0' encoding='ISO-8859-1'?><a>è</a>".encode("latin-1")).text == "è"
    assert xml.parse("<?xml version='1.0' encoding='windows-1252'?><a>l’è</a>".encode("cp1252")).text == "l’è"
    assert xml.parse("<a>è</a>".encode("utf-16")).text == "è"


def test_the_deepest_allowed_document_is_read():
    assert xml.parse(b"<a>" * 64 + b"</a>" * 64) is not None


def test_a_text_as_long_as_the_document_may_be_is_read():
    assert len(xml.parse(b"<a>" + b"x" * 12_000_000 + b"</a>", max_bytes=13_000_000).text) == 12_000_000


def test_comments_and_instructions_do_not_split_a_text():
    assert xml.parse(b"<a>RSS<!-- x -->MRA<?y z?>80</a>").text == "RSSMRA80"


def test_characters_that_xml_cannot_say_do_not_become_xml():
    with pytest.raises(Malformed):
        xml.new("a", "bell \x07")


def test_a_schema_error_does_not_repeat_the_value():
    schema = xml.Schema(
        b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="cf"><xs:simpleType>
        <xs:restriction base="xs:string"><xs:pattern value="[0-9]+"/></xs:restriction></xs:simpleType></xs:element></xs:schema>""",
        "file:///nowhere.xsd",
    )
    (said,) = schema.errors(xml.parse(b"<cf>RSSMRA80A01H501U</cf>"))
    assert "RSSMRA80A01H501U" not in said
    assert "[0-9]+" in said
    assert schema.errors(xml.parse(b"<cf>12</cf>")) == []


def test_nor_does_the_error_of_a_key_that_stands_twice():
    schema = xml.Schema(
        b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="a"><xs:complexType><xs:sequence>
        <xs:element name="p" maxOccurs="9"><xs:complexType><xs:attribute name="cf"/></xs:complexType></xs:element></xs:sequence></xs:complexType>
        <xs:unique name="persona"><xs:selector xpath="p"/><xs:field xpath="@cf"/></xs:unique></xs:element></xs:schema>""",
        "file:///nowhere.xsd",
    )
    (said,) = schema.errors(xml.parse(b'<a><p cf="RSSMRA80A01H501U"/><p cf="RSSMRA80A01H501U"/></a>'))
    assert "RSSMRA80A01H501U" not in said
    assert "'persona'" in said


def test_a_schema_that_needs_the_network_does_not_compile():
    needs = b"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:o="urn:o">
        <xs:import namespace="urn:o" schemaLocation="http://192.0.2.1/o.xsd"/><xs:element name="a" type="o:T"/></xs:schema>"""
    with pytest.raises(ConfigError):
        xml.Schema(needs, "file:///nowhere.xsd")


def test_a_schema_that_is_not_there_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError):
        xml.parse_file(tmp_path / "none.xsd")


@pytest.mark.parametrize(
    ("kind", "said", "taken"),
    [
        ("date", "\n  2026-03-02\n", True), ("date", " 2026-03-02+01:00 ", True), ("dateTime", " 2026-03-02T10:00:00.5Z", True),
        ("time", " 10:00:00 ", True), ("date", " 2026-02-30 ", False), ("date", " 2 marzo ", False), ("date", "\u00a02026-03-02", False), ("string", " 2026-03-02 ", True),
    ],
)  # fmt: skip
def test_blanks_around_a_date_are_none_of_it(kind, said, taken):
    """libxml2 refuses them, which XML Schema collapses: a printed reply was no answer, and a receipt so written was refused."""
    schema = xml.Schema(
        f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="a" type="xs:{kind}"/></xs:schema>'.encode(),
        "file:///prova.xsd",
    )
    read = xml.parse(f"<a>{said}</a>".encode())
    assert (schema.errors(read) == []) == taken
    assert not taken or read.text == (said if kind == "string" else said.strip())
