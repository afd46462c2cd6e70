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
from contextlib import closing
from pathlib import Path

import pytest

from bus.anchors import outside
from bus.cli import main
from bus.errors import StoreError
from bus.log import examine
from bus.log.checkpoint import Checkpoint, checkpoint_of, place_of
from bus.log.note import COSIGNATURE, Signer, parse
from bus.log.stored import StoredTree
from bus.store import migrate
from bus.store.opening import open_reader
from tests.integration.auditing import Auditor, change
from tests.tamper.logs import NEVER, ORIGIN, WITNESS, write_log
from tests.tsa import Authority


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


def test_a_checkpoint_that_was_kept_with_other_ends_of_lines_is_taken_and_of_what_is_none_the_file_is_named(auditor, small, tmp_path):
    good, path = small.checkpoints[2].encode(), tmp_path / "tenuto.txt"
    for kept in (good.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + good):
        path.write_bytes(kept)
        code, said = auditor.says("--from-checkpoint", path)
        assert (code, "held by you  " in said) == (0, True)
    for kept in (b"", good + b"\n", good.partition(b"\n")[2], b"\xff" + good):
        path.write_bytes(kept)
        code, said = auditor.says("--from-checkpoint", held(tmp_path, small.checkpoints[1]), "--from-checkpoint", path)
        assert code == 2
        assert str(path) in said or "is of the log" in said


def test_the_time_of_a_checkpoint_which_nobody_signed_is_not_told(auditor, file):
    change(file, "UPDATE checkpoints SET time = '1999-12-31T23:59:59.000Z'")
    code, said = auditor.says()
    assert (code, "1999" in said) == (0, False)
    code, said = auditor.says("--json")
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
    assert "\n  hint    every leaf before it is as it was signed\n" in said
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
    with closing(sqlite3.connect(file)) as raw, raw:
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
    """No record is touched: only what commands show."""
    run = next(json.loads(one.content)["run"] for one in small.leaves if b'"state":"dead"' in one.content)
    leaf = max(n for n, one in enumerate(small.leaves) if run.encode() in one.content and b'"state":' in one.content)
    change(file, "UPDATE runs SET state = 'cancelled', reason = NULL WHERE id = ?", run)
    code, said = auditor.says()
    assert code == 5
    assert said.startswith(f"NOT VERIFIED  leaf {leaf}: the run {run} stands in the table `runs` with `state` 'cancelled', the log says ")
    assert small.leaves[leaf].id in said
    assert "look who can write to the database" in said


def test_a_record_that_was_changed_is_told_before_a_row_that_was(auditor, file, small):
    change(file, "UPDATE runs SET state = 'ready'")
    change(file, "UPDATE records SET content = x'00' WHERE seq = ?", small.leaves[-3].seq)
    code, shown = auditor.shows()
    assert (code, shown["fault"]["kind"], shown["fault"]["leaf"]) == (5, "altered", len(small.leaves) - 3)


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


def test_a_checkpoint_of_what_was_read_before_is_compared_too(auditor, small, tmp_path):
    resume = tmp_path / "verify.json"
    assert auditor.says("--resume", resume)[0] == 0
    code, said = auditor.says("--resume", resume, "--from-checkpoint", held(tmp_path, small.checkpoints[2]))
    assert (code, "held by you  " in said) == (0, True)
    assert not re.search(r"^  (signed|payloads) ", said, re.MULTILINE), "nothing of that was read now"
    other = checkpoint_of(small.checkpoints[2].text)._replace(root=b"x" * 32).signed([small.signer])
    code, shown = auditor.shows("--resume", resume, "--from-checkpoint", held(tmp_path, other))
    assert (code, shown["fault"]["kind"]) == (5, "fork")
    assert "without --resume" in shown["fault"]["hint"]
    stranger = checkpoint_of(small.checkpoints[2].text).signed([Signer.new(ORIGIN)])
    assert auditor.shows("--resume", resume, "--from-checkpoint", held(tmp_path, stranger))[1]["fault"]["kind"] == "checkpoint"


def test_the_key_of_receipts_makes_no_log_look_forged(auditor):
    receipts = Signer.new(f"{ORIGIN}/receipts").verifier
    code, said = auditor.says("--key", receipts, keys=False)
    assert (code, f"{ORIGIN}/receipts ({receipts.key_id.hex()}) signs receipts, not the log" in said) == (2, True)


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


