"""App IO and e-mail against their simulator."""

import datetime as dt
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import ValidationError

from adapters.notifiche.adapter import Notifiche, NotificheSettings
from bus.adapter import InDoubt, Refused, Unreachable
from bus.testing.adapter_contract import AdapterContract, Example, attempt, call, fresh
from bus.testing.patience import until

QUI, ASSENTE, BLOCCATO = "RSSMRA80A01B429X", "VRDLGU70B02H501K", "BNCNNA75C43F205Q"
TESTO = "La tua pratica {unico} è stata presa in carico dallo Sportello unico per l’edilizia. Riceverai altri messaggi qui. "
MESSAGGIO = {"codice_fiscale": QUI, "oggetto": "Pratica {unico} presa in carico", "testo": TESTO}
AVVISO = {"numero_avviso": "302000100000019421", "importo": 5000, "scadenza": "2026-07-31"}
MAIL = {"destinatario": "maria.rossi@posta.example", "oggetto": "Pratica {unico}", "testo": "Buongiorno,\n.la pratica è qui\n"}
CHIAVE = "chiave-segreta-di-io"


class TestNotifiche(AdapterContract):
    adapter_class = Notifiche
    module = "adapters.notifiche.simulator"
    arguments = ("--api-key", CHIAVE, "--absent", ASSENTE, "--blocked", BLOCCATO, "--bounce", "nessuno@posta.example")
    secrets = (CHIAVE, QUI)
    examples = (
        Example("profilo-io", {"codice_fiscale": QUI}, refusal="HTTP_403", operation_match="profilo"),
        Example("messaggio-io", {**MESSAGGIO, "avviso": AVVISO}, "messaggio-io", refusal="HTTP_400", operation_match="messaggio"),
        Example("email", MAIL, "email", refusal="550", refused_as="MESSAGGIO_RIFIUTATO", operation_match="email"),
    )

    @classmethod
    def settings(cls, url, facts):
        return {
            "url": url,
            "chiave": CHIAVE,
            "ente": "01234567890",
            "smtp_host": "127.0.0.1",
            "smtp_port": facts["smtp_port"],
            "smtp_cifratura": "nessuna",
            "mittente": "sue@comune.example",
        }

    @classmethod
    def dead_settings(cls, facts):
        return {**super().dead_settings(facts), "smtp_port": 1}

    @pytest.mark.parametrize(("who", "expected"), [(QUI, (True, True)), (BLOCCATO, (True, False)), (ASSENTE, (False, False))])
    def test_a_profile_says_whether_we_may_write(self, adapter, who, expected):
        answer, _ = call(adapter, "profilo-io", {"codice_fiscale": who})
        assert (answer.presente, answer.consentito) == expected

    def test_a_message_carries_the_notice_as_app_io_wants_it(self, adapter, simulator):
        call(adapter, "messaggio-io", {**MESSAGGIO, "avviso": AVVISO})
        content = simulator.ledger("messaggio-io")[-1]["detail"]["content"]
        assert content["payment_data"] == {
            "notice_number": "302000100000019421",
            "amount": 5000,
            "invalid_after_due_date": True,
            "payee": {"fiscal_code": "01234567890"},
        }
        assert content["due_date"] == "2026-07-31T21:59:59.000Z"

    @pytest.mark.parametrize(("when", "expires"), [({"scadenza": None}, True), ({}, False)])
    def test_a_notice_that_can_always_be_paid_is_told_so(self, simulator, when, expires):
        adapter = self.build({**self.settings(simulator.url, simulator.facts), "avvisi_scadono": expires})
        call(adapter, "messaggio-io", {**MESSAGGIO, "avviso": {**AVVISO, **when}})
        adapter.close()
        told = simulator.ledger("messaggio-io")[-1]["detail"]["content"]["payment_data"]
        assert told["invalid_after_due_date"] is False

    @pytest.mark.parametrize(
        "wrong",
        [
            {"oggetto": "x" * 9},
            {"oggetto": "x" * 121},
            {"oggetto": "x" * 119 + "🏠"},
            {"testo": "x" * 79},
            {"testo": "x" * 10_001},
            {"avviso": {**AVVISO, "numero_avviso": "40200010000001942"}},
            {"avviso": {**AVVISO, "importo": 0}},
            {"avviso": {**AVVISO, "importo": 10_000_000_000}},
            {"codice_fiscale": "RSSMRA80A01B429"},
        ],
    )
    def test_a_message_beyond_the_limits_never_leaves(self, adapter, simulator, wrong):
        seen = simulator.status()["requests"]
        with pytest.raises(ValidationError):
            call(adapter, "messaggio-io", {**MESSAGGIO, **wrong})
        assert simulator.status()["requests"] == seen

    @pytest.mark.parametrize("edge", [{"oggetto": "x" * 10}, {"oggetto": "x" * 120}, {"testo": "x" * 80}, {"testo": "x" * 10_000}])
    def test_a_message_at_the_limits_is_taken(self, adapter, edge):
        answer, _ = call(adapter, "messaggio-io", {**MESSAGGIO, **edge})
        assert answer.stato == "ACCEPTED"

    def test_too_many_requests_says_when_to_come_back(self, adapter, simulator):
        simulator.faults([{"fault": "refuse", "operation": "messaggio", "code": "HTTP_429", "times": 1}])
        done = attempt(adapter, "messaggio-io", MESSAGGIO)
        assert isinstance(done.error, Unreachable)
        assert done.error.retry_after == 7

    def test_a_mail_arrives_as_it_was_written(self, adapter, simulator):
        answer, _ = call(adapter, "email", {**MAIL, "oggetto": "Così è più chiaro: perché no?"})
        [found] = [one for one in simulator.ledger("email") if one["detail"]["id"] == answer.id]
        assert found["key"] == "maria.rossi@posta.example"
        assert found["detail"]["oggetto"] == "Così è più chiaro: perché no?"
        assert found["detail"]["testo"].replace("\r\n", "\n") == MAIL["testo"]

    def test_a_mail_is_ascii_on_the_wire_which_every_server_takes(self, adapter):
        _, ctx = call(adapter, "email", {**MAIL, "testo": "La pratica è già protocollata."})
        assert all(one.content.isascii() for one in ctx.exchanges if one.direction == "out")

    def test_the_same_call_has_the_same_message_id(self, adapter):
        first = attempt(adapter, "email", MAIL)
        again = attempt(adapter, "email", MAIL, key=first.ctx.key)
        assert first.answer == again.answer

    @pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"])
    def test_a_subject_with_the_end_of_a_line_that_is_none_of_mail_s_is_sent(self, adapter, simulator, end):
        call(adapter, "email", {**MAIL, "oggetto": f"Pratica{end}presa in carico"})
        assert simulator.ledger("email")[-1]["detail"]["oggetto"] == "Pratica presa in carico"

    def test_a_mailbox_that_does_not_exist_is_refused_and_nothing_is_sent(self, adapter, simulator):
        before = len(simulator.ledger("email"))
        with pytest.raises(Refused) as refused:
            call(adapter, "email", {**MAIL, "destinatario": "nessuno@posta.example"})
        assert refused.value.outside_code == "DESTINATARIO_RIFIUTATO"
        assert len(simulator.ledger("email")) == before

    def test_a_mail_server_that_is_busy_is_unreachable(self, adapter, simulator):
        simulator.faults([{"fault": "refuse", "operation": "email", "code": "451", "times": 1}])
        with pytest.raises(Unreachable):
            call(adapter, "email", MAIL)

    def test_a_mail_server_without_the_encryption_we_ask_is_refused(self, simulator):
        adapter = self.build({**self.settings(simulator.url, simulator.facts), "smtp_cifratura": "starttls"})
        with pytest.raises(Refused) as refused:
            call(adapter, "email", MAIL)
        adapter.close()
        assert refused.value.outside_code == "CIFRATURA_RIFIUTATA"

    def test_mail_credentials_are_not_kept_as_evidence(self, simulator):
        adapter = self.build({**self.settings(simulator.url, simulator.facts), "smtp_utente": "sue", "smtp_password": "parola-segreta"})
        done = attempt(adapter, "email", MAIL)
        adapter.close()
        assert (done.error.outside_code, done.error.locked_out) == ("ACCESSO_RIFIUTATO", True)
        assert b"parola-segreta" not in done.wire

    @pytest.mark.parametrize(
        "wrong", [{"destinatario": "a@b"}, {"destinatario": "a@b.it\r\nRCPT TO:<c@d.it>"}, {"oggetto": "x\r\nBcc: tutti@posta.example"}]
    )
    def test_a_mail_that_would_carry_more_than_a_mail_never_leaves(self, adapter, wrong):
        with pytest.raises(ValidationError):
            call(adapter, "email", {**MAIL, **wrong})

    def test_a_mail_lost_after_the_last_byte_is_in_doubt_and_was_delivered(self, adapter, simulator):
        before = len(simulator.ledger("email"))
        simulator.faults([{"fault": "lose_reply", "operation": "email", "times": 1}])
        done = attempt(adapter, "email", MAIL)
        assert isinstance(done.error, InDoubt)
        assert len(simulator.ledger("email")) == before + 1

    def test_the_due_date_follows_italian_winter_time_too(self, adapter):
        done = attempt(adapter, "messaggio-io", {**MESSAGGIO, "avviso": {**AVVISO, "scadenza": dt.date(2026, 12, 31)}})
        sent = json.loads(done.ctx.exchanges[0].content)
        assert sent["content"]["due_date"] == "2026-12-31T22:59:59.000Z"


