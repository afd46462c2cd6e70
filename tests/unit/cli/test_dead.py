"""``bus dead``: what a person at a terminal does with dead letters; against a small bus."""

from __future__ import annotations

import json
import re

import pytest

from bus.cli.words import when
from bus.client import Client, ClientError
from bus.testing.patience import until
from tests.unit.cli.conftest import sent


def test_a_dead_letter_says_what_can_be_done_and_it_can_be_done(bus, tmp_path):
    message = sent(bus, tmp_path, "prova.guasto", "Elio", "--wait", "10")
    run = next(one["id"] for one in json.loads(bus("dead", "list", "--json")[1])["dead"] if one["message"] == message["id"])
    head, *rows = bus("dead", "list")[1].splitlines()
    since = next(one["changed"] for one in json.loads(bus("dead", "list", "--json")[1])["dead"] if one["id"] == run)
    assert head.split() == ["dead", "since", "run", "place", "code"]
    assert next(row for row in rows if run in row).split()[-3:] == [run, "prova.fallisce@1/rompi", "prova.rotta"]
    assert when(since) in "\n".join(rows)
    bare = bus("dead", "show", run)[1]
    assert "rotta apposta" not in bare, "what was said takes a purpose"
    assert f"next: bus dead show {run} --purpose" in " ".join(bare.split())
    shown = bus("dead", "show", run, "--purpose", "prova")[1]
    assert "rotta apposta (prova.rotta)" in shown
    assert f"next: bus dead redeliver {run} --reason" in shown
    assert bus("dead", "redeliver", run)[0] == 2
    assert bus("dead", "decide", run, "--reason", "x", "--again")[0] == 1
    assert bus("dead", "discard", run, "--reason", "prova") == (0, f"{run} is cancelled\n", "")
    code, _, err = bus("dead", "discard", run, "--reason", "prova")
    assert code == 1
    assert "dead.not-dead" in err


def ended(bus, message):
    """The run of a message that is dead, and how often it died."""
    records = json.loads(bus("log", "show", "--message", message["id"], "--json")[1])["records"]
    dead = [one["run"] for one in records if one["kind"] == "dead"]
    return (dead[0], len(dead)) if dead else None


def test_all_that_ended_with_one_code_are_redelivered_the_oldest_first(bus, tmp_path, monkeypatch):
    """Each once: one that dies again meanwhile is not tried a second time. What cannot be redelivered stops no other."""
    monkeypatch.setattr("bus.web.dead.MOST_RUNS", 2)
    sent_now = [sent(bus, tmp_path, "prova.guasto", name, "--wait", "10") for name in ("Ugo", "Uma", "Ubaldo")]
    runs = [until(lambda one=one: ended(bus, one), "it is dead")[0] for one in sent_now]
    assert [one["id"] for one in json.loads(bus("dead", "list", "--code", "prova.rotta", "--json")[1])["dead"]] == runs[:0:-1]
    together = ("--code", "prova.rotta", "--route", "prova.fallisce", "--reason", "il protocollo risponde", "--json")
    code, out, _ = bus("dead", "redeliver", *together)
    assert code == 0
    assert json.loads(out)["redelivered"][-3:] == runs
    assert len(set(json.loads(out)["redelivered"])) == len(json.loads(out)["redelivered"])
    until(lambda: [ended(bus, one)[1] for one in sent_now] == [2, 2, 2], "all are dead again")

    posted = Client.post

    def somebody_was_quicker(client, path, body):
        if runs[1] in path:
            posted(client, f"/dead/{runs[1]}/discard", {"reason": "ci ha ripensato"})
        return posted(client, path, body)

    monkeypatch.setattr(Client, "post", somebody_was_quicker)
    code, out, _ = bus("dead", "redeliver", *together[:-1])
    assert code == 1
    assert f"not {runs[1]}: the run is cancelled, not dead (dead.not-dead)" in out
    until(lambda: [ended(bus, one)[1] for one in sent_now] == [3, 2, 3], "the others are dead again")


def test_redelivering_many_ends_where_the_bus_takes_no_more(bus, tmp_path, monkeypatch):
    message = sent(bus, tmp_path, "prova.guasto", "Ulisse", "--wait", "10")
    until(lambda: ended(bus, message), "it is dead")

    def away(client, path, body):
        raise ClientError(503, {"code": "bus.busy", "detail": "the queue is full"})

    monkeypatch.setattr(Client, "post", away)
    code, out, err = bus("dead", "redeliver", "--code", "prova.rotta", "--reason", "prova")
    assert (code, out) == (3, "")
    assert re.search(r"^0 of \d+ runs? are ready again; the rest is as it was$", err, re.MULTILINE)
    assert "bus.busy" in err


@pytest.mark.parametrize("said", [[], ["RUN", "--code", "prova.rotta"], ["--route", "prova.fallisce"]])
def test_what_is_redelivered_is_said_in_one_way(bus, said):
    code, _, err = bus("dead", "redeliver", *said, "--reason", "prova")
    assert code == 2
    assert "say which: a run, or --code and perhaps --route" in err


def test_nothing_that_ended_so_is_said(bus):
    asked = ("dead", "redeliver", "--code", "prova.mai-vista", "--reason", "prova")
    assert bus(*asked) == (0, "no dead letter ended so: `bus dead list` says how each did\n", "")
