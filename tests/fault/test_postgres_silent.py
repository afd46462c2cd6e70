"""A line to PostgreSQL that stands and carries nothing any more, as a balancer leaves it whose server is gone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from bus.store import Tx, postgres
from bus.store.postgres import PostgresStore
from bus.store.postgres_session import Session
from tests.servers import PostgreSQL


class Balancer:
    """It takes what either side says; what it carries no more, no side is told."""

    def __init__(self, port: int) -> None:
        self._server, self._standing = port, [True]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def fail_over(self) -> None:
        """The lines of now carry nothing from here on; those that are made later do."""
        self._standing[0], self._standing = False, [True]

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, server = self._listener.accept()[0], socket.create_connection(("127.0.0.1", self._server))
                for way in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(*way, self._standing), daemon=True).start()

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket, standing: list[bool]) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if standing[0]:
                    other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
        one.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def balanced(postgresql: PostgreSQL, postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[PostgresStore, Balancer]]:
    monkeypatch.setattr(Session, "patience", 1.0)
    balancer = Balancer(postgresql.port)
    store = PostgresStore(postgresql_url.replace(f":{postgresql.port}/", f":{balancer.port}/"))
    yield store, balancer
    store.close()
    balancer.close()


def mark(name: str) -> Callable[[Tx], None]:
    """What adds one mark."""

    def work(tx: Tx) -> None:
        tx.do("add_mark", name=name, value="1")

    return work


def test_who_writes_or_looks_goes_on_after_a_failover_that_no_line_was_told_of(balanced: tuple[PostgresStore, Balancer]) -> None:
    store, balancer = balanced
    store.write(mark("prima")).result(20)
    assert seen(store, "prima")
    balancer.fail_over()
    store.write(mark("dopo")).result(20)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(seen, store, "dopo").result(20)


def seen(store: PostgresStore, name: str) -> bool:
    with store.read() as tx:
        return tx.one("mark", name=name) is not None


def test_who_has_the_database_alone_waits_for_a_server_that_takes_its_time(
    balanced: tuple[PostgresStore, Balancer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres._QUERIES, "mark", "SELECT pg_sleep(2)::text AS value")

    def work(tx: Tx) -> None:
        assert tx.take_alone()
        tx.one("mark", name="lenta")

    balanced[0].write(work).result(10)
