"""The tests inside a route file: their shape, and whether they speak of things that exist and can happen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bus.mapping.shapes import unknown_field
from bus.mapping.types import MessageType, validate_whole
from bus.message import JsonValue
from bus.route.model import THEN_ANSWERS, Conduct, TestDocument, TestsFile, check_clock, shared_with
from bus.route.parse import ParsedRoute
from bus.route.world import World, target_schema
from bus.source import EMPTY, Pointer, Reporter, nearest, suggestion, validated, wrong_fields

SERVICES = "servizi"
"""The table that routes/servizi.yaml is."""
_WORDS = {
    "operation": ("asks", "operation.unknown", "test.not-asked"),
    "message type": ("sends", "type.unknown", "test.not-sent"),
}
_BY_NAME = frozenset({"tries", "case"})
"""Expectations that look at the names written there, and at nothing where there is none."""

Found = tuple[tuple[int, TestDocument], ...]
"""Tests with their positions in their file."""


def may_be_misspelt(report: Reporter) -> bool:
    """Whether a field of the file is none, which may be what was looked for and not found."""
    return any(finding.code == "field.unknown" for finding in report.findings)


def may_be_given(document: Any) -> bool:
    """Whether a field of a document is none, and probably was to be ``given``."""
    return "given" not in document and nearest("given", document) is not None


def check_tests(parsed: ParsedRoute, world: World, report: Reporter, beside: tuple[Any, Reporter] | None = None) -> tuple[Found, Found]:
    """The tests in a route's file and those in the file ``beside`` it, with what they share; wrong ones are left out."""
    checker = _Checker(parsed, world, report, lost=may_be_given(parsed.document))
    shared = parsed.model.given
    if shared and not parsed.model.tests and beside is None and not may_be_misspelt(report):
        report.report(("given",), "test.unused", "there are no tests that could use this", "", "warning", key=True)
    checker.given(shared, ("given",))
    inside = checker.tests(parsed.model.tests, shared)
    if beside is None:
        return inside, ()
    document, checker.report = beside
    file = validated(document, TestsFile, checker.report)
    if file is None:
        return inside, ()
    checker.lost = checker.lost or may_be_given(document)
    checker.given(file.given, ("given",))
    return inside, checker.tests(file.tests, shared_with(shared, file.given))


def patched(body: Any, changes: Any) -> Any:
    """A body with changes (JSON merge patch, RFC 7396): maps are laid together, null takes a field away, the rest is replaced."""
    if not isinstance(changes, Mapping):
        return changes
    kept = dict(body) if isinstance(body, Mapping) else {}
    for name, change in changes.items():
        if change is None:
            kept.pop(name, None)
        else:
            kept[name] = patched(kept.get(name), change)
    return kept


def check_body(
    declared: MessageType, body: JsonValue, world: World, report: Reporter, pointer: Pointer, shared: JsonValue | None = None
) -> None:
    """A body that a test gives, against its type; not where its codes or forms are those of a table that cannot be read.

    ``shared`` is what it was made of, if any: what is wrong there is told there, once for all tests.
    """
    looked = {one.table for form in declared.forms.values() for one in form.reads.lookups}
    lost = world.broken & world.tables.keys()
    if lost & looked or any(codes is world.tables[name] for name in lost for codes in declared.codes.values()):
        return
    faults = validate_whole(declared, body, world.taken)
    told = validate_whole(declared, shared, world.taken) if faults and shared is not None else ()
    if any(fault.strange for fault in told):
        return  # a misspelt field is missing, and others depend on it
    if whole := [fault for fault in faults if not fault.pointer and fault not in told]:
        hint = (
            "`send` is the whole body; `but` changes the one under `given.messages`" if pointer[-1:] == ("send",) and len(whole) > 1 else ""
        )
        said = "; ".join(fault.sentence for fault in whole)
        report.report(pointer, "test.body", f"the body is not a `{declared.name}`: {said}", hint)
    for fault in faults:
        if fault in told or not fault.pointer:
            continue
        inside = tuple(int(piece) if piece.isdigit() else piece for piece in fault.pointer.split("/")[1:])
        sentence = f"the body is not a `{declared.name}`: {fault.sentence}"
        hint = "" if fault.strange else _written(fault.sentence, body, inside)
        report.report((*pointer, *inside), "test.body", sentence, hint, key=fault.strange)


