"""Settling: what live runs decided becomes records, in one transaction. The only place where a run's fate is written.

Order inside a run: its entries, the messages it sends, the numbers it needs, the waits it opens; last, its state. A run whose
claim was lost in the meantime writes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bus.clock import text_of
from bus.diagnostics import logger
from bus.engine import intake, matching
from bus.engine.asks import Arrived, Await, Event, Failure
from bus.engine.journal import fold, unended
from bus.engine.live import Decided, Live, Numbered
from bus.engine.outside import Asking
from bus.engine.projection import Entry, ends_lane, entry, write
from bus.errors import Damaged, Erased, Interrupted, KeyMissing, SnodoError, StoreError, Unknown
from bus.failpoint import reach
from bus.log import log
from bus.log.record import WEAK, Record
from bus.message import new_id
from bus.store import Key, Row, Store, Tx, listed

JUST_AFTER = dt.timedelta(milliseconds=1)


@dataclass(slots=True)
class Settled:
    """What the transaction brought for one run."""

    lost: bool = False
    """The run's claim is ours no more, or nobody knows whether it was written: nothing goes on here."""
    unwritten: bool = False
    """The store failed; nothing was written, all of it is still to be."""
    woken: bool = False
    """The run can be claimed again."""
    arrived: Sequence[tuple[str, Event]] = ()
    """What its waits were told, by their path, with which the run goes on: it was here when it began to wait, or came beside its calls."""
    ended: bool = False
    parked: bool = False
    """The run waits for messages, or until it is due."""
    well: bool = False
    """Something came of the claim, so that its strikes are forgotten."""
    due: dt.datetime | None = None
    """When a run that is not held any more can be claimed again."""
    askings: list[Asking] = field(default_factory=list)
    """Calls that got their number of an ordered lane, to be made now."""
    held_up: dict[str, str] = field(default_factory=dict)
    """Paths whose lane is taken, with its name."""
    freed: list[str] = field(default_factory=list)
    """Lanes that nobody holds any more."""
    rung: list[str] = field(default_factory=list)
    """Runs to ring for."""

    @property
    def left(self) -> bool:
        """Whether the run is not held any more."""
        return self.woken or self.ended or self.parked


