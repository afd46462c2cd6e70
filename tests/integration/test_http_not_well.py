"""A bus that is not well, or has too much to do, says so at its HTTP door, and promises nothing that it cannot keep."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import threading
import time

import pytest

from bus.errors import Interrupted, StoreError
from bus.testing.patience import until
from tests.integration.sportello import saluto
from tests.small_bus import Caller, Reply, no_descriptors, running


def test_a_key_that_asks_for_too_much_at_once_is_told_and_the_others_go_on(tmp_path):
    with running(tmp_path, http={"at_once": 2}) as server, concurrent.futures.ThreadPoolExecutor(2) as waiting:
        call = Caller(server.port)
        message = {"type": "prova.attesa", "data": {"nome": "Ada"}}

        def ask():
            """A look of ours may be in progress when it comes: then it is one too many, and comes again."""
            while (reply := Caller(server.port)("POST", "/messages", message, {"Prefer": "wait=25"})).status == 429:
                time.sleep(0.05)
            return reply

        asked = [waiting.submit(ask) for _ in range(2)]
        end = time.monotonic() + 20  # as long as both surely wait
        while (reply := call("GET", "/status", name="portale")).status != 429 and time.monotonic() < end:
            time.sleep(0.02)
        assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (429, "bus.too-many", "1")
        assert call("GET", "/status", name="altro").status == 200
        assert call("POST", "/messages", {"type": "prova.sveglia", "data": {"nome": "Ada"}}, name="altro").status == 202
        assert {one.result(60).status for one in asked} == {200}
        assert call("GET", "/status", name="portale").status == 200


def test_a_bus_with_too_many_requests_in_progress_is_busy_for_as_long_as_they_are(call, monkeypatch):
    monkeypatch.setattr("bus.web.door.MOST_AT_ONCE", 0)
    reply = call("GET", "/status")
    assert (reply.status, reply.json["code"]) == (503, "bus.busy")
    assert int(reply.headers["retry-after"]) > 0
    monkeypatch.setattr("bus.web.door.MOST_AT_ONCE", 5)
    assert {call("GET", "/status").status for _ in range(10)} == {200}


def test_a_store_that_fails_is_503_and_nothing_is_promised(server, call, monkeypatch):
    def closed(work):
        raise StoreError("the store is closed", code="store.closed")

    monkeypatch.setattr(server.app.store, "write", closed)
    reply = call("POST", "/messages", saluto("Vera"))
    assert (reply.status, reply.json["code"]) == (503, "store.closed")
    assert "retry-after" in reply.headers


def test_a_message_that_was_accepted_is_not_refused_because_its_reply_cannot_be_looked_for(server, call, monkeypatch):
    """Sent without a key, it would be sent once more."""

    def away(identity, **how):
        raise Interrupted("the database went away: sorry, too many clients already")

    with monkeypatch.context() as for_now:
        for_now.setattr(server.app, "message", away)
        reply = call("POST", "/messages", {"type": "prova.silenzio", "data": {"nome": "Vera"}}, {"Prefer": "wait=1"})
    assert reply.status == 202
    assert call("GET", f"/messages/{reply.json['id']}").status == 200


def test_a_bus_whose_engine_has_ended_is_not_well(server, call, monkeypatch):
    monkeypatch.setattr(server.app.engine, "alive", lambda: False)
    assert not server.app.well()
    reply = call("GET", "/status", name=None)
    assert (reply.status, reply.json["code"]) == (503, "bus.not-well")


def test_a_bus_whose_sequencer_has_ended_is_not_well(server, call, monkeypatch):
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    monkeypatch.setattr(server.app.sequencer, "_thread", ended)
    assert not server.app.well()
    reply = call("GET", "/status", name=None)
    assert (reply.status, reply.json["code"]) == (503, "bus.not-well")


def test_a_bus_whose_database_ends_no_transaction_is_not_well(server, call, monkeypatch):
    monkeypatch.setattr("bus.app.STUCK", 0.05)
    gate = threading.Event()
    held = server.app.store.write(lambda tx: gate.wait(60))
    until(lambda: call("GET", "/status", name=None).status != 200, "it is told")
    reply = call("GET", "/status", name=None)
    gate.set()
    assert (reply.status, reply.json["code"], held.result(30)) == (503, "store.stuck", True)
    monkeypatch.undo()
    assert call("GET", "/status", name=None).status == 200


@pytest.mark.parametrize("prefer", [{}, {"Prefer": "wait=1"}])
def test_a_database_that_says_nothing_is_not_waited_for_without_end(server, call, monkeypatch, prefer):
    monkeypatch.setattr("bus.web.bridge.PATIENCE", 0.2)
    gate = threading.Event()
    held = server.app.store.write(lambda tx: gate.wait(60))
    headers = {"Idempotency-Key": f"silenzio {prefer}"}
    try:
        reply = call("POST", "/messages", saluto("Rosa"), headers | prefer)
        assert (reply.status, reply.json["code"]) == (503, "store.unknown")
        assert "retry-after" in reply.headers
    finally:
        gate.set()
    assert held.result(30)
    monkeypatch.undo()
    again = call("POST", "/messages", saluto("Rosa"), headers)
    assert (again.status, again.headers["idempotency-status"]) == (202, "repeated")


def test_a_bus_without_a_descriptor_left_says_that_it_is_not_well_until_it_has_one(tmp_path):
    with running(tmp_path) as server, contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as line:

        def asked(path):
            line.request("GET", path)
            return Reply(line.getresponse())

        assert asked("/nulla").status == 404  # the connection is there, and nothing was read for it
        with no_descriptors():
            reply = asked("/status")
        assert (reply.status, reply.json["code"]) == (503, "store.unreachable")
        assert "retry-after" in reply.headers
        assert asked("/status").status == 200


def test_what_no_thread_was_to_be_had_for_is_refused_and_done_by_none_later(tmp_path, monkeypatch):
    """The pool of the standard library keeps what it could not begin, and does it with the next thread that it gets."""
    with running(tmp_path) as server:
        call, start, done = Caller(server.port, "sistemista"), threading.Thread.start, []
        monkeypatch.setattr("bus.app.App.runs", lambda app, *which, **how: done.append(1) or [])

        def refuse(thread):
            if thread.name.startswith("snodo-http"):
                raise RuntimeError("can't start new thread")
            start(thread)

        with monkeypatch.context() as none_left:
            none_left.setattr(threading.Thread, "start", refuse)
            reply = call("GET", "/runs")
        assert (reply.status, reply.json["code"]) == (503, "bus.no-thread")
        assert "retry-after" in reply.headers
        assert call("GET", "/runs").status == 200
        assert done == [1]


def test_a_message_for_which_there_is_no_memory_is_not_called_wrong(server, call, monkeypatch):
    """Whoever is told 400 does not send it again."""

    def none_left(*given):
        raise MemoryError

    with monkeypatch.context() as for_now:
        for_now.setattr("bus.web.protocol.HttpToolsProtocol.on_body", none_left)
        reply = call("POST", "/messages", saluto("Vera"))
    assert (reply.status, reply.json["code"]) == (503, "bus.no-memory")
    with monkeypatch.context() as for_now:
        for_now.setattr("bus.web.bodies._fitting", none_left)
        reply = call("POST", "/messages", saluto("Vera"))
    assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "bus.no-memory", "5")
    assert call("POST", "/messages", saluto("Vera")).status == 202


def test_a_bus_whose_database_was_moved_accepts_nothing_until_it_is_back(tmp_path):
    with running(tmp_path) as server:
        call, headers, folder = Caller(server.port), {"Idempotency-Key": "trasloco"}, server.app.store.path.parent
        assert call("POST", "/messages", saluto("Ada"), headers).status == 202
        folder.rename(tmp_path / "altrove")
        refused = [call("POST", "/messages", saluto("Ada"), {"Idempotency-Key": key}) for key in ("trasloco", "nuova")]
        for reply in (*refused, call("GET", "/status", name=None)):
            assert (reply.status, reply.json["code"]) == (503, "store.vanished")
            assert "retry-after" in reply.headers
        (tmp_path / "altrove").rename(folder)
        again = call("POST", "/messages", saluto("Ada"), headers)
        assert (again.status, again.headers["idempotency-status"]) == (202, "repeated")
        assert call("GET", "/status", name=None).status == 200
