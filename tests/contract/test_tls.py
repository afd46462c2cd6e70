"""REST and mail over TLS: a peer with a certificate we trust is answered, one without is `Unreachable` before a byte of ours leaves."""

import datetime as dt
import ssl
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.anagrafe.adapter import Anagrafe
from adapters.http.client import RestClient, RestSettings
from adapters.http.message import Reply
from adapters.http.outcome import NotPassedOn, passed_on
from adapters.notifiche.adapter import Notifiche
from adapters.pagopa.inbound import CONTRATTO as PAGOPA
from adapters.protocollo.adapter import Protocollo
from adapters.soap.adapter import Soap
from adapters.soap.client import SoapClient
from bus.adapter import Call, InDoubt, Refused, Unreachable
from bus.testing.adapter_contract import attempt
from bus.testing.ports import free_port
from tests.contract.tls_peer import peer, server_side, web
from tests.unit.soap_peer import ASKED, OURS

VERIFY = {
    "idPA": "77777777777", "idBrokerPA": "77777777777", "idStation": "77777777777_01",
    "qrCode": {"fiscalCode": "77777777777", "noticeNumber": "302000000000000000"},
}  # fmt: skip
MAIL = {"destinatario": "maria.rossi@posta.example", "oggetto": "Pratica", "testo": "Buongiorno"}


def mail_server(certificate, seen, *, at_once):
    """Enough of SMTP to take one mail, over TLS at once or after STARTTLS."""

    def talk(connection):
        with ExitStack() as open_ones:
            serve(connection, open_ones)

    def serve(connection, open_ones):
        channel = open_ones.enter_context(server_side(connection, certificate)) if at_once else connection
        channel.sendall(b"220 x\r\n")
        lines = open_ones.enter_context(channel.makefile("rb"))
        while line := lines.readline():
            seen.append((line.strip(), isinstance(channel, ssl.SSLSocket)))
            verb = line[:4].upper()
            if verb == b"STAR":
                channel.sendall(b"220 go\r\n")
                channel = open_ones.enter_context(server_side(channel, certificate))
                lines = open_ones.enter_context(channel.makefile("rb"))
            elif verb == b"DATA":
                channel.sendall(b"354 go\r\n")
                while lines.readline() != b".\r\n":
                    pass
                channel.sendall(b"250 queued\r\n")
            else:
                channel.sendall(b"250-x\r\n250 STARTTLS\r\n" if verb == b"EHLO" else b"250 ok\r\n")

    return talk


def ask(port, ca, **own):
    with closing(RestClient(RestSettings(url=f"https://127.0.0.1:{port}", ca=ca, **own))) as client:
        return client.send(Call(key="", timeout=30, now=dt.datetime.now(dt.UTC)), "once", "POST", "/x", body={"a": 1})


def test_a_rest_system_with_a_certificate_we_trust_is_answered(certificate):
    seen = []
    with peer(web(certificate, seen)) as port:
        assert ask(port, certificate[0]).status == 200
    assert seen[0].startswith(b"POST /x ")


def test_who_this_machine_trusts_a_rest_system_is_trusted_by_too(certificate, monkeypatch):
    """As for mail and in `bus doctor`: an authority of the body's own that was installed here was none for REST and SOAP."""
    monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
    with peer(web(certificate, [])) as port:
        assert ask(port, None).status == 200


def test_a_machine_without_authorities_has_those_of_requests(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", certificate[0])
    with peer(web(certificate, [])) as port:
        assert ask(port, None).status == 200


def test_a_rest_system_with_a_certificate_we_do_not_trust_hears_nothing(certificate):
    seen = []
    with peer(web(certificate, seen)) as port, pytest.raises(Unreachable):
        ask(port, None)
    assert [got for got in seen if got] == []


def mailer(port, how, ca):
    settings = {"url": "http://127.0.0.1:1", "chiave": "x", "mittente": "sue@comune.example", "smtp_host": "127.0.0.1"}
    return Notifiche("notifiche", Notifiche.Settings(**settings, smtp_port=port, smtp_cifratura=how, smtp_ca=ca))


@pytest.mark.parametrize("how", ["tls", "starttls"])
def test_a_mail_goes_out_encrypted(certificate, how):
    seen = []
    with peer(mail_server(certificate, seen, at_once=how == "tls")) as port:
        done = attempt(mailer(port, how, certificate[0]), "email", MAIL, timeout=30)
    assert done.error is None
    assert [line for line, encrypted in seen if line.startswith((b"MAIL", b"RCPT", b"DATA")) and not encrypted] == []


@pytest.mark.parametrize("how", ["tls", "starttls"])
def test_a_mail_server_we_do_not_trust_gets_no_mail(certificate, how):
    seen = []
    with peer(mail_server(certificate, seen, at_once=how == "tls")) as port:
        done = attempt(mailer(port, how, None), "email", MAIL, timeout=30)
    assert isinstance(done.error, Unreachable)
    assert [line for line, _ in seen if line.startswith(b"MAIL")] == []


def demanding(certificate, version):
    """A server that wants a certificate of ours, and hangs up where it gets none."""

    def talk(connection):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        context.load_verify_locations(certificate[0])
        context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version
        with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)

    return talk


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_does_not_let_us_in_leaves_no_doubt(certificate, version):
    """In TLS 1.3 it says so only after our request left: a certificate of ours that expired would park each `once` with a person."""
    with peer(demanding(certificate, version)) as port, pytest.raises(Unreachable, match=r"TLS failed: .+ alert") as told:
        ask(port, certificate[0])
    assert told.value.locked_out is (version is ssl.TLSVersion.TLSv1_3), "an older server says no more than that the handshake failed"


