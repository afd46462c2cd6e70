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
import time
import tracemalloc
import zipfile
from functools import partial
from pathlib import Path

import pytest

from bus.bundle import export, gather, verify
from bus.bundle.summary import ITALIAN
from bus.cli import main
from bus.errors import Invalid, StoreError
from bus.log import note, payload, timestamp
from bus.log.record import KINDS
from bus.testing.ports import free_port
from tests.integration.kit import until
from tests.small_bus import Caller, key_of, running, wait_reply, write
from tests.tsa import Authority


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """A bundle of one case with a reply, and the log's public key; made by three commands of an auditor (the third is verify.py)."""
    folder = tmp_path_factory.mktemp("bundle")
    with running(folder) as server:
        ask = Caller(server.port)
        for name in ("Ada", "Bo", "Cy"):
            body = {"type": "prova.saluto", "data": {"nome": name}}
            wait_reply(server.app, ask("POST", "/messages", body).json["id"], 60)
        out = folder / "fascicolo.zip"
        url = f"http://127.0.0.1:{server.port}"
        assert (
            main(
                [
                    "log",
                    "export",
                    "--case",
                    "istanza:Bo",
                    "--purpose",
                    "prova",
                    "--out",
                    str(out),
                    "--url",
                    url,
                    "--key",
                    key_of("revisore"),
                ]
            )
            == 0
        )
    return out.read_bytes(), str(note.read_signer(folder / "var/log.key").verifier)


def verdict(raw: bytes, key: str = "") -> list[str]:
    return [word for word, _ in verify.Bundle(raw, [verify.Key(key)] if key else []).found]


def test_an_export_that_fails_leaves_the_bundle_of_before_and_asks_nothing_when_it_has_no_place(tmp_path, capsys):
    there = tmp_path / "f.zip"
    there.write_bytes(b"di prima")
    asked = ["log", "export", "--case", "istanza:Bo", "--purpose", "prova", "--url", f"http://127.0.0.1:{free_port()}", "--key", "x"]
    assert main([*asked, "--out", str(there)]) == 3
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("f.zip", b"di prima")]
    assert main([*asked, "--out", str(tmp_path / "no/f.zip")]) == 2
    said = capsys.readouterr().err
    assert said.count("client.unreachable") == 1
    assert "cli.file" in said


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


def test_a_time_in_which_nothing_was_accepted_is_told_as_that():
    with pytest.raises(Invalid) as told:
        gather.last_record(None, [])
    assert (told.value.code, told.value.hint) == ("export.size", "choose another time: no message was accepted in this one")


