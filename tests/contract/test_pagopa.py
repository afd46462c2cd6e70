"""The pagoPA adapter keeps the adapter contract against its simulator of GPD; the node's simulator plays a payment over HTTP."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from adapters.pagopa.adapter import Pagopa
from adapters.pagopa.identificativi import AuxDigit
from adapters.pagopa.modelli import PagopaSettings
from bus.adapter import Adapter, Call, Inbound, InDoubt, OutsideError, Refused, Unreachable
from bus.testing.adapter_contract import AdapterContract, Example, attempt, call, fresh, unique
from bus.testing.door import MemoryDoor
from bus.testing.simulators import RunningSimulator, start
from tests.contract.scripted_peer import http, peer

apri = build_opener(ProxyHandler({})).open
CHIAVE = "chiave-di-prova-molto-segreta"
IMPOSTAZIONI = {
    "subscription_key": CHIAVE, "id_pa": "77777777777", "id_broker_pa": "80000000001", "id_station": "80000000001_01",
    "company_name": "Comune di Esempio", "office_name": "Sportello edilizia", "iban": "IT45R0760103200000000001016",
    "tassonomia": "9/0101108TS/", "segregation_code": "02",
}  # fmt: skip
NUOVA: dict[str, Any] = {
    "debitore": {"codice_fiscale": "RSSMRA80A01H501U", "denominazione": "Rossi Maria", "email": "maria@example.it"},
    "importo": 15150, "causale": "Diritti di segreteria {unico}", "riferimento": "istanza-{unico}",
}  # fmt: skip


def chiedi(url: str, corpo: Mapping[str, Any]) -> Any:
    """POST JSON, as another system would."""
    testata = {"Content-Type": "application/json", "Ocp-Apim-Subscription-Key": "altro"}
    with apri(Request(url, json.dumps(corpo).encode(), testata), timeout=60) as risposta:
        return json.load(risposta)


def bozza(adapter: Adapter, scade: str = "2030-01-31T22:59:59Z") -> dict[str, str]:
    """A draft that somebody else loaded into GPD."""
    token = unique()
    trasferimento = {"idTransfer": "1", "amount": 100, "remittanceInformation": "x", "category": "y", "iban": IMPOSTAZIONI["iban"]}
    opzione = {"iuv": f"9{token:0>16}", "amount": 100, "description": "bozza", "isPartialPayment": False,
               "dueDate": scade, "transfer": [trasferimento]}  # fmt: skip
    posizione = {"iupd": f"bozza-{token}", "type": "F", "fiscalCode": "RSSMRA80A01H501U", "fullName": "Rossi Maria",
                 "companyName": "Comune", "switchToExpired": False, "paymentOption": [opzione]}  # fmt: skip
    chiedi(f"{adapter.settings.url}/organizations/77777777777/debtpositions", posizione)
    return {"iupd": posizione["iupd"]}


def creata(adapter: Adapter) -> dict[str, Any]:
    """What crea-posizione answered: it is what annulla-posizione is asked with."""
    risposta, _ = call(adapter, "crea-posizione", fresh(NUOVA))
    return dict(risposta.model_dump(mode="json"))


class TestPagopa(AdapterContract):
    adapter_class = Pagopa
    module = "adapters.pagopa.simulator"
    secrets = (CHIAVE, "RSSMRA80A01H501U", "Rossi")
    examples = (
        Example("crea-posizione", NUOVA, effect_kind="posizione", refusal="400", refused_as="HTTP_400", operation_match="crea-posizione"),
        Example("leggi-posizione", {}, given=creata, refusal="403", refused_as="HTTP_403", operation_match="leggi-posizione"),
        Example("pubblica-posizione", {}, "pubblicazione", "401", "pubblica-posizione", refused_as="HTTP_401", given=bozza),
        Example("annulla-posizione", {}, "annullamento", "400", "annulla-posizione", refused_as="HTTP_400", given=creata),
    )

    @classmethod
    def settings(cls, url: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"url": url, **IMPOSTAZIONI}

    def test_what_was_made_is_read_as_it_was_made(self, adapter: Adapter) -> None:
        risposta = creata(adapter)
        letta, _ = call(adapter, "leggi-posizione", {"iupd": risposta["iupd"]})
        assert letta.stato == risposta["stato"] == "VALID"
        assert {nome: letta.model_dump(mode="json")[nome] for nome in risposta} == risposta

    def test_a_position_that_somebody_else_let_fall_due_on_the_last_of_all_days_is_read(self, adapter: Adapter) -> None:
        nome = bozza(adapter, "9999-12-31T23:59:59Z")
        letta, _ = call(adapter, "leggi-posizione", nome)
        assert letta.scadenza == dt.date(9999, 12, 31)

    def test_the_fact_is_there_before_and_after_the_answer(self, adapter: Pagopa) -> None:
        adesso = dt.datetime(2026, 12, 31, 23, 30, tzinfo=dt.UTC)
        done = attempt(adapter, "crea-posizione", fresh(NUOVA), now=adesso)
        (fatto,) = done.ctx.facts
        assert isinstance(fatto.value, dict)
        assert (fatto.kind, fatto.key, fatto.value["stato"]) == ("posizione", done.answer.numero_avviso, "VALID")
        assert done.answer.scadenza == dt.date(2027, 1, 31), "thirty days from the first of January in Italy"
        prima = adapter.prepara(done.operation.request.model_validate(fresh(NUOVA)), done.ctx).facts[0]
        assert isinstance(prima.value, dict)
        assert (prima.key, prima.value["stato"]) == (fatto.key, "CREATA")

    def test_the_debtor_is_in_no_address_and_no_note(self, adapter: Adapter) -> None:
        _, ctx = call(adapter, "crea-posizione", fresh(NUOVA))
        assert not [e for e in ctx.exchanges if "RSSMRA" in e.note]
        assert ctx.exchanges[0].note.startswith("POST /organizations/77777777777/debtpositions")

    def test_an_application_named_after_its_applicant_is_paid_for_without_naming_the_applicant(self, adapter: Adapter) -> None:
        causale = "Diritti, istanza rssmra80a01h501u-02032026-0900"
        risposta, ctx = call(adapter, "crea-posizione", fresh(NUOVA) | {"causale": causale})
        letta, _ = call(adapter, "leggi-posizione", {"iupd": risposta.iupd})
        assert letta.causale == "Diritti, istanza ...-02032026-0900"
        assert ctx.exchanges[0].content.upper().count(b"RSSMRA80A01H501U") == 1, "as the debtor's code, and nowhere else"

    def test_the_same_iupd_with_another_content_is_refused(self, adapter: Adapter) -> None:
        chiave, numero = hashlib.sha256(unique().encode()).hexdigest(), int(unique()) + 500_000
        prima = fresh(NUOVA)
        call(adapter, "crea-posizione", prima, key=chiave, number=numero)
        done = attempt(adapter, "crea-posizione", prima | {"importo": 15151}, key=chiave, number=numero)
        assert isinstance(done.error, Refused)
        assert done.error.outside_code == "POSIZIONE_DIVERSA"
        assert done.error.evidence == {"dettaglio": "amount, transfer"}

    def test_numbers_can_begin_after_those_of_other_software(self, simulator: RunningSimulator) -> None:
        adapter = self.build({**self.settings(simulator.url, {}), "iuv_iniziale": 7_000_000})
        risposta, _ = call(adapter, "crea-posizione", fresh(NUOVA), number=12)
        adapter.close()
        assert risposta.iuv.startswith("020000007000012")

    def test_an_iuv_that_is_taken_under_another_iupd_is_refused(self, adapter: Adapter) -> None:
        numero = int(unique()) + 600_000
        call(adapter, "crea-posizione", fresh(NUOVA), number=numero)
        done = attempt(adapter, "crea-posizione", fresh(NUOVA), number=numero)
        assert isinstance(done.error, Refused)
        assert done.error.outside_code == "IUV_GIA_USATO"

    def test_a_duplicate_that_cannot_be_read_back_leaves_doubt(self, adapter: Adapter, simulator: RunningSimulator) -> None:
        done = attempt(adapter, "crea-posizione", richiesta := fresh(NUOVA))
        simulator.faults([{"fault": "lose_reply", "operation": "leggi-posizione", "times": 1}])
        again = attempt(adapter, "crea-posizione", richiesta, key=done.ctx.key, number=done.ctx.number)
        assert isinstance(again.error, InDoubt)

    def test_a_duplicate_is_read_back_in_the_time_that_is_left(self, adapter: Adapter, simulator: RunningSimulator) -> None:
        done = attempt(adapter, "crea-posizione", richiesta := fresh(NUOVA))
        simulator.faults([{"fault": "slow", "seconds": 4.0}])  # of which two are more than the call has, and each is less
        again = attempt(adapter, "crea-posizione", richiesta, key=done.ctx.key, number=done.ctx.number, timeout=5.0)
        assert isinstance(again.error, InDoubt)

    def test_a_duplicate_that_we_may_not_read_back_leaves_doubt_and_says_so(self, adapter: Adapter, simulator: RunningSimulator) -> None:
        done = attempt(adapter, "crea-posizione", richiesta := fresh(NUOVA))
        simulator.faults([{"fault": "refuse", "operation": "leggi-posizione", "times": 1, "code": "403"}])
        again = attempt(adapter, "crea-posizione", richiesta, key=done.ctx.key, number=done.ctx.number)
        assert (type(again.error), again.error.outside_code, again.error.locked_out) == (InDoubt, "HTTP_403", True)

    @pytest.mark.parametrize("operazione", ["leggi-posizione", "pubblica-posizione", "annulla-posizione"])
    def test_a_position_that_is_not_there_is_named(self, adapter: Adapter, operazione: str) -> None:
        done = attempt(adapter, operazione, {"iupd": "mai-vista"})
        assert isinstance(done.error, Refused)
        assert done.error.outside_code == "NON_TROVATA"

    def test_a_paid_position_cannot_be_annulled(self, adapter: Adapter) -> None:
        risposta = creata(adapter)
        chiedi(f"{adapter.settings.url}/organizations/77777777777/paymentoptions/{risposta['iuv']}/pay", {})
        done = attempt(adapter, "annulla-posizione", risposta)
        assert isinstance(done.error, Refused)
        assert (done.error.outside_code, done.error.evidence) == ("STATO_NON_AMMESSO", {"dettaglio": "PAID"})

    def test_publishing_and_annulling_are_remembered_for_the_node(self, adapter: Adapter) -> None:
        risposta = creata(adapter)
        _, ctx = call(adapter, "annulla-posizione", risposta)
        assert [(f.kind, f.key, f.value) for f in ctx.facts] == [
            ("stato", risposta["numero_avviso"], {"stato": "INVALID", "iupd": risposta["iupd"]})
        ]

    def test_a_position_that_has_expired_is_annulled_by_that(self, adapter: Adapter) -> None:
        """GPD answers 409 there, as for a paid one; nobody paid it, and nobody can."""
        risposta, _ = call(adapter, "crea-posizione", fresh(NUOVA) | {"scadenza": "2026-01-31"})
        done = attempt(adapter, "annulla-posizione", risposta.model_dump(mode="json"))
        assert (done.error, done.answer and done.answer.stato) == (None, "EXPIRED")
        assert [fatto.value for fatto in done.ctx.facts] == [{"stato": "INVALID", "iupd": risposta.iupd}]

    def test_without_the_key_of_the_subscription_gpd_refuses(self, adapter: Adapter, simulator: RunningSimulator) -> None:
        settings = PagopaSettings.model_validate(self.settings(simulator.url, {}))
        senza = Pagopa("pagopa", settings.model_copy(update={"subscription_key": ""}))
        done = attempt(senza, "crea-posizione", fresh(NUOVA))
        senza.close()
        assert isinstance(done.error, Refused)
        assert done.error.outside_code == "HTTP_401"


@pytest.mark.parametrize("aux", [0, 1, 2, 3])
def test_a_position_whose_notice_number_gpd_does_not_say_is_annulled_for_the_node_too(aux: AuxDigit) -> None:
    """Of aux digit 0 it was remembered under another number: at the node the notice could still be paid."""
    settings = PagopaSettings.model_validate({**IMPOSTAZIONI, "url": "http://127.0.0.1:1", "aux_digit": aux, "application_code": "12"})
    iuv, avviso = settings.identificativi(7)
    trasferimento = {"idTransfer": "1", "amount": 100, "remittanceInformation": "x", "category": "9/0101108TS/"}
    opzione = {"iuv": iuv, "amount": 100, "description": "x", "dueDate": "2026-03-31T21:59:59Z", "transfer": [trasferimento]}
    detta = {"iupd": "a-1", "status": "INVALID", "companyName": "Comune", "paymentOption": [opzione]}
    with peer(http(200, json.dumps(detta).encode())) as (url, _):
        adapter = Pagopa("pagopa", settings.model_copy(update={"url": url}))
        _, ctx = call(adapter, "annulla-posizione", {"iupd": "a-1"})
        adapter.close()
    assert [(fatto.kind, fatto.key) for fatto in ctx.facts] == [("stato", avviso)]


class Portineria(BaseHTTPRequestHandler):
    """A gateway that does not find GPD: a 404 of its own to all but a new position, which is a duplicate."""

    def do_GET(self, status: int = 404, content: bytes = b"<html>no upstream</html>") -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET(*((409, b"{}") if "toPublish" in self.path else ()))

    def log_message(self, *_: Any) -> None:
        """Silent."""


class PortineriaDiPagopa(Portineria):
    """Azure API Management, before pagoPA and App IO, asked under an address that it does not serve."""

    def do_GET(self, status: int = 404, content: bytes = b'{"statusCode": 404, "message": "Resource not found"}') -> None:
        super().do_GET(status, content)


@pytest.mark.parametrize("portineria", [Portineria, PortineriaDiPagopa])
@pytest.mark.parametrize(
    ("operazione", "errore"),
    [("crea-posizione", InDoubt), ("leggi-posizione", Unreachable), ("pubblica-posizione", InDoubt), ("annulla-posizione", InDoubt)],
)
def test_a_gateway_that_does_not_find_gpd_says_nothing_of_the_position(
    operazione: str, errore: type[OutsideError], portineria: type[Portineria]
) -> None:
    error = errore_davanti_a(portineria, operazione, fresh(NUOVA) if operazione == "crea-posizione" else {"iupd": "77777777777-1"})
    assert type(error) is errore, error


def errore_davanti_a(sistema: type[BaseHTTPRequestHandler], operazione: str, richiesta: Mapping[str, Any]) -> OutsideError | None:
    """How a call ends before a system that is not GPD's simulator."""
    with ThreadingHTTPServer(("127.0.0.1", 0), sistema) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        adapter = Pagopa("pagopa", PagopaSettings.model_validate({"url": f"http://127.0.0.1:{server.server_port}", **IMPOSTAZIONI}))
        done = attempt(adapter, operazione, richiesta)
        adapter.close()
        server.shutdown()
    return done.error


