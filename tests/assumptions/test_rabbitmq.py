"""What we believe of RabbitMQ and py-amqp (docs/decisions/tickets-over-rabbitmq.md), pinned: when one fails, our reason for something is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import amqp
import kombu
import pytest

from bus.testing.patience import until
from tests.contract.proxy import Proxy
from tests.servers import RabbitMQ

QUORUM = {"x-queue-type": "quorum"}


def connected(url: str, **options: Any) -> kombu.Connection:
    connection = kombu.Connection(url, transport_options=options, connect_timeout=30)
    connection.ensure_connection(max_retries=0)
    return connection


def declared(channel: Any, name: str = "tickets") -> None:
    kombu.Queue(name, durable=True, queue_arguments=QUORUM, channel=channel).declare()


def hear(connection: kombu.Connection, until: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "never said"
        try:
            connection.drain_events(timeout=0.1)
        except TimeoutError:
            continue


def test_many_confirms_can_be_awaited_together_and_tags_count_from_one(rabbitmq_url: str) -> None:
    with connected(rabbitmq_url) as connection:
        channel, confirmed = connection.channel(), set()
        declared(channel)
        channel.confirm_select()

        def on_ack(tag: int, multiple: bool) -> None:
            confirmed.update(range(1, tag + 1) if multiple else [tag])

        channel.events["basic_ack"].add(on_ack)
        out = kombu.Producer(channel, serializer="json")
        for n in range(100):
            out.publish([n], routing_key="tickets", mandatory=True)
        hear(connection, lambda: len(confirmed) == 100)
        assert confirmed == set(range(1, 101))


def test_a_ticket_without_a_queue_comes_back_before_it_is_confirmed(rabbitmq_url: str) -> None:
    """Confirmed it is all the same: without ``mandatory`` nobody would know."""
    with connected(rabbitmq_url) as connection:
        channel, said = connection.channel(), []
        channel.confirm_select()
        channel.events["basic_ack"].add(lambda tag, multiple: said.append("confirmed"))
        out = kombu.Producer(channel, serializer="json", on_return=lambda *told: said.append("returned"))
        out.publish(["run"], routing_key="nowhere", mandatory=True)
        hear(connection, lambda: "confirmed" in said)
        assert said == ["returned", "confirmed"]


def test_under_the_memory_alarm_an_unconfirmed_publish_succeeds_and_does_not_arrive(rabbitmq: RabbitMQ, rabbitmq_url: str) -> None:
    blocked = threading.Event()
    with connected(rabbitmq_url) as looking, connected(rabbitmq_url, on_blocked=lambda reason: blocked.set()) as connection:
        channel = connection.channel()
        declared(channel)
        rabbitmq.raise_alarm()
        kombu.Producer(channel, serializer="json").publish(["run"], routing_key="tickets")  # raises nothing
        hear(connection, blocked.is_set)
        queue = kombu.Queue("tickets", channel=looking.channel())
        assert queue.queue_declare(passive=True).message_count == 0
        rabbitmq.clear_alarm()
        until(lambda: queue.queue_declare(passive=True).message_count, "it came")


def test_a_queue_of_another_kind_is_told_by_its_own_error(rabbitmq_url: str) -> None:
    with connected(rabbitmq_url) as connection:
        kombu.Queue("tickets", durable=True, channel=connection.channel()).declare()
        with pytest.raises(amqp.PreconditionFailed, match="x-queue-type"):
            declared(connection.channel())


def test_a_deleted_queue_cancels_its_listeners(rabbitmq_url: str) -> None:
    with connected(rabbitmq_url) as hearing, connected(rabbitmq_url) as deleting:
        channel = hearing.channel()
        declared(channel)
        with pytest.raises(amqp.ConsumerCancelled), kombu.Consumer(channel, [kombu.Queue("tickets")], on_message=print, auto_declare=False):
            kombu.Queue("tickets", channel=deleting.channel()).delete()
            hear(hearing, lambda: False)


@pytest.mark.timeout(200)
def test_after_a_timeout_the_late_confirm_of_one_ticket_is_taken_for_that_of_the_next(rabbitmq: RabbitMQ, rabbitmq_url: str) -> None:
    """Why a channel is thrown away after a timeout: kombu's ``confirm_publish`` does not compare delivery tags."""
    with Proxy(rabbitmq.port) as proxy, connected(rabbitmq_url) as looking:
        connection = connected(
            rabbitmq_url.replace(str(rabbitmq.port), str(proxy.port)), confirm_publish=True, read_timeout=30, write_timeout=30
        )
        channel = connection.channel()
        declared(channel)
        out = kombu.Producer(channel, serializer="json")
        out.publish(["zero"], routing_key="tickets", confirm_timeout=30)
        rabbitmq.pause()
        resuming = threading.Timer(0.5, rabbitmq.resume)
        try:
            with pytest.raises(TimeoutError):
                out.publish(["first"], routing_key="tickets", confirm_timeout=0.2)
            proxy.swallow()  # what we say now arrives nowhere
            resuming.start()
            out.publish(["second"], routing_key="tickets", confirm_timeout=60)  # "confirmed", by the confirm of the first
        finally:
            rabbitmq.resume()
            proxy.cut()  # nobody waits for a good-bye that was swallowed, too
            connection.release()
        resuming.join()
        queue = kombu.Queue("tickets", channel=looking.channel())
        assert queue.queue_declare(passive=True).message_count == 2
