"""The sequencer: gives committed records their place in the tree, and seals it with a signed checkpoint. One process at a time.

Writing is one transaction after another in either store (`bus.store.postgres`), so a record's number (``seq``) tells the order of
commits, and whoever sees a record sees all that have smaller numbers; what was taken back leaves a gap. A leaf's index is its record's
rank. Tiles and checkpoint are one transaction, which looks first whether the duty is still ours (by the lease's fence) and whether the
tree is as we knew it: a process that slept too long writes nothing, and no size ever gets a second root.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from bus.clock import Clock, running_time, text_of
from bus.diagnostics import logger
from bus.engine import search
from bus.engine.faltering import Faltering
from bus.engine.leases import Leases
from bus.engine.projection import Entry, write
from bus.errors import ConfigError, StoreError
from bus.log import keys, log
from bus.log.checkpoint import Checkpoint
from bus.log.note import Signer, Verifier
from bus.log.record import Record
from bus.log.stored import CUT_OFF, StoredTree, cut_off
from bus.log.tiles import Edge, Tile
from bus.log.tree import leaf_hash
from bus.store import Row, Store, Tx

DUTY = "sequencer"
LEASE = 10.0
"""Seconds after which another process takes over from one that is silent."""
EVERY = 0.5
"""Seconds between two checkpoints, while there is something to seal."""
PATIENCE = 0.1
"""Seconds that it waits at most until nobody writes, before it seals and before it makes what searches look at."""
MOST = 8192
"""Records in one transaction; when more wait, the next one follows at once."""


Head = tuple[int, bytes]
"""A tree's size, and its root."""


class _Known(NamedTuple):
    """The tree as we left it: its edge, the number of its last record, the fence under which we had it."""

    edge: Edge
    last: int
    fence: int


