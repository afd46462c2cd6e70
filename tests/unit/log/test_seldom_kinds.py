"""Records that are few among many are found by their traces: what lies between them is not read."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bus import reports
from bus.config import Retention
from bus.engine import inquiry, retention, search
from bus.engine.projection import entry, write
from bus.log import log
from bus.log.record import Record
from bus.message import new_id
from bus.store import Tx
from bus.store.opening import open_store
from tests.keyrings import in_memory

NOW = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
ACCESSES = (3, 40, 41, 90)
"""Where they stand among a hundred records of other kinds."""


class Watching:
    """A view that knows behind which records the log was read one by one."""

    def __init__(self, tx: Tx) -> None:
        self._tx, self.read = tx, list[int]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def all(self, query: str, **parameters: Any) -> Any:
        if query == "records_of_kinds":
            self.read.append(parameters["after"])
        return self._tx.all(query, **parameters)


@pytest.fixture
def store(tmp_path: Path):
    """Of a hundred records four tell of accesses; one more came after the traces were made."""
    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as made:
        made.keys = in_memory()
        kinds = ["access" if number in ACCESSES else "polled" for number in range(1, 101)]
        made.write(lambda tx: [tell(tx, kind) for kind in kinds]).result()
        while search.trace(made):
            pass
        made.write(lambda tx: [tell(tx, kind) for kind in ("polled", "access")]).result()
        yield made


def tell(tx: Tx, kind: Any) -> None:
    record = Record(new_id(), kind, NOW, actor="sistemista", data={"event": "entered", "messages": [], "adapter": "prova"})
    write(tx, entry(record, tx.keys.fresh(), {"origin": {"address": "127.0.0.1"}}))


@pytest.mark.parametrize("few", [100, 4, 1])
@pytest.mark.parametrize("most", [1, 3, 100])
@pytest.mark.parametrize("after", [0, 3, 40, 95, 102])
def test_they_are_those_that_reading_everything_finds(store, monkeypatch, after: int, most: int, few: int) -> None:
    monkeypatch.setattr(log, "FEW", few)
    with store.read() as tx:
        assert log.of_seldom_kinds(tx, {"access"}, after, most) == log.of_kinds(tx, {"access"}, after, most)


@pytest.mark.parametrize(
    "ask",
    [
        lambda tx: reports.page(tx, reports.ACCESSES, search.EVER, search.NEVER),
        lambda tx: retention.page(tx, retention.terms(Retention(accesses="6M"), {}, NOW), "accesses", "", {}),
        lambda tx: retention.Questions().read(tx, retention.terms(Retention(), {"prova": "24M"}, NOW)),
        lambda tx: list(log.seldom_between(tx, {"erased", "disposed"}, 1, None)),
    ],
    ids=["a report", "retention", "what systems asked", "why something of a case is gone"],
)
def test_whoever_looks_for_them_reads_only_what_has_no_traces_yet(store, ask: Any) -> None:
    with store.read() as tx:
        view = Watching(tx)
        ask(view)
    assert set(view.read) == {100, 102} & set(view.read)
    assert view.read


def test_of_a_long_case_nothing_behind_its_page_is_asked_for(store) -> None:
    """The rest of the log is not read to learn what was erased up to the page's end."""
    with store.read() as tx:
        view = Watching(tx)
        page = [(3, Record(new_id(), "received", NOW, message="m"))]
        assert list(inquiry._losses(view, "m", page, 2, 50)) == []
    assert set(view.read) <= {100}
