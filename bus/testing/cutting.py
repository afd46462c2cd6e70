"""A route test cut out of the log: what came in, what the systems did and what time brought, with invented people; what must come of it.

What the test expects is what the rules make of the invented people, played once; that the original run went the same way (the same calls
in order) is looked at, and said where it is not so.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from pydantic import BaseModel

from bus import calendar
from bus.adapter import Operation
from bus.catalog import Catalog
from bus.clock import moment_of, text_of
from bus.engine import fate
from bus.engine.asks import Await
from bus.errors import Damaged, Invalid, NotFound, SnodoError
from bus.log.record import Record
from bus.message import JsonObject, JsonValue, Message, parsed, without_nulls
from bus.replay.evidence import Evidence, Opening
from bus.route.model import TestDocument
from bus.route.plan import ParallelStep, Plan
from bus.source.writing import in_blocks
from bus.testing.invented import Invented
from bus.testing.routes import play
from bus.testing.script import TrialError
from bus.testing.trial import Trial

_TOLD = ("send", "earlier", "then", "given")
"""Parts of a test that speak of people, in the order in which they are learnt to be who."""
_UNITS = ((3600, "h"), (60, "m"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Cut:
    """A test as a map, the original way (operations asked in order), and whether the test goes the same; ``replaced``: names and codes."""

    test: JsonObject
    route: str
    asked: tuple[str, ...]
    same: bool
    replaced: int


def cut(opening: Opening, evidence: Evidence, catalog: Catalog, operations: Mapping[str, Operation], name: str = "") -> Cut:
    """Cut a test out of one run. Raises `NotFound` when something it needs was erased, `Invalid` for a run that has no test of its own.

    `TrialError` where the rules would refuse today what was said then.
    """
    if opening.entry:
        raise Invalid("this run began with a late message", code="test.late-run", hint="take the message that its case began with")
    route = opening.name.rpartition("@")[0]
    if route not in catalog.routes:
        raise NotFound(f"there is no route {route} any more", code="test.no-route", hint="bus validate lists the routes")
    plan = catalog.routes[route].plan
    cutting = _Cutting(opening, evidence.journal(opening.run), evidence, operations, plan, catalog)
    masked, replaced = _masked(cutting.written(name))
    if any(isinstance(step, ParallelStep) for step in plan.walk()):  # a test asks in an order of its own: each call gets its answer there
        with contextlib.suppress(SnodoError):
            played = play(plan, TestDocument.model_validate({**masked, "expect": {}}), catalog, operations)
            masked, replaced = _masked(cutting.written(name, list(played.run.tries)))
    asked = tuple(str(record.data["operation"]) for record in _first_asked(cutting.everything()))
    return _expecting(masked, plan, catalog, operations, asked, replaced)


def late_for(evidence: Evidence, run: str) -> list[str]:
    """The messages that came too late for a run: each opened one of its own, which belongs to a test of the first."""
    return [str(record.data["arrival"]) for record in evidence.journal(run) if record.kind == "late"]


def _masked(written: JsonObject) -> tuple[dict[str, Any], int]:
    """A test with invented people in the place of real ones, and how many they are."""
    invented = Invented()
    invented.learn([written.get(part) for part in _TOLD])
    return {part: invented.said(value) if part in _TOLD else value for part, value in written.items()}, invented.replaced


def _expecting(
    masked: dict[str, Any], plan: Plan, catalog: Catalog, operations: Mapping[str, Operation], asked: tuple[str, ...], replaced: int
) -> Cut:
    try:
        trial = play(plan, TestDocument.model_validate({**masked, "expect": {}}), catalog, operations)
    except TrialError as error:
        hint = (
            "the rules in the folder do not take what was said then: take a message that came after they changed, or write the test by hand"
        )
        raise TrialError(error.sentence, hint=hint) from error
    failure = trial.run.walk.failure
    expect: dict[str, Any] = {"state": trial.run.state}
    if trial.run.replies:
        expect["reply"] = trial.run.replies[-1]
    expect["calls"] = [{operation: request} if request else operation for operation, request in trial.calls]
    if trial.sent:
        expect["sent"] = [{type: body} for type, body in trial.sent]
    if trial.case:
        expect["case"] = dict(trial.case)
    if failure is not None and failure.dead:
        expect["dead"] = {"code": failure.code, "step": failure.place.rpartition("/")[2]}
    elif failure is not None:
        expect["ended"] = failure.code
    if late := [*(run.state for run in trial.runs[1:]), *("ready" for _ in trial.held)]:
        expect["late"] = late
    return Cut({**masked, "expect": expect}, plan.route, asked, _same(plan, asked, [operation for operation, _ in trial.calls]), replaced)


def _same(plan: Plan, asked: Sequence[str], made: Sequence[str]) -> bool:
    """Whether the same operations were asked in the same order; branches side by side have none that is sure."""
    if any(isinstance(step, ParallelStep) for step in plan.walk()):
        return sorted(made) == sorted(asked)
    return list(made) == list(asked)


def _first_asked(records: Sequence[Record]) -> Iterator[Record]:
    """The first record of each call, in order."""
    seen: set[tuple[str | None, str | None]] = set()
    for record in records:
        if record.kind in ("asked", "answered", "refused", "unanswered") and "operation" in record.data and _call_of(record) not in seen:
            seen.add(_call_of(record))
            if record.data.get("code") != fate.GIVEN_UP:  # the run had ended before it could go out
                yield record


def _call_of(record: Record) -> tuple[str | None, str | None]:
    return record.run, record.path


@dataclass
class _Cutting:
    opening: Opening
    records: Sequence[Record]
    evidence: Evidence
    operations: Mapping[str, Operation]
    plan: Plan
    catalog: Catalog

    def everything(self) -> list[Record]:
        """The records of the run and of those that messages which came too late for it opened, as far as the evidence has them."""
        lates = [record.data["opens"]["id"] for record in self.records if record.kind == "late"]
        return sorted([*self.records, *(one for run in lates for one in self.evidence.journal(run))], key=attrgetter("time"))

    def written(self, name: str, order: Sequence[str] = ()) -> JsonObject:
        """The test without what it expects, with real people; ``order`` as in `_conducts`."""
        message = self._message(self.opening.message)
        test: JsonObject = {"name": name or f"as it went on {message.time:%Y-%m-%d} (message {self.opening.message[-12:]})"}
        test["given"] = {"clock": text_of(message.time), **self._conducts(order)}
        came = self._came()
        if earlier := [{**_arriving(one), "at": text_of(one.time)} for _, one in came if one is not None and one.time < message.time]:
            test["earlier"] = list[JsonValue](earlier)
        test["send"] = message.body
        if message.attachments:
            test["attachments"] = [
                {"name": f"allegato-{n}{_ending(file.name)}", "media_type": file.media_type, "size": file.size}
                for n, file in enumerate(message.attachments, 1)
            ]
        if then := self._then(test, [(record, one) for record, one in came if one is None or one.time >= message.time]):
            test["then"] = then
        return test

    def _message(self, identity: str) -> Message:
        found = self.evidence.message(identity)
        if found is None:
            raise self._gone("a message", self.evidence.messages.get(identity, ""))
        return found

    def _value(self, record: Record, role: str) -> Any:
        payload = str(record.payload(role))
        content = self.evidence.content(payload)
        if content is None:
            raise self._gone("an answer", payload)
        return parsed(content)

    def _gone(self, what: str, payload: str) -> SnodoError:
        """Why there is no text of something: a bundle may hold less than the log."""
        if (why := self.evidence.unopened.get(payload)) is not None:
            return Damaged(f"{what} of this run cannot be opened: {why.sentence}", code=why.code, hint=why.hint)
        if self.evidence.missing == "unavailable: absent":
            hint = "export the case, with payloads, for what a run waited for is another message; or take another message"
            return NotFound(f"the bundle does not hold {what} of this run: it was erased, or not exported", code="test.erased", hint=hint)
        return NotFound(f"{what} of this run was erased", code="test.erased", hint="take another message")

    def _conducts(self, order: Sequence[str]) -> JsonObject:
        """What each operation did, call by call in the order of the calls' paths, else of the calls as they were made."""
        found: dict[str, list[dict[str, Any]]] = {}
        records = self.everything()
        calls = list(_first_asked(records))
        own = [one for one in calls if one.run == self.opening.run]
        if {str(one.path) for one in own} == set(order):
            calls = [*sorted(own, key=lambda one: order.index(str(one.path))), *(one for one in calls if one.run != self.opening.run)]
        for first in calls:
            ends = [record for record in records if _call_of(record) == _call_of(first)]
            found.setdefault(str(first.data["operation"]), []).append(self._conduct(str(first.data["operation"]), ends))
        return {
            name: conducts[0] if all(one == conducts[0] for one in conducts) else list[JsonValue](conducts)
            for name, conducts in found.items()
        }

    def _conduct(self, name: str, records: Sequence[Record]) -> dict[str, Any]:
        away = sum(record.kind == "unanswered" and "again" in record.data and record.data["kind"] == "unreachable" for record in records)
        for record in reversed(records):
            if record.kind == "answered" or (record.kind == "decided" and record.payload("answer")):
                answer = {"answers": _short(self._value(record, "answer"), self.operations.get(name))}
                return {**answer, "unreachable": away} if away else answer
            if record.kind == "refused":
                return {"refuses": str(record.data["code"])}
            if record.kind == "unanswered" and "again" not in record.data:
                return {"silent": True} if record.data["kind"] == "in_doubt" else {"unreachable": True}
        return {"unreachable": True} if records[-1].data.get("kind") == "unreachable" else {"silent": True}  # it is still tried

    def _came(self) -> list[tuple[Record, Message | None]]:
        """What the run was told besides by those that it asked, in order: a message with its record, or None at a deadline.

        What it sent itself comes by itself, and what came too late only where the evidence has the run that it opened.
        """
        own = {record.data.get("sent") for record in self.records if record.kind == "sent"}
        known = {one.run for one in self.evidence.openings}
        found: list[tuple[Record, Message | None]] = []
        for record in self.records:
            if record.kind == "expired":
                found.append((record, None))
            elif record.data.get("arrival") in own:
                continue
            elif record.kind == "matched" or (record.kind == "late" and record.data["opens"]["id"] in known):
                found.append((record, self._message(str(record.data["arrival"]))))
        return found

    def _then(self, test: JsonObject, came: Sequence[tuple[Record, Message | None]]) -> list[JsonValue]:
        """What comes after the message, and the time that passes between. A test's calls take less time than real ones, or more: each
        deadline is let pass where it lies in the test. Rules that take another way get the times of the log.
        """
        try:
            trial = play(self.plan, TestDocument.model_validate({"name": "x", **test, "expect": {}}), self.catalog, self.operations)
        except SnodoError:
            trial = None  # who plays the whole test says why
        passing = _Passing(trial, moment_of(test["given"]["clock"]))  # type: ignore[index, call-overload, arg-type]
        for record, message in came:
            if message is None:
                passing.expire(record, self._deadline(record))
            else:
                passing.arrive(record, message)
        return passing.then

    def _deadline(self, expired: Record) -> dt.datetime | None:
        said = next((one.data.get("deadline") for one in self.records if one.kind == "waiting" and one.path == expired.path), None)
        return moment_of(said) if said else None


