"""Notifiche: messages to citizens through App IO, and by e-mail."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from adapters.http.client import HTTP_REFUSALS, RestClient, RestReply, RestSettings
from bus.adapter import Adapter, Call, Contract, LocalFileOrNone, Text, operation
from bus.clock import ROME

PERSON = r"^[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]$"
ADDRESS = r"^[!#-'*+./0-9=?A-Z^-z{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"

_ULID = re.compile(r"/([0-9A-Z]{26})/?$")


def _sized(shortest: int, longest: int) -> AfterValidator:
    """Limits in UTF-16 units, as App IO counts them: an emoji is two."""

    def check(text: str) -> str:
        units = len(text.encode("utf-16-le", "surrogatepass")) // 2
        if not shortest <= units <= longest:
            raise ValueError(f"{units} characters, App IO takes {shortest} to {longest}")
        return text

    return AfterValidator(check)


def _ascii(text: str | None) -> str | None:
    if text is not None and not (text.isascii() and text.isprintable()):
        raise ValueError("holds characters beyond ASCII: no kind of login that mail servers have in common can say them")
    return text


_Credential = Annotated[str | None, AfterValidator(_ascii)]


class NotificheSettings(RestSettings):
    """``url`` is the base address of App IO's services API, ``/api/v1`` included; the rest is for mail."""

    chiave: Text = Field(description="subscription key of our service on App IO")
    ente: str | None = Field(None, pattern=r"^[0-9]{11}$", description="codice fiscale of the municipality, as payee of notices")
    avvisi_scadono: bool = Field(True, description="notices cannot be paid after their due date: the same as switch_to_expired of pagopa")
    smtp_host: Text = Field(description="mail server")
    smtp_port: int = Field(25, ge=1, le=65535, description="its port")
    smtp_cifratura: Literal["nessuna", "starttls", "tls"] = Field(
        "starttls",
        description="tls: encrypted from the first byte; starttls: once connected (a server without it gets no mail); nessuna: not at all",
    )
    smtp_ca: LocalFileOrNone = Field(None, description="file of the certificate authorities to trust, instead of those of this machine")
    smtp_utente: _Credential = Field(None, description="our user at the mail server; none where it asks for nobody")
    smtp_password: _Credential = Field(None, description="its password, a secret")
    mittente: str = Field(pattern=ADDRESS, max_length=254, description="address the mails come from")


class Destinatario(Contract):
    codice_fiscale: str = Field(pattern=PERSON)


class Profilo(Contract):
    """``presente``: the citizen uses App IO. ``consentito``: and has not blocked our service."""

    presente: bool
    consentito: bool


class Avviso(Contract):
    """A payment notice; ``importo`` in cents, ``scadenza`` a day in Italy."""

    numero_avviso: str = Field(pattern=r"^[0123][0-9]{17}$")
    importo: int = Field(ge=1, le=9_999_999_999, description="cents")
    scadenza: dt.date | None = None


class MessaggioIO(Contract):
    """A message for App IO; ``testo`` is Markdown."""

    codice_fiscale: str = Field(pattern=PERSON)
    oggetto: Annotated[str, _sized(10, 120)] = Field(description="10 to 120 characters")
    testo: Annotated[str, _sized(80, 10_000)] = Field(description="80 to 10,000 characters")
    avviso: Avviso | None = None


class Accettato(Contract):
    """App IO's id of the message, empty where it does not say; ``stato`` is ``ACCEPTED``: taken, not yet delivered."""

    id: str
    stato: str


class Posta(Contract):
    """One mail to one address; ``testo`` is plain text."""

    destinatario: str = Field(pattern=ADDRESS, max_length=254)
    oggetto: str = Field(pattern=r"^[^\r\n\x00]+$", max_length=500)
    testo: str = Field(min_length=1, max_length=100_000)


class Spedita(Contract):
    """``id`` is the mail's Message-ID."""

    id: str


class _Profile(Contract):
    sender_allowed: bool


class _Created(Contract):
    id: str = ""


