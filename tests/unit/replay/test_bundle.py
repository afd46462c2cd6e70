"""What a bundle holds is replayed without a database."""

from __future__ import annotations

import base64
from collections import Counter

import pytest

from bus.cli.replay import code_of, unbundled
from bus.errors import Invalid
from bus.log.record import content
from bus.message import canonical
from bus.replay.evidence import Bundle
from tests.unit.replay.simulated import OPERATIONS, Log, simulated


def exported(log: Log) -> Bundle:
    """As `bus log export` lays it out, but for the proofs."""
    records = [canonical({"index": n, "record": content(record).decode(), "proof": []}) for n, record in enumerate(log.records)]
    payloads = [
        canonical({"id": identity, "type": "application/json", "nonce": "", **({"text": text.decode()} if n % 2 else {"base64": base64.b64encode(text).decode()})})
        for n, (identity, text) in enumerate(log.payloads.items())
    ]  # fmt: skip
    lines = {"records.jsonl": b"\n".join(records) + b"\n", "payloads.jsonl": b"\n".join(payloads) + b"\n"}
    return Bundle(lines | {f"rules/route/{digest}.json": canonical(rules) for digest, rules in log.rules.items()})


def test_all_runs_of_a_bundle_are_recomputed():
    log = simulated(7)
    report = unbundled(exported(log), OPERATIONS, every=True)
    assert report.counts == Counter(equal=len(log.verdicts()))
    assert code_of(report.worst) == 0


def test_what_a_bundle_does_not_hold_is_absent_not_different():
    log = simulated(7)
    record = next(one for one in log.records if one.kind == "answered")
    del log.payloads[record.payload("answer")]
    report = unbundled(exported(log), OPERATIONS, every=False)
    assert report.worst == "unavailable: absent"
    assert code_of(report.worst) == 4
    log.rules.clear()
    report = unbundled(exported(log), OPERATIONS, every=False)
    assert report.counts == {"unavailable: absent": len(log.verdicts())}


@pytest.mark.parametrize("files", [{}, {"records.jsonl": b""}, {"records.jsonl": b"[]\n", "payloads.jsonl": b"x\n"}])
def test_what_is_no_bundle_is_told(files):
    with pytest.raises(Invalid):
        Bundle(files)
