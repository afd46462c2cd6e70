"""A bundle: from the key of a case to a verdict without us; whatever is changed in it is found."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
import sqlite3
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from bus.bundle import export, gather, verify
from bus.cli import main
from bus.client import Client, ClientError
from bus.engine import projection
from bus.engine.projection import Entry
from bus.errors import Conflict, Invalid, StoreError
from bus.log import note, payload
from bus.log.record import Record
from bus.message import new_id
from bus.testing.patience import until
from bus.testing.ports import free_port
from tests.integration.bundles import fitting, verdict
from tests.integration.erasing import NAME, OTHER, WHO, asked, confirmed, greet, two_sysadmins
from tests.keyrings import in_memory, verify_opening
from tests.small_bus import Caller, key_of, running, wait_reply, write
from tests.tamper.logs import NOW


def test_an_export_leaves_the_bundle_of_before_and_asks_nothing_when_it_has_no_place(tmp_path, capsys):
    """The name that is taken when none is said is one: the bundle of a second case would be the end of the first one's."""
    there = tmp_path / "f.zip"
    there.write_bytes(b"di prima")
    asked = ["log", "export", "--case", "istanza:Bo", "--purpose", "prova", "--url", f"http://127.0.0.1:{free_port()}", "--key", "x"]
    for place in ("f.zip", "no/f.zip"):
        assert main([*asked, "--out", str(tmp_path / place)]) == 2
        assert "cli.file" in capsys.readouterr().err
    assert main([*asked, "--out", str(tmp_path / "g.zip")]) == 3
    assert "client.unreachable" in capsys.readouterr().err
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("f.zip", b"di prima")]


@pytest.mark.parametrize(("said", "told"), [({}, "or a time"), ({"case": "istanza:Bo", "to": "2026-11-30"}, "not case and to together")])
def test_a_bundle_is_of_one_thing(said, told):
    with pytest.raises(Invalid) as caught:
        export.messages_of(None, said)
    assert caught.value.sentence.endswith(told)


def test_a_bundle_of_what_is_still_worked_on_ends_where_the_log_was_sealed(tmp_path, monkeypatch):
    """Records that come while it is made have no place in the tree yet: they are for the next one."""
    sealed = export._sealed
    with running(tmp_path) as server:
        ask = Caller(server.port, "portale")
        waiting = ask("POST", "/messages", {"type": "prova.attesa", "data": {"nome": "Ada"}}).json["id"]
        until(lambda: server.app.message(waiting)["state"] == "waiting", "it waits")

        def sealed_before(store, seq):
            sealed(store, seq)
            monkeypatch.undo()
            ask("POST", "/messages", {"type": "prova.sveglia", "data": {"nome": "Ada"}})
            until(lambda: server.app.message(waiting)["state"] == "done", "it is done")

        monkeypatch.setattr(export, "_sealed", sealed_before)
        answer = Caller(server.port, "revisore")("POST", "/exports", {"message": waiting, "purpose": "prova", "payloads": True})
    assert answer.status == 200, answer.content
    lines = verify.unpacked(answer.content)["records.jsonl"].splitlines()
    told = [json.loads(json.loads(line)["record"])["kind"] for line in lines]
    assert told[-1] == "parked"
    assert verdict(answer.content, str(note.read_signer(tmp_path / "var/log.key").verifier)) == []


@pytest.mark.parametrize("when", ["_record", "_seal"])
def test_no_bundle_gives_what_was_erased_while_it_was_made(tmp_path, monkeypatch, when):
    """Its payloads were open already; who confirmed the erasure was told that they are gone."""
    with running(tmp_path, keys=two_sysadmins()) as server:
        erased, kept = greet(server, NAME, WHO), greet(server, "Mario", OTHER)
        request, go_on = asked(server).json["id"], getattr(export, when)

        def after_an_erasure(*given):
            monkeypatch.undo()
            assert confirmed(server, request).status == 200
            return go_on(*given)

        monkeypatch.setattr(export, when, after_an_erasure)
        wanted = {"from": "2020-01-01", "purpose": "prova", "payloads": True}
        ask = Caller(server.port, "revisore")
        refused, again = ask("POST", "/exports", wanted), ask("POST", "/exports", wanted)
    assert (refused.status, refused.json["code"]) == (422, "export.erased")
    files = verify.unpacked(again.content)
    assert all(one in files["records.jsonl"].decode() for one in (erased, kept))
    assert (b"Mario" in files["payloads.jsonl"], NAME.encode() in files["payloads.jsonl"]) == (True, False)
    assert verdict(again.content) == []


