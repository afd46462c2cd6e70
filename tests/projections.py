"""What the tables that are made from the log hold."""

from __future__ import annotations

from typing import Any

from bus.copying import comparable, rows_of
from bus.engine.projection import TABLES, rebuild
from bus.store import Store, Tx


def snapshot(tx: Tx) -> dict[str, list[dict[str, Any]]]:
    """All of them as plain rows, for comparing."""
    return {table: [comparable(row, table) for row in rows_of(tx, table)] for table in TABLES}


def told_otherwise(store: Store) -> dict[str, Any]:
    """The tables that are others once they are made anew from the log: as they were, and as the log tells them."""
    with store.read() as tx:
        before = snapshot(tx)
    store.write(rebuild).result()
    with store.read() as tx:
        after = snapshot(tx)
    return {table: (rows, after[table]) for table, rows in before.items() if after[table] != rows}
