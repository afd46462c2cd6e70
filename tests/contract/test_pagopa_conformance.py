"""Our pagoPA contract files and our replies, held against the official ones found beside the project (skipped when they are absent)."""

from __future__ import annotations

import copy
import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.pagopa.adapter import Pagopa
from adapters.pagopa.chiamate import Ente, Nodo
from adapters.pagopa.gpd import corpo_di, posizione_di
from adapters.pagopa.inbound import CONTRATTO
from adapters.pagopa.modelli import NuovaPosizione, PagopaSettings, euro
from adapters.pagopa.risposte import FAULTS
from adapters.soap.wsdl import Wsdl, load
from adapters.soap.xml import Element, children, local, parse, parse_file, serialize
from bus.adapter import Call, Inbound
from bus.testing.door import MemoryDoor

UFFICIALI = Path(__file__).parents[3] / "shared/contracts"
WSDL = UFFICIALI / "pagopa-soap/wsdl/paForNode.wsdl"
VETTORI = UFFICIALI / "pagopa-soap/node-vectors"
GPD = UFFICIALI / "pagopa-rest/gpd.json"
NOSTRO_GPD = CONTRATTO.parent / "gpd.yaml"

pytestmark = [
    pytest.mark.official,
    pytest.mark.skipif(not WSDL.exists(), reason="official contracts absent: ../shared/contracts/pagopa-soap"),
]

ADESSO = dt.datetime(2026, 3, 10, 9, 0, tzinfo=dt.UTC)
ENTE = Ente("77777777777", "80000000001", "80000000001_01")
BASE: dict[str, Any] = {
    "url": "http://127.0.0.1:1", "subscription_key": "chiave-di-prova", "id_pa": ENTE.id_pa, "id_broker_pa": ENTE.id_broker_pa,
    "id_station": ENTE.id_station, "company_name": "Comune di Esempio", "iban": "IT45R0760103200000000001016", "tassonomia": "9/0101108TS/",
}  # fmt: skip
OPERAZIONI = ["paVerifyPaymentNotice", "paGetPayment", "paGetPaymentV2", "paSendRT", "paSendRTV2", "paDemandPaymentNotice"]


# -- the contract files ---------------------------------------------------------------------------------------------------


def test_both_contracts_have_the_same_operations_elements_and_soap_actions() -> None:
    nostro, ufficiale = load(CONTRATTO), load(WSDL)

    def forma(wsdl: Wsdl) -> dict[str, Any]:
        return {n: (o.soap_action, o.request_tag, o.reply_tag, o.rpc, o.encoded) for n, o in wsdl.operations.items()}

    assert forma(nostro) == forma(ufficiale)
    assert sorted(nostro.operations) == sorted(OPERAZIONI)


@pytest.mark.parametrize("operazione", OPERAZIONI)
def test_both_contracts_give_every_element_the_same_type(operazione: str) -> None:
    nostra, ufficiale = load(CONTRATTO).operation(operazione).raw, load(WSDL).operation(operazione).raw
    assert nostra.input.signature() == ufficiale.input.signature()
    assert nostra.output.signature() == ufficiale.output.signature()


def _dichiarazioni(*percorsi: Path) -> dict[tuple[str, str], Any]:
    """Every named type and element of some schema files, reduced to what it means."""
    trovate: dict[tuple[str, str], Any] = {}
    for percorso in percorsi:
        for figlio in children(parse_file(percorso)):
            if local(figlio) in ("simpleType", "complexType", "element"):
                trovate[local(figlio), figlio.get("name")] = _senso(figlio)
    return trovate


def _senso(elemento: Element) -> Any:
    """Tag, attributes that matter and children; prefixes, defaults, documentation and the order of facets left out."""
    attributi = {
        n: v.rpartition(":")[2] for n, v in elemento.attrib.items() if n in ("name", "type", "base", "value", "minOccurs", "maxOccurs")
    }
    attributi = {n: v for n, v in attributi.items() if (n, v) not in (("minOccurs", "1"), ("maxOccurs", "1"))}
    figli = [_senso(figlio) for figlio in children(elemento) if local(figlio) != "annotation"]
    return (local(elemento), attributi, sorted(figli, key=repr) if local(elemento) == "restriction" else figli)


EQUIVALENTI = {
    "stFiscalCodePA": "the official one states a length beside the pattern that implies it",
    "stNazioneProvincia": "{2,2} there, {2} here",
    "stEMail": "the same character class, written in another order",
    "stTipoBolloDigitale": "the official one states a length beside the one value",
    "stEntityUniqueIdentifierType": "the official one states a length beside the two values",
    "stIdTransfer": "1 to 5, as an enumeration there and as bounds here",
}


