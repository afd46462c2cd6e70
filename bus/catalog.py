"""The catalog: all rules in force, checked as a whole, immutable. Whoever holds it swaps it by one assignment (`bus.activation`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from bus.expression import Table
from bus.mapping.compile import CompiledMapping
from bus.mapping.model import MappingTest
from bus.mapping.types import Fault, MessageType, in_kind, validate_whole
from bus.message import JsonObject, JsonValue, digest
from bus.route.compile import plan_of
from bus.route.model import TestDocument
from bus.route.plan import CallStep, Plan
from bus.route.tests_check import SERVICES
from bus.services import Servizio
from bus.source import Finding, Pointer, suggestion


@dataclass(frozen=True)
class Route:
    """A route in force: its plan, its file (relative to the folder) and its tests.

    ``place`` says in which file and line a test is written, by its position, or what a pointer points to in it. ``texts`` are the
    files that it was compiled from, by name, its own first: what positions in these rules point into.
    """

    plan: Plan
    file: str
    tests: tuple[TestDocument, ...] = ()
    place: Callable[[int, Pointer], tuple[str, int]] = lambda position, pointer: ("", 0)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TestedMapping:
    """A mapping that has tests, the line at which one is written, by its position, or what a pointer points to in it, and its text."""

    mapping: CompiledMapping
    file: str
    tests: tuple[MappingTest, ...]
    line: Callable[[int, Pointer], int]
    text: str


@dataclass(frozen=True)
class Catalog:
    """All rules in force.

    ``findings`` are warnings, ``digest`` is the fingerprint of the whole, ``awaited`` are the types that steps wait for.
    """

    routes: Mapping[str, Route]
    types: Mapping[str, MessageType]
    mappings: Mapping[str, CompiledMapping]
    tables: Mapping[str, Table]
    services: Mapping[str, Servizio]
    findings: tuple[Finding, ...]
    digest: str
    awaited: frozenset[str]
    tested: Mapping[str, TestedMapping] = field(default_factory=dict)
    _by_type: Mapping[str, tuple[Plan, ...]] = field(default_factory=dict)
    _by_digest: dict[str, Plan] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _for_sent: Mapping[str, tuple[Plan, ...]] = field(default_factory=dict)
    _earlier: Callable[[str], Iterator[Catalog]] = lambda _: iter(())

    @cached_property
    def parts(self) -> Mapping[str, Mapping[str, str]]:
        """The fingerprint of each route, mapping, type, table and service."""
        return {
            "routes": {name: route.plan.digest for name, route in self.routes.items()},
            "mappings": {name: digest(mapping.rules) for name, mapping in self.mappings.items()},
            "types": {name: digest(one.rules) for name, one in self.types.items()},
            "tables": {name: digest(dict(table)) for name, table in self.tables.items() if name != SERVICES},
            "services": {code: digest(service.row()) for code, service in self.services.items()},
        }

    def plans_for(self, type: str, *, sent: bool = False) -> Sequence[Plan]:
        """The plans that a message of a type starts, by name of their route; ``sent``: a run of ours sends it, perhaps an earlier one."""
        found = self._by_type.get(type, ())
        return found or self._for_sent.get(type, ()) if sent else found

    def earlier(self, type: str, plan: str) -> Iterator[Catalog]:
        """The rules under which a type was another, the newest first; none for a run whose ``plan`` is in force."""
        in_force = any(route.plan.digest == plan for route in self.routes.values())
        return iter(()) if in_force else self._earlier(type)

    def carrying(
        self, types: Mapping[str, MessageType], awaited: Iterable[str], for_sent: Mapping[str, tuple[Plan, ...]],
        earlier: Callable[[str], Iterator[Catalog]],
    ) -> Catalog:  # fmt: skip
        """The same rules, which take also what runs of earlier rules still wait for or send."""
        kept = {name: one for name, one in types.items() if name not in self.types}
        return replace(self, types={**self.types, **kept}, awaited=self.awaited.union(awaited), _for_sent=dict(for_sent), _earlier=earlier)

    def validate(self, type: str, body: JsonValue) -> list[Fault]:
        """What is wrong with the body of a message, its forms included; raises KeyError for an unknown type."""
        return validate_whole(self.types[type], body, self.types)

    def taken(self, type: str, body: JsonValue) -> JsonValue:
        """The body of a message as rules read it, of one that is of its type."""
        return in_kind(self.types[type], body, self.types)

    def nearest_type(self, type: str) -> str:
        """``did you mean …?`` for a type that does not exist; empty when nothing is near."""
        return suggestion(type, self.types)

    def plan(self, digest: str) -> Plan | None:
        """The plan with a digest: one in force, or one that was remembered."""
        return self._by_digest.get(digest)

    @cached_property
    def first_calls(self) -> Mapping[str, Sequence[tuple[str, CallStep]]]:
        """The plans in force whose first call is certain, as digest and step, by the operation that they call first."""
        found: dict[str, list[tuple[str, CallStep]]] = {}
        for route in self.routes.values():
            if (step := route.plan.first_call) is not None:
                found.setdefault(step.operation, []).append((route.plan.digest, step))
        return found

    def remember(self, rules: JsonObject) -> Plan:
        """Compile stored rules and keep the plan for its digest. Raises `RulesError`."""
        plan = plan_of(rules)
        with self._lock:
            self._by_digest[plan.digest] = plan
        return plan


def changed_types(before: Catalog, after: Catalog) -> frozenset[str]:
    """Types of ``before`` that are otherwise after, or gone; also where a table, a service or a form that they look into is."""

    def otherwise(kind: str) -> set[str]:
        was, now = before.parts[kind], after.parts[kind]
        return {name for name in {*was, *now} if was.get(name) != now.get(name)}

    changed, tables = otherwise("types"), otherwise("tables") | ({SERVICES} if otherwise("services") else set())

    def looks_there(one: MessageType) -> bool:
        told = [*one.case.values(), *one.forms.values(), *([one.key] if one.key else [])]
        return any(lookup.table is None or lookup.table in tables for expression in told for lookup in expression.reads.lookups)

    return frozenset(
        name for name, one in before.types.items() if name in changed or (one.forms and changed) or (tables and looks_there(one))
    )
