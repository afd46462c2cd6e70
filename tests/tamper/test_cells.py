"""Every cell of every table, one at a time: what verifying finds, and what it says that it does not look at.

The database is that of a bus that has done a bit of everything. What stands in `NOT_COMPARED` is no evidence, and docs/auditor.md says so.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from bus.engine import search
from bus.log.diagnosis import Broken
from bus.log.note import parse, read_signer
from bus.log.stored import StoredTree
from bus.log.verify import Trust, verify
from bus.store.opening import open_reader
from bus.testing.patience import until
from tests.integration.erasing import NAME, OTHER, WHO, asked, confirmed, greet, sent, two_sysadmins
from tests.small_bus import Caller, running, wait_reply
from tests.tamper.logs import TRIGGERS, WITNESS, reader

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NOT_COMPARED: dict[str, set[str]] = {
    "attachments": {"file", "sender", "payload", "time"}, "holders": {"holder"}, "enclosures": {"file"},
    "message_keys": {"name", "value", "type"},  # these four by --names
    "runs": {"turn", "owner", "lease", "fence", "strikes"}, "leases": {"name", "owner", "until", "fence"},
    "processes": {"id", "role", "host", "pid", "version", "rules", "started", "seen"}, "marks": {"name", "value"},
    "receipts": {"id", "note", "leaves"}, "checkpoints": {"time", "fence"}, "anchors": {"time"}, "rules": {"kind", "digest"},
}  # fmt: skip
"""Columns, by table. Of `rules` those are looked for that records and runs name: under another fingerprint nobody finds them."""
NO_EVIDENCE = {"attachments", "holders", "enclosures", "message_keys", "leases", "processes", "marks", "receipts", "rules", "checkpoints"}
"""Tables of which a row may be gone without being missed, as in `NOT_COMPARED`; a checkpoint before the last is one more of many."""
WORKED = {"payloads", "rules", "messages", "message_keys", "intake_keys", "cases", "case_keys", "waits", "matches", "runs", "marks", "tiles",
          "checkpoints", "receipts", "anchors", "attachments", "enclosures", "holders", "erased_keys", "facets", "traces", "records"}  # fmt: skip
"""Tables that must have rows: else nothing is shown here."""


def everything(folder: Path, **changes: Any) -> tuple[Trust, str]:
    """A bus does a bit of everything, and stops; what an auditor trusts, and the message that was erased."""
    with running(folder, keys=two_sysadmins(), **changes) as server:
        call, app = Caller(server.port), server.app
        files = [call("POST", f"/attachments?name={one}.txt", one.encode()).json["sha256"] for one in ("uno", "due")]
        erased = greet(server, NAME, WHO, attachments=files[:1])
        greet(server, "Mario", OTHER, attachments=files[1:])
        assert call("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ida"}}, {"Idempotency-Key": "k"}).status == 202
        waits = [sent(server, "prova.attesa", {"nome": name}) for name in ("Ada", "Bea")]
        until(lambda: all(app.message(one)["state"] == "waiting" for one in waits), "they wait")
        sent(server, "prova.sveglia", {"nome": "Ada"})
        wait_reply(app, waits[0], 60)
        dead = sent(server, "prova.guasto", {"nome": "Leo"})
        until(lambda: app.message(dead)["state"] == "dead", "it is dead")
        assert confirmed(server, asked(server).json["id"]).status == 200
        asked(server, OTHER)
        until(lambda: verify(app.store.read, Trust()).waiting == 0, "all is sealed")
        with app.store.read() as tx:
            newest = StoredTree(tx).checkpoint()
        assert newest is not None
        note = parse(newest.note)
        evidence = note.signed(WITNESS.sign(note.text, 1_800_000_000)).encode()
        anchor = {"kind": "witness", "name": WITNESS.verifier.name, "size": newest.size, "time": "", "evidence": evidence}
        app.store.write(lambda tx: tx.do("add_anchor", **anchor)).result()
        while search.trace(app.store):
            pass
        key = read_signer(folder / "var/log.key").verifier
    return Trust((key,), (WITNESS.verifier,)), erased


def others(value: Any) -> list[Any]:
    """What may stand in the place of a value."""
    match value:
        case str():
            found: list[Any] = ["altro", value + "x", value[:-1]]
        case bytes():
            found = [value[:-1] + bytes([value[-1] ^ 1]), value + b"\0", value[1:]]
        case int():
            found = [value + 1, value - 1]
        case _:
            found = ["altro", 7]
    return [one for one in found if one != value]


class Cell(NamedTuple):
    """``column`` empty: the whole row is deleted."""

    table: str
    column: str
    where: str
    row: dict[str, Any]


def cells(tables: dict[str, list[str]], read: Callable[[str], list[tuple[Any, ...]]], rows: int) -> Iterator[Cell]:
    """Some rows of each table, the first ones and the last, cell by cell."""
    for table, columns in tables.items():
        found = [dict(zip(columns, row, strict=True)) for row in read(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1")]
        assert found or table not in WORKED, f"nothing stands in {table}"
        for row in [*found[:rows], *found[-rows:]] if len(found) > 2 * rows else found:
            for column in ("", *columns):
                yield Cell(table, column, " AND ".join(f"{name} {{is}} {{one}}" for name in columns), row)


def missed(cell: Cell, said: Any, found: str | None, erased: str) -> str | None:
    """What is wrong with the verdict; None where it is as it should be. What was erased may be gone altogether."""
    of_erased = cell.table == "payloads" and cell.row["message"] == erased and cell.column in ("", "id")
    asks = cell.table == "marks" and cell.row["name"].startswith("erasure ")  # the other marks are no evidence
    free = not asks and cell.column in NOT_COMPARED.get(cell.table, ()) if cell.column else not asks and cell.table in NO_EVIDENCE
    return None if found or free or of_erased else f"{cell.table}.{cell.column or '(row)'} {cell.row} -> {said!r}: not found"


def verdict(read: Any, trust: Trust) -> str | None:
    """The kind of the fault, which names something; None where all is right."""
    try:
        verify(read, trust)
    except Broken as broken:
        return broken.fault.kind
    return None


def test_each_cell_of_a_file_is_found_or_no_evidence(tmp_path: Path) -> None:
    trust, erased = everything(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as file:
        file.execute("PRAGMA journal_mode=DELETE")
        content = file.serialize()
        names = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
        tables = {name: [row[1] for row in file.execute(f"PRAGMA table_info({name})")] for name in names}
        wrong, tried = list[str](), 0
        for cell in cells(tables, lambda query: file.execute(query).fetchall(), 2):
            where, values = cell.where.replace("{is}", "IS").replace("{one}", "?"), tuple(cell.row.values())
            for said in others(cell.row[cell.column]) if cell.column else (None,):
                with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
                    raw.deserialize(content)
                    for (name,) in raw.execute(TRIGGERS[0]).fetchall():
                        raw.execute(TRIGGERS[1].format(name))
                    with contextlib.suppress(sqlite3.IntegrityError):
                        if cell.column:
                            raw.execute(f"UPDATE {cell.table} SET {cell.column} = ? WHERE {where}", (said, *values))
                        else:
                            raw.execute(f"DELETE FROM {cell.table} WHERE {where}", values)
                        if raw.total_changes:
                            tried += 1
                            wrong += [one] if (one := missed(cell, said, verdict(reader(raw), trust), erased)) else []
    assert wrong == []
    assert tried > 500


def test_each_cell_of_a_server_is_found_or_no_evidence(tmp_path: Path, postgresql_url: str) -> None:
    trust, erased = everything(tmp_path, store={"url": postgresql_url})
    wrong, tried = list[str](), 0
    with psycopg.connect(postgresql_url, autocommit=True) as raw, contextlib.closing(open_reader(postgresql_url)) as reader:
        raw.execute("SET session_replication_role = replica")  # no trigger
        query = (
            "SELECT table_name, column_name FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)"
        )
        tables = dict[str, list[str]]()
        for table, column in raw.execute(
            f"{query} WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1, ordinal_position"
        ).fetchall():
            tables.setdefault(table, []).append(column)
        tables = {table: columns for table, columns in tables.items() if table in {*WORKED, *NOT_COMPARED}}
        for cell in cells(tables, lambda query: raw.execute(query).fetchall(), 1):
            where, names = cell.where.replace("{is}", "IS NOT DISTINCT FROM").replace("{one}", "%s"), ", ".join(cell.row)
            values = tuple(cell.row.values())
            back = f"INSERT INTO {cell.table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({', '.join(['%s'] * len(values))})"
            for said in others(cell.row[cell.column])[:1] if cell.column else (None,):
                with contextlib.suppress(psycopg.Error):
                    with raw.transaction():
                        raw.execute(f"DELETE FROM {cell.table} WHERE {where}", values)
                        if cell.column:
                            raw.execute(back, tuple((cell.row | {cell.column: said}).values()))
                    tried += 1
                    wrong += [one] if (one := missed(cell, said, verdict(reader.read, trust), erased)) else []
                    if cell.column:
                        changed = tuple((cell.row | {cell.column: said}).values())
                        assert raw.execute(f"DELETE FROM {cell.table} WHERE {where}", changed).rowcount == 1
                    raw.execute(back, values)
        assert verdict(reader.read, trust) is None, "it is as it was"
    assert wrong == []
    assert tried > 150
