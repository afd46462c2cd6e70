"""What the tables that are made from the log hold."""

from __future__ import annotations

from typing import Any

from bus.copying import comparable, rows_of
from bus.engine.projection import TABLES
from bus.store import Tx


def snapshot(tx: Tx) -> dict[str, list[dict[str, Any]]]:
    """All of them as plain rows, for comparing."""
    return {table: [comparable(row, table) for row in rows_of(tx, table)] for table in TABLES}
