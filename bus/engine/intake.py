"""Intake: the one way in. Every door ends here, in `Intake.send` or `Intake.hand_in`.

A message is checked and made ready (`bus.engine.arrival`), and then one transaction decides: seen before (same answer), same key with
other content (refused), or new: the record ``received``, its runs, and the matches with whoever waits for it.
Whoever sent it is told when that is on the disk. Only then may a door say 202.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol, TypeAlias

from bus.catalog import Catalog
from bus.clock import Clock, text_of
from bus.diagnostics import logger
from bus.engine.arrival import Arrival, Submission, arrival_of, names_of_refused
from bus.engine.backlog import Backlog
from bus.engine.holding import Claims, Known
from bus.engine.matching import match_arrival, match_joined
from bus.engine.projection import fact, write_new, write_received
from bus.errors import Conflict, Damaged, Forbidden, InputError, Invalid, StoreError, Unknown
from bus.failpoint import reach
from bus.log import log
from bus.log import receipt as receipts
from bus.log.receipt import Promises
from bus.log.record import WEAK
from bus.message import new_id
from bus.metrics import count
from bus.store import Store, Tx, listed

Ring = Callable[[Sequence[str]], None]
"""Rings the doorbell for run ids; see `bus.channel`."""


class Host(Protocol):
    """The engine of this process: it claims runs in the transaction that opens them, so that accepting and claiming are one commit."""

    def welcome(self, tx: Tx, runs: Sequence[str], known: Known) -> Claims | None:
        """What it claimed, and perhaps began; None when it takes none now. ``known``: their messages."""
        ...

    def welcomed(self, claims: Claims) -> None:
        """What `welcome` claimed was committed."""
        ...

    def unwelcome(self, runs: Sequence[str]) -> None:
        """The transaction that opens these runs was not committed, as far as anybody knows, or is about to be run anew."""
        ...


class Accepted(NamedTuple):
    """The message is durable. ``repeated``: it had been accepted before; ``runs`` are those opened or woken now; ``receipt``: see
    `bus.log.receipt`.
    """

    id: str
    type: str
    time: str
    repeated: bool
    runs: tuple[str, ...] = ()
    receipt: str = ""


Tell = Callable[[Accepted | BaseException], None]
"""Tells whoever sent a message, once, what became of it: accepted, or the error that `Intake.send`'s future would raise."""


class _Coming(NamedTuple):
    """An arrival and how whoever waits is told of it."""

    arrival: Arrival
    tell: Tell


_Taken: TypeAlias = "tuple[list[Accepted | Exception], Claims | None]"
"""What became of each message of a batch, and what the engine of this process claimed of the runs that they opened."""
MOST = 200
"""Messages written in one piece of work."""


