"""What SQLite lets anybody put where something else belongs is named, and ends in no error of ours."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bus.engine import search
from bus.errors import Damaged, EvidenceError
from bus.log import log
from bus.log.published import publish
from bus.store import listed
from bus.store.opening import open_store
from tests.tamper.logs import write_log


@pytest.mark.parametrize("changed", ["root = CAST(root AS TEXT)", "note = CAST(note AS TEXT)"])
def test_a_checkpoint_whose_columns_hold_something_else_is_named(tmp_path: Path, changed: str) -> None:
    """An export was a 500, and `bus log tiles` a traceback."""

    url = f"sqlite:///{tmp_path}/prova.db"
    write_log(url, random.Random(1), 5)
    with closing(sqlite3.connect(tmp_path / "prova.db")) as raw, raw:
        raw.execute("DROP TRIGGER checkpoints_are_never_changed")
        raw.execute(f"UPDATE checkpoints SET {changed}")
    with closing(open_store(url)) as store, pytest.raises(EvidenceError, match="that the bus does not write"):
        publish(store, tmp_path / "registro")


def test_the_mark_up_to_which_there_are_traces_is_a_number(tmp_path: Path) -> None:
    """Each search was a 500."""
    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as store:
        store.write(lambda tx: tx.do("set_traced_until", value="")).result()
        with store.read() as tx, pytest.raises(Damaged, match="is no number any more"):
            search.before_any(tx, {"received"}, search.EVER, search.NEVER)
            log.traced_until(tx)


@pytest.mark.parametrize("column", ["kind", "place", "type"])
def test_what_is_no_text_among_that_by_which_searches_find_is_told(tmp_path: Path, column: str) -> None:
    """Each search was a 500."""
    url = f"sqlite:///{tmp_path}/prova.db"
    write_log(url, random.Random(1), 5)
    with closing(open_store(url)) as store:
        while search.trace(store):
            pass
        with closing(sqlite3.connect(tmp_path / "prova.db")) as raw, raw:
            raw.execute(f"UPDATE facets SET {column} = x'ff' WHERE id = (SELECT min(id) FROM facets)")
        with store.read() as tx, pytest.raises(Damaged, match="no text stands in the table `facets`"):
            search.search(tx, search.Question(route="prova"), None, 10, "2026")


def test_bytes_in_the_place_of_a_text_are_told_as_that() -> None:
    """Whoever searched, or sent what concerns that case, got a 500."""
    for several in ([b"\xff"], ["a", ["b", b"c"]]):
        with pytest.raises(Damaged, match="bytes stand in a table"):
            listed(several)
