"""The line to the broker: how to dial, what to declare there, and how it has been."""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import kombu

from bus.channel.refusal import AMQP, TLS, addresses, explain, own_name, reason, refuse_old
from bus.errors import ConfigError
from bus.message import JsonObject

QUEUE = "snodo.runs"
CONNECT_SECONDS = 5.0
PATIENCE = 10.0
"""How long the broker may take to answer anything; then the connection is thrown away."""
HEARTBEAT = 30
LONGEST_PAUSE = 2.0
"""Seconds between two tries to dial, at most."""
_BOUNDS: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-max-length": 20_000,  # tickets; the oldest are dropped
    "x-overflow": "drop-head",
    "x-message-ttl": 300_000,  # milliseconds: the sweeper has long rung again
    "x-delivery-limit": 20,
}
"""No dead worker may fill the broker: tickets are expendable."""


class Line:
    """Dials, and keeps the account. Thread-safe: publisher and listener have a connection each, and the account together.

    ``shared``: other processes hear what this one publishes. ``turns`` counts how often another node was put first.
    """

    def __init__(self, url: str, queue_name: str, log: Callable[[str, str], None], options: Mapping[str, Any]) -> None:
        self.url, self.log, self.transport = url, log, url.partition(":")[0].lower()
        self.amqp, self.shared = self.transport in AMQP, self.transport != "memory"
        self.queue = kombu.Queue(queue_name, durable=True, queue_arguments=_BOUNDS if self.amqp else None)
        self.news = kombu.Exchange(queue_name.removesuffix(".runs") + ".news", type="fanout", durable=False, delivery_mode=1)
        self._nodes, self.turns = addresses(url), 0
        self._tls = {"server_hostname": own_name(url), "cert_reqs": ssl.CERT_REQUIRED, **options.get("ssl", {})}
        polling = {} if self.amqp else {"polling_interval": 0.02 if self.shared else 0.002}
        self._transport_options = {**polling, **{name: value for name, value in options.items() if name != "ssl"}}
        self._down: dict[str, float] = {}
        self._told: set[str] = set()
        self._up: set[str] = set()
        self._expected: set[str] = set()
        self._lock, self._declaring = threading.Lock(), threading.Lock()
        self.counts = {"published": 0, "confirmed": 0, "returned": 0, "repeated": 0, "outages": 0}
        self.blocked = False
        self.knock = threading.Event()

    @contextmanager
    def dial(self, **options: Any) -> Iterator[kombu.Connection]:
        """An open connection; it is hung up in good order after the block, and thrown away when the block failed.

        Of several nodes, the first one that lets us in, in the order of the address (but see `turn`).
        """
        tls = dict(self._tls)  # kombu writes into it the host that it dials, and would hold the next one to that name
        made = kombu.Connection(
            ";".join(self._nodes),
            transport_options={**self._transport_options, **options},
            connect_timeout=CONNECT_SECONDS,
            heartbeat=HEARTBEAT,
            ssl=tls if self.transport in TLS else False,  # py-amqp alone checks the certificate, but not the name in it
        )
        try:
            made.ensure_connection(lambda *failed: tls.update(self._tls), max_retries=len(made.alt) - 1 if made.alt else 0)
            if self.amqp:
                made.connection.sock.settimeout(PATIENCE)
            yield made
            made.release()
        except BaseException:
            with suppress(Exception):  # a dead line may fail to be hung up too
                made.collect(socket_timeout=0.1)
            raise

    def check(self) -> None:
        """See `Channel.check`."""
        if not self.shared:
            return
        try:
            with self.dial() as connection, connection.channel() as channel:
                refuse_old(connection.connection)
                self.declare(channel)
                self.declare_news(channel)
        except ConfigError:
            raise
        except Exception as error:  # what we cannot explain is an outage
            told = explain(error, self.url, self.queue.name)
            if told is not None:
                raise told from error

    def declare(self, channel: Any, *, anew: bool = False) -> None:
        """The queue of tickets; ``anew``: without what was in it, since none of it is needed. RabbitMQ fails when two make it at once."""
        queue = self.queue(channel)
        with self._declaring:
            if anew:
                queue.delete()
            queue.declare()

    def declare_news(self, channel: Any) -> None:
        """The exchange that tells every process."""
        self.news(channel).declare()

    def expect(self, who: str) -> None:
        """``who`` begins to dial."""
        with self._lock:
            self._expected.add(who)

    def up(self, who: str) -> None:
        """``who`` has a working connection."""
        if who in self._up:
            return
        with self._lock:
            since = self._down.pop(who, None)
            self._up.add(who)
            if since is not None and not self._down:
                self._told.clear()
                self.log("channel.restored", f"after {time.monotonic() - since:.1f} s")

    def down(self, who: str, error: BaseException) -> None:
        """``who`` lost it, or could not get it; one outage is counted once, each of its reasons told once, however often it is dialled."""
        why = reason(error, self.url, self.queue.name)
        with self._lock:
            if not self._down:
                self.counts["outages"] += 1
            self._down.setdefault(who, time.monotonic())
            self._up.discard(who)
            if why not in self._told:
                self._told.add(why)
                self.log("channel.lost", why)

    @property
    def nodes(self) -> int:
        """How many the address names; a single one may stand for several."""
        return len(self._nodes)

    def turn(self) -> None:
        """Begin with the next node from now on: one lets us in that is of no use, for it is cut off from the rest of its cluster."""
        with self._lock:
            if len(self._nodes) > 1:
                self._nodes = [*self._nodes[1:], self._nodes[0]]
                self.turns += 1

    def gone(self, who: str) -> None:
        """``who`` has ended."""
        with self._lock:
            self._up.discard(who)
            self._expected.discard(who)
            self._down.pop(who, None)

    def describe(self) -> JsonObject:
        with self._lock:
            return {
                "transport": self.transport, "connected": self._expected == self._up, "blocked": self.blocked, **self.counts,
            }  # fmt: skip


class BackOff:
    """How long to wait before dialling again: at once, then longer and longer, never together with the others."""

    def __init__(self) -> None:
        self._tries = 0

    def reset(self) -> None:
        self._tries = 0

    def seconds(self) -> float:
        """Seconds to wait before the next try; counts that try."""
        self._tries += 1
        return float(min(LONGEST_PAUSE, 0.05 * 2 ** min(self._tries, 10)) * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
