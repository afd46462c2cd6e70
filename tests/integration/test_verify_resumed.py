"""`bus log verify --resume`: it goes on where it was interrupted, and forgets nothing that it had found."""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
from contextlib import closing, nullcontext

import pytest

from bus.anchors import outside
from bus.cli import verify
from bus.log import examine
from bus.log.checkpoint import checkpoint_of
from bus.log.tiles import Edge
from tests.integration.auditing import Auditor, change
from tests.tamper.logs import WITNESS, write_log
from tests.tamper.on_records import (
    a_record_and_everything_signed_by_a_stranger,
    another_history_against_a_checkpoint_that_the_auditor_holds,
)
from tests.tsa import Authority


def interrupt(auditor, resume, monkeypatch, *, stretch, behind=0):
    """Verify, and be interrupted at the end of a stretch: this one of those that end behind a leaf. What was done is saved after each."""
    stretches = itertools.count(1)

    def interrupted(size, _of):
        if size > behind and next(stretches) == stretch:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(verify, "SAVE_EVERY", 0.0)
        patch.setattr(verify, "bar", lambda doing, what: nullcontext(interrupted))
        assert auditor.says("--resume", resume)[0] == 130


def test_a_reply_exchanged_in_its_table_is_named_and_not_forgotten_over_an_interruption(auditor, file, small, tmp_path, monkeypatch):
    leaf = next(n for n, one in enumerate(small.leaves) if b'"kind":"replied"' in one.content)
    message = json.loads(small.leaves[leaf].content)["message"]
    change(file, "UPDATE messages SET reply = (SELECT id FROM payloads WHERE message <> ?) WHERE id = ?", message, message)
    resume = tmp_path / "verify.json"
    interrupt(auditor, resume, monkeypatch, stretch=2, behind=leaf)
    code, shown = auditor.shows("--resume", resume)
    assert (code, shown["fault"]["kind"]) == (5, "table")
    assert f"the message {message} stands in the table `messages` with `reply`" in shown["fault"]["sentence"]


def test_it_goes_on_where_it_was_interrupted_and_reads_nothing_twice(auditor, file, small, tmp_path, monkeypatch):
    resume = tmp_path / "verify.json"
    interrupt(auditor, resume, monkeypatch, stretch=4)
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


def test_a_payload_that_is_gone_is_not_forgotten_over_an_interruption(auditor, file, small, tmp_path, monkeypatch):
    """It may be told at the end only: an `erased` record behind it could say why."""
    leaf, payload = next(
        (n, json.loads(one.content)["payloads"][0]["id"]) for n, one in enumerate(small.leaves) if b"payloads" in one.content
    )
    change(file, "DELETE FROM payloads WHERE id = ?", payload)
    resume = tmp_path / "verify.json"
    interrupt(auditor, resume, monkeypatch, stretch=7)
    assert json.loads(resume.read_bytes())["size"] > leaf
    code, shown = auditor.shows("--resume", resume)
    assert (code, shown["fault"]["kind"], shown["fault"]["leaf"]) == (5, "payload", leaf)


def test_a_place_that_cannot_be_written_hides_no_verdict(auditor, file, small, tmp_path, monkeypatch):
    """Said once; the log is what it is."""
    monkeypatch.setattr(verify, "SAVE_EVERY", 0.0)
    nowhere = tmp_path / "none" / "verify.json"
    code, said = auditor.says("--resume", nowhere)
    assert code == 0
    assert said.startswith("VERIFIED")
    assert said.count(f"how far it came is not remembered: No such file or directory: {nowhere}") == 1
    change(file, "UPDATE records SET content = x'00' WHERE seq = ?", small.leaves[-1].seq)
    assert 5 == auditor.says("--resume", nowhere)[0]


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


def test_another_history_of_as_many_records_is_not_taken_for_the_one_that_was_read(auditor, file, small, tmp_path):
    """The operator himself wrote it, with the key of the log: nothing is new, so nothing is hashed."""
    resume = tmp_path / "verify.json"
    change(file, "DELETE FROM anchors")
    auditor.keys = auditor.keys[:2]
    assert auditor.says("--resume", resume)[0] == 0
    with closing(sqlite3.connect(file)) as raw, raw:
        another_history_against_a_checkpoint_that_the_auditor_holds(raw, random.Random(3), small)
    code, shown = auditor.shows("--resume", resume)
    assert (code, shown["fault"]["kind"]) == (5, "fork")
    assert f"what was read at an earlier time, {len(small.leaves):,} records, is not what this log" in shown["fault"]["sentence"]


def test_what_was_right_by_the_logs_own_word_alone_is_read_again_when_its_key_is_given(auditor, file, small, tmp_path):
    """The operator signed another history with a key of his own, and the log names that one."""
    change(file, "SELECT 1")
    with closing(sqlite3.connect(file)) as raw, raw:
        a_record_and_everything_signed_by_a_stranger(raw, random.Random(7), small)
        raw.execute("DELETE FROM anchors")
    auditor.keys = auditor.keys[:2]
    resume = tmp_path / "verify.json"
    assert auditor.says("--resume", resume, keys=False)[0] == 0
    code, said = auditor.says("--resume", resume)
    assert (code, "evidence.own-word" in said) == (2, True)
    assert auditor.says("--resume", tmp_path / "other.json")[0] == 5


