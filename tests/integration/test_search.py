"""Searches: each question is answered as somebody would who reads the whole log, page by page, in either store, traced or not yet."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus import cli
from bus.engine import search
from bus.engine.search import Cursor, Question
from bus.errors import Invalid, StoreError
from bus.log import log
from bus.log.record import Record
from bus.message import new_id
from bus.store import Tx
from bus.testing.patience import until
from bus.web.serve import Server
from tests.files import put
from tests.integration.workshop import Workshop, workshop
from tests.small_bus import Caller, key_of, own_key, running, settings, wait_reply

KEYS = ("", "a:a-bene", "a-bene", "b:b-bene", "nobody", "c:figlia-a-bene")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A log in which much has happened; its sequencer is at rest, so that each test says what is traced."""
    url = "sqlite:///prova.db" if request.param == "sqlite" else request.getfixturevalue("_postgresql").new_database()
    with workshop(tmp_path_factory.mktemp("search"), url) as made:
        runs = {modo: made.start(f"a-{modo}", modo) for modo in ("bene", "giu-scrivi", "no-registra", "dubbio-avvisa")}
        for modo in ("giu-scrivi", "no-registra", "dubbio-avvisa"):
            made.when(runs[modo], "dead")
        made.send("legame", a="a-bene", b="b-bene")
        made.send("seguito", b="b-bene")
        made.when(runs["bene"], "done")
        made.app.discard(runs["dubbio-avvisa"], "chiara", "rinunciato")
        made.system.well = True
        made.app.redeliver(runs["giu-scrivi"], "chiara", "risponde")
        made.when(runs["giu-scrivi"], "done")
        for n in range(12):
            made.send("legame", a=f"altra-{n}", b=f"altra-{n}")
        made.quiet()
        assert made.app.sequencer is not None
        made.app.sequencer.stop()
        yield made


def find(shop: Workshop, question: Question, most: int = 5) -> list[Any]:
    """All pages."""
    found: list[Any] = []
    after = ""
    for _ in range(1000):
        page = shop.app.search(question, most, after)
        assert isinstance(page["found"], list)
        assert len(page["found"]) <= most + 3, "only a record that opened several runs shows more"
        found += page["found"]
        if page["next"] is None:
            return found
        after = str(page["next"])
    raise AssertionError("it does not end")


def read_through(tx: Tx, question: Question, of_key: set[str] | None) -> list[str]:
    """What the whole log, read record by record, says to a question: ids, newest first."""
    told = [(record, seq) for seq, record in log.everything(tx)]
    types = {record.message: record.data["type"] for record, _ in told if record.kind == "received"}
    cases = {str(record.message): str(tx.one("message", id=record.message)["case_id"]) for record, _ in told if record.kind == "received"}  # type: ignore[index]
    only_received = question.find in ("messages", "cases") and not (question.kinds or question.route or question.step)

    def lines(record: Record) -> list[tuple[str | None, str]]:
        """Runs with places."""
        opened = (
            [(run["id"], f"{run['route']}@{run['version']}") for run in record.data.get("runs", ())] if record.kind == "received" else []
        )
        return opened or [(record.run, record.place or "")]

    def good(record: Record, place: str) -> bool:
        route, _, step = place.partition("/")
        return (
            (record.kind in question.kinds if question.kinds else record.kind == "received" or not only_received)
            and (not question.type or types.get(record.message) == question.type)
            and (not question.route or question.route in (route, route.partition("@")[0]))
            and (not question.step or step == question.step)
            and (question.since is None or record.time >= question.since)
            and (question.until is None or record.time < question.until)
            and (of_key is None or record.message in of_key)
        )

    found: dict[str, None] = {}
    for record, _ in sorted(told, key=lambda one: (one[0].time, one[1]), reverse=True):
        for run, place in lines(record):
            if good(record, place):
                thing = {"records": record.id, "messages": record.message, "runs": run, "cases": cases.get(record.message or "")}[
                    question.find
                ]
                found |= {thing: None} if thing else {}
    return list(found)


def identity(one: Any) -> str:
    return str(one["id"] if "id" in one else one["case"])