class SenzaCorpo(BaseHTTPRequestHandler):
    """App IO, of whose 201 the contract asks for neither an id in the body nor for `Location`."""

    body, location = b"", ""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        if self.location:
            self.send_header("Location", self.location)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        """Silent."""


@pytest.mark.parametrize(
    ("body", "location", "id"),
    [
        (b"", "", ""),
        (b"{}", "", ""),
        (b"", f"https://api.io.example/api/v1/messages/{QUI}/01BX9NSMKVXXS5PSP2FATZMYYY", "01BX9NSMKVXXS5PSP2FATZMYYY"),
        (b'{"id": "01BX9NSMKVXXS5PSP2FATZMYYZ"}', "/messages/01BX9NSMKVXXS5PSP2FATZMYYY", "01BX9NSMKVXXS5PSP2FATZMYYZ"),
        (b"", f"/messages/{QUI}", ""),
    ],
)
def test_a_message_that_app_io_says_it_made_is_sent_whatever_it_says_of_its_name(body, location, id):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Server", (SenzaCorpo,), {"body": body, "location": location}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    adapter = Notifiche("notifiche", NotificheSettings.model_validate(TestNotifiche.settings(url, {"smtp_port": 1})))
    answer, _ = call(adapter, "messaggio-io", MESSAGGIO)
    assert (answer.id, answer.stato) == (id, "ACCEPTED")
    adapter.close()
    server.shutdown()
    server.server_close()


