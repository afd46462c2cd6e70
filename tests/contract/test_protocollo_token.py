"""The register's token as real registers end it: with a fault, with a 401, with an error number, or because somebody else logs in."""

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from adapters.protocollo.adapter import Protocollo
from bus.adapter import InDoubt, Unreachable
from bus.testing.adapter_contract import attempt

ASKED = {"riferimento": "prova-1", "oggetto": "Prova", "flusso": "E"}
ENVELOPE = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body></s:Envelope>'
FAULT = (500, ENVELOPE.format("<s:Fault><faultcode>s:Server</faultcode><faultstring>non autenticato</faultstring></s:Fault>").encode())
LOCKED = (401, b"<html>no</html>")
FIELDS = {"inserimento": "<lngDocID>{0}</lngDocID>", "protocollazione": "<lngNumPG>{0}</lngNumPG><lngAnnoPG>2026</lngAnnoPG>"}


def said(step, fields, code=0, sentence=""):
    fields += f"<lngErrNumber>{code}</lngErrNumber><strErrString>{sentence}</strErrString>"
    result = f"{step.capitalize()}Result"
    body = f'<d:{step}Response xmlns:d="urn:snodo:docarea:1"><{result}>{fields}</{result}></d:{step}Response>'
    return 200, ENVELOPE.format(body).encode()


def no(step, code, sentence):
    return said(step, FIELDS[step].format(0), code, sentence)


LOGIN = said("login", "<strDST>gettone</strDST>")
INSERT = said("inserimento", FIELDS["inserimento"].format(9))
REGISTER = said("protocollazione", FIELDS["protocollazione"].format(12))


@contextmanager
def register(replies):
    """A register that answers one after the other. Yields its address, and the steps it was asked."""
    waiting, steps = [*replies], []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            steps.append(re.search(rb"Body><\w+:(\w+)", asked)[1].decode())
            status, body = waiting.pop(0)
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if status == 401 else "text/xml; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", steps
    finally:
        server.shutdown()
        server.server_close()


def played(*replies, tries, **more):
    """How each try ended, and which steps the register was asked."""
    with register(replies) as (url, steps):
        names = {"ente": "E", "utente": "u", "password": "p", "amministrazione": "c_b429", "aoo": "AOO", "denominazione": "Comune"}
        adapter = Protocollo("protocollo", Protocollo.Settings(url=url, **names, **more))
        ends = [attempt(adapter, "registra", ASKED) for _ in range(tries)]
        adapter.close()
    return ends, steps


@pytest.mark.parametrize("over", [FAULT, LOCKED], ids=["fault", "401"])
def test_after_a_fault_or_a_401_the_next_try_logs_in_anew(over):
    ends, steps = played(LOGIN, over, LOGIN, INSERT, REGISTER, tries=2)
    assert isinstance(ends[0].error, Unreachable)
    assert ends[1].answer.numero == "0000012"
    assert steps == ["login", "inserimento", "login", "inserimento", "protocollazione"]


@pytest.mark.parametrize(("over", "end"), [(FAULT, InDoubt), (LOCKED, Unreachable)], ids=["fault", "401"])
def test_of_a_registration_that_ended_so_the_token_is_used_no_more(over, end):
    ends, steps = played(LOGIN, INSERT, over, LOGIN, INSERT, REGISTER, tries=2)
    assert isinstance(ends[0].error, end)
    assert ends[1].answer.numero == "0000012"
    assert steps[3] == "login"


def test_a_token_that_is_over_said_with_the_number_of_a_wrong_password():
    ends, steps = played(LOGIN, no("inserimento", -1, "Token DST scaduto"), LOGIN, INSERT, REGISTER, tries=1)
    assert ends[0].answer.numero == "0000012"
    assert steps == ["login", "inserimento", "login", "inserimento", "protocollazione"]


def test_a_new_token_that_is_refused_too_is_tried_again_later():
    """A register that keeps one token a user, and another process that logs in between: nothing was registered, and no person is needed."""
    over = no("protocollazione", -2, "DST non valido")
    ends, _ = played(LOGIN, INSERT, over, LOGIN, INSERT, over, INSERT, REGISTER, tries=2)
    assert isinstance(ends[0].error, Unreachable)
    assert (ends[0].error.outside_code, ends[0].error.answered) == ("GETTONE_RIFIUTATO", True)
    assert ends[1].answer.numero == "0000012"


def test_a_document_that_the_register_says_it_took_in_under_no_id_is_not_registered():
    """It answers without an error and with 0: the registration would have been one without its document."""
    ends, steps = played(LOGIN, said("inserimento", FIELDS["inserimento"].format(0)), LOGIN, INSERT, REGISTER, tries=2)
    assert (type(ends[0].error), ends[0].error.answered) == (Unreachable, True)
    assert ends[1].answer.numero == "0000012"
    assert steps == ["login", "inserimento", "login", "inserimento", "protocollazione"]


@pytest.mark.parametrize(
    "fields",
    [
        "", FIELDS["protocollazione"].format(0),
        "<lngNumPG>nessuno</lngNumPG><lngAnnoPG>2026</lngAnnoPG><strDataPG/><lngErrNumber>0</lngErrNumber>",
        "<lngNumPG>0</lngNumPG><lngAnnoPG>0</lngAnnoPG><strDataPG/><lngErrNumber>OK</lngErrNumber>",
    ],
    ids=["nothing", "no error number", "a word for the number", "a word for the error number"],
)  # fmt: skip
@pytest.mark.parametrize("strict", [True, False])
def test_a_registration_whose_reply_says_neither_yes_nor_no_is_in_doubt(fields, strict):
    """It may be in the register."""
    result = f"<protocollazioneResult>{fields}</protocollazioneResult>" if fields else ""
    body = f'<d:protocollazioneResponse xmlns:d="urn:snodo:docarea:1">{result}</d:protocollazioneResponse>'
    [end], _ = played(LOGIN, INSERT, (200, ENVELOPE.format(body).encode()), tries=1, risposte_rigorose=strict)
    assert isinstance(end.error, InDoubt), end
