"""`bus replay` as an auditor uses it: a process of its own beside a bus that worked, on SQLite and on PostgreSQL."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from bus import config
from bus.bundle.verify import unpacked
from bus.catalog import Route
from bus.cli import main, rules
from bus.cli.replay import code_of, replayed, unbundled
from bus.clock import text_of
from bus.errors import EvidenceError, Invalid, NotFound
from bus.examine import load
from bus.log import log
from bus.log.payload import key_number, number_in, sealed_again
from bus.message import canonical
from bus.replay import evidence, window
from bus.replay.evidence import Bundle
from bus.replay.report import Report
from bus.route.model import TestDocument
from bus.store.opening import hosts_of, open_reader
from bus.testing.cutting import cut
from bus.testing.routes import run_route
from tests.small_bus import Caller, key_of, keystore_of, running, wait_reply, write


def bus(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bus.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment})


def test_a_time_in_which_nothing_was_accepted_is_told_with_the_one_that_there_is(worked):
    """A year that was mistyped passed for a log in which all is well."""
    words = ("replay", "--from", "2019-01-01", "--to", "2019-12-31", "--config", str(worked[0] / "config.yaml"))
    done = bus(*words)
    assert (done.returncode, done.stdout) == (0, "0 runs, 0 steps recomputed: 0 equal\n")
    told = re.fullmatch(
        r"nothing was looked at: no message of that time began a run; the log has messages from (\S+) to (\S+)\n", done.stderr
    )
    assert told, done.stderr
    assert "2026-01-01" < told[1] < told[2]
    assert json.loads(bus(*words, "--json").stdout)["runs"] == 0


def sent(server, type: str, nome: str) -> str:
    answer = Caller(server.port)("POST", "/messages", {"type": type, "data": {"nome": nome}}, {"Idempotency-Key": f"{type} {nome}"})
    assert answer.status == 202
    return answer.json["id"]


def work(server) -> str:
    """Greetings, a wait that was woken, one that is open, a dead letter; the id of the message that waited."""
    for number in range(12):
        sent(server, "prova.saluto", f"Bo {number}")
    waited = sent(server, "prova.attesa", "Ada")
    sent(server, "prova.attesa", "Eva")
    sent(server, "prova.sveglia", "Ada")
    wait_reply(server.app, sent(server, "prova.guasto", "Cy"), 60)
    assert wait_reply(server.app, waited, 60)["reply"] == {"svegliato": "Ada"}
    for number in range(12):
        wait_reply(server.app, sent(server, "prova.saluto", f"Bo {number}"), 60)
    return waited


@pytest.fixture(scope="module")
def worked(tmp_path_factory) -> tuple[Path, str]:
    """The folder of a bus that has stopped, and the id of a message that waited for another."""
    folder = tmp_path_factory.mktemp("worked")
    with running(folder) as server:
        waited = work(server)
    return folder, waited


@pytest.fixture
def tampered(worked, tmp_path) -> tuple[Path, str]:
    """A copy of it, to be tampered with."""
    folder, waited = worked
    write(tmp_path, keystore=keystore_of(folder))
    (tmp_path / "var").mkdir(exist_ok=True)
    with (
        contextlib.closing(sqlite3.connect(folder / "var/snodo.db")) as old,
        contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as new,
    ):
        old.backup(new)
    return tmp_path, waited


def change(folder: Path, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(folder / "var/snodo.db")) as raw:
        assert raw.execute(statement, values).rowcount in (1, -1)
        raw.commit()


def rows(folder: Path, query: str, *values: object) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(folder / "var/snodo.db")) as raw:
        return raw.execute(query, values).fetchall()


def payload_of(folder: Path, message: str, kind: str, role: str) -> str:
    with contextlib.closing(sqlite3.connect(folder / "var/snodo.db")) as raw:
        [content] = raw.execute("SELECT content FROM records WHERE message = ? AND kind = ?", (message, kind)).fetchone()
    return next(held["id"] for held in json.loads(content)["payloads"] if held["role"] == role)


@contextlib.contextmanager
def looking(folder: Path, url: str = ""):
    """The store of that folder, to read, with its keys."""
    with contextlib.closing(open_reader(url or f"sqlite:///{folder}/var/snodo.db")) as reader:
        rules.give_keys(reader, config.load(folder / "config.yaml"))
        yield reader


def rewrite(folder: Path, payload: str, text: bytes) -> None:
    """Put another text in the place of a payload, sealed as it would be, and named by its record: by somebody who has the keys."""
    with looking(folder) as reader, reader.read() as tx:
        nonce = bytes(tx.one("payload", id=payload)["nonce"])
        content = sealed_again(nonce, text, tx.keys.key(key_number(nonce)))
    made = payload[:16] + hashlib.sha256(nonce + content).hexdigest()
    change(folder, "UPDATE payloads SET id = ?, content = ? WHERE id = ?", made, content, payload)
    for (trigger,) in rows(folder, "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'records'"):
        change(folder, f"DROP TRIGGER {trigger}")
    [(record, said)] = rows(folder, "SELECT id, content FROM records WHERE instr(CAST(content AS TEXT), ?)", payload)
    change(folder, "UPDATE records SET content = ? WHERE id = ?", said.replace(payload.encode(), made.encode()), record)


def told(folder: Path, what: str = "", since: str = "2026-01-01", until: str = "") -> Report:
    """What a replay of that folder's store finds; in this process, so without the guard."""
    operations = rules.offered(config.load(folder / "config.yaml"))
    with looking(folder) as reader:
        return replayed(reader, operations, what, ("" if what else since, until), every=True)


