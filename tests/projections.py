"""What the tables that are made from the log hold."""

from __future__ import annotations

from typing import Any

from bus.copying import comparable, rows_of
from bus.engine.projection import TABLES, rebuild
from bus.store import Store, Tx


def snapshot(tx: Tx) -> dict[str, list[dict[str, Any]]]:
    """All of them as plain rows, for comparing."""
    return {table: [comparable(row, table) for row in rows_of(tx, table)] for table in TABLES}


def are_those_of_the_log(store: Store) -> bool:
    """Whether they are the same once they are made anew."""
    with store.read() as tx:
        before = snapshot(tx)
    store.write(rebuild).result()
    with store.read() as tx:
        return snapshot(tx) == before
