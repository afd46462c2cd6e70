"""What an auditor is told where evidence is damaged: which, and all the rest."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from bus.bundle import verify
from bus.cli import main
from bus.errors import StoreError
from bus.log import log, note, payload
from bus.log.stored import StoredTree
from bus.store import listed
from bus.testing.patience import until
from tests.integration.bundles import verdict
from tests.integration.erasing import sent
from tests.small_bus import Caller, key_of, running, wait_reply


def change(folder, statement, *values) -> None:
    """One statement behind the bus's back, without the triggers that would refuse it."""
    with closing(sqlite3.connect(folder / "var/snodo.db")) as raw, raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute(statement, values)


def rewrite(folder, record: str, old: bytes, new: bytes) -> None:
    with closing(sqlite3.connect(folder / "var/snodo.db")) as raw:
        [(content,)] = raw.execute("SELECT content FROM records WHERE id = ?", (record,))
    change(folder, "UPDATE records SET content = ? WHERE id = ?", content.replace(old, new), record)


def leaf_of(server, number: int) -> int | None:
    with server.app.store.read() as tx:
        return StoredTree(tx).index_of(number)


GONE = "it, or its key, is not there any more, and no record says that it was erased"


def test_what_is_damaged_is_left_out_and_named_by_the_bundle_its_verification_and_a_replay(tmp_path, capsys):
    """A text that was changed ended the export; one without its key, or that somebody took out, was missing as if it had been erased."""
    with running(tmp_path) as server:
        ask = Caller(server.port)
        sent = [ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada", "numero": n}}).json["id"] for n in range(4)]
        for message in sent:
            wait_reply(server.app, message, 60)
        with server.app.store.read() as tx:
            found = {row["id"]: row["payload"] for row in tx.all("message_payloads_among", messages=listed(sent))}
        changed, taken, unkeyed, _ = (found[message] for message in sent)
        with closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw, raw:
            raw.execute("UPDATE payloads SET content = zeroblob(length(content)) WHERE id = ?", (changed,))
            raw.execute("DELETE FROM payloads WHERE id = ?", (taken,))
        server.app.keys.forget([payload.number_in(unkeyed)])
        out, door = tmp_path / "f.zip", ["--url", f"http://127.0.0.1:{server.port}", "--key", key_of("revisore")]
        assert main(["log", "export", "--case", "istanza:Ada", "--purpose", "prova", "--out", str(out), *door]) == 5
    said = capsys.readouterr().err
    assert all(f"{one}: " in said for one in (changed, taken, unkeyed)), said
    bundle = verify.Bundle(out.read_bytes(), [verify.Key(str(note.read_signer(tmp_path / "var/log.key").verifier))])
    told = {one["message"]: one["why"] for one in bundle.damaged if one["role"] == "message"}
    assert told == {sent[0]: "a payload is not what was sealed", sent[1]: GONE, sent[2]: GONE}
    assert (bundle.found, bundle.absent) == ([], 0)
    words = verify.report(bundle, "en")
    assert f"1 of {len(bundle.damaged)}: payload {changed} (message of received " in words
    assert f"<td>{len(bundle.damaged)} (damaged.jsonl)</td>" in bundle.files["summary.html"].decode()
    words = ["replay", "--bundle", str(out), "--config", str(tmp_path / "config.yaml")]
    done = subprocess.run([sys.executable, "-m", "bus", *words], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (5, "4 runs, 1 step recomputed: 1 equal, 3 unavailable: damaged")
    stranger = verify.packed({**bundle.files, verify.DAMAGED: b'{"id":"altro","why":""}\n'})
    assert {"stranger", "changed"} <= set(verdict(stranger))


def test_a_reply_that_somebody_took_out_hides_nothing_else_of_its_message(tmp_path):
    """An auditor was told that the whole message had been erased."""
    with running(tmp_path) as server:
        ask, looks = Caller(server.port), {"Snodo-Purpose": "prova"}
        message = ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}).json["id"]
        wait_reply(server.app, message, 60)
        whole = ask("GET", f"/messages/{message}", headers=looks, name="revisore").json
        with closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw, raw:
            raw.execute("DELETE FROM payloads WHERE id = (SELECT reply FROM messages WHERE id = ?)", (message,))
        left = ask("GET", f"/messages/{message}", headers=looks, name="revisore").json
        sender = ask("GET", f"/messages/{message}")
    assert left == {**whole, "reply": None, "unopened": {"reply": GONE}}
    assert (sender.status, sender.json["code"]) == (503, "payload.swapped"), "it may come back: nobody erased it"


