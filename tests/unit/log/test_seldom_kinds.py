"""Records that are few among many are found by an index: what lies between them is not read, and traces that are gone hide none."""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bus import reports
from bus.config import Retention
from bus.engine import retention, search
from bus.engine.projection import entry, write
from bus.log import log
from bus.log.record import Record, record_of
from bus.message import new_id
from bus.store import Tx, listed, queries
from bus.store.opening import open_store
from bus.store.sqlite import FILES, SqliteStore
from tests.keyrings import in_memory
from tests.views import Counting

NOW = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
ACCESSES = (3, 40, 41, 90)
"""Where they stand among a hundred records of other kinds."""


@pytest.fixture
def store(tmp_path: Path):
    """Of a hundred records four tell of accesses, and somebody has taken their traces out; one more came after traces were made."""
    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as made:
        made.keys = in_memory()
        kinds = ["access" if number in ACCESSES else "polled" for number in range(1, 101)]
        made.write(lambda tx: [tell(tx, kind) for kind in kinds]).result()
        while search.trace(made):
            pass
        with closing(sqlite3.connect(tmp_path / "prova.db")) as raw, raw:
            raw.execute("DELETE FROM traces WHERE facet IN (SELECT id FROM facets WHERE kind = 'access')")
        made.write(lambda tx: [tell(tx, kind) for kind in ("polled", "access")]).result()
        yield made


def tell(tx: Tx, kind: Any) -> None:
    record = Record(new_id(), kind, NOW, actor="sistemista", data={"event": "entered", "messages": [], "adapter": "prova"})
    write(tx, entry(record, tx.keys.fresh(), {"origin": {"address": "127.0.0.1"}}))


@pytest.mark.parametrize("most", [1, 3, 100])
@pytest.mark.parametrize("after", [0, 3, 40, 95, 102])
def test_they_are_those_that_reading_everything_finds(store, after: int, most: int) -> None:
    with store.read() as tx:
        rows = tx.all("records_of_kinds", kinds=listed(["access"]), after=after, most=most)
        assert log.of_kinds(tx, {"access"}, after, most) == [(row["seq"], record_of(row["content"])) for row in rows]


@pytest.mark.parametrize("query", ["records_of_seldom_kinds", "first_of_seldom_kinds"])
def test_their_index_has_all_of_their_kinds_and_is_what_is_read(tmp_path: Path, query: str) -> None:
    text = queries.load(*FILES, dialect="sqlite")[query]
    assert sorted(log.SELDOM) == re.findall("'([a-z]+)'", text)
    SqliteStore(tmp_path / "prova.db").close()
    with closing(sqlite3.connect(tmp_path / "prova.db")) as raw:
        plan = raw.execute(f"EXPLAIN QUERY PLAN {text}", dict.fromkeys(re.findall(r":(\w+)", text), "[]")).fetchall()
    assert "SEARCH records USING COVERING INDEX records_seldom (seq>?)" in {row[3] for row in plan}


@pytest.mark.parametrize(
    "ask",
    [
        lambda tx: reports.page(tx, reports.ACCESSES, search.EVER, search.NEVER),
        lambda tx: retention.page(tx, retention.terms(Retention(accesses="6M"), {}, NOW), "accesses", "", {}),
        lambda tx: retention.Questions().read(tx, retention.terms(Retention(), {"prova": "24M"}, NOW)),
        lambda tx: list(log.of_kinds_between(tx, {"erased", "disposed"}, 1, None)),
    ],
    ids=["a report", "retention", "what systems asked", "why something of a case is gone"],
)
def test_whoever_looks_for_them_reads_nothing_else(store, ask: Any) -> None:
    with store.read() as tx:
        view = Counting(tx)
        ask(view)
    assert view.asked["records_of_seldom_kinds"]
    assert not view.asked["records_of_kinds"]


def test_a_report_tells_of_each_though_its_traces_are_gone(store) -> None:
    """Of accesses without traces neither report nor retention said anything."""
    with store.read() as tx:
        told = reports.page(tx, reports.ACCESSES, NOW, NOW + dt.timedelta(days=1)).lines
        old, _ = retention.page(tx, retention.terms(Retention(accesses="6M"), {}, NOW + dt.timedelta(days=400)), "accesses", "", {})
    assert (len(told), len(old)) == (5, 5)
