"""Where our contracts claim a name of an official one, what we send would be taken by the official one. Read from ../shared, never copied."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from adapters.anagrafe.dialects import ANPR, filled
from adapters.protocollo.modelli import ProtocolloSettings, Registrazione
from adapters.protocollo.segnatura import segnatura
from adapters.soap import wsdl, xml

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared/contracts"
OURS = ROOT / "adapters/anagrafe/contract/anagrafe.wsdl"
COMUNI = SHARED / "anpr-soap/comuni"
VENDORS = SHARED / "protocollo-vendor"
pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="the official contracts are not beside the project (../shared)")
NAMES = {
    "comune": "085004", "adesso": "2026-01-02T03:04:05Z", "tipo_invio": "PROD", "numero": 7, "tipo": "8", "codice_fiscale": "BLLDAA71E43B429M",
    "esenzione": "3", "uso": "u", "ricevuta": "r",
}  # fmt: skip


def _official(element: str, kind: str, file: str = "tipoDato", namespace: str = "tipoDato") -> xml.Schema:
    """ANPR's own type as the type of a free element."""
    driver = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="http://sogei.it/ANPR/{namespace}">
      <xs:import namespace="http://sogei.it/ANPR/{namespace}" schemaLocation="{file}.xsd"/><xs:element name="{element}" type="t:{kind}"/>
    </xs:schema>"""
    return xml.Schema(driver.encode(), (COMUNI / "prova.xsd").resolve().as_uri())


def _part(envelope, name):
    return next(envelope.iter(name))


def test_the_heading_that_we_send_is_one_that_anpr_takes():
    contract = wsdl.load(OURS)
    request = contract.build_request(contract.operation("emissioneCertificato"), filled(ANPR.certificato.valori, NAMES))
    assert contract.errors(request[0][0]) == []
    assert _official("testataRichiesta", "tipoDatoTestataRichiesta").errors(_part(request, "testataRichiesta")) == []
    certificates = _official(
        "listaTipiCertificati", "tipolistaTipiCertificati", "vocabolario6001certificazione", "vocabolario6001certificazione"
    )
    assert certificates.errors(_part(request, "listaTipiCertificati")) == []


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("testataRichiesta.idOperazioneComune", "sette"),
        ("testataRichiesta.codMittente", "1234567"),
        ("testataRichiesta.operazioneRichiesta", "60"),
    ],
)
def test_what_anpr_would_refuse_our_contract_refuses_too(path, wrong):
    contract = wsdl.load(OURS)
    values = filled({**ANPR.certificato.valori, path: wrong}, NAMES)
    assert contract.errors(contract.build_request(contract.operation("emissioneCertificato"), values)[0][0])


def test_a_reply_of_ours_is_made_of_parts_that_anpr_knows():
    contract = wsdl.load(OURS)
    heading = {
        "idOperazioneComune": "7", "codMittente": "085004", "codDestinatario": "999999", "operazioneRichiesta": "6001",
        "dataOraRichiesta": dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "idOperazioneANPR": "9", "esitoOperazione": "OK",
    }  # fmt: skip
    person = {"codiceFiscale": {"codFiscale": "BLLDAA71E43B429M"}}
    said = {"testataRisposta": heading, "soggettoIntestatario": person, "protocolloANPR": {"numeroProtocolloANPR": "20260007"}, "file": {}}
    reply = contract.build_reply(contract.operation("emissioneCertificato"), {"Risposta6001OK": said})
    assert contract.errors(reply[0][0]) == []
    assert _official("testataRisposta", "tipoDatoTestataRisposta").errors(_part(reply, "testataRisposta")) == []
    vocabulary = "vocabolario6001certificazione"
    assert _official("protocolloANPR", "tipoProtocolloANPR", vocabulary, vocabulary).errors(_part(reply, "protocolloANPR")) == []
    error = {"codiceErroreAnomalia": "EN042", "tipoErroreAnomalia": "E", "testoErroreAnomalia": "Soggetto non presente"}
    refusal = {"Risposta6001KO": {"testataRisposta": heading, "listaErrori": {"errore": [error]}}}
    reply = contract.build_reply(contract.operation("emissioneCertificato"), refusal)
    assert _official("listaErrori", "tipoListaErrori", vocabulary, vocabulary).errors(_part(reply, "listaErrori")) == []


@pytest.mark.parametrize("code", [code for code in ANPR.certificato.codici if code.startswith("EN")])
def test_every_code_that_we_translate_is_in_anpr_catalogue(code):
    catalogue = (SHARED / "anpr-soap/tabelle/elenco_errori_anpr.csv").read_text(encoding="utf-8", errors="replace")
    assert f"\n{code}," in catalogue


def _shapes(path: Path) -> dict[str, list[tuple[str, str, str, str]]]:
    """Every named element or type of a WSDL with its fields: ``(name, type, minOccurs, nillable)``."""
    found = {}
    for schema in (one for one in xml.parse_file(path).iter() if isinstance(one.tag, str) and one.tag == f"{{{xml.XSD}}}schema"):
        for named in xml.children(schema):
            fields = [one for one in named.iter(f"{{{xml.XSD}}}element") if one is not named]
            found[named.get("name")] = [
                (one.get("name"), one.get("type").rpartition(":")[2], one.get("minOccurs", "1"), one.get("nillable", "false"))
                for one in fields
            ]
    return found


def test_our_docarea_has_the_names_and_types_of_ads():
    ours = _shapes(ROOT / "adapters/protocollo/contract/docarea.wsdl")
    theirs = _shapes(VENDORS / "docarea_ads_prisma/DocAreaSoap.wsdl")
    shared = set(ours) & set(theirs)
    assert shared == {
        f"{step}{end}" for step in ("login", "inserimento", "protocollazione") for end in ("", "Response")
    } | {"LoginRet", "InserimentoRet", "ProtocollazioneRet"}  # fmt: skip
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


@pytest.mark.parametrize("flusso", ["E", "U", "I"])
def test_our_segnatura_is_one_that_the_vendors_schema_takes_but_for_the_number_that_does_not_exist_yet(flusso):
    who = {"codice_fiscale": "DNGNCL84S21B429E", "cognome": "D'ANGELO", "nome": "NICOLÒ", "denominazione": "x"}
    settings = ProtocolloSettings.model_validate(
        {
            "url": "http://127.0.0.1:9",
            "ente": "e",
            "utente": "u",
            "password": "p",
            "amministrazione": "c_b429",
            "aoo": "A",
            "denominazione": "d",
        }
    )
    request = Registrazione.model_validate(
        {
            "riferimento": "r",
            "oggetto": "o & <o>",
            "flusso": flusso,
            "mittente": who,
            "destinatario": who,
            "classifica": "10.2",
            "uo": "SUE",
        }
    )
    made = segnatura(request, [(1, "uno.pdf"), (2, "due.pdf")], settings)
    official = xml.Schema.of_file(VENDORS / "schema/segnatura.xsd")
    assert "NumeroRegistrazione" in official.errors(made)[0]
    known = next(made.iter("Identificatore"))
    for place, name in ((2, "NumeroRegistrazione"), (3, "DataRegistrazione")):
        known.insert(place, xml.new(name, ""))
    assert official.errors(made) == []
