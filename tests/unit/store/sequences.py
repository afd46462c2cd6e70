"""Work for a store of SQLite that is told apart by its name."""

from __future__ import annotations

from bus.store.sqlite import SqliteStore


def put(name: str, value: int = 1):  # type: ignore[no-untyped-def]
    return lambda tx: tx.do("set_sequence", name=name, value=value)


def names(store: SqliteStore) -> set[str]:
    with store.read() as tx:
        return {row["name"] for row in tx.all("all_sequences")}