def test_a_bundle_in_which_something_is_erased_while_it_is_sent_ends_before_it_is_whole(tmp_path, monkeypatch):
    """Its size was told, so nobody takes it for a bundle; asked for again it is one, without what is gone."""
    with running(tmp_path, keys=two_sysadmins()) as server:
        greet(server, NAME, WHO)
        kept = greet(server, "Mario", OTHER)
        request, read = asked(server).json["id"], gather.texts
        readings = iter([lambda: None, lambda: confirmed(server, request)])

        def texts(*given):
            next(readings)()
            return read(*given)

        monkeypatch.setattr(gather, "texts", texts)
        wanted = {"from": "2020-01-01", "purpose": "prova", "payloads": True}
        with Client(server.url, key_of("revisore")) as bus, pytest.raises(ClientError, match="ended before it was whole") as cut:
            bus.export({"from": "2020-01-01"}, "prova", payloads=True)
        monkeypatch.undo()
        again = Caller(server.port, "revisore")("POST", "/exports", wanted)
    assert cut.value.hint == "ask for it again: what is gone is left out then"
    files = verify.unpacked(again.content)
    assert (kept in files["records.jsonl"].decode(), b"Mario" in files["payloads.jsonl"]) == (True, True)
    assert NAME.encode() not in files["payloads.jsonl"]
    assert verdict(again.content) == []


def test_a_payload_whose_key_or_row_is_gone_by_now_is_in_no_bundle(store):
    """Wire bytes that went for their age have no key that would be told: their row is deleted."""
    made = payload.seal(payload.Text("body", b"{}"), in_memory().fresh())
    with store.read() as tx, pytest.raises(Conflict, match="destroyed for its age"):
        gather.still_readable(tx, [made.commitment.id])
    store.write(lambda tx: projection.write(tx, Entry(Record(new_id(), "read", NOW, payloads=(made.commitment,)), (made,)))).result()
    with store.read() as tx:
        gather.still_readable(tx, [made.commitment.id, made.commitment.id])
    store.write(lambda tx: tx.do("add_erased_key", key=payload.key_number(made.nonce))).result()
    with store.read() as tx, pytest.raises(Conflict):
        gather.still_readable(tx, [made.commitment.id])


def test_a_time_in_which_nothing_was_accepted_is_told_as_that():
    with pytest.raises(Invalid) as told:
        gather.last_record(None, [])
    assert (told.value.code, told.value.hint) == ("export.size", "choose another time: no message was accepted in this one")


def test_of_a_time_with_more_messages_than_a_bundle_takes_only_so_many_are_read(tmp_path, monkeypatch):
    """Nobody waits, and no door reads, for years of messages before it is said that they are too many."""
    monkeypatch.setattr(gather, "MOST", 2)
    monkeypatch.setattr(export.window, "PAGE", 2)
    with running(tmp_path) as server:
        for name in ("Ada", "Bo", "Cleo", "Dora", "Eva", "Fosca", "Gemma"):
            greet(server, name, WHO)
        assert len(export.messages_of(server.app.store, {"from": "2020-01-01"})) == 4
        refused = Caller(server.port, "revisore")("POST", "/exports", {"from": "2020-01-01", "purpose": "prova"})
    assert (refused.status, refused.json["code"]) == (422, "export.size")
    assert refused.json["detail"].startswith("a bundle takes 1 to 2 messages, these are more")


