"""Duties of one process at a time: taken, kept, left, run out; and the same folder for all."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from bus import config
from bus.engine.attachments import NAME, Attachments
from bus.engine.engine import Pace
from bus.engine.leases import Leases
from bus.engine.presence import Presence, processes
from bus.errors import ConfigError
from bus.store.sqlite import SqliteStore
from tests.clocks import FixedClock

NOON = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)


def test_a_duty_is_one_processs_own_until_its_lease_runs_out(store: SqliteStore) -> None:
    clock = FixedClock(NOON)
    one, two = Leases(store, clock, "one"), Leases(store, clock, "two")
    assert (one.take("poller a.b", 60), two.take("poller a.b", 60), two.take("poller a.c", 60)) == (1, None, 1)
    clock.move(dt.timedelta(seconds=50))
    assert (one.take("poller a.b", 60), two.take("poller a.b", 60)) == (1, None)
    clock.move(dt.timedelta(seconds=61))
    assert two.take("poller a.b", 60) == 2, "the fence grows when the duty changes hands"
    assert one.take("poller a.b", 60) is None


def test_a_duty_taken_by_a_clock_that_was_ahead_is_not_kept_from_the_others_until_then(store: SqliteStore) -> None:
    """Its owner ended with its machine, and for two days nobody numbered the log."""
    clock = FixedClock(NOON + dt.timedelta(days=2))
    one, two = Leases(store, clock, "one"), Leases(store, clock, "two")
    one.take("sequencer", 60)
    clock.move(dt.timedelta(days=-2))
    assert (two.take("sequencer", 60), one.take("sequencer", 60)) == (2, None)


def test_duties_that_are_given_back_are_free_at_once(store: SqliteStore) -> None:
    clock = FixedClock(NOON)
    one, two = Leases(store, clock, "one"), Leases(store, clock, "two")
    one.take("poller a.b", 60)
    one.give_back()
    assert two.take("poller a.b", 60) == 2


def test_a_process_is_shown_while_it_is_there_with_the_seconds_of_its_silence(store: SqliteStore) -> None:
    clock = FixedClock(NOON)
    here = Presence(store, clock, "one", "worker", "d1")
    here.begin()
    clock.move(dt.timedelta(seconds=25))
    with store.read() as tx:
        (shown,) = processes(tx, clock.now())
    assert (shown["id"], shown["role"], shown["rules"], shown["silent"]) == ("one", "worker", "d1", 25.0)
    here.end()
    with store.read() as tx:
        assert processes(tx, clock.now()) == []


def test_a_process_that_vanished_is_forgotten_after_a_day(store: SqliteStore) -> None:
    clock = FixedClock(NOON)
    lost, here = (Presence(store, clock, name, "web", "d1") for name in ("gone", "here"))
    lost.begin()
    clock.move(dt.timedelta(days=1, seconds=1))
    here.begin()
    with store.read() as tx:
        assert [one["id"] for one in processes(tx, clock.now())] == ["here"]
    for presence in (lost, here):
        presence.end()


def test_all_processes_must_keep_attachments_in_one_folder(store: SqliteStore, tmp_path: Path) -> None:
    clock = FixedClock(NOON)
    Attachments(tmp_path / "shared", store, clock).agree()
    Attachments(tmp_path / "shared", store, clock).agree()
    with pytest.raises(ConfigError) as refused:
        Attachments(tmp_path / "own", store, clock).agree()
    assert refused.value.code == "config.attachments"


def test_a_folder_that_was_moved_with_its_name_is_still_the_one(store: SqliteStore, tmp_path: Path) -> None:
    clock = FixedClock(NOON)
    Attachments(tmp_path / "old", store, clock).agree()
    (tmp_path / "new").mkdir()
    (tmp_path / "old" / NAME).rename(tmp_path / "new" / NAME)
    Attachments(tmp_path / "new", store, clock).agree()


def test_an_engine_claims_for_as_long_as_the_settings_say_when_nobody_says_otherwise() -> None:
    assert Pace().lease == config.Engine().lease