def test_a_soap_system_that_does_not_let_us_in_says_that_it_is_about_us(certificate):
    operations = {"x": {"operation": "ricercaSoggetto", "effect": "once", "timeout": 5}}
    with peer(demanding(certificate, ssl.TLSVersion.TLSv1_3)) as port:
        settings = {"url": f"https://127.0.0.1:{port}", "wsdl": str(OURS), "ca": certificate[0], "operations": operations}
        done = attempt(Soap("anagrafe", Soap.Settings.model_validate(settings)), "x", ASKED, timeout=30)
    assert (type(done.error), done.error.locked_out) == (Unreachable, True)


@pytest.mark.parametrize("apart", [True, False])
def test_our_certificate_and_its_key_may_stand_in_one_file(certificate, tmp_path, apart):
    both = tmp_path / "ours.pem"
    both.write_text(Path(certificate[0]).read_text() + Path(certificate[1]).read_text())
    own = {"certificate": certificate[0], "certificate_key": certificate[1]} if apart else {"certificate": str(both)}
    operations = {"x": {"operation": "ricercaSoggetto", "effect": "once", "timeout": 5}}
    with peer(demanding(certificate, ssl.TLSVersion.TLSv1_3)) as port:
        settings = {"url": f"https://127.0.0.1:{port}", "wsdl": str(OURS), "ca": certificate[0], **own, "operations": operations}
        done = attempt(Soap("anagrafe", Soap.Settings.model_validate(settings)), "x", ASKED, timeout=30)
    assert isinstance(done.error, InDoubt), "it let us in, heard us, and hung up"
    with peer(demanding(certificate, ssl.TLSVersion.TLSv1_3)) as port, pytest.raises(InDoubt):
        ask(port, certificate[0], **own)


@pytest.mark.parametrize(
    ("kind", "operation", "request_", "more"),
    [
        (Anagrafe, "cerca-soggetto", {"codice_fiscale": "BLLDAA71E43B429M"}, {}),
        (Protocollo, "cerca", {"riferimento": "A-1"}, dict.fromkeys(("ente", "utente", "password", "amministrazione", "aoo", "denominazione"), "x")),
    ],
)  # fmt: skip
def test_a_registry_and_a_register_are_shown_our_certificate(certificate, kind, operation, request_, more):
    own = {"ca": certificate[0], "certificate": certificate[0], "certificate_key": certificate[1]}
    with (
        peer(demanding(certificate, ssl.TLSVersion.TLSv1_2)) as port,
        closing(kind("x", kind.Settings.model_validate({"url": f"https://127.0.0.1:{port}", **own, **more}))) as adapter,
    ):
        done = attempt(adapter, operation, request_, timeout=30)
    assert "TLS failed" not in done.error.sentence


@pytest.mark.parametrize(
    ("ca", "why"),
    [(None, "TLS failed: self-signed certificate"), ("/nowhere.pem", "certificates that the settings name is not there"), (__file__, "cannot be read")],
)  # fmt: skip
def test_why_there_is_no_connection_is_told_in_words(certificate, ca, why):
    with peer(web(certificate, [])) as port, pytest.raises(Unreachable, match=why) as told:
        ask(port, ca)
    assert not told.value.locked_out, "we do not take theirs"
    with peer(mail_server(certificate, [], at_once=True)) as port:
        done = attempt(mailer(port, "tls", ca), "email", MAIL, timeout=30)
    assert why in str(done.error)
    assert why in told.value.cause
    assert why in done.error.cause


