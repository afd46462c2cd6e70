"""What an erasure reaches besides messages: files that systems gave for them, such as a certificate; tokens in waits; keys that come back."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys

from bus import doctor
from bus.engine.names import holder
from bus.store import listed
from bus.testing.patience import until
from tests.files import put
from tests.integration.bundles import verdict
from tests.integration.erasing import NAME, WHO, asked, confirmed, greet, sent, two_sysadmins
from tests.projections import told_otherwise
from tests.small_bus import Caller, running, wait_reply


def test_the_doctor_says_when_destroyed_keys_are_back_under_a_bus_that_runs(tmp_path):
    def told() -> tuple[str, str]:
        [verdict] = [one for one in doctor.examine(tmp_path / "config.yaml") if one.code == "doctor.keystore"]
        return verdict.level, verdict.what

    with running(tmp_path, keys=two_sysadmins()) as server:
        message = greet(server, NAME, WHO)
        shutil.copytree(tmp_path / "var/keys", tmp_path / "backup")
        assert confirmed(server, asked(server).json["id"]).status == 200
        assert told()[0] == "ok"
        shutil.copytree(tmp_path / "backup", tmp_path / "var/keys", dirs_exist_ok=True)
        assert told() == ("wrong", "keys are there that the log says are destroyed: 2")
    with running(tmp_path, keys=two_sysadmins()) as server:
        assert Caller(server.port)("GET", f"/messages/{message}").status == 410
        assert told()[0] == "ok"


FOLLOWS = """
route: prova.persona
version: 1
owner: prove@comune.example
purpose: waits for what follows about a person, and later for more
on: prova.persona
case: {codice_fiscale: body.cf}
steps:
  - id: segue
    wait: prova.segue
    case: codice_fiscale
    deadline: 30d
    on_late: [{id: niente, set: {x: 1}}]
  - id: rispondi
    reply: {fatto: "true"}
"""
PERSONS = "type: prova.{}\ntitle: x\ncase: {{codice_fiscale: body.cf}}\nschema: {{type: object, required: [cf], properties: {{cf: {{type: string}}}}}}\n"


def test_the_token_of_a_person_by_whom_a_run_waited_stands_in_no_record_and_goes_with_the_person(tmp_path):
    types = {f"mappings/types/prova.{name}.yaml": PERSONS.format(name) for name in ("persona", "segue")}
    put(tmp_path, {"routes/prova/persona.yaml": FOLLOWS, **types})
    with running(tmp_path, keys=two_sysadmins()) as server:
        [database] = tmp_path.rglob("*.db")
        tokens = [server.app.store.keys.token(one).encode() for one in (WHO, holder(WHO))]

        def told() -> list[str]:
            with contextlib.closing(sqlite3.connect(database)) as raw:
                tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
                return sorted(
                    one
                    for one in tables
                    if any(token in repr(row).encode() for token in tokens for row in raw.execute(f"SELECT * FROM {one}"))
                )

        message = sent(server, "prova.persona", {"cf": WHO})
        until(lambda: server.app.message(message)["state"] == "waiting", "it waits")
        follows = sent(server, "prova.segue", {"cf": WHO})
        assert wait_reply(server.app, message, 60)["reply"] == {"fatto": True}
        [run] = server.app.message(message)["runs"]
        assert server.app.message(follows)["woke"] == [run["id"]], "a person's key joins no cases"
        with server.app.store.read() as tx:
            found = tx.all("messages_of_woken", messages=listed([follows]))  # a plan goes on with these
        assert [row["message"] for row in found] == [message]
        assert told() == ["case_keys", "holders", "message_keys", "waits"]
        assert told_otherwise(server.app.store) == {}
        assert confirmed(server, asked(server).json["id"]).status == 200
        assert told() == []
        assert told_otherwise(server.app.store) == {}


def test_a_key_store_that_lacks_keys_holds_up_no_erasure_report_replay_or_bundle(tmp_path):
    """It is older than the database, and perhaps nobody has a newer one. What it lacks is erased too: a newer copy brings nothing back."""
    keys, folder = {"keys": two_sysadmins()}, tmp_path / "var/keys"
    with running(tmp_path, **keys) as server:
        greet(server, NAME, WHO)
        shutil.copytree(folder, tmp_path / "older")
    with running(tmp_path, **keys) as server:
        lost = greet(server, NAME, WHO)
        beside = sent(server, "prova.saluto", {"nome": NAME})
        wait_reply(server.app, beside, 60)
        assert Caller(server.port, "revisore")("GET", f"/messages/{lost}", headers={"Snodo-Purpose": "prova"}).status == 200
    folder.rename(tmp_path / "newer")
    (tmp_path / "older").rename(folder)
    with running(tmp_path, **keys) as server:
        ask = Caller(server.port, "revisore")
        for name in ("accesses", "purposes"):
            answer = ask("POST", f"/reports/{name}", {"from": "2020-01-01", "to": "2090-01-01", "purpose": "prova", "after": 0})
            assert answer.status == 200, answer.content
            assert lost in {line["message"] for line in answer.json["lines"]}
        answer = ask("POST", "/exports", {"case": f"istanza:{NAME}", "purpose": "prova", "payloads": True})
        assert (answer.status, verdict(answer.content)) == (200, [])
        told = asked(server)
        assert told.json["messages"] == 3, "two name the person, one is of their case and names nobody"
        assert confirmed(server, told.json["id"]).status == 200
    command = [sys.executable, "-m", "bus.cli", "replay", "--config", str(tmp_path / "config.yaml"), "--from", "2020-01-01"]
    replayed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (replayed.returncode, "3 unavailable: erased" in replayed.stdout) == (4, True), replayed
    shutil.rmtree(folder)
    (tmp_path / "newer").rename(folder)
    with running(tmp_path, **keys) as server:
        assert [Caller(server.port)("GET", f"/messages/{one}").status for one in (lost, beside)] == [410, 410]
