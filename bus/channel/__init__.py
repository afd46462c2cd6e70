"""The channel: where tickets wait. The only room that knows kombu.

A ticket is a list of run ids and nothing else: no bodies, no personal data. It is a doorbell, not a queue of record; a ticket
that is lost, doubled or late costs time, never a message, because the sweeper rings again for every run that is ready. *News* are ids
of messages that were replied or have ended, for the processes in which somebody waits for them; they are even more expendable.

::

    publish  → outbox → publisher (own thread and connection) → broker → listener (own thread and connection) → ring

With RabbitMQ (``amqp://``) tickets lie in a quorum queue, bounded in number and age; publishing is confirmed, many tickets at a time,
and a ticket that no queue took comes back. See `docs/sysadmin/broker.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bus.channel.line import QUEUE, Line
from bus.channel.listener import Listener
from bus.channel.outbox import MOST, Outbox
from bus.channel.publisher import Publisher
from bus.channel.refusal import DIVIDED, Nacked, addresses, explain, refuse_old, refuse_unsafe, remedy, said
from bus.message import JsonObject

__all__ = [
    "DIVIDED", "MOST", "QUEUE", "Channel", "Nacked", "addresses", "explain", "refuse_old", "refuse_unsafe", "remedy", "said",
]  # fmt: skip

Ring = Callable[[Sequence[str]], None]
"""Hears the ids of runs that are ready."""
News = Callable[[Sequence[str]], None]
"""Hears the ids of messages."""


class Channel:
    """Carries tickets and news, over any of kombu's transports; ``options`` are kombu's transport options.

    - `publish` and `publish_news` never block a sender, whatever the broker does.
    - A ticket may be lost, doubled, late and out of order; as a rule it reaches one listener, news every listener.
    - ``ring`` and ``hear`` are called from threads of the channel's own; a ticket is acknowledged after ``ring`` has returned.
      ``ring`` MAY block for up to a second: tickets that wait behind it go to other workers.
    - It comes back by itself when the broker was away.
    """

    def __init__(
        self,
        url: str,
        queue_name: str = QUEUE,
        log: Callable[[str, str], None] = lambda event, detail: None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._line = Line(url, queue_name, log, options or {})
        self._outbox = Outbox()
        self._publisher = Publisher(self._line, self._outbox)
        self._listener = Listener(self._line)
        try:
            self._publisher.start()
        except RuntimeError:  # the system gives us no more threads
            self._outbox.close()
            raise

    def check(self) -> None:
        """Ask once at start; raises `ConfigError` when we are refused for good. A broker that is away is no error."""
        self._line.check()

    def publish(self, runs: Sequence[str]) -> None:
        self._outbox.put(runs)

    def consume(self, ring: Ring) -> None:
        """Call ``ring`` for every ticket from now on."""
        self._listener.ring = ring
        self._listener.start()

    def publish_news(self, messages: Iterable[str]) -> None:
        told = list(messages)
        self._listener.hear(told)
        if self._line.shared:
            self._outbox.put_news(told)

    def on_news(self, hear: News) -> None:
        """Call ``hear`` for all news from now on, also for those of this process."""
        self._listener.hear = hear
        if self._line.shared:
            self._listener.start()

    def describe(self) -> JsonObject:
        """How it is, for `/status` and `bus doctor`."""
        return {**self._line.describe(), "waiting": len(self._outbox), "dropped": self._outbox.dropped}

    def close(self) -> None:
        """Publish what waits, for a few seconds at most, and end all threads."""
        self._publisher.close()
        self._listener.close()