def test_a_bundle_is_verified_in_an_empty_environment_from_another_folder(exported, tmp_path):
    raw, key = exported
    (tmp_path / "altrove").mkdir()
    (tmp_path / "f.zip").write_bytes(raw)
    with zipfile.ZipFile(tmp_path / "f.zip") as archive:
        archive.extract("verify.py", tmp_path)
    command = [sys.executable, "-I", str(tmp_path / "verify.py"), str(tmp_path / "f.zip")]
    for more, said in (
        (["--key", key], "VERIFICATO"),
        (["--key", key, "--lang", "en"], "VERIFIED. Records: 4, payloads: 3, files: "),
        ([], "ATTENZIONE: chiave presa dal fascicolo"),
    ):
        done = subprocess.run([*command, *more], cwd=tmp_path / "altrove", env={}, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout
    for none in ("", "a+b+c", "a+b+YQ==", key[:-1], f"{key}="):
        done = subprocess.run([*command, "--key", none], cwd=tmp_path, env={}, capture_output=True, text=True)
        assert (done.returncode, f"key {none!r}: NOME+NUMERO+BASE64" in done.stderr) == (2, True)
    done = subprocess.run([*command, "--witness", key], cwd=tmp_path, env={}, capture_output=True, text=True)
    assert (done.returncode, f"no key for this: {key}" in done.stderr) == (2, True), "the log's key is none of a witness"
    for name in ("nessuno.zip", "altrove"):
        done = subprocess.run([*command[:-1], name], cwd=tmp_path, env={}, capture_output=True, text=True)
        assert (done.returncode, f"cannot be read: {name}" in done.stderr, "Errno" in done.stderr) == (2, True, False)
    (tmp_path / "f.zip").write_bytes(raw[:-1] + b"!")
    done = subprocess.run([*command, "--lang", "en"], cwd=tmp_path, env={}, capture_output=True, text=True)
    assert done.returncode == 5
    assert "NOT VERIFIED" in done.stdout
    stranger = str(note.Signer.new("snodo/00000000000", note.ED25519).verifier)
    assert "key" in verdict(raw, stranger)


def test_what_belongs_to_the_case_is_there_and_nothing_of_the_others(exported):
    raw, _ = exported
    files = verify.unpacked(raw)
    kinds = [json.loads(json.loads(line)["record"])["kind"] for line in files["records.jsonl"].splitlines()]
    assert kinds == ["rules", "received", "replied", "done"]
    said = " ".join(json.loads(line)["text"] for line in files["payloads.jsonl"].splitlines())
    assert "Bo" in said
    assert not any(name in said for name in ("Ada", "Cy"))
    readable = [content for name, content in files.items() if name != "payloads.jsonl"]
    assert not any(f'"{name}"'.encode() in content for name in ("Ada", "Cy") for content in readable)
    assert {"manifest.json", "seal.json", "checkpoint", "summary.html", "verify.py", "schemas/prova.saluto.json"} < set(files)
    assert any(name.startswith("rules/file/") for name in files)
    assert any(name.startswith("rules/route/") for name in files)


def _lines(raw: bytes) -> dict[str, dict[str, str]]:
    return {line["id"]: line for line in map(json.loads, verify.unpacked(raw)["payloads.jsonl"].splitlines())}


def _named(raw: bytes, payload: str) -> dict[str, str]:
    """As a finding names a payload: with its record, and the message that this concerns."""
    records = [json.loads(json.loads(line)["record"]) for line in verify.unpacked(raw)["records.jsonl"].splitlines()]
    [(role, record)] = [(one["role"], record) for record in records for one in record.get("payloads", ()) if one["id"] == payload]
    return {"payload": payload, "role": role, "kind": record["kind"], "id": record["id"], "message": record.get("message", "-")}


def test_each_payload_is_as_it_lies_in_the_database_with_a_key_that_opens_no_other(exported):
    lines = list(_lines(exported[0]).values())
    assert len(lines) > 1
    for line in lines:
        nonce, sealed, own = (base64.b64decode(line[name]) for name in ("nonce", "sealed", "key"))
        text = line["text"].encode()
        assert text not in sealed
        assert payload.opened_with(own, nonce, sealed) == text
        assert verify_opening(line["id"], nonce, sealed, own, text)
    for line, other in zip(lines, lines[1:] + lines[:1], strict=True):
        with pytest.raises(StoreError):
            payload.opened_with(base64.b64decode(other["key"]), base64.b64decode(line["nonce"]), base64.b64decode(line["sealed"]))


def test_another_text_or_another_key_for_a_sealed_payload_is_found(exported):
    raw, key = exported
    first, *others = _lines(raw).values()
    for change in ({"text": first["text"] + " "}, {"key": others[0]["key"]}, {"sealed": ""}, {"sealed": "", "key": ""}):
        forged = _with_payloads(raw, ({**first, **change}, *others))
        assert ("payload", _named(raw, first["id"])) in verify.Bundle(forged, [verify.Key(key)]).found


def test_what_was_erased_is_left_out_and_said_and_the_rest_is_replayed_and_turned_into_a_test(tmp_path):
    with running(tmp_path) as server:
        ask, app = Caller(server.port), server.app
        erased, kept = (
            ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada", "numero": number}}).json["id"] for number in (1, 2)
        )
        for message in (erased, kept):
            wait_reply(app, message, 60)
        whole = ask("POST", "/exports", {"case": "istanza:Ada", "purpose": "prova", "payloads": True}, name="revisore").content
        with app.store.read() as tx:
            own = {payload.key_number(row["nonce"]) for row in tx.all("payloads_after", after="", most=100) if row["message"] == erased}
        app.store.write(lambda tx: [tx.do("add_erased_key", key=one) for one in own]).result()
        app.keys.forget(own)
        left = ask("POST", "/exports", {"case": "istanza:Ada", "purpose": "prova", "payloads": True}, name="revisore").content
    before, after = _lines(whole), _lines(left)
    assert set(after) < set(before)
    bundle = verify.Bundle(left, [verify.Key(str(note.read_signer(tmp_path / "var/log.key").verifier))])
    assert (bundle.found, bundle.absent) == ([], len(before) - len(after))
    assert f"not here (erased, or not exported): {bundle.absent}." in verify.report(bundle, "en")
    assert f">{bundle.absent} (cancellati, o non esportati" in bundle.files["summary.html"].decode()
    (tmp_path / "f.zip").write_bytes(left)
    assert _bus(tmp_path, "replay", "--bundle", "f.zip", "--all") == (4, "2 runs, 1 step recomputed: 1 equal, 1 unavailable: absent")
    assert _bus(tmp_path, "test", "new", "--from", kept, "--bundle", "f.zip")[0] == 0


def test_a_bundle_that_does_not_prove_itself_is_not_replayed(exported, tmp_path):
    """Every text changed alike recomputes as equal: only the proofs know."""
    raw, key = exported
    write(tmp_path)
    forged = _with_payloads(raw, [line | {"text": line["text"].replace("Bo", "Cy")} for line in _lines(raw).values()])
    (tmp_path / "forged.zip").write_bytes(forged)
    (tmp_path / "none.zip").write_bytes(b"PK")
    (tmp_path / "good.zip").write_bytes(raw)
    stranger = str(note.Signer.new("prova", note.ED25519).verifier)
    message = next(json.loads(line)["record"] for line in verify.unpacked(raw)["records.jsonl"].splitlines() if b"received" in line)
    for words in (["replay"], ["test", "new", "--from", json.loads(message)["message"]]):
        for name, keys in (("forged.zip", ["--log-key", key]), ("forged.zip", []), ("none.zip", []), ("good.zip", ["--log-key", stranger])):
            done = _run(tmp_path, *words, "--bundle", name, *keys)
            assert (done.returncode, done.stdout, "evidence.bundle" in done.stderr) == (5, "", True), (words, name, done.stderr)
        done = _run(tmp_path, *words, "--bundle", "good.zip", "--log-key", "x")
        assert (done.returncode, "evidence.malformed" in done.stderr) == (2, True), done.stderr
        for keys in ([], ["--log-key", key]):
            done = _run(tmp_path, *words, "--bundle", "good.zip", *keys)
            assert (done.returncode, "by its own key" in done.stderr) == (0, not keys), done.stderr


def _run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own: it takes its network away."""
    return subprocess.run([sys.executable, "-m", "bus.cli", *words], cwd=folder, capture_output=True, text=True, timeout=60)


def _bus(folder: Path, *words: str) -> tuple[int, str]:
    """The exit code of a command, and its last line."""
    done = _run(folder, *words)
    return done.returncode, (done.stdout or done.stderr).splitlines()[-1]


def rewritten(raw: bytes, files: Mapping[str, bytes]) -> bytes:
    """The bundle with other files, written by somebody who knows how."""
    return verify.packed({**verify.unpacked(raw), **files})


def _with_payloads(raw: bytes, lines: Iterable[Mapping[str, str]]) -> bytes:
    return rewritten(raw, {"payloads.jsonl": b"".join(json.dumps(line).encode() + b"\n" for line in lines)})


def test_whoever_rewrites_a_file_is_found(exported):
    raw, key = exported
    files = verify.unpacked(raw)
    assert verdict(rewritten(raw, {}), key) == []
    dice = random.Random(7)
    for name, content in sorted(files.items()):
        assert "missing" in verdict(verify.packed({n: c for n, c in files.items() if n != name}), key), name
        for _ in range(4):
            at = dice.randrange(len(content))
            changed = content[:at] + bytes([content[at] ^ 1 << dice.randrange(8)]) + content[at + 1 :]
            assert verdict(rewritten(raw, {name: changed}), key), (name, at)
        assert verdict(rewritten(raw, {name: content + b"\n"}), key), name
        assert verdict(rewritten(raw, {name: content[:-1]}), key), name
    assert verdict(rewritten(raw, {"altro.txt": b"x"}), key) == ["uncovered"]


def test_every_byte_of_the_container_counts(exported):
    raw, key = exported
    dice = random.Random(8)
    for at in [*range(0, 64, 3), *range(len(raw) - 64, len(raw), 3), *dice.sample(range(len(raw)), 60)]:
        changed = raw[:at] + bytes([raw[at] ^ 1 << dice.randrange(8)]) + raw[at + 1 :]
        assert verdict(changed, key), at
    assert verdict(raw + b"x", key)
    assert verdict(b"x" + raw, key)
    with io.BytesIO() as out:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in verify.unpacked(raw).items():
                archive.writestr(name, content)
        assert verdict(out.getvalue(), key) == ["container"]


def test_an_altered_record_is_named_also_when_the_manifest_was_made_to_fit(exported):
    raw, key = exported
    files = verify.unpacked(raw)
    lines = files["records.jsonl"].splitlines()
    line = json.loads(lines[1])
    line["record"] = line["record"].replace('"received"', '"rEceived"')
    lines[1] = json.dumps(line).encode()
    files["records.jsonl"] = b"\n".join(lines) + b"\n"
    manifest = json.loads(files["manifest.json"])
    manifest["files"]["records.jsonl"] = hashlib.sha256(files["records.jsonl"]).hexdigest()
    files["manifest.json"] = json.dumps(manifest).encode()
    bundle = verify.Bundle(verify.packed(files), [verify.Key(key)])
    assert [word for word, _ in bundle.found] == ["leaf", "seal"]
    record = json.loads(line["record"])
    assert f"n. {line['index']} (rEceived {record['id']}, messaggio {record['message']}): non è" in verify.report(bundle, "it")


def test_a_text_with_unusual_ends_of_lines_is_verified_and_what_moves_about_on_a_terminal_is_not_shown(tmp_path):
    """Separators of lines and paragraphs, which JSON leaves as they are."""
    name = "Ada\u2028\u2029\x85\u0007"
    with running(tmp_path) as server:
        ask = Caller(server.port)
        message = ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": name}}).json["id"]
        wait_reply(server.app, message, 10)
        raw = ask("POST", "/exports", {"message": message, "purpose": "prova", "payloads": True}, name="revisore").content
    assert name in " ".join(json.loads(json.loads(line)["text"])["body"].get("nome", "") for line in _messages(raw))
    assert verdict(raw, str(note.read_signer(tmp_path / "var/log.key").verifier)) == []
    hidden = "x\x1b[2K\rVERIFIED: \nVERIFIED: "
    said = verify.report(verify.Bundle(rewritten(raw, {hidden: b""})), "en")
    assert said.splitlines()[0] == "x\ufffd[2K\ufffdVERIFIED: \ufffdVERIFIED: : no proof covers it"
    assert said.endswith("NOT VERIFIED. Findings: 2.")


def _messages(raw: bytes) -> list[str]:
    return [line for line in verify.unpacked(raw)["payloads.jsonl"].decode().split("\n") if '\\"body\\"' in line]


def test_what_unpacks_to_more_than_it_has_is_not_unpacked(exported):
    with io.BytesIO() as out:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(3):
                archive.writestr(f"{number}", bytes(50_000_000))
        bomb = out.getvalue()
    for packed in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        lies = bytearray(_compressed("bomba", bytes(20_000_000), packed))
        for mark, at in ((b"PK\1\2", 24), (b"PK\3\4", 22)):  # its size, as it is said in both places
            here = lies.rindex(mark) + at
            lies[here : here + 4] = (10).to_bytes(4, "little")
        for hostile in (bomb, bytes(lies)):
            tracemalloc.start()
            bundle = verify.Bundle(hostile, [verify.Key(exported[1])])
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert ([word for word, _ in bundle.found], bundle.files, peak < 2_000_000) == (["container"], {}, True), packed


def _compressed(name: str, content: bytes, how: int) -> bytes:
    with io.BytesIO() as out:
        with zipfile.ZipFile(out, "w", how) as archive:
            archive.writestr(name, content)
        return out.getvalue()


def test_neither_many_signatures_nor_many_keys_keep_the_verifier_busy(exported, monkeypatch):
    """Each costs some milliseconds: twenty thousand of them took minutes."""
    raw, key = exported
    judged, checked = verify.ed25519, list[bytes]()
    monkeypatch.setattr(verify, "ed25519", lambda *given: checked.append(given[0]) or judged(*given))
    files = verify.unpacked(raw)
    head, _, lines = files["checkpoint"].decode().rpartition("\n\n")
    *_, value = lines.split()
    many = [base64.b64encode(base64.b64decode(value)[:-2] + number.to_bytes(2, "big")).decode() for number in range(20_000)]
    signed = "".join(f"\u2014 {lines.split()[1]} {one}\n" for one in many)
    manifest = json.loads(files["manifest.json"])
    hundred = f"{head}\n\n{signed[: 100 * len(signed) // 20_000]}".encode()
    for changed in (
        {f"anchors/{number}/checkpoint": hundred for number in range(1, 500)},
        {"checkpoint": f"{head}\n\n{signed}".encode()},
        {"checkpoint": f"{head}\n\n{lines * 20_000}".encode()},
        {"manifest.json": json.dumps({**manifest, "keys": manifest["keys"] * 20_000}).encode()},
        {"manifest.json": json.dumps({**manifest, "keys": [str(note.Signer.new("x").verifier) for _ in range(1_000)]}).encode()},
    ):
        checked.clear()
        for keys in (key, ""):
            assert verdict(rewritten(raw, changed), keys)
        assert len(checked) < 20


@pytest.mark.parametrize("name", ["manifest.json", "checkpoint"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[" * 100_000, b"\xff"])
def test_where_nothing_can_be_judged_that_alone_is_told(exported, name, content):
    files = {**verify.unpacked(exported[0]), name: content}
    bundle = verify.Bundle(verify.packed({name: content for name, content in files.items() if content is not None}))
    assert ["missing" if content is None else "malformed"] == [word for word, _ in bundle.found]
    assert name in bundle.found[0][1]["name"]
    assert "NoneType" not in verify.report(bundle, "it")


def test_entries_twice_or_on_other_paths_and_rules_of_another_fingerprint_are_found(exported):
    raw, key = exported
    files = verify.unpacked(raw)
    for name in ("../../etc/passwd", "/etc/passwd", "records.jsonl/", "RECORDS.JSONL", "rules/file/../x"):
        assert verdict(rewritten(raw, {name: b"x"}), key), name
    with io.BytesIO(raw) as out:
        with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(out, "a") as archive:
            archive.writestr("records.jsonl", files["records.jsonl"])
        assert "container" in verdict(out.getvalue(), key)
    name = next(name for name in files if name.startswith("rules/route/"))
    assert "rules" in verdict(rewritten(raw, {name: files[name].replace(b"saluto", b"sAluto")}), key)


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x", "/etc/passwd", "rules/./x", "C:x", "a\\..\\x", "Summary.HTML", "x/.x", "x ", "sùmmary"]
)
def test_a_name_that_unpacked_lies_elsewhere_or_over_another_is_found_though_log_and_manifest_know_it(exported, name):
    raw, key = exported
    assert verdict(fitting(raw, {name: b"x"}), key) == ["seal", "container"]


def test_what_is_said_besides_or_twice_is_found_though_the_manifest_fits(exported):
    """Whoever reads it in another way would read something that nothing was compared with."""
    raw, key = exported
    files = verify.unpacked(raw)
    assert verdict(fitting(raw, {}), key) == ["seal"]
    for name in ("records.jsonl", "payloads.jsonl"):
        first, rest = files[name].split(b"\n", 1)
        for line in (
            first[:-1] + b',"nota":"falso"}',
            first.replace(b"{", b'{"record":"falso",', 1) if name == "records.jsonl" else first.replace(b"{", b'{"text":"falso",', 1),
            first[:-1] + b',"base64":""}',
            b"[]",
        ):
            assert "malformed" in verdict(fitting(raw, {name: line + b"\n" + rest}), key), line
    for wrong in (b'{"v":9,', b'{"nota":1,'):
        assert "malformed" in verdict(rewritten(raw, {"manifest.json": files["manifest.json"].replace(b"{", wrong, 1)}), key)
    assert "malformed" in verdict(rewritten(raw, {"checkpoint": files["checkpoint"].replace("\u2014".encode(), b"-")}), key)
    manifest = json.loads(files["manifest.json"])
    larger = json.dumps({**manifest, "size": manifest["size"] + 1}).encode()
    assert verdict(rewritten(raw, {"manifest.json": larger}), key) == ["counts", "seal"]


def test_a_signature_that_stands_twice_in_the_seal_is_found(exported):
    raw, key = exported
    seal = json.loads(verify.unpacked(raw)["seal.json"])
    seal["checkpoint"] += seal["checkpoint"].rpartition("\n\n")[2]
    written = json.dumps(seal, sort_keys=True, indent=1, ensure_ascii=False).encode()
    assert verdict(rewritten(raw, {"seal.json": written}), key) == ["uncovered"]


def test_a_signature_in_the_seal_that_nobody_can_verify_is_found(exported):
    """Also where the log's key is told twice, by the auditor and by the bundle."""
    raw, key = exported
    seal = json.loads(verify.unpacked(raw)["seal.json"])
    seal["checkpoint"] += f"\u2014 testimone.example {base64.b64encode(b'che nessuno copre').decode()}\n"
    written = json.dumps(seal, sort_keys=True, indent=1, ensure_ascii=False).encode()
    for given in (key, ""):
        assert verdict(rewritten(raw, {"seal.json": written}), given) == ["uncovered"]


@pytest.mark.parametrize("proof", ["proof", "consistency"])
def test_what_is_said_beside_the_steps_of_a_proof_is_found(exported, proof):
    """No log and no manifest covers the seal: were its proofs objects, a text could stand under each step."""
    raw, key = exported
    seal = json.loads(verify.unpacked(raw)["seal.json"])
    for said in (dict.fromkeys(seal[proof], "falso"), "".join(seal[proof])):
        written = json.dumps({**seal, proof: said}, sort_keys=True, indent=1, ensure_ascii=False).encode()
        assert verdict(rewritten(raw, {"seal.json": written}), key) in (["grown" if proof == "consistency" else "leaf"], ["malformed"])


def test_a_sealed_payload_is_not_taken_for_one_of_before_that_lay_open(exported):
    """Its ciphertext as its text would fit the commitment."""
    raw, key = exported
    first, *others = _lines(raw).values()
    open_ = {**first, "sealed": "", "key": "", "base64": first["sealed"]}
    del open_["text"]
    forged = _with_payloads(raw, (open_, *others))
    assert ("payload", _named(raw, first["id"])) in verify.Bundle(forged, [verify.Key(key)]).found


def test_a_payload_whose_nonce_ends_elsewhere_or_that_is_of_another_kind_than_its_record_says_is_found(exported):
    """The commitment is over nonce and ciphertext, one behind the other: moved by a byte, it would be one of before that lay open."""
    raw, key = exported
    first, *others = _lines(raw).values()
    nonce, sealed = (base64.b64decode(first[name]) for name in ("nonce", "sealed"))
    both = nonce + sealed
    assert first["id"].endswith(hashlib.sha256(both).hexdigest())
    changes = [{"nonce": both[:at], "sealed": b"", "key": b"", "base64": both[at:]} for at in (0, 1, 32, 34, 64, len(both))]
    changes += [{"nonce": both[:at], "sealed": both[at:]} for at in (0, 32, 34)]
    for change in ({name: base64.b64encode(value).decode() for name, value in one.items()} for one in changes):
        line = {**first, **change}
        if "base64" in change:
            del line["text"]
        forged = _with_payloads(raw, (line, *others))
        assert ("payload", _named(raw, first["id"])) in verify.Bundle(forged, [verify.Key(key)]).found, change
    assert "payload" in verdict(_with_payloads(raw, ({**first, "type": "text/html"}, *others)), key)


def test_rules_that_records_name_and_that_the_database_has_no_more_are_told(tmp_path, capsys):
    with running(tmp_path) as server:
        ask, app = Caller(server.port), server.app
        wait_reply(app, ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}).json["id"], 60)
        words = ["log", "export", "--case", "istanza:Ada", "--purpose", "prova", "--out", str(tmp_path / "f.zip")]
        words += ["--url", f"http://127.0.0.1:{server.port}", "--key", key_of("revisore")]
        assert main(words) == 0
        whole = verify.Bundle((tmp_path / "f.zip").read_bytes())
        assert (whole.found, whole.unruled, capsys.readouterr().err) == ([], [], "")
        gone = [name for name in whole.files if name.startswith(("rules/route/", "rules/file/"))][:2]
        with closing(sqlite3.connect(tmp_path / "var/snodo.db")) as database, database:
            for digest in (name.removesuffix(".json").rpartition("/")[2] for name in gone):
                assert database.execute("DELETE FROM rules WHERE digest = ?", (digest,)).rowcount == 1
        (tmp_path / "f.zip").unlink()
        assert main(words) == 0
        told = capsys.readouterr().err
    bundle = verify.Bundle((tmp_path / "f.zip").read_bytes())
    assert (bundle.found, bundle.unruled) == ([], sorted(gone))
    for language, said in (
        ("en", "Rules that records name and that are not here: "),
        ("it", "Regole indicate dalle annotazioni e assenti: "),
    ):
        assert said in verify.report(bundle, language)
    for name in gone:
        assert name in told
        assert name in bundle.files["summary.html"].decode()