@dataclass(frozen=True, slots=True)
class Settling:
    """Writes live runs. ``pause``: for how long a run that waits for a lane is left alone."""

    store: Store
    owner: str
    pause: Callable[[str], dt.timedelta]

    def commit(self, lives: Sequence[Live], now: dt.datetime) -> list[Settled]:
        """Commit what all of them decided; when the batch fails, one by one, so that a bad run harms only itself.

        A database that is away is nobody's fault: asked for each run again, it would keep a healthy engine from turning for long. What is
        perhaps written is ours no more: whoever claims the run next reads in its journal whether it is.
        """
        try:
            settled = self.store.write(self.work(lives, now), here=True).result()
            reach("settle.after-commit")
            return settled
        except Exception as error:  # noqa: BLE001 - a batch that fails is split run by run
            if isinstance(error, Interrupted):
                return [Settled(unwritten=True) for _ in lives]
            if isinstance(error, Unknown):
                return [Settled(lost=True) for _ in lives]
            if len(lives) > 1:
                return [settled for live in lives for settled in self.commit([live], now)]
            if isinstance(error, StoreError):
                return [Settled(unwritten=True)]
            return [self._commit_dead(lives[0], now, error)]

    def _commit_dead(self, live: Live, now: dt.datetime, error: Exception) -> Settled:
        """A run whose decisions cannot be written is written as dead; when even that fails, its lease will run out."""
        live.decided = Decided()
        live.fall(error)
        try:
            return self.store.write(self.work([live], now)).result()[0]
        except Exception:  # noqa: BLE001 - said in the diagnostics; the claim runs out and the sweeper rings again
            logger("snodo.engine").exception("run.cannot-be-settled", run=live.id)
            return Settled(lost=True)

    def work(self, lives: Sequence[Live], now: dt.datetime) -> Callable[[Tx], list[Settled]]:
        """The transaction for several runs; may run twice, changes nothing but the store."""
        claims = _claims(lives)

        def settle_all(tx: Tx) -> list[Settled]:
            held = {row["id"] for row in tx.all("runs_held", owner=self.owner, claims=claims)}
            settled = self.settle(tx, lives, now, held)
            reach("settle.before-commit")
            return settled

        return settle_all

    def settle(self, tx: Tx, lives: Sequence[Live], now: dt.datetime, held: Collection[str]) -> list[Settled]:
        """Write what lives decided whose claims this very transaction knows to be ours: those in ``held``."""
        settled = [self._settle(tx, live, now) if live.id in held else Settled(lost=True) for live in lives]
        both = list(zip(lives, settled, strict=True))
        for live, one in both:
            one.well = bool(live.strikes) and not one.lost and (live.got_on or (one.left and not live.at_risk))
        self._free_lanes(tx, both)
        if well := [live.id for live, one in both if one.well]:
            tx.do("forget_strikes", runs=listed(well))
        self._ring_behind(tx, now, [(live, one) for live, one in both if one.left])
        return settled

    @staticmethod
    def _free_lanes(tx: Tx, both: Sequence[tuple[Live, Settled]]) -> None:
        """Tell which lanes were left by one of these and taken by none."""
        for live, one in both:
            ended = [made.record.data["operation"] for made in live.decided.entries if not one.lost and ends_lane(made.record)]
            names = {live.around.outside.sequence(name) for name in ended}
            one.freed = [name for name in sorted(names) if tx.one("lane", name=name) is None]

    @staticmethod
    def _ring_behind(tx: Tx, now: dt.datetime, left: Sequence[tuple[Live, Settled]]) -> None:
        """Ring for what stood behind those that are held no longer."""
        if left:
            claims = _claims([live for live, _ in left])
            left[0][1].rung += [row["id"] for row in tx.all("runs_behind", claims=claims, now=text_of(now))]

    def _settle(self, tx: Tx, live: Live, now: dt.datetime) -> Settled:
        settled = Settled()
        for made in _with_what_stands(tx, live):
            write(tx, made)
            settled.rung += self._consequences(tx, made.record, now)
        for arrival in live.decided.outgoing:
            settled.rung += intake.receive(tx, arrival).runs
        for numbered in live.decided.numbered:
            asking = self._number(tx, live, numbered)
            if asking is None:
                settled.held_up[numbered.call.path] = numbered.sequence
            else:
                settled.askings.append(asking)
        waits = {wait.path: self._wait(tx, live, wait, now) for wait in live.decided.waits}
        self._leave(tx, live, now, settled, {path: message for path, message in waits.items() if message is not None})
        return settled

    @staticmethod
    def _number(tx: Tx, live: Live, numbered: Numbered) -> Asking | None:
        """Allocate the next number of the sequence and record the intent with it; None while the ordered lane is taken."""
        call, name = numbered.call, numbered.sequence
        if tx.one("lane", name=name) is not None:
            return None
        row = tx.one("sequence", name=name)
        number = (row["value"] if row else 0) + 1
        asking = live.around.outside.prepare(call, live.message, numbered.now, number, numbered.attempt)
        write(tx, live.intent(asking, numbered.now))
        return asking

    @staticmethod
    def _consequences(tx: Tx, record: Record, now: dt.datetime) -> list[str]:
        """Give to waits what came before this record and concerns them only because of it; returns the runs to ring for."""
        if record.kind == "joined":
            row = tx.one("run", id=record.run)
            return [] if row is None else matching.match_joined(tx, row["case_id"], now)
        if record.kind == "closed":
            wait = tx.one("wait", run=record.run, path=record.path)
            return [] if wait is None else matching.take_arrived(tx, wait, now)
        return []

    def _wait(self, tx: Tx, live: Live, wait: Await, now: dt.datetime) -> str | None:
        """Open a wait, unless it was opened before; the message that was here and is given to it, ``""`` when it has ended before."""
        row = tx.one("wait", run=live.id, path=wait.path)
        if has_ended(row):
            return ""
        if row is None or row["state"] == "given up":
            row = self._open(tx, live, wait, now)
        behind = live.given.get((wait.type, wait.key), "")
        message = next(matching.arrived(tx, row, behind), None)
        if message is None and behind:  # what others accepted before that one, and wrote after it
            message = next(matching.arrived(tx, row), None)
        if message is not None:
            matching.match(tx, row, message, now)
        return message

    @staticmethod
    def _open(tx: Tx, live: Live, wait: Await, now: dt.datetime) -> Row:
        """Record that the run waits; returns the wait as the store now has it."""
        data: dict[str, Any] = {"type": wait.type}
        name, value = (wait.key[0], tx.keys.token(wait.key[1])) if wait.key else (None, None)
        if name is not None and name not in WEAK:  # what names a person, also its token, is in no record: those stay
            data["key"] = [name, value]
        if wait.deadline is not None:
            data["deadline"] = text_of(wait.deadline)
        values = {"key": list(wait.key)} if wait.key else {}
        write(tx, entry(live.record("waiting", now, wait, data=data), live.key, values))
        return {
            "run": live.id, "path": wait.path, "place": wait.place, "type": wait.type, "name": name, "value": value,
            "deadline": data.get("deadline"), "state": "open",
        }  # fmt: skip

    def _leave(self, tx: Tx, live: Live, now: dt.datetime, settled: Settled, woken: Mapping[str, str]) -> None:
        """The state the run is left in, when nothing of it is in flight any more; else it stays, and its calls go out.

        ``woken``: its waits that have ended, each with the message that was here.
        """
        if live.walk.finished:
            settled.ended = True
            write(tx, _ending(tx, live, now))
        elif live.in_flight or live.in_line or live.askings or settled.askings:
            settled.arrived = self._told_beside_calls(tx, live)
        elif settled.held_up:
            until = now + max(map(self.pause, settled.held_up.values()))
            self._pause(tx, live, settled, min([until, *live.dues.values()]))
        elif woken or self._woken_meanwhile(tx, live):
            settled.arrived = self._arrived(tx, live, woken, now)
            settled.woken = not settled.arrived
            if settled.woken:
                self._leave_to_anybody(tx, live, None)
        elif live.kept_back:
            self._pause(tx, live, settled, min(live.dues.values()))
        else:
            settled.parked, settled.due = True, min(live.dues.values(), default=None)
            write(tx, _parking(live, now, settled.due))

    def _pause(self, tx: Tx, live: Live, settled: Settled, until: dt.datetime) -> None:
        """Nobody claims the run before that."""
        settled.woken, settled.due = True, None if "elsewhere" in live.kept_back.values() else until + JUST_AFTER
        self._leave_to_anybody(tx, live, text_of(until))

    def _leave_to_anybody(self, tx: Tx, live: Live, until: str | None) -> None:
        """Give the run up, so that anybody may claim it, but not before ``until``."""
        tx.do("pause_run", id=live.id, fence=live.fence, owner=self.owner, until=until)

    @staticmethod
    def _woken_meanwhile(tx: Tx, live: Live, beside: Container[str] = ()) -> bool:
        """Whether an open ask of the walk was answered by somebody else while we held the run."""
        waits = (ask for ask in live.walk.pending.values() if isinstance(ask, Await) and ask.path not in beside)
        return any(has_ended(tx.one("wait", run=live.id, path=wait.path)) for wait in waits)

    @staticmethod
    def _told_beside_calls(tx: Tx, live: Live) -> Sequence[tuple[str, Event]]:
        """What its waits were told while its calls are out. One that owners vanished with, or that cannot be read, rests until they end."""
        waits = [ask.path for ask in live.walk.pending.values() if isinstance(ask, Await)]
        ended = {path for path in waits if has_ended(tx.one("wait", run=live.id, path=path))}
        if not ended or live.strikes:
            return ()

        def body_of(message: str) -> Any:
            return log.message(tx, message)[0]["body"]

        try:
            told = [record for record in log.of_run(tx, live.id) if record.path in ended and record.kind in ("matched", "expired")]
            return fold(told, body_of, body_of).events
        except (KeyMissing, Damaged, Erased):
            return ()

    def _arrived(self, tx: Tx, live: Live, woken: Mapping[str, str], now: dt.datetime) -> Sequence[tuple[str, Arrived]]:
        """What the run goes on with at once, as it would by its journal, which is not read again for each of many messages.

        None where its journal tells more than this, or less: whoever claims it next finds that.
        """
        if live.strikes or live.at_risk or not all(woken.values()) or self._woken_meanwhile(tx, live, woken):
            return ()
        try:
            return [(path, Arrived(now, message, log.message(tx, message)[0]["body"])) for path, message in woken.items()]
        except (KeyMissing, Damaged, Erased):
            return ()