def test_keys_taken_for_one_another_are_told_as_that_and_accuse_nobody(auditor, small):
    assert auditor.shows("--key", str(WITNESS.verifier))[0] == 2
    assert auditor.shows("--witness-key", str(small.signer.verifier))[0] == 2


def test_a_log_that_no_witness_ever_saw(auditor):
    other = Signer.new("altro-testimone.example", 4)
    code, said = auditor.says("--witness-key", other.verifier)
    assert (code, "carries a cosignature of altro-testimone.example" in said) == (5, True)


def test_later_cosignatures_that_are_left_out_of_the_database_are_asked_of_the_witness(auditor, file, small, tmp_path):
    """Whoever has the log's key can write another history from the last cosignature on that he shows: only the witness knows."""
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


def test_of_a_witness_that_changed_its_key_every_key_is_asked_for(auditor, file, small):
    """Under the same name: what was cosigned before bears the former one."""
    new = Signer.new(WITNESS.verifier.name, COSIGNATURE)
    evidence = small.checkpoints[-1].signed(new.sign(small.checkpoints[-1].text, 1_800_000_000)).encode()
    change(file, "UPDATE anchors SET evidence = ? WHERE kind = 'witness' AND size = ?", evidence, len(small.leaves))
    former = f"{WITNESS.verifier.name} ({WITNESS.verifier.key_id.hex()})"
    code, shown = auditor.shows("--witness-key", str(new.verifier), keys=False)
    assert (code, shown["fault"]["kind"], former in shown["fault"]["hint"]) == (5, "cosignature", True)
    assert auditor.says("--witness-key", str(new.verifier))[0] == 0


def test_of_a_cosignature_that_stands_for_another_size_no_key_of_before_is_asked_for(auditor, file, small):
    size = small.cosigned[0]
    other = next(number for number in range(1, len(small.leaves)) if number not in small.cosigned)
    change(file, "UPDATE anchors SET size = ? WHERE kind = 'witness' AND size = ?", other, size)
    code, shown = auditor.shows("--witness-key", str(WITNESS.verifier), keys=False)
    assert (code, shown["fault"]["kind"], shown["fault"]["hint"]) == (5, "cosignature", "")
    assert f"is one of {size:,} records of {ORIGIN}" in shown["fault"]["sentence"]


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


@pytest.mark.parametrize(
    "changes",
    [
        *([f"DROP TABLE {table}"] for table in ("anchors", "checkpoints", "marks", "messages", "payloads", "records", "runs", "tiles")),
        ["ALTER TABLE messages RENAME sender TO altro"],
        [
            "ALTER TABLE anchors RENAME TO altro",
            "CREATE VIEW anchors AS SELECT kind, name, size, time, abs(-1 << 63) AS evidence FROM altro",
        ],
    ],
    ids=" ".join,
)
def test_a_table_or_a_column_that_is_not_there_is_a_fault_and_no_database_that_is_away(changes, auditor, file):
    for change_ in changes:
        change(file, change_)
    code, shown = auditor.shows()
    assert (code, shown["fault"]["kind"]) == (5, "unreadable")
    assert shown["fault"]["sentence"].startswith("the database is not as this program knows it: ")


@pytest.mark.parametrize("column", ["id", "kind", "message"])
@pytest.mark.parametrize("written", [b"\x1b[2K\rVERIFIED  all\n", b"\xff\xfe", b"\xed\xa0\x80"])
def test_what_somebody_wrote_into_a_column_hides_no_verdict(auditor, file, small, column, written):
    """A terminal would obey it, and JSON has no such text."""
    change(file, f"UPDATE records SET {column} = CAST(? AS TEXT) WHERE seq = ?", written, small.leaves[-1].seq)
    code, said = auditor.says()
    assert (code, said.startswith("NOT VERIFIED  leaf")) == (5, True)
    assert all(one.isprintable() for one in said.replace("\n", ""))
    assert "\nVERIFIED" not in said
    code, shown = auditor.shows()
    assert (code, shown["fault"]["kind"]) == (5, "column")


