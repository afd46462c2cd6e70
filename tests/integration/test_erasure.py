"""The erasure of a person, through a real bus: two persons, keys destroyed, no byte left, every proof still valid."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import io
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from bus import config
from bus.app import App
from bus.cli import main
from bus.engine import erasure, projection
from bus.engine.names import holder
from bus.errors import Erased
from bus.log import log, requests
from bus.log.payload import key_number
from bus.testing.patience import until
from tests.clocks import FixedClock
from tests.integration.erasing import NAME, OTHER, WHO, asked, confirmed, greet, scanned, sent, two_sysadmins
from tests.projections import snapshot, told_otherwise
from tests.small_bus import Caller, Process, key_of, own_key, running, wait_reply


def replayed(message: str, settings_of: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: a replay closes all sockets."""
    command = [sys.executable, "-m", "bus.cli", "replay", message, "--config", settings_of]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_case_tells_of_an_erasure_also_when_the_clock_was_set_back_before_it(office):
    greet(office, NAME, WHO)
    office.app.clock = FixedClock(dt.datetime.now(dt.UTC) - dt.timedelta(days=2))
    requests = [asked(office).json["id"] for _ in range(30)]
    assert confirmed(office, requests[-1]).status == 200
    timeline = Caller(office.port, "revisore")("GET", f"/cases/istanza:{quote(NAME)}").json["timeline"]
    kinds = [line["kind"] for line in timeline]
    assert (kinds[0], kinds[-1], kinds.count("erased")) == ("received", "erased", 1)


def test_a_person_is_erased_by_two_and_every_proof_still_holds(tmp_path, capsys):
    with running(tmp_path, keys=two_sysadmins()) as server:
        call = Caller(server.port)
        file = call("POST", "/attachments?name=Quaranta.txt", f"{NAME} {WHO}".encode()).json["sha256"]
        message = greet(server, NAME, WHO, attachments=[file])
        kept = greet(server, "Mario", OTHER)
        request = asked(server)
        assert (request.status, request.json["messages"], request.json["files"], request.json["open"]) == (200, 1, 1, [])
        same = confirmed(server, request.json["id"], "sistemista")
        assert (same.status, same.json["code"]) == (403, "subject.same-person")
        assert call("GET", f"/messages/{message}").json["reply"] == {"saluto": f"ciao {NAME}"}
        assert confirmed(server, request.json["id"], "revisore").status == 403
        done = confirmed(server, request.json["id"])
        assert (done.status, done.json["messages"], done.json["files"]) == (200, 1, 1)
        gone = call("GET", f"/messages/{message}")
        assert (gone.status, gone.json["code"]) == (410, "payload.erased")
        assert call("GET", f"/attachments/{file}").status == 404
        assert call("GET", f"/messages/{kept}").json["reply"] == {"saluto": "ciao Mario"}
        again = confirmed(server, request.json["id"])
        assert (again.status, again.json["code"]) == (404, "subject.request-unknown")
        assert asked(server).json["code"] == "subject.unknown"
        with server.app.store.read() as tx:
            [record] = [one for _, one in log.everything(tx) if one.kind == "erased"]
            assert (record.actor, record.data["by"], record.data["messages"]) == ("collega", "sistemista", [message])
            assert log.json_payload(tx, record.payload("reason")) == {"text": "richiesta dell'interessato"}
            assert tx.keys.token(holder(WHO)) not in json.dumps(record.data)
            assert not tx.all("messages_of_holder", holder=tx.keys.token(holder(WHO)))
        assert told_otherwise(server.app.store) == {}
        assert scanned(tmp_path) == []  # with the write-ahead log there
    assert scanned(tmp_path) == []
    settings_of = str(tmp_path / "config.yaml")
    assert main(["log", "verify", "--config", settings_of]) == 0, capsys.readouterr()
    gone, equal = (replayed(one, settings_of) for one in (message, kept))
    assert (gone.returncode, "unavailable: erased" in gone.stdout, equal.returncode) == (4, True, 0)


def test_a_person_with_two_keys_of_one_name_is_one_person(tmp_path):
    second = {**own_key("sistemista-2", "sysadmin"), "name": "sistemista"}
    with running(tmp_path, keys=[*two_sysadmins(), second]) as server:
        greet(server, NAME, WHO)
        request = asked(server).json["id"]
        same = confirmed(server, request, "sistemista-2")
        assert (same.status, same.json["code"]) == (403, "subject.same-person")
        assert confirmed(server, request).status == 200


