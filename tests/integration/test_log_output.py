"""A bus whose log goes nowhere (a full disk, a reader that is gone) works on, and is heard again when it can be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_bus import Caller, Process, write


@pytest.mark.parametrize("where", ["/dev/full", "a pipe that nobody reads"])
def test_work_is_done_when_nothing_can_be_said(tmp_path: Path, where: str) -> None:
    if where == "/dev/full":
        log = Path(where)
    else:
        log = tmp_path / "pipe"
        os.mkfifo(log)
        reading = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    bus = Process(tmp_path, log, log_level="debug")
    if log.is_fifo():
        os.close(reading)
    try:
        call = Caller(bus.port)
        for name in ("Ada", "Bea"):
            reply = call("POST", "/messages", {"type": "prova.saluto", "data": {"nome": name}}, {"Prefer": "wait=20"})
            assert (reply.status, reply.json["reply"]) == (200, {"saluto": f"ciao {name}"})
        assert call("POST", "/messages", {"type": "prova.ignoto", "data": {}}).status == 422
        assert call("GET", "/status", name=None).status == 200
    finally:
        assert bus.stop() == 0


def test_a_bus_starts_that_cannot_say_so(tmp_path: Path) -> None:
    """Its standard output is full; where it listens is known from its configuration."""
    config = write(tmp_path)
    with Path("/dev/full").open("wb") as full, (tmp_path / "errors").open("wb") as errors:
        bus = subprocess.Popen([sys.executable, "-m", "bus.cli", "serve", "--config", str(config)], stdout=full, stderr=errors)
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                bus.wait(4)
        finally:
            bus.terminate()
            bus.wait(60)
    said = (tmp_path / "errors").read_text()
    assert "Traceback" not in said, said
