"""What the HTTP door says when the bus can take nothing: to whoever asks, and to whoever runs the bus."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bus.adapter import Adapter, Door, Endpoint, Inbound, Outbound
from bus.errors import StoreError
from bus.testing.patience import until
from bus.web.answer import Answer
from bus.web.house import READING
from bus.web.serve import Server
from tests.small_bus import Caller, running

QUESTION = """the database went away: canceling statement due to lock timeout
LINE 1: INSERT INTO runs (id, message, route) VALUES ($1, $2, $3)
connection to server at "10.1.2.3", port 5432 failed"""
MESSAGE = {"type": "prova.saluto", "data": {"nome": "Vera"}}


class Sportello(Adapter):
    """An adapter whose system calls us."""

    def endpoints(self) -> tuple[Endpoint, ...]:
        return (Endpoint("eco", self.eco),)

    def eco(self, inbound: Inbound, door: Door) -> Outbound:
        door.accept("prova.sveglia", {"nome": "Zoe"}, key="Zoe")
        return Outbound(200, b"", "text/plain")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("bus"), {"sportello": Sportello("sportello", None)}, log_level="warning") as server:
        yield server


@pytest.fixture
def call(server: Server) -> Caller:
    return Caller(server.port)


class Heard(io.StringIO):
    """What is said on stderr, by any thread."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def write(self, text: str) -> int:
        self.said.append(text)
        return len(text)

    def requests(self, count: int) -> list[Any]:
        """The lines about requests, once there are so many: a line is said after its answer was given."""
        until = time.monotonic() + 20
        while True:
            said = [json.loads(line) for line in "".join(self.said).splitlines() if line.startswith("{") and line.endswith("}")]
            lines = [line for line in said if line["event"].startswith("request")]
            if len(lines) >= count or time.monotonic() > until:
                return lines
            time.sleep(0.01)


