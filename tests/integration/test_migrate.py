"""Migrations with work in flight: what waits, is ready, dead or done survives the way back and forth, and goes on."""

from __future__ import annotations

import datetime as dt
import os
import re
import sqlite3
import threading
import tracemalloc
from contextlib import closing
from functools import partial
from importlib import resources
from pathlib import Path
from time import sleep
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from bus import config, protecting
from bus.app import App
from bus.cli import main
from bus.engine import search
from bus.engine.arrival import Submission
from bus.errors import Invalid, StoreError
from bus.log import log, payload, requests
from bus.log.keystore import unlock
from bus.log.record import Record
from bus.message import canonical, new_id, parsed
from bus.store import Tx, migrate, postgres_session, schema, writer
from bus.store.opening import open_store
from tests.integration.erasing import NAME, OTHER, WHO, asked, confirmed, greet, two_sysadmins
from tests.integration.workshop import workshop
from tests.projections import snapshot
from tests.small_bus import running, wait_reply


def test_runs_in_every_state_survive_down_and_up_and_are_finished_afterwards(tmp_path: Path, url: str) -> None:
    with workshop(tmp_path, url) as shop:
        waiting, dead, done = shop.start("attesa"), shop.start("morta", "giu-scrivi"), shop.start("fatta")
        nothing_said = shop.app.send(
            Submission("prova.legame", {"a": "vuota", "b": "vuota"}, "prova", wires=(payload.Text("wire", b""),), key="vuota")
        )
        nothing_said.result(30)
        shop.when(waiting, "waiting")
        shop.when(dead, "dead")
        shop.when(done, "waiting", "done")
        with pytest.raises(StoreError, match=rf"works on.*process {os.getpid()}\b"):
            migrate.migrate(url, 1)
        shop.app.stop()
        store = open_store(url)
        store.write(lambda tx: tx.do("wake_run", id=done, time="2026-01-01T00:00:00.000000Z")).result(10)
        with store.read() as tx:
            before = snapshot(tx)
        store.close()
        with pytest.raises(StoreError, match="sealed"):
            migrate.migrate(url, 1)
        assert protecting.change(shop.app.config, 1) == (schema.REVISION, 1)
        assert holds(url, "attesa"), "an older program reads it"
        assert migrate.status(url) == (1, schema.REVISION)
        with pytest.raises(StoreError, match="bus migrate up"):
            open_store(url)
        assert protecting.change(shop.app.config, schema.REVISION) == (1, schema.REVISION)
        assert not holds(url, "attesa")
        assert protecting.change(shop.app.config, schema.REVISION) == (schema.REVISION, schema.REVISION)
        assert _projections(url) == before
        shop.app = App(shop.app.config, adapters={"sistema": shop.system})
        shop.app.start()
        shop.system.well = True
        shop.app.redeliver(dead, "chiara", "il sistema risponde")
        for run in (waiting, dead, done):
            shop.when(run, "done")
        shop.start("nuova")
        shop.quiet()
        assert shop.app.runs("dead") == []


