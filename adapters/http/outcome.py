"""An exchange kept as evidence; what one that failed means and says, and how long a system asks us to wait."""

from __future__ import annotations

import datetime as dt
import email.utils
import os
import re
import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from adapters.http.crossing import crossing
from adapters.http.message import Reply, Unsendable
from bus.adapter import Call, Effect, InDoubt, OutsideError, Unreachable, Wire
from bus.network import NoWay, said_by_tls

LONGEST_WAIT = 86_400.0
"""Seconds that a system may ask us to wait, at most."""
KEPT_OUT = frozenset({401, 403})
"""Statuses that are about who asks, unless the contract has a code of its own for the second (`OutsideError.locked_out`)."""
_SHUT_OUT = re.compile(r"ALERT_(?:.*CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)")
"""Why a server ends a connection (RFC 8446 §6.2): for our certificate, or for having none."""
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9-]{1,29})(?=\s*(?:,|$)|\s+[^\s=,])")
"""A scheme of authentication (RFC 9110 §11.3), alone or before its parameters, which have an equals sign."""
_QUOTED = re.compile(r'"[^"]*"')
_NGINX = {
    b"<title>400 The SSL certificate error</title>": "the web server before it does not take our certificate",
    b"<title>400 No required SSL certificate was sent</title>": "the web server before it wants a certificate of ours",
}
"""How nginx says what others say by ending the connection; what came with it is passed on to nobody."""
_ONLY_TLS = (
    b"<title>400 The plain HTTP request was sent to HTTPS port</title>",  # nginx
    b"speaking plain HTTP to an SSL-enabled server port",  # Apache
    b"This combination of host and port requires TLS",  # Tomcat
    b"Client sent an HTTP request to an HTTPS server",  # Go
)
"""How a web server says that it speaks TLS alone; what came without it is passed on to nobody."""
_FILES = "a file of certificates that the settings name"
_REASONS = {
    "NoConnection": "no connection in time",
    "TimeoutError": "no answer in time",
    **dict.fromkeys(
        ("gaierror", "LocationParseError", "UnicodeError", "UnicodeEncodeError"),  # but for the first: no DNS has it
        "the name of its host is not known: look at the settings, and at the DNS",
    ),
    "FileNotFoundError": f"{_FILES} is not there",
    **dict.fromkeys(("CutShort", "SMTPServerDisconnected"), "the connection ended before the answer did"),
    "BadReply": "the answer is not HTTP",
}


class NotPassedOn(OSError):
    """A web server before the system has passed nothing on."""


class NotLetIn(NotPassedOn):
    """A web server before the system passes nothing on without a certificate of ours that it takes."""


def passed_on(reply: Reply, *, plain: bool) -> Reply:
    """The reply; raises `NotPassedOn` for one that is none of the system, since a web server before it has kept the request.

    ``plain``: we asked over http; over https a system may tell so of another one, which it asks itself.
    """
    if reply.status != 400:
        return reply
    why = next((why for page, why in _NGINX.items() if page in reply.body), "")
    if why:
        raise NotLetIn(why)
    if plain and any(page in reply.body for page in _ONLY_TLS):
        raise NotPassedOn("its web server speaks https alone, and the address in the settings says http")
    return reply


def errors() -> tuple[type[Exception], ...]:
    """What an exchange that failed may raise; a function, because ``requests`` is slow to import."""
    import requests
    import urllib3

    return (OSError, requests.RequestException, urllib3.exceptions.HTTPError)


def shut_out(error: Exception) -> bool:
    """Whether the system does not take our certificate, or that we have none."""
    cause = error.__cause__ or error
    return isinstance(error, NotLetIn) or (isinstance(cause, ssl.SSLError) and _SHUT_OUT.search(cause.reason or "") is not None)