def test_the_keys_that_were_given_once_count_without_giving_them_again_and_the_logs_own_word_does_not(auditor, tmp_path):
    resume = tmp_path / "verify.json"
    assert auditor.shows("--resume", resume)[1]["own_word"] is False
    kept = json.loads(resume.read_bytes())["keys"]
    code, shown = auditor.shows("--resume", resume, keys=False)
    assert (code, shown["own_word"], json.loads(resume.read_bytes())["keys"]) == (0, False, kept)
    assert auditor.says("--resume", resume)[0] == 0


def test_a_file_that_is_no_state_is_refused(auditor, tmp_path):
    for content in (b"", b"{}", b'{"snodo": "log verify"}', b"[]"):
        (tmp_path / "state").write_bytes(content)
        code, said = auditor.says("--resume", tmp_path / "state")
        assert (code, f"{tmp_path / 'state'}: this is not what `bus log verify --resume` wrote" in said) == (2, True)


@pytest.mark.parametrize("name", ["size", "seq", "vouched", "traced", "traces", "absent", "keys", "tiles", "lost", "row"])
def test_a_state_of_which_a_part_was_damaged_is_refused(auditor, tmp_path, name):
    resume = tmp_path / "verify.json"
    assert auditor.says("--resume", resume)[0] == 0
    kept = json.loads(resume.read_bytes())
    for damaged in (None, -1, "x", True):
        if (name, damaged) == ("row", None):
            continue
        resume.write_text(json.dumps(kept | {name: damaged}))
        code, said = auditor.says("--resume", resume)
        assert (code, f"{resume}: this is not what `bus log verify --resume` wrote" in said) == (2, True), (damaged, said)


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


def test_a_witness_that_has_seen_nothing_since_is_late_and_no_fault(auditor, file, small, tmp_path, monkeypatch):
    """It is away for a day: all the log says otherwise without --resume, and must with it."""
    last = small.cosigned[-2]
    change(file, "DELETE FROM anchors WHERE size > ?", last)
    resume = tmp_path / "verify.json"
    interrupt(auditor, resume, monkeypatch, stretch=1, behind=last)
    for start in (json.loads(resume.read_bytes())["size"], len(small.leaves)):
        code, shown = auditor.shows("--resume", resume)
        assert (code, shown["start"], shown["vouched"]) == (0, start, last)
        assert shown["cosigned"][WITNESS.verifier.name]["size"] == last
    other = checkpoint_of(small.checkpoints[small.sizes.index(last)].text)._replace(root=b"x" * 32).signed([small.signer])
    change(file, "UPDATE anchors SET evidence = ? WHERE size = ?", other.signed(WITNESS.sign(other.text, 1_800_000_000)).encode(), last)
    code, shown = auditor.shows("--resume", resume)
    assert (code, shown["fault"]["kind"]) == (5, "fork")
    assert f"that {WITNESS.verifier.name} cosigned" in shown["fault"]["sentence"]
    change(file, "DELETE FROM anchors")
    code, shown = auditor.shows("--resume", resume)
    assert (code, shown["fault"]["kind"]) == (5, "cosignature")


def test_a_time_stamp_that_came_when_its_checkpoint_had_been_read_is_verified_too(auditor, file, small, tmp_path):
    """It is asked for when the checkpoint is signed: an auditor who comes in between would never look at it."""
    authority, resume = Authority(tmp_path / "marche"), tmp_path / "verify.json"
    try:
        options = ("--resume", resume, "--timestamp-ca", authority.root)
        assert auditor.shows(*options)[1]["unstamped"] is True
        note, size = small.checkpoints[-1], small.sizes[-1]
        insert = "INSERT INTO anchors (kind, name, size, time, evidence) VALUES ('timestamp', 'marche.example', ?, '', ?)"
        change(file, insert, size, outside.stamp(authority.url, note.encode(), authority.root.read_bytes())[0])
        code, shown = auditor.shows(*options)
        assert (code, shown["unstamped"], shown["stamped"]["marche.example"]["size"]) == (0, False, size)
        forged = outside.stamp(authority.url, b"un altro testo", authority.root.read_bytes())[0]
        change(file, "UPDATE anchors SET evidence = ? WHERE kind = 'timestamp'", forged)
        code, shown = auditor.shows(*options)
        assert (code, shown["fault"]["kind"]) == (5, "timestamp")
    finally:
        authority.close()


def test_what_was_read_of_another_log_of_that_name_accuses_no_record_of_this_one(auditor, tmp_path, capsys, monkeypatch):
    resume = tmp_path / "verify.json"
    interrupt(auditor, resume, monkeypatch, stretch=3)
    file = tmp_path / "altro.db"
    other = Auditor(file, write_log(f"sqlite:///{file}", random.Random(11), 300), capsys)
    assert other.says(keys=False)[0] == 0
    code, shown = other.shows("--resume", resume, keys=False)
    assert (code, shown["fault"]["kind"]) == (5, "fork")
    assert "is not what this log begins with" in shown["fault"]["sentence"]
    assert "does the file of --resume belong to another log?" in shown["fault"]["hint"]
