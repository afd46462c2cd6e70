"""What pagoPA's node gets when it calls the creditor, from facts alone."""

from __future__ import annotations

import base64
import datetime as dt
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.pagopa.chiamate import ERRORE_RESPONSE, Ente, Nodo
from adapters.pagopa.inbound import CONTRATTO, MAX_BYTES
from adapters.pagopa.modelli import NuovaPosizione, PagopaSettings
from adapters.scrivania.adapter import Assegnazione
from adapters.soap.xml import parse
from bus.adapter import Call, Fact, Inbound
from bus.errors import Busy, Conflict, Invalid, StoreError
from bus.testing.door import MemoryDoor
from tests.unit.pagopa_scena import ADESSO, RICHIESTA, Scena
from tests.unit.pagopa_settings import ENTE, SETTINGS


@pytest.fixture
def scena() -> Scena:
    return Scena()


def test_verify_says_what_there_is_to_pay(scena: Scena) -> None:
    esito = scena.nodo.verifica(scena.avviso)
    assert esito.riuscito, esito
    opzione = esito.valori["paymentList"]["paymentOptionDescription"]
    assert str(opzione["amount"]) == "151.50"
    assert (opzione["options"], opzione["dueDate"], opzione["allCCP"]) == ("EQ", dt.date(2026, 4, 30), True)
    assert esito.valori["fiscalCodePA"] == ENTE.id_pa
    assert esito.valori["officeName"] == "Sportello edilizia"


def test_all_ccp_is_false_for_an_account_that_is_not_postal() -> None:
    scena = Scena(iban="IT60X0542811101000000123456")
    assert scena.nodo.verifica(scena.avviso).valori["paymentList"]["paymentOptionDescription"]["allCCP"] is False


@pytest.mark.parametrize("versione", [1, 2])
def test_activation_can_be_repeated_and_changes_nothing(scena: Scena, versione: int) -> None:
    prima = dict(scena.porta.facts)
    primo, secondo = (scena.nodo.attiva(scena.avviso, 15150, versione) for _ in range(2))
    assert primo.riuscito, primo
    assert primo == secondo
    dati = primo.valori["data"]
    assert dati["creditorReferenceId"] == scena.avviso[1:]
    assert dati["debtor"]["fullName"] == "Rossi Mària D'Angelo"
    assert dati["debtor"]["e-mail"] == "maria@example.it"
    (trasferimento,) = dati["transferList"]["transfer"]
    assert trasferimento["remittanceInformation"] == f"/RFB/{scena.avviso[1:]}/151.50/TXT/Diritti di segreteria SCIA"
    assert scena.porta.facts == prima
    assert scena.porta.accepted == []


def test_retention_and_long_names_stay_within_the_contract() -> None:
    scena = Scena(ritenzione_giorni=10)
    debitore = {"codice_fiscale": "00138480850", "denominazione": "A" * 201, "email": "o'hara@example.it"}
    avviso = scena.apri(2, debitore=debitore, causale="c" * 140)
    esito = scena.nodo.attiva(avviso)
    assert esito.riuscito, esito
    assert esito.valori["data"]["retentionDate"] == dt.datetime(2026, 5, 10, 23, 59, 59)
    assert esito.valori["data"]["debtor"]["uniqueIdentifier"]["entityUniqueIdentifierType"] == "G"
    assert esito.valori["data"]["debtor"]["e-mail"] is None


def test_a_payment_is_of_the_taxonomy_of_its_service_or_else_of_the_settings(scena: Scena) -> None:
    for numero, propria in ((2, "9/0201100TS/"), (3, None)):
        esito = scena.nodo.attiva(scena.apri(numero, tassonomia=propria))
        (trasferimento,) = esito.valori["data"]["transferList"]["transfer"]
        assert trasferimento["transferCategory"] == (propria or SETTINGS["tassonomia"])


def test_another_amount_at_activation_is_refused(scena: Scena) -> None:
    assert scena.nodo.attiva(scena.avviso, 15149).fault == "PAA_ATTIVA_RPT_IMPORTO_NON_VALIDO"


