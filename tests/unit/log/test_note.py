"""Signed notes: what others wrote is read, what is not in the form is refused, and no signature holds over another text."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import ConfigError, EvidenceError
from bus.log import note as notes
from bus.log.checkpoint import Checkpoint, checkpoint_of, cosigned, number, opened
from bus.log.note import COSIGNATURE, Note, Signature, Signer

C2SP = Path(__file__).parents[4] / "shared/vectors/c2sp"
official = [
    pytest.mark.official,
    pytest.mark.skipif(not C2SP.exists(), reason="the C2SP specifications are not beside the project (../shared)"),
]
# The key of RFC 8032, section 7.1, test 1.
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
LOG = "registro.comune.example/snodo"
KEY_ID = "372e369e"
SIGNATURE = "Ny42nhg3pbgMnJSO7YVKGfAtUbJdL3ppQXeQre0Qv6VaZFtKqS38ee9cjWJfuCFDP4mxq/i9nKiVY9uuP6CrScK6WAE="


def signer_of(seed: bytes, name: str = LOG, type: int = notes.ED25519) -> Signer:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Signer(name, type, Ed25519PrivateKey.from_private_bytes(seed))


SIGNER = signer_of(SECRET)
WITNESS = signer_of(b"w" * 32, "testimone.example/t1", COSIGNATURE)
CHECKPOINT = Checkpoint(LOG, 3, bytes(range(32)))
NOTE = CHECKPOINT.signed([SIGNER])


def code_of(work) -> str:
    with pytest.raises(EvidenceError) as caught:
        work()
    return caught.value.code


def blocks(file: str, fence: bool) -> list[bytes]:
    """Notes that stand in a specification, fenced or indented."""
    text = (C2SP / file).read_text("utf-8")
    if fence:
        return [block.encode() for block in re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)]
    return [
        re.sub(r"^    ", "", block, flags=re.MULTILINE).encode() for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE)
    ]


class TestOfficial:
    pytestmark = official

    def test_the_example_of_the_specification_is_verified_by_its_key(self):
        text = (C2SP / "signed-note.md").read_text("utf-8")
        [key] = re.findall(r"^    (example\.com/foo\+.*)$", text, re.MULTILINE)
        [note] = [notes.parse(block) for block in blocks("signed-note.md", True) if b"example message" in block]
        assert [(notes.verifier(key), note.signatures[0])] == notes.verify(note, [notes.verifier(key)])

    def test_a_poem_keeps_its_empty_line(self):
        [note] = [notes.parse(block) for block in blocks("signed-note.md", True) if b"quasimodo" in block]
        assert note.text.endswith("sole:\n\ned è subito sera.\n")

    @pytest.mark.parametrize("file", ["tlog-checkpoint.md", "tlog-cosignature.md"])
    def test_the_examples_of_checkpoints_are_read_and_written_back(self, file):
        found = [block for block in blocks(file, True) if block.startswith(b"example.com/behind")]
        assert found
        for block in found:
            note = notes.parse(block)
            assert note.encode() == block
            checkpoint = checkpoint_of(note.text)
            assert ("example.com/behind-the-sofa", 20852163) == checkpoint[:2]
            assert checkpoint.text() == note.text

    def test_the_time_of_a_cosignature_is_read(self):
        [block] = [block for block in blocks("tlog-cosignature.md", True) if b"witness.example.com" in block]
        assert notes.parse(block).signatures[1].time == 1679315147


def test_what_is_signed_is_what_the_specification_says_byte_by_byte():
    """The key id and the signature were computed apart from this program (hashlib, and RFC 8032's own code)."""
    assert NOTE.text == f"{LOG}\n3\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    assert str(SIGNER.verifier) == f"{LOG}+{KEY_ID}+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
    assert NOTE.signatures[0].line() == f"— {LOG} {SIGNATURE}\n"


def test_a_cosignature_is_over_the_time_too():
    signature = WITNESS.sign(NOTE.text, 1_700_000_000)
    assert signature.time == 1_700_000_000
    assert [(WITNESS.verifier, signature)] == cosigned(NOTE.signed(signature), [WITNESS.verifier])
    later = signature._replace(value=(1_700_000_001).to_bytes(8) + signature.value[8:])
    assert code_of(lambda: cosigned(NOTE.signed(later), [WITNESS.verifier])) == "evidence.signature"


@pytest.mark.parametrize("value", [b"", bytes(7), b"\x80" + bytes(7)])
def test_what_is_too_short_for_a_cosignature_or_of_no_time_is_none(value):
    signature = WITNESS.sign(NOTE.text, 1_700_000_000)
    wrong = signature._replace(value=value if len(value) < 8 else value + signature.value[8:])
    assert code_of(lambda: cosigned(NOTE.signed(wrong), [WITNESS.verifier])) == "evidence.signature"


def test_the_same_seed_makes_two_keys_that_do_not_stand_for_each_other():
    """A signature of the log is no cosignature, though the key material be the same."""
    cosigner = signer_of(SECRET, LOG, COSIGNATURE)
    assert cosigner.verifier.key_id != SIGNER.verifier.key_id
    swapped = Signature(LOG, cosigner.verifier.key_id, bytes(8) + NOTE.signatures[0].value)
    assert code_of(lambda: cosigned(NOTE.signed(swapped), [cosigner.verifier])) == "evidence.signature"


def test_signatures_of_others_are_kept_and_prove_nothing():
    other = signer_of(b"x" * 32, "altri.example")
    note = notes.parse(Note(NOTE.text, (other.sign(NOTE.text), Signature("pq.example", b"abcd", bytes(2420)))).encode())
    assert len(note.signatures) == 2
    assert code_of(lambda: notes.verify(note, [SIGNER.verifier])) == "evidence.unsigned"
    assert code_of(lambda: notes.verify(note, [])) == "evidence.unsigned"
    assert notes.verify(note.signed(*NOTE.signatures), [SIGNER.verifier]) == [(SIGNER.verifier, NOTE.signatures[0])]


def test_one_false_signature_of_a_known_key_spoils_the_note_though_another_is_good():
    old = signer_of(b"o" * 32)
    rotated = CHECKPOINT.signed([old, SIGNER])
    assert len(notes.verify(rotated, [old.verifier, SIGNER.verifier])) == 2
    assert len(notes.verify(rotated, [SIGNER.verifier])) == 1
    spoilt = NOTE.signed(old.sign("another text\n"))
    assert code_of(lambda: notes.verify(spoilt, [old.verifier, SIGNER.verifier])) == "evidence.signature"
    assert len(notes.verify(spoilt, [SIGNER.verifier])) == 1


def test_a_name_or_an_id_alone_makes_no_known_key():
    good = NOTE.signatures[0]
    for stranger in (good._replace(name="altri.example"), good._replace(key_id=b"abcd")):
        assert code_of(lambda s=stranger: notes.verify(Note(NOTE.text, (s,)), [SIGNER.verifier])) == "evidence.unsigned"


@given(st.integers(0), st.integers(1, 255))
def test_no_byte_of_a_note_can_be_changed(at, change):
    raw = bytearray(NOTE.encode())
    raw[at % len(raw)] ^= change
    with pytest.raises(EvidenceError):
        opened(bytes(raw), LOG, [SIGNER.verifier])


LINE = NOTE.signatures[0].line()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        NOTE.text.encode(),
        f"{NOTE.text}\n".encode(),
        f"{NOTE.text}\n{LINE[:-1]}".encode(),
        f"{NOTE.text}{LINE}".encode(),
        f"{NOTE.text}\n{LINE}\n".encode(),
        f"{NOTE.text}\n{LINE}no signature\n".encode(),
        f"{NOTE.text}\n{LINE.replace('— ', '- ')}".encode(),
        f"{NOTE.text}\n{LINE.replace('— ', '—  ')}".encode(),
        f"{NOTE.text}\n{LINE[:-1]} \n".encode(),
        f"{NOTE.text}\n{LINE.replace(LOG, 'a+b')}".encode(),
        f"{NOTE.text}\n{LINE.replace(LOG, 'a' + chr(0xA0) + 'b')}".encode(),
        f"{NOTE.text}\n— {LOG} AAAA\n".encode(),
        f"{NOTE.text}\n— {LOG} {'A' * 9}\n".encode(),
        f"{NOTE.text}\n— {LOG} {LINE.split()[2].rstrip('=')}\n".encode(),
        f"{NOTE.text}\r\n{LINE}".encode(),
        f"tab\t\n\n{LINE}".encode(),
        f"{NOTE.text}\n{LINE}".encode("utf-16"),
        b"\xff\n\n" + LINE.encode(),
        f"{NOTE.text}\n{LINE * 101}".encode(),
        f"{'a' * 1_000_000}\n\n{LINE}".encode(),
    ],
)  # fmt: skip
def test_what_is_no_note_is_refused(raw):
    assert code_of(lambda: notes.parse(raw)) == "evidence.malformed"


