"""A route test cut out of the log: what came in, what the systems did and what time brought, with invented people; what must come of it.

What the test expects is what the rules make of the invented people, played once; that the original run went the same way (the same calls
in order) is looked at, and said where it is not so.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from bus.adapter import Operation
from bus.catalog import Catalog
from bus.clock import moment_of, text_of
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

_TOLD = ("send", "earlier", "then", "given")
"""Parts of a test that speak of people, in the order in which they are learnt to be who."""
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


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
    records = evidence.journal(opening.run)
    plan = catalog.routes[route].plan
    cutting = _Cutting(opening, records, evidence, operations)
    masked, replaced = _masked(cutting.written(name))
    if any(isinstance(step, ParallelStep) for step in plan.walk()):  # a test asks in an order of its own: each call gets its answer there
        with contextlib.suppress(SnodoError):
            played = play(plan, TestDocument.model_validate({**masked, "expect": {}}), catalog, operations)
            masked, replaced = _masked(cutting.written(name, list(played.run.tries)))
    asked = tuple(str(record.data["operation"]) for record in _first_asked(records))
    return _expecting(masked, plan, catalog, operations, asked, replaced)


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
    return Cut({**masked, "expect": expect}, plan.route, asked, _same(plan, asked, [operation for operation, _ in trial.calls]), replaced)


def _same(plan: Plan, asked: Sequence[str], made: Sequence[str]) -> bool:
    """Whether the same operations were asked in the same order; branches side by side have none that is sure."""
    if any(isinstance(step, ParallelStep) for step in plan.walk()):
        return sorted(made) == sorted(asked)
    return list(made) == list(asked)


def _first_asked(records: Sequence[Record]) -> Iterator[Record]:
    """The first record of each call, in order."""
    seen: set[str] = set()
    for record in records:
        if record.kind in ("asked", "answered", "refused", "unanswered") and record.path not in seen and "operation" in record.data:
            seen.add(str(record.path))
            yield record


@dataclass
class _Cutting:
    opening: Opening
    records: Sequence[Record]
    evidence: Evidence
    operations: Mapping[str, Operation]

    def written(self, name: str, order: Sequence[str] = ()) -> JsonObject:
        """The test without what it expects, with real people; ``order`` as in `_conducts`."""
        message = self._message(self.opening.message)
        test: JsonObject = {"name": name or f"as it went on {message.time:%Y-%m-%d} (message {self.opening.message[-12:]})"}
        test["given"] = {"clock": text_of(message.time), **self._conducts(order)}
        earlier, then = self._arrivals(message.time)
        if earlier:
            test["earlier"] = earlier
        test["send"] = message.body
        if message.attachments:
            test["attachments"] = [
                {"name": f"allegato-{n}{_ending(file.name)}", "media_type": file.media_type, "size": file.size}
                for n, file in enumerate(message.attachments, 1)
            ]
        if then:
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
        calls = list(_first_asked(self.records))
        if {str(one.path) for one in calls} == set(order):
            calls.sort(key=lambda one: order.index(str(one.path)))
        for first in calls:
            ends = [record for record in self.records if record.path == first.path]
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

    def _arrivals(self, begun: dt.datetime) -> tuple[list[JsonValue], list[JsonValue]]:
        """Messages of the case that came before; what came after, and the time that passed.

        Time counts from when the run began to wait: what its calls took passes by itself. Before a message it is whole minutes, so that a
        deadline that it came in time for is not reached.
        """
        earlier, then = list[JsonValue](), list[JsonValue]()
        now = begun
        deadlines = {record.path: record.data.get("deadline") for record in self.records if record.kind == "waiting"}

        def let_pass(seconds: int) -> None:
            nonlocal now
            now += dt.timedelta(seconds=seconds)
            if seconds:
                then.append({"pass": duration(seconds)})

        for record in self.records:
            if record.kind == "waiting":
                now = max(now, record.time)
            elif record.kind == "matched":
                message = self._message(str(record.data["arrival"]))
                arrival: JsonObject = {"arrive": message.type, "body": message.body}
                if message.time < begun:
                    earlier.append({**arrival, "at": text_of(message.time)})
                else:
                    let_pass(max(0, int((record.time - now).total_seconds()) // 60 * 60))
                    then.append(arrival)
            elif record.kind == "expired" and (due := deadlines.get(record.path)):
                let_pass(max(1, math.ceil((moment_of(due) - now).total_seconds())))
        return earlier, then


def duration(seconds: int) -> str:
    """Seconds as a duration, in the largest unit that says them exactly."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"


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
