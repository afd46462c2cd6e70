"""What a process does at its start, and every ten minutes: look whether all keys that the log says are destroyed are so."""

from __future__ import annotations

import datetime as dt
import sqlite3
import tracemalloc
from contextlib import closing

import pytest

from bus.clock import SharedClock, SystemClock
from bus.config import Retention
from bus.engine.attachments import Attachments
from bus.engine.destruction import Destruction
from bus.errors import StoreError
from bus.log.keyring import BLOCK
from bus.store.opening import open_store
from tests.keyrings import in_memory

ERASED = 100 * BLOCK
"""Keys that years of retention have destroyed: one for each message."""


def test_keys_that_were_destroyed_are_looked_at_page_by_page(tmp_path):
    path = tmp_path / "prova.db"
    with closing(open_store(f"sqlite:///{path}")) as store:
        with closing(sqlite3.connect(path)) as raw, raw:
            raw.executemany("INSERT INTO erased_keys (key) VALUES (?)", ((BLOCK * 1000 + n,) for n in range(ERASED)))
        keys = store.keys = in_memory()
        left = keys.fresh()
        store.write(lambda tx: tx.do("add_erased_key", key=left.id)).result()
        clock, files = SystemClock(), tmp_path / "files"
        destruction = Destruction(Retention(), {}, store, clock, keys, Attachments(files, store, clock, 1))
        tracemalloc.start()
        destruction.again()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert not keys.left([left.id])
    assert peak < 3_000_000, f"{peak:,} bytes for {ERASED:,} keys"


@pytest.mark.parametrize(("ahead", "given_up"), [(8 * 24, False), (0, True)])
def test_no_request_is_given_up_by_a_clock_that_is_ahead_of_the_machines(tmp_path, monkeypatch, ahead, given_up):
    """What it says of the person is destroyed with its key, and nobody could confirm it when the clock was set right."""
    told = []
    monkeypatch.setattr("bus.engine.erasure.expire", lambda tx, clock: (told.append(True), ())[1])
    clock = SharedClock(lambda: dt.datetime.now(dt.UTC) + dt.timedelta(hours=ahead))
    with closing(open_store(f"sqlite:///{tmp_path / 'prova.db'}")) as store:
        keys = store.keys = in_memory()
        Destruction(Retention(), {}, store, clock, keys, Attachments(tmp_path / "files", store, clock, 1)).expire()
    assert bool(told) == given_up


@pytest.mark.parametrize(("ahead", "refused"), [(3 * 365 * 24, True), (2, True), (0, False), (-48, False)])
def test_nothing_is_destroyed_by_a_clock_that_is_ahead_of_the_machines(tmp_path, ahead, refused):
    """A database whose clock was years ahead for a moment made payloads old enough that were of yesterday."""
    clock = SharedClock(lambda: dt.datetime.now(dt.UTC) + dt.timedelta(hours=ahead))
    with closing(open_store(f"sqlite:///{tmp_path / 'prova.db'}")) as store:
        keys = store.keys = in_memory()
        files = Attachments(tmp_path / "files", store, clock, 1)
        destruction = Destruction(Retention(payloads="24M", attachments="24M"), {}, store, clock, keys, files)
        for act in (lambda: destruction.look("payloads"), lambda: destruction.dispose("payloads", "prova", "scarto")):
            if not refused:
                assert act()["months"] == []
                continue
            with pytest.raises(StoreError, match=r"clock is .* ahead of this machine's") as told:
                act()
            assert told.value.code == "retention.clock"
