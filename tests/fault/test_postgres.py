"""PostgreSQL cut off exactly at COMMIT, killed again and again, written to by many: what was acknowledged is there, once."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import psycopg
import pytest

from bus.errors import StoreError
from bus.message import new_id
from bus.store import Store, Tx, listed, postgres, writer
from bus.store.postgres import PostgresStore
from bus.testing.patience import until
from tests.fault.database import WITHOUT_LOCK, add, numbers, times
from tests.servers import PostgreSQL


class Proxy:
    """A line to the server that is cut at the next COMMIT: before the server gets it, or when it has said that it is done."""

    def __init__(self, port: int) -> None:
        self._server = port
        self.cut: Literal["before", "after"] | None = None
        self.cuts = 0
        self.away = False
        """Whether nobody gets through."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._carry, args=(self._listener.accept()[0],), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        commit: bytes | None = None
        waiting = False
        if self.away:
            client.close()
            return
        with (
            contextlib.suppress(OSError),
            client,
            socket.create_connection(("127.0.0.1", self._server)) as server,
            selectors.DefaultSelector() as either,
        ):
            either.register(client, selectors.EVENT_READ)
            either.register(server, selectors.EVENT_READ)
            while True:
                for key, _ in either.select():
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not data:
                        return
                    if key.fileobj is client:
                        if told := re.search(rb"(_pg3_\d+)\0COMMIT\0", data):
                            commit = told[1]
                        if commit is not None and b"\0" + commit + b"\0" in data and self.cut:
                            if self.cut == "before":
                                self.cut, self.cuts = None, self.cuts + 1
                                return
                            waiting = True
                        server.sendall(data)
                    elif waiting and b"COMMIT\0" in data:
                        self.cut, self.cuts = None, self.cuts + 1
                        return
                    else:
                        client.sendall(data)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def proxied(postgresql: PostgreSQL, postgresql_url: str) -> Iterator[tuple[Store, Proxy]]:
    proxy = Proxy(postgresql.port)
    store = PostgresStore(postgresql_url.replace(f":{postgresql.port}/", f":{proxy.port}/"))
    yield store, proxy
    store.close()
    proxy.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_line_cut_at_commit_neither_loses_nor_doubles(proxied: tuple[Store, Proxy], when: Literal["before", "after"]) -> None:
    store, proxy = proxied
    ran = Counter[str]()
    for number in range(20):
        name = f"m{number}"

        def work(tx: Tx, name: str = name) -> str:
            ran[name] += 1
            add(tx, name)
            return name

        proxy.cut = when
        assert store.write(work).result(60) == name
        assert times(store, name) == 1
    assert proxy.cuts == 20
    assert set(ran.values()) == ({2} if when == "before" else {1})


