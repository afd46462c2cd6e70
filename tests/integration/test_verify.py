"""`bus log verify` as an auditor uses it: on a file or a server that he may only read, with what he has from elsewhere."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bus.anchors import outside
from bus.cli import main
from bus.clock import FixedClock
from bus.engine import search
from bus.engine.leases import Leases
from bus.engine.sequencer import Sequencer
from bus.errors import StoreError
from bus.log import examine, keys, log
from bus.log.checkpoint import Checkpoint, checkpoint_of
from bus.log.diagnosis import Broken
from bus.log.note import Note, Signer, parse
from bus.log.record import Record
from bus.log.record import content as content_of
from bus.log.stored import StoredTree
from bus.log.tiles import Edge
from bus.log.verify import State, Trust, verify
from bus.message import new_id
from bus.store.opening import open_reader, open_store
from bus.witness.memory import place_of
from tests.tamper.logs import NOW, ORIGIN, WITNESS, make, write_log
from tests.tsa import Authority


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make(tmp_path_factory.mktemp("logs"), random.Random(7), 400)


@pytest.fixture
def file(small, tmp_path):
    path = tmp_path / "snodo.db"
    path.write_bytes(small.raw)
    return path


class Auditor:
    def __init__(self, file, small, capsys):
        self.url, self.small, self.capsys = f"sqlite:///{file}", small, capsys
        self.keys = ["--key", str(small.signer.verifier), "--witness-key", str(WITNESS.verifier)]

    def says(self, *options, keys=True) -> tuple[int, str]:
        self.capsys.readouterr()
        code = main(["log", "verify", "--store", self.url, *(self.keys if keys else []), *map(str, options)])
        said = self.capsys.readouterr()
        return code, said.out + said.err

    def shows(self, *options, keys=True):
        code, said = self.says("--json", *options, keys=keys)
        return code, json.loads(said)


@pytest.fixture
def auditor(file, small, capsys):
    return Auditor(file, small, capsys)


def change(file, statement, *values):
    with sqlite3.connect(file) as raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute(statement, values)
    raw.close()


def held(tmp_path, note):
    path = tmp_path / f"checkpoint-{checkpoint_of(note.text).size}"
    path.write_bytes(note.encode())
    return path


def test_a_log_that_is_what_was_signed(auditor, small, tmp_path):
    code, said = auditor.says("--from-checkpoint", held(tmp_path, small.checkpoints[2]))
    assert code == 0
    assert said.startswith(f"VERIFIED  {ORIGIN}: {len(small.leaves)} records, in ")
    assert f"{len(small.checkpoints)} checkpoints of the log" in said
    received = sum(b'"kind":"received"' in one.content for one in small.leaves)
    assert f"{received} messages and {received} runs stand there as the records tell" in said
    assert f"seen by {WITNESS.verifier.name}  {len(small.leaves)} records, at 2027-01-15T08:00:00Z" in said
    assert "held by you  " in said
    assert "--key" not in said


def test_the_time_of_a_checkpoint_which_nobody_signed_is_not_told(auditor, file):
    change(file, "UPDATE checkpoints SET time = '1999-12-31T23:59:59.000Z'")
    code, said = auditor.says()
    assert (code, "1999" in said) == (0, False)
    code, said = auditor.says("--format", "json")
    assert (code, "1999" in said) == (0, False)


def test_without_keys_from_elsewhere_it_says_what_that_is_worth(auditor):
    code, said = auditor.says(keys=False)
    assert code == 0
    assert "the log itself names: give it with --key" in said
    assert "nobody but the operator vouches for it" in said


def test_one_byte_changed_in_the_database_is_named(auditor, file, small):
    leaf = 123
    change(
        file, 'UPDATE records SET content = replace(content, \'"actor":"bus"\', \'"actor":"sub"\') WHERE seq = ?', small.leaves[leaf].seq
    )
    code, said = auditor.says()
    assert code == 5
    assert said.splitlines()[0] == "NOT VERIFIED  leaf 123: its record was changed, or another one put in its place"
    assert f"{small.leaves[leaf].id} (" in said
    code, shown = auditor.shows()
    assert (code, shown["verified"]) == (5, False)
    assert shown["fault"] | {"hint": ""} == {
        "kind": "altered", "leaf": leaf, "until": leaf, "record": shown["fault"]["record"], "seq": small.leaves[leaf].seq, "hint": "",
        "sentence": "leaf 123: its record was changed, or another one put in its place",
    }  # fmt: skip


def test_a_record_before_all_others_is_named_and_has_no_place(auditor, file, small, tmp_path):
    """Nobody hashes it, lists would show it: no trigger must be dropped to write it."""
    resume = tmp_path / "verify.json"
    assert auditor.says("--resume", resume)[0] == 0
    with sqlite3.connect(file) as raw:
        raw.execute("INSERT INTO records SELECT 0, 'x', 'refused', time, message, run, content FROM records WHERE seq = 9")
    raw.close()
    for options in ((), ("--resume", resume), ("--from-checkpoint", held(tmp_path, small.checkpoints[2]))):
        code, shown = auditor.shows(*options)
        assert (code, shown["fault"]["kind"], shown["fault"]["leaf"], shown["fault"]["seq"]) == (5, "inserted", 0, 0)
    assert auditor.shows(keys=False)[1]["fault"]["kind"] == "inserted"
    reader = open_reader(auditor.url)
    with reader.read() as tx, pytest.raises(StoreError, match="number 0 stands before the first") as found:
        StoredTree(tx).indexes_of([0, 9])
    reader.close()
    assert found.value.code == "store.tree"


@pytest.mark.parametrize(
    ("table", "kind"), [("records", "column"), ("payloads", "column"), ("tiles", "unreadable"), ("checkpoints", "unreadable")]
)
def test_bytes_that_somebody_made_a_text_of_are_found(table, kind, auditor, file):
    """Also where they are no UTF-8, and never by printing them."""
    column = {"tiles": "hashes", "checkpoints": "root"}.get(table, "content")
    change(file, f"UPDATE {table} SET {column} = CAST({column} AS TEXT)")
    code, shown = auditor.shows()
    assert (code, shown["fault"]["kind"]) == (5, kind)


def test_a_run_that_ended_otherwise_than_the_log_says_is_named(auditor, file, small):
    """No record is touched: only what the console shows."""
    run = next(json.loads(one.content)["run"] for one in small.leaves if b'"state":"dead"' in one.content)
    leaf = max(n for n, one in enumerate(small.leaves) if run.encode() in one.content and b'"state":' in one.content)
    change(file, "UPDATE runs SET state = 'cancelled', reason = NULL WHERE id = ?", run)
    code, said = auditor.says()
    assert code == 5
    assert said.startswith(f"NOT VERIFIED  leaf {leaf}: the run {run} stands in the table `runs` with `state` 'cancelled', the log says ")
    assert small.leaves[leaf].id in said
    assert "look who can write to the database" in said


def test_a_reply_exchanged_in_its_table_is_named_and_not_forgotten_over_an_interruption(auditor, file, small, tmp_path, monkeypatch):
    from bus.cli import verify

    leaf = next(n for n, one in enumerate(small.leaves) if b'"kind":"replied"' in one.content)
    message = json.loads(small.leaves[leaf].content)["message"]
    change(file, "UPDATE messages SET reply = (SELECT id FROM payloads WHERE message <> ?) WHERE id = ?", message, message)
    resume, stretches = tmp_path / "verify.json", iter(range(1000))

    def interrupted(size, _of):
        if size > leaf and next(stretches) == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(verify, "SAVE_EVERY", 0.0)
        patch.setattr(verify, "_bar", lambda: _moved(interrupted))
        assert auditor.says("--resume", resume)[0] == 130
    code, shown = auditor.shows("--resume", resume)
    assert (code, shown["fault"]["kind"]) == (5, "table")
    assert f"the message {message} stands in the table `messages` with `reply`" in shown["fault"]["sentence"]


def test_a_record_that_was_changed_is_told_before_a_row_that_was(auditor, file, small):
    change(file, "UPDATE runs SET state = 'ready'")
    change(file, "UPDATE records SET content = x'00' WHERE seq = ?", small.leaves[-3].seq)
    code, shown = auditor.shows()
    assert (code, shown["fault"]["kind"], shown["fault"]["leaf"]) == (5, "altered", len(small.leaves) - 3)


def test_it_goes_on_where_it_was_interrupted_and_reads_nothing_twice(auditor, file, small, tmp_path, monkeypatch):
    from bus.cli import verify

    monkeypatch.setattr(verify, "SAVE_EVERY", 0.0)
    stretches = 0

    def interrupted(_size, _of, _state):
        nonlocal stretches
        stretches += 1
        if stretches == 4:
            raise KeyboardInterrupt

    resume = tmp_path / "verify.json"
    with monkeypatch.context() as patch:
        bar = verify._bar
        patch.setattr(verify, "_bar", lambda: _moved(lambda size, of: interrupted(size, of, None)))
        assert auditor.says("--resume", resume)[0] == 130
    assert bar is verify._bar
    at = json.loads(resume.read_bytes())["size"]
    assert 0 < at < len(small.leaves)
    later = {json.loads(one.content).get("message") for one in small.leaves[at:]}
    lines = [(one, json.loads(one.content)) for one in small.leaves[1:at]]
    before = next(one for one, line in lines if line["message"] not in later and line["kind"] in ("asked", "answered"))
    change(file, "UPDATE records SET content = x'00' WHERE seq = ?", before.seq)  # what was read before is not read again
    code, shown = auditor.shows("--resume", resume)
    assert (code, shown["start"], shown["size"]) == (0, at, len(small.leaves))
    assert json.loads(resume.read_bytes())["size"] == len(small.leaves)
    code, shown = auditor.shows("--resume", resume)
    assert (code, shown["start"], shown["checkpoints"]) == (0, len(small.leaves), 0)
    assert auditor.says()[0] == 5


def _moved(hears):
    from contextlib import nullcontext

    return nullcontext(hears)


def test_a_payload_that_is_gone_is_not_forgotten_over_an_interruption(auditor, file, small, tmp_path, monkeypatch):
    """It may be told at the end only: an `erased` record behind it could say why."""
    from bus.cli import verify

    leaf, payload = next(
        (n, json.loads(one.content)["payloads"][0]["id"]) for n, one in enumerate(small.leaves) if b"payloads" in one.content
    )
    change(file, "DELETE FROM payloads WHERE id = ?", payload)
    resume, stretches = tmp_path / "verify.json", iter(range(100))

    def interrupted(_size, _of):
        if next(stretches) == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(verify, "SAVE_EVERY", 0.0)
        patch.setattr(verify, "_bar", lambda: _moved(interrupted))
        assert auditor.says("--resume", resume)[0] == 130
    assert json.loads(resume.read_bytes())["size"] > leaf
    code, shown = auditor.shows("--resume", resume)
    assert (code, shown["fault"]["kind"], shown["fault"]["leaf"]) == (5, "payload", leaf)


def test_what_was_verified_before_must_still_be_there(auditor, file, small, tmp_path):
    resume = tmp_path / "verify.json"
    assert auditor.says("--resume", resume)[0] == 0
    size = small.sizes[-1]
    assert f"{size:,} records that were right at an earlier time" in auditor.says("--resume", resume)[1]
    size = small.sizes[-3]
    for table, column in (("checkpoints", "size"), ("anchors", "size")):
        change(file, f"DELETE FROM {table} WHERE {column} > ?", size)
    code, shown = auditor.shows("--resume", resume)
    assert (code, shown["fault"]["kind"], shown["fault"]["leaf"]) == (5, "rollback", size)


def test_a_log_of_which_all_checkpoints_were_removed_has_not_just_begun(auditor, file, small, tmp_path):
    resume = tmp_path / "verify.json"
    assert auditor.says("--resume", resume)[0] == 0
    one = held(tmp_path, small.checkpoints[2])
    change(file, "DELETE FROM checkpoints")
    assert auditor.shows()[1]["fault"]["kind"] == "rollback", "the tree is there, and nothing that signed it"
    for table in ("tiles", "anchors", "records"):
        for key in (True, False) if table != "records" else (True,):
            for options in (("--from-checkpoint", one), ("--resume", resume)):
                code, shown = auditor.shows(*options, keys=key)
                assert (code, shown["fault"]["kind"], shown["fault"]["leaf"]) == (5, "rollback", 0), (table, options)
        change(file, f"DELETE FROM {table}")
    code, shown = auditor.shows("--from-checkpoint", one)
    assert (code, shown["fault"]["sentence"]) == (5, "the log has no checkpoint any more: all of them were removed")
    code, shown = auditor.shows()
    assert (code, shown["fault"]["kind"]) == (5, "rollback"), "there are messages, and no record received them"
    for table in ("runs", "messages"):
        change(file, f"DELETE FROM {table}")
    code, said = auditor.says()
    assert (code, "the log has no checkpoint yet" in said) == (2, True), "nothing says that there was anything"


def test_a_file_that_is_no_state_is_refused(auditor, tmp_path):
    for content in (b"", b"{}", b'{"snodo": "log verify"}', b"[]"):
        (tmp_path / "state").write_bytes(content)
        code, said = auditor.says("--resume", tmp_path / "state")
        assert (code, "not what `bus log verify --resume` wrote" in said) == (2, True)


def test_a_key_or_a_checkpoint_of_somebody_else_does_not_fit(auditor, small, tmp_path):
    stranger = Signer.new(ORIGIN)
    code, said = auditor.says("--key", stranger.verifier, keys=False)
    assert (code, "no key that is trusted" in said) == (5, True)
    note = checkpoint_of(small.checkpoints[0].text).signed([stranger])
    code, said = auditor.says("--from-checkpoint", held(tmp_path, note))
    assert (code, "the checkpoint that you hold" in said) == (5, True)
    other = checkpoint_of(small.checkpoints[0].text)._replace(origin="altro.example").signed([small.signer])
    code, said = auditor.says("--from-checkpoint", held(tmp_path, other))
    assert (code, "of the log 'altro.example'" in said) == (2, True)


def test_a_log_that_no_witness_ever_saw(auditor):
    other = Signer.new("altro-testimone.example", 4)
    code, said = auditor.says("--witness-key", other.verifier)
    assert (code, "carries a cosignature of altro-testimone.example" in said) == (5, True)


def test_later_cosignatures_that_are_left_out_of_the_database_are_asked_of_the_witness(auditor, file, small, tmp_path):
    """Who has the log's key can write another history from the last cosignature on that he shows: only the witness knows."""
    last, behind = small.cosigned[0], len(small.leaves) - small.cosigned[0]
    change(file, "DELETE FROM anchors WHERE size > ?", last)
    code, said = auditor.says()
    assert code == 0
    assert re.search(rf"seen by {WITNESS.verifier.name} +{last} records", said)
    assert re.search(rf"seen by nobody +the last {behind} records: for these you have the operator's word alone", said)
    asked = f"{WITNESS.verifier.name}, who may have seen more, or another history: fetch GET /{place_of(ORIGIN)}/checkpoint from there"
    assert asked in said
    code, shown = auditor.shows()
    assert (shown["vouched"], shown["ask"]) == (last, [WITNESS.verifier.name])
    other = Checkpoint(ORIGIN, last + 1, bytes(32)).signed([small.signer])
    fetched = held(tmp_path, other.signed(WITNESS.sign(other.text, 1_800_000_000)))
    code, shown = auditor.shows("--from-checkpoint", fetched)
    assert (code, shown["fault"]["kind"]) == (5, "fork")
    code, said = auditor.says("--from-checkpoint", held(tmp_path, small.checkpoints[-1]))
    assert (code, "seen by nobody" in said, "fetch GET" in said) == (0, False, False)