def questions(shop: Workshop, count: int) -> Iterator[tuple[Question, set[str] | None]]:
    dice = random.Random(7)
    with shop.app.store.read() as tx:
        times = [record.time for _, record in log.everything(tx)]
        members = {key: set(search.named(tx, key, persons=False).few or ()) if key else None for key in KEYS}
    moments = [None, None, *dice.sample(times, 6)]
    for name in itertools.islice(itertools.cycle(search.FINDS), count):
        key = dice.choice(KEYS) if dice.random() < 0.4 else ""
        since, until = dice.choice(moments), dice.choice(moments)
        yield Question(
            name, key,  # type: ignore[arg-type]
            dice.choice(("", "", "prova.inizio", "prova.figlia", "prova.altra")),
            dice.choice(("", "", "prova.inizio", "prova.inizio@1", "prova.inizio@2", "prova.figlia")),
            dice.choice(("", "", "", "scrivi", "registra", "aspetta")),
            dice.choice((frozenset(), frozenset(), frozenset({"dead", "refused"}), frozenset({"asked"}), frozenset({"received"}), frozenset({"rules", "done"}))),
            since, until,
        ), members[key]  # fmt: skip


@pytest.mark.parametrize("traced", [0.0, 0.5, 1.0])
def test_every_question_is_answered_as_by_who_reads_the_whole_log(shop: Workshop, traced: float, monkeypatch: pytest.MonkeyPatch) -> None:
    with shop.app.store.read() as tx:
        whole = len(list(log.everything(tx)))
    while True:
        with shop.app.store.read() as tx:
            left = whole * traced - log.traced_until(tx)
        if left <= 0:
            break
        monkeypatch.setattr(search, "AT_ONCE", 7)
        search.trace(shop.app.store)
    answered = 0
    for question, of_key in questions(shop, 240):
        found = [identity(one) for one in find(shop, question)]
        with shop.app.store.read() as tx:
            expected = read_through(tx, question, of_key)
        assert expected == found, question
        answered += bool(found)
    assert answered > 40, "most of the questions find nothing"


def test_a_key_finds_its_case_whole_and_nothing_else(shop: Workshop) -> None:
    [case] = find(shop, Question("cases", "a:a-bene"))
    assert case["case"] == find(shop, Question("cases", "b-bene"))[0]["case"]
    assert {one["case"] for one in find(shop, Question("messages", "a:a-bene"))} == {case["case"]}
    assert [] == find(shop, Question("cases", "b:a-bene")), "another name for the value"


def test_many_messages_of_a_key_are_found_as_few_are(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: find(shop, Question(name, "a:a-bene")) for name in search.FINDS}  # type: ignore[arg-type]
    monkeypatch.setattr(search, "FEW", 0)
    assert few == {name: find(shop, Question(name, "a:a-bene")) for name in search.FINDS}  # type: ignore[arg-type]


def test_pages_neither_repeat_nor_leave_out_whatever_is_written_between_them(tmp_path: Path) -> None:
    with workshop(tmp_path) as shop:
        for n in range(8):
            shop.send("legame", a=f"prima-{n}", b=f"prima-{n}")
        shop.quiet()
        shop.settled()
        for name in search.FINDS:
            question = Question(name)  # type: ignore[arg-type]
            expected, found, after = [identity(one) for one in find(shop, question, 200)], list[str](), ""
            while True:
                page = shop.app.search(question, 2, after)
                found += [identity(one) for one in page["found"]]  # type: ignore[union-attr]
                if page["next"] is None:
                    break
                after = str(page["next"])
                shop.send("legame", a=f"prima-{len(found) % 8}", b=f"dopo-{name}-{len(found)}")  # older cases have newer records now
                time.sleep(0.01)
            assert expected == found, name