def test_everything_is_recomputed_as_it_was_with_the_same_bytes_in_another_time_zone_locale_and_hash_seed(worked):
    folder, _ = worked
    before = (folder / "var/snodo.db").read_bytes()
    words = ("replay", "--from", "2026-01-01", "--all", "--json", "--config", str(folder / "config.yaml"))
    here = bus(*words, PYTHONHASHSEED="1", TZ="Europe/Rome", LC_ALL="C.UTF-8")
    there = bus(*words, PYTHONHASHSEED="4242", TZ="Pacific/Auckland", LC_ALL="C", LANG="tr_TR.UTF-8")
    assert (here.returncode, there.returncode) == (0, 0), here.stderr + there.stderr
    assert here.stdout == there.stdout
    found = json.loads(here.stdout)
    assert found["counts"] == {
        "equal": 15,
        "different": 0,
        "unknown call": 0,
        "unavailable: damaged": 0,
        "unavailable: erased": 0,
        "unavailable: absent": 0,
        "unavailable: undeclared": 0,
    }
    assert {one["state"] for one in found["verdicts"]} == {"done", "dead", "waiting"}
    assert (folder / "var/snodo.db").read_bytes() == before, "nothing is written"


def test_large_messages_are_replayed_some_at_a_time(worked, monkeypatch):
    """250 of a megabyte each were in memory, with all that was asked for them."""
    whole, at_once, page = told(worked[0]), [], evidence._page
    monkeypatch.setattr("bus.log.log.LIGHT", 1)
    monkeypatch.setattr(evidence, "_page", lambda tx, messages, book: at_once.append(len(messages)) or page(tx, messages, book))
    assert told(worked[0]).as_json() == whole.as_json()
    assert set(at_once) == {1}


def test_ten_thousand_replays_are_identical(worked):
    folder, _ = worked
    operations = rules.offered(config.load(folder / "config.yaml"))
    said, runs = set[bytes](), 0
    with looking(folder) as reader:
        while runs < 10_000:
            report = replayed(reader, operations, "", ("2026-01-01", ""), every=True)
            said.add(canonical(report.as_json()))
            runs += report.counts.total()
    assert len(said) == 1


@pytest.mark.parametrize("name", ["message", "run", "case"])
def test_one_run_is_found_by_its_id_by_its_message_and_by_its_case(worked, name):
    folder, waited = worked
    with contextlib.closing(sqlite3.connect(folder / "var/snodo.db")) as raw:
        [run] = raw.execute("SELECT id FROM runs WHERE message = ?", (waited,)).fetchone()
    said = told(folder, {"message": waited, "run": run, "case": "istanza:Ada"}[name]).as_text()
    assert said.startswith(f"{run}  prova.aspetta@1  done  2 steps: equal\n")


def test_a_step_that_was_changed_is_told_at_its_place_in_the_rules(tampered):
    folder, waited = tampered
    rewrite(folder, payload_of(folder, waited, "replied", "reply"), b'{"svegliato":"un altro"}')
    said = bus("replay", waited, "--config", str(folder / "config.yaml"))
    assert said.returncode == 1
    assert "different at routes/prova/aspetta.yaml:14:24: prova.aspetta@1/rispondi [rispondi]: the reply (reply.svegliato)" in said.stdout
    line = (folder / "routes/prova/aspetta.yaml").read_text("utf-8").splitlines()[13]
    assert line[23:] == "sveglia.nome}"
    assert "un altro" not in said.stdout, "no value of a payload is shown"