def test_what_cannot_be_read_is_said(auditor, tmp_path):
    auditor.url = f"sqlite:///{tmp_path}/nowhere.db"
    code, said = auditor.says()
    assert (code, "cannot read the database" in said) == (3, True)
    assert not (tmp_path / "nowhere.db").exists()


def test_settings_are_read_without_their_secrets(auditor, file, tmp_path, capsys):
    settings = {"organization": {"name": "Prova", "fiscal_code": "00000000000"}, "adapters": {"x": {"password": {"env": "NON_CE"}}}}
    (tmp_path / "config.yaml").write_text(json.dumps({**settings, "store": {"url": f"sqlite:///{file}"}}))
    (tmp_path / "secret.yaml").write_text(json.dumps({**settings, "store": {"url": {"env": "NON_CE"}}}))
    assert main(["log", "verify", "--config", str(tmp_path / "config.yaml")]) == 0
    capsys.readouterr()
    assert main(["log", "verify", "--config", str(tmp_path / "secret.yaml")]) == 2
    assert "--store" in capsys.readouterr().err


def test_nothing_is_written_not_even_with_the_rights_to(auditor, file, small):
    before = file.read_bytes()
    file.chmod(0o444)
    assert auditor.says()[0] == 0
    assert file.read_bytes() == before