@pytest.mark.parametrize(
    ("wsdl", "missing"),
    [("pagopa/contract/paForNode.wsdl", 0), ("anagrafe/contract/anagrafe.wsdl", 6), ("anagrafe/adapter.py", 1), ("nessuno.wsdl", 1)],
)
def test_a_contract_that_is_not_the_nodes_is_found_before_the_node_calls(wsdl: str, missing: int) -> None:
    scelte = {"url": "http://127.0.0.1:1", "wsdl": str(Path(__file__).parents[2] / "adapters" / wsdl), **IMPOSTAZIONI}
    found = [*Pagopa("pagopa", PagopaSettings.model_validate(scelte)).check()]
    assert len(found) == missing
    assert not [one for one in found if "config." in one], "they are told under a code already"


class SenzaOpzioni(Portineria):
    """GPD, with a position of which nothing is to be paid."""

    def do_GET(self) -> None:  # type: ignore[override]
        posizione = {"iupd": "77777777777-1", "type": "F", "fiscalCode": "RSSMRA80A01H501U", "fullName": "Rossi Maria",
                     "companyName": "Comune", "status": "VALID", "paymentOption": []}  # fmt: skip
        super().do_GET(200, json.dumps(posizione).encode())


def test_a_position_without_a_payment_is_no_answer_that_can_be_read() -> None:
    error = errore_davanti_a(SenzaOpzioni, "leggi-posizione", {"iupd": "77777777777-1"})
    assert type(error) is Unreachable
    assert "paymentOption" in error.sentence


