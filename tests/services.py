"""Fixtures: a real PostgreSQL and a real RabbitMQ, one of each for a test process, something of its own for each test.

Where one cannot be had the test is skipped and says how to get it; under CI that is a failure (``conftest.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.servers import PostgreSQL, RabbitMQ, ServiceMissing


@pytest.fixture(scope="session")
def _postgresql() -> Iterator[PostgreSQL]:
    yield from _served(PostgreSQL)


@pytest.fixture(scope="session")
def _rabbitmq() -> Iterator[RabbitMQ]:
    yield from _served(RabbitMQ)


@pytest.fixture
def postgresql(_postgresql: PostgreSQL) -> PostgreSQL:
    """The server, up and well whatever the test before did to it; MAY be killed, restarted, paused."""
    return _well(_postgresql)


@pytest.fixture
def rabbitmq(_rabbitmq: RabbitMQ) -> RabbitMQ:
    """The broker, up and well whatever the test before did to it; MAY be killed, wiped, paused, alarmed."""
    _well(_rabbitmq).clear_alarm()
    return _rabbitmq


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """A database of the test's own."""
    url = postgresql.new_database()
    yield url
    _well(postgresql).drop_database(url)


@pytest.fixture
def rabbitmq_url(rabbitmq: RabbitMQ) -> Iterator[str]:
    """A virtual host of the test's own."""
    url = rabbitmq.new_vhost()
    yield url
    _well(rabbitmq).drop_vhost(url)


def _well(service: Any) -> Any:
    if service.alive:
        service.resume()
    service.start()
    return service


def _served(make: Callable[[], Any]) -> Iterator[Any]:
    try:
        made = make()
    except ServiceMissing as error:
        pytest.skip(f"NOT TESTED: {error}")
    with made:
        yield made
