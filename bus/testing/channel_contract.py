"""The contract suite of channels: subclass it, give the fixture ``url``, and your transport is proved to be good enough.

A channel may lose, double and reorder tickets; what it must do is deliver what it can, quickly, from threads of its own, and come
back by itself when the other side was away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from bus.channel import Channel, KombuChannel

SECONDS = 10.0


class Listener:
    """Collects run ids; `wait_for` blocks until they are all there."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._news = threading.Condition()

    def ring(self, runs: Sequence[str]) -> None:
        with self._news:
            self.heard += runs
            self._news.notify_all()

    def wait_for(self, runs: set[str]) -> None:
        with self._news:
            assert self._news.wait_for(lambda: runs <= set(self.heard), SECONDS), f"not heard: {sorted(runs - set(self.heard))[:5]}"


class ChannelContract:
    """Subclass and define the fixture ``url``: a kombu URL of a channel nobody else uses."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def channel(self, url: str) -> Iterator[Channel]:
        opened = KombuChannel(url, f"snodo.test.{time.monotonic_ns()}")
        yield opened
        opened.close()

    def test_a_ticket_reaches_a_listener(self, channel: Channel) -> None:
        listener = Listener()
        channel.consume(listener.ring)
        channel.publish(["run-1"])
        listener.wait_for({"run-1"})

    def test_what_was_rung_before_anybody_listened_is_heard(self, channel: Channel) -> None:
        channel.publish(["early-1", "early-2"])
        listener = Listener()
        channel.consume(listener.ring)
        listener.wait_for({"early-1", "early-2"})

    def test_ten_thousand_run_ids_pass_in_fewer_tickets_than_ids(self, channel: Channel) -> None:
        listener, tickets = Listener(), []

        def ring(runs: Sequence[str]) -> None:
            tickets.append(len(runs))
            listener.ring(runs)

        channel.consume(ring)
        wanted = {f"run-{n}" for n in range(10_000)}
        channel.publish(sorted(wanted))
        listener.wait_for(wanted)
        assert len(tickets) < 1000

    def test_publishing_does_not_wait_for_anybody(self, channel: Channel) -> None:
        done = threading.Event()

        def publish() -> None:
            for n in range(1000):
                channel.publish([f"run-{n}"])
            done.set()

        threading.Thread(target=publish, daemon=True).start()
        assert done.wait(SECONDS)

    def test_a_listener_that_fails_hears_the_next_ticket(self, channel: Channel) -> None:
        listener, failed = Listener(), threading.Event()

        def ring(runs: Sequence[str]) -> None:
            if not failed.is_set():
                failed.set()
                raise ValueError("once")
            listener.ring(runs)

        channel.consume(ring)
        channel.publish(["first"])
        assert failed.wait(SECONDS)
        channel.publish(["second"])
        listener.wait_for({"second"})

    def test_closing_ends_its_threads(self, url: str) -> None:
        before = set(threading.enumerate())
        channel = KombuChannel(url, f"snodo.test.{time.monotonic_ns()}")
        channel.consume(lambda runs: None)
        channel.publish(["last"])
        channel.close()
        assert not [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("snodo-")]
