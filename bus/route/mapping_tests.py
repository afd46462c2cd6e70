"""The tests of a mapping: their shape, and whether they give what the mapping reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bus.mapping.compile import CompiledMapping
from bus.mapping.model import MappingTest
from bus.mapping.types import BUILT_IN
from bus.route.tests_check import check_body, check_fields, may_be_misspelt, patched
from bus.route.world import World
from bus.source import Pointer, Reporter, suggestion, validated

Tested = tuple[tuple[int, MappingTest], ...]
"""Tests with their positions in their file; what all share is in each, and its body has its changes."""


def check_mapping_tests(mapping: CompiledMapping, world: World, report: Reporter) -> Tested:
    """The tests of a mapping; wrong ones are left out."""
    document = mapping.document
    if document.given and not document.tests and not may_be_misspelt(report):
        report.report(("given",), "test.unused", "there are no tests that could use this", "", "warning", key=True)
    _given(mapping, document.given, world, report, ("given",))
    seen: set[str] = set()
    found = ((position, _test(mapping, one, world, report, ("tests", position), seen)) for position, one in enumerate(document.tests))
    return tuple((position, test) for position, test in found if test is not None)


def _test(mapping: CompiledMapping, written: Any, world: World, report: Reporter, pointer: Pointer, seen: set[str]) -> MappingTest | None:
    test = validated(written, MappingTest, report, pointer)
    if test is None:
        return None
    if test.name in seen:
        report.report((*pointer, "name"), "test.duplicate-name", "there is already a test with this name")
    seen.add(test.name)
    _given(mapping, test.given, world, report, (*pointer, "given"))
    given = {**mapping.document.given, **test.given}
    if test.but is not None and "body" in given:
        shared = given["body"]
        given["body"] = patched(shared, test.but)
        if (declared := world.types.get(mapping.document.from_)) is not None:
            check_body(declared, given["body"], world, report, (*pointer, "but"), shared)
    for name in ("body", *mapping.document.uses):
        if name not in given:
            hint = "write it under `given`, of this test or of all"
            report.report(pointer, "test.no-body", f"the test does not say what `{name}` holds", hint)
    _end(test, report, pointer)
    check_fields(mapping.document.to, test.expect, world, report, (*pointer, "expect"))
    return test.model_copy(update={"given": given})


def _given(mapping: CompiledMapping, given: Mapping[str, Any], world: World, report: Reporter, pointer: Pointer) -> None:
    known = BUILT_IN.union(mapping.document.uses)
    for name in given:
        if name not in known:
            hint = suggestion(name, known) or "it reads " + ", ".join(sorted(known))
            report.report((*pointer, name), "test.unknown-name", f"the mapping reads no `{name}`", hint, key=True)
    declared = world.types.get(mapping.document.from_)
    if "body" in given and declared is not None:
        check_body(declared, given["body"], world, report, (*pointer, "body"))


def _end(test: MappingTest, report: Reporter, pointer: Pointer) -> None:
    """A test expects a value or a failure."""
    if "expect" in test.model_fields_set and test.fails is not None:
        report.report((*pointer, "fails"), "test.two-ends", "the test expects a value and a failure", "make two tests of it", key=True)
    elif not test.expect and test.fails is None:
        report.report(pointer, "test.expects-nothing", "the test expects nothing, so it cannot fail", "say `expect`, or `fails`")
