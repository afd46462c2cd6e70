"""The door in memory that tests of adapters knock at keeps the promises of the bus's own."""

from __future__ import annotations

import datetime as dt

import pytest

from bus.errors import Conflict
from bus.testing.door import MemoryDoor


def test_a_key_stands_for_one_message_of_one_type() -> None:
    door = MemoryDoor(dt.datetime(2026, 3, 2, tzinfo=dt.UTC))
    first = door.accept("prova.a", {"n": 1, "m": 2}, key="k")
    assert first.repeated is False
    again = door.accept("prova.a", {"m": 2, "n": 1}, key="k")
    assert (again.message_id, again.repeated) == (first.message_id, True)
    other = door.accept("prova.a", {"n": 1, "m": 2}, key="other")
    assert other.repeated is False
    assert other.message_id != first.message_id
    for type, body in (("prova.a", {"n": 2, "m": 2}), ("prova.b", {"n": 1, "m": 2})):
        with pytest.raises(Conflict, match="another body"):
            door.accept(type, body, key="k")
    assert [("k", {"n": 1, "m": 2}), ("other", {"n": 1, "m": 2})] == [(one.key, one.body) for one in door.accepted]
