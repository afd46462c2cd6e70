"""The adapter ``soap``: what the settings say of operations, and how a system says no inside a success."""

from __future__ import annotations

from contextlib import closing, nullcontext
from types import SimpleNamespace

import pytest
from lxml import etree

from adapters.soap.adapter import InBand, Soap, _refuse_in_band
from bus.adapter import Caution, InDoubt, Refused
from tests.unit.soap_peer import ASKED, GOOD, OURS, PERSON, Peer, call_of, contract_of, request_bytes, service


def test_a_system_described_in_the_configuration_is_asked():
    person = {"type": "object", "properties": {"cognome": {"type": "string"}, "dataNascita": {"type": "string"}}, "required": ["cognome"]}
    answer = {"type": "object", "properties": {"soggetto": {"type": "array", "items": person}}, "required": ["soggetto"]}
    with Peer(body=GOOD) as peer:
        described = {"operation": "ricercaSoggetto", "effect": "read", "timeout": 2, "answer": answer}
        adapter = Soap("registro", Soap.Settings.model_validate({"wsdl": str(OURS), "url": peer.url, "operations": {"cerca": described}}))
        assert list(adapter.check()) == []
        declared = adapter.operations["cerca"]
        said = getattr(adapter, declared.method)(declared.request.model_validate(ASKED), call_of())
        adapter.close()
    assert said.model_dump(mode="json") == {"soggetto": [{"cognome": "BELLOMO", "dataNascita": "1971-05-03"}]}


def test_a_described_operation_says_no_in_band_and_sends_our_key():
    reply = service(
        lambda asked: {"listaErrori": {"errore": [{"codiceErroreAnomalia": "X1", "tipoErroreAnomalia": "E", "testoErroreAnomalia": "t"}]}}
    )
    with Peer(body=reply.handle(request_bytes()).body) as peer:
        described = {"operation": "ricercaSoggetto", "effect": "keyed", "timeout": 2, "failed_when": {"field": "listaErrori"}}
        adapter = Soap("registro", Soap.Settings.model_validate({"wsdl": str(OURS), "url": peer.url, "operations": {"cerca": described}}))
        declared = adapter.operations["cerca"]
        with pytest.raises(Refused):
            getattr(adapter, declared.method)(declared.request.model_validate(ASKED), call_of())
        adapter.close()


def in_band(values, rule, **changes):
    """The refusal that a described operation finds in a reply with these values, or None."""
    with Peer(body=service(lambda asked: values).handle(request_bytes()).body) as peer:
        described = {"operation": "ricercaSoggetto", "effect": "keyed", "timeout": 2, "failed_when": rule, **changes}
        adapter = Soap("registro", Soap.Settings.model_validate({"wsdl": str(OURS), "url": peer.url, "operations": {"cerca": described}}))
        declared = adapter.operations["cerca"]
        try:
            getattr(adapter, declared.method)(declared.request.model_validate(ASKED), call_of())
        except Refused as refused:
            return refused.outside_code
        finally:
            adapter.close()


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        (
            {"failed_when": {"field": "listaErrori.errore.codice"}},
            ["operations.cerca.failed_when: the reply of ricercaSoggetto has no listaErrori.errore.codice"],
        ),
        (
            {"failed_when": {"field": "soggetto.nome.primo"}},
            ["operations.cerca.failed_when: the reply of ricercaSoggetto has no soggetto.nome.primo"],
        ),
        ({"key": "testata.chiave"}, ["operations.cerca.key: the request of ricercaSoggetto has no testata.chiave"]),
        ({"failed_when": {"field": "listaErrori.errore.codiceErroreAnomalia"}, "key": "testata.codMittente"}, []),
    ],
)
def test_fields_that_the_settings_name_are_looked_for_in_the_contract(changes, complaints):
    described = {"operation": "ricercaSoggetto", "effect": "keyed", "timeout": 2, **changes}
    settings = Soap.Settings.model_validate({"wsdl": str(OURS), "url": "http://127.0.0.1:9", "operations": {"cerca": described}})
    adapter = Soap("registro", settings)
    assert list(adapter.check()) == complaints
    adapter.close()


ERRORS = [{"codiceErroreAnomalia": code, "tipoErroreAnomalia": "E", "testoErroreAnomalia": "t"} for code in ("0", "EN042")]


