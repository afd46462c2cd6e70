"""The broker: there, lets us in, keeps a queue as the bus needs it, takes what is published."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import kombu

from bus.channel import refuse_unsafe
from bus.doctor.verdict import Surroundings, Verdict, ok, warning, wrong

WITHIN = 5.0
EXPIRES = 60_000
"""Milliseconds after which the broker itself removes the queue of the trial, should we be cut off."""


def channel(at: Surroundings) -> Iterator[Verdict]:
    url = at.settings.channel.url
    if not at.settings.channel.shared:
        yield ok("doctor.channel", "tickets stay in this process")
        return
    parts = urlsplit(url)
    where = f"{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
    with kombu.Connection(url, connect_timeout=WITHIN, transport_options={"confirm_publish": True}) as connection:
        try:
            connection.connect()
        except Exception as error:  # noqa: BLE001 - each transport has errors of its own
            yield wrong("doctor.channel", f"the broker cannot be reached: {_said(error)}", where)
            return
        yield ok("doctor.channel", f"{_product(connection)} lets us in", where)
        for said in refuse_unsafe(url):
            yield warning("doctor.channel", said, where)
        if connection.transport.driver_type == "amqp":
            yield from _trial(connection, where)


def _trial(connection: Any, where: str) -> Iterator[Verdict]:
    """Declare a quorum queue, publish into it, remove it; a broker under alarm takes the first and not the second."""
    arguments = {"x-queue-type": "quorum", "x-expires": EXPIRES}
    queue = kombu.Queue(f"snodo.doctor.{secrets.token_hex(8)}", durable=True, queue_arguments=arguments)(connection.default_channel)
    try:
        queue.declare()
    except connection.connection_errors + connection.channel_errors as error:
        yield wrong("doctor.channel-queue", f"a quorum queue cannot be declared: {_said(error)}", where)
        return
    yield ok("doctor.channel-queue", "a quorum queue can be declared")
    try:
        kombu.Producer(connection.default_channel).publish([], routing_key=queue.name, mandatory=True, confirm_timeout=WITHIN)
    except (TimeoutError, *connection.connection_errors, *connection.channel_errors) as error:
        yield warning("doctor.channel-alarm", f"the broker takes nothing: {_said(error)}", where)
        _hang_up(connection)
        return
    yield ok("doctor.channel-alarm", "what is published is taken and confirmed")
    queue.delete()


def _hang_up(connection: Any) -> None:
    """Close without a word: a broker under alarm does not read our good-bye."""
    with contextlib.suppress(Exception):
        connection.connection.transport.close()


def _product(connection: Any) -> str:
    facts = getattr(connection.connection, "server_properties", {})
    return f"{facts.get('product', connection.transport_cls)} {facts.get('version', '')}".strip()


def _said(error: Exception) -> str:
    return str(getattr(error, "reply_text", "") or getattr(error, "strerror", "") or error) or type(error).__name__