def test_a_server_that_may_only_be_read(postgresql_url, capsys):
    import psycopg

    small = write_log(postgresql_url, random.Random(8), 300)
    auditor = Auditor("", small, capsys)
    auditor.url = postgresql_url
    code, shown = auditor.shows()
    assert (code, shown["size"], shown["cosigned"][WITNESS.verifier.name]["size"]) == (0, len(small.leaves), len(small.leaves))
    with psycopg.connect(postgresql_url, autocommit=True) as raw:
        raw.execute(
            "INSERT INTO records OVERRIDING SYSTEM VALUE SELECT -3, 'x', 'refused', time, message, run, content FROM records WHERE seq = 9"
        )
        assert auditor.shows()[1]["fault"] | {"hint": ""} == {
            "kind": "inserted", "leaf": 0, "until": 0, "record": auditor.shows()[1]["fault"]["record"], "seq": -3, "hint": "",
            "sentence": "leaf 0: before it, and before all records, stands one that was never in the log",
        }  # fmt: skip
        raw.execute("ALTER TABLE records DISABLE TRIGGER USER")
        raw.execute("DELETE FROM records WHERE seq = -3")
        raw.execute("UPDATE runs SET state = 'waiting' WHERE state = 'done'")
        code, shown = auditor.shows()
        assert (code, shown["fault"]["kind"]) == (5, "table")
        raw.execute("DELETE FROM records WHERE seq = %s", [small.leaves[77].seq])
    code, shown = auditor.shows()
    assert (code, shown["fault"]["kind"], shown["fault"]["leaf"]) == (5, "missing", 77)


