"""The publisher: one thread and one connection that carry the outbox to the broker.

With RabbitMQ every ticket is `mandatory` and confirmed. Up to `WINDOW` tickets are in flight; whatever goes wrong (a ticket comes
back, is refused, or is not confirmed in time), the connection is thrown away with its delivery tags, what was not confirmed goes back to
the outbox, and the next connection begins with declaring the queue.
"""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import kombu

from bus.channel.line import PATIENCE, BackOff, Line
from bus.channel.outbox import Outbox
from bus.failpoint import reach

WINDOW = 200
"""Tickets that may be under way unconfirmed."""
CLOSE_SECONDS = 3.0
HEARTBEAT_SECONDS = 1.0
CONFIRM_SECONDS = 5.0
"""How long a confirmation may take."""
DEAD_SECONDS = 5.0
"""A queue that has confirmed nothing for so long, on open connections, is dead and made anew. RabbitMQ 3.10 leaves one so when it is
killed within a second or two of the declaration: it has no leader, refuses tickets or says nothing, and would do so for ever."""
ELECTED_SECONDS = 90.0
"""The same of a broker of several nodes, and of a queue that was made anew and confirmed nothing since. The nodes take up to 75 s to see
that one of them hangs (their ``net_ticktime``); then the queue gets another leader. Who deletes it meanwhile, or what another process has
just made anew, keeps it from ever getting one."""
NEVER = float("inf")


class TicketLost(Exception):
    """A ticket was refused, came back, or was not confirmed in time."""


class Publisher:
    """Started once, closed once."""

    def __init__(self, line: Line, outbox: Outbox) -> None:
        self._line, self._outbox = line, outbox
        self._closing = threading.Event()
        self._give_up = NEVER
        self._dead_since = NEVER
        self._made_anew = False
        self._thread = threading.Thread(target=self._run, name="snodo-publish", daemon=True)

    def start(self) -> None:
        self._line.expect("publisher")
        self._thread.start()

    def close(self) -> None:
        self._give_up = time.monotonic() + CLOSE_SECONDS
        self._closing.set()
        self._outbox.wake()
        if self._thread.ident is not None:  # else it never began
            self._thread.join(CLOSE_SECONDS + 2 * PATIENCE)
        self._line.gone("publisher")
        self._outbox.close()

    def _run(self) -> None:
        back_off = BackOff()
        while not self._ended():
            try:
                self._carry(back_off)
            except Exception as error:  # noqa: BLE001 - whatever a transport raises, the bell is hung up again
                self._line.down("publisher", error)
                self._rest(back_off.seconds())

    def _rest(self, seconds: float) -> None:
        """Wait before dialling again. `close` cuts this wait short; a later one lasts, but not beyond the moment to give up."""
        if self._closing.is_set():
            time.sleep(max(min(seconds, self._give_up - time.monotonic()), 0.0))
        else:
            self._closing.wait(seconds)

    def _carry(self, back_off: BackOff) -> None:
        """Publish until closed; raises whatever ends the connection."""
        flight = Flight(self._line, self._outbox)
        try:
            with self._line.dial(**flight.options()) as connection:
                flight.open(connection, anew=self._is_dead())
                while not self._ended(flight):
                    flight.publish()
                    if not len(flight) or flight.confirmed:  # a line that takes no ticket is as good as down
                        self._line.up("publisher")
                        self._dead_since, self._made_anew = NEVER, False
                        back_off.reset()
                    flight.wait()
                if len(flight):
                    raise TicketLost("the channel was closed before a ticket was confirmed")  # and hang up without asking the broker
        except TicketLost:
            self._line.turn()
            if not flight.confirmed:
                self._dead_since = min(self._dead_since, flight.opened)
            raise
        finally:
            self._outbox.put_back(flight.unconfirmed())

    def _is_dead(self) -> bool:
        """Whether the queue is to be made anew; said once, and of the new one not before it had its time too."""
        patience = DEAD_SECONDS
        if self._made_anew or self._line.nodes > 1:
            patience = ELECTED_SECONDS * random.uniform(1.0, 1.5)  # noqa: S311 - no secret; not all processes at the same moment
        dead = time.monotonic() - self._dead_since > patience
        if dead:
            self._dead_since, self._made_anew = NEVER, True
        return dead

    def _ended(self, flight: Flight | None = None) -> bool:
        """Closing, and nothing left to do or no time left."""
        if not self._closing.is_set():
            return False
        idle = not len(self._outbox) and not (flight and len(flight))
        return idle or time.monotonic() > self._give_up


