"""What is unsafe in a channel's address, and why a broker refused us: each with the remedy."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import amqp
import kombu

from bus.errors import ConfigError

RIGHTS = r"'^snodo\.' '^(snodo\.|amq\.default$)' '^snodo\.'"
"""What our user may configure, write and read."""
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
OLDEST = (3, 10)
"""The first RabbitMQ whose quorum queues forget tickets that are too old."""


def refuse_unsafe(url: str) -> list[str]:
    """Raises `ConfigError` where the address of a broker is none, or unsafe; returns what is only doubtful, a sentence each."""
    _refuse_unusable(url)
    parts = urlsplit(url)
    if parts.scheme not in {"amqp", "amqps", "pyamqp", "pyamqps"} or (parts.hostname or "localhost") in _LOOPBACK:
        return []
    if (parts.username or "guest") == "guest":
        raise ConfigError(
            f"the broker {parts.hostname} would be asked as guest, whom everybody knows",
            code="config.channel",
            hint=f"rabbitmqctl add_user snodo …, set_permissions -p VHOST snodo {RIGHTS}, and name it in channel.url",
        )
    if parts.scheme in {"amqps", "pyamqps"}:
        return []
    return [f"tickets and the broker's password travel in the clear to {parts.hostname}: use amqps://"]


def _refuse_unusable(url: str) -> None:
    """Nothing of the address is repeated: it may be a part of the password."""
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
    raise ConfigError(sentence, code="config.channel", hint=hint)


def refuse_old(connection: Any) -> None:
    """Raises `ConfigError` for a RabbitMQ that has not yet the queues that we need."""
    facts = getattr(connection, "server_properties", {})
    said = str(facts.get("version", ""))
    if facts.get("product") == "RabbitMQ" and tuple(int(part) for part in said.split(".")[:2] if part.isdecimal()) < OLDEST:
        raise ConfigError(
            f"this is RabbitMQ {said}", code="config.channel", hint="the bus needs RabbitMQ 3.10 or later: upgrade the broker"
        )


def explain(error: BaseException, url: str, queue: str) -> ConfigError | None:
    """The remedy when a broker refused us for good; None when trying again may help."""
    cause = error if isinstance(error, amqp.AMQPError) else error.__cause__
    vhost = unquote(urlsplit(url).path[1:]) or "/"
    match cause:
        case amqp.AccessRefused() if "ACCESS_REFUSED - Login" in str(cause):
            return ConfigError(
                "the broker does not know our user or password",
                code="config.channel",
                hint="set channel.url to amqp://user:password@host/vhost",
            )
        case amqp.AccessRefused():
            return ConfigError(
                f"the broker forbids it: {cause.reply_text}",
                code="config.channel",
                hint=f"rabbitmqctl set_permissions -p {vhost} USER {RIGHTS}",
            )
        case amqp.NotAllowed():
            return ConfigError(
                f"the broker has no virtual host {vhost!r} for our user",
                code="config.channel",
                hint=f"rabbitmqctl add_vhost {vhost}, then set_permissions -p {vhost} USER {RIGHTS}",
            )
        case amqp.PreconditionFailed():
            return ConfigError(
                f"the broker has a queue {queue!r} of another kind: {cause.reply_text}",
                code="config.channel",
                hint=f"nothing in it is needed: rabbitmqctl delete_queue -p {vhost} {queue}, then start again",
            )
    return None
