"""Pollers: what they find is taken once, and their watermark outlives the process."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path
from typing import Any

from bus.adapter import Door, Poller
from bus.clock import SystemClock
from bus.engine import projection
from bus.engine.polling import Polling
from bus.log.keyring import Keyring
from bus.store.sqlite import SqliteStore
from bus.testing.door import MemoryDoor

KEYS = Keyring.in_memory()


def poll_until(store: SqliteStore, poller: Poller, done: threading.Event) -> None:
    polling = Polling(store, SystemClock(), lambda adapter: MemoryDoor(SystemClock().now()))
    polling.start("archivio", poller)
    assert done.wait(60)
    polling.stop()


def counting(upto: int, seen: list[Any], done: threading.Event) -> Poller:
    def poll(door: Door, watermark: Any) -> Any:
        seen.append(watermark)
        if len(seen) > upto:
            done.set()
            return watermark
        return (watermark or 0) + 1

    return Poller("nuove", 0.001, poll)


def test_a_watermark_is_given_back_at_the_next_poll_and_after_a_restart(tmp_path: Path) -> None:
    first, second, done, again = [], [], threading.Event(), threading.Event()  # type: ignore[var-annotated]
    store = SqliteStore(tmp_path / "s.db")
    store.keys = KEYS
    poll_until(store, counting(3, first, done), done)
    store.close()
    store = SqliteStore(tmp_path / "s.db")
    store.keys = KEYS
    poll_until(store, counting(0, second, again), again)
    with store.read() as tx:
        before = projection.snapshot(tx)
    store.write(projection.rebuild).result()
    with store.read() as tx:
        assert projection.snapshot(tx) == before
    store.close()
    assert first[:4] == [None, 1, 2, 3]
    assert second[0] == 3


def test_a_poll_that_fails_is_asked_again_with_the_same_watermark(tmp_path: Path) -> None:
    seen: list[Any] = []
    done = threading.Event()

    def poll(door: Door, watermark: Any) -> Any:
        seen.append(watermark)
        if len(seen) == 2:
            raise OSError("down")
        if len(seen) == 4:
            done.set()
        return dt.date(2026, 1, 1).isoformat()

    store = SqliteStore(tmp_path / "s.db")
    store.keys = KEYS
    poll_until(store, Poller("nuove", 0.001, poll), done)
    store.close()
    assert seen[:3] == [None, "2026-01-01", "2026-01-01"]
