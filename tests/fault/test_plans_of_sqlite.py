"""What SQLite reads to find what is ready does not grow with all the runs there ever were; nor what it reads of a run, faster than that."""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bus.clock import text_of
from bus.log import cases, log
from bus.log.record import Record
from bus.message import new_id
from bus.store import Tx, queries
from bus.store.opening import open_store
from bus.store.sqlite import FILES, SqliteStore

RUNS = re.compile(r"SCAN (runs|r|o|me)\b")


def test_no_query_about_what_is_ready_walks_through_all_runs(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    SqliteStore(path).close()
    asked = {name: text for name, text in queries.load(*FILES, dialect="sqlite").items() if "'ready'" in text and "INSERT" not in text}
    with closing(sqlite3.connect(path)) as raw, raw:
        walks = {name: [said for said in _plan(raw, text) if RUNS.match(said)] for name, text in asked.items()}
    raw.close()
    assert {name: said for name, said in walks.items() if said} == {}
    assert {
        "runs_to_ring",
        "claim_runs",
        "runs_behind",
        "release_owner",
        "count_ready",
        "backlog",
        "runs_ready_or_dead",
        "suspects_with_lane",
    } <= asked.keys()


def test_no_query_about_runs_that_are_not_done_walks_through_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    SqliteStore(path).close()
    asked = queries.load(*FILES, dialect="sqlite")
    with closing(sqlite3.connect(path)) as raw, raw:
        plans = {name: _plan(raw, asked[name]) for name in ("runs_waiting_or_cancelled", "runs_by_plan", "runs_of_route")}
    raw.close()
    assert {name: [said for said in plan if "INDEX runs_state" not in said and "INDEX runs_" in said] for name, plan in plans.items()} == {
        "runs_waiting_or_cancelled": ["SEARCH runs USING INDEX runs_waiting (state=?)"],
        "runs_by_plan": ["SEARCH runs USING INDEX runs_waiting (state=?)"],
        "runs_of_route": ["SEARCH runs USING INDEX runs_of_route (route=? AND state=?)"],
    }
    assert [said for plan in plans.values() for said in plan if RUNS.match(said) and "INDEX" not in said] == []


def test_of_a_backlog_no_more_is_read_than_its_order_needs_and_what_is_shown(tmp_path: Path) -> None:
    """Each row of it was read whole and put aside, to show fifty of 133,000."""
    file, count = tmp_path / "s.db", 1000
    begun = {"route": "r", "version": 1, "digest": "d", "entry": "", "ordered": 1, "place": "r@1", "time": "2026"}

    def fill(tx: Tx) -> None:
        for number in range(count):
            tx.do("add_run", id=f"{number:04}", message="m", case_id="c", **begun)

    with closing(open_store(f"sqlite:///{file}")) as store:
        store.write(fill).result()
    steps: list[None] = []
    with closing(sqlite3.connect(file)) as raw:
        raw.set_progress_handler(lambda: steps.append(None), 1)
        asked = {"state": "ready", "route": "r", "held": "", "now": "2027", "most": 5}
        found = raw.execute(queries.load(*FILES, dialect="sqlite")["runs_ready_or_dead"], asked).fetchall()
    assert [row[0] for row in found] == ["0999", "0998", "0997", "0996", "0995"]
    assert len(steps) < 30 * count


@pytest.mark.parametrize("query", ["waits_unfounded", "matches_unfounded"])
def test_what_no_record_made_is_looked_for_in_the_records_of_a_run_once_however_many_they_are(tmp_path: Path, query: str) -> None:
    """For each of its waits all of them were read: 5,000 took minutes, and `bus log verify` with them."""

    def work(waits: int) -> int:
        run, now = new_id(), dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
        begun = {"route": "r", "version": 1, "digest": "d", "entry": "", "ordered": 1, "place": "r@1"}
        opened = {"place": "r@1/x", "type": "t", "name": None, "value": None, "deadline": None, "state": "open", "late": 0}

        def fill(tx: Tx) -> None:
            tx.do("add_run", id=run, message=run, case_id=run, time=text_of(now), **begun)
            for number in range(waits):
                path, message = f"raccolta[{number}]", f"m{number}"
                log.append(tx, Record(new_id(), "waiting", now, run=run, path=path))
                log.append(tx, Record(new_id(), "matched", now, run=run, path=path, data={"arrival": message}))
                tx.do("add_wait", run=run, path=path, **opened)
                tx.do("add_match", run=run, message=message)
            tx.do("add_wait", run=run, path="raccolta[999]", **opened)
            tx.do("add_match", run=run, message="m999")

        file = tmp_path / f"{waits}.db"
        with closing(open_store(f"sqlite:///{file}")) as store:
            store.write(fill).result()
        steps: list[None] = []
        with closing(sqlite3.connect(file)) as raw:
            raw.set_progress_handler(lambda: steps.append(None), 100)
            found = raw.execute(queries.load(*FILES, dialect="sqlite")[query], {"first": "", "second": "", "most": 20_000}).fetchall()
        assert found == [(run, {"waits_unfounded": "raccolta[999]", "matches_unfounded": "m999"}[query])]
        return len(steps)

    assert work(400) < 8 * work(100)


def _one_case(tx: Tx, messages: int) -> None:
    """A case of so many messages, each with a key of its own and about a person of its own."""
    now = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    tx.do("add_case", id="m0", opened=text_of(now))
    for number in range(messages):
        message, keys = f"m{number}", {"iuv": f"i{number}", "pratica": "una"}
        log.append(tx, Record(new_id(), "received", now, message=message, data={"intake": [], "keys": keys}))
        tx.do("add_message", id=message, type="t", sender="s", time=text_of(now), case_id="m0", payload="p")
        tx.do("add_message_key", name="email", value=f"e{number}", message=message, type="t")
        for name, value, strong in (("email", f"e{number}", 0), *((*key, 1) for key in keys.items())):
            tx.do("add_case_key", name=name, value=value, case_id="m0", strong=strong)


@pytest.mark.parametrize("what", ["verified", "forgotten"])
def test_what_a_case_is_known_by_is_compared_with_its_messages_once_however_many_they_are(tmp_path: Path, what: str) -> None:
    """For each key all its messages were read: of 8,000, `bus log verify` took minutes, and each page of an erasure kept all others waiting."""

    def work(messages: int) -> int:
        steps: list[None] = []

        @contextmanager
        def counted(tx: Any) -> Iterator[Tx]:
            tx._raw.set_progress_handler(lambda: steps.append(None), 100)
            yield tx
            tx._raw.set_progress_handler(None, 0)

        @contextmanager
        def view() -> Iterator[Tx]:
            with store.read() as tx, counted(tx):
                yield tx

        def forget(tx: Tx) -> None:
            with counted(tx):
                tx.do("drop_weak_case_keys", cases='["m0"]')

        with closing(open_store(f"sqlite:///{tmp_path}/{messages}.db")) as store:
            store.write(lambda tx: _one_case(tx, messages)).result()
            if what == "verified":
                cases.strangers(view)
            else:
                store.write(forget).result()
        return len(steps)

    assert work(800) < 16 * work(100)


def _plan(raw: sqlite3.Connection, text: str) -> list[str]:
    parameters = dict.fromkeys(re.findall(r":(\w+)", text), "[]")
    return [row[3] for row in raw.execute("EXPLAIN QUERY PLAN " + text, parameters)]
