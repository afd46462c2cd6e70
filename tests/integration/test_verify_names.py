"""``bus log verify --names``: whom messages are about stands in the tables as their sealed texts say; what else is changed is named."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest

from bus.cli import main
from bus.engine import verify_names
from bus.log import keyring, payload
from bus.message import canonical
from tests.integration.erasing import OTHER, WHO, asked, confirmed, greet, two_sysadmins, uploaded
from tests.small_bus import Caller, running, wait_reply
from tests.views import Counting


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A bus that was stopped: three persons, one of them erased; two files."""
    folder = tmp_path_factory.mktemp("nomi")
    with running(folder, keys=two_sysadmins()) as server:
        greet(server, "Adalgisa", WHO, attachments=[uploaded(server, "uno.txt", b"uno")])
        greet(server, "Mario", OTHER, attachments=[uploaded(server, "due.txt", b"due")], subject="Mario Rossi")
        greet(server, "Nessuno", "")
        assert confirmed(server, asked(server).json["id"]).status == 200
    return folder


@pytest.fixture
def bus(quiet, tmp_path):
    shutil.copytree(quiet, tmp_path, dirs_exist_ok=True)
    return tmp_path


def says(bus, capsys, *options: str) -> tuple[int, dict]:
    code = main(["log", "verify", "--config", str(bus / "config.yaml"), "--json", *options])
    return code, json.loads(capsys.readouterr().out)


def found(bus, capsys, *options: str) -> dict:
    """The fault that is told of a table."""
    code, said = says(bus, capsys, *options)
    assert (code, said["fault"]["kind"]) == (5, "table")
    return said["fault"]


def changed(bus, *statements: str) -> None:
    [path] = bus.rglob("*.db")
    with closing(sqlite3.connect(path)) as raw:
        for statement in statements:
            assert raw.execute(statement).rowcount > 0
        raw.commit()


def test_who_has_the_key_store_finds_every_message_under_the_names_that_its_text_tells(bus, capsys):
    assert says(bus, capsys)[1]["named"] is None
    code, said = says(bus, capsys, "--names")
    assert (code, said["named"]) == (0, 3)
    assert main(["log", "verify", "--config", str(bus / "config.yaml"), "--names"]) == 0
    assert "3 messages, each under the names that its text tells, where it still opens" in capsys.readouterr().out, "one was erased"


def test_large_messages_are_compared_some_at_a_time(bus, capsys, monkeypatch):
    """500 of a megabyte each were in memory."""
    at_once, compare = [], verify_names._compare
    monkeypatch.setattr("bus.log.log.LIGHT", 1)
    monkeypatch.setattr(verify_names, "_compare", lambda tx, rows: at_once.append(len(rows)) or compare(tx, rows))
    assert says(bus, capsys, "--names")[1]["named"] == 3
    assert at_once == [1, 1, 1]


MARIO = "(SELECT message FROM holders ORDER BY message LIMIT 1)"
TAMPERINGS = {
    "a person taken out": ("DELETE FROM holders WHERE holder = (SELECT min(holder) FROM holders)", "holders"),
    "all persons taken out": ("DELETE FROM holders", "holders"),
    "another person": ("UPDATE holders SET holder = 'altro' WHERE holder = (SELECT max(holder) FROM holders)", "holders"),
    "a person put in": (f"INSERT INTO holders (holder, message) SELECT 'altro', {MARIO}", "holders"),
    "a person for one who was erased": (
        f"INSERT INTO holders (holder, message) SELECT 'altro', id FROM messages WHERE id <> {MARIO}", "holders",
    ),
    "another message of a person": ("UPDATE holders SET message = (SELECT max(id) FROM messages)", "holders"),
    "a file taken out": ("DELETE FROM enclosures", "enclosures"),
    "another file": ("UPDATE enclosures SET file = 'altro'", "enclosures"),
    "a key taken out": (f"DELETE FROM message_keys WHERE message = {MARIO}", "message_keys"),
    "another key": (f"UPDATE message_keys SET value = 'altro' WHERE message = {MARIO}", "message_keys"),
    "a key of another type": (f"UPDATE message_keys SET type = 'prova.altro' WHERE message = {MARIO}", "message_keys"),
    "a key put in": (
        f"INSERT INTO message_keys (name, value, message, type) SELECT 'codice_fiscale', 'x', {MARIO}, 'prova.saluto'", "message_keys",
    ),
}  # fmt: skip


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_names_that_the_text_does_not_tell_are_found_with_their_message(bus, capsys, tampering):
    statement, table = TAMPERINGS[tampering]
    changed(bus, statement)
    assert says(bus, capsys)[0] == 0, "without keys nobody can know"
    fault = found(bus, capsys, "--names")
    assert f"in the table `{table}` under other names" in fault["sentence"]
    assert fault["leaf"] is not None
    assert fault["record"].endswith(")")


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM attachments",
        "UPDATE attachments SET payload = (SELECT min(id) FROM payloads WHERE id NOT IN (SELECT payload FROM attachments))",
        "UPDATE attachments SET sender = 'altro'",
        "INSERT INTO attachments (file, sender, payload, time) SELECT file, 'altro', payload, time FROM attachments",
    ],
)
def test_what_is_told_of_a_file_and_would_escape_an_erasure_is_found(bus, capsys, tampering):
    changed(bus, tampering)
    fault = found(bus, capsys, "--names")
    assert "in the table `attachments` otherwise" in fault["sentence"]