def _written(sentence: str, body: Any, place: Pointer) -> str:
    """How a value of the kind that is asked for is written, where the one that stands there may be meant so."""
    for piece in place:
        body = body[int(piece)] if isinstance(body, list) else body.get(str(piece))
    asked = re.search(r'is not (?:of type|a) "([a-z-]+)"', sentence)
    kind = asked[1] if asked else ""
    if kind == "boolean" and isinstance(body, str):
        return "write true or false, without quotes"
    if kind in {"integer", "number"} and isinstance(body, str):
        return "write its digits, without quotes"
    if kind == "string" and isinstance(body, (bool, int, float)):
        return f'a text that looks like something else has quotes: "{json.dumps(body)}"'
    return {"date": "a date is written 2026-03-01", "date-time": "a moment is written 2026-03-01T10:00:00Z"}.get(kind, "")


def check_fields(name: str, expected: Any, world: World, report: Reporter, place: Pointer) -> None:
    """The fields that a test expects of a request or a message: that one which does not exist is null would always hold."""
    schema = target_schema(name, world)
    for path in _paths(expected) if schema else ():
        if found := unknown_field(schema, ["[]" if isinstance(piece, int) else piece for piece in path]):
            position, known = found
            hint = suggestion(str(path[position]), known) or "it has " + ", ".join(known)
            sentence = f"`{name}` has no field `{path[position]}`"
            report.report((*place, *path[: position + 1]), "test.unknown-field", sentence, hint, key=True)