def test_every_type_of_ours_means_what_the_official_one_means() -> None:
    cartella = CONTRATTO.parent
    nostre = _dichiarazioni(cartella / "paForNode.xsd", cartella / "comuni.xsd")
    ufficiali = _dichiarazioni(WSDL.parent / "xsd/paForNode.xsd", WSDL.parent.parent / "xsd-common/sac-common-types-1.0.xsd")
    assert set(nostre) <= set(ufficiali)
    assert {nome for (_, nome), senso in nostre.items() if senso != ufficiali[_, nome]} == set(EQUIVALENTI)


# -- our replies and requests against the official XSD -----------------------------------------------------------------------

testo = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FFF, exclude_characters="\x7f", exclude_categories=("Cs",)), min_size=1)
posizioni = st.fixed_dictionaries(
    {
        "debitore": st.fixed_dictionaries(
            {
                "codice_fiscale": st.sampled_from(["RSSMRA80A01H501U", "00138480850"]),
                "denominazione": testo.filter(lambda t: len(t) <= 200),
                "email": st.sampled_from([None, "maria@example.it", "o'hara@example.it", "a@b", "x" * 250 + "@b.it", "à@è.it"]),
            }
        ),
        "importo": st.integers(1, 99_999_999_999),
        "causale": testo.map(lambda t: t[:140]),
        "riferimento": st.just("istanza-1"),
        "scadenza": st.dates(dt.date(2026, 3, 11), dt.date(2099, 12, 31)),
        "tassonomia": st.sampled_from([None, "9/0101108TS/"]),
    }
)
impostazioni = st.fixed_dictionaries(
    {
        "aux_digit": st.sampled_from([0, 1, 2, 3]),
        "office_name": st.sampled_from([None, "Sportello & <edilizia>"]),
        "ritenzione_giorni": st.sampled_from([None, 30]),
        "iban": st.sampled_from([BASE["iban"], "IT60X0542811101000000123456"]),
    }
)


def scena(richiesta: Mapping[str, Any], scelte: Mapping[str, Any], numero: int = 1) -> tuple[Pagopa, MemoryDoor, Nodo, str]:
    """A published position, and a node that judges replies by both contracts and by its own checks."""
    adapter, porta = Pagopa("pagopa", PagopaSettings.model_validate(BASE | dict(scelte))), MemoryDoor(ADESSO)
    ctx = Call(key=f"{numero:064x}", timeout=5, now=ADESSO, number=numero)
    fatto = adapter.prepara(NuovaPosizione.model_validate(richiesta), ctx).facts[0]
    assert isinstance(fatto.value, dict)
    porta.facts[fatto.kind, fatto.key] = fatto.value | {"stato": "VALID"}
    handle = adapter.endpoints()[0].handle

    def trasporta(corpo: bytes, azione: str, secondi: float) -> bytes:
        aperta = parse(corpo)
        (figlio,) = aperta[0]
        assert load(WSDL).errors(figlio) == [], "the node's simulator asks as the real one"
        return handle(Inbound("POST", "/in/pagopa", {"soapaction": azione}, {}, corpo, "127.0.0.1"), porta).body

    return adapter, porta, Nodo(ENTE, trasporta, ufficiale=WSDL, slot=0), fatto.key


@settings(max_examples=60, deadline=None)
@given(posizioni, impostazioni, st.sampled_from([1, 2]))
def test_whatever_the_position_the_node_takes_our_replies(richiesta: dict[str, Any], scelte: dict[str, Any], versione: int) -> None:
    _, porta, nodo, avviso = scena(richiesta, scelte)
    verifica, attiva = nodo.verifica(avviso), nodo.attiva(avviso, richiesta["importo"], versione)
    assert verifica.riuscito, verifica.ragione
    assert attiva.riuscito, attiva.ragione
    data = attiva.valori["data"]
    assert sum(t["transferAmount"] for t in data["transferList"]["transfer"]) == data["paymentAmount"]
    esito = nodo.invia(nodo.ricevuta(avviso, data, id_ricevuta="r1", versione=versione), versione)
    assert esito.riuscito, esito.ragione
    assert len(porta.of_type("pagopa.ricevuta")) == 1
    assert nodo.verifica(avviso).fault == "PAA_PAGAMENTO_DUPLICATO"