@pytest.mark.parametrize(
    ("stato", "codice"),
    [
        *((stato, "NON_PAGABILE") for stato in ("DRAFT", "INVALID", "EXPIRED")),
        *((stato, "") for stato in ("VALID", "PUBLISHED", "PARTIALLY_PAID", "PAID", "REPORTED")),
    ],
)
def test_a_position_that_nobody_can_pay_is_not_handed_to_a_citizen(stato: str, codice: str) -> None:
    """A proxy that took the query away left a draft: the citizen had the number of a notice that no bank knew."""

    class Bozze(Portineria):
        def do_POST(self) -> None:
            self.do_GET(201, json.dumps({"status": stato}).encode())

    error = errore_davanti_a(Bozze, "crea-posizione", fresh(NUOVA))
    assert (error.outside_code if error else "") == codice
    assert error is None or error.evidence == {"dettaglio": stato}


class Smemorata(Portineria):
    """GPD, where a position is in conflict with what is asked, and gone when it is read."""

    def do_GET(self, status: int = 404, content: bytes = b'{"title": "NOT FOUND", "status": 404}') -> None:
        super().do_GET(status, content)

    def do_POST(self) -> None:
        self.do_GET(409, b"{}")


@pytest.mark.parametrize("operazione", ["pubblica-posizione", "annulla-posizione"])
def test_a_position_that_is_gone_after_a_conflict_is_not_there(operazione: str) -> None:
    error = errore_davanti_a(Smemorata, operazione, {"iupd": "77777777777-1"})
    assert error is not None
    assert (error.outside_code, error.sentence) == ("NON_TROVATA", "GPD has no position with that iupd: 77777777777-1")


