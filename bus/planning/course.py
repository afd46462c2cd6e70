"""A plan over many messages: the rules in force and the edited ones, each message through both, differences counted and grouped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bus.adapter import Operation
from bus.catalog import Catalog
from bus.engine.interpreter import case_keys
from bus.message import JsonObject, JsonValue, Message, message_of
from bus.planning.borrowed import ErasedError, remember
from bus.planning.difference import Change, Kind, differences
from bus.planning.way import NOTHING, Walker, Way
from bus.replay.evidence import Page
from bus.replay.fields import MISSING, changes
from bus.replay.recount import Opening
from bus.route.plan import GatherStep, Plan, WaitStep


@dataclass(slots=True)
class Group:
    """Changes of one kind at one place. ``examples``: message, value before, value after."""

    kind: Kind
    place: str
    subject: str
    fields: tuple[str, ...]
    old: bool
    count: int = 0
    messages: set[str] = field(default_factory=set)
    examples: list[tuple[str, JsonValue, JsonValue]] = field(default_factory=list)


@dataclass
class Course:
    """Messages go in by `take`, page by page. ``most``: examples kept of each group."""

    before: Catalog
    after: Catalog
    operations: Mapping[str, Operation]
    most: int = 3
    counts: Counter[str] = field(default_factory=Counter)
    groups: dict[tuple[object, ...], Group] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._walker = Walker(self.operations, self._fault)
        routes = {*self.before.routes, *self.after.routes}
        self.routes = {name: (_plan(self.before, name), _plan(self.after, name)) for name in sorted(routes)}
        self.routes = {name: both for name, both in self.routes.items() if _digest(both[0]) != _digest(both[1])}
        self._types = _changed_types(self.before, self.after)

    @property
    def types(self) -> frozenset[str]:
        """The types of messages that the edits may concern."""
        plans = [plan for both in self.routes.values() for plan in both if plan]
        waits = (step for plan in plans for step in plan.walk() if isinstance(step, WaitStep | GatherStep) and step.on_late)
        return frozenset({plan.on for plan in plans} | {step.type for step in waits if step.type} | self._types)

    def take(self, page: Page, messages: Sequence[str]) -> None:
        """Plan some messages; ``page`` is their evidence."""
        runs: dict[str, list[Opening]] = {}
        for opening in page.openings:
            runs.setdefault(opening.message, []).append(opening)
        for identity in messages:
            stored = page.message(identity)
            self.counts["concerned"] += 1
            try:
                outcome = "erased" if stored is None else self._plan(identity, stored, runs.get(identity, []), page)
            except ErasedError:
                outcome = "erased"
            self.counts[outcome] += 1

    def _plan(self, identity: str, stored: JsonObject, openings: Sequence[Opening], page: Page) -> str:
        message = message_of(stored["envelope"], stored["body"])  # type: ignore[arg-type]
        if message.type in self._types and (fault := self._fault(message.type, message.body)):
            self._add(identity, Change("refused", message.type, message.type, (), MISSING, fault))
            return "changed"
        outcome = "same"
        for before, after, entry, journals in self._walks(message, openings, page):
            for change in self._compare(message, before, after, entry, journals, page):
                self._add(identity, change)
                outcome = "changed"
        return outcome

    def _walks(
        self, message: Message, openings: Sequence[Opening], page: Page
    ) -> Iterator[tuple[Plan | None, Plan | None, str, list[Opening]]]:
        """What is to be walked: the plans of both rules, where they begin, and the runs that lend answers, the likest first."""
        for route, both in self.routes.items():
            before, after = (plan if plan and plan.on == message.type else None for plan in both)
            if before or after:
                yield before, after, "", sorted(openings, key=lambda one: (one.entry != "", _route_of(one) != route))
        for late in openings:
            step, both = late.entry.partition(" ")[0], self.routes.get(_route_of(late), (None, None))
            before, after = (plan if plan and _takes_late(plan, step) else None for plan in both)
            if step and (before or after):
                yield before, after, late.entry, sorted(openings, key=lambda one: one is not late)

    def _compare(
        self, message: Message, before: Plan | None, after: Plan | None, entry: str, lenders: Sequence[Opening], page: Page
    ) -> Iterator[Change]:
        memory = remember((page.journals.get(one.run, ()) for one in lenders), page)
        old = self._walker.way(before, message, entry, memory) if before else NOTHING
        new = self._walker.way(after, message, entry, memory, old) if after else NOTHING
        if before is None and after is not None:
            yield Change("run added", after.name, after.route)
        if after is None and before is not None:
            yield Change("run removed", before.name, before.route, old=True)
        if before and after and not entry and before.rules["route"].get("case") != after.rules["route"].get("case"):  # type: ignore[union-attr]
            yield from _keys(before, after, message)
        yield from _said(old, new, (after or before).name)  # type: ignore[union-attr]

    def _fault(self, type: str, body: JsonValue) -> str:
        """What is wrong with a body under the edited types."""
        if type not in self.after.types:
            return f"there is no message type {type}"
        faults = self.after.validate(type, body)
        return f"{faults[0].pointer or 'body'}: {faults[0].sentence}" if faults else ""

    def _add(self, message: str, change: Change) -> None:
        key = (change.kind, change.place, change.subject, change.fields, change.old)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(change.kind, change.place, change.subject, change.fields, change.old)
        group.count += 1
        group.messages.add(message)
        if len(group.examples) < self.most:
            group.examples.append((message, change.before, change.after))


def _said(old: Way, new: Way, name: str) -> Iterator[Change]:
    return differences(old, new, lambda step: f"{name}/{step}")


def _keys(before: Plan, after: Plan, message: Message) -> Iterator[Change]:
    """The keys that the message itself gives its case."""
    was, now = ({**case_keys(plan, message)} for plan in (before, after))
    for name, old, new in changes(was, now, "keys"):  # type: ignore[arg-type]
        yield Change("key changed", after.name, name.partition(".")[2], (name,), old, new)


def _plan(catalog: Catalog, route: str) -> Plan | None:
    found = catalog.routes.get(route)
    return found.plan if found else None


def _digest(plan: Plan | None) -> str:
    return plan.digest if plan else ""


def _route_of(opening: Opening) -> str:
    return opening.name.rpartition("@")[0]


def _takes_late(plan: Plan, step: str) -> bool:
    return any(one.id == step and isinstance(one, WaitStep | GatherStep) and bool(one.on_late) for one in plan.walk())


def _changed_types(before: Catalog, after: Catalog) -> frozenset[str]:
    """Types that are otherwise, or gone; tables that they look into count as theirs."""
    tables = before.parts["tables"] != after.parts["tables"]
    was, now = before.parts["types"], after.parts["types"]
    return frozenset(name for name in was if tables or was[name] != now.get(name))
