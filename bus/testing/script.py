"""What the outside systems do in a route test: ``given`` turned into the end of each call, one after the other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from bus import calendar
from bus.adapter import InDoubt, Operation, OutsideError, Refused, Unreachable
from bus.errors import SnodoError
from bus.faults import first_of
from bus.message import JsonValue


class TrialError(SnodoError):
    """A test that says something impossible: an operation nobody declares, an answer that is not of its type."""

    default_code = "test.wrong"


@dataclass(frozen=True, slots=True)
class End:
    """How one try ends: with an ``error`` or an ``answer``, after so many seconds (``delay``).

    When it is in doubt, ``happened`` says what a probe will see (None: the probe gets no answer), and ``answer`` what it finds; the first
    ``unseen`` probes get no answer, nor does one before the moment ``done`` see anything. ``lasting``: so ends each try of the call.
    """

    answer: JsonValue = None
    error: OutsideError | None = None
    happened: bool | None = None
    delay: float = 0.0
    unseen: int = 0
    done: dt.datetime | None = None
    lasting: bool = False


@dataclass(slots=True)
class Script:
    """The ends that a test gives. An operation's list is gone through try by try, but one that never answers lasts for all tries of its
    call; the last entry is kept to.
    """

    given: Mapping[str, Any]
    operations: Mapping[str, Operation]
    _turns: dict[str, Iterator[End]] = field(default_factory=dict)
    _lasting: dict[Hashable, End] = field(default_factory=dict)

    def operation(self, name: str, place: str) -> Operation:
        """Raises `TrialError` for an operation nobody declares."""
        found = self.operations.get(name)
        if found is None:
            raise TrialError(f"{place}: no adapter declares {name}")
        return found

    def check(self, name: str, place: str, request: JsonValue) -> None:
        """Raises `TrialError` when the route asks what the operation cannot be asked."""
        try:
            self.operation(name, place).request.model_validate(request)
        except ValidationError as error:
            raise TrialError(f"{place}: {name} cannot be asked this: {first_of(error)}") from error

    def end(self, name: str, place: str, call: Hashable) -> End:
        """How the next try of an operation ends, in one ``call``."""
        if call in self._lasting:
            return self._lasting[call]
        if name not in self.given:
            raise TrialError(
                f"{place} asks {name}, and the test does not say what that does", hint=f"given: {{{name}: {{answers: {{…}}}}}}"
            )
        if name not in self._turns:
            self._turns[name] = self._ends(name, self.operation(name, place))
        end = next(self._turns[name], None)
        if end is None:
            raise TrialError(f"{place} asks {name} once more than the test says what it does", hint="add `answers` to its last entry")
        if end.lasting:
            self._lasting[call] = end
        return end

    def _ends(self, name: str, operation: Operation) -> Iterator[End]:
        said = self.given[name]
        entries = said if isinstance(said, list) else [said]
        for number, entry in enumerate(entries):
            yield from self._entry(name, operation, entry, last=number == len(entries) - 1)

    def _entry(self, name: str, operation: Operation, entry: Mapping[str, Any], last: bool) -> Iterator[End]:
        """The ends of one entry; the last entry never ends, unless nothing is said of what comes after a failure."""
        answer = self._answer(name, operation.answer, entry["answers"]) if "answers" in entry else None
        if "refuses" in entry:
            code = str(entry["refuses"])
            always = End(error=Refused(operation.refusals.get(code, "refused"), outside_code=code))
        elif entry.get("silent"):
            always = End(error=InDoubt(f"{name} does not answer"), lasting=True)
        elif entry.get("unreachable") is True:
            always = End(error=Unreachable(f"{name} is down"), lasting=True)
        elif entry.get("faults") is True:
            always = End(error=InDoubt(f"{name} failed"), happened=False, lasting=True)
        else:
            yield from _before(name, operation, entry, answer)
            if "answers" not in entry:
                return
            always = End(answer)
        yield always
        while last:
            yield always

    def _answer(self, name: str, model: type[BaseModel], answer: Any) -> JsonValue:
        try:
            shown: JsonValue = model.model_validate(answer).model_dump(mode="json")
        except ValidationError as error:
            raise TrialError(f"{name} never answers this: {first_of(error)}") from error
        return shown


def _before(name: str, operation: Operation, entry: Mapping[str, Any], answer: JsonValue) -> Iterator[End]:
    """What an operation does before it answers. Raises `TrialError` where it must say what a probe then finds."""
    down = Unreachable(f"{name} is down")
    for _ in range(entry.get("unreachable") or 0):
        yield End(error=down)
    for _ in range(entry.get("faults") or 0):
        yield End(error=InDoubt(f"{name} failed"), happened=False)
    done = entry.get("in_doubt") == "happened" or "dies" in entry or "delays" in entry
    if done and operation.probe and "answers" not in entry:
        raise TrialError(f"{name} is in doubt and happened: the test must say what it then answers", hint="add `answers`")
    if entry.get("in_doubt"):
        yield End(answer, InDoubt(f"{name} did not say what it did"), done)
    if "delays" in entry:
        yield End(answer, delay=calendar.seconds_of(entry["delays"]))
    if entry.get("dies"):
        away = int(entry["dies"])
        yield End(answer, InDoubt(f"{name} died before it answered"), True, unseen=away)
        if not operation.probe:
            yield from (End(error=down) for _ in range(away))
