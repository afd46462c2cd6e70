"""What SQLite reads to find what is ready does not grow with all the runs there ever were."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from bus.store import queries
from bus.store.sqlite import FILES, IN_LIST, SqliteStore

RUNS = re.compile(r"SCAN (runs|r|o|me)\b")


def test_no_query_about_what_is_ready_walks_through_all_runs(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    SqliteStore(path).close()
    asked = {name: text for name, text in queries.load(*FILES, in_list=IN_LIST).items() if "'ready'" in text and "INSERT" not in text}
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
    asked = queries.load(*FILES, in_list=IN_LIST)
    with closing(sqlite3.connect(path)) as raw, raw:
        plans = {name: _plan(raw, asked[name]) for name in ("runs_waiting_or_cancelled", "runs_by_plan", "runs_of_route")}
    raw.close()
    assert {name: [said for said in plan if "INDEX runs_state" not in said and "INDEX runs_" in said] for name, plan in plans.items()} == {
        "runs_waiting_or_cancelled": ["SEARCH runs USING INDEX runs_waiting (state=?)"],
        "runs_by_plan": ["SEARCH runs USING INDEX runs_waiting (state=?)"],
        "runs_of_route": ["SEARCH runs USING INDEX runs_of_route (route=? AND state=?)"],
    }
    assert [said for plan in plans.values() for said in plan if RUNS.match(said) and "INDEX" not in said] == []


def _plan(raw: sqlite3.Connection, text: str) -> list[str]:
    parameters = dict.fromkeys(re.findall(r":(\w+)", text), "[]")
    return [row[3] for row in raw.execute("EXPLAIN QUERY PLAN " + text, parameters)]
