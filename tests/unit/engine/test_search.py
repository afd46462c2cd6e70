"""A search for whom much is about shows it on its first page, however much came since about others."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bus.clock import text_of
from bus.engine import search
from bus.engine.names import holder
from bus.log import log
from bus.log.record import Record
from bus.message import new_id
from bus.store import Store, Tx
from bus.store.opening import open_store
from tests.keyrings import in_memory

NOW = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
SURVEYOR, CITIZEN = "geometra", "cittadino"
THEIRS, SINCE = 3_000, search.LOOKED_AT + 1_000
"""Messages about a surveyor who hands in what others build, and those about others that came later."""


def test_whom_thousands_of_messages_are_about_is_found_behind_all_that_came_since(tmp_path: Path) -> None:
    path, keys = tmp_path / "prova.db", in_memory()
    open_store(f"sqlite:///{path}").close()
    tokens = {who: keys.token(holder(who)) for who in (SURVEYOR, CITIZEN)}
    with closing(sqlite3.connect(path)) as raw, raw:
        for row in messages():
            raw.execute("INSERT INTO records (id, kind, time, message, content) VALUES (:record, 'received', :time, :id, :content)", row)
            raw.execute(
                "INSERT INTO messages (id, type, sender, time, case_id, payload) VALUES (:id, 'prova', 'prova', :time, :id, '')", row
            )
            raw.execute("INSERT INTO holders (holder, message) VALUES (?, ?)", (tokens[row["who"]], row["id"]))
    with closing(open_store(f"sqlite:///{path}")) as store:
        store.keys = keys
        while search.trace(store):
            pass
        with store.read() as tx:
            question = search.Question("messages", f"codice_fiscale:{SURVEYOR}")
            page = search.search(tx, question, None, 50, text_of(NOW), search.named(tx, question.key, persons=True))
    assert [one["id"] for one in page.found] == [identity(number) for number in range(THEIRS - 1, THEIRS - 51, -1)]
    assert page.after is not None


def messages() -> Iterator[dict[str, Any]]:
    for number in range(THEIRS + SINCE):
        time, told = text_of(NOW + dt.timedelta(seconds=number)), {"type": "prova", "sender": "prova", "runs": []}
        line = {
            "v": 1,
            "id": f"r{number:08}",
            "kind": "received",
            "time": time,
            "actor": "prova",
            "message": identity(number),
            "data": told,
        }
        who = SURVEYOR if number < THEIRS else CITIZEN
        yield {"id": identity(number), "record": line["id"], "time": time, "content": json.dumps(line).encode(), "who": who}


def identity(number: int) -> str:
    return f"m{number:08}"


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/prova.db" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    with closing(open_store(url)) as opened:
        opened.keys = in_memory(b"prova")
        yield opened


def fill(tx: Tx) -> None:
    """Forty messages about a surveyor, three a case: each is accepted, asks, is answered or refused, and ends; some at one moment."""
    for number in range(40):
        message, run, case, kind = identity(number), f"r{number:08}", identity(number - number % 3), f"prova.{number % 2}"
        opens = {"id": run, "route": "prova", "version": 1, "digest": "d", "entry": "", "ordered": True}
        at = NOW + dt.timedelta(hours=number // 4)
        tx.do("add_message", id=message, type=kind, sender="prova", time=text_of(at), case_id=case, payload="")
        tx.do("add_holder", holder=tx.keys.token(holder(SURVEYOR)), message=message)
        begun = {"version": 1, "digest": "d", "entry": "", "ordered": 1, "place": "prova@1", "time": text_of(at)}
        tx.do("add_run", id=run, message=message, route="prova", case_id=case, **begun)
        log.append(tx, Record(new_id(), "received", at, message=message, data={"type": kind, "sender": "prova", "runs": [opens]}))
        for step, what in enumerate(("asked", "answered" if number % 5 else "refused", "done")):
            later = at + dt.timedelta(hours=step * 7 * (number % 3))
            place = f"prova@1/passo-{number % 2}" if what != "done" else "prova@1"
            log.append(tx, Record(new_id(), what, later, message=message, run=run, place=place))  # type: ignore[arg-type]


ASKED = {
    "all": {},
    "of some hours": {"since": NOW + dt.timedelta(hours=3), "until": NOW + dt.timedelta(hours=9)},
    "refused": {"kinds": frozenset({"refused", "done"}), "step": "passo-0"},
    "of a type": {"type": "prova.1"},
    "of a route": {"route": "prova@1"},
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("find", search.FINDS)
def test_what_names_a_few_finds_the_same_as_a_look_at_everything(
    store: Store, monkeypatch: pytest.MonkeyPatch, find: search.Find, asked: str
) -> None:
    store.write(fill).result()
    while search.trace(store):
        pass
    question = search.Question(find, f"codice_fiscale:{SURVEYOR}", **ASKED[asked])

    def found(most: int) -> list[Any]:
        shown, after = list[Any](), None
        while True:
            with store.read() as tx:
                page = search.search(tx, question, after, most, text_of(NOW), search.named(tx, question.key, persons=True))
            shown, after = shown + page.found, page.after
            if after is None:
                return shown

    monkeypatch.setattr(search, "_ROUNDS", (11, 2**31))
    monkeypatch.setattr(search, "_LARGEST", 4)
    few = [found(most) for most in (3, 7, 200)]
    monkeypatch.setattr(search, "FEW", 0)
    whole = found(200)
    assert len(whole) > 3
    assert few == [whole, whole, whole]


def test_of_what_thousands_of_messages_tell_no_more_is_looked_up_than_a_page_shows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """How each of 20,000 records is found was made out for each page of fifty."""
    monkeypatch.setattr(search, "_LARGEST", 10)
    store.write(fill).result()
    looked_up: list[int] = []

    class Counted:
        def __init__(self, tx: Tx) -> None:
            self.keys, self.one, self._tx = tx.keys, tx.one, tx

        def all(self, query: str, **given: Any) -> Any:
            rows = self._tx.all(query, **given)
            looked_up.extend([len(rows)] if query.startswith("traced") else ())
            return rows

    while search.trace(store):
        pass
    question = search.Question("messages", f"codice_fiscale:{SURVEYOR}")
    with store.read() as tx:
        counted: Any = Counted(tx)
        page = search.search(counted, question, None, 10, text_of(NOW), search.named(tx, question.key, persons=True))
    assert len(page.found) == 10
    assert sum(looked_up) <= 10 + 10