def test_a_bundle_is_verified_in_an_empty_environment_from_another_folder(exported, tmp_path):
    raw, key = exported
    (tmp_path / "altrove").mkdir()
    (tmp_path / "f.zip").write_bytes(raw)
    with zipfile.ZipFile(tmp_path / "f.zip") as archive:
        archive.extract("verify.py", tmp_path)
    command = [sys.executable, "-I", str(tmp_path / "verify.py"), str(tmp_path / "f.zip")]
    for more, said in (
        (["--key", key], "VERIFICATO"),
        (["--key", key, "--lang", "en"], "VERIFIED: "),
        ([], "ATTENZIONE: chiave presa dal fascicolo"),
    ):
        done = subprocess.run([*command, *more], cwd=tmp_path / "altrove", env={}, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout
    done = subprocess.run([*command, "--key", ""], cwd=tmp_path, env={}, capture_output=True, text=True)
    assert (done.returncode, "NOME+NUMERO+BASE64" in done.stderr) == (2, True)
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


def test_each_payload_is_as_it_lies_in_the_database_with_a_key_that_opens_no_other(exported):
    lines = list(_lines(exported[0]).values())
    assert len(lines) > 1
    for line in lines:
        nonce, sealed, own = (base64.b64decode(line[name]) for name in ("nonce", "sealed", "key"))
        text = line["text"].encode()
        assert text not in sealed
        assert payload.opened_with(own, nonce, sealed) == text
        assert payload.verify_opening(line["id"], nonce, sealed, own, text)
    for line, other in zip(lines, lines[1:] + lines[:1], strict=True):
        with pytest.raises(StoreError):
            payload.opened_with(base64.b64decode(other["key"]), base64.b64decode(line["nonce"]), base64.b64decode(line["sealed"]))


def test_another_text_or_another_key_for_a_sealed_payload_is_found(exported):
    raw, key = exported
    first, *others = _lines(raw).values()
    for change in ({"text": first["text"] + " "}, {"key": others[0]["key"]}, {"sealed": ""}, {"sealed": "", "key": ""}):
        forged = b"".join(json.dumps(line).encode() + b"\n" for line in ({**first, **change}, *others))
        assert ("payload", {"id": first["id"]}) in verify.Bundle(
            verify.packed({**verify.unpacked(raw), "payloads.jsonl": forged}), [verify.Key(key)]
        ).found


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
            app.keys.forget(
                {payload.key_number(row["nonce"]) for row in tx.all("payloads_after", after="", most=100) if row["message"] == erased}
            )
        left = ask("POST", "/exports", {"case": "istanza:Ada", "purpose": "prova", "payloads": True}, name="revisore").content
    before, after = _lines(whole), _lines(left)
    assert set(after) < set(before)
    bundle = verify.Bundle(left, [verify.Key(str(note.read_signer(tmp_path / "var/log.key").verifier))])
    assert (bundle.found, bundle.absent) == ([], len(before) - len(after))
    assert f"not here (erased, or not exported): {bundle.absent}." in verify.report(bundle, "en")
    assert f">{bundle.absent} (cancellati, o non esportati" in bundle.files["summary.html"].decode()
    (tmp_path / "f.zip").write_bytes(left)
    assert _bus(tmp_path, "replay", "--bundle", "f.zip", "--all") == (4, "2 runs, 1 steps recomputed: 1 equal, 1 unavailable: absent")
    assert _bus(tmp_path, "test", "new", "--from", kept, "--bundle", "f.zip")[0] == 0


def test_a_bundle_that_does_not_prove_itself_is_not_replayed(exported, tmp_path):
    """Every text changed alike recomputes as equal: only the proofs know."""
    raw, key = exported
    write(tmp_path)
    forged = {
        name: content.replace(b"Bo", b"Cy") if name == "payloads.jsonl" else content for name, content in verify.unpacked(raw).items()
    }
    (tmp_path / "forged.zip").write_bytes(verify.packed(forged))
    (tmp_path / "none.zip").write_bytes(b"PK")
    (tmp_path / "good.zip").write_bytes(raw)
    stranger = str(note.Signer.new("prova", note.ED25519).verifier)
    message = next(json.loads(line)["record"] for line in forged["records.jsonl"].splitlines() if b"received" in line)
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


def rewritten(raw: bytes, **files: bytes | None) -> bytes:
    """The bundle written by somebody who knows how, with other files."""
    kept = {**verify.unpacked(raw), **{name.replace("__", "/").replace("_json", ".json"): content for name, content in files.items()}}
    return verify.packed({name: content for name, content in kept.items() if content is not None})


def test_whoever_rewrites_a_file_is_found(exported):
    raw, key = exported
    files = verify.unpacked(raw)
    assert verdict(rewritten(raw), key) == []
    dice = random.Random(7)
    for name, content in sorted(files.items()):
        assert "missing" in verdict(verify.packed({n: c for n, c in files.items() if n != name}), key), name
        for _ in range(4):
            at = dice.randrange(len(content))
            changed = content[:at] + bytes([content[at] ^ 1 << dice.randrange(8)]) + content[at + 1 :]
            assert verdict(verify.packed({**files, name: changed}), key), (name, at)
        assert verdict(verify.packed({**files, name: content + b"\n"}), key), name
        assert verdict(verify.packed({**files, name: content[:-1]}), key), name
    assert verdict(verify.packed({**files, "altro.txt": b"x"}), key) == ["uncovered"]


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
    assert f"n. {line['index']} " in verify.report(bundle, "it")


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
    said = verify.report(verify.Bundle(verify.packed({**verify.unpacked(raw), hidden: b""})), "en")
    assert said.splitlines()[0] == "x\ufffd[2K\ufffdVERIFIED: \ufffdVERIFIED: : no proof covers it"
    assert said.endswith("NOT VERIFIED. Findings: 1.")


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
            assert ([word for word, _ in bundle.found], hasattr(bundle, "files"), peak < 2_000_000) == (["container"], False, True), packed


def _compressed(name: str, content: bytes, how: int) -> bytes:
    with io.BytesIO() as out:
        with zipfile.ZipFile(out, "w", how) as archive:
            archive.writestr(name, content)
        return out.getvalue()


def test_neither_many_signatures_nor_many_keys_keep_the_verifier_busy(exported):
    """Each costs some milliseconds: twenty thousand of them took minutes."""
    raw, key = exported
    files = verify.unpacked(raw)
    head, _, lines = files["checkpoint"].decode().rpartition("\n\n")
    *_, value = lines.split()
    many = [base64.b64encode(base64.b64decode(value)[:-2] + number.to_bytes(2, "big")).decode() for number in range(20_000)]
    signed = "".join(f"\u2014 {lines.split()[1]} {one}\n" for one in many)
    manifest = json.loads(files["manifest.json"])
    for changed in (
        {"checkpoint": f"{head}\n\n{signed}".encode()},
        {"checkpoint": f"{head}\n\n{lines * 20_000}".encode()},
        {"manifest.json": json.dumps({**manifest, "keys": manifest["keys"] * 20_000}).encode()},
        {"manifest.json": json.dumps({**manifest, "keys": [str(note.Signer.new("x").verifier) for _ in range(1_000)]}).encode()},
    ):
        began = time.process_time()
        for keys in (key, ""):
            assert verdict(verify.packed({**files, **changed}), keys)
        assert time.process_time() - began < 5


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
        assert verdict(verify.packed({**files, name: b"x"}), key), name
    with io.BytesIO(raw) as out:
        with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(out, "a") as archive:
            archive.writestr("records.jsonl", files["records.jsonl"])
        assert "container" in verdict(out.getvalue(), key)
    name = next(name for name in files if name.startswith("rules/route/"))
    assert "rules" in verdict(verify.packed({**files, name: files[name].replace(b"saluto", b"sAluto")}), key)


def fitting(raw: bytes, **files: bytes) -> bytes:
    """As an operator writes it who makes the manifest fit: the log does not know that one, and only that would be left to find."""
    more = {name.replace("__", "/").replace("_jsonl", ".jsonl").replace("_0", "-0"): content for name, content in files.items()}
    kept = {**verify.unpacked(raw), **more}
    manifest = json.loads(kept["manifest.json"])
    manifest["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in kept.items() if name not in verify.APART}
    return verify.packed({**kept, "manifest.json": json.dumps(manifest).encode()})


def test_what_is_said_besides_or_twice_is_found_though_the_manifest_fits(exported):
    """Whoever reads it in another way would read something that nothing was compared with."""
    raw, key = exported
    files = verify.unpacked(raw)
    assert verdict(fitting(raw), key) == ["seal"]
    for name in ("records.jsonl", "payloads.jsonl"):
        first, rest = files[name].split(b"\n", 1)
        for line in (
            first[:-1] + b',"nota":"falso"}',
            first.replace(b"{", b'{"record":"falso",', 1) if name == "records.jsonl" else first.replace(b"{", b'{"text":"falso",', 1),
            first[:-1] + b',"base64":""}',
            b"[]",
        ):
            assert "malformed" in verdict(fitting(raw, **{name.replace(".", "_"): line + b"\n" + rest}), key), line
    for wrong in (b'{"v":9,', b'{"nota":1,'):
        assert "malformed" in verdict(verify.packed({**files, "manifest.json": files["manifest.json"].replace(b"{", wrong, 1)}), key)
    manifest = json.loads(files["manifest.json"])
    larger = json.dumps({**manifest, "size": manifest["size"] + 1}).encode()
    assert verdict(verify.packed({**files, "manifest.json": larger}), key) == ["counts", "seal"]


def test_a_signature_that_stands_twice_in_the_seal_is_found(exported):
    raw, key = exported
    seal = json.loads(verify.unpacked(raw)["seal.json"])
    seal["checkpoint"] += seal["checkpoint"].rpartition("\n\n")[2]
    written = json.dumps(seal, sort_keys=True, indent=1, ensure_ascii=False).encode()
    assert verdict(rewritten(raw, seal_json=written), key) == ["uncovered"]


def test_a_stamp_of_another_checkpoint_than_the_bundles_is_found(exported):
    raw, key = exported
    signer = note.Signer.new("prova", note.ED25519)
    other = "prova\n1\nAAAA\n"
    stamped = note.Note(other, (signer.sign(other),)).encode()
    assert "uncovered" in verdict(fitting(raw, anchors__checkpoint=stamped), key)
    assert verdict(fitting(raw, anchors__checkpoint=verify.unpacked(raw)["checkpoint"]), key) == ["seal"]


def test_a_sealed_payload_is_not_taken_for_one_of_before_that_lay_open(exported):
    """Its ciphertext as its text would fit the commitment."""
    raw, key = exported
    first, *others = _lines(raw).values()
    open_ = {**first, "sealed": "", "key": "", "base64": first["sealed"]}
    del open_["text"]
    forged = b"".join(json.dumps(line).encode() + b"\n" for line in (open_, *others))
    found = verify.Bundle(verify.packed({**verify.unpacked(raw), "payloads.jsonl": forged}), [verify.Key(key)]).found
    assert ("payload", {"id": first["id"]}) in found


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
        forged = b"".join(json.dumps(one).encode() + b"\n" for one in (line, *others))
        found = verify.Bundle(verify.packed({**verify.unpacked(raw), "payloads.jsonl": forged}), [verify.Key(key)]).found
        assert ("payload", {"id": first["id"]}) in found, change
    forged = b"".join(json.dumps(one).encode() + b"\n" for one in ({**first, "type": "text/html"}, *others))
    assert "payload" in verdict(verify.packed({**verify.unpacked(raw), "payloads.jsonl": forged}), key)


@pytest.mark.parametrize(
    ("secret", "public", "message", "signature"),
    [
        ("", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
        ("", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
        ("", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
    ],
)  # fmt: skip
def test_the_verifiers_own_ed25519_agrees_with_rfc_8032(secret, public, message, signature):
    key, text, made = (bytes.fromhex(part) for part in (public, message, signature))
    assert verify.ed25519(key, text, made)
    order = verify.Q
    malleable = made[:32] + (int.from_bytes(made[32:], "little") + order).to_bytes(32, "little")
    for bad in (malleable, made[:-1], bytes([made[0] ^ 1]) + made[1:], made[:40] + bytes([made[40] ^ 4]) + made[41:]):
        assert not verify.ed25519(key, text, bad)
    assert not verify.ed25519(key, text + b"x", made)
    assert not verify.ed25519(b"\xff" * 32, text, made)


def test_the_verifiers_own_ed25519_agrees_with_the_library_on_random_keys():
    dice = random.Random(9)
    for _ in range(20):
        signer, text = note.Signer.new("prova", note.ED25519), dice.randbytes(dice.randrange(200)).hex() + "\n"
        signed = signer.sign(text)
        assert verify.ed25519(signer.verifier.key, text.encode(), signed.value)
        assert not verify.ed25519(note.Signer.new("prova", note.ED25519).verifier.key, text.encode(), signed.value)


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
            app.store.write(lambda tx, kind=kind, evidence=evidence: tx.do(
                "add_anchor", kind=kind, name=kind, size=newest["size"], time="", evidence=evidence,
            )).result()  # fmt: skip
        second = ask("POST", "/exports", body, name="revisore")
        again = ask("POST", "/exports", body, name="revisore")
    assert second.status == first.status == 200, second.content
    bundle = verify.Bundle(second.content, witnesses=[verify.Key(str(witness.verifier))])
    assert (bundle.found, bundle.witnessed) == ([], ["testimone.example/uno"])
    other = note.Signer.new("altro.example/due", note.COSIGNATURE).verifier
    assert verify.Bundle(second.content, witnesses=[verify.Key(str(other))]).found == [("witness", {"key": str(other)})]
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
        assert f" UTC, holds for {covered} of 5 records" in (said := verify.report(bundle, "en"))
        assert "NOT verified here (it takes the certificate): openssl ts -verify" in said
        assert f"vale per {covered} annotazioni su 5" in (said := verify.report(bundle, "it"))
        assert "NON verificata qui (serve il certificato)" in said
        folder = f"anchors__{size}__"
        proof = bundle.files[f"anchors/{size}/consistency"]
        assert verdict(fitting(raw, **{folder + "consistency": proof[proof.index(b"\n") + 1 :]}), key[0].said) == ["apart", "seal"]
        assert verdict(fitting(raw, **{folder + "checkpoint": bundle.files["checkpoint"]}), key[0].said) == ["apart", "unfit", "seal"]
        moved = {name.replace(f"/{size}/", f"/{size + 1}/"): content for name, content in bundle.files.items()}
        assert verdict(fitting(verify.packed(moved)), key[0].said) == ["apart", "seal"]
        for name in ("checkpoint", "consistency"):
            left = {one: content for one, content in bundle.files.items() if one != f"anchors/{size}/{name}"}
            assert set(verdict(fitting(verify.packed(left)), key[0].said)) == {"missing", "seal"}


def test_whatever_in_anchors_is_no_stamp_and_no_number_of_that_checkpoint_is_found_without_any_key(exported, authority):
    raw, key = exported
    checkpoint = verify.unpacked(raw)["checkpoint"]
    stamp = authority.stamp(timestamp.ask(checkpoint).content)
    with_stamp = partial(fitting, raw, anchors__checkpoint=checkpoint)
    assert verdict(with_stamp(anchors__timestamp_0=stamp), key) == ["seal"], "only the log does not know it"
    number = {"giorno": "2026-11-20", "message": "x", "reply": {"protocollo": "2026/0000001"}}
    for fits in (number, {**number, "sha256": hashlib.sha256(checkpoint).hexdigest()}):
        assert verdict(with_stamp(anchors__register_0=json.dumps(fits).encode()), key) == ["seal"]
    other = authority.stamp(timestamp.ask(checkpoint + b"x").content)
    refused = bytes.fromhex("30053003020102")
    dice = random.Random(11)
    for word, junk in (
        ("unfit", other), ("malformed", b""), ("malformed", b"junk"), ("malformed", stamp + b"\0"), ("malformed", stamp[:-1]),
        ("malformed", refused), ("malformed", b"\x30\x80" + stamp), ("malformed", b"\x30\x8f" + b"\xff" * 15), ("malformed", b"0" * 3_000),
        ("malformed", dice.randbytes(3_000)), ("malformed", b"\x30\x82" * 4_000),
    ):  # fmt: skip
        assert verdict(with_stamp(anchors__timestamp_0=junk), key) == [word, "seal"], junk[:20]
    for word, what in (
        ("unfit", {**number, "sha256": "0" * 64}), ("malformed", {**number, "nota": ""}), ("malformed", {**number, "giorno": "ieri"}),
        ("malformed", {**number, "giorno": 3}), ("malformed", {}), ("malformed", []),
    ):  # fmt: skip
        assert verdict(with_stamp(anchors__register_0=json.dumps(what).encode()), key) == [word, "seal"], what
    twice = json.dumps(number).replace("{", '{"giorno": "2026-11-21", ', 1).encode()
    assert verdict(with_stamp(anchors__register_0=twice), key) == ["malformed", "seal"]
    for name in ("altro", "timestamp_0.der", "checkpoint__x", "consistency", "1__altro", "0__checkpoint"):
        assert verdict(with_stamp(**{f"anchors__{name}": stamp}), key) == ["uncovered", "seal"], name
    assert verdict(fitting(raw, anchors__timestamp_0=stamp), key) == ["missing", "seal"]
    stranger = note.Signer.new("prova", note.ED25519)
    signed = note.parse(checkpoint)
    more = signed.signed(stranger.sign(signed.text)).encode()
    assert verdict(fitting(raw, anchors__checkpoint=more), key) == ["uncovered", "seal"], "a signature that the checkpoint has not"


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
        with sqlite3.connect(tmp_path / "var/snodo.db") as database:
            for digest in (name.removesuffix(".json").rpartition("/")[2] for name in gone):
                assert database.execute("DELETE FROM rules WHERE digest = ?", (digest,)).rowcount == 1
        assert main(words) == 0
        told = capsys.readouterr().err
    bundle = verify.Bundle((tmp_path / "f.zip").read_bytes())
    assert (bundle.found, bundle.unruled) == ([], sorted(gone))
    for language, said in (("en", "Rules that records name and that are not here: "), ("it", "Regole nominate da annotazioni che non ci")):
        assert said in verify.report(bundle, language)
    for name in gone:
        assert name in told
        assert name in bundle.files["summary.html"].decode()


def test_the_summary_says_each_kind_of_record_in_italian_too(exported):
    assert set(ITALIAN) == KINDS
    page = verify.unpacked(exported[0])["summary.html"].decode()
    assert "<td>ricevuto / received</td>" in page
    assert "<td>concluso / done</td>" in page


def test_the_summary_tells_no_time_of_the_checkpoint_which_nobody_signed(tmp_path):
    with running(tmp_path) as server:
        ask, app = Caller(server.port), server.app
        wait_reply(app, ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}).json["id"], 60)
        ask("POST", "/exports", {"case": "istanza:Ada", "purpose": "prova"}, name="revisore")
        with sqlite3.connect(tmp_path / "var/snodo.db") as database:
            database.execute("DROP TRIGGER checkpoints_are_never_changed")
            database.execute("UPDATE checkpoints SET time = '1999-12-31T23:59:59.000Z'")
        raw = ask("POST", "/exports", {"case": "istanza:Ada", "purpose": "prova"}, name="revisore").content
    assert b"1999" not in verify.unpacked(raw)["summary.html"]


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
