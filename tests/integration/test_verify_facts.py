"""What the bus remembers for its next answer or call is compared with the log, too: facts that systems told, numbers that were given."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing
from typing import Any

import psycopg
import pytest

from bus.engine.names import fact_tokens
from bus.engine.projection import entry, write
from bus.log import facts
from bus.log.diagnosis import Broken, Line, Page
from bus.log.record import Record
from bus.message import new_id
from bus.store import Store
from tests.keyrings import in_memory

NOW = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)


KEYS = in_memory()


def tell(store: Store, kind: Any, value: int, message: str | None = None, **data: Any) -> str:
    """A record that tells one fact; the id of the payload with it."""
    told = [["avviso" if message else "segno", "301000000000000017" if message else "novità", value]]
    record = Record(new_id(), kind, NOW, message=message, data={"adapter": "pagopa", "facts": fact_tokens(KEYS, told), **data})
    made = entry(record, KEYS.fresh(), {"facts": told})
    store.write(lambda tx: write(tx, made)).result()
    return made.payloads[0].commitment.id


def look(store: Store, page: int = 3) -> None:
    """All records, a page at a time, as verifying goes."""
    tellers = facts.Tellers()
    with store.read() as tx:
        lines = [Line.of(row) for row in tx.all("whole_records_after", after=0, most=99)]
        for at in range(0, len(lines), page):
            facts.compare(tx, Page.of(at, lines[at : at + page]), tellers)


def change(url: str, statement: str) -> None:
    """As somebody does who has other tools."""
    with closing(psycopg.connect(url) if url.startswith("postgresql") else sqlite3.connect(url.removeprefix("sqlite:///"))) as raw:
        raw.execute(statement)
        raw.commit()


@pytest.fixture
def told(store: Store) -> list[str]:
    """A notice that was to be paid, then paid, as another message told; and two polls."""
    messages = [new_id(), new_id()]
    made = [tell(store, "answered", 1, messages[0]), tell(store, "polled", 1)]
    made += [tell(store, "asked", 2, messages[1], sequence="anpr", number=7), tell(store, "polled", 2)]
    return [*made, *messages]


@pytest.mark.parametrize("page", [1, 2, 9])
def test_what_was_told_last_is_remembered(store, told, page):
    look(store, page)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE facts SET payload = '{0}' WHERE kind = 'avviso'", r"pagopa \(avviso\), in the place of which an older"),
        ("UPDATE facts SET payload = '{3}' WHERE kind = 'avviso'", r"pagopa \(avviso\), in the place of which an older"),
        ("UPDATE facts SET payload = 'nessuno' WHERE kind = 'avviso'", r"pagopa \(avviso\), in the place of which an older"),
        ("DELETE FROM facts WHERE kind = 'avviso'", r"pagopa \(avviso\), which is not in the table `facts`"),
        ("UPDATE facts SET payload = '{1}' WHERE kind = 'segno'", r"pagopa \(segno\), in the place of which an older"),
        ("DELETE FROM facts WHERE kind = 'segno'", r"pagopa \(segno\), which is not in the table `facts`"),
        ("UPDATE sequences SET value = 6", "anpr stands in the table `sequences` with 6, and the number 7 was given"),
        ("DELETE FROM sequences", "anpr stands in the table `sequences` no more"),
    ],
)
def test_what_somebody_put_back_or_took_away_is_found(store, url, told, statement, said):
    """A system would be told that a notice is not paid, or be called with a number that it has had."""
    change(url, statement.format(*told))
    with pytest.raises(Broken, match=said):
        look(store)


@pytest.mark.parametrize("gone", [[4], [5], [4, 5]], ids=["the first", "the last", "both"])
@pytest.mark.parametrize("keys", [True, False])
def test_what_was_forgotten_with_a_person_is_no_damage(store, told, gone, keys):
    """Of the fact that another message told before, too: nothing of it is remembered."""
    numbers = [facts.payload.number_in(told[{4: 0, 5: 2}[one]]) for one in gone] if keys else []
    data = {"messages": [told[one] for one in gone], "files": [], "keys": numbers}
    store.write(lambda tx: write(tx, entry(Record(new_id(), "erased", NOW, data=data), KEYS.fresh()))).result()
    with store.read() as tx:
        assert len(tx.all("rows_of_facts", adapter="", kind="", key="", most=9)) == (2 if gone == [4] else 1)
    look(store)


def test_what_is_forgotten_while_one_looks_is_no_damage(store, told):
    tellers = facts.Tellers()
    with store.read() as tx:
        assert not tellers.is_gone(tx, ("pagopa", "avviso", "x"), 1)
    data = {"messages": [told[5]], "files": [], "keys": []}
    store.write(lambda tx: write(tx, entry(Record(new_id(), "erased", NOW, data=data), KEYS.fresh()))).result()
    with store.read() as tx:
        [line, *_] = [Line.of(row) for row in tx.all("whole_records_after", after=0, most=1)]
        facts.compare(tx, Page.of(0, [line]), tellers)


def call(store: Store, kind: Any, run: str, message: str, **data: Any) -> None:
    path = None if kind == "discarded" else "registra"
    record = Record(new_id(), kind, NOW, message=message, run=run, path=path, data={"lane": True, **data})
    store.write(lambda tx: write(tx, entry(record, KEYS.fresh()))).result()


ENDS: list[tuple[str, dict[str, Any]]] = [
    ("answered", {}), ("refused", {}), ("unanswered", {}), ("decided", {"decision": "happened"}), ("discarded", {}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data"), ENDS, ids=[kind for kind, _ in ENDS])
@pytest.mark.parametrize("page", [1, 9])
def test_a_lane_is_free_when_its_last_call_has_ended(store, url, kind, data, page):
    run, message = new_id(), new_id()
    call(store, "asked", run, message, sequence="anpr", number=1)
    call(store, "unanswered", run, message, again="2026-03-02T09:00:00.000Z")
    call(store, "unanswered", run, message, doubt=True)
    look(store, page)
    call(store, kind, run, message, **data)
    look(store, page)
    call(store, "asked", new_id(), new_id(), sequence="anpr", number=2)
    look(store, page)
    for statement in ("UPDATE lanes SET path = 'altro'", "DELETE FROM lanes"):
        change(url, statement)
        with pytest.raises(Broken, match="holds the lane anpr, and the table `lanes` does not say so: the next would overtake it"):
            look(store, page)