def _mail_server(answers, seen=None):
    """A mail server of one session, that answers the verbs it is told of in its own way; None is silence. Its port."""
    seen = [] if seen is None else seen
    usual = {"": b"220 posta", "EHLO": b"250-posta\r\n250 AUTH PLAIN", "DATA": b"354 dica", ".": b"250 presa"} | answers
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener, listener.accept()[0] as line, line.makefile("rb") as said:
            verb = ""
            while True:
                if usual.get(verb, b"250 bene") is not None:
                    line.sendall(usual.get(verb, b"250 bene") + b"\r\n")
                words = said.readline().upper().split()
                while verb == "DATA" and words[:1] != [b"."]:
                    if not (told := said.readline()):
                        return
                    words = told.split()
                if not words:
                    return
                verb = words[0].decode("ascii", "replace")
                seen.append(verb)
                if verb == "QUIT":
                    return

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


@pytest.mark.parametrize(
    ("answers", "error", "sentence"),
    [
        ({"": b"554 non qui"}, Unreachable, "mail: the mail server answered 554"),
        ({"": b"HTTP/1.1 400 Bad Request"}, Unreachable, "mail: who answered is no mail server"),
        ({"": b"220 " + b"x" * 9000}, Unreachable, "mail: who answered is no mail server"),
        ({"AUTH": b"454 4.7.0 temporary authentication failure"}, Unreachable, "mail: the mail server answered 454"),
        ({"AUTH": b"535 no"}, Refused, "the mail server does not take our credentials"),
        ({"EHLO": b"250-posta\r\n250 AUTH XOAUTH2"}, Refused, "the mail server does not take our credentials"),
        ({"EHLO": b"250 posta"}, Refused, "the mail server does not take our credentials"),
        ({"AUTH": b"235 entri", "MAIL": b"530 no"}, Refused, "the mail server answered 530: it wants credentials, or encryption"),
        ({"AUTH": b"235 entri", "RCPT": b"450 greylisted"}, Unreachable, "the mail server answered 450"),
        ({"AUTH": b"235 entri", "RCPT": None}, Unreachable, "mail: no answer in time"),
        ({"AUTH": b"235 entri", ".": None}, InDoubt, "mail: no answer in time"),
        ({"AUTH": b"235 entri", ".": b"vai"}, InDoubt, "the mail was handed over and the mail server's reply means nothing"),
        ({"AUTH": b"235 entri", "RCPT": b"252 forse", ".": b"251 altrove"}, None, None),  # by its first digit (RFC 5321, 4.2.1)
    ],
)
def test_what_a_mail_server_says_or_does_not_is_told_as_it_is(answers, error, sentence):
    settings = {
        "url": "http://127.0.0.1:9", "chiave": "x", "smtp_host": "127.0.0.1", "smtp_port": _mail_server(answers), "smtp_cifratura": "nessuna",
        "smtp_utente": "snodo", "smtp_password": "segreta", "mittente": "sue@comune.example",
    }  # fmt: skip
    adapter = Notifiche("notifiche", NotificheSettings.model_validate(settings))
    done = attempt(adapter, "email", fresh(MAIL), timeout=1.0 if None in answers.values() else 30.0)
    assert (done.error and type(done.error), done.error and done.error.sentence) == (error, sentence)
    assert done.error is None or done.error.answered == ("means nothing" in sentence)
    assert done.error is None or done.error.locked_out == ("credentials" in sentence) == (done.error.outside_code == "ACCESSO_RIFIUTATO")


