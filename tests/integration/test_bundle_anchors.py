"""What others vouch for goes with a bundle, is verified with it, and only where it holds: witnesses, time stamps, numbers of a register."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
import subprocess
from functools import partial

from bus.bundle import gather, verify
from bus.log import note, timestamp
from tests.integration.bundles import fitting, verdict
from tests.small_bus import Caller, running, wait_reply
from tests.tsa import Authority


def test_a_stamp_of_another_checkpoint_than_the_bundles_is_found(exported):
    raw, key = exported
    signer = note.Signer.new("prova", note.ED25519)
    other = "prova\n1\nAAAA\n"
    stamped = note.Note(other, (signer.sign(other),)).encode()
    assert "uncovered" in verdict(fitting(raw, {"anchors/checkpoint": stamped}), key)
    assert verdict(fitting(raw, {"anchors/checkpoint": verify.unpacked(raw)["checkpoint"]}), key) == ["seal"]


def test_what_witnesses_signed_goes_with_it_and_is_verified(tmp_path, authority):
    witness = note.Signer.new("testimone.example/uno", note.COSIGNATURE)
    with running(tmp_path) as server:
        ask, app = Caller(server.port), server.app
        wait_reply(app, ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}).json["id"], 60)
        body = {"case": "istanza:Ada", "purpose": "prova"}
        assert ask("POST", "/exports", body, name="portale").status == 403
        assert ask("POST", "/exports", {"case": "istanza:Ada"}, name="revisore").status == 422
        first = ask("POST", "/exports", body, name="revisore")
        with app.store.read() as tx:
            newest = tx.one("last_checkpoint")
        signed = note.parse(newest["note"])
        cosigned = signed.signed(witness.sign(signed.text, 1_790_000_000)).encode()
        stamp = authority.stamp(timestamp.ask(newest["note"]).content)
        for kind, evidence in (("witness", cosigned), ("timestamp", stamp)):
            _stamp(app, authority, kind, evidence)
        second = ask("POST", "/exports", body, name="revisore")
        again = ask("POST", "/exports", body, name="revisore")
    assert second.status == first.status == 200, second.content
    bundle = verify.Bundle(second.content, witnesses=[verify.Key(str(witness.verifier))])
    assert (bundle.found, bundle.witnessed) == ([], ["testimone.example/uno"])
    other = note.Signer.new("altro.example/due", note.COSIGNATURE).verifier
    namesake = note.Signer.new("testimone.example/uno", note.COSIGNATURE).verifier
    both = [verify.Key(str(one)) for one in (witness.verifier, namesake)]
    assert [word for word, _ in verify.Bundle(second.content, witnesses=both).found] == ["witness"], "of each key that is given"
    [(word, told)] = verify.Bundle(second.content, witnesses=[verify.Key(str(other))]).found
    assert (word, told["key"]) == ("witness", str(other))
    assert f"testimone.example/uno+{witness.verifier.key_id.hex()}" in told["by"], "who changed its key is found by the one of then"
    assert stamp in bundle.files.values()
    said = verify.report(verify.Bundle(second.content), "en")
    assert f"NOT verified, for lack of their key (--witness, --key): testimone.example/uno+{witness.verifier.key_id.hex()}\n" in said
    assert "NOT verified, for lack of their key" not in verify.report(bundle, "en")
    one, two = verify.unpacked(second.content), verify.unpacked(again.content)
    assert {name for name in one if one[name] != two[name]} == {"seal.json"}, "the same but for what tells of this very export"
    with running(tmp_path) as server:
        kinds = [json.loads(line["content"])["kind"] for line in _rows(server.app)]
    assert kinds.count("exported") == 3


def test_a_stamp_of_before_the_last_record_or_of_far_behind_it_goes_with_it_and_is_verified(tmp_path, monkeypatch, authority):
    """Stamps come once in an hour: a record that came since takes none of them out."""
    monkeypatch.setattr(gather, "FAR", 1)
    with running(tmp_path) as server:
        ask, app = Caller(server.port), server.app
        message = ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}).json["id"]
        wait_reply(app, message, 60)
        export = partial(ask, "POST", "/exports", {"case": "istanza:Ada", "purpose": "prova"}, name="revisore")
        bare = export().content  # its records, and that it was made, are sealed by now
        stamped = _stamp(app, authority)
        assert ask("GET", f"/messages/{message}", headers={"Snodo-Purpose": "reclamo 44"}, name="revisore").status == 200
        before = export().content
        later = _stamp(app, authority)
        after = export().content
    key = [verify.Key(str(note.read_signer(tmp_path / "var/log.key").verifier))]
    assert verify.Bundle(bare, key).anchored == []
    for raw, size, covered in ((before, stamped, 4), (after, later, 5)):
        bundle = verify.Bundle(raw, key)
        assert (bundle.found, _anchored(bundle), len(bundle.records)) == ([], {f"anchors/{size}/timestamp-0": covered}, 5)
        assert f" UTC; records for which it holds: {covered} of 5." in (said := verify.report(bundle, "en"))
        assert "NOT verified here (it takes its CA): openssl ts -verify -attime" in said
        assert f" UTC; annotazioni per cui vale: {covered} su 5." in (said := verify.report(bundle, "it"))
        assert "NON verificata qui (serve la CA): openssl" in said
        _told_command_verifies(bundle, tmp_path / f"unpacked-{size}", authority)
        folder = f"anchors/{size}/"
        proof = bundle.files[folder + "consistency"]
        assert verdict(fitting(raw, {folder + "consistency": proof[proof.index(b"\n") + 1 :]}), key[0].said) == ["apart", "seal"]
        assert verdict(fitting(raw, {folder + "checkpoint": bundle.files["checkpoint"]}), key[0].said) == ["apart", "unfit", "seal"]
        moved = {name.replace(f"/{size}/", f"/{size + 1}/"): content for name, content in bundle.files.items()}
        assert verdict(fitting(verify.packed(moved), {}), key[0].said) == ["apart", "seal"]
        for name in ("checkpoint", "consistency"):
            left = {one: content for one, content in bundle.files.items() if one != folder + name}
            assert set(verdict(fitting(verify.packed(left), {}), key[0].said)) == {"missing", "seal"}


def _told_command_verifies(bundle, folder, authority):
    """What it says to run is run, among the files: at the time of the stamp, for the authority's certificate will have expired some day."""
    for name, content in bundle.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    [command] = [line.partition(": ")[2] for line in verify.report(bundle, "en").split("\n") if "openssl ts" in line]
    [(_, told)] = bundle.anchored
    assert f" -attime {dt.datetime.fromisoformat(told['time'].replace(' UTC', '+00:00')).timestamp():.0f} " in command
    done = subprocess.run([*command.split()[:-1], str(authority.root)], cwd=folder, capture_output=True, text=True)
    assert "Verification: OK" in done.stdout + done.stderr


