"""What `/metrics` asks of a store that holds much."""

from __future__ import annotations

from typing import Any

import pytest

from bus.figures import PATIENCE, _Waits


class SlowStore:
    """Counts in so many seconds, of a clock that only this moves."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.now, self.asked = seconds, 100.0, 0

    def all(self, query: str) -> list[dict[str, Any]]:
        assert query == "count_waits"
        self.now += self.seconds
        self.asked += 1
        return [{"waiting": self.asked}]


@pytest.mark.parametrize(("seconds", "counted"), [(0.001, [1, 2, 3]), (0.5, [1, 1, 2])])
def test_waits_are_counted_again_when_the_last_count_is_old_for_what_it_took(
    monkeypatch: pytest.MonkeyPatch, seconds: float, counted: list[int]
) -> None:
    store, waits = SlowStore(seconds), _Waits()
    monkeypatch.setattr("bus.figures.time.monotonic", lambda: store.now)
    found = []
    for pause in (0, PATIENCE * 0.5 - 1, 2):
        store.now += pause
        found.append(waits.of(store))  # type: ignore[arg-type]
    assert found == counted
