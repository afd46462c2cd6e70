"""The tests inside a route file: their shape, and whether they speak of things that exist."""

from __future__ import annotations

from typing import Any

from bus.route.check import World
from bus.route.model import Conduct, TestDocument, check_clock
from bus.route.parse import ParsedRoute
from bus.source import Pointer, Reporter, suggestion, validated


def check_tests(parsed: ParsedRoute, world: World, report: Reporter) -> tuple[TestDocument, ...]:
    """The tests of a route; what is wrong with one goes to ``report`` and it is left out."""
    found: list[TestDocument] = []
    names: set[str] = set()
    for position, written in enumerate(parsed.model.tests):
        pointer: Pointer = ("tests", position)
        test = validated(written, TestDocument, report, pointer)
        if test is None:
            continue
        if test.name in names:
            report.report((*pointer, "name"), "test.duplicate-name", "there is already a test with this name")
        names.add(test.name)
        _check_given(test, pointer, world, report)
        _check_events(test, pointer, parsed, world, report)
        found.append(test)
    return tuple(found)


def _check_given(test: TestDocument, pointer: Pointer, world: World, report: Reporter) -> None:
    for name, conduct in test.given.items():
        place = (*pointer, "given", name)
        if name == "clock":
            if problem := check_clock(conduct):
                report.report(place, "test.clock", "this is no moment", problem)
            continue
        if name not in world.operations:
            hint = suggestion(name, [*world.operations, "clock"])
            report.report(place, "operation.unknown", f"there is no operation `{name}`", hint, key=True)
        turns: list[Any] = conduct if isinstance(conduct, list) else [conduct]
        for turn, one in enumerate(turns):
            _check_conduct(one, (*place, turn) if isinstance(conduct, list) else place, name, world, report)


def _check_conduct(written: Any, place: Pointer, name: str, world: World, report: Reporter) -> None:
    conduct = validated(written, Conduct, report, place)
    if conduct is None:
        return
    said = conduct.model_fields_set
    together = {"unreachable", "answers"}
    if not said or (len(said) > 1 and not said <= together):
        sentence = "an operation does one thing at a time"
        report.report(place, "test.conduct", sentence, "one of answers, refuses, unreachable (then answers), in_doubt, silent")
    operation = world.operations.get(name)
    if operation is not None and conduct.refuses is not None and operation.refusals and conduct.refuses not in operation.refusals:
        hint = suggestion(conduct.refuses, operation.refusals) or "it refuses with " + ", ".join(sorted(operation.refusals))
        report.report((*place, "refuses"), "test.unknown-refusal", f"`{name}` never refuses with `{conduct.refuses}`", hint, "warning")


def _check_events(test: TestDocument, pointer: Pointer, parsed: ParsedRoute, world: World, report: Reporter) -> None:
    for position, event in enumerate(test.then):
        place = (*pointer, "then", position)
        if (event.arrive is None) == (event.pass_ is None):
            report.report(place, "test.event", "an event is either `arrive` or `pass`")
        elif event.arrive is not None and event.arrive not in world.types:
            hint = suggestion(event.arrive, world.types)
            report.report((*place, "arrive"), "type.unknown", f"there is no message type `{event.arrive}`", hint)
    dead = test.expect.dead
    steps = {step.model.id for step in parsed.walk()}
    if dead is not None and dead.step is not None and dead.step not in steps:
        hint = suggestion(dead.step, steps)
        report.report((*pointer, "expect", "dead", "step"), "test.unknown-step", f"there is no step `{dead.step}`", hint)
    for position, call in enumerate(test.expect.calls or ()):
        name = call if isinstance(call, str) else next(iter(call), "")
        if name not in world.operations:
            hint = suggestion(name, world.operations)
            report.report((*pointer, "expect", "calls", position), "operation.unknown", f"there is no operation `{name}`", hint)