STATI = [
    ("CREATA", "PAA_PAGAMENTO_SCONOSCIUTO"), ("DRAFT", "PAA_PAGAMENTO_SCONOSCIUTO"), ("PUBLISHED", "PAA_PAGAMENTO_SCONOSCIUTO"),
    ("INVALID", "PAA_PAGAMENTO_ANNULLATO"), ("EXPIRED", "PAA_PAGAMENTO_SCADUTO"), ("PAID", "PAA_PAGAMENTO_DUPLICATO"),
    ("REPORTED", "PAA_PAGAMENTO_DUPLICATO"),
]  # fmt: skip


@pytest.mark.parametrize(("stato", "fault"), STATI)
def test_a_position_that_cannot_be_paid_says_why(scena: Scena, stato: str, fault: str) -> None:
    avviso = scena.apri(2, stato)
    assert [scena.nodo.verifica(avviso).fault, scena.nodo.attiva(avviso).fault, scena.nodo.attiva(avviso, versione=1).fault] == [fault] * 3


def test_a_notice_nobody_issued_is_unknown(scena: Scena) -> None:
    assert scena.nodo.verifica("302000000000000999").fault == "PAA_PAGAMENTO_SCONOSCIUTO"


@pytest.mark.parametrize(("giorno", "fault"), [("2026-04-30T21:59:00+00:00", None), ("2026-04-30T22:01:00+00:00", "PAA_PAGAMENTO_SCADUTO")])
def test_the_due_date_ends_at_midnight_in_italy(scena: Scena, giorno: str, fault: str | None) -> None:
    scena.porta.moment = dt.datetime.fromisoformat(giorno)
    assert scena.nodo.verifica(scena.avviso).fault == fault


def test_without_switch_to_expired_a_late_payment_is_taken() -> None:
    scena = Scena(switch_to_expired=False)
    scena.porta.moment = ADESSO + dt.timedelta(days=300)
    assert scena.nodo.verifica(scena.avviso).riuscito


def test_what_annulla_and_pubblica_said_last_wins_over_the_creation(scena: Scena) -> None:
    scena.porta.facts["stato", scena.avviso] = {"stato": "INVALID", "iupd": "x"}
    assert scena.nodo.verifica(scena.avviso).fault == "PAA_PAGAMENTO_ANNULLATO"


@pytest.mark.parametrize(
    ("ente", "fault"),
    [
        (Ente("88888888888", ENTE.id_broker_pa, ENTE.id_station), "PAA_ID_DOMINIO_ERRATO"),
        (Ente(ENTE.id_pa, "altro", ENTE.id_station), "PAA_ID_INTERMEDIARIO_ERRATO"),
        (Ente(ENTE.id_pa, ENTE.id_broker_pa, "altra"), "PAA_STAZIONE_INT_ERRATA"),
    ],
)
def test_a_request_for_somebody_else_is_refused_and_its_receipt_kept(scena: Scena, ente: Ente, fault: str) -> None:
    altro = Nodo(ente, scena.trasporta)
    ricevuta = scena.ricevuta()
    esiti = [altro.verifica(scena.avviso), altro.attiva(scena.avviso), altro.invia(ricevuta)]
    assert [esito.fault for esito in esiti] == [fault] * 3
    assert scena.ricevute == []
    assert [anomalia["motivo"] for anomalia in scena.anomalie] == ["DESTINATARIO_ERRATO"]


@pytest.mark.parametrize("versione", [1, 2])
def test_a_receipt_pays_the_position(scena: Scena, versione: int) -> None:
    ricevuta = scena.ricevuta()
    if versione == 1:
        ricevuta.pop("primaryCiIncurredFee")
    assert scena.nodo.invia(ricevuta, versione).riuscito
    (messaggio,) = scena.porta.accepted
    assert (messaggio.type, messaggio.key) == ("pagopa.ricevuta", "77777777777/r1")
    assert messaggio.body == {
        "ricevuta": "r1", "iuv": scena.avviso[1:], "numero_avviso": scena.avviso, "importo": 15150, "esito": "OK",
        "data_pagamento": "2026-03-10", "psp": "PSPSIMULATO", "iupd": f"77777777777-{'0' * 32}",
        "pagatore": {"codice_fiscale": "RSSMRA80A01H501U", "denominazione": "Rossi Maria"},
    }  # fmt: skip
    assert b"<receiptId>r1</receiptId>" in messaggio.exchanges[0].content
    posizione = scena.porta.facts["posizione", scena.avviso]
    assert isinstance(posizione, dict)
    assert (posizione["stato"], posizione["ricevuta"]) == ("PAID", "r1")
    assert scena.nodo.verifica(scena.avviso).fault == "PAA_PAGAMENTO_DUPLICATO"


