"""Answers of a time-stamping authority that are not taken: which it is, and what can be done, is said in our words."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator

import pytest
from rfc3161_client import decode_timestamp_response

from bus.anchors import outside
from bus.diagnostics import configure
from bus.errors import EvidenceError
from bus.log import timestamp
from tests.integration.anchoring import bus
from tests.tsa import Authority


@pytest.fixture
def authority(tmp_path) -> Iterator[Authority]:
    made = Authority(tmp_path / "authority")
    yield made
    made.close()


def _refusing(status: int, said: str = "") -> bytes:
    """An answer without a stamp, put together by hand."""
    text = b"\x0c" + bytes([len(said)]) + said.encode()
    told = bytes([2, 1, status]) + (b"\x30" + bytes([len(text)]) + text if said else b"")
    inner = b"\x30" + bytes([len(told)]) + told
    return b"\x30" + bytes([len(inner)]) + inner


def test_why_a_time_stamp_is_not_taken_is_said_with_what_can_be_done(tmp_path, authority):
    stamped, roots = b"un sigillo\n", authority.root.read_bytes()

    def told(answer: Callable[[bytes], bytes]) -> tuple[str, str]:
        authority.answer = answer
        with pytest.raises(EvidenceError) as refused:
            outside.stamp(authority.url, stamped, roots)
        return refused.value.sentence, refused.value.hint

    assert "it is none at all" in told(lambda _: b"<html>accedi</html>")[0]
    said, remedy = told(lambda _: _refusing(2, "quota esaurita"))
    assert ("refused it (status 2): quota esaurita" in said, "who runs the authority" in remedy) == (True, True)
    assert "granted it with changes of its own, and sent none (status 1)" in told(lambda _: _refusing(1))[0]
    said, remedy = told(lambda _: authority.stamp(timestamp.ask(stamped).content))
    assert ("answers another request" in said, "nonce" in remedy) == (True, True)
    authority.certified(10, dt.datetime.now(dt.UTC) - dt.timedelta(days=2))
    said, remedy = told(authority.stamp)
    assert ("had expired when it was given" in said, "renew" in remedy) == (True, True)
    stranger = Authority(tmp_path / "stranger", "straniera")
    stranger.close()
    said, remedy = told(stranger.stamp)
    assert said == "a time stamp that does not hold: unable to get local issuer certificate"
    assert remedy.startswith("is the root of whoever gave it in the file")


def test_certificates_that_come_in_another_order_than_that_of_der_are_taken(authority):
    """Many authorities send those between theirs and the root, as they lie in a file. What is kept is the answer as it came."""
    authority.chained()
    stamped, roots = b"un sigillo\n", authority.root.read_bytes()
    answer, time = outside.stamp(authority.url, stamped, roots)
    with pytest.raises(ValueError, match="InvalidSetOrdering"):
        decode_timestamp_response(answer)
    assert abs(time - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=60)
    assert timestamp.verified(answer, stamped, roots) == time
    assert "Verification: OK" in authority.says(stamped, answer)
    for wrong in (answer[:-40] + bytes(40), answer.replace(b"Intermedia", b"Intermedio")):
        with pytest.raises(EvidenceError):
            timestamp.verified(wrong, stamped, roots)
    with pytest.raises(EvidenceError):
        timestamp.verified(answer, b"un altro\n", roots)


def test_a_stamp_that_was_granted_with_changes_is_taken_if_it_is_the_one_that_was_asked_for(authority):
    """RFC 3161 §2.4.2: the statuses 0 and 1 both come with a token. Whether it fits is what we look at, whatever was changed."""
    authority.chained()
    stamped, roots = b"un sigillo\n", authority.root.read_bytes()
    authority.answer = lambda query: _with_changes(authority.stamp(query))
    answer, time = outside.stamp(authority.url, stamped, roots)
    assert timestamp.verified(answer, stamped, roots) == time
    assert "Verification: OK" in authority.says(stamped, answer)
    authority.answer = lambda _: _with_changes(authority.stamp(timestamp.ask(stamped).content))
    with pytest.raises(EvidenceError, match="answers another request"):
        outside.stamp(authority.url, stamped, roots)
    with pytest.raises(EvidenceError):
        timestamp.verified(answer, b"un altro\n", roots)


def _with_changes(answer: bytes) -> bytes:
    return answer.replace(bytes.fromhex("3003020100"), bytes.fromhex("3003020101"), 1)


def test_a_failure_that_became_another_one_is_told_when_it_does(tmp_path, authority, capfd):
    with bus(tmp_path / "uno", timestamps={"url": authority.url, "ca": str(authority.root), "every": 100}) as one:
        one.add(3)
        configure("warning")
        for answer in (b"<html>accedi</html>", b"<html>accedi, prego</html>", _refusing(2, "quota esaurita"), _refusing(2, "quota finita")):
            authority.answer = lambda _, answer=answer: answer
            one.app.anchoring.turn()
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    told = [line["sentence"] for line in lines if line["event"] == "anchor.failed"]
    assert told == [
        "a time stamp that does not hold: it is none at all",
        "no time stamp: the authority refused it (status 2): quota esaurita",
    ]
