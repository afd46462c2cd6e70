"""Route tests: the tests inside route files, run by the interpreter's test driver. No store, no sockets, no real time.

A test says what the outside systems do (``given``), what arrives (``send``, ``then``) and what must come of it (``expect``).
Retries, settle times and deadlines run in virtual time: retries by themselves, deadlines when the test lets time ``pass``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from bus.adapter import InDoubt, Operation, OutsideError, Refused, Unreachable
from bus.catalog import Catalog
from bus.clock import moment_of
from bus.engine import fate
from bus.engine.asks import Answered, Arrived, Ask, Await, Call, Close, Event, Expired, Join, Noted, Reply, Send
from bus.engine.fate import Tries
from bus.engine.interpreter import Walk, case_keys, key_texts
from bus.engine.outcome import Done, Retry
from bus.errors import ExpressionError, SnodoError
from bus.message import JsonValue, Message, envelope_of
from bus.route.plan import Plan

START = "2026-03-02T09:00:00+01:00"
PATIENCE = 10_000
"""Steps of virtual time after which a test is taken to run in circles."""


class TrialError(SnodoError):
    """A test that says something impossible: an operation nobody declares, an answer that is not of its type."""

    family = "test"
    default_code = "test.wrong"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one test; ``faults`` is empty when it passed. ``branches`` are the steps it walked."""

    route: str
    name: str
    faults: tuple[str, ...]
    branches: frozenset[str] = frozenset()

    @property
    def passed(self) -> bool:
        return not self.faults


