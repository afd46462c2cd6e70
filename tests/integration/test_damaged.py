"""What an auditor is told where evidence is damaged: which, and all the rest."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing

from bus.bundle import verify
from bus.cli import main
from bus.log import note, payload
from bus.store import listed
from tests.integration.bundles import verdict
from tests.small_bus import Caller, key_of, running, wait_reply

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