@pytest.mark.parametrize("back", [False, True], ids=["the same command again", "the way back"])
def test_a_migration_that_was_killed_between_its_transactions_goes_on(
    tmp_path: Path, url: str, back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with workshop(tmp_path, url) as shop:
        waiting = shop.start("attesa")
        shop.when(waiting, "waiting")
        shop.app.stop()
        config, newest = shop.app.config, schema.REVISION

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        def change(to: int) -> tuple[int, int]:
            return protecting.change(config, to)

        def change_and_be_killed(to: int, module: object, name: str) -> None:
            with monkeypatch.context() as patched, pytest.raises(BaseException, match=r"^$"):
                patched.setattr(module, name, killed)
                change(to)
            if migrate.status(url)[0] == newest:
                with pytest.raises(StoreError, match=r"lie open.*bus migrate up"):
                    App(config, adapters={"sistema": shop.system})

        before = _projections(url)
        change_and_be_killed(4, protecting.migrate, "migrate")
        if not back:
            assert change(4) == (newest, 4)
            change_and_be_killed(newest, protecting, "_protect")
        assert change(newest) == (newest, newest)
        assert _projections(url) == before
        assert not holds(url, "attesa")
        shop.app = App(config, adapters={"sistema": shop.system})
        shop.app.start()
        shop.system.well = True
        assert shop.app.runs("dead") == []


@pytest.mark.parametrize("stopped", [5, schema.REVISION])
def test_the_way_back_from_a_way_up_that_did_not_end(tmp_path: Path, url: str, stopped: int) -> None:
    """Of revision 5 there are the tables alone, empty, and payloads lie open."""
    with workshop(tmp_path, url) as shop:
        run = shop.start("fatta")
        shop.when(run, "waiting", "done")
        shop.app.stop()
        change = partial(protecting.change, shop.app.config)
        before, facts = _projections(url), "SELECT adapter, kind, key, value FROM facts ORDER BY adapter, kind, key"
        change(4)
        known = _everything_of(facts, url)
        assert len(known) > 1
        migrate.migrate(url, stopped)
        assert change(3) == (stopped, 3)
        assert _everything_of(facts, url) == known
        assert change(schema.REVISION) == (3, schema.REVISION)
        assert _projections(url) == before


def test_a_revision_that_there_is_not_lays_nothing_open(tmp_path: Path, url: str) -> None:
    with workshop(tmp_path, url) as shop:
        shop.app.stop()
        for to in (-1, 0, schema.REVISION + 1):
            with pytest.raises(Invalid, match=f"no revision {to}"):
                protecting.change(shop.app.config, to)
        assert migrate.lies_open(url) == set()


def test_of_what_lay_open_nothing_is_left_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where SQLite was built to leave what is deleted in its pages."""
    connect = sqlite3.connect

    def keeping(*named: Any, **options: Any) -> sqlite3.Connection:
        raw = connect(*named, **options)
        raw.execute("PRAGMA secure_delete=OFF")
        return raw

    monkeypatch.setattr(sqlite3.dbapi2, "connect", keeping)
    path = tmp_path / "prova.db"
    open_store(f"sqlite:///{path}").close()
    migrate.migrate(f"sqlite:///{path}", 4)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.executemany("INSERT INTO facts VALUES ('prova', 'prova', ?, ?)", [(str(number), b"Lucrezia" * 50) for number in range(200)])
    migrate.migrate(f"sqlite:///{path}")
    assert b"Lucrezia" not in path.read_bytes()


def test_the_texts_of_many_records_are_read_together(tmp_path: Path) -> None:
    """Each record was a question to the database, also those that commit to no text."""
    with running(tmp_path) as server:
        for number in range(5):
            sent = server.app.send(Submission("prova.saluto", {"nome": f"n{number}"}, "portale", key=f"k{number}")).result(30)
            wait_reply(server.app, sent.id, 30)
        asked: list[str] = []
        with server.app.store.read() as tx:

            def all(query: str, **given: Any) -> Any:
                asked.append(query)
                return tx.all(query, **given)

            view: Any = SimpleNamespace(keys=tx.keys, all=all)
            records, texts = len(list(log.everything(tx))), list(protecting._texts(view))
    assert {f"k{number}" for number in range(5)} <= set(texts)
    assert (asked.count("payloads_among"), len(asked), records > 10) == (1, 3, True)


def test_under_a_bus_that_works_nothing_is_laid_open(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "MOMENT", 0.1)
    with workshop(tmp_path, url) as shop:
        shop.when(waiting := shop.start("attesa"), "waiting")
        assert protecting.change(shop.app.config, schema.REVISION) == (schema.REVISION,) * 2, "each `up` of compose asks: no no to nothing"
        with pytest.raises(StoreError, match=rf"process {os.getpid()}\b") as refused:
            protecting.change(shop.app.config, 4)
        assert refused.value.code == "store.taken"
        assert "bus migrate, wait for its end" in (refused.value.hint or "")
        assert migrate.lies_open(url) == set()
        shop.when(waiting, "done")


def test_beside_a_laying_open_nobody_is_told_that_all_is_up_to_date(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "MOMENT", 0.1)
    with workshop(tmp_path, url) as shop:
        shop.when(shop.start("attesa"), "waiting")
        settings = shop.app.config
    lay_open, midst, told = protecting._lay_open, threading.Event(), threading.Event()

    def slowly(tx: Tx) -> None:
        lay_open(tx)
        midst.set()
        assert told.wait(60)

    monkeypatch.setattr(protecting, "_lay_open", slowly)
    down = threading.Thread(target=protecting.change, args=(settings, 4))
    down.start()
    try:
        assert midst.wait(60)
        with pytest.raises(StoreError) as refused:
            protecting.change(settings, schema.REVISION)
    finally:
        told.set()
        down.join(60)
    assert refused.value.code in ("store.taken", "store.locked")
    assert migrate.status(url)[0] == 4


def test_under_a_bus_that_began_a_moment_ago_nothing_is_laid_open(
    tmp_path: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not there yet when a migration looked for it."""
    monkeypatch.setattr(migrate, "refuse_busy", lambda url: None)
    with workshop(tmp_path, postgresql_url) as shop:
        with pytest.raises(StoreError, match="works on this database"):
            protecting.change(shop.app.config, 4)
        assert migrate.lies_open(postgresql_url) == set()


def test_sealing_takes_the_time_that_it_takes(tmp_path: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of a transaction of the bus are none of a migration."""
    protect = protecting._protect

    def slowly(tx: Tx) -> None:
        protect(tx)
        sleep(0.4)
        tx.all("lies_open")

    monkeypatch.setattr(protecting, "_protect", slowly)
    with workshop(tmp_path, postgresql_url) as shop:
        shop.app.stop()
        monkeypatch.setitem(postgres_session.WRITING, "idle_in_transaction_session_timeout", "100ms")
        monkeypatch.setattr(writer, "PATIENCE", 0.1)
        change = partial(protecting.change, shop.app.config)
        assert change(4) == (schema.REVISION, 4)
        assert change(schema.REVISION) == (4, schema.REVISION)


def _projections(url: str) -> object:
    with closing(open_store(url)) as store, store.read() as tx:
        return snapshot(tx)


def holds(url: str, value: str) -> bool:
    """Whether a business key stands in the tables as it is."""
    query = f"SELECT count(*) FROM message_keys WHERE value = '{value}'"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw:
            return bool(raw.execute(query).fetchone()[0])
    with psycopg.connect(url) as raw:
        return bool(raw.execute(query).fetchone()[0])


def test_sealing_and_laying_open_take_no_more_memory_for_a_larger_log(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = SimpleNamespace(token=lambda text: f"token of {text}")
    tx: Any = SimpleNamespace(do=lambda query, **told: None, all=lambda query, **told: (), one=lambda query, **told: None, keys=keys)
    record = Record(new_id(), "waiting", dt.datetime.now(dt.UTC))
    monkeypatch.setattr(protecting.log, "everything", lambda tx: ((number, record) for number in range(50_000)))
    monkeypatch.setattr(protecting, "_told", lambda tx, record, rows: [f"text {record.id}"])
    for work in (protecting._seal, protecting._lay_open):
        tracemalloc.start()
        work(tx)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 1_000_000


def test_whatever_stands_in_a_payload_survives_down_and_up(tmp_path: Path, url: str) -> None:
    """Texts of others may be empty (a GET sends nothing), look like JSON, or hold what PostgreSQL has no character for."""
    with workshop(tmp_path, url) as shop:
        shop.when(shop.start("attesa", "nullo \0 e \\u0000"), "waiting")
        shop.app.stop()
        config = shop.app.config
        store = open_store(url)
        keys = unlock(store, config.keystore)
        value = {"numero": 7, "testo": "nullo \0, \\ e \\u0000"}
        facts = canonical([["prova", "oggetto", value], ["prova", "testo", "sì"], ["prova", "vero", True]])
        texts = [b"", b"[", b"{", b"[1]", b'["x", {}]', b'{"a": 1}', b'"x"', b"\xff", b"\0", b"[\xff", b"{\0", facts]
        sealed = [payload.seal(payload.Text("prova", text), keys.fresh()) for text in texts]

        def add(tx: Tx) -> None:
            for number, one in enumerate(sealed):
                tx.do("add_payload", id=one.commitment.id, message=None, media_type="text/plain", nonce=one.nonce, content=one.content)
                for key in ("oggetto", "testo", "vero") if number == len(texts) - 1 else ():
                    tx.do("set_fact", adapter="prova", kind="prova", key=key, payload=one.commitment.id)

        store.write(add).result(10)
        before = _everything_of("SELECT id, content FROM payloads ORDER BY id", url)
        store.close()
        assert protecting.change(config, 4) == (schema.REVISION, 4)
        known = dict(_everything_of("SELECT key, value FROM facts WHERE adapter = 'prova'", url))
        assert {key: parsed(value) for key, value in known.items()} == {"oggetto": value, "testo": "sì", "vero": True}
        [(correlation, causation, message)] = _everything_of("SELECT correlation, causation, id FROM messages", url)
        assert (correlation, causation) == (message, None)
        assert protecting.change(config, schema.REVISION) == (4, schema.REVISION)
        assert _everything_of("SELECT id, content FROM payloads ORDER BY id", url) == before


def _everything_of(query: str, url: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else psycopg.connect(url)) as raw:
        return raw.execute(query).fetchall()


def test_the_order_of_acceptance_goes_on_after_a_migration(tmp_path: Path, url: str) -> None:
    from tests.contract.store_contract import add_runs, claim, ids

    store = open_store(url)
    add_runs(store, "b", ("a", "case-b"))
    store.close()
    migrate.migrate(url, 1)
    migrate.migrate(url)
    store = open_store(url)
    add_runs(store, ("0", "case-b"))
    assert ids(claim(store, "0", "a", "b")) == ["a"], "ids are the order that revision 1 knew; what is new comes after"
    store.close()


def test_what_searches_took_for_a_second_younger_is_mended(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tempo.db'}"
    times = [f"2026-03-01T09:30:59.{fraction}Z" for fraction in ("000000", "999499", "999500", "999999")]

    def at() -> list[int]:
        with closing(sqlite3.connect(tmp_path / "tempo.db")) as raw:
            return [at - 1772357459_000000 for (at,) in raw.execute("SELECT at FROM traces ORDER BY seq")]

    store = open_store(url)
    for number, time in enumerate(times):
        row = {"kind": "rules", "time": time, "message": None, "run": None, "content": b"{}"}
        store.write(lambda tx, number=number, row=row: tx.do("add_record", id=str(number), **row)).result(10)  # type: ignore[misc]
    search.trace(store)
    store.close()
    well = [0, 999499, 999500, 999999]
    assert at() == well
    migrate.migrate(url, 7)
    assert at() == [0, 999499, 1_999500, 1_999999]
    migrate.migrate(url)
    assert at() == well


def test_a_request_of_an_erasure_waits_for_the_second_person_after_the_way_down_and_up(tmp_path: Path, url: str) -> None:
    """Revision 1 has no marks: they are made again from the log."""
    changes: dict[str, Any] = {"keys": two_sysadmins(), "store": {"url": url}}
    with running(tmp_path, **changes) as server:
        greet(server, NAME, WHO)
        greet(server, "Bea", OTHER)
        assert confirmed(server, asked(server, OTHER).json["id"]).status == 200
        request = asked(server).json["id"]
    settings = config.load(tmp_path / "config.yaml")
    for to in (1, schema.REVISION):
        protecting.change(settings, to)
    with running(tmp_path, **changes) as server:
        assert [one["id"] for one in server.app.destruction.waiting()] == [request]
        with server.app.store.read() as tx:
            requests.compare(tx, {key for page in log.erased_keys(tx) for key in page})
        assert confirmed(server, request).status == 200


def test_a_file_of_the_first_release_is_adopted(tmp_path: Path) -> None:
    path = tmp_path / "vecchia.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(schema.script("sqlite", 1))
    url = f"sqlite:///{path}"
    with pytest.raises(StoreError, match=r"schema 1.*bus migrate up"):
        open_store(url)
    assert migrate.migrate(url) == (1, schema.REVISION)
    open_store(url).close()


def test_a_migrated_database_has_the_schema_of_a_new_one(tmp_path: Path) -> None:
    def schema_of(name: str) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(tmp_path / name)) as raw:
            rows = raw.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%' ORDER BY name")
            return [(name, " ".join(sql.split())) for name, sql in rows]

    for name in ("nuova.db", "migrata.db"):
        open_store(f"sqlite:///{tmp_path / name}").close()
    migrate.migrate(f"sqlite:///{tmp_path / 'migrata.db'}", 1)
    migrate.migrate(f"sqlite:///{tmp_path / 'migrata.db'}")
    assert schema_of("migrata.db") == schema_of("nuova.db")


def test_a_database_of_a_newer_program_is_refused(url: str) -> None:
    open_store(url).close()
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw:
            raw.execute("PRAGMA user_version = 99")
    else:
        with psycopg.connect(url, autocommit=True) as raw:
            raw.execute("UPDATE schema_revision SET revision = 99")
    for refused in (lambda: open_store(url), lambda: migrate.migrate(url)):
        with pytest.raises(StoreError, match=rf"schema 99.*--to {schema.REVISION}"):
            refused()


def test_a_migration_that_fails_changes_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(url).close()
    script = schema.script
    monkeypatch.setattr(schema, "script", lambda kind, revision, way="up": script(kind, revision, way) + "\nSELECT nonsense;\n")
    with pytest.raises(StoreError, match=r"refused it, and its schema was not changed.*nonsense"):
        migrate.migrate(url, 1)
    monkeypatch.undo()
    assert migrate.status(url) == (schema.REVISION, schema.REVISION)
    open_store(url).close()


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text('organization: {name: Prova, fiscal_code: "80001130857"}\nstore: {url: "sqlite:///prova.db"}\n', "utf-8")
    assert main(["migrate", "status", "--config", str(config)]) != 0
    open_store(f"sqlite:///{tmp_path}/prova.db").close()
    newest, before = schema.REVISION, schema.REVISION - 1
    for arguments, said in (
        (["down"], f"{newest} -> {before}"), (["status"], f"has revision {before}"), (["up"], f"{before} -> {newest}"),
        (["up"], f"the database has revision {newest};"),
    ):  # fmt: skip
        assert main(["migrate", *arguments, "--config", str(config)]) == 0
        assert said in capsys.readouterr().out


def test_the_state_of_a_migration_that_did_not_end_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The schema is the newest one, and payloads lie open: "revision 8" alone would look like the end of it."""
    config = tmp_path / "config.yaml"
    config.write_text('organization: {name: Prova, fiscal_code: "80001130857"}\nstore: {url: "sqlite:///prova.db"}\n', "utf-8")
    open_store(f"sqlite:///{tmp_path}/prova.db").close()
    with closing(sqlite3.connect(tmp_path / "prova.db", isolation_level=None)) as raw:
        raw.execute("INSERT INTO marks (name, value) VALUES ('unprotected', '5')")
    assert main(["migrate", "status", "--config", str(config)]) == 0
    assert "payloads lie open" in capsys.readouterr().out
    assert main(["migrate", "up", "--config", str(config)]) == 0
    assert main(["migrate", "status", "--config", str(config)]) == 0
    assert "lie open" not in capsys.readouterr().out


def test_the_scripts_are_part_of_the_package() -> None:
    folder = resources.files("bus.store")
    for revision in range(1, schema.REVISION + 1):
        assert folder.joinpath(f"revisions/versions/r{revision:04}.py").is_file()
        assert schema.script("sqlite", revision)
        assert schema.script("postgres", revision)


def test_the_page_says_what_each_revision_brings() -> None:
    page = (Path(__file__).parents[2] / "docs/sysadmin/upgrading.md").read_text("utf-8")
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)] == list(range(1, schema.REVISION + 1))


def test_up_goes_up_and_down_goes_down_one_revision_after_the_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(tmp_path) as server:
        wait_reply(server.app, server.app.send(Submission("prova.saluto", {"nome": "Ada"}, "portale", role="portal")).result(30).id, 30)
    config = tmp_path / "config.yaml"
    newest = schema.REVISION
    assert main(["migrate", "up", "--to", str(newest - 1), "--config", str(config)]) != 0
    assert f"bus migrate down --to {newest - 1}" in capsys.readouterr().err
    for revision in range(newest, 3, -1):
        assert main(["migrate", "down", "--config", str(config)]) == 0
        assert f"{revision} -> {revision - 1}" in capsys.readouterr().out
    assert main(["migrate", "down", "--to", "7", "--config", str(config)]) != 0
    assert "bus migrate up --to 7" in capsys.readouterr().err
    assert main(["migrate", "up", "--config", str(config)]) == 0