def test_a_row_that_stands_twice_is_found_though_one_of_them_is_right(auditor, file):
    """SQLite and PostgreSQL refuse it by the key of the table, which its owner can drop."""
    for table, column in (("messages", "sender"), ("runs", "state"), ("payloads", "media_type")):
        change(file, f"ALTER TABLE {table} RENAME TO prima")
        columns = ", ".join(f"'altro' AS {one}" if one == column else one for one in _columns(file, "prima"))
        change(file, f"CREATE TABLE {table} AS SELECT {columns} FROM (SELECT * FROM prima LIMIT 1) UNION ALL SELECT * FROM prima")
        code, shown = auditor.shows()
        assert (code, shown["fault"]["kind"]) == (5, "table")
        assert f"two rows stand in the table `{table}` under the key " in shown["fault"]["sentence"]
        change(file, f"DROP TABLE {table}")
        change(file, f"ALTER TABLE prima RENAME TO {table}")
    assert auditor.says()[0] == 0


def test_a_case_and_a_key_of_one_that_stand_twice_are_found_though_the_rows_are_equal(auditor, file):
    for table, what in (("cases", "for the case "), ("case_keys", "for one key `")):
        change(file, f"ALTER TABLE {table} RENAME TO prima")
        change(file, f"CREATE TABLE {table} AS SELECT * FROM (SELECT * FROM prima LIMIT 1) UNION ALL SELECT * FROM prima")
        code, shown = auditor.shows()
        assert (code, shown["fault"]["kind"]) == (5, "table")
        assert shown["fault"]["sentence"].startswith(f"two rows stand in the table `{table}` {what}")
        change(file, f"DROP TABLE {table}")
        change(file, f"ALTER TABLE prima RENAME TO {table}")
    assert auditor.says()[0] == 0


def _columns(file, table) -> list[str]:
    with closing(sqlite3.connect(file)) as raw, raw:
        return [row[1] for row in raw.execute(f"PRAGMA table_info({table})")]


def test_a_server_on_which_something_was_dropped_or_replaced(postgresql_url, capsys):
    import psycopg

    auditor = Auditor("", write_log(postgresql_url, random.Random(9), 60), capsys)
    auditor.url = postgresql_url
    fails = "CREATE VIEW anchors AS SELECT kind, name, size, time, (1 / (size - size))::text::bytea AS evidence FROM altro"
    with psycopg.connect(postgresql_url, autocommit=True) as raw:
        for table in ("anchors", "marks", "records", "tiles"):
            raw.execute(f"ALTER TABLE {table} RENAME TO altro")
            assert auditor.shows()[1]["fault"]["kind"] == "unreadable", table
            raw.execute(f"ALTER TABLE altro RENAME TO {table}")
        raw.execute("ALTER TABLE messages RENAME sender TO altro")
        assert "column " in auditor.shows()[1]["fault"]["sentence"]
        raw.execute("ALTER TABLE messages RENAME altro TO sender")
        raw.execute("ALTER TABLE anchors RENAME TO altro")
        raw.execute(fails)
        code, shown = auditor.shows()
        assert (code, "division by zero" in shown["fault"]["sentence"]) == (5, True)
        raw.execute("DROP VIEW anchors")
        raw.execute("ALTER TABLE altro RENAME TO anchors")
        assert auditor.shows()[0] == 0
        raw.execute("DROP TABLE schema_revision")
        code, said = auditor.says()
        assert (code, "a table records is there, and the revision of the schema" in said) == (3, True)
        for asked in (migrate.status, migrate.migrate):
            with pytest.raises(StoreError, match="a table records is there, and the revision of the schema"):
                asked(postgresql_url)


