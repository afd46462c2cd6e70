"""`bus doctor`: each check on something real that is well, and on something real that is not; and it leaves nothing behind."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bus import config, doctor
from bus.app import App
from bus.cli import main
from bus.clock import text_of
from bus.doctor import database, here, work
from bus.doctor.codes import CODES
from bus.doctor.verdict import Surroundings
from bus.errors import ConfigError
from bus.log import keys, log
from bus.log.note import read_signer
from bus.log.record import Record
from bus.message import new_id
from bus.store.opening import open_store
from bus.testing.ports import free_port
from tests.small_bus import Caller, Process, own_key, running, settings, wait_reply, write
from tests.unit.examining import examined, levels
from tests.unit.sources import PYTHON

PROJECT = Path(__file__).parents[2]


def everything_in(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


def forget_the_key_store(database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as raw, raw:
        raw.execute("DELETE FROM marks WHERE name = 'keystore'")


# -- the whole --------------------------------------------------------------------------------------------------------


def test_an_embedded_bus_before_its_first_start_is_well_and_nothing_is_made(tmp_path):
    path = write(tmp_path)
    before = everything_in(tmp_path)
    found = examined(path)
    assert [one for group in found.values() for one in group if one.level == "wrong"] == []
    assert found["doctor.store"][0].what == "there is no database yet; the first start makes it"
    assert everything_in(tmp_path) == before


def test_an_embedded_bus_at_work_is_well_and_its_dead_letter_is_told(tmp_path):
    with running(tmp_path) as server:
        for number in range(2):
            sent = Caller(server.port)("POST", "/messages", {"type": "prova.guasto", "data": {"nome": f"Ada {number}"}})
            wait_reply(server.app, sent.json["id"], 10)
        found = examined(tmp_path / "config.yaml")
    assert [one for group in found.values() for one in group if one.level == "wrong"] == []
    [dead] = found["doctor.dead"]
    assert (dead.level, dead.next) == ("warning", "bus dead")
    assert dead.what.startswith("2 dead letters (2 prova.rotta)")
    assert levels(found, "doctor.store-schema") == ["ok"]
    assert levels(found, "doctor.attachments") == ["ok"]


def test_one_dead_letter_is_one(tmp_path):
    with running(tmp_path) as server:
        sent = Caller(server.port)("POST", "/messages", {"type": "prova.guasto", "data": {"nome": "Ada"}})
        wait_reply(server.app, sent.json["id"], 10)
        [dead] = examined(tmp_path / "config.yaml")["doctor.dead"]
    assert dead.what.startswith("1 dead letter (1 prova.rotta)")


def test_what_is_printed_is_one_line_for_each_check(tmp_path, capsys):
    path = write(tmp_path, keys=[])
    assert main(["doctor", "--config", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(re.match(r"(ok|warning|wrong) +doctor\.[a-z-]+ +\S", line) for line in lines)
    [told] = [line for line in lines if "doctor.keys" in line]
    assert "; why: nobody could send" in told
    assert told.endswith("; next: bus keys new NAME --role portal")


def test_who_has_keys_but_none_for_a_sysadmin_is_told_how_to_make_that_one(tmp_path, capsys):
    path = write(tmp_path, keys=[{"name": "portale", "role": "portal", "sha256": "0" * 64}])
    assert main(["doctor", "--config", str(path)]) == 0
    [told] = [line for line in capsys.readouterr().out.splitlines() if "doctor.keys" in line]
    assert "only for: portal; why: nobody could look at dead letters" in told
    assert told.endswith("; next: bus keys new NAME --role sysadmin")


def test_on_a_terminal_no_word_is_cut_and_what_to_do_has_a_line_of_its_own(tmp_path, capsys, monkeypatch):
    path = write(tmp_path, keys=[])
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["doctor", "--config", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    [start] = [number for number, line in enumerate(lines) if "doctor.keys " in line and "no API key" in line]
    blank = " " * 34
    assert lines[start + 1].startswith(f"{blank}why: nobody could send")
    assert any(line.startswith(f"{blank}next: bus keys new NAME") for line in lines[start + 2 : start + 4])
    assert all(len(line) <= 80 or " " not in line[34:].strip() for line in lines), "but for a path or an address"


def test_what_is_found_is_printed_before_the_next_check_begins(tmp_path, capsys, monkeypatch):
    """A check that takes its time does not keep the others silent."""
    shown = []

    def slow(at):
        shown.append(capsys.readouterr().out)
        return []

    monkeypatch.setattr(doctor, "CHECKS", (doctor.CHECKS[0], ("slow", slow)))
    main(["doctor", "--config", str(write(tmp_path))])
    assert "doctor.python" in shown[0]


def test_programs_get_the_same_as_json(tmp_path, capsys):
    path = write(tmp_path)
    (tmp_path / "routes/prova/saluta.yaml").write_text("route: [", "utf-8")
    assert main(["doctor", "--config", str(path), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == 1
    [rules] = [check for check in told["checks"] if check["code"] == "doctor.rules"]
    assert (rules["level"], rules["next"]) == ("wrong", "bus validate")


def test_settings_that_cannot_be_used_are_exit_code_2(tmp_path, capsys):
    assert main(["doctor", "--config", str(tmp_path / "none.yaml")]) == 2
    assert main(["doctor", "--config", str(write(tmp_path, nonsense=1))]) == 2
    assert main(["doctor", "--nonsense"]) == 2


@pytest.mark.parametrize(
    ("changes", "code", "what"),
    [
        ({"store": {"url": "postgresql://snodo:segre/tissima@127.0.0.1/snodo"}}, "doctor.store", "store.url is no address"),
        (
            {"store": {"url": "postgresql://snodo:tissima@127.0.0.1/snodo?sslmod=verify-full"}},
            "doctor.store",
            "behind the ? of store.url stands 'sslmod', no parameter of PostgreSQL",
        ),
        (
            {"store": {"url": "postgresql://snodo@127.0.0.1/snodo?password=x&se=gre&tissima=1"}},
            "doctor.store",
            "behind the ? of store.url stands what is no parameter of PostgreSQL",
        ),
        (
            {"store": {"url": "postgresql://snodo:tissima@127.0.0.1/snodo?options=-csearch_path=comune"}},
            "doctor.store",
            "behind the ? of store.url the value of options has a = in it",
        ),
        ({"store": {"url": "mysql://snodo:tissima@127.0.0.1/snodo"}}, "doctor.store", "no store speaks 'mysql'"),
        ({"store": {"url": "sqlite:/var/snodo.db"}}, "doctor.store", "no store speaks 'sqlite'"),
        ({"channel": {"url": "amqp://snodo:segre/tissima@127.0.0.1/snodo"}}, "doctor.channel", "channel.url is no address"),
        (
            {"channel": {"url": "amqp://guest:tissima@broker.example/snodo"}},
            "doctor.channel",
            "the broker broker.example would be asked as guest",
        ),
        ({"channel": {"url": "ampq://snodo:tissima@127.0.0.1/snodo"}}, "doctor.channel", "nothing here speaks 'ampq'"),
    ],
)
def test_an_address_that_cannot_be_used_has_its_remedy_and_no_password_is_shown(tmp_path, changes, code, what):
    found = examined(write(tmp_path, **changes))
    [told] = [one for one in found[code] if one.level == "wrong"]
    assert told.what.startswith(what)
    assert doctor.exit_code([told]) == 3
    assert "doctor.check" not in found
    assert "tissima" not in repr(found)


def test_a_check_that_breaks_is_told_and_hides_no_other(tmp_path, monkeypatch):
    def broken(at):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(doctor, "CHECKS", (("arithmetic", broken), *doctor.CHECKS))
    first, *others = doctor.examine(write(tmp_path))
    assert (first.code, first.what) == ("doctor.check", "the check of arithmetic broke: ZeroDivisionError: by nothing")
    assert [one.code for one in others] == [one.code for one in doctor.examine(tmp_path / "config.yaml")][1:]


def test_the_key_store_is_told_when_it_is_open_to_others_another_one_or_gone(tmp_path):
    path = write(tmp_path)
    with running(tmp_path):
        pass
    folder, master = tmp_path / "var/keys", tmp_path / "var/master.key"
    assert levels(examined(path), "doctor.keystore") == ["ok"]
    for place, mode, sound in ((folder, 0o755, 0o700), (master, 0o644, 0o600)):
        place.chmod(mode)
        [told] = examined(path)["doctor.keystore"]
        assert (told.level, told.next) == ("wrong", f"chmod 0{sound:o} {place}")
        place.chmod(sound)
    kept = master.read_bytes()
    master.write_text("A" * 43 + "=")
    assert "is not the master key" in examined(path)["doctor.keystore"][0].what
    master.write_bytes(kept)
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps({**about, "id": "another"}))
    assert "is not the key store of this database" in examined(path)["doctor.keystore"][0].what
    shutil.rmtree(folder)
    assert levels(examined(path), "doctor.keystore") == ["wrong"]
    assert not folder.exists()


def another_log_key(path: Path) -> None:
    name = read_signer(path).verifier.name
    path.unlink()
    keys.make(path, name)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda var: (var / "log.key").chmod(0o644), "doctor.secrets"),
        (lambda var: (var / "log.key").unlink(), "doctor.secrets"),
        (lambda var: (var / "receipts.key").chmod(0o604), "doctor.secrets"),
        (lambda var: shutil.copy(var / "receipts.key", var / "log.key"), "doctor.secrets"),
        (lambda var: another_log_key(var / "log.key"), "doctor.secrets"),
        (lambda var: (var / "keys").chmod(0o755), "doctor.keystore"),
        (lambda var: (var / "master.key").chmod(0o644), "doctor.keystore"),
        (lambda var: shutil.move(var / "keys", var / "altrove"), "doctor.keystore"),
        (lambda var: (var / "master.key").unlink(), "doctor.keystore"),
        (lambda var: [file.unlink() for file in var.glob("snodo.db*")], "doctor.store"),
        (lambda var: forget_the_key_store(var / "snodo.db"), "doctor.keystore"),
    ],
    ids=[
        "log key open",
        "log key lost",
        "receipt key open",
        "log key of something else",
        "another key of the same name",
        "key store open",
        "master key open",
        "no key store",
        "no master key",
        "lost database",
        "key store that is not named",
    ],
)
def test_what_the_start_refuses_of_keys_and_of_a_database_without_them_is_told_with_the_same_remedy(tmp_path, spoil, code):
    path = write(tmp_path)
    with running(tmp_path):
        pass
    spoil(tmp_path / "var")
    [told] = [one for one in examined(path)[code] if one.level == "wrong"]
    with pytest.raises(ConfigError) as refused:
        App(config.load(path), adapters={})
    assert (told.what, told.next) == (refused.value.sentence, refused.value.hint)


def test_records_that_nobody_seals_are_told_while_workers_are_there(tmp_path, monkeypatch):
    path = write(tmp_path)
    monkeypatch.setattr("bus.engine.sequencer.Sequencer.turn", lambda self: 0)
    with running(tmp_path) as server:
        assert levels(examined(path), "doctor.tree") == ["ok"], "they are young"
        monkeypatch.setattr("bus.doctor.work.LATE", dt.timedelta(0))
        [told] = examined(path)["doctor.tree"]
        assert (told.level, told.what.startswith("records wait to be sealed, the oldest for ")) == ("warning", True)
        figures = Caller(server.port, "sistemista")("GET", "/metrics").content.decode()
        assert float(re.search(r"^snodo_unsealed_seconds (\S+)", figures, re.MULTILINE)[1]) > 0
    monkeypatch.undo()
    with running(tmp_path):
        pass
    monkeypatch.setattr("bus.doctor.work.LATE", dt.timedelta(0))
    assert levels(examined(path), "doctor.tree") == ["ok"]


# -- codes ------------------------------------------------------------------------------------------------------------


def test_every_code_that_is_said_is_in_the_table_and_is_explained(capsys):
    said = {
        code
        for path in PYTHON
        if "doctor" in str(path) and path.name != "codes.py"
        for code in re.findall(r'"(doctor\.[a-z-]+)"', path.read_text("utf-8"))
    }
    assert said == set(CODES)
    for code in CODES:
        assert main(["explain", code]) == 0
        assert CODES[code].cure in capsys.readouterr().out


# -- settings, secrets, rules, limits -----------------------------------------------------------------------------------


def test_all_secrets_that_lack_are_told_at_once_and_the_rest_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.delenv("SNODO_PROVA", raising=False)
    rest = {"use": "rest", "url": "http://127.0.0.1:1", "chiave": {"env": "SNODO_PROVA"}, "altra": {"file": "segreto"}}
    found = examined(write(tmp_path, adapters={"sito": rest, "sito-due": rest}))
    assert {one.what for one in found["doctor.secrets"]} == {
        "the environment has no SNODO_PROVA",
        "cannot read the secret in segreto: No such file or directory",
    }
    assert all(one.where.startswith(f"{tmp_path}/config.yaml:") for one in found["doctor.secrets"])
    assert levels(found, "doctor.rules") == ["ok"]


def test_database_and_broker_are_looked_at_also_where_a_secret_of_another_lacks(tmp_path, monkeypatch):
    """The broker of an address that is not known was dialled as guest on this machine, and said to let us in."""
    monkeypatch.setenv("SNODO_PROVA_STORE", "postgresql://snodo@127.0.0.1:1/snodo")
    monkeypatch.setenv("SNODO_PROVA_CHANNEL", "amqp://snodo:x@127.0.0.1:1/snodo")
    monkeypatch.delenv("SNODO_PROVA", raising=False)
    sito = {"url": "http://127.0.0.1:1", "chiave": {"env": "SNODO_PROVA"}}
    addresses = {"store": {"url": {"env": "SNODO_PROVA_STORE"}}, "channel": {"url": {"env": "SNODO_PROVA_CHANNEL"}}}
    path = write(tmp_path, adapters={"sito": sito}, **addresses)
    found = examined(path)
    assert [one.where for code in ("doctor.store", "doctor.channel") for one in found[code]] == ["127.0.0.1:1/snodo"] * 2
    monkeypatch.delenv("SNODO_PROVA_STORE")
    monkeypatch.delenv("SNODO_PROVA_CHANNEL")
    found = examined(path)
    assert levels(found, "doctor.store") == levels(found, "doctor.channel") == ["warning"]
    assert main(["doctor", "--config", str(path)]) == 1


@pytest.mark.parametrize(("url", "expected"), [("http://127.0.0.1:1", "ok"), ({"env": "SNODO_PROVA"}, "ok"), ("ftp://127.0.0.1", "wrong")])
def test_routes_may_call_systems_that_the_settings_describe(tmp_path, monkeypatch, url, expected):
    """Their operations are in no class; of settings that are wrong nobody knows them."""
    monkeypatch.delenv("SNODO_PROVA", raising=False)
    shape = {"type": "object", "properties": {"nome": {"type": "string"}}, "required": ["nome"]}
    leggi = {"method": "GET", "path": "/{nome}", "effect": "read", "request": shape, "answer": shape}
    path = write(tmp_path, adapters={"archivio": {"use": "rest", "url": url, "operations": {"leggi": leggi}}})
    route = tmp_path / "routes/prova/saluta.yaml"
    call = "steps:\n  - {id: leggi, call: archivio.leggi, with: {nome: body.nome}, as: letto}\n"
    route.write_text(route.read_text("utf-8").replace("steps:\n", call), "utf-8")
    assert levels(examined(path), "doctor.rules") == [expected]


def test_one_of_a_kind_is_told_as_one(tmp_path):
    found = examined(write(tmp_path, keys=[own_key("sistemista", "sysadmin")]))
    told = {code: one.what for code in ("doctor.settings", "doctor.keys") for one in found[code]}
    assert told == {"doctor.settings": "0 adapters, 1 API key", "doctor.keys": "1 API key, for: sysadmin"}
    assert [work._words(dt.timedelta(seconds=age)) for age in (1, 2, 119, 120)] == ["1 second", "2 seconds", "119 seconds", "2 minutes"]


def test_a_secret_with_which_the_bus_does_not_start_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("SNODO_PROVA", "CHANGE-ME")
    (tmp_path / "segreto").write_bytes(b"\xff")
    (tmp_path / "segreto").chmod(0o600)
    sito = {"url": "http://127.0.0.1:1", "chiave": {"env": "SNODO_PROVA"}}
    found = examined(write(tmp_path, adapters={"sito": sito, "sito-due": {**sito, "use": "sito", "chiave": {"file": "segreto"}}}))
    assert sorted(one.what for one in found["doctor.secrets"]) == [
        "SNODO_PROVA is still the example's, which everybody knows",
        "cannot read the secret in 'segreto': it is no text in UTF-8",
    ]


def test_a_password_in_an_open_config_is_wrong_and_never_shown(tmp_path, capsys):
    path = write(tmp_path, store={"url": "postgresql://snodo:segretissima@127.0.0.1:1/snodo"})
    path.chmod(0o644)
    assert levels(examined(path), "doctor.secrets") == ["wrong"]
    assert main(["doctor", "--config", str(path), "--json"]) == 3
    shown = capsys.readouterr()
    assert "segretissima" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("store", "channel", "level"),
    [("sqlite:///var/a.db", "memory://", "ok"), ("postgresql://u@127.0.0.1:1/d", "amqp://u@127.0.0.1:1//", "ok"),
     ("sqlite:///var/a.db", "amqp://u@127.0.0.1:1//", "warning"), ("postgresql://u@127.0.0.1:1/d", "memory://", "warning")],
)  # fmt: skip
def test_store_and_channel_fit_together(tmp_path, store, channel, level):
    found = examined(write(tmp_path, store={"url": store}, channel={"url": channel}))
    assert levels(found, "doctor.shape") == [level]


def test_a_bus_without_a_sysadmin_is_a_doubt(tmp_path):
    keys = [key for key in settings()["keys"] if key["role"] != "sysadmin"]
    [told] = examined(write(tmp_path, keys=keys))["doctor.keys"]
    assert (told.level, told.what) == ("warning", "there is no key for a sysadmin, only for: auditor, portal")
    assert told.why == "nobody could look at dead letters"


def test_few_open_files_are_a_doubt(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    at = Surroundings(tmp_path, lambda: dt.datetime.now(dt.UTC))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        assert [one.level for one in here.limits(at)] == ["warning"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# -- the embedded store and the attachments ---------------------------------------------------------------------------------


def test_a_database_that_is_none_is_unreachable(tmp_path):
    path = write(tmp_path)
    (tmp_path / "var").mkdir()
    (tmp_path / "var/snodo.db").write_text("this is no database, and never was one " * 100)
    found = examined(path)
    assert levels(found, "doctor.store") == ["wrong"]
    assert doctor.exit_code(found["doctor.store"]) == 3


def test_of_several_hosts_of_the_database_the_one_that_does_not_answer_is_named():
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as alive:
        other = alive.getsockname()[1]
        found = list(database._silent(f"postgresql://u:p@127.0.0.1:{port},127.0.0.1:{other}/x"))
        assert [] == list(database._silent(f"postgresql://u:p@127.0.0.1:{port}/x"))
    assert [("doctor.store", "warning")] == [(one.code, one.level) for one in found]
    assert f"127.0.0.1:{port}, one of the hosts of store.url, does not answer: Connection refused" == found[0].what


def test_a_backup_that_was_put_back_is_not_wrong_before_the_start_that_makes_its_wal(tmp_path):
    """`VACUUM INTO` leaves no WAL; the start sets it, so nobody has to do anything to the file that the manual had them make."""
    with running(tmp_path), contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw:
        raw.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    (tmp_path / "copy.db").replace(tmp_path / "var/snodo.db")
    found = examined(tmp_path / "config.yaml")
    assert [one for group in found.values() for one in group if one.level == "wrong"] == []
    assert "no WAL yet" in found["doctor.store-settings"][0].what
    with running(tmp_path):
        assert examined(tmp_path / "config.yaml")["doctor.store-settings"][0].what.startswith("WAL;")


def test_a_schema_of_another_version_is_wrong(tmp_path):
    path = write(tmp_path)
    (tmp_path / "var").mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw:
        raw.execute("PRAGMA user_version=99")
    found = examined(path)
    assert "revision 99" in found["doctor.store-schema"][0].what
    assert "bus migrate down --to" in found["doctor.store-schema"][0].next
    assert levels(found, "doctor.store-schema") == ["wrong"]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="NOT TESTED: no file system in memory here")
def test_a_store_in_memory_is_a_doubt(tmp_path):
    folder = Path("/dev/shm") / f"snodo-doctor-{tmp_path.name}-{id(tmp_path)}"
    folder.mkdir()
    try:
        found = examined(write(tmp_path, store={"url": f"sqlite:///{folder}/snodo.db"}))
    finally:
        shutil.rmtree(folder)
    assert any(
        one.level == "warning" and one.what.startswith("the folder of the database is in memory (tmpfs)")
        for one in found["doctor.store-disk"]
    )


def test_a_folder_for_attachments_that_is_a_file_is_wrong(tmp_path):
    path = write(tmp_path)
    (tmp_path / "var").mkdir()
    (tmp_path / "var/attachments").write_text("")
    assert levels(examined(path), "doctor.attachments") == ["wrong"]


def test_a_record_of_later_than_now_is_a_doubt_of_the_clock(tmp_path):
    with running(tmp_path):
        assert "doctor.clock" not in examined(tmp_path / "config.yaml")
    ahead = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    with contextlib.closing(open_store(f"sqlite:///{tmp_path}/var/snodo.db")) as store:  # nobody else appends meanwhile
        store.write(lambda tx: log.append(tx, Record(new_id(), "polled", ahead))).result(30)
    [told] = examined(tmp_path / "config.yaml")["doctor.clock"]
    assert (told.level, told.what.startswith(f"the last record is of {text_of(ahead)}, and now it is ")) == ("warning", True)


def test_open_runs_of_a_clock_that_was_ahead_are_told_while_they_wait_for_it(tmp_path):
    """The last record is of now, and nobody was told why an accepted message stood still for two days."""
    with running(tmp_path) as server:
        Caller(server.port)("POST", "/messages", {"type": "prova.attesa", "data": {"nome": "Ada"}})
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw, raw:
        raw.execute("UPDATE runs SET state = 'ready', due = '2099-01-01T00:00:00.000000Z', owner = NULL")
    assert "doctor.clock" not in examined(tmp_path / "config.yaml")  # it waits to be tried again
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw, raw:
        raw.execute("UPDATE runs SET changed = due")
    [told] = examined(tmp_path / "config.yaml")["doctor.clock"]
    assert told.what == "the clock was set back: 1 open run of a time that has not come yet, up to 2099-01-01T00:00:00.000000Z"


def test_runs_behind_a_dead_letter_want_a_person_and_no_other_worker(tmp_path):
    with running(tmp_path) as server:
        first = Caller(server.port)("POST", "/messages", {"type": "prova.guasto", "data": {"nome": "Ada"}})
        wait_reply(server.app, first.json["id"], 10)
        for _ in range(2):
            Caller(server.port)("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}})
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw, raw:
        raw.execute("UPDATE runs SET due = '2020-01-01T00:00:00.000000Z'")
    [told] = examined(tmp_path / "config.yaml")["doctor.backlog"]
    assert told.level == "warning"
    assert told.what.startswith("2 runs due, the oldest for ")
    assert told.what.endswith(", 2 of them behind a dead letter of their case")
    assert told.next.startswith("bus dead")


def test_what_a_killed_bus_held_and_nobody_takes_is_told(tmp_path):
    """Runs whose owner vanished: put back an hour, as nobody waits that long in a test."""
    process = Process(tmp_path)
    Caller(process.port)("POST", "/messages", {"type": "prova.attesa", "data": {"nome": "Ada"}})
    process.process.kill()
    process.process.wait()
    process.process.stdout.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw, raw:
        raw.execute("UPDATE runs SET state='ready', owner='gone', due='2020-01-01T00:00:00.000000Z', lease='2020-01-01T00:00:00.000000Z'")
        raw.execute("INSERT INTO lanes (name, run, path) SELECT 'anpr', id, 'x' FROM runs")
    found = examined(tmp_path / "config.yaml")
    assert "still claimed by gone" in found["doctor.leases"][0].what
    assert found["doctor.backlog"][0].level == "warning"
    assert "doctor.lanes" not in found
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw, raw:
        raw.execute("UPDATE runs SET due = ?", [text_of(dt.datetime.now(dt.UTC))])
    assert levels(examined(tmp_path / "config.yaml"), "doctor.backlog") == ["ok"]
    [full] = examined(write(tmp_path, engine={"backlog": 1}))["doctor.backlog"]
    assert (full.level, full.what.partition("; ")[2]) == ("warning", "doors refuse more (engine.backlog)")
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw, raw:
        raw.execute("UPDATE runs SET state='dead', reason='call.in-doubt'")
    found = examined(tmp_path / "config.yaml")
    assert levels(found, "doctor.lanes") == ["wrong"]
    assert "1 call.in-doubt" in found["doctor.dead"][0].what


def test_doctor_starts_quickly_and_as_a_program(tmp_path):
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "bus.cli", "doctor", "--config", str(write(tmp_path))], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - start < 60


def test_processes_that_differ_or_are_silent_and_another_folder_are_told(tmp_path):
    """As two machines would leave it: an old version with other rules, silent since long, that agreed on another folder."""
    with running(tmp_path):
        pass
    found = examined(tmp_path / "config.yaml")
    assert [one.what for one in found["doctor.processes"]] == [
        "at work: SQLite is for one process at most, `bus serve`, which says at `/status` how it is"
    ]
    now = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw, raw:
        row = "INSERT INTO processes (id, role, host, pid, version, rules, started, seen) VALUES (?, ?, 'uno', 7, ?, ?, ?, ?)"
        raw.execute(row, ("a", "web", "0.1.0", "regole-vecchie", now, "2020-01-01T00:00:00.000000Z"))
        raw.execute(row, ("b", "worker", "0.2.0", "regole-nuove", now, now))
        raw.execute("INSERT INTO marks (name, value) VALUES ('attachments', 'un-altra')")
    found = examined(tmp_path / "config.yaml")
    told = [(one.level, one.what.split(" for ")[0]) for one in found["doctor.processes"]]
    assert told[0] == ("warning", "web on uno (process 7) has been silent")
    assert told[1] == ("warning", "versions differ: 0.1.0, 0.2.0")
    assert told[2][1].startswith("rules differ: ")
    assert told[3] == ("ok", "at work: 1 web, 1 worker")
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw, raw:
        raw.execute(row, ("c", "serve", "0.2.0", "regole-nuove", now, now))
    [deaf] = [one for one in examined(tmp_path / "config.yaml")["doctor.processes"] if "channel.url" in one.what]
    assert deaf.what == "2 processes are at work on this store, and channel.url is heard in one process alone"
    assert not [one for one in found["doctor.processes"] if "channel.url" in one.what]
    assert levels(found, "doctor.attachments-same") == ["wrong"]
    (tmp_path / "var/attachments/.snodo-folder").write_text("un-altra")
    assert levels(examined(tmp_path / "config.yaml"), "doctor.attachments-same") == ["ok"]
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw, raw:
        file = "INSERT INTO attachments (file, sender, payload, time) VALUES (?, 'portale', ?, ?)"
        raw.execute(file, ("aa-sigillato", "0" * 80, now))
        raw.execute(file, ("bb-di-prima", "0" * 64, now))
    lacking = examined(tmp_path / "config.yaml")["doctor.attachments-same"]
    assert [(one.level, one.what) for one in lacking if one.level != "ok"] == [
        ("warning", "of the newest 1 files that the log names 1 are not there")
    ]
    (tmp_path / "var/attachments/aa").mkdir()
    (tmp_path / "var/attachments/aa/aa-sigillato").touch()
    assert levels(examined(tmp_path / "config.yaml"), "doctor.attachments-same") == ["ok"]
