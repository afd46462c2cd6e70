"""A head start: what a new run does first, decided in the transaction that opens it.

Where door and engine are one process and the engine has nothing to do, the thread that writes follows a run that was just opened as far as
it goes, in the engine's place, and settles it there: accepting, claiming and the intent of the first call are one commit, not two. The
engine makes the calls once that commit is durable. Where it is busy, or the message is large, nothing of this happens, and its next turn
does it all.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from bus.engine.gates import Gates
from bus.engine.holding import Known
from bus.engine.live import Live
from bus.engine.loading import Loading
from bus.engine.settle import Settled, Settling
from bus.store import Row, Tx

FEW = 8
"""Runs of one transaction that have a head start: with more there is enough to do for both threads, and senders wait for this one."""


class HeadStart:
    """Runs that were begun before their transaction was committed. ``turning`` is held by whoever moves runs along."""

    def __init__(self, loading: Loading, settling: Settling, gates: Gates, ticks: Callable[[], float]) -> None:
        self._loading, self._settling, self._gates, self._ticks = loading, settling, gates, ticks
        self.turning = threading.Lock()
        self._begun: dict[str, tuple[Live, Settled]] = {}
        self._vain: deque[Live] = deque()

    @property
    def pending(self) -> bool:
        """Whether a run was begun here, and the engine has not heard yet how its transaction ended."""
        return bool(self._begun)

    def give(self, tx: Tx, rows: Sequence[Row], known: Known, now: dt.datetime) -> None:
        """Begin the runs that ``tx`` has opened and claimed, if the engine is not at work; by the thread that writes."""
        if not 0 < len(rows) <= FEW or not self.turning.acquire(blocking=False):
            return
        lives: list[Live] = []
        try:
            for live, _ in self._loading.opened(tx, rows, known):
                lives.append(live)
                live.began = self._ticks()
                live.attempt(partial(live.begin, (), now))
            settled = self._settling.settle(tx, lives, now, {live.id for live in lives})
            self._begun.update({live.id: (live, done) for live, done in zip(lives, settled, strict=True)})
        except BaseException:
            self._vain.extend(lives)
            raise
        finally:
            self.turning.release()

    def void(self, runs: Iterable[str]) -> None:
        """The transaction of these runs was not written, or is written anew: what was begun counts for nothing. Thread-safe."""
        self._vain.extend(begun[0] for run in runs if (begun := self._begun.pop(run, None)) is not None)

    def take(self, rows: Sequence[Row], live: Collection[str]) -> tuple[list[tuple[Live, Settled]], list[Row]]:
        """Part the claimed runs into those that were begun, with what was settled, and the others. For the engine's thread.

        What was begun in vain leaves its places at the gates, unless the same claim is had by a later try.
        """
        while self._vain:
            void = self._vain.popleft()
            if void.id not in self._begun and void.id not in live:
                self._gates.keep(void.claim, ())
        begun, others = [], []
        for row in rows:
            one = self._begun.pop(row["id"], None)
            if one is not None and one[0].fence == row["fence"]:
                begun.append(one)
                continue
            if one is not None:  # its claim ran out before we heard that it was ours
                self._gates.keep(one[0].claim, ())
            others.append(row)
        return begun, others