def test_sixteen_large_signatures_are_taken():
    many = NOTE.signed(*(Signature(f"pq.example/{n}", b"abcd", bytes(5000)) for n in range(16)))
    assert notes.parse(many.encode()) == many


@pytest.mark.parametrize(
    "text",
    [
        "a\n1\n", "a\n1\nAAAA\n", f"\n1\n{base64.b64encode(bytes(32)).decode()}\n", "a\n1\n" + base64.b64encode(bytes(31)).decode() + "\n",
        "a\n1\n" + base64.b64encode(bytes(32)).decode(), "a\n1\n" + base64.b64encode(bytes(32)).decode() + "\n\n",
        "a\n1\n" + base64.b64encode(bytes(32)).decode() + "\n\nx\n", "a\n01\n" + base64.b64encode(bytes(32)).decode() + "\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text):
    assert code_of(lambda: checkpoint_of(text)) == "evidence.malformed"


@pytest.mark.parametrize("said", ["", "-1", "+1", "00", "01", "1 ", " 1", "1_0", "١", "1e3", "0x1", str(2**63), "9" * 100])
def test_a_size_has_one_spelling(said):
    assert code_of(lambda: number(said)) == "evidence.malformed"


def test_extension_lines_are_signed_and_kept():
    extended = CHECKPOINT._replace(extensions=("una riga", "un'altra"))
    assert extended == opened(extended.signed([SIGNER]).encode(), LOG, [SIGNER.verifier])


def test_a_checkpoint_of_another_log_is_refused_though_the_key_is_ours():
    stranger = CHECKPOINT._replace(origin="altro.example").signed([SIGNER])
    assert code_of(lambda: opened(stranger.encode(), LOG, [SIGNER.verifier])) == "evidence.origin"


def test_keys_are_read_back_from_their_lines():
    for key in (SIGNER, WITNESS, Signer.new("nuovo.example")):
        assert notes.verifier(str(key.verifier)) == key.verifier
        again = notes.signer(key.secret())
        assert again.verifier == key.verifier
        assert again.sign("x\n", 1) == key.sign("x\n", 1)


@pytest.mark.parametrize(
    "change", [lambda k: k[:-5] + "AAAA=", lambda k: k.replace("registro", "r"), lambda k: k + "A", lambda _: "a+b", lambda _: ""]
)
def test_a_key_that_was_copied_wrongly_is_refused(change):
    assert code_of(lambda: notes.verifier(change(str(SIGNER.verifier)))) == "evidence.malformed"
    assert code_of(lambda: notes.signer(change(SIGNER.secret()))) == "evidence.malformed"


@pytest.mark.parametrize("line", [str(SIGNER.verifier)[:-1], f"log         {SIGNER.verifier}", "snodo", ""])
def test_a_key_of_which_a_part_was_copied_is_told_with_who_prints_it(line):
    with pytest.raises(EvidenceError, match="`bus log key show` prints them, each behind a word"):
        notes.verifier(line)


def test_a_name_with_blanks_makes_no_key():
    assert code_of(lambda: Signer.new("due parole")) == "evidence.malformed"


def test_the_private_key_is_in_no_message(tmp_path):
    file = tmp_path / "key"
    file.write_text(SIGNER.secret()[:-3] + "AA=\n")
    file.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        notes.read_signer(file)
    assert base64.b64encode(SECRET)[:20].decode() not in str(caught.value)
    assert "SECRET" not in repr(SIGNER)
    assert base64.b64encode(b"\x01" + SECRET).decode() not in repr(SIGNER)


def test_a_key_file_that_others_can_read_is_refused(tmp_path):
    file = tmp_path / "key"
    with pytest.raises(ConfigError, match="there is no key"):
        notes.read_signer(file)
    file.write_text(SIGNER.secret() + "\n")
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="others can read"):
        notes.read_signer(file)
    file.chmod(0o600)
    assert notes.read_signer(file).verifier == SIGNER.verifier
