"""Pollers: what they find is taken once, and their watermark outlives the process."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bus.adapter import Door, Poller
from bus.clock import SystemClock
from bus.diagnostics import configure
from bus.engine import projection
from bus.engine.leases import Leases
from bus.engine.polling import WATERMARK, Polling
from bus.store.sqlite import SqliteStore
from bus.testing.door import MemoryDoor
from bus.testing.patience import until
from tests.clocks import FixedClock
from tests.keyrings import in_memory
from tests.projections import told_otherwise

KEYS = in_memory()


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
    assert told_otherwise(store) == {}
    store.close()
    assert first[:4] == [None, 1, 2, 3]
    assert second[0] == 3


def test_a_poll_that_fails_is_asked_again_with_the_same_watermark(store: SqliteStore) -> None:
    seen: list[Any] = []
    done = threading.Event()

    def poll(door: Door, watermark: Any) -> Any:
        seen.append(watermark)
        if len(seen) == 2:
            raise OSError("down")
        if len(seen) == 4:
            done.set()
        return dt.date(2026, 1, 1).isoformat()

    poll_until(store, Poller("nuove", 0.001, poll), done)
    assert seen[:3] == [None, "2026-01-01", "2026-01-01"]


def test_polls_that_fail_in_the_same_way_are_told_once(store: SqliteStore, capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[Any] = []
    done = threading.Event()

    def poll(door: Door, watermark: Any) -> Any:
        seen.append(watermark)
        if len(seen) == 6:
            done.set()
        raise OSError("down" if len(seen) < 4 else "full")

    configure("warning")
    poll_until(store, Poller("nuove", 0.001, poll), done)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "poll." in line]  # other engines may speak, too
    assert [(line["event"], line["poller"], line["error"]) for line in lines] == [
        ("poll.failed", "nuove", "OSError('down')"), ("poll.failed", "nuove", "OSError('full')"),
    ]  # fmt: skip


def test_a_process_that_was_paused_in_a_poll_does_not_set_the_watermark_of_another_back(store: SqliteStore) -> None:
    """The first one stands still in its poll for longer than its lease; the second one polls meanwhile, and further."""
    clock = FixedClock(dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC))
    asked, goes_on, polled = threading.Event(), threading.Event(), threading.Event()
    seen: list[Any] = []

    def slow(door: Door, watermark: Any) -> Any:
        asked.set()
        assert goes_on.wait(60)
        return 1

    def quick(door: Door, watermark: Any) -> Any:
        seen.append(watermark)
        if watermark is not None:
            polled.set()
        return 2

    def polling(owner: str, poll: Callable[[Door, Any], Any]) -> Polling:
        made = Polling(store, clock, lambda adapter: MemoryDoor(clock.now()), Leases(store, clock, owner))
        made.start("archivio", Poller("nuove", 0.001, poll))
        return made

    paused = polling("first", slow)
    assert asked.wait(60)
    clock.move(dt.timedelta(hours=1))
    other = polling("second", quick)
    assert polled.wait(60)
    goes_on.set()
    paused.stop()
    other.stop()
    with store.read() as tx:
        assert projection.fact(tx, "archivio", WATERMARK, "nuove") == 2
    assert set(seen) == {None, 2}


def test_who_stops_waits_for_a_poll_in_progress(store: SqliteStore) -> None:
    asked, goes_on, ended = threading.Event(), threading.Event(), threading.Event()

    def poll(door: Door, watermark: Any) -> Any:
        asked.set()
        assert goes_on.wait(60)
        ended.set()
        return watermark

    polling = Polling(store, SystemClock(), lambda adapter: MemoryDoor(SystemClock().now()))
    polling.start("archivio", Poller("nuove", 300.0, poll))
    assert asked.wait(60)
    threading.Timer(0.2, goes_on.set).start()
    polling.stop()
    assert ended.is_set()


@pytest.mark.parametrize(("interval", "lease"), [(1.0, 60.0), (300.0, 600.0)])
def test_no_other_process_polls_between_two_turns_of_the_one_that_does(store: SqliteStore, interval: float, lease: float) -> None:
    taken: list[float] = []
    somebody_elses: Any = SimpleNamespace(owner="uno", take=lambda name, seconds: taken.append(seconds))
    polling = Polling(store, SystemClock(), lambda adapter: MemoryDoor(SystemClock().now()), somebody_elses)
    polling.start("archivio", Poller("nuove", interval, lambda door, watermark: pytest.fail("it is another's duty")))
    until(lambda: taken, "it asked for its duty")
    polling.stop()
    assert {*taken} == {lease}