class Intake:
    """Takes messages in. Thread-safe. Messages that come while others are written are written together."""

    def __init__(
        self, store: Store, catalog: Callable[[], Catalog], clock: Clock, ring: Ring,
        backlog: Backlog | None = None, host: Host | None = None, promises: Promises | None = None,
    ) -> None:  # fmt: skip
        self._promises = promises
        self._store, self._catalog, self._clock, self._ring, self._backlog, self._host = store, catalog, clock, ring, backlog, host
        self._lock = threading.Lock()
        self._waiting: deque[_Coming] = deque()
        self._busy = False

    def send(self, submission: Submission) -> Future[Accepted]:
        """Check now, store soon; the future gives `Accepted` or raises `Conflict`.

        Raises `InputError`, and `Busy` while too much waits. What has a key and is refused may have been accepted before: then the future
        gives that, or raises what refuses it.
        """
        outcome: Future[Accepted] = Future()
        outcome.set_running_or_notify_cancel()  # what was handed in can no longer be called back
        self.hand_in(submission, lambda end: outcome.set_result(end) if isinstance(end, Accepted) else outcome.set_exception(end))
        return outcome

    def hand_in(self, submission: Submission, tell: Tell) -> str:
        """`send` for whoever has a way of waiting of their own: ``tell`` is called once, by any thread, and MUST NOT block.

        Returns the id that the message has, unless it proves to be repeated.
        """
        if self._backlog is not None:
            self._backlog.check()
        try:
            coming = _Coming(self.prepare(submission), tell)
        except (Forbidden, Invalid) as refused:
            return self._recall(submission, refused, tell)
        with self._lock:
            self._waiting.append(coming)
            busy, self._busy = self._busy, True
        if not busy:
            self._write()
        return coming.arrival.message.id

    def _recall(self, submission: Submission, refused: Forbidden | Invalid, tell: Tell) -> str:
        """Tell what was accepted under a key of this submission, with the same content, before the types and routes that refuse it now.

        Where there is none, ``refused`` is told; where it has no key, it is raised, without asking a database that may be away.
        """
        names, content = names_of_refused(self._catalog(), submission, self._clock, self._store.keys)
        if not names:
            raise refused

        def work(tx: Tx) -> Accepted | InputError:
            for scope, key in names:
                seen = tx.one("intake_key", scope=scope, key=key)
                if seen is not None and seen["content"] == content:
                    return _repeated(tx, seen["message"])
            return refused

        self._store.write(work).add_done_callback(lambda found: _tell(tell, found.exception() or found.result()))
        return new_id()

    def prepare(self, submission: Submission) -> Arrival:
        """Everything that needs no database; see `bus.engine.arrival`."""
        return arrival_of(self._catalog(), submission, new_id(), self._clock, self._store.keys)

    def _write(self) -> None:
        """Ask the store for its turn, when somebody waits. Whoever comes until the turn begins is written in it; nothing lingers."""
        with self._lock:
            self._busy = bool(self._waiting)
        if not self._busy:
            return
        batch: list[_Coming] = []

        def work(tx: Tx) -> _Taken:
            if batch:  # the work is run again
                self._unwelcome(batch)
            else:
                batch.extend(self._take())
            results = receive_all(tx, [coming.arrival for coming in batch], self._promises)
            claims = self._welcome(tx, batch, results)
            reach("intake.before-commit")
            return results, claims

        try:
            self._store.write(work).add_done_callback(lambda written: self._written(batch, written))
        except StoreError as error:
            lost = self._take()
            self._give(lost, [error] * len(lost))
            self._write()

    def _welcome(self, tx: Tx, batch: Sequence[_Coming], results: Sequence[Accepted | Exception]) -> Claims | None:
        opened = [run for result in results if isinstance(result, Accepted) for run in result.runs]
        if self._host is None or not opened:
            return None
        return self._host.welcome(tx, opened, {coming.arrival.message.id: coming.arrival.opened for coming in batch})

    def _unwelcome(self, batch: Sequence[_Coming]) -> None:
        if self._host is not None:
            self._host.unwelcome([run for coming in batch for run in coming.arrival.runs])

    def _take(self) -> list[_Coming]:
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST))]

    def _written(self, batch: list[_Coming], written: Future[_Taken]) -> None:
        """Called by the writer after the commit, or when the batch failed: then each is written alone, unless the batch may be durable."""
        try:
            error = written.exception()
            if error is None:
                reach("intake.after-commit")
                self._give(batch, *written.result())
                return
            self._unwelcome(batch)
            if isinstance(error, Unknown):
                self._give(batch, [error] * len(batch))
            else:
                for coming in batch or self._take():  # the store may have failed before it began
                    self._write_alone(coming)
        finally:  # whatever a bell or a sender's callback does, the next batch is written
            self._write()

    def _write_alone(self, coming: _Coming) -> None:
        try:
            alone = self._store.write(lambda tx: receive_all(tx, [coming.arrival], self._promises)[0])
        except StoreError as error:
            self._give([coming], [error])
            return
        alone.add_done_callback(lambda w: self._give([coming], [w.exception() or w.result()]))

    def _give(self, batch: Sequence[_Coming], results: Sequence[Accepted | BaseException], claims: Claims | None = None) -> None:
        """Ring first, so that work begins while senders are answered; for what was claimed already there is no need."""
        runs = dict.fromkeys(run for result in results if isinstance(result, Accepted) for run in result.runs)
        try:
            if claims is not None and self._host is not None:
                for row in claims.rows:
                    del runs[row["id"]]
                self._host.welcomed(claims)
            if runs:
                self._ring(list(runs))
        finally:  # what is durable is told to its sender, bell or no bell
            for coming, result in zip(batch, results, strict=True):
                _tell(coming.tell, result)


def _tell(tell: Tell, result: Accepted | BaseException) -> None:
    try:
        tell(result)
    except Exception:  # noqa: BLE001 - a sender that cannot be told (its loop is closed) must not keep the others waiting
        logger("snodo.intake").exception("intake.not-told")
    if isinstance(result, Accepted):
        count("snodo_messages_repeated" if result.repeated else "snodo_messages_accepted", result.type)


def receive_all(tx: Tx, arrivals: Sequence[Arrival], promises: Promises | None = None) -> list[Accepted | Exception]:
    """Take in many messages in one transaction, and promise receipts for the new ones where ``promises`` are given."""
    if promises is None:
        return _receive_all(tx, arrivals)
    identity = new_id()
    arrivals = [arrival.promised(identity) for arrival in arrivals]
    results = _receive_all(tx, arrivals)
    new = {result.id for result in results if isinstance(result, Accepted) and not result.repeated}
    written = {arrival.message.id: arrival.entry for arrival in arrivals if arrival.message.id in new}
    made = promises.make(tx, identity, [(entry.record, entry.line) for entry in written.values()]) if written else ()
    receipt = dict(zip(written, made, strict=True))  # also for what repeats a message of this very transaction
    for at, result in enumerate(results):
        if isinstance(result, Accepted) and result.id in new:
            results[at] = result._replace(receipt=receipt[result.id])
    return results


