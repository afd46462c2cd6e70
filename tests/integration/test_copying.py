"""From SQLite to PostgreSQL with work in flight: what was there is there, and what waited goes on."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter

import psycopg
import pytest

from bus import copying, doctor
from bus.app import App
from bus.cli import main
from bus.config import load
from bus.copying import comparable
from bus.errors import ConfigError
from bus.log import log
from bus.log.keystore import unlock
from bus.store.inserts import MOST
from bus.store.opening import open_store
from bus.store.postgres import PostgresConnection
from bus.store.sqlite import SqliteConnection
from tests.integration.erasing import NAME, WHO, asked, confirmed, greet, two_sysadmins
from tests.small_bus import Caller, keystore_of, running, wait_reply, write


def sent(server, type: str, nome: str, key: str) -> str:
    answer = Caller(server.port)("POST", "/messages", {"type": type, "data": {"nome": nome}}, {"Idempotency-Key": key})
    assert answer.status == 202
    return answer.json["id"]


@pytest.fixture
def old(tmp_path):
    """An embedded bus that has done some work, holds a dead letter and waits for something; its folder and the id of what waits."""
    with running(tmp_path / "old") as server:
        waits = sent(server, "prova.attesa", "Ada", "k-ada")
        for number in range(30):
            wait_reply(server.app, sent(server, "prova.saluto", f"Bo {number}", f"k{number}"), 60)
        wait_reply(server.app, sent(server, "prova.guasto", "Cy", "k-cy"), 60)
    return tmp_path / "old", waits


def copied(old, folder, url, capsys) -> dict[str, int]:
    config = write(folder, store={"url": url}, keystore=keystore_of(old))
    assert main(["copy", f"sqlite:///{old}/var/snodo.db", "--config", str(config), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_waited_goes_on_and_what_was_sent_is_known(tmp_path, old, postgresql_url, capsys):
    folder, waits = old
    counts = copied(folder, tmp_path / "new", postgresql_url, capsys)
    with contextlib.closing(sqlite3.connect(folder / "var/snodo.db")) as raw:
        assert counts["records"] == raw.execute("SELECT count(*) FROM records").fetchone()[0]
    with running(
        tmp_path / "new", store={"url": postgresql_url}, keystore=keystore_of(folder), log={"key": str(folder / "var/log.key")}
    ) as server:
        ask = Caller(server.port)
        assert sent(server, "prova.attesa", "Ada", "k-ada") == waits, "the same key is the same message"
        sent(server, "prova.sveglia", "Ada", "k-sveglia")
        assert wait_reply(server.app, waits, 60)["reply"] == {"svegliato": "Ada"}
        assert [one["reason"] for one in ask("GET", "/runs?state=dead", name="sistemista").json["runs"]] == ["prova.rotta"]


def test_the_log_is_copied_byte_for_byte_with_its_numbers(tmp_path, old, postgresql_url, capsys):
    folder, _ = old
    with contextlib.closing(sqlite3.connect(folder / "var/snodo.db")) as raw, raw:
        rows = [("witness", name, size, "2026-03-02", b"x") for name in ("uno", "due") for size in range(1, 700)]
        raw.executemany("INSERT INTO anchors (kind, name, size, time, evidence) VALUES (?, ?, ?, ?, ?)", rows)
    copied(folder, tmp_path / "new", postgresql_url, capsys)
    with contextlib.closing(sqlite3.connect(folder / "var/snodo.db")) as raw, psycopg.connect(postgresql_url) as new:
        for query in (
            "SELECT seq, id, content FROM records ORDER BY seq",
            "SELECT id, nonce, content FROM payloads ORDER BY id",
            "SELECT digest, content FROM rules ORDER BY digest",
            "SELECT level, number, hashes, first FROM tiles ORDER BY level, number",
            "SELECT size, root, last, note FROM checkpoints ORDER BY size",
            "SELECT kind, name, size, time, evidence FROM anchors ORDER BY kind, name, size",
        ):
            assert new.execute(query).fetchall() == raw.execute(query).fetchall()


def test_a_copy_has_one_page_in_memory_however_long_the_log_is(tmp_path, old, monkeypatch):
    """A log of a million messages, of which the tables were compared as lists, took more memory than the machine has."""
    folder, _ = old
    pages, ask = Counter[str](), SqliteConnection.all

    def seen(tx, query, **parameters):
        rows = ask(tx, query, **parameters)
        pages[query] = max(pages[query], len(rows))
        return rows

    monkeypatch.setattr(SqliteConnection, "all", seen)
    for module, name in ((copying, "MOST"), (log, "PAGE")):
        monkeypatch.setattr(module, name, 7)
    assert copying.LARGE["rules_after"] < 50
    monkeypatch.setitem(copying.LARGE, "rules_after", 3)
    settings = load(write(tmp_path / "new", keystore=keystore_of(folder)))
    with (
        contextlib.closing(open_store(f"sqlite:///{folder}/var/snodo.db")) as source,
        contextlib.closing(open_store(settings.store.url)) as target,
    ):
        target.keys = source.keys = unlock(source, settings.keystore)
        counts = copying.copy(source, target)
    assert counts["records"] > 7 * 7
    assert {query: rows for query, rows in pages.items() if rows > 7} == {}
    assert pages["rules_after"] == 3
    assert {"rows_of_messages", "rows_of_runs", "rows_of_intake_keys", "rows_of_case_keys"} <= pages.keys()


def test_what_is_written_and_nobody_asks_for_does_not_wait_in_memory_for_its_end(postgresql_url):
    """A copy of 2,000,000 records took 4.5 GB before the first row went out."""
    with contextlib.closing(PostgresConnection(postgresql_url)) as connection:
        connection.open()
        connection.begin()
        waited = 0
        for number in range(1, 2 * MOST + 10):
            connection.do("add_mark", name=str(number), value="m")
            connection.do("add_payload", id=str(number), message=None, media_type="text/plain", nonce=b"n", content=b"c")
            waited = max(waited, len(connection._later))
        connection.commit()
        assert connection.one("payload", id="1") is not None
    assert 0 < waited < MOST


def test_a_statement_that_is_larger_than_what_the_line_takes_at_once_is_sent_to_its_end(postgresql_url):
    """The server waited for the rest of it, and we for the answer."""
    with contextlib.closing(PostgresConnection(postgresql_url)) as connection:
        connection.open()
        connection._session.patience = 20
        connection.begin()
        for number in range(64):
            connection.do("add_payload", id=str(number), message=None, media_type="text/plain", nonce=b"n", content=bytes(1_000_000))
        connection.commit()
        assert len(connection.one("payload", id="63")["content"]) == 1_000_000


def test_a_server_does_not_take_a_copy_for_left_alone_while_what_was_there_is_compared(tmp_path, old, postgresql_url, capsys, monkeypatch):
    """After 5 s it ended the session that wrote, and the copy was gone."""
    shown, compare = [], copying._compare

    def compared(old_one, new, table):
        asked = new._session.execute("SELECT current_setting('idle_in_transaction_session_timeout') AS said")
        new._sync()
        shown.append(asked.fetchone()["said"])
        compare(old_one, new, table)

    monkeypatch.setattr(copying, "_compare", compared)
    copied(old[0], tmp_path / "new", postgresql_url, capsys)
    assert set(shown) == {"0"}
    assert len(shown) > 10


def test_an_erasure_that_waits_for_a_second_person_still_waits(tmp_path, postgresql_url, capsys):
    with running(tmp_path / "old", keys=two_sysadmins()) as server:
        greet(server, NAME, WHO)
        request = asked(server).json["id"]
    copied(tmp_path / "old", tmp_path / "new", postgresql_url, capsys)
    log = {"key": str(tmp_path / "old/var/log.key")}
    with running(
        tmp_path / "new", store={"url": postgresql_url}, keystore=keystore_of(tmp_path / "old"), log=log, keys=two_sysadmins()
    ) as server:
        assert confirmed(server, request).status == 200


def test_a_store_is_not_copied_into_itself(old, capsys):
    """Whoever forgets to name the new store first would be told that another bus works there: this very process."""
    folder, _ = old
    assert main(["copy", f"sqlite:///{folder}/var/../var/snodo.db", "--config", str(folder / "config.yaml"), "--json"]) == 2
    told = json.loads(capsys.readouterr().err)
    assert ("copy.not-empty", "store.url names the store that is to be copied") == (told["code"], told["detail"])


def test_a_store_that_holds_something_is_not_copied_into(tmp_path, old, postgresql_url, capsys):
    folder, _ = old
    copied(folder, tmp_path / "new", postgresql_url, capsys)
    config = tmp_path / "new/config.yaml"
    assert main(["copy", f"sqlite:///{folder}/var/snodo.db", "--config", str(config), "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["code"] == "copy.not-empty"
    assert main(["copy", f"sqlite:///{tmp_path}/none.db", "--config", str(config), "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["code"] == "copy.no-source"


def test_numbers_that_go_on_beyond_what_the_log_tells_do_so_in_the_copy(tmp_path, old, postgresql_url, capsys):
    """As after a restore: docs/sysadmin/running.md."""
    folder, _ = old
    with contextlib.closing(sqlite3.connect(folder / "var/snodo.db")) as raw, raw:
        raw.execute("INSERT INTO sequences (name, value) VALUES ('pagopa.iuv', 1007)")
    copied(folder, tmp_path / "new", postgresql_url, capsys)
    with psycopg.connect(postgresql_url) as new:
        assert new.execute("SELECT name, value FROM sequences").fetchall() == [("pagopa.iuv", 1007)]


def test_a_copy_that_differs_is_taken_back(tmp_path, old, postgresql_url, capsys):
    """Somebody put a row into a projection by hand, which the log knows nothing of."""
    folder, _ = old
    with contextlib.closing(sqlite3.connect(folder / "var/snodo.db")) as raw, raw:
        raw.execute("INSERT INTO holders (holder, message) VALUES ('a-mano', 'nessuno')")
    config = write(tmp_path / "new", store={"url": postgresql_url}, keystore=keystore_of(folder))
    assert main(["copy", f"sqlite:///{folder}/var/snodo.db", "--config", str(config), "--json"]) == 3
    assert json.loads(capsys.readouterr().err)["code"] == "copy.differs"
    with psycopg.connect(postgresql_url) as new:
        assert new.execute("SELECT count(*) FROM records").fetchone() == (0,)


def test_a_run_that_was_made_due_when_a_clock_was_set_back_is_as_the_log_tells_it():
    """The log knows the time that it had, or until which it was put off, from the clock which was ahead; that was put right since."""

    def run(state: str, due: str) -> dict[str, str]:
        return comparable({"id": "run", "state": state, "due": due, "changed": "2026-03-04"}, "runs")

    assert run("ready", "2026-03-02") == run("ready", "2026-03-04") == run("ready", "2026-03-05")
    assert run("waiting", "2026-03-02") != run("waiting", "2026-03-04")
    assert run("dead", "2026-03-02") != run("dead", "2026-03-04")


def test_a_bus_that_runs_is_not_copied_from(tmp_path, postgresql_url, capsys):
    with running(tmp_path / "old"):
        config = write(tmp_path / "new", store={"url": postgresql_url})
        assert main(["copy", f"sqlite:///{tmp_path}/old/var/snodo.db", "--config", str(config), "--json"]) == 3
        assert json.loads(capsys.readouterr().err)["code"] == "store.taken"


@pytest.mark.parametrize("there", [True, False])
def test_a_database_that_does_not_name_its_key_store_any_more_gets_no_other_one(tmp_path, there):
    """It was called new; and where the key store was away, too, another one was made, with which nothing of it can be opened."""
    config = write(tmp_path)
    with running(tmp_path) as server:
        wait_reply(server.app, sent(server, "prova.saluto", "Ada", "k"), 60)
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw, raw:
        [name] = raw.execute("DELETE FROM marks WHERE name = 'keystore' RETURNING value").fetchone()
    keys = tmp_path / "var/keys"
    if not there:
        keys.rename(tmp_path / "away")
    with pytest.raises(ConfigError, match="mark `keystore`") as refused:
        App(load(config))
    [told] = [one for one in doctor.examine(config) if one.code == "doctor.keystore"]
    assert (refused.value.code, told.what, keys.exists()) == ("keys.lost", refused.value.sentence, there)
    if not there:
        (tmp_path / "away").rename(keys)
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw, raw:
        raw.execute("INSERT INTO marks (name, value) VALUES ('keystore', ?)", [name])
    App(load(config)).store.close()


def test_a_new_database_does_not_take_the_key_store_of_a_lost_one(tmp_path):
    config = write(tmp_path)
    with running(tmp_path) as server:
        wait_reply(server.app, sent(server, "prova.saluto", "Ada", "k"), 60)
    kept = {path: path.read_bytes() for path in (tmp_path / "var").glob("snodo.db*")}
    for path in kept:
        path.unlink()
    with pytest.raises(ConfigError) as refused:
        App(load(config))
    assert refused.value.code == "store.lost"
    for path in (tmp_path / "var").glob("snodo.db*"):
        path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)
    with running(tmp_path) as server:
        again = Caller(server.port)("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}, {"Idempotency-Key": "k"})
        assert again.headers["idempotency-status"] == "repeated"