@pytest.mark.parametrize(
    ("charset", "dichiarazione"),
    [("iso-8859-1", ""), ("ISO-8859-15", '<?xml version="1.0"?>'), ("utf-16", '<?xml version="1.0" encoding="utf-16"?>'), ("utf-16", "")],
)
def test_a_request_is_read_in_the_encoding_that_its_media_type_says(scena: Scena, charset: str, dichiarazione: str) -> None:
    def trasporta(corpo: bytes, azione: str, secondi: float) -> bytes:
        testo = dichiarazione + corpo.decode().partition("?>")[2].replace("Rossi Maria", "Rossi Nicolò")
        altro = testo.encode("utf-16-le" if charset == "utf-16" else charset)
        testata = {"soapaction": azione, "content-type": f'text/xml; charset="{charset}"'}
        return scena.adapter.endpoints()[0].handle(Inbound("POST", "/in/pagopa", testata, {}, altro, "127.0.0.1"), scena.porta).body

    assert Nodo(ENTE, trasporta).invia(scena.ricevuta()).riuscito
    assert scena.ricevute[0]["pagatore"]["denominazione"] == "Rossi Nicolò"


def test_a_receipt_that_comes_before_gpd_answered_finds_its_position_and_the_late_answer_does_not_open_it(scena: Scena) -> None:
    avviso = scena.apri(2, "CREATA")
    assert scena.nodo.invia(scena.ricevuta("r2", avviso)).riuscito
    scena.apri(2, "VALID")
    assert scena.nodo.verifica(avviso).fault == "PAA_PAGAMENTO_DUPLICATO"
    assert scena.nodo.invia(scena.ricevuta("r3", avviso)).riuscito
    assert (len(scena.ricevute), [a["motivo"] for a in scena.anomalie]) == (1, ["PAGATA_DUE_VOLTE"])


def test_a_receipt_whose_stamp_stands_in_a_part_of_its_own_pays_once(scena: Scena) -> None:
    """A sender that is set up for MTOM writes every message so; another one of its kind may send the same receipt again as it is."""
    ricevuta = scena.ricevuta()
    (trasferimento,) = ricevuta["transferList"]["transfer"]
    del trasferimento["IBAN"]
    bollo = trasferimento["MBDAttachment"] = b"<marcaDaBollo/>"

    def in_parti(corpo: bytes, azione: str, secondi: float) -> bytes:
        del secondi
        incluso = b'<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:bollo"/>'
        busta = corpo.replace(base64.b64encode(bollo), incluso)
        assert busta != corpo
        parti = b"--x\r\nContent-ID: <a>\r\n\r\n" + busta + b"\r\n--x\r\nContent-ID: <bollo>\r\n\r\n" + bollo + b"\r\n--x--\r\n"
        return scena.chiama(parti, azione, 'multipart/related; type="application/xop+xml"; boundary="x"; start="<a>"').body

    assert Nodo(ENTE, in_parti, slot=0).invia(ricevuta, 2).riuscito
    assert scena.nodo.invia(ricevuta, 2).riuscito
    assert len(scena.porta.accepted) == 1


def test_a_repeated_receipt_is_ok_and_counted_once(scena: Scena) -> None:
    assert [scena.nodo.invia(scena.ricevuta()).riuscito for _ in range(3)] == [True] * 3
    assert (len(scena.ricevute), scena.anomalie) == (1, [])


def test_the_same_receipt_from_many_threads_is_counted_once(scena: Scena) -> None:
    ricevuta = scena.ricevuta()
    with ThreadPoolExecutor(8) as pool:
        esiti = list(pool.map(lambda _: scena.nodo.invia(ricevuta), range(16)))
    assert all(esito.riuscito for esito in esiti)
    assert (len(scena.ricevute), scena.anomalie) == (1, [])