def test_whatever_in_anchors_is_no_stamp_and_no_number_of_that_checkpoint_is_found_without_any_key(exported, authority):
    raw, key = exported
    checkpoint = verify.unpacked(raw)["checkpoint"]
    stamp = authority.stamp(timestamp.ask(checkpoint).content)

    def judged(name: str, content: bytes) -> list[str]:
        """What is found of the checkpoint with this beside it."""
        return verdict(fitting(raw, {"anchors/checkpoint": checkpoint, f"anchors/{name}": content}), key)

    assert judged("timestamp-0", stamp) == ["seal"], "only the log does not know it"
    number = {"giorno": "2026-11-20", "message": "x", "reply": {"protocollo": "2026/0000001"}}
    for fits in (number, {**number, "sha256": hashlib.sha256(checkpoint).hexdigest()}):
        assert judged("register-0", json.dumps(fits).encode()) == ["seal"]
    other = authority.stamp(timestamp.ask(checkpoint + b"x").content)
    refused = bytes.fromhex("30053003020102")
    dice = random.Random(11)
    for word, junk in (
        ("unfit", other), ("malformed", b""), ("malformed", b"junk"), ("malformed", stamp + b"\0"), ("malformed", stamp[:-1]),
        ("malformed", refused), ("malformed", b"\x30\x80" + stamp), ("malformed", b"\x30\x8f" + b"\xff" * 15), ("malformed", b"0" * 3_000),
        ("malformed", dice.randbytes(3_000)), ("malformed", b"\x30\x82" * 4_000),
    ):  # fmt: skip
        assert judged("timestamp-0", junk) == [word, "seal"], junk[:20]
    for word, what in (
        ("unfit", {**number, "sha256": "0" * 64}), ("malformed", {**number, "nota": ""}), ("malformed", {**number, "giorno": "ieri"}),
        ("malformed", {**number, "giorno": 3}), ("malformed", {}), ("malformed", []),
    ):  # fmt: skip
        assert judged("register-0", json.dumps(what).encode()) == [word, "seal"], what
    twice = json.dumps(number).replace("{", '{"giorno": "2026-11-21", ', 1).encode()
    assert judged("register-0", twice) == ["malformed", "seal"]
    for name in ("altro", "timestamp-0.der", "checkpoint/x", "consistency", "1/altro", "0/checkpoint"):
        assert judged(name, stamp)[:2] == ["uncovered", "seal"], name
    assert verdict(fitting(raw, {"anchors/timestamp-0": stamp}), key) == ["missing", "seal"]
    stranger = note.Signer.new("prova", note.ED25519)
    signed = note.parse(checkpoint)
    more = signed.signed(stranger.sign(signed.text)).encode()
    assert verdict(fitting(raw, {"anchors/checkpoint": more}), key) == ["uncovered", "seal"], "a signature that the checkpoint has not"


