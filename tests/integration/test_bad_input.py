"""What goes wrong outside, and what becomes of it: a clear answer, one effect, nothing lost. Judged by the systems' ledgers and the HTTP API."""

from __future__ import annotations

import signal
import uuid
from typing import Any

import pytest

from bus.client import ClientError
from bus.testing.patience import until
from tests.integration.kit import (
    ADA,
    BUILDING,
    CERTIFICATE,
    Town,
    building,
    case_when,
    dead_of,
    desk_items,
    kinds,
    ledger,
    notices,
    positions,
    practices,
    present,
    registrations,
)

REASON = {"reason": "verificato con l'ufficio"}
_numbers = iter(range(1, 1000))


@pytest.fixture
def istanza() -> str:
    return f"SUE-2026-{next(_numbers):06d}"


def calls(case: dict[str, Any], place: str) -> list[str]:
    """How the tries of one step ended, in order."""
    return [kind for kind in kinds(case, place) if kind in {"asked", "answered", "refused", "unanswered"}]


def pay_by_hand(town: Town, reply: dict[str, Any], importo: int | None = None, **how: Any) -> dict[str, Any]:
    """A receipt that comes without verification, as when the node is wrong or late."""
    return town.pay(reply["avviso"], iuv=reply["avviso"][1:], amount=reply["importo"] if importo is None else importo, **how)


# -- systems that are down, slow, or answer badly ---------------------------------------------------------------------------


def test_a_registry_that_is_down_does_not_stop_an_application(troubled: Town, istanza: str) -> None:
    troubled.simulators["anagrafe"].kill()
    assert present(troubled, building(istanza, "CIL"))["reply"]["esito"] == "registrata"
    case = case_when(troubled, f"istanza:{istanza}")
    assert calls(case, "richiedente") == ["unanswered"] * 3
    [item] = desk_items(troubled, istanza)
    assert item["detail"]["richiesta"]["oggetto"].endswith("[richiedente da verificare in anagrafe]")
    assert len(registrations(troubled, istanza)) == 1


def test_a_certificate_asked_while_the_registry_is_down_is_issued_when_it_is_back(troubled: Town, istanza: str) -> None:
    troubled.simulators["anagrafe"].kill()
    body = {"istanza": istanza, "richiedente": {"codice_fiscale": ADA}, "tipo": "8", "esenzione": "6"}
    assert present(troubled, body, CERTIFICATE)["reply"]["esito"] == "in-attesa"
    troubled.simulators["anagrafe"].restart()
    case_when(troubled, f"istanza:{istanza}")
    assert len(registrations(troubled, istanza)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "lose_reply"},
        {"fault": "garbage"},
        {"fault": "slow", "seconds": 3.2},
        {"fault": "late", "seconds": 3.2},
        {"fault": "die_after"},
    ],
    ids=lambda fault: fault["fault"],
)
def test_a_register_that_answers_nothing_after_having_registered_is_asked_once(troubled: Town, istanza: str, fault: dict[str, Any]) -> None:
    register = troubled.simulators["protocollo"]
    register.faults([{**fault, "operation": "protocollazione", "times": 1}])
    sent = present(troubled, building(istanza, "CIL"), wait=1)
    if fault["fault"] == "die_after":
        until(lambda: not register.alive, "the register died")
        register.restart()
    case = case_when(troubled, f"istanza:{istanza}")
    assert calls(case, "protocolla") == ["asked", "unanswered", "answered"]
    [registered] = registrations(troubled, istanza)
    reply = troubled.client().message(sent["id"])["reply"]
    assert reply["protocollo"] == f"{registered['detail']['anno']}/{registered['detail']['numero']:07d}"
    assert len(practices(troubled, reply["pratica"])) == len(desk_items(troubled, istanza)) == 1


