"""A live run: one that this engine has claimed, with its walk and what it means to write and to do next.

Everything here is decided without touching the store: `pursue` follows the walk as far as it goes, and leaves behind what it *decided*
(to be written) and *askings* (outside calls to make). `bus.engine.settle` writes, the engine acts.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from bus.catalog import Catalog
from bus.clock import Clock, text_of
from bus.diagnostics import logger
from bus.engine import fate
from bus.engine.arrival import Arrival, arrival_of_sent, sent_by
from bus.engine.asks import Answered, Arrived, Ask, Await, Call, Close, Event, Failed, Failure, Join, Noted, Reply, Send
from bus.engine.fate import Done, Outcome, Retry, Tries
from bus.engine.gates import Gates
from bus.engine.interpreter import Walk
from bus.engine.names import fact_tokens, key_tokens
from bus.engine.outside import Asking, Outside, Result, facts_as_json, wire_texts
from bus.engine.projection import Entry, entry
from bus.engine.rests import Doubt, Rests
from bus.engine.throttles import Throttles
from bus.errors import InputError, Invalid, SnodoError, StoreError
from bus.failpoint import reach
from bus.log.payload import Text
from bus.log.record import WEAK, Kind, Record
from bus.message import JsonObject, JsonValue, Message, new_id
from bus.route.plan import Plan
from bus.store import Key, Keys

AGAIN = dt.timedelta(seconds=5)
"""How long after the store of keys failed a message is tried again that could not be sent for it."""
ELSEWHERE = dt.timedelta(seconds=1)
"""For how long a run is left alone that another process must go on with; one that has nothing else to do takes it sooner."""
LOOK = dt.timedelta(seconds=5)
"""How often a run that stays live for its calls looks what its waits were told, although nobody said so: a word may be lost."""
KeptBack: TypeAlias = Literal["line", "away", "elsewhere"]
"""Why a call does not go out yet: it stands in line at its gate; it was turned away there; another process has the share of its limit."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a live run may look at while it decides: the adapters' declarations, the catalog, the clock, gates, throttles, rests."""

    outside: Outside
    catalog: Callable[[], Catalog]
    clock: Clock
    gates: Gates
    throttles: Throttles
    rests: Rests


@dataclass(frozen=True, slots=True)
class Numbered:
    """A call that needs the next number of ``sequence`` (its full name); it is made ready inside the transaction that allocates it."""

    call: Call
    sequence: str
    attempt: int
    now: dt.datetime


@dataclass(slots=True)
class Decided:
    """Records to write, messages to send, calls to number and waits to open. False when there is nothing."""

    entries: list[Entry] = field(default_factory=list)
    outgoing: list[Arrival] = field(default_factory=list)
    numbered: list[Numbered] = field(default_factory=list)
    waits: list[Await] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.entries or self.outgoing or self.numbered or self.waits)


