"""What is asked of the log's payloads where somebody changed their rows."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bus.engine.projection import Entry, entry, write
from bus.errors import StoreError
from bus.log import log
from bus.log.record import Record
from bus.message import new_id
from bus.store import Tx
from bus.store.sqlite import SqliteStore
from tests.keyrings import in_memory
from tests.views import Counting

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


def test_messages_are_read_at_once_by_what_they_weigh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LIGHT", 10)
    assert list(log.light([3, 3, 4, 1, 10, 11, 0, 30, 2])) == [3, 1, 1, 1, 1, 1, 1]
    assert list(log.light([])) == []


def test_of_many_payloads_that_cannot_be_opened_it_is_asked_once_which_were_erased(tmp_path: Path) -> None:
    """A replay of what was erased asked a server for each."""
    with closing(SqliteStore(tmp_path / "s.db")) as store:
        store.keys = in_memory()
        when = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
        made = [entry(Record(new_id(), "read", when), store.keys.fresh(), {"purpose": {}}) for _ in range(20)]
        wanted = [one.record.payloads[0].id for one in made]

        def work(tx: Tx) -> None:
            for one in made:
                write(tx, one)
            keys = sorted(filter(None, log.keys_of(tx, wanted[:15]).values()))
            write(tx, Entry(Record(new_id(), "erased", when, data={"messages": [], "files": [], "keys": keys})))
            store.keys.forget(keys)

        store.write(work).result(60)
        with store.read() as tx:
            view = Counting(tx)
            texts, lost = log.payloads(view, [*wanted, "0" * len(wanted[0])])  # type: ignore[arg-type]
        assert (len(texts), list(lost), view.asked) == (5, ["0" * len(wanted[0])], {"payloads_among": 1, "erased_among": 1})
