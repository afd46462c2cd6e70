"""What tests bear ends with them, also when they are killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bus.testing.patience import until
from tests.integration.kit import Town
from tests.nursery import BornSimulator

PROJECT = Path(__file__).parents[2]
BEARS = """
import time, pathlib
from tests.nursery import Born
born = Born("timeit", ["-n", "1", "-r", "1", "__import__('time').sleep(600)"], {}, pathlib.Path("/dev/null"))
print(born.pid, flush=True)
time.sleep(600)
"""


def test_who_is_born_ends_with_tests_that_are_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", BEARS], cwd=PROJECT, stdout=subprocess.PIPE) as tests:
        try:
            assert tests.stdout is not None
            born = Path("/proc") / tests.stdout.readline().decode().strip()
            assert born.name.isdigit() and born.exists()
        finally:
            tests.kill()
    until(lambda: not born.exists() or _ended(born), "what was born has ended")


def _ended(process: Path) -> bool:
    """Nobody may be there to take its exit code."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_systems_of_a_town_are_born_too(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town._start_system("sito")
    with town.simulators["sito"] as system:
        assert isinstance(system, BornSimulator)