def test_a_register_behind_a_broken_gateway_is_asked_again_after_a_look(troubled: Town, istanza: str) -> None:
    troubled.simulators["protocollo"].faults([{"fault": "html", "operation": "protocollazione", "times": 1}])
    present(troubled, building(istanza, "CIL"), wait=1)
    case = case_when(troubled, f"istanza:{istanza}")
    assert calls(case, "protocolla") == ["asked", "unanswered", "unanswered", "asked", "answered"]
    assert len(registrations(troubled, istanza)) == 1


@pytest.mark.parametrize("fault", ["lose_reply", "garbage", "html"])
def test_a_commit_whose_answer_is_lost_opens_one_practice(troubled: Town, istanza: str, fault: str) -> None:
    troubled.simulators["edilizia"].faults([{"fault": fault, "operation": "apri-pratica", "times": 1}])
    reply = present(troubled, building(istanza, "CIL", oggetto=f"Opere {istanza}"))["reply"]
    case = case_when(troubled, f"istanza:{istanza}")
    assert calls(case, "pratica") == ["asked", "unanswered", "asked", "answered"]
    [opened] = ledger(troubled, "edilizia", "pratica", lambda e: e["detail"]["testo"] == f"Opere {istanza}")
    assert str(opened["detail"]["pratica"]) == reply["pratica"]
    assert len(practices(troubled, reply["pratica"], "mappale")) == 1


@pytest.mark.parametrize("fault", ["lose_reply", "garbage", "html", "die_after"])
def test_a_position_whose_answer_is_lost_is_made_once(troubled: Town, istanza: str, fault: str) -> None:
    gpd = troubled.simulators["pagopa"]
    before = len(gpd.ledger("posizione"))
    gpd.faults([{"fault": fault, "operation": "crea-posizione", "times": 1}])
    if fault == "die_after":
        sent = present(troubled, building(istanza), wait=1)
        until(lambda: not gpd.alive, "GPD died")
        gpd.restart()
        reply = until(lambda: troubled.client().message(sent["id"])["reply"], "the portal is answered")
    else:
        reply = present(troubled, building(istanza))["reply"]
    assert len(positions(troubled, reply["avviso"][1:])) == 1
    assert len(gpd.ledger("posizione")) == before + 1


def test_desks_that_are_down_get_the_practice_once_when_they_are_back(troubled: Town, istanza: str) -> None:
    troubled.simulators["scrivania"].kill()
    present(troubled, building(istanza, "CIL"))
    operator = troubled.client("sistemista")
    until(lambda: "unanswered" in kinds(operator.case(f"istanza:{istanza}"), "scrivania"), "the desks were asked in vain")
    troubled.simulators["scrivania"].restart()
    case_when(troubled, f"istanza:{istanza}")
    assert len(desk_items(troubled, istanza)) == 1


@pytest.mark.parametrize("fault", [{"fault": "lose_reply"}, {"fault": "late", "seconds": 0.5}], ids=lambda fault: fault["fault"])
def test_a_message_on_the_app_that_may_have_arrived_is_not_sent_again_there(troubled: Town, istanza: str, fault: dict[str, Any]) -> None:
    notifications = troubled.simulators["notifiche"]
    notifications.faults([{**fault, "operation": "messaggio", "times": 1}])
    present(troubled, building(istanza, "CIL"))
    case_when(troubled, f"istanza:{istanza}")
    notifications.wait_until_quiet()
    assert notices(troubled, istanza) == ["io", "email"]


def test_a_message_the_app_refuses_goes_by_mail(troubled: Town, istanza: str) -> None:
    troubled.simulators["notifiche"].faults([{"fault": "refuse", "code": "HTTP_400", "operation": "messaggio", "times": 1}])
    present(troubled, building(istanza, "CIL"))
    case_when(troubled, f"istanza:{istanza}")
    assert notices(troubled, istanza) == ["email"]


# -- receipts ---------------------------------------------------------------------------------------------------------------


