"""The list of fail points and the places in the code that reach them are the same, and an armed one kills."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.failpoint import POINTS, VARIABLE, reach
from tests.small_bus import Process, write

PROJECT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("bus", "adapters") for path in (PROJECT / folder).rglob("*.py"))


def reached(source: str) -> Iterator[str]:
    """What is given to `reach`; what is no plain text shows as its source, and so is on no list."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("reach", "failpoint.reach"):
            (name,) = node.args
            yield name.value if isinstance(name, ast.Constant) else ast.unparse(name)


def test_every_fail_point_is_reached_at_one_place_and_every_place_is_on_the_list() -> None:
    assert sorted(name for path in FILES for name in reached(path.read_text("utf-8"))) == sorted(POINTS)


def test_a_place_that_is_on_no_list_is_found() -> None:
    assert list(reached("reach('a.b')\nfailpoint.reach(name)")) == ["a.b", "name"]


def test_nothing_happens_where_nothing_is_armed() -> None:
    assert VARIABLE not in os.environ
    for name in POINTS:
        reach(name)


@pytest.mark.parametrize(("armed", "survives"), [("commit.before", 0), ("commit.before:3", 2), ("commit.after", 4)])
def test_an_armed_process_dies_at_the_reach_that_was_said(armed: str, survives: int) -> None:
    program = "from bus.failpoint import reach\nfor n in range(4): reach('commit.before'); print(n, flush=True)"
    ended = subprocess.run([sys.executable, "-c", program], env={**os.environ, VARIABLE: armed}, capture_output=True, text=True)
    assert ended.stdout.split() == [str(n) for n in range(survives)]
    assert ended.returncode == (-signal.SIGKILL if survives < 4 else 0)


@pytest.mark.parametrize("armed", ["commit", "commit.before:0", "commit.before:x", "commit.before:"])
def test_a_bus_does_not_start_with_a_fail_point_that_does_not_exist(armed: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bus.cli", "serve", "--config", str(write(tmp_path))]
    ended = subprocess.run(command, env={**os.environ, VARIABLE: armed}, capture_output=True, text=True)
    assert (ended.returncode != 0, "config.failpoint" in ended.stderr) == (True, True), ended.stderr


def test_an_armed_bus_says_so_when_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "timers.after-commit:7")
    bus = Process(tmp_path, log_level="warning")
    assert bus.stop() == 0
    assert '"failpoint.armed"' in bus.log.read_text()
    assert "timers.after-commit:7" in bus.log.read_text()