def _arriving(message: Message) -> JsonObject:
    return {"arrive": message.type, "body": message.body}


@dataclass
class _Passing:
    """The course of a test, written as it is played: ``trial`` is where it stands, None where it cannot be played."""

    trial: Trial | None
    now: dt.datetime
    then: list[JsonValue] = field(default_factory=list)

    def arrive(self, record: Record, message: Message) -> None:
        """A message comes, whole minutes later; not when a wait that it came in time for would be over."""
        seconds = int((record.time - self._moment()).total_seconds()) // 60 * 60
        deadlines = [] if self.trial is None else [ask.deadline for ask in self.trial.run.walk.pending.values() if isinstance(ask, Await)]
        left = [math.ceil((one - self._moment()).total_seconds()) - 1 for one in deadlines if one is not None]
        self._let_pass(min([seconds, *left]))
        self.then.append(_arriving(message))
        if self.trial is not None:
            with self._following():
                self.trial.arrive(message.type, message.body)

    def expire(self, record: Record, due: dt.datetime | None) -> None:
        """The deadline of a wait comes, which the log says to be ``due``."""
        if self.trial is not None:
            wait = self.trial.run.walk.pending.get(str(record.path))
            due = wait.deadline if isinstance(wait, Await) else None  # it is over already, or was never there
        if due is not None:
            self._let_pass(max(1, math.ceil((due - self._moment()).total_seconds())))

    def _moment(self) -> dt.datetime:
        return self.now if self.trial is None else self.trial.now

    def _let_pass(self, seconds: int) -> None:
        if seconds <= 0:
            return
        for text in durations(seconds, self._moment()):
            self.then.append({"pass": text})
            until = calendar.moment_after(text)(self._moment())
            self.now = until
            if self.trial is not None:
                with self._following():
                    self.trial.let_pass(until)

    @contextlib.contextmanager
    def _following(self) -> Iterator[None]:
        """What the test cannot play is said by who plays the whole of it."""
        assert self.trial is not None
        try:
            yield
        except SnodoError:
            self.now, self.trial = self.trial.now, None