def _paid_once(town: Town, istanza: str, reply: dict[str, Any]) -> None:
    [paid] = practices(town, reply["pratica"], "pagamento")
    assert paid["key"] == reply["avviso"][1:]
    assert len(desk_items(town, istanza)) == 1


@pytest.mark.parametrize("how", [{"repeat": 3}, {"lose": 2}, {"version": 1, "repeat": 1}], ids=str)
def test_a_receipt_that_comes_again_pays_once(troubled: Town, istanza: str, how: dict[str, Any]) -> None:
    reply = present(troubled, building(istanza))["reply"]
    story = troubled.pay(reply["avviso"], **how)
    assert story["attempts"] == how.get("repeat", how.get("lose")) + 1
    assert story["receipt"]["outcome"] == "OK"
    case = case_when(troubled, f"istanza:{istanza}")
    _paid_once(troubled, istanza, reply)
    assert [m["type"] for m in case["messages"]].count("pagopa.ricevuta") == 1
    assert desk_items(troubled, story["receiptId"]) == []


def test_a_receipt_that_comes_before_the_answer_about_its_position_finds_its_case(troubled: Town, istanza: str) -> None:
    gpd = troubled.simulators["pagopa"]
    before = len(gpd.ledger("posizione"))
    gpd.faults([{"fault": "lose_reply", "operation": "crea-posizione"}])
    sent = present(troubled, building(istanza), wait=0)
    made = gpd.wait_for_effects(before + 1, "posizione")[-1]["detail"]
    notice = f"3{made['iuv']}"
    assert troubled.pay(notice)["verify"]["fault"] == "PAA_PAGAMENTO_SCONOSCIUTO", "not announced yet"
    story = pay_by_hand(troubled, {"avviso": notice, "importo": made["amount"]})
    assert troubled.client().message(sent["id"])["reply"] is None, "the receipt was first"
    gpd.clear()
    assert (story["paid"], story["receipt"]["outcome"]) == (True, "OK")
    case = case_when(troubled, f"istanza:{istanza}")
    reply = troubled.client().message(sent["id"])["reply"]
    assert reply["avviso"] == notice
    _paid_once(troubled, istanza, reply)
    assert [m["type"] for m in case["messages"]].count("pagopa.ricevuta") == 1
    again = troubled.pay(reply["avviso"])
    assert (again["paid"], again["verify"]["fault"]) == (False, "PAA_PAGAMENTO_DUPLICATO"), "paid stays paid when GPD's answer comes"


def test_a_receipt_of_another_amount_pays_nothing_and_is_shown_to_a_person(troubled: Town, istanza: str) -> None:
    reply = present(troubled, building(istanza))["reply"]
    story = pay_by_hand(troubled, reply, 9_999)
    assert story["receipt"]["fault"] == "PAA_SEMANTICA"
    [item] = until(lambda: desk_items(troubled, story["receiptId"]), "somebody is told")
    assert item["detail"]["richiesta"]["ufficio"] == "tributi"
    assert "IMPORTO_DIVERSO" in item["detail"]["richiesta"]["oggetto"]
    assert practices(troubled, reply["pratica"], "pagamento") == []
    assert desk_items(troubled, istanza) == []
    assert troubled.pay(reply["avviso"])["receipt"]["outcome"] == "OK"
    case_when(troubled, f"istanza:{istanza}")
    _paid_once(troubled, istanza, reply)


def test_a_notice_nobody_knows_cannot_be_paid_and_its_receipt_is_kept(troubled: Town) -> None:
    notice = "347000000009999999"
    assert troubled.pay(notice)["verify"]["fault"] == "PAA_PAGAMENTO_SCONOSCIUTO"
    story = troubled.pay(notice, iuv=notice[1:], amount=1000, repeat=1)
    assert story["receipt"]["fault"] == "PAA_PAGAMENTO_SCONOSCIUTO"
    [item] = until(lambda: desk_items(troubled, story["receiptId"]), "somebody is told")
    assert "POSIZIONE_SCONOSCIUTA" in item["detail"]["richiesta"]["oggetto"]
    case = case_when(troubled, f"iuv:{notice[1:]}")
    assert len(case["messages"]) == 1, "the repetition is the same message"