@pytest.mark.parametrize(
    "change", ["DELETE FROM erased_keys WHERE key = (SELECT max(key) FROM erased_keys)", "INSERT INTO erased_keys VALUES (1)"]
)
def test_a_key_that_each_start_would_destroy_or_spare_against_what_the_records_say_is_found(tmp_path, capsys, change):
    with running(tmp_path, keys=two_sysadmins()) as server:
        greet(server, NAME, WHO)
        assert confirmed(server, asked(server).json["id"]).status == 200
    verify = ["log", "verify", "--config", str(tmp_path / "config.yaml")]
    assert main(verify) == 0, capsys.readouterr()
    with contextlib.closing(sqlite3.connect(tmp_path / "var" / "snodo.db")) as raw, raw:
        raw.execute(change)
    assert main(verify) == 5
    assert "in the table `erased_keys`, and the records say otherwise" in capsys.readouterr().out


def test_a_request_that_is_hidden_or_was_never_asked_is_found(tmp_path, url, capsys):
    with running(tmp_path, keys=two_sysadmins(), store={"url": url}) as server:
        greet(server, NAME, WHO)
        greet(server, "Mario", OTHER)
        done, again, waits = (asked(server, who).json["id"] for who in (WHO, WHO, OTHER))
        assert confirmed(server, done).status == 200
        store = server.app.store
        with store.read() as tx:
            [mark] = map(dict, tx.all("all_erasures"))
        assert mark["name"] == f"erasure {waits}"
        verify = ["log", "verify", "--config", str(tmp_path / "config.yaml")]
        until(lambda: _last_checkpoint(store), "a checkpoint")
        assert main(verify) == 0, capsys.readouterr()
        old = {**mark, "name": f"erasure {again}"}
        for change in ([], [{**mark, "value": mark["value"].replace("20", "21", 1)}], [mark, old]):
            store.write(lambda tx, rows=change: (tx.do("forget_erasures"), tx.many("add_mark", rows))).result()
            assert main(verify) == 5
            said = capsys.readouterr().out
            assert f"erasure {again if old in change else waits} does not stand in the table `marks` as the records say" in " ".join(
                said.split()
            )
        assert mark["value"] in said or old in change
        store.write(lambda tx: (tx.do("forget_erasures"), tx.many("add_mark", [mark]))).result()
        assert main(verify) == 0, capsys.readouterr()


def _last_checkpoint(store):
    with store.read() as tx:
        return tx.one("last_checkpoint")


def test_no_byte_is_left_on_a_server_in_exports_in_what_the_doctor_says_or_in_temporary_files(tmp_path, postgresql_url, monkeypatch):
    """The server's own files too: tables, indexes, write-ahead log."""
    temporary, work = tmp_path / "tmp", tmp_path / "bus"
    temporary.mkdir(mode=0o755)
    work.mkdir(mode=0o755)
    monkeypatch.setenv("TMPDIR", str(temporary))
    changes = {"keys": two_sysadmins(), "store": {"url": postgresql_url}, "log_level": "debug"}
    process = Process(work, **changes)
    try:
        call = Caller(process.port)
        file = call("POST", "/attachments?name=Quaranta.txt", f"{NAME} {WHO}".encode() * 20_000).json["sha256"]
        [erased, kept] = [
            sent(process, "prova.saluto", {"nome": name, "numero": [who]}, attachments=files)
            for name, who, files in ((NAME, WHO, [file]), ("Mario", OTHER, []))
        ]
        while any(call("GET", f"/messages/{one}").json.get("reply") is None for one in (erased, kept)):
            time.sleep(0.05)
        call("POST", "/messages", {"type": "prova.saluto", "data": {"nome": ""}, "id": WHO})  # refused
        assert confirmed(process, asked(process).json["id"]).status == 200
        export = Caller(process.port, "revisore")("POST", "/exports", {"from": "2020-01-01", "to": "2100-01-01", "purpose": "prova"})
        assert export.status == 200, export.content
        (work / "fascicolo.zip").write_bytes(export.content)
        with zipfile.ZipFile(io.BytesIO(export.content)) as bundle:
            bundle.extractall(work / "fascicolo")
        assert kept in (work / "fascicolo/records.jsonl").read_text()
        doctor = subprocess.run(
            [sys.executable, "-m", "bus.cli", "doctor", "--config", str(work / "config.yaml")], capture_output=True, timeout=120
        )
        (work / "doctor.txt").write_bytes(doctor.stdout + doctor.stderr)
        assert doctor.stdout
    finally:
        process.stop()
    assert scanned(tmp_path) == []
    with psycopg.connect(postgresql_url, autocommit=True) as raw:
        raw.execute("CHECKPOINT")
        [folder] = raw.execute("SHOW data_directory").fetchone()
    assert scanned(Path(folder)) == []
    assert main(["log", "verify", "--store", postgresql_url, "--config", str(work / "config.yaml"), "--names"]) == 0


