"""The contract of channels: subclass it and give the fixture ``url``; each transport that we ship has its test.

A channel may lose, double and reorder tickets; what it must do is deliver what it can, quickly, from threads of its own, and come
back by itself when the other side was away. A transport that several processes share subclasses `SharedContract` too, one that has a
broker to lose `BrokerContract`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any, ClassVar, Protocol

import pytest

from bus.channel import MOST, Channel
from bus.testing.patience import until

SECONDS = 60.0
AGAIN = 2.0


class Listener:
    """Collects run ids, and how many each ticket held; `wait_for` blocks until they are all there."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.tickets: list[int] = []
        self._news = threading.Condition()

    def ring(self, runs: Sequence[str]) -> None:
        with self._news:
            self.tickets.append(len(runs))
            self.heard += runs
            self._news.notify_all()

    def has(self, runs: set[str], within: float) -> bool:
        """Whether they are all there, at once or before so many seconds are over."""
        with self._news:
            return self._news.wait_for(lambda: runs <= set(self.heard), within)

    def wait_for(self, runs: set[str]) -> None:
        assert self.has(runs, SECONDS), f"not heard: {sorted(runs - set(self.heard))[:5]}"


class ChannelContract:
    """Subclass and define the fixture ``url``: a kombu URL of a channel nobody else uses."""

    forgets: ClassVar[bool] = False
    """Whether the transport loses a ticket now and then; what was not heard is then rung again, as the sweeper does."""

    def hear(self, channel: Channel, listener: Listener, runs: set[str]) -> None:
        """Return when all run ids were heard."""
        end = time.monotonic() + SECONDS
        while self.forgets and time.monotonic() < end and not listener.has(runs, AGAIN):
            channel.publish(sorted(runs - set(listener.heard)))
        listener.wait_for(runs)

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        """Kombu's options of the transport."""
        return {}

    @pytest.fixture
    def channel(self, url: str, options: dict[str, Any]) -> Iterator[Channel]:
        opened = Channel(url, f"snodo.test.{time.monotonic_ns()}", options=options)
        yield opened
        opened.close()

    def test_a_ticket_reaches_a_listener(self, channel: Channel) -> None:
        listener = Listener()
        channel.consume(listener.ring)
        channel.publish(["run-1"])
        self.hear(channel, listener, {"run-1"})

    def test_what_was_rung_before_anybody_listened_is_heard(self, channel: Channel) -> None:
        channel.publish(["early-1", "early-2"])
        listener = Listener()
        channel.consume(listener.ring)
        self.hear(channel, listener, {"early-1", "early-2"})

    def test_ten_thousand_run_ids_pass_in_fewer_tickets_than_ids(self, channel: Channel) -> None:
        listener = Listener()
        channel.consume(listener.ring)
        wanted = {f"run-{n}" for n in range(10_000)}
        channel.publish(sorted(wanted))
        self.hear(channel, listener, wanted)
        assert len(listener.tickets) < 1000

    def test_publishing_does_not_wait_for_anybody(self, channel: Channel) -> None:
        done = threading.Event()

        def publish() -> None:
            for n in range(1000):
                channel.publish([f"run-{n}"])
            done.set()

        threading.Thread(target=publish, daemon=True).start()
        assert done.wait(SECONDS)

    def test_a_listener_that_fails_hears_the_next_ticket(self, channel: Channel) -> None:
        listener, failed = Listener(), Listener()

        def ring(runs: Sequence[str]) -> None:
            if not failed.heard:
                failed.ring(runs)
                raise ValueError("once")
            listener.ring(runs)

        channel.consume(ring)
        channel.publish(["first"])
        self.hear(channel, failed, {"first"})
        channel.publish(["second"])
        self.hear(channel, listener, {"second"})

    def test_closing_ends_its_threads(self, url: str, options: dict[str, Any]) -> None:
        before = set(threading.enumerate())
        channel = Channel(url, f"snodo.test.{time.monotonic_ns()}", options=options)
        channel.consume(lambda runs: None)
        channel.publish(["last"])
        channel.close()
        assert not [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("snodo-")]

    def test_news_are_heard_in_this_process(self, channel: Channel) -> None:
        listener = Listener()
        channel.on_news(listener.ring)
        channel.publish_news(["message-1"])
        listener.wait_for({"message-1"})

    def test_it_says_how_it_is(self, channel: Channel) -> None:
        listener = Listener()
        channel.consume(listener.ring)
        channel.publish(["run-1"])
        self.hear(channel, listener, {"run-1"})
        until(lambda: channel.describe()["published"], "it is counted: a ticket may be heard before")
        told = channel.describe()
        assert (told["dropped"], told["waiting"]) == (0, 0)
        assert self.forgets or (told["published"], told["outages"]) == (1, 0)

    def test_no_ticket_is_large(self, channel: Channel) -> None:
        """So that what comes at once is shared by many workers."""
        listener = Listener()
        channel.consume(listener.ring)
        wanted = [f"run-{n}" for n in range(10 * MOST + 1)]
        channel.publish(wanted)
        self.hear(channel, listener, set(wanted))
        assert max(listener.tickets) <= MOST


