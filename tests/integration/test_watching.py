"""`bus tail` and `bus top`: the log as it grows, and how busy everything is; nobody's data in either."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bus import cli
from bus.adapter import Call, operation
from bus.client import Client, ClientError
from bus.testing.patience import until
from bus.web.serve import Server
from tests.files import put
from tests.integration.eco import Eco, Nome
from tests.small_bus import Caller, key_of, running, wait_reply

ROUTE = """
route: prova.chiede
version: 1
on: prova.orfano
case: {istanza: body.nome}
steps:
  - {id: scrivi, call: eco.scrivi, with: {nome: body.nome}, as: scritto, on_error: [{steps: [{id: no, set: {x: 1}}]}]}
  - {id: rispondi, reply: {ok: true}}
"""


@pytest.fixture
def server(tmp_path: Path) -> Any:
    put(tmp_path, {"routes/chiede.yaml": ROUTE})
    with running(tmp_path, {"eco": Eco("eco", Eco.Settings())}) as made:
        yield made


def send(server: Server, nome: str) -> str:
    sent = Caller(server.port)("POST", "/messages", {"type": "prova.orfano", "data": {"nome": nome}}, {"Prefer": "wait=25"})
    assert 200 == sent.status, sent.json
    wait_reply(server.app, sent.json["id"], 60)
    identity: str = sent.json["id"]
    return identity


def tail(server: Server, query: str = "") -> Any:
    answer = Caller(server.port, "revisore")("GET", f"/log/tail{query}")
    assert 200 == answer.status, answer.json
    return answer.json


def kinds(found: Any) -> list[str]:
    return [record["kind"] for record in found["records"]]


def test_the_log_is_followed_from_where_one_was(server: Server) -> None:
    # The keys of receipts and those of checkpoints are told of by one record each.
    until(lambda: 2 == kinds(tail(server)).count("keys"), "what a bus writes of itself as it starts")
    start = tail(server)
    send(server, "Ada")
    found = tail(server, f"?after={start['next']}")
    assert ["received", "asked", "answered", "replied", "done"] == kinds(found)
    assert [] == kinds(tail(server, f"?after={found['next']}"))
    page = tail(server, f"?after={start['next']}&limit=2")
    assert found["records"] == page["records"] + tail(server, f"?after={page['next']}")["records"]
    assert found["records"][-2:] == tail(server, "?limit=2")["records"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("route=prova.chiede&outcome=received,refused", ["received", "received", "refused"]),
        ("route=prova.saluta", []),
        ("adapter=eco", ["asked", "answered", "asked", "refused"]),
        ("adapter=altro", []),
        ("outcome=failed", ["refused"]),
        ("case=istanza:Nessuno", ["received", "asked", "refused", "replied", "done"]),
        ("case=istanza:Altri", []),
        ("case=istanza:Ada&adapter=eco&outcome=asked", ["asked"]),
    ],
)
def test_what_is_wanted_is_told_and_nothing_else(server: Server, query: str, expected: list[str]) -> None:
    send(server, "Ada")
    send(server, "Nessuno")
    assert expected == kinds(tail(server, f"?{query}"))
    assert expected == kinds(tail(server, f"?after=0&{query}"))


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("route=prova.chiedi", "there is no route 'prova.chiedi': did you mean prova.chiede?"),
        ("adapter=ecco", "there is no adapter 'ecco': did you mean eco?"),
        ("route=altro.tutto&adapter=altro", "there is no route 'altro.tutto'; there is no adapter 'altro'"),
        ("adapter=eco", None),
    ],
)
def test_who_misspells_what_is_wanted_is_told_what_there_is(server: Server, query: str, hint: str | None) -> None:
    assert tail(server, f"?after={tail(server)['next']}&{query}").get("hint") == hint


def test_who_follows_a_log_that_was_put_back_is_told_and_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers come again: what was recorded since lies before the place, and nobody would be told of it."""
    put(tmp_path, {"routes/chiede.yaml": ROUTE})
    database, backup = tmp_path / "var/snodo.db", tmp_path / "backup.db"
    with running(tmp_path, {"eco": Eco("eco", Eco.Settings())}) as server:
        until(lambda: 2 == kinds(tail(server)).count("keys"), "what a bus writes of itself as it starts")
        send(server, "Ada")
        with closing(sqlite3.connect(database)) as raw:
            raw.execute("VACUUM INTO ?", (str(backup),))
        send(server, "Berto")
        seen = tail(server)
        place = f"?after={seen['next']}&at={seen['at']}"
        assert ([], None) == (kinds(tail(server, place)), tail(server, place).get("put_back"))
    for name in ("snodo.db", "snodo.db-wal", "snodo.db-shm"):
        (tmp_path / "var" / name).unlink(missing_ok=True)
    backup.rename(database)
    with running(tmp_path, {"eco": Eco("eco", Eco.Settings())}) as server:
        short = tail(server, place)
        assert (True, True) == (short["put_back"], short["next"] < seen["next"]), "it ends before the place"
        longer = [send(server, name) for name in ("Carla", "Dario")]
        told = tail(server, place)
        assert (True, True) == (told["put_back"], told["next"] > seen["next"]), "there is another record at the place"
        assert set(longer) <= {record.get("message") for record in told["records"]}
        assert "put_back" not in tail(server, f"?after={told['next']}&at={told['at']}")
        assert _followed(server, seen, monkeypatch) == 130
        out, err = capsys.readouterr()
        assert (err.count("its database was put back"), longer[1] in out) == (1, True)