def test_the_scan_would_find_the_person(tmp_path):
    for number, text in enumerate(
        (WHO.encode(), NAME.encode("utf-16-le"), base64.b64encode(b"x " + WHO.encode() + b" x"), WHO.encode().hex().encode())
    ):
        (tmp_path / f"{number}").write_bytes(b"before " + text + b" after")
    assert sorted(scanned(tmp_path)) == ["0", "1", "2", "3"]


def test_nothing_is_erased_while_a_run_is_open(office):
    waits = sent(office, "prova.attesa", {"nome": "pratica-1", "numero": WHO})
    until(lambda: office.app.message(waits)["state"] == "waiting", "it waits")
    request = asked(office, WHO.lower())  # written otherwise
    [run] = request.json["open"]
    refused = confirmed(office, request.json["id"])
    assert (refused.status, refused.json["code"], refused.json["runs"]) == (422, "subject.open", [run])
    assert "stop sending" not in refused.json["hint"]
    again = sent(office, "prova.attesa", {"nome": "pratica-1b", "numero": WHO})
    until(lambda: office.app.message(again)["state"] == "waiting", "it waits")
    assert confirmed(office, request.json["id"]).json["hint"].endswith("first have these stop sending: portale")
    sent(office, "prova.sveglia", {"nome": "pratica-1b"})
    sent(office, "prova.sveglia", {"nome": "pratica-1"})  # names nobody: it goes with the only person of its case
    with office.app.store.read() as tx:
        message = tx.one("run", id=run["id"])["message"]
    for one in (message, again):
        wait_reply(office.app, one, 60)
    assert confirmed(office, request.json["id"]).json["messages"] == 4


def test_of_open_runs_those_that_may_be_given_up_and_the_others_are_told_apart():
    runs = [{"id": name, "route": "prova.attesa", "state": state} for name, state in (("a", "waiting"), ("b", "ready"))]
    refused = erasure._open(erasure.Reach((), (), tuple(runs)), [])
    assert refused.sentence == "still open: 2 runs of these cases"
    assert refused.hint == (
        "those that wait or are dead you may give up: bus dead discard a --reason …; the others are at work, or ask a system again: let them end"
    )


def test_nothing_that_was_erased_is_given_to_a_run_that_waits(office):
    sent(office, "prova.sveglia", {"nome": "pratica-7", "numero": WHO})
    assert confirmed(office, asked(office).json["id"]).json["messages"] == 1
    waits = sent(office, "prova.attesa", {"nome": "pratica-7"})
    until(lambda: office.app.message(waits)["state"] in ("waiting", "dead", "done"), "it waits")
    assert office.app.message(waits)["state"] == "waiting"
    sent(office, "prova.sveglia", {"nome": "pratica-7"})
    assert wait_reply(office.app, waits, 60)["reply"] == {"svegliato": "pratica-7"}