def test_what_was_erased_is_unavailable_and_has_an_exit_code_of_its_own(tampered):
    folder, waited = tampered
    payload = payload_of(folder, waited, "received", "message")
    change(folder, "INSERT INTO erased_keys (key) VALUES (?)", number_in(payload))
    change(folder, "DELETE FROM payloads WHERE id = ?", payload)
    report = told(folder)
    assert "unavailable: erased at routes/prova/aspetta.yaml:1:1: prova.aspetta@1: the message" in report.as_text()
    assert report.as_text().endswith("14 equal, 1 unavailable: erased")
    assert code_of(report.worst) == 4


SWAPPED = "a payload is not what was sealed"
TAKEN = "it, or its key, is not there any more, and no record says that it was erased"
DAMAGES = {
    "UPDATE payloads SET content = CAST(content AS TEXT) WHERE id = ?": SWAPPED,  # SQLite keeps its bytes as a text
    "UPDATE payloads SET content = substr(content, 2) WHERE id = ?": SWAPPED,
    "DELETE FROM payloads WHERE id = ?": TAKEN,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_text_that_is_damaged_is_named_and_keeps_none_of_the_other_runs_from_being_recomputed(tampered, damage):
    """One ended the whole window, and was not named."""
    folder, message = tampered
    change(folder, damage, payload_of(folder, message, "received", "message"))
    done = bus("replay", "--from", "2026-01-01", "--config", str(folder / "config.yaml"))
    assert (done.returncode, done.stderr) == (5, "")
    assert (
        f"unavailable: damaged at routes/prova/aspetta.yaml:1:1: prova.aspetta@1: the message {message}: {DAMAGES[damage]}\n" in done.stdout
    )
    [said, counts] = done.stdout.splitlines()[-2:]
    assert said.startswith("damaged, and not erased: 1 (bus log verify says more")
    assert counts.endswith("14 equal, 1 unavailable: damaged")
    why = bus("why", message, "--config", str(folder / "config.yaml"))
    assert (why.returncode, f"the message {message} of this run cannot be opened" in why.stderr) == (3, True), why.stderr


@pytest.mark.parametrize(("kind", "role", "what"), [("replied", "reply", "the reply"), ("matched", "", "the message that came")])
def test_of_what_is_damaged_behind_the_beginning_the_record_or_the_message_is_named(tampered, kind, role, what):
    folder, waited = tampered
    with looking(folder) as reader, reader.read() as tx:
        record = next(one for one in log.of_messages(tx, [waited]) if one.kind == kind)
    payload = record.payload(role) if role else payload_of(folder, str(record.data["arrival"]), "received", "message")
    change(folder, "UPDATE payloads SET content = zeroblob(length(content)) WHERE id = ?", payload)
    report = told(folder, waited)
    owner = f"of record {record.id}" if role else record.data["arrival"]
    assert f": {what} {owner}: {SWAPPED}\n" in report.as_text()
    assert (report.worst, code_of(report.worst)) == ("unavailable: damaged", 5)


@pytest.mark.parametrize("change_of", ["substr(content, 1, 200)", "CAST(replace(content, '\"replied\"', '\"altro\"') AS BLOB)"])
def test_a_record_that_was_changed_is_named_and_keeps_no_other_run_from_being_recomputed(tampered, change_of):
    """It was a traceback."""
    folder, waited = tampered
    with contextlib.closing(sqlite3.connect(folder / "var/snodo.db")) as raw, raw:
        [(record,)] = raw.execute("SELECT id FROM records WHERE message = ? AND kind = 'replied'", (waited,))
        for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {trigger}")
        raw.execute(f"UPDATE records SET content = {change_of} WHERE id = ?", (record,))
    done = bus("replay", "--from", "2026-01-01", "--config", str(folder / "config.yaml"))
    sentence = f"the record {record} is not as it was written, and cannot be read"
    assert (done.returncode, done.stderr) == (5, "")
    assert f"unavailable: damaged at routes/prova/aspetta.yaml:1:1: prova.aspetta@1: {sentence}\n" in done.stdout
    assert done.stdout.endswith("14 equal, 1 unavailable: damaged\n")
    why = bus("why", waited, "--config", str(folder / "config.yaml"))
    assert (why.returncode, why.stderr.splitlines()[:2]) == (3, [f"error: {sentence}", "  code: evidence.broken"])


def test_another_text_of_the_same_key_in_the_place_of_one_is_damaged_too(tampered):
    """It opened as well as the one that was meant: only `bus log verify` saw it. With a shorter nonce what is sealed was taken for a text."""
    folder, waited = tampered
    here, other = payload_of(folder, waited, "replied", "reply"), payload_of(folder, waited, "received", "message")
    change(folder, "UPDATE payloads SET (nonce, content) = (SELECT nonce, content FROM payloads WHERE id = ?) WHERE id = ?", other, here)
    assert ": the reply of record " in (said := told(folder, waited).as_text())
    assert SWAPPED in said
    change(
        folder, "UPDATE payloads SET nonce = substr(nonce, 1, 32), content = CAST(substr(nonce, 33) || content AS BLOB) WHERE id = ?", other
    )
    assert f": the message {waited}: {SWAPPED}" in told(folder, waited).as_text()


@pytest.mark.parametrize("column", ["id", "route", "version", "entry"])
@pytest.mark.parametrize("written", [b"\x1b[2K\rVERIFIED\n", b"\xff\xfe"])
def test_what_a_terminal_would_obey_in_the_table_of_runs_is_no_run(tampered, column, written):
    folder, message = tampered
    change(folder, f"UPDATE runs SET {column} = CAST(? AS TEXT) WHERE message = ?", written, message)
    with pytest.raises(EvidenceError) as error:
        told(folder, message)
    assert (error.value.code, error.value.sentence.isprintable()) == ("evidence.broken", True)


@pytest.mark.parametrize("entry", ["altrove", "rispondi 0199e1c5-7a50-7c3f-8d65-0a4a6d6a2f11"])
def test_a_run_that_is_said_to_begin_where_nothing_waits_is_told_with_the_others(tampered, entry):
    """No such step, or one that is no wait: the rules of a run stay as they are, so somebody changed its row."""
    folder, message = tampered
    change(folder, "UPDATE runs SET entry = ? WHERE message = ?", entry, message)
    said = told(folder).as_text()
    step = entry.partition(" ")[0]
    sentence = f"the table `runs` says that the run began at '{step}', and prova.aspetta@1 waits for nothing there"
    assert f"prova.aspetta@1: cannot be recomputed: {sentence}\n" in said
    assert said.endswith("14 equal, 1 different")
    why = bus("why", message, "--config", str(folder / "config.yaml"))
    assert (why.returncode, why.stdout, why.stderr.splitlines()[:2]) == (2, "", [f"error: {sentence}", "  code: evidence.broken"])


def test_what_is_not_there_is_told(worked):
    with pytest.raises(NotFound) as error:
        told(worked[0], "nessuno")
    assert (error.value.code, "a case goes by a key" in error.value.hint) == ("replay.unknown", True)


def test_a_window_takes_what_was_accepted_in_it(worked):
    folder, waited = worked
    with contextlib.closing(sqlite3.connect(folder / "var/snodo.db")) as raw:
        [moment] = raw.execute("SELECT time FROM messages WHERE id = ?", (waited,)).fetchone()
    later, all_of_it = told(folder, since=moment), told(folder)
    assert later.counts.total() == 3 < all_of_it.counts.total()
    assert told(folder, since="2100-01-01").counts.total() == 0
    for end in ("2026-11-01", "2026-12-01"):
        with pytest.raises(Invalid, match="not after its beginning"):
            told(folder, since="2026-12-01", until=end)
    assert told(folder, since="0001-01-02", until="9999-12-31T23:59:59Z").counts == all_of_it.counts


def test_a_time_that_ends_before_it_begins_is_refused_though_nobody_asks_for_what_is_in_it():
    """A plan of unchanged rules reads no message: it said that nothing would be otherwise."""
    with pytest.raises(Invalid, match="not after its beginning"):
        window.times("2026-12-01", "2026-11-01")


@pytest.mark.parametrize(
    "text", ["", "ieri", "27/11/2026", "2026-11-27T10:00:00", "0001-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_what_is_no_time_anywhere_is_told_as_that(text):
    with pytest.raises(Invalid) as error:
        window.moment(text)
    assert error.value.code == "input.time"


ADAPTER = """
import socket
socket.create_connection(("127.0.0.1", {port}))
from bus.adapter import Adapter
class Chiacchierone(Adapter): pass
"""


def test_the_guard_refuses_a_socket_that_an_adapter_opens_while_it_is_loaded(worked, tmp_path):
    """Loopback, so that only replay's own guard can refuse it; and somebody listens there."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        (tmp_path / "chiacchierone.py").write_text(ADAPTER.format(port=listening.getsockname()[1]), "utf-8")
        settings = write(tmp_path, adapters={"chiacchierone": {"use": "chiacchierone:Chiacchierone"}}, keystore=keystore_of(worked[0]))
        said = bus(
            "replay",
            "--from",
            "2026-01-01",
            "--config",
            str(settings),
            PYTHONPATH=f"{os.environ['PYTHONPATH']}:{tmp_path}",
            SNODO_STORE=f"sqlite:///{worked[0]}/var/snodo.db",
        )
        assert "replay.egress" in said.stderr
        assert said.returncode == 2
        listening.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listening.accept()


def test_who_says_why_is_written_in_the_log_before_anything_is_read(tmp_path):
    with running(tmp_path) as server:
        message = sent(server, "prova.saluto", "Bo")
        wait_reply(server.app, message, 60)
        said = bus("replay", "istanza:Bo", "--purpose", "reclamo 44", "--url", f"http://127.0.0.1:{server.port}", "--key", key_of("revisore"),
                   "--config", str(tmp_path / "config.yaml"))  # fmt: skip
        assert said.returncode == 0, said.stderr
        refused = Caller(server.port, "portale")("POST", "/replays", {"purpose": "curiosity"})
        assert refused.status == 403
        with server.app.store.read() as tx:
            [record] = [one for _, one in log.everything(tx) if one.kind == "replayed"]
            assert log.json_payload(tx, record.payload("purpose")) == {"text": "reclamo 44", "what": "istanza:Bo"}
        assert (record.actor, dict(record.data)) == ("revisore", {"scope": "case"})


def test_who_replays_a_bundle_and_says_why_is_written_with_which_bundle_it_is(tmp_path):
    with running(tmp_path) as server:
        work(server)
        door = ["--purpose", "reclamo 44", "--url", f"http://127.0.0.1:{server.port}", "--key", key_of("revisore")]
        out = tmp_path / "fascicolo.zip"
        assert main(["log", "export", "--case", "istanza:Ada", "--out", str(out), *door]) == 0
        said = bus("replay", "--bundle", str(out), "--config", str(tmp_path / "config.yaml"), *door)
        assert said.returncode == 0, said.stderr
        with server.app.store.read() as tx:
            records = {one.kind: one for _, one in log.everything(tx) if one.kind in ("exported", "replayed")}
            told = log.json_payload(tx, records["replayed"].payload("purpose"))
        assert told == {"text": "reclamo 44", "bundle": records["exported"].data["manifest"]}
        assert dict(records["replayed"].data) == {"scope": "bundle"}


def test_a_case_that_was_exported_is_replayed_offline_and_turned_into_a_test(tmp_path, monkeypatch):
    with running(tmp_path) as server:
        waited = work(server)
        out = tmp_path / "fascicolo.zip"
        words = ["log", "export", "--case", "istanza:Ada", "--purpose", "prova", "--out", str(out)]
        assert main([*words, "--url", f"http://127.0.0.1:{server.port}", "--key", key_of("revisore")]) == 0
    bundle = Bundle(unpacked(out.read_bytes()))
    report = unbundled(bundle, {}, every=True)
    assert report.as_text().endswith("1 run, 2 steps recomputed: 1 equal")
    evidence = bundle.evidence
    [opening] = evidence.openings
    assert opening.message == waited
    catalog = load(tmp_path, {})
    made = cut(opening, evidence, catalog, {})
    assert made.test["expect"]["state"] == "done"
    assert [one["arrive"] for one in made.test["then"]] == ["prova.sveglia"]
    [verdict] = run_route(Route(catalog.routes["prova.aspetta"].plan, "", (TestDocument.model_validate(made.test),)), catalog, {})
    assert verdict.passed, verdict.faults
    late = [one._replace(time=one.time + dt.timedelta(days=3)) if one.kind == "matched" else one for one in evidence.journals[opening.run]]
    assert [{"pass": "3d"}, *made.test["then"]] == cut(opening, replace(evidence, journals={opening.run: late}), catalog, {}).test["then"]
    woken = next(str(one.data["arrival"]) for one in evidence.journals[opening.run] if one.kind == "matched")
    came = evidence.message(woken).time
    first = evidence.message(waited)._replace(time=came + dt.timedelta(hours=1))
    with pytest.raises(NotFound) as gone:
        cut(opening, evidence, replace(catalog, routes={}), {})
    assert gone.value.code == "test.no-route"
    with pytest.raises(NotFound, match="the bundle does not hold a message of this run: it was erased, or not exported"):
        cut(opening, replace(evidence, messages={waited: evidence.messages[waited]}), catalog, {})
    with pytest.raises(NotFound, match="a message of this run was erased"):
        cut(opening, replace(evidence, messages={}, missing="unavailable: erased"), catalog, {})
    said = type(evidence).message
    monkeypatch.setattr(type(evidence), "message", lambda self, one: first if one == waited else said(self, one))
    assert [("prova.sveglia", text_of(came))] == [(one["arrive"], one["at"]) for one in cut(opening, evidence, catalog, {}).test["earlier"]]


def test_secrets_are_not_read(worked, tmp_path):
    settings = write(tmp_path, store={"url": {"file": "chiave-che-non-si-legge"}}, keystore=keystore_of(worked[0]))
    said = bus("replay", "--from", "2026-01-01", "--config", str(settings), "--store", f"sqlite:///{worked[0]}/var/snodo.db")
    assert said.returncode == 0


def test_an_adapter_whose_program_is_gone_keeps_nothing_from_being_recomputed(worked, tmp_path):
    settings = write(
        tmp_path, adapters={"vecchio": {"use": "vecchio:Vecchio"}, "sportello": {"use": "soap"}}, keystore=keystore_of(worked[0])
    )
    said = bus("replay", "--from", "2026-01-01", "--config", str(settings), "--store", f"sqlite:///{worked[0]}/var/snodo.db")
    assert (said.returncode, " equal" in said.stdout) == (0, True), said.stderr
    for name in ("vecchio", "sportello"):
        assert f"what the adapter {name} declares cannot be told here: " in said.stderr


def test_the_host_of_the_database_may_be_looked_up_and_no_other(worked):
    """Nobody listens there: what fails is the line to the database, not the look-up of its name."""
    said = bus("replay", "x", "--config", str(worked[0] / "config.yaml"), "--store", "postgresql://nobody@localhost:9/x")
    assert (said.returncode, "replay.egress" in said.stderr) == (3, False), said.stderr
    assert hosts_of("postgresql://u@uno,due:5433/x") == {"uno", "due"}
    assert hosts_of("postgresql:///x?host=/run/postgresql") == hosts_of("sqlite:///x") == frozenset()


def test_on_postgresql_a_user_that_may_only_read_is_enough(postgresql_url, tmp_path):
    with running(tmp_path, store={"url": postgresql_url}) as server:
        work(server)
    with psycopg.connect(postgresql_url, autocommit=True) as raw:
        raw.execute("DROP ROLE IF EXISTS revisore")
        raw.execute("CREATE ROLE revisore LOGIN")
        raw.execute("GRANT USAGE ON SCHEMA public TO revisore")
        raw.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO revisore")
    try:
        reader = psycopg.conninfo.make_conninfo(postgresql_url, user="revisore")
        parts = psycopg.conninfo.conninfo_to_dict(reader)
        url = f"postgresql:///{parts['dbname']}?" + "&".join(f"{name}={parts[name]}" for name in parts if name != "dbname")
        said = bus("replay", "istanza:Ada", "--config", str(tmp_path / "config.yaml"), "--store", url)
        assert said.returncode == 0, said.stderr + said.stdout
        assert said.stdout.endswith("1 equal\n")
        with looking(tmp_path, url) as reader:
            assert replayed(reader, {}, "", ("2026-01-01", ""), every=False).counts == {"equal": 15}
            with reader.read() as tx, pytest.raises(Exception, match=r"permission|read-only"):
                tx.all("claim_runs", runs="[]", now="", owner="x", lease="", suspects=1)
    finally:
        with psycopg.connect(postgresql_url, autocommit=True) as raw:
            raw.execute("DROP OWNED BY revisore")
            raw.execute("DROP ROLE revisore")