def test_many_different_receipts_at_once_pay_once_and_lose_nothing(scena: Scena) -> None:
    ricevute = [scena.ricevuta(f"r{n}") for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        esiti = list(pool.map(scena.nodo.invia, ricevute))
    assert all(esito.riuscito for esito in esiti)
    assert len(scena.ricevute) == 1
    assert {scena.ricevute[0]["ricevuta"]} | {a["ricevuta"] for a in scena.anomalie} == {f"r{n}" for n in range(6)}


def test_the_same_receipt_with_another_content_is_refused_and_kept(scena: Scena) -> None:
    scena.nodo.invia(scena.ricevuta())
    esiti = [scena.nodo.invia(scena.ricevuta(fee="9.99")) for _ in range(2)]
    assert [esito.fault for esito in esiti] == ["PAA_SEMANTICA"] * 2
    assert (len(scena.ricevute), [a["motivo"] for a in scena.anomalie]) == (1, ["CONTENUTO_DIVERSO"])


def test_of_two_receipts_of_one_id_at_the_same_moment_the_other_one_is_refused_and_kept(scena: Scena) -> None:
    scena.porta.before_commit = lambda: scena.nodo.invia(scena.ricevuta(fee="9.99"))  # type: ignore[assignment, return-value]
    assert scena.nodo.invia(scena.ricevuta()).fault == "PAA_SEMANTICA"
    assert (len(scena.ricevute), [a["motivo"] for a in scena.anomalie]) == (1, ["CONTENUTO_DIVERSO"])


@pytest.mark.parametrize("lungo", [121, 140, 141, 10_000])
def test_evidence_of_a_receipt_with_a_long_id_fits_on_a_desk(scena: Scena, lungo: int) -> None:
    scena.nodo.invia(scena.ricevuta("x" * lungo, paymentAmount="1.00"))
    (anomalia,) = scena.anomalie
    Assegnazione(ufficio="tributi", servizio="rimborsi", oggetto="x", riferimento=anomalia["ricevuta"])


@pytest.mark.parametrize("iuv", ["ß" * 35, "è", "rf 18-539", "@" * 35, ""])
@pytest.mark.parametrize("id_ricevuta", ["r" * 140, "r" * 141, " ", "ricevuta\tà"])
def test_what_becomes_of_a_receipt_is_a_message_of_its_type_whatever_the_contract_lets_the_node_write(iuv: str, id_ricevuta: str) -> None:
    """Else the node would be told to try again, for ever, and nobody would see the money."""
    scena = Scena()
    altro = {"creditorReferenceId": iuv} if iuv else {}
    scena.nodo.invia(scena.ricevuta(id_ricevuta, **altro))
    (messaggio,) = scena.porta.accepted
    tipo = yaml.safe_load((Path(__file__).parents[2] / "mappings/types" / f"{messaggio.type}.yaml").read_text("utf-8"))
    jsonschema_rs.validate(tipo["schema"], messaggio.body)


@pytest.mark.parametrize("momento", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_that_italy_never_had_is_no_date_of_payment(scena: Scena, momento: str) -> None:
    assert scena.nodo.invia(scena.ricevuta(paymentDateTime=dt.datetime.fromisoformat(momento))).riuscito
    assert scena.ricevute[0]["data_pagamento"] == "2026-03-10"


def test_a_second_payment_of_the_same_notice_is_kept_for_the_refund_list(scena: Scena) -> None:
    scena.nodo.invia(scena.ricevuta())
    assert [scena.nodo.invia(scena.ricevuta("r2")).riuscito for _ in range(2)] == [True, True]
    (anomalia,) = scena.anomalie
    assert (anomalia["motivo"], anomalia["ricevuta"], anomalia["importo"]) == ("PAGATA_DUE_VOLTE", "r2", 15150)
    assert len(scena.ricevute) == 1


def test_a_receipt_that_a_rival_overtakes_is_looked_at_again(scena: Scena) -> None:
    scena.porta.before_commit = lambda: scena.nodo.invia(scena.ricevuta("rivale"))  # type: ignore[assignment, return-value]
    assert scena.nodo.invia(scena.ricevuta("r1")).riuscito
    assert [r["ricevuta"] for r in scena.ricevute] == ["rivale"]
    assert [a["ricevuta"] for a in scena.anomalie] == ["r1"]


def test_a_position_that_changes_between_look_and_commit_is_not_overwritten(scena: Scena) -> None:
    def pubblicata() -> None:
        fatto = scena.porta.facts["posizione", scena.avviso]
        assert isinstance(fatto, dict)
        scena.porta.facts["posizione", scena.avviso] = fatto | {"riferimento": "altro"}

    scena.porta.before_commit = pubblicata
    assert scena.nodo.invia(scena.ricevuta()).riuscito
    posizione = scena.porta.facts["posizione", scena.avviso]
    assert isinstance(posizione, dict)
    assert (posizione["stato"], posizione["riferimento"]) == ("PAID", "altro")


def test_an_unknown_notice_is_refused_kept_and_taken_when_it_becomes_known(scena: Scena) -> None:
    avviso = scena.apri(5)
    ricevuta = scena.ricevuta("r5", avviso)
    noto = scena.porta.facts.pop(("posizione", avviso))
    assert [scena.nodo.invia(ricevuta).fault for _ in range(2)] == ["PAA_PAGAMENTO_SCONOSCIUTO"] * 2
    assert [a["motivo"] for a in scena.anomalie] == ["POSIZIONE_SCONOSCIUTA"]
    scena.porta.facts["posizione", avviso] = noto
    assert scena.nodo.invia(ricevuta).riuscito
    assert len(scena.ricevute) == 1


def test_evidence_without_a_date_is_the_same_on_another_day(scena: Scena) -> None:
    ricevuta = scena.ricevuta(paymentAmount="1.00")
    del ricevuta["paymentDateTime"]
    primo = scena.nodo.invia(ricevuta)
    scena.porta.moment += dt.timedelta(days=2)
    assert [primo.fault, scena.nodo.invia(ricevuta).fault] == ["PAA_SEMANTICA"] * 2
    assert len(scena.anomalie) == 1


@pytest.mark.parametrize(
    ("campi", "fault", "motivo"),
    [
        ({"paymentAmount": "151.49"}, "PAA_SEMANTICA", "IMPORTO_DIVERSO"),
        ({"creditorReferenceId": "02000000000000999"}, "PAA_SEMANTICA", "IUV_DIVERSO"),
        ({"creditorReferenceId": "iuv strano/1"}, "PAA_SEMANTICA", "IUV_DIVERSO"),
        ({"receiptId": ""}, "PAA_SINTASSI_EXTRAXSD", "IDENTIFICATIVO_ERRATO"),
        ({"receiptId": "x" * 300}, "PAA_SINTASSI_EXTRAXSD", "IDENTIFICATIVO_ERRATO"),
        ({"fiscalCode": "88888888888"}, "PAA_ID_DOMINIO_ERRATO", "DESTINATARIO_ERRATO"),
    ],
)
def test_a_receipt_that_does_not_fit_is_refused_and_kept(scena: Scena, campi: dict[str, Any], fault: str, motivo: str) -> None:
    ricevuta = scena.ricevuta() | campi
    assert [scena.nodo.invia(ricevuta).fault for _ in range(2)] == [fault] * 2
    (anomalia,) = scena.anomalie
    assert anomalia["motivo"] == motivo
    assert anomalia["iuv"].isalnum()
    assert 0 < len(anomalia["ricevuta"]) <= 255
    assert scena.nodo.verifica(scena.avviso).riuscito


def test_a_receipt_for_an_annulled_position_is_taken_for_the_refund_list(scena: Scena) -> None:
    scena.porta.facts["stato", scena.avviso] = {"stato": "INVALID", "iupd": "x"}
    assert scena.nodo.invia(scena.ricevuta()).riuscito
    assert (scena.ricevute, [a["motivo"] for a in scena.anomalie]) == ([], ["POSIZIONE_ANNULLATA"])


def test_a_receipt_that_comes_after_the_due_date_pays(scena: Scena) -> None:
    """The payment began when the position was open."""
    scena.porta.moment = ADESSO + dt.timedelta(days=200)
    assert scena.nodo.invia(scena.ricevuta()).riuscito
    assert len(scena.ricevute) == 1


def test_a_failed_payment_leaves_the_position_open(scena: Scena) -> None:
    assert scena.nodo.invia(scena.ricevuta("r0", outcome="KO")).riuscito
    assert [r["esito"] for r in scena.ricevute] == ["KO"]
    assert scena.nodo.verifica(scena.avviso).riuscito
    assert scena.nodo.invia(scena.ricevuta("r1")).riuscito
    assert [r["esito"] for r in scena.ricevute] == ["KO", "OK"]


@pytest.mark.parametrize(
    ("campi", "data"),
    [
        ({"paymentDateTime": dt.datetime(2026, 3, 9, 23, 30, tzinfo=dt.UTC)}, "2026-03-10"),
        ({"paymentDateTime": None, "applicationDate": dt.date(2026, 3, 8)}, "2026-03-08"),
        ({"paymentDateTime": None, "transferDate": dt.date(2026, 3, 7)}, "2026-03-07"),
        ({"paymentDateTime": None}, "2026-03-10"),
    ],
)
def test_the_date_of_payment_is_a_day_in_italy(scena: Scena, campi: dict[str, Any], data: str) -> None:
    ricevuta = {nome: valore for nome, valore in (scena.ricevuta() | campi).items() if valore is not None}
    assert scena.nodo.invia(ricevuta).riuscito
    assert scena.ricevute[0]["data_pagamento"] == data


def test_spontaneous_payments_are_refused_in_band(scena: Scena) -> None:
    valori = ENTE.nomi | {"idServizio": "00001", "idSoggettoServizio": "00001", "datiSpecificiServizioRequest": b"<a/>"}
    assert scena.nodo.chiama("paDemandPaymentNotice", valori).fault == "PAA_SEMANTICA"


BUSTA = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:p="http://pagopa-api.pagopa.gov.it/pa/paForNode.xsd">'
    "<soapenv:Body>{}</soapenv:Body></soapenv:Envelope>"
)
DOCTYPE = '<!DOCTYPE a [<!ENTITY b "c">]>'


@pytest.mark.parametrize(
    "corpo",
    [
        BUSTA.format("<p:paVerifyPaymentNoticeReq><idPA>1</idPA></p:paVerifyPaymentNoticeReq>").encode(),
        BUSTA.format("<p:paVerifyPaymentNoticeReq/>").encode(),
        DOCTYPE.encode() + BUSTA.format("<p:paVerifyPaymentNoticeReq/>").encode(),
        b"not xml",
        b"",
        b"\xff\xfe\x00",
        BUSTA.format("<a>" * 100 + "</a>" * 100).encode(),
        BUSTA.format("x" * (MAX_BYTES + 1)).encode(),
        b"<html/>",
    ],
)
def test_what_is_not_valid_gets_a_syntax_fault_in_band(scena: Scena, corpo: bytes) -> None:
    risposta = scena.chiama(corpo, "paVerifyPaymentNotice")
    assert risposta.status == 200
    assert scena.nodo.giudica("paVerifyPaymentNotice", risposta.body).fault == "PAA_SINTASSI_XSD"


def test_the_fault_of_what_is_not_valid_says_all_of_what_is_wrong(scena: Scena) -> None:
    """Cut at 140 characters it ended within the namespace of the attribute; the description may have 1024 (SACI)."""
    tipo = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="p:ctNulla"'
    risposta = scena.chiama(BUSTA.format(f"<p:paVerifyPaymentNoticeReq {tipo}/>").encode())
    esito = scena.nodo.giudica("paVerifyPaymentNotice", risposta.body)
    assert esito.fault == "PAA_SINTASSI_XSD"
    assert "does not resolve to a type definition" in esito.valori["fault"]["description"]


@pytest.mark.parametrize(
    "operazione", ["paVerifyPaymentNotice", "paGetPayment", "paGetPaymentV2", "paSendRT", "paSendRTV2", "paDemandPaymentNotice"]
)
def test_a_request_that_is_too_large_to_be_read_gets_a_syntax_fault_of_its_operation(scena: Scena, operazione: str) -> None:
    sportello = scena.adapter.endpoints()[0]
    assert sportello.max_bytes == MAX_BYTES
    assert sportello.too_large is not None
    inizio = BUSTA.format("<p:" + "x" * 1000).encode()[:500]
    risposta = sportello.too_large(Inbound("POST", "/in/pagopa", {"soapaction": f'"{operazione}"'}, {}, inizio, "127.0.0.1"), scena.porta)
    esito = scena.nodo.giudica(operazione, risposta.body)
    assert (risposta.status, esito.fault) == (200, "PAA_SINTASSI_XSD")
    assert b"<outcome>KO</outcome>" in risposta.body
    assert scena.ricevute == scena.anomalie == []
    assert [(detta.operation, detta.outcome) for detta in scena.porta.told] == [(operazione, "KO")], "the journal has it too"


def test_a_request_that_is_too_large_and_names_no_operation_gets_a_clean_soap_fault(scena: Scena) -> None:
    sportello = scena.adapter.endpoints()[0]
    assert sportello.too_large is not None
    risposta = sportello.too_large(Inbound("POST", "/in/pagopa", {}, {}, b"", "127.0.0.1"), scena.porta)
    assert (risposta.status, b"Fault>" in risposta.body) == (500, True)


@pytest.mark.parametrize(
    "corpo", [b"", b"not xml", BUSTA.format("<altro/>").encode(), DOCTYPE.encode() + b"<a>&b;</a>", BUSTA.format("").encode()]
)
def test_what_names_no_operation_gets_a_clean_soap_fault(scena: Scena, corpo: bytes) -> None:
    risposta = scena.chiama(corpo)
    assert risposta.status == 500
    assert risposta.media_type.startswith("text/xml")
    assert b"Fault>" in risposta.body
    assert b"Traceback" not in risposta.body


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 3000), st.integers(0, 12))
def test_no_change_of_a_receipt_makes_the_endpoint_raise_or_pay_twice(nuovi: bytes, posto: int, tolti: int) -> None:
    scena = Scena()
    presi: list[bytes] = []
    Nodo(ENTE, lambda corpo, azione, secondi: presi.append(corpo) or b"").invia(scena.ricevuta())  # type: ignore[func-returns-value]
    corpo = presi[0][:posto] + nuovi + presi[0][posto + tolti :]
    risposte = [scena.chiama(uno, "paSendRTV2") for uno in (corpo, presi[0], corpo)]
    assert {risposta.status for risposta in risposte} <= {200, 500}
    assert all(parse(risposta.body) is not None for risposta in risposte)
    assert len(scena.ricevute) == 1