def test_a_checkpoint_is_printed_to_be_kept_with_its_cosignatures(auditor, file, small, tmp_path, capsys):
    capsys.readouterr()
    assert main(["log", "checkpoint", "--store", auditor.url]) == 0
    kept = tmp_path / "kept"
    kept.write_text(capsys.readouterr().out)
    note = parse(kept.read_bytes())
    assert (note.text, [one.name for one in note.signatures]) == (small.checkpoints[-1].text, [ORIGIN, WITNESS.verifier.name])
    assert auditor.says("--from-checkpoint", kept)[0] == 0
    change(file, "DELETE FROM anchors WHERE size > ?", small.cosigned[0])
    assert main(["log", "checkpoint", "--store", auditor.url, "--cosigned"]) == 0
    assert checkpoint_of(parse(capsys.readouterr().out.encode()).text).size == small.cosigned[0]
    change(file, "DELETE FROM anchors")
    assert main(["log", "checkpoint", "--store", auditor.url, "--cosigned"]) == 2


def test_time_stamps_are_verified_by_the_authority_that_the_auditor_trusts(auditor, file, small, tmp_path):
    first, other = Authority(tmp_path / "one"), Authority(tmp_path / "two")
    try:
        note = small.checkpoints[3]
        assert "none of the checkpoints that were looked at has a time stamp" in auditor.says("--timestamp-ca", first.root)[1]
        for content in (b"", note.encode()):
            (tmp_path / "root.pem").write_bytes(content)
            code, said = auditor.says("--timestamp-ca", tmp_path / "root.pem")
            assert (code, "no certificate of an authority" in said) == (2, True), said
        size, (answer, _) = checkpoint_of(note.text).size, outside.stamp(first.url, note.encode(), first.root.read_bytes())
        insert = "INSERT INTO anchors (kind, name, size, time, evidence) VALUES ('timestamp', 'marche.example', ?, '', ?)"
        change(file, insert, size, answer)
        code, said = auditor.says("--timestamp-ca", first.root)
        assert (code, f"{size:,} records, at 20" in said) == (0, True), said
        assert auditor.shows("--timestamp-ca", other.root)[1]["fault"]["kind"] == "timestamp"
        change(file, "UPDATE anchors SET size = ? WHERE kind = 'timestamp'", small.sizes[4])
        assert auditor.shows("--timestamp-ca", first.root)[1]["fault"]["kind"] == "timestamp"
        assert auditor.says()[0] == 0, "who brings no root has no opinion of stamps"
    finally:
        first.close()
        other.close()