def test_a_receipt_of_the_same_name_with_other_content_is_refused_and_shown(troubled: Town, istanza: str) -> None:
    reply = present(troubled, building(istanza))["reply"]
    name = uuid.uuid4().hex
    assert pay_by_hand(troubled, reply, receiptId=name)["receipt"]["outcome"] == "OK"
    case_when(troubled, f"istanza:{istanza}")
    other = pay_by_hand(troubled, reply, 5_000, receiptId=name)
    assert other["receipt"]["fault"] == "PAA_SEMANTICA"
    [item] = until(lambda: desk_items(troubled, name), "somebody is told")
    assert "CONTENUTO_DIVERSO" in item["detail"]["richiesta"]["oggetto"]
    case_when(troubled, f"istanza:{istanza}")
    _paid_once(troubled, istanza, reply)


def test_a_notice_that_is_paid_twice_is_a_refund_for_a_person(troubled: Town, istanza: str) -> None:
    reply = present(troubled, building(istanza))["reply"]
    assert troubled.pay(reply["avviso"])["receipt"]["outcome"] == "OK"
    case_when(troubled, f"istanza:{istanza}")
    second = pay_by_hand(troubled, reply)
    assert second["receipt"]["outcome"] == "OK", "the money is here: the node must not send it for ever"
    [item] = until(lambda: desk_items(troubled, second["receiptId"]), "somebody is told")
    assert (item["detail"]["richiesta"]["servizio"], "PAGATA_DUE_VOLTE" in item["detail"]["richiesta"]["oggetto"]) == ("rimborsi", True)
    _paid_once(troubled, istanza, reply)


def test_a_payment_that_failed_leaves_the_notice_payable(troubled: Town, istanza: str) -> None:
    reply = present(troubled, building(istanza))["reply"]
    assert troubled.pay(reply["avviso"], outcome="KO")["receipt"]["outcome"] == "OK"
    assert troubled.pay(reply["avviso"])["receipt"]["outcome"] == "OK"
    case_when(troubled, f"istanza:{istanza}")
    _paid_once(troubled, istanza, reply)


# -- dead letters and what a person does with them --------------------------------------------------------------------------


def test_what_is_refused_for_good_is_a_dead_letter_that_a_person_sets_going_again(troubled: Town, istanza: str) -> None:
    register = troubled.simulators["protocollo"]
    register.faults([{"fault": "refuse", "code": "101", "operation": "protocollazione"}])
    present(troubled, building(istanza, "CIL"), wait=1)
    letter = dead_of(troubled, f"istanza:{istanza}")
    assert (letter["code"], letter["place"], letter["doubt"]) == ("call.refused", "edilizia.presenta-pratica@1/protocolla", False)
    assert letter["detail"]["outside_code"] == "UO_SCONOSCIUTA"
    assert {one["role"] for one in letter["evidence"]} >= {"wire-out", "wire-in"}
    asked = next(one for one in letter["evidence"] if one["role"] == "wire-out")
    assert b"Envelope" in troubled.client("revisore").content(f"/dead/{letter['run']}/evidence/{asked['id']}", "prova")
    assert b"Envelope" in troubled.client("revisore").content(f"/runs/{letter['run']}/evidence/{asked['id']}", "prova")
    run = letter["run"]
    _only_the_sysadmin_acts(troubled, run)
    register.clear()
    troubled.client("sistemista").post(f"/dead/{run}/redeliver", REASON)
    case = case_when(troubled, f"istanza:{istanza}")
    assert len(registrations(troubled, istanza)) == len(desk_items(troubled, istanza)) == 1
    [act] = [line for line in case["timeline"] if line["kind"] == "redelivered"]
    assert act["actor"] == "sistemista"
    assert case["timeline"].index(act) > 0