def listen(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """From now on; no fixture, since pytest puts its own stderr in place when a test begins."""
    heard = Heard()
    monkeypatch.setattr(sys, "stderr", heard)
    return heard


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("store.interrupted", "does not answer now"),
        ("store.failed", "its folder of files"),
        ("store.schema", "cannot work with its database"),
        ("store.unsafe", "cannot work with its database"),
        ("store.unknown", "may have been accepted"),
        ("keys.failed", "cannot work with its key store"),
    ],
)
def test_what_a_database_says_is_for_the_log_and_not_for_a_portal(
    server: Server, call: Caller, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    heard = listen(monkeypatch)

    def refuse(work: object) -> None:
        raise StoreError(QUESTION, code=code, hint="is the server at 10.1.2.3 up?")

    monkeypatch.setattr(server.app, "unfit", None)
    monkeypatch.setattr(server.app.intake, "hand_in", lambda submission, told: refuse(submission))
    reply = call("POST", "/messages", MESSAGE)
    assert (reply.status, reply.json["code"]) == (503, code)
    assert words in reply.json["detail"]
    assert "same key" in reply.json["hint"]
    said = reply.content.decode().replace(reply.json["instance"], "")  # some of its digits may be any
    assert not any(word in said for word in ("10.1.2.3", "LINE", "runs", "5432"))
    (line,) = heard.requests(1)
    assert (line["event"], line["level"], line["status"], line["code"]) == ("request", "warning", 503, code)
    assert line["instance"] == reply.json["instance"]
    assert ("INSERT INTO runs" in line["sentence"], "\n" in line["sentence"]) == (True, False)


def test_a_bus_that_is_full_says_one_line_for_each_refusal(server: Server, call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = listen(monkeypatch)
    monkeypatch.setattr(server.app.backlog, "_count", lambda: 1_000_000)
    monkeypatch.setattr(server.app.backlog, "full", True)
    assert [call("POST", "/messages", MESSAGE).status for _ in range(3)] == [503] * 3
    assert call("POST", "/in/eco", b"Zoe", name=None).status == 503
    lines = heard.requests(4)
    assert [(line["event"], line["level"], line["code"]) for line in lines] == [("request", "warning", "bus.backlog")] * 4
    assert lines[-1]["at"] == "/in/eco"


def test_what_nobody_expected_is_told_with_its_traceback(server: Server, call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = listen(monkeypatch)
    monkeypatch.setattr(server.app, "status", lambda: 1 / 0)
    reply = call("GET", "/status")
    failed, line = heard.requests(2)
    assert (failed["event"], line["event"], line["code"]) == ("request failed", "request", "bus.failed")
    assert failed["instance"] == line["instance"] == reply.json["instance"]
    assert "ZeroDivisionError" in failed["exception"]


def test_a_process_that_can_work_no_more_is_not_up(server: Server, call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise StoreError("the database has schema 9, this program speaks schema 8", code="store.schema", hint="bus migrate down")

    monkeypatch.setattr(server.app, "unfit", None)
    monkeypatch.setattr(server.app, "status", refuse)
    assert call("GET", "/status").json["code"] == "store.schema"
    monkeypatch.setattr(server.app, "status", dict)
    assert call("GET", "/status").json["code"] == "store.schema"
    assert "migrate" not in call("GET", "/status").content.decode()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_process_in_which_nobody_writes_any_more_says_so_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path) as server:
        call, ended = Caller(server.port), threading.Event()
        server.app.on_unfit = ended.set

        def none_left(*given: object) -> None:
            raise MemoryError

        monkeypatch.setattr(server.app.store._writer, "_next", none_left)  # type: ignore[attr-defined]
        with suppress(StoreError):
            server.app.store.write(lambda tx: None).result(30)
        until(
            lambda: call("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}).json.get("code") == "store.fallen",
            "senders are told",
        )
        assert call("GET", "/status", name=None).status == 503
        assert ended.wait(30)


def test_who_watches_a_bus_whose_database_hangs_is_told_soon_and_holds_up_no_reader(
    server: Server, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = call("POST", "/messages", MESSAGE).headers["location"]
    answers = threading.Event()
    heard = listen(monkeypatch)
    monkeypatch.setattr(server.app, "unfit", None)
    monkeypatch.setattr("bus.web.house.GLANCE", 0.05)
    monkeypatch.setattr(server.app, "status", answers.wait)
    monkeypatch.setattr("bus.figures.of", lambda app: answers.wait() and [])
    try:
        for _ in range(READING + 1):
            for path in ("/status", "/metrics"):
                reply = call("GET", path, name="sistemista")
                assert (reply.status, reply.json["code"], reply.json["detail"]) == (
                    503,
                    "store.interrupted",
                    "the database does not answer now",
                )
        assert call("GET", message).status == 200
        assert "pg_stat_activity" in heard.requests(1)[0]["hint"]
    finally:
        answers.set()


def test_a_person_who_comes_in_while_the_database_hangs_is_told_soon_and_holds_up_neither_readers_nor_who_watches(
    server: Server, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = call("POST", "/messages", MESSAGE).headers["location"]
    answers = threading.Event()
    monkeypatch.setattr("bus.web.house.GLANCE", 0.05)
    monkeypatch.setattr("bus.web.accesses.Accesses.enter", lambda self, caller, address: answers.wait())
    try:
        for _ in range(READING + 1):
            reply = call("GET", "/dead", name="revisore")
            assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "store.interrupted", "5")
        monkeypatch.setattr("bus.web.house.GLANCE", 20)
        assert (call("GET", message).status, call("GET", "/status", name=None).status) == (200, 200)
    finally:
        answers.set()


def test_a_key_that_is_not_known_is_told_soon_that_the_database_hangs_and_holds_up_no_reader(
    server: Server, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = call("POST", "/messages", MESSAGE).headers["location"]
    answers = threading.Event()
    monkeypatch.setattr("bus.web.house.GLANCE", 0.05)
    monkeypatch.setattr("bus.web.accesses.Accesses.refuse", lambda self, address: True)
    monkeypatch.setattr("bus.web.accesses.Accesses.tell", lambda self, idle=0.0: answers.wait(20))
    try:
        for _ in range(READING + 1):
            reply = call("GET", "/dead", name=None)
            assert (reply.status, reply.json["code"]) == (503, "store.interrupted")
        monkeypatch.setattr("bus.web.house.GLANCE", 20)
        assert call("GET", message).status == 200
    finally:
        answers.set()


def test_a_request_that_the_stop_cuts_off_is_told_that_it_may_have_been_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while a COMMIT waits for a standby that is no more."""
    heard = listen(monkeypatch)
    monkeypatch.setattr("bus.web.serve.GRACE", 1)
    handed_in = threading.Event()
    with running(tmp_path) as server, ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(server.app.intake, "hand_in", lambda submission, told: handed_in.set())
        sent = pool.submit(Caller(server.port), "POST", "/messages", MESSAGE)
        assert handed_in.wait(20)
        server.stop()
        reply = sent.result(20)
    assert (reply.status, reply.json["code"]) == (503, "store.unknown")
    assert "may have been accepted" in reply.json["detail"]
    assert "same key" in reply.json["hint"]
    assert "Traceback" not in "".join(heard.said)


def test_an_answer_that_the_stop_cuts_off_is_one_line(server: Server, call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file that somebody takes slowly."""
    heard = listen(monkeypatch)

    async def cut_off(answer: Answer, scope: Any, send: Any) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(Answer, "deliver", cut_off)
    call("GET", "/status")
    [line] = heard.requests(1)
    assert line["sentence"] == "the process stopped before all of the answer was taken"
    assert "Traceback" not in "".join(heard.said)
