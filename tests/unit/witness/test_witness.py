"""The witness cosigns what only adds to what it saw before, and answers everything else as c2sp.org/tlog-witness says."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import ConfigError, EvidenceError
from bus.log import note as notes
from bus.log.checkpoint import checkpoint_of, cosigned, place_of
from bus.log.note import COSIGNATURE, Note, Signer
from bus.witness.door import Door
from bus.witness.memory import Memory, begin, put_back
from bus.witness.settings import load
from bus.witness.witness import MOST_BYTES, Refusal, Witness, request_of
from tests.small_log import SmallLog, request

ORIGIN, NOW = "registro.comune.example/snodo", 1_800_000_000
LOG_KEY, NEXT_KEY = Signer.new(ORIGIN), Signer.new(ORIGIN)
OURS = Signer.new("testimone.provincia.example/t1", COSIGNATURE)
LOG = SmallLog(ORIGIN, LOG_KEY)
FORK = SmallLog(ORIGIN, LOG_KEY, salt="altro ")


@pytest.fixture
def memory(tmp_path):
    begin(tmp_path, [ORIGIN])
    made = Memory(tmp_path, [ORIGIN], [OURS.verifier])
    yield made
    made.close()


@pytest.fixture
def witness(memory):
    return Witness(OURS, {ORIGIN: [LOG_KEY.verifier, NEXT_KEY.verifier]}, memory, lambda: NOW)


@pytest.fixture
def door(witness):
    """Ask the ASGI application: status, media type, text."""
    app = Door(witness)

    def ask(method: str, path: str, body: bytes = b"", pieces: int = 1):
        size = max(1, len(body) // pieces)
        parts = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
        events = [{"type": "http.request", "body": part, "more_body": n + 1 < len(parts)} for n, part in enumerate(parts)]
        sent = []

        async def receive():
            return events.pop(0) if events else {"type": "http.disconnect"}

        async def send(event):
            sent.append(event)

        asyncio.run(app({"type": "http", "method": method, "path": path}, receive, send))
        head, tail = sent
        return head["status"], dict(head["headers"])[b"content-type"].decode(), tail["body"].decode()

    return ask


def refused(witness, body: bytes) -> int:
    with pytest.raises(Refusal) as caught:
        witness.add(body)
    return caught.value.status


def test_a_log_that_grows_is_cosigned_step_by_step(door):
    old = 0
    for size in (0, 1, 1, 2, 7, 8, 8, 100):
        status, media, text = door("POST", "/add-checkpoint", LOG.request(old, size))
        assert (status, media) == (200, "text/plain; charset=utf-8")
        assert text.startswith("— testimone.provincia.example/t1 ")
        assert text.endswith("\n")
        note = LOG.checkpoint(size)
        [(_, signature)] = cosigned(notes.parse(note.encode() + text.encode()), [OURS.verifier])
        assert signature.time == NOW
        old = size


def test_whoever_asks_sees_the_last_checkpoint_with_both_signatures(door):
    address = f"/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    assert door("GET", address)[0] == 404
    door("POST", "/add-checkpoint", LOG.request(0, 5))
    note = notes.parse(door("GET", address)[2].encode())
    assert (5, LOG.root(5)) == checkpoint_of(note.text)[1:3]
    assert len(notes.verify(note, [LOG_KEY.verifier])) == 1
    assert len(cosigned(note, [OURS.verifier])) == 1
    assert [door("GET", path)[0] for path in ("/", "/" + "0" * 64 + "/checkpoint", address.upper(), f"/x{address}")] == [404] * 4


def test_an_old_size_that_is_not_ours_is_answered_with_ours(door):
    door("POST", "/add-checkpoint", LOG.request(0, 5))
    for old in (0, 3, 6):
        assert door("POST", "/add-checkpoint", LOG.request(old, 9)) == (409, "text/x.tlog.size", "5\n")
    assert door("POST", "/add-checkpoint", LOG.request(5, 9))[0] == 200
    assert door("POST", "/add-checkpoint", LOG.request(5, 7)) == (409, "text/x.tlog.size", "9\n")


def test_a_rollback_is_never_cosigned(witness):
    witness.add(LOG.request(0, 9))
    assert refused(witness, LOG.request(5, 5)) == 409
    assert refused(witness, request(9, [], LOG.checkpoint(5))) == 400
    assert refused(witness, request(9, LOG.proof(5, 9), LOG.checkpoint(5))) == 400


def test_a_fork_is_never_cosigned_whatever_proof_comes_with_it(witness):
    witness.add(LOG.request(0, 9))
    for size in (9, 10, 16, 30):
        for proof in (LOG.proof(9, size), FORK.proof(9, size), [], [bytes(32)], FORK.proof(9, size)[:-1], [*LOG.proof(9, size), bytes(32)]):
            assert refused(witness, request(9, proof, FORK.checkpoint(size))) == 422
    assert witness.last(ORIGIN).text == LOG.checkpoint(9).text


def test_a_proof_where_none_is_needed_is_refused(witness):
    assert refused(witness, request(0, [bytes(32)], LOG.checkpoint(4))) == 422
    witness.add(LOG.request(0, 4))
    assert refused(witness, request(4, [bytes(32)], LOG.checkpoint(4))) == 422


def test_an_empty_tree_has_the_root_of_an_empty_tree(witness):
    wrong = checkpoint_of(LOG.checkpoint(0).text)._replace(root=bytes(32)).signed([LOG_KEY])
    assert refused(witness, request(0, [], wrong)) == 422
    assert witness.last(ORIGIN) is None


def test_who_signed_is_looked_at_before_anything_else(witness):
    stranger, unknown = SmallLog(ORIGIN, Signer.new(ORIGIN)), SmallLog("altro.example", LOG_KEY)
    assert refused(witness, stranger.request(0, 4)) == 403
    assert refused(witness, request(9, [], stranger.checkpoint(4))) == 403
    assert refused(witness, unknown.request(0, 4)) == 404
    spoilt = LOG.checkpoint(4).signed(NEXT_KEY.sign("another text\n"))
    assert refused(witness, request(0, [], spoilt)) == 403
    signed_by_witness = Note(LOG.checkpoint(4).text, (OURS.sign(LOG.checkpoint(4).text, NOW),))
    assert refused(witness, request(0, [], signed_by_witness)) == 403


def test_a_log_may_change_its_key(witness):
    witness.add(LOG.request(0, 4))
    witness.add(SmallLog(ORIGIN, LOG_KEY, NEXT_KEY).request(4, 6))
    witness.add(SmallLog(ORIGIN, NEXT_KEY).request(6, 7))
    assert notes.verify(witness.last(ORIGIN), [NEXT_KEY.verifier])


def test_signatures_of_others_are_neither_looked_at_nor_remembered(witness):
    other = Signer.new("altro.example")
    note = LOG.checkpoint(4)
    witness.add(request(0, [], note.signed(other.sign(note.text))))
    assert [signature.name for signature in witness.last(ORIGIN).signatures] == [ORIGIN, OURS.verifier.name]


def test_extension_lines_are_cosigned_with_the_rest(witness):
    signature = witness.add(LOG.request(0, 4, "una riga"))
    assert OURS.verifier.verifies(LOG.checkpoint(4, "una riga").text, signature)
    assert not OURS.verifier.verifies(LOG.checkpoint(4).text, signature)


GOOD = LOG.request(0, 4)
HASH_LINE = base64.b64encode(bytes(32)) + b"\n"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\n\n", b"old 0", b"old 0\n", GOOD.replace(b"old 0", b"old -1"), GOOD.replace(b"old 0", b"old 00"), GOOD.replace(b"old 0", b"old"),
        GOOD.replace(b"old 0", b"OLD 0"), GOOD.replace(b"old 0", b"old  0"), GOOD.replace(b"old 0\n", b"old 0\r\n"), GOOD.replace(b"old 0\n", b"old 0"),
        GOOD.replace(b"old 0\n", b"old 0\nAAAA\n"), GOOD.replace(b"old 0\n", b"old 0\n" + HASH_LINE[:-2] + b"\n"),
        GOOD.replace(b"old 0\n", b"old 0\n" + HASH_LINE * 64), GOOD[:-1], GOOD.replace("—".encode(), b"-"), GOOD.replace(b"\n4\n", b"\n04\n"),
        GOOD.replace(b"old 0\n", b"old 0\n\xff\n"), GOOD + b"\n",
    ],
)  # fmt: skip
def test_what_is_not_in_the_form_is_refused(witness, body):
    assert refused(witness, body) in ((403, 400) if b"04" in body else (400,))
    assert witness.last(ORIGIN) is None


def test_sixty_three_lines_of_a_proof_are_read():
    assert len(request_of(GOOD.replace(b"old 0\n", b"old 0\n" + HASH_LINE * 63)).proof) == 63


@given(st.binary(max_size=200), st.integers(0, len(GOOD)))
def test_no_rubbish_breaks_the_parser(rubbish, at):
    for body in (rubbish, GOOD[:at] + rubbish + GOOD[at:], GOOD[:at]):
        try:
            request_of(body)
        except Refusal as refused:
            statuses = {refused.status}
        else:
            statuses = {400}
        assert statuses == {400}


def test_bodies_are_bounded_and_may_come_in_pieces(door):
    assert door("POST", "/add-checkpoint", b"x" * (MOST_BYTES + 1), pieces=7)[0] == 413
    assert door("POST", "/add-checkpoint", LOG.request(0, 4), pieces=9)[0] == 200
    assert door("GET", "/add-checkpoint")[0] == 405


def test_two_at_once_never_overtake_each_other(witness):
    """The race of the specification: many ask for other sizes from the same old one, and exactly one is cosigned each time."""
    old = 0
    with ThreadPoolExecutor(8) as pool:
        for _ in range(12):
            sizes = [old + n for n in (3, 1, 7, 2, 5, 4, 8, 6)]
            answers = list(pool.map(lambda size, old=old: _try(witness, LOG.request(old, size)), sizes))
            [won] = [size for size, answer in zip(sizes, answers, strict=True) if answer == 200]
            assert sorted(answers) == [200] + [409] * 7
            assert checkpoint_of(witness.last(ORIGIN).text).size == won
            old = won


def _try(witness, body: bytes) -> int:
    try:
        witness.add(body)
    except Refusal as refusal:
        return refusal.status
    return 200


# -- the memory -------------------------------------------------------------------------------------------------------


def test_the_checkpoint_is_on_the_disk_before_its_cosignature_is_known(witness, monkeypatch):
    """File, rename and folder are synced, in this order; only then is there an answer."""
    story = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor):
        story.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", lambda new, final: (story.append("rename"), replace(new, final))[1])
    witness.add(LOG.request(0, 4))
    assert list(dict.fromkeys(story))[-3:] == [f"sync .checkpoint.{os.getpid()}", "rename", f"sync {place_of(ORIGIN)}"]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_what_cannot_be_remembered_is_not_cosigned(door, witness, monkeypatch, broken):
    door("POST", "/add-checkpoint", LOG.request(0, 4))

    def fail(*_):
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync") if broken == "fsync" else (Path, "replace")), fail)
        status, _, text = door("POST", "/add-checkpoint", LOG.request(4, 6))
    assert (status, "—" in text) == (500, False)
    assert checkpoint_of(witness.last(ORIGIN).text).size == 4
    assert door("POST", "/add-checkpoint", LOG.request(4, 6))[0] == 200


def test_a_witness_that_starts_again_remembers(memory, tmp_path):
    Witness(OURS, {ORIGIN: [LOG_KEY.verifier]}, memory, lambda: NOW).add(LOG.request(0, 9))
    memory.close()
    with closing(Memory(tmp_path, [ORIGIN], [OURS.verifier])) as again:
        witness = Witness(OURS, {ORIGIN: [LOG_KEY.verifier]}, again, lambda: NOW)
        assert refused(witness, FORK.request(0, 12)) == 409
        assert [refused(witness, FORK.request(9, size)) for size in (9, 10, 12, 16)] == [422] * 4, "a fork that knows where we were"
        assert witness.add(LOG.request(9, 12))


def test_a_memory_that_we_did_not_sign_stops_the_witness(memory, tmp_path):
    Witness(OURS, {ORIGIN: [LOG_KEY.verifier]}, memory, lambda: NOW).add(LOG.request(0, 9))
    memory.close()
    file = tmp_path / place_of(ORIGIN) / "checkpoint"
    kept = file.read_bytes()
    other = Signer.new(OURS.verifier.name, COSIGNATURE)
    for content in (b"", kept[: len(kept) // 2], FORK.checkpoint(3).encode(), kept.replace(b"\n9\n", b"\n8\n")):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match="not a checkpoint that we cosigned") as caught:
            Memory(tmp_path, [ORIGIN], [OURS.verifier])
        assert caught.value.code == "witness.memory"
    file.write_bytes(kept)
    Memory(tmp_path, [ORIGIN], [other.verifier, OURS.verifier]).close()  # its own key was changed since


def test_a_witness_that_knows_nothing_of_a_log_starts_only_where_somebody_said_that_it_begins(tmp_path):
    with pytest.raises(ConfigError, match="knows nothing of the log") as caught:
        Memory(tmp_path, [ORIGIN], [OURS.verifier])
    assert (caught.value.code, "bus witness begin --from-checkpoint" in caught.value.hint) == ("witness.memory", True)
    assert begin(tmp_path, [ORIGIN]) == [ORIGIN]
    for _ in range(2):  # it may be started again before the first checkpoint comes
        Memory(tmp_path, [ORIGIN], [OURS.verifier]).close()
    with pytest.raises(ConfigError, match="altro"):
        Memory(tmp_path, [ORIGIN, "altro"], [OURS.verifier])


@pytest.mark.parametrize("lost", ["file", "folder", "while at work"])
def test_a_witness_whose_memory_is_lost_cosigns_no_log_that_was_rolled_back(memory, door, witness, tmp_path, lost):
    assert door("POST", "/add-checkpoint", LOG.request(0, 9))[0] == 200
    kept = witness.last(ORIGIN)
    (tmp_path / place_of(ORIGIN) / "checkpoint").unlink()
    if lost == "while at work":
        assert door("POST", "/add-checkpoint", FORK.request(0, 5))[0] == 500
        assert door("GET", f"/{place_of(ORIGIN)}/checkpoint")[0] == 500
        return
    if lost == "folder":
        (tmp_path / place_of(ORIGIN)).rmdir()
    memory.close()
    with pytest.raises(ConfigError, match="knows nothing of the log"):
        Memory(tmp_path, [ORIGIN], [OURS.verifier])
    put_back(tmp_path, kept, [ORIGIN], [OURS.verifier])
    with closing(Memory(tmp_path, [ORIGIN], [OURS.verifier])) as again:
        assert refused(Witness(OURS, {ORIGIN: [LOG_KEY.verifier]}, again, lambda: NOW), FORK.request(9, 12)) == 422


def test_only_a_newer_checkpoint_of_our_logs_that_we_cosigned_is_put_back(memory, witness, tmp_path):
    witness.add(LOG.request(0, 4))
    old = witness.last(ORIGIN)
    witness.add(LOG.request(4, 9))
    with pytest.raises(ConfigError, match="another witness uses"):
        put_back(tmp_path, old, [ORIGIN], [OURS.verifier])
    memory.close()
    for note, origins, keys in (
        (old, [ORIGIN], [OURS.verifier]),
        (old, ["altro"], [OURS.verifier]),
        (LOG.checkpoint(12), [ORIGIN], [OURS.verifier]),
        (old, [ORIGIN], [Signer.new(OURS.verifier.name, COSIGNATURE).verifier]),
    ):
        with pytest.raises((ConfigError, EvidenceError)):
            put_back(tmp_path, note, origins, keys)
    assert begin(tmp_path, [ORIGIN]) == []
    again = Memory(tmp_path, [ORIGIN], [OURS.verifier])
    assert checkpoint_of(again.last(ORIGIN).text).size == 9
    again.close()


def test_a_memory_belongs_to_one_witness_and_must_be_there(memory, tmp_path):
    with pytest.raises(ConfigError, match="another witness uses"):
        Memory(tmp_path, [ORIGIN], [OURS.verifier])
    with pytest.raises(ConfigError, match="there is no folder"):
        Memory(tmp_path / "absent", [ORIGIN], [OURS.verifier])


def test_the_key_of_receipts_is_not_taken_for_that_of_the_log(tmp_path):
    """`bus log key show` shows both, and a witness of receipts would refuse each checkpoint."""
    receipts = Signer.new(f"{ORIGIN}/receipts").verifier
    path = tmp_path / "witness.yaml"
    path.write_text(f"key: k\nmemory: m\nlogs:\n  - origin: {ORIGIN}\n    keys: ['{receipts}']\n", "utf-8")
    with pytest.raises(ConfigError, match=rf"{re.escape(receipts.name)} \({receipts.key_id.hex()}\) signs receipts, not the log"):
        load(path)


def test_a_misspelt_setting_is_told_with_its_line_and_what_was_meant(tmp_path):
    path = tmp_path / "witness.yaml"
    path.write_text(f"key: k\nmemory: m\nlogs:\n  - orign: {ORIGIN}\n    keys: ['{OURS.verifier}']\n", "utf-8")
    with pytest.raises(ConfigError, match=r"witness.yaml:4:5: error field.unknown: .*`orign`[^$]*did you mean origin") as told:
        load(path)
    assert "field.missing" not in str(told.value)