@pytest.mark.parametrize(
    "errore",
    [
        StoreError("disk full"),
        Busy("full", code="bus.backlog", retry_after=5),
        Invalid("not of its type"),
        RuntimeError("bug"),
        Conflict("x", code="fact.changed"),
    ],
)
def test_whatever_breaks_inside_is_a_system_error_that_the_node_repeats(scena: Scena, errore: Exception) -> None:
    def rotta(*_: Any, **__: Any) -> Any:
        raise errore

    ricevuta = scena.ricevuta()
    scena.porta = _PortaRotta(scena.porta, rotta)  # type: ignore[assignment]
    esito = scena.nodo.invia(ricevuta)
    assert esito.fault == "PAA_SYSTEM_ERROR"
    assert esito.da_ripetere
    scena.porta = scena.porta.sana  # type: ignore[attr-defined]
    assert scena.nodo.invia(ricevuta).riuscito


class _PortaRotta:
    def __init__(self, sana: MemoryDoor, accetta: Callable[..., Any]) -> None:
        self.sana, self.accept, self.fact, self.now, self.served = sana, accetta, sana.fact, sana.now, sana.served


def test_a_broken_fact_is_a_system_error_and_not_an_unknown_payment(scena: Scena) -> None:
    scena.porta.facts["posizione", scena.avviso] = {"stato": "VALID"}
    assert scena.nodo.verifica(scena.avviso).fault == "PAA_SYSTEM_ERROR"