def has_ended(wait: Row | None) -> bool:
    """Whether somebody else has answered it: a message came, or its deadline passed."""
    return wait is not None and wait["state"] in ("matched", "expired")


def _with_what_stands(tx: Tx, live: Live) -> Iterator[Entry]:
    """What a run decided. Where a route knows a message that the run sends by its key, since the same came before, the record ``sent``
    names the one that ``stands``.
    """
    stands: dict[str, str] = {}
    known: dict[tuple[str, str], str] = {}
    for arrival in live.decided.outgoing:
        sent = arrival.message.id
        for name in arrival.names.intake[1:]:  # the first is its own, which nobody had before
            found = intake.accepted_as(tx, name) or known.setdefault(name, sent)
            if found != sent:
                stands.setdefault(sent, found)
    for made in live.decided.entries:
        standing = stands.get(made.record.data.get("sent", ""))
        yield made.of(made.record._replace(data={**made.record.data, "stands": standing})) if standing else made


def _claims(lives: Sequence[Live]) -> str:
    """Runs and the fences under which they are ours, as a query takes them."""
    return listed([live.id, live.fence] for live in lives)


def _ending(tx: Tx, live: Live, now: dt.datetime) -> Entry:
    failure = live.walk.failure
    if failure is None:
        return Entry(live.record("done", now, place=live.plan.name, data={"state": "done"}))
    if not failure.dead:
        return Entry(live.record("done", now, place=failure.place, data={"state": "done", "code": failure.code}))
    return _dead(tx, live.record("dead", now), failure, live.key)


