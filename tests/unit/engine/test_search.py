"""A search for whom much is about shows it on its first page, however much came since about others."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from bus.clock import text_of
from bus.engine import search
from bus.engine.names import holder
from bus.store.opening import open_store
from tests.keyrings import in_memory

NOW = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
SURVEYOR, CITIZEN = "geometra", "cittadino"
THEIRS, SINCE = 3_000, search.LOOKED_AT + 1_000
"""Messages about a surveyor who hands in what others build, and those about others that came later."""


def test_whom_thousands_of_messages_are_about_is_found_behind_all_that_came_since(tmp_path: Path) -> None:
    path, keys = tmp_path / "prova.db", in_memory()
    open_store(f"sqlite:///{path}").close()
    tokens = {who: keys.token(holder(who)) for who in (SURVEYOR, CITIZEN)}
    with closing(sqlite3.connect(path)) as raw, raw:
        for row in messages():
            raw.execute("INSERT INTO records (id, kind, time, message, content) VALUES (:record, 'received', :time, :id, :content)", row)
            raw.execute(
                "INSERT INTO messages (id, type, sender, time, case_id, payload) VALUES (:id, 'prova', 'prova', :time, :id, '')", row
            )
            raw.execute("INSERT INTO holders (holder, message) VALUES (?, ?)", (tokens[row["who"]], row["id"]))
    with closing(open_store(f"sqlite:///{path}")) as store:
        store.keys = keys
        while search.trace(store):
            pass
        with store.read() as tx:
            question = search.Question("messages", f"codice_fiscale:{SURVEYOR}")
            page = search.search(tx, question, None, 50, text_of(NOW), search.named(tx, question.key, persons=True))
    assert [one["id"] for one in page.found] == [identity(number) for number in range(THEIRS - 1, THEIRS - 51, -1)]
    assert page.after is not None


def messages() -> Iterator[dict[str, Any]]:
    for number in range(THEIRS + SINCE):
        time, told = text_of(NOW + dt.timedelta(seconds=number)), {"type": "prova", "sender": "prova", "runs": []}
        line = {
            "v": 1,
            "id": f"r{number:08}",
            "kind": "received",
            "time": time,
            "actor": "prova",
            "message": identity(number),
            "data": told,
        }
        who = SURVEYOR if number < THEIRS else CITIZEN
        yield {"id": identity(number), "record": line["id"], "time": time, "content": json.dumps(line).encode(), "who": who}


def identity(number: int) -> str:
    return f"m{number:08}"