def reason(error: Exception) -> str:
    """Why, in words that hold neither address nor payload (the texts of requests hold both)."""
    cause = error.__cause__ or error  # urllib3 wraps what the system said
    if isinstance(error, Unsendable):
        return f"the request cannot be written: {error}"
    if isinstance(error, NoWay | NotPassedOn):
        return str(error)
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed: {_said_by_tls(cause)}"
    if type(error) is OSError and error.errno is None:  # of requests, whose text is a path
        return f"{_FILES} is not there"
    if known := _REASONS.get(type(error).__name__):
        return known
    code = cause.errno if isinstance(cause, OSError) else None
    return f"the connection failed: {os.strerror(code) if code else type(error).__name__}"


def _said_by_tls(error: ssl.SSLError) -> str:
    """What OpenSSL found; a file that it cannot read it calls a certificate that is not there, or nothing."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "the connection ended"
    if error.reason in (None, "", "NO_CERTIFICATE_OR_CRL_FOUND"):
        return f"{_FILES} cannot be read"
    return said_by_tls(error)


def is_page(headers: Mapping[str, str]) -> bool:
    """Whether a reply is a page for people: then it is not of the system, but of a server before it, which tells of maintenance, say."""
    return headers.get("content-type", "").lstrip().lower().startswith(("text/html", "application/xhtml"))


def led_away(status: int) -> str:
    """What is said of a 3xx; nothing of any other status."""
    if status == HTTPStatus.NOT_MODIFIED:
        return ", as if we kept a copy of the answer: look at the cache that stands before it"
    return ", which sends us elsewhere; that is not followed: look at the address in the settings" if 300 <= status < 400 else ""


def asked_for(headers: Mapping[str, str]) -> str:
    """How a system wants to be told who asks, in words: what `WWW-Authenticate` names, and nothing else of it."""
    schemes = list(dict.fromkeys(_SCHEME.findall(_QUOTED.sub("", headers.get("www-authenticate", "")))))
    return f"; it asks for {', '.join(schemes)}" if schemes else ""


def no_answer(effect: Effect, sentence: str, **detail: Any) -> OutsideError:
    """Bytes left and nothing usable came back: `Unreachable` for a ``read``, `InDoubt` for the rest."""
    return Unreachable(sentence, **detail) if effect == "read" else InDoubt(sentence, **detail)


def exchanged(ctx: Call, effect: Effect, asked: str, sent: Wire, exchange: Callable[[], Reply]) -> Reply:
    """What ``exchange`` gives within ``ctx.left`` seconds; ``sent`` is kept as evidence where a byte of it left.

    Raises `Unreachable` where none did, and `no_answer` where no reply came; ``asked`` begins the sentence.
    """
    with crossing(ctx.left) as going:
        try:
            return exchange()
        except errors() as error:
            why = reason(error)
            raise no_answer(effect if going.left else "read", f"{asked}: {why}", cause=why, locked_out=shut_out(error)) from None
        finally:
            if going.left:
                ctx.exchanges.append(sent)


def refuse_cut(reply: Reply, limit: int, effect: Effect, asked: str) -> None:
    """A reply that is not whole, or larger than ``limit`` bytes, is a call without a usable answer."""
    if reply.failed is not None:
        why = reason(reply.failed)
        raise no_answer(effect, f"{asked}: {why}", cause=why)
    if len(reply.body) > limit:
        raise no_answer(effect, f"{asked}: the reply is larger than {limit} bytes", answered=True)


def retry_after_of(headers: Mapping[str, str], now: dt.datetime) -> float | None:
    """Seconds to wait: ``Retry-After`` (delta or date), else ``X-RateLimit-Reset`` (delta or unix time); None when neither says.

    A moment is one of the system's own clock, which ``Date`` tells: it may be minutes from ours.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        text = headers.get("x-ratelimit-reset", headers.get("ratelimit-reset", "")).strip()
    there = _moment(headers.get("date", "")) or now
    if text.isdecimal():
        seconds = float(text)
        if seconds > 1_000_000_000:
            seconds -= there.timestamp()
    elif moment := _moment(text):
        seconds = (moment - there).total_seconds()
    else:
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _moment(text: str) -> dt.datetime | None:
    """A date of HTTP, in any of its three forms (RFC 9110 §5.6.7), of which one names no zone: all are UTC."""
    try:
        said = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return said if said.tzinfo else said.replace(tzinfo=dt.UTC)