class Sequencer:
    """See the module. ``signers``: the log's key, and the one before while keys are being changed; ``lost``: public keys that are lost."""

    def __init__(
        self, store: Store, clock: Clock, leases: Leases, origin: str, signers: Sequence[Signer], ticks: Callable[[], float] = running_time,
        lost: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._store, self._clock, self._leases, self._origin, self._signers = store, clock, leases, origin, tuple(signers)
        self._ticks, self._lost, self._log = ticks, tuple(lost), logger("snodo.sequencer")
        self._faltering = Faltering(self._tell, ticks=ticks)
        self._known: _Known | None = None
        self._trusted: set[Verifier] = set()
        self._announced = 0
        self._fence: int | None = None
        self._traced = 0
        self._renew_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="snodo-sequencer", daemon=True)

    def start(self, *, alone: bool) -> None:
        """``alone``: no other process works on this store, so whoever had the duty is no more."""
        if alone:
            self._store.write(lambda tx: tx.do("void_lease", name=DUTY)).result()
        self._thread.start()

    def stop(self) -> None:
        """Seal what was committed before, then end; the lease is given back by whoever owns it."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
            self._turn_quietly()

    def fallen(self) -> bool:
        """Whether nobody turns it who should."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._stopping.is_set()

    def _go_on(self) -> None:
        while not self._stopping.is_set():
            if self._turn_quietly() < MOST:
                self._stopping.wait(EVERY)

    def _turn_quietly(self) -> int:
        """A turn in lulls of the store, so that no reply waits for it. One that failed is repeated later, from what the store says then."""
        try:
            self._store.lull(PATIENCE)
            sealed = self.turn()
            self._store.lull(PATIENCE)
            sealed = max(sealed, self.trace())
        except Exception as error:  # noqa: BLE001 - the sequencer outlives whatever one turn meets
            self._known = None
            self._let_others(error)
            self._stopping.wait(self._faltering.failed(error))
            return 0
        self._faltering.went_well()
        return sealed

    def _let_others(self, error: Exception) -> None:
        """A process that may not sign this log, by its own settings, must not keep from the duty those that may."""
        if isinstance(error, ConfigError) and self._fence is not None:
            self._fence = None
            with suppress(StoreError):  # then it runs out by itself
                self._leases.leave(DUTY)

    def _tell(self, error: Exception) -> None:
        if isinstance(error, StoreError | ConfigError):
            self._log.error("sequencer.failed", code=error.code, sentence=error.sentence, hint=error.hint)
        else:
            self._log.error("sequencer.failed", exc_info=error)

    def turn(self) -> int:
        """Seal what was committed since, at most `MOST` records; returns how many. 0 while another process has the duty."""
        if not self._on_duty():
            return 0
        with self._store.read() as tx:
            if self._known is not None and _end_of(tx) != _head(self._known.edge):
                self._known, self._traced = None, 0  # a standby that was behind was promoted: numbers are given out again
            known = self._known or self._begin(tx)
            rows = self._waiting(tx, known.last) if known else ()
        if known is None:
            return self.turn()
        if not rows:
            self._known = known
            return 0
        self._known = None  # should anything fail from here on, the tree is looked at again
        keys.refuse_strangers((row["content"] for row in rows), self._trusted)
        before = _head(known.edge)
        known.edge.extend([leaf_hash(row["content"]) for row in rows], [row["seq"] for row in rows])
        checkpoint = Checkpoint(self._origin, known.edge.size, known.edge.root())
        signed, changed, last = checkpoint.signed(self._signers).encode(), known.edge.changed(), rows[-1]["seq"]
        self._store.write(lambda tx: self._seal(tx, known.fence, before, checkpoint, signed, changed, last)).result()
        self._known = known._replace(last=last)
        return len(rows)

    def trace(self) -> int:
        """Make what searches look at, for some of the records that are sealed; `MOST` when there are others still."""
        if self._known is None or self._traced >= self._known.last:
            return 0
        self._traced = search.trace(self._store) or self._known.last
        return MOST if self._traced < self._known.last else 0

    def _on_duty(self) -> bool:
        if self._fence is None or self._ticks() >= self._renew_at:
            at = self._ticks()
            fence = self._leases.take(DUTY, LEASE)
            if fence != self._fence:
                self._known = None
            self._fence, self._renew_at = fence, at + LEASE / 2
        return self._fence is not None

    def _waiting(self, tx: Tx, last: int) -> list[Row]:
        """What is sealed next: where our keys are new, with the record that says so, since nobody knows them before."""
        rows = list(tx.all("records_after", after=last, most=MOST))
        while rows and rows[-1]["seq"] < self._announced:
            rows += tx.all("records_after", after=rows[-1]["seq"], most=MOST)
        return rows

    def _begin(self, tx: Tx) -> _Known | None:
        """Where the tree ends. The log is told of our keys, if it does not know them; None when it knew others: a new view has that too."""
        assert self._fence is not None
        history = keys.history(tx, "checkpoints")
        lost = keys.to_tell(history, self._signers, self._lost)
        if keys.follows(history, self._origin, self._signers, self._lost) or lost:
            record = keys.announcement("checkpoints", self._origin, self._signers, self._clock, lost)
            number = self._store.write(lambda tx: _told(tx, record)).result()
            if history:
                self._announced = number
                return None
        if missing := cut_off(tx.all("ends_of_log")[0]):
            raise StoreError(missing, code="store.tree", hint=CUT_OFF)
        stored = StoredTree(tx)
        newest = stored.checkpoint()
        self._trusted = {signer.verifier for signer in self._signers} | keys.sealed(tx, newest.last if newest else 0)
        if newest is None:
            return _Known(Edge(), 0, self._fence)
        edge = Edge.at(newest.size, stored.tile)
        if edge.root() != newest.root:
            raise StoreError(
                f"the stored tree of {newest.size} leaves does not have the root of its checkpoint", code="store.tree",
                hint="somebody changed the database: bus log verify names the place; nothing is sealed until it is as it was",
            )  # fmt: skip
        return _Known(edge, newest.last, self._fence)

    def _seal(self, tx: Tx, fence: int, before: Head, checkpoint: Checkpoint, signed: bytes, changed: Sequence[Tile], last: int) -> None:
        if tx.one("lease_held", name=DUTY, owner=self._leases.owner, fence=fence) is None:
            raise StoreError("another process numbers the log now", code="store.superseded")
        if _end_of(tx) != before:
            raise StoreError(f"the tree is not that of {before[0]} leaves any more", code="store.superseded")
        for tile in changed:
            tx.do("put_tile", **tile._asdict())
        tx.do(
            "add_checkpoint",
            size=checkpoint.size, root=checkpoint.root, last=last, time=text_of(self._clock.now()), fence=fence, note=signed,
        )  # fmt: skip


def _head(edge: Edge) -> Head:
    return edge.size, edge.root()


def _end_of(tx: Tx) -> Head:
    """Where the tree ends that is stored."""
    newest = StoredTree(tx).checkpoint()
    return (newest.size, newest.root) if newest else _head(Edge())


def _told(tx: Tx, record: Record) -> int:
    write(tx, Entry(record))
    return log.number_of(tx, record)
