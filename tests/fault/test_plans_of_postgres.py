"""Plans that PostgreSQL made while its tables were empty do not stay: what one transaction reads does not grow with the table."""

from __future__ import annotations

from collections.abc import Callable

from bus.message import canonical
from bus.store import Tx
from bus.store.postgres import PostgresConnection

ROWS = 4000
ASKED = canonical([["chiave", "n7"], ["chiave", "nessuna"]]).decode()
COUNTED = """
SELECT coalesce(sum(idx_tup_fetch + seq_tup_read), 0)::int AS read FROM pg_stat_xact_user_tables WHERE relname IN ('runs', 'case_keys')
"""
CLAIMS = canonical([["run-7", 1]]).decode()


def _ask(tx: Tx) -> None:
    """The statements of each accept and each settling that take a list."""
    tx.all("case_keys_among", keys=ASKED)
    tx.all("hold_runs", owner="chi", lease="2026", claims=CLAIMS)
    tx.do("release_runs", owner="chi", claims=CLAIMS)
    tx.do("end_pauses", runs=canonical(["run-7"]).decode())


def _in_one(connection: PostgresConnection, work: Callable[[Tx], object]) -> int:
    """Rows of the two tables that were read in one transaction."""
    connection.begin()
    before = _read(connection)
    work(connection)
    read = _read(connection) - before
    connection.commit()
    return read


def _read(connection: PostgresConnection) -> int:
    connection.one("sequence", name="a trip, so that all was sent")
    session = connection._session
    assert session is not None
    counted = session.execute(COUNTED)
    connection._sync()
    return int(counted.fetchone()["read"])  # type: ignore[index]


def _fill(tx: Tx) -> None:
    for n in range(ROWS):
        tx.do("add_case_key", name="chiave", value=f"n{n}", case_id=f"c{n}", strong=1)
        tx.do(
            "add_run",
            id=f"run-{n}", message=f"m{n}", route="r", version=1, digest="d", entry="", ordered=1, case_id=f"c{n}", place="r@1", time="2026",
        )  # fmt: skip


def test_what_a_transaction_reads_does_not_grow_with_tables_that_were_empty_when_its_plans_were_made(postgresql_url: str) -> None:
    connection = PostgresConnection(postgresql_url)
    connection.open()
    try:
        for _ in range(20):
            _in_one(connection, _ask)
        _in_one(connection, _fill)
        for _ in range(20):
            last = _in_one(connection, _ask)
        assert last < 100
    finally:
        connection.close()
