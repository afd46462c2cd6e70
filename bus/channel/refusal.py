"""What is unsafe in a channel's address, and why a broker refused us: each with the remedy."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp
import kombu

from bus.errors import ConfigError
from bus.network import said_by_tls
from bus.source.findings import suggestion

RIGHTS = r"'^snodo\.' '^(snodo\.|amq\.default$)' '^snodo\.'"
"""What our user may configure, write and read."""
TLS = frozenset({"amqps", "pyamqps"})
AMQP = TLS | {"amqp", "pyamqp"}
_OF_TLS = frozenset({
    "ca_certs", "certfile", "keyfile", "server_hostname", "ciphers", "cert_reqs", "ssl_version",
    "tls_minimum_version", "tls_maximum_version",
})  # fmt: skip
"""What py-amqp takes of those who call."""
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
FULL = "a limit of the broker is used up: rabbitmqctl list_vhost_limits, list_user_limits; raise it, or end others (list_connections)"
CERTIFICATES = (
    "look at channel.options.ssl: ca_certs names the authority of the broker's certificate, in which the host of channel.url stands; "
    "certfile and keyfile are ours; and is it the broker's port for TLS (5671)?"
)
AWAY = "is the broker up, and the network? bus doctor tries it; work goes on at the pace of the sweeper"
DIVIDED = (
    "has the queue a leader? of a cluster, more than half of the nodes must be up and see each other: rabbitmqctl cluster_status; "
    "work goes on at the pace of the sweeper"
)
_KIND = re.compile(r"for (queue|exchange) '([^']+)'")
_PASSING_NAME = re.compile(r"(?<=\.news\.)[\w-]+")
"""A process has a queue for news of its own, of another name each time that it listens."""
_LIMIT = re.compile(r"limit\b.* is reached|has reached the maximum")
_PASSING = re.compile(rf"{_LIMIT.pattern}| is down$")
"""What RabbitMQ says under the codes of a refusal, and not for ever: of a limit, or of a virtual host that comes up behind its node."""
_LEADERLESS = re.compile("confirmed no ticket|does not know that we listen|INTERNAL_ERROR|may be stopping or being demoted")
"""What is said, also by us, where the queue has no leader, or not one that our node knows of."""
Nacked = amqp.exceptions.MessageNacked
"""What a broker answers instead of a confirmation; no error of the line, nor of its channel."""
OLDEST = (3, 10)
"""The first RabbitMQ whose quorum queues forget tickets that are too old."""


def refuse_unsafe(url: str, options: Mapping[str, Any]) -> list[str]:
    """Raises `ConfigError` where the address of a broker is malformed, or unsafe; returns what is only doubtful, a sentence each."""
    _refuse_unusable(url)
    if urlsplit(url).scheme in TLS:
        _refuse_unusable_tls(options.get("ssl", {}))
    return [doubt for one in addresses(url) for doubt in _doubts(one)]


def addresses(url: str) -> list[str]:
    """Each node that an address names, whole: they stand with a ``;`` between them, the later ones as a host alone if they like.

    Such a host has all else from the first one, which kombu would give it too, but for a port of its own.
    """
    first, *others = url.split(";")
    before = first[: first.rfind("@") + 1] or first[: first.find("://") + 3]
    host, _, behind = first[len(before) :].partition("/")
    port = host[len(host.rstrip("0123456789")) - 1 :] if ":" in host.rpartition("]")[2] else ""
    return [first, *(one if "://" in one else f"{before}{one}{'' if ':' in one else port}/{behind}" for one in others)]


def own_name(url: str) -> str | None:
    """The name in the certificate where kombu would dial, and look for, another one; else None."""
    return "localhost" if {urlsplit(one).hostname for one in addresses(url)} == {"localhost"} else None


def _doubts(url: str) -> list[str]:
    parts = urlsplit(url)
    if parts.scheme not in AMQP or (parts.hostname or "localhost") in _LOOPBACK:
        return []
    if (parts.username or "guest") == "guest":
        hint = f"rabbitmqctl add_user snodo …, set_permissions -p VHOST snodo {RIGHTS}, and name it in channel.url"
        raise _refusal(f"the broker {parts.hostname} would be asked as guest, whom everybody knows", hint)
    if parts.scheme in TLS:
        return []
    return [f"tickets and the broker's password travel in the clear to {parts.hostname}: use amqps://"]


def _refuse_unusable(url: str) -> None:
    """Refuse an address that cannot be used. The refusal repeats nothing of it: any piece may be a part of the password."""
    try:
        _ = kombu.Connection(url).transport
    except ValueError:
        sentence, hint = "channel.url is no address", "amqp://user:password@host:5672/vhost; in a password, / is written %2F, # %23, @ %40"
    except KeyError:
        sentence = f"nothing here speaks {url.partition(':')[0]!r}"
        hint = "set channel.url to amqp://user:password@host/vhost, or in one process to memory://"
    except (ImportError, AttributeError, NameError, RuntimeError):  # each transport has its own way to lack its library
        sentence, hint = f"the library for {url.partition(':')[0]}:// is not installed", f"pip install 'kombu[{url.partition(':')[0]}]'"
    else:
        return
    raise _refusal(sentence, hint)


def _refuse_unusable_tls(options: Any) -> None:
    """The broker need not be there: what is wrong with our own files stays wrong."""
    if not isinstance(options, dict):
        raise _refusal("channel.options.ssl is no map of options", "ssl: {ca_certs: /etc/ssl/comune.pem}")
    if strange := [str(name) for name in options if name not in _OF_TLS]:
        hint = suggestion(strange[0], _OF_TLS) or f"it takes {', '.join(sorted(_OF_TLS))}"
        raise _refusal(f"channel.options.ssl knows no {', '.join(strange)}", hint)
    authority, ours, key = (options.get(name) for name in ("ca_certs", "certfile", "keyfile"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority is not None:
        with _usable(str(authority)):
            context.load_verify_locations(authority)
    if ours is not None:
        with _usable(str(ours) if key is None else f"{ours} and {key}"):
            context.load_cert_chain(ours, key, lambda: "")


@contextmanager
def _usable(files: str) -> Iterator[None]:
    try:
        yield
    except (OSError, TypeError, ValueError) as error:
        hint = "ca_certs and certfile are files in PEM, keyfile is the key of certfile; the user of the bus must be able to read them"
        raise _refusal(f"channel.options.ssl: {files} cannot be used: {said(error)}", hint) from error


def _refusal(sentence: str, hint: str) -> ConfigError:
    return ConfigError(sentence, code="config.channel", hint=hint)


def refuse_old(connection: Any) -> None:
    """Raises `ConfigError` for a RabbitMQ that has not yet the queues that we need."""
    facts = getattr(connection, "server_properties", {})
    said = str(facts.get("version", ""))
    if facts.get("product") == "RabbitMQ" and tuple(int(part) for part in said.split(".")[:2] if part.isdecimal()) < OLDEST:
        raise _refusal(f"this is RabbitMQ {said}", "the bus needs RabbitMQ 3.10 or later: upgrade the broker")


def explain(error: BaseException, url: str, queue: str) -> ConfigError | None:
    """The remedy when a broker refused us for good; None when trying again may help."""
    cause = error if isinstance(error, amqp.AMQPError) else error.__cause__
    parts = urlsplit(addresses(url)[0])
    vhost, user = unquote(parts.path[1:]) or "/", unquote(parts.username or "guest")
    if isinstance(cause, amqp.AMQPError) and _PASSING.search(str(cause.reply_text)):
        return None
    match cause:
        case amqp.AccessRefused() if "ACCESS_REFUSED - Login" in str(cause):
            return _refusal("the broker does not know our user or password", "set channel.url to amqp://user:password@host/vhost")
        case amqp.AccessRefused():
            return _refusal(f"the broker forbids it: {cause.reply_text}", f"rabbitmqctl set_permissions -p {vhost} {user} {RIGHTS}")
        case amqp.NotAllowed():
            hint = f"rabbitmqctl add_vhost {vhost}, then set_permissions -p {vhost} {user} {RIGHTS}"
            return _refusal(f"the broker has no virtual host {vhost!r} for our user", hint)
        case amqp.PreconditionFailed():
            return _of_another_kind(str(cause.reply_text), vhost, queue)
    return None


def _of_another_kind(said: str, vhost: str, queue: str) -> ConfigError:
    """What the broker has under a name of ours, and how to take it away: rabbitmqctl has no command for exchanges."""
    found = _KIND.search(said)
    what, name = (found[1], found[2]) if found else ("queue", queue)
    away = f"delete_queue -p {vhost} {name}"
    if what == "exchange":
        away = f"""eval 'rabbit_exchange:delete(rabbit_misc:r(<<"{vhost}">>, exchange, <<"{name}">>), false, <<"snodo">>).'"""
    hint = f"nothing in it is needed: rabbitmqctl {away} (or delete it in the management)"
    return _refusal(f"the broker has {'an' if what == 'exchange' else 'a'} {what} {name!r} of another kind: {said}", hint)


def reason(error: BaseException, url: str, queue: str) -> str:
    """Why the line is down, and what to do: the same text for the same reason."""
    told = explain(error, url, queue)
    what, hint = (told.sentence, told.hint) if told else (_sentence(error), remedy(error) or AWAY)
    return f"{_PASSING_NAME.sub('…', what)}; {hint}"


def remedy(error: BaseException) -> str:
    """What to do when a limit of the broker is reached, TLS failed, or the queue has no leader; empty where it is something else."""
    if _is_of_tls(_cause(error)):
        return CERTIFICATES
    if _LEADERLESS.search(said(error)):
        return DIVIDED
    return FULL if _LIMIT.search(said(error)) else ""


def _is_of_tls(error: BaseException) -> bool:
    """Whether an error is about TLS itself, and not about a connection that was cut off."""
    return isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)


def _cause(error: BaseException) -> BaseException:
    return error.__cause__ if isinstance(error, kombu.exceptions.OperationalError) and error.__cause__ is not None else error


def _sentence(error: BaseException) -> str:
    if isinstance(error, amqp.AMQPError):
        return f"the broker ended the line: {said(error)}"
    if isinstance(error, OSError | kombu.exceptions.KombuError):
        return f"the line to the broker failed: {said(error)}"
    return said(error)


def said(error: BaseException) -> str:
    """The words of an error alone: the broker's, or the system's."""
    error = _cause(error)
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"TLS: {said_by_tls(error)}"
    if isinstance(error, Nacked):  # it has no text
        return "it refuses them; is the queue full (rabbitmqctl list_policies, list_queues), or without a leader?"
    if isinstance(error, amqp.ConsumerCancelled):  # its text is the name of the consumer
        return "it took a queue of ours away"
    return str(getattr(error, "reply_text", "") or getattr(error, "strerror", "") or error) or type(error).__name__