@dataclass(slots=True)
class _Checker:
    """Checks the tests of one route."""

    parsed: ParsedRoute
    world: World
    report: Reporter
    names: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    awaited: set[str] = field(default_factory=set)
    steps: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    lost: bool = False
    """Whether the bodies that are given may stand under a word that was misspelt."""
    strange: set[str] = field(default_factory=set)
    """Types of bodies that are given, and that there are not."""

    def __post_init__(self) -> None:
        """What the route does, for all its tests."""
        self.keys |= self.parsed.model.case.keys()
        if (taken := self.world.types.get(self.parsed.model.on)) is not None:
            self.keys |= taken.case.keys()
        for step in self.parsed.every:
            model = step.model
            self.steps.add(model.id)
            if step.kind == "call":
                self.asked |= {one for one in (model.call, model.undo) if one is not None}
                if model.undo is not None and (called := self.world.operations.get(model.call)) is not None and called.undo:
                    self.asked.add(called.undo if "." in called.undo else f"{model.call.split('.')[0]}.{called.undo}")
                self.keys |= model.case.keys()
            elif step.kind == "send":
                self.sent.add(model.send)
            elif step.kind in {"wait", "gather"}:
                self.awaited |= {step.what} - {None}

    def tests(self, written: list[dict[str, Any]], shared: dict[str, Any]) -> Found:
        return tuple((at, test) for at, one in enumerate(written) if (test := self.test(one, ("tests", at), shared)) is not None)

    def test(self, written: Any, pointer: Pointer, shared: dict[str, Any]) -> TestDocument | None:
        read = validated(written, TestDocument, self.report, pointer)
        test = read or _readable(written)
        if test is None:
            return None
        if test.name in self.names:
            self.report.report((*pointer, "name"), "test.duplicate-name", "there is already a test with this name")
        self.names.add(test.name)
        self.given(test.given, (*pointer, "given"))
        whole = test.model_copy(update={"given": shared_with(shared, test.given)})
        messages = whole.given.get("messages")
        self._events(test, messages if isinstance(messages, dict) else {}, pointer)
        if read is None:
            return None
        self._expectation(test, (*pointer, "expect"))
        return whole

    # --- what is given -----------------------------------------------------------------------------------------------

    def given(self, given: Mapping[str, Any], pointer: Pointer) -> None:
        for name, said in given.items():
            place = (*pointer, name)
            if name == "clock":
                if problem := check_clock(said):
                    self.report.report(place, "test.clock", "this is no moment", problem)
            elif name == "messages":
                self._messages(said, place)
            else:
                told = self._operation(name, place)
                if "." not in name:  # no operation is called so
                    self.lost = True
                if told:
                    continue
                turns: list[Any] = said if isinstance(said, list) else [said]
                for turn, one in enumerate(turns):
                    self._conduct(one, (*place, turn) if isinstance(said, list) else place, name)

    def _messages(self, said: Any, place: Pointer) -> None:
        if not isinstance(said, dict):
            self.lost = True
            self.report.report(place, "test.messages", "messages are a map from type to body")
            return
        for name, body in said.items():
            self._body(name, body, (*place, name), (*place, name), key=True)

    def _operation(self, name: str, place: Pointer) -> bool:
        """Look for an operation, and for a step that asks it; whether what is said of it is part of a mistake that is told."""
        if name not in self.world.operations:
            hint = suggestion(name, [*self.world.operations, "clock", "messages"])
            self.report.report(place, "operation.unknown", f"there is no operation `{name}`", hint, key=True)
        elif name not in self.asked and self.parsed.complete and self.asked <= self.world.operations.keys():
            hint = "it asks " + ", ".join(sorted(self.asked)) if self.asked else ""
            self.report.report(place, "test.not-asked", f"the route never asks `{name}`", hint, key=True)
            return True
        return "." not in name

    def _conduct(self, written: Any, place: Pointer, name: str) -> None:
        conduct = validated(written, Conduct, self.report, place)
        if conduct is None:
            return
        said = conduct.model_fields_set
        ways = said - {"answers"} if said & THEN_ANSWERS else said
        if len(ways) != 1:
            hint = "one of answers, refuses, silent; or of unreachable, in_doubt, faults, delays, dies (each then answers)"
            self.report.report(place, "test.conduct", "an operation does one thing at a time", hint)
        operation = self.world.operations.get(name)
        if operation is None:
            return
        if "answers" in said:
            validated(conduct.answers, operation.answer, self.report, (*place, "answers"))
        if conduct.refuses is not None and operation.refusals and conduct.refuses not in operation.refusals:
            hint = suggestion(conduct.refuses, operation.refusals) or "it refuses with " + ", ".join(sorted(operation.refusals))
            self.report.report(
                (*place, "refuses"), "test.unknown-refusal", f"`{name}` never refuses with `{conduct.refuses}`", hint, "warning"
            )

    # --- what happens ------------------------------------------------------------------------------------------------

    def _events(self, test: TestDocument, messages: Mapping[str, Any], pointer: Pointer) -> None:
        self._message(self.parsed.model.on, test, "send", messages, pointer)
        for position, arrival in enumerate(test.earlier):
            self._arrival(arrival.arrive, arrival, messages, (*pointer, "earlier", position))
        for position, event in enumerate(test.then):
            place = (*pointer, "then", position)
            if (event.arrive is None) == (event.pass_ is None):
                self.report.report(place, "test.event", "an event is either `arrive` or `pass`")
            elif event.arrive is not None:
                self._arrival(event.arrive, event, messages, place)

    def _arrival(self, name: str, event: Any, messages: Mapping[str, Any], place: Pointer) -> None:
        if name in self.world.types and name not in self.awaited and self.parsed.complete and self.awaited <= self.world.types.keys():
            hint = "it waits for " + ", ".join(sorted(self.awaited)) if self.awaited else "it waits for nothing"
            self.report.report((*place, "arrive"), "test.not-awaited", f"the route never waits for `{name}`", hint)
        self._message(name, event, "body", messages, place)

    def _message(self, name: str, said: Any, part: str, messages: Mapping[str, Any], place: Pointer) -> None:
        """The body that will be sent: written there or shared, with its changes."""
        own = part in said.model_fields_set
        if not own and name not in self.world.types:
            if part == "body":  # that there is no type as the route's `on` says is told there
                self._body(name, None, place, (*place, "arrive"), key=False)
            return
        if not own and name not in messages:
            if self.lost or nearest(name, self.strange):
                return
            sentence = f"the test does not say what `{name}` holds"
            self.report.report(place, "test.no-body", sentence, f"write it as `{part}`, or once for all tests under `given.messages`")
            return
        body = getattr(said, part) if own else messages[name]
        changed = patched(body, said.but) if said.but is not None else body
        if own or said.but is not None:
            shared = None if own else body
            self._body(name, changed, (*place, part) if own else (*place, "but"), (*place, "arrive"), key=False, shared=shared)

    def _body(self, name: str, body: JsonValue, pointer: Pointer, named: Pointer, key: bool, shared: JsonValue | None = None) -> None:
        declared = self.world.types.get(name)
        if declared is not None:
            check_body(declared, body, self.world, self.report, pointer, shared)
        elif name not in self.world.broken:
            self.strange.add(name)
            hint = suggestion(name, self.world.types)
            self.report.report(named, "type.unknown", f"there is no message type `{name}`", hint, key=key)

    # --- what is expected --------------------------------------------------------------------------------------------

    def _expectation(self, test: TestDocument, place: Pointer) -> None:
        expect = test.expect
        if not expect.model_fields_set:
            self.report.report(place, "test.expects-nothing", "the test expects nothing, so it cannot fail", "say at least `state`")
        for name in sorted(expect.model_fields_set - {"reply"}):  # of which null says that there was none
            if getattr(expect, name) is None or (name in _BY_NAME and not getattr(expect, name)):
                listed = name in ("replies", "calls", "sent", "records", "late")
                hint = EMPTY + ("; [] expects that there is none" if listed else "")
                self.report.report((*place, name), "field.invalid", f"`{name}` says nothing", hint)
        for name, pointer in _named(expect.calls, (*place, "calls")):
            self._known(name, self.asked, self.world.operations, "operation", pointer)
        for name in expect.tries or ():
            self._known(name, self.asked, self.world.operations, "operation", (*place, "tries", name))
        for name, pointer in _named(expect.sent, (*place, "sent")):
            self._known(name, self.sent, self.world.types, "message type", pointer)
        for part, entries in (("calls", expect.calls), ("sent", expect.sent)):
            for position, entry in enumerate(entries or ()):
                for name, fields in entry.items() if isinstance(entry, dict) else ():
                    check_fields(name, fields, self.world, self.report, (*place, part, position, name))
        self._keys(expect.case or {}, (*place, "case"))
        dead = expect.dead
        if dead is not None and dead.step is not None and dead.step not in self.steps and self.parsed.complete:
            hint = suggestion(dead.step, self.steps)
            self.report.report((*place, "dead", "step"), "test.unknown-step", f"there is no step `{dead.step}`", hint)

    def _known(self, name: str, here: set[str], everywhere: Mapping[str, Any], what: str, pointer: Pointer) -> None:
        """A name that the test expects: one that exists, and that this route uses."""
        verb, missing, unused = _WORDS[what]
        if name in self.world.broken:
            return
        if name not in everywhere:
            self.report.report(pointer, missing, f"there is no {what} `{name}`", suggestion(name, everywhere), key=True)
        elif name not in here and self.parsed.complete and here <= everywhere.keys():  # a misspelt one is told where it stands
            hint = f"it {verb} " + ", ".join(sorted(here)) if here else f"it {verb} none"
            self.report.report(pointer, unused, f"the route never {verb} `{name}`", hint, key=True)

    def _keys(self, expected: Mapping[str, Any], place: Pointer) -> None:
        known = self.keys
        for name in expected:
            if name not in known and self.parsed.complete:
                hint = suggestion(name, known) or ("its keys are " + ", ".join(sorted(known)) if known else "")
                self.report.report((*place, name), "test.unknown-key", f"the route never gives its case a key `{name}`", hint, key=True)


def _readable(written: Any) -> TestDocument | None:
    """A test without its expectation, where only that is wrong: what is wrong besides is told in the same run."""
    if wrong_fields(written, TestDocument) != {"expect"}:
        return None
    return TestDocument.model_validate({**written, "expect": {"state": "done"}})


def _paths(value: Any) -> Iterator[Pointer]:
    """The paths to all fields of a value that have none below them."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in below:
        yield from ((name, *rest) for rest in ([*_paths(inner)] or [()]))


def _named(entries: list[str | dict[str, Any]] | None, place: Pointer) -> Iterator[tuple[str, Pointer]]:
    """The names in a list whose entries are names or ``{name: fields}``."""
    for position, entry in enumerate(entries or ()):
        for name in [entry] if isinstance(entry, str) else entry:
            yield name, (*place, position) if isinstance(entry, str) else (*place, position, name)