def _only_the_sysadmin_acts(town: Town, run: str) -> None:
    assert run in {one["id"] for one in town.client("revisore").get("/dead")["dead"]}
    for who in ("portale", "revisore"):
        for act, more in (("redeliver", {}), ("discard", {}), ("decide", {"decision": "again"})):
            with pytest.raises(ClientError) as refused:
                town.client(who).post(f"/dead/{run}/{act}", {**REASON, **more})
            assert refused.value.status == 403
    with pytest.raises(ClientError) as refused:
        town.client("portale").get("/dead")
    assert refused.value.status == 403
    with pytest.raises(ClientError) as refused:
        town.client("sistemista").post(f"/dead/{run}/decide", {**REASON, "decision": "again"})
    assert refused.value.code == "dead.no-doubt"


def test_what_is_discarded_stays_undone_and_cannot_be_acted_on_again(troubled: Town, istanza: str) -> None:
    troubled.simulators["protocollo"].faults([{"fault": "refuse", "code": "101", "operation": "protocollazione", "times": 1}])
    present(troubled, building(istanza, "CIL"), wait=1)
    run = dead_of(troubled, f"istanza:{istanza}")["run"]
    operator = troubled.client("sistemista")
    assert operator.post(f"/dead/{run}/discard", REASON)["state"] == "cancelled"
    for act in ("discard", "redeliver"):
        with pytest.raises(ClientError) as refused:
            operator.post(f"/dead/{run}/{act}", REASON)
        assert refused.value.code == "dead.not-dead"
    assert registrations(troubled, istanza) == []
    assert operator.case(f"istanza:{istanza}")["state"] == "cancelled"


def _mail_in_doubt(town: Town, istanza: str) -> dict[str, Any]:
    """A mail whose delivery nobody confirmed: the app had refused, so the mail was the only channel."""
    town.simulators["notifiche"].faults(
        [
            {"fault": "refuse", "code": "HTTP_400", "operation": "messaggio", "times": 1},
            {"fault": "lose_reply", "operation": "email", "times": 1},
        ]
    )
    present(town, building(istanza, "CIL"))
    letter = dead_of(town, f"istanza:{istanza}")
    assert (letter["code"], letter["place"], letter["doubt"]) == ("call.in-doubt", "notifiche.avviso@1/per-email", True)
    assert letter["evidence"], "a person must see what was sent"
    with pytest.raises(ClientError) as refused:
        town.client("sistemista").post(f"/dead/{letter['run']}/redeliver", REASON)
    assert refused.value.code == "dead.in-doubt"
    return letter


def test_a_mail_in_doubt_that_a_person_found_delivered_is_not_sent_again(troubled: Town, istanza: str) -> None:
    run = _mail_in_doubt(troubled, istanza)["run"]
    operator = troubled.client("sistemista")
    with pytest.raises(ClientError) as refused:
        operator.post(f"/dead/{run}/decide", {**REASON, "decision": "happened"})
    assert refused.value.code == "dead.answer-missing"
    operator.post(f"/dead/{run}/decide", {**REASON, "decision": "happened", "answer": {"id": "visto-dal-gestore-di-posta"}})
    case_when(troubled, f"istanza:{istanza}")
    assert notices(troubled, istanza) == ["email"]


def test_a_mail_in_doubt_that_a_person_did_not_find_is_sent_again(troubled: Town, istanza: str) -> None:
    run = _mail_in_doubt(troubled, istanza)["run"]
    troubled.client("sistemista").post(f"/dead/{run}/decide", {**REASON, "decision": "again"})
    case = case_when(troubled, f"istanza:{istanza}")
    assert notices(troubled, istanza) == ["email", "email"], "that it had arrived was the person's to see"
    [decided] = [line for line in case["timeline"] if line["kind"] == "decided"]
    assert (decided["actor"], decided["data"]["decision"]) == ("sistemista", "again")


