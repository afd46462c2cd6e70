"""The channel of the embedded default keeps the contract of channels."""

from __future__ import annotations

import json
from typing import Any

import kombu
import pytest

from bus.channel import KombuChannel
from bus.testing.channel_contract import ChannelContract, Listener


class TestMemory(ChannelContract):
    @pytest.fixture
    def url(self) -> str:
        return "memory://"


def test_a_ticket_holds_run_ids_and_nothing_else() -> None:
    channel = KombuChannel("memory://", "snodo.test.content")
    channel.publish(["01a20943-4f17-7091-8e1b-97a3f38b124b"])
    seen: list[Any] = []

    def on_message(message: Any) -> None:
        seen.append(message)
        message.ack()

    with kombu.Connection("memory://", transport_options={"polling_interval": 0.01}) as connection:
        consumer = connection.Consumer([kombu.Queue("snodo.test.content", durable=True)], on_message=on_message)
        with consumer:
            while not seen:
                connection.drain_events(timeout=5)
    channel.close()
    assert json.loads(seen[0].body) == ["01a20943-4f17-7091-8e1b-97a3f38b124b"]
    assert not {k for k in seen[0].headers if k.startswith("snodo")}


def test_a_ticket_of_another_shape_is_passed_over() -> None:
    channel, listener = KombuChannel("memory://", "snodo.test.shape"), Listener()
    channel.consume(listener.ring)
    with kombu.Connection("memory://") as connection, connection.Producer(serializer="json") as producer:
        producer.publish({"run": "x"}, routing_key="snodo.test.shape")
        producer.publish([1, "good"], routing_key="snodo.test.shape")
    listener.wait_for({"good"})
    channel.close()
    assert listener.heard == ["good"]