# -- keys that follow each other ---------------------------------------------------------------------------------------


class Changing:
    """A log whose key is changed; ``witness`` cosigns its newest checkpoint."""

    def __init__(self, folder):
        self.url, self.clock = f"sqlite:///{folder}/chiavi.db", FixedClock(NOW)
        self.store = open_store(self.url)

    def turn(self, *signers, lost=()):
        """Three records more, sealed by these."""
        leases = Leases(self.store, self.clock, "prova")
        self.store.write(lambda tx: [log.append(tx, Record(new_id(), "polled", NOW)) for _ in range(3)]).result(30)
        lost = tuple(str(one.verifier) for one in lost)
        sequencer = Sequencer(self.store, self.clock, leases, ORIGIN, signers, lambda: 0.0, lost)
        sequencer.turn(), sequencer.turn()

    def cosign(self):
        with self.store.read() as tx:
            newest = StoredTree(tx).checkpoint()
        found = parse(newest.note)
        evidence = found.signed(WITNESS.sign(found.text, 1_800_000_000)).encode()
        told = {"kind": "witness", "name": WITNESS.verifier.name, "size": newest.size, "time": "", "evidence": evidence}
        self.store.write(lambda tx: tx.do("add_anchor", **told)).result(30)
        return found

    def says(self, *trusted, witness=False, held=()):
        """How it ends: the kind of the fault and its leaf, or the size."""
        keys = tuple(one.verifier for one in trusted)
        try:
            return verify(self.store.read, Trust(keys, (WITNESS.verifier,) if witness else (), tuple(held))).size
        except Broken as broken:
            return broken.fault.kind, broken.fault.leaf