@pytest.mark.parametrize("table", ["holders (holder, message)", "enclosures (file, message)", "message_keys (name, message, value, type)"])
def test_names_of_a_message_that_nobody_received_are_found_without_keys(bus, capsys, table):
    changed(bus, f"INSERT INTO {table} VALUES ('nome', 'nessuno'{', 1, 1' if 'value' in table else ''})")
    fault = found(bus, capsys)
    assert "the message nessuno is named" in fault["sentence"]


@pytest.mark.parametrize("row", ["'istanza', k.value, c.id, 0", "'altro', k.value, k.case_id, 1", "'email', k.value, c.id, 2"])
def test_a_key_that_leads_to_a_case_and_stands_in_no_record_of_it_is_found_without_keys(bus, capsys, row):
    changed(bus, f"INSERT INTO case_keys SELECT {row} FROM case_keys k, cases c WHERE k.case_id <> c.id LIMIT 1")
    fault = found(bus, capsys)
    assert "that no record of it tells" in fault["sentence"]


@pytest.mark.parametrize("change", ["DELETE FROM case_keys", "UPDATE case_keys SET strong = 1 - strong"])
def test_a_key_that_leads_to_no_case_any_more_is_found_without_keys(bus, capsys, change):
    """It was said that the log puts the message into ``None``."""
    changed(bus, change)
    assert found(bus, capsys)["sentence"].endswith(", to which no row of `case_keys` leads from its keys")


def test_a_case_that_was_taken_out_is_found_without_keys(bus, capsys):
    changed(bus, "DELETE FROM cases WHERE id = (SELECT max(id) FROM cases)")
    fault = found(bus, capsys)
    assert "is not in the table `cases`" in fault["sentence"]


def test_texts_that_no_rules_in_force_were_read_from_are_found_without_keys(bus, capsys):
    [path] = bus.rglob("*.db")
    with closing(sqlite3.connect(path)) as raw:
        name, content = raw.execute("SELECT digest, content FROM rules WHERE kind = 'text' LIMIT 1").fetchone()
        texts = json.loads(content)
        for wrong in ({file: text + "#" for file, text in texts.items()}, {f"altro-{file}": text for file, text in texts.items()}):
            raw.execute("UPDATE rules SET content = ? WHERE digest = ?", (json.dumps(wrong).encode(), name))
            raw.commit()
            fault = found(bus, capsys)
            assert f"as {name} is not what those rules were read from" in fault["sentence"]
        windows = {"routes/altro.yaml": b"route: x\r\n"}
        address = hashlib.sha256(windows["routes/altro.yaml"]).hexdigest()
        manifest = canonical({"format": 1, "rules": "", "files": {"routes/altro.yaml": address}, "carried": {}})
        edition = hashlib.sha256(manifest).hexdigest()
        rows = [(address, "file", windows["routes/altro.yaml"]), (edition, "edition", manifest)]
        raw.executemany("INSERT INTO rules (digest, kind, content) VALUES (?, ?, ?)", rows)
        raw.execute("UPDATE rules SET content = ? WHERE digest = ?", (canonical({"routes/altro.yaml": "route: x\n"}), name))
        raw.commit()
        assert says(bus, capsys)[0] == 5, "no record put those rules in force"