class Ingresso:
    """The adapter's endpoint behind a small HTTP server, as the web door serves it."""

    def __init__(self) -> None:
        self.porta = MemoryDoor(dt.datetime.now(dt.UTC))
        self.adapter = Pagopa("pagopa", PagopaSettings.model_validate({"url": "http://127.0.0.1:1", **IMPOSTAZIONI}))
        punto, porta = self.adapter.endpoints()[0], self.porta

        class Mano(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                corpo = self.rfile.read(int(self.headers["Content-Length"]))
                testate = {nome.lower(): valore for nome, valore in self.headers.items()}
                risposta = punto.handle(Inbound("POST", self.path, testate, {}, corpo, "127.0.0.1"), porta)
                self.send_response(risposta.status)
                self.send_header("Content-Type", risposta.media_type)
                self.send_header("Content-Length", str(len(risposta.body)))
                self.end_headers()
                self.wfile.write(risposta.body)

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Mano)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/in/pagopa"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def posizione(self, numero: int) -> str:
        richiesta = self.adapter.operations["crea-posizione"].request.model_validate(fresh(NUOVA))
        ctx = Call(key=f"{numero:064x}", timeout=5, now=dt.datetime.now(dt.UTC), number=numero)
        fatto = self.adapter.prepara(richiesta, ctx).facts[0]  # type: ignore[arg-type]
        assert isinstance(fatto.value, dict)
        self.porta.facts[fatto.kind, fatto.key] = fatto.value | {"stato": "VALID"}
        return fatto.key

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.adapter.close()


