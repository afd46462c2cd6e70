"""Errors as problems (RFC 9457): one shape for every error of the HTTP door, whoever raised it.

``{type, title, status, detail, instance, code, hint?, faults?}``; ``code`` is documented in docs/reference/errors.md, ``instance``
is also in the log line of the request, so that an operator can find it. Nothing of an unexpected error is shown, and nothing that
the database or the disk of the keys said: addresses, folders, tables and questions are for whoever runs them, in that line.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from bus.errors import Busy, InputError, Malformed, SnodoError, StoreError
from bus.jsontext import dumps
from bus.message import new_id
from bus.web.answer import Answer

MEDIA_TYPE = b"application/problem+json"
RETRY_AFTER = 5
"""Seconds that a client is asked to wait when the error names no other time."""
AGAIN = "try again after the time in Retry-After; send a message again under the same key"
_OF_DATABASE = {
    "store.interrupted": ("the database does not answer now", AGAIN),
    "store.unreachable": ("the database does not answer now", AGAIN),
    "store.failed": ("the bus cannot keep or read this now: its database, or its folder of files, fails", AGAIN),
    "store.closed": ("this process of the bus is stopping", AGAIN),
    "store.unknown": (
        "the database has not said whether this was done: a message may have been accepted",
        "send a message again after the time in Retry-After, under the same key: it is done once; what else was asked for, look first",
    ),
    "store.tree": None,
    "keys.failed": (
        "the bus cannot work with its key store now",
        f"{AGAIN}; the operator: is keystore.folder there, is its disk full?",
    ),
}
"""What is told instead of the database's own words; None where the words are ours."""
_EXTRA = ("faults", "findings", "message_id", "line", "column", "pointer", "runs")


class MethodRefused(InputError):
    """The address exists, not with this method; ``detail['allow']`` names those it has."""

    default_code = "input.method"
    status = 405


class Slow(InputError):
    """The sender took too long to send its request."""

    default_code = "input.timeout"
    status = 408


class WrongMedia(InputError):
    """The body is in a media type, or in a content coding, that this address does not take."""

    default_code = "input.media-type"
    status = 415


class Unexpected(InputError):
    """``Expect`` asks for something else than our go-ahead."""

    default_code = "input.expect"
    status = 417


class HeadersTooLarge(InputError):
    """The request line and the headers are larger than the limit."""

    default_code = "input.headers-too-large"
    status = 431


def headers_too_large(most: int) -> HeadersTooLarge:
    """The refusal of a request with more bytes than that before its body."""
    return HeadersTooLarge(
        f"the headers and the address are larger than {most} bytes", hint="shorten them: what is long stands in the body"
    )


def cut_short() -> Malformed:
    """The refusal of a request whose body ended before it was whole."""
    return Malformed("the connection closed before the body was there", code="input.incomplete", hint="send it again, with the same key")


def no_memory() -> Busy:
    """The refusal of a request for which the process has no memory: nobody's mistake, and another time there may be some."""
    return Busy("this process has no memory for it now", code="bus.no-memory", hint=AGAIN)


def problem_of(error: Exception) -> Answer:
    """The answer that says ``error``. An error that is not one of ours says nothing but an id to ask for."""
    error = no_memory() if isinstance(error, MemoryError) else error
    instance, extra = f"urn:uuid:{new_id()}", dict[str, Any]()
    if isinstance(error, InputError | StoreError):
        status = error.status if isinstance(error, InputError) else 503
        code, (sentence, hint) = error.code, _words(error)
        extra = {name: error.detail[name] for name in _EXTRA if name in error.detail}
    else:
        status, code = 500, "bus.failed"
        sentence, hint = "something unexpected went wrong; it is written in the bus's own log", "give the operator the instance"
    if hint:
        extra = {"hint": hint, **extra}
    shown = {
        "type": f"urn:snodo:error:{code}", "title": HTTPStatus(status).phrase, "status": status, "detail": sentence, "instance": instance,
        "code": code, **extra,
    }  # fmt: skip
    told = {"instance": instance, "code": code, **of_store(error)}
    return Answer(status, dumps(shown), _headers(error, status), MEDIA_TYPE, told=told)


def _words(error: SnodoError) -> tuple[str, str]:
    """Sentence and hint for whoever asks over HTTP."""
    if not error.code.startswith("store.") and error.code not in _OF_DATABASE:
        return error.sentence, error.hint
    return _OF_DATABASE.get(error.code, ("the bus cannot work with its database now", AGAIN)) or (error.sentence, error.hint)


def of_store(error: Exception) -> dict[str, str]:
    """What the line of a request says of a store that failed, for whoever runs it."""
    return {"sentence": " ".join(error.sentence.split()), "hint": error.hint} if isinstance(error, StoreError) else {}


def retry_later(error: Exception) -> list[tuple[bytes, bytes]]:
    """The header that says after how many seconds to try again."""
    detail = error.detail if isinstance(error, SnodoError) else {}
    return [(b"retry-after", str(int(detail.get("retry_after", RETRY_AFTER))).encode())]


def _headers(error: Exception, status: int) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    detail = error.detail if isinstance(error, SnodoError) else {}
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="snodo"'))
    if status in (429, 503):
        headers += retry_later(error)
    if status == 405:
        headers.append((b"allow", detail["allow"].encode()))
    if "accept_encoding" in detail:
        headers.append((b"accept-encoding", detail["accept_encoding"].encode()))
    # What was refused is read on and thrown away: whoever is still sending would not see the answer, and a proxy take us for broken.
    if status in (408, 417, 431):
        headers.append((b"connection", b"close"))
    return headers
