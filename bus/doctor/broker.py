"""The broker: there, lets us in, keeps a queue as the bus needs it, takes what is published."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import kombu

from bus.channel import DIVIDED, QUEUE, Nacked, addresses, explain, refuse_old, refuse_unsafe, remedy, said
from bus.channel.line import Line
from bus.doctor.verdict import UNGUARDED, UNTOLD, Surroundings, Verdict, ok, warning, wrong
from bus.errors import ConfigError

CHANNEL_TLS = "give the broker a listener with TLS (5671), and channel.url amqps://"
ONE_LESS = "the bus goes by the other nodes that channel.url names; one more that is lost may be too much"
WITHIN = 5.0
EXPIRES = 60_000
"""Milliseconds after which the broker itself removes the queue of the trial, should we be cut off."""


def channel(at: Surroundings) -> Iterator[Verdict]:
    """Dialled as the bus itself does, with the same refusals."""
    url = at.settings.channel.url
    if not url:
        yield warning("doctor.channel", UNTOLD, str(at.path), next="set the secret that channel.url names")
        return
    if not at.settings.channel.shared:
        yield ok("doctor.channel", "tickets stay in this process")
        return
    try:
        doubtful = refuse_unsafe(url, at.settings.channel.options)
    except ConfigError as error:
        yield wrong("doctor.channel", error.sentence, str(at.path), next=error.hint)
        return
    let_in, refused = [], list[Verdict]()
    for node in dict.fromkeys(addresses(url)):
        verdicts = _node(node, at.settings.channel.options)
        first = next(verdicts)
        if first.level == "wrong":
            refused.append(first)
            continue
        let_in.append(first.where)
        yield first
        yield from verdicts
    for one in refused:
        yield replace(one, level="warning", why=ONE_LESS) if let_in else one
    for doubt in doubtful if let_in else ():
        yield warning("doctor.channel", doubt, ", ".join(let_in), why=UNGUARDED, next=CHANNEL_TLS)


def _node(url: str, options: Mapping[str, Any]) -> Iterator[Verdict]:
    """First whether it lets us in; then, if it does, what it keeps and takes."""
    line, where = Line(url, QUEUE, lambda event, detail: None, options), _place(url)
    with contextlib.ExitStack() as dialled:
        try:
            connection = dialled.enter_context(line.dial(confirm_publish=True))
            refuse_old(connection.connection)
        except Exception as error:  # noqa: BLE001 - each transport has errors of its own
            yield _refused("doctor.channel", "the broker cannot be reached", error, url, where)
            return
        yield ok("doctor.channel", f"{_product(connection)} lets us in", where)
        if line.amqp:
            yield from _trial(connection, url, where)
            yield from _ours(line, connection, where)


def _place(url: str) -> str:
    """An address without user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _refused(code: str, what: str, error: Exception, url: str, where: str, unexplained: str = "") -> Verdict:
    told = error if isinstance(error, ConfigError) else explain(error, url, QUEUE)
    if told:
        return wrong(code, told.sentence, where, next=told.hint)
    return wrong(code, f"{what}: {said(error)}", where, next=remedy(error) or unexplained)


def _trial(connection: Any, url: str, where: str) -> Iterator[Verdict]:
    """Declare a quorum queue, publish into it, read from it, remove it; a broker under alarm takes the first and not the second."""
    arguments = {"x-queue-type": "quorum", "x-expires": EXPIRES}
    queue = kombu.Queue(f"snodo.doctor.{secrets.token_hex(8)}", durable=True, queue_arguments=arguments)(connection.default_channel)
    try:
        queue.declare()
    except connection.connection_errors + connection.channel_errors as error:
        yield _refused("doctor.channel-queue", "a quorum queue cannot be declared", error, url, where, unexplained=DIVIDED)
        return
    yield ok("doctor.channel-queue", "a quorum queue can be declared")
    try:
        kombu.Producer(connection.default_channel).publish([], routing_key=queue.name, mandatory=True, confirm_timeout=WITHIN)
    except (Nacked, *connection.channel_errors) as error:
        yield _refused("doctor.channel-queue", "nothing can be published", error, url, where)
        return
    except (TimeoutError, *connection.connection_errors) as error:
        yield warning("doctor.channel-alarm", f"the broker takes nothing: {said(error)}", where)
        _hang_up(connection)
        return
    yield ok("doctor.channel-alarm", "what is published is taken and confirmed")
    try:
        queue.get(no_ack=True)
    except connection.channel_errors as error:
        yield _refused("doctor.channel-queue", "no queue can be read", error, url, where)
        return
    queue.delete()


def _ours(line: Line, connection: Any, where: str) -> Iterator[Verdict]:
    """The bus's own queue and exchange, where they are there: of the kind that the bus declares; the queue takes a ticket of no run."""
    looks: tuple[tuple[str, Callable[[Any], Any], Callable[[Any], Any]], ...] = (
        (QUEUE, lambda channel: line.queue(channel).queue_declare(passive=True), line.declare),
        (line.news.name, lambda channel: line.news(channel).declare(passive=True), line.declare_news),
    )
    for name, look, declare in looks:
        try:
            look(connection.channel())
        except connection.connection_errors + connection.channel_errors:
            continue  # none yet, or an alarm that was told
        try:
            declare(connection.channel())
        except connection.channel_errors as error:
            yield _refused("doctor.channel-queue", f"{name} cannot be used", error, line.url, where)
            continue
        if name == QUEUE:
            yield from _takes(connection, line.url, where)


def _takes(connection: Any, url: str, where: str) -> Iterator[Verdict]:
    """Whether our own queue takes tickets: it may have no leader where one that is made now has, or be full by somebody's policy."""
    try:
        kombu.Producer(connection.channel(), serializer="json").publish([], routing_key=QUEUE, mandatory=True, confirm_timeout=WITHIN)
    except (TimeoutError, Nacked, *connection.connection_errors, *connection.channel_errors) as error:
        yield _refused("doctor.channel-queue", f"{QUEUE} takes no ticket", error, url, where, unexplained=DIVIDED)
        _hang_up(connection)


def _hang_up(connection: Any) -> None:
    """Close without a word: a broker under alarm does not read our good-bye."""
    with contextlib.suppress(Exception):
        connection.connection.transport.close()


def _product(connection: Any) -> str:
    facts = getattr(connection.connection, "server_properties", {})
    return f"{facts.get('product', connection.transport_cls)} {facts.get('version', '')}".strip()
