"""Figures for monitoring: who may read them, what they say, that they say nothing of anybody."""

from __future__ import annotations

import hashlib
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bus import figures, metrics
from tests.small_bus import Caller, key_of, running, settings

MONITOR = {"name": "prometheus", "role": "monitor", "sha256": hashlib.sha256(key_of("prometheus").encode()).hexdigest()}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("bus"), keys=[*settings()["keys"], MONITOR]) as server:
        yield server


def scraped(text: str) -> dict[tuple[str, ...], float]:
    """As Prometheus reads it: (name, values of the labels) to the value."""
    return {(one.name, *one.labels.values()): one.value for family in text_string_to_metric_families(text) for one in family.samples}


def page(server) -> dict[tuple[str, ...], float]:
    answer = Caller(server.port, "prometheus")("GET", "/metrics")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return scraped(answer.content.decode())


@pytest.mark.parametrize(("name", "status"), [(None, 401), ("portale", 403), ("revisore", 403), ("prometheus", 200), ("sistemista", 200)])
def test_figures_are_for_who_watches_the_bus(server, name, status):
    assert Caller(server.port, name)("GET", "/metrics").status == status


def test_a_key_that_watches_may_see_how_the_bus_is_and_nothing_else(server):
    ask = Caller(server.port, "prometheus")
    assert ask("GET", "/status").json["bus"]["role"] == "all"
    assert {
        ask("GET", path).status for path in ("/runs", "/dead", "/cases/istanza:x", "/messages/0198c0de-0000-7000-8000-000000000000")
    } == {403}
    assert ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}).status == 403


def test_status_is_minimal_for_everybody_else(server):
    assert set(Caller(server.port, None)("GET", "/status").json) == {"type", "title", "status", "detail"}


def test_messages_and_runs_are_counted_and_nobody_is_named(server):
    ask = Caller(server.port)
    before = page(server)
    for number in range(3):
        sent = ask(
            "POST", "/messages", {"type": "prova.guasto", "data": {"nome": f"Ada Rossi {number}"}}, {"Idempotency-Key": f"k{number}"}
        )
        server.app.wait_reply(sent.json["id"], 10)
    ask("POST", "/messages", {"type": "prova.guasto", "data": {"nome": "Ada Rossi 0"}}, {"Idempotency-Key": "k0"})
    ask("POST", "/messages", {"type": "prova.attesa", "data": {"nome": "Bo"}}, {"Idempotency-Key": "w"})
    after = page(server)
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown["snodo_messages_accepted_total", "prova.guasto"] == 3
    assert grown["snodo_messages_repeated_total", "prova.guasto"] == 1
    assert grown["snodo_runs", "dead"] == 3
    assert grown["snodo_store_commits_total",] >= 4
    assert grown["snodo_log_records_total",] > 6
    assert after["process_resident_memory_bytes",] > 1e7
    assert "Ada" not in repr(after)


def test_a_process_without_a_door_serves_its_figures_on_loopback(server):
    port, stop = metrics.serve(0, lambda: figures.of(server.app))
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert ("snodo_store_commits_total",) in scraped(answer.read().decode())
    finally:
        stop()