class Flight:
    """The tickets on their way over one connection."""

    def __init__(self, line: Line, outbox: Outbox) -> None:
        self._line, self._outbox = line, outbox
        self._tickets: dict[int, tuple[list[str], float]] = {}
        self._tag = 0
        self.opened = self._ticked = time.monotonic()
        self._blocked = False
        self.confirmed = False
        self._connection: Any = None

    def __len__(self) -> int:
        return len(self._tickets)

    def options(self) -> dict[str, Any]:
        """Options for the connection: RabbitMQ tells us when it takes no more (its memory or disk alarm)."""
        return {"on_blocked": self._on_blocked, "on_unblocked": self._on_unblocked} if self._line.amqp else {}

    def open(self, connection: kombu.Connection, *, anew: bool) -> None:
        self._connection = connection
        channel = connection.channel()
        self._line.declare(channel, anew=anew)
        self._tickets_out = kombu.Producer(channel, serializer="json", on_return=self._on_return if self._line.amqp else None)
        if self._line.amqp:
            channel.confirm_select()
            channel.events["basic_ack"].add(self._on_ack)
            channel.events["basic_nack"].add(self._on_nack)
        self._news_out = kombu.Producer(connection.channel(), exchange=self._line.news, serializer="json") if self._line.shared else None

    def publish(self) -> None:
        """Send what waits, as far as the window is open."""
        while not self._blocked and len(self) < WINDOW and (ticket := self._outbox.take()):
            self._tag += 1
            self._tickets[self._tag] = (ticket, time.monotonic())
            reach("dispatch.before-publish")
            how = {"mandatory": True, "timeout": PATIENCE} if self._line.amqp else {}
            self._tickets_out.publish(ticket, routing_key=self._line.queue.name, delivery_mode=2, **how)
            reach("dispatch.after-publish")
            self._line.counts["published"] += 1
            if not self._line.amqp:
                del self._tickets[self._tag]
                self._line.knock.set()
        while self._news_out and not self._blocked and (messages := self._outbox.take_news()):
            self._news_out.publish(messages, delivery_mode=1)

    def wait(self) -> None:
        """Until there is more to publish, or the broker said something, and hear it; raises when it says nothing for too long."""
        if not self._line.amqp:
            self._outbox.wait(HEARTBEAT_SECONDS)
            return
        self._outbox.wait(HEARTBEAT_SECONDS, self._connection.connection.sock)
        self._hear()
        now = time.monotonic()
        if now - self._ticked > HEARTBEAT_SECONDS:
            self._ticked = now
            self._connection.heartbeat_check()
        oldest = next(iter(self._tickets.values()), None)
        if oldest is not None and not self._blocked and now - oldest[1] > CONFIRM_SECONDS:
            raise TicketLost(f"the broker confirmed no ticket in {CONFIRM_SECONDS:.0f} s")

    def unconfirmed(self) -> list[list[str]]:
        """What is still under way, in the order of publishing."""
        left = [ticket for ticket, _ in self._tickets.values()]
        self._line.counts["repeated"] += len(left)
        self._line.blocked = False
        return left

    def _hear(self) -> None:
        try:
            while True:
                self._connection.drain_events(timeout=0.0001)
        except TimeoutError:
            return

    def _on_ack(self, tag: int, multiple: bool) -> None:
        done = [one for one in self._tickets if one <= tag] if multiple else [tag]
        for one in done:
            if self._tickets.pop(one, None) is not None:
                self._line.counts["confirmed"] += 1
                self.confirmed = True

    def _on_nack(self, tag: int, multiple: bool) -> None:
        raise TicketLost("the broker refused a ticket: is its queue full (rabbitmqctl list_policies, list_queues), or without a leader?")

    def _on_return(self, *told: Any) -> None:
        """Comes before the confirmation of the same ticket, which is therefore still in flight."""
        self._line.counts["returned"] += 1
        raise TicketLost(f"no queue took a ticket: {told[0]}")

    def _on_blocked(self, _: str) -> None:
        """py-amqp does not hand on the reason that RabbitMQ gives."""
        self._blocked = self._line.blocked = True
        self._line.log("channel.blocked", "the broker has an alarm (rabbitmq-diagnostics alarms); tickets wait here, the sweeper goes on")

    def _on_unblocked(self) -> None:
        """The clock of what was in flight starts anew."""
        self._blocked = self._line.blocked = False
        now = time.monotonic()
        self._tickets = {tag: (ticket, now) for tag, (ticket, _) in self._tickets.items()}
        self._line.log("channel.unblocked", "the broker takes tickets again")