def test_a_run_that_waits_is_given_up_and_then_the_person_is_erased(office, tmp_path):
    """A deadline of thirty days is longer than a person has to wait."""
    waits = sent(office, "prova.attesa", {"nome": "pratica-4", "numero": WHO})
    until(lambda: office.app.message(waits)["state"] == "waiting", "it waits")
    request = asked(office)
    [run] = request.json["open"]
    refused = confirmed(office, request.json["id"])
    assert (refused.json["code"], f"bus dead discard {run['id']}" in refused.json["hint"]) == ("subject.open", True)
    call = Caller(office.port, "sistemista")
    assert call("POST", f"/dead/{run['id']}/discard", {}).json["code"] == "dead.reason-missing"
    assert call("POST", f"/dead/{run['id']}/redeliver", {"reason": "prova"}).json["code"] == "dead.not-dead"
    given_up = call("POST", f"/dead/{run['id']}/discard", {"reason": "cancellazione prot. 2026/0004711"})
    assert (given_up.status, given_up.json["state"]) == (200, "cancelled")
    wakes = sent(office, "prova.sveglia", {"nome": "pratica-4"})  # nobody waits for it any more
    later = sent(office, "prova.attesa", {"nome": "pratica-4"})  # the case goes on
    until(lambda: office.app.message(later)["state"] in ("waiting", "done"), "it went on")
    assert office.app.message(waits)["state"] == "cancelled"
    for one in office.app.message(later)["runs"]:
        call("POST", f"/dead/{one['id']}/discard", {"reason": "prova"})
    replay = replayed(waits, str(tmp_path / "config.yaml"))
    assert replay.returncode == 0, replay.stdout + replay.stderr
    done = confirmed(office, request.json["id"])
    assert (done.status, done.json["messages"]) == (200, 3), (done.json, wakes)
    assert replayed(waits, str(tmp_path / "config.yaml")).returncode == 4
    assert main(["log", "verify", "--config", str(tmp_path / "config.yaml"), "--names"]) == 0
    with office.app.store.read() as tx:
        before = snapshot(tx)
    office.app.store.write(projection.rebuild).result()
    with office.app.store.read() as tx:
        after = snapshot(tx)
    assert [run["state"] for run in after["runs"] if run["message"] == waits] == ["cancelled"]
    assert after["waits"] == before["waits"]


def test_a_message_that_names_nobody_stays_while_another_person_is_in_its_case(office):
    first, second = (sent(office, "prova.silenzio", {"nome": "pratica-2", "numero": who}) for who in (WHO, OTHER))
    nameless = sent(office, "prova.silenzio", {"nome": "pratica-2"})
    for one in (first, second, nameless):
        wait_reply(office.app, one, 60)
    assert asked(office).json["messages"] == 1


def test_whom_nothing_names_is_told_by_the_id_of_a_message(office):
    """A codice fiscale with a wrong letter names nobody, and yet it is somebody's."""
    wrong = f"{WHO[:-1]}X"
    message, other = greet(office, NAME, wrong), greet(office, "Mario", OTHER)
    assert asked(office, wrong).json["code"] == "subject.unknown"
    request = asked(office, message)
    assert (request.status, request.json["messages"]) == (200, 1)
    assert confirmed(office, request.json["id"]).json["messages"] == 1
    assert Caller(office.port)("GET", f"/messages/{message}").json["code"] == "payload.erased"
    assert Caller(office.port)("GET", f"/messages/{other}").status == 200
    assert asked(office, message).json["code"] == "subject.unknown"


def test_what_is_sent_again_after_its_erasure_stands_for_who_waits_as_for_who_does_not(office):
    call, saluto = Caller(office.port), {"type": "prova.saluto", "data": {"nome": NAME, "numero": {"persone": [{"codice": WHO}]}}}

    def send(**headers: str):
        return call("POST", "/messages", saluto, {"Idempotency-Key": "una", **headers})

    first = send()
    wait_reply(office.app, first.json["id"], 60)
    assert confirmed(office, asked(office).json["id"]).status == 200
    again, waited = send(), send(Prefer="wait=20")
    assert (again.status, again.headers["idempotency-status"], again.content) == (202, "repeated", first.content)
    assert (waited.status, waited.headers["idempotency-status"], waited.content) == (202, "repeated", first.content)


def test_who_asks_says_whom_and_why(office):
    call = Caller(office.port, "sistemista")
    assert call("POST", "/subjects/erasures", {"subject": "", "reason": "x"}).json["code"] == "subject.missing"
    assert call("POST", "/subjects/erasures", {"subject": WHO, "reason": " "}).json["code"] == "subject.reason-missing"
    assert call("POST", "/subjects/erasures", {"subject": WHO, "reason": "x"}).json["code"] == "subject.unknown"
    assert confirmed(office, "0199e1c5-7a50-7c3f-8d65-0a4a6d6a2f11").json["code"] == "subject.request-unknown"
    assert asked(office, who="revisore").status == 403


