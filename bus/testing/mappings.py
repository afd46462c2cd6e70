"""Tests of mappings: a mapping applied to what a test gives, and what it makes compared with what the test expects.

What is made must also be what the target takes, as the engine asks it before anything leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from bus.adapter import Operation
from bus.catalog import Catalog, TestedMapping
from bus.clock import moment_of, text_of
from bus.errors import ExpressionError
from bus.faults import first_of
from bus.mapping.compile import CompiledMapping
from bus.mapping.model import MappingTest
from bus.mapping.template import dotted
from bus.message import JsonValue
from bus.testing.expect import Difference, differences, said
from bus.testing.routes import START, Fault, Verdict


def run_mappings(catalog: Catalog, operations: Mapping[str, Operation], names: Iterable[str] | None = None) -> list[Verdict]:
    """Run the tests of all mappings, or of the named ones, in the order of files and lines."""
    chosen = catalog.tested.values() if names is None else [catalog.tested[name] for name in names if name in catalog.tested]
    return [verdict for one in sorted(chosen, key=lambda one: one.file) for verdict in _verdicts(one, catalog, operations)]


def _verdicts(one: TestedMapping, catalog: Catalog, operations: Mapping[str, Operation]) -> Iterable[Verdict]:
    for position, test in enumerate(one.tests):
        found = differences_of(one.mapping, test, catalog, operations)
        faults = tuple(Fault(one.line(position, at), sentence) for at, sentence in found)
        yield Verdict(one.mapping.name, test.name, faults, file=one.file, line=one.line(position, ()), kind="mapping")


def differences_of(mapping: CompiledMapping, test: MappingTest, catalog: Catalog, operations: Mapping[str, Operation]) -> list[Difference]:
    """What is not as the test expects, one sentence each."""
    made, failed, why = _made(mapping, test, catalog, operations)
    if test.fails is not None:
        if failed is None:
            return [Difference(("fails",), f"fails: expected no value for {test.fails}, made was {said(made)}")]
        return [] if failed == test.fails else [Difference(("fails",), f"fails: expected {test.fails}, was {failed}: {why}")]
    if failed is not None:
        return [Difference((), f"{failed}: {why}")]
    return differences(test.expect, made, ("expect",), "expect")


def _made(
    mapping: CompiledMapping, test: MappingTest, catalog: Catalog, operations: Mapping[str, Operation]
) -> tuple[JsonValue, str | None, str]:
    """(what is made, field that could not be made or that the target does not take, why)."""
    scope: dict[str, Any] = {"message": {}, "case": {}, "now": text_of(moment_of(START)), **test.given}
    try:
        made = mapping(scope)
    except ExpressionError as error:
        return None, str(error.detail.get("field", "")), error.in_words
    return made, *_misfit(mapping.document.to, made, catalog, operations)


def _misfit(target: str, made: JsonValue, catalog: Catalog, operations: Mapping[str, Operation]) -> tuple[str | None, str]:
    """The first field that the target does not take, and why."""
    if target in operations:
        try:
            operations[target].request.model_validate(made)
        except ValidationError as error:
            return dotted(error.errors(include_url=False)[0]["loc"]), f"{target} does not take it: {first_of(error)}"
    elif target in catalog.types and (faults := catalog.validate(target, made)):
        place: Sequence[str] = faults[0].pointer.split("/")[1:]
        field = dotted([int(piece) if piece.isdigit() else piece for piece in place])
        return field, f"{target} does not take it: {faults[0].sentence}"
    return None, ""