@dataclass
class Trial:
    """One test being run: a walk, a virtual clock, scripted systems, and what happened so far."""

    plan: Plan
    catalog: Catalog
    operations: Mapping[str, Operation]
    given: Mapping[str, Any]
    now: dt.datetime
    calls: list[tuple[str, JsonValue]] = field(default_factory=list)
    sent: list[tuple[str, JsonValue]] = field(default_factory=list)
    replies: list[JsonValue] = field(default_factory=list)
    case: dict[str, str] = field(default_factory=dict)
    walked: set[str] = field(default_factory=set)
    arrivals: list[Message] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)
    tries: dict[str, Tries] = field(default_factory=dict)
    dues: list[tuple[dt.datetime, str]] = field(default_factory=list)
    walk: Walk = field(init=False)

    def send(self, body: JsonValue, attachments: Iterable[Any] = ()) -> None:
        """The message that starts the run."""
        faults = self.catalog.types[self.plan.on].validate(body)
        if faults:
            raise TrialError(f"send: the body is not a {self.plan.on}: {faults[0].pointer}: {faults[0].sentence}")
        message = self.message(self.plan.on, body)
        self.case = dict(case_keys(self.plan, message))
        self.walk = Walk(self.plan, message)
        self._pursue(self.walk.start())
        self._run_retries()

    def arrive(self, type_name: str, body: JsonValue) -> None:
        """A message of the case arrives."""
        declared = self.catalog.types.get(type_name)
        if declared is None:
            raise TrialError(f"arrive: there is no type {type_name}")
        if faults := declared.validate(body):
            raise TrialError(f"arrive: the body is not a {type_name}: {faults[0].pointer}: {faults[0].sentence}")
        self.arrivals.append(self.message(type_name, body))
        for ask in list(self.walk.pending.values()):
            if isinstance(ask, Await) and self._take_arrival(ask):
                break
        self._run_retries()

    def passes(self, until: dt.datetime) -> None:
        """Let time pass; deadlines on the way are kept, in order."""
        for _ in range(PATIENCE):
            due = [(a.deadline, p) for p, a in self.walk.pending.items() if isinstance(a, Await) and a.deadline and a.deadline <= until]
            if not due:
                break
            moment, path = min(due)
            self.now = max(self.now, moment)
            self._feed(path, Expired(self.now))
            self._run_retries()
        self.now = max(self.now, until)

    @property
    def state(self) -> str:
        if self.walk.finished:
            return "dead" if self.walk.failure else "done"
        return "waiting"

    def message(self, type_name: str, body: JsonValue) -> Message:
        identity = f"test-{len(self.arrivals) + 1}"
        return Message(identity, type_name, "/test", self.now, body, sender="test", correlationid=identity)

    def _pursue(self, asks: Iterable[Ask]) -> None:
        todo = deque(asks)
        while todo:
            ask = todo.popleft()
            if ask.path not in self.walk.pending:
                continue
            self.walked.add(ask.place.rpartition("/")[2])
            event = self._consider(ask)
            if event is not None:
                todo.extend(self.walk.answer(ask.path, event))

    def _consider(self, ask: Ask) -> Event | None:
        match ask:
            case Call():
                return self._call(ask)
            case Await():
                self._take_arrival(ask)
                return None
            case Send():
                self._check_sent(ask)
                self.sent.append((ask.type, ask.body))
                return Noted(self.now, {"id": f"sent-{len(self.sent)}"})
            case Reply():
                self.replies.append(ask.body)
            case Join():
                self.case.update(ask.keys)
            case Close():
                pass
        return Noted(self.now)

    def _check_sent(self, ask: Send) -> None:
        declared = self.catalog.types.get(ask.type)
        if declared is None:
            raise TrialError(f"{ask.place}: there is no type {ask.type}")
        if faults := declared.validate(ask.body):
            raise TrialError(f"{ask.place}: the body sent is not a {ask.type}: {faults[0].pointer}: {faults[0].sentence}")

    def _take_arrival(self, ask: Await) -> bool:
        for message in self.arrivals:
            if message.type == ask.type and self._fits(message, ask.key):
                self.arrivals.remove(message)
                self._feed(ask.path, Arrived(self.now, message.id, message.body))
                return True
        return False

    def _fits(self, message: Message, key: tuple[str, str] | None) -> bool:
        scope = {"body": message.body, "message": envelope_of(message), "case": {}}
        keys = key_texts({name: expression(scope) for name, expression in self.catalog.types[message.type].case.items()})
        if key is None:
            return any(self.case.get(name) == value for name, value in keys.items())
        return keys.get(key[0]) == key[1]

    def _feed(self, path: str, event: Event) -> None:
        self._pursue(self.walk.answer(path, event))

    # -- calls: the same fates as live, with scripted ends ------------------------------------------------------------

    def _call(self, ask: Call) -> Event | None:
        operation = self.operations.get(ask.operation)
        if operation is None:
            raise TrialError(f"{ask.place}: no adapter declares {ask.operation}")
        try:
            operation.request.model_validate(ask.request)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise TrialError(
                f"{ask.place}: {ask.operation} cannot be asked this: {'.'.join(map(str, first['loc']))}: {first['msg']}"
            ) from error
        tries = self.tries.setdefault(ask.path, Tries())
        tries.count, tries.asked = tries.count + 1, self.now
        self.calls.append((ask.operation, ask.request))
        return self._fate(ask, operation, tries, self._script(ask, operation))

    def _fate(self, ask: Call, operation: Operation, tries: Tries, end: JsonValue | OutsideError) -> Event | None:
        if not isinstance(end, OutsideError):
            return Answered(self.now, end)
        outcome = fate.after_error(ask, operation, tries, end, self.now)
        return self._later(ask, tries, outcome, end)

    def _later(self, ask: Call, tries: Tries, outcome: Done | Retry, end: OutsideError) -> Event | None:
        match outcome:
            case Done(event=event):
                return event
            case Retry(due=due, probe=probe):
                tries.probe = probe
                tries.doubt = bool(end.detail.get("happened")) if probe else False
                self.dues.append((due, ask.path))
                return None

    def _run_retries(self) -> None:
        """Let virtual time run to each retry and probe, in order."""
        for _ in range(PATIENCE):
            if not self.dues:
                return
            self.dues.sort()
            due, path = self.dues.pop(0)
            ask = self.walk.pending.get(path)
            if not isinstance(ask, Call):
                continue
            self.now = max(self.now, due)
            event = self._again(ask)
            if event is not None:
                self._feed(path, event)
        raise TrialError("the test runs in circles: more than ten thousand retries")

    def _again(self, ask: Call) -> Event | None:
        tries, operation = self.tries[ask.path], self.operations[ask.operation]
        if not tries.probe:
            return self._call(ask)
        tries.probe = False
        if tries.doubt:
            return Answered(
                self.now, self._answer(ask.operation, operation, self._entry(ask.operation, tries.count - 1).get("answers"), ask.place)
            )
        return self._later(ask, tries, fate.after_empty_probe(ask, tries, self.now), Unreachable("not applied"))

    def _entry(self, operation: str, number: int) -> Mapping[str, Any]:
        scripted = self.given.get(operation)
        entries = scripted if isinstance(scripted, list) else [scripted]
        if not entries or entries[0] is None:
            raise TrialError(f"the test does not say what {operation} does", hint=f"given: {{{operation}: {{answers: {{…}}}}}}")
        found: Mapping[str, Any] = entries[min(number, len(entries) - 1)]
        return found

    def _script(self, ask: Call, operation: Operation) -> JsonValue | OutsideError:
        """How this call ends, as the test says."""
        number = self.used.get(ask.operation, 0)
        self.used[ask.operation] = number + 1
        entry = self._entry(ask.operation, number)
        if "unreachable" in entry and (entry["unreachable"] is True or number < entry["unreachable"]):
            return Unreachable(f"{ask.operation} is down")
        if entry.get("silent"):
            return InDoubt(f"{ask.operation} does not answer")
        if "in_doubt" in entry and number == 0:
            return InDoubt(f"{ask.operation} did not say what it did", happened=entry["in_doubt"] == "happened")
        if "refuses" in entry:
            return self._refusal(ask, operation, str(entry["refuses"]))
        return self._answer(ask.operation, operation, entry.get("answers"), ask.place)

    def _refusal(self, ask: Call, operation: Operation, code: str) -> Refused:
        if code not in operation.refusals:
            known = ", ".join(sorted(operation.refusals))
            raise TrialError(f"{ask.operation} never refuses with {code}", hint=f"it refuses with: {known}")
        return Refused(operation.refusals[code], outside_code=code)

    def _answer(self, name: str, operation: Operation, answer: Any, place: str) -> JsonValue:
        try:
            shown: JsonValue = operation.answer.model_validate(answer).model_dump(mode="json")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise TrialError(f"{place}: {name} never answers this: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        return shown


def run(plan: Plan, tests: Iterable[Mapping[str, Any]], catalog: Catalog, operations: Mapping[str, Operation]) -> list[Verdict]:
    """Run the tests of one route."""
    return [_run_one(plan, test, catalog, operations) for test in tests]


def _run_one(plan: Plan, test: Mapping[str, Any], catalog: Catalog, operations: Mapping[str, Operation]) -> Verdict:
    given = dict(test.get("given") or {})
    trial = Trial(plan, catalog, operations, given, moment_of(given.pop("clock", START)))
    try:
        for event in test.get("earlier") or ():
            trial.arrivals.append(trial.message(event["arrive"], event["body"]))
        trial.send(test["send"])
        for event in test.get("then") or ():
            if "arrive" in event:
                trial.arrive(event["arrive"], event["body"])
            else:
                trial.passes(trial.now + duration(event["pass"]))
        faults = tuple(_compare(test.get("expect") or {}, trial))
    except (SnodoError, ExpressionError) as error:
        faults = (f"{error.sentence}" + (f" ({error.hint})" if error.hint else ""),)
    return Verdict(plan.name, str(test["name"]), faults, frozenset(trial.walked))


def _compare(expect: Mapping[str, Any], trial: Trial) -> Iterable[str]:
    for name, wanted in expect.items():
        yield from EXPECTATIONS[name](wanted, trial)


def _state(wanted: Any, trial: Trial) -> Iterable[str]:
    if trial.state != wanted:
        failure = trial.walk.failure
        why = f": {failure.place}: {failure.code}: {failure.sentence}" if failure else ""
        yield f"state: expected {wanted}, is {trial.state}{why}"


def _reply(wanted: Any, trial: Trial) -> Iterable[str]:
    last = trial.replies[-1] if trial.replies else None
    yield from (f"reply{fault}" for fault in differences(wanted, last))


def _replies(wanted: Any, trial: Trial) -> Iterable[str]:
    yield from (f"replies{fault}" for fault in differences(wanted, trial.replies))


def _calls(wanted: Any, trial: Trial) -> Iterable[str]:
    """The operations asked, in order; an entry may be a name or ``{name: part of the request}``."""
    yield from _sequence("calls", wanted, trial.calls)


def _sent(wanted: Any, trial: Trial) -> Iterable[str]:
    yield from _sequence("sent", wanted, trial.sent)


def _sequence(what: str, wanted: list[Any], happened: list[tuple[str, JsonValue]]) -> Iterable[str]:
    names = [name if isinstance(name, str) else next(iter(name)) for name in wanted]
    if names != [name for name, _ in happened]:
        yield f"{what}: expected {', '.join(names) or 'none'}; were {', '.join(name for name, _ in happened) or 'none'}"
        return
    for entry, (name, body) in zip(wanted, happened, strict=True):
        if not isinstance(entry, str):
            yield from (f"{what}: {name}{fault}" for fault in differences(entry[name], body))


def _case(wanted: Any, trial: Trial) -> Iterable[str]:
    yield from (f"case{fault}" for fault in differences(wanted, trial.case))


def _dead(wanted: Any, trial: Trial) -> Iterable[str]:
    failure = trial.walk.failure
    if failure is None:
        yield f"dead: expected {wanted}, the run is {trial.state}"
        return
    found = {"code": failure.code, "step": failure.place.rpartition("/")[2], "sentence": failure.sentence}
    yield from (f"dead{fault}" for fault in differences(wanted, found))


EXPECTATIONS = {"state": _state, "reply": _reply, "replies": _replies, "calls": _calls, "sent": _sent, "case": _case, "dead": _dead}


def differences(wanted: Any, found: Any, place: str = "") -> list[str]:
    """Where ``found`` lacks what is wanted; objects may have more members than wanted, lists may not."""
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return [f"{place}: expected an object, is {found!r}"]
        return [fault for key, value in wanted.items() for fault in differences(value, found.get(key), f"{place}.{key}")]
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return [f"{place}: expected {len(wanted)} items, is {found!r}"]
        return [fault for i, value in enumerate(wanted) for fault in differences(value, found[i], f"{place}[{i}]")]
    return [] if wanted == found and type(wanted) is type(found) else [f"{place}: expected {wanted!r}, is {found!r}"]


_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> dt.timedelta:
    """A span of time a test lets pass: ``31d``, ``90s``."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise TrialError(f"{text!r} is not a span of time", hint="a number and ms, s, m, h or d")
    return dt.timedelta(seconds=int(match[1]) * _UNITS[match[2]])