def test_after_a_change_of_keys_the_key_of_the_export_suffices_for_a_case_of_before_and_a_former_one_does_not(tmp_path):
    with running(tmp_path) as server:
        ask = Caller(server.port)
        wait_reply(server.app, ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}).json["id"], 60)
        _of_the_bus(server.port, tmp_path / "0.zip")  # so that a checkpoint of this key covers the case
    before = note.read_signer(tmp_path / "var/log.key").verifier
    assert main(["log", "key", "new", str(tmp_path / "var/new.key"), "--config", str(tmp_path / "config.yaml")]) == 0
    new = note.read_signer(tmp_path / "var/new.key").verifier
    for round, log in enumerate(({"key": "var/new.key", "previous_key": "var/log.key"}, {"key": "var/new.key"}), 1):
        with running(tmp_path, log=log) as server:
            wait_reply(
                server.app, Caller(server.port)("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Bo"}}).json["id"], 60
            )
            raw = _of_the_bus(server.port, tmp_path / f"{round}.zip")
    bundle = verify.Bundle(raw, [verify.Key(str(new))])
    assert bundle.found == []
    assert f"lack of their key (--witness, --key): {before.name}+{before.key_id.hex()}" in verify.report(bundle, "en")
    [(word, said)] = verify.Bundle(raw, [verify.Key(str(before))]).found
    assert (word, said["name"]) == ("key", "seal.json")
    files = bundle.files
    seal = json.loads(files["seal.json"])
    other = files | {"seal.json": json.dumps({**seal, "consistency": seal["consistency"][1:]}, sort_keys=True, indent=1).encode()}
    assert {"key", "grown"} <= set(verdict(verify.packed(other), str(new)))


def _of_the_bus(port: int, path: Path) -> bytes:
    words = ["log", "export", "--case", "istanza:Ada", "--purpose", "prova", "--out", str(path)]
    assert main([*words, "--url", f"http://127.0.0.1:{port}", "--key", key_of("revisore")]) == 0
    return path.read_bytes()


def test_a_bundle_of_another_version_is_told_as_that(exported):
    """Its manifest says other things: it was called malformed."""
    files = verify.unpacked(exported[0])
    for more in ({}, {"altro": 1}):
        manifest = json.dumps({**json.loads(files["manifest.json"]), "v": 2, **more}).encode()
        bundle = verify.Bundle(verify.packed({**files, "manifest.json": manifest}))
        assert "it is of another version: take the verify.py of that" in verify.report(bundle, "en")