def test_an_answer_takes_far_less_than_the_two_seconds_of_the_service_level(scena: Scena) -> None:
    scena.nodo.verifica(scena.avviso)
    inizio = time.process_time()
    for _ in range(20):
        scena.nodo.attiva(scena.avviso)
    assert (time.process_time() - inizio) / 20 < 0.2


def test_the_node_refuses_a_reply_that_breaks_the_contract(scena: Scena) -> None:
    """The judge of these tests can say no."""
    esito = scena.nodo.giudica("paVerifyPaymentNotice", BUSTA.format("<p:paVerifyPaymentNoticeRes/>").encode())
    assert esito.ppt == ERRORE_RESPONSE
    assert scena.nodo.giudica("paGetPayment", b"").ppt == ERRORE_RESPONSE


def test_a_lost_reply_makes_the_node_send_again_and_nothing_is_doubled(scena: Scena) -> None:
    esiti = scena.nodo.consegna(scena.ricevuta(), perse=2)
    assert [esito.riuscito for esito in esiti] == [False, False, True]
    assert (len(scena.ricevute), scena.anomalie) == (1, [])


def test_the_endpoint_is_where_the_contract_file_says() -> None:
    (punto,) = Scena().adapter.endpoints()
    assert (punto.path, punto.methods, punto.budget) == ("/in/pagopa", ("POST",), 2.0)
    assert punto.path in CONTRATTO.read_text()