def test_a_crash_after_the_record_and_a_restored_key_store_are_made_good_at_the_start(tmp_path):
    with running(tmp_path, keys=two_sysadmins()) as server:
        message = greet(server, NAME, WHO)
        request = asked(server).json["id"]
        app = server.app
        app.store.write(lambda tx: erasure.confirm(tx, request, "collega", app.clock, {})).result()  # and here the process ends
        assert app.message(message)["reply"]
    shutil.copytree(tmp_path / "var/keys", tmp_path / "backup")
    for _ in ("after the crash", "after the restore"):
        app = App(config.load(tmp_path / "config.yaml"), adapters={})
        with contextlib.closing(app.store), app.store.read() as tx, pytest.raises(Erased):
            log.message(tx, message)
        app.keys.close()
        shutil.rmtree(tmp_path / "var/keys")
        shutil.copytree(tmp_path / "backup", tmp_path / "var/keys")


def test_what_comes_after_an_old_key_store_was_restored_has_no_key_of_what_was_erased_since(tmp_path):
    with running(tmp_path, keys=two_sysadmins()):
        shutil.copytree(tmp_path / "var/keys", tmp_path / "backup")
    with running(tmp_path, keys=two_sysadmins()) as server:  # with keys that the copy lacks
        lost = greet(server, "Bea", OTHER)
        greet(server, NAME, WHO)
        assert confirmed(server, asked(server).json["id"]).status == 200
    shutil.rmtree(tmp_path / "var/keys")
    (tmp_path / "backup").rename(tmp_path / "var/keys")
    with running(tmp_path, keys=two_sysadmins()) as server:
        later = [greet(server, f"Cleo {number}", OTHER) for number in range(3)]
    with running(tmp_path, keys=two_sysadmins()) as server:
        call = Caller(server.port)
        assert [call("GET", f"/messages/{message}").status for message in later] == [200, 200, 200]
        answer = call("GET", f"/messages/{lost}")
        assert (answer.status, answer.json["code"]) == (503, "keys.missing")


def test_what_a_process_that_is_no_more_told_and_did_not_destroy_another_one_destroys_within_ten_minutes(tmp_path, monkeypatch):
    monkeypatch.setattr("bus.engine.destruction.EXPIRE", 0.2)
    with running(tmp_path, keys=two_sysadmins()) as server:
        call, app = Caller(server.port), server.app
        file = call("POST", "/attachments?name=a.txt", NAME.encode()).json["sha256"]
        message, request = greet(server, NAME, WHO, attachments=[file]), asked(server).json["id"]
        with app.store.read() as tx:
            token = tx.keys.token(file)
        number = app.attachments.key_of(token)
        app.store.write(lambda tx: erasure.confirm(tx, request, "collega", app.clock, {token: number})).result()
        until(lambda: call("GET", f"/messages/{message}").status == 410, "it is gone")
        until(lambda: not app.keys.left([number]) and not app.attachments.place(token).exists(), "so is the file")


def test_a_request_that_nobody_confirms_is_forgotten(office, monkeypatch):
    greet(office, NAME, WHO)
    request = asked(office).json["id"]
    with office.app.store.read() as tx:
        record, told = erasure.asked(tx, request, office.app.clock.now())
    assert told["subject"] == WHO
    late = office.app.clock.now() + requests.PATIENCE * 2
    assert [one["id"] for one in office.app.destruction.waiting()] == [request]
    monkeypatch.setattr(office.app.clock, "now", lambda: late)
    assert office.app.destruction.waiting() == []
    assert confirmed(office, request).json["code"] == "subject.request-unknown"
    asked(office)
    with office.app.store.read() as tx, pytest.raises(Erased):
        log.json_payload(tx, record.payload("request"))


