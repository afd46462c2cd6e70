"""A line to a broker that takes all and passes nothing on."""

from __future__ import annotations

from collections.abc import Callable

from bus.channel import Channel
from bus.testing.patience import until
from tests.contract.channel_contract import Listener
from tests.contract.proxy import Proxy
from tests.servers import RabbitMQ


def opened(url: str, told: list[str]) -> Channel:
    return Channel(url, log=lambda event, detail: told.append(f"{event} {detail}"))


def into_the_void(rabbitmq: RabbitMQ, url: str, then: Callable[[], None] = lambda: None) -> set[str]:
    """Publish through a line that takes all and passes nothing on, then breaks; returns what was heard of 1,000 runs.

    ``then`` is done once the line works.
    """
    listener, told = Listener(), []
    with Proxy(rabbitmq.port) as proxy:
        teller, hearer = opened(url.replace(str(rabbitmq.port), str(proxy.port)), told), opened(url, told)
        hearer.consume(listener.ring)
        teller.publish(["before"])
        listener.wait_for({"before"})
        then()
        proxy.swallow()
        teller.publish([f"run-{n}" for n in range(1000)])
        until(lambda: teller.describe()["waiting"] == 0)
        assert "before" in listener.heard
        assert len(listener.heard) == 1
        proxy.cut()
        until(lambda: teller.describe()["outages"], "it has seen that the line broke: before, another ticket may go into the void too")
        teller.publish(["after"])
        listener.wait_for({"after"})
        teller.close()
        hearer.close()
    return {run for run in listener.heard if run.startswith("run-")}
