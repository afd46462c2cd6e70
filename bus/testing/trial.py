"""The test driver of the interpreter: scripted systems, virtual time, no store and no sockets.

Retries and probes happen by themselves, at their due time; deadlines on the way are kept. When only waits are left, time stands
still until the test lets it pass. The fates are those of the live engine (`bus.engine.fate`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bus.adapter import InDoubt
from bus.catalog import Catalog
from bus.engine import fate
from bus.engine.asks import Answered, Arrived, Ask, Await, Call, Close, Event, Expired, Failed, Join, Noted, Reply, Send
from bus.engine.fate import Done, Outcome, Retry, Tries
from bus.engine.interpreter import Walk, at_the_door, case_keys
from bus.expression import Expression
from bus.log.record import WEAK
from bus.message import Attachment, JsonValue, Message
from bus.route.model import File
from bus.route.plan import CallStep, Plan
from bus.testing.script import End, Script, TrialError

PATIENCE = 10_000
"""Events of virtual time after which a test is taken to run in circles."""


@dataclass(slots=True)
class TestRun:
    """One run in a test: its walk, the tries of its calls, the doubts that a probe will settle, what is on its way, messages it took.

    ``replies`` went to whoever sent the message that started it.
    """

    __test__ = False  # pytest: this is no test class

    walk: Walk
    tries: dict[str, Tries] = field(default_factory=dict)
    doubts: dict[str, End] = field(default_factory=dict)
    coming: dict[str, End] = field(default_factory=dict)
    took: set[str] = field(default_factory=set)
    replies: list[JsonValue] = field(default_factory=list)
    told: bool = False

    @property
    def state(self) -> str:
        """``done``, ``dead`` or ``waiting``."""
        if self.walk.finished:
            return "dead" if self.walk.failure and self.walk.failure.dead else "done"
        return "waiting"

    @property
    def holds_its_case(self) -> bool:
        """Whether those that come after it must wait: it is dead, or at a call."""
        return self.state == "dead" or any(isinstance(ask, Call) for ask in self.walk.pending.values())


@dataclass
class Trial:
    """One test being run.

    What happened is in ``calls`` (each once), ``tried`` (retries too), ``sent``, ``replies`` (of all runs), ``case``, ``records`` (kind
    and fields) and ``runs`` (the late ones after the first; those that have not begun, since one before them holds the case, are ``held``).
    ``failed``: the ways in which calls failed, as ``(step, code of a refusal or kind)``.
    """

    plan: Plan
    catalog: Catalog
    script: Script
    now: dt.datetime
    calls: list[tuple[str, JsonValue]] = field(default_factory=list)
    tried: dict[str, int] = field(default_factory=dict)
    sent: list[tuple[str, JsonValue]] = field(default_factory=list)
    replies: list[JsonValue] = field(default_factory=list)
    case: dict[str, str] = field(default_factory=dict)
    runs: list[TestRun] = field(default_factory=list)
    records: list[tuple[str, JsonValue]] = field(default_factory=list)
    failed: set[tuple[str, str]] = field(default_factory=set)
    held: deque[Walk] = field(default_factory=deque)
    _arrivals: list[Message] = field(default_factory=list)
    _keys_of_case: set[tuple[str, str]] = field(default_factory=set)
    _closed: list[tuple[TestRun, Close]] = field(default_factory=list)
    _dues: list[tuple[dt.datetime, int, TestRun, str]] = field(default_factory=list)
    _events: int = 0

    @property
    def run(self) -> TestRun:
        """The run that the test's message started."""
        return self.runs[0]

    def start(self, body: JsonValue, files: Iterable[File] = ()) -> None:
        """Send the message that starts the run."""
        message = self._message(self.plan.on, body, "send", tuple(map(_attachment, files)))
        self._learn({**self._keys(message), **case_keys(at_the_door(message), self.plan)})
        self._record("received", None, type=message.type)
        self._begin(Walk(self.plan, message))

    def earlier(self, type_name: str, body: JsonValue, time: dt.datetime) -> None:
        """A message of the case came before, at ``time``. Raises `TrialError` where that is later than now."""
        if time > self.now:
            raise TrialError("earlier: the message came after `clock`", hint="what comes later stands under `then`")
        self._arrivals.append(self._message(type_name, body, "earlier", time=time))

    def arrive(self, type_name: str, body: JsonValue) -> None:
        """A message arrives."""
        self._arrivals.append(self._message(type_name, body, "arrive"))
        self._go_on()

    def let_pass(self, until: dt.datetime) -> None:
        """Let time pass; deadlines on the way are kept, in order, with what is asked because of each."""
        while due := self._next_deadline(until):
            self._expire(due[0])
            self._go_on()
        self.now = max(self.now, until)

    # -- messages -----------------------------------------------------------------------------------------------------

    def _message(
        self, type_name: str, body: JsonValue, place: str, files: tuple[Attachment, ...] = (), time: dt.datetime | None = None
    ) -> Message:
        """A message, of now where no ``time`` is said; raises `TrialError` when it is not of its type."""
        self._check(type_name, body, place, "the body")
        identity, told = f"test-{len(self._arrivals) + len(self.runs) + 1}", self.catalog.taken(type_name, body)
        return Message(identity, type_name, "/test", time or self.now, told, sender="test", correlationid=identity, attachments=files)

    def _check(self, type_name: str, body: JsonValue, place: str, what: str) -> None:
        """Raises `TrialError` when ``what`` is no body of its type."""
        if type_name not in self.catalog.types:
            raise TrialError(f"{place}: there is no message type {type_name}", hint=self.catalog.nearest_type(type_name))
        if faults := self.catalog.validate(type_name, body):
            raise TrialError(f"{place}: {what} is not a {type_name}: {faults[0].pointer or 'body'}: {faults[0].sentence}")

    def _keys(self, message: Message) -> dict[str, str]:
        """The business keys a message carries: those of its type and those of the routes it starts."""
        return case_keys(at_the_door(message), self.catalog.types[message.type], *self.catalog.plans_for(message.type))

    def _learn(self, keys: Mapping[str, str]) -> None:
        """The case is known by these keys, too: a name may have several values (`bus.engine.cases`)."""
        self.case |= keys
        self._keys_of_case |= _strong(keys)

    def _settle(self) -> None:
        """A message that carries a key of the case gives it its others."""
        carried = [_strong(self._keys(message)) for message in self._arrivals]
        while more := [keys for keys in carried if keys & self._keys_of_case and not keys <= self._keys_of_case]:
            self._keys_of_case.update(*more)

    def _carries(self, message: Message, key: tuple[str, str] | None) -> bool:
        keys = self._keys(message)
        if key is None:
            self._settle()
            return message.sender == "bus" or bool(_strong(keys) & self._keys_of_case)
        return keys.get(key[0]) == key[1]

    def _match(self) -> None:
        """Every run that waits for a message takes it once; one whose wait is over sees it late, also if it came before the wait.

        What is sent meanwhile is among them: a branch may wait for what the one beside it sends. Calls of the same moment are out before.
        """
        while [message for message in self._arrivals if self._give(message)]:  # who took one may wait for another that was here
            continue
        while self.held and not (self.plan.ordered and any(run.holds_its_case for run in self.runs)):
            self._begin(self.held.popleft())

    def _give(self, message: Message) -> bool:
        """Give a message to all that wait for it, or did; whether anybody took it who waits."""
        took = False
        for run in list(self.runs):
            took |= any(self._offer(run, ask, message) for ask in sorted(_awaits(run), key=lambda one: one.path))
        for run, close in sorted(self._closed, key=lambda one: one[1].path):
            self._take_late(run, close, message)
        return took

    def _tell_closed(self, message: Message) -> None:
        """What a run sends comes at once: where no wait is open for it, it is late for one that is over, also if one opens next."""
        for run, close in sorted(self._closed, key=lambda one: one[1].path):
            if not any(self._fits(run, ask, message) for ask in _awaits(run)):
                self._take_late(run, close, message)

    def _take_late(self, run: TestRun, close: Close, message: Message) -> None:
        """A message that came when the wait for it was over opens a run of its own, which begins when no run before it holds the case."""
        if message.id not in run.took and message.type == close.type and self._carries(message, close.key):
            run.took.add(message.id)
            self._record("late", close, type=message.type)
            self.held.append(Walk(self.plan, message, close.entry))

    def _fits(self, run: TestRun, ask: Await, message: Message) -> bool:
        if message.id in run.took or message.type != ask.type or not self._carries(message, ask.key):
            return False
        return ask.deadline is None or ask.deadline >= message.time  # else late, though the wait begins only now

    def _offer(self, run: TestRun, ask: Await, message: Message) -> bool:
        if not self._fits(run, ask, message):
            return False
        run.took.add(message.id)
        self._record("matched", ask, type=message.type)
        self._feed(run, ask.path, Arrived(self.now, message.id, message.body))
        return True

    # -- the walk -----------------------------------------------------------------------------------------------------

    def _begin(self, walk: Walk) -> None:
        run = TestRun(walk)
        self.runs.append(run)
        self._pursue(run, walk.start())
        self._go_on()

    def _feed(self, run: TestRun, path: str, event: Event) -> None:
        self._pursue(run, run.walk.answer(path, event))

    def _pursue(self, run: TestRun, asks: Iterable[Ask]) -> None:
        todo = deque(asks)
        while todo:
            self._count()
            ask = todo.popleft()
            if ask.path in run.walk.pending and (event := self._consider(run, ask)) is not None:
                todo.extend(run.walk.answer(ask.path, event))
        if run.walk.finished and not run.told:
            run.told = True
            failure = run.walk.failure
            if failure is None:
                self._record("done", None)
            else:
                self._record("dead" if failure.dead else "done", None, step=failure.place.rpartition("/")[2], code=failure.code)

    def _record(self, kind: str, ask: Ask | None, **fields: JsonValue) -> None:
        """Note what the log would hold."""
        step: dict[str, JsonValue] = {} if ask is None else {"step": ask.place.rpartition("/")[2]}
        self.records.append((kind, {**step, **fields}))

    def _consider(self, run: TestRun, ask: Ask) -> Event | None:
        """The event of an ask that is answered at once, else None."""
        match ask:
            case Call() if run.walk.winding_up:  # a branch beside it has ended the run in this very moment: it has not gone out
                return self._note(run, ask, fate.given_up(ask, run.tries.setdefault(ask.path, Tries()), self.now).event)
            case Call():
                try:
                    self.script.check(ask.operation, ask.place, ask.request)
                except TrialError as unfit:
                    return self._unfit(run, ask, unfit)
                self.calls.append((ask.operation, ask.request))
                self._try(run, ask)
                return None
            case Await():
                self._record("waiting", ask, type=ask.type)
                return None
            case Send():
                return self._send(ask)
            case Reply():
                self.replies.append(ask.body)
                run.replies.append(ask.body)
                self._record("replied", ask)
            case Join():
                self._learn(ask.keys)
                self._record("joined", ask)
            case Close():
                self._closed.append((run, ask))
                self._record("closed", ask, type=ask.type)
                for message in self._arrivals:  # also before a wait that comes next sees them
                    self._take_late(run, ask, message)
        return Noted(self.now)

    def _send(self, ask: Send) -> Event:
        """A message goes out, and into the case. Raises `TrialError` for one that the bus would refuse."""
        self._check(ask.type, ask.body, ask.place, "what it sends")
        if not self.catalog.plans_for(ask.type, sent=True) and ask.type not in self.catalog.awaited:
            raise TrialError(f"{ask.place}: no route takes messages of type {ask.type}, so the bus would refuse what it sends")
        self.sent.append((ask.type, ask.body))
        message = Message(f"sent-{len(self.sent)}", ask.type, "/test", self.now, ask.body, sender="bus")
        self._keys_of_case |= _strong(self._keys(message))  # it belongs to the case, and so does what carries a key of it
        self._arrivals.append(message)  # a wait of the route may be for it
        self._record("sent", ask, type=ask.type)
        self._tell_closed(message)
        return Noted(self.now, {"id": message.id})

    # -- calls: the same fates as live, with scripted ends -------------------------------------------------------------

    def _unfit(self, run: TestRun, ask: Call, unfit: TrialError) -> Event:
        """A request that the operation does not take is not asked. Raises ``unfit`` where the route does not speak of that."""
        step = next(one for one in self.plan.walk() if one.place == ask.place)
        conditions = [clause.when for clause in step.on_error] if isinstance(step, CallStep) else []
        told = (when.reads for when in conditions if isinstance(when, Expression))
        if not any("invalid" in reads.texts_beside(("error", "kind")) for reads in told):
            raise unfit
        run.tries.setdefault(ask.path, Tries())
        error = fate.error_of(ask, 0, "invalid", "call.invalid-request", unfit.sentence)
        return self._note(run, ask, Failed(self.now, error))

    def _try(self, run: TestRun, ask: Call) -> None:
        """A try goes out. It comes home later than what the run does of its own, in branches beside it too, even where it takes no time."""
        tries = run.tries.setdefault(ask.path, Tries())
        tries.asks(self.now)
        tries.count, tries.probes, tries.probe = tries.count + 1, 0, False
        self.tried[ask.operation] = self.tried.get(ask.operation, 0) + 1
        operation = self.script.operation(ask.operation, ask.place)
        if operation.effect != "read":
            self._record("asked", ask, operation=ask.operation, attempt=tries.count)
        end = self.script.end(ask.operation, ask.place, (id(run), ask.path))
        timeout = ask.timeout or operation.timeout
        if end.delay > timeout:  # it is done all the same, when its time has come
            late = self.now + dt.timedelta(seconds=end.delay)
            end = replace(end, delay=timeout, error=InDoubt(f"{ask.operation} did not answer within {timeout:g} s"), done=late)
        elif end.delay > 0 and end.answer is None:
            raise TrialError(f"{ask.operation} answers in time: the test must say what", hint="add `answers`")
        run.coming[ask.path] = end
        self._dues.append((self.now + dt.timedelta(seconds=end.delay), self._count(), run, ask.path))

    def _home(self, run: TestRun, ask: Call, end: End) -> Event | None:
        """A try ends."""
        if end.error is None:
            return self._note(run, ask, Answered(self.now, end.answer))
        operation = self.script.operation(ask.operation, ask.place)
        run.doubts[ask.path] = end
        kind = "unreachable" if end.error.kind == "in_doubt" and operation.effect == "read" else end.error.kind
        self.failed.add((ask.place.rpartition("/")[2], end.error.outside_code if kind == "refused" else kind))
        return self._later(run, ask, fate.after_error(ask, operation, run.tries[ask.path], end.error, self.now))

    def _probe(self, run: TestRun, ask: Call) -> Event | None:
        """What a probe sees of a call in doubt."""
        end, tries = run.doubts[ask.path], run.tries[ask.path]
        happened = end.happened if end.done is None else end.done <= self.now
        if happened is None or tries.probes < end.unseen:
            assert end.error is not None
            tries.probes += 1
            operation = self.script.operation(ask.operation, ask.place)
            return self._later(run, ask, fate.after_failed_probe(ask, operation, tries, end.error, self.now))
        if happened:
            return self._note(run, ask, Answered(self.now, end.answer))
        return self._later(run, ask, fate.after_empty_probe(ask, tries, self.now))

    def _note(self, run: TestRun, ask: Call, event: Event) -> Event:
        """Note how a call ended."""
        fields: dict[str, JsonValue] = {"operation": ask.operation, "attempt": run.tries[ask.path].count}
        match event:
            case Failed(error=error):
                self._record("refused" if error["kind"] == "refused" else "unanswered", ask, **fields, code=error["code"])
            case _:
                self._record("answered", ask, **fields)
        return event

    def _later(self, run: TestRun, ask: Call, outcome: Outcome) -> Event | None:
        match outcome:
            case Done(event=event):
                return self._note(run, ask, event)
            case Retry(due=due, probe=probe, doubt=doubt, error=error):
                fields: dict[str, JsonValue] = {"operation": ask.operation, "attempt": run.tries[ask.path].count, "code": error["code"]}
                self._record("unanswered", ask, **fields)
                run.tries[ask.path].probe, run.tries[ask.path].doubt = probe, doubt
                self._dues.append((due, self._count(), run, ask.path))
                return None

    def _go_on(self) -> None:
        """Let virtual time run to each retry and probe, in order. A wait until a date that has passed ends at once."""
        self._match()
        self._expire(self.now)
        while self._dues:
            self._count()
            self._dues.sort(key=lambda one: one[:2])
            due, _, run, path = self._dues.pop(0)
            self._expire(due)
            self.now = max(self.now, due)
            ask = run.walk.pending.get(path)
            if isinstance(ask, Call):
                self._again(run, ask)
            self._match()
            self._expire(self.now)

    def _again(self, run: TestRun, ask: Call) -> None:
        tries = run.tries[ask.path]
        coming = run.coming.pop(ask.path, None)
        event: Event | None
        if coming is not None:
            event = self._home(run, ask, coming)
        elif run.walk.winding_up and not tries.doubt:
            event = self._note(run, ask, fate.given_up(ask, tries, self.now).event)
        elif tries.probe:
            event = self._probe(run, ask)
        else:
            self._try(run, ask)
            return
        if event is not None:
            self._feed(run, ask.path, event)

    # -- time ---------------------------------------------------------------------------------------------------------

    def _expire(self, until: dt.datetime) -> None:
        """Keep all deadlines up to a moment."""
        while due := self._next_deadline(until):
            self._count()
            moment, path, run = due
            self.now = max(self.now, moment)
            self._record("expired", run.walk.pending[path])
            self._feed(run, path, Expired(self.now))
            self._match()

    def _next_deadline(self, until: dt.datetime) -> tuple[dt.datetime, str, TestRun] | None:
        found = [(ask.deadline, ask.path, run) for run in self.runs for ask in _awaits(run) if ask.deadline and ask.deadline <= until]
        return min(found, key=lambda one: one[:2], default=None)

    def _count(self) -> int:
        self._events += 1
        if self._events > PATIENCE:
            raise TrialError("the test runs in circles: more than ten thousand events", hint="see what is retried or awaited for ever")
        return self._events


def _strong(keys: Mapping[str, str]) -> set[tuple[str, str]]:
    """The keys that join cases."""
    return {(name, value) for name, value in keys.items() if name not in WEAK}


def _awaits(run: TestRun) -> list[Await]:
    return [ask for ask in run.walk.pending.values() if isinstance(ask, Await)]


def _attachment(file: File) -> Attachment:
    address = file.sha256 or hashlib.sha256(file.name.encode()).hexdigest()
    return Attachment(address, file.size, file.media_type, file.name)