def test_rules_that_were_edited_in_any_way_and_rolled_back_are_no_fault(tmp_path):
    """Comments and ends of lines make an edition and no rules; what was in force once is there for good."""
    with running(tmp_path) as server:
        file = tmp_path / "routes/prova/saluta.yaml"
        text = file.read_bytes()
        for edited in (
            text.replace(b"ciao", b"salve"),
            text.replace(b"\n", b"\r\n"),
            b"# a comment\n" + text,
            text.replace(b"purpose: ", b"purpose: it "),
        ):
            file.write_bytes(edited)
            server.app.activate(None, "chiara", "prova")
            message = Caller(server.port)("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}).json["id"]
            assert wait_reply(server.app, message, 60)["reply"]
        server.app.rollback("chiara", "indietro")
    assert main(["log", "verify", "--config", str(tmp_path / "config.yaml"), "--names"]) == 0


@pytest.mark.parametrize(("kind", "said"), [("edition", "edition"), ("file", "edition"), ("route", "by which there are runs")])
def test_rules_that_somebody_took_out_are_missed_without_keys(bus, capsys, kind, said):
    changed(bus, f"DELETE FROM rules WHERE kind = '{kind}'")
    fault = found(bus, capsys)
    assert said in fault["sentence"]
    if kind != "route":
        command = [sys.executable, "-m", "bus.cli", "plan", "--config", str(bus / "config.yaml")]
        plan = subprocess.run(command, capture_output=True, text=True, timeout=60)  # its guard stays on in a process
        assert (plan.returncode, "rules.lost" in plan.stderr) == (3, True)


def test_a_person_whose_key_still_opens_right_after_the_erasure_was_written_is_no_fault(tmp_path):
    """The key goes after the record: who looks in between reads a text of which the names are gone. After a copy of the keys came back all
    that was erased is so, and all records of erasures were read for each message.
    """
    views: list[Counting] = []

    @contextmanager
    def view():
        with server.app.store.read() as tx:
            views.append(Counting(tx))
            yield views[-1]

    with running(tmp_path, keys=two_sysadmins()) as server:
        for number in range(6):
            greet(server, f"Adalgisa {number}", WHO)
        held = server.app.store.keys.forget
        server.app.store.keys.forget = lambda numbers: None
        assert confirmed(server, asked(server).json["id"]).status == 200
        assert verify_names.compare(view) == 6
        server.app.store.keys.forget = held
    assert sum(one.asked["records_of_seldom_kinds"] for one in views) == 2, "a page, and that there is no more"


def test_a_key_that_was_destroyed_behind_the_back_of_the_log_is_found_with_its_message(bus, capsys):
    """Whoever destroys what was said, and writes no record of it, must not be taken for an erasure."""
    [path] = bus.rglob("*.db")
    with closing(sqlite3.connect(path)) as raw:
        spared = "SELECT m.id, p.nonce FROM messages m JOIN payloads p ON p.id = m.payload JOIN holders h ON h.message = m.id"
        message, nonce = raw.execute(spared).fetchone()
    [blocks] = bus.rglob("*.keys")
    with blocks.open("r+b") as file:
        file.seek(payload.key_number(nonce) % keyring.BLOCK * keyring.SLOT)
        file.write(keyring.GONE)
    assert says(bus, capsys)[0] == 0, "without keys nobody can know"
    code, said = says(bus, capsys, "--names")
    assert (code, said["fault"]["kind"]) == (5, "payload")
    assert said["fault"]["sentence"].startswith(
        f"the message {message} cannot be opened: its key is not in the key store, or not as it was made, and no record"
    )


def test_without_the_key_store_it_says_what_is_missing(bus, capsys):
    shutil.rmtree(next(path.parent for path in bus.rglob("about.json")))
    code = main(["log", "verify", "--config", str(bus / "config.yaml"), "--names"])
    assert code not in (0, 5)
    assert "keys.lost" in capsys.readouterr().err