@pytest.mark.parametrize("stato", ["CREATA", "DRAFT", "PUBLISHED", "INVALID", "EXPIRED", "PAID", "REPORTED"])
def test_every_refusal_is_valid_against_the_official_schema(stato: str) -> None:
    _, porta, nodo, avviso = scena(_una(), {})
    fatto = porta.facts["posizione", avviso]
    assert isinstance(fatto, dict)
    porta.facts["posizione", avviso] = fatto | {"stato": stato}
    for esito in (nodo.verifica(avviso), nodo.attiva(avviso, versione=1), nodo.attiva(avviso), nodo.verifica("3" * 18)):
        assert esito.ppt == "PPT_ERRORE_EMESSO_DA_PAA", esito
        assert esito.fault in FAULTS
        assert esito.valori["fault"]["id"] == ENTE.id_pa


def test_with_the_official_wsdl_in_the_settings_the_service_is_the_same() -> None:
    _, _, nodo, avviso = scena(_una(), {"wsdl": str(WSDL)})
    assert nodo.verifica(avviso).riuscito
    assert nodo.attiva(avviso).riuscito


def _una() -> dict[str, Any]:
    debitore = {"codice_fiscale": "RSSMRA80A01H501U", "denominazione": "Rossi Maria", "email": "maria@example.it"}
    return {"debitore": debitore, "importo": 1000, "causale": "Diritti di segreteria", "riferimento": "x", "scadenza": "2026-04-30"}


# -- the node's own verdicts ------------------------------------------------------------------------------------------------
# Each vector changes one element of a good reply, and says what the real node made of it.

SECONDARIO = "15376371009"
ESISTENTI = (ENTE.id_pa, SECONDARIO, "44444444444")
"""Creditors that the node's test bench knows: the two of its own vectors, and the second one of its templates."""
SEGNAPOSTI = {
    "$iuv": "02000000000000184", "#creditor_institution_code#": ENTE.id_pa, "#creditor_institution_code_secondary#": SECONDARIO,
    "#fiscalCodePA#": ENTE.id_pa,
}  # fmt: skip


def riempi(testo: str) -> str:
    for segno, valore in SEGNAPOSTI.items():
        testo = testo.replace(segno, valore)
    return testo


@cache
def vettori() -> list[dict[str, Any]]:
    trovati: list[dict[str, Any]] = json.loads((VETTORI / "vectors.json").read_text()) if VETTORI.exists() else []
    return trovati


def cambia(busta: Element, nome: str, mutazione: str) -> Element | None:
    """The change of one vector, on the first element of that name; None when the document has no such element."""
    elemento = next((e for e in busta.iter() if isinstance(e.tag, str) and local(e) == nome.rpartition(":")[2]), None)
    if elemento is None:
        return None
    padre = elemento.getparent()
    if mutazione in ("None", "RemoveParent"):
        figli = list(elemento) if mutazione == "RemoveParent" else []
        padre.remove(elemento)
        padre.extend(figli)
    elif mutazione == "Empty":
        for figlio in list(elemento):
            elemento.remove(figlio)
        elemento.text = ""
    elif ripetuto := re.fullmatch(r"Occurrences,(\d+)", mutazione):
        for _ in range(int(ripetuto[1]) - 1):
            elemento.addnext(copy.deepcopy(elemento))
    else:
        elemento.text = riempi(mutazione)
    return busta


def operazione_di(vettore: Mapping[str, Any]) -> str:
    return str(re.sub(r"(Res|Response)$", "", vettore["operation"]))


def nome_di(vettore: Mapping[str, Any]) -> str:
    return f"{vettore['operation']}-{vettore['element']}-{vettore['mutation'][:20]}-{vettore['expected']['outcome']}"


def giudici() -> Iterator[tuple[str, Callable[[str, bytes], str]]]:
    """Our contract with our checks, and the official contract with the same checks."""

    def fermo(*_: Any) -> bytes:
        raise OSError

    for nome, nodo in (("ours", Nodo(ENTE, fermo)), ("official", Nodo(ENTE, fermo, ufficiale=WSDL))):
        yield nome, lambda operazione, risposta, nodo=nodo: "OK" if nodo.giudica(operazione, risposta, ESISTENTI).riuscito else "KO"


@pytest.mark.parametrize("vettore", vettori(), ids=nome_di)
def test_our_judge_says_what_the_node_said(vettore: dict[str, Any]) -> None:
    base = riempi((VETTORI / "bases" / f"{vettore['base']}.xml").read_text())
    busta = cambia(parse(base.encode()), vettore["element"], vettore["mutation"])
    assert busta is not None
    verdetti = {nome: giudica(operazione_di(vettore), serialize(busta)) for nome, giudica in giudici()}
    assert verdetti == dict.fromkeys(verdetti, vettore["expected"]["outcome"])


