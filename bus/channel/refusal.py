"""What is unsafe in a channel's address, and why a broker refused us: each with the remedy."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import amqp

from bus.errors import ConfigError

RIGHTS = r"'^snodo\.' '^(snodo\.|amq\.default$)' '^snodo\.'"
"""What our user may configure, write and read."""
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def refuse_unsafe(url: str) -> list[str]:
    """Raises `ConfigError` where the address of a broker is unsafe; returns what is only doubtful, a sentence each."""
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
