"""The listener: one thread and one connection that take tickets and news from the broker."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import kombu

from bus.channel.line import PATIENCE, BackOff, Line
from bus.failpoint import reach
from bus.message import new_id

PREFETCH = 10
"""Tickets that one worker holds before it has taken them: the others get the rest."""
LOOK_SECONDS = 0.5
ASK_SECONDS = 5.0
"""How often it asks whether it would be told: a line carries nothing to who is deaf, and looks well."""


class Deaf(Exception):
    """The queue has no listener, though we are one: it was made anew behind a partition of a cluster, or has no leader."""


class Left(Exception):
    """The publisher goes to another node of the broker, and so do we: here tickets may never come any more, and nothing tells of it."""


def nobody(ids: Sequence[str]) -> None:
    """Nobody listens."""


class Listener:
    """Started when somebody listens. ``ring`` hears tickets, ``hear`` news."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.ring: Callable[[Sequence[str]], None] | None = None
        self.hear: Callable[[Sequence[str]], None] = nobody
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen, or listen anew to what has been added."""
        self._changed.set()
        if self._thread is None:
            self._line.expect("listener")
            thread = threading.Thread(target=self._run, name="snodo-consume", daemon=True)
            thread.start()
            self._thread = thread

    def close(self) -> None:
        self._stop.set()
        self._line.knock.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
        self._line.gone("listener")

    def _run(self) -> None:
        back_off = BackOff()
        while not self._stop.is_set():
            try:
                self._listen(back_off)
            except Left:
                continue
            except Exception as error:  # noqa: BLE001 - whatever a transport raises, the bell is hung up again
                if isinstance(error, Deaf):
                    self._line.turn()
                self._line.down("listener", error)
                self._stop.wait(back_off.seconds())

    def _listen(self, back_off: BackOff) -> None:
        """Listen until closed or changed; raises whatever ends the connection."""
        self._changed.clear()
        turns = self._line.turns
        with self._line.dial() as connection, contextlib.ExitStack() as consumers:
            found = self._consumers(connection)
            for consumer in found:
                consumers.enter_context(consumer)
            self._line.up("listener")
            back_off.reset()
            ears = _Ears(self._line, found)
            ticked = time.monotonic()
            while not self._stop.is_set() and not self._changed.is_set():
                with contextlib.suppress(TimeoutError):
                    self._drain(connection)
                if time.monotonic() - ticked > LOOK_SECONDS:
                    ticked = time.monotonic()
                    connection.heartbeat_check()
                ears.examine()
                if turns != self._line.turns:
                    raise Left

    def _consumers(self, connection: kombu.Connection) -> list[Any]:
        found = []
        if self.ring is not None:
            tickets = connection.channel()
            self._line.declare(tickets)
            how = {"on_message": self._on_ticket, "on_decode_error": self._on_foreign, "prefetch_count": PREFETCH, "accept": ["json"]}
            found.append(kombu.Consumer(tickets, [self._line.queue], auto_declare=False, **how))
        if self.hear is not nobody and self._line.shared:
            mine = kombu.Queue(
                f"{self._line.news.name}.{new_id()}", exchange=self._line.news, exclusive=True, auto_delete=True, durable=False
            )
            heard = {"on_message": self._on_news, "on_decode_error": self._on_foreign, "no_ack": True, "accept": ["json"]}
            found.append(kombu.Consumer(connection.channel(), [mine], **heard))
        return found

    def _on_ticket(self, message: kombu.Message) -> None:
        try:
            if self.ring is not None:
                self.ring(ids_in(message))
        except Exception as error:  # noqa: BLE001 - one bad ring must not make the channel deaf
            self._line.log("channel.ring-failed", repr(error))
        message.ack()
        reach("dispatch.after-take")

    def _on_news(self, message: kombu.Message) -> None:
        try:
            self.hear(ids_in(message))
        except Exception as error:  # noqa: BLE001 - as above
            self._line.log("channel.news-failed", repr(error))

    def _on_foreign(self, message: kombu.Message, error: Exception) -> None:
        """What kombu cannot even unpack is not ours; left in the queue, it would be given to us again, or to the next worker."""
        self._line.log("channel.foreign", f"a message that no process of the bus sent was thrown away: {error}")
        message.ack()

    def _drain(self, connection: kombu.Connection) -> None:
        """Wait for tickets and deliver them; ends by `TimeoutError`.

        kombu's memory transport looks again and again for what may have come, which costs 3 % of a core and a millisecond of every
        ticket's way. So there it looks when we published, and otherwise only now and then, for tickets of somebody else.
        """
        if self._line.shared:
            connection.drain_events(timeout=LOOK_SECONDS)
            return
        self._line.knock.wait(LOOK_SECONDS)
        self._line.knock.clear()
        while not self._stop.is_set():
            connection.drain_events(timeout=0.0001)


class _Ears:
    """Whether what is published would be heard on an open line. Where the node says nothing at all, the question itself ends the line."""

    def __init__(self, line: Line, consumers: Sequence[Any]) -> None:
        self._line, self._consumers = line, consumers
        self._asked, self._alone = time.monotonic(), 0

    def examine(self) -> None:
        """Ask, when it is time to; raises `Deaf` at the second time that the queue knows nobody: an election takes a moment."""
        if not self._line.amqp or time.monotonic() - self._asked < ASK_SECONDS:
            return
        for consumer in self._consumers:
            if consumer.auto_declare:  # news: somebody may have deleted their exchange, which leaves our queue, bound to nothing
                consumer.declare()
            else:
                known = self._line.queue(consumer.channel).queue_declare(passive=True).consumer_count
                self._alone = 0 if known else self._alone + 1
        self._asked = time.monotonic()
        if self._alone > 1:
            raise Deaf("the queue of tickets does not know that we listen")


def ids_in(message: kombu.Message) -> list[str]:
    """What a ticket says; of another shape, nothing."""
    try:
        said = json.loads(message.body)
    except ValueError:
        return []
    return [one for one in said if isinstance(one, str)] if isinstance(said, list) else []