@pytest.fixture
def changing(tmp_path):
    made = Changing(tmp_path)
    yield made
    made.store.close()


def test_a_key_is_followed_from_the_one_before_that_signed_for_it(changing):
    old, new, other = (Signer.new(ORIGIN) for _ in range(3))
    changing.turn(old), changing.turn(new, old), changing.turn(new)
    held = changing.cosign()
    assert changing.says(old) == changing.says(old, held=[held]) == changing.says() == changing.says(old, witness=True) == 12
    assert changing.says(other)[0] == "checkpoint"


def test_the_key_of_today_suffices_for_what_former_keys_signed(changing, tmp_path):
    """It signed, with the one before, who follows whom; and all that was before stands under a root that it signed."""
    first, second, third = (Signer.new(ORIGIN) for _ in range(3))
    changing.turn(first), changing.turn(second, first)
    kept = changing.cosign()
    changing.turn(second), changing.turn(third, second), changing.turn(third)
    assert changing.says(third) == changing.says(second, third) == changing.says(first) == changing.says(third, held=[kept]) == 20
    assert changing.says(second) == 20, "one from between leads to that of today, which signed for those before"
    change(tmp_path / "chiavi.db", "UPDATE records SET content = replace(content, 'polled', 'refused') WHERE seq = 3")
    assert changing.says(third) == ("altered", 2)


def test_a_key_from_between_that_was_lost_leads_nowhere(changing):
    first, second, third = (Signer.new(ORIGIN) for _ in range(3))
    changing.turn(first), changing.turn(second, first), changing.turn(second), changing.turn(third, lost=[second])
    assert changing.says(second) == ("checkpoint", None), "the word of the log alone"
    assert changing.says(second, third) == changing.says(third) == changing.says(first, third) == 16


def test_only_keys_that_a_known_one_has_signed_come_after_it():
    first, second, third, stranger = (Signer.new(ORIGIN) for _ in range(4))
    told = [(first,), (second, first), (third, second), (stranger,)]
    contents = [content_of(keys.announcement("checkpoints", ORIGIN, signers, FixedClock(NOW))) for signers in told]
    for known, after in ((first, {first, second, third}), (second, {second, third}), (third, {third}), (stranger, {stranger})):
        assert keys.later(contents, ORIGIN, {known.verifier}) == {one.verifier for one in after}
    assert keys.later(contents, "altro", {first.verifier}) == {first.verifier}


def test_whoever_still_has_a_former_key_cannot_end_the_log_with_it(changing, tmp_path):
    old, new = (Signer.new(ORIGIN) for _ in range(2))
    changing.turn(old), changing.turn(new, old)
    assert changing.says(new) == 8
    with changing.store.read() as tx:
        newest = StoredTree(tx).checkpoint()
    text = parse(newest.note).text
    change(tmp_path / "chiavi.db", "UPDATE checkpoints SET note = ? WHERE size = ?", Note(text, (old.sign(text),)).encode(), newest.size)
    assert changing.says(new) == ("checkpoint", None)
    assert changing.says(old) == 8, "who knows that key alone cannot tell"


