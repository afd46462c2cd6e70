"""A bus whose log goes nowhere (a full disk, a reader that is gone) works on, and is heard again when it can be."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from bus.testing.patience import until
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


def test_a_run_that_needs_a_person_is_a_line_of_the_log_and_says_nothing_of_anybody(tmp_path: Path) -> None:
    """Whoever watches the log alone must not miss what stands still."""
    log = tmp_path / "log"
    bus = Process(tmp_path, log, log_level="warning")
    try:
        sent = Caller(bus.port)("POST", "/messages", {"type": "prova.guasto", "data": {"nome": "Ada"}}, {"Prefer": "wait=20"})
        assert sent.status == 202
        lines = until(lambda: [line for line in log.read_text().splitlines() if "run.dead" in line], "the line")
    finally:
        assert bus.stop() == 0
    [told] = map(json.loads, lines)
    assert (told["level"], told["code"], told["place"]) == ("warning", "prova.rotta", "prova.fallisce@1/rompi")
    assert told["hint"] == f"bus dead show {told['run']}"
    assert "Ada" not in lines[0]


@pytest.mark.parametrize("request_text", [b"\x16\x03\x01 as TLS begins", b"GET / HTTP/1.1\r\nX-Lungo: " + b"a" * 70_000])
def test_an_answer_to_what_is_no_request_is_found_by_its_instance_too(tmp_path: Path, request_text: bytes) -> None:
    log = tmp_path / "log"
    bus = Process(tmp_path, log, log_level="info")
    try:
        with socket.create_connection(("127.0.0.1", bus.port), 60) as raw:
            raw.sendall(request_text)
            _, _, body = b"".join(iter(lambda: raw.recv(65536), b"")).partition(b"\r\n\r\n")
        problem = json.loads(body)
        [line] = until(lambda: [line for line in log.read_text().splitlines() if problem["instance"] in line], "the line")
    finally:
        assert bus.stop() == 0
    told = json.loads(line)
    assert (told["event"], told["status"], told["code"], told["why"]) == ("request", problem["status"], problem["code"], problem["detail"])


@pytest.mark.parametrize("where", ["a full disk", "a reader that went away", "nowhere"])
def test_a_bus_that_cannot_say_where_it_listens_starts_and_ends_well(tmp_path: Path, where: str) -> None:
    """Where it listens is known from its configuration."""
    command = [sys.executable, "-m", "bus.cli", "serve", "--config", str(write(tmp_path))]
    if where == "nowhere":
        command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # it hides what cannot be written
    with told_of(tmp_path) as told, output(where) as out, (tmp_path / "errors").open("wb") as errors:
        bus = subprocess.Popen(command, stdout=out, stderr=errors, env={**environment, "NOTIFY_SOCKET": str(tmp_path / "notify")})
        try:
            assert told.recv(100) == b"READY=1"
            held = [Path(f"/proc/{bus.pid}/fd/{number}").readlink() for number in range(3)]
        finally:
            bus.terminate()
            ended = bus.wait(60)
    assert where != "nowhere" or held == [Path(os.devnull)] * 3  # else the database's lock would be written to
    said = (tmp_path / "errors").read_text()
    assert (ended, said) == (0, "")


@contextmanager
def told_of(folder: Path) -> Iterator[socket.socket]:
    """Where systemd would hear that the bus is ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(folder / "notify"))
        told.settimeout(80)
        yield told


@contextmanager
def output(where: str) -> Iterator[IO[bytes]]:
    if where == "a reader that went away":
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            yield pipe
    else:
        with Path("/dev/full").open("wb") as full:
            yield full