def test_a_role_without_rights_is_told_the_grants_of_who_only_reads(postgresql_url, capsys):
    import psycopg

    auditor = Auditor("", write_log(postgresql_url, random.Random(9), 60), capsys)
    with psycopg.connect(postgresql_url, autocommit=True) as owner:
        owner.execute("DROP ROLE IF EXISTS guarda")
        owner.execute("CREATE ROLE guarda LOGIN")
        try:
            auditor.url = re.sub(r"//[^@]*@", "//guarda@", postgresql_url)
            code, said = auditor.says()
            assert (code, "for a user who only reads: GRANT USAGE ON SCHEMA public, and SELECT ON ALL TABLES" in said) == (3, True)
            owner.execute("GRANT USAGE ON SCHEMA public TO guarda")
            owner.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO guarda")
            assert auditor.says()[0] == 0
        finally:
            owner.execute("DROP OWNED BY guarda")
            owner.execute("DROP ROLE guarda")


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
        hidden = max(row[0] for row in raw.execute("SELECT seq FROM traces"))
        view = raw.execute("SELECT pg_get_viewdef('traced')").fetchone()[0].rstrip(";")
        made = f"CREATE VIEW traced AS {view}"
        raw.execute(f"CREATE OR REPLACE VIEW traced AS SELECT * FROM ({view}) v WHERE seq <> {hidden}")
        fault = auditor.shows()[1]["fault"]
        assert (fault["kind"], fault["seq"]) == ("table", hidden), "a record that a view hides from searches"
        raw.execute("INSERT INTO intake_keys SELECT scope, key || 'x', message, content FROM intake_keys LIMIT 1")
        raw.execute("DROP VIEW traced")
        raw.execute(made)
        assert "by a row of `intake_keys` that no record made" in auditor.shows()[1]["fault"]["sentence"]
        raw.execute("DELETE FROM intake_keys WHERE key LIKE '%x'")
        assert auditor.shows()[0] == 0
        raw.execute("INSERT INTO matches SELECT id, 'x' FROM runs LIMIT 1")
        assert "(x) was made by no record" in auditor.shows()[1]["fault"]["sentence"]
        raw.execute("DELETE FROM matches WHERE message = 'x'")
        raw.execute("UPDATE waits SET deadline = 'mai' WHERE run = (SELECT max(run) FROM waits)")
        assert "stands in the table `waits` with `deadline` 'mai'" in auditor.shows()[1]["fault"]["sentence"]
        raw.execute("UPDATE waits SET deadline = %s", [NEVER])
        raw.execute("INSERT INTO waits (run, path, place, case_id, state, late) SELECT id, 'x', '', case_id, 'open', 0 FROM runs LIMIT 1")
        assert "a row of the table `waits`" in auditor.shows()[1]["fault"]["sentence"]
        raw.execute("DELETE FROM waits WHERE path = 'x'")
        raw.execute("UPDATE intake_keys SET content = 'altro'")
        assert "does not stand in the table `intake_keys` as its record says" in auditor.shows()[1]["fault"]["sentence"]
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
    words = [sys.executable, "-m", "bus.cli", "log", "checkpoint", "--store", auditor.url]
    elsewhere = subprocess.run(words, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, timeout=120, check=True)
    assert elsewhere.stdout == kept.read_bytes(), "in a terminal that has no dash of that length"
    change(file, "DELETE FROM anchors WHERE size > ?", small.cosigned[0])
    assert main(["log", "checkpoint", "--store", auditor.url, "--cosigned"]) == 0
    assert checkpoint_of(parse(capsys.readouterr().out.encode()).text).size == small.cosigned[0]
    change(file, "DELETE FROM anchors")
    assert main(["log", "checkpoint", "--store", auditor.url, "--cosigned"]) == 2
    assert "next: no witness has cosigned one" in capsys.readouterr().err


@pytest.mark.parametrize("column", ["note", "root"])
def test_what_somebody_put_in_the_place_of_a_checkpoint_is_not_printed_as_one(auditor, file, capsys, column):
    change(file, f"UPDATE checkpoints SET {column} = 'un testo'")
    assert main(["log", "checkpoint", "--store", auditor.url]) == 2
    assert "is not one of the bus" in capsys.readouterr().err


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
        fault = auditor.shows("--timestamp-ca", other.root)[1]["fault"]
        assert (fault["kind"], "it takes several" in fault["hint"]) == ("timestamp", True)
        (tmp_path / "root.pem").write_bytes(other.root.read_bytes() + first.root.read_bytes())
        assert auditor.says("--timestamp-ca", tmp_path / "root.pem")[0] == 0, "the authority was changed: both roots are given"
        change(file, "UPDATE anchors SET size = ? WHERE kind = 'timestamp'", small.sizes[4])
        assert auditor.shows("--timestamp-ca", first.root)[1]["fault"]["kind"] == "timestamp"
        assert auditor.says()[0] == 0, "who brings no root has no opinion of stamps"
    finally:
        first.close()
        other.close()


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