def test_a_mail_whose_end_did_not_leave_is_surely_not_sent(monkeypatch):
    """A server that hung up in the middle left a doubt, and a person to decide it."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def serve():
        with listener, listener.accept()[0] as line, line.makefile("rb") as said:
            for answer in (b"220 posta", b"250 bene", b"250 bene", b"250 bene"):
                line.sendall(answer + b"\r\n")
                said.readline()
            line.sendall(b"354 dica\r\n")
            until_the_end.wait(10)

    until_the_end = threading.Event()
    threading.Thread(target=serve, daemon=True).start()
    settings = {
        "url": "http://127.0.0.1:9", "chiave": "x", "smtp_host": "127.0.0.1", "smtp_port": listener.getsockname()[1],
        "smtp_cifratura": "nessuna", "mittente": "sue@comune.example",
    }  # fmt: skip
    monkeypatch.setattr("adapters.notifiche.posta._content_of", lambda mail: b"x" * 20_000_000)  # more than the kernel takes at once
    done = attempt(Notifiche("notifiche", NotificheSettings.model_validate(settings)), "email", fresh(MAIL), timeout=1.0)
    until_the_end.set()
    assert (type(done.error), done.error.sentence) == (Unreachable, "mail: no answer in time")


@pytest.mark.parametrize("wrong", [{"smtp_password": "città-1"}, {"smtp_utente": "sue\n"}])
def test_credentials_that_no_mail_server_is_told_are_a_finding_of_the_settings(wrong):
    given = {"url": "http://127.0.0.1:9", "chiave": "x", "smtp_host": "127.0.0.1", "mittente": "sue@comune.example"}
    with pytest.raises(ValidationError, match="holds characters beyond ASCII"):
        NotificheSettings.model_validate({**given, **wrong})


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, ["EHLO", "MAIL", "RCPT", "DATA", ".", "QUIT"]),
        ({"RCPT": b"550 nessuno"}, ["EHLO", "MAIL", "RCPT", "QUIT"]),
        ({"MAIL": b"451 poi"}, ["EHLO", "MAIL", "QUIT"]),
    ],
)
def test_a_mail_server_is_left_with_quit_whatever_it_said(answers, said):
    """Servers note who just hangs up, and slow them down."""
    settings = {
        "url": "http://127.0.0.1:9", "chiave": "x", "smtp_host": "127.0.0.1", "smtp_port": _mail_server(answers, seen := []),
        "smtp_cifratura": "nessuna", "mittente": "sue@comune.example",
    }  # fmt: skip
    attempt(Notifiche("notifiche", NotificheSettings.model_validate(settings)), "email", fresh(MAIL), timeout=5.0)
    until(lambda: len(seen) >= len(said), "it has heard the last word")
    assert seen == said


@pytest.mark.parametrize(("helo", "error"), [(b"250 posta", None), (b"550 chi sei?", Refused)])
def test_a_mail_server_that_knows_no_ehlo_is_greeted_with_helo(helo, error):
    settings = {
        "url": "http://127.0.0.1:9", "chiave": "x", "smtp_host": "127.0.0.1", "smtp_cifratura": "nessuna", "mittente": "sue@comune.example",
        "smtp_port": _mail_server({"EHLO": b"502 non lo conosco", "HELO": helo}),
    }  # fmt: skip
    done = attempt(Notifiche("notifiche", NotificheSettings.model_validate(settings)), "email", fresh(MAIL), timeout=30.0)
    assert (done.error and type(done.error)) == error


def test_a_mail_server_whose_name_no_host_can_have_is_told():
    settings = {"url": "http://127.0.0.1:9", "chiave": "x", "smtp_host": "posta..example", "mittente": "sue@comune.example"}
    done = attempt(Notifiche("notifiche", NotificheSettings.model_validate(settings)), "email", fresh(MAIL), timeout=30.0)
    assert (type(done.error), done.error.sentence.partition(":")[0]) == (Unreachable, "mail")
    assert "the name of its host is not known" in done.error.sentence