def _followed(server: Server, seen: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """`bus tail`, which showed that last, until it has asked once more, and twice while nobody answered."""
    asked, questions = Client.get, iter([0, 1, 2, 2])
    monkeypatch.setattr("bus.cli.watch.time", SimpleNamespace(sleep=lambda _: None))

    def get(self: Client, path: str, **query: Any) -> Any:
        number = next(questions, None)
        if number is None:
            raise KeyboardInterrupt
        if number == 2:
            raise ClientError(0, {"detail": "no answer"})
        return asked(self, path, **query) if number else seen

    monkeypatch.setattr(Client, "get", get)
    monkeypatch.setenv("SNODO_URL", server.url)
    monkeypatch.setenv("SNODO_KEY", key_of("sistemista"))
    return cli.main(["tail", "--json"])


def test_who_waits_is_told_when_it_happens(server: Server) -> None:
    start = tail(server)["next"]
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(tail(server, f"?after={start}&wait=25&outcome=done")))
    waiting.start()
    send(server, "Ada")
    waiting.join(60)
    assert ["done"] == kinds(answers[0])


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "limit=0", "limit=100000", "wait=999", "after=" + "9" * 5000, "outcome=andata", "nome=Ada"]
)
def test_a_question_that_makes_no_sense_is_refused(server: Server, query: str) -> None:
    answer = Caller(server.port, "revisore")("GET", f"/log/tail?{query}")
    assert (422, "input.query") == (answer.status, answer.json["code"])


def test_a_portal_sees_neither(server: Server) -> None:
    assert [403, 403] == [Caller(server.port, "portale")("GET", path).status for path in ("/log/tail", "/top")]


def test_top_tells_rates_latencies_failures_and_gates(server: Server) -> None:
    for nome in ("Ada", "Berto", "Nessuno"):
        send(server, nome)
    shown = Caller(server.port, "sistemista")("GET", "/top").json
    route, system = shown["routes"]["prova.chiede"], shown["adapters"]["eco"]
    assert route["ended"] == pytest.approx(3 / shown["seconds"], abs=0.01)
    assert 0 <= route["half"] <= route["most"] < 20
    assert (2, 1, 0, 0, "closed") == (system["answered"], system["refused"], system["unanswered"], system["out"], system["circuit"])
    assert shown["received"] == pytest.approx(3 / shown["seconds"], abs=0.01)