@pytest.fixture
def ingresso() -> Iterator[Ingresso]:
    ingresso = Ingresso()
    yield ingresso
    ingresso.close()


def avvia_nodo(folder: Path, url: str) -> RunningSimulator:
    scelte = [
        "--target",
        url,
        "--id-pa",
        "77777777777",
        "--id-broker-pa",
        "80000000001",
        "--id-station",
        "80000000001_01",
        "--slot",
        "0.02",
    ]
    return start("adapters.pagopa.node", folder, *scelte)


def test_a_citizen_pays_through_the_node(ingresso: Ingresso, tmp_path: Path) -> None:
    avviso = ingresso.posizione(1)
    with avvia_nodo(tmp_path, ingresso.url) as nodo:
        storia = chiedi(f"{nodo.url}/pay", {"noticeNumber": avviso, "lose": 1, "repeat": 1})
        ancora = chiedi(f"{nodo.url}/pay", {"noticeNumber": avviso})
        ledger = nodo.ledger()
    assert storia["paid"]
    assert (storia["receipt"]["outcome"], storia["attempts"]) == ("OK", 3)
    assert [(e["kind"], e["detail"]["outcome"]) for e in ledger] == [
        ("pagamento", "OK"), ("ricevuta", "KO"), ("ricevuta", "OK"), ("ricevuta", "OK"),
    ]  # fmt: skip
    assert len(ingresso.porta.of_type("pagopa.ricevuta")) == 1
    assert (ancora["paid"], ancora["verify"]["fault"]) == (False, "PAA_PAGAMENTO_DUPLICATO")


