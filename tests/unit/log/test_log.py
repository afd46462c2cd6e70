"""What is asked of the log's payloads where somebody changed their rows."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bus.engine.projection import entry, write
from bus.errors import StoreError
from bus.log import log
from bus.log.record import Record
from bus.message import new_id
from bus.store import Tx
from bus.store.sqlite import SqliteStore
from tests.keyrings import in_memory

ASKS: dict[str, Callable[[Tx, str], Any]] = {
    "its text": log.payload,
    "its key, to seal more": log.key_of_payload,
    "its key, to destroy it": lambda tx, identity: log.keys_of(tx, [identity]),
}


@pytest.mark.parametrize("ask", ASKS)
def test_a_payload_whose_nonce_somebody_made_a_text_of_is_told_as_not_what_was_sealed(tmp_path: Path, ask: str) -> None:
    """Else an erasure would end in a traceback that says nothing of it."""
    with closing(SqliteStore(tmp_path / "s.db")) as store:
        store.keys = in_memory()
        made = entry(Record(new_id(), "read", dt.datetime(2026, 3, 2, tzinfo=dt.UTC)), store.keys.fresh(), {"purpose": {}})
        store.write(lambda tx: write(tx, made)).result(60)
        with closing(sqlite3.connect(store.path)) as raw:
            raw.execute("UPDATE payloads SET nonce = CAST(nonce AS TEXT)")
            raw.commit()
        with pytest.raises(StoreError) as told, store.read() as tx:
            ASKS[ask](tx, made.record.payloads[0].id)
        assert told.value.code == "payload.swapped"