def test_a_record_that_was_changed_is_named_and_nothing_else_is_hit(tmp_path):
    """It was a 500, and the command a traceback."""
    with running(tmp_path) as server:
        ask, looks = Caller(server.port, "revisore"), {"Snodo-Purpose": "prova"}
        changed, whole = (sent(server, "prova.saluto", {"nome": name}) for name in ("Ada", "Bea"))
        for message in (changed, whole):
            wait_reply(server.app, message, 60)
        with server.app.store.read() as tx:
            record = next(one for one in log.of_messages(tx, [changed]) if one.kind == "received")
        rewrite(tmp_path, record.id, b'"kind":"received"', b'"kind":"ricevuto"')
        for answer in (ask("GET", path) for path in (f"/log?message={changed}", "/cases/istanza:Ada")):
            said = f"the record {record.id} is not as it was written, and cannot be read"
            assert (answer.status, answer.json["code"], answer.json["detail"]) == (503, "evidence.broken", said)
        assert ask("GET", f"/messages/{changed}", headers=looks).json["body"] == {"nome": "Ada"}
        assert ask("GET", "/cases/istanza:Bea").json["state"] == "done"
        assert sent(server, "prova.saluto", {"nome": "Cleo"})


@pytest.mark.parametrize("content", ['{"kind":"ricevuto"}', "[]", '{"kind":"received"', "\udcff"])
def test_a_window_that_holds_a_record_that_was_changed_holds_the_rest(tmp_path, capsys, content):
    """Of an export nothing was written, and a replay recomputed nothing."""
    with running(tmp_path) as server:
        messages = [sent(server, "prova.saluto", {"nome": name}) for name in ("Ada", "Bea", "Cleo")]
        for message in messages:
            wait_reply(server.app, message, 60)
        with server.app.store.read() as tx:
            number, record = next((at, one) for at, one in log.of_kinds(tx, {"received"}, 0, 3) if one.message == messages[1])
        place = until(lambda: leaf_of(server, number), "it is sealed")
        change(tmp_path, "UPDATE records SET content = ? WHERE id = ?", content.encode(errors="surrogateescape"), record.id)
        out, door = tmp_path / "f.zip", ["--url", f"http://127.0.0.1:{server.port}", "--key", key_of("revisore")]
        assert main(["log", "export", "--from", "2026-01-01", "--purpose", "prova", "--out", str(out), *door]) == 5
    said = capsys.readouterr().err
    assert "the bundle does not prove itself: the log it is of is damaged, see bus log verify" in said
    assert f"record {place} (" in said
    bundle = verify.Bundle(out.read_bytes(), [verify.Key(str(note.read_signer(tmp_path / "var/log.key").verifier))])
    assert [(word, values["index"]) for word, values in bundle.found if word == "leaf"] == [("leaf", place)]
    assert "unreadable: it was changed" in bundle.files["summary.html"].decode()
    texts = " ".join(json.loads(line)["text"] for line in bundle.files["payloads.jsonl"].splitlines())  # what is sealed may read anyhow
    assert ("Ada" in texts, "Bea" in texts.replace("ciao Bea", ""), "Cleo" in texts) == (True, False, True)
    words = ["replay", "--from", "2026-01-01", "--config", str(tmp_path / "config.yaml")]
    done = subprocess.run([sys.executable, "-m", "bus", *words], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (5, "3 runs, 2 steps recomputed: 2 equal, 1 unavailable: damaged")
    assert "is not as it was written, and cannot be read" in done.stdout


@pytest.mark.parametrize("content", ["CAST(content AS TEXT)", "x'ff00'", "CAST('[]' AS BLOB)", "CAST('{\"files\":7}' AS BLOB)"])
def test_rules_that_somebody_changed_keep_nothing_out_of_a_bundle(tmp_path, capsys, content):
    """It was a 500: where they were made a text in SQLite, and where an edition names no files any more."""
    with running(tmp_path) as server:
        message = sent(server, "prova.saluto", {"nome": "Ada"})
        wait_reply(server.app, message, 60)
        change(tmp_path, f"UPDATE rules SET content = {content}")
        out, door = tmp_path / "f.zip", ["--url", f"http://127.0.0.1:{server.port}", "--key", key_of("revisore")]
        asked = ["log", "export", "--message", message, "--purpose", "prova", "--out", str(out), *door]
        assert main(asked) == (0 if "content" in content else 5)
    found = {word for word, _ in verify.Bundle(out.read_bytes()).found}
    assert found == (set() if "content" in content else {"rules"})
    assert "Traceback" not in capsys.readouterr().err


def test_a_bundle_whose_proofs_do_not_hold_is_told_when_it_is_taken(tmp_path, capsys):
    """It was whoever verified it, months later perhaps, who found that a hash of the tree had been changed."""
    with running(tmp_path) as server:
        messages = [sent(server, "prova.saluto", {"nome": name}) for name in ("Ada", "Bea")]
        for message in messages:
            wait_reply(server.app, message, 60)
        out, door = tmp_path / "f.zip", ["--url", f"http://127.0.0.1:{server.port}", "--key", key_of("revisore")]
        words = ["log", "export", "--message", messages[0], "--purpose", "prova", *door, "--out"]
        assert main([*words, str(tmp_path / "whole.zip")]) == 0
        change(tmp_path, "UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0")
        assert main([*words, str(out)]) == 5
    said = capsys.readouterr().err
    assert out.exists()
    assert "the bundle does not prove itself: the log it is of is damaged, see bus log verify" in said
    assert "not the one sealed in the log" in said


SIZES = ["UPDATE checkpoints SET size = -size", "UPDATE checkpoints SET size = size + 987654321"]


@pytest.mark.parametrize("damage", ["UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0", *SIZES, "record"])
def test_a_folder_of_tiles_is_not_written_of_a_log_that_is_not_its_tree(tmp_path, capsys, damage):
    """What does not verify would have been published, and held against the log; of a size below none the command never came to an end."""
    with running(tmp_path) as server:
        message = sent(server, "prova.saluto", {"nome": "Ada"})
        wait_reply(server.app, message, 60)
        with server.app.store.read() as tx:
            [record] = [one for one in log.of_messages(tx, [message]) if one.kind == "received"]
    if damage == "record":
        rewrite(tmp_path, record.id, b'"sender":"portale"', b'"sender":"altrove"')
    else:
        change(tmp_path, damage)
    assert main(["log", "tiles", str(tmp_path / "registro"), "--config", str(tmp_path / "config.yaml")]) == 2
    said = capsys.readouterr().err
    signed = "the newest checkpoint is not as it was signed, or not that of the stored tree: nothing was written"
    assert ("among the leaves from 0 on, records are not those of the stored tree" if damage == "record" else signed) in said
    assert not (tmp_path / "registro/checkpoint").exists()


@pytest.mark.parametrize(
    "content", ["x''", "x'ff00'", "CAST('[]' AS BLOB)", "CAST('{}' AS BLOB)", "CAST(replace(content, 'ciao', 'addio') AS BLOB)"]
)
def test_rules_that_somebody_changed_are_not_worked_by_and_end_neither_start_nor_replay_in_an_error_of_ours(tmp_path, content):
    """Start and replay were tracebacks; rules that could still be read were worked by, under the fingerprint of those that they had been."""
    with running(tmp_path) as server:
        waits = sent(server, "prova.attesa", {"nome": "Ada"})
        until(lambda: server.app.message(waits)["state"] == "waiting", "it waits")
        wait_reply(server.app, sent(server, "prova.saluto", {"nome": "Bea"}), 60)
    change(tmp_path, f"UPDATE rules SET content = {content}")
    with pytest.raises(StoreError) as caught, running(tmp_path):
        pass
    assert caught.value.code == "rules.lost"
    words = ["replay", "--from", "2026-01-01", "--config", str(tmp_path / "config.yaml")]
    done = subprocess.run([sys.executable, "-m", "bus", *words], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (1, "")
    assert "cannot be recomputed: what is kept as the rules " in done.stdout


def test_a_run_whose_record_was_changed_is_parked_and_keeps_no_other_of_its_page(tmp_path):
    """Whatever was claimed with it was given back, and claimed with it again."""
    with running(tmp_path) as server:
        changed, other = (sent(server, "prova.attesa", {"nome": name}) for name in ("Ada", "Bea"))
        until(lambda: all(server.app.message(one)["state"] == "waiting" for one in (changed, other)), "both wait")
        with server.app.store.read() as tx:
            [record] = [one for one in log.of_messages(tx, [changed]) if one.kind == "waiting"]
    rewrite(tmp_path, record.id, b'"kind":"waiting"', b'"kind":"aspetta"')
    change(tmp_path, "UPDATE waits SET deadline = '2026-01-01T00:00:00.000000Z'")
    with running(tmp_path) as server:
        assert wait_reply(server.app, other, 60)["state"] == "done"
        until(lambda: server.app.message(changed)["state"] == "dead", "a person must see it")
