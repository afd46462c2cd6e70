"""A store copied into an empty one, whatever the two are: the way from one process with SQLite to several with PostgreSQL.

Only the log, its payloads and the rules are copied, and its evidence: tiles, checkpoints, receipts, anchors. Everything else is made
again from them, as `bus.engine.projection` says, and compared with what was there. All in one transaction: a copy that differs, or is
interrupted, leaves the target empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from bus.engine import projection
from bus.errors import ConfigError, StoreError
from bus.log import log
from bus.store import Row, Store, Tx, migrate

MOST = 500
"""Rows at a time."""
LARGE = {"rules_after": 20}
"""Fewer of those that may hold megabytes each."""
TABLES = {
    "records": ("whole_records_after", "seq", "copy_record"), "payloads": ("payloads_after", "id", "add_payload"),
    "rules": ("rules_after", "digest", "add_rules"), "receipts": ("receipts_after", "id", "add_receipt"),
    "checkpoints": ("checkpoints_after", "size", "add_checkpoint"),
}  # fmt: skip
"""Each table: how to read a page of it, after which column, how to add to it."""
_KEYS = {
    "messages": ("id",), "message_keys": ("type", "name", "value", "message"), "intake_keys": ("scope", "key"), "cases": ("id",),
    "case_keys": ("name", "value", "case_id"), "runs": ("id",), "waits": ("run", "path"), "matches": ("run", "message"),
    "facts": ("adapter", "kind", "key"), "attachments": ("file", "sender"), "holders": ("holder", "message"),
    "enclosures": ("file", "message"),
}  # fmt: skip
"""Tables made from the log that grow with it, each with the columns of its key, which are texts."""


def copy(source: Store, target: Store) -> dict[str, int]:
    """Rows copied, by table. Nothing else may work on either; both have the same keys.

    Raises `ConfigError` for a target with records, `StoreError` for a copy that differs.
    """

    def work(new: Tx) -> dict[str, int]:
        if not new.take_alone():
            raise migrate.taken()
        with source.read() as old:
            counts = _copy(old, new)
        projection.rebuild(new)  # for longer than a server lets a view stand idle
        for table in projection.TABLES:
            with source.read() as old:
                _compare(old, new, table)
        return counts

    return target.write(work).result()


def _copy(old: Tx, new: Tx) -> dict[str, int]:
    if new.one("whole_records_after", after=0, most=1) is not None:
        raise ConfigError("the store to copy into is not empty", code="copy.not-empty", hint="give it a new database")
    known = old.one("mark", name="keystore")
    if known is not None:
        new.do("drop_mark", name="keystore")  # that of its own, made with its tables
        new.do("add_mark", name="keystore", value=known["value"])
    counts = {table: _copy_pages(old, new, *how) for table, how in TABLES.items()}
    counts["anchors"] = sum(_copy_pages(old, new, "anchors_beyond", "size", "add_anchor", **_row(row)) for row in old.all("anchor_names"))
    counts["tiles"] = _copy_tiles(old, new)
    new.one("go_on_counting")
    return counts


def _compare(old: Tx, new: Tx, table: str) -> None:
    if table == "sequences":
        for row in old.all("all_sequences"):  # beyond what the log tells, where a restored database was put there
            new.do("set_sequence", name=row["name"], value=row["value"])
    if _fingerprint(old, table) != _fingerprint(new, table):
        sentence = f"after the copy the table {table} is not as it was"
        raise StoreError(sentence, code="copy.differs", hint="report it; the copy was taken back")


def _copy_tiles(old: Tx, new: Tx) -> int:
    """All tiles, level by level. Their key is no single column: they are read by number, up to the last of level 0, which has most."""
    last, count = old.one("leaves_stored"), 0
    for level in range(8):
        for start in range(0, last["number"] + 1 if last else 0, MOST):
            page = [{**_row(row), "level": level} for row in old.all("tiles_between", level=level, start=start, until=start + MOST)]
            new.many("put_tile", page)
            count += len(page)
    return count


def _copy_pages(old: Tx, new: Tx, read: str, column: str, add: str, **of: str) -> int:
    """All rows that ``read`` gives, page by page, each behind the last ``column`` of the one before."""
    rows, after = 0, 0 if column in {"seq", "size"} else ""
    while page := [_row(row) for row in old.all(read, after=after, most=LARGE.get(read, MOST), **of)]:
        new.many(add, page)
        rows, after = rows + len(page), page[-1][column]
    return rows


def _row(row: Row) -> dict[str, Any]:
    return {name: bytes(value) if isinstance(value, memoryview) else value for name, value in dict(row).items()}


def _fingerprint(tx: Tx, table: str) -> tuple[int, int]:
    """How many rows a table has, and the sum of their digests: databases sort texts as they are set up to, and a list of all rows may
    be larger than the memory of the machine.
    """
    count = digests = 0
    for row in rows_of(tx, table):
        count += 1
        digests += int.from_bytes(sha256(repr(sorted(comparable(row, table).items())).encode()).digest())
    return count, digests


def comparable(row: Row, table: str) -> dict[str, Any]:
    """What the log tells of a row. Since when a run is due that is ready, it does not: that is put right where the clock that wrote it was
    ahead (`bus.engine.setback`).
    """
    plain = _row(row)
    if table == "runs" and plain["state"] == "ready":
        plain["due"] = ""
    return plain


def rows_of(tx: Tx, table: str) -> Iterator[Row]:
    """All rows of a table that is made from the log (`bus.engine.projection`); of one that grows with it a page is in memory."""
    if table == "erased_keys":
        yield from ({"key": key} for page in log.erased_keys(tx) for key in page)
    elif table not in _KEYS:
        yield from tx.all(f"all_{table}")
    else:
        after: dict[str, Any] = dict.fromkeys(_KEYS[table], "")
        while page := tx.all(f"rows_of_{table}", **after, most=MOST):
            yield from page
            after = {name: page[-1][name] for name in after}
