"""What `make bench` says in its table, and that its waiting runs are such as a receipt wakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import evidence, report, waits

RESULTS = Path(report.__file__).parent / "results"


def test_a_whole_run_says_what_the_evidence_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten per cent at most is promised, so whoever runs the benchmarks sees it."""
    monkeypatch.setattr(report.checking, "rows", lambda found: [])  # of the run that was kept, which may have had another form
    ran = json.loads(max(RESULTS.glob("????-??-??T????.json")).read_text("utf-8"))
    ran["steady"] |= {"rested": 2.5, "young_ms": {"p50": 3.5, "p99": 5.5}}
    cost = {"rate": 700.0, "cpu": 2.125}
    ratio = {"rate": 0.93, "cpu": 1.08}
    found = {"count": 1000, "rounds": {"with": [cost] * 3}, "median": dict.fromkeys(evidence.HOWS, cost), "ratio": ratio}
    for said in (report.table({**ran, "evidence": found}), evidence.table(ran["machine"], found)):
        assert "1000 messages transformed and delivered; 3 rounds" in said
        assert "| ratio of each round | 0.93 | 1.08 (aim 1.10 at most) |" in said
    assert "takes 2.5 times the CPU of one that never pauses" in report.table({**ran, "evidence": found})


def test_each_receipt_finds_the_run_that_was_made_to_wait_for_it(tmp_path: Path) -> None:
    """The rows are written past the bus: where its tables change, `waits.matching` says so, or that nobody woke."""
    found = waits.matching(tmp_path / "few", waits.AT_ONCE * waits.ROUNDS)
    assert found["waits"] == 600
    assert found["cpu_us"] > 0


@pytest.mark.parametrize("program", ["benchmarks", "tests.fault", "tests.tamper"])
def test_what_make_measures_by_can_be_started(program: str) -> None:
    done = subprocess.run([sys.executable, "-m", program, "--help"], capture_output=True, text=True, check=False, cwd=RESULTS.parents[1])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: "), "it only tells how it is started, and does not begin"
