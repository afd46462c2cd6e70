"""The jobs of the bus from the citizen's click to the employee's desk, judged from outside: HTTP answers and the systems' own ledgers."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from bus.cli import main
from bus.client import ClientError
from bus.testing.patience import until
from bus.testing.simulators import opener
from tests.integration.kit import (
    ADA,
    CERTIFICATE,
    SERVICE,
    STRANGER,
    TULLIO,
    Town,
    building,
    case_when,
    dead_of,
    desk_items,
    keys_of,
    ledger,
    notices,
    positions,
    practices,
    present,
    registrations,
)

PDF = b"%PDF-1.7 relazione tecnica asseverata"


def test_a_paid_application_leaves_one_effect_in_each_system_and_one_timeline(town: Town) -> None:
    istanza = "SUE-2026-000001"
    mappali = [
        {"foglio": "0083", "particella": "412", "sub": "7"},
        {"foglio": "0083", "particella": "413"},
        {"foglio": "9", "particella": "1/A"},
    ]
    sent = present(town, building(istanza, mappali=mappali, indirizzo="Via delle Zagare 12"), files=(PDF, PDF + b" 2"))
    reply = sent["reply"]
    assert reply["esito"] == "registrata"
    assert reply["importo"] == 10_000
    assert town.client("sistemista").case(f"istanza:{istanza}")["state"] == "waiting"
    assert desk_items(town, istanza) == [], "nobody is given a practice that is not paid"

    assert town.pay(reply["avviso"])["receipt"]["outcome"] == "OK"
    case = case_when(town, f"istanza:{istanza}")

    keys = keys_of(case)
    assert keys == {
        "istanza": istanza, "protocollo": reply["protocollo"], "pratica": reply["pratica"],
        "iuv": reply["avviso"][1:], "avviso": reply["avviso"],
    }  # fmt: skip
    assert all(town.client().case(f"{name}:{value}")["case"] == case["case"] for name, value in keys.items())
    _one_effect_each(town, istanza, reply)
    assert [e["detail"]["testo"] for e in practices(town, reply["pratica"], "mappale")] == ["0083/412", "0083/413", "9/1/A"]
    assert len(practices(town, reply["pratica"], "documento")) == 2
    [registered] = registrations(town, istanza)
    assert _document_sizes(town, registered["detail"]["documenti"]) == [len(PDF), len(PDF) + 2]
    assert notices(town, istanza) == ["io"]
    _told_in_order(case)


def _one_effect_each(town: Town, istanza: str, reply: dict[str, Any]) -> None:
    [registered] = registrations(town, istanza)
    assert reply["protocollo"] == f"{registered['detail']['anno']}/{registered['detail']['numero']:07d}"
    [position] = positions(town, reply["avviso"][1:])
    assert position["detail"]["amount"] == reply["importo"]
    assert len(practices(town, reply["pratica"])) == 1
    assert len(practices(town, reply["pratica"], "onere")) == 1
    [paid] = practices(town, reply["pratica"], "pagamento")
    assert paid["key"] == reply["avviso"][1:]
    [item] = desk_items(town, istanza)
    asked = item["detail"]["richiesta"]
    assert (asked["ufficio"], asked["servizio"], asked["pratica"], asked["protocollo"]) == (
        "edilizia", "SCIA", reply["pratica"], reply["protocollo"],
    )  # fmt: skip
    assert (item["detail"]["scrivania"], item["detail"]["riserva"]) == ("istruttoria-edilizia", False)


def _document_sizes(town: Town, numbers: list[str]) -> list[int]:
    with closing(sqlite3.connect(town.folder / "protocollo" / "protocollo.sqlite")) as database:
        rows = [database.execute("SELECT value FROM state WHERE kind = 'documento' AND key = ?", (n,)).fetchone() for n in numbers]
    return [json.loads(row[0])["size"] for row in rows]


def _told_in_order(case: dict[str, Any]) -> None:
    """Each call with an effect stands in the timeline as intent and answer, and the whole as one story."""
    anywhere = [(line["kind"], line.get("place", "")) for line in case["timeline"]]
    told = [(kind, place.rpartition("/")[2]) for kind, place in anywhere if not place.startswith("pagamenti.ricevuta")]
    story = [
        ("received", ""), ("answered", "richiedente"), ("asked", "protocolla"), ("answered", "protocolla"), ("asked", "pratica"),
        ("answered", "pratica"), ("asked", "posizione"), ("answered", "posizione"), ("replied", "rispondi"), ("waiting", "pagamento"),
        ("matched", "pagamento"), ("asked", "registra-pagamento"), ("answered", "registra-pagamento"), ("asked", "scrivania"),
        ("answered", "scrivania"), ("sent", "avvisa"), ("asked", "su-io"), ("answered", "su-io"),
    ]  # fmt: skip
    places = [told.index(step) for step in story]
    assert places == sorted(places)
    assert all(told.count(step) == 1 for step in story if step[0] != "received")
    assert {run["route"]: run["state"] for run in case["runs"]} == {
        "edilizia.presenta-pratica": "done", "pagamenti.ricevuta": "done", "notifiche.avviso": "done",
    }  # fmt: skip


def test_a_practice_without_fees_goes_straight_to_its_desk(town: Town) -> None:
    istanza = "SUE-2026-000002"
    before = len(ledger(town, "pagopa", "posizione"))
    reply = present(town, building(istanza, "CIL"))["reply"]
    assert "avviso" not in reply
    case_when(town, f"istanza:{istanza}")
    assert len(ledger(town, "pagopa", "posizione")) == before
    assert len(registrations(town, istanza)) == len(practices(town, reply["pratica"])) == len(desk_items(town, istanza)) == 1
    assert practices(town, reply["pratica"], "onere") == []
    assert notices(town, istanza) == ["io"]


def test_an_applicant_who_is_not_in_the_registry_is_taken_and_marked(town: Town) -> None:
    istanza = "SUE-2026-000003"
    present(town, building(istanza, "CIL", STRANGER))
    case_when(town, f"istanza:{istanza}")
    [item] = desk_items(town, istanza)
    assert item["detail"]["richiesta"]["oggetto"].endswith("[richiedente da verificare in anagrafe]")


def test_an_application_of_somebody_deceased_is_refused_before_any_effect(town: Town) -> None:
    istanza = "SUE-2026-000004"
    reply = present(town, building(istanza, who=TULLIO))["reply"]
    assert reply["esito"] == "respinta"
    letter = dead_of(town, f"istanza:{istanza}")
    assert (letter["code"], letter["place"].partition("/")[2]) == ("pratica.richiedente-deceduto", "richiedente-deceduto")
    assert registrations(town, istanza) == []
    assert desk_items(town, istanza) == []


def test_a_certificate_is_paid_before_it_is_issued(town: Town) -> None:
    istanza = "CERT-2026-000001"
    body = {"istanza": istanza, "richiedente": {"codice_fiscale": ADA}, "tipo": "8", "uso": "uso personale"}
    sent = present(town, body, CERTIFICATE)
    reply = sent["reply"]
    assert (reply["esito"], reply["importo"]) == ("da-pagare", 1652)
    issued = len(ledger(town, "anagrafe", "certificato"))
    town.pay(reply["avviso"])
    case_when(town, f"istanza:{istanza}")
    last = town.client().message(sent["id"])["reply"]
    assert last["esito"] == "emesso", "whoever asks later is told the last of the answers"
    assert town.client().content(f"/attachments/{last['file']['sha256']}").startswith(b"%PDF-")
    given = ledger(town, "anagrafe", "certificato")
    assert len(given) == issued + 1
    assert given[-1]["detail"]["codice"] == ADA
    [registered] = registrations(town, istanza)
    assert registered["detail"]["flusso"] == "U"
    assert len(positions(town, reply["avviso"][1:])) == 1
    assert notices(town, istanza) == ["io"]


def test_an_exempt_certificate_is_issued_at_once_and_its_file_can_be_fetched(town: Town) -> None:
    istanza = "CERT-2026-000002"
    body = {"istanza": istanza, "richiedente": {"codice_fiscale": ADA}, "tipo": "8", "esenzione": "6"}
    positions_before = len(ledger(town, "pagopa", "posizione"))
    reply = present(town, body, CERTIFICATE)["reply"]
    assert reply["esito"] == "emesso"
    assert len(ledger(town, "pagopa", "posizione")) == positions_before
    assert len(town.client().content(f"/attachments/{reply['file']['sha256']}")) == reply["file"]["size"]
    case_when(town, f"istanza:{istanza}")
    [registered] = registrations(town, istanza)
    assert reply["protocollo"].endswith(f"/{registered['detail']['numero']:07d}")
    assert _document_sizes(town, registered["detail"]["documenti"]) == [reply["file"]["size"]]


def test_certificates_asked_at_the_same_time_are_all_issued(town: Town) -> None:
    """The registry wants the numbers of its requests in order (`idOperazioneComune`)."""

    def ask(n: int) -> dict[str, Any]:
        body = {"istanza": f"CERT-2026-1{n:05d}", "richiedente": {"codice_fiscale": ADA}, "tipo": "8", "esenzione": "6"}
        sent = present(town, body, CERTIFICATE)
        return (
            sent
            if "reply" in sent
            else until(lambda: one if (one := town.client().message(sent["id"]))["reply"] else None, "it is answered")
        )

    before = len(ledger(town, "anagrafe", "certificato"))
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(ask, range(24)))
    assert [answer.get("reply", {}).get("esito") for answer in answers] == ["emesso"] * 24
    assert len(ledger(town, "anagrafe", "certificato")) == before + 24


def test_a_service_with_a_fee_waits_for_its_payment(town: Town) -> None:
    istanza = "SRV-2026-000001"
    body = _service(istanza, "attestazione-soggiorno-ue", {"note": "prima richiesta"})
    reply = present(town, body, SERVICE)["reply"]
    assert (reply["importo"], reply["ufficio"]) == (1652, "Servizi demografici")
    assert desk_items(town, istanza) == []
    town.pay(reply["avviso"])
    case_when(town, f"istanza:{istanza}")
    assert len(registrations(town, istanza)) == len(positions(town, reply["avviso"][1:])) == len(desk_items(town, istanza)) == 1
    assert notices(town, istanza) == ["io"]


def test_a_free_service_goes_to_the_office_of_its_catalogue_entry(town: Town) -> None:
    istanza = "SRV-2026-000002"
    reply = present(town, _service(istanza, "tessera-elettorale", {}), SERVICE)["reply"]
    assert (reply["esito"], reply["ufficio"]) == ("registrata", "Ufficio elettorale")
    case_when(town, f"istanza:{istanza}")
    [item] = desk_items(town, istanza)
    assert item["detail"]["richiesta"]["ufficio"] == "elettorale"
    assert len(registrations(town, istanza)) == 1


def _service(istanza: str, code: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"istanza": istanza, "servizio": code, "richiedente": {"codice_fiscale": ADA, "cognome": "Bellomo", "nome": "Ada"}, "dati": data}


def test_the_website_shows_the_services_of_the_catalogue(town: Town) -> None:
    reply = town.client("sistemista").send("sito.catalogo.richiesto", {}, wait=25)["reply"]
    ours = town.client().get("/catalog")["servizi"]
    with opener.open(f"{town.simulators['sito'].url}/catalogo", timeout=60) as answer:
        shown = json.loads(answer.read())["servizi"]
    assert reply["pubblicati"] == len(ours) == len(shown) >= 100
    assert {one["codice"] for one in shown} == {one["codice"] for one in ours}
    [published] = ledger(town, "sito", "catalogo")
    assert published["key"] == reply["digest"]
    presents = {one["codice"]: one.get("messaggio") for one in ours}
    assert "servizi.istanza.presentata" == presents["tessera-elettorale"]
    assert "anagrafe.certificato.richiesto" == presents["certificato-residenza"], "its route is its own: a portal must know the type"
    assert presents["numeri-utili"] is None


def test_whoever_prefers_to_wait_gets_the_reply_and_whoever_does_not_gets_it_later(town: Town) -> None:
    portal = town.client()
    slow = town.simulators["protocollo"]
    slow.faults([{"fault": "slow", "seconds": 2.5, "operation": "protocollazione", "times": 1}])
    sent = present(town, building("SUE-2026-000005", "CIL"), wait=1)
    assert "reply" not in sent, "who waits for a second is answered before the register is"
    shown = until(lambda: one if (one := portal.message(sent["id"]))["reply"] else None, "the reply came later")
    again = present(town, building("SUE-2026-000005", "CIL"), wait=5)
    assert again["id"] == sent["id"]
    assert again["reply"] == shown["reply"]
    assert len(registrations(town, "SUE-2026-000005")) == 1


def test_a_portal_cannot_forge_a_receipt(town: Town) -> None:
    reply = present(town, building("SUE-2026-000099"))["reply"]
    forged = {
        "ricevuta": "forged", "iuv": reply["avviso"][1:], "numero_avviso": reply["avviso"], "importo": reply["importo"], "esito": "OK",
        "data_pagamento": "2026-03-02",
    }  # fmt: skip
    for name in ("portale", "sistemista"):
        with pytest.raises(ClientError) as refused:
            town.client(name).send("pagopa.ricevuta", forged)
        assert (refused.value.status, refused.value.code) == (403, "auth.forbidden")
    assert practices(town, reply["pratica"], "pagamento") == []


def test_what_the_adapters_remember_is_compared_with_the_log_of_all_that(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    """The fact and the number that a real adapter told, in the form that verifying expects."""
    istanza = "SUE-2026-000091"
    present(town, building(istanza))
    url = f"sqlite:///{town.folder}/var/snodo.db"

    def sealed() -> bool:
        code = main(["log", "verify", "--store", url, "--json"])
        found = json.loads(capsys.readouterr().out)
        assert code == 0, found
        return found["waiting"] == 0

    until(sealed, "all of it is sealed and right")
    with closing(sqlite3.connect(f"file:{town.folder}/var/snodo.db?mode=ro", uri=True)) as raw:
        told = [bytes(content) for (content,) in raw.execute("SELECT content FROM records")]
        assert raw.execute("SELECT (SELECT count(*) FROM facts) * (SELECT count(*) FROM sequences)").fetchone() > (0,)
    assert any(b'"facts":[["posizione",' in one for one in told)
    assert any(b'"number":' in one and b'"sequence":"pagopa.iuv"' in one for one in told)