def test_a_page_passes_by_so_many_records_at_most_and_says_where_it_goes_on(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = find(shop, Question("cases"))
    monkeypatch.setattr(search, "LOOKED_AT", 4)
    page = shop.app.search(Question("cases"), 100)
    assert page["next"]
    assert len(page["found"]) < len(whole)  # type: ignore[arg-type]
    assert whole == find(shop, Question("cases"))


def test_a_round_reads_few_traces_and_pages_are_the_same(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    while search.trace(shop.app.store):
        pass
    whole = {name: find(shop, Question(name)) for name in search.FINDS}  # type: ignore[arg-type]
    monkeypatch.setattr(search, "_ROUND", 0)
    monkeypatch.setattr(search, "_LEAST", 2)
    assert whole == {name: find(shop, Question(name)) for name in search.FINDS}  # type: ignore[arg-type]


def opened(several: int, time: dt.datetime) -> Record:
    """A record of a message that opened so many runs: each has a trace."""
    runs = [{"id": new_id(), "route": f"prova.{n}", "version": 1} for n in range(several)]
    return Record(new_id(), "received", time, data={"type": "prova.legame", "runs": runs})


def traces(shop: Workshop) -> set[tuple[str, str, int]]:
    rest = shop.rest()
    facets = {row[0]: row[1:3] for row in rest["facets"]}
    return {(*facets[facet], seq) for facet, _, seq in rest["traces"]}


def test_a_record_of_several_lines_is_traced_whole_once_and_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with workshop(tmp_path) as shop:
        assert shop.app.sequencer is not None
        shop.app.sequencer.stop()
        store = shop.app.store
        while search.trace(store):
            pass
        with store.read() as tx:
            before = log.traced_until(tx)
        for several in (2, 2, 1, 2):
            record = opened(several, shop.app.clock.now())
            store.write(lambda tx, record=record: log.append(tx, record)).result()
        with store.read() as tx:
            rows = tx.all("traced_after", after=before, top=2**62, most=100)
        lines = {(row["kind"], row["place"], row["seq"]) for row in rows}
        assert len(lines) == 7
        monkeypatch.setattr(search, "AT_ONCE", 3)
        while search.trace(store):
            pass
        assert lines <= traces(shop)
        all_of_them = traces(shop)
        store.write(lambda tx: search._add(tx, before, rows[:1])).result()  # as whoever was slower
        assert search.trace(store) == 0, "what is traced stays so"
        assert traces(shop) == all_of_them


def test_pages_leave_out_what_came_later_though_its_time_is_earlier(tmp_path: Path) -> None:
    with workshop(tmp_path) as shop:
        for n in range(4):
            shop.send("legame", a=f"prima-{n}", b=f"prima-{n}")
        shop.quiet()
        first = shop.app.search(Question(), 2)
        expected = [identity(one) for one in find(shop, Question(), 200)][2:]
        assert shop.app.sequencer is not None
        shop.app.sequencer.stop()
        store = shop.app.store
        store.write(lambda tx: log.append(tx, opened(1, shop.app.clock.now() - dt.timedelta(hours=1)))).result()
        while search.trace(store):
            pass
        found, after = list[str](), first["next"]
        while after is not None:
            page = shop.app.search(Question(), 2, str(after))
            found += [identity(one) for one in page["found"]]  # type: ignore[union-attr]
            after = page["next"]
        assert found == expected


def test_records_that_nobody_traces_are_told_to_be_out_of_sight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "UNTRACED", 3)
    monkeypatch.setattr(search, "trace", lambda store: 0)
    with workshop(tmp_path) as shop:
        for n in range(4):
            shop.send("legame", a=f"x-{n}", b=f"x-{n}")
        page = shop.app.search(Question(), 50)
        assert int(str(page["unseen"])) > 0


def test_a_cursor_of_another_question_or_of_nobody_is_refused(shop: Workshop) -> None:
    first = str(shop.app.search(Question("records"), 1)["next"])
    assert shop.app.search(Question("records"), 1, first)
    for question, cursor in (
        (Question("messages"), first),
        (Question("records"), "x"),
        (Question("records"), first[:-3]),
        (Question("records"), "W10"),
    ):
        with pytest.raises(Invalid, match="cursor"):
            shop.app.search(question, 1, cursor)


def test_traces_are_made_by_the_sequencer_and_hold_nobodys_data(tmp_path: Path) -> None:
    with workshop(tmp_path) as shop:
        shop.send("legame", a="Bianchi-Anna", b="BNCNNA80A41B429E")

        def traced() -> int | None:
            with shop.app.store.read() as tx:
                newest, last = tx.one("newest_record"), log.traced_until(tx)
            return last if newest is not None and last == newest["seq"] else None

        last, rest = until(traced, "all are traced"), shop.rest()
        assert len(rest["traces"]) >= last
        assert not any("Bianchi" in str(row) or "BNCNNA" in str(row) for row in (*rest["traces"], *rest["facets"]))


# -- the doors -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("doors")) as made:
        portal = Caller(made.port)
        for n in range(3):
            for kind in ("saluto", "guasto"):
                sent = portal("POST", "/messages", {"type": f"prova.{kind}", "data": {"nome": f"Nome {n}"}}, {"Prefer": "wait=25"})
                wait_reply(made.app, sent.json["id"], 60)
        yield made


def asked(server: Server, body: Any, who: str = "revisore") -> Any:
    return Caller(server.port, who)("POST", "/log/search", body)


def test_an_auditor_searches_over_http(server: Server) -> None:
    found = asked(server, {"find": "runs", "outcome": "failed", "route": "prova.fallisce", "limit": 2})
    assert 200 == found.status, found.json
    assert ["dead", "dead"] == [one["state"] for one in found.json["found"]]
    more = asked(server, {"find": "runs", "outcome": "failed", "route": "prova.fallisce", "limit": 2, "after": found.json["next"]})
    assert 1 == len(more.json["found"])
    assert ["prova.saluto"] == [
        one["type"] for one in asked(server, {"find": "messages", "key": "Nome 1", "type": "prova.saluto"}).json["found"]
    ]


def test_only_who_reads_the_log_may_search_it(server: Server) -> None:
    assert [403, 200, 200] == [asked(server, {}, who).status for who in ("portale", "sistemista", "revisore")]
    assert 405 == Caller(server.port, "revisore")("GET", "/log/search?key=x").status, "no value in an address"


@pytest.mark.parametrize(
    "body",
    [
        {"find": "payloads"}, {"outcome": "andata"}, {"limit": 0}, {"limit": 201}, {"limit": True}, {"limit": "5"}, {"nome": "Ada"}, {"key": ""},
        {"key": "x" * 201}, {"type": ["a"]}, {"from": "ieri"}, {"from": "2026-11-02", "to": "2026-11-01"}, {"after": "?"}, {"after": "A" * 20_000},
        [], b"{", b'{"key": "a", "key": "b"}',
    ],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_refused(server: Server, body: Any) -> None:
    answer = asked(server, body)
    assert answer.status in (400, 413, 422), answer.json
    assert answer.json["detail"]


@pytest.mark.parametrize("text", ["'; DROP TABLE records; --", "%", "_", "\ud83d\ude00", "a:b:c", ":", "a" * 200])
def test_hostile_text_finds_nothing_and_breaks_nothing(server: Server, text: str) -> None:
    for name in ("key", "type", "route", "step"):
        answer = asked(server, {name: text, "find": "cases"})
        assert (200, []) == (answer.status, answer.json.get("found")), answer.json


def bus(server: Server, *words: str) -> int:
    return cli.main(["log", "search", *words, "--url", f"http://127.0.0.1:{server.port}", "--key", key_of("revisore")])


def test_the_command_shows_what_is_found(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == bus(server, "runs", "--outcome", "dead", "--limit", "2")
    said = capsys.readouterr().out
    assert 2 == said.count("prova.fallisce@1/rompi")
    assert "more: --after " in said
    for what, seen in (("records", "received"), ("messages", "prova.saluto"), ("cases", "dead")):
        assert 0 == bus(server, what)
        assert seen in capsys.readouterr().out, what
    assert 0 == bus(server, "messages", "--case", "Nome 2", "--json")
    assert 2 == len(json.loads(capsys.readouterr().out)["found"])
    assert 0 == bus(server, "runs", "--route", "prova.altra")
    assert "no runs" in capsys.readouterr().out


def test_what_names_a_person_is_refused_on_the_command_line_and_taken_from_a_file(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in ("codice_fiscale:BNCNNA80A41B429E", "BNCNNA80A41B429E", "email:x"):
        assert 2 == bus(server, "--case", key)
        assert "--values" in capsys.readouterr().err
    values = tmp_path / "values.json"
    values.write_text('{"key": "istanza:Nome 0"}', "utf-8")
    assert 0 == bus(server, "messages", "--values", str(values), "--json")
    assert 2 == len(json.loads(capsys.readouterr().out)["found"])


def test_a_day_is_one_of_rome(server: Server) -> None:
    today = dt.datetime.now(dt.UTC).date()
    for since, many in ((today - dt.timedelta(days=2), True), (today + dt.timedelta(days=2), False)):
        assert many is bool(asked(server, {"find": "messages", "from": since.isoformat()}).json["found"])


def test_cursors_are_read_back_as_they_were_written(shop: Workshop) -> None:
    with shop.app.store.read() as tx:
        cursor = Cursor(1, 2, 3, 4)
        assert cursor == Cursor.read(tx, cursor.text(tx, Question()), Question())


# -- persons and texts -----------------------------------------------------------------------------------------------------

TYPE = """
type: prova.domanda
title: A type with protected fields
personal: [chi.nome]
sensitive: [salute]
schema:
  type: object
  properties:
    chi: {type: object, properties: {nome: {type: string}, cf: {type: string}}}
    istanza: {type: string}
    righe: {type: array, items: {type: object, properties: {testo: {type: string}, importo: {type: integer}}}}
    salute: {type: string}
"""
ROUTE = """
route: prova.domanda
version: 1
on: prova.domanda
case: {codice_fiscale: body.chi.cf, istanza: body.istanza}
steps:
  - {id: rispondi, reply: {saluto: '"arrivederci " + body.chi.nome'}}
"""
PERSON = "BNCNNA80A41B429E"
WHAT_FOR = "reclamo 44: perché?"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Five applications of one person and one of another; auditors who see everything, names only, and nothing."""
    folder = tmp_path_factory.mktemp("people")
    put(folder, {"routes/prova/domanda.yaml": ROUTE, "mappings/types/prova.domanda.yaml": TYPE})
    more = [own_key("mezza", "auditor", sees=["personal"]), own_key("cieca", "auditor", sees=[])]
    with running(folder, keys=[*settings()["keys"], *more]) as made:
        portal = Caller(made.port)
        for n in range(6):
            who = {"nome": "Ermengarda  Bianchi", "cf": PERSON} if n else {"nome": "Ugo", "cf": "VRDGUO80A01B429Y"}
            body = {
                "chi": who,
                "istanza": f"I-{n}",
                "righe": [{"testo": "una Caldaia nuova", "importo": 4711 + n}],
                "salute": "raffreddore",
            }
            sent = portal("POST", "/messages", {"type": "prova.domanda", "data": body}, {"Prefer": "wait=25"})
            assert 200 == sent.status, sent.json
        yield made


def looked(server: Server) -> list[Record]:
    with server.app.store.read() as tx:
        return [record for _, record in log.everything(tx) if record.kind == "read"]


def places(server: Server, text: str, who: str = "revisore", **more: Any) -> list[Any]:
    answer = asked(server, {"text": text, "purpose": WHAT_FOR, **more}, who)
    assert 200 == answer.status, answer.json
    return [one["places"] for one in answer.json["found"]]


def test_messages_are_found_by_what_they_say_and_where_is_told(people: Server) -> None:
    assert [["body.righe[0].testo"]] * 6 == places(people, "CALDAIA  nuova")
    assert [["body.chi.nome", "reply.saluto"]] * 5 == places(people, "ermengarda bianchi")
    assert [["body.righe[0].importo"]] == places(people, "4715"), "a number as it is written"
    assert [] == places(people, "nessuno lo dice")
    assert [["body.chi.nome"]] == places(people, "ermengarda", key="istanza:I-3", who="mezza"), "with all else that is asked for"
    assert [] == places(people, "ermengarda", type="prova.saluto")


def test_a_text_is_not_found_in_what_one_may_not_see_nor_in_a_mask(people: Server) -> None:
    assert 6 == len(places(people, "raffreddore"))
    assert [] == places(people, "raffreddore", who="mezza")
    assert [] == places(people, "ermengarda", who="cieca")
    assert [] == places(people, "personal", who="cieca")
    assert [["body.righe[0].testo"]] * 6 == places(people, "caldaia", who="cieca"), "what is not protected"


def test_pages_open_so_many_messages_and_the_log_knows_which_before_they_are_shown(people: Server) -> None:
    before, found, after = len(looked(people)), list[str](), ""
    for _ in range(3):
        page = asked(people, {"text": "caldaia", "purpose": WHAT_FOR, "limit": 2, **({"after": after} if after else {})}).json
        assert (page["opened"], page["unreadable"]) == (2, 0)
        found += [one["id"] for one in page["found"]]
        after = page["next"]
    assert 6 == len(set(found))
    new = looked(people)[before:]
    assert [("revisore", "search")] * 3 == [(record.actor, record.data["role"]) for record in new]
    assert found == [identity for record in new for identity in record.data["opened"]]
    assert 1 == len({record.data["asked"] for record in new}), "the same question is known again"


def test_a_search_that_cannot_be_recorded_shows_nothing(people: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise StoreError("the disk is full", code="store.failed")

    monkeypatch.setattr("bus.engine.searching.accesses.look", full)
    answer = asked(people, {"text": "caldaia", "purpose": WHAT_FOR})
    assert (503, False) == (answer.status, b"found" in answer.content)


def test_a_person_is_found_for_a_purpose_by_who_sees_persons(people: Server) -> None:
    for key in (PERSON, f"codice_fiscale:{PERSON}", PERSON.lower()):
        bare = asked(people, {"find": "messages", "key": key})
        assert (422, "purpose.missing") == (bare.status, bare.json["code"])
        blind = asked(people, {"find": "messages", "key": key, "purpose": WHAT_FOR}, "cieca")
        assert (403, "access.rights") == (blind.status, blind.json["code"])
    for key in (PERSON, f"codice_fiscale:{PERSON}"):
        before = len(looked(people))
        found = asked(people, {"find": "messages", "key": key, "purpose": WHAT_FOR}, "mezza").json["found"]
        assert 5 == len(found)
        [record] = looked(people)[before:]
        assert (record.actor, record.data["found"], record.data["sees"]) == ("mezza", 5, ["personal"])
    records = looked(people)
    with people.app.store.read() as tx:
        told = [log.json_payload(tx, str(record.payload("purpose"))) for record in records]
    assert {WHAT_FOR, "reclamo 44"} >= {one["text"] for one in told}
    assert not any(PERSON in json.dumps(one) for one in told), "a person may be erased; who looked, and why, stays"


@pytest.mark.parametrize(
    "body",
    [
        {"text": "x", "find": "runs"},
        {"text": "   ", "purpose": WHAT_FOR},
        {"text": "x" * 201},
        {"text": "x"},
        {"text": "x", "purpose": "x"},
    ],
)
def test_a_text_that_cannot_be_looked_for_is_refused(people: Server, body: Any) -> None:
    answer = asked(people, body)
    assert answer.status == 422, answer.json
    assert answer.json["hint"]


def test_the_command_looks_for_a_text_and_says_what_it_opened(people: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == bus(people, "--text", "caldaia", "--purpose", "reclamo 44", "--limit", "4")
    said = capsys.readouterr().out
    assert 4 == said.count("body.righe[0].testo")
    assert "opened 4 messages to look for it; the log keeps who, and why\nmore: --after " in said
    assert 2 == bus(people, "--text", PERSON, "--purpose", "reclamo 44")
    assert '{"text": "…"}' in capsys.readouterr().err
    values = tmp_path / "values.json"
    values.write_text(json.dumps({"text": "Ermengarda"}), "utf-8")
    assert 0 == bus(people, "messages", "--values", str(values), "--purpose", "reclamo 44", "--json")
    assert (5, 6) == (len((told := json.loads(capsys.readouterr().out))["found"]), told["opened"])
    assert 0 == bus(people, "--text", "nessuno lo dice", "--purpose", "reclamo 44")
    assert capsys.readouterr().out.startswith("no messages\nopened 6 messages")
