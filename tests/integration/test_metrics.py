"""Figures for monitoring: who may read them, what they say, that they say nothing of anybody."""

from __future__ import annotations

import urllib.request
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bus import figures, metrics
from bus.adapter import Adapter, Call, Contract, Refused, Unreachable, operation
from bus.clock import text_of
from tests.small_bus import Caller, own_key, running, settings, wait_reply, write

MONITOR = own_key("prometheus", "monitor")


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
        wait_reply(server.app, sent.json["id"], 60)
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


class Domanda(Contract):
    come: str


class Risposta(Contract):
    detto: str


class Oracolo(Adapter):
    """Answers, refuses, or is not there, as it is asked."""

    @operation(effect="read", timeout=5, refusals={"NO": "it does not want to"})
    def chiedi(self, request: Domanda, ctx: Call) -> Risposta:
        match request.come:
            case "rifiuta":
                raise Refused("no", outside_code="NO")
            case "caccia":
                raise Refused("out", outside_code="NO", locked_out=True)
            case _ if request.come.startswith("manca"):
                raise Unreachable("nobody there")
        return Risposta(detto="si")


ROUTE = """
route: prova.chiede
version: 1
owner: prove@comune.example
purpose: asks a system
on: prova.orfano
steps:
  - id: chiedi
    call: oracolo.chiedi
    with: {come: body.nome}
    retry: {attempts: 1}
    as: risposta
"""


def test_calls_are_counted_by_how_they_ended_and_circuits_are_told(tmp_path):
    write(tmp_path, keys=[*settings()["keys"], MONITOR])
    (tmp_path / "routes/prova/chiede.yaml").write_text(ROUTE, "utf-8")
    patient = {"circuit": {"pause": 600, "longest": 600}}  # no trial call before the figures are read
    oracolo, keys = Oracolo("oracolo", Oracolo.Settings()), [*settings()["keys"], MONITOR]
    with running(tmp_path, {"oracolo": oracolo}, keys=keys, engine=patient) as server:
        before = page(server)  # a process counts as long as it lives, other tests' calls too
        for name in ["bene", "rifiuta", *(f"manca {number}" for number in range(6))]:
            sent = Caller(server.port)("POST", "/messages", {"type": "prova.orfano", "data": {"nome": name}})
            wait_reply(server.app, sent.json["id"], 1 if name == "manca 5" else 60)
        told = page(server)
    counters = {ending: ("snodo_calls_total", ending, "oracolo.chiedi") for ending in ("answered", "refused", "unreachable")}
    ended = {ending: told[counter] - before.get(counter, 0) for ending, counter in counters.items()}
    assert ended == {"answered": 1, "refused": 1, "unreachable": 5}, "the sixth found the circuit open"
    assert told["snodo_circuit_open", "oracolo"] == 1
    assert (told["snodo_channel_connected",], told["snodo_channel_outages_total",]) == (1, 0)


def test_a_system_that_does_not_take_our_credentials_is_told_until_it_does(tmp_path):
    write(tmp_path, keys=[*settings()["keys"], MONITOR])
    (tmp_path / "routes/prova/chiede.yaml").write_text(ROUTE, "utf-8")
    with running(tmp_path, {"oracolo": Oracolo("oracolo", Oracolo.Settings())}, keys=[*settings()["keys"], MONITOR]) as server:
        told = []
        for name in ("rifiuta", "caccia", "bene"):
            sent = Caller(server.port)("POST", "/messages", {"type": "prova.orfano", "data": {"nome": name}})
            wait_reply(server.app, sent.json["id"], 60)
            told.append(page(server).get(("snodo_locked_out", "oracolo.chiedi")))
    assert told == [None, 1, None]


def test_commits_that_are_gone_are_told_for_thirty_days(server):
    """Only the line of a process, long scrolled away, and whoever called `bus doctor` said that accepted messages are lost."""
    now = server.app.clock.now()
    told = [page(server)["snodo_rolled_back",]]
    for days in (31, 29):
        found = text_of(now - timedelta(days=days))
        server.app.store.write(lambda tx, found=found: tx.do("add_mark", name=f"rolled-back {found}", value=found)).result()
        told.append(page(server)["snodo_rolled_back",])
    assert told == [0, 0, 1]


def test_a_process_without_a_door_serves_its_figures_on_loopback(server):
    port, stop = metrics.serve(0, lambda: figures.of(server.app))
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert ("snodo_store_commits_total",) in scraped(answer.read().decode())
    finally:
        stop()
