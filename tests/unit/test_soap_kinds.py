"""What a reply says by an element without content, and by a date that Python has not, or that is none."""

from __future__ import annotations

import datetime as dt

import pytest

from adapters.anagrafe.adapter import Anagrafe, Ricerca
from adapters.pagopa.ricevute import _data
from adapters.soap.adapter import Soap
from bus.adapter import InDoubt, Refused
from tests.unit.soap_peer import GOOD, Peer, call_of
from tests.unit.test_soap_described import ODD

HEAD, _, REST = ODD.partition('<x:complexType name="T">')
BINDING = REST.partition("</x:schema></types>")[2]
PARTS = """<x:element name="nome" type="x:string"/><x:element name="via" type="x:string" minOccurs="0"/>
<x:element name="altro" type="x:string" nillable="true"/>
<x:element name="elenco"><x:complexType><x:sequence><x:element name="voce" type="x:string" minOccurs="0" maxOccurs="unbounded"/>
</x:sequence></x:complexType></x:element>
<x:element name="anni"><x:simpleType><x:list itemType="x:int"/></x:simpleType></x:element>
<x:element name="quando"><x:simpleType><x:union memberTypes="x:date x:string"/></x:simpleType></x:element>
<x:choice><x:element name="atto" type="x:string"/><x:element name="file" type="x:base64Binary"/></x:choice>
<x:element name="persona" maxOccurs="unbounded"><x:complexType><x:sequence><x:element name="nome" type="x:string"/></x:sequence>
<x:attribute name="n" type="x:int"/></x:complexType></x:element>
<x:element name="fine" type="x:dateTime" minOccurs="0"/><x:element name="giorno" type="x:date" minOccurs="0"/>
<x:element name="ora" type="x:time" minOccurs="0"/><x:element name="numero" type="x:int" minOccurs="0"/>"""
WSDL = f"""{HEAD}<x:element name="chiedi"><x:complexType><x:sequence/></x:complexType></x:element>
<x:element name="detto"><x:complexType><x:sequence>{PARTS}</x:sequence></x:complexType></x:element></x:schema></types>{BINDING}"""
EMPTY = "<nome/><via/><altro/><elenco/><anni/><quando/><atto></atto><persona n='1'><nome/></persona>"
NIL = 'xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"'


def asked(folder, there, *, operation=None, **settings):
    """What the system answered, as JSON, and what the contract says of it."""
    (folder / "x.wsdl").write_text(WSDL, "utf-8")
    body = f"<Envelope xmlns='http://schemas.xmlsoap.org/soap/envelope/'><Body><detto xmlns='urn:t'>{there}</detto></Body></Envelope>"
    with Peer(body=body.encode()) as peer:
        described = {"operation": "chiedi", "effect": "once", "timeout": 2, **(operation or {})}
        given = {"wsdl": str(folder / "x.wsdl"), "url": peer.url, "operations": {"chiedi": described}, **settings}
        adapter = Soap("ente", Soap.Settings.model_validate(given))
        declared = adapter.operations["chiedi"]
        try:
            answer = getattr(adapter, declared.method)(declared.request.model_validate({}), call_of())
        finally:
            adapter.close()
    return answer.model_dump(mode="json"), declared.answer.model_json_schema()


def test_what_must_be_there_and_is_empty_is_said(tmp_path):
    """It was left out: rules that `bus validate` had found good read what was not there, and the run of a valid answer died."""
    said, schema = asked(tmp_path, EMPTY)
    assert said == {
        "nome": "", "elenco": {"voce": []}, "anni": [], "quando": "", "atto": "", "persona": [{"nome": "", "n": 1}]
    }  # fmt: skip
    assert all(set(form["required"]) <= set(said) for form in schema["anyOf"] if "atto" in form["properties"])


def test_an_empty_item_of_a_list_is_said_too_where_it_may_not_be_nil(tmp_path):
    items = "<elenco><voce>a</voce><voce/></elenco>"
    assert asked(tmp_path, EMPTY.replace("<elenco/>", items))[0]["elenco"] == {"voce": ["a", ""]}


