"""Two servers that both take writes: a standby was promoted, and the primary whose place it took is there, or comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import psycopg
import pytest

from bus import config
from bus.app import App
from bus.errors import StoreError
from bus.log import timelines
from bus.store import hosts, listed, migrate, schema, writer
from bus.store.postgres import PostgresLook, PostgresStore
from bus.testing.patience import until
from tests.fault.database import add, times
from tests.fault.standby import Standby
from tests.servers import PostgreSQL, ServiceMissing
from tests.small_bus import at_work, write
from tests.unit.examining import examined, levels


class Pair(NamedTuple):
    """``url`` names both, the one first that was the primary first."""

    old: PostgreSQL
    new: Standby
    url: str

    def alone(self, server: PostgreSQL) -> str:
        return server.url_of(self.url.rpartition("/")[2].partition("?")[0])


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """A primary with a standby; nothing is known of either."""
    forget(monkeypatch)
    with ExitStack() as stack:
        try:
            old = stack.enter_context(PostgreSQL())
        except ServiceMissing as error:
            pytest.skip(f"NOT TESTED: {error}")
        name = old.new_database().rpartition("/")[2]
        new = stack.enter_context(Standby(old))
        yield Pair(old, new, several(name, old, new))


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process that starts."""
    monkeypatch.setattr(hosts, "_NEWEST", {})
    monkeypatch.setattr(hosts, "_ANSWERED", {})


def refusal(app: App) -> str:
    """The code under which a bus takes nothing now."""
    try:
        return getattr(app.store.failing(), "code", "")
    except StoreError as error:
        return error.code


def several(name: str, *servers: PostgreSQL) -> str:
    places = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return f"postgresql://snodo@{places}/{name}?target_session_attrs=read-write"


def put(store: PostgresStore, name: str) -> None:
    store.write(lambda tx: add(tx, name)).result(60)