def test_the_key_that_came_in_the_place_of_a_lost_one_suffices_too(changing):
    old, new = (Signer.new(ORIGIN) for _ in range(2))
    changing.turn(old), changing.turn(new, lost=[old])
    assert changing.says(new) == 8


def test_a_key_in_the_place_of_a_lost_one_is_taken_from_who_knows_it_and_never_on_the_word_of_the_log(changing):
    old, new, other = (Signer.new(ORIGIN) for _ in range(3))
    changing.turn(old)
    changing.turn(new, lost=[old])
    leaf = 7
    assert changing.says(old, new) == 8
    assert changing.says(old) == changing.says() == changing.says(old, other) == ("checkpoint", None)
    with pytest.raises(Broken, match="of 8 records") as told:
        verify(changing.store.read, Trust((old.verifier,)))
    assert f"leaf {leaf} names them" in told.value.fault.hint
    assert changing.says(old, witness=True)[0] == "checkpoint", "no witness has seen it"
    changing.cosign()
    assert changing.says(old, witness=True) == 8
    assert changing.says(old) == ("checkpoint", None), "nobody trusts that witness"


def test_a_key_that_was_lost_signs_nothing_any_more_also_when_it_turns_up(changing, tmp_path):
    old, new = (Signer.new(ORIGIN) for _ in range(2))
    changing.turn(old), changing.turn(new, lost=[old]), changing.turn(new)
    resume = []
    verify(
        changing.store.read,
        Trust((old.verifier, new.verifier)),
        None,
        lambda size, of, state: resume.append(State.decode(state().encode())),
    )
    with changing.store.read() as tx:
        newest = StoredTree(tx).checkpoint()
    forged = parse(newest.note)._replace(signatures=(old.sign(parse(newest.note).text),))
    change(tmp_path / "chiavi.db", "UPDATE checkpoints SET note = ? WHERE size = ?", forged.encode(), newest.size)
    assert changing.says(old, new) == ("checkpoint", None)
    middle = next(one for one in resume if one.size == 8)
    with pytest.raises(Broken, match="no key that is trusted"):
        verify(changing.store.read, Trust((old.verifier, new.verifier)), middle)


def test_keys_that_a_stranger_wrote_into_the_log_are_told(changing, monkeypatch):
    """Sealed by a sequencer of before, which looked at no announcement."""
    old, stranger = (Signer.new(ORIGIN) for _ in range(2))
    changing.turn(old)
    record = keys.announcement("checkpoints", ORIGIN, [stranger, old], changing.clock)
    data = {**record.data, "signed": keys.announcement("checkpoints", ORIGIN, [stranger], changing.clock).data["signed"]}
    changing.store.write(lambda tx: log.append(tx, record._replace(data=data))).result(30)
    monkeypatch.setattr(keys, "refuse_strangers", lambda contents, known: None)
    changing.turn(old)
    assert changing.says(old) == ("keys", 4)


def test_a_change_of_keys_of_before_changes_were_signed_takes_every_key_from_the_auditor(changing, monkeypatch):
    old, new = (Signer.new(ORIGIN) for _ in range(2))
    told = keys.announcement

    def unsigned(*how):
        record = told(*how)
        return record._replace(data={name: value for name, value in record.data.items() if name != "signed"})

    monkeypatch.setattr(keys, "announcement", unsigned)
    changing.turn(old), changing.turn(new, old)
    assert changing.says(old) == ("keys", 7)
    changing.turn(new)
    with pytest.raises(Broken) as found:
        verify(changing.store.read, Trust((old.verifier,)))
    assert re.search("leaf 7 names them without any signature, .* give those before and these, each with --key", found.value.fault.hint)
    assert changing.says(old, new) == 12
    changing.cosign()
    assert changing.says(old, witness=True) == 12


def test_traces_of_what_was_read_before_an_interruption_are_compared_too(changing, tmp_path):
    """Also where searches had not come to those records yet."""
    key, states = Signer.new(ORIGIN), []
    for _ in range(3):
        changing.turn(key)

    def follow(start=None):
        states.clear()
        return verify(
            changing.store.read, Trust((key.verifier,)), start, lambda size, of, state: states.append(State.decode(state().encode()))
        ).size

    size, untraced = follow(), states[0]
    while search.trace(changing.store):
        pass
    assert follow() == size
    traced = states[0]
    assert (untraced.traces, traced.traces) == (0, traced.size)
    assert follow(untraced) == follow(traced) == follow(states[-1]) == size
    change(tmp_path / "chiavi.db", "INSERT INTO traces SELECT facet, at - 1, seq FROM traces WHERE seq = (SELECT min(seq) FROM traces)")
    for start in (untraced, traced):
        with pytest.raises(Broken, match="the table `traces` holds"):
            follow(start)
    change(tmp_path / "chiavi.db", "DELETE FROM traces WHERE seq = (SELECT min(seq) FROM traces)")
    with pytest.raises(Broken, match="the table `traces` holds"):
        follow(traced)
    with pytest.raises(Broken, match="leaf 0: searches do not find"):
        follow(untraced)


