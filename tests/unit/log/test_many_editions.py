"""A history of rules is compared with its records in the memory that a page of it takes, however long it is."""

from __future__ import annotations

import hashlib
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from bus.log import rules
from bus.message import canonical
from bus.store import Store, Tx
from bus.store.opening import open_store

MANY = 400
MB = 1_000_000


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def add(tx: Tx, kind: str, content: bytes) -> str:
    tx.do("add_rules", digest=digest_of(content), kind=kind, content=content)
    return digest_of(content)


def tables(tx: Tx) -> None:
    """A large table that is another one each day."""
    for day in range(MANY):
        add(tx, "route", canonical({"route": "prova", "day": day, "table": "x" * 100_000}))


def editions(tx: Tx) -> None:
    """A file among many that is another one each day, and the texts that its route was read from."""
    files = {f"routes/prova/percorso-{number}.yaml": add(tx, "file", f"route: prova-{number}".encode()) for number in range(MANY)}
    for day in range(MANY):
        path, text = f"routes/prova/percorso-{day}.yaml", f"route: prova-{day} # {day}"
        files[path] = add(tx, "file", text.encode())
        edition = add(tx, "edition", canonical({"format": 1, "rules": "", "files": files, "carried": {}}))
        said = canonical({"v": 1, "kind": "rules", "rules": "x", "data": {"edition": edition, "act": "activated", "routes": 1}})
        tx.do("add_record", id=f"r{day}", kind="rules", time="2026", message=None, run=None, content=said)
        tx.do("add_rules", digest=f"text {edition}", kind="text", content=canonical({path: text}))


def compared(store: Store) -> int:
    """Bytes that it takes at most."""
    tracemalloc.start()
    try:
        with store.read() as tx:
            rules.compare(tx)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("fill", [tables, editions])
def test_of_a_long_history_a_page_is_in_memory(tmp_path: Path, fill) -> None:
    """Five hundred rows were read at once, and all editions held together: 1 GB where routes look into a table of 20,000 rows."""
    with closing(open_store(f"sqlite:///{tmp_path}/s.db")) as store:
        store.write(fill).result()
        assert compared(store) < 8 * MB
