"""Which keys an erasure destroys, and which it leaves; the rest is tried through a real bus (tests/integration/test_erasure.py)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from bus.copying import rows_of
from bus.engine import accesses, erasure, search
from bus.engine.accesses import Looker
from bus.engine.names import persons_in
from bus.engine.projection import Entry, entry, write
from bus.errors import NotFound
from bus.log import log, requests
from bus.log.payload import key_number
from bus.log.record import Record, record_of
from bus.message import new_id
from bus.store import Tx
from bus.store.sqlite import SqliteConnection, SqliteStore
from tests.contract.store_contract import add_runs, do, rows
from tests.simulation.simulation import Simulation
from tests.unit.engine.kit import send, turn
from tests.views import Counting

WHO, OTHER = "BLLDAA71E43B429M", "BNCNNA80A41B429E"


def ask(world: Simulation) -> str:
    return str(world.store.write(lambda tx: erasure.ask(tx, WHO, "richiesta dell'interessato", "anna", world.clock)).result()["id"])


def keys_of(world: Simulation, record: str) -> set[int | None]:
    """The keys of what a record says apart."""
    with world.store.read() as tx:
        payloads = [held.id for _, one in log.everything(tx) if one.id == record for held in one.payloads]
        return {key_number(bytes(tx.one("payload", id=one)["nonce"])) for one in payloads}  # type: ignore[index]


def test_why_somebody_looked_at_a_message_stays_when_the_message_is_erased(world: Simulation) -> None:
    message = send(world, "ricevuta", chi=WHO, iuv="i")
    looker = Looker("berta", frozenset(), "controllo della pratica")
    looked = world.store.write(lambda tx: accesses.look(tx, looker, "message", world.clock, message=message)).result()
    request = ask(world)
    done = world.store.write(lambda tx: erasure.confirm(tx, request, "carla", world.clock, {})).result()
    with world.store.read() as tx:
        received = next(log.of_messages(tx, [message])).id
    assert keys_of(world, received) | keys_of(world, request) <= set(done.keys)
    assert not keys_of(world, looked) & set(done.keys)


def test_a_request_that_nobody_confirmed_is_given_up_once(world: Simulation) -> None:
    send(world, "ricevuta", chi=WHO, iuv="i")
    request = ask(world)
    world.clock.move(requests.PATIENCE + dt.timedelta(seconds=1))
    given_up = [world.store.write(lambda tx: erasure.expire(tx, world.clock)).result() for _ in range(2)]
    assert [set(keys) for keys in given_up] == [keys_of(world, request), set()]


def test_a_request_is_confirmed_within_its_time_and_not_after_though_nobody_has_given_it_up_yet(world: Simulation) -> None:
    send(world, "ricevuta", chi=WHO, iuv="i")
    over, request = ask(world), ask(world)
    until = world.clock.now() + requests.PATIENCE
    with world.store.read() as tx:
        assert erasure.asked(tx, over, until)[0].id == over
        for late in (until + dt.timedelta(microseconds=1), until + dt.timedelta(days=9)):
            with pytest.raises(NotFound) as refused:
                erasure.asked(tx, over, late)
            assert refused.value.code == "subject.request-unknown"
    world.clock.move(requests.PATIENCE + dt.timedelta(seconds=1))
    with pytest.raises(NotFound):
        world.store.write(lambda tx: erasure.confirm(tx, request, "carla", world.clock, {})).result()
    with world.store.read() as tx:
        assert erasure.holdings(tx, WHO).messages, "nothing was erased"


def test_what_a_run_sends_is_about_whom_its_message_was_about(world: Simulation) -> None:
    send(world, "lavoro", chi=WHO, caso="c")
    for _ in range(8):
        turn(world, "answer")
    with world.store.read() as tx:
        found, sent = erasure.holdings(tx, WHO).messages, [one["message"] for one in rows_of(tx, "holders")]
    assert len(found) == 2
    assert sorted(sent) == sorted(found), "the notice names them, though only within a sentence"


def test_an_erasure_asks_the_database_as_often_for_many_messages_as_for_few(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the writer for itself meanwhile: each question is a trip to the server, during which nothing is accepted."""
    queries: list[str] = []
    for name in ("one", "all", "do"):
        monkeypatch.setattr(SqliteConnection, name, _told(getattr(SqliteConnection, name), queries))

    def asked_for(messages: int) -> list[str]:
        for number in range(messages):
            send(world, "ricevuta", chi=WHO, iuv=f"{messages}-{number}")
        request = ask(world)
        queries.clear()
        world.store.write(lambda tx: erasure.confirm(tx, request, "carla", world.clock, {})).result()
        return [query for query in queries if query != "add_erased_key"]  # written many at a time

    assert asked_for(3) == asked_for(30)


