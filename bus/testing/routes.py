"""Route tests: the tests inside route files, run by the interpreter's test driver. No store, no sockets, no real time.

A test says what the outside systems do (``given``), what arrives (``earlier``, ``send``, ``then``) and what must come of it
(``expect``). `run_folder` is what ``bus test`` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from bus import calendar
from bus.adapter import Operation
from bus.catalog import Catalog, Route
from bus.clock import moment_of
from bus.errors import SnodoError
from bus.message import JsonObject, JsonValue
from bus.route.branches import branches_of, faults_of, watched
from bus.route.model import Arrival, Happening, TestDocument
from bus.route.plan import Plan
from bus.route.tests_check import patched
from bus.testing.expect import Difference, compare
from bus.testing.script import Script, TrialError
from bus.testing.trial import Trial

START = "2026-03-02T09:00:00+01:00"
"""When a test begins that says no ``clock``: a Monday morning."""


class Fault(NamedTuple):
    """What is not as a test expects, and the line at which the test says so."""

    line: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one test of a route, or (``kind``) of a mapping: ``faults`` is empty when it passed.

    ``branches`` are the ways it took, ``failures`` those in which its calls failed (`bus.route.branches`).
    """

    route: str
    name: str
    faults: tuple[Fault, ...]
    branches: frozenset[str] = frozenset()
    file: str = ""
    line: int = 0
    failures: frozenset[str] = frozenset()
    kind: Literal["route", "mapping"] = "route"

    @property
    def passed(self) -> bool:
        return not self.faults

    @property
    def place(self) -> str:
        """``file:line`` of the test."""
        return f"{self.file}:{self.line}"


def run_folder(catalog: Catalog, operations: Mapping[str, Operation], routes: Iterable[str] | None = None) -> list[Verdict]:
    """Run all tests of a catalog, or of the named routes, in the order of files and lines."""
    chosen = catalog.routes.values() if routes is None else [catalog.routes[name] for name in routes]
    return [verdict for route in sorted(chosen, key=lambda one: one.file) for verdict in run_route(route, catalog, operations)]


def run_route(route: Route, catalog: Catalog, operations: Mapping[str, Operation]) -> list[Verdict]:
    """Run the tests of one route."""
    return [_judge(route, position, test, catalog, operations) for position, test in enumerate(route.tests)]


def passes(plan: Plan, test: TestDocument, catalog: Catalog, operations: Mapping[str, Operation]) -> bool:
    """Whether a test of a route's file passes with a plan."""
    return not _play(plan, test, catalog, operations)[0]


def _judge(route: Route, position: int, test: TestDocument, catalog: Catalog, operations: Mapping[str, Operation]) -> Verdict:
    ways: set[str] = set()
    found, failures = _play(watched(route.plan, ways.add), test, catalog, operations)
    faults = tuple(Fault(route.place(position, at)[1], sentence) for at, sentence in found)
    return Verdict(route.plan.route, test.name, faults, frozenset(ways), *route.place(position, ()), failures)


def _play(
    plan: Plan, test: TestDocument, catalog: Catalog, operations: Mapping[str, Operation]
) -> tuple[tuple[Difference, ...], frozenset[str]]:
    """Play one test; what is not as it expects, and the ways in which calls failed in it."""
    failed: set[tuple[str, str]] = set()
    try:
        faults = compare(test.expect, play(plan, test, catalog, operations, failed))
    except SnodoError as error:
        faults = (Difference((), error.in_words),)
    return faults, frozenset(f"{step}: {way}" for step, way in failed)


def play(
    plan: Plan, test: TestDocument, catalog: Catalog, operations: Mapping[str, Operation], failed: set[tuple[str, str]] | None = None
) -> Trial:
    """Play what a test gives, to its end; ``failed`` gets the ways in which calls failed. Raises `TrialError`."""
    messages = test.given.get("messages") or {}
    clock = moment_of(test.given.get("clock", START))
    trial = Trial(plan, catalog, Script(test.given, operations), clock, failed=set() if failed is None else failed)
    for arrival in test.earlier:
        trial.earlier(arrival.arrive, _body(arrival.arrive, arrival, messages), moment_of(arrival.at) if arrival.at else clock)
    trial.start(_body(plan.on, test, messages), test.attachments)
    for event in test.then:
        _happen(event, trial, messages)
    return trial


def _happen(event: Happening, trial: Trial, messages: Mapping[str, Any]) -> None:
    if event.arrive is not None:
        trial.arrive(event.arrive, _body(event.arrive, event, messages))
    elif event.pass_ is not None:
        trial.let_pass(calendar.moment_after(event.pass_)(trial.now))
    else:
        raise TrialError("an event is either `arrive` or `pass`")


def _body(name: str, said: TestDocument | Arrival | Happening, messages: Mapping[str, Any]) -> Any:
    """The body written there, or the one shared for the type, with its changes."""
    part = "send" if isinstance(said, TestDocument) else "body"
    if part in said.model_fields_set:
        body = getattr(said, part)
    elif name in messages:
        body = messages[name]
    else:
        raise TrialError(f"the test does not say what {name} holds", hint=f"write `{part}`, or `given: {{messages: {{{name}: {{…}}}}}}`")
    return body if said.but is None else patched(body, said.but)


# --- telling ---------------------------------------------------------------------------------------------------------


def untested(catalog: Catalog, verdicts: Sequence[Verdict]) -> dict[str, list[str]]:
    """The ways of each route that no test took, by route; routes that are wholly tested are left out."""
    return _left(catalog, verdicts, "branches", branches_of)


def untried(catalog: Catalog, operations: Mapping[str, Operation], verdicts: Sequence[Verdict]) -> dict[str, list[str]]:
    """The ways in which calls of each route can fail and did in no test, by route; routes without any are left out."""
    return _left(catalog, verdicts, "failures", lambda plan: faults_of(plan, operations))


def _left(
    catalog: Catalog, verdicts: Sequence[Verdict], seen: Literal["branches", "failures"], ways: Callable[[Plan], Iterable[str]]
) -> dict[str, list[str]]:
    taken: dict[str, set[str]] = {}
    for verdict in verdicts:
        taken.setdefault(verdict.route, set()).update(getattr(verdict, seen))
    left = {name: [way for way in ways(route.plan) if way not in taken.get(name, ())] for name, route in catalog.routes.items()}
    return {name: some for name, some in left.items() if some}


def as_json(verdicts: Sequence[Verdict]) -> JsonObject:
    """The verdicts as ``bus test --json`` prints them."""
    failed = sum(not verdict.passed for verdict in verdicts)
    return {
        "passed": len(verdicts) - failed,
        "failed": failed,
        "tests": [
            {
                one.kind: one.route, "file": one.file, "line": one.line, "test": one.name, "passed": one.passed,
                "faults": [one._asdict() for one in one.faults], "branches": list[JsonValue](sorted(one.branches)),
            }
            for one in verdicts
        ],
    }  # fmt: skip


def summary(verdicts: Sequence[Verdict]) -> str:
    """The failed tests with their faults, then one line."""
    failed = [verdict for verdict in verdicts if not verdict.passed]
    lines = [line for one in failed for line in (f"FAILED {one.place}: {one.name} ({one.route})", *_told(one))]
    return "\n".join([*lines, f"{len(verdicts) - len(failed)} passed, {len(failed)} failed"])


def _told(failed: Verdict) -> list[str]:
    return [f"  {failed.file}:{fault.line}: {fault.sentence}" for fault in failed.faults]
