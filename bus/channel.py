"""The channel: where tickets wait. The only room that knows kombu.

A ticket is a list of run ids and nothing else: no bodies, no personal data. It is a doorbell, not a queue of record; a ticket
that is lost, doubled or late costs time, never a message, because the sweeper rings again for every run that is ready.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import kombu

from bus.failpoint import reach

Ring = Callable[[Sequence[str]], None]
QUEUE = "snodo.runs"
MOST = 500
"""About how many run ids go into one ticket."""


class Channel(Protocol):
    """Carries tickets. MUST NOT block a sender for long; MAY lose, double and reorder."""

    def publish(self, runs: Sequence[str]) -> None: ...

    def consume(self, ring: Ring) -> None:
        """Call ``ring`` for every ticket, from a thread of the channel's own."""
        ...

    def close(self) -> None: ...


class KombuChannel:
    """Tickets over any of kombu's transports. One connection to publish and one to consume, each in its own thread."""

    def __init__(self, url: str, queue_name: str = QUEUE, log: Callable[[str, str], None] = lambda event, detail: None) -> None:
        self._url, self._log = url, log
        self._in_memory = url.startswith("memory:")
        self._options: dict[str, Any] = {"polling_interval": 0.002} if self._in_memory else {"confirm_publish": True}
        self._queue = kombu.Queue(queue_name, durable=True)
        self._outbox: queue.SimpleQueue[Sequence[str] | None] = queue.SimpleQueue()
        self._stop, self._knock = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=self._publish_all, name="snodo-publish", daemon=True)]
        self._threads[0].start()

    def publish(self, runs: Sequence[str]) -> None:
        self._outbox.put(runs)

    def consume(self, ring: Ring) -> None:
        thread = threading.Thread(target=self._consume_all, args=(ring,), name="snodo-consume", daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        self._stop.set()
        self._knock.set()
        self._outbox.put(None)
        for thread in self._threads:
            thread.join(timeout=5)

    def _connect(self) -> kombu.Connection:
        return kombu.Connection(self._url, transport_options=self._options, connect_timeout=5, heartbeat=30)

    def _publish_all(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connect() as connection, connection.Producer(serializer="json") as producer:
                    while not self._stop.is_set() and (ticket := self._take()):
                        reach("dispatch.before-publish")
                        producer.publish(ticket, routing_key=self._queue.name, declare=[self._queue], delivery_mode=1)
                        reach("dispatch.after-publish")
                        self._knock.set()
            except Exception as error:  # noqa: BLE001 - whatever a transport raises, the bell is hung up again
                self._log("channel.publish-failed", repr(error))
                self._stop.wait(0.5)

    def _take(self) -> list[str]:
        """All run ids that wait to be told, as one ticket; empty when closing."""
        runs = self._outbox.get()
        found: list[str] = []
        with contextlib.suppress(queue.Empty):
            while runs is not None:
                found.extend(runs)
                if len(found) >= MOST:
                    break
                runs = self._outbox.get_nowait()
        return found

    def _consume_all(self, ring: Ring) -> None:
        def on_ticket(body: Any, message: kombu.Message) -> None:
            message.ack()
            reach("dispatch.after-take")
            if not isinstance(body, list):
                return
            try:
                ring([run for run in body if isinstance(run, str)])
            except Exception as error:  # noqa: BLE001 - one bad ring must not make the channel deaf
                self._log("channel.ring-failed", repr(error))

        while not self._stop.is_set():
            try:
                with self._connect() as connection, connection.Consumer([self._queue], callbacks=[on_ticket], prefetch_count=50):
                    while not self._stop.is_set():
                        with contextlib.suppress(socket.timeout):
                            self._hear(connection)
            except Exception as error:  # noqa: BLE001 - whatever a transport raises, the bell is hung up again
                self._log("channel.consume-failed", repr(error))
                self._stop.wait(0.5)

    def _hear(self, connection: kombu.Connection) -> None:
        """Wait for tickets and deliver them; ends by `socket.timeout`.

        kombu's memory transport looks again and again for what may have come, which costs 3 % of a core and a millisecond of every
        ticket's way. So there it looks when we published, and otherwise only now and then, for tickets of somebody else.
        """
        if not self._in_memory:
            connection.drain_events(timeout=0.5)
            return
        self._knock.wait(0.5)
        self._knock.clear()
        while not self._stop.is_set():
            connection.drain_events(timeout=0.0001)
