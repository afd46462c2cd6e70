"""In which encoding, and in which coding, a reply over SOAP comes."""

from __future__ import annotations

import gzip
import zlib

import pytest

from adapters.soap.client import SoapClient
from adapters.soap.xml import as_said
from bus.adapter import InDoubt
from tests.unit.soap_peer import ASKED, GOOD, OURS, Peer, asked, call_of

ACCENTED = GOOD.partition(b"?>")[2].replace(b"ADA", "NICOLÒ".encode())


@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("text/xml; charset=windows-1252", ACCENTED.decode().encode("cp1252")),
        ('text/xml; charset="ISO-8859-1"', b'<?xml version="1.0"?>' + ACCENTED.decode().encode("latin-1")),
        ("text/xml; charset=utf-8", b'<?xml version="1.0" encoding="windows-1252"?>' + ACCENTED.decode().encode("cp1252")),
        ("text/xml; charset=iso-8859-1", b"\xef\xbb\xbf" + ACCENTED),
        ("text/xml; charset=mai-vista", ACCENTED),
        ("text/xml; charset=us-ascii", ACCENTED),
    ],
)
def test_a_reply_is_read_in_the_encoding_that_it_says_or_its_media_type(media, body):
    assert asked(Peer(body=body, headers={"Content-Type": media}))["soggetto"][0]["nome"] == "NICOLÒ"


def test_a_reply_that_a_gateway_compressed_is_read_and_kept_as_it_came():
    packed = gzip.compress(GOOD)
    with Peer(body=packed, headers={"Content-Encoding": "gzip"}) as peer:
        client, ctx = SoapClient(OURS, peer.url), call_of()
        assert client.call("ricercaSoggetto", ASKED, ctx)["soggetto"][0]["nome"] == "ADA"
        client.close()
    assert ctx.exchanges[-1].content == packed


def test_xml_that_says_utf_8_and_is_not_is_told_or_read_as_its_media_type_says():
    """A template says it, and the program that fills it writes its own encoding."""
    said = GOOD.replace(b"ADA", "NICOLÒ".encode("cp1252"))
    assert asked(Peer(body=said, headers={"Content-Type": "text/xml; charset=windows-1252"}))["soggetto"][0]["nome"] == "NICOLÒ"
    where = said.index("Ò".encode("cp1252")) + 1
    with pytest.raises(InDoubt, match=rf"in UTF-8, as far as it says, and byte {where} is not \(0xD2\)$"):
        asked(Peer(body=said))


@pytest.mark.parametrize("charset", ["utf-7", "punycode"])
def test_an_encoding_that_hides_characters_or_takes_time_without_end_is_not_taken(charset):
    assert as_said(b"<a>+AOg--</a>", f"text/xml; charset={charset}") == b"<a>+AOg--</a>"


@pytest.mark.parametrize(("coding", "told"), [("deflate", " coded in deflate, which nobody asked for"), ("", "")])
def test_a_reply_in_a_coding_that_nobody_asked_for_is_told_for_what_it_is(coding, told):
    """It was said to be no XML, and so it looked like a fault of the system's own program."""
    with pytest.raises(InDoubt, match=f"no SOAP reply{told}: not well-formed XML"):
        asked(Peer(body=zlib.compress(GOOD), headers={"Content-Encoding": coding} if coding else {}))
