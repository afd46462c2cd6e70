"""The sweeper walks past long lines of single cases, as soon as it has learnt them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.clock import FixedClock
from bus.engine import sweeper
from bus.engine.claims import LONG, Lines, due
from bus.engine.holding import Holding
from bus.log.keyring import Keyring
from bus.store.sqlite import SqliteStore
from bus.testing.store_contract import LATER, add_runs, claim, settle


def test_of_a_long_line_behind_a_dead_letter_only_the_first_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Lines] = []
    monkeypatch.setattr(sweeper, "due", lambda tx, now, most, lines, **how: (asked.append(lines), due(tx, now, most, lines, **how))[1])
    store = SqliteStore(tmp_path / "s.db")
    store.keys = Keyring.in_memory()
    add_runs(store, ("morta", "lunga"), *((f"dietro-{n:03}", "lunga") for n in range(LONG)), "sola")
    settle(store, claim(store, "morta")[0], state="dead")
    looks = sweeper.Sweeper(store, Holding(store, FixedClock(LATER), 30), 1.0, 200, 0.0, LATER)
    rows, _ = looks.look(LATER, 1000, quiet=True, free=False)
    assert [row["id"] for row in rows] == ["sola"]
    assert asked == [Lines(("lunga",), ("dietro-000",))]
    store.close()