def test_a_fact_of_a_position_is_plain_json(scena: Scena) -> None:
    ctx = Call(key="a" * 64, timeout=5, now=ADESSO, number=9)
    fatto = scena.adapter.prepara(NuovaPosizione.model_validate(RICHIESTA | {"scadenza": None}), ctx).facts[0]
    assert isinstance(fatto, Fact)
    assert isinstance(fatto.value, dict)
    assert (fatto.value["stato"], fatto.value["scadenza"], fatto.key) == ("CREATA", "2026-04-09", "302000000000000992")


def test_whatever_the_node_asks_is_told_to_the_log_with_what_we_said(scena: Scena) -> None:
    scena.nodo.verifica(scena.avviso)
    scena.nodo.verifica("302000000000000000")
    scena.nodo.invia(scena.ricevuta())
    buona, ignota, ricevuta = scena.porta.told
    assert (buona.operation, buona.outcome) == ("paVerifyPaymentNotice", "OK")
    assert buona.about == ("posizione", scena.avviso)
    assert [prova.direction for prova in buona.exchanges] == ["in", "out"]
    assert (ignota.outcome, ignota.answer["fault"]["faultCode"]) == ("KO", "PAA_PAGAMENTO_SCONOSCIUTO")  # type: ignore[index,call-overload]
    assert ricevuta.operation.startswith("paSendRT")
    assert [prova.direction for prova in ricevuta.exchanges] == ["out"], "what came in is kept with the message"
    assert (ricevuta.request["iuv"], ricevuta.request["ccp"], ricevuta.request["psp"]) == (scena.avviso[1:], "r1", "PSPSIMULATO")