def test_what_a_person_said_is_read_before_the_erasure_has_the_writer_for_itself(world: Simulation) -> None:
    """All records of 5,000 messages were read while nobody else could write; what came since is read then, and no more."""
    mine = [send(world, "ricevuta", chi=WHO, iuv=f"{number}") for number in range(5)]
    while search.trace(world.store):
        pass
    with world.store.read() as tx:
        before = erasure.holdings(tx, WHO)
        read = erasure.read_before(tx, before)
    noted = entry(Record(new_id(), "answered", world.clock.now(), message=mine[0]), world.keys.fresh(), {"answer": {"poi": 1}})
    world.store.write(lambda tx: write(tx, noted)).result()
    mine.append(send(world, "ricevuta", chi=WHO, iuv="poi"))
    with world.store.read() as tx:
        view, found = Counting(tx), erasure.holdings(tx, WHO)
        texts = erasure._texts_of(view, found, read)  # type: ignore[arg-type]
        assert sorted(found.messages) == sorted(mine)
        assert view.rows["records_of_messages"] == 1 + len([*log.of_messages(tx, mine[-1:])])
        assert texts == erasure._texts_of(tx, found, erasure.Read(0, {}))
        assert noted.payloads[0].commitment.id in texts


def test_what_systems_told_is_found_among_the_records_without_reading_the_others(
    world: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = send(world, "ricevuta", chi=WHO, iuv="i")
    told = entry(Record(new_id(), "answered", world.clock.now(), message=message), world.keys.fresh(), {"facts": [["iuv", "i", 1]]})
    world.store.write(lambda tx: log.append(tx, told.record, told.payloads)).result()
    read: list[bytes] = []
    monkeypatch.setattr(log, "record_of", lambda content: read.append(content) or record_of(content))
    with world.store.read() as tx:
        assert log.facts_of(tx, [message]) == [told.payloads[0].commitment.id]
    assert len(read) == 1


def test_files_of_a_person_go_out_of_the_table_by_one_statement(world: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    queries: list[str] = []
    monkeypatch.setattr(SqliteConnection, "do", _told(SqliteConnection.do, queries))
    data = {"messages": [], "files": [f"{number:022}" for number in range(40)], "keys": []}
    world.store.write(lambda tx: write(tx, Entry(Record(new_id(), "erased", world.clock.now(), data=data)))).result()
    assert queries.count("drop_attachments") == 1
    assert "drop_attachment" not in queries


def _told(method: Callable[..., Any], queries: list[str]) -> Callable[..., Any]:
    def asks(tx: Tx, query: str, **parameters: Any) -> Any:
        queries.append(query)
        return method(tx, query, **parameters)

    return asks


def test_a_person_is_found_wherever_a_body_names_them() -> None:
    """As the name of a member, too: whoever keeps people by their codice fiscale sends them so."""
    body = {"persone": {WHO: {"quota": 1}}, "altre": [{"chi": f" {OTHER.lower()} "}], "testo": f"di {WHO}"}
    assert persons_in(body) == sorted([WHO, OTHER])


def test_a_person_who_was_asked_for_many_times_is_looked_for_once_while_nobody_else_writes(
    world: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whoever else was asked for it is enough that one message of theirs stays."""
    for who in (WHO, OTHER):
        send(world, "ricevuta", chi=who, iuv=who)
    requests_ = [ask(world) for _ in range(5)]
    other = world.store.write(lambda tx: erasure.ask(tx, OTHER, "un'altra persona", "anna", world.clock)).result()["id"]
    looked: list[str] = []
    whole = erasure.holdings

    def holdings(tx: Tx, subject: str) -> erasure.Reach:
        looked.append(subject)
        return whole(tx, subject)

    monkeypatch.setattr(erasure, "holdings", holdings)
    world.store.write(lambda tx: erasure.confirm(tx, requests_[2], "carla", world.clock, {})).result()
    assert looked == [WHO, WHO]
    with world.store.read() as tx:
        assert [one["id"] for one in erasure.waiting(tx, world.clock.now())] == [other]


def test_records_of_files_from_before_they_told_its_key_hinder_no_erasure(world: Simulation) -> None:
    def tell(tx: Tx) -> None:
        for told in ({"file": "prima", "size": 1}, {"file": "poi", "size": 1, "key": 7}):
            log.append(tx, Record(new_id(), "attached", world.clock.now(), actor="portale", data=told))

    world.store.write(tell).result()
    with world.store.read() as tx:
        assert erasure.keys_told(tx, ["prima", "poi"]) == {"poi": 7}


def test_who_waits_by_the_name_of_another_person_waits_on(store: SqliteStore) -> None:
    add_runs(store, "a", "b")
    for run in ("a", "b"):
        told = {"type": "t", "name": "email", "value": "e", "deadline": None, "state": "open", "late": 0}
        do(store, "add_wait", run=run, path="p", place="prova@1/p", **told)
    do(store, "forget_waits_for_persons", messages='["m-a"]', weak='["email"]')
    assert {row["run"]: (row["name"], row["value"]) for row in rows(store, "rows_of_waits", run="", path="", most=9)} == {
        "a": ("", ""), "b": ("email", "e"),
    }  # fmt: skip
