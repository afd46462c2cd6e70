"""Detectors: what of the suite notices a defect. Each is what the suite itself plays, one try after another; it yields after a try
that showed nothing, and raises AssertionError at the one that did.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as Patience
from contextlib import closing
from pathlib import Path

from bus.log import log
from bus.log.record import Record
from bus.message import new_id, parsed
from bus.store import Store, Tx
from bus.store.postgres import PostgresStore
from bus.store.sqlite import SqliteStore
from tests.contract.lossy_line import into_the_void
from tests.contract.store_contract import StoreContract
from tests.fault.power import cut, record, record_writer
from tests.servers import RabbitMQ
from tests.simulation.parts import START
from tests.simulation.simulation import simulate

Detector = Callable[[], Iterator[None]]


def simulation(first: int = 0, seeds: int = 600) -> Iterator[None]:
    for seed in range(first, first + seeds):
        simulate(seed)
        yield


def power_cuts(worlds: int = 3) -> Iterator[None]:
    for seed in range(1, 1 + worlds):
        cut(record(seed), 36)
        yield


def power_cuts_of_the_writer() -> Iterator[None]:
    cut(record_writer(), 150)
    yield


def strikes() -> Iterator[None]:
    """The contract of stores: a claim without a word counts, in the database."""
    with tempfile.TemporaryDirectory() as folder, closing(SqliteStore(Path(folder) / "s.db")) as store:
        StoreContract().test_a_claim_whose_owner_vanished_is_a_strike_and_with_two_a_run_is_claimed_alone(store)
    yield


def swallowed_tickets(broker: RabbitMQ) -> Iterator[None]:
    url = broker.new_vhost()
    try:
        assert into_the_void(broker, url) == {f"run-{n}" for n in range(1000)}
    finally:
        broker.drop_vhost(url)
    yield


def log_order(url: str, patience: float = 0.5) -> Iterator[None]:
    """Two processes write; whoever follows the log by its numbers, from the last that was seen, misses nothing.

    ``patience``: seconds that the second is given to overtake the first, which it cannot in a store that is sound.
    """
    first, second = PostgresStore(url), PostgresStore(url)
    try:
        follower = Follower(second)
        first.write(lambda tx: _slowly(tx, second, follower, patience)).result(30)
        second.write(lambda tx: None).result(30)
        follower.look()
        with first.read() as tx:
            assert [entry.id for _, entry in log.everything(tx)] == follower.seen, "a follower missed records"
    finally:
        first.close()
        second.close()
    yield


class Follower:
    """Reads the log as all who follow it do: what comes after the last number."""

    def __init__(self, store: Store) -> None:
        self._store, self._after, self.seen = store, 0, []

    def look(self) -> None:
        with self._store.read() as tx:
            for row in tx.all("records_after", after=self._after, most=100):
                self._after = row["seq"]
                self.seen.append(parsed(row["content"])["id"])


def _slowly(tx: Tx, other: Store, follower: Follower, patience: float) -> None:
    """Write a record and let the other process overtake, if it can, before the commit."""
    log.append(tx, _record())
    tx.all("records_after", after=0, most=1)  # the record has its number now
    try:
        other.write(lambda tx: log.append(tx, _record())).result(patience)
    except Patience:
        return
    follower.look()


def _record() -> Record:
    return Record(new_id(), "read", START, actor="prova")