def test_a_receipt_that_cannot_be_read_is_kept_with_the_answer(scena: Scena) -> None:
    scena.chiama(b"<non-soap", "paSendRT")
    (detta,) = scena.porta.told
    assert [(prova.direction, prova.content[:9]) for prova in detta.exchanges] == [("in", b"<non-soap"), ("out", b"<?xml ver")]


def test_a_receipt_that_breaks_the_contract_is_erased_with_the_position_that_it_names(scena: Scena) -> None:
    presi: list[bytes] = []
    Nodo(ENTE, lambda corpo, azione, secondi: presi.append(corpo) or b"").invia(scena.ricevuta())  # type: ignore[func-returns-value]
    scena.chiama(presi[0].replace(b"151.50", b"151,50"), "paSendRTV2")
    (detta,) = scena.porta.told
    assert (detta.outcome, b"RSSMRA80A01H501U" in detta.exchanges[0].content) == ("KO", True)
    assert detta.about == ("posizione", scena.avviso)


def test_an_answer_that_cannot_be_kept_does_not_leave(scena: Scena) -> None:
    scena.porta.fails = StoreError("the disk is full")
    esito = scena.nodo.verifica(scena.avviso)
    assert esito.fault == "PAA_SYSTEM_ERROR"
    ricevuta = scena.ricevuta()
    assert scena.nodo.invia(ricevuta).da_ripetere
    scena.porta.fails = None
    assert scena.nodo.invia(ricevuta).riuscito, "the second time it is the same receipt"
    assert len(scena.ricevute) == 1


@pytest.mark.parametrize("campo", [{"causale": "Diritti\uffff"}, {"debitore": RICHIESTA["debitore"] | {"denominazione": "Rossi\ufffe"}}])
def test_a_text_that_xml_cannot_carry_makes_no_position(campo: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="pattern"):
        NuovaPosizione.model_validate(RICHIESTA | campo)


@pytest.mark.parametrize("aux", [0, 1, 2, 3])
def test_a_first_number_that_no_iuv_holds_is_a_finding_of_the_settings(aux: int) -> None:
    last = 10 ** {0: 13, 1: 17, 2: 15, 3: 13}[aux] - 2
    assert PagopaSettings.model_validate(SETTINGS | {"aux_digit": aux, "iuv_iniziale": last})
    with pytest.raises(ValueError, match="iuv_iniziale: sequence number"):
        PagopaSettings.model_validate(SETTINGS | {"aux_digit": aux, "iuv_iniziale": last + 1})