def test_a_line_of_which_psycopg_knows_before_libpq_that_it_is_gone_neither_loses_nor_doubles(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket has an error and libpq has not read it yet: psycopg raises, and the session still looks sound."""
    store, wait = PostgresStore(postgresql_url), psycopg.waiting.wait
    left, broken = 0, 0

    def breaking(gen: Any, fileno: int, **limits: Any) -> Any:
        nonlocal left, broken
        left -= 1
        if left:
            return wait(gen, fileno, **limits)
        try:
            next(gen)  # what is to be sent goes out
        except StopIteration as done:
            return done.value
        broken += 1
        raise psycopg.OperationalError("connection socket closed")

    monkeypatch.setattr("psycopg.waiting.wait", breaking)
    for number in range(1, 20):
        left = number
        store.write(lambda tx, number=number: add(tx, f"m{number}")).result(60)  # type: ignore[misc]
        left = 0
        assert times(store, f"m{number}") == 1
        left = number
        assert times(store, f"m{number}") == 1
        left = 0
    assert broken > 8
    store.close()


def _end_server(server: PostgreSQL) -> None:
    server.kill()


def _end_a_session(server: PostgreSQL) -> None:
    """The server ends all the others too, and reads its log again."""
    with psycopg.connect(server.url) as session, contextlib.suppress(psycopg.Error):
        os.kill(session.info.backend_pid, signal.SIGKILL)
        session.execute("SELECT pg_sleep(60)")


@pytest.mark.parametrize("crash", [_end_server, _end_a_session])
@pytest.mark.parametrize(("name", "proven"), [("record", True), ("rules", False)])
def test_a_number_that_a_crashed_server_gives_again_is_not_taken_for_ours(
    crash: Callable[[PostgreSQL], None], name: str, proven: bool
) -> None:
    """It forgets a number of which its log has nothing yet; the transaction that gets it next is another's, and is committed."""
    key = "id" if proven else "digest"
    facts = (
        {"kind": "read", "time": "t", "message": "ours", "run": None, "content": b"{}"} if proven else {"kind": "route", "content": b"{}"}
    )
    tried: list[str] = []
    crashed = threading.Event()
    with PostgreSQL({"wal_writer_delay": "10s"}) as server:
        url = server.new_database()
        proxy = Proxy(server.port)
        store, other = PostgresStore(url.replace(f":{server.port}/", f":{proxy.port}/")), PostgresStore(url)
        for one in (store, other):
            one.write(lambda tx: add(tx, "before")).result(30)

        def work(tx: Tx) -> None:
            tried.append(new_id())
            tx.do(f"add_{name}", **{key: tried[-1]}, **facts)
            tx.one(name, **{key: tried[-1]})  # it is sent, and has its number
            if len(tried) == 1:
                proxy.away, proxy.cut = True, "before"
                crash(server)
                crashed.set()

        written = store.write(work)
        assert crashed.wait(60)
        server.start()
        for _ in range(3):
            other.write(lambda tx: add(tx, "other")).result(60)
        proxy.away, proxy.cut = False, None
        written.result(60)
        with other.read() as tx:
            assert [tx.one(name, **{key: one}) is not None for one in tried] == [False, True]
        store.close()
        other.close()
        proxy.close()


REFUSES = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'it cannot' USING ERRCODE = '{code}'; END $$;
CREATE CONSTRAINT TRIGGER refuses AFTER INSERT ON records {when} FOR EACH ROW WHEN (NEW.message = 'bad') EXECUTE FUNCTION refuse();
"""


@pytest.mark.parametrize("when", ["", "DEFERRABLE INITIALLY DEFERRED"])
@pytest.mark.parametrize("code", ["53100", "XX001", "58030", "99999"])
def test_what_a_server_says_of_itself_is_a_store_that_fails_also_at_commit(postgresql_url: str, when: str, code: str) -> None:
    store = PostgresStore(postgresql_url)
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        admin.execute(REFUSES.format(code=code, when=when))  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="it cannot") as failed:
        store.write(lambda tx: add(tx, "bad")).result(60)
    assert failed.value.code == "store.failed"
    store.write(lambda tx: add(tx, "good")).result(60)
    assert (times(store, "bad"), times(store, "good")) == (0, 1)
    store.close()


@pytest.mark.parametrize("when", ["first", "later"])
def test_a_page_that_cannot_be_read_is_a_store_that_fails_and_none_that_went_away(postgresql_url: str, when: str) -> None:
    """The first question of a session was asked for five seconds, each time of a new one, and then the network was to be looked at."""
    store = PostgresStore(postgresql_url)
    for _ in range(1 if when == "later" else 0):
        assert times(store, "nothing") == 0
    with pytest.raises(StoreError, match="invalid page") as failed, store.read() as tx:
        tx.ask("DO $$ BEGIN RAISE 'invalid page in block 3' USING ERRCODE = 'XX001'; END $$", {})
    assert (type(failed.value), failed.value.code) == (StoreError, "store.failed")
    assert "go over to a standby or restore the backup" in failed.value.hint
    assert times(store, "nothing") == 0
    store.close()


NO_ROOM = """CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF octet_length(NEW.content) > 1000 THEN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END IF;
  RETURN NEW;
END $$; CREATE TRIGGER no_room BEFORE INSERT ON records FOR EACH ROW EXECUTE FUNCTION no_room()"""


def test_a_server_without_room_is_told_until_there_is_some_also_when_nobody_writes(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "AGAIN", 0.0)
    store = PostgresStore(postgresql_url)
    assert store.failing() is None
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        admin.execute(NO_ROOM)
        large = store.write(lambda tx: tx.do("add_record", id="large", kind="read", time="t", message="m", run=None, content=bytes(2000)))
        with pytest.raises(StoreError, match="no space left"):
            large.result(60)
        store.write(lambda tx: add(tx, "small")).result(60)
        assert [getattr(store.failing(), "code", None) for _ in range(2)] == ["store.failed"] * 2
        admin.execute("DROP TRIGGER no_room ON records")
    assert store.failing() is None
    store.write(lambda tx: add(tx, "after")).result(60)
    assert len(numbers(store)) == 2, "what tried whether there is room left nothing"
    store.close()


def test_a_right_that_was_taken_is_told_until_it_is_given_again(
    postgresql: PostgreSQL, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "AGAIN", 0.0)
    PostgresStore(postgresql_url).close()
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE bus_of_rights LOGIN")
        admin.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO bus_of_rights")
        admin.execute("GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO bus_of_rights")
        store = PostgresStore(postgresql_url.replace("snodo@", "bus_of_rights@"))
        admin.execute("REVOKE INSERT ON payloads FROM bus_of_rights")
        with pytest.raises(StoreError, match="forbids"):
            store.write(lambda tx: tx.do("add_payload", id="p", message=None, media_type="t", nonce=b"", content=b"")).result(60)
        assert [getattr(store.failing(), "code", None) for _ in range(2)] == ["store.rights"] * 2
        admin.execute("GRANT INSERT ON payloads TO bus_of_rights")
        assert store.failing() is None
        store.close()
        admin.execute("DROP OWNED BY bus_of_rights")
        admin.execute("DROP ROLE bus_of_rights")


def test_a_table_that_stays_locked_is_told_for_as_long_as_it_is(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "AGAIN", 0.0)
    monkeypatch.setattr(writer, "PATIENCE", 1.0)
    store = PostgresStore(postgresql_url)
    with psycopg.connect(postgresql_url) as admin:
        admin.execute("LOCK TABLE records IN SHARE MODE")
        with pytest.raises(StoreError, match=r"gave no lock in time \(bus doctor says who"):
            store.write(lambda tx: add(tx, "kept out")).result(60)
        assert [getattr(store.failing(), "code", None) for _ in range(2)] == ["store.interrupted"] * 2
        admin.rollback()
    until(lambda: store.failing() is None, "the table is to be had")
    store.close()


def test_a_server_that_became_a_standby_is_told_though_it_can_be_read_and_nobody_writes() -> None:
    with PostgreSQL() as server, contextlib.closing(PostgresStore(server.new_database())) as store:
        store.write(lambda tx: add(tx, "before")).result(30)
        server.stop()
        signal_file = server.data / "standby.signal"
        signal_file.touch()
        server.start()
        assert times(store, "before") == 1
        assert getattr(store.failing(), "code", None) == "store.standby"
        with pytest.raises(StoreError, match="standby"):
            store.write(lambda tx: add(tx, "meanwhile")).result(60)
        signal_file.unlink()
        server.restart()
        until(lambda: store.failing() is None, "it takes writes again", every=0.1)


FORGET = "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"
"""Takes the session's prepared statements away without psycopg's noticing."""


def test_a_schema_that_comes_before_that_of_the_tables_is_named(postgresql: PostgreSQL) -> None:
    url = postgresql.new_database()
    store = PostgresStore(url)
    store.write(lambda tx: add(tx, "before")).result(60)
    with psycopg.connect(url, autocommit=True) as line:
        line.execute("CREATE SCHEMA snodo")
        line.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    with pytest.raises(StoreError, match="is empty") as refused:
        store.write(lambda tx: add(tx, "after")).result(60)
    assert refused.value.hint == "tables of a bus are in the schema public, and search_path leads to snodo now: drop that, or set the path"
    store.close()
    postgresql.drop_database(url)


def test_a_database_that_was_made_anew_under_a_process_is_refused_and_left_empty(postgresql: PostgreSQL) -> None:
    url = postgresql.new_database()
    store = PostgresStore(url)
    store.write(lambda tx: add(tx, "before")).result(60)
    postgresql.drop_database(url)
    postgresql._sql(f"CREATE DATABASE {url.rpartition('/')[2]} TEMPLATE template0")
    for _ in range(2):
        with pytest.raises(StoreError, match="is empty") as refused:
            store.write(lambda tx: add(tx, "after")).result(60)
        assert refused.value.code == "store.vanished"
    with pytest.raises(StoreError, match="not as this program knows it"):
        store.describe()
    failing = store.failing()
    assert failing is not None
    assert failing.code == "store.vanished"
    with psycopg.connect(url) as line:
        assert line.execute("SELECT 1 FROM pg_class WHERE relname = 'records'").fetchone() is None
    store.close()
    postgresql.drop_database(url)


def test_a_session_whose_prepared_statements_are_gone_is_replaced_unseen(postgresql_url: str) -> None:
    store = PostgresStore(postgresql_url)
    for turn in range(3):
        for name in ("one", "two"):
            store.write(lambda tx, name=f"{name}{turn}": add(tx, name)).result(60)  # type: ignore[misc]
            assert times(store, f"{name}{turn}") == 1
        store.write(lambda tx: tx._later.append((FORGET, {}))).result(60)  # type: ignore[attr-defined]
        with store.read() as reader:
            reader.one("highest_fence")
            reader.ask(FORGET, {})
    assert len(numbers(store)) == 6
    store.close()


def test_prepared_statements_that_vanish_in_the_midst_of_a_transaction_cost_a_second_try(postgresql_url: str) -> None:
    store, tries = PostgresStore(postgresql_url), []
    store.write(lambda tx: add(tx, "before")).result(60)

    def work(tx: Tx) -> None:
        tries.append(tx)
        add(tx, "in-the-midst")
        tx.all("records_of_messages", messages=listed(["in-the-midst"]), after=0)
        if len(tries) == 1:
            tx._later.append((FORGET, {}))  # type: ignore[attr-defined]  # before COMMIT, which is prepared

    store.write(work).result(60)
    assert len(tries) == 2
    assert times(store, "in-the-midst") == 1
    store.close()


def test_a_server_killed_again_and_again_keeps_every_acknowledged_write_once(postgresql: PostgreSQL, postgresql_url: str) -> None:
    store = PostgresStore(postgresql_url)
    acknowledged: list[str] = []
    stop = threading.Event()

    def write(writer: int) -> None:
        number = 0
        while not stop.is_set():
            name = f"m{writer}-{number}"
            store.write(lambda tx, name=name: add(tx, name)).result(60)  # type: ignore[misc]
            acknowledged.append(name)
            number += 1

    def more(count: int) -> None:
        wanted = len(acknowledged) + count
        until(lambda: len(acknowledged) >= wanted, "more is written")

    with ThreadPoolExecutor(4) as threads:
        writers = [threads.submit(write, n) for n in range(4)]
        try:
            for _ in range(5):
                more(12)
                postgresql.restart()
                more(12)
        finally:
            stop.set()
        for writer in writers:
            writer.result(60)
    assert len(acknowledged) > 100
    assert {name: times(store, name) for name in acknowledged} == dict.fromkeys(acknowledged, 1)
    assert len(numbers(store)) == len(acknowledged)
    store.close()


def test_a_server_that_stays_away_is_told_of_and_the_next_write_is_not_kept_waiting(
    postgresql: PostgreSQL, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.store.writer.PATIENCE", 0.5)
    monkeypatch.setattr("bus.store.postgres.READ_PATIENCE", 0.5)
    store = PostgresStore(postgresql_url)
    postgresql.kill()
    for _ in range(2):
        with pytest.raises(StoreError, match="went away"):
            store.write(lambda tx: add(tx, "never")).result(60)
    with pytest.raises(StoreError, match="went away"):
        numbers(store)
    postgresql.start()
    store.write(lambda tx: add(tx, "again")).result(60)
    assert len(numbers(store)) == 1
    store.close()


def test_who_stops_in_the_midst_of_a_transaction_holds_up_nobody_for_long(postgresql_url: str) -> None:
    stopped, other = PostgresStore(postgresql_url), PostgresStore(postgresql_url)
    begun, goes_on = threading.Event(), threading.Event()

    def work(tx: Tx) -> None:
        add(tx, "stopped")
        tx.one("highest_fence")
        add(tx, "stopped-too")
        begun.set()
        goes_on.wait(100)

    late = stopped.write(work)
    begun.wait(60)
    started = time.monotonic()
    other.write(lambda tx: add(tx, "other")).result(60)
    assert time.monotonic() - started < 25
    goes_on.set()
    late.result(60)
    assert [times(other, name) for name in ("stopped", "stopped-too", "other")] == [1, 1, 1]
    stopped.close()
    other.close()


def _follow_two_writers(url: str, patience: float) -> tuple[list[int], list[int]]:
    """One transaction has its number and is slow to commit, another begins after it. What a follower saw, and what is there.

    ``patience``: seconds that the second is given to commit before the first does.
    """
    slow, quick = PostgresStore(url), PostgresStore(url)
    begun, commits = threading.Event(), threading.Event()

    def work(tx: Tx) -> None:
        add(tx, "slow")
        tx.all("records_of_messages", messages=listed(["slow"]), after=0)  # the row is written, and numbered
        begun.set()
        commits.wait(100)

    first = slow.write(work)
    begun.wait(60)
    second = quick.write(lambda tx: add(tx, "quick"))
    with contextlib.suppress(TimeoutError):
        second.result(patience)
    seen = numbers(quick)
    commits.set()
    first.result(60)
    second.result(60)
    seen += numbers(quick, after=max(seen, default=0))
    there = numbers(quick)
    slow.close()
    quick.close()
    return seen, there


def test_who_follows_the_log_by_its_numbers_misses_nothing(postgresql_url: str) -> None:
    seen, there = _follow_two_writers(postgresql_url, 1)
    assert seen == there
    assert len(there) == 2


def test_without_the_lock_a_follower_would_miss_a_record(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_LOCK", WITHOUT_LOCK)
    seen, there = _follow_two_writers(postgresql_url, 60)
    assert len(there) == 2
    assert len(seen) == 1


def test_fifty_writers_and_a_follower_who_misses_nothing(postgresql_url: str) -> None:
    stores = [PostgresStore(postgresql_url) for _ in range(50)]
    futures = []
    seen: list[int] = []
    for _ in range(20):
        futures += [store.write(lambda tx: add(tx, "m")) for store in stores]
        seen += numbers(stores[0], after=max(seen, default=0))
    for future in futures:
        future.result(60)
    seen += numbers(stores[0], after=max(seen, default=0))
    assert len(seen) == 1000
    assert seen == numbers(stores[0])
    for store in stores:
        store.close()


def test_many_processes_may_open_an_empty_database_at_once(postgresql_url: str) -> None:
    with ThreadPoolExecutor(12) as threads:
        for store in threads.map(PostgresStore, [postgresql_url] * 12):
            store.close()
