"""Statements that wait inside a transaction: what is written before what."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from bus.store import inserts as inserts_module
from bus.store.inserts import Insert, Inserts, Rows, Update, in_values

QUERIES = {
    "add": "INSERT INTO runs (id) VALUES (:id)",
    "set": "UPDATE runs SET state = :state WHERE id = :id",
    "note": "INSERT INTO notes (id) VALUES (:id)",
    "keep": "INSERT INTO papers (id, content) VALUES (:id, :content)",
    "look": "SELECT id FROM runs",
}
Written = list[tuple[str, list[Any]]]


@pytest.fixture
def waiting() -> tuple[Inserts, Written]:
    written: Written = []

    def write(one: Insert | Update, rows: Rows) -> None:
        kind = "set" if isinstance(one, Update) else f"add to {one.table}"
        written.append((kind, [row.get("state", row["id"]) for row in rows]))

    return Inserts(QUERIES, frozenset({"add", "set", "note", "keep"}), write), written


def test_changes_of_one_row_are_written_one_after_another(waiting: tuple[Inserts, Written]) -> None:
    """One statement for both would leave to the database which of them counts."""
    inserts, written = waiting
    for run, state in (("a", "a1"), ("b", "b1"), ("a", "a2"), ("b", "b2")):
        assert inserts.take("set", {"id": run, "state": state})
    inserts.flush()
    assert written == [("set", ["a1", "b1"]), ("set", ["a2", "b2"])]


def test_large_rows_are_written_by_what_they_hold(waiting: tuple[Inserts, Written], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of a megabyte were one statement, of which driver and server had copies."""
    monkeypatch.setattr(inserts_module, "OCTETS", 10)
    inserts, written = waiting
    for one in ("a", "b", "c"):
        inserts.take("keep", {"id": one, "content": b"123456"})
    assert written == [("add to papers", ["a", "b"])]
    inserts.forget()
    for one in ("d", "e"):
        inserts.take("keep", {"id": one, "content": b"123456"})
    inserts.flush()
    inserts.take("keep", {"id": "f", "content": b"123456"})
    inserts.flush()
    assert [ids for _, ids in written] == [["a", "b"], ["d", "e"], ["f"]]


def test_a_row_is_written_before_it_is_changed(waiting: tuple[Inserts, Written]) -> None:
    inserts, written = waiting
    inserts.take("set", {"id": "a", "state": "a1"})
    inserts.take("add", {"id": "c"})
    inserts.take("set", {"id": "c", "state": "c1"})
    inserts.flush()
    assert written == [("add to runs", ["c"]), ("set", ["a1", "c1"])]


def test_who_looks_has_all_of_its_own_table_written_and_what_is_forgotten_never_is(waiting: tuple[Inserts, Written]) -> None:
    inserts, written = waiting
    inserts.take("note", {"id": "n"})
    inserts.take("add", {"id": "a"})
    inserts.before("look")
    assert written == [("add to runs", ["a"])]
    assert not inserts.take("look", {})
    inserts.forget()
    inserts.flush()
    assert written == [("add to runs", ["a"])]


def test_no_more_rows_wait_than_a_few_thousand(waiting: tuple[Inserts, Written], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever copies a store makes all its rows in one transaction."""
    monkeypatch.setattr("bus.store.inserts.MOST", 2)
    inserts, written = waiting
    for run in "abcde":
        inserts.take("add", {"id": run})
    for run in "abc":
        inserts.take("set", {"id": run, "state": f"{run}1"})
    assert written == [("add to runs", ["a", "b"]), ("add to runs", ["c", "d"]), ("add to runs", ["e"]), ("set", ["a1", "b1"])]
    inserts.take("set", {"id": "c", "state": "c2"})
    inserts.flush()
    assert written[4:] == [("set", ["c1"]), ("set", ["c2"])]


def test_one_row_is_changed_by_the_statement_itself_without_a_table_of_what_is_given() -> None:
    """The table costs SQLite more than the change; the same name may stand in the statement twice."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE runs (id TEXT, state TEXT, seen TEXT)")
        database.executemany("INSERT INTO runs (id) VALUES (?)", [("a",), ("b",)])
        texts: list[str] = []
        queries = {"set": "UPDATE runs SET state = :state, seen = :state WHERE id = :id"}

        def execute(text: str, cells: Sequence[Any]) -> None:
            texts.append(text)
            database.execute(text, cells)

        inserts = Inserts(queries, frozenset({"set"}), in_values(execute))
        for rows in (["a"], ["a", "b"]):
            for run in rows:
                inserts.take("set", {"id": run, "state": f"{run}{len(rows)}"})
            inserts.flush()
        assert [text.partition(" ")[0] for text in texts] == ["UPDATE", "WITH"]
        assert database.execute("SELECT id, state, seen FROM runs").fetchall() == [("a", "a2", "a2"), ("b", "b2", "b2")]