def test_the_judge_takes_the_vectors_base_replies_unchanged() -> None:
    """So that a KO above is the change's fault, not the template's."""
    for base in sorted((VETTORI / "bases").glob("*.xml")):
        contenuto = riempi(base.read_text())
        if "#outcome#" not in contenuto:
            operazione = re.sub(r"(Res|Response)_.*$", "", base.stem)
            assert {giudica(operazione, contenuto.encode()) for _, giudica in giudici()} == {"OK"}, base.name


@pytest.mark.parametrize("vettore", vettori(), ids=nome_di)
def test_our_own_reply_changed_the_same_way_gets_the_nodes_verdict(vettore: dict[str, Any]) -> None:
    """Our reply instead of theirs: what the node refuses is what we never emit, since unchanged it is taken."""
    operazione = operazione_di(vettore)
    _, _, nodo, avviso = scena(_una(), {"office_name": "Sportello edilizia", "ritenzione_giorni": 10})
    prese: list[bytes] = []
    trasporta = nodo._trasporto
    nodo._trasporto = lambda *a: prese.append(trasporta(*a)) or prese[-1]  # type: ignore[func-returns-value]
    esito = nodo.verifica(avviso) if operazione == "paVerifyPaymentNotice" else nodo.attiva(avviso, versione=2 if "V2" in operazione else 1)
    assert esito.riuscito
    busta = cambia(parse(prese[0]), vettore["element"], vettore["mutation"])
    atteso = vettore["expected"]["outcome"]
    if busta is None:
        return  # an optional element that we never send cannot be sent wrongly
    assert ("OK" if nodo.giudica(operazione, serialize(busta), ESISTENTI).riuscito else "KO") == atteso


# -- GPD --------------------------------------------------------------------------------------------------------------------


@cache
def gpd() -> tuple[dict[str, Any], dict[str, Any]]:
    return yaml.safe_load(NOSTRO_GPD.read_text()), json.loads(GPD.read_text())


def test_our_gpd_has_the_official_paths_and_its_answers() -> None:
    nostro, ufficiale = gpd()
    for percorso, verbi in nostro["paths"].items():
        for verbo, operazione in verbi.items():
            sua = ufficiale["paths"][percorso][verbo]
            assert set(operazione["responses"]) <= set(sua["responses"]), (percorso, verbo)
            assert ("requestBody" in operazione) == ("requestBody" in sua)


def test_every_field_of_our_gpd_is_one_of_the_official() -> None:
    nostro, ufficiale = (documento["components"]["schemas"] for documento in gpd())
    stato = nostro["Status"]
    assenti = {"minLength": 0}
    for nome, schema in nostro.items():
        if schema is stato:
            continue
        suo = ufficiale[nome]
        assert set(schema.get("required", ())) == set(suo.get("required", ())), nome
        for campo, forma in schema["properties"].items():
            sua = suo["properties"][campo]
            if forma.get("$ref") == "#/components/schemas/Status":
                assert stato["enum"] == sua["enum"]
            for parola in ("type", "format", "enum", "minimum", "minLength", "maxLength", "pattern"):
                assert "$ref" in forma or forma.get(parola, assenti.get(parola)) == sua.get(parola, assenti.get(parola)), (
                    nome,
                    campo,
                    parola,
                )


def _validatore(documento: Mapping[str, Any], nome: str) -> Any:
    return jsonschema_rs.Draft4Validator({**documento, "$ref": f"#/components/schemas/{nome}"})


@settings(max_examples=40, deadline=None)
@given(posizioni, impostazioni)
def test_whatever_the_position_its_body_is_valid_for_gpd(richiesta: dict[str, Any], scelte: dict[str, Any]) -> None:
    adapter = Pagopa("pagopa", PagopaSettings.model_validate(BASE | scelte))
    ctx = Call(key="ab" * 32, timeout=5, now=ADESSO, number=7)
    finale = adapter.prepara(NuovaPosizione.model_validate(richiesta), ctx).request
    assert isinstance(finale, NuovaPosizione)
    corpo = corpo_di(posizione_di(finale, adapter.settings, "VALID"))
    for documento in gpd():
        errori = [e.message for e in _validatore(documento, "PaymentPositionModel").iter_errors(corpo)]
        assert errori == []
    assert corpo["paymentOption"][0]["amount"] == richiesta["importo"]
    assert euro(richiesta["importo"]) in corpo["paymentOption"][0]["transfer"][0]["remittanceInformation"]