def test_a_request_that_nobody_confirms_is_forgotten_when_it_expires_though_nobody_asks_again(tmp_path, monkeypatch):
    monkeypatch.setattr("bus.engine.destruction.EXPIRE", 0.05)
    with running(tmp_path, keys=two_sysadmins()) as server:
        greet(server, NAME, WHO)
        app, request = server.app, asked(server).json["id"]
        with app.store.read() as tx:
            number = key_number(bytes(tx.one("payload", id=erasure.asked(tx, request, app.clock.now())[0].payload("request"))["nonce"]))
        time.sleep(0.3)
        assert app.keys.left([number])
        late = app.clock.now() + requests.PATIENCE * 2
        monkeypatch.setattr(app.clock, "now", lambda: late)
        until(lambda: not app.keys.left([number]), "the key of what the request says is destroyed", within=20.0)


def test_other_requests_for_the_same_person_are_over_with_the_erasure_and_say_no_more_who_it_was(office):
    """Each says so in a payload with a key of its own, which nobody would destroy before the request expires."""
    message, other = greet(office, NAME, WHO), greet(office, "Mario", OTHER)
    requests = [asked(office, subject).json["id"] for subject in (WHO, f" {WHO.lower()}", message, WHO, OTHER)]
    assert confirmed(office, requests[3]).status == 200
    with office.app.store.read() as tx:
        records = [record for _, record in log.everything(tx) if record.kind == "erasure"]
        gone = [not tx.keys.left([key_number(bytes(tx.one("payload", id=one.payload("request"))["nonce"]))]) for one in records]
    assert gone == [True, True, True, True, False]
    assert [confirmed(office, one).status for one in requests[:4]] == [404] * 4
    assert confirmed(office, requests[4]).status == 200
    assert other


def test_the_commands(tmp_path, capsys, monkeypatch):
    with running(tmp_path, keys=two_sysadmins()) as server:
        greet(server, NAME, WHO)
        url = f"http://127.0.0.1:{server.port}"
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{WHO}\n".encode())))
        words = ["subject", "erase", "--reason", "richiesta", "--url", url, "--json"]
        assert main([*words, "--key", key_of("sistemista")]) == 0
        shown, asked_for = capsys.readouterr()
        request = json.loads(shown)
        assert asked_for == "", "a program is not asked"
        assert request["messages"] == 1
        assert main(["subject", "list", "--url", url, "--key", key_of("collega")]) == 0
        listed = capsys.readouterr().out
        assert f"{request['id']}  asked " in listed
        assert re.search(r" by sistemista, open until \d\d/\d\d/\d{4} \d\d:\d\d:\d\d CES?T: 1 message", listed), (
            "as times are told elsewhere"
        )
        assert WHO not in listed
        assert main(["subject", "confirm", request["id"], "--url", url, "--key", key_of("collega")]) == 0
        assert "erased: 1 message," in capsys.readouterr().out
        assert main(["subject", "list", "--url", url, "--key", key_of("collega"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"requests": []}
        assert main([*words, "--key", key_of("sistemista")]) == 1, "nothing stands on standard input any more"
        assert json.loads(capsys.readouterr().err)["code"] == "subject.missing"
        assert main(["subject", "erase", WHO, "--reason", "richiesta"]) == 2
        refused = capsys.readouterr().err
        assert (WHO in refused, "next: bus subject erase --help" in refused) == (False, True)
        dead = sent(server, "prova.guasto", {"nome": "pratica-9", "numero": WHO})
        until(lambda: server.app.message(dead)["state"] == "dead", "it is a dead letter")
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{WHO}\n".encode())))
        assert main([*words[:-1], "--key", key_of("sistemista")]) == 0
        assert "next: these end, or are given up (bus dead discard RUN" in capsys.readouterr().out
        kept = greet(server, "Mario", OTHER)
        settings_of = str(tmp_path / "config.yaml")
        assert main(["subject", "rekey", "--config", settings_of]) != 0
        assert "keys.in-use" in capsys.readouterr().err
    assert main(["subject", "rekey", "--config", settings_of]) == 0
    with running(tmp_path, keys=two_sysadmins()) as server:
        assert server.app.message(kept)["reply"] == {"saluto": "ciao Mario"}


def test_no_table_holds_the_person_in_plain(tmp_path):
    with running(tmp_path, keys=two_sysadmins()) as server:
        greet(server, NAME, WHO)
        asked(server)
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw:
        assert WHO not in "\n".join(raw.iterdump())