class Notifiche(Adapter):
    """App IO (profile, then message) and e-mail. Neither takes a key of ours: both ways to send are ``once``."""

    Settings = NotificheSettings

    def __init__(self, name: str, settings: NotificheSettings) -> None:
        super().__init__(name, settings)
        self._client = RestClient(settings, {"Ocp-Apim-Subscription-Key": settings.chiave})

    def close(self) -> None:
        self._client.close()

    @operation(effect="read", timeout=5, refusals=HTTP_REFUSALS)
    def profilo_io(self, request: Destinatario, ctx: Call) -> Profilo:
        """Is the citizen on App IO, and may we write? Somebody who is not there is an answer, not an error."""
        refusals = self.operations["profilo-io"].refusals
        body = {"fiscal_code": request.codice_fiscale}
        reply = self._client.send(ctx, "read", "POST", "/profiles", body=body, expect=(200, 404), refusals=refusals)
        if reply.is_absent("App IO"):
            return Profilo(presente=False, consentito=False)
        return Profilo(presente=True, consentito=reply.model(_Profile, extra="ignore").sender_allowed)

    @operation(effect="once", timeout=10, settle=60, refusals=HTTP_REFUSALS)
    def messaggio_io(self, request: MessaggioIO, ctx: Call) -> Accettato:
        """Send one message; ask `profilo-io` first. Limits of length are part of the request's type: nothing leaves beyond them."""
        refusals = self.operations["messaggio-io"].refusals
        reply = self._client.send(ctx, "once", "POST", "/messages", body=self._message(request), expect=(201,), refusals=refusals)
        return Accettato(id=_id_of(reply), stato="ACCEPTED")

    @operation(
        effect="once",
        timeout=20,
        settle=300,
        refusals={
            "MITTENTE_RIFIUTATO": "the mail server does not take our sender",
            "DESTINATARIO_RIFIUTATO": "the mail server does not take that recipient",
            "MESSAGGIO_RIFIUTATO": "the mail server does not take that mail",
            "ACCESSO_RIFIUTATO": "our mail credentials are not valid, or none were given where some are wanted",
            "CIFRATURA_RIFIUTATA": "the mail server offers no STARTTLS",
        },
    )
    def email(self, request: Posta, ctx: Call) -> Spedita:
        """Hand one mail to the mail server."""
        from adapters.notifiche.posta import deliver, mail_of

        mail = mail_of(self.settings.mittente, request.destinatario, request.oggetto, request.testo, ctx)
        deliver(self.settings, mail, request.destinatario, ctx)
        return Spedita(id=str(mail["Message-ID"]))

    def _message(self, request: MessaggioIO) -> dict[str, Any]:
        content: dict[str, Any] = {"subject": request.oggetto, "markdown": request.testo}
        if request.avviso is not None:
            content["payment_data"] = self._payment(request.avviso)
            if request.avviso.scadenza is not None:
                content["due_date"] = _end_of_day(request.avviso.scadenza)
        return {"fiscal_code": request.codice_fiscale, "content": content}

    def _payment(self, notice: Avviso) -> dict[str, Any]:
        expires = self.settings.avvisi_scadono and notice.scadenza is not None
        payment: dict[str, Any] = {"notice_number": notice.numero_avviso, "amount": notice.importo, "invalid_after_due_date": expires}
        if self.settings.ente:
            payment["payee"] = {"fiscal_code": self.settings.ente}
        return payment


def _id_of(reply: RestReply) -> str:
    """The id of the message that a 201 says is made: in its body, else in the address that `Location` names, else nowhere.

    The contract asks for neither. A message that was surely sent is no doubt for want of its name.
    """
    said = reply.model(_Created, extra="ignore").id if reply.body else ""
    found = _ULID.search(reply.headers.get("location", ""))
    return said or (found[1] if found else "")


def _end_of_day(day: dt.date) -> str:
    """The last second of a day in Italy, as App IO wants it: UTC."""
    moment = dt.datetime.combine(day, dt.time(23, 59, 59), ROME).astimezone(dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