def _dead(tx: Tx, record: Record, failure: Failure, key: Key) -> Entry:
    """The record of a run that becomes a dead letter, sealed under a key of its message.

    What no call of its own has ended stopped at a call whose end nobody knows, if there is one: a person may decide it.
    """
    place, path, detail = failure.place, failure.path or None, dict(failure.detail)
    asked = _unended(tx, str(record.run)) if path is None else None
    if asked is not None:
        place, path = asked.place or place, asked.path
        detail |= {"kind": "in_doubt", "effect": asked.data["effect"], "operation": asked.data["operation"], "attempts": asked.attempt}
    stopped = {} if asked is None else {"stopped": True}
    data = {"state": "dead", "code": failure.code, "doubt": detail.get("kind") == "in_doubt", **stopped}
    told = {"sentence": failure.sentence, "code": failure.code, "detail": detail}
    return entry(record._replace(place=place, path=path, data=data), key, {"failure": told})


def _unended(tx: Tx, run: str) -> Record | None:
    """None too where a record of the run was changed: nobody redelivers that, and whoever looks at it is told which."""
    try:
        return unended(log.of_run(tx, run))
    except Damaged:
        return None


def _parking(live: Live, now: dt.datetime, due: dt.datetime | None) -> Entry:
    place = next((ask.place for ask in live.walk.pending.values()), live.plan.name)
    data = {"state": "waiting"} if due is None else {"state": "ready", "due": text_of(due)}
    return Entry(live.record("parked", now, place=place, data=data))


def park(tx: Tx, row: Row, owner: str, now: dt.datetime, error: BaseException) -> Failure | None:
    """A claimed run that cannot be begun (its rules or its message cannot be had, or it is poison) becomes a dead letter; why.

    None where it is ``owner``'s no more: whoever has it now says what becomes of it.
    """
    if not tx.all("runs_held", owner=owner, claims=listed([[row["id"], row["fence"]]])):
        return None
    code = error.code if isinstance(error, SnodoError) else "run.unreadable"
    sentence = error.sentence if isinstance(error, SnodoError) else f"{type(error).__name__}: {error}"
    failure = Failure(code, sentence, f"{row['route']}@{row['version']}", "")
    record = Record(new_id(), "dead", now, message=row["message"], run=row["id"], rules=row["digest"])
    write(tx, _dead(tx, record, failure, log.key_of(tx, row["message"])))
    tx.do("forget_strikes", runs=listed([row["id"]]))
    return failure