def test_a_key_of_another_certificate_is_told_in_words(certificate, tmp_path):
    other = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    (tmp_path / "k.pem").write_bytes(other.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    with peer(web(certificate, [])) as port, pytest.raises(Unreachable, match="key values mismatch"):
        ask(port, certificate[0], certificate=certificate[0], certificate_key=str(tmp_path / "k.pem"))


def test_that_nobody_is_there_is_told_in_words():
    port = free_port()
    with pytest.raises(Unreachable, match="the connection failed: Connection refused") as told:
        ask(port, None)
    assert told.value.cause == "the connection failed: Connection refused"
    assert "Connection refused" in str(attempt(mailer(port, "tls", None), "email", MAIL, timeout=30).error)


def gate(said):
    """A web server that says in a page what it thinks of a certificate, or of a request."""

    def talk(connection):
        page = f"<html>\r\n<head>{said}</head>\r\n<body><hr><center>nginx</center></body>\r\n</html>\r\n".encode()
        connection.recv(65536)
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + page)

    return talk


@pytest.mark.parametrize(
    ("title", "why"),
    [
        ("400 The SSL certificate error", "the web server before it does not take our certificate"),
        ("400 No required SSL certificate was sent", "the web server before it wants a certificate of ours"),
    ],
)
def test_a_certificate_that_nginx_does_not_take_leaves_no_doubt_and_is_told_to_the_sysadmin(title, why):
    """Others end the connection; a registration was left in doubt where ours had expired, and a REST system had not understood us."""
    ctx = Call(key="", timeout=30, now=dt.datetime.now(dt.UTC))
    with peer(gate(f"<title>{title}</title>")) as port, pytest.raises(Unreachable, match=why) as told:
        RestClient(RestSettings(url=f"http://127.0.0.1:{port}")).send(ctx, "once", "POST", "/x", body={"a": 1})
    assert (told.value.locked_out, told.value.cause, ctx.exchanges) == (True, why, [])
    with peer(gate(f"<title>{title}</title>")) as port:
        client = SoapClient(PAGOPA, f"http://127.0.0.1:{port}/x")
        with pytest.raises(Unreachable, match=why) as told:
            client.call("paVerifyPaymentNotice", VERIFY, ctx)
    assert told.value.locked_out


@pytest.mark.parametrize(
    "page",
    [
        "<title>400 The plain HTTP request was sent to HTTPS port</title>",
        "<p>Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
        "Bad Request\nThis combination of host and port requires TLS.\n",
        "Client sent an HTTP request to an HTTPS server.\n",
    ],
    ids=["nginx", "apache", "tomcat", "go"],
)
def test_a_server_that_speaks_https_alone_leaves_no_doubt(page):
    """An address that says http was left so when the system moved to https: the request went to nobody."""
    ctx = Call(key="", timeout=30, now=dt.datetime.now(dt.UTC))
    why = "its web server speaks https alone, and the address in the settings says http"
    with peer(gate(page)) as port, pytest.raises(Unreachable, match=why) as told:
        RestClient(RestSettings(url=f"http://127.0.0.1:{port}")).send(ctx, "once", "POST", "/x", body={"a": 1})
    assert (told.value.locked_out, told.value.cause, ctx.exchanges) == (False, why, [])
    with peer(gate(page)) as port, pytest.raises(Unreachable, match=why):
        SoapClient(PAGOPA, f"http://127.0.0.1:{port}/x").call("paVerifyPaymentNotice", VERIFY, ctx)


def test_a_system_that_tells_so_of_another_has_had_the_request():
    """Over https the page is not about how we asked: what the system did before it asked another one nobody knows."""
    page = b"<title>400 The plain HTTP request was sent to HTTPS port</title>"
    reply = Reply(400, {}, page)
    assert passed_on(reply, plain=False) is reply
    with pytest.raises(NotPassedOn):
        passed_on(reply, plain=True)


def test_another_page_of_nginx_is_what_it_was():
    ctx = Call(key="", timeout=30, now=dt.datetime.now(dt.UTC))
    with peer(gate("<title>400 Bad Request</title>")) as port, pytest.raises(Refused) as told:
        RestClient(RestSettings(url=f"http://127.0.0.1:{port}")).send(ctx, "once", "POST", "/x", body={"a": 1})
    assert (told.value.outside_code, told.value.locked_out) == ("HTTP_400", False)