def durations(seconds: int, start: dt.datetime) -> Iterable[str]:
    """Durations that end so many seconds after ``start``: days by the clock on the wall if they do, else the largest unit that is exact."""
    days, until = f"{max(1, round(seconds / 86400))}d", start + dt.timedelta(seconds=seconds)
    if calendar.moment_after(days)(start) == until:
        return [days]
    if seconds > calendar.MOST["s"]:
        hours, left = divmod(seconds, 3600)
        return [f"{hours}h", *durations(left, start + dt.timedelta(hours=hours))] if left else [f"{hours}h"]
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return [f"{seconds // size}{unit}"]


def _short(answer: JsonValue, operation: Operation | None) -> JsonValue:
    """An answer without the nulls that its shape adds by itself."""
    if operation is None or not isinstance(answer, dict):
        return answer
    short = without_nulls(answer)
    model: type[BaseModel] = operation.answer
    try:
        same = model.model_validate(short).model_dump(mode="json") == answer
    except ValueError:
        same = False
    return short if same else answer


def _ending(name: str) -> str:
    found = re.search(r"\.[A-Za-z0-9]{1,5}$", name)
    return found[0].lower() if found else ""


def as_yaml(test: JsonObject) -> str:
    """The test as an item of ``tests``."""
    return "".join(f"  {'  ' if n else '- '}{line}\n" for n, line in enumerate(in_blocks(test)))