@pytest.mark.timeout(240)
def test_nobody_goes_back_to_a_primary_whose_place_a_standby_took(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """It came back by mistake, the new one was restarted for a moment, and all processes went on with a log that lacked what was accepted."""
    monkeypatch.setattr(writer, "PATIENCE", 1.0)
    store = PostgresStore(pair.url)
    put(store, "before")
    pair.new.catch_up()
    pair.old.kill()
    pair.new.promote()
    put(store, "promoted")
    pair.old.start()
    pair.new.kill()
    with pytest.raises(StoreError, match=r"timeline 1\) is an old primary.*\(timeline 2\)") as told:
        put(store, "nobody's")
    assert told.value.code == "store.old-primary"
    pair.new.start()
    put(store, "after")
    assert [times(store, name) for name in ("before", "promoted", "nobody's", "after")] == [1, 1, 0, 1]
    store.close()


@pytest.mark.timeout(240)
def test_who_works_upon_the_old_one_leaves_it_once_anybody_has_seen_the_new_one(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines stand; whoever started meanwhile was elsewhere."""
    told = list[str]()
    monkeypatch.setattr(hosts, "logger", lambda _: SimpleNamespace(error=lambda _, *, sentence, hint: told.append(sentence)))
    at_work = PostgresStore(pair.url)
    put(at_work, "one")
    assert times(at_work, "one") == 1
    pair.new.catch_up()
    pair.new.promote()
    started = PostgresStore(pair.url)
    was, now = (f"127.0.0.1:{server.port}" for server in pair[:2])
    assert told == [f"{was} (timeline 1) takes writes, and is an old primary: {now} (timeline 2) was promoted in its place"]
    put(started, "two")
    assert times(at_work, "two") == 1, "nor does it read there"
    put(at_work, "three")
    assert times(started, "three") == 1
    for store in (at_work, started):
        store.close()
    forget(monkeypatch)
    with psycopg.connect(pair.alone(pair.old)) as session:
        session.execute("UPDATE schema_revision SET revision = 7")
    assert migrate.status(pair.url)[0] == schema.REVISION, "nor is it migrated"
    forget(monkeypatch)
    look = PostgresLook(pair.url)  # as `bus log verify` does
    with look.read() as tx:
        assert len(tx.all("records_of_messages", messages=listed(["three"]), after=0)) == 1
    look.close()


@pytest.mark.timeout(240)
def test_where_the_old_one_comes_up_alone_the_key_store_knows_better(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut of everything, it was the first that answered."""
    path = write(tmp_path, store={"url": pair.url}, channel={"url": "memory://"})
    told = config.load(path)
    App(told).stop()
    pair.new.catch_up()
    pair.old.kill()
    pair.new.promote()
    forget(monkeypatch)
    said = list[tuple[str, str]]()
    monkeypatch.setattr(hosts, "logger", lambda _: SimpleNamespace(warning=lambda event, *, sentence, hint: said.append((event, sentence))))
    for _ in range(2):
        App(told).stop()
    place = f"127.0.0.1:{pair.new.port} (timeline 2)"
    promoted = f"a standby was promoted: {place} goes on with the log, and timeline 1 was the last that anybody saw"
    assert said == [("store.promoted", promoted)], "once, for nobody is left who knows whether all is there"
    pair.new.kill()
    pair.old.start()
    forget(monkeypatch)
    with pytest.raises(StoreError, match="is an old primary") as refused:
        App(told)
    assert refused.value.code == "store.old-primary"
    assert "remove timelines.json from the key store" in refused.value.hint
    assert next(one.next for one in examined(path)["doctor.store"] if one.level == "wrong") == refused.value.hint
    pair.new.start()
    forget(monkeypatch)
    monkeypatch.setattr(hosts, "tell", lambda found: None)
    App(told).stop()
    assert levels(examined(path), "doctor.store") == ["wrong", "ok"], "the old one is there still"
    pair.new.kill()
    (told.keystore.folder / timelines.FILE).unlink()
    forget(monkeypatch)
    App(told).stop()


@pytest.mark.timeout(240)
def test_a_process_hears_of_the_new_one_from_the_key_store_while_it_works(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a process on another machine, which shares nothing else with it."""
    forget(monkeypatch)
    told = config.load(write(tmp_path, store={"url": postgresql_url}, channel={"url": "memory://"}))
    monkeypatch.setattr("bus.app.FOLLOW", 0.1)
    monkeypatch.setattr(writer, "PATIENCE", 0.5)
    with at_work(App(told)) as app:
        [system] = hosts._NEWEST
        assert timelines.newest(told.keystore.folder, system) == 1
        timelines.saw(told.keystore.folder, system, 2)
        until(lambda: refusal(app) == "store.old-primary", "it works there no more", 60)


@pytest.mark.timeout(240)
def test_of_two_that_were_promoted_alike_none_is_written_to(pair: Pair) -> None:
    with Standby(pair.old) as third:
        for standby in (pair.new, third):
            standby.catch_up()
        pair.old.kill()
        for standby in (pair.new, third):
            standby.promote()
        url = several(pair.alone(third).rpartition("/")[2], pair.new, third)
        with pytest.raises(StoreError, match=r"two servers of store.url take writes, .*nothing tells which one goes on") as told:
            PostgresStore(url)
        assert told.value.code == "store.two-primaries"
        with pytest.raises(StoreError, match=r"two servers of store\.url take writes.*stop the one that is not to go on"):
            migrate.migrate(url)
        third.kill()
        PostgresStore(url).close()


def test_a_server_that_goes_by_two_names_is_one(postgresql: PostgreSQL, postgresql_url: str) -> None:
    name = postgresql_url.rpartition("/")[2]
    url = f"postgresql://snodo@127.0.0.1:{postgresql.port},localhost:{postgresql.port}/{name}?target_session_attrs=primary"
    store = PostgresStore(url)
    put(store, "one")
    assert times(store, "one") == 1
    store.close()