def test_a_process_that_is_alone_tells_of_itself(server: Server) -> None:
    ask = Caller(server.port, "sistemista")
    told = [ask("GET", "/top").json, ask("GET", "/status").json["bus"], ask("GET", "/rules").json]
    assert [[(one["role"], one["pid"], one["silent"]) for one in those["processes"]] for those in told] == [
        [("serve", os.getpid(), 0.0)]
    ] * 3


def test_top_counts_dead_letters_and_runs_that_are_due(server: Server) -> None:
    sent = Caller(server.port)("POST", "/messages", {"type": "prova.guasto", "data": {"nome": "Ada"}})
    wait_reply(server.app, sent.json["id"], 60)
    until(lambda: (1, 1) == ((one := server.app.top()["routes"]["prova.fallisce"])["dead"], one["failed"]), "it is counted")  # type: ignore[index,call-overload]


def test_a_run_that_does_not_go_on_by_itself_is_not_said_to_be_due(server: Server) -> None:
    """One that waits for a message may wait for months: the moment at which it began to is none at which anything is due."""
    call = Caller(server.port)
    call("POST", "/messages", {"type": "prova.attesa", "data": {"nome": "Ugo"}})
    send(server, "Ada")
    for state in ("waiting", "done"):
        [run] = until(lambda: server.app.runs(state), f"a run is {state}")  # noqa: B023
        assert [None, None] == [run["due"], call("GET", f"/runs/{run['id']}", name="sistemista").json["due"]]


