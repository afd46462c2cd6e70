"""Endpoints of adapters over HTTP: what another system sends us of its own accord."""

from __future__ import annotations

import gzip
import threading

import pytest

from bus.adapter import Fact
from bus.errors import Invalid
from bus.testing.patience import until
from bus.web import house


def test_an_adapter_answers_its_system_and_takes_messages_in(call):
    first, second = (call("POST", "/in/eco", b"Sara", name=None) for _ in range(2))
    assert first.content == second.content
    assert (first.headers["x-repeated"], second.headers["x-repeated"]) == ("False", "True")
    assert call("POST", "/in/eco?lento=1", b"Sara", name=None).status == 200


def test_an_adapter_that_breaks_answers_cleanly(call):
    reply = call("POST", "/in/rotto", b"x", name=None)
    assert reply.status == 500
    assert "segreto" not in reply.content.decode()


def test_an_adapter_s_system_is_told_to_come_again_when_the_bus_is_full(server, call, monkeypatch):
    monkeypatch.setattr(server.app.backlog, "full", True)
    reply = call("POST", "/in/eco", b"Zoe", name=None)
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    monkeypatch.undo()
    assert call("POST", "/in/eco", b"Zoe", name=None).headers["x-repeated"] == "False", "nothing of the first was kept"


def test_what_an_adapter_hands_in_under_a_key_with_a_nul_is_refused(server):
    door = server.app.door("sportello")
    for key, subject, nome in (("a\0b", None, "Ada"), ("ab", "a\0b", "Ada"), ("ac", None, "a\0b")):
        with pytest.raises(Invalid, match="NUL"):
            door.accept("prova.sveglia", {"nome": nome}, key=key, subject=subject)
    with pytest.raises(Invalid, match="NUL"):
        door.accept("prova.sveglia", {"nome": "Ada"}, key="ad", facts=[Fact("avviso", "a\0b", 1)])


def test_an_endpoint_takes_no_more_than_it_declares(call):
    assert call("POST", "/in/eco", b"x" * 1001, name=None).status == 413
    assert call("POST", "/in/eco", gzip.compress(b"x" * 1001), {"Content-Encoding": "gzip"}, name=None).status == 413


@pytest.mark.parametrize("coding", ["gzip", "X-GZIP"])
def test_an_endpoint_reads_what_its_system_compressed(call, coding):
    plain = call("POST", "/in/eco", b"Gemma", name=None)
    packed = call("POST", "/in/eco", gzip.compress(b"Gemma"), {"Content-Encoding": coding}, name=None)
    assert (packed.content, packed.headers["x-repeated"]) == (plain.content, "True")


def test_threads_that_read_what_systems_send_give_way_to_others(call, monkeypatch):
    """What reads XML keeps the names that it met for as long as its thread lives, and who sends them may make up new ones for ever."""
    monkeypatch.setattr(house, "RENEWED", 1000)
    call("POST", "/in/eco", b"Iole", name=None)
    first = [thread for thread in threading.enumerate() if thread.name.startswith("snodo-inbound")]
    assert first
    for number in range(3):
        assert call("POST", "/in/eco", str(number).encode() * 600, name=None).status == 200
    until(lambda: not any(thread.is_alive() for thread in first), "the first threads have ended")
    assert call("POST", "/in/eco", b"Iole", name=None).headers["x-repeated"] == "True"
