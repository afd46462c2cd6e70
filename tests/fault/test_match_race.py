"""Arrival against wait, from many writers at once: whichever commits second makes the match; none is lost, none is made twice."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bus.copying import rows_of
from bus.engine.arrival import Arrival
from bus.engine.intake import receive
from bus.engine.matching import take_arrived
from bus.engine.names import Names
from bus.engine.projection import entry, write
from bus.log import log
from bus.log.keyring import Keyring
from bus.log.record import Record
from bus.message import Message, envelope_of, new_id
from bus.store import Store, Tx, postgres
from bus.store.postgres import PostgresStore
from bus.store.sqlite import SqliteStore
from tests.fault.database import WITHOUT_LOCK
from tests.keyrings import in_memory

NOW = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
WRITERS, ROUNDS, JOINS = 8, 100, 40
Woken = Sequence[str]


class Plain(Keyring):
    """Keys whose tokens are the texts themselves, so that the works below can name them."""

    def token(self, text: str) -> str:
        return text


KEYS = in_memory(kind=Plain)
Work = Callable[[Tx], Woken]


def arrival(type_name: str, runs: Sequence[str] = (), **case: str) -> Arrival:
    """A message as the doors hand it in; its business keys are ``case``, and it opens ``runs``."""
    identity = new_id()
    message = Message(identity, type_name, "prova", NOW, {}, sender="prova", correlationid=identity)
    opened = [{"id": run, "route": "prova", "version": 1, "digest": "d", "ordered": True} for run in runs]
    data = {"type": type_name, "sender": "prova", "runs": opened}
    values = {"message": {"envelope": envelope_of(message), "body": {}, "keys": {"case": case, "intake": [], "content": ""}}}
    key = KEYS.fresh()
    made = entry(Record(new_id(), "received", NOW, message=message.id, data=data), key, values)
    return Arrival(made, message, (), Names(case), key)


def arrives(type_name: str, **case: str) -> Work:
    """The work of taking in one message; tells which runs it woke."""
    return lambda tx: receive(tx, arrival(type_name, **case)).runs


def waits(run: str, key: tuple[str, str] | None) -> Work:
    """The work of opening a wait for ``prova.ricevuta``, as a settling run does; tells whether it woke at once."""
    name, value = key or (None, None)
    wait = {
        "run": run,
        "path": "attesa",
        "place": "prova@1/attesa",
        "type": "prova.ricevuta",
        "name": name,
        "value": value,
        "deadline": None,
        "state": "open",
    }

    def work(tx: Tx) -> Woken:
        message = tx.one("run", id=run)["message"]  # type: ignore[index]
        record = Record(
            new_id(), "waiting", NOW, message=message, run=run, path="attesa", place=wait["place"], data={"type": "prova.ricevuta"}
        )  # fmt: skip
        write(tx, entry(record, KEYS.fresh(), {"key": list(key)} if key else {}))
        return take_arrived(tx, wait, NOW)

    return work


def begin(store: Store, runs: Sequence[str]) -> None:
    """Open runs, each by a message of a case of its own, known as ``istanza`` by the name of the run."""
    store.write(lambda tx: [receive(tx, arrival("prova.domanda", [run], istanza=run)) for run in runs]).result(60)


def race(stores: Sequence[Store], works: dict[str, list[tuple[str, Work]]]) -> Counter[str]:
    """For each run let go all of its works at once, each on another store; returns how often each of them made the match."""

    def one(number: int, run: str) -> str:
        turned = works[run][number % len(works[run]) :] + works[run][: number % len(works[run])]
        futures = {name: stores[(number + place) % len(stores)].write(work) for place, (name, work) in enumerate(turned)}
        woke = {name: list(future.result(60)) for name, future in futures.items()}
        made = [name for name, woken in woke.items() if woken]
        assert [woke[name] for name in made] == [[run]], woke
        return made[0]

    with ThreadPoolExecutor(WRITERS) as pool:
        return Counter(pool.map(one, range(len(works)), works))


def matches(store: Store) -> Counter[str]:
    """How often each run was given a message; by the projection, which the log must agree with."""
    with store.read() as tx:
        rows = Counter(row["run"] for row in rows_of(tx, "matches"))
        told = Counter(record.run for _, record in log.everything(tx) if record.kind == "matched")
    assert rows == told
    return rows


@pytest.fixture
def several(postgresql_url: str) -> Iterator[list[Store]]:
    """Each as in a process of its own: all that they share is the database."""
    with contextlib.ExitStack() as closing:
        yield [_with_keys(closing.enter_context(contextlib.closing(PostgresStore(postgresql_url)))) for _ in range(WRITERS)]


def _with_keys(store: Store) -> Store:
    store.keys = KEYS
    return store


@pytest.fixture
def single(tmp_path: Path) -> Iterator[list[Store]]:
    """One process; its threads hand in their works together."""
    with contextlib.closing(SqliteStore(tmp_path / "s.db")) as store:
        yield [_with_keys(store)]


@pytest.fixture(params=["several", "single"])
def stores(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_whichever_commits_second_of_arrival_and_wait_makes_the_match(stores: list[Store]) -> None:
    runs = [f"r{number}" for number in range(WRITERS * ROUNDS)]
    begin(stores[0], runs)
    made = race(
        stores,
        {run: [("wait", waits(run, ("iuv", run))), ("arrival", arrives("prova.ricevuta", iuv=run))] for run in runs},
    )
    assert made.keys() == {"wait", "arrival"}, "both orders were seen"
    assert matches(stores[0]) == Counter(runs)


def test_a_message_that_joins_two_cases_a_wait_in_one_and_an_arrival_in_the_other_meet_once(stores: list[Store]) -> None:
    runs = [f"r{number}" for number in range(WRITERS * JOINS)]
    begin(stores[0], runs)
    race(
        stores,
        {
            run: [
                ("wait", waits(run, None)),
                ("arrival", arrives("prova.ricevuta", iuv=run)),
                ("join", arrives("prova.avviso", istanza=run, iuv=run)),
            ]
            for run in runs
        },
    )
    assert matches(stores[0]) == Counter(runs)
    with stores[0].read() as tx:
        assert len(list(rows_of(tx, "cases"))) == len(runs)


def _met(url: str, patience: float) -> Counter[str]:
    """A wait that is opened and not yet committed, an arrival that comes meanwhile: the matches that were made.

    ``patience``: seconds that the arrival is given to commit before the wait does.
    """
    slow, quick = _with_keys(PostgresStore(url)), _with_keys(PostgresStore(url))
    begin(quick, ["r"])
    opened, commits = threading.Event(), threading.Event()

    def work(tx: Tx) -> Woken:
        woken = waits("r", ("iuv", "u"))(tx)
        opened.set()
        commits.wait(100)
        return woken

    first = slow.write(work)
    assert opened.wait(60)
    second = quick.write(arrives("prova.ricevuta", iuv="u"))
    with contextlib.suppress(TimeoutError):
        second.result(patience)
    commits.set()
    first.result(60)
    second.result(60)
    met = matches(quick)
    slow.close()
    quick.close()
    return met


def test_an_arrival_waits_for_whoever_opens_its_wait(postgresql_url: str) -> None:
    assert _met(postgresql_url, 1) == {"r": 1}


def test_without_the_lock_an_arrival_and_its_wait_would_miss_each_other(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_LOCK", WITHOUT_LOCK)
    assert _met(postgresql_url, 60) == {}
