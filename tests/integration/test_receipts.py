"""Receipts: each 202 carries a promise that whoever holds it can check alone; and the log as a folder for other tools."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import random
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bus.cli import main
from bus.engine.arrival import Submission
from bus.errors import EvidenceError
from bus.log import note, receipt, tree
from bus.log.checkpoint import checkpoint_of
from bus.log.record import Record, content
from bus.message import new_id
from tests.small_bus import Caller, running
from tests.tamper.logs import write_log

BODY = {"type": "prova.saluto", "data": {"nome": "Ada"}}


def public(folder: Path, name: str) -> str:
    return str(note.read_signer(folder / f"var/{name}.key").verifier)


def test_every_202_has_a_receipt_that_is_the_same_at_each_repetition_and_can_be_had_again(tmp_path):
    with running(tmp_path) as server:
        ask = Caller(server.port)
        first, again = (ask("POST", "/messages", BODY, {"Idempotency-Key": "una"}) for _ in range(2))
        assert first.status == again.status == 202
        assert first.content == again.content
        text = first.json["receipt"]
        assert (
            base64.b64decode(first.headers["snodo-receipt"]).decode() == text == base64.b64decode(again.headers["snodo-receipt"]).decode()
        )
        path = f"/messages/{first.json['id']}/receipt"
        assert ask("GET", path).content.decode() == text
        assert ask("GET", path, name="altro").status == 404
        with ThreadPoolExecutor(16) as many:
            told = list(many.map(lambda n: ask("POST", "/messages", BODY, {"Idempotency-Key": f"k{n % 40}"}), range(120)))
        bodies = {answer.json["id"]: {one.content for one in told if one.json["id"] == answer.json["id"]} for answer in told}
        assert len(bodies) == 40
        assert all(len(said) == 1 for said in bodies.values())
    with running(tmp_path) as server:
        assert Caller(server.port)("POST", "/messages", BODY, {"Idempotency-Key": "una"}).content == first.content, "after a restart too"
    key = note.verifier(public(tmp_path, "receipts"))
    for said in bodies.values():
        answer = next(iter(said))
        assert receipt.opened(json.loads(answer)["receipt"], [key]).origin == "snodo/00000000000"


def test_a_batch_is_promised_by_one_signature_and_no_part_can_be_changed(tmp_path):
    with running(tmp_path) as server:
        gate = threading.Event()
        server.app.store.write(lambda tx: gate.wait(60))  # what comes while one transaction lasts is written in the next
        told = [server.app.send(Submission("prova.saluto", {"nome": f"n{n}"}, "portale", role="portal")) for n in range(60)]
        gate.set()
        texts = [one.result(60).receipt for one in told]
        with server.app.store.read() as tx:
            assert [receipt.of_message(tx, one.result().id) for one in told] == texts
    key = note.verifier(public(tmp_path, "receipts"))
    assert len({text.partition("\n\n")[2] for text in texts}) < 60, "fewer signatures than receipts"
    for text in (texts[0], texts[-1]):
        receipt.opened(text, [key])
        for at in range(0, len(text), 3):
            other = "A" if text[at] != "A" else "B"
            with contextlib.suppress(EvidenceError):
                receipt.opened(text[:at] + other + text[at + 1 :], [key])
                pytest.fail(f"a receipt with another character at {at} passes: {text[at - 5 : at + 5]!r}")
    with pytest.raises(EvidenceError, match="no key that is trusted"):
        receipt.opened(texts[0], [note.Signer.new("snodo/00000000000/receipts").verifier])


def checked(folder: Path, text: str, capsys, *more: str) -> tuple[int, str]:
    (folder / "r.txt").write_text(text, "utf-8", "surrogateescape")
    keys = ["--key", public(folder, "receipts"), "--log-key", public(folder, "log")]
    code = main(["log", "check-receipt", str(folder / "r.txt"), *keys, "--config", str(folder / "config.yaml"), *more])
    return code, capsys.readouterr().out


def test_an_inclusion_and_an_omission_are_told_apart(tmp_path, capsys):
    with running(tmp_path, log={"promise": 0.001}) as server:
        ask = Caller(server.port)
        kept = ask("POST", "/messages", BODY).json["receipt"]
        lost = ask("POST", "/messages", BODY).json["receipt"]
    assert checked(tmp_path, kept, capsys) == (0, checked(tmp_path, kept, capsys)[1])
    assert "included" in checked(tmp_path, kept, capsys)[1]
    assert "included" in json.loads(checked(tmp_path, kept, capsys, "--json")[1])["sentence"]
    as_header = base64.b64encode(kept.encode()).decode()
    for other in (as_header, f"{as_header[:70]}\r\n{as_header[70:]}\n"):
        assert checked(tmp_path, other, capsys) == checked(tmp_path, kept, capsys)
    (tmp_path / "altro.zip").write_bytes(b"PK\3\4 un fascicolo")
    keys = ["--key", public(tmp_path, "receipts"), "--log-key", public(tmp_path, "log")]
    assert main(["log", "check-receipt", str(tmp_path / "altro.zip"), *keys, "--config", str(tmp_path / "config.yaml")]) == 2
    assert f"{tmp_path / 'altro.zip'} is no receipt: " in capsys.readouterr().err
    assert main(["log", "key", "show", "--config", str(tmp_path / "config.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["receipts"] == public(tmp_path, "receipts")
    assert checked(tmp_path, kept.replace("message", "mess\udcffage"), capsys)[0] == 2, "what is no text is no receipt"
    # An operator who takes a record away, makes the whole tree anew, and signs it: the receipt says what is missing.
    message = receipt.opened(lost, [note.verifier(public(tmp_path, "receipts"))]).message
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw:
        for trigger, table in raw.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            if table in ("records", "tiles", "checkpoints"):
                raw.execute(f"DROP TRIGGER {trigger}")
        raw.execute("DELETE FROM records WHERE message = ?", (message,))
        raw.execute("DELETE FROM tiles")
        raw.execute("DELETE FROM checkpoints")
        raw.commit()
    with running(tmp_path) as server:
        Caller(server.port)("POST", "/messages", BODY)
    code, said = checked(tmp_path, lost, capsys)
    assert (code, said.split(":")[0]) == (5, "OMITTED")
    assert main(["log", "tiles", str(tmp_path / "tiles"), "--config", str(tmp_path / "config.yaml")]) == 0
    (tmp_path / "var/snodo.db").rename(tmp_path / "gone.db")
    assert by_files(tmp_path, kept, capsys) == (0, by_files(tmp_path, kept, capsys)[1])
    assert "included" in by_files(tmp_path, kept, capsys)[1]
    assert by_files(tmp_path, lost, capsys) == (5, said)


def by_files(folder, text, capsys) -> tuple[int, str]:
    """As somebody who was given the folder, the receipt and the public keys."""
    (folder / "r.txt").write_text(text)
    keys = ["--key", public(folder, "receipts"), "--log-key", public(folder, "log")]
    capsys.readouterr()
    code = main(["log", "check-receipt", str(folder / "r.txt"), "--tiles", str(folder / "tiles"), *keys])
    return code, capsys.readouterr().out


def test_a_folder_that_is_not_what_was_signed_proves_nothing(tmp_path, capsys):
    """Else whoever takes a record out of a copy could accuse the municipality."""
    with running(tmp_path, log={"promise": 0.001}) as server:
        text = Caller(server.port)("POST", "/messages", BODY).json["receipt"]
        Caller(server.port)("POST", "/messages", BODY)
    assert main(["log", "tiles", str(tmp_path / "tiles"), "--config", str(tmp_path / "config.yaml")]) == 0
    leaf = receipt.opened(text, [note.verifier(public(tmp_path, "receipts"))]).leaf
    [tile] = [path for path in (tmp_path / "tiles/tile/0").rglob("*") if path.is_file()]
    [entries] = [path for path in (tmp_path / "tiles/tile/entries").rglob("*") if path.is_file()]
    whole, records = tile.read_bytes(), entries.read_bytes()
    assert by_files(tmp_path, text, capsys)[0] == 0
    for changed in (whole.replace(leaf, b""), whole.replace(leaf, bytes(32)), whole[:-32], whole + bytes(32), b""):
        tile.write_bytes(changed)
        assert by_files(tmp_path, text, capsys)[0] == 2
    tile.write_bytes(whole)
    absent = receipt_of_another(tmp_path)
    entries.write_bytes(records.replace(b'"kind"', b'"kynd"', 1))
    assert by_files(tmp_path, absent, capsys)[0] == 2
    entries.write_bytes(records)
    assert by_files(tmp_path, absent, capsys)[0] == 5
    tile.unlink()
    assert by_files(tmp_path, text, capsys)[0] == 2


@pytest.mark.parametrize(
    "statements",
    [
        'UPDATE records SET content = CAST(replace(CAST(content AS TEXT), \',"time":"20\', \',"time":"10\') AS BLOB)',
        "UPDATE tiles SET hashes = substr(hashes, 1, length(hashes) - 32)",
        "UPDATE tiles SET hashes = CAST(hashes || zeroblob(32) AS BLOB)",
        "UPDATE tiles SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB)",
        (
            "DELETE FROM checkpoints WHERE size < (SELECT max(size) FROM checkpoints); UPDATE tiles SET hashes = :leaf; "
            "UPDATE checkpoints SET root = :leaf, size = 1"
        ),
        "UPDATE tiles SET hashes = CAST(:leaf || substr(hashes, 33) AS BLOB)",
        "DELETE FROM records",
        "DELETE FROM tiles",
    ],
)
def test_a_database_that_is_not_what_was_signed_hides_no_omission_and_proves_none(tmp_path, capsys, statements):
    """Earlier times of the newest records would say that there is time left, another root beside the signed one that it is there."""
    with running(tmp_path, log={"promise": 0.001}) as server:
        Caller(server.port)("POST", "/messages", BODY)
    absent = receipt_of_another(tmp_path)
    assert checked(tmp_path, absent, capsys)[0] == 5
    leaf = receipt.opened(absent, [note.verifier(public(tmp_path, "receipts"))]).leaf
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw:
        for [trigger] in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {trigger}")
        for statement in statements.split("; "):
            raw.execute(statement, {"leaf": leaf} if ":leaf" in statement else {})
        raw.commit()
    assert checked(tmp_path, absent, capsys) == (2, "")


class Kept:
    """A transaction of which nothing is kept."""

    def do(self, _query, **_parameters) -> None: ...


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 64, 65])
def test_each_receipt_of_a_transaction_proves_its_own_place(size):
    signer, identity = note.Signer.new("porta.example"), new_id()
    records = [Record(new_id(), "received", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), message=new_id()) for _ in range(size)]
    made = receipt.Promises(signer, "registro.example", 60).make(Kept(), identity, [(one, content(one)) for one in records])
    for index, (record, text) in enumerate(zip(records, made, strict=True)):
        promise = receipt.opened(text, [signer.verifier])
        assert (promise.message, promise.leaf) == (record.message, tree.leaf_hash(content(record)))
        assert text.splitlines()[3] == f"index {index}"


def receipt_of_another(folder) -> str:
    """A promise of the same door for a record that never came into the log."""
    signer = note.read_signer(folder / "var/receipts.key")
    record = Record(new_id(), "received", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), message=new_id())
    origin = public(folder, "log").partition("+")[0]

    [text] = receipt.Promises(signer, origin, 0.001).make(Kept(), new_id(), [(record, content(record))])
    return text


def test_a_promise_of_the_leaf_of_another_message_is_an_omission(tmp_path, capsys):
    """A door that gives two senders the leaf of one record: the second one was told that his message is included."""
    with running(tmp_path) as server:
        kept = Caller(server.port)("POST", "/messages", BODY).json["receipt"]
    assert main(["log", "tiles", str(tmp_path / "tiles"), "--config", str(tmp_path / "config.yaml")]) == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw:
        lines = dict(raw.execute("SELECT kind, content FROM records WHERE kind IN ('received', 'rules')").fetchall())
    capsys.readouterr()
    signer = note.read_signer(tmp_path / "var/receipts.key")
    first = receipt.opened(kept, [signer.verifier]).message
    for kind, whose in (("received", f"message {first}"), ("rules", "no message")):
        record = Record(new_id(), "received", dt.datetime.now(dt.UTC), message=new_id())
        [text] = receipt.Promises(signer, "snodo/00000000000", 60).make(Kept(), new_id(), [(record, lines[kind])])
        code, said = checked(tmp_path, text, capsys)
        assert (code, said.partition(":")[0], f"message {record.message}," in said) == (5, "OMITTED", True)
        assert f"is a record `{kind}` of {whose}" in said
        assert by_files(tmp_path, text, capsys) == (5, said)
    assert checked(tmp_path, kept, capsys)[0] == by_files(tmp_path, kept, capsys)[0] == 0


def test_whose_a_leaf_is_nobody_says_where_its_record_is_another(tmp_path, capsys):
    with running(tmp_path) as server:
        kept = Caller(server.port)("POST", "/messages", BODY).json["receipt"]
    assert main(["log", "tiles", str(tmp_path / "tiles"), "--config", str(tmp_path / "config.yaml")]) == 0
    [entries] = [path for path in (tmp_path / "tiles/tile/entries").rglob("*") if path.is_file()]
    entries.write_bytes(entries.read_bytes().replace(b'"received"', b'"receIved"', 1))
    assert by_files(tmp_path, kept, capsys)[0] == 2
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw:
        for [trigger] in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {trigger}")
        raw.execute("UPDATE records SET content = CAST(replace(CAST(content AS TEXT), 'received', 'receIved') AS BLOB)")
        raw.commit()
    assert checked(tmp_path, kept, capsys) == (2, "")


def test_no_record_is_longer_than_an_entry_of_a_published_log_may_be():
    short = Record("x", "received", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), data={"a": ""})
    room = 65_535 - len(content(short))
    assert len(content(short._replace(data={"a": "x" * room}))) == 65_535
    with pytest.raises(ValueError, match="65,536 bytes"):
        content(short._replace(data={"a": "x" * (room + 1)}))


def test_the_folder_of_tiles_grows_and_says_the_same_as_the_log(tmp_path, capsys):
    folder = tmp_path / "tiles"
    for count in (100, 300):
        with running(tmp_path) as server:
            told = [server.app.send(Submission("prova.saluto", {"nome": f"n{n}"}, "portale", role="portal")) for n in range(count)]
            [one.result(60) for one in told]
            while not server.app.engine.idle():
                pass
        assert main(["log", "tiles", str(folder), "--config", str(tmp_path / "config.yaml")]) == 0
        size = int((folder / "checkpoint").read_text().splitlines()[1])
        edge = tree.CompactRange()
        for number in range(-(-size // 256)):
            width = min(256, size - 256 * number)
            name = f"{number:03}" + (f".p/{width}" if width < 256 else "")
            bundle, hashes = (folder / "tile/entries" / name).read_bytes(), (folder / "tile/0" / name).read_bytes()
            at = 0
            for place in range(width):
                length = int.from_bytes(bundle[at : at + 2], "big")
                edge.extend([tree.leaf_hash(bundle[at + 2 : at + 2 + length])])
                assert edge.hashes and hashes[32 * place : 32 * place + 32] == tree.leaf_hash(bundle[at + 2 : at + 2 + length])
                at += 2 + length
            assert at == len(bundle)
        assert base64.b64encode(edge.root()).decode() == (folder / "checkpoint").read_text().splitlines()[2]
    assert (folder / "tile/1/000.p").is_dir(), "a second level"
    capsys.readouterr()
    assert main(["log", "tiles", str(folder), "--config", str(tmp_path / "config.yaml")]) == 0
    assert " 1 file written" in capsys.readouterr().out


@pytest.mark.parametrize("size", [20, 400, 600], ids=["shorter", "another", "longer"])
def test_a_folder_of_tiles_is_never_gone_on_with_by_another_history(tmp_path, capsys, size):
    """Restored from a backup, or begun anew under the same name: the files of the first would stay among those of the second."""
    folder = tmp_path / "tiles"
    for name, count in (("prima", 400), ("poi", size)):
        write_log(f"sqlite:///{tmp_path / name}.db", random.Random(name), count)
    assert main(["log", "tiles", str(folder), "--store", f"sqlite:///{tmp_path / 'prima.db'}"]) == 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(["log", "tiles", str(folder), "--store", f"sqlite:///{tmp_path / 'poi.db'}"]) == 2
    assert "does not go on from them" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("kept", [0, 100], ids=["none", "of 100 records"])
def test_files_that_the_checkpoint_of_a_folder_of_tiles_does_not_cover_are_written_again(tmp_path, kept):
    """Of a writing that broke off before its checkpoint, and of a log that was rolled back since."""
    small = write_log(f"sqlite:///{tmp_path / 'snodo.db'}", random.Random("uno"), 600)
    words = ["log", "tiles", str(tmp_path / "tiles"), "--store", f"sqlite:///{tmp_path / 'snodo.db'}"]
    assert main(words) == 0
    files = {path: path.read_bytes() for path in (tmp_path / "tiles").rglob("*") if path.is_file()}
    for path, whole in files.items():
        path.write_bytes(whole[::-1])
    (tmp_path / "tiles/checkpoint").unlink()
    if kept:
        earlier = next(note for note in small.checkpoints if checkpoint_of(note.text).size < 256)
        (tmp_path / "tiles/checkpoint").write_bytes(earlier.encode())
    assert main(words) == 0
    assert {path: path.read_bytes() for path in files} == files


def test_what_is_no_checkpoint_in_a_folder_of_tiles_is_named_and_nothing_is_written(tmp_path, capsys):
    write_log(f"sqlite:///{tmp_path / 'snodo.db'}", random.Random("uno"), 20)
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles/checkpoint").write_text("elenco\n")
    assert main(["log", "tiles", str(tmp_path / "tiles"), "--store", f"sqlite:///{tmp_path / 'snodo.db'}"]) == 2
    assert f"{tmp_path / 'tiles/checkpoint'} is no checkpoint" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "tiles").rglob("*")] == ["checkpoint"]
