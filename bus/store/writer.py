"""The group-commit writer: many pieces of work, one transaction, one fsync.

One thread takes all the work that waits (up to `MOST`), runs it in one transaction and commits; only then do the futures resolve.
Whoever waits for its work anyway may do it itself on the same connection, while nothing else is to be done: two hand-overs less. When a
piece fails, the batch is rolled back and run piece by piece, so that a neighbour's fault touches nobody else. No lingering: a batch is
what came while the last one was written. A batch that was interrupted (`Interrupted`: the database went away) is run again, until it has
been away for longer than `PATIENCE`.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from bus.errors import Changed, Interrupted, StoreError, Unknown
from bus.failpoint import reach
from bus.store import Tx

MOST = 200
"""Pieces of work in one transaction; the knee of the curve is near 100."""

PATIENCE = 30.0
"""Seconds that a database may be away before those who wait for a commit are told; then they are told at once, until it is back."""
PAUSE = 0.1
"""Seconds between two tries."""
AGAIN, TRY = 1.0, 3.0
"""After a failure: seconds between two tries whether the database works again, and how long whoever looks waits for a try."""

FALLEN = "store.fallen"
LULL = 0.002
"""Seconds without a transaction after which nobody seems to need one: between two of the same message less passes."""

Work = tuple[Callable[[Tx], Any], "Future[Any]"]


class Failures:
    """What a connection keeps of its failures: the last one, and whether one was for altered tables.

    Another that comes behind that, such as a full disk, says nothing of the tables: they are looked at before all is well again.
    """

    altered = False
    _failing: StoreError | None = None

    @property
    def failing(self) -> StoreError | None:
        """See `Connection.failing`."""
        return self._failing

    @failing.setter
    def failing(self, error: StoreError | None) -> None:
        self.altered = error is not None and (self.altered or isinstance(error, Changed))
        self._failing = error


class Connection(Tx, Protocol):
    """A transaction that can be begun and ended; what a database gives to its writer."""

    @property
    def failing(self) -> StoreError | None:
        """The last failure after which the database may do nothing well that it is asked, until `prove` does well."""

    @failing.setter
    def failing(self, error: StoreError | None) -> None: ...

    def prove(self) -> None:
        """A piece of work: write as much as most messages take, and leave nothing of it; raises `StoreError`."""
        ...

    def begin(self) -> None: ...

    def commit(self) -> None:
        """Returns when the transaction is durable. Any error but `Unknown` means that it is not, and never will be."""
        ...

    def rollback(self) -> None: ...

    def weary(self) -> float | None:
        """After how many seconds without work the writer is to call `rest`; None while there is no need."""
        ...

    def rest(self) -> None:
        """Do now what a later commit would have to do. Raises nothing."""
        ...

    def close(self) -> None: ...


class Writer:
    """Runs work on a connection that its own thread opens and closes."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._commits = 0
        """Transactions so far; counted by whoever has the turn."""
        self._pending = 0
        """Pieces that were submitted and have not ended."""
        self._turn = threading.Lock()
        """Held by whoever uses the connection."""
        self._began: float | None = None
        """When the present batch did, however often it is tried."""
        self._ended = 0.0
        """When the last transaction did."""
        self._tried = -AGAIN
        """When it was last tried whether what failed does well again."""
        self._closed = False
        self._fallen: StoreError | None = None
        self._closing = threading.Event()
        self._away_since: float | None = None
        self._lock = threading.Lock()
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, name="snodo-writer", daemon=True)
        self._thread.start()
        self._ready.result()

    def submit(self, work: Callable[[Tx], Any], *, here: bool = False) -> Future[Any]:
        """Queue a piece of work, or do it ``here``; see `bus.store.Store.write`."""
        future: Future[Any] = Future()
        with self._lock:
            if self._fallen is not None:
                raise self._fallen.with_traceback(None)
            if self._closed:
                raise StoreError("the store is closed", code="store.closed")
            if not (here and not self._pending and self._turn.acquire(blocking=False)):
                self._pending += 1
                self._queue.put((work, future))
                return future
        try:
            self._run([(work, future)])
        finally:
            self._turn.release()
        return future

    def describe(self) -> Mapping[str, Any]:
        """Transactions so far, and the seconds that the present batch has taken by now; 0 while there is none."""
        began = self._began
        return {"commits": self._commits, "writing_for": 0.0 if began is None else round(time.monotonic() - began, 1)}

    def failing(self) -> StoreError | None:
        """See `bus.store.Store.failing`."""
        if self._fallen is not None:
            return self._fallen
        told = self._connection.failing
        if told is not None and self._is_to_try():
            proof = self.submit(lambda tx: self._connection.prove())
            try:
                proof.result(TRY)
            except TimeoutError:
                proof.cancel()
            except StoreError:
                pass
            else:
                if self._connection.failing is told:
                    self._connection.failing = None
        return self._connection.failing

    def _is_to_try(self) -> bool:
        with self._lock:
            now = time.monotonic()
            if now < self._tried + AGAIN:
                return False
            self._tried = now
            return True

    def lull(self, most: float) -> None:
        """See `bus.store.Store.lull`."""
        until = time.monotonic() + most
        while (now := time.monotonic()) < until and (self._pending or self._turn.locked() or now - self._ended < LULL):
            if self._closing.wait(LULL / 2):
                return

    def close(self) -> None:
        """Write what was taken, then stop. May be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._closing.set()
            self._queue.put(None)
        self._thread.join()

    def _live(self) -> None:
        try:
            self._connection = self._connect()
        except BaseException as error:  # noqa: BLE001 - told to whoever opened the store
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        try:
            while batch := self._take():
                with self._turn:
                    self._run(batch)
                self._end(len(batch))
        except BaseException as error:
            self._fall(error)
            raise
        with self._turn:
            self._connection.close()

    def _fall(self, error: BaseException) -> None:
        """Nobody writes any more, as where there was no memory to go on: whoever waits is told, and whoever comes."""
        with self._lock:
            self._fallen = StoreError(
                f"the thread that writes has ended: {type(error).__name__}", code=FALLEN, hint="the process must be started again"
            )
        while not self._queue.empty():
            piece = self._queue.get()
            if piece is not None and piece[1].set_running_or_notify_cancel():
                piece[1].set_exception(self._fallen)

    def _end(self, pieces: int) -> None:
        with self._lock:
            self._pending -= pieces

    def _next(self) -> Work | None:
        """The next piece. When none comes for a while, the connection rests."""
        while (lull := self._connection.weary()) is not None:
            try:
                return self._queue.get(timeout=lull)
            except queue.Empty:
                with self._turn:
                    if self._queue.empty() and time.monotonic() - self._ended >= lull:
                        self._connection.rest()
        return self._queue.get()

    def _take(self) -> list[Work]:
        """What waits; empty when closing. A future that was cancelled before its work began is passed over, later it cannot be."""
        piece = self._next()
        batch: list[Work] = []
        while piece is not None:
            if piece[1].set_running_or_notify_cancel():
                batch.append(piece)
            else:
                self._end(1)
            if len(batch) == MOST:
                return batch
            try:
                piece = self._queue.get(block=not batch)
            except queue.Empty:
                return batch
        if batch:
            self._queue.put(None)
        return batch

    def _run(self, batch: list[Work]) -> None:
        self._began = time.monotonic()
        try:
            self._do(batch)
        finally:
            self._began = None

    def _do(self, batch: list[Work]) -> None:
        try:
            results = self._insist([work for work, _ in batch])
        except BaseException as error:  # noqa: BLE001 - told to whoever asked for the work
            # An interruption is nobody's fault: run alone, each would wait as long. What nobody knows of would perhaps be done twice.
            if len(batch) > 1 and not isinstance(error, Interrupted | Unknown):
                for piece in batch:
                    self._do([piece])
                return
            for _, future in batch:
                future.set_exception(error)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                future.set_result(result)

    def _insist(self, works: list[Callable[[Tx], Any]]) -> list[Any]:
        """Run a batch, again when it was interrupted; raises `Interrupted` when the database is away for too long."""
        while True:
            try:
                results = self._attempt(works)
            except Interrupted as error:
                self._away_since = self._away_since or time.monotonic()
                if self._closing.is_set() or time.monotonic() - self._away_since > PATIENCE:
                    self._connection.failing = error
                    raise
                self._closing.wait(PAUSE)
            else:
                self._away_since = None
                return results

    def _attempt(self, works: list[Callable[[Tx], Any]]) -> list[Any]:
        connection = self._connection
        connection.begin()
        try:
            results = [work(connection) for work in works]
            reach("commit.before")
            connection.commit()
            reach("commit.after")
            self._commits += 1
            self._ended = time.monotonic()
        except BaseException:
            with contextlib.suppress(Exception):
                connection.rollback()
            raise
        return results