@pytest.mark.parametrize(
    ("ordine", "fault", "motivo"),
    [
        ({"amount": 1}, "PAA_SEMANTICA", "IMPORTO_DIVERSO"),
        (
            {"noticeNumber": "302000000000099999", "iuv": "02000000000099999", "amount": 500},
            "PAA_PAGAMENTO_SCONOSCIUTO",
            "POSIZIONE_SCONOSCIUTA",
        ),
    ],
)
def test_the_node_can_pay_wrongly(ingresso: Ingresso, tmp_path: Path, ordine: dict[str, Any], fault: str, motivo: str) -> None:
    avviso = ingresso.posizione(1)
    with avvia_nodo(tmp_path, ingresso.url) as nodo:
        storia = chiedi(f"{nodo.url}/pay", {"noticeNumber": avviso, "version": 1, **ordine})
    assert storia["receipt"]["fault"] == fault
    assert [a["motivo"] for a in ingresso.porta.of_type("pagopa.ricevuta-anomala")] == [motivo]


def test_a_receipt_that_nobody_took_is_sent_again_when_the_node_comes_back(ingresso: Ingresso, tmp_path: Path) -> None:
    avviso = ingresso.posizione(1)
    ingresso.server.shutdown()
    with avvia_nodo(tmp_path, ingresso.url.replace("/in/pagopa", "/chiuso")) as nodo:
        ingresso.server.server_close()
        ordine = {"noticeNumber": avviso, "iuv": avviso[1:], "amount": 15150, "receiptId": "tornata"}
        storia = chiedi(f"{nodo.url}/pay", ordine)
        assert storia["receipt"]["ppt"] == "PPT_STAZIONE_INT_PA_IRRAGGIUNGIBILE"
    aperto = Ingresso()
    aperto.porta.facts.update(ingresso.porta.facts)
    with avvia_nodo(tmp_path, aperto.url) as nodo:
        ricevute = nodo.wait_for_effects(storia["attempts"] + 1, "ricevuta")
    aperto.close()
    assert ricevute[-1]["detail"]["outcome"] == "OK"
    assert [r["ricevuta"] for r in aperto.porta.of_type("pagopa.ricevuta")] == ["tornata"]
