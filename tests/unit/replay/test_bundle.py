"""What a bundle holds is replayed without a database."""

from __future__ import annotations

import base64
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from bus.cli.replay import code_of, unbundled
from bus.errors import Invalid
from bus.log.record import content
from bus.message import canonical
from tests.unit.replay.simulated import OPERATIONS, Log, simulated


def exported(log: Log, path: Path) -> Path:
    """As `bus log export` lays it out, but for the proofs."""
    with zipfile.ZipFile(path, "w") as bundle:
        records = [canonical({"index": n, "record": content(record).decode(), "proof": []}) for n, record in enumerate(log.records)]
        bundle.writestr("records.jsonl", b"\n".join(records) + b"\n")
        payloads = [
            canonical({"id": identity, "type": "application/json", "nonce": "", **({"text": text.decode()} if n % 2 else {"base64": base64.b64encode(text).decode()})})
            for n, (identity, text) in enumerate(log.payloads.items())
        ]  # fmt: skip
        bundle.writestr("payloads.jsonl", b"\n".join(payloads) + b"\n")
        for digest, rules in log.rules.items():
            bundle.writestr(f"rules/route/{digest}.json", canonical(rules))
    return path


def test_all_runs_of_a_bundle_are_recomputed(tmp_path):
    log = simulated(7)
    report = unbundled(exported(log, tmp_path / "fascicolo.zip"), OPERATIONS, every=True)
    assert report.counts == Counter(equal=len(log.verdicts()))
    assert code_of(report.worst) == 0


def test_what_a_bundle_does_not_hold_is_absent_not_different(tmp_path):
    log = simulated(7)
    record = next(one for one in log.records if one.kind == "answered")
    del log.payloads[record.payload("answer")]
    report = unbundled(exported(log, tmp_path / "fascicolo.zip"), OPERATIONS, every=False)
    assert report.worst == "unavailable: absent"
    assert code_of(report.worst) == 4


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not a bundle"])
def test_what_is_no_bundle_is_told(tmp_path, data):
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(Invalid):
        unbundled(tmp_path / "x.zip", OPERATIONS, every=False)
