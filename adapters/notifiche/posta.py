"""Mail over SMTP, one phase after the other, so that we know what a failure means.

Until the mail's last byte leaves nothing was sent: `Unreachable` (or `Refused` on a 5xx). After it only a reply tells:
2xx is done, 4xx is `Unreachable`, 5xx is `Refused`, anything else is `InDoubt`.
"""

from __future__ import annotations

import io
import smtplib
import ssl
import time
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from typing import TYPE_CHECKING, Any

from adapters.http.crossing import BoundedRaw, Crossing, crossing
from adapters.http.outcome import reason
from bus.adapter import Call, InDoubt, Refused, Unreachable
from bus.network import connected

if TYPE_CHECKING:
    from adapters.notifiche.adapter import NotificheSettings

LAST_WORD = 1.0
"""Seconds that a server is given to say goodbye."""
_LOG_IN_FIRST = 530
"""What a server answers, whatever is asked, to whoever has given no credentials (RFC 4954 §6) or asks for no encryption (RFC 3207 §4)."""


def mail_of(sender: str, recipient: str, subject: str, text: str, ctx: Call) -> EmailMessage:
    """The mail; its Message-ID is made of the call's key, so that a second copy can be recognised. A subject is one line: what else Unicode
    takes for the end of one (U+2028, a form feed) becomes a blank. All of it is ASCII, which every server takes (RFC 6152 is an extension).
    """
    mail = EmailMessage(policy=WIRE.clone(cte_type="7bit"))
    mail["From"], mail["To"], mail["Subject"] = sender, recipient, " ".join(subject.splitlines())
    mail["Date"] = ctx.now
    mail["Message-ID"] = f"<{ctx.key[:40]}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    return mail


def deliver(settings: NotificheSettings, mail: EmailMessage, recipient: str, ctx: Call) -> None:
    """Hand the mail over within ``ctx.left`` seconds; raises `Unreachable`, `Refused` or `InDoubt`."""
    with crossing(ctx.left) as going:
        session = None
        sent = False
        try:
            session = _Session(settings, ctx, going)
            _introduce(session, settings)
            _expect(session.mail(settings.mittente), 2, "MITTENTE_RIFIUTATO")
            _expect(session.rcpt(recipient), 2, "DESTINATARIO_RIFIUTATO")
            _expect(session.docmd("DATA"), 3, "MESSAGGIO_RIFIUTATO")
            session.send(_content_of(mail))  # of what fails in the middle the final dot did not leave
            sent = True
            _expect(session.getreply(), 2, "MESSAGGIO_RIFIUTATO", sent=True)
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            raise _lost(error, sent=sent) from None
        finally:
            if session is not None:
                session.leave()


def _introduce(session: _Session, settings: NotificheSettings) -> None:
    said = session.ehlo()
    _expect(session.helo() if said[0] // 100 == 5 else said, 2, "MITTENTE_RIFIUTATO")  # an old server knows HELO alone (RFC 5321, 3.2)
    if settings.smtp_cifratura == "starttls":
        if not session.has_extn("starttls"):
            raise Refused("the mail server offers no STARTTLS", outside_code="CIFRATURA_RIFIUTATA")
        session.starttls(context=_tls(settings))
        _expect(session.ehlo(), 2, "MITTENTE_RIFIUTATO")
    if settings.smtp_utente:
        session.secret = True
        try:
            session.login(settings.smtp_utente, settings.smtp_password or "")
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPException as error:  # a 5xx; or it takes no credentials, or none of the kinds that we have
            if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code // 100 != 5:
                raise  # it cannot look our credentials up now (RFC 4954 §6)
            raise _not_let_in("the mail server does not take our credentials") from None
        session.secret = False


def _tls(settings: NotificheSettings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.smtp_ca)


def _content_of(mail: EmailMessage) -> bytes:
    """The bytes after DATA: CRLF lines, leading dots doubled, the final dot."""
    content = mail.as_bytes(policy=WIRE)
    content = content if content.endswith(b"\r\n") else content + b"\r\n"
    return content.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def _expect(reply: tuple[int, bytes], good: int, refusal: str, *, sent: bool = False) -> None:
    """``good`` is the first digit of a reply that lets us go on: the others say no more than what it was about (RFC 5321 §4.2.1)."""
    code = reply[0]
    if code // 100 == good:
        return
    if code == _LOG_IN_FIRST:
        raise _not_let_in(f"the mail server answered {code}: it wants credentials, or encryption")
    if 500 <= code < 600:
        raise Refused(f"the mail server answered {code}", outside_code=refusal, evidence={"smtp": code})
    if 400 <= code < 500 or not sent:
        raise Unreachable(f"the mail server answered {code}", outside_code=str(code))
    raise InDoubt("the mail was handed over and the mail server's reply means nothing", answered=True)


def _not_let_in(sentence: str) -> Refused:
    return Refused(sentence, outside_code="ACCESSO_RIFIUTATO", locked_out=True)


def _lost(error: Exception, *, sent: bool) -> Exception:
    if isinstance(error, smtplib.SMTPResponseException):
        answered = error.smtp_code > 0 and isinstance(error.smtp_error, bytes)  # of a line without end smtplib says 500 itself
        why = f"the mail server answered {error.smtp_code}" if answered else "who answered is no mail server"
    else:
        hidden = error.__context__ if isinstance(error.__context__, TimeoutError) else error  # smtplib hides it in one of its own
        why = reason(hidden)
    return InDoubt(f"mail: {why}", cause=why) if sent else Unreachable(f"mail: {why}", cause=why)


class _Session(smtplib.SMTP):
    """An SMTP session under one deadline that keeps every byte both ways; while ``secret``, what leaves is not kept."""

    def __init__(self, settings: NotificheSettings, ctx: Call, going: Crossing) -> None:
        self.secret = False
        self._ctx, self._going, self._settings = ctx, going, settings
        self._line = f"SMTP {settings.smtp_host}:{settings.smtp_port}"
        name = settings.mittente.rpartition("@")[2]  # else smtplib asks the DNS for our own name
        super().__init__(settings.smtp_host, settings.smtp_port, local_hostname=name, timeout=going.remaining())

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        context = _tls(self._settings) if self._settings.smtp_cifratura == "tls" else None
        plain = connected(host, port, timeout, self._going.deadline)
        return context.wrap_socket(plain, server_hostname=host) if context else plain

    def send(self, s: Any) -> None:
        data = s.encode("ascii") if isinstance(s, str) else bytes(s)
        if not self.secret:
            self._ctx.wire("out", data, "message/rfc822" if len(data) > 512 else "text/plain", self._line)
        if self.sock is not None:
            self.sock.settimeout(self._going.remaining())
        super().send(s)

    def leave(self) -> None:
        """QUIT, without which a client must not go (RFC 5321 §4.1.1.10); what became of the mail is known, so the answer hardly matters."""
        self._going.deadline = min(self._going.deadline, time.monotonic() + LAST_WORD)
        with suppress(OSError, smtplib.SMTPException):
            self.quit()
        self.close()

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Kept(self.sock, self._ctx, self._line)
        return super().getreply()


class _Kept(io.BufferedReader):
    """What the server says, line by line, into the evidence."""

    def __init__(self, sock: Any, ctx: Call, line: str) -> None:
        super().__init__(BoundedRaw(sock, sock.makefile("rb", buffering=0)))
        self._ctx, self._line = ctx, line

    def readline(self, size: int | None = -1, /) -> bytes:
        said = super().readline(size)
        if said:
            self._ctx.wire("in", said, "text/plain", self._line)
        return said
