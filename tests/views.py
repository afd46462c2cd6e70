"""What a view of the store is asked, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bus.store import Row, Tx


class Counting:
    """A view that counts how often each query is ``asked``, and its ``rows``."""

    def __init__(self, tx: Tx) -> None:
        self._tx, self.asked, self.rows = tx, Counter[str](), Counter[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def one(self, query: str, **parameters: Any) -> Row | None:
        return next(iter(self.all(query, **parameters)), None)

    def all(self, query: str, **parameters: Any) -> Sequence[Row]:
        rows = self._tx.all(query, **parameters)
        self.asked[query] += 1
        self.rows[query] += len(rows)
        return rows