def test_both_on_the_command_line_without_anybodys_data(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SNODO_URL", server.url)
    monkeypatch.setenv("SNODO_KEY", key_of("sistemista"))
    send(server, "Zaccaria")
    assert 0 == cli.main(["tail", "--once", "--adapter", "eco"])
    told = capsys.readouterr().out
    assert 2 == len(told.splitlines())
    assert "eco.scrivi answered" in told
    assert re.match(r"\d\d/\d\d/\d{4} \d\d:", told), "a quiet log is followed over days"
    assert 0 == cli.main(["tail", "--once", "--json", "--last", "10"])
    lines = capsys.readouterr().out
    told_of_the_run = [kind for kind in (json.loads(line)["kind"] for line in lines.splitlines()) if kind not in ("access", "keys")]
    assert ["answered", "replied", "done"] == told_of_the_run[-3:]
    assert 2 == cli.main(["tail", "--once", "--route", "prova.chied"]), "a name of nothing is wrong usage"
    out, said = capsys.readouterr()
    sentence = "no such record among the newest 5,000: there is no route 'prova.chied': did you mean prova.chiede?"
    assert ("", f"error: {sentence}") == (out, said.splitlines()[0])
    assert 0 == cli.main(["tail", "--once", "--route", "prova.saluta"])
    out, said = capsys.readouterr()
    assert ("", True) == (out, said.startswith("no such record among the newest 5,000 (older ones: ")), said
    assert 2 == cli.main(["top", "--every", "inf"])  # no clock counts so far
    assert 0 == cli.main(["top", "--once"])
    table = capsys.readouterr().out
    assert "prova.chiede" in table
    assert "closed" in table
    assert 0 == cli.main(["top", "--json"])
    assert "Zaccaria" not in told + lines + table + capsys.readouterr().out


class Loquace(Eco):
    """One that lets be seen what it sends, and what it gets."""

    @operation(effect="keyed", timeout=5)
    def scrivi(self, request: Nome, ctx: Call) -> Nome:
        ctx.wire("out", f"chi: {request.nome}".encode(), "text/plain")
        ctx.wire("in", b"fatto", "text/plain")
        return request


def test_which_bytes_crossed_the_border_is_listed_for_any_run_and_each_is_shown_for_a_purpose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    put(tmp_path, {"routes/chiede.yaml": ROUTE})
    with running(tmp_path, {"eco": Loquace("eco", Eco.Settings())}) as server:
        monkeypatch.setenv("SNODO_URL", server.url)
        monkeypatch.setenv("SNODO_KEY", key_of("revisore"))
        run = server.app.message(send(server, "Ada"))["runs"][0]["id"]  # type: ignore[index,call-overload]
        assert 0 == cli.main(["runs", "evidence", run.upper(), "--json"])
        shown = json.loads(capsysbinary.readouterr().out)
        assert (run, ["wire-out", "wire-in"]) == (shown["run"], [one["role"] for one in shown["evidence"]])
        assert {"prova.chiede@1/scrivi"} == {one["place"] for one in shown["evidence"]}
        assert 0 == cli.main(["runs", "evidence", run])
        assert [b"sent", b"received"] == [line.split()[3] for line in capsysbinary.readouterr().out.splitlines()[1:3]]
        for identity, said in zip((one["id"] for one in shown["evidence"]), (b"chi: Ada", b"fatto"), strict=True):
            assert 0 == cli.main(["runs", "evidence", run, identity, "--purpose", "verifica"])
            assert said == capsysbinary.readouterr().out
        assert 2 == cli.main(["runs", "evidence", run, identity]), "nothing is shown without a purpose"


def test_tail_goes_on_until_it_is_stopped(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = Client.get
    questions: list[Any] = []

    def get(self: Client, path: str, **query: Any) -> Any:
        questions.append(query)
        if len(questions) == 2:
            send(server, "Ada")
        if len(questions) == 4:
            raise KeyboardInterrupt
        return asked(self, path, **query)

    monkeypatch.setattr(Client, "get", get)
    monkeypatch.setenv("SNODO_URL", server.url)
    monkeypatch.setenv("SNODO_KEY", key_of("sistemista"))
    assert 130 == cli.main(["tail", "--outcome", "done", "--last", "0"])
    assert 1 == len(capsys.readouterr().out.splitlines())
    assert questions[3]["after"] > questions[1]["after"]


RECORDS = """
route: prova.racconta
version: 1
on: prova.attesa
case: {istanza: body.nome}
steps:
  - {id: scrivi, call: eco.scrivi, with: {nome: body.nome}, as: scritto, case: {altro: '"x" + scritto.nome'}}
  - {id: aspetta, wait: prova.sveglia, case: istanza, deadline: 30d, as: sveglia}
  - {id: saluta, send: prova.saluto, with: {nome: body.nome}}
  - {id: rispondi, reply: {ok: true}}
given:
  messages:
    prova.attesa: {nome: Ada}
    prova.sveglia: {nome: Ada}
  eco.scrivi: {answers: {nome: Ada}}
tests:
  - name: told
    then: [{arrive: prova.sveglia}]
    expect: {records: [received, asked, answered, joined, waiting, matched, sent, replied, done]}
"""


def test_a_test_of_a_route_expects_the_records_that_the_bus_writes(tmp_path: Path) -> None:
    from bus.testing.routes import run_folder

    put(tmp_path, {"routes/racconta.yaml": RECORDS})
    with running(tmp_path, {"eco": (eco := Eco("eco", Eco.Settings()))}) as server:
        (tmp_path / "routes/prova/aspetta.yaml").unlink()
        assert server.app.activate(None, "sistemista", "the other route waits too")["changed"]
        call = Caller(server.port)
        sent = call("POST", "/messages", {"type": "prova.attesa", "data": {"nome": "Ada"}}).json["id"]
        until(lambda: "waiting" == call("GET", f"/messages/{sent}").json["state"], "it waits")
        call("POST", "/messages", {"type": "prova.sveglia", "data": {"nome": "Ada"}})
        wait_reply(server.app, sent, 60)
        until(lambda: "done" == call("GET", f"/messages/{sent}").json["state"], "it is done")
        written = [record["kind"] for record in server.app.records("message", sent)["records"] if record["kind"] != "parked"]
        catalog = server.app.catalog()
    [told] = run_folder(catalog, {f"eco.{one.name}": one for one in eco.operations.values()}, ["prova.racconta"])
    assert () == told.faults
    assert catalog.routes["prova.racconta"].tests[0].expect.records == written