def test_the_checkpoint_that_a_witness_cosigned_is_taken_though_another_has_stamp_and_number(tmp_path, authority):
    witness = note.Signer.new("testimone.example/uno", note.COSIGNATURE)
    with running(tmp_path) as server:
        ask, app = Caller(server.port), server.app
        wait_reply(app, ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}).json["id"], 60)
        export = partial(ask, "POST", "/exports", {"case": "istanza:Ada", "purpose": "prova"}, name="revisore")
        export()
        stamped = _stamp(app, authority)
        _stamp(app, authority, "register", b'{"giorno": "2026-11-20", "message": "x", "reply": {}}')
        export()
        with app.store.read() as tx:
            signed = note.parse(tx.one("last_checkpoint")["note"])
        cosigned = _stamp(app, authority, "witness", signed.signed(witness.sign(signed.text, 1_790_000_000)).encode())
        raw = export().content
    bundle = verify.Bundle(raw, witnesses=[verify.Key(str(witness.verifier))])
    assert (bundle.found, bundle.witnessed, bundle.checkpoint.size) == ([], ["testimone.example/uno"], cosigned)
    assert _anchored(bundle) == dict.fromkeys((f"anchors/{stamped}/{what}" for what in ("register-0", "timestamp-1")), len(bundle.records))


def _anchored(bundle: verify.Bundle) -> dict[str, int]:
    """For how many records each stamp or number holds."""
    return {values["name"]: values["covered"] for _, values in bundle.anchored}


def _stamp(app, authority: Authority, kind: str = "timestamp", evidence: bytes = b"") -> int:
    """Have somebody vouch for the newest checkpoint; its size."""
    with app.store.read() as tx:
        newest = tx.one("last_checkpoint")
    evidence = evidence or authority.stamp(timestamp.ask(newest["note"]).content)
    anchor = {"kind": kind, "name": f"{kind}.example", "size": newest["size"], "time": "", "evidence": evidence}
    app.store.write(lambda tx: tx.do("add_anchor", **anchor)).result()
    return int(newest["size"])


def _rows(app):
    with app.store.read() as tx:
        return list(tx.all("records_after", after=0, most=1000))