def _receive_all(tx: Tx, arrivals: Sequence[Arrival]) -> list[Accepted | Exception]:
    """One after the other. Nearly all concern nothing that there is yet: for those nothing is read beyond what `_Seen` has read for all."""
    seen = _Seen(tx, arrivals)
    results: list[Accepted | Exception] = []
    for arrival in arrivals:
        repeats, meets = seen.has_name_of(arrival), seen.meets(arrival)
        seen.add(arrival)
        if not repeats and not meets:
            write_new(tx, arrival.entry, arrival.names)
            results.append(_accepted(arrival, ()))
            continue
        try:
            results.append(receive(tx, arrival) if repeats else _take_in(tx, arrival))
        except InputError as refused:
            results.append(refused)
    return results


class _Seen:
    """What a batch of arrivals might meet: known keys, cases, open waits. Read once for the whole batch."""

    def __init__(self, tx: Tx, arrivals: Sequence[Arrival]) -> None:
        intake = [list(name) for arrival in arrivals for name in arrival.names.intake]
        case = [list(key) for arrival in arrivals for key in _matters(arrival)]
        waits = [[arrival.message.type, *key] for arrival in arrivals for key in arrival.names.case.items()]
        rows = tx.all("known_among", intake=listed(intake), case=listed(case), waits=listed(waits)) if intake or waits else ()
        self._intake = {(row["first"], row["second"]) for row in rows if row["what"] == "intake"}
        self._case = {(row["first"], row["second"]) for row in rows if row["what"] == "case"}
        self._waits = {(row["first"], row["second"], row["third"]) for row in rows if row["what"] == "wait"}

    def has_name_of(self, arrival: Arrival) -> bool:
        """Whether a message was accepted under one of its names."""
        return not self._intake.isdisjoint(arrival.names.intake)

    def meets(self, arrival: Arrival) -> bool:
        """Whether it concerns a case, a wait or a fact that exists. Otherwise it begins a case of its own: nothing is read for it."""
        if arrival.expect or not self._case.isdisjoint(_matters(arrival)):
            return True
        return any((arrival.message.type, *key) in self._waits for key in arrival.names.case.items())

    def add(self, arrival: Arrival) -> None:
        """Later arrivals of the batch may meet this one, too."""
        self._intake.update(arrival.names.intake)
        self._case.update(_matters(arrival))


def _matters(arrival: Arrival) -> list[tuple[str, str]]:
    """The keys by which it joins a case: those that name persons never do."""
    return [key for key in arrival.names.case.items() if key[0] not in WEAK]


def _accepted(arrival: Arrival, woken: Sequence[str]) -> Accepted:
    message = arrival.message
    return Accepted(message.id, message.type, text_of(message.time), False, (*arrival.runs, *woken))


def receive(tx: Tx, arrival: Arrival) -> Accepted:
    """One transaction: repeated, refused or new. Raises `Conflict`."""
    for scope, key in arrival.names.intake:
        seen = tx.one("intake_key", scope=scope, key=key)
        if seen is not None:
            if seen["content"] != arrival.names.content:
                raise _reused(scope, seen["message"])
            return _repeated(tx, seen["message"])
    return _take_in(tx, arrival)


def _take_in(tx: Tx, arrival: Arrival) -> Accepted:
    """What repeats no other message. Raises `Conflict` for a fact that has changed meanwhile."""
    message = arrival.message
    _check_facts(tx, arrival)
    case_id = write_received(tx, arrival.entry, arrival.names)
    joins = len(arrival.names.case) > 1 or arrival.sent
    woken = match_joined(tx, case_id, message.time, message.id) if joins else []  # first what came before it
    return _accepted(arrival, [*woken, *match_arrival(tx, message, case_id, arrival.names.case)])


def accepted_as(tx: Tx, name: tuple[str, str]) -> str | None:
    """The message that was accepted under one of the names (scope, key) of another, if there is one."""
    seen = tx.one("intake_key", scope=name[0], key=name[1])
    return None if seen is None else str(seen["message"])


def _reused(scope: str, identity: str) -> Conflict:
    """The refusal of a message that is known under a key of that scope (`bus.engine.arrival`) with other content."""
    whose, name, *_ = scope.split(" ")
    if whose == "key":
        said, hint = "this key was used before for a message with other content", "use a new key for a new message; the first one stands"
    else:
        said = f"the {whose} {name} knows a message by a key in its body, and one with this key and other content came before"
        hint = "in the body of a new message that key (the number of an application) is a new one; the first one stands"
    return Conflict(said, hint=hint, message_id=identity)


def _repeated(tx: Tx, identity: str) -> Accepted:
    row = tx.one("message", id=identity)
    if row is None:
        raise log.taken_out(f"the message {identity} was accepted", "messages")
    tx.do("wait_for_standbys")  # the first 202 may never have been given: whoever committed it waits for them still
    receipt = ""
    with contextlib.suppress(Damaged):  # that it was accepted stands, and is what its sender asks
        receipt = receipts.of_message(tx, row["id"])
    return Accepted(row["id"], row["type"], row["time"], True, receipt=receipt)


def _check_facts(tx: Tx, arrival: Arrival) -> None:
    for (kind, key), expected in arrival.expect.items():
        if fact(tx, arrival.adapter or "", kind, key) != expected:
            raise Conflict(f"the fact {kind} has changed meanwhile", code="fact.changed", hint="look at it again")
