"""Waiting in a test for what comes by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(found: Callable[[], T | None], what: str = "", within: float = 100.0, every: float = 0.02) -> T:
    """The first value that is not None (nor false); fails, saying ``what``, when none comes in time."""
    end = time.monotonic() + within
    while not (value := found()):
        assert time.monotonic() < end, f"after {within:g} s still not so: {what}"
        time.sleep(every)
    return value
