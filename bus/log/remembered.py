"""What whole journals say that verifying has read, as long as they are as long as they were.

A run that was given thousands of messages stands in thousands of pages of the log, and some are asked about in each of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from bus.store import Tx, listed

Said = TypeVar("Said")
LONG = 200
"""Records of a journal that is not read again."""
MOST = 50
"""Runs of which something is kept."""


class Remembered(Generic[Said]):
    """By run what its journal says. Journals only grow: one that has as many records is the same."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[int, Said]] = {}

    def of(self, tx: Tx, runs: Iterable[str]) -> dict[str, Said]:
        """What is known of those of some runs whose journals have not grown."""
        known = {run: self._said[run] for run in runs if run in self._said}
        rows = tx.all("journals_counted", runs=listed(known)) if known else ()
        return {row["run"]: known[row["run"]][1] for row in rows if row["records"] == known[row["run"]][0]}

    def keep(self, run: str, records: int, said: Said) -> None:
        """What a journal of so many records says."""
        if records < LONG:
            return
        if len(self._said) >= MOST:
            del self._said[next(iter(self._said))]
        self._said[run] = records, said