@dataclass
class Live:
    """One claimed run. Calls, tries and waits are named by the path of their step in the walk."""

    id: str
    fence: int
    """The token of our claim: a later claim voids it."""
    message: Message
    plan: Plan
    walk: Walk
    key: Key
    """What seals all that is recorded of it."""
    keys: Keys
    around: Surroundings
    about: Callable[[], Sequence[str]] = tuple
    """Whom its message is about."""
    tries: defaultdict[str, Tries] = field(default_factory=lambda: defaultdict(Tries))
    in_flight: set[str] = field(default_factory=set)
    """Calls that are out."""
    decided: Decided = field(default_factory=Decided)
    """What is to be written with the next transaction."""
    askings: list[Asking] = field(default_factory=list)
    """Calls to make after it."""
    dues: dict[str, dt.datetime] = field(default_factory=dict)
    """When what is pending asks again."""
    kept_back: dict[str, KeptBack] = field(default_factory=dict)
    """Calls that do not go out yet; but for those in line they have a due time."""
    since: dt.datetime | None = None
    """When the run became ready."""
    weight: int = 0
    """Bytes of JSON that were read for it: its message, and what its journal tells."""
    began: float = 0.0
    """When the run became live here, in ticks."""
    strikes: int = 0
    """Claims of this run, this one counted in, whose owner vanished before anything came."""
    came_home: bool = False
    """Whether a call did, here."""
    unproven: set[str] = field(default_factory=set)
    """Calls that were pending when it was claimed, and have not come home since: one of them may be what ended earlier owners."""
    arrived: Sequence[tuple[str, Event]] = ()
    """What it goes on with in the next turn."""
    looks: bool = False
    """Whether it is to be seen what its waits were told, though it decided nothing."""
    looks_at: dt.datetime | None = None
    """When it looks next without being rung for."""
    given: dict[tuple[str | None, tuple[str, str] | None], str] = field(default_factory=dict)
    """The last of the messages that were here and that it went on with, by the type and key of the wait: the next one is behind it."""
    known: dict[str, deque[Event]] = field(default_factory=dict)
    """Events that no ask has taken yet."""
    turn: str | None = None
    """The place of the step for which it was parked, where that is the last that its journal says."""

    @property
    def reply(self) -> JsonValue:
        """What it replied since it was settled last, if it did."""
        return next((made.values["reply"] for made in reversed(self.decided.entries) if made.record.kind == "replied"), None)

    @property
    def claim(self) -> tuple[str, int]:
        return self.id, self.fence

    @property
    def in_line(self) -> set[str]:
        """Paths of calls that stand in line at a gate: they keep their place, and the run its claim."""
        return {path for path, why in self.kept_back.items() if why == "line"}

    @property
    def at_risk(self) -> bool:
        """Whether a call or a probe of it is still to be made."""
        return any(isinstance(ask, Call) for ask in self.walk.pending.values())

    def beside_one_call(self) -> tuple[str, ...] | None:
        """The paths of its waits, if exactly one call or probe is pending and all else that is pending is a wait; None if not."""
        waits = tuple(path for path, ask in self.walk.pending.items() if isinstance(ask, Await))
        return waits if self.at_risk and len(waits) + 1 == len(self.walk.pending) else None

    @property
    def got_on(self) -> bool:
        """Whether every call that may have ended earlier owners came home this time; that one branch did says nothing of another."""
        return self.came_home and not self.unproven & self.walk.pending.keys()

    @property
    def only_waits(self) -> bool:
        """Whether it stands in line, or waits for a call that is out, and decided nothing meanwhile: there is nothing to write."""
        return bool(self.in_line or self.in_flight) and not (self.looks or self.decided or self.askings or self.walk.finished)

    @property
    def waits_beside_calls(self) -> bool:
        """Whether it stays live for calls, and other branches of it wait meanwhile."""
        return bool(self.in_line or self.in_flight) and any(isinstance(ask, Await) for ask in self.walk.pending.values())

    def remember(self, events: Iterable[tuple[str, Event]]) -> None:
        """Bring the walk up to its journal; what it does not ask yet is kept until it does.

        Arrivals are written into the journal of a run while it is at work, and new rules may ask in another order: what was once
        answered is never asked again.
        """
        for path, event in events:
            if path in self.walk.pending and path not in self.known:
                self.walk.answer(path, event)
            else:
                self.known.setdefault(path, deque()).append(event)

    def attempt(self, work: Callable[[], None]) -> None:
        """Do something with this run. What it meets is parked with it, the others do not notice."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - see above
            self.fall(error)

    def begin(self, events: Iterable[tuple[str, Event]], now: dt.datetime) -> None:
        """Bring the walk up to its journal and follow it from there."""
        self.walk.start()
        self.remember(events)
        self.pursue(list(self.walk.pending.values()), now)
        self.turn = None
        self.unproven = {path for path, ask in self.walk.pending.items() if isinstance(ask, Call)}

    def go_on(self, now: dt.datetime) -> None:
        """Follow the walk from what has ``arrived``. Calls of other branches stay as they are: out, in line, or not due yet."""
        arrived, self.arrived = self.arrived, ()
        calls = {path for path, ask in self.walk.pending.items() if isinstance(ask, Call)}
        for path, event in arrived:
            wait = self.walk.pending.get(path)
            if isinstance(wait, Await) and isinstance(event, Arrived):
                self.given[wait.type, wait.key] = event.message
        self.remember(arrived)
        self.pursue([ask for path, ask in self.walk.pending.items() if path not in calls], now)

    def record(self, kind: Kind, now: dt.datetime, ask: Ask | None = None, **fields: Any) -> Record:
        """A record of this run; ``ask`` gives place and path."""
        if ask is not None:
            fields.update(place=ask.place, path=ask.path)
        return Record(new_id(), kind, now, message=self.message.id, run=self.id, rules=self.plan.digest, **fields)

    def note(
        self, kind: Kind, now: dt.datetime, ask: Ask, values: dict[str, JsonValue] | None = None, wires: Iterable[Text] = (),
        **fields: Any,
    ) -> None:  # fmt: skip
        """Queue a record for the next transaction."""
        self.decided.entries.append(entry(self.record(kind, now, ask, **fields), self.key, values, tuple(wires)))

    def pursue(self, asks: Iterable[Ask], now: dt.datetime) -> None:
        """Follow the walk until everything pending waits for somebody else."""
        todo = deque({**{ask.path: ask for ask in asks}, **self._take_due_sends(now)}.values())
        while todo or (todo := deque(self._left_open())):
            ask = todo.popleft()
            if ask.path not in self.walk.pending:
                continue
            event = self._recall(ask.path) or self._consider(ask, now)
            if event is not None:
                todo.extend(self.walk.answer(ask.path, event))
        self.kept_back = {path: why for path, why in self.kept_back.items() if path in self.walk.pending}

    def _take_due_sends(self, now: dt.datetime) -> dict[str, Ask]:
        """Messages that could not be sent and may be tried again, by path; of what is due by now only calls stay noted."""
        pending = self.walk.pending
        sends = {path: pending[path] for path, due in self.dues.items() if due <= now and isinstance(pending.get(path), Send)}
        self.dues = {path: due for path, due in self.dues.items() if due > now or isinstance(pending.get(path), Call)}
        return sends

    def _recall(self, path: str) -> Event | None:
        known = self.known.get(path)
        if known is None:
            return None
        event = known.popleft()
        if not known:
            del self.known[path]
        return event

    def _left_open(self) -> list[Ask]:
        """What a failed run still has open and need not see through; it may wait for its next try, and nothing else be to do."""
        if not self.walk.winding_up:
            return []
        return [ask for path, ask in self.walk.pending.items() if self._may_be_left(path)]

    def _may_be_left(self, path: str) -> bool:
        """Whether a call that is still pending in a failed run surely had no effect, and none is on its way."""
        tries = self.tries[path]
        going = {asking.call.path for asking in self.askings} | {numbered.call.path for numbered in self.decided.numbered}
        return path not in self.in_flight and path not in going and not tries.in_air and not tries.doubt

    def _consider(self, ask: Ask, now: dt.datetime) -> Event | None:
        """What is done at once gives its event; the rest is queued and gives None."""
        match ask:
            case Call():
                return self._consider_call(ask, now)
            case Await():
                self.decided.waits.append(ask)
                return None
            case Send():
                return self._send(ask, now)
            case Reply():
                self.note("replied", now, ask, {"reply": ask.body})
            case Join():
                data = {"names": sorted(ask.keys), "keys": key_tokens(self.keys, ask.keys)}
                self.note("joined", now, ask, {"keys": dict(ask.keys)}, data=data)
            case Close():
                key = [ask.key[0], self.keys.token(ask.key[1])] if ask.key else [None, None]
                told: dict[str, JsonValue] = {"key": list(ask.key) if ask.key else None}
                named = {} if ask.key and ask.key[0] in WEAK else {"key": key}
                self.note("closed", now, ask, told, data={"type": ask.type, "entry": ask.entry, **named})
        return Noted(now)

    def _send(self, ask: Send, now: dt.datetime) -> Event | None:
        """Check the new message as any other; what cannot be sent ends the run."""
        identity = new_id()
        submission = sent_by(self.message, self.id, identity, ask.type, ask.body, self.about())
        try:
            sent = arrival_of_sent(self.around.catalog(), self.plan, submission, identity, self.around.clock, self.keys, self.id)
            self.decided.outgoing.append(sent)
        except StoreError as error:  # no key can be had: the key store is full, or away
            logger("snodo.engine").warning("run.cannot-send", run=self.id, code=error.code, sentence=error.sentence)
            self.dues[ask.path] = now + AGAIN
            return None
        except InputError as error:
            self.walk.give_up(
                Failure("send.invalid", f"{ask.type} cannot be sent: {error.sentence}", ask.place, ask.path, detail=error.detail)
            )
            return None
        self.note("sent", now, ask, data={"type": ask.type, "sent": identity})
        return Noted(now, {"id": identity})

    def _consider_call(self, ask: Call, now: dt.datetime) -> Event | None:
        tries = self.tries[ask.path]
        try:
            operation = self.around.outside.operation(ask.operation)
        except KeyError:
            return self._cannot_ask(ask, now, f"no adapter declares {ask.operation}", "call.unknown-operation")
        if self.walk.winding_up and self._may_be_left(ask.path):
            return self.record_outcome(ask, fate.given_up(ask, tries, now), None, now)
        if tries.in_air or (tries.doubt and operation.effect == "once"):
            tries.in_air = False
            event = self.record_outcome(ask, fate.after_crash(ask, operation, tries, now), None, now)
            self._begin_rest(ask.path)
            return event
        if not self._may_go_out(ask, tries, now):
            if not self._takes_its_plan(ask, tries, now):
                return None
            return self.record_outcome(ask, fate.not_asked(ask, tries, now), None, now)
        tries.probe = tries.doubt and operation.effect == "queryable"
        try:
            call = ask if tries.key in (None, "", ask.key) else replace(ask, key=tries.key)
            self._make_ready(call, tries, now)
        except Invalid as error:
            return self._cannot_ask(ask, now, error.sentence, error.code)
        return None

    def _may_go_out(self, ask: Call, tries: Tries, now: dt.datetime) -> bool:
        """Whether its time has come, there is a place for it at the gate, and no throttle holds it; else it is noted when to ask again."""
        self.kept_back.pop(ask.path, None)
        if (due := tries.waits(now)) is not None:
            self.dues[ask.path] = due
            return False
        if left := self._rest_left(ask, tries):
            self.dues[ask.path] = now + dt.timedelta(seconds=left)
            return False
        self.dues.pop(ask.path, None)
        place = (*self.claim, ask.path)
        admission = self.around.gates.enter(place, ask.operation, now, self.weight)
        if admission == "line":
            self.kept_back[ask.path] = "line"
        elif admission == "away":
            self.kept_back[ask.path] = "away"
            self.dues[ask.path] = self.around.gates.of(ask.operation).again(now)
        elif (turn := self._turn_of(ask, tries, now)) is None:
            self.kept_back[ask.path] = "elsewhere"
            self.dues[ask.path] = now + ELSEWHERE
        elif turn > now and self._holds_lane(ask, tries):  # those that have its turns give them back, since they wait for it
            self.kept_back[ask.path] = "elsewhere"
            self.dues[ask.path] = min(turn, now + ELSEWHERE)
        elif turn > now:
            self.dues[ask.path] = turn
        else:
            return True
        return False

    def _turn_of(self, ask: Call, tries: Tries, now: dt.datetime) -> dt.datetime | None:
        """When its limit lets a call go out; None where that is for another process to say."""
        throttles = self.around.throttles
        if not throttles.share(ask):
            return None
        promised = ask.place == self.turn and tries.due is None
        return throttles.next(ask, now, promised=promised, first=self._holds_lane(ask, tries))

    def _holds_lane(self, ask: Call, tries: Tries) -> bool:
        """Whether the next number of its ordered lane waits for this call."""
        return tries.number is not None and self.around.outside.operation(ask.operation).in_lane

    def _begin_rest(self, path: str, ago: float = 0.0) -> None:
        tries = self.tries[path]
        if tries.probe and tries.due is not None:
            self.around.rests.begin(Doubt(self.id, path, tries.due), ago)

    def _rest_left(self, ask: Call, tries: Tries) -> float:
        """Seconds for which a call must still rest before its first probe, whatever the clock says; see `bus.engine.rests`."""
        operation = self.around.outside.operation(ask.operation)
        if not tries.doubt or tries.due is None or tries.probes or operation.effect != "queryable":
            return 0.0
        return self.around.rests.left(Doubt(self.id, ask.path, tries.due), (ask.timeout or operation.timeout) + operation.settle)

    def _takes_its_plan(self, ask: Call, tries: Tries, now: dt.datetime) -> bool:
        """Whether a call that an open circuit holds up fails: where the route has a plan for that, when its own tries would have ended."""
        asks_again = self.kept_back.get(ask.path) in ("away", "elsewhere")
        if not asks_again or not ask.planned or tries.doubt or not self.around.gates.of(ask.operation).circuit.is_open:
            return False
        until = (self.since or now) + fate.patience(ask.retry)
        self.dues[ask.path] = min(self.dues[ask.path], max(until, now))
        if now < until:
            return False
        del self.dues[ask.path]
        return True

    def due_asks(self, now: dt.datetime) -> list[Ask]:
        """Calls whose next try is due, of a run that stayed live for another branch."""
        return [self.walk.pending[path] for path, due in self.dues.items() if due <= now and path in self.walk.pending]

    def alarms(self, now: dt.datetime) -> list[dt.datetime]:
        """When it is to be rung for: what is due, and its next look."""
        alarms = list(self.dues.values())
        if self.waits_beside_calls and (self.looks_at is None or self.looks_at <= now):
            self.looks_at = now + LOOK
            alarms.append(self.looks_at)
        return alarms

    def suspend(self, now: dt.datetime) -> None:
        """Ask nothing more here: whoever claims the run next goes on from the journal."""
        self.dues.update({path: now for path in self.walk.pending if path not in self.in_flight})
        self.kept_back.clear()

    def _make_ready(self, call: Call, tries: Tries, now: dt.datetime) -> None:
        """Queue the call, or its probe, with its intent record; a ``read`` needs no intent."""
        outside = self.around.outside
        operation = outside.operation(call.operation)
        attempt = tries.count if tries.probe else tries.count + 1
        if operation.sequence is not None and tries.number is None:
            outside.check(call)
            self.decided.numbered.append(Numbered(call, outside.sequence(call.operation), attempt, now))
            return
        asking = outside.prepare(call, self.message, tries.prepares(now), tries.number, attempt)
        if tries.probe:
            self.askings.append(replace(asking, probe=True))
            return
        if operation.effect != "read":
            self.decided.entries.append(self.intent(asking, now))
        self.started(asking, now)

    def intent(self, asking: Asking, now: dt.datetime) -> Entry:
        """The record that stands before an irreversible call."""
        call = asking.call
        data: dict[str, object] = {
            "operation": call.operation, "effect": asking.operation.effect, "key": call.key, "adapter": call.adapter,
        }  # fmt: skip
        if asking.number is not None:
            data.update(number=asking.number, sequence=self.around.outside.sequence(call.operation), lane=asking.operation.in_lane)
            if asking.operation.in_lane:
                data["rests"] = (call.timeout or asking.operation.timeout) + asking.operation.settle
        values: dict[str, Any] = {"request": asking.request.model_dump(mode="json", exclude_none=True)}
        if asking.facts:
            values["facts"] = facts = facts_as_json(asking.facts)
            data["facts"] = fact_tokens(self.keys, facts)
        reach("intent.before-commit")
        return entry(self.record("asked", now, call, attempt=asking.attempt, data=data), self.key, values)

    def started(self, asking: Asking, now: dt.datetime) -> None:
        """The call goes out after the commit."""
        tries = self.tries[asking.call.path]
        tries.asks(now)
        tries.count, tries.probes, tries.number, tries.due = asking.attempt, 0, asking.number, None
        self.askings.append(asking)

    def _cannot_ask(self, ask: Call, now: dt.datetime, sentence: str, code: str) -> Event:
        """A request that is not what the operation takes: nothing was asked, the route is wrong."""
        error = fate.error_of(ask, 0, "invalid", code, sentence)
        data: dict[str, JsonValue] = {"kind": "invalid", "code": code}
        if self.tries[ask.path].doubt:  # of an earlier try, under other rules
            data["doubt"] = True
        self.note("unanswered", now, ask, {"error": error}, data=data)
        return Failed(now, error)

    def came_back(self, result: Result, now: dt.datetime) -> list[Ask]:
        """A call in flight came home: record how it ended, go on with the walk."""
        ask = result.asking.call
        self.in_flight.discard(ask.path)
        event = self.record_outcome(ask, self._fate(result, now), result, now)
        # After a probe that found nothing the call that may end processes goes out again: nothing came of the claim yet.
        if event is not None or not result.asking.probe:
            self.came_home = True
            self.unproven.discard(ask.path)
        if event is not None:
            return self.walk.answer(ask.path, event)
        self._begin_rest(ask.path, result.took or 0.0)
        return [ask] if self.walk.winding_up else []

    def _fate(self, result: Result, now: dt.datetime) -> Outcome:
        asking, tries = result.asking, self.tries[result.asking.call.path]
        if asking.probe:
            if result.error is not None:
                tries.probes += 1
                return fate.after_failed_probe(asking.call, asking.operation, tries, result.error, now)
            if result.answer is None:
                return fate.after_empty_probe(asking.call, tries, now)
        elif result.error is not None:
            tries.asked = _begun(result, tries, now)
            return fate.after_error(asking.call, asking.operation, tries, result.error, now)
        return Done(Answered(now, result.answer))

    def record_outcome(self, ask: Call, outcome: Outcome, result: Result | None, now: dt.datetime) -> Event | None:
        """Record the outcome of a call; returns its event when there is one."""
        tries, wires = self.tries[ask.path], wire_texts(result.exchanges if result else ())
        common: dict[str, object] = {"operation": ask.operation, "adapter": ask.adapter}
        if tries.number is not None:
            common["lane"] = True
        if result is not None and result.asking.probe:
            common["by"] = "probe"
        if result is not None and result.error is not None and result.error.cause:
            common["cause"] = result.error.cause
        match outcome:
            case Done(Answered() as answered):
                values = _answer_values(result, answered)
                if "facts" in values:
                    common["facts"] = fact_tokens(self.keys, values["facts"])
                self.note("answered", now, ask, values, wires, attempt=tries.count, data=common)
                return answered
            case Done(Failed(error=error) as failed):
                kind: Kind = "refused" if error["kind"] == "refused" else "unanswered"
                data = {**common, **_codes(error), "doubt": error["kind"] == "in_doubt"}
                self.note(kind, now, ask, {"error": error}, wires, attempt=tries.count, data=data)
                return failed
            case Retry(due=due, error=error, doubt=doubt, probe=probe):
                tries.due, tries.put_off, tries.doubt, tries.probe = due, now, doubt, probe
                self.dues[ask.path] = due
                data = {**common, **_codes(error), "again": text_of(due), "doubt": doubt, "probe": probe}
                self.note("unanswered", now, ask, {"error": error}, wires, attempt=tries.count, data=data)
                return None
        raise AssertionError(outcome)

    def fall(self, error: BaseException) -> None:
        """Our own code failed on this run: park it for a person rather than try for ever. What others answered is kept: it was so."""
        logger("snodo.engine").warning("run.fell", run=self.id, error=repr(error))
        if isinstance(error, SnodoError):
            detail = {"hint": error.hint} if error.hint else {}
            self.walk.failure = Failure(error.code, error.sentence, self.plan.name, "", detail=detail)
        else:
            self.walk.failure = Failure("engine.crashed", f"{type(error).__name__}: {error}", self.plan.name, "")
        self.walk.finished = True
        self.walk.pending.clear()
        answers = [made for made in self.decided.entries if made.record.kind in ("answered", "refused")]
        self.decided, self.askings = Decided(entries=answers), []
        self.kept_back.clear()


def _begun(result: Result, tries: Tries, now: dt.datetime) -> dt.datetime | None:
    """When a call really went out: it may have waited for a thread since its intent was written."""
    if result.took is None or tries.asked is None:
        return tries.asked
    return max(tries.asked, now - dt.timedelta(seconds=result.took))


def _answer_values(result: Result | None, answered: Answered) -> dict[str, Any]:
    values: dict[str, Any] = {"answer": answered.answer}
    if result is not None and result.asking.operation.effect == "read":
        values["request"] = result.asking.request.model_dump(mode="json", exclude_none=True)
    if result is not None and result.facts:
        values["facts"] = facts_as_json(result.facts)
    return values


def _codes(error: JsonObject) -> dict[str, JsonValue]:
    """What a record says openly of a call that failed: the other system's own code too, which says why while the call is tried again."""
    said = {"kind": error["kind"], "code": error["code"]}
    outside = error.get("outside_code")
    return {**said, "outside_code": outside} if outside and outside != error["code"] else said