def test_a_dead_run_holds_its_own_case_and_no_other(troubled: Town, istanza: str) -> None:
    register = troubled.simulators["protocollo"]
    register.faults([{"fault": "refuse", "code": "101", "operation": "protocollazione", "times": 1}])
    present(troubled, building(istanza, "CIL"), wait=1)
    run = dead_of(troubled, f"istanza:{istanza}")["run"]
    behind = {"istanza": istanza, "richiedente": {"codice_fiscale": ADA}, "tipo": "8", "esenzione": "6"}
    portal = troubled.client()
    held = portal.send(CERTIFICATE, behind)["id"]
    others = [f"{istanza}-{n}" for n in range(5)]
    for other in others:
        assert present(troubled, building(other, "CIL"), BUILDING)["reply"]["esito"] == "registrata"
    for other in others:
        case_when(troubled, f"istanza:{other}")
    assert portal.message(held)["state"] == "ready", "it waits behind the dead run of its case"
    troubled.client("sistemista").post(f"/dead/{run}/discard", REASON)
    assert until(lambda: portal.message(held)["reply"], "it goes on")["esito"] == "emesso"


# -- the bus itself stops ---------------------------------------------------------------------------------------------------


def test_a_bus_stopped_in_good_order_lets_its_calls_come_home(troubled: Town, istanza: str) -> None:
    register = troubled.simulators["protocollo"]
    before = len(register.ledger("registrazione"))
    register.faults([{"fault": "slow", "seconds": 0.2, "operation": "protocollazione"}])
    several = [f"{istanza}-{n}" for n in range(8)]
    for one in several:
        troubled.client().send(BUILDING, building(one, "CIL"), key=one)
    register.wait_for_effects(before + 1, "registrazione")
    troubled.stop_bus()
    troubled.start_bus()
    cases = [case_when(troubled, f"istanza:{one}") for one in several]
    told = [line["data"]["code"] for case in cases for line in case["timeline"] if line["kind"] == "unanswered"]
    assert "call.interrupted" not in told
    assert [len(registrations(troubled, one)) for one in several] == [1] * 8
    assert [len(desk_items(troubled, one)) for one in several] == [1] * 8


@pytest.mark.parametrize(
    ("system", "operation", "place", "ended"),
    [
        ("protocollo", "protocollazione", "protocolla", ["asked", "unanswered", "answered"]),
        ("edilizia", "apri-pratica", "pratica", ["asked", "unanswered", "asked", "answered"]),
        ("notifiche", "messaggio", "su-io", ["asked", "unanswered"]),
    ],
)
def test_a_bus_that_is_killed_while_it_waits_for_an_answer_knows_what_it_asked(
    troubled: Town, istanza: str, system: str, operation: str, place: str, ended: list[str]
) -> None:
    simulator = troubled.simulators[system]
    simulator.faults([{"fault": "slow", "seconds": 3.0, "operation": operation, "times": 1}])
    before = simulator.status()["requests"].get(operation, 0)
    sent = troubled.client().send(BUILDING, building(istanza, "CIL"), key=istanza)
    until(lambda: simulator.status()["requests"].get(operation, 0) > before, f"{system} is asked")
    troubled.stop_bus(signal.SIGKILL)
    simulator.wait_until_quiet()
    troubled.start_bus()
    assert troubled.client().send(BUILDING, building(istanza, "CIL"), key=istanza)["id"] == sent["id"]
    case = case_when(troubled, f"istanza:{istanza}")
    assert calls(case, place) == ended
    reply = troubled.client().message(sent["id"])["reply"]
    assert len(registrations(troubled, istanza)) == len(practices(troubled, reply["pratica"])) == len(desk_items(troubled, istanza)) == 1
    assert notices(troubled, istanza) == (["io", "email"] if system == "notifiche" else ["io"])