@pytest.mark.parametrize(
    ("errors", "rule", "refused"),
    [
        (ERRORS, {"field": "listaErrori.errore.codiceErroreAnomalia"}, "IN_BAND"),
        (ERRORS, {"field": "listaErrori.errore.codiceErroreAnomalia", "ok": "0"}, "EN042"),
        (ERRORS[:1], {"field": "listaErrori.errore.codiceErroreAnomalia", "ok": "0"}, None),
        ([], {"field": "listaErrori.errore.codiceErroreAnomalia"}, None),
    ],
)
def test_a_no_in_one_of_several_items_is_found(errors, rule, refused):
    values = {"listaErrori": {"errore": errors}} if errors else {"soggetto": [PERSON]}
    assert in_band(values, rule, refusals={"EN042": "nobody"}) == refused


@pytest.mark.parametrize(
    ("said", "ok", "refused"), [(True, "true", False), (False, "true", True), (False, "false", False), (0, "0", False)]
)
def test_a_boolean_is_what_xml_writes(said, ok, refused):
    rule = InBand(field="esito.bene", ok=ok)
    raises = pytest.raises(Refused) if refused else nullcontext()
    with raises:
        _refuse_in_band({"esito": {"bene": said}}, rule, SimpleNamespace(name="cerca", refusals={}))


@pytest.mark.parametrize(
    ("text", "said"), [("openapi: 3.0.3", "cannot read"), ("<schema xmlns='http://www.w3.org/2001/XMLSchema'/>", "it describes no service")]
)
def test_a_file_that_is_no_wsdl_is_told_by_the_check(tmp_path, text, said):
    """It broke the whole check of `bus doctor`."""
    (tmp_path / "altro.wsdl").write_text(text, "utf-8")
    settings = {"wsdl": str(tmp_path / "altro.wsdl"), "url": "http://127.0.0.1:9", "operations": {"x": {"operation": "x", "timeout": 1}}}
    (found,) = Soap("altro", Soap.Settings.model_validate(settings)).check()
    assert said in found


ODD = contract_of("""<x:complexType name="T"><x:sequence>
 <x:element name="anno" type="x:gYear" minOccurs="0"/><x:element name="mese" type="x:gYearMonth" minOccurs="0"/>
 <x:element name="durata" type="x:duration" minOccurs="0"/><x:element name="vivo" type="x:boolean" minOccurs="0"/>
 <x:element name="nota" type="x:string" nillable="true" minOccurs="0" maxOccurs="unbounded"/>
 <x:element name="numero" type="x:int" nillable="true" minOccurs="0" maxOccurs="unbounded"/>
 <x:element name="dati" minOccurs="0"><x:complexType><x:sequence><x:any processContents="skip" minOccurs="0"/></x:sequence></x:complexType>
 </x:element></x:sequence></x:complexType>""")


def test_a_file_that_a_contract_names_and_nobody_copied_is_told(tmp_path):
    (tmp_path / "x.wsdl").write_bytes(OURS.read_bytes())
    settings = {
        "wsdl": str(tmp_path / "x.wsdl"),
        "url": "http://127.0.0.1:9",
        "operations": {"x": {"operation": "ricercaSoggetto", "timeout": 1}},
    }
    with closing(Soap("x", Soap.Settings.model_validate(settings))) as adapter:
        [said] = adapter.check()
    assert said.endswith(f"No such file or directory: '{tmp_path}/anagrafe.xsd' (it names that file: put a copy of it there)")


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("<anno>2026</anno><mese>2026-05</mese>", {"anno": "2026", "mese": "2026-05"}),
        ("<durata>-P1Y2M3DT4H</durata>", {"durata": "-P1Y2M3DT4H"}),
        ("<nota>a</nota><nota/><nota>b</nota>", {"nota": ["a", None, "b"]}),
        (
            '<numero>1</numero><numero xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/>',
            {"numero": [1, None]},
        ),
        ("<dati><r xmlns=''>è</r></dati>", {"dati": {"_value_1": '<r xmlns="">è</r>'}}),
    ],
)
def test_what_python_has_no_like_for_is_said_as_xml_says_it(tmp_path, there, said):
    """A year was two values, an empty item the text "None", and what the contract leaves open an address in memory."""
    asked = {name: value for name, value in said.items() if isinstance(value, str)}
    answer, sent = _asked(tmp_path, asked, there)
    assert {name: value for name, value in answer.items() if value != []} == said
    assert all(f">{value}</" in sent for value in asked.values())


