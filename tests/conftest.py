"""Rules for every test: no network but loopback; a folder of caches of its own; a bounded time (pyproject.toml, ``timeout``); under CI a skipped test is a failure."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from bus import memory

# Machines are shared: pytest-timeout bounds the test as a whole, not each of its examples. The examples are the same in every run, so
# that a run says something of a change and not of its luck; whoever wants others says --hypothesis-profile=others.
settings.register_profile("others", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("snodo", settings.get_profile("others"), derandomize=True)
settings.load_profile("snodo")

pytest_plugins = ["tests.services"]  # fixtures: a real PostgreSQL, a real RabbitMQ

GUARD = Path(__file__).parent / "guard"
sys.path.insert(0, str(GUARD))

import network_guard  # noqa: E402 - it lives in the folder that was just put on the path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """``-n auto``: two more than there are processors, because a test of processes waits for them most of its time."""
    return len(os.sched_getaffinity(0)) + 2


def pytest_configure(config: pytest.Config) -> None:
    """Arm the guard here and, through PYTHONPATH, in every Python started from here."""
    gc.disable()  # until all is collected: it is a third of the time of reading 10,000 tests
    descriptor, report = tempfile.mkstemp(prefix="snodo-network-")
    os.close(descriptor)
    os.environ[network_guard.REPORT] = report
    others = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != str(GUARD)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(GUARD), *others])
    network_guard.install()
    config.add_cleanup(lambda: Path(report).unlink(missing_ok=True))
    os.environ["XDG_CACHE_HOME"] = cache = tempfile.mkdtemp(prefix="snodo-cache-")  # `bus validate` keeps what it found there
    config.add_cleanup(lambda: shutil.rmtree(cache, ignore_errors=True))


def pytest_collection_finish() -> None:
    """Modules and tests stay until the end: what is looked through for garbage is what tests make, so it is done often and gone soon."""
    gc.enable()
    often = gc.get_threshold()
    memory.settle()
    gc.set_threshold(*often)


@pytest.fixture(autouse=True)
def _only_loopback() -> Iterator[None]:
    """Fails the test that left the machine, also when the exception was swallowed or happened in another process."""
    yield
    report = Path(os.environ[network_guard.REPORT])
    said = report.read_text(encoding="utf-8")
    if said:
        report.write_text("", encoding="utf-8")
        pytest.fail(said, pytrace=False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    _fail_if_skipped((yield))


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    _fail_if_skipped((yield))


def _fail_if_skipped(outcome: Any) -> None:
    """A test that did not run proves nothing: where everything is at hand (CI), it fails and says why it did not run."""
    report = outcome.get_result()
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped under CI, which counts as a failure: {why}"