def test_what_is_nil_or_may_be_left_out_is_still_left_out(tmp_path):
    said, _ = asked(tmp_path, EMPTY.replace("<altro/>", f"<altro {NIL}/>"))
    assert "altro" not in said
    assert "via" not in said


def test_an_empty_text_fits_an_answer_that_wants_a_text(tmp_path):
    """A call that was done was left in doubt, for want of a remark."""
    answer = {"type": "object", "properties": {"nome": {"type": "string"}}, "required": ["nome"]}
    assert asked(tmp_path, EMPTY, operation={"answer": answer})[0] == {"nome": ""}


def test_an_empty_list_of_errors_is_no_error(tmp_path):
    asked(tmp_path, EMPTY, operation={"failed_when": {"field": "elenco"}})
    asked(tmp_path, EMPTY, operation={"failed_when": {"field": "nome"}})
    with pytest.raises(Refused):
        asked(tmp_path, EMPTY.replace("<elenco/>", "<elenco><voce>no</voce></elenco>"), operation={"failed_when": {"field": "elenco"}})


def test_an_empty_word_where_one_says_yes_or_no_says_neither(tmp_path):
    with pytest.raises(InDoubt, match="neither yes nor no"):
        asked(tmp_path, EMPTY, operation={"failed_when": {"field": "nome", "ok": "0"}})


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("<fine>2026-12-31T24:00:00</fine>", {"fine": "2027-01-01T00:00:00"}),
        ("<fine>2026-12-31T24:00:00.0+01:00</fine>", {"fine": "2027-01-01T00:00:00+01:00"}),
        ("<fine>9999-12-31T24:00:00</fine>", {"fine": "9999-12-31T24:00:00"}),
        ("<fine>12026-01-01T00:00:00Z</fine>", {"fine": "12026-01-01T00:00:00Z"}),
        ("<giorno>-0044-03-15</giorno>", {"giorno": "-0044-03-15"}),
        ("<ora>24:00:00</ora>", {"ora": "24:00:00"}),
    ],
)
def test_a_moment_that_python_has_not_is_not_lost(tmp_path, there, said):
    answer, _ = asked(tmp_path, EMPTY + there)
    assert answer | said == answer


@pytest.mark.parametrize(
    ("there", "said"),
    [("<giorno>31/12/2026</giorno>", "31/12/2026"), ("<giorno> </giorno>", None), ("<giorno/>", None), ("<numero>12/A</numero>", "12/A")],
)
def test_what_a_reply_that_strays_says_in_place_of_a_date_or_a_number_is_not_lost(tmp_path, there, said):
    answer, _ = asked(tmp_path, EMPTY + there, validate_replies=False)
    assert answer.get("giorno", answer.get("numero")) == said


def test_a_no_is_heard_though_it_is_not_the_number_that_it_should_be(tmp_path):
    """It was dropped, and absent means yes."""
    with pytest.raises(Refused):
        asked(tmp_path, EMPTY + "<numero>E12</numero>", operation={"failed_when": {"field": "numero"}}, validate_replies=False)


@pytest.mark.parametrize(("written", "died"), [("2020-03-31", True), ("31/03/2020", True), ("0000-00-00", False), ("", False)])
def test_who_died_on_a_day_that_is_written_otherwise_is_not_alive(written, died):
    body = GOOD.replace(b"</soggetto>", f"<dataDecesso>{written}</dataDecesso></soggetto>".encode())
    with Peer(body=body) as peer:
        adapter = Anagrafe("anagrafe", Anagrafe.Settings.model_validate({"url": peer.url, "risposte_rigorose": False}))
        found = adapter.cerca_soggetto(Ricerca(codice_fiscale="BLLDAA71E43B429M"), call_of())
        adapter.close()
    assert found.deceduto is died


def test_a_payment_at_the_end_of_a_year_that_nobody_has_is_dated_otherwise():
    receipt = {"paymentDateTime": "12026-12-31T10:00:00", "applicationDate": dt.date(2026, 12, 31), "transferDate": None}
    assert _data(receipt) == dt.date(2026, 12, 31)