def _asked(folder, asked, there, **settings):
    """What the system of `ODD` answered, as JSON, and what it was sent."""
    (folder / "x.wsdl").write_text(ODD, "utf-8")
    envelope = "<Envelope xmlns='http://schemas.xmlsoap.org/soap/envelope/'><Body>{}</Body></Envelope>"
    with Peer(body=envelope.format(f'<detto xmlns="urn:t">{there}</detto>').encode()) as peer:
        described = {"operation": "chiedi", "effect": "read", "timeout": 2}
        given = {"wsdl": str(folder / "x.wsdl"), "url": peer.url, "operations": {"chiedi": described}, **settings}
        with closing(Soap("ente", Soap.Settings.model_validate(given))) as adapter:
            declared = adapter.operations["chiedi"]
            answer = getattr(adapter, declared.method)(declared.request.model_validate(asked), call_of())
    return answer.model_dump(mode="json"), peer.got[0].decode()


@pytest.mark.parametrize(
    "xml", ['<r xmlns="">è</r>', '<x:r xmlns:x="urn:altro" a="1"><x:s/>&lt;</x:r>', "<r xmlns=''><!-- mai --><?mai mai?>x</r>", ""]
)
def test_what_the_contract_leaves_open_is_sent_as_the_xml_that_it_is(tmp_path, xml):
    _, sent = _asked(tmp_path, {"dati": {"_value_1": xml}}, "")
    [given] = etree.fromstring(sent.encode()).iter("{urn:t}dati")
    bare = etree.XMLParser(remove_comments=True, remove_pis=True)
    meant = [etree.fromstring(one, bare) for one in [xml] if one]
    assert [*map(_canonical, given)] == [*map(_canonical, meant)]


def _canonical(element):
    return etree.tostring(element, method="c14n", exclusive=True)


@pytest.mark.parametrize("text", ["solo testo", "<r>", "<!DOCTYPE r [<!ENTITY a 'b'>]><r>&a;</r>", "<r/><r/>", "<d>" * 300 + "</d>" * 300])
def test_what_is_no_xml_is_not_sent_where_the_contract_wants_some(tmp_path, text):
    with pytest.raises(Refused) as told:
        _asked(tmp_path, {"dati": {"_value_1": text}}, "")
    assert told.value.outside_code == "RICHIESTA_NON_VALIDA"


@pytest.mark.parametrize(("given", "sent"), [(False, "false"), ("false", "false"), ("0", "false"), (1, "true"), ("true", "true")])
def test_true_and_false_are_sent(tmp_path, given, sent):
    assert f">{sent}</" in _asked(tmp_path, {"vivo": given}, "")[1]


@pytest.mark.parametrize("given", ["no", "si", "", 2, 1.5])
def test_what_is_neither_true_nor_false_is_not_sent_for_true(tmp_path, given):
    with pytest.raises(Refused, match="neither"):
        _asked(tmp_path, {"vivo": given}, "")


@pytest.mark.parametrize(("there", "read"), [("True", True), (" 0 ", False), ("FALSE", False), ("SI", None), ("", None)])
def test_what_is_neither_true_nor_false_is_not_read_for_false(tmp_path, there, read):
    answer, _ = _asked(tmp_path, {}, f"<vivo>{there}</vivo>", validate_replies=False)
    assert answer.get("vivo") is read


@pytest.mark.parametrize(
    ("header", "complaints"),
    [
        ("", []),
        (
            '<s:header message="t:O" part="p" use="literal"/>',
            ["operations.chiedi: the contract has a SOAP header detto for chiedi, and none is sent"],
        ),
    ],
)
def test_that_a_contract_has_headers_which_nobody_sends_is_told(tmp_path, header, complaints):
    (tmp_path / "x.wsdl").write_text(ODD.replace("<input><s:body", f"<input>{header}<s:body"), "utf-8")
    described = {"operation": "chiedi", "effect": "read", "timeout": 2}
    given = {"wsdl": str(tmp_path / "x.wsdl"), "url": "http://127.0.0.1:9", "operations": {"chiedi": described}}
    adapter = Soap("ente", Soap.Settings.model_validate(given))
    told = list(adapter.check())
    adapter.close()
    assert told == complaints
    assert all(isinstance(one, Caution) for one in told)


def test_a_reply_without_the_word_that_says_yes_or_no_is_no_answer():
    with pytest.raises(InDoubt, match="neither yes nor no") as told:
        in_band({"soggetto": [PERSON]}, {"field": "listaErrori.errore.codiceErroreAnomalia", "ok": "0"})
    assert told.value.answered