# -- with the help of other processes ------------------------------------------------------------------------------------


@pytest.fixture
def helped(monkeypatch):
    """Other processes help with every log, a few records at a time."""
    monkeypatch.setattr(examine, "LARGE", 0)
    monkeypatch.setattr("bus.log.verify.PIECE", 50)


def test_other_processes_come_to_the_same_answer(helped, auditor, file, small, tmp_path):
    resume = tmp_path / "verify.json"
    code, shown = auditor.shows("--resume", resume)
    assert (code, shown["size"], shown["messages"]) == (
        0,
        len(small.leaves),
        sum(b'"kind":"received"' in one.content for one in small.leaves),
    )
    assert json.loads(resume.read_bytes())["size"] == len(small.leaves)
    change(file, "UPDATE runs SET reason = 'altra' WHERE id = (SELECT max(id) FROM runs)")
    change(file, "UPDATE records SET content = x'00' WHERE seq = ?", small.leaves[-3].seq)
    change(file, "UPDATE records SET run = 'altra' WHERE seq = ?", small.leaves[40].seq)
    fault = auditor.shows()[1]["fault"]
    assert (fault["kind"], fault["leaf"]) == ("column", 40), "what is before it is told first"


def test_a_process_that_is_killed_is_done_without(helped, auditor, monkeypatch):
    """As by the system, when memory is short."""
    monkeypatch.setattr(examine, "_help", _die)
    assert auditor.says()[0] == 0


def _die(stretch):
    os.kill(os.getpid(), signal.SIGKILL)


def test_helpers_end_with_a_process_that_is_killed(small, file, tmp_path):
    """They would wait for ever for work that nobody gives them."""
    asks = f"""
from bus.log.examine import Beside
from bus.store.opening import open_reader
if __name__ == "__main__":
    beside = Beside(None, "sqlite:///{file}")
    waiting = [beside._pool.submit(__import__("os").getpid) for _ in range(9)]
    print(*{{one.result() for one in waiting}}, flush=True)
    __import__("time").sleep(600)
"""
    (tmp_path / "chiede.py").write_text(asks)
    with subprocess.Popen([sys.executable, tmp_path / "chiede.py"], stdout=subprocess.PIPE, text=True) as asking:
        helpers = [int(one) for one in asking.stdout.readline().split()]
        asking.kill()
    assert helpers
    until = time.monotonic() + 60
    while (left := [one for one in helpers if _lives(one)]) and time.monotonic() < until:
        time.sleep(0.05)
    for one in left:
        os.kill(one, signal.SIGKILL)
    assert not left


def _lives(process):
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_is_half_done_is_not_in_what_an_interruption_leaves(auditor, small, tmp_path, monkeypatch):
    """Wherever it comes: in the midst of hashing too."""
    resume, hashed, at = tmp_path / "verify.json", examine.lines_of, iter(range(1000))

    def interrupted(tx, after, count):
        lines = hashed(tx, after, count)
        if next(at) == 9:
            raise KeyboardInterrupt
        return lines

    def extended(self, leaves, seqs):
        few = small.sizes[8] + 1 - self.size
        extend(self, *((leaves[:few], seqs[:few]) if 0 <= few < len(leaves) else (leaves, seqs)))
        if 0 <= few < len(leaves):
            raise KeyboardInterrupt

    extend = Edge.extend
    for target, name, instead in (("bus.log.verify", "lines_of", interrupted), ("bus.log.tiles.Edge", "extend", extended)):
        with monkeypatch.context() as patch:
            patch.setattr(f"{target}.{name}", instead)
            assert auditor.says("--resume", resume)[0] == 130, name
        assert json.loads(resume.read_bytes())["size"] in small.sizes
        code, shown = auditor.shows("--resume", resume)
        assert (code, shown["size"]) == (0, len(small.leaves))
        resume.unlink()
