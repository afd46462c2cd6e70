"""What one transaction reads of PostgreSQL does not grow with the table, whatever the plans and the statistics of its server are from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from bus.clock import text_of
from bus.engine import inquiry
from bus.engine.claims import Part, claim, due, lines_of, long_lines
from bus.log import stretches
from bus.log.traces import BEFORE_ALL
from bus.message import canonical
from bus.store import Tx
from bus.store.postgres import _QUERIES, PostgresConnection, PostgresStore
from bus.store.postgres_session import WRITING, Session, connect

ROWS = 4000
ASKED = canonical([["chiave", "n7"], ["chiave", "nessuna"]]).decode()
WAITS = canonical([["prova.messaggio", "chiave", "n7"]]).decode()
COUNTED = """
SELECT coalesce(sum(idx_tup_fetch + seq_tup_read), 0)::int AS read FROM pg_stat_xact_user_tables WHERE relname IN ('runs', 'case_keys', 'intake_keys', 'waits')
"""
CLAIMS = canonical([["run-7", 1]]).decode()
PAGE = 100
NOW = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
LEASE = dt.timedelta(seconds=10)


@pytest.fixture
def connection(postgresql_url: str) -> Iterator[PostgresConnection]:
    made = PostgresConnection(postgresql_url)
    made.open()
    with closing(made):
        yield made


def _ask(tx: Tx) -> None:
    """The statements of each accept and each settling that take a list."""
    tx.all("known_among", intake=ASKED, case=ASKED, waits=WAITS)
    tx.all("hold_runs", owner="chi", lease="2026", claims=CLAIMS)
    tx.all("runs_held", owner="chi", claims=CLAIMS)
    tx.do("end_pauses", runs=canonical(["run-7"]).decode())


def _in_one(connection: PostgresConnection, work: Callable[[Tx], object]) -> int:
    """Rows of these tables that were read in one transaction."""
    connection.begin()
    before = _read(connection)
    work(connection)
    read = _read(connection) - before
    connection.commit()
    return read


def _session(tx: Tx) -> Session:
    """What there is between us and the server; all that was asked before was sent."""
    tx.one("run", id="")
    session = tx._session  # type: ignore[attr-defined]
    assert isinstance(session, Session)
    return session


def _read(connection: PostgresConnection) -> int:
    counted = _session(connection).execute(COUNTED)
    connection._sync()
    return int(counted.fetchone()["read"])  # type: ignore[index]


def _fill(tx: Tx, name: str = "run", rows: int = ROWS) -> None:
    for n in range(rows):
        tx.do("add_case_key", name="chiave", value=f"n{n}", case_id=f"c{n}", strong=1)
        tx.do(
            "add_run", id=f"{name}-{n}", message=f"m{n}", route="r", version=1, digest="d", entry="", ordered=1, case_id=f"{name}{n}",
            place="r@1", time="2026",
        )  # fmt: skip


def _all_done(connection: PostgresConnection) -> None:
    """What there is has been worked, and the server counts it."""
    session = _session(connection)
    session.execute("UPDATE runs SET state = 'done'")
    connection.commit()
    session.execute("VACUUM ANALYZE runs")
    connection._sync()


def _work_a_page(tx: Tx) -> None:
    """What the engine asks for each page of a backlog."""
    found = [row["id"] for row in due(tx, NOW, PAGE)]
    tx.all("runs_unbegun", runs=canonical(found).decode(), rules=canonical(["d"]).decode())
    rows = claim(tx, found, "chi", NOW, LEASE, suspects=False)
    assert len(rows) == PAGE
    claims = canonical([[row["id"], row["fence"]] for row in rows]).decode()
    tx.all("runs_held", owner="chi", claims=claims)
    tx.all("runs_behind", claims=claims, now=text_of(NOW))
    tx.all("hold_runs", owner="chi", lease="2026", claims=claims)


def test_what_a_transaction_reads_does_not_grow_with_tables_that_were_empty_when_its_plans_were_made(
    connection: PostgresConnection,
) -> None:
    for _ in range(20):
        _in_one(connection, _ask)
    _in_one(connection, _fill)
    assert [_in_one(connection, _ask) for _ in range(20)][-1] < 100


@pytest.mark.parametrize("quiet", [False, True], ids=["a new database", "statistics of a quiet hour"])
def test_a_page_of_a_backlog_that_came_all_at_once_costs_no_walk_through_all_of_it(connection: PostgresConnection, quiet: bool) -> None:
    if quiet:
        _in_one(connection, _fill)
        _all_done(connection)
    _in_one(connection, lambda tx: _fill(tx, "late"))
    read = [_in_one(connection, _work_a_page) for _ in range(3)]
    assert max(read) < 15 * PAGE


def test_a_backlog_of_which_a_part_is_done_is_walked_from_its_beginning(connection: PostgresConnection) -> None:
    """The planner knows by then that the table has grown, and believes that few of its rows are ready."""

    def work_half(tx: Tx) -> None:
        session = _session(tx)
        for change in (*["strikes = 0"] * 9, "state = 'done'", "strikes = 0"):
            session.execute(f"UPDATE runs SET {change} WHERE turn < {3 * ROWS / 2}")  # type: ignore[call-overload]
        session.execute("DISCARD PLANS")

    _in_one(connection, lambda tx: _fill(tx, rows=3 * ROWS))
    _in_one(connection, work_half)
    seen: list[object] = []
    assert _in_one(connection, lambda tx: seen.extend(due(tx, NOW, 1))) < 20
    assert len(seen) == 1
    assert _in_one(connection, lambda tx: seen.extend(due(tx, NOW, PAGE))) < 5 * PAGE


def test_a_case_that_stands_behind_a_dead_letter_is_not_asked_about_run_by_run(connection: PostgresConnection) -> None:
    def behind(tx: Tx) -> None:
        _fill(tx, "one")
        _session(tx).execute("UPDATE runs SET case_id = 'la stessa', state = CASE WHEN id = 'one-0' THEN 'dead' ELSE 'ready' END")

    _in_one(connection, behind)
    seen: list[object] = []
    read = _in_one(connection, lambda tx: seen.extend(due(tx, NOW, PAGE, Part(lines_of(tx, long_lines(tx, NOW))))))
    assert seen == []
    assert read < 2.2 * ROWS, "each is passed by once to learn of the line, and once after"
    assert _in_one(connection, lambda tx: seen.extend(due(tx, NOW, PAGE))) > 1.8 * ROWS, (
        "and else each is asked, at a hundred times the cost"
    )
    assert _in_one(connection, lambda tx: seen.extend(due(tx, NOW, PAGE, Part(since=text_of(NOW))))) == 0, "and none that was seen"


def test_runs_that_are_done_are_not_read_to_find_those_that_are_not(connection: PostgresConnection) -> None:
    _in_one(connection, _fill)
    _all_done(connection)

    def look(tx: Tx) -> None:
        for state in ("waiting", "cancelled"):
            assert tx.all("runs_waiting_or_cancelled", state=state, route=None, most=50) == []
        assert tx.all("runs_by_plan") == []

    _in_one(connection, look)  # what is dead in the indices is noted at the first look
    assert _in_one(connection, look) < 50


def test_the_few_runs_of_a_route_are_not_looked_for_among_all_there_ever_were(connection: PostgresConnection) -> None:
    def rare(tx: Tx) -> None:
        row = {"message": "m", "route": "rara", "version": 1, "digest": "d", "entry": "", "ordered": 1, "place": "rara@1", "time": "2026"}
        for n, state in enumerate(("done", "waiting", "cancelled", "dead", "ready")):
            tx.do("add_run", id=f"a-{n}", case_id=f"a{n}", **row)  # older than all others
            tx.do("set_run", id=f"a-{n}", state=state, due="2026", place="rara@1", time="2026", reason=None)

    def look(tx: Tx) -> None:
        assert [run["id"] for run in inquiry.runs(tx, text_of(NOW), route="rara")] == [f"a-{n}" for n in reversed(range(5))]
        assert [run["id"] for run in inquiry.runs(tx, text_of(NOW), "done", "rara")] == ["a-0"]
        assert len(inquiry.runs(tx, text_of(NOW), route="r")) == len(inquiry.runs(tx, text_of(NOW), "done", "r")) == 50
        assert inquiry.runs(tx, text_of(NOW), route="nessuna") == []

    _in_one(connection, _fill)
    _all_done(connection)
    _in_one(connection, rare)
    _in_one(connection, look)  # what is dead in the indices is noted at the first look
    assert _in_one(connection, look) < 250


def test_one_question_for_rows_that_no_record_made_reads_a_stretch_of_a_table(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One about the whole table would take longer than the minute that a statement has, once there are some millions of messages."""
    monkeypatch.setattr(stretches, "MOST", PAGE)
    store = PostgresStore(postgresql_url)
    read: list[int] = []

    def fill(tx: Tx) -> None:
        for n in range(ROWS):
            tx.do("add_case", id=f"c{n}", opened="2026")
            tx.do("add_case_key", name="email", value=f"n{n}", case_id=f"c{n}", strong=0)
            tx.do("add_trace", facet=n % 3, at=n, seq=n)
            tx.do("add_intake_key", scope="s", key=f"n{n:05}", message=f"m{n}", content="c")

    @contextmanager
    def view() -> Iterator[Tx]:
        with store.read() as tx:
            before = tx.ask(COUNTED, {})[0]["read"]
            yield tx
            read.append(tx.ask(COUNTED, {})[0]["read"] - before)

    try:
        store.write(fill).result()
        assert list(stretches.found(view, "keys_unfounded", "case_keys", weak='["email"]', apart="[]")) == []
        assert len(list(stretches.found(view, "intake_keys_unfounded", "intake_keys"))) == ROWS
        assert list(stretches.found(view, "cases_twice", "cases")) == []
        assert list(stretches.found(view, "case_keys_twice", "case_keys")) == []
        counted = list(stretches.found(view, "count_traces", "traces", start=BEFORE_ALL, until=ROWS // 2))
        assert sum(row["among"] for row in counted) == ROWS // 2 + 1
        assert len(read) > 4 * ROWS / PAGE
    finally:
        store.close()
    assert max(read) < 6 * PAGE
    assert sum(read) < 5 * 6 * ROWS


@pytest.mark.parametrize(
    ("query", "table"), [("tell_message_keys", "message_keys"), ("tell_case_keys", "case_keys"), ("tell_waits", "waits")]
)
def test_tokens_change_places_row_by_row(postgresql_url: str, query: str, table: str) -> None:
    """Each text looked through a whole table: with 300,000 messages a migration did not come to its end."""
    PostgresStore(postgresql_url).close()
    with connect(postgresql_url, WRITING) as session:
        session.execute('CREATE TEMPORARY TABLE texts (old TEXT COLLATE "C" PRIMARY KEY, new TEXT NOT NULL)')
        plan = "\n".join(row["QUERY PLAN"] for row in session.execute(f"EXPLAIN {_QUERIES[query]}".encode()).fetchall())
    assert "Nested Loop" not in plan, plan
    assert f"on {table}" in plan