class Processes:
    """Several channels over one queue, as several processes have them."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.url, self.options, self.name = url, options, f"snodo.test.{time.monotonic_ns()}"
        self._open = ExitStack()

    def another(self) -> Channel:
        return self._open.enter_context(closing(Channel(self.url, self.name, options=self.options)))

    def close(self) -> None:
        self._open.close()


class SharedContract(ChannelContract):
    """For transports that carry tickets from one process to another."""

    @pytest.fixture
    def processes(self, url: str, options: dict[str, Any]) -> Iterator[Processes]:
        made = Processes(url, options)
        yield made
        made.close()

    def test_each_ticket_reaches_one_of_several_listeners(self, processes: Processes) -> None:
        heard = [Listener(), Listener()]
        channels = [processes.another() for _ in heard]
        for channel, listener in zip(channels, heard, strict=True):
            channel.consume(listener.ring)
        until(lambda: all(channel.describe()["connected"] for channel in channels))
        wanted = {f"run-{n}" for n in range(50 * MOST)}
        processes.another().publish(sorted(wanted))
        until(lambda: wanted <= {*heard[0].heard, *heard[1].heard})
        assert len(heard[0].heard) + len(heard[1].heard) == len(wanted)
        assert min(len(listener.heard) for listener in heard) >= len(wanted) // 5

    def test_a_listener_that_is_busy_leaves_tickets_to_the_others(self, processes: Processes) -> None:
        busy, free, go_on = Listener(), Listener(), threading.Event()

        def ring(runs: Sequence[str]) -> None:
            go_on.wait(SECONDS)
            busy.ring(runs)

        processes.another().consume(ring)
        processes.another().consume(free.ring)
        wanted = {f"run-{n}" for n in range(50 * MOST)}
        processes.another().publish(sorted(wanted))
        until(lambda: len(free.heard) >= 30 * MOST)
        go_on.set()
        until(lambda: wanted <= {*busy.heard, *free.heard})

    def test_news_reach_every_process(self, processes: Processes) -> None:
        heard = [Listener(), Listener()]
        for listener in heard:
            processes.another().on_news(listener.ring)
        teller = processes.another()

        def told_to_all() -> bool:
            teller.publish_news(["message-1"])
            return all("message-1" in listener.heard for listener in heard)

        until(told_to_all)  # again and again: whoever has just begun to listen has missed some

    def test_what_waits_is_published_before_closing(self, processes: Processes) -> None:
        teller, listener = processes.another(), Listener()
        teller.publish([f"run-{n}" for n in range(20 * MOST)])
        teller.close()
        processes.another().consume(listener.ring)
        listener.wait_for({f"run-{n}" for n in range(20 * MOST)})


class Broker(Protocol):
    """What `BrokerContract` does to it."""

    def kill(self) -> None: ...
    def start(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class BrokerContract(SharedContract):
    """For transports with a broker that can be lost: give the fixture ``broker`` too."""

    @pytest.fixture
    def broker(self) -> Broker:
        raise NotImplementedError

    def test_what_was_rung_while_the_broker_was_away_is_heard_afterwards(self, processes: Processes, broker: Broker) -> None:
        teller, hearer, listener = processes.another(), processes.another(), Listener()
        hearer.consume(listener.ring)
        teller.publish(["before"])
        listener.wait_for({"before"})
        broker.kill()
        teller.publish(["while it was away"])
        until(lambda: not teller.describe()["connected"] and not hearer.describe()["connected"])
        broker.start()
        listener.wait_for({"while it was away"})

    def test_a_channel_opens_while_the_broker_is_away(self, processes: Processes, broker: Broker) -> None:
        broker.kill()
        channel, listener = processes.another(), Listener()
        channel.consume(listener.ring)
        channel.publish(["early"])
        until(lambda: channel.describe()["outages"] == 1)
        assert channel.describe()["connected"] is False
        broker.start()
        listener.wait_for({"early"})
        until(lambda: channel.describe()["connected"])

    def test_a_broker_that_says_nothing_blocks_no_sender(self, processes: Processes, broker: Broker) -> None:
        channel, listener = processes.another(), Listener()
        channel.consume(listener.ring)
        channel.publish(["before"])
        listener.wait_for({"before"})
        broker.pause()
        begun = time.monotonic()
        for n in range(1000):
            channel.publish([f"run-{n}"] * 100)
        assert time.monotonic() - begun < SECONDS / 3
        broker.resume()
        listener.wait_for({f"run-{n}" for n in range(1000)})
