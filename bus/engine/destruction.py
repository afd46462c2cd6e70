"""Destruction: what erasure and retention decide is carried out. The log is told first; then the files go, and the keys.

::

    look which files ─ one transaction: records, rows ─ files removed ─ keys forgotten
                                                      └ cut off here: `again`, at the next act, turn or start

Files go before their keys: a key that is still there is how `again` knows that something is left.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from bus.clock import Clock, SharedClock
from bus.config import Retention
from bus.diagnostics import logger
from bus.engine import erasure, retention
from bus.engine.attachments import Attachments
from bus.engine.faltering import repeat
from bus.engine.leases import Leases
from bus.errors import InputError, StoreError
from bus.log import log
from bus.log.keyring import Keyring
from bus.log.tables import GONE
from bus.message import JsonObject, JsonValue
from bus.store import Store, Tx

EXPIRE = 600.0
"""Seconds between two looks for requests of an erasure that nobody confirmed in time, and for what was told and not destroyed."""
DOUBTFUL = dt.timedelta(hours=1)
"""By how much two clocks may differ."""


class Destruction:
    """See the module. Thread-safe; what an act says is destroyed is so, on the disk, when it returns. Acts raise `StoreError` too.

    ``minima``: how long the law wants exchanges kept, by adapter, whatever the ``settings`` say.
    """

    def __init__(
        self, settings: Retention, minima: Mapping[str, str], store: Store, clock: Clock, keys: Keyring, attachments: Attachments
    ) -> None:  # fmt: skip
        self._settings, self._minima, self._store, self._clock = settings, minima, store, clock
        self._keys, self._attachments = keys, attachments
        self._questions = retention.Questions()
        self._log = logger("snodo.destruction")
        self._cut_off = False
        self._stopped = threading.Event()

    # -- by a person's word ------------------------------------------------------------------------------------------

    def ask(self, subject: str, reason: str, actor: str) -> JsonObject:
        """See `bus.engine.erasure.ask`; requests that nobody confirmed in time are given up."""
        self.expire()
        return self._store.write(lambda tx: erasure.ask(tx, subject, reason, actor, self._clock)).result()

    def waiting(self) -> list[JsonObject]:
        """See `bus.engine.erasure.waiting`."""
        with self._store.read() as tx:
            return erasure.waiting(tx, self._clock.now())

    def confirm(self, request: str, actor: str) -> JsonObject:
        """See `bus.engine.erasure.confirm`."""
        with self._store.read() as tx:
            found = erasure.holdings(tx, erasure.asked(tx, request, self._clock.now())[1]["subject"])
            read = erasure.read_before(tx, found)
        files = self._file_keys([*found.files, *found.shared])
        return self._carry_out(lambda tx: erasure.confirm(tx, request, actor, self._clock, files, read))

    def expire(self) -> None:
        """Give up requests that nobody confirmed in time: their text names the person. Not by a clock that may be ahead."""
        if self._ahead() is not None:
            return
        with self._or_again():
            self._keys.forget(self._store.write(lambda tx: erasure.expire(tx, self._clock)).result())

    # -- by age ------------------------------------------------------------------------------------------------------

    def look(self, kind: retention.Kind, after: str = "") -> JsonObject:
        """A page of what is old enough to go, counted by month, and of what is held back and why; changes nothing."""
        held = self._terms()
        with self._store.read() as tx:
            found, on = retention.page(tx, held, kind, after, {})
        self._forget_after(on)
        months = list[JsonValue](retention.months(found))
        return {"kind": kind, "before": held.cuts.get(kind), "months": months, "after": on, "record": None}

    def dispose(self, kind: retention.Kind, actor: str, reason: str, after: str = "") -> JsonObject:
        """Destroy a page of what is old enough. Begun again it goes on with what is left. Raises `Invalid` without a reason."""
        held = self._terms()
        with self._store.read() as tx:
            found, _ = retention.page(tx, held, kind, after, {})
        files = self._file_keys(one.file for one in found if one.file)
        shown = self._carry_out(lambda tx: retention.dispose(tx, held, kind, after, files, actor, reason, self._clock))
        self._forget_after(shown["after"])
        return {**shown, "before": held.cuts.get(kind)}

    def _forget_after(self, page: object) -> None:
        """What systems asked for is kept for the next page only: two years of it may be a million keys."""
        if page is None:
            self._questions = retention.Questions()

    def _terms(self) -> retention.Terms:
        """Raises `StoreError` where the clock by which something is old enough is ahead of the machine's own: what is destroyed too early
        is so for ever.
        """
        if (ahead := self._ahead()) is not None:
            said = f"the database's clock is {ahead} ahead of this machine's: what is old enough cannot be told"
            raise StoreError(
                said, code="retention.clock", hint="set the wrong one by chrony or systemd-timesyncd; bus doctor tells of both"
            )
        return retention.terms(self._settings, self._minima, self._clock.now(), self._questions)

    def _ahead(self) -> dt.timedelta | None:
        """How far the clock is ahead of the machine's own, where that is much."""
        ahead = self._clock.ahead() if isinstance(self._clock, SharedClock) else dt.timedelta()
        return ahead if ahead > DOUBTFUL else None

    # -- whenever the process works ----------------------------------------------------------------------------------

    def again(self) -> None:
        """Destroy what the log says is destroyed, and the key store still has: after a crash, or when it was restored from a backup."""
        self.expire()
        with self._or_again():
            with self._store.read() as tx:
                left = [key for page in log.erased_keys(tx) for key in self._keys.left(page)]
                files = [*self._files_told(tx)] if left else []
            if left:
                self._destroy(left, files)
                self._log.warning("keys.destroyed-again", keys=len(left), sentence="the log says that they are erased")

    def start(self, leases: Leases) -> None:
        """Give up requests on the day they expire, in a thread of its own; of several processes one does, and finishes what another one
        that is no more has begun. Each finishes what it began itself.
        """

        def turn() -> None:
            self._finish()
            if leases.take("erasures", 2 * EXPIRE) is not None:
                self.again()

        repeat("snodo-erasures", EXPIRE, self._stopped, turn, lambda error: self._log.warning("erasures.not-expired", error=repr(error)))

    def stop(self) -> None:
        """Begin nothing more by itself."""
        self._stopped.set()

    # -- what both need ----------------------------------------------------------------------------------------------

    def _file_keys(self, files: Iterable[str]) -> dict[str, int | None]:
        """The keys of files by token: as the disk has them, else as the log tells them."""
        keys = {file: self._attachments.key_of(file) for file in files}
        if lost := {file for file, key in keys.items() if key is None}:
            with self._store.read() as tx:
                keys.update(erasure.keys_told(tx, lost))
        return keys

    def _files_told(self, tx: Tx) -> Iterator[str]:
        """Files that are there, and that the log says are destroyed; they may have come again."""
        for record in log.every_of_kinds(tx, GONE):
            yield from (file for file in record.data.get("files", ()) if self._attachments.place(file).exists())

    def _destroy(self, keys: Sequence[int], files: Sequence[str]) -> None:
        """Files, then keys; these go whatever becomes of the files."""
        try:
            self._attachments.drop(files, keys)
        finally:
            self._keys.forget(keys)

    def _carry_out(self, decide: Callable[[Tx], erasure.Doomed]) -> JsonObject:
        """Tell the log, then destroy what it was told is destroyed; returns what to show of it."""
        self._finish()
        with self._or_again():
            doomed = self._store.write(decide).result()
            self._destroy(doomed.keys, doomed.files)
        return doomed.shown

    @contextmanager
    def _or_again(self) -> Iterator[None]:
        """What fails in here may have told the log, and destroyed not all of it: no act comes upon that a second time."""
        try:
            yield
        except InputError:
            raise
        except BaseException:
            self._cut_off = True
            raise

    def _finish(self) -> None:
        if self._cut_off:
            self._cut_off = False
            self.again()
